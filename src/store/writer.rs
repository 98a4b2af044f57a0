//! The writer: the one thread that writes the ledger and owns the fold.
//!
//! Everything queued goes into one transaction, so that a commit's price is shared (group commit).
//! A transaction that fails is never assumed: the connection is closed, the file opened and read
//! anew, and only a transaction that succeeds on it makes the journal ready again (F3-F5).
//! Until then everybody who waits gets `Unavailable`; facts stay queued, and what would only have
//! opened something is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::database::{Database, StoreFault, checkpoint};
use super::files::{Acknowledged, Directory, HeadFile};
use super::loaded::{LoadedState, walk};
use super::queue::{Job, MOST_AT_ONCE, Woken, WriterEnding, WriterQueue};
use super::refusal::{refuse, take_back};
use super::transaction::{Transaction, Written};
use crate::gate::event::{Entry, Event};
use crate::gate::name::WorkflowName;
use crate::gate::state::State;
use crate::gate::time::{Minute, Time};
use crate::journal::import::{ImportError, ImportReply};
use crate::journal::port::{Projection, Ticket};
use crate::journal::revise::{ReviseError, Revised, RevisedAll};
use crate::journal::unavailable::Unavailable;

/// A snapshot is due after so many journal rows.
const SNAPSHOT_ROWS: i64 = 10_000;
/// A snapshot is due after so long, if anything happened.
const SNAPSHOT_AFTER: Duration = Duration::from_secs(30);
/// The WAL is brought into the database after so many index rows: some 10 MB.
const CHECKPOINT_ROWS: u64 = 65_536;
/// The first wait after a failure; it doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait after a failure.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// The gate's clock.
pub type WriterClock = Arc<dyn Fn() -> Time + Send + Sync>;

/// The thread that writes.
pub(super) struct Writer {
    pub(super) queue: Arc<WriterQueue>,
    pub(super) directory: Directory,
    pub(super) head_file: HeadFile,
    pub(super) projection: Arc<dyn Projection>,
    pub(super) clock: WriterClock,
    pub(super) snapshot_at: Instant,
    pub(super) advanced: Minute,
    pub(super) backoff: Duration,
    #[cfg(test)]
    pub(super) fault: Arc<super::tests::DiskFault>,
}

