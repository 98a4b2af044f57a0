//! A journal in memory: the port's contract without a disk, for tests and for simulators that step
//! it.
//!
//! What is handed over waits in its order until somebody writes it, because the ledger hands
//! entries over under a shard's lock and the projection takes that lock again.
//! [`MemoryJournal::write`] writes what waits on the caller's thread, so a test can look between
//! "handed over" and "durable"; [`MemoryJournal::write_until_closed`] is for a thread of its own.
//! It forgets everything when it is dropped: never for a gate that runs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

mod checks;
mod records;

use super::port::{Appended, Journal, Projection, Ticket};
use super::read::{JournalView, RunView};
use super::receipt;
use super::receipt::{Receipt, Stamp};
use super::record::{CallRecord, RunRecord};
use super::revise::{
    Batch, BatchOf, MAX_BATCH, Revise, ReviseError, Revised, RevisedAll, RunTarget,
};
use super::unavailable::Unavailable;
use crate::gate::booking::Change;
use crate::gate::booking::CheckState;
use crate::gate::booking::ids::Candidate;
use crate::gate::event::{Cell, Entry, Event, Revision};
use crate::gate::facets::{Facets, Shown};
use crate::gate::name::WorkflowName;
use crate::gate::outcome::FailureMode;
use crate::gate::policy::Terms;
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, Executed, Mark, RunRef};
use crate::gate::state::State;
use crate::gate::time::Time;

mod matching;

use matching::{key_of, matches, touching};

/// A journal that keeps everything in memory.
#[derive(Default)]
pub struct MemoryJournal {
    queue: Mutex<Queue>,
    filled: Condvar,
    books: Mutex<Books>,
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

#[derive(Default)]
struct Books {
    state: State,
    entries: Vec<JournalView>,
    runs: Vec<RunView>,
    /// The references of exclusions.
    excluded_under: BTreeMap<(WorkflowName, RunRef), Arc<str>>,
    /// By the run's place in `runs`. Without a secret there is no chance: every counted run of a
    /// workflow that asks for checks is drawn.
    checks: BTreeMap<usize, (Time, CheckState)>,
    /// Runs that were booked and have not ended: what was seen of them so far.
    booked: BTreeMap<(WorkflowName, RunRef), (Facets, Vec<Charge>)>,
    projection: Option<Weak<dyn Projection>>,
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
            let seq = books.entries.len() as u64 + 1;
            books.entries.push(JournalView::unchained(seq, entry));
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
                books.commit(ticket, *entry);
                if let Some(stamp) = stamp {
                    stamp.answer(Ok(()));
                }
            }
            Item::Run(run) => books.record(run),
            Item::Revise(revise, stamp) => stamp.answer(books.revise(revise)),
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
            let seq = books.entries.len() as u64 + 1;
            books.entries.push(JournalView::unchained(seq, entry));
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

impl Books {
    fn commit(&mut self, ticket: Ticket, mut entry: Entry) {
        self.complete(&mut entry);
        // The journal's times never go back.
        entry.at = entry.at.max(self.state.now());
        let entry = &entry;
        let followed = self.state.apply(entry);
        for entry in std::iter::once(entry).chain(&followed) {
            self.entries
                .push(JournalView::unchained(self.entries.len() as u64 + 1, entry));
        }
        let Some(projection) = self.projection.as_ref().and_then(Weak::upgrade) else {
            return;
        };
        let concerned: Vec<_> = match &entry.workflow {
            Some(name) => vec![name.clone()],
            None => self
                .state
                .workflows()
                .map(|(name, _)| name.clone())
                .collect(),
        };
        for name in concerned {
            let Some(state) = self.state.workflow(&name) else {
                continue;
            };
            let own = followed
                .iter()
                .filter(|followed| followed.workflow.as_ref() == Some(&name));
            let entries: Vec<_> = std::iter::once(entry).chain(own).cloned().collect();
            projection.committed(&name, ticket, &entries, state);
        }
    }

