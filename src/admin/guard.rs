//! Checks on every request and headers on every answer: refuses requests that a page of another
//! site sent, and names that DNS rebound to this host; keeps browsers from storing, framing or
//! sniffing answers.
//!
//! A token in a header cannot be sent by a foreign page, so this is the second line of defence
//! (A102); the first is `auth`.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::error::AdminError;
use crate::api::Slug;

/// From where a listener can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From this host alone: a `Host` that names anything else was rebound to it by DNS.
    Loopback,
    /// From other hosts, under names that the gate does not know.
    Network,
}

/// Headers of every answer. `no-store`: answers hold arguments and reasons.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Refuses what another site sent, and puts the headers on whatever is answered. A request on a
/// listener of unknown reach is judged as on loopback.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let reach = request
        .extensions()
        .get()
        .copied()
        .unwrap_or(Reach::Loopback);
    let mut response = match check(request.headers(), request.uri(), reach) {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn check(headers: &HeaderMap, uri: &Uri, reach: Reach) -> Result<(), AdminError> {
    let host = match (sole(headers, &header::HOST)?, uri.authority()) {
        (Some(host), None) => host,
        (None, Some(authority)) => authority.as_str(),
        (Some(host), Some(authority)) if host.eq_ignore_ascii_case(authority.as_str()) => host,
        _ => {
            return Err(AdminError::new(
                Slug::Malformed,
                "the request must name one host",
            ));
        }
    };
    if reach == Reach::Loopback && !is_loopback(host) {
        return Err(AdminError::new(
            Slug::Forbidden,
            "this listener is reached as localhost or by its address, under no other name",
        ));
    }
    if let Some(origin) = sole(headers, &header::ORIGIN)? {
        let own = origin.split_once("://").is_some_and(|(scheme, authority)| {
            matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(host)
        });
        if !own {
            return Err(foreign());
        }
    }
    match sole(headers, &HeaderName::from_static("sec-fetch-site"))? {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(foreign()),
    }
}

fn foreign() -> AdminError {
    AdminError::new(Slug::Forbidden, "a page of another site sent this request")
}

/// The header's only value. Several are an error, because two readers could take different ones.
fn sole<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, AdminError> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(AdminError::new(
            Slug::Malformed,
            format!("the header `{name}` comes twice"),
        ));
    }
    first
        .map(|value| {
            value.to_str().map_err(|_| {
                AdminError::new(Slug::Malformed, format!("the header `{name}` is not text"))
            })
        })
        .transpose()
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
