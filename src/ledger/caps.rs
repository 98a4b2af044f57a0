//! Caps: how many calls in what time, and how many at once.
//!
//! A level caps its workflow's calls, a tool those of everybody who calls it, and from `at_risk` on
//! a workflow stays within its usual hour ([`crate::gate::pace`]). Caps are about now, and no
//! state: they begin anew with the process; only the hours are kept. How a call takes from them is
//! in [`call::caps`](super::call::caps).
//!
//! Atomics only, so that a cap can be taken under a shard's lock. Volumes are token buckets, fed
//! the time of the call: a whole allowance may be used at once, and comes back evenly.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::gate::level::{Ladder, Volume};
use crate::gate::name::{ToolName, WorkflowName};
use crate::gate::pace::{Busy, Pace};
use crate::gate::policy::PolicySet;
use crate::gate::time::{Hour, Time};

/// How busy a workflow is: what its shard keeps besides the fold's projection.
#[derive(Debug, Default)]
pub struct Traffic {
    in_flight: AtomicU32,
    /// The most in flight since the hour began.
    at_once: AtomicU32,
    /// The hour, and its calls: 32 bits each, so that one exchange moves both.
    hour: AtomicU64,
    /// Hours that are over, until somebody writes them down.
    finished: Mutex<Vec<(Hour, Busy)>>,
}

/// Hours that are over and wait to be written down: so few that only a sweep that never comes fills
/// them, and then the newest are dropped.
const MOST_FINISHED: usize = 48;

impl Traffic {
    /// Continues the hour of `now` from what `pace` has of it.
    #[must_use]
    pub fn resumed(pace: &Pace, now: Time) -> Self {
        let busy = pace.of(now.hour());
        Traffic {
            at_once: AtomicU32::new(busy.at_once),
            hour: AtomicU64::new(packed(now.hour(), busy.calls)),
            ..Traffic::default()
        }
    }

    /// Calls in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Calls that were allowed in the hour of `now`.
    #[must_use]
    pub fn calls(&self, now: Time) -> u32 {
        let (hour, calls) = unpacked(self.hour.load(Ordering::Relaxed));
        if hour == now.hour() { calls } else { 0 }
    }

    pub(in crate::ledger) fn enter(&self, most: Option<u32>) -> bool {
        let more = |count: u32| {
            most.is_none_or(|most| count < most)
                .then(|| count.saturating_add(1))
        };
        let Ok(before) = self
            .in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        else {
            return false;
        };
        if before >= self.at_once.load(Ordering::Relaxed) {
            self.at_once.fetch_max(before + 1, Ordering::Relaxed);
        }
        true
    }

    pub(in crate::ledger) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts one more call in the hour of `now`; false where that would be more than `most`.
    pub(in crate::ledger) fn count(&self, now: Time, most: Option<u32>) -> bool {
        let this = now.hour();
        if unpacked(self.hour.load(Ordering::Relaxed)).0 < this {
            self.turn(this);
        }
        let more = |word: u64| {
            let (hour, calls) = unpacked(word);
            most.is_none_or(|most| calls < most)
                .then(|| packed(hour, calls.saturating_add(1)))
        };
        self.hour
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    pub(in crate::ledger) fn uncount(&self, now: Time) {
        let less = |word: u64| {
            let (hour, calls) = unpacked(word);
            (hour == now.hour()).then(|| packed(hour, calls.saturating_sub(1)))
        };
        let _ = self
            .hour
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn turn(&self, to: Hour) {
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = |word: u64| (unpacked(word).0 < to).then(|| packed(to, 0));
        let Ok(word) = self
            .hour
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, ends)
        else {
            return;
        };
        let at_once = self.at_once.swap(self.in_flight(), Ordering::Relaxed);
        let (hour, calls) = unpacked(word);
        if calls > 0 && finished.len() < MOST_FINISHED {
            finished.push((hour, Busy { calls, at_once }));
        }
    }

    /// The hours that are over by `now` and were not written down yet; where the process stops,
    /// also the one that is not over.
    pub fn hours(&self, now: Time, stops: bool) -> Vec<(Hour, Busy)> {
        let (hour, calls) = unpacked(self.hour.load(Ordering::Relaxed));
        if hour < now.hour() && calls > 0 {
            self.turn(now.hour());
        }
        let mut finished =
            std::mem::take(&mut *self.finished.lock().unwrap_or_else(PoisonError::into_inner));
        if stops && calls > 0 && hour == now.hour() {
            finished.push((
                hour,
                Busy {
                    calls,
                    at_once: self.at_once.load(Ordering::Relaxed),
                },
            ));
        }
        finished
    }
}

fn packed(hour: Hour, calls: u32) -> u64 {
    u64::from(u32::try_from(hour.0.max(0)).unwrap_or(u32::MAX)) << 32 | u64::from(calls)
}

#[expect(clippy::cast_possible_truncation, reason = "each half is 32 bits")]
fn unpacked(word: u64) -> (Hour, u32) {
    (Hour(i64::from((word >> 32) as u32)), word as u32)
}

/// A volume cap with what is left of it.
#[derive(Debug)]
pub struct Meter {
    cap: Volume,
    /// Calls that took from this cap and then were not sent. Each lets one more call pass without
    /// taking from the bucket.
    unsent: AtomicU32,
    clock: BucketClock,
    bucket: RateLimiter<NotKeyed, InMemoryState, BucketClock, NoOpMiddleware<Duration>>,
}

/// The clock of a bucket: shows the time of the latest call.
#[derive(Debug, Clone, Default)]
struct BucketClock(Arc<AtomicU64>);

impl Clock for BucketClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl Meter {
    fn new(cap: Volume, now: Time) -> Self {
        let calls = NonZeroU32::new(cap.calls).unwrap_or(NonZeroU32::MIN);
        // Rounded up: never a call more than the policy says.
        let each = Duration::from_nanos(
            (u64::from(cap.per_seconds.max(1)) * 1_000_000_000).div_ceil(calls.get().into()),
        );
        let quota = Quota::with_period(each)
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(calls);
        let clock = BucketClock::default();
        clock.0.store(millis(now), Ordering::Relaxed);
        Meter {
            cap,
            unsent: AtomicU32::new(0),
            bucket: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
        }
    }

