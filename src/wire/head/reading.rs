//! One head, line by line: what it has shown so far, and what its lines mean together.
//!
//! Each line is judged once, when it is complete, so that a client that sends byte by byte costs no
//! more than one that sends at once and gets the same verdict. Only the beginning of the first line
//! is judged before: a peer that speaks another protocol (TLS, SSH, HTTP/2) may wait for an answer
//! and never end a line.

use smallvec::SmallVec;

use super::super::fields::FieldRole;
use super::super::framing::{Framing, HeadFacts, HeadLimits};
use super::super::target::MAX_TARGET;
use super::super::{Malformed, fields};

/// What the lines seen so far have shown. Spans are offsets from the head's first byte.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    /// Where the next line begins.
    next: usize,
    /// How far the end of that line was looked for in vain.
    searched: usize,
    headers: usize,
    is_http10: bool,
    status: u16,
    length: Option<u64>,
    chunked: bool,
    host: Option<HeadSpan>,
    authority: Option<HeadSpan>,
    expects: bool,
    upgrade: bool,
    /// Bits of `FieldRole::Once`.
    once: u8,
    /// Names of `FieldRole::Family`.
    family: SmallVec<[HeadSpan; 8]>,
    /// Options of `Connection` that are not the names of one hop.
    options: SmallVec<[HeadSpan; 2]>,
}

/// Whether the head is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadProgress {
    Incomplete,
    /// So many bytes, the empty line included.
    Complete(usize),
}

#[derive(Debug, Clone, Copy)]
struct HeadSpan {
    start: usize,
    end: usize,
}

impl HeadSpan {
    /// Where `part` lies in the head; `part` is a slice of it that begins `start` bytes in.
    fn of(start: usize, part: &[u8]) -> Self {
        Self {
            start,
            end: start + part.len(),
        }
    }

    fn in_head(self, head: &[u8]) -> &[u8] {
        head.get(self.start..self.end).unwrap_or_default()
    }
}

impl HeadScan {
    pub(super) fn is_empty(&self) -> bool {
        self.searched == 0
    }

