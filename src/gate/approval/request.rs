//! One held call: what a reviewer is asked, what reviewers decided, and its stage.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bound::BoundTo;
use crate::gate::digest::Digest;
use crate::gate::location::SourceLocation;
use crate::gate::name::{
    AgentName, ApprovalId, CallId, PersonName, RunId, StepName, Subject, ToolName,
};
use crate::gate::risk::Risk;
use crate::gate::time;
use crate::gate::time::Time;

/// What a reviewer is asked: exactly one call, with everything needed to judge it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The approval's id.
    pub approval: ApprovalId,
    /// The run the call belongs to.
    pub run: RunId,
    /// The call that was held first.
    pub call: CallId,
    /// Who asks.
    pub agent: AgentName,
    /// Which tool.
    pub tool: ToolName,
    /// Its risk class.
    pub risk: Risk,
    /// The request's method and target, as they would be forwarded.
    pub target: Arc<str>,
    /// The arguments as canonical JSON.
    pub args: Option<Arc<str>>,
    /// Its body where that is no arguments, described in JSON: by type, size, digest and beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Arc<str>>,
    /// What else it is bound to.
    #[serde(default, skip_serializing_if = "BoundTo::is_empty")]
    pub bound: BoundTo,
    /// The business object it touches.
    pub subject: Option<Subject>,
    /// The digest of exactly this call.
    pub digest: Digest,
    /// The rule that held it.
    pub rule: Arc<str>,
    /// Where that rule was written.
    #[serde(rename = "place")]
    pub location: Option<SourceLocation>,
    /// Why, as a sentence.
    pub reason: Arc<str>,
    /// How many people must approve.
    pub needed: u32,
    /// When it expires undecided.
    pub expires_at: Time,
    /// Whom it is put to where nobody decides for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate: Option<Escalate>,
    /// How long the grant can be used once minted.
    #[serde(with = "time::millis")]
    pub grant: Duration,
    /// The steps whose skipped review would have let it go: what is decided here is evidence for or
    /// against them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepName>,
}

/// Whom a held call is put to where nobody decided on it for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalate {
    /// Who holds this role.
    pub to: Arc<str>,
    /// When.
    pub at: Time,
}

impl Escalate {
    /// Is somebody in `role` one of those whom it is put to? Operators may do all that reviewers
    /// may.
    pub(super) fn is_to(&self, role: &str) -> bool {
        *self.to == *role || role == "operator"
    }
}

/// What one reviewer decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Who.
    pub reviewer: PersonName,
    /// In which role, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Arc<str>>,
    /// What.
    pub decision: DecisionKind,
    /// Why, where they said.
    pub reason: Option<Arc<str>>,
    /// When.
    pub at: Time,
    /// Other arguments than those that were asked for, where it approves those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<Edit>,
    /// An approval that no longer counts: the person who gave it may not decide any more, or
    /// somebody edited the call since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub void: bool,
}

/// The arguments that a reviewer put in the place of those that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The arguments as canonical JSON, as they are forwarded.
    pub args: Arc<str>,
    /// The digest of exactly the call that is forwarded.
    pub digest: Digest,
}

/// The decisions a reviewer can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    /// It may go, once.
    Approve,
    /// It is wrong: stands for this digest for a day.
    DenyWrong,
    /// Not now: says nothing about the call.
    DenyNotNow,
}

/// Who has seen a held call, and which notices about it were given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attended {
    /// Who saw it first, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<(PersonName, Time)>,
    /// An event said that it expires soon.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub noticed: bool,
    /// It was put to other people.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub escalated: bool,
}

/// The stage of an approval. Every stage but the first two is an ending, and an approval ends once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Stage {
    /// Waiting for reviewers.
    Pending,
    /// Approved: a grant for one use exists.
    Approved {
        /// When the grant expires.
        until: Time,
    },
    /// The grant was used.
    Used {
        /// When.
        at: Time,
        /// By which call.
        call: CallId,
    },
    /// A reviewer denied it.
    Denied {
        /// When.
        at: Time,
        /// Whether as wrong.
        wrong: bool,
    },
    /// Nobody decided, or nobody used the grant, in time.
    Expired {
        /// When.
        at: Time,
    },
    /// The agent or an operator took it back.
    Withdrawn {
        /// When.
        at: Time,
    },
}

impl Decision {
    /// Does it say that the run went wrong? An edit does, and a denial as wrong.
    #[must_use]
    pub fn corrects(&self) -> bool {
        self.edit.is_some() || self.decision == DecisionKind::DenyWrong
    }

    /// Is it an approval that still counts?
    #[must_use]
    pub fn counts(&self) -> bool {
        self.decision == DecisionKind::Approve && !self.void
    }
}

impl Stage {
    /// The stage as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Stage::Pending => "pending",
            Stage::Approved { .. } => "approved",
            Stage::Used { .. } => "used",
            Stage::Denied { .. } => "denied",
            Stage::Expired { .. } => "expired",
            Stage::Withdrawn { .. } => "withdrawn",
        }
    }

    /// When it ended, where it has.
    #[must_use]
    pub const fn ended_at(self) -> Option<Time> {
        match self {
            Stage::Pending | Stage::Approved { .. } => None,
            Stage::Used { at, .. }
            | Stage::Denied { at, .. }
            | Stage::Expired { at }
            | Stage::Withdrawn { at } => Some(at),
        }
    }
}

/// A held call with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What was asked.
    pub request: Request,
    /// When.
    pub created_at: Time,
    /// Its stage.
    pub stage: Stage,
    /// What was decided, in order.
    pub decisions: Vec<Decision>,
    /// Who has seen it, and which notices about it were given.
    #[serde(default)]
    pub attended: Attended,
}

impl Approval {
    /// What a reviewer put in the place of the arguments, where one did: the latest.
    #[must_use]
    pub fn edit(&self) -> Option<&Edit> {
        self.decisions
            .iter()
            .rev()
            .find_map(|decision| decision.edit.as_ref())
    }

    /// The digest of the call that is up for a decision: the one that was asked for, or what it was
    /// edited to.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        self.edit()
            .map_or(&self.request.digest, |edit| &edit.digest)
    }

    /// Did as many people approve as it takes, and one of those whom it was put to?
    #[must_use]
    pub fn has_enough(&self) -> bool {
        self.approvals() >= self.request.needed && self.waits_for().is_none()
    }

    /// Distinct people whose approvals count.
    #[must_use]
    pub fn approvals(&self) -> u32 {
        let mut people: Vec<_> = self
            .decisions
            .iter()
            .filter(|d| d.counts())
            .map(|d| &d.reviewer)
            .collect();
        people.sort_unstable();
        people.dedup();
        u32::try_from(people.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_shown_as_it_is_stored() {
        let (at, call) = (Time::default(), CallId::from_bits(1));
        for stage in [
            Stage::Pending,
            Stage::Approved { until: at },
            Stage::Used { at, call },
            Stage::Denied { at, wrong: true },
            Stage::Expired { at },
            Stage::Withdrawn { at },
        ] {
            assert_eq!(
                serde_json::to_value(stage).unwrap()["state"],
                stage.as_str()
            );
        }
    }
}
