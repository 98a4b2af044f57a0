//! The admin listener: accepts connections, bounds how many are open at once, and drains on
//! shutdown.
//!
//! HTTP/1 only. Connections are tasks of one set that this function owns and awaits; when it
//! returns, nothing of it runs any more.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::guard::Reach;

/// The most connections at once. Past it, accepting waits: people are few, and a page opens six.
pub const MAX_CONNECTIONS: usize = 256;
/// How long a request's head may take, and how long a connection may idle.
const HEAD: Duration = Duration::from_secs(10);
/// The largest head.
const MAX_HEAD: usize = 32 * 1024;
/// How long open requests may take to end after the stop. Longer than the wait for a disk.
pub const DRAIN: Duration = Duration::from_secs(12);
/// How long accepting rests after it failed: with no file descriptor left, the next try fails as
/// well.
const REST: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `stop` resolves and open requests have ended, or [`DRAIN`]
/// is over.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()> + Send) {
    let reach = listener.local_addr().map_or(Reach::Loopback, reach);
    let router = router.layer(Extension(reach));
    let stopping = CancellationToken::new();
    let mut open = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    open.spawn(connection(stream, router.clone(), stopping.clone()));
                }
                Err(error) => {
                    tracing::warn!(target: crate::telemetry::log::PROCESS, %error, "the admin listener cannot accept");
                    tokio::time::sleep(REST).await;
                }
            },
        }
    }
    drop(listener);
    stopping.cancel();
    if timeout(DRAIN, async { while open.join_next().await.is_some() {} })
        .await
        .is_err()
    {
        open.shutdown().await;
    }
}

fn reach(address: SocketAddr) -> Reach {
    if address.ip().is_loopback() {
        Reach::Loopback
    } else {
        Reach::Network
    }
}

async fn connection(stream: TcpStream, router: Router, stopping: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router
                    .oneshot(request.map(Body::new))
                    .await
                    .unwrap_or_else(|never| match never {}),
            )
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    // How a connection breaks off concerns nobody: what it asked for is in the journal or is not.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
