//! The report of a simulation: for each workflow what was booked, judged and prevented, its postures
//! over time, and where that differs from what really happened.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::history::ImportFinding;
use crate::api::{Decimal, Moment};
use crate::gate::budget::posture::Posture;
use crate::gate::event::Effect;
use crate::gate::policy::Workflow;
use crate::gate::status::Status;
use crate::gate::time::Time;

/// The most changes of a workflow that are kept one by one; the rest is counted.
pub const MOST_CHANGES: usize = 10_000;
/// The most prevented and held runs that are named, each.
pub const MOST_NAMED: usize = 100;
/// The most differences that are listed.
pub const MOST_DIFFERENCES: usize = 1_000;

/// What a simulation came to.
#[derive(Debug, Clone, Serialize)]
pub struct Simulated {
    /// The version of the policies.
    pub policies: String,
    /// Where the runs came from.
    pub source: String,
    /// The first moment.
    pub from: Moment,
    /// The last moment.
    pub to: Moment,
    /// Runs or entries that were read.
    pub read: u64,
    /// How long after a burn a person is assumed to have found its cause; `null` where people's
    /// decisions are on record.
    pub recovers_after: Option<String>,
    /// What was skipped, and what is odd.
    pub findings: Vec<ImportFinding>,
    /// By workflow.
    pub workflows: BTreeMap<String, SimulatedWorkflow>,
}

/// What became of one workflow.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SimulatedWorkflow {
    /// Its tier.
    pub risk: String,
    /// Its target.
    pub target: Decimal,
    /// Its levels, lowest first.
    pub levels: Vec<String>,
    /// The level it began at.
    pub starts: String,
    /// Runs that were booked and count.
    pub runs: u64,
    /// Those that were unacceptable.
    pub unacceptable: u64,
    /// Runs that do not count.
    pub idle: u64,
    /// Runs that an operator had excluded.
    pub excluded: u64,
    /// What became of its calls.
    pub calls: CallCounts,
    /// Runs with a call that would have been denied.
    pub prevented: RunCounts,
    /// Runs with a call that would have been held.
    pub held: RunCounts,
    /// Burns that began.
    pub burns: u64,
    /// Levels that were given, and steps that were earned.
    pub promotions: u64,
    /// Steps that were earned and would have waited for an operator.
    pub proposed: u64,
    /// Demotions.
    pub demotions: u64,
    /// How long it was in each posture, in whole seconds.
    pub seconds: BTreeMap<&'static str, u64>,
    /// The posture at the end.
    pub posture: &'static str,
    /// The level at the end.
    pub level: String,
    /// The budget at the end, in a sentence.
    pub why: String,
    /// What changed, in order.
    pub changes: Vec<TimedEffect>,
    /// Changes that are not listed.
    pub more_changes: u64,
    /// What really happened and would not have, and the other way round; `null` where what really
    /// happened is not on record.
    pub difference: Option<Difference>,
}

/// What became of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CallCounts {
    /// Allowed.
    pub allowed: u64,
    /// Held for a person.
    pub held: u64,
    /// Denied.
    pub denied: u64,
    /// Calls that a rule could not judge, because it reads what is not on record; they are among
    /// those above by the rules that could.
    pub unknown: u64,
}

/// Runs of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunCounts {
    /// How many.
    pub runs: u64,
    /// Those among them that were unacceptable.
    pub unacceptable: u64,
    /// The first of them.
    pub named: Vec<String>,
}

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimedEffect {
    /// When.
    pub at: Moment,
    /// What.
    #[serde(flatten)]
    pub effect: Effect,
}

/// Where what would have been differs from what was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Changes that happened both times, at the same moment.
    pub same: u64,
    /// Changes that only really happened.
    pub only_real: Vec<TimedEffect>,
    /// Changes that would only have happened under these policies.
    pub only_simulated: Vec<TimedEffect>,
    /// Differences that are not listed.
    pub more: u64,
    /// Calls that went and would have been held.
    pub newly_held: u64,
    /// Calls that went and would have been denied.
    pub newly_denied: u64,
    /// Calls that were held or denied and would have gone.
    pub newly_allowed: u64,
}

impl RunCounts {
    /// Notes one.
    pub fn note(&mut self, run: &str, unacceptable: bool) {
        self.runs += 1;
        self.unacceptable += u64::from(unacceptable);
        if self.named.len() < MOST_NAMED {
            self.named.push(run.to_owned());
        }
    }
}

