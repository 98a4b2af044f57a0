//! Runs that are open: what they came to so far, and when they end.
//!
//! A run is counted once. It is booked at its first unacceptable mode, the moment that is known,
//! else when it ends; later modes are added to it. It counts when it is unacceptable or when a call
//! above `read` was forwarded in it; others are idle, so that reads, refusals and empty finishes
//! cannot dilute a budget.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::repeats::Repeats;
use crate::gate::name::{AgentName, ApprovalId, CallId, RunId, Subject, ToolName, WorkflowName};
use crate::gate::outcome::FailureMode;
use crate::gate::policy::{RunRules, Workflow};
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, Executed, Mark, RunRef};
use crate::gate::run_flags::RunFlags;
use crate::gate::time::Time;
use crate::journal::record::{CallRecord, RunRecord};
use crate::ledger::exposure::RunExposure;
use crate::ledger::workflow::WorkflowHandle;

/// So many blocked mistakes of one run are charged, once.
pub const BLOCKED_COUNT: u32 = 3;
/// The most charges that one run carries besides the first of each mode that counts: those are
/// bounded by the objective, and none of them is lost (G7).
const MAX_CHARGES: usize = 64;

/// A run that has not ended.
pub struct OpenRun {
    /// The workflow it began in.
    pub handle: Arc<WorkflowHandle>,
    /// Its agent.
    pub agent: AgentName,
    /// The id that calls gave; `None` where its only call is the run.
    pub given_id: Option<RunId>,
    state: Mutex<RunState>,
    /// Before this it does not end by itself.
    due: AtomicI64,
}

/// What a run has come to so far.
#[derive(Debug)]
pub struct RunState {
    /// Its id, with a continuation's number.
    pub id: RunId,
    /// When it began.
    pub started: Time,
    /// When something last happened.
    pub last_activity: Time,
    /// Its calls so far.
    pub calls: Vec<CallRecord>,
    /// Calls that were judged, those in flight included.
    pub judged: u32,
    /// Calls in flight.
    pub in_flight: u32,
    /// The ids of those in flight in a run that has an id of its own.
    pub in_flight_ids: Vec<CallId>,
    /// It takes no more calls, and ends with the last one in flight.
    pub ending: bool,
    /// Held calls that wait for somebody.
    pub held: Vec<ApprovalId>,
    /// What went wrong.
    pub charges: Vec<Charge>,
    /// When it was booked as unacceptable.
    pub booked_at: Option<Time>,
    /// Whether it escalated to a person.
    pub escalated: bool,
    /// What is known of it besides what went wrong: that an escalation is due, that a hold caught
    /// one that was missed. What is noted after the run was booked reaches the run index when it
    /// ends.
    pub flags: RunFlags,
    /// How often it made the same call.
    pub(in crate::ledger) repeats: Repeats,
    /// The exposure slots that it has taken.
    pub(in crate::ledger) exposure: RunExposure,
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
    /// The gate stops: whatever is in flight.
    Stopped,
}

impl OpenRun {
    /// A run that begins.
    #[must_use]
    pub fn new(
        handle: Arc<WorkflowHandle>,
        agent: AgentName,
        given_id: Option<RunId>,
        id: RunId,
        now: Time,
    ) -> Self {
        let state = RunState::opened(id, now);
        OpenRun {
            handle,
            agent,
            given_id,
            state: Mutex::new(state),
            due: AtomicI64::new(i64::MIN),
        }
    }