    /// Puts what is known of a booked run that has not ended into what happens to it.
    fn complete(&mut self, entry: &mut Entry) {
        let Some(workflow) = &entry.workflow else {
            return;
        };
        match &mut entry.event {
            Event::Booked {
                run, charges, seen, ..
            } => {
                self.booked
                    .insert((workflow.clone(), run.clone()), (*seen, charges.clone()));
            }
            Event::Reported { revision, charge } => {
                let Some((seen, charges)) = self
                    .booked
                    .get_mut(&(workflow.clone(), revision.run.clone()))
                else {
                    return;
                };
                let was = Shown::of(revision.was, *seen, &*charges);
                if !charges.contains(charge) {
                    charges.push(charge.clone());
                }
                let now = Shown::of(revision.now, *seen, &*charges);
                *revision = revision.clone().showing(&was, &now);
            }
            _ => {}
        }
    }

    fn record(&mut self, run: RunRecord) {
        let entry = |event| Entry {
            at: run.ended,
            workflow: Some(run.workflow.clone()),
            event,
        };
        if matches!(run.mark, Mark::Acceptable | Mark::Idle) {
            let mut cell = Cell::new(run.booked_at.minute());
            cell.add(run.mark, run.high, run.seen, &run.charges);
            self.commit(0, entry(Event::Tallied { cells: vec![cell] }));
        } else {
            let reference = RunRef {
                agent: run.agent.clone(),
                run: run.id(),
            };
            if let Some((seen, charges)) = self
                .booked
                .remove(&(run.workflow.clone(), reference.clone()))
            {
                let (was, now) = (Shown::of(run.mark, seen, &charges), run.shown(run.mark));
                if was != now {
                    let revision =
                        Revision::new(reference, run.booked_at, run.high, run.mark, run.mark)
                            .showing(&was, &now);
                    self.commit(0, entry(Event::Noted { revision }));
                }
            }
        }
        let is_checked = self
            .state
            .workflow(&run.workflow)
            .is_some_and(|state| state.terms().check.is_some());
        if run.mark == Mark::Acceptable && is_checked {
            self.checks
                .insert(self.runs.len(), (run.ended, CheckState::Waiting));
        }
        self.runs.push(RunView {
            position: self.runs.len() as u64,
            run,
            retracted: Vec::new(),
            excluded: None,
        });
    }

    fn revise(&mut self, revise: Revise) -> Result<Revised, ReviseError> {
        let index = self.find(&revise.target, &revise.open)?;
        self.change(index, revise.at, revise.change)
    }

    fn revise_all(&mut self, batch: &Batch) -> Result<RevisedAll, ReviseError> {
        let is_meant = |view: &RunView| match (&batch.of, &batch.change) {
            (BatchOf::Runs(keys), _) => keys.iter().any(|key| {
                (&key.workflow, &key.agent, &key.run)
                    == (&view.run.workflow, &view.run.agent, &view.run.id())
            }),
            (BatchOf::Reference(reference), Change::Retract { mode, .. }) => {
                view.run.charges.iter().any(|charge| {
                    charge.reference.as_ref() == Some(reference)
                        && mode.as_ref().is_none_or(|mode| *mode == charge.mode)
                })
            }
            (BatchOf::Reference(reference), _) => {
                self.excluded_under.get(&key_of(&view.run)) == Some(reference)
            }
        };
        let meant: Vec<_> = self
            .runs
            .iter()
            .enumerate()
            .filter(|(_, view)| is_meant(view))
            .map(|(index, _)| index)
            .collect();
        if meant.len() > MAX_BATCH {
            return Err(ReviseError::TooMany);
        }
        let mut done = RevisedAll::default();
        for index in meant {
            match self.change(index, batch.at, batch.change.clone()) {
                Ok(revised) if !revised.repeated => {
                    *done.changed.entry(revised.workflow).or_default() += 1;
                }
                Ok(_) | Err(_) => done.repeated += 1,
            }
            while matches!(
                batch.change,
                Change::Retract {
                    reference: Some(_),
                    ..
                }
            ) && self.change(index, batch.at, batch.change.clone()).is_ok()
            {}
        }
        Ok(done)
    }

