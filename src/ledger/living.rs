//! The living state of every workflow, and how an event reaches the journal from it.
//!
//! Everything that the data plane reads and changes is held here. What is done with it is decided
//! in [`super::call`], [`super::people`] and [`super::upkeep`]. The order of its locks is written
//! in [`super::shard`].

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;

use super::approvers::Approvers;
use super::caps::Meters;
use super::dedup::Dedup;
use super::incidents::IncidentWatch;
use super::refused::{RejectedRequests, SignIns};
use super::runs::index::{Key, Runs};
use super::shard::Shard;
use super::unlisted::{UNLISTED, Unlisted};
use super::workflow::{Table, VerdictCounts, WorkflowHandle};
use crate::clock::Clock;
use crate::gate::event::{Entry, Event};
use crate::gate::name::{ApprovalId, ToolName, WorkflowName};
use crate::gate::policy::PolicySet;
use crate::gate::state::State;
use crate::gate::terms::Terms;
use crate::gate::time::Time;
use crate::gate::workflow::WorkflowState;
use crate::journal::port::{Durable, Journal, Ticket};

/// How much the process holds at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Approvals that are pending at once.
    pub holds: usize,
}

/// The living state of every workflow.
pub struct Ledger {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) capacity: Capacity,
    pub(super) table: ArcSwap<Table>,
    pub(super) shards: DashMap<WorkflowName, Arc<Shard>>,
    pub(super) runs: Runs,
    pub(super) approvals: DashMap<ApprovalId, WorkflowName>,
    /// Approvals that wait for reviewers, and slots taken for some that are about to.
    pub(super) pending: Arc<AtomicUsize>,
    /// What concerns every workflow and is not durable yet. Held while such an event reaches every
    /// shard and is handed over.
    pub(super) everywhere: Mutex<Vec<(Ticket, Entry)>>,
    /// Who may decide on held calls.
    pub(super) approvers: Approvers,
    pub(super) rejected: RejectedRequests,
    pub(super) sign_ins: SignIns,
    /// What calls of every workflow did, so that none is done twice.
    pub(super) dedup: Arc<Dedup>,
    /// When ids that nobody needs any more are forgotten next.
    pub(super) forgets_at: AtomicI64,
    /// Counts clamps. A permit minted before one is worthless after it (G2).
    pub(super) epoch: AtomicU64,
    pub(super) counts: DashMap<(WorkflowName, ToolName), Arc<VerdictCounts>>,
    /// What unlisted calls look like. Nothing else is taken under its lock.
    pub(super) unlisted: Unlisted,
    /// What the caps of the policies in force have left. Taken by nobody who holds another lock.
    pub(super) meters: Mutex<Meters>,
    /// Hashes calls, to compare those of a run and to draw spot checks. Keyed anew by each process,
    /// so that nobody can craft a collision or predict which calls are drawn.
    pub(super) call_hasher: RandomState,
    /// Calls that tool APIs failed, of all workflows.
    pub(super) failures: AtomicU64,
    pub(super) incidents: IncidentWatch,
}

impl Ledger {
    /// A ledger that continues from `state`.
    #[must_use]
    pub fn new(
        state: &State,
        policies: Arc<PolicySet>,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        capacity: Capacity,
    ) -> Self {
        let now = clock.now();
        let ledger = Ledger {
            clock,
            journal,
            capacity,
            table: ArcSwap::from_pointee(Table {
                policies,
                entries: BTreeMap::new(),
            }),
            shards: DashMap::new(),
            runs: Runs::default(),
            approvals: DashMap::new(),
            pending: Arc::default(),
            everywhere: Mutex::default(),
            approvers: Approvers::of(state.approvers().clone()),
            rejected: RejectedRequests::default(),
            sign_ins: SignIns::default(),
            dedup: Arc::new(Dedup::new(state.dedup().clone())),
            forgets_at: AtomicI64::new(i64::MIN),
            epoch: AtomicU64::new(0),
            counts: DashMap::new(),
            unlisted: Unlisted::default(),
            meters: Mutex::default(),
            call_hasher: RandomState::new(),
            failures: AtomicU64::new(0),
            incidents: IncidentWatch::of(state.incidents(), now),
        };
        for (name, workflow) in state.workflows() {
            ledger.add_shard(name, workflow);
        }
        ledger
    }

    /// At most `most` runs are open at once, instead of [`super::runs::index::MAX_OPEN`].
    #[must_use]
    pub fn with_open_runs(mut self, most: usize) -> Self {
        self.runs = self.runs.at_most(most);
        self
    }

