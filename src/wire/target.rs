//! The request target: one spelling per path, which is judged, approved and forwarded alike.
//!
//! Decides what a path means: percent-encoded unreserved characters are decoded once, hex digits
//! upper-cased, slashes merged and dot segments removed (RFC 3986 section 6.2.2), and whatever a
//! second reader could still take for another path is refused: encoded slashes, backslashes,
//! parameters, double encodings, control characters, fragments, text that is not UTF-8. Case is
//! never folded. Does not decide which tool a path belongs to. A query is checked, and keeps its
//! spelling but for the characters that browsers leave raw; `wire::query` reads it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::Malformed;
use super::percent::{hex_pair, percent_decode};

/// The longest path and query together. The usual bound of servers, so that nothing passes here
/// that an upstream would cut.
pub const MAX_TARGET: usize = 8 * 1024;

/// A request target in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalTarget<'a> {
    path: Cow<'a, str>,
    query: Option<Cow<'a, str>>,
    merged: bool,
}

/// Reads a path (with its leading slash) and the query after the `?`, if there was one.
pub fn read<'a>(
    raw_path: &'a str,
    raw_query: Option<&'a str>,
) -> Result<CanonicalTarget<'a>, Malformed> {
    if raw_path.len() + raw_query.map_or(0, |query| query.len() + 1) > MAX_TARGET {
        return Err(Malformed::TargetTooLong);
    }
    let query = raw_query.map(canonical_query).transpose()?;
    if is_canonical(raw_path.as_bytes()) {
        return Ok(CanonicalTarget {
            path: Cow::Borrowed(raw_path),
            query,
            merged: false,
        });
    }
    Ok(CanonicalTarget {
        path: Cow::Owned(canonical_path(raw_path)?),
        query,
        merged: raw_path.contains("//"),
    })
}

impl CanonicalTarget<'_> {
    /// The canonical path, percent-encoded where it must be, beginning with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What followed the `?`; `Some("")` for a lone `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Whether slashes were merged: an upstream that tells `/a//b` from `/a/b` has two objects
    /// there (A39).
    #[must_use]
    pub const fn is_merged(&self) -> bool {
        self.merged
    }

    /// The path's segments, decoded. A trailing slash is one last empty segment, and `/` is a
    /// single empty one: `/a` and `/a/` are two paths.
    pub fn segments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.path.split('/').skip(1).map(decoded)
    }

    /// Where in the path the segments `which` lie, counted as [`CanonicalTarget::segments`] gives
    /// them.
    #[must_use]
    pub fn span(&self, which: Range<usize>) -> Range<usize> {
        let mut slashes = self.path.match_indices('/').map(|(at, _)| at);
        let end = self.path.len();
        let start = slashes.nth(which.start).map_or(end, |slash| slash + 1);
        let more = which.len().saturating_sub(1);
        start..slashes.nth(more).unwrap_or(end)
    }

    /// What is left of the path under `route`, which is matched in whole segments: `/payments`
    /// covers `/payments` and `/payments/x`, never `/payments-old`.
    #[must_use]
    pub fn strip_prefix(&self, route: &str) -> Option<CanonicalTarget<'_>> {
        let rest = self.path.strip_prefix(route.trim_end_matches('/'))?;
        let path = match rest.as_bytes().first() {
            None => "/",
            Some(b'/') => rest,
            Some(_) => return None,
        };
        Some(CanonicalTarget {
            path: Cow::Borrowed(path),
            query: self.query.as_deref().map(Cow::Borrowed),
            merged: self.merged,
        })
    }
}

/// The origin form: path, and `?query` where there is one.
impl fmt::Display for CanonicalTarget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        self.query().map_or(Ok(()), |query| write!(f, "?{query}"))
    }
}

/// A piece of a canonical path, decoded. Such a path always decodes; what did not would stay as it
/// is spelled, which matches nothing that was meant.
#[must_use]
pub fn decoded(piece: &str) -> Cow<'_, str> {
    percent_decode(piece, false).unwrap_or(Cow::Borrowed(piece))
}

/// One pass for the common path: only plain characters, no empty segment and none that begins with
/// a dot (a few harmless ones take the long way).
fn is_canonical(path: &[u8]) -> bool {
    let mut after_slash = false;
    for (at, &byte) in path.iter().enumerate() {
        let slash = byte == b'/';
        if !(slash || is_plain(byte))
            || (after_slash && (slash || byte == b'.'))
            || (at == 0 && !slash)
        {
            return false;
        }
        after_slash = slash;
    }
    !path.is_empty()
}

