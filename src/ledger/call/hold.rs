//! A rule holds a call: it waits for a person, unless one said yes before or need not be asked.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use super::in_flight::InFlightCall;
use super::input::DecisionInput;
use super::outcome::{Admit, Goes, NotAdmitted};
use super::refusal::Refusal;
use super::timed_grant;
use crate::gate::approval::queue::ENOUGH_DENIALS;
use crate::gate::approval::{Approval, Escalate, Request, Stage};
use crate::gate::digest::Digest;
use crate::gate::event::Event;
use crate::gate::name::StepName;
use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::status::Status;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::ids;
use crate::journal::port::Durable;
use crate::ledger::living::Ledger;
use crate::ledger::shard::Live;

/// How a call that a rule holds may go without waiting.
pub(super) enum Release {
    /// A person approved it.
    Granted(Goes),
    /// It needs no person. Caps, exposure and the loop breaker may still stop it.
    Free(InFlightCall),
}

/// What people are asked about a call.
struct Question<'a> {
    input: &'a DecisionInput<'a>,
    /// Why it is held.
    finding: Finding,
    /// What skips the review, once one of them is earned.
    steps: Vec<StepName>,
    digest: Digest,
}

impl Ledger {
    /// It needs a person, unless one said yes before or need not be asked.
    pub(super) fn hold(
        &self,
        mut call: InFlightCall,
        input: &DecisionInput<'_>,
        finding: Finding,
        steps: Vec<StepName>,
        judged: &Status,
        now: Time,
    ) -> Result<Release, NotAdmitted> {
        if call.decision.granted
            || (call.decision.under.is_some()
                && call.decision.admitted
                && timed_grant::applies(&finding, judged))
        {
            return Ok(Release::Free(call));
        }
        call.decision.under = None;
        call.decision.note(&finding);
        if !self.journal.ready() {
            return Err(call.turned_down(Refusal::Journal).into());
        }
        let handle = Arc::clone(&call.handle);
        let Some(digest) = input
            .review
            .digest(handle.policy.name.as_str(), input.agent.as_str())
        else {
            return Err(Admit::Unread { call }.into());
        };
        let live = handle.shard.lock();
        // The time of the judgement may be old by now, and a grant is used before it expires by the
        // journal's time (G4).
        let now = now.max(self.now());
        if let Some(denial) = live.state().approvals().denial(&digest, now) {
            let finding = denied(denial);
            drop(live);
            return Err(self.deny(call, finding, now).into());
        }
        match live.state().approvals().open_for(&digest, now).cloned() {
            Some(approval) if matches!(approval.stage, Stage::Approved { .. }) => {
                let used = (approval.request.approval, digest, None);
                self.use_grant(call, input, live, used, now)
                    .map(Release::Granted)
            }
            Some(approval) => {
                let durable = live.write_receipt(approval.request.approval);
                drop(live);
                Err(wait(call, approval, durable, finding).into())
            }
            None => {
                let question = Question {
                    input,
                    finding,
                    steps,
                    digest,
                };
                self.ask(call, question, live, judged, now)
            }
        }
    }

    /// Nobody was asked about this call yet: somebody is, unless they need not or cannot be.
    fn ask(
        &self,
        mut call: InFlightCall,
        question: Question<'_>,
        mut live: MutexGuard<'_, Live>,
        judged: &Status,
        now: Time,
    ) -> Result<Release, NotAdmitted> {
        let skips_review = self.skips_review(&call, &live, &question.steps, &question.digest);
        if skips_review && self.take_unreviewed(&mut call, now) {
            drop(live);
            return Ok(Release::Free(call));
        }
        if denied_before(&live, &call, now) {
            drop(live);
            return Err(self.deny(call, denied_unasked(), now).into());
        }
        let tool = question.input.tool.map(|tool| &**tool);
        if let Some(grant) = timed_grant::open(&live, &call, tool, &question.finding, judged, now)
            && self.take_unreviewed(&mut call, now)
        {
            drop(live);
            call.go_under(grant, question.finding);
            return Ok(Release::Free(call));
        }
        let unshown = question.input.review.unshown().map(Refusal::Unshown);
        let refusal = unshown
            .or_else(|| full(&live, &call))
            .or_else(|| (!self.has_room_to_hold(&live)).then_some(Refusal::Holds));
        if let Some(refusal) = refusal {
            drop(live);
            return Err(call.turned_down(refusal).into());
        }
        let handle = Arc::clone(&call.handle);
        let request = question.request(&call, now);
        let id = request.approval;
        self.approvals.insert(id, handle.policy.name.clone());
        let event = Event::Held(Box::new(request));
        let appended = handle.shard.append(&mut live, &*self.journal, now, event);
        // The shard has counted it by now; the slot that was taken for it is given back.
        self.pending.fetch_sub(1, Ordering::Relaxed);
        let approval = live.state().approvals().get(id).cloned();
        drop(live);
        Err(match approval {
            Some(approval) => wait(call, approval, Some(appended.durable), question.finding).into(),
            None => call.turned_down(Refusal::Holds).into(),
        })
    }

    /// Takes a slot among the approvals that the process holds, where there is one.
    fn has_room_to_hold(&self, live: &Live) -> bool {
        let one_more = |pending: usize| (pending < self.capacity.holds).then_some(pending + 1);
        !live.state().approvals().is_full()
            && self
                .pending
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
                .is_ok()
    }
}

impl Question<'_> {
    fn request(&self, call: &InFlightCall, now: Time) -> Request {
        let hold = &call.handle.policy.hold;
        Request {
            approval: ids::approval(),
            run: call.run.id.clone(),
            call: call.facts.id,
            agent: self.input.agent.clone(),
            tool: call.facts.tool.clone(),
            risk: call.facts.risk,
            target: self.input.review.target().into(),
            args: self.input.review.args().map(Into::into),
            body: self.input.review.body().map(Into::into),
            bound: self.input.review.bound(),
            subject: call.facts.subject.clone(),
            digest: self.digest,
            rule: self.finding.rule.as_str().into(),
            location: self.finding.location.clone(),
            reason: self.finding.detail.as_str().into(),
            needed: timed_grant::people(hold, call.facts.risk),
            expires_at: now.plus(hold.expires),
            escalate: hold.escalate.as_ref().map(|rule| Escalate {
                to: Arc::clone(&rule.to),
                at: now.plus(rule.after),
            }),
            grant: hold.grant,
            steps: self.steps.clone(),
        }
    }
}

/// The call waits for `approval`, and its run with it.
fn wait(
    call: InFlightCall,
    approval: Approval,
    durable: Option<Durable>,
    finding: Finding,
) -> Admit {
    let id = approval.request.approval;
    let mut run = call.run.open.lock();
    if !run.held.contains(&id) {
        run.held.push(id);
    }
    drop(run);
    Admit::Held {
        call,
        approval: Box::new(approval),
        durable,
        finding: Box::new(finding),
    }
}

/// Whose inbox is full, where one more call of `call` would not fit.
fn full(live: &Live, call: &InFlightCall) -> Option<Refusal> {
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
fn denied_before(live: &Live, call: &InFlightCall, now: Time) -> bool {
    call.facts.subject.as_ref().is_some_and(|subject| {
        live.state()
            .approvals()
            .denials(&call.facts.tool, subject, now)
            >= ENOUGH_DENIALS
    })
}

fn denied_unasked() -> Finding {
    finding("calls of this tool about the same subject were denied as wrong more than once within 24 hours; nobody is asked about another".to_owned())
}

fn denied(approval: &Approval) -> Finding {
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
