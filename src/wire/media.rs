//! Whether a body claims to be JSON that needs no decoding.
//!
//! Decides from Content-Type and Content-Encoding alone, and never more leniently because a
//! spelling is unusual: case does not matter, everything unknown is 415, and so is no content type
//! at all (A70, A71). What the bytes are is decided by `wire::json`.

use http::HeaderValue;

use super::Malformed;
use super::fields::is_token_byte;

/// A content type in one spelling: the media type in lower case, with its charset where that is not
/// UTF-8 and its other parameters left out (a boundary says nothing of what is sent). `None` where
/// there is none.
#[must_use]
pub fn spelled(value: Option<&HeaderValue>) -> Option<String> {
    // Whatever cannot be read is spelled byte for byte: it is another type than any other.
    let text: String = value?.as_bytes().iter().copied().map(char::from).collect();
    let (essence, parameters) = text.split_once(';').unwrap_or((&text, ""));
    let mut spelled = trim(essence).to_ascii_lowercase();
    let charset = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        trim(name)
            .eq_ignore_ascii_case("charset")
            .then(|| trim(value).trim_matches('"').to_ascii_lowercase())
    });
    if let Some(charset) = charset.filter(|charset| charset != "utf-8" && charset != "utf8") {
        spelled.push_str("; charset=");
        spelled.push_str(&charset);
    }
    Some(spelled)
}

/// A content coding in one spelling; `None` where there is none, or `identity`.
#[must_use]
pub fn coding(value: Option<&HeaderValue>) -> Option<String> {
    if is_identity(value).is_ok() {
        return None;
    }
    let text: String = value?.as_bytes().iter().copied().map(char::from).collect();
    Some(trim(&text).to_ascii_lowercase())
}

/// `application/json` or `application/*+json`, with no charset but UTF-8.
pub fn is_json(value: Option<&HeaderValue>) -> Result<(), Malformed> {
    let text = value
        .map(HeaderValue::as_bytes)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .ok_or(Malformed::MediaType)?;
    let (essence, parameters) = text
        .split_once(';')
        .map_or((text, None), |(essence, rest)| (essence, Some(rest)));
    let (kind, subtype) = trim(essence).split_once('/').ok_or(Malformed::MediaType)?;
    if !kind.eq_ignore_ascii_case("application") || !is_token(subtype) || !is_json_subtype(subtype)
    {
        return Err(Malformed::MediaType);
    }
    parameters.map_or(Ok(()), check_parameters)
}

/// Absent or `identity`: a compressed body would have to be decoded, within bounds, before it could
/// be judged.
pub fn is_identity(value: Option<&HeaderValue>) -> Result<(), Malformed> {
    match value.map(|value| value.as_bytes().trim_ascii()) {
        None => Ok(()),
        Some(coding) if coding.eq_ignore_ascii_case(b"identity") => Ok(()),
        Some(_) => Err(Malformed::ContentEncoding),
    }
}

fn is_json_subtype(subtype: &str) -> bool {
    let suffix = subtype
        .rsplit_once('+')
        .filter(|(name, _)| !name.is_empty())
        .map_or(subtype, |(_, suffix)| suffix);
    suffix.eq_ignore_ascii_case("json")
}

