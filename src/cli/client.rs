//! Talks to the admin API of a running gate: one request, one answer, one connection.
//!
//! Over hyper, which the gate brings anyway, on a runtime of this thread alone; the connection is
//! driven in the same place as the exchange, so nothing is spawned and nothing is left behind.
//! Every error says what to check: the address, the token, the role. No proxy variables and no
//! redirects are followed: a token goes where it was told to go and nowhere else.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::failure::Failure;
use super::render::when;
use super::{problem, render};
use crate::gate::time::Time;

/// The default address of the admin API.
pub(super) const DEFAULT_ADMIN: &str = "http://127.0.0.1:9901";

/// How long connecting may take: the gate is usually on this host.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an answer may take. A decision is answered once it is on disk.
const ANSWER: Duration = Duration::from_secs(30);

/// How long an upload may take in all. The gate closes one that makes no progress.
const UPLOAD: Duration = Duration::from_hours(1);

/// The largest answer that is read: a hundred thousand runs.
const MAX_ANSWER: usize = 64 << 20;

/// The longest token that is read.
const MAX_TOKEN: usize = 4096;

/// How a command finds the gate.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Gate")]
pub(super) struct ConnectionArgs {
    /// The URL of the gate's admin API
    #[arg(long, env = "BURNGATE_ADMIN", value_name = "URL", default_value = DEFAULT_ADMIN)]
    pub admin: String,

    /// The gate's data directory, from which the operator's token is read unless `BURNGATE_TOKEN`
    /// or `BURNGATE_TOKEN_FILE` is set
    #[arg(long, value_name = "DIR", default_value = "burngate-data")]
    pub data: PathBuf,
}

/// The gate, and how it is found.
pub(super) struct Client {
    address: GateAddress,
    connection: ConnectionArgs,
}

/// What the gate answered: a body of JSON.
#[derive(Debug)]
pub(super) struct GateAnswer {
    body: String,
}

impl GateAnswer {
    /// The answer as it came.
    #[must_use]
    pub(super) fn json(&self) -> &str {
        &self.body
    }

    /// Prints the answer: as it came where `json` is asked for, else as the page that `page` makes
    /// of it at the time now.
    pub(super) fn show<T: DeserializeOwned>(
        &self,
        json: bool,
        page: impl FnOnce(&T, Time) -> String,
    ) -> Result<(), Failure> {
        if json {
            render::show_json(&self.body)
        } else {
            render::show_page(&page(&self.read()?, when::now()))
        }
    }

    /// The answer as a value.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.body).map_err(|error| {
            Failure::new(format!("cannot read the gate's answer: {error}")).hint(
                "is that the admin address of a gate, and this `burngate` of the gate's version (`burngate --version`)?",
            )
        })
    }
}

impl ConnectionArgs {
    /// The gate to ask.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        Ok(Client {
            address: GateAddress::read(&self.admin)?,
            connection: self.clone(),
        })
    }
}

impl Client {
    /// Asks for what is at `path`.
    pub(super) fn get(&self, path: &str) -> Result<GateAnswer, Failure> {
        self.exchange(Method::GET, path, Bytes::new())
    }

    /// Sends `body` to `path`.
    pub(super) fn post(&self, path: &str, body: &impl Serialize) -> Result<GateAnswer, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failure::new(format!("cannot write the request: {error}")))?;
        self.exchange(Method::POST, path, body.into())
    }

    /// Sends `body`, which may be large and is read as it goes, to `path`.
    pub(super) fn upload<B>(
        &self,
        path: &str,
        kind: &'static str,
        body: B,
    ) -> Result<GateAnswer, Failure>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.exchange_as(Method::POST, path, kind, UPLOAD, body)
    }

    fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<GateAnswer, Failure> {
        self.exchange_as(method, path, "application/json", ANSWER, Full::new(body))
    }

    fn exchange_as<B>(
        &self,
        method: Method,
        path: &str,
        kind: &'static str,
        limit: Duration,
        body: B,
    ) -> Result<GateAnswer, Failure>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
        let (status, answer) = runtime.block_on(self.send(method, path, kind, limit, body))?;
        let body =
            String::from_utf8(answer.into()).map_err(|_| self.broken("the answer is not UTF-8"))?;
        if status.is_success() {
            Ok(GateAnswer { body })
        } else {
            Err(problem::read(status, &body))
        }
    }

    async fn send<B>(
        &self,
        method: Method,
        path: &str,
        kind: &'static str,
        limit: Duration,
        body: B,
    ) -> Result<(StatusCode, Bytes), Failure>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = self
            .in_time(CONNECT, TcpStream::connect(&self.address.authority))
            .await?
            .map_err(|error| self.unreachable(&in_words(&error)))?;
        // After connecting: where no gate runs, there is no token either, and the gate is what is
        // missing.
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let token = token(
            variable("BURNGATE_TOKEN"),
            variable("BURNGATE_TOKEN_FILE").map(PathBuf::from),
            &self.connection,
        )?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address.base))
            .header(header::HOST, &self.address.authority)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::ACCEPT, "application/json, application/problem+json")
            .header(
                header::USER_AGENT,
                concat!("burngate/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::CONTENT_TYPE, kind)
            .body(body)
            .map_err(|_| {
                Failure::usage(
                    "the token, or what was asked, holds characters that no request can carry",
                )
            })?;
        let answered = self.in_time(limit, ask(stream, request)).await?;
        answered.map_err(|error| self.broken(&error))
    }

    async fn in_time<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        timeout(limit, work)
            .await
            .map_err(|_| self.unreachable(&format!("no answer within {} s", limit.as_secs())))
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::new(format!("cannot reach the gate at {}: {why}", self.address))
            .hint("is `burngate run` up? it prints its admin address when it starts; name another address with --admin or BURNGATE_ADMIN")
    }

    fn broken(&self, why: &str) -> Failure {
        Failure::new(format!(
            "cannot read an answer from {}: {why}",
            self.address
        ))
        .hint("is that the admin address, and not the one that agents call?")
    }
}

