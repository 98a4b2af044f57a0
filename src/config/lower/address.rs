//! Where a tool API is: its URL upstream, and its mount on the gate.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::listen::ListenAddress;
use super::process::Process;
use super::written::{items, span_of};
use crate::config::diagnostics::Notes;
use crate::config::source::api::ApiDocument;
use crate::config::source::setting::{At, Setting};
use crate::config::source::tree::SourceSpan;
use crate::gate::policy::{Mount, Upstream};

/// The path prefix that the gate keeps for the agent itself.
const RESERVED: &str = "/.burngate";

/// Reads an upstream's URL, which is written under `key`.
pub(super) fn upstream(
    at: &At<String>,
    key: &str,
    process: &Process,
    notes: &mut Notes<'_>,
) -> Option<Upstream> {
    let upstream = parse_upstream(&at.value)
        .map_err(|(message, hint)| {
            notes
                .error(at.span.clone(), format!("`{key}`: {message}"))
                .hint(hint);
        })
        .ok()?;
    if let Some((own, address)) = own_address(&upstream, process) {
        notes
            .error(
                at.span.clone(),
                format!("`{key}`: `{}` is the gate's own address: `{own}` is {address}", at.value),
            )
            .label("a call would come back to the gate")
            .hint(format!("write where the tool API listens, or let the gate listen elsewhere: `{own}` in burngate.yaml"));
    }
    Some(upstream)
}

/// The key and the address of the gate itself that `upstream` names. Host names other than
/// `localhost` are not looked up.
fn own_address(upstream: &Upstream, process: &Process) -> Option<(&'static str, SocketAddr)> {
    let agents = process.listen.iter().filter_map(|listen| match listen {
        ListenAddress::Tcp(address) => Some(("listen", *address)),
        ListenAddress::Unix(_) => None,
    });
    agents
        .chain([("admin", process.admin)])
        .find(|(_, own)| reaches(&upstream.host, upstream.port, *own))
}

/// Does a connection to `host` and `port` from this machine arrive at who listens on `own`?
fn reaches(host: &str, port: u16, own: SocketAddr) -> bool {
    let own_ip = own.ip().to_canonical();
    let any_loopback = own_ip.is_unspecified();
    let is_reached = if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        let ip = ip.to_canonical();
        // To connect to the unspecified address is to connect to this machine.
        let is_local = ip.is_loopback() || ip.is_unspecified();
        ip == own_ip || (any_loopback && is_local) || (ip.is_unspecified() && own_ip.is_loopback())
    } else {
        let name = host.trim_end_matches('.');
        let is_local = name == "localhost" || name.ends_with(".localhost");
        is_local && (any_loopback || own_ip.is_loopback())
    };
    port == own.port() && is_reached
}

fn parse_upstream(text: &str) -> Result<Upstream, (String, &'static str)> {
    const EXAMPLE: &str = "for example http://127.0.0.1:3000";
    let expected = || format!("expected an http or https URL, found `{text}`");
    let (tls, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
        _ => return Err((expected(), EXAMPLE)),
    };
    if rest.contains('#') || rest.contains('?') {
        return Err((
            format!("a URL with a query or fragment cannot be forwarded to, found `{text}`"),
            "leave out everything from `?` or `#` on",
        ));
    }
    let uri: http::Uri = text.parse().map_err(|_| (expected(), EXAMPLE))?;
    let authority = uri.authority().ok_or_else(|| (expected(), EXAMPLE))?;
    if authority.as_str().contains('@') {
        return Err((
            "a URL with a user name or password would put the secret into policies and logs"
                .to_owned(),
            "leave it out; the agent's `Authorization` header passes untouched",
        ));
    }
    let port = match authority.port() {
        Some(port) => Some(port.as_u16()),
        // Something follows the host, and it is not a port.
        None if authority.as_str().len() > authority.host().len() => None,
        None => Some(if tls { 443 } else { 80 }),
    };
    let Some(port) = port.filter(|port| *port > 0 && !authority.host().is_empty()) else {
        return Err((expected(), EXAMPLE));
    };
    let base = uri.path().trim_end_matches('/');
    if !base.is_empty() && !is_plain_path(base) {
        return Err((
            format!("the path `{base}` is ambiguous"),
            "use a path without empty, `.` or `..` segments and without `%`",
        ));
    }
    Ok(Upstream {
        tls,
        host: authority.host().to_ascii_lowercase().into(),
        port,
        base: base.into(),
    })
}

/// Lowers `route` or `hosts`: which requests belong to the API, and the span for errors about it.
pub(super) fn mount(
    document: &ApiDocument,
    name: &str,
    name_span: &SourceSpan,
    notes: &mut Notes<'_>,
) -> Option<(Mount, SourceSpan)> {
    match (&document.route, span_of(&document.hosts)) {
        (Setting::Given(route), Some(hosts)) => {
            let message = format!("api `{name}` has both `route` and `hosts`");
            notes
                .error(hosts, message)
                .hint("a prefix and host names are two ways to find it; keep one")
                .label("the second one");
            route_mount(route, notes);
            None
        }
        (Setting::Given(route), None) => route_mount(route, notes),
        (Setting::Absent, None) if document.hosts.is_absent() => {
            Some((Mount::Route(format!("/{name}").into()), name_span.clone()))
        }
        (_, Some(span)) => {
            let mut hosts: Vec<Arc<str>> = items(&document.hosts)
                .filter_map(|host| host_name(host, notes))
                .collect();
            hosts.sort_unstable();
            if hosts.is_empty() {
                notes
                    .error(span.clone(), format!("`hosts` of api `{name}` is empty"))
                    .hint("name a host, or use `route`");
                return None;
            }
            Some((Mount::Hosts(hosts), span))
        }
        (Setting::Bad | Setting::Absent, None) => None,
    }
}

