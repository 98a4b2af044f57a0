//! What one event changes about a workflow's budget.

use super::shift::Shift;
use crate::gate::outcome::FailureMode;
use crate::gate::run::RunRef;
use crate::gate::run_flags::ModeShift;
use crate::gate::time::Time;

/// What an event posts to the totals.
#[derive(Debug, Clone, Default)]
pub struct Posting {
    /// When the runs were booked.
    pub booked_at: Time,
    /// What it changes.
    pub shift: Shift,
    /// The failure modes that its run comes to stand with, or without.
    pub modes: Vec<(FailureMode, i64)>,
    /// What it changes about the counts of failure modes: nothing of a run that is out of the
    /// budget, everything of one that leaves it or comes back.
    pub counts: Vec<ModeShift>,
    /// One of the modes that it adds or takes back is critical, and its run is unacceptable.
    pub critical: bool,
    /// The run, where it is one.
    pub run: Option<RunRef>,
}
