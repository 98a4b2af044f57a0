//! May this call go? Its first permit comes from here; [`super::retry`] judges it again for each
//! further attempt.
//!
//! The policy judges. What needs memory is decided here and in the modules beside this one: what
//! was done before (`recall`), the approval or grant that lets a held call go (`hold`), and the
//! caps. After a wait everything is judged again. A call to a medium or high tool, and any use of a
//! grant, is in the journal before it may go.

use std::sync::Arc;

use super::escalate;
use super::exposure::NoSlot;
use super::hold::Release;
use super::in_flight::InFlightCall;
use super::input::{DecisionInput, facts, subject};
use super::outcome::{Admit, Goes, NotAdmitted, capped_by};
use super::permit::Judgement;
use super::recall::{Planned, Recall};
use super::refusal::Refusal;
use crate::gate::name::{StepName, ToolName};
use crate::gate::outcome::FailureMode;
use crate::gate::policy::finding::{Finding, RuleName, Unreadable};
use crate::gate::policy::judge::{Case, Judged};
use crate::gate::policy::{Tool, judge, skip};
use crate::gate::risk::Risk;
use crate::gate::status::Status;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::ledger::living::Ledger;
use crate::ledger::runs::charge::{charge, wire_charge};
use crate::ledger::unlisted::{UNLISTED, UnlistedRequest};

/// What the policy says of a call, and what was done before it.
struct Weighed {
    call: InFlightCall,
    judged: Judged,
    /// Steps of the policy that, once one is earned, skip the review that a rule holds it for.
    steps: Vec<StepName>,
}

impl Ledger {
    /// Judges the call.
    pub fn admit(&self, mut call: InFlightCall, input: &DecisionInput<'_>, now: Time) -> Admit {
        let admit = loop {
            let judgement = Judgement::begin(self);
            match self.judge(call, input, now) {
                Ok(Goes { call, durable }) => {
                    let permit = judgement.allow(call);
                    break Admit::Pass { permit, durable };
                }
                Err(NotAdmitted::Final(admit)) => break *admit,
                Err(NotAdmitted::Outdated(outdated)) => call = *outdated,
            }
        };
        admit.catch_escalation()
    }

    /// Judges it once.
    fn judge(
        &self,
        mut call: InFlightCall,
        input: &DecisionInput<'_>,
        now: Time,
    ) -> Result<Goes, NotAdmitted> {
        let handle = Arc::clone(&call.handle);
        // Costs an atomic where nothing is due: what ends by itself ends for the very next call.
        handle.shard.advance(now);
        let status = handle.shard.status();
        let tool = input
            .tool
            .filter(|tool| handle.policy.tools.contains(&tool.name));
        // Once a call, however often it is judged.
        if tool.is_none() && call.decision.rule.is_none() {
            self.record_unlisted(&call, input, now);
        }
        call.describe(input, tool);
        if call.decision.edited.is_none() && handle.shard.has_edits() {
            call = match Self::find_edit(call, input, now) {
                Ok(call) => call,
                Err(admit) => return Err(NotAdmitted::Final(admit)),
            };
        }
        // Judged again after a wait: it is not in flight until it may go.
        drop(call.reservations.concurrency.take());
        let Weighed {
            mut call,
            judged,
            steps,
        } = self.weigh(call, input, tool, &status, now)?;
        call.decision.shadow = judged
            .shadow
            .as_ref()
            .map(|finding| (finding.verdict, finding.rule.as_str()));
        let release = match judged.acts {
            Some(finding) if finding.verdict == Verdict::Deny => {
                return Err(self.deny(call, finding, now).into());
            }
            _ if let Some(edited) = call.decision.edited.filter(|_| !call.decision.granted) => {
                Release::Granted(self.send_edited(call, edited, input)?)
            }
            None => {
                if let Some(finding) = &judged.shadow {
                    self.book_finding(&call, finding, now);
                }
                Release::Free(call)
            }
            Some(finding) => self.hold(call, input, finding, steps, &status, now)?,
        };
        match release {
            Release::Granted(goes) => Ok(goes),
            Release::Free(call) => self.pass(call, input, &status, now),
        }
    }

    /// What the policy says of the call, and what was done before it.
    fn weigh(
        &self,
        mut call: InFlightCall,
        input: &DecisionInput<'_>,
        tool: Option<&Arc<Tool>>,
        status: &Status,
        now: Time,
    ) -> Result<Weighed, NotAdmitted> {
        let handle = Arc::clone(&call.handle);
        let facts = facts(input, &call, status);
        let case = Case {
            workflow: &handle.policy,
            status,
            tool: input.tool.map(|tool| &**tool),
            facts,
            now,
        };
        let judged = match judge::judge(&case) {
            Ok(judged) => judged,
            Err(Unreadable(what)) => {
                let refusal = Refusal::Unreadable(what);
                return Err(Admit::Refused { call, refusal }.into());
            }
        };
        let escalated = case.facts.run.escalated;
        let held_by = judged
            .acts
            .as_ref()
            .filter(|finding| finding.verdict == Verdict::Hold)
            .map(|finding| finding.rule);
        let steps = if held_by.is_some() {
            skip::releasing(&case)
        } else {
            Vec::new()
        };
        let (escalation, touched) = (escalate::escalation_need(&case), subject(input.tool, &case));
        let asked = Self::plan_operation(
            &call,
            input,
            &case.facts,
            touched.as_ref(),
            judged.acts.as_ref(),
            now,
        );
        (call.facts.subject, call.decision.rule) = (tool.and(touched), None);
        call.keep_arguments(input.args, status, &judged);
        call.decision.escalated = escalated;
        call.note_escalation(escalation);
        if !self.journal.room() {
            return Err(call.turned_down(Refusal::Journal).into());
        }
        let (call, judged) = match asked {
            Planned::Nothing => (call, judged),
            Planned::Unread => return Err(Admit::Unread { call }.into()),
            Planned::Refused(refusal) => return Err(Admit::Refused { call, refusal }.into()),
            Planned::Operation(planned) => match self.recall(call, planned, judged, now) {
                Recall::Continue(call, judged) => (call, judged),
                Recall::Final(admit) => return Err(admit.into()),
            },
        };
        // A step that skips the policy's review does not skip one for what was done before.
        let is_held_by_policy = judged.acts.as_ref().map(|finding| finding.rule) == held_by;
        Ok(Weighed {
            call,
            steps: if is_held_by_policy { steps } else { Vec::new() },
            judged,
        })
    }

