//! Which header fields decide something, and how their names and values must look: one table for
//! HTTP/1 heads, trailers and HTTP/2.
//!
//! Decides on one field at a time; which fields may stand together is decided by the reader of the
//! head. A header is protected when it frames, routes, authenticates or describes what is judged:
//! it may not be hidden behind an underscore, removed by `Connection` or smuggled in as a trailer.
//! Header values are not interpreted here beyond their syntax.

use std::net::Ipv6Addr;

use super::Malformed;

/// Long enough for any body, short enough to fit every reader's integer: A9 refuses 19 digits and
/// more.
pub const MAX_LENGTH_DIGITS: usize = 18;

/// RFC 1035 section 2.3.4, with brackets and a port.
pub const MAX_HOST: usize = 255 + 8;

/// The longest method anyone uses is shorter; a method without end is refused here and not at the
/// head's bound.
pub const MAX_METHOD: usize = 32;

/// What a header field is to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldRole {
    ContentLength,
    TransferEncoding,
    Host,
    Connection,
    Expect,
    Upgrade,
    /// Decides something and stands at most once; the bit tells it from the others.
    Once(u8),
    /// One of a family of names (`burngate-…`, `mcp-…`), each of which stands at most once.
    Family,
    Other,
}

/// Classifies a name in any case. Length and first letter leave at most one candidate, so that an
/// uninteresting header costs one comparison of two integers.
pub(super) fn field(name: &[u8]) -> FieldRole {
    let first = name.first().map_or(0, u8::to_ascii_lowercase);
    let (word, found): (&[u8], FieldRole) = match (name.len(), first) {
        (4, b'h') => (b"host", FieldRole::Host),
        (6, b'e') => (b"expect", FieldRole::Expect),
        (6, b'o') => (b"origin", FieldRole::Once(1)),
        (7, b'u') => (b"upgrade", FieldRole::Upgrade),
        (10, b'c') => (b"connection", FieldRole::Connection),
        (11, b't') => (b"traceparent", FieldRole::Once(2)),
        (12, b'c') => (b"content-type", FieldRole::Once(4)),
        (13, b'a') => (b"authorization", FieldRole::Once(8)),
        (13, b'l') => (b"last-event-id", FieldRole::Once(16)),
        (14, b'c') => (b"content-length", FieldRole::ContentLength),
        (15, b'i') => (b"idempotency-key", FieldRole::Once(32)),
        (16, b'c') => (b"content-encoding", FieldRole::Once(64)),
        (17, b't') => (b"transfer-encoding", FieldRole::TransferEncoding),
        (_, b'b') => return family(name, b"burngate-"),
        (_, b'm') => return family(name, b"mcp-"),
        (_, b'x') => return family(name, b"x-burngate-"),
        _ => return FieldRole::Other,
    };
    if name.eq_ignore_ascii_case(word) {
        found
    } else {
        FieldRole::Other
    }
}

fn family(name: &[u8], prefix: &[u8]) -> FieldRole {
    if starts_with(name, prefix) {
        FieldRole::Family
    } else {
        FieldRole::Other
    }
}

fn starts_with(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Whether nobody but the sender may decide about this header: not a hop, not a trailer, not a twin
/// with an underscore.
pub(super) fn is_protected(name: &[u8]) -> bool {
    match field(name) {
        FieldRole::Connection | FieldRole::Upgrade => false,
        FieldRole::Other => {
            const NAMES: [&[u8]; 6] = [
                b"cookie",
                b"forwarded",
                b"prefer",
                b"proxy-authorization",
                b"via",
                b"x-real-ip",
            ];
            NAMES.iter().any(|word| name.eq_ignore_ascii_case(word))
                || starts_with(name, b"x-forwarded-")
        }
        FieldRole::ContentLength
        | FieldRole::TransferEncoding
        | FieldRole::Host
        | FieldRole::Expect
        | FieldRole::Once(_)
        | FieldRole::Family => true,
    }
}

/// Whether a name with `_` for `-` becomes a protected one: CGI and its heirs cannot tell them
/// apart (A55).
pub(super) fn hides_protected(name: &[u8]) -> bool {
    if !name.contains(&b'_') {
        return false;
    }
    // Longer than any protected name; a longer name can only belong to a family, and its beginning
    // tells.
    let mut folded = [0; 32];
    for (to, from) in folded.iter_mut().zip(name) {
        *to = if *from == b'_' { b'-' } else { *from };
    }
    let folded = folded.get(..name.len().min(32)).unwrap_or_default();
    is_protected(folded) || matches!(field(folded), FieldRole::Connection | FieldRole::Upgrade)
}

/// Whether a trailer of this name would change how the message is framed, routed, judged or
/// understood (RFC 9110 section 6.5.1).
pub(super) fn is_forbidden_trailer(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 7] = [
        b"cache-control",
        b"content-range",
        b"max-forwards",
        b"set-cookie",
        b"te",
        b"trailer",
        b"www-authenticate",
    ];
    field(name) != FieldRole::Other
        || is_protected(name)
        || hides_protected(name)
        || NAMES.iter().any(|word| name.eq_ignore_ascii_case(word))
}

