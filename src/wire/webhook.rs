//! Standard Webhooks: who sent a body, and when, proven by a signature over id, time and bytes
//! (<https://www.standardwebhooks.com>).
//!
//! The signature is looked at before a byte of the body is parsed. Every secret is tried against
//! every signature, each in constant time, so that secrets can be changed without losing a
//! delivery. That an id comes once is not decided here: it is the reference of what is booked.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::gate::time::Time;

/// How far a delivery's time may lie from ours, either way.
pub const TOLERANCE: Duration = Duration::from_mins(5);
/// The most signatures of one delivery that are looked at.
pub const MAX_SIGNATURES: usize = 10;
/// The most secrets that are tried.
pub const MAX_SECRETS: usize = 10;
/// The longest id.
pub const MAX_ID: usize = 256;
/// What a secret's text begins with.
const PREFIX: &str = "whsec_";
/// The least and the most bytes of a secret: below, it can be guessed; the upper bound is the
/// standard's.
const SECRET: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that a sender and the gate share.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A text that holds no secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Nothing at all.
    #[error("there is no secret in it")]
    None,
    /// More than are tried.
    #[error("there are more than {MAX_SECRETS} secrets in it")]
    TooMany,
    /// Not one of ours.
    #[error(
        "a secret is `whsec_` and 24 to 64 bytes in base64; several, for a change of secrets, are written a line each"
    )]
    Malformed,
}

/// The headers of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'h> {
    /// `webhook-id`.
    pub id: &'h str,
    /// `webhook-timestamp`: seconds since 1970.
    pub timestamp: &'h str,
    /// `webhook-signature`: signatures with their versions, separated by spaces.
    pub signature: &'h str,
}

/// Why a delivery is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The id cannot be one.
    #[error("`webhook-id` must have 1 to {MAX_ID} characters that can be seen")]
    Id,
    /// The time is no time.
    #[error("`webhook-timestamp` must be a number of seconds since 1970")]
    Timestamp,
    /// Sent long ago, or a replay of what was.
    #[error("`webhook-timestamp` lies more than 5 minutes in the past")]
    Stale,
    /// Sent in the future.
    #[error("`webhook-timestamp` lies more than 5 minutes in the future")]
    Early,
    /// No signature is right.
    #[error("no signature in `webhook-signature` fits the body, its id and its time")]
    Signature,
}

/// The secrets in `text`, a line each.
pub fn secrets(text: &str) -> Result<Vec<Secret>, BadSecret> {
    let lines = text.split_whitespace();
    let secrets: Vec<Secret> = lines
        .take(MAX_SECRETS + 1)
        .map(secret)
        .collect::<Result<_, _>>()?;
    match secrets.len() {
        0 => Err(BadSecret::None),
        1..=MAX_SECRETS => Ok(secrets),
        _ => Err(BadSecret::TooMany),
    }
}

fn secret(text: &str) -> Result<Secret, BadSecret> {
    let encoded = text.strip_prefix(PREFIX).ok_or(BadSecret::Malformed)?;
    let bytes = BASE64_STANDARD
        .decode(encoded)
        .map_err(|_| BadSecret::Malformed)?;
    if SECRET.contains(&bytes.len()) {
        Ok(Secret(bytes))
    } else {
        Err(BadSecret::Malformed)
    }
}

/// Is the delivery by somebody who has one of `secrets`, and from about `now`?
pub fn verify(
    secrets: &[Secret],
    signed: Signed<'_>,
    body: &[u8],
    now: Time,
) -> Result<(), SignatureError> {
    let Signed {
        id,
        timestamp,
        signature,
    } = signed;
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SignatureError::Id);
    }
    let digits = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let at = timestamp
        .parse::<i64>()
        .ok()
        .filter(|_| digits)
        .and_then(|seconds| seconds.checked_mul(1_000))
        .ok_or(SignatureError::Timestamp)?;
    let at = Time::from_millis(at);
    let mut fits = subtle::Choice::from(0);
    for secret in secrets.iter().take(MAX_SECRETS) {
        let expected = sign(secret, id, timestamp, body);
        for signature in signature
            .split(' ')
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .take(MAX_SIGNATURES)
        {
            fits |= expected.as_bytes().ct_eq(signature.as_bytes());
        }
    }
    // After the signature: whoever has no secret learns nothing about our clock.
    match () {
        () if !bool::from(fits) => Err(SignatureError::Signature),
        () if now.since(at) > TOLERANCE => Err(SignatureError::Stale),
        () if at.since(now) > TOLERANCE => Err(SignatureError::Early),
        () => Ok(()),
    }
}

