//! One workflow's living state: the fold's projection with everything on top that is known but not
//! yet durable.
//!
//! Tighten first, loosen last: an event that can only tighten is applied here at once, and again by
//! the fold when it is written; any other shows here only when it is durable. Entries are handed to
//! the journal under the shard's lock, so that their order here is their order there. An event that
//! concerns every workflow is applied to every shard first and handed over then: no call can stand
//! behind it in the journal that has not seen it. Where the fold applied anything else than was
//! applied here, in another order or at another time, the fold's state is taken over.
//!
//! # Lock order
//!
//! Whoever takes several of the ledger's locks takes them in this order, and never one twice:
//!
//! 1. who may decide on held calls (`Ledger::approvers`);
//! 2. what concerns every workflow and is not durable yet (`Ledger::everywhere`);
//! 3. a map of runs, shards or approvals;
//! 4. an open run;
//! 5. a shard;
//! 6. the journal's queue, or the dedup index (`dedup`).
//!
//! Never two shards, two runs or two of the last kind at once. No lock is held across a wait. The
//! meters of the caps, what unlisted calls look like and what waits to be written of refusals have
//! locks under which nothing else is taken. A reservation of a call takes its run's lock, or the
//! dedup index's, when it is given back: none is dropped under either.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::caps::Traffic;
use super::exposure::TakenSlots;
use super::refused::Refusals;
use crate::gate::approval::Approval;
use crate::gate::event::{Entry, Event, RefusedAlike, RefusedCall};
use crate::gate::name::{ApprovalId, WorkflowName};
use crate::gate::status::Status;
use crate::gate::time::Time;
use crate::gate::workflow::WorkflowState;
use crate::journal::port::{Appended, Journal, Ticket};
use crate::journal::receipt;
use crate::journal::receipt::{Receipt, Shared, Stamp};
use crate::journal::unavailable::Unavailable;

/// From so many on, watchers that nobody waits for any more are removed.
const MANY_WATCHERS: usize = 64;

/// One workflow's living state.
pub struct Shard {
    name: WorkflowName,
    live: Mutex<Live>,
    status: ArcSwap<Status>,
    /// Nothing happens by itself before this time, in milliseconds.
    due: AtomicI64,
    /// Edited calls that wait to be sent.
    edits: AtomicUsize,
    /// Approvals that are pending in the whole process.
    pending: Arc<AtomicUsize>,
    traffic: Traffic,
    exposure: TakenSlots,
    refusals: Refusals,
}

/// The living state, under its lock.
pub struct Live {
    state: WorkflowState,
    /// Handed to the journal and not durable yet, by ticket.
    unconfirmed: VecDeque<(Ticket, Entry)>,
    /// An event that concerns every workflow and is applied here, but has no ticket yet.
    announced: Option<Entry>,
    /// Was anything applied after the announced event that may stand before it in the journal?
    reordered: bool,
    /// Approvals with a decision on its way to disk.
    deciding: Vec<ApprovalId>,
    /// Approvals that are on their way to disk themselves, and what answers once they are there.
    being_written: Vec<(ApprovalId, Shared<Result<(), Unavailable>>)>,
    watchers: Vec<Watcher>,
    prune_at: usize,
    /// How many of the process's pending approvals are counted for this shard.
    counted: usize,
}

struct Watcher {
    approval: ApprovalId,
    stamp: Stamp<()>,
}

impl Live {
    /// The state, with all that tightens it.
    #[must_use]
    pub const fn state(&self) -> &WorkflowState {
        &self.state
    }

    /// What is on its way to disk, the newest first. Of it only what tightens shows in the state.
    pub fn unconfirmed(&self) -> impl Iterator<Item = &Entry> {
        self.unconfirmed.iter().rev().map(|(_, entry)| entry)
    }

    /// Is a decision on `approval` on its way to disk?
    #[must_use]
    pub fn is_deciding(&self, approval: ApprovalId) -> bool {
        self.deciding.contains(&approval)
    }

    /// A decision on `approval` is about to be handed over. Nobody else's is taken until it was, or
    /// was abandoned.
    pub fn begin_decision(&mut self, approval: ApprovalId) {
        self.deciding.push(approval);
    }

