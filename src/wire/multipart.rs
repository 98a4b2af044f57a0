//! The parts of a `multipart/form-data` body (RFC 7578), read in the one way that every reader
//! agrees on.
//!
//! A reviewer sees parts and approves them, so nothing may be in a body that is in no part, and no
//! part may have two readings: no text before the first boundary or behind the last, one
//! Content-Disposition a part, no transfer encoding, no escapes in its parameters. All else is
//! refused.

use super::Malformed;
use super::fields;

/// The most parts of one body.
pub const MAX_PARTS: usize = 256;

/// The longest boundary (RFC 2046 section 5.1.1).
pub const MAX_BOUNDARY: usize = 70;

/// The most headers of one part.
pub const MAX_PART_HEADERS: usize = 8;

/// One part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormPart<'a> {
    /// The field's name.
    pub name: &'a str,
    /// The name of the file, where it is one.
    pub file: Option<&'a str>,
    /// Its type, as it was given.
    pub media_type: Option<&'a str>,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The boundary that a content type gives.
///
/// # Errors
/// [`Malformed::MediaType`] where that is not `multipart/form-data` with one boundary.
pub fn boundary(content_type: &str) -> Result<&str, Malformed> {
    let (essence, parameters) = content_type.split_once(';').ok_or(Malformed::MediaType)?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err(Malformed::MediaType);
    }
    let mut found = None;
    for parameter in parameters.split(';') {
        let (name, value) = parameter.split_once('=').ok_or(Malformed::MediaType)?;
        if !name.trim().eq_ignore_ascii_case("boundary") {
            continue;
        }
        let value = value.trim();
        let value = value
            .strip_prefix('"')
            .map_or(Some(value), |quoted| quoted.strip_suffix('"'))
            .ok_or(Malformed::MediaType)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
        let fits = (1..=MAX_BOUNDARY).contains(&value.len()) && value.bytes().all(is_plain);
        if !fits || found.replace(value).is_some() {
            return Err(Malformed::MediaType);
        }
    }
    found.ok_or(Malformed::MediaType)
}

/// The parts of `body`, in their order.
///
/// # Errors
/// [`Malformed::Multipart`] where two readers could read it differently.
pub fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<FormPart<'a>>, Malformed> {
    let first = [b"--", boundary.as_bytes()].concat();
    let between = [b"\r\n", &first[..]].concat();
    let finder = memchr::memmem::Finder::new(&between);
    let mut rest = body.strip_prefix(&first[..]).ok_or(Malformed::Multipart)?;
    let mut parts = Vec::new();
    loop {
        if let Some(end) = rest.strip_prefix(b"--") {
            // A line break behind the last boundary is common and means nothing.
            return match end {
                b"" | b"\r\n" if !parts.is_empty() => Ok(parts),
                _ => Err(Malformed::Multipart),
            };
        }
        rest = rest.strip_prefix(b"\r\n").ok_or(Malformed::Multipart)?;
        let end = finder.find(rest).ok_or(Malformed::Multipart)?;
        let (part, behind) = rest.split_at(end);
        if parts.len() == MAX_PARTS {
            return Err(Malformed::Multipart);
        }
        parts.push(read(part)?);
        rest = behind.get(between.len()..).unwrap_or_default();
    }
}

/// Headers, an empty line, and the bytes.
fn read(part: &[u8]) -> Result<FormPart<'_>, Malformed> {
    let (mut name, mut file, mut media_type) = (None, None, None);
    let mut rest = part;
    for _ in 0..=MAX_PART_HEADERS {
        let end = memchr::memmem::find(rest, b"\r\n").ok_or(Malformed::Multipart)?;
        let (line, behind) = rest.split_at(end);
        rest = behind.get(2..).unwrap_or_default();
        if line.is_empty() {
            let name = name.ok_or(Malformed::Multipart)?;
            return Ok(FormPart {
                name,
                file,
                media_type,
                bytes: rest,
            });
        }
        let (header, value) = fields::split(line).map_err(|_| Malformed::Multipart)?;
        let value = std::str::from_utf8(value).map_err(|_| Malformed::Multipart)?;
        if header.eq_ignore_ascii_case(b"content-disposition") {
            if name.is_some() {
                return Err(Malformed::Multipart);
            }
            let (field, given) = disposition(value).ok_or(Malformed::Multipart)?;
            (name, file) = (Some(field), given);
        } else if header.eq_ignore_ascii_case(b"content-type") {
            if media_type.replace(value).is_some() {
                return Err(Malformed::Multipart);
            }
        } else if header.eq_ignore_ascii_case(b"content-length") {
            // Some clients add it, and no reader of forms reads it.
        } else {
            return Err(Malformed::Multipart);
        }
    }
    Err(Malformed::Multipart)
}

