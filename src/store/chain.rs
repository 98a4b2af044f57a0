//! The digests that make a ledger verifiable: the chain through the journal, the checksum of a
//! snapshot, and subjects that can be compared but not read.
//!
//! The chain begins at the ledger's own random id, so rows and snapshots of another ledger do not
//! fit this one. It proves that nothing was changed in place; that the newest rows were not cut off
//! is what the head file proves (`files`).

use sha2::{Digest as _, Sha256};

use crate::gate::name::Subject;

/// A digest in the chain.
pub(super) type Hash = [u8; 32];

/// The random id of a ledger.
pub(super) type LedgerId = [u8; 16];

/// A journal row that is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("journal row {seq} is {what}")]
pub struct BadRow {
    /// Its sequence number.
    pub seq: i64,
    /// What is wrong with it.
    pub what: &'static str,
}

/// The newest row of a journal. `seq` 0 is the place before the first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: i64,
    pub(super) hash: Hash,
}

impl Head {
    /// Where the journal of `ledger` begins.
    pub(super) fn genesis(ledger: &LedgerId) -> Self {
        let hash = Sha256::new()
            .chain_update(b"burngate ledger")
            .chain_update(ledger)
            .finalize()
            .into();
        Head { seq: 0, hash }
    }

    /// The head once a row with this content follows.
    pub(super) fn then(&self, at: i64, workflow: Option<&str>, body: &str) -> Self {
        let seq = self.seq + 1;
        // Lengths keep workflow and body apart: moving bytes from one to the other must not give
        // the same digest.
        let length = workflow.map_or(-1, |name| i64::try_from(name.len()).unwrap_or(i64::MAX));
        let hash = Sha256::new()
            .chain_update(self.hash)
            .chain_update(seq.to_be_bytes())
            .chain_update(at.to_be_bytes())
            .chain_update(length.to_be_bytes())
            .chain_update(workflow.unwrap_or_default())
            .chain_update(body)
            .finalize()
            .into();
        Head { seq, hash }
    }

    /// Moves on to the next row as it was read, if it is exactly the row that was written.
    pub(super) fn follow(&self, row: &JournalRow<'_>) -> Result<Self, BadRow> {
        let next = self.then(row.at, row.workflow, row.body);
        if row.seq != next.seq {
            return Err(BadRow {
                seq: next.seq,
                what: "missing",
            });
        }
        if row.hash != next.hash {
            return Err(BadRow {
                seq: next.seq,
                what: "altered, or it follows one that was replaced",
            });
        }
        Ok(next)
    }
}

/// A journal row as it was read.
pub(super) struct JournalRow<'r> {
    pub(super) seq: i64,
    pub(super) at: i64,
    pub(super) workflow: Option<&'r str>,
    pub(super) body: &'r str,
    pub(super) hash: &'r [u8],
}

/// The checksum of a snapshot.
pub(super) fn checksum(head: &Head, at: i64, body: &str) -> Hash {
    Sha256::new()
        .chain_update(head.seq.to_be_bytes())
        .chain_update(at.to_be_bytes())
        .chain_update(head.hash)
        .chain_update(body)
        .finalize()
        .into()
}

/// What is kept of a subject. The ledger's id is in it, so that two ledgers cannot be joined and a
/// table of hashed order numbers made elsewhere is worth nothing.
pub(super) fn subject_hash(ledger: &LedgerId, subject: &Subject) -> [u8; 16] {
    let full: Hash = Sha256::new()
        .chain_update(ledger)
        .chain_update(subject.as_str())
        .finalize()
        .into();
    let mut short = [0; 16];
    short.copy_from_slice(&full[..16]);
    short
}
