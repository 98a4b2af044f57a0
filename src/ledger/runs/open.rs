//! Runs that are open: what their calls have earned so far, and when they end.
//!
//! A run is counted once. It is booked at its first unacceptable mode, the moment that is known,
//! else when it ends; later modes are added to it. It counts when it is unacceptable or when a call
//! above `read` was forwarded in it; others are idle, so that reads, refusals and empty finishes
//! cannot dilute a budget.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;

use super::repeats::Repeats;
use crate::gate::booking::ids;
use crate::gate::event::{Event, Revision};
use crate::gate::name::{AgentName, ApprovalId, CallId, RunId, Subject, ToolName, WorkflowName};
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::policy::{RunRules, Workflow};
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, Executed, Mark, RunRef};
use crate::gate::run_flags::RunFlags;
use crate::gate::time::Time;
use crate::journal::port::Journal;
use crate::journal::receipt::Receipt;
use crate::journal::record::{CallRecord, RunRecord};
use crate::journal::unavailable::Unavailable;
use crate::ledger::WorkflowHandle;
use crate::ledger::exposure::RunExposure;

/// The most runs that are open at once. At it, a call of a new run is refused.
pub const MAX_OPEN: usize = 1_000_000;
/// Ids that escalated are remembered beyond that, up to so many more: nobody gets out of an
/// escalation by opening runs.
const MAX_ESCALATED: usize = 100_000;
/// Blocked mistakes of one run that count once.
pub const BLOCKED_COUNT: u32 = 3;
/// The most charges that one run carries besides the first of each mode that counts: those are
/// bounded by the objective, and none of them is lost (G7).
const MAX_CHARGES: usize = 64;

/// Runs by workflow, agent and id.
pub struct Runs {
    most: usize,
    open: DashMap<Key, Arc<OpenRun>>,
    /// Runs that take no more calls and end with the last one in flight, under their own ids: a
    /// continuation may be open under theirs.
    ending: DashMap<Key, Arc<OpenRun>>,
    /// Ids whose run ended.
    ended: DashMap<Key, Ended>,
}

/// What is remembered of an id whose run ended.
#[derive(Debug, Clone, Copy)]
struct Ended {
    /// The number of the last one; `None` where only the run index knows.
    last: Option<u64>,
    /// When it last ended.
    at: Time,
    /// It escalated to a person, who still has the case.
    escalated: bool,
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
    /// The workflow it began in.
    pub handle: Arc<WorkflowHandle>,
    /// Its agent.
    pub agent: AgentName,
    /// The id that calls gave; `None` where its only call is the run.
    pub asked: Option<RunId>,
    facts: Mutex<RunState>,
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
    pub touched: Time,
    /// Its calls so far.
    pub calls: Vec<CallRecord>,
    /// Calls that were judged, those in flight included.
    pub judged: u32,
    /// Calls in flight.
    pub in_flight: u32,
    /// Which.
    pub flying: Vec<CallId>,
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
    /// What was seen of it besides what went wrong: that an escalation is due, that a hold caught
    /// one that was missed. What is seen of a run after it was booked reaches the books when it
    /// ends.
    pub seen: RunFlags,
    /// What it did again and again.
    pub(in crate::ledger) repeats: Repeats,
    /// What it has taken of the places for risky runs.
    pub(in crate::ledger) exposed: RunExposure,
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

impl Default for Runs {
    fn default() -> Self {
        Runs {
            most: MAX_OPEN,
            open: DashMap::new(),
            ending: DashMap::new(),
            ended: DashMap::new(),
        }
    }
}

impl Runs {
    /// At most `most` at once.
    #[must_use]
    pub fn at_most(self, most: usize) -> Self {
        Runs { most, ..self }
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len() + self.ending.len()
    }

    /// Is none open?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.ending.is_empty()
    }

    /// The open run of `key`, opened where there is none; `None` where no more can be opened. What
    /// is not remembered of an id that was used before, `index` knows.
    #[must_use]
    pub fn open(
        &self,
        key: &Key,
        handle: &Arc<WorkflowHandle>,
        index: &dyn Journal,
        now: Time,
    ) -> Option<Arc<OpenRun>> {
        if let Some(run) = self.open.get(key) {
            return Some(Arc::clone(&run));
        }
        if self.len() >= self.most {
            return None;
        }
        // Before the map is locked: the index may wait for a disk.
        let remembered = self.ended.get(key).and_then(|ended| ended.last);
        let last = remembered.unwrap_or_else(|| {
            index
                .last_number(&key.workflow, &key.agent, &key.run)
                .unwrap_or_else(|Unavailable| ids::above_all(now))
        });
        let run = self.open.entry(key.clone()).or_insert_with(|| {
            // Another call may have opened and ended one meanwhile.
            let ended = self.ended.get(key);
            let last = ended.as_ref().and_then(|ended| ended.last).unwrap_or(last);
            let escalated = ended.is_some_and(|ended| ended.escalated);
            let id = ids::numbered(key.run.as_str(), last + 1);
            let mut run = OpenRun::new(
                Arc::clone(handle),
                key.agent.clone(),
                Some(key.run.clone()),
                id,
                now,
            );
            run.facts
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .escalated = escalated;
            Arc::new(run)
        });
        Some(Arc::clone(&run))
    }