    /// May it end by itself by `now`?
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.due.load(Ordering::Relaxed) <= now.as_millis()
    }

    /// It does not end by itself before then; whatever happens to it only makes that later.
    pub fn set_due(&self, due: Time) {
        self.due.store(due.as_millis(), Ordering::Relaxed);
    }

    /// The run continues one that escalated.
    #[must_use]
    pub fn escalated(mut self) -> Self {
        self.state
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .escalated = true;
        self
    }

    /// The run of a call that is a run of its own, and that is in flight in it.
    #[must_use]
    pub fn of_one_call(
        handle: Arc<WorkflowHandle>,
        agent: AgentName,
        id: RunId,
        now: Time,
    ) -> Self {
        let mut run = Self::new(handle, agent, None, id, now);
        let state = run.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        (state.judged, state.in_flight) = (1, 1);
        // A list that grows by itself begins with room for four.
        state.calls.reserve_exact(1);
        run
    }

    /// What it has come to.
    pub fn lock(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunState {
    /// A run that has just been opened: nothing happened in it yet.
    fn opened(id: RunId, now: Time) -> Self {
        RunState {
            id,
            started: now,
            last_activity: now,
            calls: Vec::new(),
            judged: 0,
            in_flight: 0,
            in_flight_ids: Vec::new(),
            ending: false,
            held: Vec::new(),
            charges: Vec::new(),
            booked_at: None,
            escalated: false,
            flags: RunFlags::NONE,
            repeats: Repeats::default(),
            exposure: RunExposure::default(),
            blocked: 0,
            forwarded: false,
            forwarded_above_read: false,
            high: false,
            ended: false,
        }
    }

    /// A reference to it.
    #[must_use]
    pub fn reference(&self, agent: &AgentName) -> RunRef {
        RunRef {
            agent: agent.clone(),
            run: self.id.clone(),
        }
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

    /// Is it as long as runs get, in calls or in time?
    #[must_use]
    pub fn is_full(&self, policy: &Workflow, now: Time) -> bool {
        self.judged >= policy.run.calls || now.since(self.started) >= policy.run.max
    }

    /// Is its lease over at `now`? The lease stands still while a call is in flight or held.
    #[must_use]
    pub fn is_over(&self, rules: &RunRules, now: Time) -> bool {
        self.in_flight == 0 && self.held.is_empty() && now.since(self.last_activity) >= rules.lease
    }

    /// The most harmful of its executed calls that touched `subject`, the last of those, and its
    /// tool.
    #[must_use]
    pub fn touching(
        &self,
        subject: &Subject,
        tool: Option<&ToolName>,
    ) -> Option<(Risk, Time, ToolName)> {
        let touches = |call: &&CallRecord| {
            call.executed != Executed::No
                && call.subject.as_ref() == Some(subject)
                && tool.is_none_or(|tool| *tool == call.tool)
        };
        self.calls
            .iter()
            .filter(touches)
            .max_by_key(|call| (call.risk, call.at))
            .map(|call| (call.risk, call.at, call.tool.clone()))
    }

    /// Was it charged with this mode under this reference before?
    #[must_use]
    pub fn is_reported(&self, mode: &FailureMode, reference: &str) -> bool {
        self.charges
            .iter()
            .any(|charge| charge.mode == *mode && charge.reference.as_deref() == Some(reference))
    }

    /// Does it have a charge with this mode and this reference, as far as they are given?
    #[must_use]
    pub fn is_charged(&self, mode: Option<&FailureMode>, reference: Option<&str>) -> bool {
        let fits = |charge: &Charge| {
            mode.is_none_or(|mode| *mode == charge.mode)
                && (reference.is_none() || charge.reference.as_deref() == reference)
        };
        self.charges.iter().any(fits)
    }

    /// It hands its case to a person. True the first time.
    pub const fn escalate(&mut self) -> bool {
        !std::mem::replace(&mut self.escalated, true)
    }

    /// Counts a mistake in the arguments that was blocked. True for the one that is charged.
    pub const fn count_blocked(&mut self) -> bool {
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

    /// Adds a charge, one of a mode that counts where `counts`. False where the run carries that
    /// mode already, or as many charges as runs carry.
    pub fn charge(&mut self, charge: Charge, counts: bool) -> bool {
        let known = self.charges.iter().any(|known| known.mode == charge.mode);
        if charge
            .reference
            .as_deref()
            .is_some_and(|reference| self.is_reported(&charge.mode, reference))
        {
            return false;
        }
        let room = self.charges.len() < MAX_CHARGES || (counts && !known);
        if room {
            self.charges.push(charge);
        }
        room && !known
    }

    /// Ends the run and returns its record; `None` where it ended before.
    pub fn end(
        &mut self,
        policy: &Workflow,
        workflow: &WorkflowName,
        agent: &AgentName,
        given_id: Option<&RunId>,
        now: Time,
    ) -> Option<RunRecord> {
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
            workflow: workflow.clone(),
            agent: agent.clone(),
            run: given_id.map(|_| self.id.clone()),
            started: self.started,
            ended: now,
            booked_at: self.booked_at.unwrap_or(now),
            mark,
            high: self.high,
            observed: self.flags,
            charges: std::mem::take(&mut self.charges),
            calls: std::mem::take(&mut self.calls),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::outcome::Source;

    #[test]
    fn a_run_carries_so_many_charges_and_the_first_of_each_mode_that_counts() {
        let charge = |reference: usize| Charge {
            mode: FailureMode::ToolError,
            source: Source::Person,
            by: None,
            call: None,
            tool: None,
            note: None,
            reference: Some(reference.to_string().into()),
        };
        let mut run = RunState::opened("r".into(), Time::default());
        for n in 0..MAX_CHARGES {
            assert_eq!(run.charge(charge(n), false), n == 0);
            assert_eq!(run.charges.len(), n + 1);
        }
        run.charge(charge(MAX_CHARGES), false);
        assert_eq!(run.charges.len(), MAX_CHARGES);
        let counts = Charge {
            mode: FailureMode::WrongAction,
            ..charge(MAX_CHARGES)
        };
        assert!(run.charge(counts, true));
        assert_eq!(run.charges.len(), MAX_CHARGES + 1);
    }
}
