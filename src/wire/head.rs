//! The guard before hyper: reads the raw bytes of an HTTP/1 connection and lets pass only messages
//! that every reader frames alike.
//!
//! hyper drops Content-Length beside Transfer-Encoding before our code sees the request, and takes
//! bare line feeds, missing and duplicate Hosts and bad chunk extensions. So a guard decides, from
//! the same bytes and before it, whether each head and each chunk is beyond doubt (A1 to A30, A48,
//! A49, A52 to A56). It is a state machine that is fed consecutive bytes, allocates nothing for an
//! ordinary head and gives the same verdict however the bytes are cut. It does not rewrite, buffer
//! or interpret: what passes, passes byte for byte; who holds bytes back, answers and closes is the
//! caller.
//!
//! The caller's part: feed new bytes; after `Scan::Hold { from }` hand on what lies before `from`,
//! keep the rest, and feed it again with new bytes behind it; after `Scan::Refuse` hand on what
//! lies before `at`, answer (or, `in_body`, abort what was begun) and close. Call `next_head` until
//! it is empty, and `end` when the peer has closed.

mod reading;

use std::collections::VecDeque;

use reading::{HeadProgress, HeadScan};

use super::Malformed;
use super::chunked::{ChunkStep, Chunked};
use super::framing::{Framing, HeadFacts, HeadLimits};

/// Heads that were read ahead and not yet asked for. More than any client pipelines; a caller that
/// never asks must not grow without bound.
pub const MAX_WAITING_HEADS: usize = 1024;

/// Interim responses before the real one.
pub const MAX_INFORMATIONAL: usize = 8;

/// The verdict on the bytes fed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// All of them are fine.
    Pass,
    /// Those before `from` are fine; the rest is an incomplete head or chunk line, to be fed again
    /// with more behind it.
    Hold {
        /// Offset into the bytes fed last.
        from: usize,
    },
    /// Those before `at` are fine; with `at` begins the head or chunk line that is not. Every later
    /// scan refuses too.
    Refuse {
        /// Offset into the bytes fed last.
        at: usize,
        /// What is wrong.
        reason: Malformed,
        /// Whether the message was begun: its head has passed, so it must be aborted instead of
        /// answered.
        in_body: bool,
    },
}

/// The state of one direction of one connection.
#[derive(Debug)]
pub struct Guard {
    side: Side,
    limits: HeadLimits,
    state: GuardState,
    reading: HeadScan,
    waiting: VecDeque<HeadFacts>,
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Request,
    /// `expected`: whether a request is out, and whether it was HEAD. `interim`: 1xx heads since.
    Response {
        expected: Option<bool>,
        interim: usize,
    },
}

#[derive(Debug, Clone, Copy)]
enum GuardState {
    Head,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Refused { reason: Malformed, in_body: bool },
}

impl Guard {
    /// Guards what a client sends.
    #[must_use]
    pub fn request(limits: HeadLimits) -> Self {
        Self::new(Side::Request, limits)
    }

    /// Guards what an upstream sends; a response nobody announced with `expect_response` is
    /// refused.
    #[must_use]
    pub fn response(limits: HeadLimits) -> Self {
        Self::new(
            Side::Response {
                expected: None,
                interim: 0,
            },
            limits,
        )
    }

    fn new(side: Side, limits: HeadLimits) -> Self {
        Self {
            side,
            limits,
            state: GuardState::Head,
            reading: HeadScan::default(),
            waiting: VecDeque::new(),
        }
    }

    /// Announces the one request that is out on this connection, before its first byte is sent.
    /// Nothing to do for a guard of requests.
    pub fn expect_response(&mut self, to_head: bool) {
        if let Side::Response { expected, interim } = &mut self.side {
            (*expected, *interim) = (Some(to_head), 0);
        }
    }

