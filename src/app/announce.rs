//! Journals what concerns the whole process.

use anyhow::Context as _;

use crate::gate::event::Event;
use crate::ledger::Ledger;

/// Journals `event`, and waits until it is on disk.
pub async fn announce(ledger: &Ledger, event: Event) -> anyhow::Result<()> {
    ledger
        .announce(event)
        .await
        .context("the journal's writer stopped")?
        .context("the journal cannot be written")
}
