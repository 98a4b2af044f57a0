//! Runs that are open: what their calls have earned so far, and when they end.
//!
//! A run is counted once. It is booked at its first unacceptable mode, the moment that is known, else when it ends; later modes are added to it. It counts when it is
//! unacceptable or when a call above `read` was forwarded in it; others are idle, so that reads, refusals and empty finishes cannot dilute a budget.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dashmap::DashMap;

use super::{
    port::{CallRecord, RunRecord},
    shard::Shard,
};
use crate::gate::{
    event::{Charge, Executed, Mark, RunRef},
    name::{AgentName, ApprovalId, CallId, RunId, WorkflowName},
    outcome::{FailureMode, Source},
    policy::Workflow,
    risk::Risk,
    time::Time,
};

/// The most runs that are open at once. At it, a call of a new run is refused.
pub const MAX_OPEN: usize = 1_000_000;
/// Blocked mistakes of one run that count once.
pub const BLOCKED_COUNT: u32 = 3;
/// The most failure modes that one run carries.
const MAX_CHARGES: usize = 64;

/// Runs by workflow, agent and id.
#[derive(Default)]
pub struct Runs {
    open: DashMap<Key, Arc<OpenRun>>,
    /// Ids whose run ended, with the number of the continuation that comes next.
    ended: DashMap<Key, (u32, Time)>,
}

/// Whose run and which.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The workflow.
    pub workflow: WorkflowName,
    /// The agent.
    pub agent: AgentName,
    /// The id the agent gave, without a continuation's number.
    pub run: RunId,
}

/// A run that has not ended.
pub struct OpenRun {
    /// Whose it is.
    pub shard: Arc<Shard>,
    /// Its agent.
    pub agent: AgentName,
    /// The id that calls gave; `None` where its only call is the run.
    pub asked: Option<RunId>,
    facts: Mutex<RunState>,
}

/// What a run has come to so far.
#[derive(Debug)]
pub struct RunState {
    /// Its id, with a continuation's number.
    pub id: RunId,
    /// When it began.
    pub started: Time,
    /// When something last happened.
    pub touched: Time,
    /// Its calls so far.
    pub calls: Vec<CallRecord>,
    /// Calls that were judged, those in flight included.
    pub judged: u32,
    /// Calls in flight.
    pub in_flight: u32,
    /// Held calls that wait for somebody.
    pub held: Vec<ApprovalId>,
    /// What went wrong.
    pub charges: Vec<Charge>,
    /// When it was booked as unacceptable.
    pub booked_at: Option<Time>,
    /// Whether it escalated to a person.
    pub escalated: bool,
    blocked: u32,
    forwarded: bool,
    forwarded_above_read: bool,
    high: bool,
    ended: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The agent said so, or it was the run's only call.
    Finished,
    /// Its lease ran out.
    Lease,
    /// It is as long as runs get.
    Full,
}

impl Runs {
    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Is none open?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The open run of `key`, opened where there is none; `None` where no more can be opened.
    pub fn open(&self, key: &Key, shard: &Arc<Shard>, now: Time) -> Option<Arc<OpenRun>> {
        if let Some(run) = self.open.get(key) {
            return Some(Arc::clone(&run));
        }
        if self.open.len() >= MAX_OPEN {
            return None;
        }
        let run = self.open.entry(key.clone()).or_insert_with(|| {
            let continuation = self.ended.get(key).map_or(1, |ended| ended.0);
            let id = if continuation > 1 { RunId::from(format!("{}#{continuation}", key.run)) } else { key.run.clone() };
            Arc::new(OpenRun::new(Arc::clone(shard), key.agent.clone(), Some(key.run.clone()), id, now))
        });
        Some(Arc::clone(&run))
    }

    /// The open run of `key`.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<OpenRun>> {
        self.open.get(key).map(|run| Arc::clone(&run))
    }

    /// Forgets `run` under `key`: it has ended, and the next call under its id opens a continuation.
    pub fn close(&self, key: &Key, run: &Arc<OpenRun>, now: Time) {
        if self.open.remove_if(key, |_, open| Arc::ptr_eq(open, run)).is_some() && self.ended.len() < MAX_OPEN {
            let mut ended = self.ended.entry(key.clone()).or_insert((1, now));
            *ended = (ended.0 + 1, now);
        }
    }

    /// Every open run with its key.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(Key, Arc<OpenRun>)> {
        self.open.iter().map(|entry| (entry.key().clone(), Arc::clone(entry.value()))).collect()
    }

    /// Forgets ids whose run ended before `before`: the run index knows them still.
    pub fn forget(&self, before: Time) {
        self.ended.retain(|_, (_, at)| *at >= before);
    }
}

