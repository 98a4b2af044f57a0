//! Reads every byte of an HTTP/1 connection before hyper does, and holds back what is not beyond
//! doubt.
//!
//! `wire::head::Guard` judges; this adapter does what its verdict asks of a stream. On the good
//! path bytes go straight into hyper's buffer and are judged in place: no copy, no state per
//! request. An incomplete head or chunk line is kept here until the rest of it has come, at most
//! one head long (G7). What is refused never reaches hyper:
//!
//! - a client's bad head becomes a small request of our own, so that hyper still answers what was
//!   pipelined before it, in order, and the service finds the verdict at its place
//!   ([`WireState::next_head`]); after it the connection reads as ended;
//! - a bad chunk, and anything bad from an upstream, is a read error: the message that was begun is
//!   broken off, never completed (hostile.md A18, A26).
//!
//! It also keeps the clock on a client: an idle connection ends, a head that dribbles in is
//! answered 408, and a client that does not take its answer is dropped (F30). What a body may take
//! is decided by whoever reads it.
//!
//! And it notices when a client leaves. hyper does not listen while a call is in flight, so whoever
//! drives it asks here ([`WatchedStream::poll_gone`]): what the client sends meanwhile is kept for
//! later, and its end ends the call, which may be one that a person is about to approve (A91). A
//! client that only closes its sending side cannot be told from one that left, and is taken for
//! one. hyper's own `half_close(false)` does the same until a single byte was pipelined.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::lazy_deadline::LazyDeadline;
use super::wire_state::WireState;
use crate::wire::Malformed;
use crate::wire::head::Scan;

/// What hyper reads in place of a head that was refused. The reserved prefix keeps it apart from
/// every route, should a service forget to ask.
const REFUSED: &[u8] =
    b"GET /.burngate/refused HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n";

/// Read at once behind bytes that are kept. Heads are rarely longer; a long one takes a few turns.
const MAX_READ_BEHIND: usize = 4 * 1024;

/// Head and body are written as one piece up to this size: for the kernel a list of pieces costs
/// more than this copy, and so it does for TLS, whose records would be one each.
const MAX_FLAT_WRITE: usize = 4 * 1024;

/// How long a refused client is listened to after our end was closed: unread bytes would turn the
/// close into a reset, which overtakes the answer.
const LINGER: Duration = Duration::from_secs(1);

/// How much of a refused client's bytes is thrown away meanwhile.
const MAX_LINGER_BYTES: usize = 256 * 1024;

/// How many bytes of requests that were pipelined behind a call in flight are kept. With more, the
/// client could leave unnoticed ([`WireState::is_blind`]).
const MAX_AHEAD: usize = 64 * 1024;

/// How much is read at once while watching for the client's end; nearly always nothing comes.
const AHEAD_READ: usize = 512;

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct ClientPatience {
    /// Between two requests.
    pub idle: Duration,
    /// From a head's first byte to its last.
    pub head: Duration,
    /// To take any of the bytes that are offered.
    pub write: Duration,
}

impl Default for ClientPatience {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(75),
            head: Duration::from_secs(10),
            write: Duration::from_mins(1),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadState {
    Open,
    /// Nothing more is read; what was kept may still be given.
    Ended,
    /// The next read fails.
    Broken,
}

/// A stream with a guard before it.
#[derive(Debug)]
pub struct Guarded<I> {
    io: I,
    wire: Rc<WireState>,
    /// Bytes on their way: up to `given` they were handed on, up to `judged` they may be, behind
    /// that they are on hold.
    kept: Vec<u8>,
    given: usize,
    judged: usize,
    reading: ReadState,
    /// `None` for an upstream: whoever sent the request keeps the clock.
    patience: Option<ClientPatience>,
    read_wait: LazyDeadline,
    write_wait: LazyDeadline,
    /// Where small pieces are put together before they are written.
    flat: Vec<u8>,
    lingered: usize,
    /// hyper waits for bytes: it will notice the end itself.
    listening: bool,
    closing: bool,
}

impl<I> Guarded<I> {
    /// A client's stream; `early` are bytes that were already read from it.
    pub fn client(io: I, wire: Rc<WireState>, early: Vec<u8>, patience: ClientPatience) -> Self {
        let mut guarded = Self::new(io, wire, Some(patience));
        guarded.kept = early;
        guarded.judge_kept();
        guarded
    }

