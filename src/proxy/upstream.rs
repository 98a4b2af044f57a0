//! One connection to a tool API, and one exchange on it.
//!
//! Decides what is known about a request when its sending fails: not a byte of it was written (then
//! it comes back, and may take another connection), or nobody knows whether it was executed.
//! Nothing is ever sent twice from here.
//!
//! A connection has no task of its own. Whoever waits for its answer drives it: one wake-up from
//! the socket to the relayed answer, and dropping the wait closes the connection. So hyper's
//! channels between driver and waiter are only ever touched from within one poll, and the waiter's
//! side needs no waker.

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, StatusCode, Version, response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::guard::Guarded;
use super::lazy_deadline::LazyDeadline;
use super::muted_waker::take_frame;
use super::outbound::{BodyFailure, OutBody};
use super::socket::Socket;
use super::wire_state::WireState;
use crate::wire::Malformed;
use crate::wire::framing::HeadLimits;

/// hyper's buffer for each direction of an upstream connection: room for the largest head, and
/// little enough to hold for every connection of a slow agent.
const MAX_UPSTREAM_BUFFER: usize = 128 * 1024;

/// How long an upstream may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the last byte of the request that could be written to the head of the answer.
    pub answer: Duration,
    /// Between two pieces of the answer's body.
    pub silence: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Provably not a byte of it was written: the connection had died in the pool. It may take
    /// another lease.
    #[error("the connection was closed before the request was sent")]
    Unsent(Box<Request<OutBody>>),
    /// The client's body failed; the request was broken off.
    #[error("the request's body failed: {0}")]
    Body(BodyFailure),
    /// No answer in time. Whether it was executed is unknown.
    #[error("the upstream did not answer in time")]
    Timeout,
    /// The connection broke.
    #[error("the upstream closed the connection")]
    Reset {
        /// Whether any byte of the request was handed to the socket. If not, it was not executed,
        /// and the request itself is lost all the same.
        written: bool,
    },
    /// The answer's head is over a bound. Whether the request was executed is unknown.
    #[error("the head of the upstream's answer has more than {most} {of}")]
    TooLarge {
        /// The bound.
        most: usize,
        /// Of what: bytes or header fields.
        of: &'static str,
    },
    /// The answer is malformed. Whether the request was executed is unknown.
    #[error("the upstream's answer is malformed")]
    Malformed,
}

/// Why an answer's body broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenAnswer {
    /// The connection closed or broke before the body's end.
    #[error("the upstream closed the connection inside its answer")]
    Reset,
    /// Nothing came for too long.
    #[error("the upstream fell silent inside its answer")]
    Timeout,
    /// Its framing is not beyond doubt.
    #[error("the upstream's answer is malformed")]
    Malformed,
}

/// Connections to one upstream that wait for a request, the one used last on top.
#[derive(Debug, Default)]
pub(super) struct IdleList {
    #[expect(
        clippy::vec_box,
        reason = "a connection moves between lease, body and idle for every call; its box is all that is copied"
    )]
    waiting: RefCell<Vec<Box<UpstreamConnection>>>,
    room: usize,
    limit: Duration,
}

impl IdleList {
    pub(super) fn new(room: usize, limit: Duration) -> Rc<Self> {
        Rc::new(Self {
            waiting: RefCell::default(),
            room,
            limit,
        })
    }

    /// The connection used last, if it is still good.
    pub(super) fn take(&self) -> Option<Box<UpstreamConnection>> {
        loop {
            let mut live = self.waiting.borrow_mut().pop()?;
            if live.since.elapsed() >= self.limit {
                // Those below it have waited longer still.
                self.waiting.borrow_mut().clear();
                return None;
            }
            if live.is_ready() {
                return Some(live);
            }
        }
    }

