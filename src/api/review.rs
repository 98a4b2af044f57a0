//! A review: how workflows did over a span of time, for people to talk over once a week; or, for
//! one workflow and some hours, an incident's timeline.
//!
//! It is computed from the journal, from the counts that the budget keeps, and from how workflows
//! stand now. It decides nothing: people act on what it suggests, and every suggestion comes with
//! its numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::incident::IncidentView;
use super::numbers::SpanNumbers;
use super::workflow::WorkflowView;
use super::{Decimal, Moment};
use crate::gate::approval::Request;
use crate::gate::event::Entry;
use crate::gate::event::sentence::Sentence;

pub mod approvals;
pub mod gather;
pub mod suggest;

pub use approvals::{
    ApprovalsSummary, DecisionFigures, ReviewerSummary, RuleSummary, SpanApprovals,
};

/// Over what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ReviewQuery {
    /// From when: RFC 3339, or how long ago (`7d`, which it is where it is absent); at most 90 days
    /// ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Until when; now where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Of this workflow alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// With everything that happened to this one workflow, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<bool>,
}

/// Somebody looked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewDoneRequest {
    /// At this workflow; at all of them where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// A note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What was recorded of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewDoneResponse {
    /// The workflows.
    pub workflows: Vec<String>,
    /// Who looked.
    pub by: String,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewResponse {
    /// From when.
    pub since: Moment,
    /// Until when.
    pub until: Moment,
    /// What is missing from it.
    pub missing: Vec<String>,
    /// What happened to the gate as a whole: policies in force and refused, starts and stops.
    pub gate: Vec<ReviewLine>,
    /// Incidents of tool APIs.
    pub incidents: Vec<IncidentReview>,
    /// Each workflow.
    pub workflows: Vec<WorkflowReview>,
    /// What happened to one workflow, in order.
    pub timeline: Option<Timeline>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewLine {
    /// When.
    pub at: Moment,
    /// Who did it: a person, an agent or a system; `null` where it followed from the rules.
    pub by: Option<String>,
    /// What, in words.
    pub what: String,
}

impl ReviewLine {
    /// What `entry` says. `held` is the held call that a decision or a withdrawal is about.
    pub(super) fn of(entry: &Entry, held: Option<&Request>) -> Self {
        let Sentence { by, text } = entry.event.sentence(held);
        ReviewLine {
            at: Moment(entry.at),
            by,
            what: text,
        }
    }
}

/// An incident of a tool API, and what was decided about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IncidentReview {
    /// The incident.
    #[serde(flatten)]
    pub incident: IncidentView,
    /// Runs that were excluded for it.
    pub excluded: u64,
}

/// How one workflow did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkflowReview {
    /// How it stands now.
    pub status: WorkflowView,
    /// When somebody last looked, and who.
    pub last_review: Option<ReviewLine>,
    /// Since when a review is overdue.
    pub overdue_since: Option<Moment>,
    /// The four numbers over the span.
    pub numbers: SpanNumbers,
    /// The same over as long a span before it, where counts reach back that far.
    pub before: Option<SpanNumbers>,
    /// What went wrong, the most frequent first.
    pub spent: Vec<FailureModeCount>,
    /// Burns that were on.
    pub burns: Vec<BurnReview>,
    /// Held calls and decisions.
    pub approvals: ApprovalsSummary,
    /// What shadow mode let through that the rules would have held or denied.
    pub shadow: Vec<ShadowFinding>,
    /// Runs that were taken out of the budget.
    pub exclusions: ExclusionSummary,
    /// How its level moved: clamps, waivers, steps, promotions and demotions.
    pub levels: Vec<ReviewLine>,
    /// What changed: prompts, models, tools, policies.
    pub changes: Vec<ReviewLine>,
    /// What to talk about.
    pub suggestions: Vec<Suggestion>,
}

/// A failure mode of the span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureModeCount {
    /// The mode.
    pub mode: String,
    /// Runs that had it.
    pub runs: u64,
    /// Whether it costs budget.
    pub costs: bool,
    /// The tools that it was seen at.
    pub tools: BTreeMap<String, u64>,
}

/// A burn, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BurnReview {
    /// When it began.
    pub at: Moment,
    /// When it was left.
    pub left: Option<Moment>,
    /// burned or breached, whichever was worse.
    pub posture: String,
    /// What the budget stood at.
    pub why: String,
    /// The failure modes of the window then.
    pub modes: BTreeMap<String, u64>,
    /// The cause on record.
    pub cause: Option<String>,
    /// The fix on record.
    pub fix: Option<String>,
    /// The failures behind it were retracted or excluded.
    pub voided: bool,
    /// What was done while it was on, as far as the span reaches.
    pub done: Vec<ReviewLine>,
}

/// Calls that went in shadow although a rule said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowFinding {
    /// The tool.
    pub tool: String,
    /// hold or deny.
    pub verdict: String,
    /// The rule.
    pub rule: String,
    /// How many.
    pub calls: u64,
}

/// Runs that were taken out of the budget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExclusionSummary {
    /// How many, over the span.
    pub runs: u64,
    /// As a share of the counted runs.
    pub share: Option<Decimal>,
    /// More than 2%: it stops promotion.
    pub too_many: bool,
    /// Why and by whom.
    pub reasons: Vec<ExclusionReason>,
}

/// Why runs were excluded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExclusionReason {
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: String,
    /// How many runs.
    pub runs: u64,
}

/// Something to talk about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Suggestion {
    /// What kind: `promote`, `demote`, `tighten_target`, `loosen_target`, `add_schema`,
    /// `add_checks`, `look_closer`.
    pub kind: String,
    /// What, in words.
    pub what: String,
    /// What it follows from.
    pub why: String,
    /// The command or the line of policy that does it.
    pub how: String,
}

/// Everything that happened to one workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Timeline {
    /// What happened, oldest first.
    pub lines: Vec<ReviewLine>,
    /// Lines that are left out, the oldest ones.
    pub left_out: u64,
    /// What was executed, by tool, of runs that have ended.
    pub executed: Vec<ExecutedCalls>,
}

/// Calls of a tool that were executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecutedCalls {
    /// The tool.
    pub tool: String,
    /// Its risk class.
    pub risk: String,
    /// Calls.
    pub calls: u64,
    /// Different business objects that they touched.
    pub subjects: u64,
}
