//! What reviewers decided on held calls. Arguments are passed on exactly as the digest covers them:
//! no number is read and written again on the way.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::span::Moment;
use crate::gate::approval::{Decision, DecisionKind, Edit};

/// The arguments that a reviewer put in the place of those that were asked for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EditView {
    /// The arguments as canonical JSON, exactly as they are forwarded.
    #[schema(value_type = serde_json::Value)]
    pub args: Box<RawValue>,
    /// The digest of the call that is forwarded.
    pub digest: String,
}

/// What one reviewer decided.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DecisionView {
    /// Who.
    pub reviewer: String,
    /// In which role, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// `approve`, `deny_wrong` or `deny_not_now`.
    pub decision: String,
    /// Why, where they said.
    pub reason: Option<String>,
    /// When.
    pub at: Moment,
    /// Other arguments, where they approved those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<EditView>,
    /// Set if the approval no longer counts: the reviewer may not decide any more, or the call was
    /// edited since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub void: bool,
}

impl EditView {
    /// `edit` as people and agents see it.
    #[must_use]
    pub fn of(edit: &Edit) -> Self {
        let args = RawValue::from_string(edit.args.to_string())
            .unwrap_or_else(|_| RawValue::NULL.to_owned());
        EditView {
            args,
            digest: edit.digest.to_string(),
        }
    }
}

impl DecisionView {
    /// `decision` as people see it.
    #[must_use]
    pub fn of(decision: &Decision) -> Self {
        DecisionView {
            reviewer: decision.reviewer.to_string(),
            role: decision.role.as_ref().map(ToString::to_string),
            decision: match decision.decision {
                DecisionKind::Approve => "approve",
                DecisionKind::DenyWrong => "deny_wrong",
                DecisionKind::DenyNotNow => "deny_not_now",
            }
            .to_owned(),
            reason: decision.reason.as_ref().map(ToString::to_string),
            at: Moment(decision.at),
            edit: decision.edit.as_ref().map(EditView::of),
            void: decision.void,
        }
    }
}
