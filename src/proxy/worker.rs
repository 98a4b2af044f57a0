//! One client connection, from its first byte to its last.
//!
//! Decides which protocol it speaks and keeps it within bounds: TLS or not, HTTP/1.1 behind the
//! guard or HTTP/2, how long it may be idle, when it must go. What a request is answered with is
//! the service's business; a service that panics costs its own call and nothing else (F32).

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::connection::{ClientConnection, Peer, Scheme, WorkerIndex};
use super::guard::{ClientPatience, Guarded};
use super::lazy_deadline::LazyDeadline;
use super::muted_waker::MutedWaker;
use super::observe::{OnEnd, ReplyBody};
use super::spawner::Spawner;
use super::watched_stream::WatchedStream;
use super::wire_state::WireState;
use crate::wire::framing::HeadLimits;

/// What a client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// hyper's buffers for each direction of a client's connection: the largest head twice over.
const MAX_BUFFER: usize = 128 * 1024;

/// Streams that were reset before they were looked at. More is an attack (rapid reset, hostile.md
/// A36).
const MAX_RESET_STREAMS: usize = 20;

/// Unsent bytes for each stream of HTTP/2.
const MAX_STREAM_BUFFER: usize = 64 * 1024;

/// How often an HTTP/2 peer is asked whether it is still there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_WAIT: Duration = Duration::from_secs(20);

/// How many calls of one HTTP/2 connection may be in flight.
const DEFAULT_STREAMS: u32 = 100;

/// How connections are accepted and kept.
#[derive(Clone)]
pub struct AcceptOptions {
    /// TLS for TCP listeners; swapped when the files change.
    pub tls: Option<Arc<ArcSwap<ServerConfig>>>,
    /// How many connections there may be at once, over all workers.
    pub connections: usize,
    /// How large a head may be.
    pub head: HeadLimits,
    /// How long a client may take.
    pub patience: ClientPatience,
    /// How many calls of one HTTP/2 connection may be in flight.
    pub streams: u32,
}

impl Default for AcceptOptions {
    fn default() -> Self {
        Self {
            tls: None,
            connections: 10_000,
            head: HeadLimits::default(),
            patience: ClientPatience::default(),
            streams: DEFAULT_STREAMS,
        }
    }
}

/// Answers requests. One for each worker: nothing of it crosses threads.
pub trait Serve: 'static {
    /// What learns how an upstream's answer ended.
    type EndToken: OnEnd;

    /// Answers one request of `connection`. Dropped, unfinished, when the connection goes first.
    fn serve(
        self: Rc<Self>,
        connection: Rc<ClientConnection>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<ReplyBody<Self::EndToken>>>;

    /// Called on the worker every second: the place to close what has been idle.
    fn tend(&self) {}
}

/// What a service learns about the worker it lives on.
#[derive(Debug, Clone)]
pub struct Local {
    /// Which one.
    pub worker: WorkerIndex,
    /// Starts tasks there, which are awaited when it drains.
    pub spawner: Spawner,
}

/// Tells every connection of a worker to finish.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    begun: Cell<bool>,
    notify: Notify,
}

impl Leaving {
    pub(super) fn begin(&self) {
        self.begun.set(true);
        self.notify.notify_waiters();
    }
}

/// All that the connections of one worker share.
pub(super) struct Worker<S> {
    serve: Rc<S>,
    local: Local,
    options: AcceptOptions,
    http1: http1::Builder,
    http2: http2::Builder<Spawner>,
    pub(super) leaving: Leaving,
}

/// An accepted socket, and how it came.
pub(super) struct Arrived<I> {
    pub(super) io: I,
    pub(super) peer: Peer,
    pub(super) tls: bool,
}

