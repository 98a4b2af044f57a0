//! A call in flight: opened in its run when the call is read, and settled exactly once, however the
//! call ends (G1). One that is dropped settles itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::reservations::Reservations;
use crate::gate::booking::Change;
use crate::gate::dedup::Reversal;
use crate::gate::digest::Digest;
use crate::gate::event::{Event, HeldBy, RefusedCall};
use crate::gate::incident;
use crate::gate::name::{ApprovalId, CallId, GrantId, RunId, Subject, ToolName};
use crate::gate::outcome::FailureMode;
use crate::gate::policy::finding::Finding;
use crate::gate::risk::Risk;
use crate::gate::run::{Executed, RunRef};
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::journal::record::CallRecord;
use crate::journal::revise::{Revise, RunTarget};
use crate::ledger::dedup::plan::PlannedOperation;
use crate::ledger::living::Ledger;
use crate::ledger::runs::charge::{book_high, charge, wire_charge};
use crate::ledger::runs::index::Key;
use crate::ledger::runs::open::{End, OpenRun, RunState};
use crate::ledger::workflow::WorkflowHandle;

/// A call in flight.
#[must_use = "a call that is dropped is settled"]
pub struct InFlightCall {
    pub(in crate::ledger) ledger: Arc<Ledger>,
    pub(in crate::ledger) handle: Arc<WorkflowHandle>,
    pub(in crate::ledger) facts: CallFacts,
    pub(in crate::ledger) run: JoinedRun,
    pub(in crate::ledger) decision: CallDecision,
    pub(in crate::ledger) reservations: Reservations,
    pub(in crate::ledger) progress: Progress,
    /// Its tool API failed it, even if a fallback answered.
    pub(in crate::ledger) failed: bool,
}

/// What is called.
pub(in crate::ledger) struct CallFacts {
    pub(in crate::ledger) id: CallId,
    pub(in crate::ledger) at: Time,
    pub(in crate::ledger) tool: ToolName,
    pub(in crate::ledger) risk: Risk,
    /// Sending it twice is the same as sending it once.
    pub(in crate::ledger) idempotent: bool,
    /// Its tool hands the case to a person.
    pub(in crate::ledger) escalation: bool,
    pub(in crate::ledger) subject: Option<Subject>,
    /// Its arguments, redacted, where a failure of it would be sampled.
    pub(in crate::ledger) sample: Option<Box<str>>,
    /// The arguments, where they are to be recorded.
    pub(in crate::ledger) args: Option<Arc<str>>,
}

/// The run that a call is part of.
pub(in crate::ledger) struct JoinedRun {
    pub(in crate::ledger) open: Arc<OpenRun>,
    /// What it is found by; `None` where the call is a run of its own.
    pub(in crate::ledger) key: Option<Key>,
    /// Its id, with a continuation's number.
    pub(in crate::ledger) id: RunId,
}

/// What was decided about a call so far.
pub(in crate::ledger) struct CallDecision {
    pub(in crate::ledger) verdict: Verdict,
    pub(in crate::ledger) rule: Option<&'static str>,
    /// What a rule in shadow said when it was judged: on record where the call goes all the same.
    pub(in crate::ledger) shadow: Option<(Verdict, &'static str)>,
    /// The admission is in the journal.
    pub(in crate::ledger) admitted: bool,
    /// A person approved it, and their grant was used for it.
    pub(in crate::ledger) granted: bool,
    /// The time-boxed grant that it goes under.
    pub(in crate::ledger) under: Option<GrantId>,
    /// The rule that would have held it, where it goes under such a grant.
    pub(in crate::ledger) held_by: Option<Box<HeldBy>>,
    /// Its run had escalated when it was judged.
    pub(in crate::ledger) escalated: bool,
    /// What a reviewer approved in its place.
    pub(in crate::ledger) edited: Option<Edited>,
    /// A person should see it first, and its run did not escalate.
    pub(in crate::ledger) unescalated: bool,
    /// It went upstream although no person saw it who should have.
    pub(in crate::ledger) missed: bool,
    /// What it is about to do, where that is to be remembered.
    pub(in crate::ledger) operation: Option<Box<PlannedOperation>>,
}

/// The approved edit that a call in flight is to be sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) struct Edited {
    pub(in crate::ledger) approval: ApprovalId,
    /// The digest of what was asked for.
    pub(in crate::ledger) asked: Digest,
    /// The digest of what was approved in its place.
    pub(in crate::ledger) sent: Digest,
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Provably not a byte of it went upstream.
    Waiting,
    /// Bytes may have gone upstream.
    Sent,
    /// The upstream answered with this status.
    Answered(u16),
    /// It is settled.
    Settled,
}

/// How a call turned out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settlement {
    /// The status the agent got.
    pub status: u16,
    /// What went wrong, with a note.
    pub modes: Vec<(FailureMode, &'static str)>,
}