fn route_mount(at: &At<String>, notes: &mut Notes<'_>) -> Option<(Mount, SourceSpan)> {
    let route = at.value.as_str();
    let reserved = route == RESERVED || route.starts_with("/.burngate/");
    if route != "/" && (!is_plain_path(route) || reserved) {
        let hint = if reserved {
            "that prefix is the gate's own"
        } else {
            "for example `/payments`, or `/` for a single API"
        };
        notes
            .error(
                at.span.clone(),
                format!("`route`: expected a path prefix, found `{route}`"),
            )
            .hint(hint);
        return None;
    }
    Some((Mount::Route(route.into()), at.span.clone()))
}

fn host_name(at: &At<String>, notes: &mut Notes<'_>) -> Option<Arc<str>> {
    let host = at.value.to_ascii_lowercase();
    let plain = !host.is_empty()
        && host.len() <= 253
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if !plain || host.starts_with('.') || host.ends_with('.') {
        notes
            .error(
                at.span.clone(),
                format!("`hosts`: expected a host name, found `{}`", at.value),
            )
            .hint("write it without scheme, port or wildcard");
        return None;
    }
    Some(host.into())
}

/// Starts and does not end with a slash, and every segment has one reading.
fn is_plain_path(path: &str) -> bool {
    let plain = |segment: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(allowed)
    };
    path.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(plain))
}

/// What both mounts have in common, where one request could belong to both.
pub(super) fn overlap(a: &Mount, b: &Mount) -> Option<String> {
    match (a, b) {
        (Mount::Route(a), Mount::Route(b)) => {
            let below = |inner: &str, outer: &str| {
                outer == "/"
                    || inner == outer
                    || inner
                        .strip_prefix(outer)
                        .is_some_and(|rest| rest.starts_with('/'))
            };
            if below(a, b) {
                Some(format!("`{a}`"))
            } else {
                below(b, a).then(|| format!("`{b}`"))
            }
        }
        (Mount::Hosts(a), Mount::Hosts(b)) => a
            .iter()
            .find(|host| b.contains(host))
            .map(|host| format!("host `{host}`")),
        // A host that is listed is looked up before any prefix, so there is one reading.
        (Mount::Route(_), Mount::Hosts(_)) | (Mount::Hosts(_), Mount::Route(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_an_origin_and_perhaps_a_path() {
        let read = |text| parse_upstream(text).map(|upstream| upstream.to_string());
        assert_eq!(
            read("http://127.0.0.1:3000").unwrap(),
            "http://127.0.0.1:3000"
        );
        assert_eq!(
            read("https://API.example/v1/").unwrap(),
            "https://api.example:443/v1"
        );
        assert_eq!(read("http://[::1]:9/mcp").unwrap(), "http://[::1]:9/mcp");
        for bad in [
            "",
            "127.0.0.1:3000",
            "ftp://x",
            "http://",
            "http://u:p@x",
            "http://x/?a=1",
            "http://x/#a",
            "http://x:0",
            "http://x:",
            "http://x:99999",
            "http://x/a/../b",
            "http://x//b",
            "http://x/%2e",
            "http://x y",
        ] {
            assert!(parse_upstream(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn s69_an_upstream_is_not_the_gate_itself() {
        let own = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (host, listening) in [
            ("127.0.0.1", "127.0.0.1:80"),
            ("localhost", "127.0.0.1:80"),
            ("localhost.", "[::1]:80"),
            ("gate.localhost", "0.0.0.0:80"),
            ("[::1]", "[::]:80"),
            ("127.0.0.9", "0.0.0.0:80"),
            ("0.0.0.0", "127.0.0.1:80"),
            ("[::ffff:127.0.0.1]", "127.0.0.1:80"),
            ("10.0.0.7", "10.0.0.7:80"),
        ] {
            assert!(reaches(host, 80, own(listening)), "{host} {listening}");
            assert!(!reaches(host, 81, own(listening)), "{host} {listening}");
        }
        for (host, listening) in [
            ("127.0.0.2", "127.0.0.1:80"),
            ("10.0.0.8", "10.0.0.7:80"),
            ("10.0.0.8", "0.0.0.0:80"),
            ("crm.internal", "0.0.0.0:80"),
            ("localhost", "10.0.0.7:80"),
        ] {
            assert!(!reaches(host, 80, own(listening)), "{host} {listening}");
        }
    }

    #[test]
    fn mounts_overlap_where_one_request_would_belong_to_both() {
        let route = |text: &str| Mount::Route(text.into());
        let hosts = |names: &[&str]| Mount::Hosts(names.iter().map(|&name| name.into()).collect());
        assert!(overlap(&route("/pay"), &route("/pay")).is_some());
        assert!(overlap(&route("/pay"), &route("/pay/in")).is_some());
        assert!(overlap(&route("/"), &route("/pay")).is_some());
        assert!(overlap(&route("/pay"), &route("/payments")).is_none());
        assert!(overlap(&hosts(&["a", "b"]), &hosts(&["b"])).is_some());
        assert!(overlap(&hosts(&["a"]), &route("/")).is_none());
    }

    #[test]
    fn a_prefix_has_one_spelling() {
        for good in ["/payments", "/a/b", "/a.b_c~d-e"] {
            assert!(is_plain_path(good), "{good}");
        }
        for bad in [
            "", "/", "payments", "/a/", "//a", "/a/../b", "/a%20b", "/a b", "/{x}", "/é",
        ] {
            assert!(!is_plain_path(bad), "{bad}");
        }
    }
}
