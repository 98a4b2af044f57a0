//! What draws are made with: the ledger's secret, and how many runs were drawn this week.

use std::collections::HashMap;

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use super::database::{StoreFault, meta};
use crate::gate::check::CheckPace;
use crate::gate::name::WorkflowName;
use crate::gate::time::Minute;
use crate::journal::record::RunRecord;
use crate::wire::credentials::FingerprintKey;

/// What draws need to know.
pub(super) struct Draws {
    pub(super) secret: [u8; 32],
    pub(super) paces: HashMap<WorkflowName, KnownPace>,
}

/// A workflow's pace, as of a minute, and how many of its runs wait.
pub(super) struct KnownPace {
    pub(super) pace: CheckPace,
    pub(super) minute: Minute,
    pub(super) waiting: usize,
}

impl Draws {
    pub(super) fn load(connection: &Connection) -> Result<Self, StoreFault> {
        let secret = meta(connection, "draw")?.ok_or(StoreFault::Broken(
            "the ledger does not have what draws are made with",
        ))?;
        Ok(Draws {
            secret,
            paces: HashMap::new(),
        })
    }

    /// The key of the fingerprints of credentials: derived from the same secret, which cannot be
    /// worked out from it.
    pub(super) fn fingerprint_key(&self) -> FingerprintKey {
        let key = Sha256::new()
            .chain_update(b"burngate fingerprints")
            .chain_update(self.secret);
        FingerprintKey::new(key.finalize().into())
    }
}

/// The number that decides whether a run is drawn: reproducible with the secret, and unpredictable
/// without it.
pub(super) fn draw_number(secret: &[u8; 32], run: &RunRecord) -> u64 {
    let mut hash = Sha256::new()
        .chain_update(b"burngate draw")
        .chain_update(secret)
        .chain_update(run.booked_at.as_millis().to_be_bytes());
    let own = run.run.as_ref().map(|run| run.as_str().to_owned());
    let only = run.calls.first().map(|call| call.call.to_string());
    for part in [
        run.workflow.as_str(),
        run.agent.as_str(),
        own.or(only).unwrap_or_default().as_str(),
    ] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut number = [0; 8];
    number.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(number)
}
