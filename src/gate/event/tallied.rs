//! Runs that ended well are many, and are kept as sums: one for each minute.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::gate::name::ToolName;
use crate::gate::outcome::FailureMode;
use crate::gate::run::{Charge, Mark};
use crate::gate::run_flags::{RunFlagCounts, RunFlags, mode_shifts};
use crate::gate::time::Minute;

/// Runs that ended acceptably in one minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TalliedMinute {
    /// The minute they are booked to.
    pub minute: Minute,
    /// Runs that count.
    pub runs: u64,
    /// Those among them that executed a `high` call.
    pub high: u64,
    /// Runs that do not count.
    pub idle: u64,
    /// Failure modes seen in them that the objective does not count: how many runs have each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modes: BTreeMap<FailureMode, u64>,
    /// The same by the tool that each was seen at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<FailureMode, BTreeMap<ToolName, u64>>,
    /// The flags of the runs that count.
    #[serde(
        default,
        skip_serializing_if = "RunFlagCounts::is_zero",
        rename = "facets"
    )]
    pub flags: RunFlagCounts,
}

impl TalliedMinute {
    /// No runs yet.
    #[must_use]
    pub const fn new(minute: Minute) -> Self {
        TalliedMinute {
            minute,
            runs: 0,
            high: 0,
            idle: 0,
            modes: BTreeMap::new(),
            tools: BTreeMap::new(),
            flags: RunFlagCounts::NONE,
        }
    }

    /// Adds a run that ended acceptably, or idle.
    pub fn add(&mut self, mark: Mark, high: bool, observed: RunFlags, charges: &[Charge]) {
        match mark {
            Mark::Acceptable => {
                (self.runs, self.high) = (self.runs + 1, self.high + u64::from(high));
            }
            Mark::Idle => self.idle += 1,
            // These are booked by events of their own.
            Mark::Unacceptable | Mark::Excluded => return,
        }
        // Nearly every run: nothing was seen, and nothing allocates.
        if charges.is_empty() && observed.is_none() {
            return;
        }
        self.flags.add(RunFlagCounts::one(
            RunFlags::of(observed, charges).counted(mark),
        ));
        for shift in mode_shifts(charges) {
            let count = match shift.tool {
                None => self.modes.entry(shift.mode).or_default(),
                Some(tool) => self
                    .tools
                    .entry(shift.mode)
                    .or_default()
                    .entry(tool)
                    .or_default(),
            };
            *count += 1;
        }
    }
}
