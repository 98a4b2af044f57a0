//! Finished runs that were picked for people to judge: those that wait, and what became of the
//! others.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Moment;
use super::run::RunDetail;

/// Which of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct CheckQuery {
    /// Of this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// At most so many: 1 to 1,000, 100 where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

/// The queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckQueue {
    /// Runs that wait for somebody to judge them: the riskiest first, of those the oldest.
    pub checks: Vec<QueuedCheck>,
    /// What became of the runs that were drawn in the last 30 days, by workflow.
    pub drawn: Vec<CheckTally>,
}

/// A run that waits for somebody to judge it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueuedCheck {
    /// When it was drawn.
    pub drawn_at: Moment,
    /// The risk of its riskiest executed call: read, low, medium or high.
    pub risk: String,
    /// The run, with what it did.
    #[serde(flatten)]
    pub run: RunDetail,
}

/// What became of the runs of a workflow that were drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckTally {
    /// The workflow.
    pub workflow: String,
    /// Runs that wait, however long.
    pub waiting: u64,
    /// Runs that somebody said were right.
    pub accepted: u64,
    /// Runs that were found wrong.
    pub reported: u64,
    /// Runs that left a full queue without anybody looking at them.
    pub unchecked: u64,
    /// Runs that an operator took out of the budget.
    pub excluded: u64,
}

/// Says that a run was right.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptRequest {
    /// The workflow, where several have such a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The agent, where several have such a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}
