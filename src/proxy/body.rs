//! A request's body before it is judged: buffered only where a rule or an approval needs it, up to
//! a bound and against the process's memory; else it streams past.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};

use super::connection::ClientConnection;
use super::lazy_deadline::LazyDeadline;
use crate::wire::Malformed;

/// How long a client may take between two pieces of a body that is buffered.
const BODY_SILENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// How much of an unwanted body is read so that its connection can be kept. Reading more would cost
/// more than a new connection.
pub const MAX_DISCARDED_BODY: usize = 64 * 1024;
/// How long reading it may take.
const DISCARD_WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

/// The bytes of bodies that the process holds at once.
#[derive(Debug, Clone)]
pub struct Memory {
    free: Arc<AtomicUsize>,
}

/// A share of the memory, given back when dropped.
#[derive(Debug)]
pub struct MemoryShare {
    free: Arc<AtomicUsize>,
    bytes: usize,
}

impl Memory {
    /// `bytes` for all bodies.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Memory {
            free: Arc::new(AtomicUsize::new(bytes)),
        }
    }

    fn take(&self, bytes: usize) -> Option<MemoryShare> {
        let taken = self
            .free
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| {
                free.checked_sub(bytes)
            });
        taken.ok().map(|_| MemoryShare {
            free: Arc::clone(&self.free),
            bytes,
        })
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.free.fetch_add(self.bytes, Ordering::AcqRel);
    }
}

/// A request's body.
pub enum RequestBody {
    /// There is none.
    None,
    /// Read: these bytes are judged, and these are forwarded.
    Read(Bytes, MemoryShare),
    /// Not read yet: it streams past, or is read when an approval needs it.
    Unread(Incoming),
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is invalid, too large or too slow.
    Malformed(Malformed),
    /// The process holds as much as it may.
    Memory,
}

impl From<Malformed> for BodyError {
    fn from(malformed: Malformed) -> Self {
        BodyError::Malformed(malformed)
    }
}

impl RequestBody {
    /// The content of a body that has not been looked at.
    #[must_use]
    pub fn of(body: Incoming) -> Self {
        if body.is_end_stream() {
            RequestBody::None
        } else {
            RequestBody::Unread(body)
        }
    }

    /// These bytes, where there is room for them.
    pub fn held(bytes: Bytes, memory: &Memory) -> Result<Self, BodyError> {
        let share = memory.take(bytes.len()).ok_or(BodyError::Memory)?;
        Ok(RequestBody::Read(bytes, share))
    }

    /// Was at most `most` announced, and is there room for that?
    #[must_use]
    pub fn is_short(&self, most: usize, memory: &Memory) -> bool {
        self.announced()
            .is_some_and(|length| length <= most && length <= memory.free.load(Ordering::Acquire))
    }

    /// The announced length of a body that is not read yet, in bytes; `usize::MAX` where it is
    /// longer than can be counted.
    #[must_use]
    pub fn announced(&self) -> Option<usize> {
        let RequestBody::Unread(body) = self else {
            return None;
        };
        announced(body)
    }

    /// Reads the body whole: at most `bound` bytes.
    pub async fn buffer(
        self,
        connection: &ClientConnection,
        bound: usize,
        memory: &Memory,
    ) -> Result<Self, BodyError> {
        let RequestBody::Unread(mut body) = self else {
            return Ok(self);
        };
        let announced = announced(&body);
        if announced.is_some_and(|length| length > bound) {
            return Err(Malformed::BodyTooLarge.into());
        }
        let share = memory
            .take(announced.unwrap_or(bound))
            .ok_or(BodyError::Memory)?;
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        let mut silence = LazyDeadline::default();
        // A body whose length was announced says so with its last piece.
        while !body.is_end_stream() {
            let frame = std::future::poll_fn(|cx| match connection.poll_body(&mut body, cx) {
                Poll::Ready(frame) => Poll::Ready(Ok(frame)),
                Poll::Pending => silence
                    .poll_over(BODY_SILENCE, cx)
                    .map(|()| Err(Malformed::TooSlow)),
            });
            let frame = frame.await?;
            silence.reset();
            let data = match frame {
                None => break,
                Some(Err(_)) => {
                    return Err(connection
                        .broken()
                        .unwrap_or(Malformed::BodyIncomplete)
                        .into());
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_) => continue,
                },
            };
            let length = first.as_ref().map_or(0, Bytes::len) + rest.len() + data.len();
            if length > bound {
                return Err(Malformed::BodyTooLarge.into());
            }
            match (&first, rest.is_empty()) {
                (None, _) => first = Some(data),
                (Some(head), true) => {
                    rest.extend_from_slice(head);
                    rest.extend_from_slice(&data);
                    first = Some(Bytes::new());
                }
                (Some(_), false) => rest.extend_from_slice(&data),
            }
        }
        let bytes = if rest.is_empty() {
            first.unwrap_or_default()
        } else {
            rest.freeze()
        };
        Ok(RequestBody::Read(bytes, share))
    }

    /// Reads what is left of an unwanted body; false where that is too much, too slow, or broken.
    pub async fn discard(self, connection: &ClientConnection) -> bool {
        let RequestBody::Unread(mut body) = self else {
            return true;
        };
        let mut left = MAX_DISCARDED_BODY;
        let rest = async {
            loop {
                match std::future::poll_fn(|cx| connection.poll_body(&mut body, cx)).await {
                    None => return true,
                    Some(Err(_)) => return false,
                    Some(Ok(frame)) => {
                        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                            Some(less) => left = less,
                            None => return false,
                        }
                    }
                }
            }
        };
        tokio::time::timeout(DISCARD_WITHIN, rest)
            .await
            .unwrap_or(false)
    }

    /// The bytes that were read; `None` where there is no body or it was not read.
    #[must_use]
    pub const fn bytes(&self) -> Option<&Bytes> {
        match self {
            RequestBody::Read(bytes, _) => Some(bytes),
            RequestBody::None | RequestBody::Unread(_) => None,
        }
    }
}

fn announced(body: &Incoming) -> Option<usize> {
    let length = body.size_hint().exact()?;
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}
