//! Held calls as reviewers see them. Arguments are passed on exactly as the digest covers them: no
//! number is read and written again on the way.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::Moment;
use super::context::ApprovalContext;
use super::decision::{DecisionView, EditView};
use crate::gate::approval;
use crate::gate::name::WorkflowName;

/// Which approvals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ApprovalQuery {
    /// In this state: pending, approved, used, denied, expired or withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Of this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// `true`: only those that were put to other people, because nobody decided for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated: Option<bool>,
}

/// Approvals. Pending ones that were put to other people first, then by risk, the riskiest first,
/// and of those the first to expire; any others oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApprovalList {
    /// The approvals.
    pub approvals: Vec<ApprovalView>,
}

/// One held call and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApprovalView {
    /// Its id.
    pub id: String,
    /// pending, approved, used, denied, expired or withdrawn.
    pub state: String,
    /// The workflow.
    pub workflow: String,
    /// The run.
    pub run: String,
    /// The call that was held first.
    pub call: String,
    /// Who asks.
    pub agent: String,
    /// The tool API.
    pub api: String,
    /// The tool, as `api/tool`.
    pub tool: String,
    /// The tool's risk class.
    pub risk: String,
    /// The method and target as they would be forwarded.
    pub target: String,
    /// The arguments as canonical JSON, exactly as they would be forwarded; absent where the call has
    /// none, which is not `null`.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = serde_json::Value)]
    pub args: Option<Box<RawValue>>,
    /// The body where it is no arguments, described: by type, size, SHA-256 and an escaped beginning;
    /// a list of its parts where it is multipart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    pub body: Option<Box<RawValue>>,
    /// The media type of its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The content coding of its body, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coding: Option<String>,
    /// The values of the headers that the approval is bound to, by name; empty where the call does
    /// not have one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Vec<String>>,
    /// The business object that it touches.
    pub subject: Option<String>,
    /// The digest of exactly this call.
    pub digest: String,
    /// What a reviewer put in the place of the arguments: that is what is up for a decision, and
    /// what is forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<EditView>,
    /// The rule that held it.
    pub rule: String,
    /// Where that rule was written, as `file:line`.
    #[serde(rename = "place")]
    pub location: Option<String>,
    /// Why, as a sentence.
    pub reason: String,
    /// When it was held.
    pub created_at: Moment,
    /// When it expires undecided, or, once approved, when its grant does.
    pub expires_at: Moment,
    /// Who saw it first, of those who can decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_by: Option<String>,
    /// The role that it was put to, because nobody decided for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated_to: Option<String>,
    /// The role of which somebody has to be among those who approve, where it was put to them and
    /// none of them has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// How many people must approve.
    pub needed: u32,
    /// What was decided, in order.
    pub decisions: Vec<DecisionView>,
    /// What surrounds it, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Box<ApprovalContext>>,
}

/// A member that is there, `null` too.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

fn headers(bound: &approval::BoundTo) -> BTreeMap<String, Vec<String>> {
    let entry = |header: &approval::BoundHeader| {
        let values = header.values.iter().map(ToString::to_string);
        (header.name.to_string(), values.collect())
    };
    bound.headers.iter().map(entry).collect()
}

impl ApprovalView {
    /// `approval` of `workflow` as reviewers see it.
    #[must_use]
    pub fn of(workflow: &WorkflowName, approval: &approval::Approval) -> Self {
        let request = &approval.request;
        let expires_at = match approval.stage {
            approval::Stage::Approved { until } => until,
            _ => request.expires_at,
        };
        ApprovalView {
            id: request.approval.to_string(),
            state: approval.stage.as_str().to_owned(),
            workflow: workflow.to_string(),
            run: request.run.to_string(),
            call: request.call.to_string(),
            agent: request.agent.to_string(),
            api: request.tool.api().to_owned(),
            tool: request.tool.to_string(),
            risk: request.risk.as_str().to_owned(),
            target: request.target.to_string(),
            args: request
                .args
                .as_ref()
                .and_then(|args| RawValue::from_string(args.to_string()).ok()),
            body: request
                .body
                .as_ref()
                .and_then(|body| RawValue::from_string(body.to_string()).ok()),
            media_type: request.bound.media_type.as_ref().map(ToString::to_string),
            coding: request.bound.coding.as_ref().map(ToString::to_string),
            headers: headers(&request.bound),
            subject: request.subject.as_ref().map(ToString::to_string),
            digest: request.digest.to_string(),
            edit: approval.edit().map(EditView::of),
            rule: request.rule.to_string(),
            location: request.location.as_ref().map(ToString::to_string),
            reason: request.reason.to_string(),
            created_at: Moment(approval.created_at),
            expires_at: Moment(expires_at),
            seen_by: approval
                .attended
                .seen
                .as_ref()
                .map(|(by, _)| by.to_string()),
            escalated_to: request
                .escalate
                .as_ref()
                .filter(|_| approval.attended.escalated)
                .map(|escalate| escalate.to.to_string()),
            waits_for: approval
                .waits_for()
                .filter(|_| approval.stage == approval::Stage::Pending)
                .map(ToString::to_string),
            needed: request.needed,
            decisions: approval.decisions.iter().map(DecisionView::of).collect(),
            context: None,
        }
    }
}
