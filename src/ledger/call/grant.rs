//! What reviewers decided before, when a call comes that needs a person: the grant that lets it go
//! once, and the denials that stand.

use std::sync::{Arc, MutexGuard};

use super::admit::{Admit, DecisionInput, Goes, Stop, capped_by};
use super::in_flight::InFlightCall;
use super::refusal::Refusal;
use crate::gate::approval::queue::ENOUGH_DENIALS;
use crate::gate::approval::{Approval, Escalate, Request, Stage};
use crate::gate::digest::Digest;
use crate::gate::name::{ApprovalId, StepName};
use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::ids;
use crate::ledger::Ledger;
use crate::ledger::people::grants;
use crate::ledger::shard::Live;

/// An approval that is used, the digest that was approved, and the one that is sent where that is
/// another.
pub(in crate::ledger) type Used = (ApprovalId, Digest, Option<Digest>);

impl Ledger {
    /// Lets the call go under the grant of an approval.
    pub(in crate::ledger) fn use_grant(
        &self,
        mut call: InFlightCall,
        input: &DecisionInput<'_>,
        mut live: MutexGuard<'_, Live>,
        used: Used,
        now: Time,
    ) -> Result<Goes, Stop> {
        if let Some(recalled) = self.take_approved(&mut call, now) {
            drop(live);
            return Err(self.deny_recalled(call, recalled, now).into());
        }
        // Before the grant is used: a cap puts the call off, and the grant is still there when it
        // comes again.
        if let Err(refusal) = call.take_caps(input.tool.map(|tool| &**tool), now) {
            drop(live);
            return Err(capped_by(call, refusal).into());
        }
        call.decision.granted = true;
        call.allow();
        let durable = self.journal_admission(&mut call, &mut live, Some(used), now);
        drop(live);
        Ok(Goes {
            call,
            durable: Some(durable),
        })
    }
}

impl InFlightCall {
    /// No rule decided after all: the gate has no room for the call, or cannot write it down. That
    /// is a refusal, and on record as one, with what stood in the way.
    pub(in crate::ledger) fn turned_down(mut self, refusal: Refusal) -> Admit {
        let why = refusal.recorded_as().or(self.decision.rule);
        (self.decision.verdict, self.decision.rule) = (Verdict::Deny, why);
        Admit::Refused {
            call: self,
            refusal,
        }
    }
}

/// Whose inbox is full, where one more call of `call` would not fit.
pub(in crate::ledger) fn full(live: &Live, call: &InFlightCall) -> Option<Refusal> {
    let inbox = call.handle.policy.hold.inbox;
    let (mut run, mut agent, mut workflow) = (0, 0, 0);
    for approval in live
        .state()
        .approvals()
        .iter()
        .filter(|approval| approval.stage == Stage::Pending)
    {
        let of_agent = approval.request.agent == call.run.open.agent;
        workflow += 1;
        agent += u32::from(of_agent);
        run += u32::from(of_agent && approval.request.run == call.run.id);
    }
    let full = |of, waiting: u32, most| (waiting >= most).then_some(Refusal::Inbox { of, most });
    full("run", run, inbox.run)
        .or_else(|| full("agent", agent, inbox.agent))
        .or_else(|| full("workflow", workflow, inbox.workflow))
}

/// Was enough of the same tool and subject denied as wrong?
pub(in crate::ledger) fn denied_before(live: &Live, call: &InFlightCall, now: Time) -> bool {
    call.facts.subject.as_ref().is_some_and(|subject| {
        live.state()
            .approvals()
            .denials(&call.facts.tool, subject, now)
            >= ENOUGH_DENIALS
    })
}

pub(in crate::ledger) fn denied_unasked() -> Finding {
    finding("calls of this tool about the same subject were denied as wrong more than once within 24 hours; nobody is asked about another".to_owned())
}

pub(in crate::ledger) fn denied(approval: &Approval) -> Finding {
    let by = approval
        .decisions
        .last()
        .map_or_else(String::new, |decision| format!(" by {}", decision.reviewer));
    let why = approval
        .decisions
        .last()
        .and_then(|decision| decision.reason.as_deref())
        .map_or_else(String::new, |reason| format!(": {reason}"));
    finding(format!("exactly this call was denied as wrong{by}{why}"))
}

fn finding(detail: String) -> Finding {
    Finding::nowhere(Verdict::Deny, RuleName::Denied, detail)
}

/// What people are asked.
pub(in crate::ledger) fn request(
    call: &InFlightCall,
    input: &DecisionInput<'_>,
    finding: &Finding,
    digest: Digest,
    steps: Vec<StepName>,
    now: Time,
) -> Request {
    let hold = &call.handle.policy.hold;
    Request {
        approval: ids::approval(),
        run: call.run.id.clone(),
        call: call.facts.id,
        agent: input.agent.clone(),
        tool: call.facts.tool.clone(),
        risk: call.facts.risk,
        target: input.review.target().into(),
        args: input.review.args().map(Into::into),
        subject: call.facts.subject.clone(),
        digest,
        rule: finding.rule.as_str().into(),
        place: finding.place.clone(),
        reason: finding.detail.as_str().into(),
        needed: grants::people(hold, call.facts.risk),
        expires_at: now.plus(hold.expires),
        escalate: hold.escalate.as_ref().map(|rule| Escalate {
            to: Arc::clone(&rule.to),
            at: now.plus(rule.after),
        }),
        grant: hold.grant,
        steps,
    }
}
