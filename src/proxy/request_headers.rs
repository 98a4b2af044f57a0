//! What a request says: to its tool API, and to the gate.
//!
//! Made once, when the request is read, so that rules, the digest and the reviewer see the headers
//! that will be sent. Toward the upstream goes nothing that belongs to one hop, nothing that speaks
//! to the gate, and nothing that the client says about where it came from (A57); what could make the
//! upstream see another request than the one that is judged is refused (A50, A55). All else passes
//! byte for byte, in order, as often as it was given.

use std::net::SocketAddr;

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Version, header};

use super::address_map::AddressMap;
use super::connection::{ClientConnection, Peer, Scheme};
use super::traces::Traces;
use crate::wire::fields;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The gate in `Via`. Its name, not its host's: agents need not know where it runs.
const VIA: HeaderValue = HeaderValue::from_static("1.1 burngate");

/// What a request gets on its way: host, where it came from, and its trace.
const ADDED_HEADERS: usize = 8;

/// What a request says to the gate itself.
#[derive(Debug, Default)]
pub struct GateHeaders {
    /// `Burngate-…`.
    pub headers: HeaderMap,
    /// The host that the client asked for.
    pub host: Option<HeaderValue>,
    /// `Expect: 100-continue`: the client sends no body before it is asked for.
    pub asks_first: bool,
    /// The client brought a trace of its own.
    pub is_traced: bool,
}

/// Splits the headers of a request into those that its upstream gets and what the gate keeps for
/// itself. `owns_host`: the host that was asked for is one of the gate's.
///
/// Framing is set by whoever sends the request (`Lease::send`).
#[must_use]
pub fn split(
    head: &mut Parts,
    connection: &ClientConnection,
    addresses: &AddressMap,
    owns_host: bool,
    traces: &Traces,
) -> (HeaderMap, GateHeaders) {
    let came = std::mem::take(&mut head.headers);
    let mut gate = GateHeaders {
        headers: HeaderMap::new(),
        host: came.get(header::HOST).cloned().or_else(|| {
            let authority = head.uri.authority().map(Authority::as_str);
            HeaderValue::from_str(authority?).ok()
        }),
        asks_first: came.contains_key(header::EXPECT),
        is_traced: came.contains_key(&TRACEPARENT),
    };
    let mut headers = HeaderMap::with_capacity(came.len() + ADDED_HEADERS);
    headers.insert(header::HOST, addresses.host().clone());
    let mut last = None;
    for (name, value) in came {
        // A name is given once for all of its values.
        last = name.or(last);
        let Some(name) = last.clone() else { continue };
        match receiver(name.as_str()) {
            Receiver::Upstream => drop(headers.append(name, value)),
            Receiver::Gate => drop(gate.headers.append(name, value)),
            Receiver::Nobody => {}
        }
    }
    if head.version == Version::HTTP_2 {
        join_cookies(&mut headers);
    }
    say_origin(
        &mut headers,
        connection,
        addresses,
        gate.host.as_ref().filter(|_| owns_host),
    );
    headers.insert(header::VIA, VIA);
    if !gate.is_traced
        && let Some(parent) = traces.parent()
    {
        headers.insert(TRACEPARENT, parent);
    }
    (headers, gate)
}

/// Whom a header speaks to.
enum Receiver {
    Upstream,
    Gate,
    /// A neighbour on the way, or it says what only the gate may say.
    Nobody,
}

fn receiver(name: &str) -> Receiver {
    if name.starts_with("burngate-") || name.starts_with("x-burngate-") {
        return Receiver::Gate;
    }
    let is_the_gates_to_say = name.starts_with("x-forwarded-")
        // The body is on its way: the gate has answered `expect`.
        || matches!(name, "host" | "expect" | "forwarded" | "via" | "x-real-ip");
    if is_the_gates_to_say || fields::is_of_one_hop(name.as_bytes()) {
        Receiver::Nobody
    } else {
        Receiver::Upstream
    }
}

/// Where the request came from, and where it thinks it went: of its host only what is the gate's
/// own, else the address that it reached.
fn say_origin(
    headers: &mut HeaderMap,
    connection: &ClientConnection,
    addresses: &AddressMap,
    own_host: Option<&HeaderValue>,
) {
    headers.insert(
        X_FORWARDED_PROTO,
        HeaderValue::from_static(connection.scheme.as_str()),
    );
    let mut reached = None;
    // A local process has no address.
    if let Peer::Tcp { from, at } = connection.peer {
        if let Some(from) = address(from) {
            headers.insert(X_FORWARDED_FOR, from);
        }
        reached = HeaderValue::from_str(&at.to_string()).ok();
    }
    if let Some(host) = own_host.or(reached.as_ref()) {
        headers.insert(X_FORWARDED_PORT, port(host, connection.scheme));
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
    if !addresses.route().is_empty()
        && let Ok(prefix) = HeaderValue::from_str(addresses.route())
    {
        headers.insert(X_FORWARDED_PREFIX, prefix);
    }
}

/// The port in a host, or the scheme's own.
fn port(host: &HeaderValue, scheme: Scheme) -> HeaderValue {
    let written = host
        .to_str()
        .ok()
        .and_then(|host| host.rsplit_once(':'))
        .and_then(|(_, port)| port.parse::<u16>().ok());
    HeaderValue::from(written.unwrap_or(match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }))
}

/// HTTP/2 may send a cookie in crumbs; HTTP/1.1 has one header for all (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, cookie);
    }
}

