//! Who sees what became durable: the living state first, then metrics and the log. On the writer's
//! thread, so nobody here may wait.

use std::sync::Arc;

use crate::gate::event::Entry;
use crate::gate::name::WorkflowName;
use crate::gate::workflow::WorkflowState;
use crate::journal::port::{Projection, Ticket};
use crate::ledger::Ledger;
use crate::telemetry::log;
use crate::telemetry::metrics::Metrics;

/// Tells everybody.
pub struct Fanout {
    /// The living state.
    pub ledger: Arc<Ledger>,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

impl Projection for Fanout {
    fn committed(
        &self,
        workflow: &WorkflowName,
        upto: Ticket,
        entries: &[Entry],
        state: &WorkflowState,
    ) {
        self.ledger.committed(workflow, upto, entries, state);
        for entry in entries.iter().filter(|entry| entry.workflow.is_some()) {
            self.tell(entry);
            self.metrics.observe_people(entry, state);
        }
    }

    fn announced(&self, entry: &Entry) {
        self.tell(entry);
    }

    fn refused(&self, workflow: &WorkflowName, tickets: &[Ticket], state: &WorkflowState) {
        self.ledger.refused(workflow, tickets, state);
    }
}

impl Fanout {
    fn tell(&self, entry: &Entry) {
        self.metrics.observe(entry);
        self.metrics.journal_lag(self.ledger.now().since(entry.at));
        log::effect(entry);
    }
}
