//! Incidents of tool APIs: most of an API's calls failed across workflows, so the workflows may not
//! be to blame.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Moment;
use crate::gate::incident;

/// The incidents that are remembered, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IncidentList {
    /// The incidents.
    pub incidents: Vec<IncidentView>,
}

/// An incident of a tool API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IncidentView {
    /// Its id.
    pub incident: String,
    /// The tool API.
    pub api: String,
    /// When the minutes began that opened it: failures from here on belong to it.
    pub since: Moment,
    /// When it opened.
    pub opened: Moment,
    /// When it closed; `null` while it is open.
    pub closed: Option<Moment>,
    /// Calls in the minutes that opened it.
    pub calls: u64,
    /// How many of those failed.
    pub failures: u64,
}

impl IncidentView {
    /// An incident as it is shown.
    #[must_use]
    pub fn of(incident: &incident::Incident) -> Self {
        IncidentView {
            incident: incident.incident.to_string(),
            api: incident.api.to_string(),
            since: Moment(incident.since),
            opened: Moment(incident.opened),
            closed: incident.closed.map(Moment),
            calls: incident.calls,
            failures: incident.failures,
        }
    }
}

/// Takes the runs out of the budget that failed by an incident alone, or puts them back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExcludeIncidentRequest {
    /// Why.
    pub reason: String,
    /// Puts them back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retract: bool,
}

/// What that did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExcludeIncidentResponse {
    /// The incident.
    pub incident: String,
    /// Runs that were excluded, or put back.
    pub runs: u64,
    /// Runs that failed by it and by something else that counts: they stay as they are.
    pub left: u64,
}
