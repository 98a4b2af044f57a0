//! Timed grants as operators give and see them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Moment, TimeSpan};
use crate::gate::approval::TimedGrant;
use crate::gate::name::WorkflowName;
use crate::gate::time::Time;

/// Lets held calls of a tool through for a limited time, without a decision on each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// The tool, as `api/tool`.
    pub tool: String,
    /// For how long: at most a day.
    #[serde(rename = "for")]
    pub lasts: TimeSpan,
    /// For how many calls: at most 1,000.
    pub max: u32,
    /// Why.
    pub reason: String,
}

/// Takes a grant back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// Why.
    pub reason: String,
}

/// Which grants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct GrantQuery {
    /// Of this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
}

/// Grants, in the order in which they were given. Those that are over are remembered for a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantList {
    /// The grants.
    pub grants: Vec<GrantView>,
}

/// One timed grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantView {
    /// Its id.
    pub id: String,
    /// The workflow.
    pub workflow: String,
    /// The tool.
    pub tool: String,
    /// When it was given.
    pub at: Moment,
    /// When it ends.
    pub until: Moment,
    /// For how many calls.
    pub max: u32,
    /// How many calls it has let through.
    pub used: u32,
    /// Who gave it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When somebody took it back.
    pub revoked: Option<Moment>,
    /// Whether it still lets calls through.
    pub open: bool,
}

impl GrantView {
    /// `grant` of `workflow` at `now`.
    #[must_use]
    pub fn of(workflow: &WorkflowName, grant: &TimedGrant, now: Time) -> Self {
        GrantView {
            id: grant.id.to_string(),
            workflow: workflow.to_string(),
            tool: grant.tool.to_string(),
            at: Moment(grant.at),
            until: Moment(grant.until),
            max: grant.max,
            used: grant.used,
            by: grant.by.to_string(),
            reason: grant.reason.to_string(),
            revoked: grant.revoked.map(Moment),
            open: grant.is_open(now),
        }
    }
}