    pub(super) fn put(&self, mut live: Box<UpstreamConnection>) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < self.room && live.is_ready() {
            live.since = Instant::now();
            live.wait.hand_over();
            waiting.push(live);
        }
    }

    /// Drops what has waited too long or was closed meanwhile. Says whether anything is left.
    pub(super) fn tidy(&self) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain_mut(|live| live.since.elapsed() < self.limit && live.is_ready());
        !waiting.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.borrow().len()
    }
}

/// A connection and its sender. `driver` is `None` once it has ended.
pub(super) struct UpstreamConnection {
    sender: SendRequest<OutBody>,
    driver: Option<Driver>,
    wire: Rc<WireState>,
    limits: HeadLimits,
    wait: LazyDeadline,
    since: Instant,
}

type Driver = Connection<TokioIo<Guarded<Socket>>, OutBody>;

impl std::fmt::Debug for UpstreamConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamConnection")
            .field("wire", &self.wire)
            .finish_non_exhaustive()
    }
}

impl UpstreamConnection {
    /// Speaks HTTP/1.1 over a connected socket.
    pub(super) async fn over(socket: Socket, limits: HeadLimits) -> hyper::Result<Box<Self>> {
        let wire = WireState::upstream(limits);
        let io = TokioIo::new(Guarded::upstream(socket, Rc::clone(&wire)));
        let (sender, driver) = Builder::new()
            .max_buf_size(MAX_UPSTREAM_BUFFER)
            .handshake(io)
            .await?;
        Ok(Box::new(Self {
            sender,
            driver: Some(driver),
            wire,
            limits,
            wait: LazyDeadline::default(),
            since: Instant::now(),
        }))
    }

    /// Lets the connection do what it can; nobody is woken for the rest.
    fn is_ready(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }

    /// The waiter learns how it ended through hyper's channels.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(cx).is_ready()
        {
            self.driver = None;
        }
    }
}

/// A connected connection that is ready for one request. Unused, it goes back.
#[derive(Debug)]
#[must_use]
pub struct Lease {
    live: Option<Box<UpstreamConnection>>,
    idle: Rc<IdleList>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            self.idle.put(live);
        }
    }
}

impl Lease {
    pub(super) fn new(live: Box<UpstreamConnection>, idle: Rc<IdleList>) -> Self {
        Self {
            live: Some(live),
            idle,
        }
    }

    /// Sends `request`, whose target is in origin form, and waits for the head of the answer.
    ///
    /// Interim answers are passed over; an upstream that switches protocols has not answered
    /// (hostile.md A25).
    pub async fn send(
        mut self,
        mut request: Request<OutBody>,
        patience: Patience,
    ) -> Result<UpstreamReply, SendError> {
        let Some(mut live) = self.live.take() else {
            return Err(SendError::Unsent(Box::new(request)));
        };
        let home = Rc::clone(&self.idle);
        frame(&mut request);
        let failure = request.body().failure();
        let (wire, begun) = (Rc::clone(&live.wire), live.wire.written());
        wire.expect_response(request.method() == Method::HEAD);
        let mut sent = pin!(live.sender.try_send_request(request));
        let (driver, wait) = (&mut live.driver, &mut live.wait);
        let mut written = begun;
        let answer = std::future::poll_fn(|cx| {
            if let Some(running) = driver
                && Pin::new(running).poll(cx).is_ready()
            {
                *driver = None;
            }
            // Only the driver above completes this, so there is no one to be woken by.
            if let Poll::Ready(answer) = sent.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                return Poll::Ready(Some(answer));
            }
            if written != wire.written() {
                written = wire.written();
                wait.reset();
            }
            wait.poll_over(patience.answer, cx).map(|()| None)
        })
        .await;
        let error = match answer {
            Some(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                return Err(SendError::Malformed);
            }
            Some(Ok(response)) => {
                in_turn().await;
                let (parts, incoming) = response.into_parts();
                live.wait.reset();
                let mut body = UpstreamBody {
                    incoming,
                    live: Some(live),
                    idle: home,
                    silence: patience.silence,
                };
                if body.incoming.is_end_stream() {
                    body.finish();
                }
                return Ok(UpstreamReply { parts, body });
            }
            None => return Err(SendError::Timeout),
            Some(Err(mut error)) => match error.take_message() {
                Some(request) => return Err(SendError::Unsent(Box::new(request))),
                None => error.into_error(),
            },
        };
        if let Some(failure) = failure.and_then(|failure| failure.get()) {
            return Err(SendError::Body(failure));
        }
        Err(match wire.broken() {
            Some(Malformed::HeadTooLarge) => SendError::TooLarge {
                most: live.limits.bytes,
                of: "bytes",
            },
            Some(Malformed::TooManyFields) => SendError::TooLarge {
                most: live.limits.headers,
                of: "header fields",
            },
            Some(_) => SendError::Malformed,
            None if error.is_parse() => SendError::Malformed,
            None => SendError::Reset {
                written: wire.written() != begun,
            },
        })
    }
}

