//! Why a ledger is not opened. Every message ends with what to do about it.

use std::io;
use std::path::PathBuf;

use super::chain::BadRow;

/// Why a ledger cannot be opened. Every message ends with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none, and there should be.
    #[error("there is no ledger in {}; start without --existing to make one", dir.display())]
    Absent {
        /// The data directory.
        dir: PathBuf,
    },
    /// Another process has it.
    #[error(
        "another gate{} uses the data directory {}; nothing was changed\nhint: stop that one, or give this one a directory of its own with --data",
        holder.map_or_else(String::new, |process| format!(" (process {process})")),
        dir.display()
    )]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The process that has it, where it says so.
        holder: Option<u32>,
    },
    /// The directory holds something else, or a ledger's database is gone from it.
    #[error(
        "the data directory holds `{found}` but no ledger.db; restore the ledger, name an empty directory, or start with --accept-loss: then every workflow starts burned"
    )]
    NoLedger {
        /// One thing that it holds.
        found: String,
    },
    /// A row of the journal is not what was written.
    #[error(
        "{0}; restore the ledger from a copy, or start with --accept-loss: then every workflow starts burned"
    )]
    Journal(#[from] BadRow),
    /// The database is older than what was acknowledged from it.
    #[error(
        "the ledger ends at row {found}, but row {acknowledged} was acknowledged: an older copy, or its -wal file is gone; put the newest files back, or start \
         with --accept-loss: then every workflow starts burned"
    )]
    Behind {
        /// The last row acknowledged.
        acknowledged: i64,
        /// The last row found.
        found: i64,
    },
    /// Another version of the program wrote it.
    #[error(
        "the ledger has format {found}, which this program does not know; start the version that wrote it"
    )]
    Version {
        /// Its format.
        found: i64,
    },
    /// It cannot be read as a ledger.
    #[error(
        "the ledger is damaged ({0}); restore it from a copy, or start with --accept-loss: then every workflow starts burned"
    )]
    Damaged(String),
    /// The disk failed, or its permissions do not allow it.
    #[error("the ledger cannot be reached ({0}); nothing was changed")]
    Disk(String),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        OpenError::Disk(error.to_string())
    }
}

impl OpenError {
    /// Is this ledger lost, so that only a new one can be opened? A disk may recover, and a ledger
    /// that another process uses is not lost.
    pub(super) const fn is_loss(&self) -> bool {
        match self {
            OpenError::NoLedger { .. }
            | OpenError::Journal(_)
            | OpenError::Behind { .. }
            | OpenError::Version { .. }
            | OpenError::Damaged(_) => true,
            OpenError::Absent { .. } | OpenError::InUse { .. } | OpenError::Disk(_) => false,
        }
    }
}
