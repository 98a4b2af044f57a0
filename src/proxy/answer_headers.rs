//! What an upstream's answer says to the agent.
//!
//! Nothing that belongs to one hop, and nothing that pretends to be the gate's; places on the
//! upstream become places on the gate. All else passes byte for byte.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use smallvec::SmallVec;

use super::address_map::{AddressMap, RequestedOrigin};
use crate::ledger::call::refusal::ReachedCap;
use crate::wire::fields;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Makes the headers of an answer those that the agent gets, which asked `gate`.
pub fn to_agent(headers: &mut HeaderMap, gate: RequestedOrigin<'_>, addresses: &AddressMap) {
    let mut not_the_agents: SmallVec<[HeaderName; 8]> = headers
        .keys()
        .filter(|name| is_kept_from_agent(name.as_str()))
        .cloned()
        .collect();
    not_the_agents.extend(named_by_connection(headers));
    for name in not_the_agents {
        headers.remove(name);
    }
    let reference = |text: &str| addresses.to_gate(text, gate);
    map_values(headers, &header::LOCATION, reference);
    map_values(headers, &header::CONTENT_LOCATION, reference);
    map_values(headers, &header::LINK, |text| links(text, &reference));
    map_values(headers, &header::REFRESH, |text| refresh(text, &reference));
    map_values(headers, &header::SET_COOKIE, |text| cookie(text, addresses));
}

/// Replaces each value of `name` for which `map` has another.
fn map_values(headers: &mut HeaderMap, name: &HeaderName, map: impl Fn(&str) -> Option<String>) {
    let header::Entry::Occupied(mut entry) = headers.entry(name) else {
        return;
    };
    for value in entry.iter_mut() {
        let mapped = value.to_str().ok().and_then(&map);
        if let Some(mapped) = mapped.and_then(|text| HeaderValue::from_str(&text).ok()) {
            *value = mapped;
        }
    }
}

/// The targets of a `Link` (RFC 8288), each between angle brackets outside of quoted strings.
fn links(text: &str, map: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut mapped = String::with_capacity(text.len());
    let (mut rest, mut is_quoted) = (text, false);
    while let Some(at) = rest.find(['<', '"', '\\']) {
        let (before, from) = rest.split_at(at);
        mapped.push_str(before);
        let taken = match from.as_bytes() {
            [b'<', ..] if !is_quoted => {
                let end = from.find('>')?;
                let target = from.get(1..end)?;
                mapped.push('<');
                mapped.push_str(&map(target).map_or(Cow::Borrowed(target), Cow::Owned));
                end
            }
            // An escaped character inside of a quoted string is not its end.
            [b'\\', next, ..] if is_quoted && next.is_ascii() => {
                mapped.push_str(from.get(..2)?);
                2
            }
            [first, ..] => {
                is_quoted ^= *first == b'"';
                mapped.push(char::from(*first));
                1
            }
            [] => 0,
        };
        rest = from.get(taken..)?;
    }
    mapped.push_str(rest);
    (mapped != text).then_some(mapped)
}

/// The target of a `Refresh`: `5; url=/next`.
fn refresh(text: &str, map: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let (delay, rest) = text.split_once([';', ','])?;
    let (word, target) = rest.split_once('=')?;
    if !word.trim().eq_ignore_ascii_case("url") {
        return None;
    }
    let mapped = map(target.trim().trim_matches(['"', '\'']))?;
    Some(format!("{delay}; url={mapped}"))
}

/// A cookie for the upstream's host and paths, as one for the gate's (RFC 6265).
fn cookie(text: &str, addresses: &AddressMap) -> Option<String> {
    let mut mapped = String::with_capacity(text.len());
    for (at, part) in text.split(';').enumerate() {
        let attribute = part.split_once('=').filter(|_| at > 0);
        match attribute.map(|(name, value)| (name.trim(), value.trim())) {
            Some((name, value))
                if name.eq_ignore_ascii_case("domain") && addresses.is_domain(value) => {}
            Some((name, value)) if name.eq_ignore_ascii_case("path") => {
                mapped.push_str("; Path=");
                mapped.push_str(
                    &addresses
                        .cookie_path(value)
                        .map_or(Cow::Borrowed(value), Cow::Owned),
                );
            }
            _ => {
                if at > 0 {
                    mapped.push(';');
                }
                mapped.push_str(part);
            }
        }
    }
    (mapped != text).then_some(mapped)
}

