//! The terms of a workflow: the part of its policy that the fold judges its budget and its levels
//! under.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::Objective;
use super::budget::account::BudgetRules;
use super::budget::posture::Recovery;
use super::check::Check;
use super::earn::Earn;
use super::level::Ladder;
use super::name::{LevelName, ToolName, WorkflowName};
use super::risk::Tier;
use super::time;

/// The part of a workflow's policy that the fold judges its budget and levels under. Part of the
/// journal: a state can be recomputed without the policy files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Its risk tier.
    pub tier: Tier,
    /// The name it had before, where it was renamed.
    pub was: Option<WorkflowName>,
    /// Its objective.
    pub objective: Objective,
    /// Its levels.
    pub ladder: Ladder,
    /// The level it begins at.
    pub starts: LevelName,
    /// How its posture caps its level.
    pub caps: PostureCaps,
    /// How it leaves a burn.
    pub recovery: Recovery,
    /// When burns lose a level.
    pub lose: Lose,
    /// Every tool it reaches is `read`: then a run counts with any forwarded call.
    pub reads_only: bool,
    /// How long a decided grant can be used.
    #[serde(with = "time::millis")]
    pub grant: Duration,
    /// How many finished runs people check; `None` where they are asked for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// What it can earn.
    #[serde(default, skip_serializing_if = "Earn::is_empty")]
    pub earn: Earn,
    /// The tools above `read` that it reaches: a new workflow that reaches one of another's begins
    /// no higher than that one stands.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reach: BTreeSet<ToolName>,
}

impl Terms {
    /// What its budget is judged under.
    #[must_use]
    pub fn budget(&self) -> BudgetRules<'_> {
        BudgetRules {
            objective: &self.objective,
            recovery: self.recovery,
        }
    }
}

/// The highest level that each posture leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostureCaps {
    /// In posture `at_risk`.
    pub at_risk: LevelName,
    /// In posture `burned`.
    pub burned: LevelName,
    /// In posture `breached`.
    pub breached: LevelName,
}

/// How many burns within which time lose how many levels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lose {
    /// How many burns.
    pub burns: u32,
    /// Within which time.
    #[serde(with = "time::millis")]
    pub within: Duration,
    /// How many levels are lost.
    pub drop: u32,
}
