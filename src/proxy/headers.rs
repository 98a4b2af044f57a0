//! Which headers cross the gate, and what they say on the other side.
//!
//! Decides from names alone. Toward the upstream: nothing that belongs to one hop, nothing that
//! speaks to the gate, nothing that could make the upstream see another request than the one that
//! was judged (hostile.md A50), and nothing that the client says about where it came from (A57).
//! Toward the agent: nothing that belongs to one hop, and nothing that pretends to be the gate's.
//! All else passes byte for byte, in order, as often as it was given. A request's map is walked
//! once into one of the right size; an answer's is changed in place.

use std::cell::Cell;
use std::net::SocketAddr;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Version, header};
use smallvec::SmallVec;

use super::connection::{ClientConnection, Peer, Scheme};
use super::message::OutgoingMessage;
use crate::gate::policy::Upstream;
use crate::ledger::call::refusal::ReachedCap;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The gate in `Via`. Its name, not its host's: agents need not know where it runs.
const VIA: HeaderValue = HeaderValue::from_static("1.1 burngate");

/// What a request gets on its way: host, where it came from, and its trace.
const MOST_ADDED: usize = 6;

/// Names that one message rarely exceeds; more cost an allocation.
type HeaderNames = SmallVec<[HeaderName; 8]>;

/// How addresses on one tool API and on the gate map to each other.
#[derive(Debug, Clone)]
pub struct AddressMap {
    upstream: Upstream,
    /// The upstream's `Host`: `host`, or `host:port` where the port is not its scheme's
    /// own.
    host: HeaderValue,
    /// What the gate puts before the upstream's paths; empty for an API that owns its host.
    route: Box<str>,
}

impl AddressMap {
    /// `route` is the prefix that was stripped from the path, `/` or empty for none. `None` if the
    /// upstream's host cannot stand in a header.
    #[must_use]
    pub fn new(upstream: &Upstream, route: &str) -> Option<Self> {
        let own_port = if upstream.tls { 443 } else { 80 };
        let host = if upstream.port == own_port {
            upstream.host.to_string()
        } else {
            format!("{}:{}", upstream.host, upstream.port)
        };
        Some(Self {
            upstream: upstream.clone(),
            host: HeaderValue::from_str(&host).ok()?,
            route: route.trim_end_matches('/').into(),
        })
    }

    /// The same route to another upstream.
    #[must_use]
    pub fn towards(&self, upstream: &Upstream) -> Option<Self> {
        Self::new(upstream, &self.route)
    }
}

/// Makes trace ids for requests that bring none. They tie log lines together and guard nothing, so
/// they need to be distinct and cheap, not secret.
#[derive(Debug)]
pub struct Traces(Cell<u64>);

impl Traces {
    /// `seed` should differ between workers and starts.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// `splitmix64`: every state once, well mixed.
    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // An id of zeros is invalid.
        (mixed ^ (mixed >> 31)).max(1)
    }

    /// W3C Trace Context, not sampled: the gate records no span of its own for it.
    fn parent(&self) -> Option<HeaderValue> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        for at in [3, 19, 36] {
            let id = self.next();
            for (nibble, digit) in text.iter_mut().skip(at).take(16).enumerate() {
                *digit = HEX[usize::try_from(id >> (60 - 4 * nibble) & 0xf).unwrap_or(0)];
            }
        }
        HeaderValue::from_bytes(&text).ok()
    }
}

