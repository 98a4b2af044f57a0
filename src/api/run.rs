//! Runs as people look them up: their outcome, their calls, and what was reported of them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Moment;
use super::problem::ExecutedView;
use crate::gate::run::Charge;

/// Which runs. Moments are RFC 3339, or how long ago: `1d`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RunQuery {
    /// Of this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// With this id, continuations included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// With this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Booked at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Booked before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// With a call of this tool, as `api/tool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// With a call that touched this business object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// acceptable, unacceptable or excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// With this failure mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// `true`: with a call that was sent and whose answer was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambiguous: Option<String>,
    /// Further down the list: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// At most so many: 1 to 1,000, 100 where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

/// Tells runs with the same id apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RunScope {
    /// The run's workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The run's agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// Runs, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunPage {
    /// The runs.
    #[serde(default)]
    pub runs: Vec<RunSummary>,
    /// `before` of the next page; `null` where this is the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// A booked run as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunSummary {
    /// Its id.
    pub run: String,
    /// Its workflow.
    pub workflow: String,
    /// Its agent.
    pub agent: String,
    /// When it began.
    pub started: Moment,
    /// When it ended.
    pub ended: Moment,
    /// When it was booked.
    pub booked_at: Moment,
    /// acceptable, unacceptable or excluded.
    pub outcome: String,
    /// Whether it counts: an idle run or an excluded one does not.
    pub counted: bool,
    /// Whether it executed a `high` call.
    pub high: bool,
    /// What went wrong with it, counted or not.
    pub modes: Vec<String>,
    /// How many calls it made.
    pub calls: u64,
    /// Whether one of them was sent and its answer lost.
    pub ambiguous: bool,
    /// The business objects that it touched.
    pub subjects: Vec<String>,
}

/// A booked run with its calls and what was said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunDetail {
    /// Its id.
    pub run: String,
    /// Its workflow.
    pub workflow: String,
    /// Its agent.
    pub agent: String,
    /// When it began.
    pub started: Moment,
    /// When it ended.
    pub ended: Moment,
    /// When it was booked.
    pub booked_at: Moment,
    /// acceptable, unacceptable or excluded.
    pub outcome: String,
    /// Whether it counts: an idle run or an excluded one does not.
    pub counted: bool,
    /// Whether it executed a `high` call.
    pub high: bool,
    /// What went wrong with it, counted or not.
    pub modes: Vec<String>,
    /// Its calls, in order.
    pub calls: Vec<CallView>,
    /// What was seen or reported of it, in order.
    pub reports: Vec<ChargeView>,
    /// Reports that were taken back.
    pub retracted: Vec<ChargeView>,
    /// Why and by whom it was taken out of the budget.
    pub excluded: Option<ExclusionView>,
}

/// One call of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallView {
    /// Its id.
    pub call: String,
    /// When it was judged.
    pub at: Moment,
    /// Its tool, as `api/tool`.
    pub tool: String,
    /// The tool's risk class.
    pub risk: String,
    /// allow, hold or deny.
    pub verdict: String,
    /// The rule that decided, where it was not allowed.
    pub rule: Option<String>,
    /// Whether it was executed.
    pub executed: ExecutedView,
    /// The status that the agent got.
    pub status: u16,
    /// The business object that it touched.
    pub subject: Option<String>,
    /// What its arguments looked like, every value redacted, where it is one of the calls behind
    /// the failures of a workflow that is not healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<serde_json::Value>,
}

/// Something that was seen or reported of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChargeView {
    /// What went wrong.
    pub mode: String,
    /// wire, agent, person or system.
    pub source: String,
    /// Who, where a person or a named system did.
    pub by: Option<String>,
    /// The call it was seen on.
    pub call: Option<String>,
    /// The tool of that call.
    pub tool: Option<String>,
    /// A note.
    pub note: Option<String>,
    /// The reporter's reference.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// The incident of its tool API that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
}

/// Why and by whom a run was taken out of the budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExclusionView {
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
}

impl ChargeView {
    /// `charge` as people see it.
    #[must_use]
    pub fn of(charge: &Charge) -> Self {
        ChargeView {
            mode: charge.mode.to_string(),
            source: charge.source.as_str().to_owned(),
            by: charge.by.as_ref().map(ToString::to_string),
            call: charge.call.map(|call| call.to_string()),
            tool: charge.tool.as_ref().map(ToString::to_string),
            note: charge.note.as_deref().map(ToOwned::to_owned),
            reference: charge.reference.as_deref().map(ToOwned::to_owned),
            incident: None,
        }
    }
}
