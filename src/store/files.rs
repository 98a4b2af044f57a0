//! The data directory: who may use it, what may be in it, and the note beside the database that
//! says how far it had come.
//!
//! - `lock` is held for as long as a process uses the directory (F9), and says which one that is.
//! - `ledger.db`, with `-wal` and `-shm` beside it, is the ledger. It appears under this name only
//!   once it is complete.
//! - `head` says which row was acknowledged last. The database cannot say that about itself: a
//!   removed `-wal`, or yesterday's copy, is a perfectly good older database. It is written after
//!   each commit and without syncing, so after a power cut it may lag, which is harmless, but it
//!   never leads.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::chain::Head;
use super::open_error::OpenError;
use crate::gate::digest::Digest;
use crate::gate::time::Time;

pub(super) const DATABASE: &str = "ledger.db";
pub(super) const UNFINISHED: &str = "ledger.db.new";
const HEAD: &str = "head";
const LOCK: &str = "lock";
/// What an accepted loss moved aside is in directories that begin so.
const LOST: &str = "lost-";
/// With this an operator clamps everything, also before a first start.
const CLAMP: &str = "clamp";
/// Left alone when a broken ledger is moved aside: our own lock, what the file system puts at the
/// root of a volume, and what is the operator's.
const NOT_OURS_TO_MOVE: [&str; 4] = [LOCK, "lost+found", "operator.token", CLAMP];
/// The length of a head file's only line; a torn one is shorter or does not parse.
const HEAD_LENGTH: usize = 20 + 1 + 20 + 1 + 64 + 1;

/// A locked data directory.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Released when this is dropped, or by the kernel when the process ends.
    _lock: File,
}

/// What a directory holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DirectoryContent {
    Nothing,
    Database,
    /// Something else: the name of one such thing.
    Other(String),
}

/// What the head file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) commits: i64,
    pub(super) head: Head,
}

/// Which file this is, whatever it is called.
pub(super) type FileIdentity = (u64, u64);

impl Directory {
    /// Locks the directory; makes it unless it must exist.
    pub(super) fn lock(path: &Path, existing: bool) -> Result<Self, OpenError> {
        if !path.try_exists()? {
            if existing {
                return Err(OpenError::Absent { dir: path.into() });
            }
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {
                lock.set_len(0)?;
                writeln!(lock, "{}", std::process::id())?;
                Ok(Directory {
                    path: path.into(),
                    _lock: lock,
                })
            }
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
                dir: path.into(),
                holder: holder(&mut lock),
            }),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    pub(super) fn content(&self) -> Result<DirectoryContent, OpenError> {
        if self.database().try_exists()? {
            return Ok(DirectoryContent::Database);
        }
        for item in fs::read_dir(&self.path)? {
            let name = item?.file_name().to_string_lossy().into_owned();
            // An unfinished database was never anybody's ledger: a first start was cut short.
            let harmless = name == LOCK
                || name == CLAMP
                || name == "lost+found"
                || name.starts_with(UNFINISHED);
            if !harmless {
                return Ok(DirectoryContent::Other(name));
            }
        }
        Ok(DirectoryContent::Nothing)
    }

    /// An empty file to build a database in.
    pub(super) fn unfinished(&self) -> io::Result<PathBuf> {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            match fs::remove_file(self.path.join(format!("{UNFINISHED}{suffix}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let path = self.path.join(UNFINISHED);
        OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        Ok(path)
    }

    /// Gives the finished database its name, durably.
    pub(super) fn finish(&self) -> io::Result<()> {
        let built = self.path.join(UNFINISHED);
        File::open(&built)?.sync_all()?;
        fs::rename(built, self.database())?;
        File::open(&self.path)?.sync_all()
    }

    /// Moves the files of the ledger that is there into a new directory beside them. Returns the
    /// new directory's path.
    pub(super) fn set_aside(&self, now: Time) -> io::Result<PathBuf> {
        let mut aside = self.path.join(format!("{LOST}{}", now.as_millis()));
        let mut number = 1;
        while aside.try_exists()? {
            number += 1;
            aside = self
                .path
                .join(format!("{LOST}{}-{number}", now.as_millis()));
        }
        DirBuilder::new().mode(0o700).create(&aside)?;
        for item in fs::read_dir(&self.path)? {
            let name = item?.file_name();
            let text = name.to_string_lossy();
            if !NOT_OURS_TO_MOVE.contains(&&*text) && !text.starts_with(LOST) {
                fs::rename(self.path.join(&name), aside.join(&name))?;
            }
        }
        File::open(&self.path)?.sync_all()?;
        Ok(aside)
    }

    /// The head file, where there is a whole one.
    pub(super) fn acknowledged(&self) -> io::Result<Option<Acknowledged>> {
        acknowledged_in(&self.path)
    }

    pub(super) fn head_file(&self) -> io::Result<HeadFile> {
        Ok(HeadFile(
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(self.path.join(HEAD))?,
        ))
    }
}

/// The process that holds the lock, as far as it has said so.
fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The head file of the ledger in `dir`, where there is a whole one.
pub(super) fn acknowledged_in(dir: &Path) -> io::Result<Option<Acknowledged>> {
    let mut text = String::new();
    match File::open(dir.join(HEAD)) {
        Ok(file) => match file.take(HEAD_LENGTH as u64 + 1).read_to_string(&mut text) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(None),
            result => result.map(|_| ())?,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok(parse_head(&text))
}

fn parse_head(text: &str) -> Option<Acknowledged> {
    let mut words = text.strip_suffix('\n')?.split(' ');
    let commits = words.next()?.parse().ok()?;
    let seq = words.next()?.parse().ok()?;
    let hash: Digest = words.next()?.parse().ok()?;
    (words.next().is_none() && text.len() == HEAD_LENGTH).then(|| Acknowledged {
        commits,
        head: Head {
            seq,
            hash: *hash.as_bytes(),
        },
    })
}

/// The head file, open for as long as the ledger is.
#[derive(Debug)]
pub(super) struct HeadFile(File);

impl HeadFile {
    /// Notes how far the ledger has come. Called after the commit it speaks of.
    pub(super) fn write(&self, acknowledged: &Acknowledged) -> io::Result<()> {
        let mut line = Vec::with_capacity(HEAD_LENGTH);
        writeln!(
            line,
            "{:020} {:020} {}",
            acknowledged.commits,
            acknowledged.head.seq,
            Digest::new(acknowledged.head.hash)
        )?;
        self.0.write_all_at(&line, 0)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// Which file is at `path` now.
pub(super) fn identity(path: &Path) -> io::Result<FileIdentity> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}
