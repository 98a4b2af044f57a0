//! A reviewer decides on a held call. Of several decisions on one approval the first wins.
//!
//! A denial as wrong and an edit say that the run went wrong: `major_correction` is charged to it
//! before the decision is handed over, so that no crash leaves a correction that cost nothing.
//! Until the decision is handed over nobody else's is taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::outcome::{OperateError, decided};
use super::report::Reported;
use crate::gate::approval::{Approval, Decision, DecisionKind, Stage};
use crate::gate::booking::Change;
use crate::gate::digest::Digest;
use crate::gate::event::Event;
use crate::gate::name::{ApprovalId, CallId, PersonName, WorkflowName};
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::run::Charge;
use crate::journal::port::Durable;
use crate::journal::revise::RunTarget;
use crate::ledger::living::Ledger;

/// A decision that was handed over.
pub struct Deciding {
    /// Answers once it is durable.
    pub durable: Durable,
    /// What was charged to the run for it.
    pub charged: Option<Reported>,
}

impl Ledger {
    /// Records a reviewer's decision on the call with `digest`, where they say which one they
    /// saw. [`OperateError::Deciding`] where another decision is being written: try again then.
    ///
    /// # Errors
    /// Why it cannot be decided so.
    pub fn decide(
        &self,
        id: ApprovalId,
        decision: &Decision,
        digest: Option<&Digest>,
    ) -> Result<Deciding, OperateError> {
        let shard = self.shard_of(id).ok_or(OperateError::NoApproval)?;
        let _entitled = self.entitled(&decision.reviewer)?;
        let now = self.now();
        shard.advance(now);
        let mut live = shard.lock();
        let approval = live
            .state()
            .approvals()
            .may_decide(id, &decision.reviewer, now)
            .map_err(|conflict| decided(&conflict))?;
        check_digest(approval, decision, digest)?;
        if live.is_deciding(id) {
            return Err(OperateError::Deciding);
        }
        if decision.decision == DecisionKind::Approve && self.has_changed(shard.name(), approval) {
            let what = "the tool, or where it is, changed since this call was held: deny it, and the agent can ask again";
            return Err(OperateError::Conflict(what.to_owned()));
        }
        let event = |decision: &Decision| Event::Decided {
            approval: id,
            decision: Decision {
                at: now,
                ..decision.clone()
            },
        };
        if !decision.corrects() {
            return Ok(Deciding {
                durable: shard
                    .append(&mut live, &*self.journal, now, event(decision))
                    .durable,
                charged: None,
            });
        }
        let charge = correction(approval, decision);
        let call = approval.request.call;
        live.begin_decision(id);
        drop(live);
        let charged = self.report(RunTarget::Call(call), charge.clone());
        let mut live = shard.lock();
        live.abandon_decision(id);
        // Nobody else could decide in between, but the approval could expire or be withdrawn.
        if let Err(conflict) =
            live.state()
                .approvals()
                .may_decide(id, &decision.reviewer, self.now())
        {
            drop(live);
            self.retract_correction(call, charge);
            return Err(decided(&conflict));
        }
        Ok(Deciding {
            durable: shard
                .append(&mut live, &*self.journal, now, event(decision))
                .durable,
            charged: Some(charged),
        })
    }

    /// Somebody who can decide saw these held calls. Recorded the first time only.
    pub fn mark_seen(&self, ids: &[ApprovalId], by: &PersonName) {
        let mut by_shard = BTreeMap::<WorkflowName, Vec<ApprovalId>>::new();
        for id in ids {
            if let Some(shard) = self.shard_of(*id) {
                by_shard.entry(shard.name().clone()).or_default().push(*id);
            }
        }
        for (workflow, mut approvals) in by_shard {
            let Some(shard) = self.shard(&workflow) else {
                continue;
            };
            let mut live = shard.lock();
            let is_new = |id: &ApprovalId| {
                live.state()
                    .approvals()
                    .get(*id)
                    .is_some_and(|a| a.attended.seen.is_none() && a.stage == Stage::Pending)
            };
            approvals.retain(is_new);
            if !approvals.is_empty() {
                drop(shard.append(
                    &mut live,
                    &*self.journal,
                    self.now(),
                    Event::Seen {
                        approvals,
                        by: by.clone(),
                    },
                ));
            }
        }
    }

    /// How many held calls expired within the last day, and nobody who could decide ever saw them.
    #[must_use]
    pub fn expired_unseen(&self) -> usize {
        let shards: Vec<_> = self.shards.iter().map(|shard| Arc::clone(&shard)).collect();
        shards
            .iter()
            .map(|shard| {
                shard
                    .lock()
                    .state()
                    .approvals()
                    .iter()
                    .filter(|approval| approval.is_unseen())
                    .count()
            })
            .sum()
    }

    fn retract_correction(&self, call: CallId, charge: Charge) {
        let Charge {
            mode,
            reference,
            by: Some(by),
            ..
        } = charge
        else {
            return;
        };
        drop(self.revise(
            RunTarget::Call(call),
            Change::Retract {
                mode: Some(mode),
                reference,
                by,
                own_only: false,
            },
        ));
    }
}

/// Does the reviewer decide on what they saw? Once somebody edited the call, they have to say so.
fn check_digest(
    approval: &Approval,
    decision: &Decision,
    digest: Option<&Digest>,
) -> Result<(), OperateError> {
    match digest {
        Some(digest) if digest == approval.digest() => Ok(()),
        None if approval.edit().is_none()
            || decision.decision != DecisionKind::Approve
            || decision.edit.is_some() =>
        {
            Ok(())
        }
        Some(_) | None => {
            let what = format!(
                "somebody edited this call: what is up for a decision has the digest {}; look at it, and name it",
                approval.digest()
            );
            Err(OperateError::Conflict(what))
        }
    }
}

fn correction(approval: &Approval, decision: &Decision) -> Charge {
    let how = if decision.edit.is_some() {
        "edited before it was approved"
    } else {
        "denied as wrong"
    };
    Charge {
        mode: FailureMode::MajorCorrection,
        source: Source::Person,
        by: Some(decision.reviewer.clone()),
        call: Some(approval.request.call),
        tool: Some(approval.request.tool.clone()),
        note: Some(
            decision
                .reason
                .as_ref()
                .map_or_else(|| how.to_owned(), |reason| format!("{how}: {reason}"))
                .into(),
        ),
        reference: Some(format!("{}/{}", approval.request.approval, decision.reviewer).into()),
    }
}