    /// The open run of `key`.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<OpenRun>> {
        self.open.get(key).map(|run| Arc::clone(&run))
    }

    /// The open run whose own id this is, with a continuation's number.
    #[must_use]
    pub fn by_id(
        &self,
        workflow: &WorkflowName,
        agent: &AgentName,
        id: &RunId,
    ) -> Option<Arc<OpenRun>> {
        let key = |run: &str| Key {
            workflow: workflow.clone(),
            agent: agent.clone(),
            run: run.into(),
        };
        let ending = self
            .ending
            .get(&key(id.as_str()))
            .map(|run| Arc::clone(&run));
        let (asked, _) = ids::split(id.as_str());
        let open = || self.get(&key(asked)).filter(|run| run.lock().id == *id);
        ending.or_else(open)
    }

    /// `run` takes no more calls: the next one under its id opens a continuation. It stays known by
    /// its own id until it is closed.
    pub fn end_with_last_call(&self, key: &Key, id: &RunId, run: &Arc<OpenRun>, now: Time) {
        self.ending.insert(
            Key {
                run: id.clone(),
                ..key.clone()
            },
            Arc::clone(run),
        );
        self.leave(key, run, now);
    }

    /// Forgets `run`: it has ended, and the next call under its id opens a continuation.
    pub fn close(&self, key: &Key, id: &RunId, run: &Arc<OpenRun>, now: Time) {
        self.leave(key, run, now);
        if !self.ending.is_empty() {
            self.ending.remove_if(
                &Key {
                    run: id.clone(),
                    ..key.clone()
                },
                |_, ending| Arc::ptr_eq(ending, run),
            );
        }
    }

    fn leave(&self, key: &Key, run: &Arc<OpenRun>, now: Time) {
        if self
            .open
            .remove_if(key, |_, open| Arc::ptr_eq(open, run))
            .is_none()
        {
            return;
        }
        let state = run.lock();
        let (escalated, number) = (state.escalated, ids::split(state.id.as_str()).1);
        drop(state);
        if self.ended.len() < MAX_OPEN + if escalated { MAX_ESCALATED } else { 0 } {
            let mut ended = self.ended.entry(key.clone()).or_insert(Ended {
                last: None,
                at: now,
                escalated,
            });
            *ended = Ended {
                last: ended.last.max(Some(number)),
                at: now,
                escalated: ended.escalated || escalated,
            };
        }
    }

    /// The id `key` escalated, by a call of a run that takes no more of them: so have its
    /// continuations.
    pub(in crate::ledger) fn keep_escalated(&self, key: &Key, now: Time) {
        if let Some(mut ended) = self.ended.get_mut(key) {
            (ended.escalated, ended.at) = (true, ended.at.max(now));
        }
    }

    /// The id `key` escalated before this process began.
    pub(in crate::ledger) fn recall_escalated(&self, key: Key, at: Time) {
        self.ended.insert(
            key,
            Ended {
                last: None,
                at,
                escalated: true,
            },
        );
    }

    /// Every open run with its key.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(Key, Arc<OpenRun>)> {
        self.matching(|_, _| true)
    }

    /// The open runs that may end by themselves by `now`. No run is locked.
    #[must_use]
    pub fn due(&self, now: Time) -> Vec<(Key, Arc<OpenRun>)> {
        let due = |entry: &dashmap::mapref::multiple::RefMulti<'_, Key, Arc<OpenRun>>| {
            entry.value().due.load(Ordering::Relaxed) <= now.as_millis()
        };
        self.open
            .iter()
            .filter(due)
            .map(|entry| (entry.key().clone(), Arc::clone(entry.value())))
            .collect()
    }

    /// Every open run is looked at in the next sweep: the rules may have changed.
    pub fn look_again(&self) {
        self.open
            .iter()
            .for_each(|entry| entry.value().due.store(i64::MIN, Ordering::Relaxed));
    }

    /// Every open run that matches. A run is locked by `matches` while the map is: nobody takes the
    /// map's lock with a run's in hand.
    #[must_use]
    pub fn matching(&self, matches: impl Fn(&Key, &OpenRun) -> bool) -> Vec<(Key, Arc<OpenRun>)> {
        // First those that are open, then those that end: a run that moves meanwhile is seen in one
        // of the two.
        let named = |entry: dashmap::mapref::multiple::RefMulti<'_, Key, Arc<OpenRun>>| {
            (entry.key().clone(), Arc::clone(entry.value()))
        };
        let mut found: Vec<_> = self
            .open
            .iter()
            .filter(|entry| matches(entry.key(), entry.value()))
            .map(named)
            .collect();
        for (key, run) in self
            .ending
            .iter()
            .filter(|entry| matches(entry.key(), entry.value()))
            .map(named)
        {
            if !found.iter().any(|(_, known)| Arc::ptr_eq(known, &run)) {
                found.push((key, run));
            }
        }
        found
    }

    /// Forgets ids whose run ended before `before`: the run index knows them still.
    pub fn forget(&self, before: Time) {
        self.ended.retain(|_, ended| ended.at >= before);
    }
}