impl SimulatedWorkflow {
    pub(super) fn new(policy: &Workflow, status: &Status) -> Self {
        SimulatedWorkflow {
            risk: policy.terms.tier.as_str().to_owned(),
            target: Decimal::of(i64::from(policy.terms.objective.target_ppm / 100)),
            levels: policy
                .terms
                .ladder
                .rungs()
                .iter()
                .map(|rung| rung.level.to_string())
                .collect(),
            starts: status.level().to_string(),
            posture: status.posture.as_str(),
            level: status.level().to_string(),
            ..SimulatedWorkflow::default()
        }
    }

    pub(super) fn note(&mut self, at: Time, effect: Effect) {
        self.burns += u64::from(matches!(effect, Effect::BurnOpened));
        self.promotions += u64::from(matches!(effect, Effect::StepEarned { .. }));
        self.proposed += u64::from(matches!(effect, Effect::StepProposed { .. }));
        self.demotions += u64::from(matches!(effect, Effect::Demoted { .. }));
        if self.changes.len() < MOST_CHANGES {
            self.changes.push(TimedEffect {
                at: Moment(at),
                effect,
            });
        } else {
            self.more_changes += 1;
        }
    }

    pub(super) fn stay(&mut self, posture: Posture, since: Time, until: Time) {
        *self.seconds.entry(posture.as_str()).or_default() += until.since(since).as_secs();
    }

    pub(super) fn ends(&mut self, status: &Status) {
        self.posture = status.posture.as_str();
        self.level = status.level().to_string();
        self.why = status.why.to_string();
    }
}

impl Difference {
    /// Compares what happened with what would have, each in order.
    pub(super) fn of(real: &[TimedEffect], simulated: &[TimedEffect]) -> Self {
        let mut left: BTreeMap<String, Vec<&TimedEffect>> = BTreeMap::new();
        let key = |change: &TimedEffect| format!("{} {:?}", change.at, change.effect);
        for change in real {
            left.entry(key(change)).or_default().push(change);
        }
        let mut difference = Difference::default();
        for change in simulated {
            match left.get_mut(&key(change)).and_then(Vec::pop) {
                Some(_) => difference.same += 1,
                None => difference.only_simulated.push(change.clone()),
            }
        }
        difference.only_real = left.into_values().flatten().cloned().collect();
        difference.only_real.sort_by_key(|change| change.at);
        for list in [&mut difference.only_real, &mut difference.only_simulated] {
            difference.more += list.len().saturating_sub(MOST_DIFFERENCES) as u64;
            list.truncate(MOST_DIFFERENCES);
        }
        difference
    }

    /// Did everything happen as it would have?
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.only_real.is_empty()
            && self.only_simulated.is_empty()
            && self.newly_held + self.newly_denied + self.newly_allowed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_listed_up_to_the_bound_and_then_counted() {
        let listed = |count: usize| {
            let mut workflow = SimulatedWorkflow::default();
            for _ in 0..count {
                workflow.note(Time::default(), Effect::BurnOpened);
            }
            (workflow.changes.len(), workflow.more_changes)
        };
        assert_eq!(listed(MOST_CHANGES), (MOST_CHANGES, 0));
        assert_eq!(listed(MOST_CHANGES + 1), (MOST_CHANGES, 1));
    }

    #[test]
    fn so_many_runs_are_named_and_all_are_counted() {
        let named = |count: usize| {
            let mut runs = RunCounts::default();
            (0..count).for_each(|n| runs.note(&n.to_string(), false));
            (runs.named.len(), runs.runs)
        };
        assert_eq!(named(MOST_NAMED), (MOST_NAMED, MOST_NAMED as u64));
        assert_eq!(named(MOST_NAMED + 1), (MOST_NAMED, MOST_NAMED as u64 + 1));
    }

    #[test]
    fn differences_are_listed_up_to_the_bound_and_then_counted() {
        let change = TimedEffect {
            at: Moment(Time::default()),
            effect: Effect::BurnOpened,
        };
        let listed = |count: usize| {
            let changes = vec![change.clone(); count];
            let (real, simulated) = (Difference::of(&changes, &[]), Difference::of(&[], &changes));
            assert_eq!(real.more, simulated.more);
            (
                real.only_real.len(),
                simulated.only_simulated.len(),
                real.more,
            )
        };
        let most = MOST_DIFFERENCES;
        assert_eq!(listed(most), (most, most, 0));
        assert_eq!(listed(most + 1), (most, most, 1));
    }
}
