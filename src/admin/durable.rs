//! Waiting until a change is on disk. It is answered only after that, so that what was acknowledged
//! survives a crash (G9).

use std::future::Future;
use std::time::Duration;

use super::error::AdminError;
use crate::journal::port::Durable;
use crate::journal::receipt::{Abandoned, Receipt};
use crate::journal::revise::ReviseError;

/// How long an answer waits for the disk. After that the outcome is unknown: the change may be on
/// disk already.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until the change is durable. `else_say` is the answer if the disk does not reply.
pub(super) async fn durable(receipt: Durable, else_say: &str) -> Result<(), AdminError> {
    match patient(receipt).await {
        Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(_)) | Err(Abandoned)) | None => Err(AdminError::journal(else_say)),
    }
}

/// Waits for the run index to answer.
pub(super) async fn revised<T>(
    receipt: Receipt<Result<T, ReviseError>>,
) -> Result<Result<T, ReviseError>, AdminError> {
    match patient(receipt).await {
        Some(Ok(result)) => Ok(result),
        Some(Err(Abandoned)) | None => Err(AdminError::journal(MAY_STILL)),
    }
}

/// The answer about a change that takes effect only when it is durable.
pub(super) const MAY_STILL: &str = "the journal did not answer in time: the change may or may not be on disk, and may still take effect; check the state before you repeat it";

/// The result of a future, if it comes within [`PATIENCE`].
pub(super) async fn patient<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, future).await.ok()
}