    /// Reads on in `head`, which begins with the bytes it began with before.
    pub(super) fn advance(
        &mut self,
        head: &[u8],
        limits: HeadLimits,
        is_request: bool,
    ) -> Result<HeadProgress, Malformed> {
        if self.next == 0 {
            let beginning = head.get(..limits.bytes).unwrap_or(head);
            if is_request {
                check_method_so_far(beginning)?;
            } else {
                check_protocol_so_far(beginning)?;
            }
        }
        loop {
            let Some(end) = head
                .get(self.searched..)
                .and_then(|rest| memchr::memchr(b'\n', rest))
                .map(|found| self.searched + found)
            else {
                if head.len() > limits.bytes {
                    return Err(Malformed::HeadTooLarge);
                }
                self.searched = head.len();
                return Ok(HeadProgress::Incomplete);
            };
            if end >= limits.bytes {
                return Err(Malformed::HeadTooLarge);
            }
            let line = head
                .get(self.next..end)
                .and_then(|line| line.strip_suffix(b"\r"))
                .ok_or(Malformed::BareLineFeed)?;
            if self.next == 0 {
                if is_request {
                    self.request_line(line)?;
                } else {
                    self.status_line(line)?;
                }
            } else if line.is_empty() {
                return Ok(HeadProgress::Complete(end + 1));
            } else if self.headers >= limits.headers {
                return Err(Malformed::TooManyFields);
            } else {
                self.field_line(head, line, is_request)?;
            }
            self.next = end + 1;
            self.searched = self.next;
        }
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let mut parts = line.splitn(2, |&byte| byte == b' ');
        let (Some(method), Some(rest)) = (parts.next(), parts.next()) else {
            return Err(Malformed::RequestLine);
        };
        fields::check_method(method)?;
        let Some(space) = memchr::memrchr(b' ', rest) else {
            // HTTP/0.9.
            return Err(Malformed::RequestLine);
        };
        let (target, version) = rest.split_at(space);
        self.is_http10 = match version.get(1..).unwrap_or_default() {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                return Err(Malformed::Version);
            }
            _ => return Err(Malformed::RequestLine),
        };
        check_target(target)?;
        match target {
            [b'/', ..] => Ok(()),
            b"*" if method == b"OPTIONS" => Ok(()),
            _ => {
                // Absolute form. Its authority must be what Host says, once that is known.
                let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
                    target
                        .get(..scheme.len())
                        .is_some_and(|it| it.eq_ignore_ascii_case(scheme))
                });
                let after = scheme
                    .and_then(|scheme| target.get(scheme.len()..))
                    .ok_or(Malformed::Target)?;
                let authority = after
                    .split(|byte| matches!(byte, b'/' | b'?'))
                    .next()
                    .unwrap_or_default();
                fields::check_host(authority)?;
                self.authority = Some(HeadSpan::of(
                    method.len() + 1 + target.len() - after.len(),
                    authority,
                ));
                Ok(())
            }
        }
    }

    fn status_line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let (version, rest) = line.split_at_checked(8).ok_or(Malformed::StatusLine)?;
        self.is_http10 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(Malformed::StatusLine),
        };
        let [
            b' ',
            hundreds @ b'1'..=b'9',
            tens @ b'0'..=b'9',
            ones @ b'0'..=b'9',
            reason @ ..,
        ] = rest
        else {
            return Err(Malformed::StatusLine);
        };
        self.status = [hundreds, tens, ones]
            .into_iter()
            .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        match reason {
            [] => Ok(()),
            [b' ', reason @ ..] => fields::check_value(reason),
            _ => Err(Malformed::StatusLine),
        }
    }

    fn field_line(&mut self, head: &[u8], line: &[u8], is_request: bool) -> Result<(), Malformed> {
        self.headers += 1;
        let (name, value) = fields::split(line)?;
        match fields::field(name) {
            FieldRole::ContentLength => match self.length.replace(fields::content_length(value)?) {
                None => Ok(()),
                Some(_) => Err(Malformed::LengthTwice),
            },
            FieldRole::TransferEncoding => {
                if std::mem::replace(&mut self.chunked, true)
                    || !value.eq_ignore_ascii_case(b"chunked")
                {
                    return Err(Malformed::TransferEncoding);
                }
                Ok(())
            }
            // What else an upstream says is not about framing, and judged where it is read.
            _ if !is_request => Ok(()),
            FieldRole::Host => {
                fields::check_host(value)?;
                let leading_blanks = line
                    .iter()
                    .skip(name.len() + 1)
                    .take_while(|&&byte| matches!(byte, b' ' | b'\t'))
                    .count();
                match self.host.replace(HeadSpan::of(
                    self.next + name.len() + 1 + leading_blanks,
                    value,
                )) {
                    None => Ok(()),
                    Some(_) => Err(Malformed::HostTwice),
                }
            }
            FieldRole::Connection => {
                fields::check_connection(value)?;
                self.connection_options(head, value);
                Ok(())
            }
            FieldRole::Expect => {
                if std::mem::replace(&mut self.expects, true) {
                    return Err(Malformed::FieldTwice);
                }
                fields::check_expect(value)
            }
            FieldRole::Upgrade => {
                self.upgrade = true;
                Ok(())
            }
            FieldRole::Once(bit) => {
                if self.once & bit != 0 {
                    return Err(Malformed::FieldTwice);
                }
                self.once |= bit;
                Ok(())
            }
            FieldRole::Family => {
                // Few and short, and at most `limits.headers`: comparing all of them is cheaper
                // than any set.
                if self
                    .family
                    .iter()
                    .any(|other| other.in_head(head).eq_ignore_ascii_case(name))
                {
                    return Err(Malformed::FieldTwice);
                }
                self.family.push(HeadSpan::of(self.next, name));
                Ok(())
            }
            FieldRole::Other if fields::hides_protected(name) => Err(Malformed::FieldUnderscore),
            FieldRole::Other => Ok(()),
        }
    }

    /// Remembers the options of a `Connection` that might name a field of this head. `value` is a
    /// slice of `head`.
    fn connection_options(&mut self, head: &[u8], value: &[u8]) {
        for option in fields::options(value).filter(|option| !fields::is_of_one_hop(option)) {
            let start = option.as_ptr().addr() - head.as_ptr().addr();
            self.options.push(HeadSpan::of(start, option));
        }
    }

    /// Whether `Connection` names a field that the head has: it would be judged here and not be
    /// sent, or the other way round (A54).
    fn names_a_field(&self, head: &[u8]) -> bool {
        !self.options.is_empty()
            && head.split(|&byte| byte == b'\n').skip(1).any(|line| {
                let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
                self.options
                    .iter()
                    .any(|option| option.in_head(head).eq_ignore_ascii_case(name))
            })
    }

    /// What a complete request head means.
    pub(super) fn request(&self, head: &[u8], bytes: usize) -> Result<HeadFacts, Malformed> {
        let host = self.host.ok_or(Malformed::HostMissing)?.in_head(head);
        if self
            .authority
            .is_some_and(|authority| !authority.in_head(head).eq_ignore_ascii_case(host))
        {
            return Err(Malformed::HostMismatch);
        }
        if self.names_a_field(head.get(..bytes).unwrap_or(head)) {
            return Err(Malformed::ConnectionNamesField);
        }
        let body = self.framing()?.unwrap_or(Framing::None);
        Ok(HeadFacts {
            bytes,
            headers: self.headers,
            body,
            expects_continue: self.expects && !self.is_http10,
            upgrade: self.upgrade,
        })
    }

    /// How the body of a response is delimited; `None` for an interim one.
    pub(super) fn response(&self, to_head: bool) -> Result<Option<Framing>, Malformed> {
        let framing = self.framing()?;
        match self.status {
            101 => Err(Malformed::SwitchingProtocols),
            100..=199 | 204 => {
                // RFC 9110 section 8.6 forbids the length itself; 0 is common and harmless.
                if !matches!(framing, None | Some(Framing::None)) {
                    return Err(Malformed::BodyNotAllowed);
                }
                Ok((self.status == 204).then_some(Framing::None))
            }
            // The length is the one a GET would have had.
            304 => Ok(Some(Framing::None)),
            _ if to_head => Ok(Some(Framing::None)),
            _ => Ok(Some(framing.unwrap_or(Framing::UntilClose))),
        }
    }

    /// `None` where no header says anything.
    fn framing(&self) -> Result<Option<Framing>, Malformed> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Malformed::LengthAndTransferEncoding),
            (None, true) if self.is_http10 => Err(Malformed::TransferEncodingBeforeHttp11),
            (None, true) => Ok(Some(Framing::Chunked)),
            (Some(0), false) => Ok(Some(Framing::None)),
            (Some(length), false) => Ok(Some(Framing::Length(length))),
            (None, false) => Ok(None),
        }
    }
}