/// What closing a call in its run came to.
#[derive(Default)]
struct Closed {
    /// The work of another call that it undid.
    undone: Option<Reversal>,
    /// It was the last call of its run.
    ends_run: bool,
}

impl CallDecision {
    /// This rule decided.
    pub(super) fn note(&mut self, finding: &Finding) {
        (self.verdict, self.rule) = (finding.verdict, Some(finding.rule.as_str()));
    }
}

impl Default for CallDecision {
    /// Nothing was decided yet, and nothing lets the call go.
    fn default() -> Self {
        CallDecision {
            verdict: Verdict::Deny,
            rule: None,
            shadow: None,
            admitted: false,
            granted: false,
            under: None,
            held_by: None,
            escalated: false,
            edited: None,
            unescalated: false,
            missed: false,
            operation: None,
        }
    }
}

impl InFlightCall {
    /// The call's id.
    #[must_use]
    pub const fn id(&self) -> CallId {
        self.facts.id
    }

    /// The workflow's policy and living state.
    #[must_use]
    pub const fn workflow(&self) -> &Arc<WorkflowHandle> {
        &self.handle
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &crate::gate::name::AgentName {
        &self.run.open.agent
    }

    /// The run's id, with a continuation's number.
    #[must_use]
    pub const fn run(&self) -> &RunId {
        &self.run.id
    }

    /// The call's tool.
    #[must_use]
    pub const fn tool(&self) -> &ToolName {
        &self.facts.tool
    }

    /// It may go: allowed, or in spite of what a rule in shadow says. What would have held it held
    /// nothing back where a person approved it.
    pub(in crate::ledger) fn allow(&mut self) {
        let shadow = self
            .decision
            .shadow
            .filter(|(verdict, _)| !self.decision.granted || *verdict == Verdict::Deny);
        (self.decision.verdict, self.decision.rule) = shadow
            .map_or((Verdict::Allow, None), |(verdict, rule)| {
                (verdict, Some(rule))
            });
    }

    /// The verdict so far.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.decision.verdict
    }

    /// Whether sending it twice is the same as sending it once.
    #[must_use]
    pub const fn is_idempotent(&self) -> bool {
        self.facts.idempotent
    }

    /// Not a byte of this attempt was sent after all.
    pub const fn mark_unsent(&mut self) {
        self.progress = Progress::Waiting;
    }

    /// The upstream's answer began.
    pub const fn answered(&mut self, status: u16) {
        self.progress = Progress::Answered(status);
    }

    /// Its tool API failed it, and something else answers for it.
    pub const fn fell_back(&mut self) {
        self.failed = true;
    }