impl<S: Serve> Worker<S> {
    pub(super) fn new(serve: Rc<S>, local: Local, options: AcceptOptions) -> Self {
        let mut http1 = http1::Builder::new();
        // The guard keeps the clock: it tells idle from slow, and sets one timer for each
        // connection instead of one for each request. It also watches for clients that leave, which
        // hyper does not where something was pipelined.
        http1
            .half_close(true)
            .header_read_timeout(None)
            .max_buf_size(MAX_BUFFER);
        let mut http2 = http2::Builder::new(local.spawner.clone());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(options.streams)
            .max_header_list_size(u32::try_from(options.head.bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
            .max_local_error_reset_streams(MAX_RESET_STREAMS)
            .max_send_buf_size(MAX_STREAM_BUFFER)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WAIT);
        Self {
            serve,
            local,
            options,
            http1,
            http2,
            leaving: Leaving::default(),
        }
    }

    pub(super) fn tend(&self) {
        self.serve.tend();
    }

    pub(super) fn local(&self) -> &Local {
        &self.local
    }

    pub(super) fn options(&self) -> &AcceptOptions {
        &self.options
    }

    /// Serves one connection to its end. How it ended is only logged: each call has been settled
    /// by its own token.
    pub(super) async fn converse<I>(self: Rc<Self>, arrived: Arrived<I>)
    where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Arrived { io, peer, tls } = arrived;
        let ended = match self.options.tls.as_ref().filter(|_| tls) {
            None => self.greet(io, peer).await,
            Some(config) => {
                let handshake = TlsAcceptor::from(config.load_full()).accept(io);
                match tokio::time::timeout(self.options.patience.head, handshake).await {
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                    Ok(Err(error)) => Err(error),
                    Ok(Ok(stream)) => {
                        let (_, session) = stream.get_ref();
                        let certificates = session.peer_certificates().map(|chain| {
                            chain.iter().map(|one| one.clone().into_owned()).collect()
                        });
                        let is_http2 = session.alpn_protocol() == Some(b"h2");
                        let facts = |wire| ClientConnection {
                            peer,
                            scheme: Scheme::Https,
                            certificates,
                            worker: self.local.worker,
                            wire,
                        };
                        if is_http2 {
                            self.speak_http2(stream, Vec::new(), facts).await
                        } else {
                            self.speak_http1(stream, Vec::new(), facts).await
                        }
                    }
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(?peer, %error, "connection ended");
        }
    }

    /// Finds out by the first bytes which protocol a client without TLS speaks.
    async fn greet<I>(&self, mut io: I, peer: Peer) -> io::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let mut early = Vec::with_capacity(1024);
        let first = async {
            while early.len() < PREFACE.len() && PREFACE.starts_with(&early) {
                if io.read_buf(&mut early).await? == 0 {
                    break;
                }
            }
            io::Result::Ok(())
        };
        // A drain does not wait for a client that has not said anything yet.
        let mut drain = pin!(self.leaving.notify.notified());
        let mut first = pin!(tokio::time::timeout(self.options.patience.idle, first));
        let greeted = std::future::poll_fn(|cx| {
            if drain.as_mut().poll(cx).is_ready() || self.leaving.begun.get() {
                Poll::Ready(None)
            } else {
                first.as_mut().poll(cx).map(Some)
            }
        })
        .await;
        let Some(Ok(read)) = greeted else {
            return Ok(());
        };
        read?;
        let facts = |wire| ClientConnection {
            peer,
            scheme: Scheme::Http,
            certificates: None,
            worker: self.local.worker,
            wire,
        };
        if early.starts_with(PREFACE) {
            self.speak_http2(io, early, facts).await
        } else {
            self.speak_http1(io, early, facts).await
        }
    }

    async fn speak_http1<I>(
        &self,
        io: I,
        early: Vec<u8>,
        facts: impl FnOnce(Rc<WireState>) -> ClientConnection,
    ) -> io::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let wire = WireState::client(self.options.head);
        let client = WatchedStream::from(Guarded::client(
            io,
            Rc::clone(&wire),
            early,
            self.options.patience,
        ));
        let connection = Rc::new(facts(wire));
        let service =
            service_fn(|request| answer(Rc::clone(&self.serve), Rc::clone(&connection), request));
        let mut http = pin!(
            self.http1
                .serve_connection(TokioIo::new(client.clone()), service)
        );
        let mut drain = pin!(self.leaving.notify.notified());
        let (mut listening, mut leaving, mut muted) = (false, false, MutedWaker::default());
        std::future::poll_fn(|cx| {
            let cx = &mut Context::from_waker(muted.waker(cx.waker()));
            if !leaving {
                // Once is enough: the same task is woken then. Asking each time would take a lock
                // for each request.
                if !listening {
                    listening = drain.as_mut().poll(cx).is_pending();
                }
                if self.leaving.begun.get() {
                    leaving = true;
                    http.as_mut().graceful_shutdown();
                }
            }
            // What ends the wait here drops the call with everything it was about to do.
            if client.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            client.begin();
            match http.as_mut().poll(cx) {
                Poll::Ready(ended) => Poll::Ready(ended.map_err(io::Error::other)),
                Poll::Pending => client
                    .poll_gone(cx)
                    .map(|()| Err(io::ErrorKind::ConnectionAborted.into())),
            }
        })
        .await
    }

