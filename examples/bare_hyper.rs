//! The yardstick: the least that a reverse proxy on hyper can do, with hyper-util's pooled client,
//! one thread and the allocator of the gate.
//!
//! `bare_hyper --listen 127.0.0.1:8102 --upstream 127.0.0.1:8000`
//!
//! It checks nothing and hides nothing. What the gate costs is its CPU per request divided by this
//! one's, measured side by side.

use std::convert::Infallible;
use std::net::SocketAddr;

use http::header::{CONNECTION, HeaderName, TE, TRAILER, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MAX_IDLE: usize = 1024;

type Body = Either<Incoming, Empty<Bytes>>;

fn main() -> anyhow::Result<()> {
    let listen: SocketAddr = flag("--listen", "127.0.0.1:8102").parse()?;
    let upstream: Authority = flag("--upstream", "127.0.0.1:8000").parse()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(listen, upstream))
}

fn flag(name: &str, default: &str) -> String {
    std::env::args()
        .skip_while(|argument| argument != name)
        .nth(1)
        .unwrap_or_else(|| default.to_owned())
}

async fn serve(listen: SocketAddr, upstream: Authority) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(MAX_IDLE)
        .build(connector);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, upstream) = (client.clone(), upstream.clone());
        let service = service_fn(move |request| forward(client.clone(), upstream.clone(), request));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn forward(
    client: Client<HttpConnector, Incoming>,
    upstream: Authority,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut target = Uri::default().into_parts();
    target.scheme = Some(Scheme::HTTP);
    target.authority = Some(upstream);
    target.path_and_query = Some(
        request
            .uri()
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/")),
    );
    let Ok(target) = Uri::from_parts(target) else {
        return Ok(bad_gateway());
    };
    *request.uri_mut() = target;
    *request.version_mut() = Version::HTTP_11;
    remove_hop_by_hop(request.headers_mut());
    Ok(match client.request(request).await {
        Ok(mut response) => {
            remove_hop_by_hop(response.headers_mut());
            response.map(Either::Left)
        }
        Err(_) => bad_gateway(),
    })
}

fn bad_gateway() -> Response<Body> {
    let mut response = Response::new(Either::Right(Empty::new()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in [
        CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        TE,
        TRAILER,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}
