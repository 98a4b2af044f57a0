//! Was it done already, and how much of it? Looks a call up in the dedup index
//! ([`crate::ledger::dedup`]) and enters it there.
//!
//! A refused duplicate is charged to its run as duplicate work where the earlier call was answered:
//! the agent knew that it was done. While that answer is still to come, or was lost, asking again
//! is a retry, and costs nothing.

use std::sync::Arc;

use super::in_flight::InFlightCall;
use super::input::DecisionInput;
use super::outcome::Admit;
use super::refusal::Refusal;
use crate::gate::booking::Change;
use crate::gate::dedup::{CallStage, DedupIndex, Doer, EarlierCall, Keyed, Operation, Reversal};
use crate::gate::name::Subject;
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::policy::dedup;
use crate::gate::policy::facts::Facts;
use crate::gate::policy::finding::{Finding, RuleName, Unreadable};
use crate::gate::policy::judge::Judged;
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, Executed, RunRef};
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::journal::revise::{Revise, RunTarget};
use crate::ledger::dedup::answers::StoredAnswer;
use crate::ledger::dedup::plan::{PlannedOperation, Undoing, digest, key_of};
use crate::ledger::dedup::{DedupEntry, DedupFinding};
use crate::ledger::living::Ledger;
use crate::ledger::runs::charge::{charge, wire_charge};

/// What a call is to be looked up by.
pub(in crate::ledger) enum Planned {
    /// Nothing.
    Nothing,
    /// What the call is about to do.
    Operation(Box<PlannedOperation>),
    /// The body must be read first.
    Unread,
    /// It cannot be looked up.
    Refused(Refusal),
}

/// What looking the call up comes to.
pub(in crate::ledger) enum Recall {
    /// The judgement goes on, with what was found.
    Continue(InFlightCall, Judged),
    /// The judgement ends here.
    Final(Admit),
}

impl Ledger {
    /// A copy of the dedup index.
    #[must_use]
    pub fn dedup(&self) -> DedupIndex {
        self.dedup.lock().index.clone()
    }

    /// What the call is about to do. Costs a branch where no rule wants that remembered.
    pub(in crate::ledger) fn plan_operation(
        call: &InFlightCall,
        input: &DecisionInput<'_>,
        facts: &Facts<'_>,
        subject: Option<&Subject>,
        finding: Option<&Finding>,
        now: Time,
    ) -> Planned {
        let Some(tool) = input
            .tool
            .filter(|tool| tool.dedup.is_some() || tool.risk != Risk::Read)
        else {
            return Planned::Nothing;
        };
        if call.reservations.dedup.is_some() {
            return Planned::Nothing;
        }
        // What is denied does nothing.
        if finding.is_some_and(|finding| finding.verdict == Verdict::Deny) {
            return Planned::Nothing;
        }
        let shadow = call.handle.policy.mode.is_shadow(now) || tool.mode.is_shadow(now);
        // In shadow the key is between the agent and the upstream.
        let key = match if shadow {
            Ok(None)
        } else {
            key_of(input.header)
        } {
            Ok(key) => key,
            Err(why) => return Planned::Refused(Refusal::IdempotencyKey(why)),
        };
        if tool.dedup.is_none() && key.is_none() {
            return Planned::Nothing;
        }
        let (workflow, agent) = (call.handle.policy.name.as_str(), input.agent.as_str());
        let key = match key.map(|key| {
            // An answer to one holder of credentials is no answer to another.
            let holder = input.review.bound().credentials;
            let holder = holder.map_or_else(String::new, |holder| holder.to_string());
            (
                digest(&["key", workflow, agent, tool.name.as_str(), &holder, &key]),
                input.review.digest(workflow, agent),
            )
        }) {
            Some((_, None)) => return Planned::Unread,
            Some((key, Some(payload))) => Some(Keyed { key, payload }),
            None => None,
        };
        let mut planned = Box::new(PlannedOperation::of(Arc::clone(tool), key, shadow));
        if let Some(rules) = &tool.dedup {
            let reading = match dedup::reading::read(tool, rules, facts, subject, now) {
                Ok(reading) => reading,
                Err(Unreadable(what)) => return Planned::Refused(Refusal::Unreadable(what)),
            };
            planned.optional |= planned.operation.key.is_none() && rules.is_all_shadow(now);
            planned.plan(rules, reading, workflow, agent, subject);
        }
        Planned::Operation(planned)
    }

