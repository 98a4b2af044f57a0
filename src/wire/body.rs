//! A request's body, read as its tool says: the arguments that rules judge, and what a reviewer sees.

use std::borrow::Cow;

use http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::query::Query;
use super::{Malformed, canonical, json, media, multipart};
use crate::gate::json::Json;
use crate::gate::policy::BodyKind;

/// How many characters of bytes a reviewer is shown.
pub const SHOWN_CHARACTERS: usize = 256;

/// A body as it is judged and shown.
#[derive(Debug, Clone, PartialEq)]
pub enum ReadBody<'a> {
    /// Arguments: JSON, the fields of a form, or text.
    Arguments(Json<'a>),
    /// What cannot be judged: bytes, or a list of the parts of a multipart body, described in JSON.
    Described(String),
}

/// Reads `bytes`, of which `headers` say what they are, as `kind`.
///
/// # Errors
/// 415 where the headers do not say that it is of this kind; 400 where it is not what it says.
pub fn read<'a>(
    kind: BodyKind,
    headers: &'a HeaderMap,
    bytes: &'a [u8],
) -> Result<ReadBody<'a>, Malformed> {
    let content_type = headers.get(header::CONTENT_TYPE);
    if kind != BodyKind::Bytes {
        media::is_identity(headers.get(header::CONTENT_ENCODING))?;
    }
    match kind {
        BodyKind::Json => {
            media::is_json(content_type)?;
            Ok(ReadBody::Arguments(json::parse(bytes)?))
        }
        BodyKind::Form => {
            let spelled = media::spelled(content_type);
            if spelled.as_deref() != Some("application/x-www-form-urlencoded") {
                return Err(Malformed::MediaType);
            }
            Ok(ReadBody::Arguments(form(bytes)?))
        }
        BodyKind::Text => {
            if media::spelled(content_type).is_some_and(|spelled| spelled.contains("; charset=")) {
                return Err(Malformed::Charset);
            }
            let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Charset)?;
            Ok(ReadBody::Arguments(Json::String(Cow::Borrowed(text))))
        }
        BodyKind::Bytes => {
            let media_type = content_type.and_then(|value| value.to_str().ok());
            Ok(ReadBody::Described(
                described(&[], media_type, bytes).to_string(),
            ))
        }
        BodyKind::Multipart => {
            let text = content_type.and_then(|value| value.to_str().ok());
            let boundary = multipart::boundary(text.ok_or(Malformed::MediaType)?)?;
            let parts = multipart::parts(bytes, boundary)?;
            let parts: Vec<_> = parts.iter().map(part).collect();
            Ok(ReadBody::Described(Value::Array(parts).to_string()))
        }
    }
}

/// Whether a body with these headers can be of `kind`, before any of it is read.
///
/// # Errors
/// As [`read`] has them for the headers.
pub fn check(kind: BodyKind, headers: &HeaderMap) -> Result<(), Malformed> {
    match read(kind, headers, b"") {
        Err(error) if error.status() == 415 => Err(error),
        _ => Ok(()),
    }
}

/// The fields of a form, each as text, and as a list where a name is given more than once.
fn form(bytes: &[u8]) -> Result<Json<'static>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Form)?;
    // Some readers take a semicolon for a separator; clients that follow the standard encode it.
    if text
        .bytes()
        .any(|byte| byte == b';' || !byte.is_ascii_graphic())
    {
        return Err(Malformed::Form);
    }
    let mut fields: Vec<(Cow<'static, str>, Json<'static>)> = Vec::new();
    for pair in Query::new(Some(text)).pairs() {
        let (name, value) = pair.map_err(|_| Malformed::Form)?;
        let value = Json::String(Cow::Owned(value.into_owned()));
        match fields.iter_mut().find(|(known, _)| *known == name) {
            None => fields.push((Cow::Owned(name.into_owned()), value)),
            Some((_, Json::Array(values))) => values.push(value),
            Some((_, first)) => {
                let before = std::mem::replace(first, Json::Null);
                *first = Json::Array(vec![before, value]);
            }
        }
    }
    Ok(Json::Object(fields))
}

fn part(part: &multipart::FormPart<'_>) -> Value {
    let named = [("name", Some(part.name)), ("file", part.file)];
    described(&named, part.media_type, part.bytes)
}

