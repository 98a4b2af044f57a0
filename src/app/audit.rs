//! Exports of the journal: files outside the ledger that are verified on their own.
//!
//! The first line names the journal and where the export begins; every other line is an entry with
//! the digest over it and all entries before it.

use std::io;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::api::audit::{AuditEntry, ExportHead};
use crate::store;
use crate::store::AuditChain;
pub use crate::store::{Checkpoint, Unsound, Verified};

/// The longest line that is read: an entry holds all policies at most.
const MAX_LINE: u64 = 64 << 20;

/// What is wrong with an export.
#[derive(Debug, thiserror::Error)]
pub enum BadExport {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// A line is not one of an export.
    #[error("line {line}: {what}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// Follows the chain of an exported journal, from where the export begins.
#[derive(Debug, Clone)]
pub struct ExportFollower {
    ledger: String,
    chain: AuditChain,
    /// The bytes of its whole lines: what a torn last one begins after.
    whole: u64,
}

impl ExportFollower {
    /// Begins where `head` says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn begin(head: &ExportHead) -> Result<Self, String> {
        let hash = head
            .hash
            .parse()
            .map_err(|error| format!("`hash`: {error}"))?;
        let chain = match head.after {
            0 => AuditChain::of(&head.ledger)
                .filter(|chain| chain.hash() == hash)
                .ok_or("`hash` is not where the journal of this ledger begins")?,
            after => AuditChain::at(after, hash),
        };
        Ok(ExportFollower {
            ledger: head.ledger.clone(),
            chain,
            whole: 0,
        })
    }

    /// The beginning of an export of the whole journal of `ledger`.
    #[must_use]
    pub fn from_the_beginning(ledger: &str) -> Option<Self> {
        Some(ExportFollower {
            ledger: ledger.to_owned(),
            chain: AuditChain::of(ledger)?,
            whole: 0,
        })
    }

    /// Its first line.
    #[must_use]
    pub fn head(&self) -> ExportHead {
        ExportHead {
            ledger: self.ledger.clone(),
            after: self.chain.seq(),
            hash: self.chain.hash().to_string(),
        }
    }

    /// Goes on by one entry.
    ///
    /// # Errors
    /// It is not the entry that follows.
    pub fn follow(&mut self, entry: &AuditEntry) -> Result<(), String> {
        let hash = entry
            .hash
            .parse()
            .map_err(|error| format!("`hash`: {error}"))?;
        self.chain
            .follow(
                entry.seq,
                entry.at.0,
                entry.workflow.as_deref(),
                entry.event.get(),
                hash,
            )
            .map_err(|bad| bad.to_string())
    }

    /// The last entry of it: what a ledger can be verified against later.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            ledger: Some(self.ledger.clone()),
            seq: self.chain.seq(),
            hash: self.chain.hash(),
        }
    }

    /// How many bytes its whole lines take.
    #[must_use]
    pub const fn whole(&self) -> u64 {
        self.whole
    }
}

/// Verifies an export line by line; `progress` receives the bytes read. A last line without its end
/// was not written to the end, and is left out.
///
/// # Errors
/// The first line that is not right.
pub fn verify_export(
    export: impl io::Read,
    progress: &mut dyn FnMut(usize),
) -> Result<ExportFollower, BadExport> {
    let mut reader = BufReader::new(export);
    let (mut line, mut text, mut known) = (0, Vec::new(), None::<ExportFollower>);
    loop {
        text.clear();
        let read = io::Read::take(&mut reader, MAX_LINE).read_until(b'\n', &mut text)?;
        let is_whole = text.last() == Some(&b'\n');
        if read == 0 || (!is_whole && (read as u64) < MAX_LINE) {
            return known.ok_or(BadExport::Line {
                line: 1,
                what: "is missing: this is not an export of a journal".to_owned(),
            });
        }
        line += 1;
        progress(read);
        let bad = |what| BadExport::Line { line, what };
        match &mut known {
            None => {
                let head = serde_json::from_slice(&text).map_err(|error| {
                    bad(format!("this is not the first line of an export: {error}"))
                })?;
                known = Some(ExportFollower::begin(&head).map_err(bad)?);
            }
            Some(known) => {
                let entry: AuditEntry = serde_json::from_slice(&text)
                    .map_err(|error| bad(format!("this is not an entry: {error}")))?;
                known.follow(&entry).map_err(bad)?;
            }
        }
        if let Some(known) = &mut known {
            known.whole += read as u64;
        }
    }
}

/// Verifies the ledger in `dir`; see [`store::verify`].
///
/// # Errors
/// The first thing that is not right.
pub fn verify_ledger(
    dir: &Path,
    known: &[Checkpoint],
    progress: &mut dyn FnMut(usize),
) -> Result<Verified, Unsound> {
    store::verify(dir, known, || progress(1))
}

/// How many entries the ledger in `dir` has.
///
/// # Errors
/// It cannot be read.
pub fn entries(dir: &Path) -> Result<u64, store::OpenError> {
    store::LedgerPast::of(dir).rows()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g7_a_line_is_read_up_to_its_bound() {
        let head = ExportFollower::from_the_beginning(&"0".repeat(32)).unwrap();
        let head = serde_json::to_string(&head.head()).unwrap();
        let verify = |length: u64| {
            let space = io::Read::take(io::repeat(b' '), length - 1 - head.len() as u64);
            let line = io::Read::chain(io::Read::chain(head.as_bytes(), space), &b"\n"[..]);
            verify_export(line, &mut |_| ()).map(|known| known.whole())
        };
        assert_eq!(verify(MAX_LINE).unwrap(), MAX_LINE);
        assert!(matches!(
            verify(MAX_LINE + 1),
            Err(BadExport::Line { line: 2, .. })
        ));
    }
}