/// The signature of a delivery in base64, without its version.
#[must_use]
pub fn sign(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&secret.0) else {
        return String::new();
    };
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the standard's own libraries.
    const SECRET_TEXT: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: &str = "1614265330";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn now(seconds: i64) -> Time {
        Time::from_millis(seconds * 1_000)
    }

    fn check(
        text: &str,
        id: &str,
        at: &str,
        signature: &str,
        body: &[u8],
        now_at: i64,
    ) -> Result<(), SignatureError> {
        verify(
            &secrets(text).unwrap(),
            Signed {
                id,
                timestamp: at,
                signature,
            },
            body,
            now(now_at),
        )
    }

    #[test]
    fn the_example_of_standard_webhooks_verifies() {
        assert_eq!(
            check(SECRET_TEXT, ID, AT, SIGNATURE, BODY, 1_614_265_330),
            Ok(())
        );
        let other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        let several = format!("v1a,Zm9v v1,AAAA {SIGNATURE}");
        assert_eq!(
            check(
                &format!("{other}\n{SECRET_TEXT}\n"),
                ID,
                AT,
                &several,
                BODY,
                1_614_265_330
            ),
            Ok(())
        );
        assert_eq!(
            check(other, ID, AT, SIGNATURE, BODY, 1_614_265_330),
            Err(SignatureError::Signature)
        );
    }

    #[test]
    fn so_many_signatures_are_looked_at_and_no_more() {
        let at = |position: usize| {
            let signature = format!("{}{SIGNATURE}", "v1,AAAA ".repeat(position - 1));
            check(SECRET_TEXT, ID, AT, &signature, BODY, 1_614_265_330)
        };
        assert_eq!(at(MAX_SIGNATURES), Ok(()));
        assert_eq!(at(MAX_SIGNATURES + 1), Err(SignatureError::Signature));
    }

    #[test]
    fn any_change_breaks_the_signature() {
        let at = 1_614_265_330;
        assert_eq!(
            check(
                SECRET_TEXT,
                ID,
                AT,
                SIGNATURE,
                b"{\"test\": 2432232315}",
                at
            ),
            Err(SignatureError::Signature)
        );
        assert_eq!(
            check(SECRET_TEXT, "msg_other", AT, SIGNATURE, BODY, at),
            Err(SignatureError::Signature)
        );
        assert_eq!(
            check(SECRET_TEXT, ID, "1614265331", SIGNATURE, BODY, at),
            Err(SignatureError::Signature)
        );
        for signature in [
            "",
            "v1,",
            "v1",
            "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            &SIGNATURE[3..],
            &SIGNATURE[..20],
        ] {
            assert_eq!(
                check(SECRET_TEXT, ID, AT, signature, BODY, at),
                Err(SignatureError::Signature),
                "{signature}"
            );
        }
    }

    #[test]
    fn it_is_believed_within_five_minutes_and_not_a_millisecond_beyond() {
        let sent = 1_614_265_330;
        let at = |millis: i64| {
            verify(
                &secrets(SECRET_TEXT).unwrap(),
                Signed {
                    id: ID,
                    timestamp: AT,
                    signature: SIGNATURE,
                },
                BODY,
                Time::from_millis(sent * 1_000 + millis),
            )
        };
        assert_eq!(
            (at(300_000), at(300_001)),
            (Ok(()), Err(SignatureError::Stale))
        );
        assert_eq!(
            (at(-300_000), at(-300_001)),
            (Ok(()), Err(SignatureError::Early))
        );
        for bad in [
            "",
            "-1",
            "1614265330.5",
            "9223372036854775807",
            "soon",
            "+1614265330",
        ] {
            assert_eq!(
                check(SECRET_TEXT, ID, bad, SIGNATURE, BODY, sent),
                Err(SignatureError::Timestamp),
                "{bad}"
            );
        }
        for bad in ["", "a b", &"x".repeat(MAX_ID + 1)] {
            assert_eq!(
                check(SECRET_TEXT, bad, AT, SIGNATURE, BODY, sent),
                Err(SignatureError::Id)
            );
        }
    }

    #[test]
    fn a_secret_is_long_enough_and_is_never_shown() {
        assert_eq!(secrets(" \n"), Err(BadSecret::None));
        for bad in [
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_c2hvcnQ=",
            "whsec_!!!!",
        ] {
            assert_eq!(secrets(bad), Err(BadSecret::Malformed), "{bad}");
        }
        assert_eq!(
            secrets(&format!("{SECRET_TEXT} ").repeat(MAX_SECRETS))
                .unwrap()
                .len(),
            MAX_SECRETS
        );
        assert_eq!(
            secrets(&format!("{SECRET_TEXT} ").repeat(MAX_SECRETS + 1)),
            Err(BadSecret::TooMany)
        );
        assert_eq!(
            format!("{:?}", secrets(SECRET_TEXT).unwrap()),
            "[Secret(…)]"
        );
    }
}
