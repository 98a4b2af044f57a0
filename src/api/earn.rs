//! What a workflow has earned, what it may earn next, and what would cost it its level: with the
//! numbers that a reader can follow.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Moment, TimeSpan};
use crate::gate::earn;
use crate::gate::earn::{Gain, StepProgress, StepTrigger};
use crate::gate::level::Volume;
use crate::gate::workflow::WorkflowState;

/// What a workflow may earn next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextStep {
    /// The step.
    pub next: String,
    /// Whole UTC days within budget since the level last changed.
    pub days: u32,
    /// Days that it takes.
    pub of: u32,
    /// What the counts say.
    pub evidence: EarnEvidence,
}

/// What the counts say about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EarnEvidence {
    /// How many runs it takes with so many unacceptable ones.
    pub needed: u64,
    /// Whether there are enough.
    pub met: bool,
    /// Runs that count for it: those since the level last changed; for a skipped review, checked
    /// runs whose held call was approved.
    #[serde(default)]
    pub runs: u64,
    /// Unacceptable ones among them.
    #[serde(default)]
    pub unacceptable: u64,
}

/// A step of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// Its name.
    pub step: String,
    /// What it gives.
    pub gives: String,
    /// automatic or propose.
    pub how: String,
    /// open, proposed or taken.
    pub state: String,
    /// Since when it is proposed or taken.
    pub since: Option<Moment>,
    /// Who took it, where a person did.
    pub by: Option<String>,
    /// Days within budget that it takes.
    pub of: u32,
    /// What the counts say, while it is not taken.
    pub evidence: Option<EarnEvidence>,
}

/// Something that waits for the operator's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProposalView {
    /// promotion or demotion.
    pub proposal: String,
    /// The step, where it is one.
    pub step: Option<String>,
    /// The level, where it is one.
    pub to: Option<String>,
    /// What it gives or takes.
    pub gives: String,
    /// Since when.
    pub since: Moment,
}

/// What would cost the workflow its level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LevelLoss {
    /// Burns that count towards it.
    pub burns: u64,
    /// How many it takes.
    pub of: u32,
    /// Within which time.
    pub within: TimeSpan,
    /// The level that is left then; `null` at the lowest.
    pub to: Option<String>,
    /// When the oldest of these burns counts no more.
    pub until: Option<Moment>,
}

impl NextStep {
    /// The first step of `state` that is not taken.
    #[must_use]
    pub fn of(state: &WorkflowState) -> Option<Self> {
        state.progress().first().map(|progress| NextStep {
            next: progress.step.name.to_string(),
            days: progress.days,
            of: progress.step.after_days,
            evidence: EarnEvidence::of(progress),
        })
    }
}

impl EarnEvidence {
    fn of(progress: &StepProgress) -> Self {
        let proof = progress.proof;
        EarnEvidence {
            needed: proof.needed,
            met: proof.is_enough(),
            runs: proof.runs,
            unacceptable: proof.unacceptable,
        }
    }
}

impl StepView {
    /// Every step of `state`, the taken ones first.
    #[must_use]
    pub fn of(state: &WorkflowState) -> Vec<Self> {
        let open = state.progress();
        let (terms, taken) = (&state.terms().earn, state.steps().taken());
        let taken = terms.steps.iter().filter_map(|step| {
            let taken_at = taken.get(&step.name);
            let is_open = open.iter().any(|progress| progress.step.name == step.name);
            (!is_open).then(|| StepView {
                state: "taken".to_owned(),
                since: taken_at.map(|taken| Moment(taken.at)),
                by: taken_at
                    .and_then(|taken| taken.by.as_ref())
                    .map(ToString::to_string),
                ..StepView::open(step)
            })
        });
        let waiting = open.iter().map(|progress| StepView {
            state: if progress.proposed.is_some() {
                "proposed"
            } else {
                "open"
            }
            .to_owned(),
            since: progress.proposed.map(Moment),
            evidence: Some(EarnEvidence::of(progress)),
            ..StepView::open(&progress.step)
        });
        taken.chain(waiting).collect()
    }

    fn open(step: &earn::Step) -> Self {
        StepView {
            step: step.name.to_string(),
            gives: gives(&step.gain),
            how: match step.how {
                StepTrigger::Automatic => "automatic",
                StepTrigger::Propose => "propose",
            }
            .to_owned(),
            state: "open".to_owned(),
            since: None,
            by: None,
            of: step.after_days,
            evidence: None,
        }
    }
}

impl ProposalView {
    /// Everything that is proposed for `state`.
    #[must_use]
    pub fn of(state: &WorkflowState) -> Vec<Self> {
        let steps = state.progress().into_iter().filter_map(|progress| {
            let to = if let Gain::Level { to } = &progress.step.gain {
                Some(to.to_string())
            } else {
                None
            };
            progress.proposed.map(|since| ProposalView {
                proposal: "promotion".to_owned(),
                step: Some(progress.step.name.to_string()),
                to,
                gives: gives(&progress.step.gain),
                since: Moment(since),
            })
        });
        let demotion = state.demotion().map(|(to, since)| ProposalView {
            proposal: "demotion".to_owned(),
            step: None,
            to: Some(to.to_string()),
            gives: format!("level {to}"),
            since: Moment(*since),
        });
        steps.chain(demotion).collect()
    }
}

impl LevelLoss {
    /// What would cost `state` its level.
    #[must_use]
    pub fn of(state: &WorkflowState) -> Self {
        let (terms, earned) = (state.terms(), state.effective().earned);
        let lower = earned.index().saturating_sub(terms.lose.drop as usize);
        LevelLoss {
            burns: state.costly_burns().count() as u64,
            of: terms.lose.burns,
            within: TimeSpan(terms.lose.within),
            to: (lower < earned.index()).then(|| terms.ladder.rungs()[lower].level.to_string()),
            until: state
                .costly_burns()
                .next()
                .map(|burn| Moment(burn.at.plus(terms.lose.within))),
        }
    }
}

/// What a step gives, as a fragment.
fn gives(gain: &Gain) -> String {
    match gain {
        Gain::Volume { times } => format!("volume x{times}"),
        Gain::VolumeTo { cap } => format!("volume {}", rate(*cap)),
        Gain::Level { to } => format!("level {to}"),
        Gain::Skip {
            tool,
            rule,
            cases: None,
        } => format!("no review by {rule} for {tool}"),
        Gain::Skip {
            tool,
            rule,
            cases: Some(cases),
        } => format!("no review by {rule} for {tool} where {cases}"),
    }
}

fn rate(cap: Volume) -> String {
    format!(
        "{} in {}",
        cap.calls,
        TimeSpan(std::time::Duration::from_secs(cap.per_seconds.into()))
    )
}
