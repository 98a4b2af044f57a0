//! The journal as auditors read it: every fact in its order, exactly as the chain of digests was
//! taken over it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::Moment;

/// Which entries. Moments are RFC 3339, or how long ago: `1d`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// After this sequence number; from the beginning where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Of this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Of this kind, such as `clamped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// That happened at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// That happened before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// At most so many: 1 to 1,000, 100 where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

/// One page of the journal, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JournalPage {
    /// The random id of the ledger: the chain begins with it.
    pub ledger: String,
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// What to ask for with `after` for the next page; `null` at the end. A page may be short, or
    /// empty, and have a next one: only so many entries are looked through at once.
    pub next: Option<u64>,
}

/// One journal entry.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its sequence number.
    pub seq: u64,
    /// When it happened.
    pub at: Moment,
    /// The workflow; `null` for the process and for every workflow.
    pub workflow: Option<String>,
    /// What kind of fact.
    pub kind: String,
    /// The fact as the journal keeps it, byte for byte: times in milliseconds since 1970.
    #[schema(value_type = Object)]
    pub event: Box<RawValue>,
    /// The digest of the entry and of all before it, in hexadecimal: SHA-256 of the one before,
    /// then the sequence number, the time in milliseconds, the length of the workflow (-1 where
    /// there is none), each as 8 bytes big-endian, with the workflow before the event's text.
    pub hash: String,
    /// Who did it, where somebody did. Only for reading, and not in an export: no digest is taken
    /// over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The fact in words. Only for reading, and not in an export.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
}

impl AuditEntry {
    /// As it is exported: only what the digest is taken over, so that nothing beside it can be
    /// altered unnoticed.
    #[must_use]
    pub fn for_export(self) -> Self {
        AuditEntry {
            by: None,
            what: String::new(),
            ..self
        }
    }
}

/// The first line of an export: where it begins. Every other line is an [`AuditEntry`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportHead {
    /// The random id of the ledger, in hexadecimal.
    pub ledger: String,
    /// The sequence number that the first entry follows: 0 for an export from the beginning.
    pub after: u64,
    /// The digest of that entry; where the chain begins, of the ledger's id.
    pub hash: String,
}