    /// Looks up whether it was done, and enters it where nothing stops it.
    pub(in crate::ledger) fn recall(
        &self,
        mut call: InFlightCall,
        mut planned: Box<PlannedOperation>,
        judged: Judged,
        now: Time,
    ) -> Recall {
        let doer = call.doer();
        let mut dedup = self.dedup.lock();
        dedup.expire(now);
        let checked = dedup.check(&planned, &doer, false, now);
        if let Some(answer) = checked.answer {
            drop(dedup);
            (call.decision.verdict, call.decision.rule) =
                (Verdict::Allow, Some(RuleName::Idempotency.as_str()));
            return Recall::Final(Admit::Answered { call, answer });
        }
        planned.repeats = checked.repeats;
        if checked.found.is_none() && judged.acts.is_none() {
            call.reservations.dedup =
                DedupEntry::take(&self.dedup, &mut dedup, &mut planned, &doer, now);
        }
        drop(dedup);
        call.decision.operation = Some(planned);
        let acts = match checked.found {
            Some(recalled) if recalled.finding.verdict == Verdict::Deny => {
                return Recall::Final(self.deny_recalled(call, recalled, now));
            }
            found => found.map(|recalled| recalled.finding),
        };
        // What was done before counts ahead of whatever else may hold the call.
        Recall::Continue(
            call,
            judged.after(Judged {
                acts,
                shadow: checked.shadow,
            }),
        )
    }

    /// A person approved the call: enters it, unless it was done in the meantime or a limit denies
    /// it. What only held it does not hold it again.
    pub(in crate::ledger) fn take_approved(
        &self,
        call: &mut InFlightCall,
        now: Time,
    ) -> Option<DedupFinding> {
        if call.is_remembered() {
            return None;
        }
        let mut planned = call.decision.operation.take()?;
        let doer = call.doer();
        let mut dedup = self.dedup.lock();
        let checked = dedup.check(&planned, &doer, true, now);
        if checked.found.is_none() {
            planned.repeats = checked.repeats;
            call.reservations.dedup =
                DedupEntry::take(&self.dedup, &mut dedup, &mut planned, &doer, now);
        }
        drop(dedup);
        call.decision.operation = Some(planned);
        checked.found
    }

    /// A review of the call is skipped: enters it. False where something was done in the meantime
    /// that nobody looked at: then somebody has to.
    pub(in crate::ledger) fn take_unreviewed(&self, call: &mut InFlightCall, now: Time) -> bool {
        if call.is_remembered() {
            return true;
        }
        let Some(mut planned) = call.decision.operation.take() else {
            return true;
        };
        let doer = call.doer();
        let mut dedup = self.dedup.lock();
        let checked = dedup.check(&planned, &doer, false, now);
        let is_free = checked.found.is_none() && checked.answer.is_none();
        if is_free {
            planned.repeats = checked.repeats;
            call.reservations.dedup =
                DedupEntry::take(&self.dedup, &mut dedup, &mut planned, &doer, now);
        }
        drop(dedup);
        call.decision.operation = Some(planned);
        is_free
    }

    /// Refuses the call for what was done before, and charges its run where the agent knew of that.
    pub(in crate::ledger) fn deny_recalled(
        &self,
        mut call: InFlightCall,
        recalled: DedupFinding,
        now: Time,
    ) -> Admit {
        call.decision.note(&recalled.finding);
        let answered = recalled.earlier.as_ref().filter(|earlier| {
            recalled.finding.rule == RuleName::Duplicate && earlier.stage == CallStage::Done
        });
        if let Some(earlier) = answered {
            let note = format!(
                "refused: done already by call {} of run {}",
                earlier.doer.call, earlier.doer.run.run
            );
            let charged = wire_charge(
                FailureMode::DuplicateWork,
                call.facts.id,
                &call.facts.tool,
                Some(&note),
            );
            drop(charge(
                &*self.journal,
                &call.handle,
                &call.run.open,
                &mut call.run.open.lock(),
                charged,
                now,
            ));
        }
        Admit::Refused {
            call,
            refusal: Refusal::Done(Box::new(recalled)),
        }
    }

