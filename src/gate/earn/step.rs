//! The steps of a policy: what a workflow can earn, after how long, and whether that comes by
//! itself.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gate::level::Volume;
use crate::gate::name::{LevelName, StepName, ToolName};
use crate::gate::time;
use crate::gate::time::hours;

/// What a workflow can earn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earn {
    /// The steps, in the order in which the policy names them.
    pub steps: Vec<Step>,
    /// How long a report may take: an approved call counts as right no sooner.
    #[serde(with = "time::millis")]
    pub settle: Duration,
    /// The share of the calls of a skipped review that is held all the same, in parts per million.
    pub spot_check_ppm: u32,
}

impl Default for Earn {
    fn default() -> Self {
        Earn {
            steps: Vec::new(),
            settle: hours(72),
            spot_check_ppm: 100_000,
        }
    }
}

impl Earn {
    /// Is there nothing to earn?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// Something that can be earned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub name: StepName,
    /// How many days within budget it takes.
    pub after_days: u32,
    /// What it gives.
    pub gain: Gain,
    /// By itself, or as a proposal.
    pub how: StepTrigger,
}

/// What a step gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "gain", rename_all = "snake_case")]
pub enum Gain {
    /// So many times the level's cap on volume.
    Volume {
        /// How many times.
        times: u32,
    },
    /// This cap on volume, where the level's is lower.
    VolumeTo {
        /// The cap.
        cap: Volume,
    },
    /// A level.
    Level {
        /// Which.
        to: LevelName,
    },
    /// A review that is skipped.
    Skip {
        /// Of which tool.
        tool: ToolName,
        /// Which rule's.
        rule: Arc<str>,
        /// For which cases, as the policy writes it; `None` for every one.
        cases: Option<Arc<str>>,
    },
}

impl Gain {
    /// The cap on volume that this leaves of a level's `volume`: never a lower one.
    #[must_use]
    pub fn widened(&self, volume: Volume) -> Volume {
        match self {
            Gain::Volume { times } => Volume {
                calls: volume.calls.saturating_mul(*times),
                ..volume
            },
            Gain::VolumeTo { cap } => more(volume, *cap),
            Gain::Level { .. } | Gain::Skip { .. } => volume,
        }
    }
}

/// How a step comes about once it is earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepTrigger {
    /// By itself.
    Automatic,
    /// As a proposal to the operator.
    Propose,
}

/// The one that lets more go in the same time.
pub(super) fn more(one: Volume, other: Volume) -> Volume {
    let per_time = |volume: Volume, seconds: u32| u64::from(volume.calls) * u64::from(seconds);
    if per_time(other, one.per_seconds) > per_time(one, other.per_seconds) {
        other
    } else {
        one
    }
}