fn address(peer: SocketAddr) -> Option<HeaderValue> {
    use std::io::Write;
    // Room for the longest IPv6 address.
    let mut text = [0; 48];
    let mut rest = &mut text[..];
    write!(rest, "{}", peer.ip().to_canonical()).ok()?;
    let unused = rest.len();
    let used = text.len() - unused;
    text.get(..used)
        .and_then(|text| HeaderValue::from_bytes(text).ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;
    use rstest::rstest;

    use super::*;
    use crate::gate::policy::Upstream;

    const FROM: SocketAddr = SocketAddr::new(
        std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9)),
        4711,
    );
    const AT: SocketAddr = SocketAddr::new(
        std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
        8443,
    );

    const LOCAL: Peer = Peer::Tcp { from: FROM, at: AT };

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let request = headers
            .iter()
            .fold(Request::builder().uri("/a"), |builder, (name, value)| {
                builder.header(*name, *value)
            });
        request.body(()).unwrap().into_parts().0
    }

    fn crossed(mut head: Parts, peer: Peer, owns_host: bool) -> (HeaderMap, GateHeaders) {
        let upstream = Upstream {
            tls: false,
            host: Arc::from("tools"),
            port: 3000,
            base: Arc::from(""),
        };
        let addresses = AddressMap::new(&upstream, "/payments").unwrap();
        let connection = ClientConnection::for_test(peer, Scheme::Https);
        split(
            &mut head,
            &connection,
            &addresses,
            owns_host,
            &Traces::new(7),
        )
    }

    #[rstest]
    #[case("keep-alive", "timeout=5")]
    #[case("te", "trailers")]
    #[case("trailer", "x-sum")]
    #[case("transfer-encoding", "chunked")]
    #[case("upgrade", "h2c")]
    #[case("http2-settings", "AAMAAABk")]
    #[case("proxy-connection", "keep-alive")]
    #[case("proxy-authorization", "Basic x")]
    #[case("burngate-authorization", "Bearer x")]
    #[case("burngate-run", "r")]
    #[case("x-real-ip", "1.2.3.4")]
    #[case("forwarded", "for=1.2.3.4")]
    #[case("x-forwarded-server", "evil")]
    #[case("expect", "100-continue")]
    fn a54_a57_what_is_not_the_upstreams_does_not_cross(#[case] name: &str, #[case] value: &str) {
        let head = parts(&[
            ("host", "gate"),
            ("connection", "close"),
            (name, value),
            ("accept", "a"),
            ("accept", "b"),
        ]);
        let (headers, gate) = crossed(head, LOCAL, true);
        assert!(!headers.contains_key(name), "{headers:?}");
        assert_eq!(
            gate.headers.contains_key(name),
            name.starts_with("burngate-")
        );
        assert_eq!(gate.asks_first, name == "expect");
        assert_eq!(
            headers.get_all("accept").iter().collect::<Vec<_>>(),
            ["a", "b"]
        );
    }

    #[test]
    fn a57_where_the_client_came_from_is_the_gates_to_say() {
        let forged = || {
            parts(&[
                ("host", "gate:8443"),
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-host", "evil"),
                ("x-forwarded-port", "1"),
                ("x-forwarded-prefix", "/evil"),
                ("x-forwarded-proto", "http"),
                ("via", "1.0 evil"),
            ])
        };
        let (headers, gate) = crossed(forged(), LOCAL, true);
        for (name, value) in [
            ("host", "tools:3000"),
            ("x-forwarded-for", "10.0.0.9"),
            ("x-forwarded-host", "gate:8443"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-prefix", "/payments"),
            ("x-forwarded-proto", "https"),
            ("via", "1.1 burngate"),
        ] {
            assert_eq!(
                headers.get_all(name).iter().collect::<Vec<_>>(),
                [value],
                "{name}"
            );
        }
        assert_eq!(gate.host.unwrap(), "gate:8443");
        let (headers, _) = crossed(forged(), Peer::Unix, true);
        assert!(!headers.contains_key("x-forwarded-for"));
    }

    #[test]
    fn s7_a_host_that_is_not_the_gates_is_not_passed_on() {
        let evil = || parts(&[("host", "evil.example")]);
        let (headers, gate) = crossed(evil(), LOCAL, false);
        assert_eq!(headers["x-forwarded-host"], "10.0.0.1:8443");
        assert_eq!(headers["x-forwarded-port"], "8443");
        assert_eq!(gate.host.unwrap(), "evil.example");
        let (headers, _) = crossed(evil(), Peer::Unix, false);
        assert!(!headers.contains_key("x-forwarded-host"));
        assert!(!headers.contains_key("x-forwarded-port"));
    }

    #[test]
    fn what_speaks_to_the_upstream_crosses_untouched() {
        let mine = [
            ("authorization", "Bearer up"),
            ("cookie", "a=1"),
            ("x-a", "1"),
            ("content-length", "2"),
            ("traceparent", "00-abc-def-01"),
        ];
        let (headers, gate) = crossed(parts(&mine), LOCAL, true);
        for (name, value) in mine {
            assert_eq!(headers[name], value);
        }
        assert!(gate.is_traced);
    }

    #[test]
    fn a_trace_is_begun_where_there_is_none() {
        let (headers, gate) = crossed(parts(&[]), LOCAL, true);
        assert!(headers.contains_key("traceparent") && !gate.is_traced);
    }

    #[test]
    fn cookies_that_came_in_crumbs_are_one_again() {
        let request = Request::builder()
            .version(Version::HTTP_2)
            .uri("https://gate/a")
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        let (headers, gate) = crossed(request.body(()).unwrap().into_parts().0, LOCAL, true);
        assert_eq!(
            headers.get_all("cookie").iter().collect::<Vec<_>>(),
            ["a=1; b=2"]
        );
        assert_eq!(gate.host.unwrap(), "gate");
        assert_eq!(headers["x-forwarded-port"], "443");
    }
}