    async fn speak_http2<I>(
        &self,
        io: I,
        early: Vec<u8>,
        facts: impl FnOnce(Rc<WireState>) -> ClientConnection,
    ) -> io::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let wire = WireState::unguarded();
        let io = TokioIo::new(Guarded::client(
            io,
            Rc::clone(&wire),
            early,
            ClientPatience {
                idle: Duration::MAX,
                ..self.options.patience
            },
        ));
        let connection = Rc::new(facts(wire));
        let streams = Rc::new(Cell::new(0_usize));
        let service = service_fn(|request| {
            let stream = InFlight::begin(&streams);
            let answer = answer(Rc::clone(&self.serve), Rc::clone(&connection), request);
            async move {
                let answered = answer.await;
                drop(stream);
                answered
            }
        });
        let mut http = pin!(self.http2.serve_connection(io, service));
        let mut drain = pin!(self.leaving.notify.notified());
        let mut idle = LazyDeadline::default();
        let mut leaving = false;
        std::future::poll_fn(|cx| {
            if streams.get() > 0 {
                idle.reset();
            }
            if !leaving {
                let drains = drain.as_mut().poll(cx).is_ready() || self.leaving.begun.get();
                let is_over =
                    idle.poll_over(self.options.patience.idle, cx).is_ready() && streams.get() == 0;
                if drains || is_over {
                    leaving = true;
                    http.as_mut().graceful_shutdown();
                } else if streams.get() > 0 {
                    idle.reset();
                }
            }
            http.as_mut().poll(cx)
        })
        .await
        .map_err(io::Error::other)
    }
}

/// Counts a call of an HTTP/2 connection while it is in flight.
struct InFlight(Rc<Cell<usize>>);

impl InFlight {
    fn begin(streams: &Rc<Cell<usize>>) -> Self {
        streams.set(streams.get() + 1);
        Self(Rc::clone(streams))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Asks the service, and answers for it if it panics.
async fn answer<S: Serve>(
    serve: Rc<S>,
    connection: Rc<ClientConnection>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody<S::EndToken>>, Infallible> {
    let mut answer = pin!(serve.serve(connection, request));
    // Unwind safe: the future is not polled again, and what it shared with others was theirs to
    // keep whole.
    let polled = std::future::poll_fn(|cx| {
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    });
    Ok(polled.await.unwrap_or_else(|| {
        tracing::error!("a call panicked");
        let mut response = Response::new(ReplyBody::Full(Bytes::from_static(INTERNAL)));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }))
}

/// Nothing is known about the call any more, not even whether it was executed.
const INTERNAL: &[u8] = br#"{"type":"urn:burngate:problem:internal","title":"internal error","status":500,"detail":"The gate failed while serving this call.","executed":"unknown"}"#;

#[cfg(test)]
mod tests;