/// One request on one connection, which is driven beside it. An error is a fragment.
async fn ask<B>(stream: TcpStream, request: Request<B>) -> Result<(StatusCode, Bytes), String>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // A connection that ends first has handed over all that it had: the exchange knows how it
        // went.
        _ = connection => exchange.await,
    }
}

/// Where the gate is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GateAddress {
    authority: String,
    base: String,
}

impl GateAddress {
    fn read(text: &str) -> Result<Self, Failure> {
        let bad = || {
            Failure::usage(format!("`{text}` is not the address of a gate"))
                .hint(format!("for example {DEFAULT_ADMIN}"))
        };
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", _)) => {
                return Err(Failure::usage(format!("`{text}`: the admin port speaks plain HTTP"))
                    .hint("reach a gate on another machine through a tunnel: ssh -L 9901:127.0.0.1:9901 HOST"));
            }
            Some(_) => return Err(bad()),
            None => text,
        };
        let (authority, base) = rest
            .split_once('/')
            .map_or((rest, ""), |(authority, path)| {
                (authority, path.trim_end_matches('/'))
            });
        let parsed: http::uri::Authority = authority.parse().map_err(|_| bad())?;
        // Credentials in an address would end up in messages and histories; a query has no meaning
        // here.
        if parsed.host().is_empty() || authority.contains('@') || base.contains(['?', '#', ' ']) {
            return Err(bad());
        }
        let authority = if parsed.port().is_some() {
            authority.to_owned()
        } else {
            format!("{}:80", parsed.host())
        };
        Ok(GateAddress {
            authority,
            base: if base.is_empty() {
                String::new()
            } else {
                format!("/{base}")
            },
        })
    }
}

impl std::fmt::Display for GateAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}{}", self.authority, self.base)
    }
}

/// The token: from BURNGATE_TOKEN, from the file that BURNGATE_TOKEN_FILE names, or the one that
/// the gate made.
fn token(
    said: Option<String>,
    file: Option<PathBuf>,
    connection: &ConnectionArgs,
) -> Result<String, Failure> {
    if let Some(token) = said {
        return Ok(token.trim().to_owned());
    }
    let named = file.is_some();
    let path = file.unwrap_or_else(|| connection.data.join("operator.token"));
    let shown = path.display();
    let text = fs::read_to_string(&path).map_err(|error| {
        let failure = Failure::new(format!("cannot read the operator's token in {shown}: {}", in_words(&error)));
        if named {
            return failure.hint("BURNGATE_TOKEN_FILE names this file");
        }
        failure.hint("name the gate's data directory with --data, or set BURNGATE_TOKEN or BURNGATE_TOKEN_FILE")
    })?;
    match text.trim() {
        "" => Err(Failure::new(format!("{shown} holds no token"))),
        token if token.len() > MAX_TOKEN => {
            Err(Failure::new(format!("{shown} holds more than a token")))
        }
        token => Ok(token.to_owned()),
    }
}

/// An error of the operating system as a fragment, without its number.
pub(super) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::AlreadyExists => "it exists already".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error")
                .next()
                .unwrap_or(&text)
                .to_lowercase()
        }
    }
}

/// `segments` as a path: each one encoded, so that a name cannot add segments.
#[must_use]
pub(super) fn path(segments: &[&str]) -> String {
    segments
        .iter()
        .fold(String::new(), |path, segment| path + "/" + &encode(segment))
}

/// `pairs` as a query, with its question mark; empty where there are none.
#[must_use]
pub(super) fn query(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={}", encode(value)))
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn encode(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}

#[cfg(test)]
pub(in crate::cli) mod scripted;
#[cfg(test)]
mod tests;
