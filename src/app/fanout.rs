//! Passes on what became durable: to the ledger first, then to metrics and the log. It runs on the
//! writer's thread, so nothing here may wait.

use std::sync::Arc;

use crate::gate::event::Entry;
use crate::gate::name::WorkflowName;
use crate::gate::workflow::WorkflowState;
use crate::journal::port::{Projection, Ticket};
use crate::ledger::Ledger;
use crate::telemetry::log;
use crate::telemetry::metrics::Metrics;

/// Passes committed entries on.
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
            self.observe(entry);
            self.metrics.observe_people(entry, state);
        }
    }

    fn announced(&self, entry: &Entry) {
        self.observe(entry);
    }

    fn refused(&self, workflow: &WorkflowName, tickets: &[Ticket], state: &WorkflowState) {
        self.ledger.refused(workflow, tickets, state);
    }
}

impl Fanout {
    fn observe(&self, entry: &Entry) {
        self.metrics.observe(entry);
        self.metrics.journal_lag(self.ledger.now().since(entry.at));
        log::event(entry);
    }
}
