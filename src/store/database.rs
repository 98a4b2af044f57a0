//! The database file: made whole or not at all, opened only where it is one of ours, and never made
//! anew by accident.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::chain::{BadRow, LedgerId};
use super::files::{FileIdentity, identity};
use super::index::create_index;

/// "burn": tells our file from any other SQLite database.
const APPLICATION: i64 = 0x6275_726E;
/// The version of `schema.sql` and of the index beside it.
const VERSION: i64 = 3;
/// The page cache of the writer, in KiB: the hot ends of the tables and indexes, and the pages of a
/// usual transaction. A larger one only delays what the WAL gets anyway, and would be most of the
/// process's memory.
const CACHE_KIB: i64 = 2 * 1024;
/// How long a checkpoint waits for a reader, and a reader for a checkpoint.
const BUSY: Duration = Duration::from_millis(250);

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreFault {
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Row(#[from] BadRow),
    #[error("an event cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0} is not a burngate ledger")]
    Foreign(PathBuf),
    #[error("the ledger has format {found}, and this program knows format {VERSION}")]
    Version { found: i64 },
    #[error("the ledger's files were replaced or removed while it was open")]
    Replaced,
    #[error("{0}")]
    Broken(&'static str),
}

/// The writer's connection, and which files it is writing to.
pub(super) struct Database {
    pub(super) connection: Connection,
    pub(super) files: Files,
}

/// The files behind a connection.
pub(super) struct Files {
    database: (PathBuf, FileIdentity),
    wal: (PathBuf, Option<FileIdentity>),
}

impl Database {
    /// Opens what is there.
    pub(super) fn open(path: &Path) -> Result<Self, StoreFault> {
        let file = identity(path)?;
        if is_cut_short(path)? {
            return Err(StoreFault::Broken("the file is shorter than it says"));
        }
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        check_kind(&connection, path)?;
        connection.busy_timeout(BUSY)?;
        // No mmap: an I/O error on a mapped page is a signal, not an error. Checkpoints only where
        // the writer says so.
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON;
             PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{CACHE_KIB}; PRAGMA journal_size_limit = 67108864;"
        ))?;
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        Ok(Database {
            connection,
            files: Files {
                database: (path.into(), file),
                wal: (wal.into(), None),
            },
        })
    }
}

impl Files {
    /// Are they still those that were opened? A deleted file can be written to for as long as it is
    /// open, and everything acknowledged would be gone with it.
    pub(super) fn check(&mut self) -> Result<(), StoreFault> {
        if identity(&self.database.0).ok() != Some(self.database.1) {
            return Err(StoreFault::Replaced);
        }
        let now = identity(&self.wal.0).ok();
        match self.wal.1 {
            Some(before) if now == Some(before) => Ok(()),
            Some(_) => Err(StoreFault::Replaced),
            None => {
                self.wal.1 = now;
                Ok(())
            }
        }
    }
}

/// Does the database's end lie beyond the file's? SQLite complains only once it reads a page that
/// is not there. Where there is a WAL, it may hold those pages.
fn is_cut_short(path: &Path) -> Result<bool, StoreFault> {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    if std::fs::metadata(wal).is_ok_and(|wal| wal.len() > 0) {
        return Ok(false);
    }
    let mut file = std::fs::File::open(path)?;
    let mut header = [0; 32];
    if std::io::Read::read_exact(&mut file, &mut header).is_err() {
        // Not a database at all, which is said elsewhere.
        return Ok(false);
    }
    // The format's offsets 16 (page size, where 1 stands for 65,536) and 28 (pages).
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let pages = u32::from_be_bytes([header[28], header[29], header[30], header[31]]);
    Ok(
        header.starts_with(b"SQLite format 3\0")
            && file.metadata()?.len() < page * u64::from(pages),
    )
}

/// Brings what the WAL holds into the database, as far as readers let it.
pub(super) fn checkpoint(connection: &Connection, truncate: bool) -> Result<(), StoreFault> {
    let pragma = if truncate {
        "PRAGMA wal_checkpoint(TRUNCATE)"
    } else {
        "PRAGMA wal_checkpoint(PASSIVE)"
    };
    Ok(connection.query_row(pragma, [], |_| Ok(()))?)
}

/// Builds an empty ledger in the empty file at `path`.
pub(super) fn create(path: &Path, lost: bool) -> Result<(), StoreFault> {
    let ledger: LedgerId = uuid::Uuid::new_v4().into_bytes();
    let secret = [
        uuid::Uuid::new_v4().into_bytes(),
        uuid::Uuid::new_v4().into_bytes(),
    ]
    .concat();
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(include_str!("schema.sql"))?;
    transaction.execute_batch(&create_index())?;
    transaction.execute(
        "INSERT INTO meta VALUES ('ledger', ?1), ('draw', ?2), ('commits', 0), ('now', 0)",
        [&ledger[..], &secret],
    )?;
    if lost {
        transaction.execute("INSERT INTO meta VALUES ('lost', 1)", [])?;
    }
    transaction.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
    ))?;
    transaction.commit()?;
    connection.execute_batch("PRAGMA journal_mode = WAL")?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Opens the ledger for reading only.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, StoreFault> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    check_kind(&connection, path)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(
        "PRAGMA query_only = ON; PRAGMA mmap_size = 0; PRAGMA trusted_schema = OFF;",
    )?;
    Ok(connection)
}

/// A fact from `meta`.
pub(super) fn meta<T: rusqlite::types::FromSql>(
    connection: &Connection,
    key: &str,
) -> Result<Option<T>, StoreFault> {
    Ok(connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
            row.get(0)
        })
        .optional()?)
}

fn check_kind(connection: &Connection, path: &Path) -> Result<(), StoreFault> {
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if application != APPLICATION {
        return Err(StoreFault::Foreign(path.into()));
    }
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found == VERSION {
        Ok(())
    } else {
        Err(StoreFault::Version { found })
    }
}
