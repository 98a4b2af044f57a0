//! What people ask of the gate: clamp, release, recover, decide on held calls, report how runs
//! turned out.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::report::{RunSelection, text};
use super::{Moment, TimeSpan};

/// The longest reason, cause or note, in characters.
pub const MAX_TEXT: usize = 2_000;
/// The longest name, id or reference, in characters.
pub const MAX_NAME: usize = 256;

/// Sets a ceiling on a level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClampRequest {
    /// The highest level left.
    pub to: String,
    /// Why.
    pub reason: String,
    /// For how long; until it is released where it is absent.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<TimeSpan>,
    /// Withdraws unused grants and pending approvals as well: nothing of them is left when the
    /// clamp is lifted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdraw: bool,
}

/// What a clamp found when it came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClampResponse {
    /// The workflow; `null` for every one.
    pub workflow: Option<String>,
    /// The highest level left.
    pub to: String,
    /// When it runs out, where it does.
    pub until: Option<Moment>,
    /// Calls in flight that it came too late for.
    pub in_flight: u64,
    /// Unused grants: they pass only what the clamp allows.
    pub unused_grants: u64,
    /// Pending approvals.
    pub pending_approvals: u64,
    /// How many of the last two were withdrawn.
    #[serde(default)]
    pub withdrawn: u64,
}

/// Lifts a clamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Why.
    pub reason: String,
}

/// Puts the cause of a burn on record and opens a probation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoverRequest {
    /// The cause.
    pub cause: String,
    /// A reference to the fix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// The level that the probation opens; the earned one where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// How long the probation lasts: 7 days where it is absent.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<TimeSpan>,
}

/// Suspends the cap that the budget's posture puts on the level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiveRequest {
    /// For how long: at most a day.
    #[serde(rename = "for")]
    pub lasts: TimeSpan,
    /// Why.
    pub reason: String,
}

/// Takes a step that was earned, or gives a level. Neither `to` nor `step`: the one thing that is
/// proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// The level to give, above the earned one; or the lower one that is proposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The step to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Why.
    pub reason: String,
}

/// A change that is about to ship.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRequest {
    /// What changes.
    pub kind: ChangeKind,
    /// A reference to it, such as a commit.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Ships in spite of a freeze.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emergency: bool,
    /// Why it is an emergency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The agent's prompt.
    Prompt,
    /// The model behind it.
    Model,
    /// The tools themselves.
    Tools,
    /// The policy.
    Policy,
}

impl ChangeKind {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ChangeKind::Prompt => "prompt",
            ChangeKind::Model => "model",
            ChangeKind::Tools => "tools",
            ChangeKind::Policy => "policy",
        }
    }
}

/// A change that may ship, and is on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeResponse {
    /// The workflow.
    pub workflow: String,
    /// What changes.
    pub kind: ChangeKind,
    /// The reference to it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whether changes are `open` or `frozen`: then it ships as an emergency.
    pub changes: String,
}

/// Lets a held call go, once.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Arguments that replace those of the agent: they are judged and forwarded instead. That
    /// counts as a `major_correction` of the run.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = serde_json::Value)]
    pub edit: Option<Box<RawValue>>,
    /// The digest of what was looked at. Must be given once somebody edited the call, and may be
    /// given always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Reads a given member even if it is `null`, so that `null` is not mistaken for a call that nobody
/// edited.
fn given<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// Says no to a held call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DenyRequest {
    /// Why.
    pub reason: String,
    /// Whether the call is wrong or only comes at the wrong time: `not_now` where it is absent.
    #[serde(default)]
    pub verdict: DenialVerdict,
}

/// Decides on many held calls at once. Each is named with the digest of what was looked at; calls
/// of risk `high` are decided one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideRequest {
    /// What.
    pub decision: BatchDecision,
    /// Why. A denial must say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// On what.
    pub approvals: Vec<DecideItem>,
}

/// A held call, as the reviewer saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideItem {
    /// The approval's id.
    pub id: String,
    /// The digest of what was looked at.
    pub digest: String,
}

/// A decision on many calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchDecision {
    /// They may go, each once.
    Approve,
    /// They are wrong.
    DenyWrong,
    /// Not now.
    DenyNotNow,
}

/// What became of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecideResponse {
    /// In the order in which they were named.
    pub decided: Vec<DecideResult>,
}

/// What became of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecideResult {
    /// The approval's id.
    pub id: String,
    /// Its state by now, where the decision was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Takes a held call back, or its unused grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawRequest {
    /// Why.
    pub reason: String,
}

/// What a denial says of the call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DenialVerdict {
    /// It is wrong: that stands for exactly this call for a day.
    Wrong,
    /// Not now: says nothing about the call.
    #[default]
    NotNow,
}

/// Reports how a run turned out: exactly one of `run`, `call` and `subject`, or a `filter` for
/// many; with `retract`, a `ref` alone takes back all that was reported under it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportRequest {
    /// The run.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub run: Option<String>,
    /// One of its calls.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub call: Option<String>,
    /// The business object that it touched.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub subject: Option<String>,
    /// The tool through which it touched the subject.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub tool: Option<String>,
    /// The workflow, where several have such a run.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub workflow: Option<String>,
    /// The agent, where several have such a run.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub agent: Option<String>,
    /// Every run that matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<RunSelection>,
    /// What went wrong. May be absent where a report is taken back by its reference.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub mode: Option<String>,
    /// Whether the `call`, whose answer was lost, was executed: settles it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executed: Option<bool>,
    /// With `executed`: no harm was done, so that what the gate charged for the lost answer is
    /// taken back. Without this, it is where the call was not executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harmless: Option<bool>,
    /// A note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The reporter's reference: the same one twice is one report.
    #[serde(
        rename = "ref",
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub reference: Option<String>,
    /// Takes the report back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retract: bool,
    /// Does what `filter` asks for: without this, and without `dry_run`, the runs are counted and
    /// the request is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm: bool,
    /// Only counts the runs of `filter`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Reports how the run in the path turned out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportRunRequest {
    /// The workflow, where several have such a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The agent, where several have such a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What went wrong. May be absent where a report is taken back by its reference.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub mode: Option<String>,
    /// A note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The reporter's reference: the same one twice is one report.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Takes the report back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retract: bool,
}

/// Takes the run in the path out of the budget, or puts it back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExcludeRunRequest {
    /// The workflow, where several have such a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The agent, where several have such a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Why.
    pub reason: String,
    /// What it can be put back by, with others of the same reference.
    #[serde(
        rename = "ref",
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub reference: Option<String>,
    /// Puts it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retract: bool,
}

impl From<ReportRunRequest> for ReportRequest {
    fn from(report: ReportRunRequest) -> Self {
        let ReportRunRequest {
            workflow,
            agent,
            mode,
            note,
            reference,
            retract,
        } = report;
        ReportRequest {
            workflow,
            agent,
            mode,
            note,
            reference,
            retract,
            ..ReportRequest::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_a_member_nobody_knows_is_refused() {
        assert!(
            serde_json::from_str::<ClampRequest>(
                r#"{"to": "halted", "reason": "r", "untill": "1h"}"#
            )
            .is_err()
        );
        assert!(
            serde_json::from_str::<ClampRequest>(r#"{"to": "halted", "reason": "r", "for": "1h"}"#)
                .is_ok()
        );
        assert_eq!(
            serde_json::from_str::<DenyRequest>(r#"{"reason": "r"}"#)
                .unwrap()
                .verdict,
            DenialVerdict::NotNow
        );
    }
}