    #[cold]
    fn record_unlisted(&self, call: &InFlightCall, input: &DecisionInput<'_>, now: Time) {
        let (target, tool) = (input.review.target(), input.tool.map(|tool| &tool.name));
        self.unlisted.record(
            &UnlistedRequest {
                workflow: &call.handle.policy.name,
                api: &input.api.name,
                tool,
                target: &target,
                args: input.args,
            },
            now,
        );
    }

    /// No rule stops it. Caps, exposure and the loop breaker may.
    fn pass(
        &self,
        mut call: InFlightCall,
        input: &DecisionInput<'_>,
        judged: &Status,
        now: Time,
    ) -> Result<Goes, NotAdmitted> {
        call.allow();
        if let Some(finding) = self.count_repeat(&mut call, input, now) {
            if !is_shadowed(&call, input.tool, &finding, now) {
                return Err(self.deny(call, finding, now).into());
            }
            call.decision.note(&finding);
            self.book_finding(&call, &finding, now);
        }
        match call.take_exposure(judged) {
            Ok(()) => {}
            // A failure changed the level while this was judged. It changes again only with the
            // next failure or a person's hand.
            Err(NoSlot::Outdated) => return Err(NotAdmitted::Outdated(Box::new(call))),
            Err(NoSlot::Full(finding)) if is_shadowed(&call, input.tool, &finding, now) => {
                call.decision.note(&finding);
            }
            Err(NoSlot::Full(finding)) => return Err(self.deny(call, *finding, now).into()),
        }
        if let Err(refusal) = call.take_caps(input.tool.map(|tool| &**tool), now) {
            let is_shadowed = |finding: &&Finding| is_shadowed(&call, input.tool, finding, now);
            let Some(finding) = refusal.finding().filter(is_shadowed) else {
                return Err(capped_by(call, refusal).into());
            };
            call.decision.note(finding);
        }
        let is_journaled_first =
            call.facts.risk.is_risky() || call.is_remembered() || call.decision.under.is_some();
        if call.decision.admitted || !is_journaled_first {
            return Ok(Goes {
                call,
                durable: None,
            });
        }
        if !self.journal.ready() {
            return Err(call.turned_down(Refusal::Journal).into());
        }
        let handle = Arc::clone(&call.handle);
        let mut live = handle.shard.lock();
        if call
            .decision
            .under
            .is_some_and(|grant| !live.state().timed().is_open(grant, now.max(self.now())))
        {
            drop(live);
            // Others used it up since it was looked up.
            return Err(NotAdmitted::Outdated(Box::new(call)));
        }
        let durable = self.journal_admission(&mut call, &mut live, None, now);
        drop(live);
        Ok(Goes {
            call,
            durable: Some(durable),
        })
    }

    pub(super) fn deny(&self, mut call: InFlightCall, finding: Finding, now: Time) -> Admit {
        call.decision.note(&finding);
        self.book_finding(&call, &finding, now);
        Admit::Refused {
            call,
            refusal: Refusal::Rule(Box::new(finding)),
        }
    }

    /// Charges the run for being stopped by a rule: a violation every time, a mistake in the
    /// arguments only when it is the third of its run, a loop the first time.
    fn book_finding(&self, call: &InFlightCall, finding: &Finding, now: Time) {
        let mut run = call.run.open.lock();
        let mode = match finding.rule {
            RuleName::Arguments => run.count_blocked().then_some(FailureMode::WrongArguments),
            RuleName::Loop => call
                .breaks_loop(&mut run)
                .then_some(FailureMode::DuplicateWork),
            _ => finding.books(),
        };
        if let Some(mode) = mode {
            drop(charge(
                &*self.journal,
                &call.handle,
                &call.run.open,
                &mut run,
                wire_charge(
                    mode,
                    call.facts.id,
                    &call.facts.tool,
                    Some(finding.rule.as_str()),
                ),
                now,
            ));
        }
    }
}

impl InFlightCall {
    fn describe(&mut self, input: &DecisionInput<'_>, tool: Option<&Arc<Tool>>) {
        match tool.or(input.tool) {
            Some(known) => self.facts.tool = known.name.clone(),
            None => self.facts.tool = ToolName::of(input.api.name.as_str(), UNLISTED),
        }
        self.facts.risk = tool.map_or(Risk::High, |tool| tool.risk);
        self.facts.idempotent = tool.is_some_and(|tool| tool.idempotent);
        self.facts.escalation = tool.is_some_and(|tool| tool.escalation);
    }
}

/// Is the verdict in shadow? A clamp acts all the same.
fn is_shadowed(
    call: &InFlightCall,
    tool: Option<&Arc<Tool>>,
    finding: &Finding,
    now: Time,
) -> bool {
    !finding.clamped
        && (call.handle.policy.mode.is_shadow(now)
            || tool.is_some_and(|tool| tool.mode.is_shadow(now)))
}