    /// An upstream's stream.
    pub fn upstream(io: I, wire: Rc<WireState>) -> Self {
        Self::new(io, wire, None)
    }

    fn new(io: I, wire: Rc<WireState>, patience: Option<ClientPatience>) -> Self {
        Self {
            io,
            wire,
            kept: Vec::new(),
            given: 0,
            judged: 0,
            reading: ReadState::Open,
            patience,
            read_wait: LazyDeadline::default(),
            write_wait: LazyDeadline::default(),
            flat: Vec::new(),
            lingered: 0,
            listening: true,
            closing: false,
        }
    }

    /// Judges all that is kept. Called with nothing judged and not given.
    fn judge_kept(&mut self) {
        self.kept.drain(..self.given);
        self.given = 0;
        self.judged = match self.wire.scan(&self.kept) {
            Scan::Pass => self.kept.len(),
            Scan::Hold { from } => from,
            Scan::Refuse {
                at,
                reason,
                in_body,
            } => {
                self.kept.truncate(at);
                self.refuse(reason, in_body);
                self.kept.len()
            }
        };
    }

    /// Ends reading behind what is kept, which has been judged.
    fn refuse(&mut self, reason: Malformed, in_body: bool) {
        self.read_wait.reset();
        if self.patience.is_some() && !in_body {
            self.wire.refuse_head(reason);
            self.kept.extend_from_slice(REFUSED);
            self.reading = ReadState::Ended;
        } else {
            self.wire.break_off(reason);
            self.reading = ReadState::Broken;
        }
    }

    /// Gives what may be given; false if there is nothing.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let Some(ready) = self
            .kept
            .get(self.given..self.judged)
            .filter(|ready| !ready.is_empty())
        else {
            return false;
        };
        let some = ready.get(..buf.remaining()).unwrap_or(ready);
        buf.put_slice(some);
        self.given += some.len();
        if self.given == self.kept.len() {
            self.kept.clear();
            (self.given, self.judged) = (0, 0);
        }
        true
    }

    /// Nothing came: ready once the client's time is up.
    fn poll_impatience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(patience) = self.patience else {
            return Poll::Pending;
        };
        match self.wire.at_rest() {
            Ok(()) => {
                ready!(self.read_wait.poll_over(patience.idle, cx));
                self.reading = ReadState::Ended;
            }
            Err(Malformed::HeadIncomplete) => {
                ready!(self.read_wait.poll_over(patience.head, cx));
                self.kept.truncate(self.judged);
                self.refuse(Malformed::TooSlow, false);
                self.judged = self.kept.len();
            }
            // In a body: whoever reads it keeps the clock.
            Err(_) => return Poll::Pending,
        }
        Poll::Ready(())
    }
}

