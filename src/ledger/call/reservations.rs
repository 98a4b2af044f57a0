//! What a call in flight has reserved. Each reservation is given back when it is dropped, unless it
//! is committed because the call was sent.

use super::caps::{ConcurrencySlot, VolumeShare};
use super::exposure::ExposureSlot;
use super::loops::LoopCount;
use crate::gate::run::Executed;
use crate::ledger::dedup::DedupEntry;

/// What a call in flight has reserved so far.
#[derive(Default)]
pub(in crate::ledger) struct Reservations {
    pub(super) concurrency: Option<ConcurrencySlot>,
    pub(super) volume: Option<VolumeShare>,
    pub(super) exposure: Option<ExposureSlot>,
    pub(super) loop_count: Option<LoopCount>,
    pub(super) dedup: Option<DedupEntry>,
}

impl Reservations {
    /// The call is over: commits what a call that was sent has used up, and gives everything else
    /// back. Its dedup entry stays until the journal knows how the call ended.
    ///
    /// Takes its run's lock.
    pub(super) fn settle(self, executed: Executed, status: u16) -> Option<DedupEntry> {
        let went = executed != Executed::No;
        if let Some(volume) = self.volume.filter(|_| went) {
            volume.commit();
        }
        if let Some(exposure) = self.exposure.filter(|_| went) {
            exposure.commit();
        }
        // One that the tool put off does not count among the repeats.
        let counts = went && !matches!(status, 429 | 503);
        if let Some(loop_count) = self.loop_count.filter(|_| counts) {
            loop_count.commit();
        }
        self.dedup
    }
}