    /// Takes one call of the volume, or says how long until it lets one more go.
    pub(in crate::ledger) fn take(&self, now: Time) -> Result<(), Duration> {
        self.clock.0.fetch_max(millis(now), Ordering::Relaxed);
        if self.unsent.load(Ordering::Relaxed) > 0
            && self
                .unsent
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |unsent| {
                    unsent.checked_sub(1)
                })
                .is_ok()
        {
            return Ok(());
        }
        self.bucket
            .check()
            .map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

impl Meter {
    /// What it caps.
    pub(in crate::ledger) const fn cap(&self) -> Volume {
        self.cap
    }

    /// A call that took from it was not sent after all.
    pub(in crate::ledger) fn give_back(&self) {
        self.unsent.fetch_add(1, Ordering::Relaxed);
    }
}

impl ToolCaps {
    /// The volume cap, where there is one.
    pub(in crate::ledger) const fn volume(&self) -> Option<&Arc<Meter>> {
        self.volume.as_ref()
    }

    /// One more call is in flight; an error is the cap that it would go beyond.
    pub(in crate::ledger) fn enter(&self) -> Result<(), u32> {
        let more = |count: u32| {
            self.concurrency
                .is_none_or(|most| count < most)
                .then(|| count.saturating_add(1))
        };
        self.in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .map(drop)
            .map_err(|_| self.concurrency.unwrap_or_default())
    }