impl<I: AsyncRead + Unpin> Guarded<I> {
    /// Reads into hyper's buffer and judges there. Called with nothing kept. False if there is
    /// nothing for hyper yet.
    fn poll_in_place(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        if Pin::new(&mut self.io).poll_read(cx, buf)?.is_pending() {
            return self.poll_impatience(cx).map(|()| Ok(false));
        }
        self.read_wait.reset();
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            self.reading = ReadState::Ended;
            return Poll::Ready(Ok(true));
        }
        let passed = match self.wire.scan(fresh) {
            Scan::Pass => return Poll::Ready(Ok(true)),
            Scan::Hold { from } => {
                self.kept
                    .extend_from_slice(fresh.get(from..).unwrap_or_default());
                from
            }
            Scan::Refuse {
                at,
                reason,
                in_body,
            } => {
                self.refuse(reason, in_body);
                self.judged = self.kept.len();
                at
            }
        };
        buf.set_filled(before + passed);
        Poll::Ready(Ok(passed > 0))
    }

    /// Reads behind what is kept and judges both together.
    fn poll_behind(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.kept.len();
        self.kept.resize(before + MAX_READ_BEHIND, 0);
        let mut behind = ReadBuf::new(self.kept.get_mut(before..).unwrap_or_default());
        let read = Pin::new(&mut self.io).poll_read(cx, &mut behind);
        let fresh = behind.filled().len();
        self.kept.truncate(before + fresh);
        if read?.is_pending() {
            return self.poll_impatience(cx).map(Ok);
        }
        if fresh == 0 {
            // Half a head, and then nothing: as if it had not been begun.
            self.kept.clear();
            (self.given, self.judged) = (0, 0);
            self.reading = ReadState::Ended;
        } else {
            // A head has one deadline, however many bytes of it dribble in; a chunk line has none
            // here.
            self.judge_kept();
            if self.judged > 0 {
                self.read_wait.reset();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Throws away what a refused client still sends.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waste = [0; 4 * 1024];
        while self.lingered < MAX_LINGER_BYTES {
            let mut buf = ReadBuf::new(&mut waste);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    self.lingered += buf.filled().len();
                }
                Poll::Ready(_) => break,
                Poll::Pending => return self.read_wait.poll_over(LINGER, cx),
            }
        }
        Poll::Ready(())
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Guarded<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.give(buf) {
                return Poll::Ready(Ok(()));
            }
            match this.reading {
                ReadState::Ended => return Poll::Ready(Ok(())),
                ReadState::Broken => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        this.wire.broken().unwrap_or(Malformed::BodyIncomplete),
                    )));
                }
                ReadState::Open if this.kept.is_empty() => {
                    if ready!(this.poll_in_place(cx, buf))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                ReadState::Open => ready!(this.poll_behind(cx))?,
            }
        }
    }
}

impl<I: AsyncWrite + Unpin> Guarded<I> {
    fn after_write(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(count)) => {
                self.wire.count_written(*count);
                self.write_wait.reset();
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if let Some(patience) = self.patience
                    && self.write_wait.poll_over(patience.write, cx).is_ready()
                {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        written
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.after_write(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = if bufs.iter().map(|buf| buf.len()).sum::<usize>() <= MAX_FLAT_WRITE {
            this.flat.clear();
            for buf in bufs {
                this.flat.extend_from_slice(buf);
            }
            Pin::new(&mut this.io).poll_write(cx, &this.flat)
        } else {
            Pin::new(&mut this.io).poll_write_vectored(cx, bufs)
        };
        this.after_write(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.closing = true;
        ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
        // Also where a body was refused unread, by us or by an upstream that answered early.
        if this.patience.is_some() && this.wire.at_rest().is_err() {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + Unpin> Guarded<I> {
    /// Has the client left, while hyper does not listen?
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A body at hand is read at the pace of whoever wants it, and its end is an error there.
        if self.listening
            || self.closing
            || self.wire.is_refusal_asked()
            || self.wire.in_first_body()
        {
            return Poll::Pending;
        }
        loop {
            let is_open = self.reading == ReadState::Open;
            self.wire.set_blind(if is_open {
                self.kept.len() >= MAX_AHEAD
            } else {
                self.lingered >= MAX_LINGER_BYTES
            });
            if self.wire.is_blind() {
                return Poll::Pending;
            }
            let mut some = [0; AHEAD_READ];
            let mut ahead = ReadBuf::new(&mut some);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut ahead)) {
                Ok(()) if !ahead.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
            if is_open {
                self.keep(ahead.filled());
            } else {
                self.lingered += ahead.filled().len();
            }
        }
    }

    /// hyper waits for bytes, or has not asked for any since it was driven.
    pub(super) fn set_listening(&mut self, listening: bool) {
        self.listening = listening;
    }

    /// Keeps `fresh` bytes for when hyper asks again.
    fn keep(&mut self, fresh: &[u8]) {
        self.kept.extend_from_slice(fresh);
        self.judged += match self
            .wire
            .scan(self.kept.get(self.judged..).unwrap_or_default())
        {
            Scan::Pass => self.kept.len() - self.judged,
            Scan::Hold { from } => from,
            Scan::Refuse {
                at,
                reason,
                in_body,
            } => {
                self.kept.truncate(self.judged + at);
                self.refuse(reason, in_body);
                self.kept.len() - self.judged
            }
        };
    }
}

#[cfg(test)]
mod tests;
