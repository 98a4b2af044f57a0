//! Unlisted calls that a gate has seen: shapes to write tools from, and no values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Moment;

/// Which unlisted calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct UnlistedQuery {
    /// Seen at or after: RFC 3339, or how long ago, such as `1d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Of this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
}

/// Unlisted calls, those that look alike together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnlistedCalls {
    /// The kinds of calls, the most frequent first.
    pub calls: Vec<UnlistedCall>,
    /// How many calls were of further kinds, for which there was no room.
    pub overflow: u64,
}

/// Unlisted calls that look alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnlistedCall {
    /// Who called.
    pub workflow: String,
    /// The tool API.
    pub api: String,
    /// The tool, where the API has one that the workflow does not list.
    pub tool: Option<String>,
    /// The method.
    pub method: String,
    /// The path, what looks like an id left out.
    pub path: String,
    /// How many calls.
    pub count: u64,
    /// When the first was seen.
    pub first_at: Moment,
    /// When the last was seen.
    pub last_at: Moment,
    /// The query parameters, each with the number of calls that gave it.
    pub query: BTreeMap<String, u64>,
    /// A JSON Schema that every body seen satisfies; `null` where none was looked at.
    #[schema(value_type = Option<Object>)]
    pub arguments: Option<serde_json::Value>,
}
