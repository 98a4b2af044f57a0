//! The way from the ledger to its journal, where a test lets something happen right before an entry
//! is handed over, or right behind it, while the ledger is still at it.

use std::sync::{Arc, Mutex};

use burngate::gate::event::{Entry, Event};
use burngate::gate::name::{AgentName, RunId, WorkflowName};
use burngate::journal::memory::MemoryJournal;
use burngate::journal::port::{Appended, Journal};
use burngate::journal::receipt::Receipt;
use burngate::journal::record::RunRecord;
use burngate::journal::revise::{Batch, Revise, ReviseError, Revised, RevisedAll};
use burngate::journal::unavailable::Unavailable;

pub(crate) struct Handover {
    journal: Arc<MemoryJournal>,
    interlude: Mutex<Option<Interlude>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    Behind,
}

struct Interlude {
    side: Side,
    is_awaited: fn(&Event) -> bool,
    happens: Box<dyn FnOnce() + Send>,
}

impl Handover {
    pub(crate) fn to(journal: Arc<MemoryJournal>) -> Arc<Self> {
        Arc::new(Handover {
            journal,
            interlude: Mutex::new(None),
        })
    }

    /// Lets something happen on one side of the next event of a kind, once.
    pub(crate) fn interrupt(
        &self,
        side: Side,
        is_awaited: fn(&Event) -> bool,
        happens: impl FnOnce() + Send + 'static,
    ) {
        *self.interlude.lock().unwrap() = Some(Interlude {
            side,
            is_awaited,
            happens: Box::new(happens),
        });
    }

    fn take(&self, side: Side, event: &Event) -> Option<Interlude> {
        let is_due = |known: &mut Interlude| known.side == side && (known.is_awaited)(event);
        self.interlude.lock().unwrap().take_if(is_due)
    }
}

impl Journal for Handover {
    fn append(&self, entry: Entry) -> Appended {
        if let Some(interlude) = self.take(Side::Before, &entry.event) {
            (interlude.happens)();
        }
        let behind = self.take(Side::Behind, &entry.event);
        let appended = self.journal.append(entry);
        if let Some(interlude) = behind {
            (interlude.happens)();
        }
        appended
    }

    fn record(&self, run: RunRecord) {
        self.journal.record(run);
    }

    fn ready(&self) -> bool {
        self.journal.ready()
    }

    fn room(&self) -> bool {
        self.journal.room()
    }

    fn revise(&self, revise: Revise) -> Receipt<Result<Revised, ReviseError>> {
        self.journal.revise(revise)
    }

    fn revise_all(&self, batch: Batch) -> Receipt<Result<RevisedAll, ReviseError>> {
        self.journal.revise_all(batch)
    }

    fn last_number(
        &self,
        workflow: &WorkflowName,
        agent: &AgentName,
        run: &RunId,
    ) -> Result<u64, Unavailable> {
        self.journal.last_number(workflow, agent, run)
    }
}
