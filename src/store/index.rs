//! The index of the journal that reviews read, made from the table of events.

use crate::gate::event::table::{EventKind, Indexed};

/// The index of what people ask about: everything but what happens once a call, once a run or once
/// a minute, so that a review reads a quiet week as quickly as a busy one. Its name is in every
/// ledger, and never changes.
pub(super) const INDEX: &str = "journal_told";
/// A call that uses a grant: a person approved it, or calls like it for a while.
pub(super) const GRANTED: &str = "kind = 'admitted' AND (json_extract(body, '$.approval') IS NOT NULL OR json_extract(body, '$.under') IS NOT NULL)";

/// The statement that makes the index.
pub(super) fn create_index() -> String {
    format!(
        "CREATE INDEX {INDEX} ON journal (seq, at, workflow, kind)\nWHERE {};",
        indexed()
    )
}

/// The condition of the index, from the table of events. Kinds are named by what is left out: a
/// new one is found without being named. A question that does not imply this condition word for
/// word is an error, and so is a ledger that was made with another one: what the table says of a
/// kind that is in ledgers already never changes.
pub(super) fn indexed() -> String {
    let mut left_out: Vec<_> = EventKind::ALL
        .iter()
        .filter(|kind| kind.row().indexed != Indexed::Always)
        .map(|kind| kind.name())
        .collect();
    left_out.sort_unstable();
    format!(
        "kind NOT IN ('{}')\n   OR ({GRANTED})",
        left_out.join("', '")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ledgers of version 3 have: SQLite refuses to use their index for any other condition.
    const IN_LEDGERS: &str = "CREATE INDEX journal_told ON journal (seq, at, workflow, kind)
WHERE kind NOT IN ('admitted', 'booked_high', 'noted', 'paced', 'refused', 'sampled', 'seen', 'settled', 'tallied')
   OR (kind = 'admitted' AND (json_extract(body, '$.approval') IS NOT NULL OR json_extract(body, '$.under') IS NOT NULL));";

    #[test]
    fn the_index_is_the_one_that_ledgers_have() {
        assert_eq!(create_index(), IN_LEDGERS);
    }
}
