//! How a tool's request body is read, how large it may be, and which members of it are named.

use super::written::span_of;
use crate::config::diagnostics::Notes;
use crate::config::source::api::ToolEntry;
use crate::gate::policy::{BodyKind, Condition, NamedMembers, Schema};

/// The largest body that a tool may take; beyond that, nothing here should be buffering it.
pub(super) const MAX_BODY: usize = 1 << 30;

/// The largest body of a tool, in bytes, where it says so.
pub(super) fn size(entry: &ToolEntry, notes: &mut Notes<'_>) -> Option<usize> {
    let at = entry.size.given()?;
    let fits = (1..=MAX_BODY).contains(&at.value.0);
    if !fits {
        notes
            .error(
                at.span.clone(),
                format!(
                    "`size`: expected a size from 1B to 1GiB, found `{}`",
                    at.value
                ),
            )
            .label("out of bounds");
    }
    fits.then_some(at.value.0)
}

/// How a tool's body is read. Bytes and parts have no arguments that a rule could read.
pub(super) fn kind(
    entry: &ToolEntry,
    conditions: &[&Condition],
    arguments: Option<&Schema>,
    notes: &mut Notes<'_>,
) -> BodyKind {
    let kind = entry.body.value().copied().unwrap_or_default();
    let has_none = matches!(kind, BodyKind::Bytes | BodyKind::Multipart);
    let is_read = arguments.is_some() || conditions.iter().any(|condition| condition.reads_args());
    if has_none && is_read {
        notes
            .error(
                span_of(&entry.body).unwrap_or_default(),
                format!("`body: {}` has no arguments, and the tool's rules or schema read them", kind.as_str()),
            )
            .hint("rules read arguments of `json`, `form` and `text`; drop the schema and what reads `args`");
    }
    kind
}

/// The members of the arguments that a rule reads or the schema names.
pub(super) fn members(conditions: &[&Condition], arguments: Option<&Schema>) -> NamedMembers {
    let mut members = NamedMembers::default();
    for path in conditions
        .iter()
        .flat_map(|condition| &condition.reads().args)
    {
        members.add_path(path);
    }
    if let Some(schema) = arguments {
        members.add_schema(schema.source());
    }
    members
}
