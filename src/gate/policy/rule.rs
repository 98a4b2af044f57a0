//! A condition of a policy with the place where it was written, and whether it acts.

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use crate::gate::location::SourceLocation;
use crate::gate::time::Time;

/// Is a verdict acted on, or only recorded?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Verdicts act.
    Enforce,
    /// Verdicts are computed, recorded and counted until then, and the call passes.
    Shadow {
        /// When it ends.
        until: Time,
    },
}

impl Mode {
    /// Is a rule, tool or workflow of this mode in shadow at `now`? Shadow ends by itself, without
    /// a reload.
    #[must_use]
    pub fn is_shadow(self, now: Time) -> bool {
        matches!(self, Mode::Shadow { until } if now < until)
    }

    pub(super) const fn enforces(&self) -> bool {
        matches!(self, Mode::Enforce)
    }
}

/// A condition of the policy and where it was written.
#[derive(Debug, Serialize)]
pub struct Rule {
    /// When it applies.
    pub condition: Condition,
    /// Whether it acts by itself, whatever the mode of its tool and workflow.
    #[serde(skip_serializing_if = "Mode::enforces")]
    pub mode: Mode,
    /// Where it was written.
    #[serde(rename = "place")]
    pub location: SourceLocation,
}
