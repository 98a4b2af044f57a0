//! The living state: what the data plane reads and changes while calls are in flight.
//!
//! Free of any runtime, so that a simulator can step it. Locks live in this folder only; their order
//! is written in [`shard`].

use std::collections::{BTreeMap, HashMap};
use std::hash::RandomState;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;

use self::caps::{Caps, Meters};
use self::dedup::Dedup;
use self::runs::open::Runs;
use self::shard::Shard;
use crate::clock::Clock;
use crate::gate::event::{Entry, Event};
use crate::gate::name::{ApprovalId, ToolName, WorkflowName};
use crate::gate::policy::{PolicySet, Workflow};
use crate::gate::state::State;
use crate::gate::terms::Terms;
use crate::gate::time::{Time, days, minutes};
use crate::gate::verdict::Verdict;
use crate::gate::workflow::WorkflowState;
use crate::journal::port::{Journal, Projection, Ticket};

pub mod call;
pub mod caps;
pub mod dedup;
pub mod exposure;
mod incidents;
pub mod people;
pub mod refused;
pub mod runs;
pub mod shard;
pub mod unlisted;

/// How much the process holds at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Approvals that are pending at once.
    pub holds: usize,
}

/// The living state of every workflow.
pub struct Ledger {
    clock: Arc<dyn Clock>,
    journal: Arc<dyn Journal>,
    bounds: Bounds,
    table: ArcSwap<Table>,
    shards: DashMap<WorkflowName, Arc<Shard>>,
    runs: Runs,
    approvals: DashMap<ApprovalId, WorkflowName>,
    /// Approvals that wait for reviewers, and places taken for some that are about to.
    pending: Arc<AtomicUsize>,
    /// What concerns every workflow and is not durable yet. Held while such an event reaches every
    /// shard and is handed over.
    everywhere: Mutex<Vec<(Ticket, Entry)>>,
    /// Who may decide on held calls.
    approvers: people::approvers::Approvers,
    turned_away: refused::TurnedAway,
    seen: refused::Seen,
    /// What was done, in every workflow.
    dedup: Arc<Dedup>,
    /// When ids that nobody needs any more are forgotten next.
    forgets_at: AtomicI64,
    /// Counts clamps. A permit minted before one is worthless after it (G2).
    epoch: AtomicU64,
    counts: DashMap<(WorkflowName, ToolName), Arc<VerdictCounts>>,
    /// What unlisted calls look like. Its lock is held for the look of one call, and nothing else
    /// is taken under it.
    unlisted: unlisted::Unlisted,
    /// What the caps of the policies in force have left. Taken by nobody who holds another lock.
    meters: Mutex<Meters>,
    /// Tells calls apart that differ, and draws those of a skipped review that are held all the
    /// same; keyed anew by each process, so that nobody can make two of them meet, or tell which
    /// are drawn.
    alike: RandomState,
    /// Calls that tool APIs failed, of all workflows.
    failures: AtomicU64,
    watch: incidents::Watch,
}

/// The policies in force, with the living state of each of their workflows.
pub struct Table {
    /// The policies.
    pub policies: Arc<PolicySet>,
    /// By workflow.
    pub entries: BTreeMap<WorkflowName, Arc<WorkflowHandle>>,
}

/// A workflow's policy beside its living state.
pub struct WorkflowHandle {
    /// The policy.
    pub policy: Arc<Workflow>,
    /// The living state.
    pub shard: Arc<Shard>,
    caps: Caps,
    counts: HashMap<ToolName, Arc<VerdictCounts>>,
    unlisted: Arc<VerdictCounts>,
}

/// How many calls got which verdict.
#[derive(Debug, Default)]
pub struct VerdictCounts([AtomicU64; 3], AtomicU64);

impl VerdictCounts {
    fn add(&self, verdict: Verdict) {
        self.0[verdict as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many calls their tool API failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.1.load(Ordering::Relaxed)
    }

    /// How many calls got `verdict`.
    #[must_use]
    pub fn get(&self, verdict: Verdict) -> u64 {
        self.0[verdict as usize].load(Ordering::Relaxed)
    }
}

/// How often ids that nobody needs any more are looked for.
const FORGETS: Duration = minutes(1);

/// The name under which calls of no known tool are counted and recorded.
pub const UNLISTED: &str = "?";

impl Ledger {
    /// A ledger that stands as `state` does.
    #[must_use]
    pub fn new(
        state: &State,
        policies: Arc<PolicySet>,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        bounds: Bounds,
    ) -> Self {
        let now = clock.now();
        let ledger = Ledger {
            clock,
            journal,
            bounds,
            table: ArcSwap::from_pointee(Table {
                policies,
                entries: BTreeMap::new(),
            }),
            shards: DashMap::new(),
            runs: Runs::default(),
            approvals: DashMap::new(),
            pending: Arc::default(),
            everywhere: Mutex::default(),
            approvers: people::approvers::Approvers::of(state.approvers().clone()),
            turned_away: refused::TurnedAway::default(),
            seen: refused::Seen::default(),
            dedup: Arc::new(Dedup::new(state.dedup().clone())),
            forgets_at: AtomicI64::new(i64::MIN),
            epoch: AtomicU64::new(0),
            counts: DashMap::new(),
            unlisted: unlisted::Unlisted::default(),
            meters: Mutex::default(),
            alike: RandomState::new(),
            failures: AtomicU64::new(0),
            watch: incidents::Watch::of(state.incidents(), now),
        };
        for (name, workflow) in state.workflows() {
            ledger.add_shard(name, workflow);
        }
        ledger
    }

