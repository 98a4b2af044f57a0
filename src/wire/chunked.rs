//! The framing of a chunked body, read strictly while its bytes pass.
//!
//! Decides where the body ends, and refuses what lenient readers accept: signs, blanks and `0x` in
//! a size, extensions outside the grammar, data that does not end where its size says, line ends of
//! LF alone, and trailers that would mean something as headers (A16 to A19). Chunk data is counted,
//! not looked at. Lines are judged whole: a line that is not complete yet is held back, so the
//! reader behind the guard never sees half of a bad one.

use super::{Malformed, fields};

/// A size line with its extensions and line end. Nobody sends extensions; hyper allows 16 KiB of
/// them.
pub const MAX_CHUNK_LINE: usize = 512;

/// Digits of a size, leading zeros included: fifteen fit every reader's integer.
pub const MAX_CHUNK_DIGITS: usize = 15;

/// All trailers of a body together. They are dropped anyway.
pub const MAX_TRAILERS: usize = 8 * 1024;

/// Where in a chunked body the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    Size,
    Data(u64),
    DataEnd,
    /// How many bytes of trailers have passed.
    Trailers(usize),
}

/// What a step found at the beginning of the bytes it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChunkStep {
    /// An incomplete line: show it again with more behind it.
    More,
    /// So many bytes are fine; the body goes on.
    Took(usize),
    /// So many bytes are fine, and the body ends with them.
    Ended(usize),
}

impl Chunked {
    /// Judges what stands at the beginning of `bytes`, which are not empty.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Result<ChunkStep, Malformed> {
        match *self {
            Self::Size => {
                let Some(line) = line(bytes, MAX_CHUNK_LINE, Malformed::ChunkExtension)? else {
                    return Ok(ChunkStep::More);
                };
                *self = match size(line)? {
                    0 => Self::Trailers(0),
                    size => Self::Data(size),
                };
                Ok(ChunkStep::Took(line.len() + 2))
            }
            Self::Data(left) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - taken as u64;
                *self = if left == 0 {
                    Self::DataEnd
                } else {
                    Self::Data(left)
                };
                Ok(ChunkStep::Took(taken))
            }
            Self::DataEnd => match bytes {
                [b'\r', b'\n', ..] => {
                    *self = Self::Size;
                    Ok(ChunkStep::Took(2))
                }
                [b'\r'] => Ok(ChunkStep::More),
                _ => Err(Malformed::ChunkEnd),
            },
            Self::Trailers(passed) => {
                let Some(line) = line(
                    bytes,
                    MAX_TRAILERS - passed.min(MAX_TRAILERS),
                    Malformed::TrailersTooLarge,
                )?
                else {
                    return Ok(ChunkStep::More);
                };
                let taken = line.len() + 2;
                if line.is_empty() {
                    return Ok(ChunkStep::Ended(taken));
                }
                let (name, _) = fields::split(line)?;
                if fields::is_forbidden_trailer(name) {
                    return Err(Malformed::TrailerForbidden);
                }
                *self = Self::Trailers(passed + taken);
                Ok(ChunkStep::Took(taken))
            }
        }
    }
}

/// The first line without its line end, which must come within `max` bytes; `None` while it may
/// still come.
fn line(bytes: &[u8], max: usize, too_long: Malformed) -> Result<Option<&[u8]>, Malformed> {
    let within = bytes.get(..max).unwrap_or(bytes);
    match memchr::memchr(b'\n', within) {
        Some(end) => within
            .get(..end)
            .and_then(|line| line.strip_suffix(b"\r"))
            .map(Some)
            .ok_or(Malformed::BareLineFeed),
        None if bytes.len() >= max => Err(too_long),
        None => Ok(None),
    }
}

fn size(line: &[u8]) -> Result<u64, Malformed> {
    let end = line
        .iter()
        .position(|byte| !byte.is_ascii_hexdigit())
        .unwrap_or(line.len());
    let (digits, extensions) = line.split_at(end);
    if !matches!(extensions.first(), None | Some(b';'))
        || digits.is_empty()
        || digits.len() > MAX_CHUNK_DIGITS
    {
        return Err(Malformed::ChunkSize);
    }
    check_extensions(extensions)?;
    Ok(digits.iter().fold(0, |size, &digit| {
        size << 4 | u64::from(char::from(digit).to_digit(16).unwrap_or(0))
    }))
}

/// RFC 9112 section 7.1.1 without its optional blanks, which no sender needs and readers disagree
/// about.
fn check_extensions(mut rest: &[u8]) -> Result<(), Malformed> {
    while let [b';', after @ ..] = rest {
        rest = after_token(after)?;
        rest = match rest {
            [b'=', b'"', quoted @ ..] => after_quoted(quoted)?,
            [b'=', value @ ..] => after_token(value)?,
            _ => rest,
        };
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(Malformed::ChunkExtension)
    }
}

fn after_token(text: &[u8]) -> Result<&[u8], Malformed> {
    match text
        .iter()
        .position(|&byte| !fields::is_token_byte(byte))
        .unwrap_or(text.len())
    {
        0 => Err(Malformed::ChunkExtension),
        end => Ok(text.split_at(end).1),
    }
}

fn after_quoted(mut text: &[u8]) -> Result<&[u8], Malformed> {
    loop {
        text = match text {
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', escaped, rest @ ..] if is_text(*escaped) => rest,
            [b'\\', ..] => return Err(Malformed::ChunkExtension),
            [plain, rest @ ..] if is_text(*plain) => rest,
            _ => return Err(Malformed::ChunkExtension),
        };
    }
}

