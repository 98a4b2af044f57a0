//! Percent-encoding (RFC 3986 section 2.1), as paths and queries share it.

use std::borrow::Cow;

use super::Malformed;

/// Decodes percent-encodings, and `+` where a form is read; borrows where there are none. An error
/// for an invalid encoding or text that is not UTF-8.
pub(super) fn percent_decode(text: &str, plus_is_space: bool) -> Result<Cow<'_, str>, Malformed> {
    if !text
        .bytes()
        .any(|byte| byte == b'%' || (plus_is_space && byte == b'+'))
    {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_pair(bytes.next(), bytes.next()).ok_or(Malformed::TargetEncoding)?,
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| Malformed::TargetUtf8)
}

/// The byte that two hex digits spell.
pub(super) fn hex_pair(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| {
        byte.and_then(|byte| char::from(byte).to_digit(16))
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some(digit(high)? << 4 | digit(low)?)
}
