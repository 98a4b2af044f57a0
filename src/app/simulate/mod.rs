//! What other policies would have made of runs of the past.
//!
//! Each call is judged by the state that its workflow would have had; a run with a call that would
//! have been denied is prevented and booked nowhere; a run with one that would have been held is
//! booked as it was, because nobody knows what a person would have decided. Caps on volume, limits
//! and duplicates are not judged: they depend on calls that a history does not have. Time is the
//! history's. The runs come from a file (`history`) or from the ledger (`journal`).

mod facts;
pub mod history;
pub mod journal;
pub mod report;
pub mod simulation;
mod upcoming;

pub use report::{Difference, Simulated, SimulatedWorkflow, TimedEffect};
pub use simulation::{ProgressFn, RECOVERS_AFTER, SimulateError};