/// What a reviewer sees of bytes: type, size, digest and an escaped beginning.
fn described(named: &[(&str, Option<&str>)], media_type: Option<&str>, bytes: &[u8]) -> Value {
    let mut beginning = String::new();
    for character in String::from_utf8_lossy(bytes)
        .chars()
        .take(SHOWN_CHARACTERS)
    {
        // What a terminal or a browser would act on is shown as its number.
        if character.is_control() {
            beginning.extend(character.escape_unicode());
        } else {
            beginning.push(character);
        }
    }
    let given = named.iter().copied().chain([("type", media_type)]);
    let mut members: Map<String, Value> = given
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
        .collect();
    members.insert("size".to_owned(), bytes.len().into());
    members.insert(
        "sha256".to_owned(),
        canonical::digest(bytes).to_string().into(),
    );
    members.insert("beginning".to_owned(), beginning.into());
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn headers(media_type: &str, coding: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_str(media_type).unwrap(),
        );
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        headers
    }

    fn shown(kind: BodyKind, media_type: &str, body: &str) -> Result<String, Malformed> {
        let headers = headers(media_type, None);
        match read(kind, &headers, body.as_bytes())? {
            ReadBody::Described(text) => Ok(text),
            ReadBody::Arguments(json) => {
                let mut text = Vec::new();
                canonical::write(&json, &mut text);
                Ok(String::from_utf8(text).unwrap())
            }
        }
    }

    #[rstest]
    #[case(BodyKind::Json, "application/vnd.x+json", r#"{"a":1}"#, r#"{"a":1}"#)]
    #[case(
        BodyKind::Form,
        "application/x-www-form-urlencoded",
        "a=1&b=x+y%21&a=2",
        r#"{"a":["1","2"],"b":"x y!"}"#
    )]
    #[case(BodyKind::Text, "text/plain", "Dear \u{e9}", "\"Dear \u{e9}\"")]
    #[case(BodyKind::Text, "application/xml; charset=utf-8", "<a/>", "\"<a/>\"")]
    fn s20_s21_a_body_of_its_kind_is_shown_whole(
        #[case] kind: BodyKind,
        #[case] media_type: &str,
        #[case] body: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(shown(kind, media_type, body).as_deref(), Ok(expected));
        assert_eq!(check(kind, &headers(media_type, None)), Ok(()));
        let encoded = headers(media_type, Some("gzip"));
        assert_eq!(check(kind, &encoded), Err(Malformed::ContentEncoding));
    }

    #[rstest]
    #[case(BodyKind::Json, "text/plain", "{}", Malformed::MediaType)]
    #[case(BodyKind::Form, "application/json", "{}", Malformed::MediaType)]
    #[case(
        BodyKind::Form,
        "application/x-www-form-urlencoded",
        "a=1;b=2",
        Malformed::Form
    )]
    #[case(
        BodyKind::Form,
        "application/x-www-form-urlencoded",
        "a=%ff",
        Malformed::Form
    )]
    #[case(BodyKind::Text, "text/plain; charset=latin1", "a", Malformed::Charset)]
    #[case(
        BodyKind::Multipart,
        "multipart/mixed; boundary=b",
        "",
        Malformed::MediaType
    )]
    #[case(
        BodyKind::Multipart,
        "multipart/form-data; boundary=b",
        "--b--",
        Malformed::Multipart
    )]
    fn what_is_not_of_its_kind_is_refused(
        #[case] kind: BodyKind,
        #[case] media_type: &str,
        #[case] body: &str,
        #[case] reason: Malformed,
    ) {
        assert_eq!(shown(kind, media_type, body), Err(reason));
    }

    #[test]
    fn s21_bytes_and_parts_are_described_and_what_they_hold_is_escaped() {
        let bytes = shown(BodyKind::Bytes, "application/pdf", "%PDF\u{1b}[2J").unwrap();
        let digest = canonical::digest("%PDF\u{1b}[2J".as_bytes());
        assert_eq!(
            bytes,
            format!(
                r#"{{"beginning":"%PDF\\u{{1b}}[2J","sha256":"{digest}","size":8,"type":"application/pdf"}}"#
            )
        );
        let part =
            "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n1\r\n--b--";
        let parts = shown(BodyKind::Multipart, "multipart/form-data; boundary=b", part).unwrap();
        assert!(
            parts.starts_with(r#"[{"beginning":"1","file":"a","name":"f","#),
            "{parts}"
        );
        let other = part.replace("--b", "--other");
        let same = shown(
            BodyKind::Multipart,
            "multipart/form-data; boundary=other",
            &other,
        );
        assert_eq!(same, Ok(parts));
    }

    #[test]
    fn so_much_of_the_bytes_is_shown_and_no_more() {
        for (given, most) in [
            (SHOWN_CHARACTERS, SHOWN_CHARACTERS),
            (SHOWN_CHARACTERS + 1, SHOWN_CHARACTERS),
        ] {
            let shown = shown(BodyKind::Bytes, "a/b", &"x".repeat(given)).unwrap();
            assert!(shown.starts_with(&format!(r#"{{"beginning":"{}","#, "x".repeat(most))));
        }
    }
}
