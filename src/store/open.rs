//! Opening a ledger: whose directory it is, whether what is in it can be believed, and what a crash
//! left open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::ErrorCode;
use tracing::{info, warn};

use super::chain::BadRow;
use super::database::{Database, StoreFault, create, meta};
use super::draws::Draws;
use super::files::{Acknowledged, Directory, DirectoryContent, HeadFile};
use super::loaded::LoadedState;
use super::open_error::OpenError;
use super::queue::{WriterEnding, WriterQueue};
use super::records::Readers;
use super::settle::settle;
use super::writer;
use super::writer::{Writer, WriterClock};
use crate::gate::state::State;
use crate::gate::time::Time;
use crate::journal::port::Projection;
use crate::journal::unavailable::Unavailable;
use crate::wire::credentials::FingerprintKey;

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
    /// What fingerprints of credentials are keyed with.
    pub fingerprints: FingerprintKey,
    /// It did not exist before.
    pub first_start: bool,
    /// A ledger was lost and its loss accepted: every workflow starts burned. Said at each start
    /// until [`WriterQueue::loss_booked`] is on disk.
    pub lost: bool,
}

/// A ledger, opened and verified, and not yet written to.
pub struct Store {
    directory: Directory,
    head_file: HeadFile,
    database: Database,
    loaded: LoadedState,
    queue: Arc<WriterQueue>,
    records: Arc<Readers>,
    #[cfg(test)]
    pub(super) fault: Arc<super::tests::DiskFault>,
}

/// The writer at work. Dropped without [`RunningWriter::drain`], it writes what is queued if it
/// can, and nothing waits for it.
#[must_use = "a writer that is dropped stops"]
pub struct RunningWriter {
    queue: Arc<WriterQueue>,
    thread: Option<JoinHandle<Result<(), Unavailable>>>,
}

impl Store {
    /// Opens the ledger, or makes it; verifies it; and settles what a crash left open, before
    /// anything is admitted.
    pub fn open(options: &Options) -> Result<Opened, OpenError> {
        open(options)
    }

    /// Where events and runs go. What is handed over before the start is written once it starts.
    #[must_use]
    pub fn journal(&self) -> Arc<WriterQueue> {
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

    /// Starts the writer. `projection` sees what becomes durable, on the writer's thread.
    pub fn start(
        self,
        projection: Arc<dyn Projection>,
        clock: WriterClock,
    ) -> io::Result<RunningWriter> {
        let queue = Arc::clone(&self.queue);
        let writer = Writer {
            queue: Arc::clone(&queue),
            directory: self.directory,
            head_file: self.head_file,
            projection,
            clock,
            snapshot_at: writer::first_snapshot(),
            advanced: self.loaded.state.now().minute(),
            backoff: writer::first_backoff(),
            #[cfg(test)]
            fault: self.fault,
        };
        let (database, loaded) = (self.database, self.loaded);
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || writer.run(database, loaded))?;
        Ok(RunningWriter {
            queue,
            thread: Some(thread),
        })
    }
}

impl RunningWriter {
    /// Writes everything that was handed over, writes a last snapshot, and waits for
    /// that.
    pub fn drain(mut self) -> Result<(), Unavailable> {
        self.queue.end(WriterEnding::Drain);
        self.thread.take().map_or(Err(Unavailable), |thread| {
            thread.join().unwrap_or(Err(Unavailable))
        })
    }
}

impl Drop for RunningWriter {
    fn drop(&mut self) {
        self.queue.end(WriterEnding::Leave);
    }
}

fn open(options: &Options) -> Result<Opened, OpenError> {
    let directory = Directory::lock(&options.dir, options.existing)?;
    let verified = match directory.content()? {
        DirectoryContent::Nothing if options.existing => {
            return Err(OpenError::Absent {
                dir: options.dir.clone(),
            });
        }
        DirectoryContent::Nothing => {
            make(&directory, false)?;
            verify(&directory).map(|found| (found, true))
        }
        DirectoryContent::Database => verify(&directory).map(|found| (found, false)),
        DirectoryContent::Other(found) => Err(OpenError::NoLedger { found }),
    };
    let ((database, loaded), first_start) = match verified {
        Ok(found) => found,
        Err(error) if options.accept_loss && error.is_loss() => {
            let aside = directory.set_aside(options.now)?;
            warn!(%error, aside = %aside.display(), "the ledger is lost and its loss accepted: every workflow starts burned");
            make(&directory, true)?;
            (verify(&directory)?, false)
        }
        Err(error) => return Err(error),
    };
    let lost = meta::<i64>(&database.connection, "lost")?.is_some();
    let loaded = settle(&database, loaded, options.now)?;
    let head_file = directory.head_file()?;
    head_file.write(&Acknowledged {
        commits: loaded.commits,
        head: loaded.head,
    })?;
    info!(row = loaded.head.seq, dir = %directory.path().display(), first_start, "the ledger is open");
    let records = Arc::new(Readers::new(directory.database(), loaded.ledger));
    let index = Readers::new(directory.database(), loaded.ledger);
    let state = loaded.state.clone();
    let fingerprints = Draws::load(&database.connection)?.fingerprint_key();
    let store = Store {
        directory,
        head_file,
        database,
        loaded,
        queue: Arc::new(WriterQueue::new(index)),
        records,
        #[cfg(test)]
        fault: Arc::default(),
    };
    Ok(Opened {
        store,
        state,
        fingerprints,
        first_start,
        lost,
    })
}

fn make(directory: &Directory, lost: bool) -> Result<(), OpenError> {
    create(&directory.unfinished()?, lost)?;
    Ok(directory.finish()?)
}

fn verify(directory: &Directory) -> Result<(Database, LoadedState), OpenError> {
    let database = Database::open(&directory.database())?;
    let loaded = LoadedState::load(&database.connection)?;
    let Some(acknowledged) = directory.acknowledged()? else {
        // A torn note after a power cut, or a copy made without it: the ledger itself is whole,
        // only its end is unproven.
        if loaded.head.seq > 0 {
            warn!(
                "there is no readable head file: that the ledger has all it acknowledged cannot be checked"
            );
        }
        return Ok((database, loaded));
    };
    let known = acknowledged.head;
    if loaded.head.seq < known.seq || loaded.commits < acknowledged.commits {
        return Err(OpenError::Behind {
            acknowledged: known.seq,
            found: loaded.head.seq,
        });
    }
    if known.seq > 0 {
        let found: Option<[u8; 32]> = database
            .connection
            .query_row(
                "SELECT hash FROM journal WHERE seq = ?1",
                [known.seq],
                |row| row.get(0),
            )
            .ok();
        if found != Some(known.hash) {
            return Err(BadRow { seq: known.seq, what: "not the row that was acknowledged: the ledger was altered, or is another one" }.into());
        }
    }
    Ok((database, loaded))
}

impl From<StoreFault> for OpenError {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Row(row) => OpenError::Journal(row),
            StoreFault::Version { found } => OpenError::Version { found },
            StoreFault::Io(error) => error.into(),
            StoreFault::Sqlite(error) if is_disk(&error) => OpenError::Disk(error.to_string()),
            StoreFault::Sqlite(_)
            | StoreFault::Json(_)
            | StoreFault::Foreign(_)
            | StoreFault::Replaced
            | StoreFault::Broken(_) => OpenError::Damaged(fault.to_string()),
        }
    }
}

fn is_disk(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
        )
    )
}
