//! Which runs are open, by the ids that calls give, and what is remembered of ids whose run ended.

use std::sync::Arc;

use dashmap::DashMap;

use super::open::OpenRun;
use crate::gate::booking::ids;
use crate::gate::name::{AgentName, RunId, WorkflowName};
use crate::gate::time::Time;
use crate::journal::port::Journal;
use crate::journal::unavailable::Unavailable;
use crate::ledger::workflow::WorkflowHandle;

/// The most runs that are open at once. At it, a call of a new run is refused.
pub const MAX_OPEN: usize = 1_000_000;
/// Ids that escalated are remembered beyond that, up to so many more: nobody gets out of an
/// escalation by opening runs.
const MAX_ESCALATED: usize = 100_000;

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
            // Another call may have opened and ended one since.
            let ended = self.ended.get(key);
            let last = ended.as_ref().and_then(|ended| ended.last).unwrap_or(last);
            let escalated = ended.is_some_and(|ended| ended.escalated);
            let id = ids::numbered(key.run.as_str(), last + 1);
            let asked = Some(key.run.clone());
            let run = OpenRun::new(Arc::clone(handle), key.agent.clone(), asked, id, now);
            Arc::new(if escalated { run.escalated() } else { run })
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
        if has_room(self.ended.len(), escalated) {
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
            entry.value().is_due(now)
        };
        self.open
            .iter()
            .filter(due)
            .map(|entry| (entry.key().clone(), Arc::clone(entry.value())))
            .collect()
    }

    /// Lets the next sweep check every open run: the rules may have changed.
    pub fn wake_all(&self) {
        self.open
            .iter()
            .for_each(|entry| entry.value().set_due(Time::from_millis(i64::MIN)));
    }

    /// Every open run that matches. A run is locked by `matches` while the map is: nobody takes the
    /// map's lock with a run's in hand.
    #[must_use]
    pub fn matching(&self, matches: impl Fn(&Key, &OpenRun) -> bool) -> Vec<(Key, Arc<OpenRun>)> {
        // First those that are open, then those that end: a run that moves in between is found in one
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

/// Is one more id remembered, beside so many whose runs ended?
const fn has_room(ended: usize, escalated: bool) -> bool {
    ended < MAX_OPEN + if escalated { MAX_ESCALATED } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::clock::Clock;
    use crate::gate::digest::Digest;
    use crate::gate::policy::PolicySet;
    use crate::gate::state::State;
    use crate::gate::time::{days, minutes};
    use crate::journal::memory::MemoryJournal;
    use crate::ledger::living::{Capacity, Ledger};

    struct Moved(AtomicI64);

    impl Clock for Moved {
        fn now(&self) -> Time {
            Time::from_millis(self.0.load(Ordering::Relaxed))
        }
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
            Capacity { holds: 1 },
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

    #[test]
    fn g7_as_many_runs_are_open_and_as_many_ids_remembered_as_the_bounds() {
        assert_eq!(Runs::default().most, MAX_OPEN);
        assert!(has_room(MAX_OPEN - 1, false) && !has_room(MAX_OPEN, false));
        let most = MAX_OPEN + MAX_ESCALATED;
        assert!(has_room(most - 1, true) && !has_room(most, true));
    }
}
