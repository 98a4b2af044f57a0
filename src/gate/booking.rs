//! How a booked run changes, and ([`ids`]) which run an id means.
//!
//! Booked runs are kept by a journal: in a database, or in memory where nothing has to last. Either
//! loads a run, asks here what a change does to it, and writes what comes back; neither has a rule
//! of its own, so what a test sees in memory is what the database does.
//!
//! A run is judged by what its charges counted as when they became known, never by today's
//! objective: a policy that stops counting a mode must not pardon old failures through an unrelated
//! retraction. Nothing here decides when a run is booked, or what a change does to a budget: that
//! is the fold's, which reads the events that are made here (G12).

use super::name::WorkflowName;
use super::outcome::FailureMode;
use super::risk::Risk;
use super::run::{Charge, Executed, Mark};
use super::state::State;

mod change;
pub mod ids;
mod run;

#[cfg(test)]
mod tests;

pub use change::{Change, Changed, Unchangeable};
pub use run::{BookedCharge, BookedRun, CheckState, Exclusion, RunEnd, add_new};

/// Does a run count that stands as `mark`, even if nothing went wrong? It does where a call above
/// `read` was forwarded, or any call where the workflow reaches nothing but `read` tools.
#[must_use]
pub fn counts_anyway(
    mark: Mark,
    calls: impl Iterator<Item = (Risk, Executed)>,
    reads_only: bool,
) -> bool {
    match mark {
        Mark::Acceptable => true,
        Mark::Idle => false,
        Mark::Unacceptable | Mark::Excluded => calls
            .filter(|(_, executed)| *executed != Executed::No)
            .any(|(risk, _)| risk > Risk::Read || reads_only),
    }
}

/// Does the objective in force count this mode? Where none is known, everything counts: what cannot
/// be judged is not forgiven (G3).
#[must_use]
pub fn counts_mode(state: &State, workflow: &WorkflowName, mode: &FailureMode) -> bool {
    state
        .workflow(&ids::present_name(state, workflow))
        .is_none_or(|state| state.terms().objective.counts(mode))
}

/// Which charges count of a run that somebody decided is unacceptable: those whose modes the
/// objective counts, and where it counts none, all of them, because they are why.
pub fn reasons(
    charges: &[Charge],
    counts: impl Fn(&FailureMode) -> bool,
) -> impl Fn(&Charge) -> bool {
    let is_any_counted = charges.iter().any(|charge| counts(&charge.mode));
    move |charge| !is_any_counted || counts(&charge.mode)
}
