//! Workflows as operators see them: budget, posture, level, and the four numbers.
//!
//! Nothing here decides. A rate with nothing to count is `null`, not zero: silence is not success.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::earn::{LevelLoss, NextStep, ProposalView, StepView};
use super::enforce::ShadowView;
use super::numbers::{Numbers, counts};
use super::{Decimal, Moment, TimeSpan};
use crate::gate::budget::balance::Balance;
use crate::gate::budget::burn_record::BurnRecord;
use crate::gate::budget::objective::Objective;
use crate::gate::budget::shift::Tally;
use crate::gate::change_log::ShippedChange;
use crate::gate::clamp;
use crate::gate::level::Changes;
use crate::gate::name::WorkflowName;
use crate::gate::outcome::FailureMode;
use crate::gate::policy::Mode;
use crate::gate::ppm::MILLION;
use crate::gate::run_flags::RunFlag;
use crate::gate::sample::CallSample;
use crate::gate::status::Status;
use crate::gate::workflow::WorkflowState;

/// Every workflow, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowList {
    /// The workflows.
    pub workflows: Vec<WorkflowView>,
    /// A note for the operator who released a clamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One workflow as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowView {
    /// Its name.
    pub workflow: String,
    /// Its risk tier: low, medium or high.
    pub risk: String,
    /// enforce or shadow; `null` where no policy for it is in force any more.
    pub mode: Option<String>,
    /// Its tools and rules that are in shadow by themselves.
    #[serde(default)]
    pub shadow: Vec<ShadowView>,
    /// What failure means for it and how much is acceptable.
    pub objective: ObjectiveView,
    /// Its budget.
    pub budget: BudgetView,
    /// healthy, `at_risk`, burned or breached.
    pub posture: String,
    /// The posture in a sentence.
    pub why: String,
    /// How fast the budget is being spent.
    pub burn_rate: BurnRateView,
    /// Its level and what bounds it.
    pub level: LevelView,
    /// open or frozen.
    pub changes: String,
    /// The four numbers over the budget's window.
    #[serde(flatten)]
    pub numbers: Numbers,
    /// Its burns, oldest first.
    pub burns: Vec<BurnView>,
    /// Some of the calls behind its failures since it was healthy, oldest first.
    #[serde(default)]
    pub samples: Vec<SampleView>,
    /// What is wider in a policy that is held back while changes are frozen.
    #[serde(default)]
    pub policy_held_back: Option<String>,
    /// The newest changes that shipped, oldest first.
    #[serde(default)]
    pub changes_shipped: Vec<ChangeView>,
    /// What it may earn next.
    pub earn: Option<NextStep>,
    /// The steps of its policy, the taken ones first.
    #[serde(default)]
    pub steps: Vec<StepView>,
    /// What waits for the operator's word.
    #[serde(default)]
    pub proposals: Vec<ProposalView>,
    /// What would cost it its level.
    #[serde(default)]
    pub lose: Option<LevelLoss>,
    /// When somebody last looked at how it does.
    #[serde(default)]
    pub review: Option<LastReviewView>,
    /// How busy it is, and what bounds that.
    #[serde(default)]
    pub traffic: Option<TrafficView>,
}

/// When somebody last looked at how a workflow does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastReviewView {
    /// When; `null` where nobody ever did.
    pub last: Option<Moment>,
    /// Who.
    pub by: Option<String>,
    /// Since when a review is overdue.
    pub overdue_since: Option<Moment>,
    /// Nothing is promoted until somebody looks: at tier high, after 30 days.
    pub stops_promotion: bool,
}

/// How busy a workflow is, and what bounds that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrafficView {
    /// Calls in flight.
    pub in_flight: u32,
    /// Calls that were let go in this hour (UTC).
    pub this_hour: u32,
    /// Hours with traffic in the seven days before; a pause needs 24 of them to know what is usual.
    pub hours: u64,
    /// The cap of its level on calls per time, such as `600/min`.
    pub volume: Option<String>,
    /// The cap of its level on calls at once.
    pub concurrency: Option<u32>,
    /// What a pause of expansion leaves, from `at_risk` on.
    pub pause: Option<PauseView>,
    /// Places for risky runs, where the policy limits them.
    pub exposure: Option<ExposureView>,
}

/// What a pause of expansion leaves: the 95th percentile of the hours with traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PauseView {
    /// Calls in an hour.
    pub calls: u32,
    /// Calls at once.
    pub at_once: u32,
}

