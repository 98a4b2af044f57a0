//! A rule holds a call: it waits for a person, unless one said yes before or need not be asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::in_flight::InFlightCall;
use super::input::DecisionInput;
use super::outcome::{Admit, Goes, Stop};
use super::refusal::Refusal;
use super::timed_grant;
use crate::gate::approval::queue::ENOUGH_DENIALS;
use crate::gate::approval::{Approval, Escalate, Request, Stage};
use crate::gate::digest::Digest;
use crate::gate::event::Event;
use crate::gate::name::{ApprovalId, StepName};
use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::status::Status;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::ids;
use crate::ledger::living::Ledger;
use crate::ledger::runs::open::RunState;
use crate::ledger::shard::Live;

/// Does a call that a rule holds wait for a person?
pub(super) enum Release {
    /// A person approved it: it goes.
    Granted(Goes),
    /// It does not have to. What it does beside other calls may stop it still.
    Free(InFlightCall),
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
    ) -> Result<Release, Stop> {
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
        let mut live = handle.shard.lock();
        // The time of the judgement may be old by now, and a grant is used before it expires by the
        // journal's time (G4).
        let now = now.max(self.now());
        if let Some(denial) = live.state().approvals().denial(&digest, now) {
            let finding = denied(denial);
            drop(live);
            return Err(self.deny(call, finding, now).into());
        }
        let open = live.state().approvals().open_for(&digest, now).cloned();
        let ends = match open {
            Some(approval) if matches!(approval.stage, Stage::Approved { .. }) => {
                let used = (approval.request.approval, digest, None);
                return self
                    .use_grant(call, input, live, used, now)
                    .map(Release::Granted);
            }
            Some(approval) => {
                let durable = live.holding(approval.request.approval);
                drop(live);
                call.run.open.lock().wait_for(approval.request.approval);
                Admit::Held {
                    call,
                    approval: Box::new(approval),
                    durable,
                    finding: Box::new(finding),
                }
            }
            None if self.skips_review(&call, &live, &steps, &digest)
                && self.take_unreviewed(&mut call, now) =>
            {
                drop(live);
                return Ok(Release::Free(call));
            }
            None if denied_before(&live, &call, now) => {
                drop(live);
                self.deny(call, denied_unasked(), now)
            }
            None if let Some(grant) = timed_grant::open(
                &live,
                &call,
                input.tool.map(|tool| &**tool),
                &finding,
                judged,
                now,
            ) && self.take_unreviewed(&mut call, now) =>
            {
                drop(live);
                call.go_under(grant, finding);
                return Ok(Release::Free(call));
            }
            None if let Some(full) = full(&live, &call) => {
                drop(live);
                call.turned_down(full)
            }
            None if !self.has_room_to_hold(&live) => {
                drop(live);
                call.turned_down(Refusal::Holds)
            }
            None => {
                let request = request(&call, input, &finding, digest, steps, now);
                let id = request.approval;
                self.approvals.insert(id, handle.policy.name.clone());
                let appended = handle.shard.append(
                    &mut live,
                    &*self.journal,
                    now,
                    Event::Held(Box::new(request)),
                );
                // The shard has counted it by now; the place that was taken for it is given back.
                self.pending.fetch_sub(1, Ordering::Relaxed);
                let approval = live.state().approvals().get(id).cloned();
                drop(live);
                let Some(approval) = approval else {
                    return Err(call.turned_down(Refusal::Holds).into());
                };
                call.run.open.lock().wait_for(id);
                Admit::Held {
                    call,
                    approval: Box::new(approval),
                    durable: Some(appended.durable),
                    finding: Box::new(finding),
                }
            }
        };
        Err(ends.into())
    }

    /// Takes a place among the approvals that the process holds, where there is one.
    fn has_room_to_hold(&self, live: &Live) -> bool {
        let one_more = |pending: usize| (pending < self.bounds.holds).then_some(pending + 1);
        !live.state().approvals().is_full()
            && self
                .pending
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
                .is_ok()
    }
}

impl RunState {
    fn wait_for(&mut self, approval: ApprovalId) {
        if !self.held.contains(&approval) {
            self.held.push(approval);
        }
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

/// What people are asked.
fn request(
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
        needed: timed_grant::people(hold, call.facts.risk),
        expires_at: now.plus(hold.expires),
        escalate: hold.escalate.as_ref().map(|rule| Escalate {
            to: Arc::clone(&rule.to),
            at: now.plus(rule.after),
        }),
        grant: hold.grant,
        steps,
    }
}
