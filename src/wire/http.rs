//! The rules of the HTTP/1 guard for requests that came over HTTP/2, where h2 has checked the
//! framing.
//!
//! Decides on the header set alone: one place to go to, nothing twice that may stand once, nothing
//! connection-specific, no name that hides a protected one. The tables are those of `wire::fields`,
//! so that a request is not judged by the protocol it chose.

use http::header::{HOST, TE};
use http::request::Parts;

use super::fields::FieldRole;
use super::framing::HeadLimits;
use super::target::MAX_TARGET;
use super::{Malformed, fields};

/// Refuses a request head of HTTP/2 that the same request over HTTP/1 would be refused for.
pub fn check_h2(parts: &Parts, limits: HeadLimits) -> Result<(), Malformed> {
    check_size(parts, limits)?;
    fields::check_method(parts.method.as_str().as_bytes())?;
    check_place(parts)?;
    for name in parts.headers.keys() {
        let mut values = parts.headers.get_all(name).iter();
        let Some(value) = values.next().map(http::HeaderValue::as_bytes) else {
            continue;
        };
        let is_single = values.next().is_none();
        fields::check_value(value)?;
        // RFC 9113 section 8.2.1: HTTP/1 would have trimmed it.
        if matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']) {
            return Err(Malformed::FieldValue);
        }
        let name = name.as_str().as_bytes();
        match fields::field(name) {
            FieldRole::Connection | FieldRole::TransferEncoding | FieldRole::Upgrade => {
                return Err(Malformed::ConnectionSpecific);
            }
            FieldRole::ContentLength if !is_single => return Err(Malformed::LengthTwice),
            FieldRole::ContentLength => {
                fields::content_length(value)?;
            }
            FieldRole::Host if !is_single => return Err(Malformed::HostTwice),
            FieldRole::Expect | FieldRole::Once(_) | FieldRole::Family if !is_single => {
                return Err(Malformed::FieldTwice);
            }
            FieldRole::Expect => fields::check_expect(value)?,
            FieldRole::Host | FieldRole::Once(_) | FieldRole::Family => {}
            FieldRole::Other => check_other(name, value, is_single)?,
        }
    }
    Ok(())
}

/// HTTP/2 has no lines; the bound is on the same bytes that the lines would hold.
fn check_size(parts: &Parts, limits: HeadLimits) -> Result<(), Malformed> {
    if parts.headers.len() > limits.headers {
        return Err(Malformed::TooManyFields);
    }
    let target = parts
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET {
        return Err(Malformed::TargetTooLong);
    }
    let bytes = parts.headers.iter().fold(target, |bytes, (name, value)| {
        bytes + name.as_str().len() + value.len() + 4
    });
    if bytes > limits.bytes {
        Err(Malformed::HeadTooLarge)
    } else {
        Ok(())
    }
}

/// `:authority`, or Host in its place, or both alike (A34).
fn check_place(parts: &Parts) -> Result<(), Malformed> {
    let authority = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let host = parts.headers.get(HOST).map(http::HeaderValue::as_bytes);
    match (authority, host) {
        (None, None) => return Err(Malformed::HostMissing),
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            return Err(Malformed::HostMismatch);
        }
        (Some(place), _) | (None, Some(place)) => fields::check_host(place)?,
    }
    match parts.uri.path() {
        "*" if parts.method != http::Method::OPTIONS => Err(Malformed::Target),
        path if path.starts_with('/') || path == "*" => Ok(()),
        _ => Err(Malformed::Target),
    }
}