/// Lets whatever else is ready run first. Under load, writes to one peer then follow each other
/// closely, and the kernel wakes it once for many of them: measured at 16 connections, one
/// microsecond of system time for each call, against 0.6 of user time for coming back twice. With
/// nothing else ready it is no wait at all.
pub(super) async fn in_turn() {
    let mut came_back = false;
    std::future::poll_fn(|cx| {
        if came_back {
            return Poll::Ready(());
        }
        came_back = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Makes head and body agree on the length. hyper believes a Content-Length over the body it is
/// given, and sends none at all with a GET whose body has no known length (hostile.md A20); both
/// would let the upstream frame another message than the one that was judged.
fn frame(request: &mut Request<OutBody>) {
    *request.version_mut() = Version::HTTP_11;
    let length = request.body().size_hint().exact();
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    match length {
        None => {
            headers.remove(CONTENT_LENGTH);
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        Some(length) => {
            let agrees = headers.get(CONTENT_LENGTH).map(|value| {
                value
                    .to_str()
                    .ok()
                    .and_then(|text| text.parse::<u64>().ok())
                    == Some(length)
            });
            // A body that was not announced as empty is not announced now.
            if agrees == Some(false) || (agrees.is_none() && length > 0) {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
    }
}

/// An answer whose head has come.
#[derive(Debug)]
pub struct UpstreamReply {
    /// Status and headers, as the upstream sent them.
    pub parts: response::Parts,
    /// The rest.
    pub body: UpstreamBody,
}

/// The body of an answer. When it has ended well, its connection waits for the next request; in
/// every other case the connection is closed.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    live: Option<Box<UpstreamConnection>>,
    idle: Rc<IdleList>,
    silence: Duration,
}

impl UpstreamBody {
    /// An early answer leaves a request half sent; hyper is not ready then, and the connection is
    /// closed (hostile.md A23).
    fn finish(&mut self) {
        if let Some(live) = self.live.take() {
            self.idle.put(live);
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BrokenAnswer;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenAnswer>>> {
        let this = &mut *self;
        if let Some(live) = &mut this.live {
            live.drive(cx);
        }
        match take_frame(&mut this.incoming, Waker::noop(), cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(live) = &mut this.live {
                    live.wait.reset();
                }
                if this.incoming.is_end_stream() {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => {
                let broken = this.live.take().and_then(|live| live.wire.broken());
                Poll::Ready(Some(Err(broken.map_or(
                    BrokenAnswer::Reset,
                    |reason: Malformed| match reason {
                        Malformed::BodyIncomplete => BrokenAnswer::Reset,
                        _ => BrokenAnswer::Malformed,
                    },
                ))))
            }
            Poll::Pending => {
                let silent = this
                    .live
                    .as_mut()
                    .is_none_or(|live| live.wait.poll_over(this.silence, cx).is_ready());
                if !silent {
                    return Poll::Pending;
                }
                this.live = None;
                Poll::Ready(Some(Err(BrokenAnswer::Timeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