    /// The decision on `approval` that was about to be handed over is not, or not yet. Wakes
    /// whoever waits for it.
    pub fn abandon_decision(&mut self, approval: ApprovalId) {
        if let Some(index) = self.deciding.iter().rposition(|known| *known == approval) {
            self.deciding.remove(index);
        }
        self.wake(&[approval]);
    }

    /// Answers once `approval` is on disk; `None` where it is. Nobody hears of it before.
    #[must_use]
    pub fn write_receipt(&self, approval: ApprovalId) -> Option<Receipt<Result<(), Unavailable>>> {
        self.being_written
            .iter()
            .find(|(known, _)| *known == approval)
            .map(|(_, shared)| shared.receipt())
    }

    /// Answers when something about `approval` changes.
    pub fn watch(&mut self, approval: ApprovalId) -> Receipt<()> {
        if self.watchers.len() >= self.prune_at {
            self.watchers.retain(|watcher| watcher.stamp.is_awaited());
            self.prune_at = MANY_WATCHERS.max(2 * self.watchers.len());
        }
        let (stamp, receipt) = receipt::pair();
        self.watchers.push(Watcher { approval, stamp });
        receipt
    }

    /// How many watch for changes of approvals.
    #[must_use]
    pub const fn watchers(&self) -> usize {
        self.watchers.len()
    }

    fn wake(&mut self, approvals: &[ApprovalId]) {
        for watcher in self
            .watchers
            .extract_if(.., |watcher| approvals.contains(&watcher.approval))
        {
            watcher.stamp.answer(());
        }
    }

    fn wake_ended(&mut self) {
        if self.watchers.is_empty() {
            return;
        }
        let ended: Vec<_> = self
            .state
            .approvals()
            .iter()
            .filter(|a| a.stage.ended_at().is_some())
            .map(|a| a.request.approval)
            .collect();
        self.wake(&ended);
    }

    /// The fold's state, with what tightens and is not durable yet on top.
    fn rebase(&mut self, fold: &WorkflowState) {
        let latest = self.state.now();
        let Live {
            state,
            unconfirmed,
            announced,
            ..
        } = self;
        *state = fold.clone();
        for entry in unconfirmed
            .iter()
            .map(|(_, entry)| entry)
            .chain(&*announced)
            .filter(|entry| entry.event.tightens())
        {
            if entry.workflow.is_some() {
                state.apply(entry.at, &entry.event);
            } else {
                state.apply_everywhere(entry.at, &entry.event);
            }
        }
        state.advance(latest);
        // While an event is announced, what was appended after it may still stand before it.
        self.reordered = self.reordered && self.announced.is_some();
    }
}

impl Shard {
    /// The shard of `name`, which begins with `state`. Its pending approvals are counted in
    /// `pending`.
    #[must_use]
    pub fn new(name: WorkflowName, state: WorkflowState, pending: Arc<AtomicUsize>) -> Self {
        let status = ArcSwap::from_pointee(state.status());
        let traffic = Traffic::resumed(state.pace(), state.now());
        let live = Live {
            state,
            unconfirmed: VecDeque::new(),
            announced: None,
            reordered: false,
            deciding: Vec::new(),
            being_written: Vec::new(),
            watchers: Vec::new(),
            prune_at: MANY_WATCHERS,
            counted: 0,
        };
        let shard = Shard {
            name,
            live: Mutex::new(live),
            status,
            due: AtomicI64::new(i64::MIN),
            edits: AtomicUsize::new(0),
            pending,
            traffic,
            exposure: TakenSlots::default(),
            refusals: Refusals::default(),
        };
        shard.update_due(&mut shard.lock());
        shard
    }

    /// The workflow's name.
    #[must_use]
    pub const fn name(&self) -> &WorkflowName {
        &self.name
    }

    /// How busy it is. No lock.
    #[must_use]
    pub const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Its denied calls that are not in the journal yet.
    #[must_use]
    pub const fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Does an edited call wait to be sent? No lock.
    #[must_use]
    pub fn has_edits(&self) -> bool {
        self.edits.load(Ordering::Relaxed) > 0
    }