/// What Connection names.
fn named_by_connection(headers: &HeaderMap) -> SmallVec<[HeaderName; 8]> {
    let options = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| fields::options(value.as_bytes()));
    options
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        // Content-Length belongs to no hop: nobody may have it removed.
        .filter(|name| name != header::CONTENT_LENGTH)
        .collect()
}

/// `trailer` announces the fields behind the body, which pass: RFC 9110 section 6.6.2, and without
/// it they could not be sent on an HTTP/1 connection.
fn is_kept_from_agent(name: &str) -> bool {
    (fields::is_of_one_hop(name.as_bytes()) && name != "trailer") || name.starts_with("burngate-")
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

    use rstest::rstest;

    use super::super::connection::Scheme;
    use super::*;
    use crate::gate::policy::Upstream;

    fn crossed(came: &[(&'static str, &str)], route: &str) -> Vec<(String, Vec<u8>)> {
        let mut headers = HeaderMap::new();
        for (name, value) in came {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let upstream = Upstream {
            tls: false,
            host: Arc::from("tools"),
            port: 80,
            base: Arc::from(""),
        };
        let host = HeaderValue::from_static("gate");
        let gate = RequestedOrigin {
            scheme: Scheme::Http,
            host: Some(&host),
        };
        to_agent(
            &mut headers,
            gate,
            &AddressMap::new(&upstream, route).unwrap(),
        );
        let mut left: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect();
        left.sort_unstable();
        left
    }

    #[test]
    fn an_answer_crosses_as_it_is_but_for_its_hop_and_the_gates_own_names() {
        let left = crossed(
            &[
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("burngate-verdict", "allow"),
                ("content-length", "5"),
                ("transfer-encoding", "chunked"),
                ("x-raw", "caf\u{e9}"),
                ("location", "https://elsewhere/x"),
            ],
            "/p",
        );
        let expected = [
            ("content-length", "5"),
            ("location", "https://elsewhere/x"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-raw", "caf\u{e9}"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        assert_eq!(left, expected);
    }

    #[rstest]
    #[case(
        "set-cookie",
        "sid=1; Path=/v2; HttpOnly",
        "sid=1; Path=/a/v2; HttpOnly"
    )]
    #[case("set-cookie", "sid=Path=/; Domain=tools; Secure", "sid=Path=/; Secure")]
    #[case(
        "set-cookie",
        "sid=1; Domain=other.example",
        "sid=1; Domain=other.example"
    )]
    #[case(
        "link",
        "<http://tools/list?page=2>; rel=\"next\"",
        "<http://gate/a/list?page=2>; rel=\"next\""
    )]
    #[case(
        "link",
        "</x>; title=\"</y>\", <https://else/z>; rel=up",
        "</a/x>; title=\"</y>\", <https://else/z>; rel=up"
    )]
    #[case(
        "link",
        "</x>; title=\"a\\\"</y>\", </z>",
        "</a/x>; title=\"a\\\"</y>\", </a/z>"
    )]
    #[case("link", "</x", "</x")]
    #[case("content-location", "/orders/1", "/a/orders/1")]
    #[case("location", "http://tools/orders/1", "http://gate/a/orders/1")]
    #[case("refresh", "5; url=http://tools/next", "5; url=http://gate/a/next")]
    #[case("refresh", "5;URL='/next'", "5; url=/a/next")]
    #[case("refresh", "5", "5")]
    fn s35_s36_places_on_the_upstream_become_places_on_the_gate(
        #[case] name: &'static str,
        #[case] value: &str,
        #[case] mapped: &str,
    ) {
        let expected = vec![(name.to_owned(), mapped.as_bytes().to_vec())];
        assert_eq!(crossed(&[(name, value)], "/a"), expected);
    }
}