/// `form-data; name="…"; filename="…"`: the field and the file.
fn disposition(value: &str) -> Option<(&str, Option<&str>)> {
    let mut rest = value.strip_prefix("form-data")?;
    let (mut name, mut file) = (None, None);
    while !rest.trim().is_empty() {
        let parameter = rest.trim_start().strip_prefix(';')?.trim_start();
        let (key, after) = parameter.split_once("=\"")?;
        let (text, behind) = after.split_once('"')?;
        if text.contains('\\') {
            return None;
        }
        let slot = match key {
            "name" => &mut name,
            "filename" => &mut file,
            _ => return None,
        };
        if slot.replace(text).is_some() {
            return None;
        }
        rest = behind;
    }
    Some((name?, file))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn of(body: &str) -> Result<Vec<FormPart<'_>>, Malformed> {
        parts(body.as_bytes(), "b")
    }

    const FILE: &str = "Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\none\r\n\r\ntwo";

    #[test]
    fn parts_come_with_their_names_types_and_bytes() {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b\r\n{FILE}\r\n--b--\r\n"
        );
        let expected = [
            FormPart {
                name: "x",
                file: None,
                media_type: None,
                bytes: b"1",
            },
            FormPart {
                name: "f",
                file: Some("a.txt"),
                media_type: Some("text/plain"),
                bytes: b"one\r\n\r\ntwo",
            },
        ];
        assert_eq!(of(&body).unwrap(), expected);
    }

    #[rstest]
    #[case::nothing("")]
    #[case::no_part("--b--\r\n")]
    #[case::before("x\r\n--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b--")]
    #[case::behind("--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b--\r\nmore")]
    #[case::unended("--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1")]
    #[case::longer("--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--bx--")]
    #[case::line_feed("--b\nContent-Disposition: form-data; name=\"x\"\n\n1\n--b--")]
    #[case::nameless("--b\r\nContent-Type: a/b\r\n\r\n1\r\n--b--")]
    #[case::twice(
        "--b\r\nContent-Disposition: form-data; name=\"x\"\r\nContent-Disposition: form-data; name=\"y\"\r\n\r\n1\r\n--b--"
    )]
    #[case::two_names(
        "--b\r\nContent-Disposition: form-data; name=\"x\"; name=\"y\"\r\n\r\n1\r\n--b--"
    )]
    #[case::escape("--b\r\nContent-Disposition: form-data; name=\"x\\\"y\"\r\n\r\n1\r\n--b--")]
    #[case::extended(
        "--b\r\nContent-Disposition: form-data; name=\"x\"; filename*=UTF-8''y\r\n\r\n1\r\n--b--"
    )]
    #[case::unquoted("--b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--b--")]
    #[case::attachment("--b\r\nContent-Disposition: attachment; name=\"x\"\r\n\r\n1\r\n--b--")]
    #[case::encoding(
        "--b\r\nContent-Disposition: form-data; name=\"x\"\r\nContent-Transfer-Encoding: base64\r\n\r\n1\r\n--b--"
    )]
    #[case::folded("--b\r\nContent-Disposition: form-data;\r\n name=\"x\"\r\n\r\n1\r\n--b--")]
    fn a72_what_two_readers_could_read_differently_is_refused(#[case] body: &str) {
        assert_eq!(of(body), Err(Malformed::Multipart));
    }

    #[test]
    fn a72_parts_and_their_headers_are_bounded() {
        let part = "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n";
        let body = |count: usize| format!("{}--b--", part.repeat(count));
        assert_eq!(of(&body(MAX_PARTS)).unwrap().len(), MAX_PARTS);
        assert_eq!(of(&body(MAX_PARTS + 1)), Err(Malformed::Multipart));
        let headers = |more: usize| {
            let lengths = "Content-Length: 1\r\n".repeat(more);
            format!("--b\r\nContent-Disposition: form-data; name=\"x\"\r\n{lengths}\r\n1\r\n--b--")
        };
        assert!(of(&headers(MAX_PART_HEADERS - 1)).is_ok());
        assert_eq!(of(&headers(MAX_PART_HEADERS)), Err(Malformed::Multipart));
    }

    #[rstest]
    #[case("multipart/form-data; boundary=b", Ok("b"))]
    #[case("Multipart/Form-Data; boundary=\"b c\"", Err(Malformed::MediaType))]
    #[case("multipart/form-data; boundary=\"b:c\"", Ok("b:c"))]
    #[case("multipart/form-data", Err(Malformed::MediaType))]
    #[case(
        "multipart/form-data; boundary=a; boundary=b",
        Err(Malformed::MediaType)
    )]
    #[case("multipart/mixed; boundary=b", Err(Malformed::MediaType))]
    #[case("multipart/form-data; boundary=", Err(Malformed::MediaType))]
    fn a_boundary_is_given_once(#[case] text: &str, #[case] found: Result<&str, Malformed>) {
        assert_eq!(boundary(text), found);
    }

    #[test]
    fn a_boundary_is_bounded() {
        let given = |length: usize| format!("multipart/form-data; boundary={}", "b".repeat(length));
        assert!(boundary(&given(MAX_BOUNDARY)).is_ok());
        assert_eq!(
            boundary(&given(MAX_BOUNDARY + 1)),
            Err(Malformed::MediaType)
        );
    }

    proptest! {
        #[test]
        fn no_body_breaks_it(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parts(&body, "b");
        }
    }
}