/// Name and trimmed value of a header line without its line end.
pub(super) fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Malformed::FoldedLine);
    }
    let colon = line
        .iter()
        .position(|&byte| !is_token_byte(byte))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(colon);
    let [b':', value @ ..] = rest else {
        return Err(Malformed::FieldName);
    };
    if name.is_empty() {
        return Err(Malformed::FieldName);
    }
    check_value(value)?;
    Ok((name, trim(value)))
}

/// RFC 9110 `field-content`, tabs and obs-text included. No early exit, so that the compiler can
/// look at many bytes at once.
pub(super) fn check_value(value: &[u8]) -> Result<(), Malformed> {
    let bad = value.iter().fold(0, |bad, &byte| {
        bad | (u8::from(byte < 0x20) & u8::from(byte != b'\t')) | u8::from(byte == 0x7f)
    });
    match bad {
        0 => Ok(()),
        _ if value.contains(&b'\r') => Err(Malformed::BareCarriageReturn),
        _ => Err(Malformed::FieldValue),
    }
}

fn trim(value: &[u8]) -> &[u8] {
    let start = value
        .iter()
        .position(|&byte| !is_blank(byte))
        .unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|&byte| !is_blank(byte))
        .map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A Content-Length: plain digits, no leading zero, no list.
pub(super) fn content_length(value: &[u8]) -> Result<u64, Malformed> {
    let plain = match value {
        [] => false,
        [b'0', rest @ ..] => rest.is_empty(),
        digits => digits.len() <= MAX_LENGTH_DIGITS && digits.iter().all(u8::is_ascii_digit),
    };
    if !plain {
        return Err(Malformed::Length);
    }
    Ok(value
        .iter()
        .fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

/// The options of a Connection value, in any case.
pub fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|option| !option.is_empty())
}

/// Whether a field of this name belongs to one hop by the standard (RFC 9110 section 7.6.1), or by
/// what older clients and proxies send. It is never judged and never forwarded.
#[must_use]
pub fn is_of_one_hop(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 8] = [
        b"close",
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ];
    NAMES.iter().any(|word| name.eq_ignore_ascii_case(word)) || starts_with(name, b"proxy-")
}

/// A Connection value: a list of tokens, none of which may be protected (A54).
pub(super) fn check_connection(value: &[u8]) -> Result<(), Malformed> {
    for option in options(value) {
        if !option.iter().copied().all(is_token_byte) {
            return Err(Malformed::Connection);
        }
        if is_protected(option) || hides_protected(option) {
            return Err(Malformed::ConnectionNamesProtected);
        }
    }
    Ok(())
}

/// The only expectation there is.
pub(super) fn check_expect(value: &[u8]) -> Result<(), Malformed> {
    if value.eq_ignore_ascii_case(b"100-continue") {
        Ok(())
    } else {
        Err(Malformed::Expectation)
    }
}

/// Methods are case-sensitive and listed: an unknown one might be one the upstream acts on.
pub(super) fn check_method(method: &[u8]) -> Result<(), Malformed> {
    match method {
        b"GET" | b"HEAD" | b"POST" | b"PUT" | b"PATCH" | b"DELETE" | b"OPTIONS" => Ok(()),
        b"CONNECT" | b"TRACE" => Err(Malformed::MethodForbidden),
        // The preface of HTTP/2 on a connection that speaks HTTP/1.
        b"PRI" => Err(Malformed::RequestLine),
        _ => Err(Malformed::MethodUnknown),
    }
}

/// `host` or `host:port`, without user information; an IPv6 address in brackets.
pub(super) fn check_host(value: &[u8]) -> Result<(), Malformed> {
    let is_host = if let [b'[', rest @ ..] = value {
        let (address, after) = rest.split_at(
            rest.iter()
                .position(|&byte| byte == b']')
                .unwrap_or(rest.len()),
        );
        std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
            && is_port(after.get(1..))
    } else {
        let (name, port) = value.split_at(
            value
                .iter()
                .position(|&byte| byte == b':')
                .unwrap_or(value.len()),
        );
        is_name(name) && is_port(Some(port))
    };
    if is_host && value.len() <= MAX_HOST {
        Ok(())
    } else {
        Err(Malformed::HostSyntax)
    }
}

