//! The way to the writer: everything handed over, in order.
//!
//! Nothing here blocks on a disk and nothing is dropped. What bounds the queue is admission: once
//! it is long, or the disk is unwell, `ready` says so and no call is admitted that would make it
//! longer (G7). A record costs a lock and a push; it wakes the writer only where nothing else
//! would.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::records::Readers;
use crate::gate::event::Entry;
use crate::gate::name::{AgentName, RunId, WorkflowName};
use crate::journal::import::{ImportError, ImportReply, ImportStep};
use crate::journal::port::{Appended, Journal, Ticket};
use crate::journal::receipt;
use crate::journal::receipt::{Receipt, Stamp};
use crate::journal::record::RunRecord;
use crate::journal::revise::{Batch, Revise, ReviseError, Revised, RevisedAll};
use crate::journal::unavailable::Unavailable;

/// At so many waiting, no call is admitted that must be durable first: about a second of the
/// busiest proxy, some 40 MB.
pub const MOST_QUEUED: usize = 65_536;
/// At so many waiting, no call is admitted at all, not even a read: the records that reads leave
/// behind must not pile up without bound on a slow disk (G7).
pub(super) const MOST_WAITING: usize = 8 * MOST_QUEUED;
/// The most jobs that one transaction takes: some 40 ms of work, which bounds how long a caller
/// waits for a commit.
pub(super) const MOST_AT_ONCE: usize = 20_000;
/// How long records are collected before they are written together. The port allows 250 ms in all;
/// the rest is for writing them.
const LINGER: Duration = Duration::from_millis(200);

/// The largest list that is kept for the next jobs: a second of a busy proxy.
const MOST_SPARE: usize = 16_384;

/// Something for the writer to do. Nearly all are records, so nothing else may make them larger:
/// they are moved often, and thousands wait at a time.
pub(super) enum Job {
    Append {
        ticket: Ticket,
        entry: Box<Entry>,
        stamp: Option<Stamp<Result<(), Unavailable>>>,
    },
    Record(RunRecord),
    Revise {
        revise: Box<Revise>,
        stamp: Stamp<Result<Revised, ReviseError>>,
    },
    ReviseAll {
        batch: Box<Batch>,
        stamp: Stamp<Result<RevisedAll, ReviseError>>,
    },
    Import {
        step: Box<ImportStep>,
        stamp: Stamp<Result<ImportReply, ImportError>>,
    },
    /// What an accepted loss calls for has been handed over.
    LossBooked,
}

/// How the writer is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriterEnding {
    /// Write everything, and close the ledger.
    Drain,
    /// Write what is there, if it can be written at once.
    Leave,
}

/// Why the writer was woken.
pub(super) enum Woken {
    /// There is something to write.
    Work,
    /// The time it asked for has come.
    Time,
    /// It is to end.
    WriterEnding(WriterEnding),
}

/// The queue.
#[derive(Default)]
pub struct WriterQueue {
    inside: Mutex<Inside>,
    wake: Condvar,
    /// Jobs handed over and not yet committed.
    depth: AtomicUsize,
    unwell: AtomicBool,
    /// Where the numbers of runs are looked up. Not the readers that people's questions wait for.
    index: Option<Readers>,
}

#[derive(Default)]
struct Inside {
    jobs: VecDeque<Job>,
    /// An empty list that has grown already: growing one anew for each transaction costs more than
    /// all its pushes.
    spare: VecDeque<Job>,
    last: Ticket,
    /// Jobs among them that somebody may be waiting for.
    urgent: usize,
    /// The writer sleeps, with nothing queued that would end its sleep.
    asleep: bool,
    ending: Option<WriterEnding>,
    /// The writer is gone.
    closed: bool,
}

impl Journal for WriterQueue {
    fn append(&self, entry: Entry) -> Appended {
        let (stamp, durable) = receipt::pair();
        let mut inside = self.lock();
        inside.last += 1;
        let ticket = inside.last;
        if inside.shut() {
            drop(inside);
            stamp.answer(Err(Unavailable));
        } else {
            self.push_urgent(
                inside,
                Job::Append {
                    ticket,
                    entry: Box::new(entry),
                    stamp: Some(stamp),
                },
            );
        }
        Appended { ticket, durable }
    }

