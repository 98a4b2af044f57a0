//! Caps: how many calls in what time, and how many at once.
//!
//! A level caps its workflow's calls, a tool those of everybody who calls it, and from `at_risk` on
//! a workflow stays within its usual hour ([`crate::gate::pace`]). A call takes from them when
//! everything else lets it go, so one that is held or refused uses none up, and one that is not
//! sent after all gives back what it took. A call with a grant obeys them too, before its grant is
//! used. Its place among the calls in flight comes back once, with its settling (G1). Caps are
//! about now, and no state: they begin anew with the process; only the hours are kept. Running into
//! one costs no budget (G6).
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

use super::call::permit::InFlightCall;
use crate::gate::level::{Ladder, Volume};
use crate::gate::location::SourceLocation;
use crate::gate::name::{ToolName, WorkflowName};
use crate::gate::pace::{Busy, Pace};
use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::policy::{PolicySet, Tool};
use crate::gate::time::{Hour, Time};
use crate::gate::verdict::Verdict;

/// Which cap refused a call, in the words of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capped {
    /// So many calls in so many seconds.
    Volume {
        /// The cap.
        cap: Volume,
        /// How long until it lets one more go.
        wait: Duration,
    },
    /// So many at once.
    Concurrency {
        /// The cap.
        cap: u32,
    },
}

/// How busy a workflow is: what its shard keeps besides the fold's projection.
#[derive(Debug, Default)]
pub struct Traffic {
    in_flight: AtomicU32,
    /// The most in flight since the hour began.
    at_once: AtomicU32,
    /// The hour, and its calls: 32 bits each, so that one exchange moves both.
    hour: AtomicU64,
    /// Hours that are over, until somebody writes them down.
    over: Mutex<Vec<(Hour, Busy)>>,
}

/// Hours that are over and wait to be written down: so few that only a sweep that never comes fills
/// them, and then the newest are let go.
const MOST_OVER: usize = 48;

impl Traffic {
    /// As busy as `pace` says that the hour of `now` has been.
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

    /// Calls that were let go in the hour of `now`.
    #[must_use]
    pub fn calls(&self, now: Time) -> u32 {
        let (hour, calls) = unpacked(self.hour.load(Ordering::Relaxed));
        if hour == now.hour() { calls } else { 0 }
    }