const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict on a whole body, and how many bytes it took.
    fn read(body: &[u8]) -> Result<Option<usize>, Malformed> {
        let (mut state, mut at) = (Chunked::Size, 0);
        while at < body.len() {
            match state.step(&body[at..])? {
                ChunkStep::More => return Ok(None),
                ChunkStep::Took(taken) => at += taken,
                ChunkStep::Ended(taken) => return Ok(Some(at + taken)),
            }
        }
        Ok(None)
    }

    #[test]
    fn a_body_ends_with_its_last_chunk_and_trailers() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n00A;x\r\n0123456789\r\n0\r\n\r\n",
            "1;a=b;c=\"d\\\" e\";f\r\nx\r\n0;l\r\nX-Sum: 1\r\nServer-Timing:\r\n\r\n",
        ] {
            let with_next = format!("{body}GET /");
            assert_eq!(read(with_next.as_bytes()), Ok(Some(body.len())), "{body}");
        }
        assert_eq!(read(b"5\r\nhel"), Ok(None));
    }

    #[test]
    fn a16_a_size_is_plain_hex() {
        for size in [
            "0x5",
            "+5",
            "-5",
            " 5",
            "5 ",
            "5_0",
            "ffffffffffffffff0",
            "",
            "\t5",
            "g",
            "5\0",
            "5\r",
        ] {
            assert_eq!(
                read(format!("{size}\r\nhello\r\n0\r\n\r\n").as_bytes()),
                Err(Malformed::ChunkSize),
                "{size:?}"
            );
        }
        let digits = |count: usize| format!("{}1\r\nx\r\n0\r\n\r\n", "0".repeat(count - 1));
        assert!(read(digits(MAX_CHUNK_DIGITS).as_bytes()).is_ok());
        assert_eq!(
            read(digits(MAX_CHUNK_DIGITS + 1).as_bytes()),
            Err(Malformed::ChunkSize)
        );
    }

    #[test]
    fn a17_an_extension_follows_the_grammar_and_is_bounded() {
        for extension in [
            ";",
            ";;a",
            ";a=",
            ";a=\"",
            ";a=\"b",
            ";a=\"b\\\"",
            ";a=\"b\"c",
            ";a b",
            "; a",
            ";a =b",
            ";a\rb",
            ";a=\"\rb\"",
            ";é",
            ";a=\"\\\u{1}\"",
            ";a=\"\\",
        ] {
            assert_eq!(
                read(format!("1{extension}\r\nx\r\n0\r\n\r\n").as_bytes()),
                Err(Malformed::ChunkExtension),
                "{extension:?}"
            );
        }
        assert_eq!(read(b"1;a\nx\r\n0\r\n\r\n"), Err(Malformed::BareLineFeed));
        let long = |line: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(line - 4));
        assert!(read(long(MAX_CHUNK_LINE).as_bytes()).is_ok());
        assert_eq!(
            read(long(MAX_CHUNK_LINE + 1).as_bytes()),
            Err(Malformed::ChunkExtension)
        );
        assert_eq!(
            read("1".repeat(64 * 1024).as_bytes()),
            Err(Malformed::ChunkExtension)
        );
    }

    #[test]
    fn a18_data_ends_where_its_size_says() {
        for (body, reason) in [
            ("5\r\nhelloX\r\n0\r\n\r\n", Malformed::ChunkEnd),
            ("5\r\nhell\r\n0\r\n\r\n", Malformed::ChunkEnd),
            ("5\r\nhello0\r\n\r\n", Malformed::ChunkEnd),
            ("5\r\nhello\n0\r\n\r\n", Malformed::ChunkEnd),
            ("5\r\nhello\r\r\n0\r\n\r\n", Malformed::ChunkEnd),
            ("5\nhello\r\n0\r\n\r\n", Malformed::BareLineFeed),
            ("5\r\nhello\r\n\r\n0\r\n\r\n", Malformed::ChunkSize),
            ("5\r\nhello\r\n0\n\r\n", Malformed::BareLineFeed),
            ("0\r\n\n", Malformed::BareLineFeed),
        ] {
            assert_eq!(read(body.as_bytes()), Err(reason), "{body:?}");
        }
    }

    #[test]
    fn a19_a_trailer_must_not_mean_anything_as_a_header() {
        for name in [
            "Content-Length",
            "Transfer-Encoding",
            "Host",
            "Authorization",
            "Burngate-Workflow",
            "content_length",
            "Cookie",
            "Connection",
            "Trailer",
        ] {
            assert_eq!(
                read(format!("0\r\n{name}: 1\r\n\r\n").as_bytes()),
                Err(Malformed::TrailerForbidden),
                "{name}"
            );
        }
        assert_eq!(read(b"0\r\nX-A : 1\r\n\r\n"), Err(Malformed::FieldName));
        assert_eq!(
            read(b"0\r\nX-A: 1\r\n folded\r\n\r\n"),
            Err(Malformed::FoldedLine)
        );
        assert_eq!(read(b"0\r\nX-A: \0\r\n\r\n"), Err(Malformed::FieldValue));
    }

    #[test]
    fn a19_trailers_are_bounded() {
        let trailers = |bytes: usize| format!("0\r\na: {}\r\n\r\n", "x".repeat(bytes - 2 - 5));
        assert_eq!(MAX_TRAILERS, 8_192);
        assert!(read(trailers(MAX_TRAILERS).as_bytes()).is_ok());
        assert_eq!(
            read(trailers(MAX_TRAILERS + 1).as_bytes()),
            Err(Malformed::TrailersTooLarge)
        );
        assert_eq!(
            read(format!("0\r\n{}\r\n", "a: 1\r\n".repeat(2_000)).as_bytes()),
            Err(Malformed::TrailersTooLarge)
        );
    }
}
