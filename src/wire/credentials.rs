//! Whose credentials a request carries to its tool API, as a fingerprint that an approval and an
//! idempotency key are bound to.
//!
//! Another tenant's or another user's token is another call; a refreshed token of the same user and
//! a signature with a new date are not. So of the schemes whose credentials change by themselves only
//! what stays is taken, and of all others the whole value. The fingerprint is keyed: whoever reads it
//! cannot try tokens against it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, header};
use sha2::Sha256;

use super::{canonical, json};
use crate::gate::digest::Digest;
use crate::gate::json::Json;

/// The claims of a JSON Web Token that say whose it is, and for whom (RFC 7519 section 4.1, and
/// `OpenID` Connect's `azp`).
const CLAIMS: [&str; 4] = ["iss", "sub", "aud", "azp"];

/// What fingerprints are keyed with: the ledger's own, so that they hold across restarts.
#[derive(Clone)]
pub struct FingerprintKey([u8; 32]);

impl FingerprintKey {
    /// Of 32 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        FingerprintKey(bytes)
    }

    /// The fingerprint of the credentials in `headers`: Authorization, Cookie, and the headers that
    /// the tool API calls its credentials. `None` where there are none.
    #[must_use]
    pub fn of(&self, headers: &HeaderMap, more: &[HeaderName]) -> Option<Digest> {
        let own = [header::AUTHORIZATION, header::COOKIE];
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(b"burngate credentials");
        let mut any = false;
        let more = more.iter().filter(|name| !own.contains(name));
        for name in own.iter().chain(more) {
            for value in headers.get_all(name) {
                any = true;
                for part in [name.as_str().as_bytes(), &stable_part(value.as_bytes())] {
                    mac.update(&(part.len() as u64).to_be_bytes());
                    mac.update(part);
                }
            }
        }
        any.then(|| Digest::new(mac.finalize().into_bytes().into()))
    }
}

/// What of a credential stays the same when its holder renews it.
fn stable_part(value: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(value).ok();
    let scheme = text.and_then(|text| text.split_once(' '));
    let stable = match scheme {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("AWS4-HMAC-SHA256") => access_key(rest),
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => holder(token.trim()),
        _ => None,
    };
    stable.unwrap_or_else(|| value.to_vec())
}

/// The access key id of a signature of AWS, version 4:
/// `Credential=AKID/20261128/us-east-1/s3/aws4_request, …`
fn access_key(parameters: &str) -> Option<Vec<u8>> {
    let credential = parameters
        .split(',')
        .find_map(|parameter| parameter.trim().strip_prefix("Credential="))?;
    let (id, _) = credential.split_once('/')?;
    Some([b"AWS4 ", id.as_bytes()].concat())
}

/// Who a JSON Web Token says that its holder is; `None` for a token that does not say.
fn holder(token: &str) -> Option<Vec<u8>> {
    let mut parts = token.split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    let Ok(Json::Object(claims)) = json::parse(&payload) else {
        return None;
    };
    let claim = |wanted: &str| {
        claims
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value)
    };
    // Without a subject or a party, two people's tokens would be one.
    claim("sub").or_else(|| claim("azp"))?;
    let mut holder = b"JWT".to_vec();
    for value in CLAIMS.map(claim) {
        holder.push(b' ');
        canonical::write(value.unwrap_or(&Json::Null), &mut holder);
    }
    Some(holder)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn fingerprint(headers: &[(&'static str, &str)]) -> Option<Digest> {
        let headers = headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        let more = [HeaderName::from_static("x-api-key")];
        FingerprintKey::new([7; 32]).of(&headers.collect(), &more)
    }

    fn token(claims: &str, signature: &str) -> String {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(claims);
        format!("Bearer e30.{payload}.{signature}")
    }

    #[test]
    fn another_credential_is_another_fingerprint_and_none_is_none() {
        assert_eq!(fingerprint(&[("accept", "a")]), None);
        let all = [
            fingerprint(&[("authorization", "Bearer a")]),
            fingerprint(&[("authorization", "Bearer b")]),
            fingerprint(&[("authorization", "Basic a")]),
            fingerprint(&[("cookie", "Bearer a")]),
            fingerprint(&[("x-api-key", "Bearer a")]),
            fingerprint(&[("authorization", "Bearer a"), ("cookie", "a")]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(one.is_some() && !all[..at].contains(one), "{at}");
        }
        assert_ne!(
            FingerprintKey::new([8; 32]).of(
                &HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static("a"))]),
                &[]
            ),
            fingerprint(&[("cookie", "a")])
        );
    }

    #[test]
    fn a_refreshed_token_of_the_same_user_is_the_same_and_another_users_is_not() {
        let of = |claims: &str, signature: &str| {
            fingerprint(&[("authorization", &token(claims, signature))])
        };
        let ann = of(r#"{"iss":"i","sub":"ann","exp":1}"#, "c2ln");
        assert_eq!(ann, of(r#"{"exp":2,"sub":"ann","iss":"i"}"#, "b3RoZXI"));
        for other in [
            r#"{"iss":"i","sub":"bob","exp":1}"#,
            r#"{"iss":"j","sub":"ann","exp":1}"#,
            r#"{"iss":"i","sub":"ann","aud":"x","exp":1}"#,
            r#"{"iss":"i","sub":["ann"],"exp":1}"#,
        ] {
            assert_ne!(ann, of(other, "c2ln"), "{other}");
        }
        // Nobody's in particular: then the token itself is what it is.
        assert_ne!(
            of(r#"{"iss":"i","exp":1}"#, "a"),
            of(r#"{"iss":"i","exp":2}"#, "a")
        );
        assert_ne!(of("no json", "a"), of("no json", "b"));
    }

    #[test]
    fn a_signature_with_a_new_date_is_the_same_and_another_key_is_not() {
        let of = |text: &str| fingerprint(&[("authorization", text)]);
        let signed = of(
            "AWS4-HMAC-SHA256 Credential=AKID/20261128/eu/s3/aws4_request, SignedHeaders=host, Signature=aa",
        );
        assert_eq!(
            signed,
            of(
                "AWS4-HMAC-SHA256 SignedHeaders=host;x, Credential=AKID/20261129/eu/s3/aws4_request, Signature=bb"
            )
        );
        assert_ne!(
            signed,
            of(
                "AWS4-HMAC-SHA256 Credential=OTHER/20261128/eu/s3/aws4_request, SignedHeaders=host, Signature=aa"
            )
        );
        assert_ne!(
            of("AWS4-HMAC-SHA256 Signature=aa"),
            of("AWS4-HMAC-SHA256 Signature=bb")
        );
    }
}
