//! What late news does to a run that had been booked: what it stood as, what it stands as now, and
//! what that changes about the counts.

use serde::{Deserialize, Serialize};

use crate::gate::run::{Mark, RunRef};
use crate::gate::run_flags::{ModeShift, RunContribution, RunFlags};
use crate::gate::time::Time;

/// A change to a run that had been booked, with all that the fold needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The run.
    pub run: RunRef,
    /// When it was booked: the change is booked there too.
    pub booked_at: Time,
    /// Whether it executed a `high` call.
    pub high: bool,
    /// What it stood as.
    pub was: Mark,
    /// What it stands as now.
    pub now: Mark,
    /// The flags with which it counted.
    #[serde(
        default,
        skip_serializing_if = "RunFlags::is_none",
        rename = "facets_were"
    )]
    pub flags_were: RunFlags,
    /// The flags with which it counts now.
    #[serde(default, skip_serializing_if = "RunFlags::is_none", rename = "facets")]
    pub flags: RunFlags,
    /// What changes about the counts of failure modes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<ModeShift>,
}

impl Revision {
    /// A change of a run's mark alone. Whoever knows which flags and modes change with it adds
    /// them: the writer, from the run index.
    #[must_use]
    pub const fn new(run: RunRef, booked_at: Time, high: bool, was: Mark, now: Mark) -> Self {
        Revision {
            run,
            booked_at,
            high,
            was,
            now,
            flags_were: RunFlags::NONE,
            flags: RunFlags::NONE,
            modes: Vec::new(),
        }
    }

    /// With what changes about the flags and modes of the run.
    #[must_use]
    pub fn showing(self, was: &RunContribution, now: &RunContribution) -> Self {
        Revision {
            flags_were: was.flags,
            flags: now.flags,
            modes: now.since(was),
            ..self
        }
    }
}
