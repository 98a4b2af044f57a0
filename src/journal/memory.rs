//! A journal in memory: the port's contract without a disk, for tests and for simulators that step
//! it.
//!
//! What is handed over waits in its order until somebody writes it, because the ledger hands
//! entries over under a shard's lock and the projection takes that lock again.
//! [`MemoryJournal::write`] writes what waits on the caller's thread, so a test can look between
//! "handed over" and "durable"; [`MemoryJournal::write_until_closed`] is for a thread of its own.
//! It forgets everything when it is dropped: never for a gate that runs.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use super::port::{Appended, Journal, Projection, Ticket};
use super::read::{Checks, Entries, EntryFilter, Happened, Records, RunFilter, RunView, Shadowed};
use super::receipt;
use super::receipt::{Receipt, Stamp};
use super::record::{RunKey, RunRecord};
use super::revise::{Batch, Revise, ReviseError, Revised, RevisedAll};
use super::unavailable::Unavailable;
use crate::gate::event::Entry;
use crate::gate::name::{AgentName, RunId, WorkflowName};
use crate::gate::state::State;
use crate::gate::time::Time;

mod books;
mod checks;
mod kept;
mod matching;
mod records;

use books::MemoryBooks;

/// A journal that keeps everything in memory.
#[derive(Default)]
pub struct MemoryJournal {
    queue: Mutex<Queue>,
    filled: Condvar,
    books: Mutex<MemoryBooks>,
    /// Is the disk unwell? A test can say so.
    refuses: AtomicBool,
    /// What was dropped since.
    dropped: Mutex<Vec<(Ticket, Option<WorkflowName>)>>,
}

#[derive(Default)]
struct Queue {
    ticket: Ticket,
    waiting: VecDeque<Item>,
    closed: bool,
}

enum Item {
    Entry(Ticket, Box<Entry>, Option<Stamp<Result<(), Unavailable>>>),
    Run(RunRecord),
    Revise(Revise, Stamp<Result<Revised, ReviseError>>),
    ReviseAll(Batch, Stamp<Result<RevisedAll, ReviseError>>),
}

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A journal in which `entries` were written before, such as one that a crash cut off. Its runs
    /// are lost.
    #[must_use]
    pub fn replayed(entries: &[Entry]) -> Arc<Self> {
        let journal = MemoryJournal::default();
        let mut books = lock(&journal.books);
        for entry in entries {
            books.state.replay(entry);
            books.keep(entry);
        }
        drop(books);
        Arc::new(journal)
    }

    /// Tells `projection` of everything that is written from here on.
    pub fn project(&self, projection: Weak<dyn Projection>) {
        lock(&self.books).projection = Some(projection);
    }

    /// From here on it is unavailable, or no longer. As with a disk that fails, whoever waits is
    /// told no; facts stay queued and are written in the end, and what would have opened something
    /// is dropped for good.
    pub fn refuse(&self, refuses: bool) {
        let was = self.refuses.swap(refuses, Ordering::AcqRel);
        if refuses && !was {
            let waiting = std::mem::take(&mut lock(&self.queue).waiting);
            let kept: Vec<_> = waiting
                .into_iter()
                .filter_map(|item| self.drop_unless_fact(item))
                .collect();
            let mut queue = lock(&self.queue);
            kept.into_iter()
                .rev()
                .for_each(|item| queue.waiting.push_front(item));
        }
        if was && !refuses {
            let books = lock(&self.books);
            let dropped = std::mem::take(&mut *lock(&self.dropped));
            let projection = books.projection.as_ref().and_then(Weak::upgrade);
            for (name, state) in books.state.workflows() {
                let own = dropped.iter().filter(|(_, workflow)| {
                    workflow.as_ref().is_none_or(|workflow| workflow == name)
                });
                let tickets: Vec<_> = own.map(|(ticket, _)| *ticket).collect();
                if let Some(projection) = projection.as_ref().filter(|_| !tickets.is_empty()) {
                    projection.refused(name, &tickets, state);
                }
            }
        }
        // Taken and let go: whoever looked before the swap waits by now.
        drop(lock(&self.queue));
        self.filled.notify_all();
    }

    fn drop_unless_fact(&self, item: Item) -> Option<Item> {
        match item {
            Item::Entry(ticket, entry, stamp) => {
                let is_fact = entry.event.is_fact();
                if !is_fact {
                    lock(&self.dropped).push((ticket, entry.workflow.clone()));
                }
                if let Some(stamp) = stamp {
                    stamp.answer(Err(Unavailable));
                }
                is_fact.then_some(Item::Entry(ticket, entry, None))
            }
            Item::Revise(_, stamp) => {
                stamp.answer(Err(ReviseError::Unavailable(Unavailable)));
                None
            }
            Item::ReviseAll(_, stamp) => {
                stamp.answer(Err(ReviseError::Unavailable(Unavailable)));
                None
            }
            Item::Run(_) => Some(item),
        }
    }

    /// The fold behind everything that was written.
    #[must_use]
    pub fn state(&self) -> State {
        lock(&self.books).state.clone()
    }

    /// Writes everything that waits, in order, and returns how much that was.
    pub fn write(&self) -> usize {
        let mut written = 0;
        while self.write_one() {
            written += 1;
        }
        written
    }

    /// Writes the first thing that waits; false where nothing does.
    pub fn write_one(&self) -> bool {
        // The books before the queue: of two that write at once, the one that takes first also
        // writes first.
        let mut books = lock(&self.books);
        if self.is_refusing() {
            return false;
        }
        let next = lock(&self.queue).waiting.pop_front();
        let Some(item) = next else { return false };
        match item {
            Item::Entry(ticket, entry, stamp) => {
                books.enter(ticket, *entry);
                if let Some(stamp) = stamp {
                    stamp.answer(Ok(()));
                }
            }
            Item::Run(run) => books.record(run),
            Item::Revise(revise, stamp) => stamp.answer(books.revise(&revise)),
            Item::ReviseAll(batch, stamp) => stamp.answer(books.revise_all(&batch)),
        }
        true
    }

    /// Writes everything that waits and lets time pass for the fold, as a writer does every minute:
    /// what follows from that alone is written too.
    pub fn advance(&self, now: Time) {
        self.write();
        let mut books = lock(&self.books);
        let followed = books.state.advance(now);
        for entry in &followed {
            books.keep(entry);
        }
        let Some(projection) = books.projection.as_ref().and_then(Weak::upgrade) else {
            return;
        };
        for (name, state) in books.state.workflows() {
            let own: Vec<_> = followed
                .iter()
                .filter(|followed| followed.workflow.as_ref() == Some(name))
                .cloned()
                .collect();
            if !own.is_empty() {
                projection.committed(name, 0, &own, state);
            }
        }
    }

    /// Writes whatever is handed over, until [`MemoryJournal::close`] and nothing waits any more.
    pub fn write_until_closed(&self) {
        loop {
            self.write();
            let queue = lock(&self.queue);
            // While it refuses, what waits stays where it is.
            let is_idle = |queue: &Queue| queue.waiting.is_empty() || self.is_refusing();
            if is_idle(&queue) {
                if queue.closed {
                    return;
                }
                drop(
                    self.filled
                        .wait_while(queue, |queue| is_idle(queue) && !queue.closed),
                );
            }
        }
    }

    /// Lets [`MemoryJournal::write_until_closed`] come to its end.
    pub fn close(&self) {
        lock(&self.queue).closed = true;
        self.filled.notify_all();
    }

    fn read(&self) -> Result<MutexGuard<'_, MemoryBooks>, Unavailable> {
        if self.is_refusing() {
            return Err(Unavailable);
        }
        Ok(lock(&self.books))
    }

    fn is_refusing(&self) -> bool {
        self.refuses.load(Ordering::Acquire)
    }

    fn wait(&self, item: impl FnOnce(Ticket) -> Item) -> Ticket {
        let mut queue = lock(&self.queue);
        queue.ticket += 1;
        let ticket = queue.ticket;
        queue.waiting.push_back(item(ticket));
        self.filled.notify_all();
        ticket
    }
}