    /// Judges the next bytes of the connection.
    pub fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.state {
                GuardState::Head => match self.head(rest) {
                    Ok(Some(taken)) => at += taken,
                    Ok(None) => return Scan::Hold { from: at },
                    Err(reason) => return self.refuse(at, reason, false),
                },
                GuardState::Length(left) => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    at += taken;
                    self.state = match left - taken as u64 {
                        0 => self.message_end(),
                        left => GuardState::Length(left),
                    };
                }
                GuardState::Chunked(mut chunked) => match chunked.step(rest) {
                    Ok(ChunkStep::More) => return Scan::Hold { from: at },
                    Ok(ChunkStep::Took(taken)) => {
                        at += taken;
                        self.state = GuardState::Chunked(chunked);
                    }
                    Ok(ChunkStep::Ended(taken)) => {
                        at += taken;
                        self.state = self.message_end();
                    }
                    Err(reason) => return self.refuse(at, reason, true),
                },
                GuardState::UntilClose => return Scan::Pass,
                GuardState::Refused { reason, in_body } => {
                    return Scan::Refuse {
                        at,
                        reason,
                        in_body,
                    };
                }
            }
        }
        Scan::Pass
    }

    /// The head that passed first and was not yet asked for. Requests only.
    pub fn next_head(&mut self) -> Option<HeadFacts> {
        self.waiting.pop_front()
    }

    /// Whether a head has passed that was not yet asked for.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the connection may end here. Bytes that are still held back are dropped by the
    /// caller.
    pub fn end(&self) -> Result<(), Malformed> {
        match self.state {
            GuardState::Head if self.reading.is_empty() => Ok(()),
            GuardState::Head => Err(Malformed::HeadIncomplete),
            GuardState::Length(_) | GuardState::Chunked(_) => Err(Malformed::BodyIncomplete),
            GuardState::UntilClose => Ok(()),
            GuardState::Refused { reason, .. } => Err(reason),
        }
    }

    fn refuse(&mut self, at: usize, reason: Malformed, in_body: bool) -> Scan {
        self.state = GuardState::Refused { reason, in_body };
        Scan::Refuse {
            at,
            reason,
            in_body,
        }
    }

    fn message_end(&mut self) -> GuardState {
        if let Side::Response { expected, .. } = &mut self.side {
            *expected = None;
        }
        GuardState::Head
    }

    /// The length of the head at the beginning of `rest`, once it is complete and fine.
    fn head(&mut self, rest: &[u8]) -> Result<Option<usize>, Malformed> {
        let is_request = match self.side {
            Side::Request => true,
            Side::Response {
                expected: Some(_), ..
            } => false,
            Side::Response { expected: None, .. } => return Err(Malformed::Unsolicited),
        };
        let HeadProgress::Complete(taken) = self.reading.advance(rest, self.limits, is_request)?
        else {
            return Ok(None);
        };
        let reading = std::mem::take(&mut self.reading);
        let body = match &mut self.side {
            Side::Request => {
                let facts = reading.request(rest, taken)?;
                if self.waiting.len() >= MAX_WAITING_HEADS {
                    return Err(Malformed::Pipelined);
                }
                self.waiting.push_back(facts);
                Some(facts.body)
            }
            Side::Response { expected, interim } => {
                let body = reading.response(expected.unwrap_or(false))?;
                if body.is_none() {
                    *interim += 1;
                    if *interim > MAX_INFORMATIONAL {
                        return Err(Malformed::Informational);
                    }
                }
                body
            }
        };
        self.state = match body {
            // An interim response: the real one is still to come.
            None => GuardState::Head,
            Some(Framing::None | Framing::Length(0)) => self.message_end(),
            Some(Framing::Length(length)) => GuardState::Length(length),
            Some(Framing::Chunked) => GuardState::Chunked(Chunked::Size),
            Some(Framing::UntilClose) => GuardState::UntilClose,
        };
        Ok(Some(taken))
    }
}

#[cfg(test)]
mod tests;
