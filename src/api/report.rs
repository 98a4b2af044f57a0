//! Reports and exclusions of many runs, and what came of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::Moment;
use super::problem::CandidateRun;
use super::run::RunQuery;

/// Which booked runs. At least one member; moments are RFC 3339, or how long ago: `1d`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSelection {
    /// Of this workflow.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub workflow: Option<String>,
    /// Booked at or after.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub since: Option<String>,
    /// Booked before.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub until: Option<String>,
    /// With a call of this tool, as `api/tool`.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub tool: Option<String>,
    /// With a call that touched this business object.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub subject: Option<String>,
    /// acceptable, unacceptable or excluded.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub outcome: Option<String>,
    /// With this failure mode.
    #[serde(
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub mode: Option<String>,
    /// With a call that was sent and whose answer was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ambiguous: bool,
}

/// Takes runs out of the budget, or puts them back: those of a filter, or those that were taken out
/// under one reference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExcludeRunsRequest {
    /// Which runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<RunSelection>,
    /// Why.
    pub reason: String,
    /// What they can be put back by; one is made up where it is absent.
    #[serde(
        rename = "ref",
        default,
        deserialize_with = "text",
        skip_serializing_if = "Option::is_none"
    )]
    pub reference: Option<String>,
    /// Puts them back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retract: bool,
    /// Does it: without this, and without `dry_run`, the runs are counted and the request is
    /// refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm: bool,
    /// Only counts the runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What a report, a retraction or an exclusion did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevisedRun {
    /// The run.
    pub run: String,
    /// Its workflow.
    pub workflow: String,
    /// Its agent.
    pub agent: String,
    /// When it was booked: the change is booked there too.
    pub booked_at: Moment,
    /// What it stood as: `idle`, `acceptable`, `unacceptable` or `excluded`.
    pub was: String,
    /// What it stands as.
    pub now: String,
    /// The same report had been made before: nothing changed.
    pub repeated: bool,
}

/// What a report or an exclusion of many runs did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchResult {
    /// The reference under which all of it can be taken back; `null` where nothing was done.
    pub batch: Option<String>,
    /// Whether it was done: all of it, or nothing.
    pub applied: bool,
    /// How many runs match.
    pub matched: u64,
    /// How many of them changed, by workflow; how many would, where nothing was done.
    pub workflows: BTreeMap<String, u64>,
    /// How many of them already had the same report or exclusion.
    pub repeated: u64,
}

/// What came of a report: of one run, or of many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ReportResponse {
    /// Of one.
    One(RevisedRun),
    /// Of many.
    Many(BatchResult),
}

/// What a signal did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignalResponse {
    /// Whether it was about a run.
    pub matched: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What became of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RevisedRun>,
    /// Candidate runs, if it is not clear which one was named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<CandidateRun>,
}

impl RunSelection {
    /// Is nothing filtered?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == RunSelection::default()
    }
}

impl From<RunSelection> for RunQuery {
    fn from(filter: RunSelection) -> Self {
        let RunSelection {
            workflow,
            since,
            until,
            tool,
            subject,
            outcome,
            mode,
            ambiguous,
        } = filter;
        RunQuery {
            workflow,
            since,
            until,
            tool,
            subject,
            outcome,
            mode,
            ambiguous: ambiguous.then(|| "true".to_owned()),
            ..RunQuery::default()
        }
    }
}

/// A member that may be absent but must be text if present: `null` names no business object and no
/// run.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::operate::ReportRequest;

    #[test]
    fn what_names_a_run_is_text_or_absent() {
        for bad in [
            r#"{"mode": "timeout", "subject": null}"#,
            r#"{"mode": "timeout", "subject": {}}"#,
            r#"{"mode": "timeout", "run": 7}"#,
        ] {
            assert!(serde_json::from_str::<ReportRequest>(bad).is_err(), "{bad}");
        }
        assert!(
            RunSelection::default().is_empty()
                && serde_json::from_str::<RunSelection>("{}")
                    .unwrap()
                    .is_empty()
        );
        assert!(serde_json::from_str::<RunSelection>(r#"{"worfklow": "w"}"#).is_err());
    }
}