    /// The exposure slots of its risky runs. They are taken under the shard's lock.
    #[must_use]
    pub const fn exposure(&self) -> &TakenSlots {
        &self.exposure
    }

    /// Where the workflow stands now. What every call reads: no lock.
    #[must_use]
    pub fn status(&self) -> arc_swap::Guard<Arc<Status>> {
        self.status.load()
    }

    /// Where the workflow stands now, to keep.
    #[must_use]
    pub fn status_full(&self) -> Arc<Status> {
        self.status.load_full()
    }

    /// The living state.
    pub fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands `event` to the journal; where it can only tighten, it acts at once.
    pub fn append(
        &self,
        live: &mut Live,
        journal: &dyn Journal,
        now: Time,
        event: Event,
    ) -> Appended {
        let at = now.max(live.state.now());
        let entry = Entry {
            at,
            workflow: Some(self.name.clone()),
            event,
        };
        if entry.event.tightens() {
            let effects = live.state.apply(at, &entry.event);
            live.reordered |= live.announced.is_some();
            self.changed(live, &entry.event, !effects.is_empty());
        }
        if let (Event::Decided { approval, .. }, false) = (&entry.event, entry.event.tightens()) {
            live.deciding.push(*approval);
        } else if let Some(approval) = decided_approval(&entry.event) {
            live.wake(&[approval]);
        }
        let held = if let Event::Held(request) = &entry.event {
            Some(request.approval)
        } else {
            None
        };
        let mut appended = journal.append(entry.clone());
        live.unconfirmed.push_back((appended.ticket, entry));
        if let Some(approval) = held {
            let shared = Shared::new(appended.durable);
            appended.durable = shared.receipt();
            live.being_written.push((approval, shared));
        }
        appended
    }

    /// An entry that concerns every workflow is about to be handed to the journal. Where it
    /// tightens, it acts here from now on, so that whatever this shard hands over behind it has
    /// been judged by it. [`Shard::enqueued`] must follow.
    pub fn announce(&self, entry: &Entry) {
        let mut live = self.lock();
        if entry.event.tightens() {
            let effects = live.state.apply_everywhere(entry.at, &entry.event);
            live.announced = Some(entry.clone());
            self.changed(&mut live, &entry.event, !effects.is_empty());
        }
    }

    /// The announced entry was handed to the journal with this ticket.
    pub fn enqueued(&self, ticket: Ticket, entry: &Entry) {
        let mut live = self.lock();
        live.announced = None;
        let index = live
            .unconfirmed
            .iter()
            .rposition(|(known, _)| *known < ticket)
            .map_or(0, |before| before + 1);
        live.unconfirmed.insert(index, (ticket, entry.clone()));
    }

    /// `entries` are durable, and `state` is the fold behind them.
    pub fn confirm(&self, upto: Ticket, entries: &[Entry], state: &WorkflowState) {
        let mut live = self.lock();
        let mut tightened = entries.iter().filter(|entry| entry.event.tightens());
        let mut as_applied = true;
        while live
            .unconfirmed
            .front()
            .is_some_and(|(ticket, _)| *ticket <= upto)
        {
            let confirmed = live
                .unconfirmed
                .pop_front()
                .filter(|(_, entry)| entry.event.tightens());
            as_applied &= confirmed.is_none_or(|(_, entry)| tightened.next() == Some(&entry));
        }
        as_applied &= tightened.next().is_none();
        let held = |entry: &Entry| {
            if let Event::Held(request) = &entry.event {
                Some(request.approval)
            } else {
                None
            }
        };
        let durable: Vec<_> = entries.iter().filter_map(held).collect();
        live.being_written
            .retain(|(approval, _)| !durable.contains(approval));
        // What tightened is in the living state already, in the journal's order. Anything else is
        // taken from the fold, and what is not durable yet goes on top.
        if as_applied
            && !live.reordered
            && entries
                .iter()
                .all(|entry| entry.event.tightens() || matches!(entry.event, Event::Followed(_)))
        {
            return;
        }
        live.rebase(state);
        let decided: Vec<_> = entries
            .iter()
            .filter_map(|entry| decided_approval(&entry.event))
            .collect();
        live.deciding.retain(|approval| !decided.contains(approval));
        live.wake(&decided);
        self.publish(&mut live);
    }

