//! A risky call that may go, as the journal has it before its first byte goes upstream.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::gate::dedup::Operation;
use crate::gate::digest::Digest;
use crate::gate::location::SourceLocation;
use crate::gate::name::{ApprovalId, CallId, GrantId, Subject, ToolName};
use crate::gate::risk::Risk;
use crate::gate::run::RunRef;

/// A rule that holds calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBy {
    /// Its name.
    pub rule: Arc<str>,
    /// Where it is written.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "place")]
    pub location: Option<SourceLocation>,
}

/// A risky call that may go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The call.
    pub call: CallId,
    /// Its run.
    pub run: RunRef,
    /// Its tool.
    pub tool: ToolName,
    /// The tool's risk class.
    pub risk: Risk,
    /// Whether sending it twice is the same as sending it once.
    pub idempotent: bool,
    /// The business object it touches.
    pub subject: Option<Subject>,
    /// The approval whose grant it uses.
    pub approval: Option<ApprovalId>,
    /// The digest of the call that was approved, where an approval is used.
    pub digest: Option<Digest>,
    /// The digest of the call that was sent in its place, where a reviewer edited it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Digest>,
    /// The time-boxed grant that it goes under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<GrantId>,
    /// The rule that would have held it, where it goes under such a grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<HeldBy>,
    /// What later calls are compared with, where its tool has rules against doing a thing twice.
    #[serde(rename = "deed", default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Box<Operation>>,
}

impl Admission {
    /// Does it use a grant: did a person approve it, or calls like it for a while?
    #[must_use]
    pub const fn uses_grant(&self) -> bool {
        self.approval.is_some() || self.under.is_some()
    }
}
