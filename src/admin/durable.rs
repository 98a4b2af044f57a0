//! Waiting until what was asked is on disk. Every answer to a change is sent after that, so that
//! what was acknowledged survives a crash (G9).

use std::future::Future;
use std::time::Duration;

use super::error::AdminError;
use crate::journal::receipt::{Abandoned, Receipt};
use crate::journal::revise::ReviseError;
use crate::ledger::people::operate::Durable;

/// How long an answer waits for the disk. Past that nobody knows: it may be on disk already.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Answers once it is durable. `else_say` tells what is known when the disk does not answer.
pub(super) async fn durable(receipt: Durable, else_say: &str) -> Result<(), AdminError> {
    match patient(receipt).await {
        Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(_)) | Err(Abandoned)) | None => Err(AdminError::journal(else_say)),
    }
}

/// Answers once the run index has been asked.
pub(super) async fn revised<T>(
    receipt: Receipt<Result<T, ReviseError>>,
) -> Result<Result<T, ReviseError>, AdminError> {
    match patient(receipt).await {
        Some(Ok(result)) => Ok(result),
        Some(Err(Abandoned)) | None => Err(AdminError::journal(MAY_STILL)),
    }
}

/// What is known of a change that only acts when it is durable.
pub(super) const MAY_STILL: &str = "the journal did not answer: this is not known to be on disk, and may still take effect; ask how it stands before asking again";

/// What a future comes to within [`PATIENCE`].
pub(super) async fn patient<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, future).await.ok()
}
