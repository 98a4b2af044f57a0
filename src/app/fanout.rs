//! Who sees what became durable: the living state first, then metrics and the log. On the writer's thread, so nobody here may wait.

use std::sync::Arc;

use crate::{
    gate::{event::Entry, name::WorkflowName, workflow::WorkflowState},
    ledger::{
        Ledger,
        port::{Projection, Ticket},
    },
    telemetry::{log, metrics::Metrics},
};

/// Tells everybody.
pub struct Fanout {
    /// The living state.
    pub ledger: Arc<Ledger>,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

impl Projection for Fanout {
    fn committed(&self, workflow: &WorkflowName, upto: Ticket, entries: &[Entry], state: &WorkflowState) {
        self.ledger.committed(workflow, upto, entries, state);
        // What concerns every workflow is shown to each of them, and told once by whoever announced it.
        for entry in entries.iter().filter(|entry| entry.workflow.is_some()) {
            self.metrics.observe(entry);
            log::effect(entry);
        }
    }

    fn refused(&self, workflow: &WorkflowName, tickets: &[Ticket], state: &WorkflowState) {
        self.ledger.refused(workflow, tickets, state);
    }
}
