//! The right to forward one call, and the duty to settle it.
//!
//! A [`InFlightCall`] is a call's place in its run: taken when the call is read, and settled exactly once,
//! however the call ends (G1); a call that is dropped settles itself. A [`Permit`] is a call that
//! the verdict has passed. Only `ledger::call::admit` mints one, nothing is forwarded without one, and
//! one that is older than a clamp is worth nothing (G2).

use std::sync::Arc;

use super::dedup::Doing;
use crate::gate::booking::Change;
use crate::gate::dedup::Reversal;
use crate::gate::event::{Event, HeldBy};
use crate::gate::incident;
use crate::gate::name::{CallId, GrantId, RunId, Subject, ToolName};
use crate::gate::outcome::FailureMode;
use crate::gate::risk::Risk;
use crate::gate::run::Executed;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::journal::record::CallRecord;
use crate::journal::revise::{Revise, RunTarget};
use crate::ledger::caps::{ConcurrencySlot, Metered};
use crate::ledger::people::edit::Edited;
use crate::ledger::runs::open;
use crate::ledger::runs::open::OpenRun;
use crate::ledger::{Ledger, WorkflowHandle};

/// A call's place in its run.
#[must_use = "a call that is dropped settles its call"]
pub struct InFlightCall {
    pub(in crate::ledger) ledger: Arc<Ledger>,
    pub(in crate::ledger) handle: Arc<WorkflowHandle>,
    pub(in crate::ledger) run: Arc<OpenRun>,
    pub(in crate::ledger) key: Option<crate::ledger::runs::open::Key>,
    pub(in crate::ledger) run_id: RunId,
    pub(in crate::ledger) id: CallId,
    pub(in crate::ledger) at: Time,
    pub(in crate::ledger) tool: ToolName,
    pub(in crate::ledger) risk: Risk,
    pub(in crate::ledger) idempotent: bool,
    pub(in crate::ledger) subject: Option<Subject>,
    /// What its arguments look like, where that is of interest.
    pub(in crate::ledger) sample: Option<Box<str>>,
    /// The arguments, where they are to be recorded.
    pub(in crate::ledger) args: Option<Arc<str>>,
    pub(in crate::ledger) verdict: Verdict,
    pub(in crate::ledger) rule: Option<&'static str>,
    /// What was only watched when it was judged: on record where it goes all the same.
    pub(in crate::ledger) watched: Option<(Verdict, &'static str)>,
    /// The admission is in the journal.
    pub(in crate::ledger) admitted: bool,
    /// A grant was used for it.
    pub(in crate::ledger) granted: bool,
    /// The time-boxed grant that it goes under.
    pub(in crate::ledger) under: Option<GrantId>,
    /// The rule that would have held it, where it does.
    pub(in crate::ledger) held_by: Option<Box<HeldBy>>,
    /// Its run escalated when it was judged.
    pub(in crate::ledger) escalated: bool,
    /// What a reviewer approved in its place.
    pub(in crate::ledger) edited: Option<Edited>,
    /// Its place among the calls in flight.
    pub(in crate::ledger) slot: Option<ConcurrencySlot>,
    /// It took from the volumes.
    pub(in crate::ledger) metered: Option<Metered>,
    /// It is one of the risky calls that its run has a place for.
    pub(in crate::ledger) exposed: bool,
    /// It counts among the same calls of its run.
    pub(in crate::ledger) print: Option<u64>,
    /// Its tool hands the case to a person.
    pub(in crate::ledger) escalation: bool,
    /// A person should see it first, and its run did not escalate.
    pub(in crate::ledger) unescalated: bool,
    /// It went upstream although no person saw it who should have.
    pub(in crate::ledger) missed: bool,
    /// What it does, where that is remembered.
    pub(in crate::ledger) doing: Option<Box<Doing>>,
    /// Its tool API failed it, whoever answered at last.
    pub(in crate::ledger) failed: bool,
    pub(in crate::ledger) progress: Progress,
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

/// The right to forward one call, once.
#[must_use = "a permit that is dropped settles its call as not executed"]
pub struct Permit {
    pub(in crate::ledger) call: InFlightCall,
    pub(in crate::ledger) epoch: u64,
}

impl Permit {
    /// The call back, where a clamp came after this permit: the call must be admitted again.
    pub fn check(self) -> Result<Permit, Box<InFlightCall>> {
        if self.epoch == self.call.ledger.epoch() {
            Ok(self)
        } else {
            Err(Box::new(self.call))
        }
    }

    /// Spends the permit on the call's first byte. What comes back settles the call.
    pub fn spend(mut self) -> InFlightCall {
        self.call.miss_escalation();
        self.call.progress = Progress::Sent;
        self.call
    }

    /// The call back: it is not forwarded after all.
    pub fn give_up(self) -> InFlightCall {
        self.call
    }

    /// The call.
    pub const fn call(&self) -> &InFlightCall {
        &self.call
    }
}

impl InFlightCall {
    /// The call's id.
    #[must_use]
    pub const fn id(&self) -> CallId {
        self.id
    }

    /// The workflow's policy and living state.
    #[must_use]
    pub const fn workflow(&self) -> &Arc<WorkflowHandle> {
        &self.handle
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &crate::gate::name::AgentName {
        &self.run.agent
    }

    /// The run's id, with a continuation's number.
    #[must_use]
    pub const fn run(&self) -> &RunId {
        &self.run_id
    }

    /// The call's tool.
    #[must_use]
    pub const fn tool(&self) -> &ToolName {
        &self.tool
    }

    /// It goes: allowed, or in spite of what is only watched. What would have held it held nothing
    /// back where a person approved it.
    pub(in crate::ledger) fn let_go(&mut self) {
        let watched = self
            .watched
            .filter(|(verdict, _)| !self.granted || *verdict == Verdict::Deny);
        (self.verdict, self.rule) = watched.map_or((Verdict::Allow, None), |(verdict, rule)| {
            (verdict, Some(rule))
        });
    }

    /// The verdict so far.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether sending it twice is the same as sending it once.
    #[must_use]
    pub const fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    /// Not a byte of this attempt went upstream after all.
    pub const fn unsent(&mut self) {
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

    /// It has come no further than this after all: another attempt brought nothing that counts.
    pub const fn stand_at(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// Settles the call.
    pub fn settle(mut self, result: Settlement) {
        if self.failed
            || result
                .modes
                .iter()
                .any(|(mode, _)| incident::is_failure(mode))
        {
            self.handle.fail(&self.tool);
            self.ledger
                .failures
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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
        if let Some(slot) = self.slot.take() {
            slot.release(self.handle.shard.traffic());
        }
        if executed == Executed::No
            && let Some(metered) = self.metered.take()
        {
            metered.give_back(self.handle.shard.traffic());
        }
        self.handle.count(Some(&self.tool), self.verdict);
        self.note_refused(executed, result.status, now);
        let mut run = self.run.lock();
        if run.has_ended() {
            drop(run);
            self.close_late(result);
            self.settled(executed, None, now);
            return self.close_operation(executed, now);
        }
        if self.exposed && executed == Executed::No {
            run.spare(&self.handle.shard);
        }
        if let Some(print) = self.uncounts_repeat(executed != Executed::No, result.status) {
            run.repeats.give_back(print);
        }
        let booked_before = run.booked_at;
        if run.forwarded(self.risk, executed)
            && let Some(booked_at) = booked_before
        {
            self.ledger
                .book_high(&self.handle, &self.run, &run, booked_at, now);
            run.leave_places(&self.handle.shard);
        }
        run.calls.push(CallRecord {
            call: self.id,
            at: self.at,
            tool: self.tool.clone(),
            risk: self.risk,
            verdict: self.verdict,
            executed,
            rule: self.rule.map(Into::into),
            status: result.status,
            subject: self.subject.take(),
            args: self.args.take(),
        });
        let failed = !result.modes.is_empty();
        let undid = self.undid(executed, result.status, failed);
        for (mode, note) in result.modes {
            let charge = open::wire_charge(
                mode,
                self.id,
                &self.tool,
                Some(note).filter(|note| !note.is_empty()),
            );
            drop(open::charge(
                &*self.ledger.journal,
                &self.handle,
                &self.run,
                &mut run,
                charge,
                now,
            ));
        }
        if let Some(note) = self.repeated(executed) {
            let charge =
                open::wire_charge(FailureMode::DuplicateWork, self.id, &self.tool, Some(&note));
            drop(open::charge(
                &*self.ledger.journal,
                &self.handle,
                &self.run,
                &mut run,
                charge,
                now,
            ));
        }
        if let Some(sample) = self.sample.take() {
            self.show_sample(&run, &sample, now);
        }
        run.in_flight -= 1;
        run.flying.retain(|call| *call != self.id);
        run.touched = now;
        let escalates = self.escalates(executed, result.status, failed);
        let first = escalates && run.escalate();
        let over = self.key.is_none()
            || (run.in_flight == 0 && (run.ending || run.is_full(&self.handle.policy, now)));
        drop(run);
        if escalates && let Some(key) = &self.key {
            self.ledger.escalated(key, &self.run_id, now);
            if first {
                self.handle.note_escalated(&*self.ledger.journal, key, now);
            }
        }
        let undone = undid.and_then(|undoing| self.ledger.undo(&undoing, self, now));
        self.settled(executed, undone, now);
        if over {
            self.ledger.end_run(
                &self.handle,
                self.key.as_ref(),
                &self.run,
                now,
                open::End::Finished,
            );
        }
        // Last, so that whoever finds the work done finds its run in the journal as well.
        self.close_operation(executed, now);
    }

    /// Tells the journal that the call is over; after everything that it cost. A crash between the
    /// two finds an open call, and books it as ambiguous: the other way round it would find a call
    /// that is over and cost nothing (G9).
    fn settled(&self, executed: Executed, undid: Option<Reversal>, now: Time) {
        if self.admitted {
            let mut live = self.handle.shard.lock();
            let settled = Event::Settled {
                call: self.id,
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
            run: self.run_id.clone(),
            workflow: Some(self.handle.policy.name.clone()),
            agent: Some(self.run.agent.clone()),
        };
        for (mode, note) in result.modes {
            let change = Change::Report(open::wire_charge(
                mode,
                self.id,
                &self.tool,
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
            Progress::Sent if !self.idempotent => result.modes.push((
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