/// The headers of a message as its upstream gets them. The message's own stay as they came: it may
/// have to be judged again.
///
/// Framing is set by whoever sends it (`Lease::send`).
#[must_use]
pub fn to_upstream(
    message: &OutgoingMessage,
    connection: &ClientConnection,
    addresses: &AddressMap,
    traces: &Traces,
) -> HeaderMap {
    let came = &message.headers;
    let mut headers = HeaderMap::with_capacity(came.len() + MOST_ADDED);
    headers.insert(header::HOST, addresses.host.clone());
    let hop = named_by_connection(came);
    for (name, value) in came {
        if name != header::HOST && !is_kept_from_upstream(name.as_str()) && !hop.contains(name) {
            headers.append(name, value.clone());
        }
    }
    if message.version == Version::HTTP_2 {
        join_cookies(&mut headers);
    }
    if let Some(host) = &message.host {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
    headers.insert(
        X_FORWARDED_PROTO,
        HeaderValue::from_static(connection.scheme.as_str()),
    );
    // A local process has no address.
    if let Peer::Tcp(peer) = connection.peer
        && let Some(peer) = address(peer)
    {
        headers.insert(X_FORWARDED_FOR, peer);
    }
    headers.insert(header::VIA, VIA);
    if !headers.contains_key(&TRACEPARENT)
        && let Some(parent) = traces.parent()
    {
        headers.insert(TRACEPARENT, parent);
    }
    headers
}

/// Makes the headers of an answer those that the agent gets. `asked` is the host that it asked for.
pub fn to_agent(
    headers: &mut HeaderMap,
    scheme: Scheme,
    asked: Option<&HeaderValue>,
    addresses: &AddressMap,
) {
    strip(headers, is_kept_from_agent);
    if let Some(location) = headers.get(header::LOCATION)
        && let Some(rewritten) = location
            .to_str()
            .ok()
            .and_then(|location| rewrite(location, scheme, asked, addresses))
    {
        headers.insert(header::LOCATION, rewritten);
    }
}

/// Removes what `is_kept` names, and what Connection names.
fn strip(headers: &mut HeaderMap, is_kept: fn(&str) -> bool) {
    let mut names: HeaderNames = headers
        .keys()
        .filter(|name| is_kept(name.as_str()))
        .cloned()
        .collect();
    names.extend(named_by_connection(headers));
    for name in names {
        headers.remove(name);
    }
}

/// What Connection names. The guard has refused a Connection that names a header that decides
/// something (A54).
fn named_by_connection(headers: &HeaderMap) -> HeaderNames {
    let mut names = HeaderNames::new();
    for value in headers.get_all(header::CONNECTION) {
        for name in value.as_bytes().split(|&byte| byte == b',') {
            // Content-Length belongs to no hop: no client may have it removed.
            names.extend(
                HeaderName::from_bytes(name.trim_ascii())
                    .ok()
                    .filter(|name| name != header::CONTENT_LENGTH),
            );
        }
    }
    names
}

/// RFC 9110 section 7.6.1, and what older proxies left behind.
fn is_of_one_hop(name: &str) -> bool {
    matches!(
        name,
        "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    ) || name.starts_with("proxy-")
}

fn is_kept_from_upstream(name: &str) -> bool {
    is_of_one_hop(name)
        || name.starts_with("burngate-")
        || name.starts_with("x-forwarded-")
        // `expect` was answered by the gate: the body is on its way.
        || matches!(name, "expect" | "forwarded" | "x-real-ip" | "x-original-url" | "x-rewrite-url" | "x-http-method-override" | "x-http-method" | "x-method-override")
}

/// `trailer` announces the fields behind the body, which pass: RFC 9110 section 6.6.2, and without
/// it they could not be sent on an HTTP/1 connection.
fn is_kept_from_agent(name: &str) -> bool {
    (is_of_one_hop(name) && name != "trailer") || name.starts_with("burngate-")
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

/// A Location on the upstream, as one on the gate. `None` for a Location elsewhere, which passes as
/// it is, and for one relative to the request's own.
fn rewrite(
    location: &str,
    scheme: Scheme,
    asked: Option<&HeaderValue>,
    addresses: &AddressMap,
) -> Option<HeaderValue> {
    let AddressMap {
        upstream, route, ..
    } = addresses;
    let absolute = |rest: &str| {
        let path = below(rest, &upstream.base)?;
        Some(format!(
            "{}://{}{route}{path}",
            scheme.as_str(),
            asked?.to_str().ok()?
        ))
    };
    let rewritten = if let Some(rest) = location.strip_prefix("//") {
        absolute(after_authority(rest, upstream.tls, upstream)?)?
    } else if location.starts_with('/') {
        match (&**route, below(location, &upstream.base)?) {
            ("", "") => "/".to_owned(),
            (route, path) => format!("{route}{path}"),
        }
    } else {
        let (spoken, rest) = location.split_once("://")?;
        let is_tls = match () {
            () if spoken.eq_ignore_ascii_case("https") => true,
            () if spoken.eq_ignore_ascii_case("http") => false,
            () => return None,
        };
        if is_tls != upstream.tls {
            return None;
        }
        absolute(after_authority(rest, is_tls, upstream)?)?
    };
    HeaderValue::from_str(&rewritten).ok()
}

/// The path and what follows, if the authority before it is the upstream's.
fn after_authority<'a>(rest: &'a str, is_tls: bool, upstream: &Upstream) -> Option<&'a str> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // A colon inside brackets belongs to an IPv6 address.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, if is_tls { 443 } else { 80 }),
    };
    (port == upstream.port && host.eq_ignore_ascii_case(&upstream.host)).then_some(path)
}