    /// What was handed over with these tickets will never be written, and its receipts have said
    /// so; `state` is the fold.
    pub fn refuse(&self, tickets: &[Ticket], state: &WorkflowState) {
        let mut live = self.lock();
        let mut concerned = Vec::new();
        live.unconfirmed.retain(|(ticket, entry)| {
            let refused = tickets.contains(ticket);
            if refused {
                concerned.extend(decided_approval(&entry.event));
                concerned.extend(if let Event::Held(request) = &entry.event {
                    Some(request.approval)
                } else {
                    None
                });
            }
            !refused
        });
        live.deciding
            .retain(|approval| !concerned.contains(approval));
        live.being_written
            .retain(|(approval, _)| !concerned.contains(approval));
        live.rebase(state);
        live.wake(&concerned);
        self.publish(&mut live);
    }

    /// Lets time pass.
    pub fn advance(&self, now: Time) {
        if now.as_millis() < self.due.load(Ordering::Relaxed) {
            return;
        }
        let mut live = self.lock();
        live.state.advance(now);
        self.publish(&mut live);
    }

    /// Does anything happen by itself by `now`? No lock.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        now.as_millis() >= self.due.load(Ordering::Relaxed)
    }

    /// A copy of an approval as it stands.
    #[must_use]
    pub fn approval(&self, id: ApprovalId) -> Option<Approval> {
        self.lock().state.approvals().get(id).cloned()
    }

    /// Writes down denied calls, where there are any.
    pub fn write_refused(
        &self,
        journal: &dyn Journal,
        (calls, more): (Vec<RefusedCall>, Vec<RefusedAlike>),
        now: Time,
    ) {
        if !calls.is_empty() || !more.is_empty() {
            drop(self.append(
                &mut self.lock(),
                journal,
                now,
                Event::Refused { calls, more },
            ));
        }
    }

    /// An event was applied. Publishes the workflow's status, unless neither the event nor the time
    /// that passed until it can have changed that.
    fn changed(&self, live: &mut Live, event: &Event, followed: bool) {
        match event {
            Event::Admitted(_)
            | Event::Held(_)
            | Event::Decided { .. }
            | Event::Withdrawn { .. }
                if !followed =>
            {
                if let Event::Held(request) = event {
                    let due = live
                        .state
                        .approvals()
                        .get(request.approval)
                        .map_or(request.expires_at, Approval::next_due);
                    self.due.fetch_min(due.as_millis(), Ordering::Relaxed);
                }
                if !matches!(event, Event::Admitted(admission) if admission.approval.is_none()) {
                    self.update_counts(live);
                }
            }
            _ => self.publish(live),
        }
    }

    fn publish(&self, live: &mut Live) {
        live.wake_ended();
        self.status.store(Arc::new(live.state.status()));
        self.update_due(live);
    }

    fn update_due(&self, live: &mut Live) {
        self.due.store(
            live.state.next_due().map_or(i64::MAX, Time::as_millis),
            Ordering::Relaxed,
        );
        self.update_counts(live);
    }

    fn update_counts(&self, live: &mut Live) {
        let counted = live.state.approvals().pending();
        self.edits
            .store(live.state.approvals().edited(), Ordering::Relaxed);
        let before = std::mem::replace(&mut live.counted, counted);
        if counted >= before {
            self.pending.fetch_add(counted - before, Ordering::Relaxed);
        } else {
            self.pending.fetch_sub(before - counted, Ordering::Relaxed);
        }
    }
}

fn decided_approval(event: &Event) -> Option<ApprovalId> {
    match event {
        Event::Decided { approval, .. } | Event::Withdrawn { approval, .. } => Some(*approval),
        Event::Admitted(admission) => admission.approval,
        _ => None,
    }
}
