//! What a call takes of the caps: a slot among the calls in flight, and a share of the volumes.
//!
//! A call takes from them when everything else lets it go, so one that is held or refused uses none
//! up. The slot is given back when the call is over (G1), the share where it was not sent after
//! all. A call with a grant obeys the caps too, before its grant is used. Running into one costs no
//! budget (G6).

use std::sync::Arc;
use std::time::Duration;

use super::refusal::{ReachedCap, Refusal};
use crate::gate::level::Volume;
use crate::gate::location::SourceLocation;
use crate::gate::policy::Tool;
use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::status::Status;
use crate::gate::time::{Hour, Time};
use crate::gate::verdict::Verdict;
use crate::ledger::caps::{LevelCaps, Meter, ToolCaps};
use crate::ledger::workflow::WorkflowHandle;

/// One of the calls that may be in flight at once. It comes back whatever becomes of the call.
pub(in crate::ledger) struct ConcurrencySlot {
    handle: Arc<WorkflowHandle>,
    tool: Option<Arc<ToolCaps>>,
}

/// One of the calls that a volume lets go.
pub(in crate::ledger) struct VolumeShare {
    handle: Arc<WorkflowHandle>,
    at: Time,
    level: Option<Arc<Meter>>,
    tool: Option<Arc<ToolCaps>>,
    sent: bool,
}

impl ConcurrencySlot {
    /// Takes one for a call of `tool`, or none.
    pub(super) fn take(handle: &Arc<WorkflowHandle>, tool: Option<&Tool>) -> Result<Self, Refusal> {
        let status = handle.shard.status();
        let level = level_of(handle, status.level().as_str()).and_then(LevelCaps::concurrency);
        let usual = status.pause.map(|pause| pause.at_once);
        let (most, paused) = match (level, usual) {
            (Some(level), Some(usual)) => (Some(level.min(usual)), usual < level),
            (level, usual) => (level.or(usual), level.is_none()),
        };
        if !handle.shard.traffic().enter(most) {
            let whose = if paused {
                usual_hour(&status)
            } else {
                format!("level `{}`", status.level())
            };
            let cap = most.unwrap_or_default();
            return Err(at_once(&handle.policy.location, cap, &whose));
        }
        // Given back from here on, whatever comes.
        let mut slot = ConcurrencySlot {
            handle: Arc::clone(handle),
            tool: None,
        };
        if let Some(tool) = tool
            && let Some(caps) = handle.caps.tool(&tool.name)
        {
            caps.enter()
                .map_err(|cap| at_once(&tool.location, cap, &format!("`{}`", tool.name)))?;
            slot.tool = Some(Arc::clone(caps));
        }
        Ok(slot)
    }
}

impl Drop for ConcurrencySlot {
    fn drop(&mut self) {
        self.handle.shard.traffic().leave();
        if let Some(tool) = &self.tool {
            tool.leave();
        }
    }
}

impl VolumeShare {
    /// Takes one for a call of `tool`, or none.
    pub(super) fn take(
        handle: &Arc<WorkflowHandle>,
        tool: Option<&Tool>,
        now: Time,
    ) -> Result<Self, Refusal> {
        let status = handle.shard.status();
        let hourly = status.pause.map(|pause| Volume {
            calls: pause.calls,
            per_seconds: 3_600,
        });
        let most = hourly.map(|hourly| hourly.calls);
        if !handle.shard.traffic().count(now, most) {
            let cap = hourly.unwrap_or(Volume {
                calls: 0,
                per_seconds: 3_600,
            });
            let wait = Hour(now.hour().0 + 1).start().since(now);
            let whose = usual_hour(&status);
            return Err(within(&handle.policy.location, cap, wait, &whose));
        }
        // Given back from here on, as far as it is taken.
        let mut share = VolumeShare {
            handle: Arc::clone(handle),
            at: now,
            level: None,
            tool: None,
            sent: false,
        };
        let level = level_of(handle, status.level().as_str());
        if let Some(meter) = level.and_then(|level| level.meter(status.rung.volume)) {
            meter.take(now).map_err(|wait| {
                let whose = format!("level `{}`", status.level());
                within(&handle.policy.location, meter.cap(), wait, &whose)
            })?;
            share.level = Some(Arc::clone(meter));
        }
        if let Some(tool) = tool
            && let Some(caps) = handle.caps.tool(&tool.name)
            && let Some(meter) = caps.volume()
        {
            let whose = || format!("`{}`", tool.name);
            meter
                .take(now)
                .map_err(|wait| within(&tool.location, meter.cap(), wait, &whose()))?;
            share.tool = Some(Arc::clone(caps));
        }
        Ok(share)
    }

    /// The call was sent: what it took is used up.
    pub(in crate::ledger) fn commit(mut self) {
        self.sent = true;
    }
}

impl Drop for VolumeShare {
    fn drop(&mut self) {
        if self.sent {
            return;
        }
        self.handle.shard.traffic().uncount(self.at);
        let tool = self.tool.as_ref().and_then(|caps| caps.volume());
        for meter in self.level.iter().chain(tool) {
            meter.give_back();
        }
    }
}

fn level_of<'h>(handle: &'h WorkflowHandle, level: &str) -> Option<&'h LevelCaps> {
    handle.caps.level(&handle.policy.terms.ladder, level)
}

fn usual_hour(status: &Status) -> String {
    format!(
        "the budget is {} and expansion pauses: the usual busy hour of the last 7 days",
        status.posture
    )
}

fn at_once(at: &SourceLocation, cap: u32, whose: &str) -> Refusal {
    let detail = format!("{whose} lets {cap} calls be in flight at once");
    let finding = reached(RuleName::Concurrency, at, detail);
    Refusal::Cap(Box::new(finding), ReachedCap::Concurrency { cap })
}

fn within(at: &SourceLocation, cap: Volume, wait: Duration, whose: &str) -> Refusal {
    let detail = format!("{whose} lets {} go", spelled(cap));
    let finding = reached(RuleName::Volume, at, detail);
    Refusal::Cap(Box::new(finding), ReachedCap::Volume { cap, wait })
}

fn reached(rule: RuleName, at: &SourceLocation, detail: String) -> Finding {
    Finding {
        location: Some(at.clone()),
        ..Finding::nowhere(Verdict::Deny, rule, detail)
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