fn check_other(name: &[u8], value: &[u8], is_single: bool) -> Result<(), Malformed> {
    match name {
        b"keep-alive" | b"proxy-connection" => Err(Malformed::ConnectionSpecific),
        // RFC 9113 section 8.2.2.
        _ if name == TE.as_str().as_bytes()
            && !(is_single && value.eq_ignore_ascii_case(b"trailers")) =>
        {
            Err(Malformed::ConnectionSpecific)
        }
        _ if fields::hides_protected(name) => Err(Malformed::FieldUnderscore),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use rstest::rstest;

    use super::*;

    fn check(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<(), Malformed> {
        let request = headers.iter().fold(
            Request::builder().method(method).uri(uri),
            |builder, (name, value)| builder.header(*name, *value),
        );
        check_h2(
            &request.body(()).unwrap().into_parts().0,
            HeadLimits::default(),
        )
    }

    #[test]
    fn an_ordinary_request_passes() {
        let headers = [
            ("content-type", "application/json"),
            ("content-length", "2"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("te", "trailers"),
            ("burngate-run", "r"),
        ];
        assert_eq!(check("POST", "https://h:8443/a?b", &headers), Ok(()));
        assert_eq!(check("GET", "/a", &[("host", "h")]), Ok(()));
        assert_eq!(check("GET", "https://h/a", &[("host", "H")]), Ok(()));
    }

    #[rstest]
    #[case("GET", "/a", &[], Malformed::HostMissing)]
    #[case("GET", "https://h/a", &[("host", "other")], Malformed::HostMismatch)]
    #[case("GET", "https://user@h/a", &[], Malformed::HostSyntax)]
    #[case("GET", "https://h/a", &[("host", "h"), ("host", "h")], Malformed::HostTwice)]
    #[case("CONNECT", "https://h/a", &[], Malformed::MethodForbidden)]
    #[case("get", "https://h/a", &[], Malformed::MethodUnknown)]
    #[case("POST", "https://h/a", &[("content-length", "1"), ("content-length", "1")], Malformed::LengthTwice)]
    #[case("POST", "https://h/a", &[("content-length", "+1")], Malformed::Length)]
    #[case("POST", "https://h/a", &[("transfer-encoding", "chunked")], Malformed::ConnectionSpecific)]
    #[case("POST", "https://h/a", &[("connection", "close")], Malformed::ConnectionSpecific)]
    #[case("POST", "https://h/a", &[("upgrade", "h2c")], Malformed::ConnectionSpecific)]
    #[case("POST", "https://h/a", &[("te", "gzip")], Malformed::ConnectionSpecific)]
    #[case("POST", "https://h/a", &[("te", "trailers"), ("te", "gzip")], Malformed::ConnectionSpecific)]
    #[case("POST", "https://h/a", &[("burngate-workflow", "a"), ("burngate-workflow", "a")], Malformed::FieldTwice)]
    #[case("POST", "https://h/a", &[("authorization", "a"), ("authorization", "b")], Malformed::FieldTwice)]
    #[case("POST", "https://h/a", &[("burngate_workflow", "a")], Malformed::FieldUnderscore)]
    #[case("GET", "https://h/a", &[("x-env", "\tprod")], Malformed::FieldValue)]
    #[case("GET", "https://h/a", &[("x-env", "prod ")], Malformed::FieldValue)]
    #[case("POST", "https://h/a", &[("expect", "x")], Malformed::Expectation)]
    #[case("POST", "https://h/a", &[("keep-alive", "timeout=5")], Malformed::ConnectionSpecific)]
    #[case("POST", "https://h/a", &[("proxy-connection", "keep-alive")], Malformed::ConnectionSpecific)]
    #[case("GET", "*", &[("host", "h")], Malformed::Target)]
    fn a32_a34_a55_a56_s4_http2_is_held_to_the_same_rules(
        #[case] method: &str,
        #[case] uri: &str,
        #[case] headers: &[(&str, &str)],
        #[case] reason: Malformed,
    ) {
        assert_eq!(check(method, uri, headers), Err(reason));
    }

    #[test]
    fn only_options_are_of_the_gate_itself() {
        assert_eq!(check("OPTIONS", "*", &[("host", "h")]), Ok(()));
    }

    #[test]
    fn a36_targets_are_bounded() {
        let check = |target: usize| {
            let uri = format!("https://h/{}", "a".repeat(target - 1));
            check("GET", &uri, &[])
        };
        assert_eq!(check(MAX_TARGET), Ok(()));
        for more in [1, 2, 100] {
            assert_eq!(check(MAX_TARGET + more), Err(Malformed::TargetTooLong));
        }
    }

    #[test]
    fn a36_heads_are_bounded() {
        let limits = HeadLimits {
            bytes: 40,
            headers: 2,
        };
        let check = |count: usize, value: usize| {
            let builder = (0..count).fold(Request::builder().uri("https://h/a"), |builder, _| {
                builder.header("x", "v".repeat(value))
            });
            check_h2(&builder.body(()).unwrap().into_parts().0, limits)
        };
        assert_eq!(check(2, 14), Ok(()));
        assert_eq!(check(2, 15), Err(Malformed::HeadTooLarge));
        assert_eq!(check(3, 1), Err(Malformed::TooManyFields));
    }
}
