//! What follows from events: recorded for readers, derived by the fold and never read by it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::gate::budget::posture::Posture;
use crate::gate::name::{ApprovalId, LevelName, StepName};
use crate::gate::time::Time;

/// A consequence that the fold derives: never a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// The posture changed.
    PostureChanged {
        /// From.
        from: Posture,
        /// To.
        to: Posture,
        /// Why, in numbers.
        why: Arc<str>,
    },
    /// The effective level changed.
    LevelChanged {
        /// From.
        from: LevelName,
        /// To.
        to: LevelName,
        /// What binds it now.
        binds: Arc<str>,
    },
    /// A burn began.
    BurnOpened,
    /// The failures behind a burn were retracted or excluded.
    BurnVoided,
    /// A probation ended.
    ProbationEnded {
        /// Whether it lasted.
        lasted: bool,
    },
    /// A clamp ran out.
    ClampExpired,
    /// A waiver ran out or was used up.
    WaiverEnded,
    /// A held call expires soon, and nobody decided.
    ApprovalDue {
        /// Which.
        approval: ApprovalId,
    },
    /// Nobody decided on a held call for a while: it is put to these people.
    ApprovalEscalated {
        /// Which.
        approval: ApprovalId,
        /// The role.
        to: Arc<str>,
    },
    /// A held call expired, and nobody who could decide ever saw it: the gate failed its people.
    ApprovalUnseen {
        /// Which.
        approval: ApprovalId,
    },
    /// An approval ended undecided, or its grant unused.
    ApprovalExpired {
        /// Which.
        approval: ApprovalId,
    },
    /// Burns within the policy's time lost a level.
    Demoted {
        /// The level now earned.
        to: LevelName,
    },
    /// A step was earned and is taken.
    StepEarned {
        /// Which.
        step: StepName,
    },
    /// A step was earned and waits for the operator.
    StepProposed {
        /// Which.
        step: StepName,
    },
    /// A step that was taken is lost.
    StepLost {
        /// Which.
        step: StepName,
    },
    /// Burns within the policy's time propose a demotion.
    DemotionProposed {
        /// The level proposed.
        to: LevelName,
    },
    /// Nobody has looked at how the workflow does for a week in which it booked runs.
    ReviewOverdue {
        /// Since when.
        since: Time,
    },
}