/// Labels of letters, digits, `-` and `_`, with at most one dot at the end. What else RFC 3986
/// allows in a name is no host name anywhere.
fn is_name(name: &[u8]) -> bool {
    let labels = name.strip_suffix(b".").unwrap_or(name);
    labels.split(|&byte| byte == b'.').all(|label| {
        !label.is_empty()
            && label
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

/// Nothing, or a colon and a port that exists.
fn is_port(text: Option<&[u8]>) -> bool {
    match text {
        Some([]) => true,
        Some([b':', digits @ ..]) => {
            matches!(digits.len(), 1..=5)
                && digits.iter().all(u8::is_ascii_digit)
                && u16::try_from(
                    digits
                        .iter()
                        .fold(0_u32, |port, digit| port * 10 + u32::from(digit - b'0')),
                )
                .is_ok()
        }
        _ => false,
    }
}

/// RFC 9110 `tchar`, as a table: this runs for every byte of every name.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut at = 0_u8;
        while at < 128 {
            table[at as usize] = at.is_ascii_alphanumeric()
                || matches!(
                    at,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'-'
                        | b'.'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'|'
                        | b'~'
                );
            at += 1;
        }
        table
    };
    TOKEN[byte as usize]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("h", true)]
    #[case("api.example.com:8080", true)]
    #[case("api.example.com.", true)]
    #[case("127.0.0.1:65535", true)]
    #[case("[::1]", true)]
    #[case("[::1]:80", true)]
    #[case("", false)]
    #[case("a,b", false)]
    #[case("a b", false)]
    #[case("user@h", false)]
    #[case("h/p", false)]
    #[case("h:99999", false)]
    #[case("h:", false)]
    #[case("h:80:80", false)]
    #[case("h:+80", false)]
    #[case("[::1", false)]
    #[case("[::1]x", false)]
    #[case("[::1%25eth0]", false)]
    #[case("[]", false)]
    #[case("::1", false)]
    #[case(".", false)]
    #[case("a..b", false)]
    #[case("a%2eb", false)]
    #[case("h\u{e9}", false)]
    fn a49_a_host_is_a_name_with_an_optional_port(#[case] host: &str, #[case] valid: bool) {
        assert_eq!(check_host(host.as_bytes()).is_ok(), valid);
    }

    #[test]
    fn a49_a_host_is_bounded() {
        let host = |length: usize| "a".repeat(length);
        assert!(check_host(host(MAX_HOST).as_bytes()).is_ok());
        assert!(check_host(host(MAX_HOST + 1).as_bytes()).is_err());
    }

    #[test]
    fn a9_a10_a_length_is_a_plain_number_within_its_digits() {
        assert_eq!(content_length(b"0"), Ok(0));
        assert_eq!(
            content_length("9".repeat(MAX_LENGTH_DIGITS).as_bytes()),
            Ok(999_999_999_999_999_999)
        );
        for bad in [
            "",
            "+5",
            "-1",
            "0x10",
            "1_0",
            "5 5",
            "5, 5",
            "5,10",
            "007",
            "00",
            "18446744073709551616",
            &"9".repeat(MAX_LENGTH_DIGITS + 1),
        ] {
            assert_eq!(
                content_length(bad.as_bytes()),
                Err(Malformed::Length),
                "{bad}"
            );
        }
    }

    #[test]
    fn a55_underscores_do_not_hide_a_protected_name() {
        for name in [
            "content_length",
            "Transfer_Encoding",
            "burngate_workflow",
            "x_burngate_run",
            "X-Forwarded_For",
            "mcp_name",
            "idempotency_key",
        ] {
            assert!(hides_protected(name.as_bytes()), "{name}");
        }
        assert!(hides_protected(
            format!("burngate_{}", "x".repeat(100)).as_bytes()
        ));
        for name in ["x_ticket", "content-length", "my_content_length", "_"] {
            assert!(!hides_protected(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a54_connection_may_not_name_what_decides() {
        for fine in [
            "close",
            "keep-alive, Upgrade",
            "",
            ",",
            "te, trailer, x-mine",
        ] {
            assert_eq!(check_connection(fine.as_bytes()), Ok(()), "{fine}");
        }
        for name in [
            "Burngate-Workflow",
            "authorization",
            "HOST",
            "content-length",
            "Content-Type",
            "cookie",
            "transfer-encoding",
            "x-forwarded-for",
        ] {
            assert_eq!(
                check_connection(format!("close, {name}").as_bytes()),
                Err(Malformed::ConnectionNamesProtected),
                "{name}"
            );
        }
        assert_eq!(check_connection(b"close; x"), Err(Malformed::Connection));
    }
}