    /// At most `most` runs are open at once, instead of [`runs::open::MAX_OPEN`].
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
        self.runs.look_again();
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

    /// Lets time pass: postures move at their edges, holds end by their deadlines (G10), leases run
    /// out. Costs a look at each workflow and each open run, and a lock only for those of which
    /// something is due.
    pub fn sweep(&self) {
        let now = self.now();
        let due: Vec<_> = self
            .shards
            .iter()
            .filter(|shard| shard.is_due(now))
            .map(|shard| Arc::clone(&shard))
            .collect();
        for shard in due {
            shard.advance(now);
        }
        self.end_leases(now);
        self.write_pace(now, false);
        self.watch_apis(now);
        self.write_refusals(now, false);
        if self.forgets_at.load(Ordering::Relaxed) <= now.as_millis() {
            self.forgets_at
                .store(now.plus(FORGETS).as_millis(), Ordering::Relaxed);
            self.runs.forget(now.minus(days(1)));
            self.forget_approvals();
        }
    }

    /// Writes down how busy the hours were that are over; where the process stops, also the one
    /// that is not.
    pub(crate) fn write_pace(&self, now: Time, stops: bool) {
        let busy = |shard: &Arc<Shard>| {
            shard
                .traffic()
                .hours(now, stops)
                .into_iter()
                .map(|hour| (Arc::clone(shard), hour))
                .collect::<Vec<_>>()
        };
        let hours: Vec<_> = self.shards.iter().flat_map(|shard| busy(&shard)).collect();
        for (shard, (hour, busy)) in hours {
            drop(shard.append(
                &mut shard.lock(),
                &*self.journal,
                now,
                Event::Paced { hour, busy },
            ));
        }
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

    fn shard(&self, workflow: &WorkflowName) -> Option<Arc<Shard>> {
        self.shards.get(workflow).map(|shard| Arc::clone(&shard))
    }

    /// What unlisted calls look like.
    #[must_use]
    pub const fn unlisted(&self) -> &unlisted::Unlisted {
        &self.unlisted
    }

    fn counts_of(&self, workflow: &WorkflowName, tool: &ToolName) -> Arc<VerdictCounts> {
        Arc::clone(
            &self
                .counts
                .entry((workflow.clone(), tool.clone()))
                .or_default(),
        )
    }

    /// Approvals whose shard has forgotten them are forgotten here.
    fn forget_approvals(&self) {
        let known: Vec<_> = self
            .approvals
            .iter()
            .map(|entry| (*entry.key(), entry.value().clone()))
            .collect();
        for (id, workflow) in known {
            let is_kept = |shard: Arc<Shard>| shard.lock().state().approvals().get(id).is_some();
            if !self.shard(&workflow).is_some_and(is_kept) {
                self.approvals.remove(&id);
            }
        }
    }

    fn add_shard(&self, name: &WorkflowName, state: &WorkflowState) -> Arc<Shard> {
        let shard = Arc::new(Shard::new(
            name.clone(),
            state.clone(),
            Arc::clone(&self.pending),
        ));
        self.shards.insert(name.clone(), Arc::clone(&shard));
        for (at, run) in state.escalated().iter() {
            self.runs.recall_escalated(
                runs::open::Key {
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

    fn everywhere(&self) -> MutexGuard<'_, Vec<(Ticket, Entry)>> {
        self.everywhere
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkflowHandle {
    fn fail(&self, tool: &ToolName) {
        self.counts
            .get(tool)
            .unwrap_or(&self.unlisted)
            .1
            .fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self, tool: Option<&ToolName>, verdict: Verdict) {
        tool.and_then(|tool| self.counts.get(tool))
            .unwrap_or(&self.unlisted)
            .add(verdict);
    }
}

impl Projection for Ledger {
    fn committed(
        &self,
        workflow: &WorkflowName,
        upto: Ticket,
        entries: &[Entry],
        state: &WorkflowState,
    ) {
        if entries
            .iter()
            .any(|entry| matches!(entry.event, Event::ClockAccepted { .. }))
        {
            self.clock.accept();
        }
        let mut everywhere = self.everywhere();
        everywhere.retain(|(ticket, _)| *ticket > upto);
        if let Some(shard) = self.shard(workflow) {
            drop(everywhere);
            shard.confirm(upto, entries, state);
        } else {
            let shard = self.add_shard(workflow, state);
            for (ticket, entry) in &*everywhere {
                shard.announce(entry);
                shard.enqueued(*ticket, entry);
            }
        }
    }

    fn refused(&self, workflow: &WorkflowName, tickets: &[Ticket], state: &WorkflowState) {
        self.everywhere()
            .retain(|(ticket, _)| !tickets.contains(ticket));
        if let Some(shard) = self.shard(workflow) {
            shard.refuse(tickets, state);
        }
    }
}
