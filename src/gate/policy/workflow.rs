//! A workflow's policy: which tools it reaches, how its runs begin and end, and how its held calls
//! wait.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::condition::Condition;
use super::finding::RuleName;
use super::rule::Mode;
use crate::gate::level::Validation;
use crate::gate::location::SourceLocation;
use crate::gate::name::{StepName, ToolName, WorkflowName};
use crate::gate::outcome::FailureMode;
use crate::gate::risk::Tier;
use crate::gate::terms::Terms;
use crate::gate::time;
use crate::gate::verdict::Verdict;

/// A workflow: who may do what, within which budget.
#[derive(Debug, Serialize)]
pub struct Workflow {
    /// Its name.
    pub name: WorkflowName,
    /// What its budget and levels are judged under.
    pub terms: Arc<Terms>,
    /// The tools it reaches.
    pub tools: BTreeSet<ToolName>,
    /// What an unlisted call gets: `hold` (as risk high) or `deny`.
    pub unlisted: Verdict,
    /// How its runs begin and end.
    pub run: RunRules,
    /// How its held calls wait.
    pub hold: HoldRules,
    /// Reviews that it may earn to skip.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<Skip>,
    /// How hard arguments are checked where the level does not say.
    pub validation: Validation,
    /// Whether places for risky runs are limited to what the budget has left.
    pub exposure: bool,
    /// How often a gate may send an idempotent call again.
    pub retries: u32,
    /// Whether the arguments of its calls are kept in the run index, so that a simulation can judge
    /// them again.
    pub record_arguments: bool,
    /// Whether the agent is told what remains of the budget.
    pub disclose_remaining: bool,
    /// Whether its rules act.
    pub mode: Mode,
    /// Where it was written.
    #[serde(rename = "place")]
    pub location: SourceLocation,
}

/// A review that a step of the workflow skips.
#[derive(Debug, Serialize)]
pub struct Skip {
    /// The step.
    pub step: StepName,
    /// Of which tool.
    pub tool: ToolName,
    /// Which rule's.
    pub rule: RuleName,
    /// For which cases; `None` for every one.
    pub cases: Option<Condition>,
}

/// How a workflow's runs begin and end.
#[derive(Debug, Serialize)]
pub struct RunRules {
    /// Where a run's id comes from when no header names it.
    pub key: Option<Condition>,
    /// A run ends when nothing happened for this long.
    #[serde(with = "time::millis")]
    pub lease: Duration,
    /// No run is longer; later calls open a continuation.
    #[serde(with = "time::millis")]
    pub max: Duration,
    /// No run has more calls; later ones open a continuation.
    pub calls: u32,
    /// The same call is refused when it comes for the so-manieth time in one run.
    pub repeats: u32,
    /// A run that ends by its lease, without `finish`, is a timeout.
    pub finish_required: bool,
}

/// How a workflow's held calls wait.
#[derive(Debug, Serialize)]
pub struct HoldRules {
    /// How long a held call waits open when the agent does not say.
    #[serde(with = "time::millis")]
    pub wait: Duration,
    /// The same for calls of MCP tools, whose clients rarely repeat a refused call.
    #[serde(with = "time::millis")]
    pub wait_mcp: Duration,
    /// When a pending approval expires.
    #[serde(with = "time::millis")]
    pub expires: Duration,
    /// How long a grant can be used.
    #[serde(with = "time::millis")]
    pub grant: Duration,
    /// How many people must approve a high-risk call.
    pub approvals_high: u32,
    /// How many people must approve any other call.
    pub approvals: u32,
    /// How many held calls may wait at once.
    pub inbox: Inbox,
    /// Which role a held call is put to where nobody decided for so long.
    pub escalate: Option<EscalateRule>,
}

/// Which role a held call is put to, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EscalateRule {
    /// The role.
    pub to: Arc<str>,
    /// After how long.
    #[serde(with = "time::millis")]
    pub after: Duration,
}

/// How many held calls may wait at once. People read only so many, and an agent that asks for more
/// is not asking them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Inbox {
    /// Of one run.
    pub run: u32,
    /// Of one agent.
    pub agent: u32,
    /// Of the workflow.
    pub workflow: u32,
}

impl Default for Inbox {
    fn default() -> Self {
        Inbox {
            run: 20,
            agent: 100,
            workflow: 500,
        }
    }
}

/// The default modes that count as unacceptable, by tier.
#[must_use]
pub fn default_unacceptable(tier: Tier) -> BTreeSet<FailureMode> {
    use FailureMode::{
        BrokenHandoff, DuplicateWork, MajorCorrection, MissedEscalation, PolicyViolation, Timeout,
        WrongAction, WrongArguments,
    };
    let mut modes = BTreeSet::from([WrongAction, PolicyViolation, Timeout]);
    if tier >= Tier::Medium {
        modes.extend([MissedEscalation, DuplicateWork, MajorCorrection]);
    }
    if tier >= Tier::High {
        modes.extend([WrongArguments, BrokenHandoff]);
    }
    modes
}