impl Journal for MemoryJournal {
    fn append(&self, entry: Entry) -> Appended {
        let (stamp, durable) = receipt::pair();
        if self.is_refusing() {
            let mut queue = lock(&self.queue);
            queue.ticket += 1;
            let ticket = queue.ticket;
            drop(queue);
            if let Some(kept) =
                self.drop_unless_fact(Item::Entry(ticket, Box::new(entry), Some(stamp)))
            {
                lock(&self.queue).waiting.push_back(kept);
            }
            return Appended { ticket, durable };
        }
        let ticket = self.wait(|ticket| Item::Entry(ticket, Box::new(entry), Some(stamp)));
        Appended { ticket, durable }
    }

    fn record(&self, run: RunRecord) {
        self.wait(|_| Item::Run(run));
    }

    fn ready(&self) -> bool {
        !self.is_refusing()
    }

    fn room(&self) -> bool {
        true
    }

    fn last_number(
        &self,
        workflow: &WorkflowName,
        agent: &AgentName,
        run: &RunId,
    ) -> Result<u64, Unavailable> {
        Ok(self.read()?.last_number(workflow, agent, run))
    }

    fn revise(&self, revise: Revise) -> Receipt<Result<Revised, ReviseError>> {
        let (stamp, receipt) = receipt::pair();
        if self.is_refusing() {
            stamp.answer(Err(ReviseError::Unavailable(Unavailable)));
        } else {
            self.wait(|_| Item::Revise(revise, stamp));
        }
        receipt
    }

    fn revise_all(&self, batch: Batch) -> Receipt<Result<RevisedAll, ReviseError>> {
        let (stamp, receipt) = receipt::pair();
        if self.is_refusing() {
            stamp.answer(Err(ReviseError::Unavailable(Unavailable)));
        } else {
            self.wait(|_| Item::ReviseAll(batch, stamp));
        }
        receipt
    }
}

impl Records for MemoryJournal {
    fn runs(&self, filter: &RunFilter) -> Result<Vec<RunView>, Unavailable> {
        Ok(self.read()?.runs(filter))
    }

    fn keys(&self, filter: &RunFilter) -> Result<Vec<RunKey>, Unavailable> {
        Ok(self.read()?.keys(filter))
    }

    fn checks(
        &self,
        workflow: Option<&WorkflowName>,
        since: Time,
        limit: usize,
    ) -> Result<Checks, Unavailable> {
        Ok(self.read()?.checks(workflow, since, limit))
    }

    fn ledger(&self) -> String {
        "memory".to_owned()
    }

    fn entries(&self, filter: &EntryFilter) -> Result<Entries, Unavailable> {
        Ok(self.read()?.entries(filter))
    }

    fn happened(
        &self,
        happened: &Happened,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Entry)>, Unavailable> {
        Ok(self.read()?.happened(happened, after, limit))
    }

    fn decided(&self, workflow: &WorkflowName, limit: usize) -> Result<Vec<Entry>, Unavailable> {
        Ok(self.read()?.decided(workflow, limit))
    }

    fn shadowed(&self, since: Time, until: Time) -> Result<Vec<Shadowed>, Unavailable> {
        Ok(self.read()?.shadowed(since, until))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