/// Slots for runs that asked for harm and are not booked: as many as failures are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExposureView {
    /// Slots for runs with a medium or high call.
    #[serde(rename = "places")]
    pub slots: u32,
    /// Those taken.
    pub used: u32,
    /// Slots for runs with a high call.
    #[serde(rename = "high_places")]
    pub high_slots: u32,
    /// Those taken.
    pub high_used: u32,
}

/// What a call behind a failure looked like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SampleView {
    /// When the call ended.
    pub at: Moment,
    /// Its run.
    pub run: String,
    /// Its id.
    pub call: String,
    /// Its tool.
    pub tool: String,
    /// What went wrong, of what counts.
    pub modes: Vec<String>,
    /// Its arguments, every value redacted.
    pub arguments: serde_json::Value,
}

/// A change that shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeView {
    /// When.
    pub at: Moment,
    /// What kind: prompt, model, tools or policy.
    pub kind: String,
    /// A reference to it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Who.
    pub by: String,
    /// Why it shipped in spite of a freeze, where it did.
    pub emergency: Option<String>,
}

/// Target, window and size of a budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectiveView {
    /// The share of runs that must be acceptable.
    pub target: TargetShare,
    /// The rolling window.
    pub window: TimeSpan,
    /// How many runs are expected in a window.
    pub expected_runs: u64,
    /// The modes that make a run unacceptable.
    pub unacceptable: Vec<String>,
    /// The modes that burn the budget at once.
    pub critical: Vec<String>,
}

/// A share in parts per million, shown as a decimal with all of its six places: 99.999% is
/// `0.99999`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = f64, examples(0.97))]
pub struct TargetShare(pub u32);

/// A budget over all runs, and the same over the runs that executed a `high` call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetView {
    /// Counted runs.
    pub runs: u64,
    /// Unacceptable runs among them.
    pub unacceptable: u64,
    /// How many are allowed.
    pub allowed: Decimal,
    /// What remains, as a share of what is allowed. Negative once overdrawn.
    pub remaining: Decimal,
    /// Fewer runs were counted than are expected.
    pub provisional: bool,
    /// When the budget is used up at the pace of the last three days; `null` while that pace is one
    /// that lasts.
    pub exhausts_in: Option<TimeSpan>,
    /// Runs that do not count.
    pub idle_runs: u64,
    /// Counted runs that somebody judged.
    pub checked: u64,
    /// The budget over the runs that executed a `high` call.
    pub high: HighBudgetView,
}

/// The budget over the runs that executed a `high` call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HighBudgetView {
    /// Counted runs.
    pub runs: u64,
    /// Unacceptable runs among them.
    pub unacceptable: u64,
    /// How many are allowed.
    pub allowed: Decimal,
    /// What remains.
    pub remaining: Decimal,
}

/// Burn rates by look-back; `null` where the pair is not in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BurnRateView {
    /// Over five minutes.
    #[serde(rename = "5m")]
    pub five_minutes: Option<Decimal>,
    /// Over thirty minutes.
    #[serde(rename = "30m")]
    pub thirty_minutes: Option<Decimal>,
    /// Over an hour.
    #[serde(rename = "1h")]
    pub one_hour: Option<Decimal>,
    /// Over two hours.
    #[serde(rename = "2h")]
    pub two_hours: Option<Decimal>,
    /// Over six hours.
    #[serde(rename = "6h")]
    pub six_hours: Option<Decimal>,
    /// Over a day.
    #[serde(rename = "1d")]
    pub one_day: Option<Decimal>,
    /// Over three days.
    #[serde(rename = "3d")]
    pub three_days: Option<Decimal>,
}

/// The effective level and its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LevelView {
    /// The lowest of the three.
    pub effective: String,
    /// What was earned.
    pub earned: String,
    /// What the posture caps, where it does.
    pub cap: Option<String>,
    /// The lower of the operators' clamps.
    pub clamp: Option<ClampView>,
    /// A suspension of the cap.
    pub waiver: Option<WaiverView>,
    /// The way back from a burn, where one is on.
    pub probation: Option<ProbationView>,
    /// Which of them binds: earned, cap, clamp, waiver or probation.
    pub binds: String,
}

/// An operator's ceiling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClampView {
    /// The highest level left.
    pub to: String,
    /// `workflow`, or `all` for every workflow.
    pub scope: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// Since when.
    pub at: Moment,
    /// Until when, where it runs out.
    pub until: Option<Moment>,
}

