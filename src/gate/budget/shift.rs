//! Counts of runs, and changes to them: what an event adds to the budget, with its sign.

use serde::{Deserialize, Serialize};

use super::burn::Count;
use crate::gate::run_flags::RunFlagCounts;

/// Counts of runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// All counted runs.
    pub all: Count,
    /// Those that executed a `high` call.
    pub high: Count,
    /// Runs that do not count.
    pub idle: u64,
    /// The flags of the counted runs.
    #[serde(rename = "facets")]
    pub flags: RunFlagCounts,
}

/// A change to the counts of one moment, or the sum of such changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// All counted runs.
    pub all: Delta,
    /// Those that executed a `high` call.
    pub high: Delta,
    /// Idle runs.
    pub idle: i64,
    /// The flags of counted runs.
    #[serde(
        default,
        skip_serializing_if = "RunFlagCounts::is_zero",
        rename = "facets"
    )]
    pub flags: RunFlagCounts,
}

/// A change to one count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// Counted runs.
    pub runs: i64,
    /// Unacceptable runs among them.
    pub unacceptable: i64,
}

impl Shift {
    /// The same change to the counts of all runs and, where the runs executed a `high` call, to
    /// theirs.
    #[must_use]
    pub fn of(delta: Delta, high: bool) -> Self {
        Shift {
            all: delta,
            high: if high { delta } else { Delta::default() },
            ..Shift::default()
        }
    }

    /// Adds another change to this one.
    pub fn add(&mut self, other: Shift) {
        self.all.add(other.all);
        self.high.add(other.high);
        self.idle = self.idle.saturating_add(other.idle);
        self.flags.add(other.flags);
    }

    pub(super) fn tally(self) -> Tally {
        Tally {
            all: self.all.count(),
            high: self.high.count(),
            idle: at_least_zero(self.idle),
            flags: self.flags,
        }
    }
}

impl Delta {
    pub(super) fn add(&mut self, other: Delta) {
        self.runs = self.runs.saturating_add(other.runs);
        self.unacceptable = self.unacceptable.saturating_add(other.unacceptable);
    }

    pub(super) fn count(self) -> Count {
        Count {
            runs: at_least_zero(self.runs),
            unacceptable: at_least_zero(self.unacceptable),
        }
    }
}

pub(super) fn at_least_zero(sum: i64) -> u64 {
    u64::try_from(sum).unwrap_or(0)
}
