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
//!   ([`Wire::next_head`]); after it the connection reads as ended;
//! - a bad chunk, and anything bad from an upstream, is a read error: the message that was begun is
//!   broken off, never completed (hostile.md A18, A26).
//!
//! It also keeps the clock on a client: an idle connection ends, a head that dribbles in is
//! answered 408, and a client that does not take its answer is dropped (F30). What a body may take
//! is decided by whoever reads it.
//!
//! And it notices when a client leaves. hyper does not listen while a call is in flight, so whoever
//! drives it asks here ([`Watched::poll_gone`]): what the client sends meanwhile is kept for later,
//! and its end ends the call, which may be one that a person is about to approve (A91). A client
//! that only closes its sending side cannot be told from one that left, and is taken for one.
//! hyper's own `half_close(false)` does the same until a single byte was pipelined.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::alarm::Alarm;
use crate::wire::Malformed;
use crate::wire::head::{Guard, HeadLimits, Scan};

/// What hyper reads in place of a head that was refused. The reserved prefix keeps it apart from
/// every route, should a service forget to ask.
const REFUSED: &[u8] =
    b"GET /.burngate/refused HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n";

/// Read at once behind bytes that are kept. Heads are rarely longer; a long one takes a few turns.
const KEPT_READ: usize = 4 * 1024;

/// Head and body are written as one piece up to this size: for the kernel a list of pieces costs
/// more than this copy, and so it does for TLS, whose records would be one each.
const FLAT: usize = 4 * 1024;

/// How long a refused client is listened to after our end was closed: unread bytes would turn the
/// close into a reset, which overtakes the answer.
const LINGER: Duration = Duration::from_secs(1);

/// How much of a refused client's bytes is thrown away meanwhile.
const MAX_LINGER_BYTES: usize = 256 * 1024;

/// What is kept of requests that were pipelined behind a call in flight. With more, nobody knows
/// any longer whether the client is there ([`Wire::is_blind`]).
const MAX_AHEAD: usize = 64 * 1024;

/// Read at once while watching; nearly always nothing comes.
const AHEAD_READ: usize = 512;

/// How long a client may take for what.
#[derive(Debug, Clone, Copy)]
pub struct ClientPatience {
    /// Between two requests.
    pub idle: Duration,
    /// From a head's first byte to its last.
    pub head: Duration,
    /// For taking any of the bytes offered.
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

/// What the guard has seen, shared between the stream that hyper owns and whoever serves what hyper
/// reads.
#[derive(Debug)]
pub struct Wire {
    guard: Option<RefCell<Guard>>,
    refused: Cell<Option<Malformed>>,
    broken: Cell<Option<Malformed>>,
    written: Cell<u64>,
    /// The refused head was asked for: it is being answered, and nothing follows.
    told: Cell<bool>,
    blind: Cell<bool>,
}

impl Wire {
    /// Of a client's HTTP/1 connection.
    #[must_use]
    pub fn client(limits: HeadLimits) -> Rc<Self> {
        Self::new(Some(Guard::request(limits)))
    }

    /// Of an upstream's connection.
    #[must_use]
    pub fn upstream(limits: HeadLimits) -> Rc<Self> {
        Self::new(Some(Guard::response(limits)))
    }

    /// Of a connection whose framing somebody else checks: HTTP/2.
    #[must_use]
    pub fn unguarded() -> Rc<Self> {
        Self::new(None)
    }

    fn new(guard: Option<Guard>) -> Rc<Self> {
        Rc::new(Self {
            guard: guard.map(RefCell::new),
            refused: Cell::default(),
            broken: Cell::default(),
            written: Cell::default(),
            told: Cell::default(),
            blind: Cell::default(),
        })
    }

    /// The verdict on the next head, in the order in which hyper makes requests of them. To be
    /// asked exactly once for each.
    pub fn next_head(&self) -> Result<(), Malformed> {
        let Some(guard) = &self.guard else {
            return Ok(());
        };
        if guard.borrow_mut().next_head().is_some() {
            return Ok(());
        }
        // A request whose head nobody judged does not exist; if it did, it would not pass (G3).
        self.told.set(true);
        Err(self.refused.get().unwrap_or(Malformed::RequestLine))
    }

    /// More came behind the call in flight than is kept, so that its client could leave unseen.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.blind.get()
    }

    /// What broke off a message that was begun.
    #[must_use]
    pub fn broken(&self) -> Option<Malformed> {
        self.broken.get()
    }

    /// How many bytes were handed to the socket.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// A request goes out on this upstream connection; `to_head` because answers to HEAD have no
    /// body.
    pub fn expect_response(&self, to_head: bool) {
        if let Some(guard) = &self.guard {
            guard.borrow_mut().expect_response(to_head);
        }
    }

    fn scan(&self, bytes: &[u8]) -> Scan {
        self.guard
            .as_ref()
            .map_or(Scan::Pass, |guard| guard.borrow_mut().scan(bytes))
    }