/// A suspension of the posture's cap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaiverView {
    /// When it runs out.
    pub until: Moment,
    /// Unacceptable runs since it began.
    pub failures: u32,
}

/// The way back from a burn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProbationView {
    /// The level that it opens.
    pub to: String,
    /// Since when.
    pub from: Moment,
    /// When it has lasted.
    pub until: Moment,
}

/// An entry into burned or breached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BurnView {
    /// When it was entered.
    pub at: Moment,
    /// When it was left.
    pub left: Option<Moment>,
    /// The failure modes of the window when it was entered.
    pub modes: BTreeMap<String, u64>,
    /// The cause that a person put on record.
    pub cause: Option<String>,
    /// The failures behind it were retracted or excluded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub voided: bool,
}

impl LastReviewView {
    fn of(state: &WorkflowState) -> Self {
        let reviews = state.reviews();
        LastReviewView {
            last: reviews.last().map(|last| Moment(last.at)),
            by: reviews.last().map(|last| last.by.to_string()),
            overdue_since: reviews.overdue_since().map(Moment),
            stops_promotion: state.misses_review(),
        }
    }
}

impl WorkflowView {
    /// The workflow called `name` as it stands. `mode` is its policy's, where one is in force.
    #[must_use]
    pub fn of(
        name: &WorkflowName,
        mode: Option<Mode>,
        state: &WorkflowState,
        status: &Status,
    ) -> Self {
        let (terms, account, now) = (state.terms(), state.account(), state.now());
        let totals = account.totals(&terms.objective, now);
        let numbers = Numbers::of(&totals);
        WorkflowView {
            workflow: name.to_string(),
            risk: terms.tier.as_str().to_owned(),
            mode: mode.map(|mode| match mode {
                Mode::Shadow { until } if now < until => "shadow".to_owned(),
                Mode::Shadow { .. } | Mode::Enforce => "enforce".to_owned(),
            }),
            shadow: Vec::new(),
            objective: ObjectiveView::of(&terms.objective),
            budget: BudgetView::of(&terms.objective, &totals.tally, status),
            posture: status.posture.as_str().to_owned(),
            why: status.why.to_string(),
            burn_rate: BurnRateView::of(status),
            level: LevelView::of(state, status),
            changes: match status.changes {
                Changes::Frozen => "frozen".to_owned(),
                Changes::Open => "open".to_owned(),
            },
            numbers,
            burns: account.burns().iter().map(BurnView::of).collect(),
            samples: state.samples().iter().map(SampleView::of).collect(),
            policy_held_back: state.change_log().held_back().map(ToString::to_string),
            changes_shipped: state.change_log().shipped().map(ChangeView::of).collect(),
            earn: NextStep::of(state),
            steps: StepView::of(state),
            proposals: ProposalView::of(state),
            lose: Some(LevelLoss::of(state)),
            review: Some(LastReviewView::of(state)),
            traffic: None,
        }
    }
}

impl SampleView {
    fn of(sample: &CallSample) -> Self {
        SampleView {
            at: Moment(sample.at),
            run: sample.run.to_string(),
            call: sample.call.to_string(),
            tool: sample.tool.to_string(),
            modes: sample.modes.iter().map(ToString::to_string).collect(),
            arguments: redacted(sample),
        }
    }
}

/// What is shown of a sample's arguments. They were written as JSON; what is not is nothing.
#[must_use]
pub fn redacted(sample: &CallSample) -> serde_json::Value {
    serde_json::from_str(&sample.arguments).unwrap_or_default()
}

impl ChangeView {
    fn of(change: &ShippedChange) -> Self {
        ChangeView {
            at: Moment(change.at),
            kind: change.kind.to_string(),
            reference: change.reference.to_string(),
            by: change.by.to_string(),
            emergency: change.emergency.as_deref().map(ToOwned::to_owned),
        }
    }
}

impl ObjectiveView {
    fn of(objective: &Objective) -> Self {
        let names = |modes: &std::collections::BTreeSet<FailureMode>| {
            modes.iter().map(ToString::to_string).collect()
        };
        ObjectiveView {
            target: TargetShare(objective.target_ppm),
            window: TimeSpan(objective.window),
            expected_runs: objective.expected_runs,
            unacceptable: names(&objective.unacceptable),
            critical: names(&objective.critical),
        }
    }
}