/// Closes the queue however the writer ends, by a panic too: nobody may wait for a thread that is
/// gone.
struct Closing(Arc<WriterQueue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// How a session on one connection ended.
enum Over {
    Ended,
    Failed(Failed),
}

/// A transaction of which it is not known whether it took place.
struct Failed {
    fault: StoreFault,
    /// Where the ledger stood before it.
    before: Acknowledged,
    jobs: VecDeque<Job>,
}

/// What a transaction wrote.
struct Committed {
    written: Vec<Written>,
    revised: VecDeque<Result<Revised, ReviseError>>,
    batches: VecDeque<Result<RevisedAll, ReviseError>>,
    imported: VecDeque<Result<ImportReply, ImportError>>,
}

impl Writer {
    /// Works until the end is called.
    pub(super) fn run(
        mut self,
        database: Database,
        loaded: LoadedState,
    ) -> Result<(), Unavailable> {
        let _closing = Closing(Arc::clone(&self.queue));
        let mut next = Some((database, loaded, false));
        while let Some((database, loaded, probe)) = next.take() {
            let before = Acknowledged {
                commits: loaded.commits,
                head: loaded.head,
            };
            let failed = match self.session(database, loaded, probe) {
                Ok(Over::Ended) => return Ok(()),
                Ok(Over::Failed(failed)) => failed,
                Err(fault) => Failed {
                    fault,
                    before,
                    jobs: VecDeque::new(),
                },
            };
            next = self
                .recover(failed)
                .map(|(database, loaded)| (database, loaded, true));
        }
        Err(Unavailable)
    }

    /// Writes on one connection until it fails or the end is called.
    fn session(
        &mut self,
        database: Database,
        loaded: LoadedState,
        mut probe: bool,
    ) -> Result<Over, StoreFault> {
        let Database {
            connection,
            mut files,
        } = database;
        let mut transaction = Transaction::new(&connection, loaded)?;
        let mut checkpointed = 0;
        loop {
            let woken = if probe {
                Woken::Work
            } else {
                self.queue.wait(self.next_edge(&transaction.loaded))
            };
            let ending = match woken {
                Woken::Time if !self.is_due(&transaction.loaded) => continue,
                Woken::Work | Woken::Time => None,
                Woken::WriterEnding(ending) => Some(ending),
            };
            // Read first: whatever is not taken with these jobs was handed over later, and is not
            // judged as if it had come too late.
            let now = (self.clock)();
            let jobs = self.queue.take();
            let last = ending.is_some() && jobs.len() < MOST_AT_ONCE;
            let drained = last && ending == Some(WriterEnding::Drain);
            let before = Acknowledged {
                commits: transaction.loaded.commits,
                head: transaction.loaded.head,
            };
            let unsaved = transaction.loaded.unsaved;
            let result = files
                .check()
                .and_then(|()| self.transact(&mut transaction, &jobs, now, drained));
            match result {
                Ok(done) => {
                    if probe {
                        info!("the journal is available again");
                        self.queue.set_unwell(false);
                        self.backoff = FIRST_BACKOFF;
                        probe = false;
                    }
                    self.acknowledge(&transaction.loaded, jobs, done);
                }
                Err(fault) => {
                    return Ok(Over::Failed(Failed {
                        fault,
                        before,
                        jobs,
                    }));
                }
            }
            if transaction.rows - checkpointed >= CHECKPOINT_ROWS
                || transaction.loaded.unsaved < unsaved
                || last
            {
                checkpointed = transaction.rows;
                if let Err(fault) = checkpoint(&connection, last)
                    .or_else(|fault| if last { Ok(()) } else { Err(fault) })
                {
                    let before = Acknowledged {
                        commits: transaction.loaded.commits,
                        head: transaction.loaded.head,
                    };
                    return Ok(Over::Failed(Failed {
                        fault,
                        before,
                        jobs: VecDeque::new(),
                    }));
                }
            }
            if last {
                // The note is only worth its sync at a clean end; after a crash it may lag.
                self.head_file
                    .sync()
                    .unwrap_or_else(|error| warn!(%error, "the head file could not be synced"));
                return Ok(Over::Ended);
            }
        }
    }

    fn transact(
        &mut self,
        transaction: &mut Transaction<'_>,
        jobs: &VecDeque<Job>,
        now: Time,
        drained: bool,
    ) -> Result<Committed, StoreFault> {
        #[cfg(test)]
        self.fault.arm(transaction.connection)?;
        transaction.begin()?;
        let (mut revised, mut batches, mut imported) =
            (VecDeque::new(), VecDeque::new(), VecDeque::new());
        for job in jobs {
            match job {
                Job::Append { ticket, entry, .. } => transaction.enter(*ticket, entry)?,
                Job::Record(run) => transaction.record(run)?,
                Job::Revise { revise, .. } => revised.push_back(transaction.revise(revise)?),
                Job::ReviseAll { batch, .. } => batches.push_back(transaction.revise_all(batch)?),
                Job::Import { step, .. } => imported.push_back(transaction.import(step)?),
                Job::LossBooked => {
                    transaction
                        .connection
                        .execute("DELETE FROM meta WHERE key = 'lost'", [])?;
                }
            }
        }
        if now.minute() > self.advanced {
            transaction.advance(now)?;
            self.advanced = now.minute();
        }
        if drained {
            let at = now.max(transaction.loaded.state.now());
            transaction.enter(
                0,
                &Entry {
                    at,
                    workflow: None,
                    event: Event::Stopped,
                },
            )?;
        }
        if drained || self.snapshot_is_due(&transaction.loaded) {
            match transaction.snapshot() {
                // The journal does without it: a start takes longer, and nothing is lost.
                Err(StoreFault::Json(error)) => {
                    error!(%error, "the state cannot be written as JSON: there is no new snapshot");
                }
                result => result?,
            }
            self.snapshot_at = Instant::now() + SNAPSHOT_AFTER;
        }
        let written = transaction.commit()?;
        #[cfg(test)]
        self.fault.lie()?;
        Ok(Committed {
            written,
            revised,
            batches,
            imported,
        })
    }

    /// The transaction is durable: writes the head file, then answers everybody who waits.
    fn acknowledge(&self, loaded: &LoadedState, mut jobs: VecDeque<Job>, done: Committed) {
        let acknowledged = Acknowledged {
            commits: loaded.commits,
            head: loaded.head,
        };
        self.head_file
            .write(&acknowledged)
            .unwrap_or_else(|error| warn!(%error, "the head file could not be written"));
        self.project(&done.written, &loaded.state);
        self.queue.done(jobs.len());
        let (mut revised, mut batches, mut imported) = (done.revised, done.batches, done.imported);
        for job in jobs.drain(..) {
            match job {
                Job::Append { stamp, .. } => {
                    if let Some(stamp) = stamp {
                        stamp.answer(Ok(()));
                    }
                }
                Job::Revise { stamp, .. } => {
                    if let Some(answer) = revised.pop_front() {
                        stamp.answer(answer);
                    }
                }
                Job::ReviseAll { stamp, .. } => {
                    if let Some(answer) = batches.pop_front() {
                        stamp.answer(answer);
                    }
                }
                Job::Import { stamp, .. } => {
                    if let Some(answer) = imported.pop_front() {
                        stamp.answer(answer);
                    }
                }
                Job::Record(_) | Job::LossBooked => {}
            }
        }
        self.queue.recycle(jobs);
    }

    /// Shows each workflow its entries that became durable. Entries of no workflow are shown to
    /// all.
    fn project(&self, written: &[Written], state: &State) {
        let mut touched: BTreeMap<WorkflowName, (Ticket, Vec<Entry>)> = BTreeMap::new();
        if written.iter().any(|(_, entry)| entry.workflow.is_none()) {
            touched.extend(
                state
                    .workflows()
                    .map(|(name, _)| (name.clone(), Default::default())),
            );
        }
        for (_, entry) in written {
            if let Some(workflow) = &entry.workflow {
                touched.entry(workflow.clone()).or_default();
            }
        }
        for (ticket, entry) in written {
            let mut show = |(upto, entries): &mut (Ticket, Vec<Entry>)| {
                *upto = (*upto).max(*ticket);
                entries.push(entry.clone());
            };
            match &entry.workflow {
                Some(workflow) => touched.get_mut(workflow).into_iter().for_each(&mut show),
                None => touched.values_mut().for_each(&mut show),
            }
        }
        for (workflow, (upto, entries)) in touched {
            if let Some(state) = state.workflow(&workflow) {
                self.projection.committed(&workflow, upto, &entries, state);
            }
        }
        for (_, entry) in written.iter().filter(|(_, entry)| entry.workflow.is_none()) {
            self.projection.announced(entry);
        }
    }

    /// After a failure: answers everybody who waits with an error, and retries until the ledger can
    /// be read again. `None` where the end was called and it still cannot be read.
    fn recover(&mut self, failed: Failed) -> Option<(Database, LoadedState)> {
        let Failed {
            fault,
            before,
            jobs,
        } = failed;
        error!(%fault, "the journal is unavailable; nothing is admitted until it is back");
        self.queue.set_unwell(true);
        let upto = jobs
            .iter()
            .filter_map(|job| {
                if let Job::Append { ticket, .. } = job {
                    Some(*ticket)
                } else {
                    None
                }
            })
            .max()
            .unwrap_or(0);
        let taken = jobs.len();
        let (kept, dropped) = refuse(jobs);
        self.queue.done(taken - kept.len());
        let mut refused: Vec<Written> = Vec::new();
        loop {
            let until = Instant::now() + self.backoff;
            self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
            let ending = loop {
                let ending = self.queue.wait_urgent(until);
                refused.extend(self.refuse_queued());
                if ending.is_some() || until <= Instant::now() {
                    break ending;
                }
            };
            match self.reopen(&before) {
                Ok((database, loaded)) => {
                    // The fold that was read anew agrees with the disk.
                    self.advanced = loaded.state.now().minute();
                    if loaded.commits == before.commits {
                        self.queue.put_back(kept);
                        refused.extend(dropped);
                    } else {
                        // It took place although its end was reported as a failure. What was
                        // refused in it has to be taken back.
                        self.queue.done(kept.len());
                        self.catch_up(&database, &loaded, &before, upto);
                        for entry in dropped
                            .iter()
                            .filter_map(|(_, entry)| take_back(entry, loaded.state.now()))
                        {
                            self.queue.push_front(Job::Append {
                                ticket: 0,
                                entry: Box::new(entry),
                                stamp: None,
                            });
                        }
                    }
                    self.disown(&refused, &loaded.state);
                    // Called to the end, and this is at least the second failure: a third attempt
                    // would only make the end wait.
                    let hopeless = ending.is_some() && self.backoff > FIRST_BACKOFF * 4;
                    return (!hopeless).then_some((database, loaded));
                }
                Err(fault) => warn!(%fault, "the journal is still unavailable"),
            }
            if ending.is_some() {
                return None;
            }
        }
    }

    /// Opens the ledger anew, and makes sure that it is the one we know and has everything that was
    /// acknowledged.
    fn reopen(&self, before: &Acknowledged) -> Result<(Database, LoadedState), StoreFault> {
        let database = Database::open(&self.directory.database())?;
        let loaded = LoadedState::load(&database.connection)?;
        let knows_us = before.head.seq == 0
            || database
                .connection
                .query_row(
                    "SELECT hash FROM journal WHERE seq = ?1",
                    [before.head.seq],
                    |row| row.get::<_, [u8; 32]>(0),
                )
                .ok()
                == Some(before.head.hash);
        if !knows_us
            || loaded.head.seq < before.head.seq
            || !(before.commits..=before.commits + 1).contains(&loaded.commits)
        {
            return Err(StoreFault::Replaced);
        }
        Ok((database, loaded))
    }

    /// Shows what a transaction wrote that was thought to have failed.
    fn catch_up(
        &self,
        database: &Database,
        loaded: &LoadedState,
        before: &Acknowledged,
        upto: Ticket,
    ) {
        let mut written = Vec::new();
        match walk(&database.connection, before.head, |entry| {
            written.push((upto, entry.clone()));
        }) {
            Ok(_) => self.project(&written, &loaded.state),
            Err(fault) => error!(%fault, "what was written could not be read back"),
        }
    }

    fn refuse_queued(&self) -> Vec<Written> {
        let jobs = self.queue.take_all();
        let taken = jobs.len();
        let (kept, dropped) = refuse(jobs);
        self.queue.done(taken - kept.len());
        self.queue.put_back(kept);
        dropped
    }

    /// Tells each workflow which of its entries were dropped and will never be durable.
    fn disown(&self, refused: &[Written], state: &State) {
        for (workflow, state) in state.workflows() {
            let own = refused
                .iter()
                .filter(|(_, entry)| entry.workflow.as_ref().is_none_or(|name| name == workflow));
            let tickets: Vec<Ticket> = own.map(|(ticket, _)| *ticket).collect();
            if !tickets.is_empty() {
                self.projection.refused(workflow, &tickets, state);
            }
        }
    }

    fn is_due(&self, loaded: &LoadedState) -> bool {
        (self.clock)().minute() > self.advanced || self.snapshot_is_due(loaded)
    }

    fn snapshot_is_due(&self, loaded: &LoadedState) -> bool {
        loaded.unsaved >= SNAPSHOT_ROWS
            || (loaded.unsaved > 0 && self.snapshot_at <= Instant::now())
    }

    /// When there is something to do even if nothing is handed over.
    fn next_edge(&self, loaded: &LoadedState) -> Instant {
        let now = (self.clock)();
        let minute = Instant::now() + now.minute().next().start().since(now);
        if loaded.unsaved > 0 {
            minute.min(self.snapshot_at)
        } else {
            minute
        }
    }
}

/// The backoff a writer begins with.
pub(super) const fn first_backoff() -> Duration {
    FIRST_BACKOFF
}

/// When the first snapshot is due.
pub(super) fn first_snapshot() -> Instant {
    Instant::now() + SNAPSHOT_AFTER
}
