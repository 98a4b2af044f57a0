//! What it would mean if a workflow's verdicts acted that are only watched now.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Moment;

/// What the flip from shadow to enforce would do, judged by the calls of the last days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Flip {
    /// The workflow.
    pub workflow: String,
    /// When watching ends by itself: from then on verdicts act.
    pub until: Moment,
    /// The runs that were looked at were booked at or after.
    pub since: Moment,
    /// Days since then, rounded up.
    pub days: u64,
    /// Booked runs that were looked at.
    pub runs: u64,
    /// Their calls that went upstream.
    pub calls: u64,
    /// Those among them that would have been held.
    pub holds: u64,
    /// Those that would have been denied.
    pub denials: u64,
    /// Holds on a day, rounded up: what reviewers have to expect.
    pub holds_a_day: u64,
    /// Denials on a day, rounded up.
    pub denials_a_day: u64,
    /// Which rules would have acted at which tools, the most frequent first.
    pub rules: Vec<FlipRule>,
    /// The posture on the flip: that of the runs which are booked, and which stay booked.
    pub posture: String,
    /// The level on the flip.
    pub level: String,
    /// What binds that level.
    pub binds: String,
}

/// A rule that would act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlipRule {
    /// The tool.
    pub tool: String,
    /// The rule.
    pub rule: String,
    /// hold or deny.
    pub verdict: String,
    /// At how many calls.
    pub calls: u64,
}