    fn change(&mut self, index: usize, at: Time, change: Change) -> Result<Revised, ReviseError> {
        let workflow = self.runs[index].run.workflow.clone();
        let terms = self
            .state
            .workflow(&workflow)
            .map(|state| Arc::clone(state.terms()))
            .ok_or(ReviseError::Unknown)?;
        let view = &mut self.runs[index];
        let (was, shown) = (view.run.mark, view.shown());
        let mut change = change;
        let unchanged = match &mut change {
            Change::Report(charge) => !report(view, charge),
            Change::Retract {
                mode, reference, ..
            } => {
                *mode = Some(retract(view, mode.as_ref(), reference.as_ref())?);
                false
            }
            Change::Exclude {
                reason,
                reference,
                by,
            } => {
                let repeated = was == Mark::Excluded;
                if let Some(reference) = reference.as_ref().filter(|_| !repeated) {
                    self.excluded_under
                        .insert(key_of(&view.run), Arc::clone(reference));
                }
                view.excluded
                    .get_or_insert_with(|| (Arc::clone(reason), by.clone()));
                repeated
            }
            Change::Reconcile {
                call,
                executed,
                harmless,
                ..
            } => {
                let now = if *executed {
                    Executed::Yes
                } else {
                    Executed::No
                };
                let known = view
                    .run
                    .calls
                    .iter_mut()
                    .find(|known| known.call == *call)
                    .ok_or(ReviseError::Unknown)?;
                let repeated = known.executed == now;
                if !repeated && known.executed != Executed::Unknown {
                    return Err(ReviseError::Nothing("the call is not ambiguous"));
                }
                known.executed = now;
                if *harmless {
                    let lost = |charge: &Charge| {
                        charge.call == Some(*call)
                            && matches!(charge.mode, FailureMode::Timeout | FailureMode::ToolError)
                    };
                    view.run.charges.retain(|charge| !lost(charge));
                }
                repeated
            }
            Change::Reinstate { .. } => {
                self.excluded_under.remove(&key_of(&view.run));
                view.excluded
                    .take()
                    .map(|_| false)
                    .ok_or(ReviseError::Nothing("the run is not excluded"))?
            }
            Change::Accept { .. } => match self.leave_queue(index, CheckState::Accepted) {
                Some(CheckState::Waiting) => {
                    let view = &mut self.runs[index];
                    view.run.seen = view.run.seen.judged(true);
                    false
                }
                Some(CheckState::Accepted) => true,
                Some(CheckState::Reported | CheckState::Unchecked | CheckState::Excluded)
                | None => {
                    return Err(ReviseError::Nothing("the run does not wait for a check"));
                }
            },
            Change::Check { right, .. } => {
                let before = view.run.seen;
                view.run.seen = before.judged(*right);
                before == view.run.seen
            }
        };
        let left = match &change {
            Change::Report(_) | Change::Check { right: false, .. } => Some(CheckState::Reported),
            Change::Exclude { .. } => Some(CheckState::Excluded),
            Change::Check { right: true, .. } => Some(CheckState::Accepted),
            Change::Retract { .. }
            | Change::Reinstate { .. }
            | Change::Accept { .. }
            | Change::Reconcile { .. } => None,
        };
        if let Some(left) = left {
            self.leave_queue(index, left);
        }
        let view = &mut self.runs[index];
        view.run.mark = standing(view, &terms);
        let reference = RunRef {
            agent: view.run.agent.clone(),
            run: view.run.id(),
        };
        let revision = Revision::new(
            reference,
            view.run.booked_at,
            view.run.high,
            was,
            view.run.mark,
        )
        .showing(&shown, &view.shown());
        let revised = Revised {
            workflow: workflow.clone(),
            agent: revision.run.agent.clone(),
            run: revision.run.run.clone(),
            booked_at: revision.booked_at,
            was,
            now: revision.now,
            repeated: unchanged,
        };
        if !unchanged {
            self.commit(
                0,
                Entry {
                    at,
                    workflow: Some(workflow),
                    event: event(revision, change),
                },
            );
        }
        Ok(revised)
    }