impl OpenRun {
    /// A run that begins.
    #[must_use]
    pub fn new(
        handle: Arc<WorkflowHandle>,
        agent: AgentName,
        asked: Option<RunId>,
        id: RunId,
        now: Time,
    ) -> Self {
        let facts = RunState::opened(id, now);
        OpenRun {
            handle,
            agent,
            asked,
            facts: Mutex::new(facts),
            due: AtomicI64::new(i64::MIN),
        }
    }

    /// It does not end by itself before then; whatever happens to it only makes that later.
    pub fn rests_until(&self, due: Time) {
        self.due.store(due.as_millis(), Ordering::Relaxed);
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
    /// A run that has just been opened: nothing happened in it yet.
    fn opened(id: RunId, now: Time) -> Self {
        RunState {
            id,
            started: now,
            touched: now,
            calls: Vec::new(),
            judged: 0,
            in_flight: 0,
            flying: Vec::new(),
            ending: false,
            held: Vec::new(),
            charges: Vec::new(),
            booked_at: None,
            escalated: false,
            seen: RunFlags::NONE,
            repeats: Repeats::default(),
            exposed: RunExposure::default(),
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

    /// Can it take one more call at `now`, or is it as long as runs get?
    #[must_use]
    pub fn is_full(&self, policy: &Workflow, now: Time) -> bool {
        self.judged >= policy.run.calls || now.since(self.started) >= policy.run.max
    }

    /// Is its lease over at `now`? The lease stands still while a call is in flight or held.
    #[must_use]
    pub fn is_over(&self, rules: &RunRules, now: Time) -> bool {
        self.in_flight == 0 && self.held.is_empty() && now.since(self.touched) >= rules.lease
    }

    /// The most harmful of its executed calls that touched `subject`, the last of those, and its
    /// tool.
    #[must_use]
    pub fn touching(
        &self,
        subject: &Subject,
        tool: Option<&ToolName>,
    ) -> Option<(Risk, Time, ToolName)> {
        let is_meant = |call: &&CallRecord| {
            call.executed != Executed::No
                && call.subject.as_ref() == Some(subject)
                && tool.is_none_or(|tool| *tool == call.tool)
        };
        self.calls
            .iter()
            .filter(is_meant)
            .max_by_key(|call| (call.risk, call.at))
            .map(|call| (call.risk, call.at, call.tool.clone()))
    }

    /// Was this very report made of it before?
    #[must_use]
    pub fn is_reported(&self, mode: &FailureMode, reference: &str) -> bool {
        self.charges
            .iter()
            .any(|charge| charge.mode == *mode && charge.reference.as_deref() == Some(reference))
    }

    /// Was anything said of it that has this mode and this reference, as far as they are given?
    #[must_use]
    pub fn is_charged(&self, mode: Option<&FailureMode>, reference: Option<&str>) -> bool {
        let fits = |charge: &Charge| {
            mode.is_none_or(|mode| *mode == charge.mode)
                && (reference.is_none() || charge.reference.as_deref() == reference)
        };
        self.charges.iter().any(fits)
    }

    /// It hands its case to a person. True where it had not before.
    pub const fn escalate(&mut self) -> bool {
        !std::mem::replace(&mut self.escalated, true)
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

    /// Ends the run and tells what it came to; `None` where it ended before.
    pub fn end(
        &mut self,
        policy: &Workflow,
        workflow: &WorkflowName,
        agent: &AgentName,
        asked: Option<&RunId>,
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
            run: asked.map(|_| self.id.clone()),
            started: self.started,
            ended: now,
            booked_at: self.booked_at.unwrap_or(now),
            mark,
            high: self.high,
            seen: self.seen,
            charges: std::mem::take(&mut self.charges),
            calls: std::mem::take(&mut self.calls),
        })
    }
}

/// Adds `charge` to an open run: books the run where the mode counts and it was not booked yet. The
/// receipt is of the event, where there is one.
pub fn charge(
    journal: &dyn Journal,
    handle: &WorkflowHandle,
    open: &OpenRun,
    run: &mut RunState,
    charge: Charge,
    now: Time,
) -> Option<Receipt<Result<(), Unavailable>>> {
    let objective = &handle.policy.terms.objective;
    let counts = objective.counts(&charge.mode);
    // Whatever anybody says goes on record, an agent's only once: it could fill a disk with it.
    // What the gate saw itself is on the run.
    let is_told = match charge.source {
        Source::Wire => false,
        Source::Agent => !run.charges.iter().any(|known| known.mode == charge.mode),
        Source::Person | Source::System => !charge
            .reference
            .as_deref()
            .is_some_and(|reference| run.is_reported(&charge.mode, reference)),
    };
    let is_new = run.charge(charge.clone(), counts);
    let reference = run.reference(&open.agent);
    let event = match run.booked_at {
        None if is_new && counts => Event::Booked {
            run: reference,
            high: run.is_high(),
            charges: run.charges.clone(),
            seen: run.seen,
        },
        Some(booked_at) if is_new => {
            // The writer knows what was said of the run meanwhile, and completes this.
            let revision = Revision::new(
                reference,
                booked_at,
                run.is_high(),
                Mark::Unacceptable,
                Mark::Unacceptable,
            );
            Event::Reported { revision, charge }
        }
        Some(_) | None if is_told => {
            let remarked = Event::Remarked {
                run: reference,
                charge,
            };
            return Some(
                handle
                    .shard
                    .append(&mut handle.shard.lock(), journal, now, remarked)
                    .durable,
            );
        }
        Some(_) | None => return None,
    };
    let mut live = handle.shard.lock();
    let booked_at = now.max(live.state().now());
    let appended = handle.shard.append(&mut live, journal, now, event);
    drop(live);
    run.booked_at.get_or_insert(booked_at);
    // Last: whoever sees the place free sees the failure too.
    let is_high = run.is_high();
    run.exposed.leave_booked(is_high, handle.shard.taken());
    Some(appended.durable)
}

/// A charge of what the gate saw on the wire.
#[must_use]
pub fn wire_charge(
    mode: FailureMode,
    call: CallId,
    tool: &crate::gate::name::ToolName,
    note: Option<&str>,
) -> Charge {
    Charge {
        mode,
        source: Source::Wire,
        by: None,
        call: Some(call),
        tool: Some(tool.clone()),
        note: note.map(Into::into),
        reference: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::Clock;
    use crate::gate::digest::Digest;
    use crate::gate::policy::PolicySet;
    use crate::gate::state::State;
    use crate::gate::time::{days, minutes};
    use crate::journal::memory::MemoryJournal;
    use crate::ledger::{Bounds, Ledger};

    struct Moved(AtomicI64);

    impl Clock for Moved {
        fn now(&self) -> Time {
            Time::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

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

    #[test]
    fn a_sweep_forgets_the_ids_of_runs_that_ended_a_day_ago() {
        let policies = PolicySet {
            version: Digest::new([0; 32]),
            apis: BTreeMap::new(),
            workflows: BTreeMap::new(),
            signals: BTreeMap::new(),
        };
        let clock = Arc::new(Moved(AtomicI64::new(0)));
        let ledger = Ledger::new(
            &State::default(),
            Arc::new(policies),
            MemoryJournal::new(),
            Arc::<Moved>::clone(&clock),
            Bounds { holds: 1 },
        );
        let key = |run: &str| Key {
            workflow: "refunds".into(),
            agent: "clerk".into(),
            run: run.into(),
        };
        let ended = Time::from_millis(0);
        ledger.runs.recall_escalated(key("early"), ended);
        ledger
            .runs
            .recall_escalated(key("late"), ended.plus(minutes(1)));
        let left = |after| {
            clock
                .0
                .store(ended.plus(after).as_millis(), Ordering::Relaxed);
            ledger.sweep();
            ledger.runs.ended.len()
        };
        assert_eq!(left(days(1)), 2);
        assert_eq!(left(days(1) + minutes(1)), 1);
        assert_eq!(left(days(1) + minutes(2)), 0);
    }
}
