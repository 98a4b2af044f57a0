//! The body of a request on its way to an upstream.
//!
//! Decides how a body that fails is kept apart from one that ends: hyper gets an error and breaks
//! the request off, so that an upstream never sees a whole request that the client did not
//! send (hostile.md A18, A22), and why it failed stays readable when the send has failed. Trailers
//! are dropped (A19).

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::lazy_deadline::LazyDeadline;
use super::muted_waker::take_frame;
use super::wire_state::WireState;
use crate::wire::Malformed;

/// Why a client's body did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFailure {
    /// The client closed or reset before its end.
    #[error("the client went away")]
    ClientGone,
    /// Its framing is not beyond doubt.
    #[error("{0}")]
    Malformed(Malformed),
    /// Over its bound.
    #[error("the body is too large")]
    TooLarge,
    /// Nothing came for too long.
    #[error("the body did not arrive in time")]
    TooSlow,
}

/// A request's body.
#[derive(Debug)]
pub enum OutBody {
    /// None.
    Empty,
    /// Read and judged before.
    Full(Bytes),
    /// Passed on as it comes.
    Stream(Streaming),
}

/// A client's body that is passed on as it comes.
#[derive(Debug)]
pub struct Streaming {
    body: Incoming,
    wire: Rc<WireState>,
    left: u64,
    silence: Duration,
    wait: LazyDeadline,
    failure: Rc<Cell<Option<BodyFailure>>>,
}

impl OutBody {
    /// Passes `body` on, which comes from the connection of `wire`: at most `bound` bytes, never
    /// silent for longer than `silence`.
    #[must_use]
    pub fn stream(body: Incoming, wire: Rc<WireState>, bound: u64, silence: Duration) -> Self {
        if body.is_end_stream() {
            return Self::Empty;
        }
        Self::Stream(Streaming {
            body,
            wire,
            left: bound,
            silence,
            wait: LazyDeadline::default(),
            failure: Rc::default(),
        })
    }

    /// The client's body, where this is one that streams and nothing of it was taken.
    #[must_use]
    pub fn into_unread(self) -> Option<Incoming> {
        match self {
            Self::Empty | Self::Full(_) => None,
            Self::Stream(streaming) => Some(streaming.body),
        }
    }

    /// Where the reason will be found, should the body fail.
    pub(super) fn failure(&self) -> Option<Rc<Cell<Option<BodyFailure>>>> {
        match self {
            Self::Empty | Self::Full(_) => None,
            Self::Stream(streaming) => Some(Rc::clone(&streaming.failure)),
        }
    }
}

impl Streaming {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFailure>>> {
        loop {
            return match take_frame(&mut self.body, cx.waker(), cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.wait.reset();
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    match self.left.checked_sub(data.len() as u64) {
                        Some(left) => self.left = left,
                        None => return Poll::Ready(Some(Err(BodyFailure::TooLarge))),
                    }
                    Poll::Ready(Some(Ok(data)))
                }
                Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(self
                    .wire
                    .broken()
                    .map_or(BodyFailure::ClientGone, BodyFailure::Malformed)))),
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Pending => self
                    .wait
                    .poll_over(self.silence, cx)
                    .map(|()| Some(Err(BodyFailure::TooSlow))),
            };
        }
    }
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            full @ Self::Full(_) => match std::mem::replace(full, Self::Empty) {
                Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Self::Empty | Self::Stream(_) => Poll::Ready(None),
            },
            Self::Stream(streaming) => streaming.poll(cx).map(|item| {
                item.map(|chunk| {
                    chunk.map(Frame::data).inspect_err(|failure| {
                        streaming.failure.set(Some(*failure));
                    })
                })
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stream(streaming) => streaming.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(streaming) => streaming.body.size_hint(),
        }
    }
}
