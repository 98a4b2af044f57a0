//! The journal as auditors page through it: every fact in its order, as the fold reads it.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Moment;
use crate::gate::event;

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// After this sequence number; from the beginning where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many: 1 to 1,000, 100 where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

/// One page of the journal, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// What to ask for with `after` for the next page; `null` at the end.
    pub next: Option<u64>,
}

/// One journal entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its sequence number.
    pub seq: u64,
    /// When it happened.
    pub at: Moment,
    /// The workflow; `null` for the process and for every workflow.
    pub workflow: Option<String>,
    /// What kind of fact.
    pub kind: String,
    /// The fact as the journal keeps it: times in milliseconds since 1970.
    pub event: serde_json::Value,
}

impl AuditEntry {
    /// `entry` at its place.
    ///
    /// # Errors
    /// The entry has no form in JSON: a fault of the program.
    pub fn of(seq: u64, entry: &event::Entry) -> serde_json::Result<Self> {
        Ok(AuditEntry {
            seq,
            at: Moment(entry.at),
            workflow: entry.workflow.as_ref().map(ToString::to_string),
            kind: entry.event.kind().to_owned(),
            event: serde_json::to_value(&entry.event)?,
        })
    }
}