fn canonical_path(raw: &str) -> Result<String, Malformed> {
    if !raw.starts_with('/') {
        return Err(Malformed::Target);
    }
    let decoded = decode_unreserved(raw)?;
    let mut segments: Vec<&str> = Vec::new();
    let mut trailing_slash = true;
    for segment in decoded.split('/').skip(1) {
        trailing_slash = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or(Malformed::TargetEscapesRoot)?;
            }
            _ => segments.push(segment),
        }
    }
    let mut path = String::with_capacity(decoded.len());
    for segment in &segments {
        check_segment(segment)?;
        path.push('/');
        path.push_str(segment);
    }
    if trailing_slash {
        path.push('/');
    }
    Ok(path)
}

/// Decodes `%41` to `A` and spells what stays encoded in upper case; refuses what may be neither
/// raw nor encoded.
fn decode_unreserved(raw: &str) -> Result<String, Malformed> {
    let mut decoded = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let byte = hex_pair(bytes.next(), bytes.next()).ok_or(Malformed::TargetEncoding)?;
                match byte {
                    b'/' | b'\\' => return Err(Malformed::TargetSlash),
                    b';' => return Err(Malformed::TargetParameters),
                    0..=0x1f | 0x7f => return Err(Malformed::TargetControl),
                    _ if is_unreserved(byte) => decoded.push(char::from(byte)),
                    _ => push_encoded(byte, &mut decoded),
                }
            }
            b'/' => decoded.push('/'),
            _ if is_left_raw(byte) => push_encoded(byte, &mut decoded),
            _ if is_plain(byte) => decoded.push(char::from(byte)),
            b'\\' => return Err(Malformed::TargetSlash),
            b';' => return Err(Malformed::TargetParameters),
            b'#' => return Err(Malformed::TargetFragment),
            0..=0x20 | 0x7f => return Err(Malformed::TargetControl),
            _ => return Err(Malformed::Target),
        }
    }
    Ok(decoded)
}

/// What can only be seen once a segment is decoded.
fn check_segment(segment: &str) -> Result<(), Malformed> {
    if !segment.contains('%') {
        return Ok(());
    }
    let text = percent_decode(segment, false)?;
    if text.chars().any(char::is_control) {
        return Err(Malformed::TargetControl);
    }
    // `%252e` decoded once is `%2e`: a reader behind us that decodes again would see a dot, so
    // nothing that still looks encoded may pass.
    let twice = text
        .as_bytes()
        .windows(3)
        .any(|window| window[0] == b'%' && hex_pair(Some(window[1]), Some(window[2])).is_some());
    if twice {
        Err(Malformed::TargetEncodedTwice)
    } else {
        Ok(())
    }
}

/// A query in its one spelling: checked, and the characters that browsers leave raw encoded. What a
/// path may not hold for its readers' sake, line breaks and tabs, is text here.
fn canonical_query(query: &str) -> Result<Cow<'_, str>, Malformed> {
    check_query(query)?;
    if !query.bytes().any(is_left_raw) {
        return Ok(Cow::Borrowed(query));
    }
    let mut spelled = String::with_capacity(query.len() + 16);
    for character in query.chars() {
        match u8::try_from(character) {
            Ok(byte) if is_left_raw(byte) => push_encoded(byte, &mut spelled),
            _ => spelled.push(character),
        }
    }
    Ok(Cow::Owned(spelled))
}

fn check_query(query: &str) -> Result<(), Malformed> {
    let mut bytes = query.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match hex_pair(bytes.next(), bytes.next()) {
                Some(b'\t' | b'\n' | b'\r') => {}
                Some(0..=0x1f | 0x7f) => return Err(Malformed::TargetControl),
                Some(_) => {}
                None => return Err(Malformed::TargetEncoding),
            },
            b'#' => return Err(Malformed::TargetFragment),
            0..=0x20 | 0x7f => return Err(Malformed::TargetControl),
            b'"' | b'<' | b'>' | b'\\' | b'`' | 0x80.. => return Err(Malformed::Target),
            _ => {}
        }
    }
    Ok(())
}

/// Characters that RFC 3986 wants encoded and the URL standard's clients leave as they are.
const fn is_left_raw(byte: u8) -> bool {
    matches!(byte, b'|' | b'[' | b']' | b'^')
}

/// What a segment may hold as it is: RFC 3986 `pchar`, without percent-encodings and without `;`.
const fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@'
        )
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn push_encoded(byte: u8, out: &mut String) {
    out.push('%');
    for nibble in [byte >> 4, byte & 0xf] {
        out.push(char::from(if nibble < 10 {
            b'0' + nibble
        } else {
            b'A' + nibble - 10
        }));
    }
}

#[cfg(test)]
mod tests;