impl BudgetView {
    fn of(objective: &Objective, tally: &Tally, status: &Status) -> Self {
        let all = &status.all;
        BudgetView {
            runs: all.runs,
            unacceptable: all.unacceptable,
            allowed: Decimal::allowed(all.allowed),
            remaining: Decimal::of(all.remaining().ten_thousandths()),
            provisional: all.runs < objective.expected_runs,
            exhausts_in: exhausts_in(objective.window, all, status.burn.get("3d")),
            idle_runs: tally.idle,
            checked: tally.flags.get(RunFlag::Checked),
            high: HighBudgetView {
                runs: status.high.runs,
                unacceptable: status.high.unacceptable,
                allowed: Decimal::allowed(status.high.allowed),
                remaining: Decimal::of(status.high.remaining().ten_thousandths()),
            },
        }
    }
}

/// A whole budget lasts a window at rate 1; so what remains lasts `remaining × window / rate`. Down
/// to whole minutes: nobody plans by its seconds.
fn exhausts_in(window: Duration, all: &Balance, rate: Option<u64>) -> Option<TimeSpan> {
    let rate = u128::from(rate?);
    if rate <= 10_000 {
        return None;
    }
    let remaining = u128::try_from(all.remaining().ten_thousandths()).unwrap_or(0);
    let minutes = remaining * u128::from(window.as_secs() / 60) / rate;
    Some(TimeSpan(Duration::from_secs(
        u64::try_from(minutes)
            .unwrap_or(u64::MAX)
            .saturating_mul(60),
    )))
}

impl BurnRateView {
    fn of(status: &Status) -> Self {
        let rate = |look_back| status.burn.get(look_back).map(Decimal::rate);
        BurnRateView {
            five_minutes: rate("5m"),
            thirty_minutes: rate("30m"),
            one_hour: rate("1h"),
            two_hours: rate("2h"),
            six_hours: rate("6h"),
            one_day: rate("1d"),
            three_days: rate("3d"),
        }
    }

    /// Every look-back's name and rate, shortest first.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Option<Decimal>)> {
        [
            ("5m", self.five_minutes),
            ("30m", self.thirty_minutes),
            ("1h", self.one_hour),
            ("2h", self.two_hours),
            ("6h", self.six_hours),
            ("1d", self.one_day),
            ("3d", self.three_days),
        ]
        .into_iter()
    }
}

impl LevelView {
    fn of(state: &WorkflowState, status: &Status) -> Self {
        let probation = state.account().probation();
        LevelView {
            effective: status.level().to_string(),
            earned: status.earned.to_string(),
            cap: status.cap.as_ref().map(ToString::to_string),
            clamp: status.clamp.as_ref().map(|clamp| {
                ClampView::of(
                    clamp,
                    if state.clamp() == Some(clamp) {
                        "workflow"
                    } else {
                        "all"
                    },
                )
            }),
            waiver: state.waiver().map(|waiver| WaiverView {
                until: Moment(waiver.until),
                failures: waiver.failures,
            }),
            probation: probation.map(|probation| ProbationView {
                to: probation.to.as_ref().unwrap_or(&status.earned).to_string(),
                from: Moment(probation.from),
                until: Moment(probation.until),
            }),
            binds: status.binds.as_str().to_owned(),
        }
    }
}

impl ClampView {
    fn of(clamp: &clamp::Clamp, scope: &str) -> Self {
        ClampView {
            to: clamp.to.to_string(),
            scope: scope.to_owned(),
            reason: clamp.reason.to_string(),
            by: clamp.by.to_string(),
            at: Moment(clamp.at),
            until: clamp.until.map(Moment),
        }
    }
}

impl BurnView {
    fn of(burn: &BurnRecord) -> Self {
        BurnView {
            at: Moment(burn.at),
            left: burn.left.map(Moment),
            modes: counts(&burn.modes),
            cause: burn.cause.as_deref().map(ToOwned::to_owned),
            voided: burn.voided,
        }
    }
}

impl Serialize for TargetShare {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / f64::from(MILLION))
    }
}

impl<'de> Deserialize<'de> for TargetShare {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let share = f64::deserialize(deserializer)?;
        let digits = format!("{share:.6}").replace('.', "");
        digits
            .parse()
            .map(TargetShare)
            .map_err(|_| serde::de::Error::custom("a share out of range"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_keeps_all_of_its_places() {
        for (ppm, text) in [(970_000, "0.97"), (999_990, "0.99999"), (995_000, "0.995")] {
            assert_eq!(serde_json::to_string(&TargetShare(ppm)).unwrap(), text);
            assert_eq!(
                serde_json::from_str::<TargetShare>(text).unwrap(),
                TargetShare(ppm)
            );
        }
    }
}