    fn record(&self, run: RunRecord) {
        let mut inside = self.lock();
        if inside.closed {
            tracing::error!("a run ended after the ledger was closed, and is not in it");
            return;
        }
        inside.jobs.push_back(Job::Record(run));
        let wake = inside.asleep || inside.jobs.len() == MOST_AT_ONCE;
        inside.asleep = false;
        drop(inside);
        self.depth.fetch_add(1, Ordering::Relaxed);
        if wake {
            self.wake.notify_one();
        }
    }

    fn ready(&self) -> bool {
        !self.unwell.load(Ordering::Relaxed) && self.depth.load(Ordering::Relaxed) < MOST_QUEUED
    }

    fn room(&self) -> bool {
        self.depth.load(Ordering::Relaxed) < MOST_WAITING
    }

    fn last_number(
        &self,
        workflow: &WorkflowName,
        agent: &AgentName,
        run: &RunId,
    ) -> Result<u64, Unavailable> {
        let index = self.index.as_ref().ok_or(Unavailable)?;
        index.last_number(workflow, agent, run)
    }

    fn revise(&self, revise: Revise) -> Receipt<Result<Revised, ReviseError>> {
        self.ask(|stamp| Job::Revise {
            revise: Box::new(revise),
            stamp,
        })
    }

    fn revise_all(&self, batch: Batch) -> Receipt<Result<RevisedAll, ReviseError>> {
        self.ask(|stamp| Job::ReviseAll {
            batch: Box::new(batch),
            stamp,
        })
    }

    fn import(&self, step: ImportStep) -> Receipt<Result<ImportReply, ImportError>> {
        self.ask(|stamp| Job::Import {
            step: Box::new(step),
            stamp,
        })
    }
}

impl WriterQueue {
    /// An empty queue, which looks numbers up in `index`.
    pub(super) fn new(index: Readers) -> Self {
        WriterQueue {
            index: Some(index),
            ..WriterQueue::default()
        }
    }

    /// Hands over a job that is answered, or answers it where nothing is taken any more.
    fn ask<T, E: From<Unavailable>>(
        &self,
        job: impl FnOnce(Stamp<Result<T, E>>) -> Job,
    ) -> Receipt<Result<T, E>> {
        let (stamp, receipt) = receipt::pair();
        let inside = self.lock();
        if inside.shut() {
            drop(inside);
            stamp.answer(Err(Unavailable.into()));
        } else {
            self.push_urgent(inside, job(stamp));
        }
        receipt
    }

    /// Says that everything which an accepted loss calls for has been handed over: from the next
    /// commit on, a start no longer reports the loss.
    pub fn loss_booked(&self) {
        self.push_urgent(self.lock(), Job::LossBooked);
    }