/// RFC 9110 section 5.6.6: `name=token` or `name="quoted"`, empty ones allowed between semicolons.
fn check_parameters(text: &str) -> Result<(), Malformed> {
    let mut rest = text;
    let mut charset_seen = false;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if let Some(next) = rest.strip_prefix(';') {
            rest = next;
            continue;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let (name, after) = rest.split_once('=').ok_or(Malformed::MediaType)?;
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            // An escaped quote would make the value depend on who unescapes it; no parameter of
            // JSON needs one.
            quoted
                .split_once('"')
                .filter(|(value, _)| !value.contains('\\'))
                .ok_or(Malformed::MediaType)?
        } else {
            let (value, after) =
                after.split_at(after.find([';', ' ', '\t']).unwrap_or(after.len()));
            if !is_token(value) {
                return Err(Malformed::MediaType);
            }
            (value, after)
        };
        if !is_token(name) {
            return Err(Malformed::MediaType);
        }
        if name.eq_ignore_ascii_case("charset") {
            let is_utf8 = ["utf-8", "utf8"]
                .iter()
                .any(|name| value.eq_ignore_ascii_case(name));
            if charset_seen || !is_utf8 {
                return Err(Malformed::Charset);
            }
            charset_seen = true;
        }
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(';') {
            return Err(Malformed::MediaType);
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn content_type(text: &str) -> Result<(), Malformed> {
        is_json(Some(&HeaderValue::from_bytes(text.as_bytes()).unwrap()))
    }

    #[rstest]
    #[case("application/json")]
    #[case("Application/JSON")]
    #[case("application/json; charset=utf-8")]
    #[case("application/json;charset=\"UTF-8\"")]
    #[case("application/json;charset=utf8")]
    #[case("application/vnd.x+json;v=1 ; charset=utf-8")]
    #[case("application/problem+JSON;")]
    fn a70_every_spelling_of_json_is_json(#[case] text: &str) {
        assert_eq!(content_type(text), Ok(()));
    }

    #[rstest]
    #[case("text/plain")]
    #[case("text/json")]
    #[case("application/json-seq")]
    #[case("application/jsonx")]
    #[case("application/+json")]
    #[case("application/x-www-form-urlencoded")]
    #[case("application/json, text/plain")]
    #[case("multipart/form-data; boundary=x")]
    #[case("application/json; charset")]
    #[case("application/json; charset =utf-8")]
    #[case("application/json; charset=\"utf-8")]
    #[case("application/json; charset=\"utf-8\"x")]
    #[case("application/json; charset=utf-8 x")]
    #[case("application /json")]
    #[case("é/json")]
    #[case("")]
    fn a70_a72_anything_else_is_unsupported(#[case] text: &str) {
        assert_eq!(content_type(text), Err(Malformed::MediaType));
        assert_eq!(Malformed::MediaType.status(), 415);
    }

    #[rstest]
    #[case("Application/JSON", Some("application/json"))]
    #[case("application/json; charset=UTF-8", Some("application/json"))]
    #[case(
        "text/plain;charset=\"Latin1\"; x=y",
        Some("text/plain; charset=latin1")
    )]
    #[case("multipart/form-data; boundary=a", Some("multipart/form-data"))]
    #[case("", Some(""))]
    fn a_type_has_one_spelling(#[case] text: &str, #[case] spelled: Option<&str>) {
        let value = HeaderValue::from_str(text).unwrap();
        assert_eq!(super::spelled(Some(&value)).as_deref(), spelled);
        assert_eq!(super::spelled(None), None);
    }

    #[test]
    fn a_coding_has_one_spelling() {
        let of = |text: &'static str| coding(Some(&HeaderValue::from_static(text)));
        assert_eq!((coding(None), of("Identity")), (None, None));
        assert_eq!(of(" GZIP"), Some("gzip".to_owned()));
    }

    #[test]
    fn a70_another_charset_or_no_type_is_unsupported() {
        for text in [
            "application/json;charset=utf-7",
            "application/json; charset=utf-8; charset=utf-7",
            "application/json; charset=utf-16",
        ] {
            assert_eq!(content_type(text), Err(Malformed::Charset), "{text}");
        }
        assert_eq!(is_json(None), Err(Malformed::MediaType));
    }

    #[test]
    fn a71_an_encoded_body_is_unsupported() {
        assert_eq!(is_identity(None), Ok(()));
        assert_eq!(
            is_identity(Some(&HeaderValue::from_static("Identity"))),
            Ok(())
        );
        for coding in [
            "gzip",
            "br",
            "identity, gzip",
            "gzip, gzip",
            "deflate",
            "zstd",
            "",
        ] {
            assert_eq!(
                is_identity(Some(&HeaderValue::from_static(coding))),
                Err(Malformed::ContentEncoding),
                "{coding}"
            );
        }
    }
}
