//! The port through which a history is booked: runs of the past come in steps, and count all at
//! once or not at all.
//!
//! An import is begun, given its runs in batches, and finished or abandoned; one at a time. Until
//! it is finished its runs count nowhere and are found nowhere, and whatever ends it in between (a
//! crash, a disk that fails, a client that hangs up) leaves no effect.

use super::record::RunRecord;
use super::unavailable::Unavailable;
use crate::gate::name::PersonName;
use crate::gate::time::Time;

/// A step of an import.
#[derive(Debug)]
pub enum ImportStep {
    /// Begins one. What an import that broke off left is cleared away, a part at each call: it has
    /// begun when nothing is left of that.
    Begin,
    /// Some of its runs, each with an id of its own.
    Runs {
        /// The runs.
        runs: Vec<RunRecord>,
        /// Who imports them.
        by: PersonName,
    },
    /// That was all: everything counts from here on.
    Finish {
        /// The time it is judged at.
        at: Time,
        /// Who imports them.
        by: PersonName,
    },
    /// Nothing shall count.
    Abandon,
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportReply {
    /// The import has begun.
    Begun,
    /// Something of an earlier import is left: ask again.
    Clearing,
    /// The runs are there, except those, by their place in the batch, that were known before.
    Taken(Vec<usize>),
    /// It counts.
    Finished,
    /// It is over, and nothing of it counts.
    Abandoned,
}

/// Why a step cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// No import is on, or the one that was on was lost with the disk.
    #[error("the journal failed while the history was imported: nothing of it was booked")]
    Lost,
    /// The journal cannot take it.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
