//! What `listen` and `admin` mean: the addresses that the gate listens on.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::config::diagnostics::Notes;
use crate::config::source::process::OneOrMore;
use crate::config::source::setting::{At, Setting};

/// The most addresses to listen on.
pub const MAX_LISTEN: usize = 16;

/// An address of the data plane.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl std::str::FromStr for ListenAddress {
    type Err = String;

    /// Reads `host:port`, `:port` for every interface, or `unix:/path`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("expected a path after `unix:`".to_owned()),
            Some(path) => Ok(ListenAddress::Unix(path.into())),
            None => socket_address(text).map(ListenAddress::Tcp),
        }
    }
}

/// Reads `address:port`, `localhost:port` or `:port`. Names are not looked up: what a gate listens
/// on must not depend on DNS.
pub fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let port = port.parse::<u16>().ok().filter(|_| !port.starts_with('+'));
    let address = match (host, port) {
        ("localhost", Some(port)) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        ("", Some(port)) => Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        _ => text.parse().ok(),
    };
    address.ok_or_else(|| format!("expected an address such as 127.0.0.1:8080, found `{text}`"))
}

/// Lowers `listen`; `None` where it cannot be used.
pub(super) fn lower(
    field: &Setting<OneOrMore>,
    notes: &mut Notes<'_>,
) -> Option<Vec<ListenAddress>> {
    let written = field.given()?;
    let all: Vec<At<&str>> = match &written.value {
        OneOrMore::One(text) => vec![At {
            span: written.span.clone(),
            value: text,
        }],
        OneOrMore::More(list) => list
            .iter()
            .filter_map(Setting::given)
            .map(|at| At {
                span: at.span.clone(),
                value: at.value.as_str(),
            })
            .collect(),
    };
    if all.is_empty() || all.len() > MAX_LISTEN {
        notes.error(
            written.span.clone(),
            format!(
                "`listen`: expected 1 to {MAX_LISTEN} addresses, found {}",
                all.len()
            ),
        );
        return None;
    }
    let mut addresses = Vec::new();
    for at in all {
        match at.value.parse::<ListenAddress>() {
            Ok(address) if addresses.contains(&address) => {
                notes.error(at.span, format!("`listen`: `{address}` is written twice"));
            }
            Ok(address) => addresses.push(address),
            Err(message) => {
                notes
                    .error(at.span, format!("`listen`: {message}"))
                    .hint("host names are not looked up; `:8080` means every interface, `unix:/run/burngate.sock` a socket");
            }
        }
    }
    Some(addresses)
}