    fn enter(&self, most: Option<u32>) -> bool {
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

    fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts one more call in the hour of `now`.
    fn count(&self, now: Time, most: Option<u32>) -> bool {
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

    fn uncount(&self, now: Time) {
        let less = |word: u64| {
            let (hour, calls) = unpacked(word);
            (hour == now.hour()).then(|| packed(hour, calls.saturating_sub(1)))
        };
        let _ = self
            .hour
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn turn(&self, to: Hour) {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = |word: u64| (unpacked(word).0 < to).then(|| packed(to, 0));
        let Ok(word) = self
            .hour
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, ends)
        else {
            return;
        };
        let at_once = self.at_once.swap(self.in_flight(), Ordering::Relaxed);
        let (hour, calls) = unpacked(word);
        if calls > 0 && over.len() < MOST_OVER {
            over.push((hour, Busy { calls, at_once }));
        }
    }

    /// The hours that are over by `now` and were not written down yet; where the process stops,
    /// also the one that is not over.
    pub fn hours(&self, now: Time, stops: bool) -> Vec<(Hour, Busy)> {
        let (hour, calls) = unpacked(self.hour.load(Ordering::Relaxed));
        if hour < now.hour() && calls > 0 {
            self.turn(now.hour());
        }
        let mut over =
            std::mem::take(&mut *self.over.lock().unwrap_or_else(PoisonError::into_inner));
        if stops && calls > 0 && hour == now.hour() {
            over.push((
                hour,
                Busy {
                    calls,
                    at_once: self.at_once.load(Ordering::Relaxed),
                },
            ));
        }
        over
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
    /// Calls that were let go by this cap and then not sent. The next one takes the place of such a
    /// one, so there are never more than were under way together.
    unsent: AtomicU32,
    hand: Hand,
    bucket: RateLimiter<NotKeyed, InMemoryState, Hand, NoOpMiddleware<Duration>>,
}

/// The clock of a bucket: stands where the latest call put it.
#[derive(Debug, Clone, Default)]
struct Hand(Arc<AtomicU64>);

impl Clock for Hand {
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
        let hand = Hand::default();
        hand.0.store(millis(now), Ordering::Relaxed);
        Meter {
            cap,
            unsent: AtomicU32::new(0),
            bucket: RateLimiter::direct_with_clock(quota, hand.clone()),
            hand,
        }
    }

    fn take(&self, now: Time) -> Result<(), Capped> {
        self.hand.0.fetch_max(millis(now), Ordering::Relaxed);
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
        self.bucket.check().map_err(|until| Capped::Volume {
            cap: self.cap,
            wait: until.wait_time_from(self.hand.now()),
        })
    }
}

fn millis(now: Time) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(0)
}

/// The caps that the policies in force have for one workflow. Buckets go on where they were when
/// policies are read again.
#[derive(Debug, Default)]
pub struct Caps {
    /// By rung; empty where no level has any.
    levels: Vec<Level>,
    /// Of the workflow's tools, those that have any.
    tools: HashMap<ToolName, Arc<ToolCaps>>,
}

#[derive(Debug)]
struct Level {
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
    volumes: HashMap<(Whose, Volume), Arc<Meter>>,
    in_flight: HashMap<ToolName, Arc<AtomicU32>>,
    tools: HashMap<ToolName, Arc<ToolCaps>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Whose {
    Workflow(WorkflowName),
    Tool(ToolName),
}

impl Meters {
    /// The caps of `policies`, by workflow.
    pub fn install(&mut self, policies: &PolicySet, now: Time) -> HashMap<WorkflowName, Caps> {
        let mut before = std::mem::take(self);
        let mut meter = |after: &mut Meters, whose: Whose, cap: Volume| {
            let key = (whose, cap);
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
                .map(|cap| meter(self, Whose::Tool(tool.name.clone()), cap));
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
            let level = |rung: &crate::gate::level::Rung| Level {
                volume: rung
                    .volume
                    .map(|cap| meter(self, Whose::Workflow(name.clone()), cap)),
                earned: rung.volume.map_or_else(Vec::new, |cap| {
                    let widened = steps
                        .iter()
                        .map(|step| step.gain.widened(cap))
                        .filter(|widened| *widened != cap);
                    widened
                        .map(|cap| meter(self, Whose::Workflow(name.clone()), cap))
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
            caps.insert(name.clone(), Caps { levels, tools });
        }
        caps
    }
}

impl Caps {
    fn level(&self, ladder: &Ladder, name: &str) -> Option<&Level> {
        if self.levels.is_empty() {
            return None;
        }
        // A level that these policies do not know has come from others a moment ago.
        self.levels
            .get(ladder.find(name).unwrap_or_else(|| ladder.lowest()).index())
    }
}

impl Level {
    /// What meters `cap`, the level's own or one that was earned. One that these policies do not
    /// know has come from others a moment ago.
    fn meter(&self, cap: Option<Volume>) -> Option<&Arc<Meter>> {
        self.earned
            .iter()
            .find(|meter| Some(meter.cap) == cap)
            .or(self.volume.as_ref())
    }
}

/// What a call took from the volumes.
#[derive(Debug)]
pub(super) struct Metered {
    at: Time,
    level: Option<Arc<Meter>>,
    tool: Option<Arc<ToolCaps>>,
}

/// A call's place among those in flight.
#[derive(Debug)]
pub(super) struct ConcurrencySlot {
    tool: Option<Arc<ToolCaps>>,
}

/// What a cap says that is reached, in words and in numbers.
pub(super) type Reached = (Finding, Capped);

impl InFlightCall {
    /// Takes what the call needs of every cap, or nothing. Once a call has it, it keeps it until it
    /// settles.
    pub(super) fn take_caps(&mut self, tool: Option<&Tool>, now: Time) -> Result<(), Reached> {
        if self.slot.is_some() {
            return Ok(());
        }
        let handle = &self.handle;
        let (standing, traffic) = (handle.shard.standing(), handle.shard.traffic());
        let level = handle
            .caps
            .level(&handle.policy.terms.ladder, standing.level().as_str());
        let of_level = || format!("level `{}`", standing.level());
        let refuse = |rule: RuleName, at: &SourceLocation, capped: Capped, whose: String| {
            let detail = match capped {
                Capped::Volume { cap, .. } => format!("{whose} lets {} go", spelled(cap)),
                Capped::Concurrency { cap } => {
                    format!("{whose} lets {cap} calls be in flight at once")
                }
            };
            (
                Finding {
                    place: Some(at.clone()),
                    ..Finding::nowhere(Verdict::Deny, rule, detail)
                },
                capped,
            )
        };
        let pause = standing.pause;
        let (most, paused) = match (
            level.and_then(|level| level.concurrency),
            pause.map(|pause| pause.at_once),
        ) {
            (Some(level), Some(usual)) => (Some(level.min(usual)), usual < level),
            (level, usual) => (level.or(usual), level.is_none()),
        };
        let usual = || {
            format!(
                "the budget is {} and expansion pauses: the usual busy hour of the last 7 days",
                standing.posture
            )
        };
        if !traffic.enter(most) {
            let cap = most.unwrap_or_default();
            let whose = if paused { usual() } else { of_level() };
            return Err(refuse(
                RuleName::Concurrency,
                &handle.policy.place,
                Capped::Concurrency { cap },
                whose,
            ));
        }
        let tool_caps = handle.caps.tools.get(&self.tool).filter(|_| tool.is_some());
        if let (Some(caps), Some(tool)) = (tool_caps, tool) {
            let more = |count: u32| {
                caps.concurrency
                    .is_none_or(|most| count < most)
                    .then(|| count.saturating_add(1))
            };
            if caps
                .in_flight
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
                .is_err()
            {
                traffic.leave();
                let cap = caps.concurrency.unwrap_or_default();
                return Err(refuse(
                    RuleName::Concurrency,
                    &tool.place,
                    Capped::Concurrency { cap },
                    format!("`{}`", tool.name),
                ));
            }
        }
        let slot = ConcurrencySlot {
            tool: tool_caps.map(Arc::clone),
        };
        if self.metered.is_some() {
            self.slot = Some(slot);
            return Ok(());
        }
        let hourly = pause.map(|pause| Volume {
            calls: pause.calls,
            per_seconds: 3_600,
        });
        let mut taken = if traffic.count(now, hourly.map(|hourly| hourly.calls)) {
            Ok(())
        } else {
            let wait = Hour(now.hour().0 + 1).start().since(now);
            let capped = Capped::Volume {
                cap: hourly.unwrap_or(Volume {
                    calls: 0,
                    per_seconds: 3_600,
                }),
                wait,
            };
            Err(refuse(
                RuleName::Volume,
                &handle.policy.place,
                capped,
                usual(),
            ))
        };
        let mut metered = Metered {
            at: now,
            level: None,
            tool: None,
        };
        if taken.is_ok() {
            let by_level = level.and_then(|level| level.meter(standing.rung.volume));
            let by_tool = tool_caps.filter(|caps| caps.volume.is_some());
            taken = by_level
                .map_or(Ok(()), |meter| meter.take(now))
                .map_err(|capped| {
                    refuse(RuleName::Volume, &handle.policy.place, capped, of_level())
                });
            if taken.is_ok() {
                metered.level = by_level.map(Arc::clone);
                let of_tool = by_tool
                    .and_then(|caps| caps.volume.as_ref())
                    .map_or(Ok(()), |meter| meter.take(now));
                if let (Err(capped), Some(tool)) = (of_tool, tool) {
                    taken = Err(refuse(
                        RuleName::Volume,
                        &tool.place,
                        capped,
                        format!("`{}`", tool.name),
                    ));
                } else {
                    metered.tool = by_tool.map(Arc::clone);
                }
            }
            if taken.is_err() {
                metered.give_back(traffic);
            }
        }
        match taken {
            Ok(()) => (self.slot, self.metered) = (Some(slot), Some(metered)),
            Err(_) => slot.release(traffic),
        }
        taken
    }
}

impl Metered {
    /// The call was not sent after all.
    pub(super) fn give_back(&self, traffic: &Traffic) {
        traffic.uncount(self.at);
        let tool = self.tool.as_ref().and_then(|caps| caps.volume.as_ref());
        for meter in self.level.iter().chain(tool) {
            meter.unsent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl ConcurrencySlot {
    /// The call is not in flight any more.
    pub(super) fn release(self, traffic: &Traffic) {
        traffic.leave();
        if let Some(tool) = self.tool {
            tool.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A volume in words.
fn spelled(Volume { calls, per_seconds }: Volume) -> String {
    let span = match per_seconds {
        1 => "a second".to_owned(),
        60 => "a minute".to_owned(),
        3_600 => "an hour".to_owned(),
        86_400 => "a day".to_owned(),
        604_800 => "a week".to_owned(),
        seconds => format!("in {seconds} seconds"),
    };
    format!(
        "{calls} {} {span}",
        if calls == 1 { "call" } else { "calls" }
    )
}