/// What follows `base`, which the gate puts before every path. A path elsewhere on the upstream
/// cannot be reached through the gate.
fn below<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(base)?;
    (rest.is_empty() || rest.starts_with(['/', '?', '#'])).then_some(rest)
}

/// Which cap the call ran into, as draft-ietf-httpapi-ratelimit-headers-11 writes it. Nothing is
/// left of it, and something will be in `reset` seconds.
pub fn rate_limit(headers: &mut HeaderMap, cap: ReachedCap, reset: u64) {
    let (policy, limit) = match cap {
        ReachedCap::Volume { cap, .. } => (
            format!("\"volume\";q={};w={}", cap.calls, cap.per_seconds),
            format!("\"volume\";r=0;t={reset}"),
        ),
        ReachedCap::Concurrency { cap } => (
            format!("\"concurrency\";q={cap};qu=\"concurrent-requests\""),
            "\"concurrency\";r=0".to_owned(),
        ),
    };
    for (name, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, limit)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;
    use http::request::Parts;
    use rstest::rstest;

    use super::super::body::RequestBody;
    use super::super::message::OutgoingTarget;
    use super::*;
    use crate::gate::policy::pattern::Matched;
    use crate::wire::target;

    fn upstream(tls: bool, host: &str, port: u16, base: &str) -> Upstream {
        Upstream {
            tls,
            host: Arc::from(host),
            port,
            base: Arc::from(base),
        }
    }

    fn crossed(headers: &[(&str, &str)], peer: Peer) -> HeaderMap {
        let request = headers
            .iter()
            .fold(Request::builder().uri("/a"), |builder, (name, value)| {
                builder.header(*name, *value)
            });
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let addresses = AddressMap::new(&upstream(false, "tools", 3000, ""), "/payments").unwrap();
        let connection = ClientConnection::for_test(peer, Scheme::Https);
        to_upstream(&message(parts), &connection, &addresses, &Traces::new(7))
    }

    fn message(head: Parts) -> OutgoingMessage {
        let target = target::read("/a", None).unwrap();
        let target = OutgoingTarget::new("", &target, &Matched::new()).unwrap();
        OutgoingMessage::new(head, target, RequestBody::None)
    }

    fn local() -> Peer {
        Peer::Tcp(SocketAddr::from(([10, 0, 0, 9], 4711)))
    }

    #[rstest]
    #[case("connection", "x-mine, close")]
    #[case("x-mine", "1")]
    #[case("keep-alive", "timeout=5")]
    #[case("te", "trailers")]
    #[case("trailer", "x-sum")]
    #[case("transfer-encoding", "chunked")]
    #[case("upgrade", "h2c")]
    #[case("proxy-connection", "keep-alive")]
    #[case("proxy-authorization", "Basic x")]
    #[case("burngate-authorization", "Bearer x")]
    #[case("burngate-run", "r")]
    #[case("x-original-url", "/admin")]
    #[case("x-rewrite-url", "/admin")]
    #[case("x-http-method-override", "DELETE")]
    #[case("x-real-ip", "1.2.3.4")]
    #[case("forwarded", "for=1.2.3.4")]
    #[case("x-forwarded-port", "1")]
    #[case("expect", "100-continue")]
    fn a50_a54_a57_what_is_not_the_upstreams_does_not_cross(
        #[case] name: &str,
        #[case] value: &str,
    ) {
        let headers = crossed(
            &[
                ("host", "gate"),
                ("connection", "x-mine"),
                (name, value),
                ("accept", "a"),
                ("accept", "b"),
            ],
            local(),
        );
        assert!(!headers.contains_key(name), "{headers:?}");
        assert_eq!(
            headers.get_all("accept").iter().collect::<Vec<_>>(),
            ["a", "b"]
        );
    }

    #[test]
    fn a57_where_the_client_came_from_is_the_gates_to_say() {
        let forged = [
            ("host", "gate:8443"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-proto", "http"),
            ("via", "1.0 evil"),
        ];
        let headers = crossed(&forged, local());
        for (name, value) in [
            ("host", "tools:3000"),
            ("x-forwarded-for", "10.0.0.9"),
            ("x-forwarded-host", "gate:8443"),
            ("x-forwarded-proto", "https"),
            ("via", "1.1 burngate"),
        ] {
            assert_eq!(
                headers.get_all(name).iter().collect::<Vec<_>>(),
                [value],
                "{name}"
            );
        }
        assert!(!crossed(&forged, Peer::Unix).contains_key("x-forwarded-for"));
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
        let headers = crossed(&mine, local());
        for (name, value) in mine {
            assert_eq!(headers[name], value);
        }
    }

    #[test]
    fn a_trace_is_begun_where_there_is_none_and_each_is_another() {
        let traces = Traces::new(1);
        let (first, second) = (traces.parent().unwrap(), traces.parent().unwrap());
        assert_ne!(first, second);
        let text = first.to_str().unwrap();
        let lengths: Vec<_> = text.split('-').map(str::len).collect();
        assert_eq!(lengths, [2, 32, 16, 2]);
        assert!(
            text.bytes()
                .all(|byte| matches!(byte, b'-' | b'0'..=b'9' | b'a'..=b'f')),
            "{text}"
        );
        assert!(crossed(&[], local()).contains_key("traceparent"));
    }

    #[test]
    fn cookies_that_came_in_crumbs_are_one_again() {
        let request = Request::builder()
            .version(Version::HTTP_2)
            .uri("https://gate/a")
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let addresses = AddressMap::new(&upstream(true, "tools", 443, ""), "/").unwrap();
        let message = message(parts);
        let headers = to_upstream(
            &message,
            &ClientConnection::for_test(local(), Scheme::Https),
            &addresses,
            &Traces::new(1),
        );
        assert_eq!(
            headers.get_all("cookie").iter().collect::<Vec<_>>(),
            ["a=1; b=2"]
        );
        assert_eq!(
            (message.host.unwrap(), &headers["host"]),
            (
                HeaderValue::from_static("gate"),
                &HeaderValue::from_static("tools")
            )
        );
    }

    #[test]
    fn an_answer_crosses_as_it_is_but_for_its_hop_and_the_gates_own_names() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("burngate-verdict", "allow"),
        ] {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        for (name, value) in [
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("x-raw", "caf\u{e9}"),
            ("location", "https://elsewhere/x"),
        ] {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        to_agent(
            &mut headers,
            Scheme::Http,
            None,
            &AddressMap::new(&upstream(false, "tools", 80, ""), "/p").unwrap(),
        );
        let mut names: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        names.sort_unstable();
        let left: [(&str, &[u8]); 5] = [
            ("content-length", b"5"),
            ("location", b"https://elsewhere/x"),
            ("set-cookie", b"a=1"),
            ("set-cookie", b"b=2"),
            ("x-raw", "caf\u{e9}".as_bytes()),
        ];
        assert_eq!(names, left);
    }

    #[rstest]
    #[case(
        "http://tools:3000/orders/1?x#y",
        Some("https://gate/payments/orders/1?x#y")
    )]
    #[case("HTTP://TOOLS:3000", Some("https://gate/payments"))]
    #[case("//tools:3000/orders", Some("https://gate/payments/orders"))]
    #[case("/orders", Some("/payments/orders"))]
    #[case("?page=2", None)]
    #[case("orders", None)]
    #[case("https://tools:3000/orders", None)]
    #[case("http://tools/orders", None)]
    #[case("http://tools:3000.evil/", None)]
    #[case("http://tools:3000@evil/", None)]
    #[case("mailto:x@tools", None)]
    fn a_location_on_the_upstream_becomes_one_on_the_gate(
        #[case] location: &str,
        #[case] rewritten: Option<&str>,
    ) {
        let addresses = AddressMap::new(&upstream(false, "tools", 3000, ""), "/payments").unwrap();
        let asked = HeaderValue::from_static("gate");
        assert_eq!(
            rewrite(location, Scheme::Https, Some(&asked), &addresses),
            rewritten.map(|text| HeaderValue::from_str(text).unwrap())
        );
    }

    #[rstest]
    #[case("/v2/orders", "/", Some("/orders"))]
    #[case("/v2", "/p", Some("/p"))]
    #[case("/v2x/orders", "/p", None)]
    #[case("/login", "/p", None)]
    #[case("https://[::1]/v2/a", "/p", Some("http://gate/p/a"))]
    #[case("https://[::1]:443/v2/a", "/p", Some("http://gate/p/a"))]
    fn the_upstreams_base_path_is_not_shown(
        #[case] location: &str,
        #[case] route: &str,
        #[case] rewritten: Option<&str>,
    ) {
        let addresses = AddressMap::new(&upstream(true, "[::1]", 443, "/v2"), route).unwrap();
        let asked = HeaderValue::from_static("gate");
        assert_eq!(
            rewrite(location, Scheme::Http, Some(&asked), &addresses),
            rewritten.map(|text| HeaderValue::from_str(text).unwrap())
        );
    }
}
