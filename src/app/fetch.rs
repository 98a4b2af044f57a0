//! Fetches one document for `burngate init`: one bounded request to the address on the command line.
//!
//! No credentials are sent and no redirect is followed: an error names the new address, which the
//! operator can then give. A running gate never fetches.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::files::MAX_ATTACHMENT;
use crate::proxy::tls;

/// How long it may take as a whole.
const PATIENCE: Duration = Duration::from_secs(30);

/// The text at `url`, at most [`MAX_ATTACHMENT`] bytes.
pub fn fetch(url: &str) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    let bytes = runtime.block_on(async {
        timeout(PATIENCE, get(url))
            .await
            .with_context(|| format!("no answer within {} s", PATIENCE.as_secs()))?
    })?;
    String::from_utf8(bytes.into()).context("the answer is not UTF-8")
}

async fn get(url: &str) -> anyhow::Result<Bytes> {
    let uri: Uri = url
        .parse()
        .context("expected an address such as https://api.example/openapi.json")?;
    let (Some(authority), Some(scheme)) = (uri.authority(), uri.scheme_str()) else {
        bail!("expected an address such as https://api.example/openapi.json")
    };
    if authority.as_str().contains('@') {
        bail!(
            "an address with a password in it would end up in histories; fetch the document yourself and give the file"
        );
    }
    let is_tls = match scheme {
        "https" => true,
        "http" => false,
        other => bail!("`{other}` is not supported; use http or https"),
    };
    let (host, port) = (
        authority.host(),
        authority
            .port_u16()
            .unwrap_or(if is_tls { 443 } else { 80 }),
    );
    let plain_host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((plain_host, port))
        .await
        .with_context(|| format!("cannot connect to {host}:{port}"))?;
    let path = uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let request = Request::get(path)
        .header(header::HOST, authority.as_str())
        .header(
            header::ACCEPT,
            "application/json, application/yaml, */*;q=0.5",
        )
        .header(
            header::USER_AGENT,
            concat!("burngate/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::<Bytes>::new())?;
    if is_tls {
        let name = ServerName::try_from(plain_host.to_owned())
            .context("the host has no name that a certificate could have")?;
        let connector = tls::client(None).context("TLS")?;
        ask(
            connector
                .connect(name, stream)
                .await
                .with_context(|| format!("no TLS with {host}:{port}"))?,
            request,
        )
        .await
    } else {
        ask(stream, request).await
    }
}

/// One request on one connection, which is driven beside it.
async fn ask<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> anyhow::Result<Bytes> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        match (answer.status(), answer.headers().get(header::LOCATION)) {
            (StatusCode::OK, _) => {}
            (status, Some(location)) if status.is_redirection() => {
                bail!(
                    "it answers {status} and points to {}: give that address",
                    String::from_utf8_lossy(location.as_bytes())
                )
            }
            (status, _) => bail!("it answers {status}"),
        }
        let body = Limited::new(answer.into_body(), MAX_ATTACHMENT)
            .collect()
            .await;
        let body = body.map_err(|error| {
            anyhow::anyhow!(
                "{error}; a document has at most {} MiB",
                MAX_ATTACHMENT >> 20
            )
        })?;
        Ok(body.to_bytes())
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // A connection that ends first has handed over all that it had: the exchange knows how it
        // went.
        _ = connection => exchange.await,
    }
}