    fn find(&self, target: &RunTarget, open: &[Candidate]) -> Result<usize, ReviseError> {
        let meant = |view: &RunView| match target {
            RunTarget::Run {
                run,
                workflow,
                agent,
            } => {
                view.run.id() == *run
                    && workflow
                        .as_ref()
                        .is_none_or(|workflow| *workflow == view.run.workflow)
                    && agent.as_ref().is_none_or(|agent| *agent == view.run.agent)
            }
            RunTarget::Call(call) => view.run.calls.iter().any(|known| known.call == *call),
            RunTarget::Subject { .. } => touching(target, view).is_some(),
        };
        let found: Vec<_> = self
            .runs
            .iter()
            .enumerate()
            .filter(|(_, view)| meant(view))
            .map(|(index, _)| index)
            .collect();
        let candidate = |index: &usize| {
            let run = &self.runs[*index].run;
            Candidate {
                workflow: run.workflow.clone(),
                agent: run.agent.clone(),
                run: run.id(),
                tool: touching(target, &self.runs[*index]),
                at: run.booked_at,
            }
        };
        if let RunTarget::Subject { .. } = target {
            // The newest of each workflow, and among those only the ones through the riskiest tool.
            let risk = |candidate: &Candidate| candidate.tool.as_ref().map(|(risk, _)| *risk);
            let mut best: BTreeMap<WorkflowName, (Option<usize>, Candidate)> = open
                .iter()
                .map(|open| (open.workflow.clone(), (None, open.clone())))
                .collect();
            for index in &found {
                let candidate = candidate(index);
                let known = best.get(&candidate.workflow);
                if known.is_none_or(|(at, known)| {
                    risk(&candidate) > risk(known)
                        || (at.is_some() && risk(&candidate) == risk(known))
                }) {
                    best.insert(candidate.workflow.clone(), (Some(*index), candidate));
                }
            }
            let riskiest = best
                .values()
                .map(|(_, candidate)| risk(candidate))
                .max()
                .flatten();
            best.retain(|_, (_, candidate)| risk(candidate) == riskiest);
            return match best.len() {
                0 | 1 => best
                    .into_values()
                    .next()
                    .and_then(|(index, _)| index)
                    .ok_or(ReviseError::Unknown),
                _ => Err(ReviseError::Several(
                    best.into_values().map(|(_, candidate)| candidate).collect(),
                )),
            };
        }
        match found.as_slice() {
            [] => Err(ReviseError::Unknown),
            [one] => Ok(*one),
            several => Err(ReviseError::Several(
                several.iter().map(candidate).collect(),
            )),
        }
    }
}

/// Adds `charge`; false where the same report was made before.
fn report(view: &mut RunView, charge: &Charge) -> bool {
    let is_known = view
        .run
        .charges
        .iter()
        .any(|known| known.mode == charge.mode && known.reference == charge.reference);
    if !is_known {
        view.run.charges.push(charge.clone());
    }
    !is_known
}

fn retract(
    view: &mut RunView,
    mode: Option<&FailureMode>,
    reference: Option<&Arc<str>>,
) -> Result<FailureMode, ReviseError> {
    let is_meant = |charge: &Charge| {
        mode.is_none_or(|mode| charge.mode == *mode)
            && reference.is_none_or(|reference| charge.reference.as_ref() == Some(reference))
    };
    let index = view
        .run
        .charges
        .iter()
        .rposition(is_meant)
        .ok_or(ReviseError::Nothing("the run was never reported so"))?;
    let charge = view.run.charges.remove(index);
    let mode = charge.mode.clone();
    view.retracted.push(charge);
    Ok(mode)
}

fn standing(view: &RunView, terms: &Terms) -> Mark {
    let objective = &terms.objective;
    let counts = |mode: &FailureMode| {
        objective.unacceptable.contains(mode) || objective.critical.contains(mode)
    };
    let forwarded = |call: &CallRecord| {
        call.executed != Executed::No && (call.risk != Risk::Read || terms.reads_only)
    };
    if view.excluded.is_some() {
        Mark::Excluded
    } else if view.run.charges.iter().any(|charge| counts(&charge.mode)) {
        Mark::Unacceptable
    } else if view.run.calls.iter().any(forwarded) {
        Mark::Acceptable
    } else {
        Mark::Idle
    }
}

fn event(revision: Revision, made: Change) -> Event {
    match made {
        Change::Report(charge) => Event::Reported { revision, charge },
        Change::Retract {
            mode,
            reference,
            by,
        } => Event::Retracted {
            revision,
            mode: mode.unwrap_or(FailureMode::WrongAction),
            reference,
            by,
        },
        Change::Exclude {
            reason,
            reference,
            by,
        } => Event::Excluded {
            revision,
            reason,
            reference,
            by,
        },
        Change::Reinstate { by } => Event::Reinstated { revision, by },
        Change::Accept { by } => Event::Checked {
            revision,
            by,
            right: true,
        },
        Change::Check { right, by } => Event::Checked {
            revision,
            by,
            right,
        },
        Change::Reconcile {
            call,
            executed,
            note,
            by,
            ..
        } => Event::Reconciled {
            revision,
            call,
            executed,
            retracted: Vec::new(),
            note,
            by,
        },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
