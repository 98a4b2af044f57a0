//! What the journal has made durable shows in the living state, and what it refused is taken back.

use crate::gate::event::{Entry, Event};
use crate::gate::name::WorkflowName;
use crate::gate::workflow::WorkflowState;
use crate::journal::port::{Projection, Ticket};
use crate::ledger::living::Ledger;

impl Projection for Ledger {
    fn committed(
        &self,
        workflow: &WorkflowName,
        upto: Ticket,
        entries: &[Entry],
        state: &WorkflowState,
    ) {
        if entries
            .iter()
            .any(|entry| matches!(entry.event, Event::ClockAccepted { .. }))
        {
            self.clock.accept();
        }
        let mut everywhere = self.everywhere();
        everywhere.retain(|(ticket, _)| *ticket > upto);
        if let Some(shard) = self.shard(workflow) {
            drop(everywhere);
            shard.confirm(upto, entries, state);
        } else {
            let shard = self.add_shard(workflow, state);
            for (ticket, entry) in &*everywhere {
                shard.announce(entry);
                shard.enqueued(*ticket, entry);
            }
        }
    }

    fn refused(&self, workflow: &WorkflowName, tickets: &[Ticket], state: &WorkflowState) {
        self.everywhere()
            .retain(|(ticket, _)| !tickets.contains(ticket));
        if let Some(shard) = self.shard(workflow) {
            shard.refuse(tickets, state);
        }
    }
}
