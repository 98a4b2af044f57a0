//! Keys that are accepted and not acted on yet. Each is warned about where it is written: a bound
//! that is silently not enforced is worse than none.
//!
//! Whoever makes a key work deletes its line here.

use super::super::diagnostics::Notes;
use super::super::source::tree::SourceSpan;

/// Where a key belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Api,
    Process,
    Agent,
}

const PENDING: &[(Owner, &str)] = &[
    (Owner::Api, "protocol: mcp"),
    (Owner::Process, "notices"),
    (Owner::Process, "telemetry"),
    (Owner::Agent, "spiffe"),
];

/// Warns of `key`, if it is written at `span` and not acted on yet.
pub(super) fn warn(owner: Owner, key: &str, span: Option<SourceSpan>, notes: &mut Notes<'_>) {
    if let Some(span) = span
        && PENDING.contains(&(owner, key))
    {
        notes
            .warning(
                span,
                format!("`{key}` is accepted but not enforced by this version"),
            )
            .label("has no effect yet");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diagnostics::SourceFile;

    #[test]
    fn only_listed_keys_that_are_written_are_warned_about() {
        let file = SourceFile::new("p.yaml", "telemetry: x");
        let mut notes = Notes::on(&file);
        warn(Owner::Process, "telemetry", None, &mut notes);
        warn(Owner::Agent, "timeout", Some(0..6), &mut notes);
        warn(Owner::Process, "telemetry", Some(11..12), &mut notes);
        let found: Vec<_> = notes.into_found().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["p.yaml:1:12: `telemetry` is accepted but not enforced by this version"]
        );
    }
}
