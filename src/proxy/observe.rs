//! Answers on their way to the agent, and how they ended.
//!
//! Decides what the end of an answer was, and reports it exactly once (G1): a token travels with
//! the body and is used up by its end, its failure or its drop, whichever comes first. Pieces pass
//! as they come; a bounded copy may be kept for conditions on `response.body`, which delays none of
//! them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};

use super::upstream::{BrokenAnswer, UpstreamBody};

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerEnding {
    /// All of it was handed on.
    Complete,
    /// The upstream closed or broke inside it.
    UpstreamReset,
    /// The upstream fell silent inside it.
    UpstreamTimeout,
    /// Its framing broke inside it.
    UpstreamMalformed,
    /// The agent did not take all of it.
    ClientGone,
}

/// What learns how an answer ended.
pub trait OnEnd: Unpin + 'static {
    /// Called exactly once. `copy` is what was kept, if that was asked for.
    fn on_end(self, ending: AnswerEnding, copy: Option<Copied>);
}

/// The beginning of an answer's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// At most as much as was asked for.
    pub bytes: Bytes,
    /// Whether that is all of it so far.
    pub whole: bool,
}

/// The body of any answer.
#[derive(Debug)]
pub enum ReplyBody<E: OnEnd> {
    /// None.
    Empty,
    /// One of our own.
    Full(Bytes),
    /// An upstream's. Boxed: an answer changes hands often on its way to the agent.
    Observed(Box<Observed<E>>),
}

/// An upstream's body with a token that learns its end.
#[derive(Debug)]
pub struct Observed<E: OnEnd> {
    body: UpstreamBody,
    end: Option<E>,
    copy: Option<Copy>,
}

#[derive(Debug)]
struct Copy {
    kept: BytesMut,
    bound: usize,
    whole: bool,
}

impl<E: OnEnd> ReplyBody<E> {
    /// Observes `body` for `end`, keeping a copy of its first `copy` bytes.
    pub fn observed(body: UpstreamBody, end: E, copy: Option<usize>) -> Self {
        let copy = copy.map(|bound| Copy {
            kept: BytesMut::new(),
            bound,
            whole: true,
        });
        Self::Observed(Box::new(Observed {
            body,
            end: Some(end),
            copy,
        }))
    }
}

impl<E: OnEnd> Observed<E> {
    fn ended(&mut self, ending: AnswerEnding) {
        if let Some(end) = self.end.take() {
            let copy = self.copy.take().map(|copy| Copied {
                bytes: copy.kept.freeze(),
                whole: copy.whole,
            });
            end.on_end(ending, copy);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenAnswer>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(copy), Some(data)) = (&mut self.copy, frame.data_ref()) {
                    copy.take(data);
                }
                // Nobody asks again after a last frame whose length was known.
                if self.body.is_end_stream() {
                    self.ended(AnswerEnding::Complete);
                }
            }
            Poll::Ready(Some(Err(broken))) => self.ended(match broken {
                BrokenAnswer::Reset => AnswerEnding::UpstreamReset,
                BrokenAnswer::Timeout => AnswerEnding::UpstreamTimeout,
                BrokenAnswer::Malformed => AnswerEnding::UpstreamMalformed,
            }),
            Poll::Ready(None) => self.ended(AnswerEnding::Complete),
        }
        frame
    }
}

impl Copy {
    fn take(&mut self, data: &Bytes) {
        let room = self.bound - self.kept.len();
        self.whole &= data.len() <= room;
        self.kept
            .extend_from_slice(data.get(..room).unwrap_or(data));
    }
}

impl<E: OnEnd> Drop for Observed<E> {
    fn drop(&mut self) {
        // A body without content is never polled.
        let ending = if self.body.is_end_stream() {
            AnswerEnding::Complete
        } else {
            AnswerEnding::ClientGone
        };
        self.ended(ending);
    }
}

impl<E: OnEnd> Body for ReplyBody<E> {
    type Data = Bytes;
    type Error = BrokenAnswer;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenAnswer>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Observed(observed) => observed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Observed(observed) => observed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Observed(observed) => observed.body.size_hint(),
        }
    }
}
