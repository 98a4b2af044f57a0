//! Which tool API a request is for: by host where an API names its hosts, else by the longest path
//! prefix.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderName;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::address_map::AddressMap;
use crate::gate::policy::{Api, Mount, PolicySet, Protocol};
use crate::gate::retry::RetryBudget;
use crate::gate::time::Time;
use crate::wire::Malformed;
use crate::wire::credentials::FingerprintKey;
use crate::wire::target::CanonicalTarget;

/// The tool APIs of one policy version, with everything that forwarding to them needs. One for each
/// worker: built when the policies change.
pub struct RouteTable {
    by_host: Vec<(Arc<str>, usize)>,
    /// Longest prefix first.
    by_prefix: Vec<(Arc<str>, usize)>,
    apis: Vec<ApiRoute>,
    fingerprints: FingerprintKey,
}

/// One tool API on the gate.
pub struct ApiRoute {
    /// The API.
    pub api: Arc<Api>,
    /// Where it is, as an approval names it.
    pub upstream: Box<str>,
    /// Where requests go, and where answers seem to come from.
    pub addresses: AddressMap,
    /// Headers that hold credentials for it, besides Authorization and Cookie.
    pub credentials: Vec<HeaderName>,
    /// What is left for sending calls again. Each worker has its own, so that counting a call costs
    /// no lock; together they keep the same share.
    pub retries: Cell<RetryBudget>,
}

impl ApiRoute {
    /// Counts a call that is sent for the first time, now.
    pub fn called(&self) -> Instant {
        let mut retries = self.retries.get();
        retries.call();
        self.retries.set(retries);
        Instant::now()
    }

    /// Takes one retry, where one is left.
    #[must_use]
    pub fn may_retry(&self, now: Time) -> bool {
        let mut retries = self.retries.get();
        let may = retries.take(now);
        self.retries.set(retries);
        may
    }
}

impl RouteTable {
    /// The routes of `policies`. An API that speaks a protocol the gate cannot judge has none: it
    /// is unreachable, not unguarded.
    #[must_use]
    pub fn new(policies: &PolicySet, fingerprints: FingerprintKey, now: Time) -> Self {
        let mut routes = RouteTable {
            by_host: Vec::new(),
            by_prefix: Vec::new(),
            apis: Vec::new(),
            fingerprints,
        };
        for api in policies
            .apis
            .values()
            .filter(|api| api.protocol == Protocol::Http)
        {
            let prefix = match &api.mount {
                Mount::Route(prefix) => prefix,
                Mount::Hosts(_) => "/",
            };
            let Some(addresses) = AddressMap::new(&api.upstream, prefix) else {
                continue;
            };
            let (index, retries) = (routes.apis.len(), Cell::new(RetryBudget::new(now)));
            match &api.mount {
                Mount::Route(prefix) => routes.by_prefix.push((Arc::clone(prefix), index)),
                Mount::Hosts(hosts) => routes
                    .by_host
                    .extend(hosts.iter().map(|host| (Arc::clone(host), index))),
            }
            routes.apis.push(ApiRoute {
                api: Arc::clone(api),
                upstream: api.upstream.to_string().into(),
                addresses,
                credentials: api
                    .credentials
                    .iter()
                    .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
                    .collect(),
                retries,
            });
        }
        routes
            .by_prefix
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        routes
    }

    /// What fingerprints of credentials are keyed with.
    #[must_use]
    pub const fn fingerprints(&self) -> &FingerprintKey {
        &self.fingerprints
    }

    /// The route that [`RouteTable::find`] found.
    #[must_use]
    pub fn at(&self, index: usize) -> &ApiRoute {
        &self.apis[index]
    }

    /// Whether a request for `host` that reached the gate at `at` means the gate: a name of an API
    /// of its own, this machine's, or the address itself. Anything else the client made up.
    #[must_use]
    pub fn owns_host(&self, host: &str, at: Option<SocketAddr>) -> bool {
        let name = name_of(host);
        let is_known = |(known, _): &(Arc<str>, usize)| {
            known.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(host)
        };
        if name.eq_ignore_ascii_case("localhost") || self.by_host.iter().any(is_known) {
            return true;
        }
        let address = name.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok_and(|address| {
            address.is_loopback()
                || at.is_some_and(|at| at.ip().to_canonical() == address.to_canonical())
        })
    }

    /// The API that `host` and `target` name, and the target as the upstream will see it; `None`
    /// where no API is there.
    ///
    /// # Errors
    /// 421 where every API is found by host and this host is none of them (RFC 9110, 15.5.20).
    pub fn find<'a>(
        &self,
        host: &str,
        target: &'a CanonicalTarget<'_>,
    ) -> Result<Option<(usize, CanonicalTarget<'a>)>, Malformed> {
        let name = name_of(host);
        if let Some((_, index)) = self
            .by_host
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(host))
        {
            return Ok(target.strip_prefix("/").map(|rest| (*index, rest)));
        }
        let found = self
            .by_prefix
            .iter()
            .find_map(|(prefix, index)| target.strip_prefix(prefix).map(|rest| (*index, rest)));
        if found.is_none() && self.by_prefix.is_empty() && !self.by_host.is_empty() {
            return Err(Malformed::Misdirected);
        }
        Ok(found)
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    host.rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(name, _)| name)
}

/// The decoded segments of a path, as patterns match them: `/` has none.
#[must_use]
pub fn segments<'a>(target: &'a CanonicalTarget<'_>) -> SmallVec<[Cow<'a, str>; 8]> {
    if target.path() == "/" {
        SmallVec::new()
    } else {
        target.segments().collect()
    }
}
