//! Escalation: whether a run handed its case to a person, and whether it should have.
//!
//! A run escalates when a tool that the policy marks `escalation` has answered, or when it is
//! finished as escalated. A call that its tool's `escalate_when` matches should come after that.
//! Where it does not, it is a missed escalation: caught when a person or a rule stops it, and a
//! failure of the run the moment it is sent. Which calls wait once a run has escalated is for the
//! policy to say ([`crate::gate::policy::judge`]).
//!
//! A run's continuations go on where it left off: ending a run does not take its case back from the
//! person, and neither does a restart of the gate.

use super::in_flight::{InFlightCall, Settlement};
use super::outcome::Admit;
use super::refusal::Refusal;
use crate::gate::event::Event;
use crate::gate::name::RunId;
use crate::gate::outcome::FailureMode;
use crate::gate::policy::judge;
use crate::gate::policy::judge::Case;
use crate::gate::run::{Executed, RunRef};
use crate::gate::run_flags::RunFlag;
use crate::gate::time::Time;
use crate::journal::port::Journal;
use crate::ledger::living::Ledger;
use crate::ledger::runs::charge::{charge, wire_charge};
use crate::ledger::runs::index::Key;
use crate::ledger::workflow::WorkflowHandle;

/// What a call has to do with escalating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum EscalationNeed {
    /// Nothing.
    Plain,
    /// A person should see it first, and its run escalated.
    Escalated,
    /// A person should see it first, and its run did not escalate.
    Unescalated,
}

/// Is the call one that a person should see first?
pub(in crate::ledger) fn escalation_need(case: &Case<'_>) -> EscalationNeed {
    match case.tool {
        Some(tool) if tool.escalate_when.is_some() && judge::should_escalate(case) => {
            if case.facts.run.escalated {
                EscalationNeed::Escalated
            } else {
                EscalationNeed::Unescalated
            }
        }
        Some(_) | None => EscalationNeed::Plain,
    }
}

impl InFlightCall {
    /// Notes what the call has to do with escalating.
    pub(in crate::ledger) fn note_escalation(&mut self, need: EscalationNeed) {
        self.decision.unescalated = need == EscalationNeed::Unescalated && !self.decision.missed;
        if need != EscalationNeed::Plain {
            let mut run = self.run.open.lock();
            run.flags = run.flags.with(RunFlag::EscalationDue);
        }
    }

    /// The call goes upstream. Where a person should have seen it first, that is a failure of the
    /// run, charged now.
    pub(in crate::ledger) fn miss_escalation(&mut self) {
        if !std::mem::take(&mut self.decision.unescalated) {
            return;
        }
        self.decision.missed = true;
        let note = "nobody saw it who should have";
        let mut run = self.run.open.lock();
        if run.has_ended() {
            drop(run);
            return self.close_late(Settlement {
                status: 0,
                modes: vec![(FailureMode::MissedEscalation, note)],
            });
        }
        let missed = wire_charge(
            FailureMode::MissedEscalation,
            self.facts.id,
            &self.facts.tool,
            Some(note),
        );
        drop(charge(
            &*self.ledger.journal,
            &self.handle,
            &self.run.open,
            &mut run,
            missed,
            self.ledger.now(),
        ));
    }

    /// Did this call hand the case over? Only one that was answered without a failure did.
    pub(in crate::ledger) fn escalates(
        &self,
        executed: Executed,
        status: u16,
        failed: bool,
    ) -> bool {
        self.facts.escalation && executed == Executed::Yes && status < 400 && !failed
    }
}

impl Admit {
    /// Notes on the run that a missed escalation was caught, where the call was stopped or a person
    /// saw it.
    pub(in crate::ledger) fn catch_escalation(mut self) -> Self {
        let call = match &mut self {
            Admit::Held { call, .. }
            | Admit::Refused {
                call,
                refusal: Refusal::Rule(_) | Refusal::Done(_),
            } => call,
            Admit::Pass { permit, .. } if permit.call().decision.granted => permit.call_mut(),
            // It was not stopped, or not for what it asks.
            Admit::Pass { .. }
            | Admit::Edited { .. }
            | Admit::Unread { .. }
            | Admit::Answered { .. }
            | Admit::Refused { .. } => return self,
        };
        if std::mem::take(&mut call.decision.unescalated) {
            let mut run = call.run.open.lock();
            run.flags = run.flags.with(RunFlag::EscalationCaught);
        }
        self
    }
}

impl WorkflowHandle {
    /// The journal knows that the id `key` escalated, so that a restart does not take the case back
    /// from the person.
    pub(in crate::ledger) fn note_escalated(&self, journal: &dyn Journal, key: &Key, now: Time) {
        let run = RunRef {
            agent: key.agent.clone(),
            run: key.run.clone(),
        };
        drop(self.shard.append(
            &mut self.shard.lock(),
            journal,
            now,
            Event::Escalated { run },
        ));
    }
}

impl Ledger {
    /// A call of the run `id` escalated. A run that continues it under the same key has escalated as
    /// well.
    pub(in crate::ledger) fn escalated(&self, key: &Key, id: &RunId, now: Time) {
        if let Some(open) = self.runs.get(key) {
            let mut run = open.lock();
            run.escalated = true;
            if run.id == *id {
                return;
            }
        }
        self.runs.keep_escalated(key, now);
    }
}
