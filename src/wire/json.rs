//! The strict JSON reader: RFC 8259, and one meaning for every document or none.
//!
//! Decides whether bytes are one JSON value that no two readers take for different ones: UTF-8, no
//! byte order mark, unique member names after unescaping at every depth, no lone surrogates, the
//! number grammar and nothing around the value but whitespace. It does not decide what a number is
//! worth (`gate::json`), whether names that differ by case may stand together, or how large a body
//! may be: that is bounded before. Strings without escapes and all numbers stay in the input.

mod value;

use std::borrow::Cow;
use std::fmt;

use super::Malformed;
use crate::gate::json::{Json, fold_case};

pub use value::to_value;

/// Arrays and objects inside each other. Recursion stays within a few tens of kilobytes of stack,
/// and no tool's arguments come near it.
pub const MAX_DEPTH: usize = 128;

/// Digits of an exponent, leading zeros left out. Larger ones have no use, and would make exact
/// arithmetic on exponents overflow.
pub const MAX_EXPONENT_DIGITS: usize = 9;

/// Up to here a new member name is compared with every one before it; objects with more members are
/// checked once, by sorting, so that a body full of members cannot cost quadratic time.
const LINEAR_MEMBERS: usize = 16;

/// Where and why bytes are not strict JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset into the input.
    pub offset: usize,
    /// What is wrong there.
    pub kind: JsonErrorKind,
}

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonErrorKind {
    /// Not UTF-8, or an overlong form of it.
    #[error("not utf-8")]
    Utf8,
    /// U+FEFF at the beginning.
    #[error("a byte order mark")]
    ByteOrderMark,
    /// The document ends inside a value.
    #[error("an unexpected end")]
    End,
    /// A byte that cannot stand there.
    #[error("an unexpected character")]
    Unexpected,
    /// U+0000 to U+001F, raw, in a string.
    #[error("a raw control character in a string")]
    Control,
    /// A backslash and something that is no escape.
    #[error("an invalid escape")]
    Escape,
    /// Half of a surrogate pair.
    #[error("a lone surrogate")]
    Surrogate,
    /// Not the number grammar: leading zero, `+1`, `.5`, `1.`, `1e`.
    #[error("an invalid number")]
    Number,
    /// More than `MAX_EXPONENT_DIGITS` digits in the exponent.
    #[error("a number out of range")]
    NumberRange,
    /// One object names a member twice.
    #[error("a member name given twice")]
    Duplicate,
    /// More than `MAX_DEPTH` levels.
    #[error("nested too deeply")]
    TooDeep,
    /// Something after the value.
    #[error("data after the value")]
    Trailing,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind, self.offset)
    }
}

impl std::error::Error for JsonError {}

impl From<JsonError> for Malformed {
    fn from(_: JsonError) -> Self {
        Self::Json
    }
}