    /// Puts `policies` in force for every call from here on. Their acceptance must be durable: the
    /// fold knows every workflow of theirs by then.
    ///
    /// # Errors
    /// The name of a workflow that the fold does not know.
    pub fn install(&self, policies: Arc<PolicySet>) -> Result<(), WorkflowName> {
        let mut entries = BTreeMap::new();
        let mut caps = self
            .meters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .install(&policies, self.now());
        for (name, policy) in &policies.workflows {
            let shard = self
                .shards
                .get(name)
                .map(|shard| Arc::clone(&shard))
                .ok_or_else(|| name.clone())?;
            let counts = policy
                .tools
                .iter()
                .map(|tool| (tool.clone(), self.counts_of(name, tool)))
                .collect();
            let unlisted = self.counts_of(name, &ToolName::from(UNLISTED));
            entries.insert(
                name.clone(),
                Arc::new(WorkflowHandle {
                    policy: Arc::clone(policy),
                    shard,
                    caps: caps.remove(name).unwrap_or_default(),
                    counts,
                    unlisted,
                }),
            );
        }
        self.table.store(Arc::new(Table { policies, entries }));
        self.runs.wake_all();
        Ok(())
    }

    /// The policies in force. No lock.
    #[must_use]
    pub fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    /// The policies in force, to keep.
    #[must_use]
    pub fn table_full(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The journal behind it.
    #[must_use]
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    /// How many calls got which verdict, by workflow and tool.
    #[must_use]
    pub fn verdict_counts(&self) -> Vec<(WorkflowName, ToolName, Arc<VerdictCounts>)> {
        self.counts
            .iter()
            .map(|entry| {
                (
                    entry.key().0.clone(),
                    entry.key().1.clone(),
                    Arc::clone(entry.value()),
                )
            })
            .collect()
    }

    /// How many runs are open.
    #[must_use]
    pub fn open_runs(&self) -> usize {
        self.runs.len()
    }

    /// How many approvals wait for reviewers.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// What every workflow of `policies` is judged under.
    #[must_use]
    pub fn terms(policies: &PolicySet) -> BTreeMap<WorkflowName, Arc<Terms>> {
        policies
            .workflows
            .iter()
            .map(|(name, workflow)| (name.clone(), Arc::clone(&workflow.terms)))
            .collect()
    }

    pub(super) fn shard(&self, workflow: &WorkflowName) -> Option<Arc<Shard>> {
        self.shards.get(workflow).map(|shard| Arc::clone(&shard))
    }

    /// What unlisted calls look like.
    #[must_use]
    pub const fn unlisted(&self) -> &Unlisted {
        &self.unlisted
    }

    pub(super) fn counts_of(&self, workflow: &WorkflowName, tool: &ToolName) -> Arc<VerdictCounts> {
        Arc::clone(
            &self
                .counts
                .entry((workflow.clone(), tool.clone()))
                .or_default(),
        )
    }

    pub(super) fn add_shard(&self, name: &WorkflowName, state: &WorkflowState) -> Arc<Shard> {
        let shard = Arc::new(Shard::new(
            name.clone(),
            state.clone(),
            Arc::clone(&self.pending),
        ));
        self.shards.insert(name.clone(), Arc::clone(&shard));
        for (at, run) in state.escalated().iter() {
            self.runs.recall_escalated(
                Key {
                    workflow: name.clone(),
                    agent: run.agent.clone(),
                    run: run.run.clone(),
                },
                *at,
            );
        }
        for approval in state.approvals().iter() {
            self.approvals
                .insert(approval.request.approval, name.clone());
        }
        shard
    }

    pub(super) fn everywhere(&self) -> MutexGuard<'_, Vec<(Ticket, Entry)>> {
        self.everywhere
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts clamps: a permit of an earlier epoch is worthless.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(in crate::ledger) fn shard_of(&self, id: ApprovalId) -> Option<Arc<Shard>> {
        let workflow = self.approvals.get(&id)?.clone();
        self.shard(&workflow)
    }

    /// Hands an event of the whole process to the journal.
    pub fn announce(&self, event: Event) -> Durable {
        self.journal
            .append(Entry {
                at: self.now(),
                workflow: None,
                event,
            })
            .durable
    }

    /// Appends an event that concerns every workflow. One such event after the other: each has
    /// reached every shard before the next does.
    pub(in crate::ledger) fn append_everywhere(&self, now: Time, event: Event) -> Durable {
        self.append_to_all(
            self.everywhere(),
            Entry {
                at: now,
                workflow: None,
                event,
            },
        )
    }

    pub(in crate::ledger) fn append_to_all(
        &self,
        mut everywhere: MutexGuard<'_, Vec<(Ticket, Entry)>>,
        entry: Entry,
    ) -> Durable {
        let shards: Vec<_> = self.shards.iter().map(|shard| Arc::clone(&shard)).collect();
        // Tightened before it is handed over: a call that a shard hands over later stands behind
        // it in the journal, and may not rest on what it takes away.
        for shard in &shards {
            shard.announce(&entry);
        }
        let appended = self.journal.append(entry.clone());
        for shard in &shards {
            shard.enqueued(appended.ticket, &entry);
        }
        everywhere.push((appended.ticket, entry));
        appended.durable
    }
}
