//! One workflow's living state: the fold's projection with everything on top that is known but not yet durable.
//!
//! Tighten first, loosen last: an event that can only tighten is applied here at once, and again by the fold when it is written; any other shows here only when it is
//! durable. Entries are handed to the journal under the shard's lock, so that their order here is their order there.
//!
//! Lock order: a shard, then the journal's queue. No two shards at once. The lock is never held across a wait.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;

use super::{
    port::{Appended, Journal, Ticket},
    receipt::{self, Receipt, Stamp},
};
use crate::gate::{
    approval::Approval,
    event::{Entry, Event},
    name::{ApprovalId, WorkflowName},
    standing::Standing,
    time::Time,
    workflow::WorkflowState,
};

/// One workflow's living state.
pub struct Shard {
    name: WorkflowName,
    live: Mutex<Live>,
    standing: ArcSwap<Standing>,
}

/// The living state, under its lock.
pub struct Live {
    state: WorkflowState,
    /// Handed to the journal and not durable yet.
    unconfirmed: VecDeque<(Ticket, Entry)>,
    /// Approvals with a decision on its way to disk.
    deciding: Vec<ApprovalId>,
    watchers: Vec<Watcher>,
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

    /// Is a decision on `approval` on its way to disk?
    #[must_use]
    pub fn is_deciding(&self, approval: ApprovalId) -> bool {
        self.deciding.contains(&approval)
    }

    /// Answers when something about `approval` changes.
    pub fn watch(&mut self, approval: ApprovalId) -> Receipt<()> {
        let (stamp, receipt) = receipt::pair();
        self.watchers.push(Watcher { approval, stamp });
        receipt
    }

    fn wake(&mut self, approvals: &[ApprovalId]) {
        for watcher in self.watchers.extract_if(.., |watcher| approvals.contains(&watcher.approval)) {
            watcher.stamp.answer(());
        }
    }

    fn wake_ended(&mut self) {
        let ended: Vec<_> = self.state.approvals().iter().filter(|a| a.stage.ended_at().is_some()).map(|a| a.request.approval).collect();
        self.wake(&ended);
    }
}

impl Shard {
    /// The shard of `name`, standing as `state` does.
    #[must_use]
    pub fn new(name: WorkflowName, state: WorkflowState) -> Self {
        let standing = ArcSwap::from_pointee(state.standing());
        let live = Live { state, unconfirmed: VecDeque::new(), deciding: Vec::new(), watchers: Vec::new() };
        Shard { name, live: Mutex::new(live), standing }
    }

    /// The workflow's name.
    #[must_use]
    pub const fn name(&self) -> &WorkflowName {
        &self.name
    }

    /// Where the workflow stands now. What every call reads: no lock.
    #[must_use]
    pub fn standing(&self) -> arc_swap::Guard<Arc<Standing>> {
        self.standing.load()
    }

    /// Where the workflow stands now, to keep.
    #[must_use]
    pub fn standing_full(&self) -> Arc<Standing> {
        self.standing.load_full()
    }

    /// The living state.
    pub fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands `event` to the journal; where it can only tighten, it acts at once.
    pub fn append(&self, live: &mut Live, journal: &dyn Journal, now: Time, event: Event) -> Appended {
        let at = now.max(live.state.now());
        let entry = Entry { at, workflow: Some(self.name.clone()), event };
        if entry.event.tightens() {
            live.state.apply(at, &entry.event);
            self.refresh(live, &entry.event);
        }
        let touched = touched(&entry.event);
        if let (Event::Decided { approval, .. }, false) = (&entry.event, entry.event.tightens()) {
            live.deciding.push(*approval);
        } else if let Some(approval) = touched {
            live.wake(&[approval]);
        }
        let appended = journal.append(entry.clone());
        live.unconfirmed.push_back((appended.ticket, entry));
        appended
    }

    /// An entry that concerns every workflow was handed to the journal: where it tightens, it acts here at once.
    pub fn join(&self, ticket: Ticket, entry: &Entry) {
        let mut live = self.lock();
        if entry.event.tightens() {
            live.state.apply_everywhere(entry.at, &entry.event);
            self.refresh(&live, &entry.event);
        }
        live.unconfirmed.push_back((ticket, entry.clone()));
    }

    /// `entries` are durable, and `state` is the fold behind them.
    pub fn confirm(&self, upto: Ticket, entries: &[Entry], state: &WorkflowState) {
        let mut live = self.lock();
        while live.unconfirmed.front().is_some_and(|(ticket, _)| *ticket <= upto) {
            live.unconfirmed.pop_front();
        }
        // What tightened is in the living state already, in the journal's order. Anything else is taken from the fold, and what is not durable yet goes on top.
        if entries.iter().all(|entry| entry.event.tightens() || matches!(entry.event, Event::Followed(_))) {
            return;
        }
        let seen = live.state.now();
        live.state = state.clone();
        let pending: Vec<Entry> = live.unconfirmed.iter().filter(|(_, entry)| entry.event.tightens()).map(|(_, entry)| entry.clone()).collect();
        for entry in &pending {
            if entry.workflow.is_some() {
                live.state.apply(entry.at, &entry.event);
            } else {
                live.state.apply_everywhere(entry.at, &entry.event);
            }
        }
        live.state.advance(seen);
        let decided: Vec<_> = entries.iter().filter_map(|entry| touched(&entry.event)).collect();
        live.deciding.retain(|approval| !decided.contains(approval));
        live.wake(&decided);
        live.wake_ended();
        self.standing.store(Arc::new(live.state.standing()));
    }

    /// Lets time pass.
    pub fn advance(&self, now: Time) {
        let mut live = self.lock();
        if !live.state.advance(now).is_empty() {
            live.wake_ended();
            self.standing.store(Arc::new(live.state.standing()));
        }
    }

    /// A copy of an approval as it stands.
    #[must_use]
    pub fn approval(&self, id: ApprovalId) -> Option<Approval> {
        self.lock().state.approvals().get(id).cloned()
    }

    /// Publishes where the workflow stands, unless the event cannot have changed that.
    fn refresh(&self, live: &Live, event: &Event) {
        match event {
            Event::Admitted(_) | Event::Held(_) | Event::Decided { .. } | Event::Withdrawn { .. } => {}
            _ => self.standing.store(Arc::new(live.state.standing())),
        }
    }
}

fn touched(event: &Event) -> Option<ApprovalId> {
    match event {
        Event::Decided { approval, .. } | Event::Withdrawn { approval, .. } => Some(*approval),
        Event::Admitted(admission) => admission.approval,
        _ => None,
    }
}
