//! Verifying a journal as an auditor does: the whole chain from its beginning, and places in it
//! that somebody wrote down elsewhere.
//!
//! The chain alone proves that no row was altered, removed, added or moved, as long as the rest
//! is intact; but who can write the file can also cut its end off, or write all of it anew. That is
//! found by comparing with what left the machine before: the head that `audit export` printed.

use std::path::Path;

use rusqlite::OptionalExtension as _;

use super::chain::{BadRow, Head, JournalRow, LedgerId};
use super::database::{StoreFault, meta, open_read_only};
use super::files::{DATABASE, acknowledged_in};
use super::loaded::walk;
use super::open_error::OpenError;
use crate::gate::digest::Digest;
use crate::gate::time::Time;

/// A place in a journal that was known before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger's id in hexadecimal, where that was written down too.
    pub ledger: Option<String>,
    /// The sequence number; 0 is the place before the first row.
    pub seq: u64,
    /// The digest of that row.
    pub hash: Digest,
}

/// A journal that is what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The ledger's id in hexadecimal.
    pub ledger: String,
    /// How many rows it has.
    pub rows: u64,
    /// The digest of the last one.
    pub head: Digest,
}

/// Why a journal is not what it says.
#[derive(Debug, thiserror::Error)]
pub enum Unsound {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(OpenError),
    /// A row is not what was written.
    #[error("{0}")]
    Row(BadRow),
    /// Its end is missing.
    #[error("the journal ends at row {rows}, and row {known} was known before: rows {} to {known} are missing", rows + 1)]
    Cut {
        /// The last row there is.
        rows: u64,
        /// The row that was known.
        known: u64,
    },
    /// A row is another one than was known before.
    #[error(
        "row {seq} is not the one that was known before: the journal was written anew from there, or earlier"
    )]
    Forked {
        /// The row.
        seq: u64,
    },
    /// It is another ledger's.
    #[error("the journal is that of ledger {found}, and ledger {known} was known before")]
    Another {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        known: String,
    },
}

impl From<StoreFault> for Unsound {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Row(row) => Unsound::Row(row),
            fault => Unsound::Unreadable(fault.into()),
        }
    }
}

/// Verifies the journal of the ledger in `dir` from its first row, against what the gate
/// acknowledged last and against what was `known` before; `each` is called with every row. Reads
/// only; a gate may be running on it.
///
/// # Errors
/// The first thing that is not right.
pub fn verify(
    dir: &Path,
    known: &[Checkpoint],
    mut each: impl FnMut(),
) -> Result<Verified, Unsound> {
    // Before the rows: what was acknowledged by then must be among them.
    let acknowledged = acknowledged_in(dir).map_err(|error| Unsound::Unreadable(error.into()))?;
    let connection = open_read_only(&dir.join(DATABASE))?;
    let transaction = connection
        .unchecked_transaction()
        .map_err(StoreFault::from)?;
    let id: LedgerId =
        meta(&transaction, "ledger")?.ok_or(StoreFault::Broken("the ledger has no id"))?;
    let ledger = hexadecimal(&id);
    let head = walk(&transaction, Head::genesis(&id), |_| each())?;
    let rows = u64::try_from(head.seq).unwrap_or(0);
    let acknowledged = acknowledged.map(|acknowledged| Checkpoint {
        ledger: None,
        seq: u64::try_from(acknowledged.head.seq).unwrap_or(0),
        hash: Digest::new(acknowledged.head.hash),
    });
    for checkpoint in acknowledged.iter().chain(known) {
        if let Some(known) = checkpoint.ledger.as_ref().filter(|known| **known != ledger) {
            return Err(Unsound::Another {
                found: ledger,
                known: known.clone(),
            });
        }
        if checkpoint.seq > rows {
            return Err(Unsound::Cut {
                rows,
                known: checkpoint.seq,
            });
        }
        let found = match i64::try_from(checkpoint.seq).unwrap_or(i64::MAX) {
            0 => Some(Head::genesis(&id).hash),
            seq => transaction
                .query_row("SELECT hash FROM journal WHERE seq = ?1", [seq], |row| {
                    row.get(0)
                })
                .optional()
                .map_err(StoreFault::from)?,
        };
        if found != Some(*checkpoint.hash.as_bytes()) {
            return Err(Unsound::Forked {
                seq: checkpoint.seq,
            });
        }
    }
    Ok(Verified {
        ledger,
        rows,
        head: Digest::new(head.hash),
    })
}

/// The chain of a journal, followed row by row from outside.
#[derive(Debug, Clone, Copy)]
pub struct AuditChain(Head);

impl AuditChain {
    /// The beginning of the journal of `ledger`, an id in hexadecimal; `None` where it is none.
    #[must_use]
    pub fn of(ledger: &str) -> Option<Self> {
        let id = u128::from_str_radix(ledger, 16)
            .ok()
            .filter(|_| ledger.len() == 32)?;
        Some(AuditChain(Head::genesis(&id.to_be_bytes())))
    }

    /// The place after row `seq`, whose digest is `hash`.
    #[must_use]
    pub fn at(seq: u64, hash: Digest) -> Self {
        AuditChain(Head {
            seq: i64::try_from(seq).unwrap_or(i64::MAX),
            hash: *hash.as_bytes(),
        })
    }

    /// The last row so far.
    #[must_use]
    pub fn seq(&self) -> u64 {
        u64::try_from(self.0.seq).unwrap_or(0)
    }

    /// Its digest.
    #[must_use]
    pub const fn hash(&self) -> Digest {
        Digest::new(self.0.hash)
    }

    /// Moves on by one row, if it is exactly the one that was written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn follow(
        &mut self,
        seq: u64,
        at: Time,
        workflow: Option<&str>,
        body: &str,
        hash: Digest,
    ) -> Result<(), BadRow> {
        let row = JournalRow {
            seq: i64::try_from(seq).unwrap_or(i64::MAX),
            at: at.as_millis(),
            workflow,
            body,
            hash: hash.as_bytes(),
        };
        self.0 = self.0.follow(&row)?;
        Ok(())
    }
}

/// The id of a ledger as it is written.
pub(super) fn hexadecimal(ledger: &LedgerId) -> String {
    format!("{:032x}", u128::from_be_bytes(*ledger))
}
