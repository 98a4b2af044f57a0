//! The admission of a call to a medium or high tool, and of any use of a grant: in the journal
//! before the call may go.

use super::in_flight::InFlightCall;
use crate::gate::digest::Digest;
use crate::gate::event::{Admission, Event};
use crate::gate::name::ApprovalId;
use crate::gate::run::RunRef;
use crate::gate::time::Time;
use crate::journal::port::Durable;
use crate::ledger::living::Ledger;
use crate::ledger::shard::Live;

/// An approval that is used, the digest that was approved, and the one that is sent where that is
/// another.
pub(in crate::ledger) type Used = (ApprovalId, Digest, Option<Digest>);

impl Ledger {
    pub(in crate::ledger) fn journal_admission(
        &self,
        call: &mut InFlightCall,
        live: &mut Live,
        used: Option<Used>,
        now: Time,
    ) -> Durable {
        let run = RunRef {
            agent: call.run.open.agent.clone(),
            run: call.run.id.clone(),
        };
        let admission = Admission {
            call: call.facts.id,
            run,
            tool: call.facts.tool.clone(),
            risk: call.facts.risk,
            idempotent: call.facts.idempotent,
            subject: call.facts.subject.clone(),
            approval: used.map(|(approval, ..)| approval),
            digest: used.map(|(_, digest, _)| digest),
            sent: used.and_then(|(.., sent)| sent),
            under: call.decision.under.filter(|_| used.is_none()),
            held_by: call
                .decision
                .held_by
                .as_deref()
                .filter(|_| call.decision.under.is_some() && used.is_none())
                .cloned(),
            operation: call.operation(),
        };
        call.decision.admitted = true;
        call.handle
            .shard
            .append(live, &*self.journal, now, Event::Admitted(admission))
            .durable
    }
}