impl OpenRun {
    /// A run that begins.
    #[must_use]
    pub fn new(shard: Arc<Shard>, agent: AgentName, asked: Option<RunId>, id: RunId, now: Time) -> Self {
        let facts = RunState {
            id,
            started: now,
            touched: now,
            calls: Vec::new(),
            judged: 0,
            in_flight: 0,
            held: Vec::new(),
            charges: Vec::new(),
            booked_at: None,
            escalated: false,
            blocked: 0,
            forwarded: false,
            forwarded_above_read: false,
            high: false,
            ended: false,
        };
        OpenRun { shard, agent, asked, facts: Mutex::new(facts) }
    }

    /// The run of a call that is a run of its own, and that has been seated in it.
    #[must_use]
    pub fn of_one_call(shard: Arc<Shard>, agent: AgentName, id: RunId, now: Time) -> Self {
        let mut run = Self::new(shard, agent, None, id, now);
        let facts = run.facts.get_mut().unwrap_or_else(PoisonError::into_inner);
        (facts.judged, facts.in_flight) = (1, 1);
        // A list that grows by itself begins with room for four.
        facts.calls.reserve_exact(1);
        run
    }

    /// What it has come to.
    pub fn lock(&self) -> MutexGuard<'_, RunState> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunState {
    /// A reference to it.
    #[must_use]
    pub fn reference(&self, agent: &AgentName) -> RunRef {
        RunRef { agent: agent.clone(), run: self.id.clone() }
    }

    /// Did it end?
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Did it execute a `high` call?
    #[must_use]
    pub const fn is_high(&self) -> bool {
        self.high
    }

    /// Can it take one more call at `now`, or is it as long as runs get?
    #[must_use]
    pub fn is_full(&self, policy: &Workflow, now: Time) -> bool {
        self.judged >= policy.run.calls || now.since(self.started) >= policy.run.max
    }

    /// Is its lease over at `now`? The lease stands still while a call is in flight or held.
    #[must_use]
    pub fn is_over(&self, lease: Duration, now: Time) -> bool {
        self.in_flight == 0 && self.held.is_empty() && now.since(self.touched) >= lease
    }

    /// A mistake in the arguments was blocked. True for the one that makes them count, once.
    pub const fn block(&mut self) -> bool {
        self.blocked += 1;
        self.blocked == BLOCKED_COUNT
    }

    /// A call was forwarded. True where it is the first `high` one.
    pub fn forwarded(&mut self, risk: Risk, executed: Executed) -> bool {
        if executed == Executed::No {
            return false;
        }
        self.forwarded = true;
        self.forwarded_above_read |= risk != Risk::Read;
        let first_high = risk == Risk::High && !self.high;
        self.high |= first_high;
        first_high
    }

    /// Adds a charge. False where the run carries that mode already, or as many as runs carry.
    pub fn charge(&mut self, charge: Charge) -> bool {
        let known = self.charges.iter().any(|known| known.mode == charge.mode);
        let room = self.charges.len() < MAX_CHARGES;
        if room {
            self.charges.push(charge);
        }
        room && !known
    }

    /// Ends the run and tells what it came to; `None` where it ended before.
    pub fn end(&mut self, policy: &Workflow, shard: &Shard, agent: &AgentName, asked: Option<&RunId>, now: Time) -> Option<RunRecord> {
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        let counts = self.forwarded_above_read || (policy.terms.reads_only && self.forwarded);
        let mark = match self.booked_at {
            Some(_) => Mark::Unacceptable,
            None if counts => Mark::Acceptable,
            None => Mark::Idle,
        };
        Some(RunRecord {
            workflow: shard.name().clone(),
            agent: agent.clone(),
            run: asked.map(|_| self.id.clone()),
            started: self.started,
            ended: now,
            booked_at: self.booked_at.unwrap_or(now),
            mark,
            high: self.high,
            charges: std::mem::take(&mut self.charges),
            calls: std::mem::take(&mut self.calls),
        })
    }
}

/// A charge of what the gate saw on the wire.
#[must_use]
pub fn seen(mode: FailureMode, call: CallId, tool: &crate::gate::name::ToolName, note: Option<&str>) -> Charge {
    Charge { mode, source: Source::Wire, by: None, call: Some(call), tool: Some(tool.clone()), note: note.map(Into::into), reference: None }
}