/// Reads exactly one value. It may take about thirty bytes of memory for each byte of input
/// (`[[0],[0],…]`): bound the input accordingly.
pub fn parse(bytes: &[u8]) -> Result<Json<'_>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError {
        offset: error.valid_up_to(),
        kind: JsonErrorKind::Utf8,
    })?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonError {
            offset: 0,
            kind: JsonErrorKind::ByteOrderMark,
        });
    }
    let mut reader = Reader { text, bytes, at: 0 };
    reader.skip_whitespace();
    let value = reader.value(MAX_DEPTH)?;
    reader.skip_whitespace();
    if reader.at == bytes.len() {
        Ok(value)
    } else {
        Err(reader.error(JsonErrorKind::Trailing))
    }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// `depth` is how many more levels may open.
    fn value(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(Json::String),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number().map(Json::Number),
            Some(b't') => self.literal("true", Json::Bool(true)),
            Some(b'f') => self.literal("false", Json::Bool(false)),
            Some(b'n') => self.literal("null", Json::Null),
            _ => Err(self.unexpected()),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        let depth = self.open(depth)?;
        let mut members: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        if self.take(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            let name_at = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let name = self.string()?;
            if members.len() < LINEAR_MEMBERS && members.iter().any(|(other, _)| *other == name) {
                return Err(JsonError {
                    offset: name_at,
                    kind: JsonErrorKind::Duplicate,
                });
            }
            self.skip_whitespace();
            self.expect(b':')?;
            self.skip_whitespace();
            members.push((name, self.value(depth)?));
            self.skip_whitespace();
            if self.take(b',') {
                self.skip_whitespace();
                continue;
            }
            self.expect(b'}')?;
            if members.len() > LINEAR_MEMBERS && has_duplicate(&members) {
                // Where the second name stands is no longer known; the end of its object is.
                return Err(self.error(JsonErrorKind::Duplicate));
            }
            return Ok(Json::Object(members));
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        let depth = self.open(depth)?;
        let mut elements = Vec::new();
        if self.take(b']') {
            return Ok(Json::Array(elements));
        }
        loop {
            elements.push(self.value(depth)?);
            self.skip_whitespace();
            if self.take(b',') {
                self.skip_whitespace();
                continue;
            }
            self.expect(b']')?;
            return Ok(Json::Array(elements));
        }
    }

    fn open(&mut self, depth: usize) -> Result<usize, JsonError> {
        let left = depth
            .checked_sub(1)
            .ok_or(self.error(JsonErrorKind::TooDeep))?;
        self.at += 1;
        self.skip_whitespace();
        Ok(left)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let start = self.at;
        self.skip_plain();
        if self.peek() == Some(b'"') {
            let text = self.slice(start)?;
            self.at += 1;
            return Ok(Cow::Borrowed(text));
        }
        let mut unescaped = String::from(self.slice(start)?);
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(unescaped));
                }
                Some(b'\\') => unescaped.push(self.escape()?),
                Some(_) => return Err(self.error(JsonErrorKind::Control)),
                None => return Err(self.error(JsonErrorKind::End)),
            }
            let start = self.at;
            self.skip_plain();
            unescaped.push_str(self.slice(start)?);
        }
    }

    /// To the next quote, backslash, control character or end.
    fn skip_plain(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let plain = &rest[..memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len())];
        // Control characters are an error wherever they stand, so they are looked for without
        // stopping, many bytes at a time.
        let has_control = plain
            .iter()
            .fold(0, |found, &byte| found | u8::from(byte < 0x20))
            != 0;
        self.at += if has_control {
            plain
                .iter()
                .position(|&byte| byte < 0x20)
                .unwrap_or(plain.len())
        } else {
            plain.len()
        };
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        let letter = *self.bytes.get(start + 1).ok_or(JsonError {
            offset: self.bytes.len(),
            kind: JsonErrorKind::End,
        })?;
        self.at += 2;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(start),
            _ => {
                return Err(JsonError {
                    offset: start,
                    kind: JsonErrorKind::Escape,
                });
            }
        })
    }

    /// After `\u`: one code unit, or two that form a pair.
    fn unicode(&mut self, start: usize) -> Result<char, JsonError> {
        let lone = JsonError {
            offset: start,
            kind: JsonErrorKind::Surrogate,
        };
        let unit = self.four_hex_digits(start)?;
        let code = match unit {
            0xD800..=0xDBFF => {
                if self.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
                    return Err(lone);
                }
                self.at += 2;
                match self.four_hex_digits(start)? {
                    low @ 0xDC00..=0xDFFF => 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00),
                    _ => return Err(lone),
                }
            }
            _ => unit,
        };
        char::from_u32(code).ok_or(lone)
    }

    fn four_hex_digits(&mut self, start: usize) -> Result<u32, JsonError> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(JsonError {
            offset: start,
            kind: JsonErrorKind::Escape,
        })?;
        self.at += 4;
        digits
            .iter()
            .try_fold(0, |unit, &digit| {
                Some(unit << 4 | char::from(digit).to_digit(16)?)
            })
            .ok_or(JsonError {
                offset: start,
                kind: JsonErrorKind::Escape,
            })
    }

    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        let invalid = JsonError {
            offset: start,
            kind: JsonErrorKind::Number,
        };
        self.take(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.skip_digits();
        if whole == 0 || (leading_zero && whole > 1) || (self.take(b'.') && self.skip_digits() == 0)
        {
            return Err(invalid);
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            let _signed = self.take(b'+') || self.take(b'-');
            let zeros_from = self.at;
            while self.take(b'0') {}
            let zeros = self.at - zeros_from;
            let significant = self.skip_digits();
            if zeros + significant == 0 {
                return Err(invalid);
            }
            if significant > MAX_EXPONENT_DIGITS {
                return Err(JsonError {
                    offset: start,
                    kind: JsonErrorKind::NumberRange,
                });
            }
        }
        self.slice(start)
    }

    fn skip_digits(&mut self) -> usize {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = rest
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(rest.len());
        self.at += count;
        count
    }

    fn literal(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, JsonError> {
        if !self
            .bytes
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word.as_bytes()))
        {
            return Err(self.error(JsonErrorKind::Unexpected));
        }
        self.at += word.len();
        Ok(value)
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    /// The text from `start` to here. Both lie beside ASCII, so the cut is always a character
    /// boundary; the error is never seen.
    fn slice(&self, start: usize) -> Result<&'a str, JsonError> {
        self.text
            .get(start..self.at)
            .ok_or(self.error(JsonErrorKind::Utf8))
    }

    fn unexpected(&self) -> JsonError {
        self.error(if self.at >= self.bytes.len() {
            JsonErrorKind::End
        } else {
            JsonErrorKind::Unexpected
        })
    }

    fn error(&self, kind: JsonErrorKind) -> JsonError {
        JsonError {
            offset: self.at,
            kind,
        }
    }
}

fn has_duplicate(members: &[(Cow<'_, str>, Json<'_>)]) -> bool {
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

/// Whether an object has two members that some reader takes for one because it ignores case (Go's
/// does, A64). Members of members are not looked at.
#[must_use]
pub fn has_case_twins(json: &Json<'_>) -> bool {
    let Json::Object(members) = json else {
        return false;
    };
    let mut names: Vec<String> = members
        .iter()
        .map(|(name, _)| fold_case(name).collect())
        .collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests;