    /// How far it has come.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// Sets its progress back: another attempt brought nothing that counts.
    pub const fn reset_progress(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// Settles the call.
    pub fn settle(mut self, result: Settlement) {
        let is_failed = result
            .modes
            .iter()
            .any(|(mode, _)| incident::is_failure(mode));
        if self.failed || is_failed {
            self.handle.fail(&self.facts.tool);
            self.ledger.failures.fetch_add(1, Ordering::Relaxed);
        }
        self.close(result);
    }

    fn close(&mut self, result: Settlement) {
        let executed = match std::mem::replace(&mut self.progress, Progress::Settled) {
            Progress::Settled => return,
            Progress::Waiting => Executed::No,
            Progress::Sent => Executed::Unknown,
            Progress::Answered(_) => Executed::Yes,
        };
        let now = self.ledger.now();
        let reserved = std::mem::take(&mut self.reservations);
        let operation = reserved.settle(executed, result.status);
        self.handle
            .count(Some(&self.facts.tool), self.decision.verdict);
        self.note_refused(executed, result.status, now);
        let closed = self.close_in_run(result, executed, now);
        self.journal_settled(executed, closed.undone, now);
        if closed.ends_run {
            self.ledger.end_run(
                &self.handle,
                self.run.key.as_ref(),
                &self.run.open,
                now,
                End::Finished,
            );
        }
        if let Some(operation) = operation {
            operation.commit(executed, now);
        }
    }

    /// A call that was denied, or would have been but for shadow, goes into the journal.
    fn note_refused(&self, executed: Executed, status: u16, now: Time) {
        if self.decision.verdict != Verdict::Deny {
            return;
        }
        let run = RunRef {
            agent: self.run.open.agent.clone(),
            run: self.run.id.clone(),
        };
        let rule = self.decision.rule.map(Into::into);
        let call = RefusedCall {
            call: self.facts.id,
            run,
            at: self.facts.at,
            tool: self.facts.tool.clone(),
            rule,
            status,
            executed,
        };
        if let Some(calls) = self.handle.shard.refusals().add(call, now) {
            self.handle
                .shard
                .write_refused(&*self.ledger.journal, (calls, Vec::new()), now);
        }
    }

    /// Books the call in its run.
    fn close_in_run(&mut self, result: Settlement, executed: Executed, now: Time) -> Closed {
        let open = Arc::clone(&self.run.open);
        let mut run = open.lock();
        if run.has_ended() {
            drop(run);
            self.close_late(result);
            return Closed::default();
        }
        let (status, failed) = (result.status, !result.modes.is_empty());
        self.record(&mut run, executed, status, now);
        self.charge_run(&mut run, result, executed, now);
        if let Some(sample) = self.facts.sample.take() {
            self.show_sample(&run, &sample, now);
        }
        run.in_flight -= 1;
        run.in_flight_ids.retain(|call| *call != self.facts.id);
        run.last_activity = now;
        let escalates = self.escalates(executed, status, failed);
        let first = escalates && run.escalate();
        let ends_run = self.run.key.is_none()
            || (run.in_flight == 0 && (run.ending || run.is_full(&self.handle.policy, now)));
        drop(run);
        if escalates && let Some(key) = &self.run.key {
            self.ledger.escalated(key, &self.run.id, now);
            if first {
                self.handle.note_escalated(&*self.ledger.journal, key, now);
            }
        }
        let undone = self
            .undid(executed, status, failed)
            .and_then(|undoing| self.ledger.undo(&undoing, self, now));
        Closed { undone, ends_run }
    }

    fn record(&mut self, run: &mut RunState, executed: Executed, status: u16, now: Time) {
        let booked_before = run.booked_at;
        if run.forwarded(self.facts.risk, executed)
            && let Some(booked_at) = booked_before
        {
            book_high(
                &*self.ledger.journal,
                &self.handle,
                &self.run.open,
                run,
                booked_at,
                now,
            );
            run.exposure.release(self.handle.shard.exposure());
        }
        run.calls.push(CallRecord {
            call: self.facts.id,
            at: self.facts.at,
            tool: self.facts.tool.clone(),
            risk: self.facts.risk,
            verdict: self.decision.verdict,
            executed,
            rule: self.decision.rule.map(Into::into),
            status,
            subject: self.facts.subject.take(),
            args: self.facts.args.take(),
        });
    }

    /// Charges the run for what went wrong, and for work that the call did a second time.
    fn charge_run(&self, run: &mut RunState, result: Settlement, executed: Executed, now: Time) {
        let repeated = self.repeated(executed);
        let wrong = result.modes.into_iter().chain(
            repeated
                .as_deref()
                .map(|note| (FailureMode::DuplicateWork, note)),
        );
        for (mode, note) in wrong {
            let note = Some(note).filter(|note| !note.is_empty());
            let charged = wire_charge(mode, self.facts.id, &self.facts.tool, note);
            drop(charge(
                &*self.ledger.journal,
                &self.handle,
                &self.run.open,
                run,
                charged,
                now,
            ));
        }
    }

    /// Tells the journal that the call is over; after everything that it cost. A crash between the
    /// two finds an open call, and books it as ambiguous: the other way round it would find a call
    /// that is over and cost nothing (G9).
    fn journal_settled(&self, executed: Executed, undid: Option<Reversal>, now: Time) {
        if self.decision.admitted {
            let mut live = self.handle.shard.lock();
            let settled = Event::Settled {
                call: self.facts.id,
                executed,
                undid,
            };
            drop(
                self.handle
                    .shard
                    .append(&mut live, &*self.ledger.journal, now, settled),
            );
        }
    }

    /// The gate stopped while the call was under way, and its run was booked without it: what went
    /// wrong is late news.
    pub(in crate::ledger) fn close_late(&self, result: Settlement) {
        let target = RunTarget::Run {
            run: self.run.id.clone(),
            workflow: Some(self.handle.policy.name.clone()),
            agent: Some(self.run.open.agent.clone()),
        };
        for (mode, note) in result.modes {
            let change = Change::Report(wire_charge(
                mode,
                self.facts.id,
                &self.facts.tool,
                Some(note).filter(|note| !note.is_empty()),
            ));
            drop(self.ledger.journal.revise(Revise {
                target: target.clone(),
                at: self.ledger.now(),
                change,
                open: Vec::new(),
            }));
        }
    }
}

impl Drop for InFlightCall {
    /// A call that nobody settled: sent and abandoned is ambiguous, which is a failure unless
    /// sending it again would do no harm.
    fn drop(&mut self) {
        let mut result = Settlement::default();
        match self.progress {
            Progress::Sent if !self.facts.idempotent => result.modes.push((
                FailureMode::Timeout,
                "ambiguous: sent, and nobody waited for the answer",
            )),
            Progress::Answered(status) => {
                result.status = status;
                if status >= 500 {
                    result.modes.push((
                        FailureMode::ToolError,
                        "the tool answered with a server error",
                    ));
                }
            }
            Progress::Sent | Progress::Waiting | Progress::Settled => {}
        }
        self.close(result);
    }
}