    pub(super) fn end(&self, ending: WriterEnding) {
        let mut inside = self.lock();
        inside.ending.get_or_insert(ending);
        drop(inside);
        self.unwell.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// The writer is gone: everybody who waits gets an error.
    pub(super) fn close(&self) {
        let mut inside = self.lock();
        inside.closed = true;
        let abandoned = std::mem::take(&mut inside.jobs);
        drop(inside);
        self.unwell.store(true, Ordering::Relaxed);
        drop(abandoned);
    }

    /// Sleeps until there is something to write, or until `until`.
    pub(super) fn wait(&self, until: Instant) -> Woken {
        let mut inside = self.lock();
        let mut due = None;
        loop {
            if let Some(ending) = inside.ending {
                return Woken::WriterEnding(ending);
            }
            let now = Instant::now();
            if inside.urgent > 0 || inside.jobs.len() >= MOST_AT_ONCE {
                return Woken::Work;
            }
            if !inside.jobs.is_empty() && *due.get_or_insert(now + LINGER) <= now {
                return Woken::Work;
            }
            if until <= now {
                return if inside.jobs.is_empty() {
                    Woken::Time
                } else {
                    Woken::Work
                };
            }
            inside.asleep = inside.jobs.is_empty();
            let wake_at = due.unwrap_or(until).min(until);
            inside = self
                .wake
                .wait_timeout(inside, wake_at.saturating_duration_since(now))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            inside.asleep = false;
        }
    }

    /// Sleeps until somebody waits for something, until the end is called, or until `until`.
    pub(super) fn wait_urgent(&self, until: Instant) -> Option<WriterEnding> {
        let mut inside = self.lock();
        loop {
            let now = Instant::now();
            if inside.ending.is_some() || inside.urgent > 0 || until <= now {
                return inside.ending;
            }
            inside = self
                .wake
                .wait_timeout(inside, until.saturating_duration_since(now))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Takes the oldest jobs, as many as fit a transaction.
    pub(super) fn take(&self) -> VecDeque<Job> {
        let mut inside = self.lock();
        if inside.jobs.len() <= MOST_AT_ONCE {
            inside.urgent = 0;
            let spare = std::mem::take(&mut inside.spare);
            return std::mem::replace(&mut inside.jobs, spare);
        }
        let taken: VecDeque<Job> = inside.jobs.drain(..MOST_AT_ONCE).collect();
        inside.urgent = inside
            .urgent
            .saturating_sub(taken.iter().filter(|job| job.is_urgent()).count());
        taken
    }

    /// Gives an empty list back for jobs to come.
    pub(super) fn recycle(&self, jobs: VecDeque<Job>) {
        if jobs.is_empty() && jobs.capacity() <= MOST_SPARE {
            self.lock().spare = jobs;
        }
    }

    /// Takes every job.
    pub(super) fn take_all(&self) -> VecDeque<Job> {
        let mut inside = self.lock();
        inside.urgent = 0;
        std::mem::take(&mut inside.jobs)
    }

    /// Puts jobs back to where they were. They count as waiting all the while.
    pub(super) fn put_back(&self, mut jobs: VecDeque<Job>) {
        let mut inside = self.lock();
        inside.urgent += jobs.iter().filter(|job| job.is_urgent()).count();
        jobs.append(&mut inside.jobs);
        inside.jobs = jobs;
    }

    /// Puts a job nobody waits for before all others.
    pub(super) fn push_front(&self, job: Job) {
        self.lock().jobs.push_front(job);
        self.depth.fetch_add(1, Ordering::Relaxed);
    }

    /// So many jobs are dealt with.
    pub(super) fn done(&self, jobs: usize) {
        self.depth.fetch_sub(jobs, Ordering::Relaxed);
    }

    pub(super) fn set_unwell(&self, unwell: bool) {
        self.unwell.store(unwell, Ordering::Relaxed);
    }

    fn push_urgent(&self, mut inside: MutexGuard<'_, Inside>, job: Job) {
        inside.jobs.push_back(job);
        inside.urgent += 1;
        inside.asleep = false;
        drop(inside);
        self.depth.fetch_add(1, Ordering::Relaxed);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// After the end was called no new call is admitted, but the gate's own last entries are taken.
    fn shut(&self) -> bool {
        self.closed || self.ending.is_some()
    }
}

impl Job {
    /// May somebody be waiting for it?
    pub(super) const fn is_urgent(&self) -> bool {
        match self {
            Job::Append { stamp, .. } => stamp.is_some(),
            Job::Revise { .. } | Job::ReviseAll { .. } | Job::Import { .. } | Job::LossBooked => {
                true
            }
            Job::Record(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g7_calls_are_admitted_while_less_waits_than_the_bounds() {
        let queue = WriterQueue::default();
        let waiting = |depth: usize| {
            queue.depth.store(depth, Ordering::Relaxed);
            (queue.ready(), queue.room())
        };
        assert_eq!(waiting(MOST_QUEUED - 1), (true, true));
        assert_eq!(waiting(MOST_QUEUED), (false, true));
        assert_eq!(waiting(MOST_WAITING - 1), (false, true));
        assert_eq!(waiting(MOST_WAITING), (false, false));
    }

    #[test]
    fn an_empty_list_is_kept_for_the_next_jobs_unless_it_has_grown_too_large() {
        let kept = |capacity: usize| {
            let queue = WriterQueue::default();
            let list = VecDeque::with_capacity(capacity);
            let is_exact = list.capacity() == capacity;
            queue.recycle(list);
            (is_exact, queue.lock().spare.capacity())
        };
        assert_eq!(kept(MOST_SPARE), (true, MOST_SPARE));
        assert_eq!(kept(MOST_SPARE + 1), (true, 0));
    }
}
