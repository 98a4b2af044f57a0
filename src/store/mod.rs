//! The ledger on disk: one SQLite database, written by one thread, that a process can lose its
//! power over at any moment (G9).
//!
//! - `journal` has every event, chained by digests; `snapshots` has what it adds up to (G12). A
//!   start verifies and reads the newest snapshot and the rows after it.
//! - `runs` and `calls` are the run index: what was booked, so that a report can find it weeks
//!   later.
//! - [`Store::open`] verifies, settles what a crash left open, and gives the state to build the
//!   living ledger from; [`Store::start`] sets the writer going.
//!
//! It does not decide anything: the fold does. It keeps no arguments, unless the policy says
//! `record: arguments`, and no texts of business objects, and it never makes a new ledger where one
//! was.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::gate::state::State;
use crate::gate::time::Time;
use crate::journal::port::Projection;
use crate::journal::unavailable::Unavailable;

mod audit;
mod booked;
mod books;
mod chain;
mod charges;
mod checks;
mod codes;
mod database;
mod files;
mod import;
mod index;
mod names;
mod open;
mod past;
mod pen;
mod queue;
mod records;
mod refusal;
mod revise;
mod runs;
mod spans;
mod writer;

#[cfg(test)]
mod tests;

pub use audit::{Chain, Checkpoint, Unsound, Verified, verify};
pub use books::BadRow;
pub use past::{Past, PastRuns};
pub use queue::{MOST_QUEUED, Queue};
pub use records::Readers;

/// The gate's clock.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// How a ledger is to be opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory.
    pub dir: PathBuf,
    /// Refuse a directory that is absent or empty.
    pub existing: bool,
    /// Move what cannot be verified aside, and start anew.
    pub accept_loss: bool,
    /// The time it is opened at.
    pub now: Time,
}

/// An opened ledger.
pub struct Opened {
    /// The ledger.
    pub store: Store,
    /// What it adds up to.
    pub state: State,
    /// It did not exist before.
    pub first_start: bool,
    /// A ledger was lost and its loss accepted: every workflow starts burned. Said at each start
    /// until [`Queue::loss_booked`] is on disk.
    pub lost: bool,
}

/// Why a ledger cannot be opened. Every message ends in the way out.
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
    /// The disk, or its permissions, are in the way.
    #[error("the ledger cannot be reached ({0}); nothing was changed")]
    Disk(String),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        OpenError::Disk(error.to_string())
    }
}

/// A ledger, opened and verified, and not yet written to.
pub struct Store {
    directory: files::Directory,
    head_file: files::HeadFile,
    database: database::Database,
    books: books::Books,
    queue: Arc<Queue>,
    records: Arc<Readers>,
    #[cfg(test)]
    fault: Arc<tests::DiskFault>,
}

/// The writer at work. Dropped without [`Running::drain`], it writes what is queued if it can, and
/// nothing waits for it.
#[must_use = "a writer that is dropped stops"]
pub struct Running {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<Result<(), Unavailable>>>,
}

impl Store {
    /// Opens the ledger, or makes it; verifies it; and settles what a crash left open, before
    /// anything is admitted.
    pub fn open(options: &Options) -> Result<Opened, OpenError> {
        open::open(options)
    }

    /// Where events and runs go. What is handed over before the start is written once it starts.
    #[must_use]
    pub fn journal(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Where runs and entries are read.
    #[must_use]
    pub fn records(&self) -> Arc<Readers> {
        Arc::clone(&self.records)
    }

    /// The data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// Sets the writer going. `projection` sees what becomes durable, on the writer's thread.
    pub fn start(self, projection: Arc<dyn Projection>, clock: Clock) -> io::Result<Running> {
        let queue = Arc::clone(&self.queue);
        let writer = writer::Writer {
            queue: Arc::clone(&queue),
            directory: self.directory,
            head_file: self.head_file,
            projection,
            clock,
            snapshot_at: writer::first_snapshot(),
            advanced: self.books.state.now().minute(),
            backoff: writer::first_backoff(),
            #[cfg(test)]
            fault: self.fault,
        };
        let (database, books) = (self.database, self.books);
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || writer.run(database, books))?;
        Ok(Running {
            queue,
            thread: Some(thread),
        })
    }
}

impl Running {
    /// Writes everything that was handed over, closes the books with a snapshot, and waits for
    /// that.
    pub fn drain(mut self) -> Result<(), Unavailable> {
        self.queue.end(queue::Ending::Drain);
        self.thread.take().map_or(Err(Unavailable), |thread| {
            thread.join().unwrap_or(Err(Unavailable))
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.queue.end(queue::Ending::Leave);
    }
}
