//! Journals what the process itself does, and waits until that is on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;

use crate::gate::event::Event;
use crate::gate::name::WorkflowName;
use crate::journal::port::Durable;
use crate::ledger::Ledger;

/// Journals `event`, and waits until it is on disk.
pub async fn announce(ledger: &Ledger, event: Event) -> anyhow::Result<()> {
    on_disk(ledger.announce(event)).await
}

/// Journals what of each workflow is held back, where the journal does not know it yet, and waits
/// until it is on disk.
pub(super) async fn announce_held_back(
    ledger: &Ledger,
    held: &BTreeMap<WorkflowName, Arc<str>>,
) -> anyhow::Result<()> {
    for (workflow, what) in held {
        if let Some(receipt) = ledger.hold_back(workflow, what) {
            on_disk(receipt).await?;
        }
    }
    Ok(())
}

/// Waits until what `receipt` is for is on disk.
pub(super) async fn on_disk(receipt: Durable) -> anyhow::Result<()> {
    receipt
        .await
        .context("the journal's writer stopped")?
        .context("the journal cannot be written")
}