    /// The call `by` undid this work: the run that did it did it for nothing, and is charged,
    /// whether it is open or was booked. Of several calls that did it, each is undone once, the
    /// newest first. The same undoing call is one report.
    pub(in crate::ledger) fn undo(
        &self,
        undoing: &Undoing,
        by: &InFlightCall,
        now: Time,
    ) -> Option<Reversal> {
        let mut dedup = self.dedup.lock();
        let EarlierCall { doer, .. } = dedup
            .index
            .undoable(&undoing.work, undoing.within, now, by.facts.id)?
            .clone();
        // Only what the journal learns of is undone here: after a restart the two must agree.
        let undone = by.decision.admitted.then_some(Reversal {
            work: undoing.work,
            call: doer.call,
        });
        if let Some(undone) = undone {
            dedup.index.undo(undone);
        }
        drop(dedup);
        let charge = Charge {
            mode: FailureMode::DuplicateWork,
            source: Source::Wire,
            by: None,
            call: Some(doer.call),
            tool: Some(undoing.tool.clone()),
            note: Some(format!("undone by call {} of `{}`", by.facts.id, by.facts.tool).into()),
            reference: Some(by.facts.id.to_string().into()),
        };
        let target = RunTarget::Run {
            run: doer.run.run.clone(),
            workflow: Some(doer.workflow.clone()),
            agent: Some(doer.run.agent.clone()),
        };
        match self
            .runs
            .by_id(&doer.workflow, &doer.run.agent, &doer.run.run)
        {
            Some(open) => drop(self.report_open(&open, target, charge)),
            None => drop(self.journal.revise(Revise {
                target,
                at: now,
                change: Change::Report(charge),
                open: Vec::new(),
            })),
        }
        undone
    }
}

impl InFlightCall {
    /// Is what it does remembered? Then it is in the journal before it may go.
    pub(in crate::ledger) fn is_remembered(&self) -> bool {
        self.reservations.dedup.is_some()
    }

    /// What is remembered of it.
    pub(in crate::ledger) fn operation(&self) -> Option<Box<Operation>> {
        self.decision
            .operation
            .as_ref()
            .filter(|_| self.is_remembered())
            .map(|planned| Box::new(planned.operation.clone()))
    }

    /// Will its answer be asked for again?
    #[must_use]
    pub fn keeps_answer(&self) -> bool {
        self.reservations
            .dedup
            .as_ref()
            .is_some_and(DedupEntry::is_keyed)
    }

    /// This is its answer.
    pub fn keep_answer(&mut self, answer: StoredAnswer) {
        if let Some(entry) = &mut self.reservations.dedup {
            entry.keep_answer(answer);
        }
    }

    /// What it did a second time, where it was executed all the same.
    pub(in crate::ledger) fn repeated(&self, executed: Executed) -> Option<String> {
        let earlier = self
            .decision
            .operation
            .as_ref()?
            .repeats
            .as_ref()
            .filter(|_| executed != Executed::No)?;
        Some(format!(
            "done before by call {} of run {}",
            earlier.doer.call, earlier.doer.run.run
        ))
    }

    /// What it undid: work is undone by a call that succeeded, and by no other.
    pub(in crate::ledger) fn undid(
        &self,
        executed: Executed,
        status: u16,
        failed: bool,
    ) -> Option<Undoing> {
        let succeeded = executed == Executed::Yes && (200..400).contains(&status) && !failed;
        self.decision
            .operation
            .as_ref()
            .filter(|_| succeeded)?
            .undoes
            .clone()
    }

    fn doer(&self) -> Doer {
        Doer {
            call: self.facts.id,
            workflow: self.handle.policy.name.clone(),
            run: RunRef {
                agent: self.run.open.agent.clone(),
                run: self.run.id.clone(),
            },
        }
    }
}