    /// One call less is in flight.
    pub(in crate::ledger) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn millis(now: Time) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(0)
}

/// The caps that the policies in force have for one workflow. Buckets go on where they were when
/// policies are read again.
#[derive(Debug, Default)]
pub struct WorkflowCaps {
    /// By rung; empty where no level has any.
    levels: Vec<LevelCaps>,
    /// Of the workflow's tools, those that have any.
    tools: HashMap<ToolName, Arc<ToolCaps>>,
}

/// The caps of one rung of a workflow's ladder.
#[derive(Debug)]
pub(in crate::ledger) struct LevelCaps {
    volume: Option<Arc<Meter>>,
    /// The higher caps that steps of the policy make of it.
    earned: Vec<Arc<Meter>>,
    concurrency: Option<u32>,
}

/// A tool's caps, shared by every workflow that calls it.
#[derive(Debug)]
pub struct ToolCaps {
    volume: Option<Arc<Meter>>,
    concurrency: Option<u32>,
    in_flight: Arc<AtomicU32>,
}

/// What is kept when policies are read again: only what they still name.
#[derive(Debug, Default)]
pub struct Meters {
    volumes: HashMap<(CapOwner, Volume), Arc<Meter>>,
    in_flight: HashMap<ToolName, Arc<AtomicU32>>,
    tools: HashMap<ToolName, Arc<ToolCaps>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum CapOwner {
    Workflow(WorkflowName),
    Tool(ToolName),
}

impl Meters {
    /// The caps of `policies`, by workflow.
    pub fn install(
        &mut self,
        policies: &PolicySet,
        now: Time,
    ) -> HashMap<WorkflowName, WorkflowCaps> {
        let mut before = std::mem::take(self);
        let mut meter = |after: &mut Meters, owner: CapOwner, cap: Volume| {
            let key = (owner, cap);
            let meter = before
                .volumes
                .remove(&key)
                .unwrap_or_else(|| Arc::new(Meter::new(cap, now)));
            Arc::clone(after.volumes.entry(key).or_insert(meter))
        };
        for tool in policies
            .apis
            .values()
            .flat_map(|api| &api.tools)
            .filter(|tool| tool.volume.is_some() || tool.concurrency.is_some())
        {
            let volume = tool
                .volume
                .map(|cap| meter(self, CapOwner::Tool(tool.name.clone()), cap));
            let in_flight = before.in_flight.remove(&tool.name).unwrap_or_default();
            self.in_flight
                .insert(tool.name.clone(), Arc::clone(&in_flight));
            self.tools.insert(
                tool.name.clone(),
                Arc::new(ToolCaps {
                    volume,
                    concurrency: tool.concurrency,
                    in_flight,
                }),
            );
        }
        let mut caps = HashMap::new();
        for (name, workflow) in &policies.workflows {
            let rungs = workflow.terms.ladder.rungs();
            let is_capped = rungs
                .iter()
                .any(|rung| rung.volume.is_some() || rung.concurrency.is_some());
            let steps = &workflow.terms.earn.steps;
            let level = |rung: &crate::gate::level::Rung| LevelCaps {
                volume: rung
                    .volume
                    .map(|cap| meter(self, CapOwner::Workflow(name.clone()), cap)),
                earned: rung.volume.map_or_else(Vec::new, |cap| {
                    let widened = steps
                        .iter()
                        .map(|step| step.gain.widened(cap))
                        .filter(|widened| *widened != cap);
                    widened
                        .map(|cap| meter(self, CapOwner::Workflow(name.clone()), cap))
                        .collect()
                }),
                concurrency: rung.concurrency,
            };
            let levels = if is_capped {
                rungs.iter().map(level).collect()
            } else {
                Vec::new()
            };
            let tools = workflow
                .tools
                .iter()
                .filter_map(|tool| Some((tool.clone(), Arc::clone(self.tools.get(tool)?))))
                .collect();
            caps.insert(name.clone(), WorkflowCaps { levels, tools });
        }
        caps
    }
}

impl WorkflowCaps {
    /// The caps of a tool, where it has any.
    pub(in crate::ledger) fn tool(&self, tool: &ToolName) -> Option<&Arc<ToolCaps>> {
        self.tools.get(tool)
    }

    pub(in crate::ledger) fn level(&self, ladder: &Ladder, name: &str) -> Option<&LevelCaps> {
        if self.levels.is_empty() {
            return None;
        }
        // A level that these policies do not know is of those in force a moment ago.
        self.levels
            .get(ladder.find(name).unwrap_or_else(|| ladder.lowest()).index())
    }
}

impl LevelCaps {
    /// How many calls the level lets be in flight at once.
    pub(in crate::ledger) const fn concurrency(&self) -> Option<u32> {
        self.concurrency
    }

    /// What meters `cap`, the level's own or one that was earned. One that these policies do not
    /// know is of those in force a moment ago.
    pub(in crate::ledger) fn meter(&self, cap: Option<Volume>) -> Option<&Arc<Meter>> {
        self.earned
            .iter()
            .find(|meter| Some(meter.cap) == cap)
            .or(self.volume.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_not_sent_is_taken_off_its_own_hour_and_no_other() {
        let traffic = Traffic::default();
        let [first, second] = [Hour(1).start(), Hour(2).start()];
        assert!(traffic.count(first, None) && traffic.count(second, None));
        traffic.uncount(first);
        assert_eq!(traffic.calls(second), 1);
        traffic.uncount(second);
        assert_eq!(traffic.calls(second), 0);
    }

    #[test]
    fn g7_as_many_hours_wait_to_be_written_down_as_the_bound() {
        let waiting = |hours: usize| {
            let traffic = Traffic::default();
            for n in 1..=hours {
                let now = Hour(i64::try_from(n).unwrap()).start();
                assert!(traffic.count(now, None));
            }
            let end = Hour(i64::try_from(hours + 1).unwrap()).start();
            let waiting = traffic.hours(end, false);
            (waiting.len(), waiting[0].0)
        };
        assert_eq!(waiting(MOST_FINISHED), (MOST_FINISHED, Hour(1)));
        assert_eq!(waiting(MOST_FINISHED + 1), (MOST_FINISHED, Hour(1)));
    }
}
