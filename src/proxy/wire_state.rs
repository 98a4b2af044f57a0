//! What the guard has found out about a connection, for those who do not hold its stream.
//!
//! The stream belongs to hyper; whoever serves what hyper reads asks here for the verdict on a head
//! and for what broke a body off. One for each connection, never shared between threads.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::wire::Malformed;
use crate::wire::framing::HeadLimits;
use crate::wire::head::{Guard, Scan};

/// What the guard has found out, shared by the stream that hyper owns and whoever serves what hyper
/// reads.
#[derive(Debug)]
pub struct WireState {
    guard: Option<RefCell<Guard>>,
    refused: Cell<Option<Malformed>>,
    broken: Cell<Option<Malformed>>,
    written: Cell<u64>,
    /// The refused head was asked for: it is being answered, and nothing follows.
    refusal_asked: Cell<bool>,
    blind: Cell<bool>,
}

impl WireState {
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
            refusal_asked: Cell::default(),
            blind: Cell::default(),
        })
    }

    /// The next head is refused; the service finds out when it asks for the head.
    pub(super) fn refuse_head(&self, reason: Malformed) {
        self.refused.set(Some(reason));
    }

    /// A message that was begun is broken off.
    pub(super) fn break_off(&self, reason: Malformed) {
        self.broken.set(Some(reason));
    }

    /// More bytes were handed to the socket.
    pub(super) fn count_written(&self, bytes: usize) {
        self.written.set(self.written.get() + bytes as u64);
    }

    /// Can the client leave unseen?
    pub(super) fn set_blind(&self, blind: bool) {
        self.blind.set(blind);
    }

    /// The refused head was asked for: it is being answered, and nothing follows.
    pub(super) fn is_refusal_asked(&self) -> bool {
        self.refusal_asked.get()
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
        self.refusal_asked.set(true);
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

    pub(super) fn scan(&self, bytes: &[u8]) -> Scan {
        self.guard
            .as_ref()
            .map_or(Scan::Pass, |guard| guard.borrow_mut().scan(bytes))
    }

    pub(super) fn at_rest(&self) -> Result<(), Malformed> {
        self.guard
            .as_ref()
            .map_or(Ok(()), |guard| guard.borrow().end())
    }

    /// The body of the message at hand is on its way: no later head was seen.
    pub(super) fn in_first_body(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| {
            let guard = guard.borrow();
            guard.end() == Err(Malformed::BodyIncomplete) && !guard.has_waiting()
        })
    }
}