    fn at_rest(&self) -> Result<(), Malformed> {
        self.guard
            .as_ref()
            .map_or(Ok(()), |guard| guard.borrow().end())
    }

    /// The body of the message at hand is on its way: no later head was seen.
    fn in_first_body(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| {
            let guard = guard.borrow();
            guard.end() == Err(Malformed::BodyIncomplete) && !guard.has_waiting()
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
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
    wire: Rc<Wire>,
    /// Bytes on their way: up to `given` they were handed on, up to `judged` they may be, behind
    /// that they are on hold.
    kept: Vec<u8>,
    given: usize,
    judged: usize,
    reading: Reading,
    /// `None` for an upstream: whoever sent the request keeps the clock.
    patience: Option<ClientPatience>,
    read_wait: Alarm,
    write_wait: Alarm,
    /// Where small pieces are put together before they are written.
    flat: Vec<u8>,
    lingered: usize,
    /// hyper waits for bytes: it will notice the end itself.
    listening: bool,
    closing: bool,
}

impl<I> Guarded<I> {
    /// A client's stream; `early` are bytes that were already read from it.
    pub fn client(io: I, wire: Rc<Wire>, early: Vec<u8>, patience: ClientPatience) -> Self {
        let mut guarded = Self::new(io, wire, Some(patience));
        guarded.kept = early;
        guarded.judge_kept();
        guarded
    }

    /// An upstream's stream.
    pub fn upstream(io: I, wire: Rc<Wire>) -> Self {
        Self::new(io, wire, None)
    }

    fn new(io: I, wire: Rc<Wire>, patience: Option<ClientPatience>) -> Self {
        Self {
            io,
            wire,
            kept: Vec::new(),
            given: 0,
            judged: 0,
            reading: Reading::Open,
            patience,
            read_wait: Alarm::default(),
            write_wait: Alarm::default(),
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
        self.read_wait.rest();
        if self.patience.is_some() && !in_body {
            self.wire.refused.set(Some(reason));
            self.kept.extend_from_slice(REFUSED);
            self.reading = Reading::Ended;
        } else {
            self.wire.broken.set(Some(reason));
            self.reading = Reading::Broken;
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

    /// Nothing came: is the client's time up? True if there is something to say about it.
    fn poll_impatience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(patience) = self.patience else {
            return Poll::Pending;
        };
        match self.wire.at_rest() {
            Ok(()) => {
                ready!(self.read_wait.poll_over(patience.idle, cx));
                self.reading = Reading::Ended;
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
        self.read_wait.rest();
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            self.reading = Reading::Ended;
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
        self.kept.resize(before + KEPT_READ, 0);
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
            self.reading = Reading::Ended;
        } else {
            // A head has one deadline, however many bytes of it dribble in; a chunk line has none
            // here.
            self.judge_kept();
            if self.judged > 0 {
                self.read_wait.rest();
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
                Reading::Ended => return Poll::Ready(Ok(())),
                Reading::Broken => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        this.wire.broken().unwrap_or(Malformed::BodyIncomplete),
                    )));
                }
                Reading::Open if this.kept.is_empty() => {
                    if ready!(this.poll_in_place(cx, buf))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                Reading::Open => ready!(this.poll_behind(cx))?,
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
                self.wire
                    .written
                    .set(self.wire.written.get() + *count as u64);
                self.write_wait.rest();
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
        let written = if bufs.iter().map(|buf| buf.len()).sum::<usize>() <= FLAT {
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
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A body at hand is read at the pace of whoever wants it, and its end is an error there.
        if self.listening || self.closing || self.wire.told.get() || self.wire.in_first_body() {
            return Poll::Pending;
        }
        loop {
            let is_open = self.reading == Reading::Open;
            self.wire.blind.set(if is_open {
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

/// A client's stream in two hands: hyper reads and writes it, and whoever drives hyper watches
/// whether the client is still there.
#[derive(Debug)]
pub struct Watched<I>(Rc<RefCell<Guarded<I>>>);

impl<I> Clone for Watched<I> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<I> From<Guarded<I>> for Watched<I> {
    fn from(guarded: Guarded<I>) -> Self {
        Self(Rc::new(RefCell::new(guarded)))
    }
}

impl<I: AsyncRead + Unpin> Watched<I> {
    /// Ready when the client has left in the middle of a call. To be asked before hyper is driven,
    /// so that nothing is decided for a client that is gone, and again behind it, so that its
    /// leaving wakes the task.
    pub fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.borrow_mut().poll_gone(cx)
    }

    /// hyper is about to be driven, and has not asked for bytes yet.
    pub fn begin(&self) {
        self.0.borrow_mut().listening = false;
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut guarded = self.0.borrow_mut();
        let read = Pin::new(&mut *guarded).poll_read(cx, buf);
        guarded.listening = read.is_pending();
        read
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
