//! Keeps samples of unlisted calls over a restart, in a file of the data directory.
//!
//! No budget and no verdict depends on them, so they are not in the ledger, and a kill may lose the
//! last few seconds of them. A file that cannot be read is replaced, with a warning in the log; it
//! never keeps a gate from starting.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use tokio::sync::watch;

use super::phase::stopped;
use crate::ledger::Ledger;
use crate::ledger::unlisted::UnlistedSamples;
use crate::proxy::drain::Phase;
use crate::telemetry::log;

/// The file in the data directory.
const FILE: &str = "unlisted.json";

/// How often changed samples are written.
const EVERY: Duration = Duration::from_secs(2);

/// The largest file that is read, in bytes: far more than the bounds of its contents come to.
const MAX_FILE: u64 = 64 << 20;

/// Gives `ledger` the samples that an earlier process kept in `directory`.
pub fn restore(ledger: &Ledger, directory: &Path) {
    match read(&directory.join(FILE), MAX_FILE) {
        Ok(samples) => ledger.unlisted().restore(samples),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(target: log::PROCESS, %error, "the samples of unlisted calls in {FILE} cannot be read; they begin anew");
        }
    }
}

/// Writes changed samples until the gate has stopped, and a last time then.
pub async fn keep(ledger: Arc<Ledger>, directory: PathBuf, phase: watch::Receiver<Phase>) {
    let mut ticks = tokio::time::interval(EVERY);
    let mut stopped = std::pin::pin!(stopped(phase));
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            () = &mut stopped => true,
        };
        if let Some(samples) = ledger.unlisted().take_changed() {
            let directory = directory.clone();
            let written = tokio::task::spawn_blocking(move || write(&directory, &samples)).await;
            if let Ok(Err(error)) = written {
                tracing::warn!(target: log::PROCESS, %error, "the samples of unlisted calls cannot be written to {FILE}");
            }
        }
        if is_last {
            return;
        }
    }
}

/// Reads a file of at most `longest` bytes.
fn read(path: &Path, longest: u64) -> io::Result<UnlistedSamples> {
    let mut text = Vec::new();
    // One byte more shows that there are more.
    let mut file = fs::File::open(path)?.take(longest + 1);
    if file.read_to_end(&mut text)? as u64 > longest {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    serde_json::from_slice(&text).map_err(io::Error::other)
}

/// Replaces the file as a whole, so that a reader never finds half of it.
fn write(directory: &Path, samples: &UnlistedSamples) -> io::Result<()> {
    let unfinished = directory.join(format!("{FILE}.new"));
    let text = serde_json::to_vec(samples).map_err(io::Error::other)?;
    OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)?
        .write_all(&text)?;
    fs::rename(unfinished, directory.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g7_a_file_is_read_up_to_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &UnlistedSamples::default()).unwrap();
        let path = dir.path().join(FILE);
        let length = fs::metadata(&path).unwrap().len();
        assert_eq!(read(&path, MAX_FILE).unwrap(), UnlistedSamples::default());
        assert_eq!(read(&path, length).unwrap(), UnlistedSamples::default());
        let refused = read(&path, length - 1).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
    }
}
