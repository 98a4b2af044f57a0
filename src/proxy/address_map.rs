//! How addresses on one tool API and on the gate map to each other.
//!
//! An answer may name places on its upstream: where a redirect goes, the next page, what a cookie is
//! for. An agent reaches them only through the gate, so each becomes the address that the gate has
//! for it. Places elsewhere stay as they are.

use http::HeaderValue;

use super::connection::Scheme;
use crate::gate::policy::Upstream;

/// How addresses on one tool API and on the gate map to each other.
#[derive(Debug, Clone)]
pub struct AddressMap {
    upstream: Upstream,
    host: HeaderValue,
    route: Box<str>,
}

/// The scheme and host by which the agent addressed the gate.
#[derive(Debug, Clone, Copy)]
pub struct RequestedOrigin<'a> {
    /// The scheme of its connection.
    pub scheme: Scheme,
    /// The request's `Host`.
    pub host: Option<&'a HeaderValue>,
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

    /// The upstream's `Host`: `host`, or `host:port` where the port is not its scheme's own.
    #[must_use]
    pub const fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// What the gate puts before the upstream's paths; empty for an API that owns its host.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.route
    }

    /// A reference to a place on the upstream, as one to the gate. `None` for a place elsewhere and
    /// for a reference relative to the request's own path: both are right as they are.
    #[must_use]
    pub fn to_gate(&self, reference: &str, gate: RequestedOrigin<'_>) -> Option<String> {
        let upstream = &self.upstream;
        let absolute = |rest: &str| {
            let path = below(rest, &upstream.base)?;
            let (scheme, host) = (gate.scheme.as_str(), gate.host?.to_str().ok()?);
            Some(format!("{scheme}://{host}{}{path}", self.route))
        };
        if let Some(rest) = reference.strip_prefix("//") {
            return absolute(after_authority(rest, upstream.tls, upstream)?);
        }
        if reference.starts_with('/') {
            return self.path_to_gate(reference);
        }
        let (scheme, rest) = reference.split_once("://")?;
        let is_tls = match () {
            () if scheme.eq_ignore_ascii_case("https") => true,
            () if scheme.eq_ignore_ascii_case("http") => false,
            () => return None,
        };
        if is_tls != upstream.tls {
            return None;
        }
        absolute(after_authority(rest, is_tls, upstream)?)
    }

    /// A path on the upstream, with what follows it, as one on the gate.
    fn path_to_gate(&self, path: &str) -> Option<String> {
        Some(match (&*self.route, below(path, &self.upstream.base)?) {
            ("", "") => "/".to_owned(),
            (route, path) => format!("{route}{path}"),
        })
    }

    /// The path of a cookie of the upstream, as one of the gate: a cookie for more than what the
    /// gate shows of the upstream is for all of that.
    #[must_use]
    pub fn cookie_path(&self, path: &str) -> Option<String> {
        let covers_base = below(&self.upstream.base, path.trim_end_matches('/')).is_some();
        if covers_base {
            return self.path_to_gate(&self.upstream.base);
        }
        self.path_to_gate(path)
    }

    /// Whether a cookie of this domain is one of the upstream's host.
    #[must_use]
    pub fn is_domain(&self, domain: &str) -> bool {
        let (host, domain) = (&*self.upstream.host, domain.trim_start_matches('.'));
        let start = host.len().checked_sub(domain.len());
        !domain.is_empty()
            && start.is_some_and(|start| {
                host.get(start..)
                    .is_some_and(|end| end.eq_ignore_ascii_case(domain))
                    && (start == 0 || host.as_bytes().get(start - 1) == Some(&b'.'))
            })
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;

    use super::*;

    fn upstream(tls: bool, host: &str, port: u16, base: &str) -> Upstream {
        Upstream {
            tls,
            host: Arc::from(host),
            port,
            base: Arc::from(base),
        }
    }

    fn to_gate(reference: &str, scheme: Scheme, addresses: &AddressMap) -> Option<String> {
        let host = HeaderValue::from_static("gate");
        let gate = RequestedOrigin {
            scheme,
            host: Some(&host),
        };
        addresses.to_gate(reference, gate)
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
        let found = to_gate(location, Scheme::Https, &addresses);
        assert_eq!(found.as_deref(), rewritten);
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
        let found = to_gate(location, Scheme::Http, &addresses);
        assert_eq!(found.as_deref(), rewritten);
    }

    #[rstest]
    #[case("", "/a", "/v2", "/a/v2")]
    #[case("", "/a", "/", "/a")]
    #[case("/v2", "/a", "/v2", "/a")]
    #[case("/v2", "/a", "/", "/a")]
    #[case("/v2", "/", "/v2/x", "/x")]
    #[case("/v2", "/", "/", "/")]
    fn s35_a_cookies_path_is_one_of_the_gate(
        #[case] base: &str,
        #[case] route: &str,
        #[case] path: &str,
        #[case] mapped: &str,
    ) {
        let addresses = AddressMap::new(&upstream(true, "tools", 443, base), route).unwrap();
        assert_eq!(addresses.cookie_path(path).as_deref(), Some(mapped));
    }

    #[test]
    fn a_domain_is_the_upstreams_host_or_above_it() {
        let addresses = AddressMap::new(&upstream(true, "api.example.com", 443, ""), "/").unwrap();
        for (domain, is) in [
            ("api.example.com", true),
            (".Example.com", true),
            ("ple.com", false),
            ("", false),
            ("x.api.example.com", false),
        ] {
            assert_eq!(addresses.is_domain(domain), is, "{domain}");
        }
    }
}
