//! Waiting for the gate to stop.

use tokio::sync::watch;

use crate::proxy::drain::Phase;

/// Resolves when the gate begins to stop.
pub(super) async fn stopping(phase: watch::Receiver<Phase>) {
    reaches(phase, |phase| *phase != Phase::Running).await;
}

/// Resolves when nothing is served any more. Operators are served until the last agent is.
pub(super) async fn stopped(phase: watch::Receiver<Phase>) {
    reaches(phase, |phase| *phase == Phase::Stopped).await;
}

async fn reaches(mut phase: watch::Receiver<Phase>, is_reached: fn(&Phase) -> bool) {
    // A sender that is gone has stopped.
    let _ = phase.wait_for(is_reached).await;
}