/// Refuses as soon as the first bytes cannot become a method. The complete line passes here first,
/// so that its verdict is the same.
fn check_method_so_far(head: &[u8]) -> Result<(), Malformed> {
    for (at, &byte) in head.iter().take(fields::MAX_METHOD + 1).enumerate() {
        match byte {
            b' ' if at > 0 => return Ok(()),
            _ if !fields::is_token_byte(byte) => return Err(Malformed::RequestLine),
            _ if at == fields::MAX_METHOD => return Err(Malformed::MethodUnknown),
            _ => {}
        }
    }
    Ok(())
}

fn check_protocol_so_far(head: &[u8]) -> Result<(), Malformed> {
    if head
        .iter()
        .zip(b"HTTP/1.")
        .all(|(byte, expected)| byte == expected)
    {
        Ok(())
    } else {
        Err(Malformed::StatusLine)
    }
}

/// Visible ASCII within the bound. What the path means is decided by `wire::target`; but a fragment
/// must be refused here, because `http::Uri` drops it unseen.
fn check_target(target: &[u8]) -> Result<(), Malformed> {
    if target.len() > MAX_TARGET {
        return Err(Malformed::TargetTooLong);
    }
    for &byte in target {
        match byte {
            b'#' => return Err(Malformed::TargetFragment),
            // `http::Uri` refuses these, and then hyper answers before anybody here is asked.
            b'"' | b'<' | b'>' | 0x80.. => return Err(Malformed::Target),
            0x21..=0x7e => {}
            0..=0x20 | 0x7f => return Err(Malformed::TargetControl),
        }
    }
    Ok(())
}
