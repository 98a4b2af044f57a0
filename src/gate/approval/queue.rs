//! A workflow's held calls. Exactly one of approve, deny, expire, use and withdraw ends an
//! approval: the first in the order of events.
//!
//! Keeps G4 (a grant is used at most once, before it expires, for exactly the call that was
//! approved) and G10 (every hold ends by its deadline).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::request::{Approval, Attended, Decision, DecisionKind, Request, Stage};
use crate::gate::digest::Digest;
use crate::gate::name::{ApprovalId, CallId, PersonName, Subject, ToolName};
use crate::gate::time::{Time, hours};

/// How many denials as wrong, of calls of one tool about one subject within [`STANDS`], it takes
/// until further such calls are denied without asking anybody.
pub const ENOUGH_DENIALS: usize = 2;

/// How long a denial as wrong is in force for its digest, and how long an ended approval can be
/// looked up here.
pub const STANDS: Duration = hours(24);

/// The most approvals that one workflow keeps at once, pending or ended within [`STANDS`]. The
/// oldest ended one makes room.
pub const MAX: usize = 10_000;

/// A workflow's approvals, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApprovalQueue(BTreeMap<ApprovalId, Approval>);

/// Why an approval cannot take what was asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// There is none with this id.
    Unknown,
    /// It has ended, or is not in the stage that this needs.
    Wrong(Stage),
    /// This person decided already.
    Repeated,
    /// This is who asks: an agent decides on nothing of its own (G11).
    Own,
}

impl ApprovalQueue {
    /// The approval with this id.
    #[must_use]
    pub fn get(&self, id: ApprovalId) -> Option<&Approval> {
        self.0.get(&id)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Approval> {
        self.0.values_mut()
    }

    /// Every approval, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Approval> {
        self.0.values()
    }

    /// How many wait for reviewers.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.0
            .values()
            .filter(|approval| approval.stage == Stage::Pending)
            .count()
    }

    /// The approval that stands for this digest at `now`: an unexpired grant, else a pending
    /// request.
    #[must_use]
    pub fn open_for(&self, digest: &Digest, now: Time) -> Option<&Approval> {
        let of_digest = || {
            self.0
                .values()
                .filter(|approval| approval.request.digest == *digest)
        };
        let granted = of_digest()
            .find(|approval| matches!(approval.stage, Stage::Approved { until } if now < until));
        granted.or_else(|| {
            of_digest().find(|approval| {
                approval.stage == Stage::Pending && now < approval.request.expires_at
            })
        })
    }

    /// The denial as wrong that is in force for this digest at `now`.
    #[must_use]
    pub fn denial(&self, digest: &Digest, now: Time) -> Option<&Approval> {
        self.0
            .values()
            .find(|approval| approval.request.digest == *digest && matches!(approval.stage, Stage::Denied { at, wrong: true } if now < at.plus(STANDS)))
    }

    /// How many calls of `tool` about `subject` were denied as wrong, counting denials that are in
    /// force at `now`.
    #[must_use]
    pub fn denials(&self, tool: &ToolName, subject: &Subject, now: Time) -> usize {
        let is_denied = |approval: &&Approval| matches!(approval.stage, Stage::Denied { at, wrong: true } if now < at.plus(STANDS));
        let about = |approval: &&Approval| {
            approval.request.tool == *tool && approval.request.subject.as_ref() == Some(subject)
        };
        self.0.values().filter(is_denied).filter(about).count()
    }

    /// How many edited calls wait to be sent.
    #[must_use]
    pub fn edited(&self) -> usize {
        self.0
            .values()
            .filter(|approval| {
                matches!(approval.stage, Stage::Approved { .. }) && approval.edit().is_some()
            })
            .count()
    }

    /// Could `reviewer` decide on `id` at `now`?
    pub fn may_decide(
        &self,
        id: ApprovalId,
        reviewer: &PersonName,
        now: Time,
    ) -> Result<&Approval, Conflict> {
        let approval = self.0.get(&id).ok_or(Conflict::Unknown)?;
        if approval.request.agent.as_str() == reviewer.as_str() {
            return Err(Conflict::Own);
        }
        if approval.stage != Stage::Pending {
            return Err(Conflict::Wrong(approval.stage));
        }
        if now >= approval.request.expires_at {
            return Err(Conflict::Wrong(Stage::Expired {
                at: approval.request.expires_at,
            }));
        }
        if approval
            .decisions
            .iter()
            .any(|decision| decision.reviewer == *reviewer && !decision.void)
        {
            return Err(Conflict::Repeated);
        }
        Ok(approval)
    }

    /// Is there no room for another request, even once the oldest ended approval makes way? Then a
    /// call that needs a person is denied.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.len() >= MAX
            && self
                .0
                .values()
                .all(|approval| approval.stage.ended_at().is_none())
    }

    /// Adds `request`, once: an approval that is known keeps its stage, so that nothing brings an
    /// ended one back. Without room it is not taken, and nobody can approve it.
    pub fn hold(&mut self, request: Request, now: Time) {
        if self.0.contains_key(&request.approval) || self.is_full() {
            return;
        }
        if self.0.len() >= MAX {
            let oldest_ended = self
                .0
                .values()
                .filter_map(|a| a.stage.ended_at().map(|at| (at, a.request.approval)))
                .min();
            if let Some((_, id)) = oldest_ended {
                self.0.remove(&id);
            }
        }
        let approval = Approval {
            created_at: now,
            stage: Stage::Pending,
            decisions: Vec::new(),
            attended: Attended::default(),
            request,
        };
        self.0.insert(approval.request.approval, approval);
    }

    /// Records `decision` on `id`: a denial ends it, the last approval needed mints the grant. An
    /// edit voids what was approved before it.
    pub fn decide(&mut self, id: ApprovalId, decision: Decision) -> Result<&Approval, Conflict> {
        self.may_decide(id, &decision.reviewer, decision.at)?;
        let approval = self.0.get_mut(&id).ok_or(Conflict::Unknown)?;
        let at = decision.at;
        if decision.edit.is_some() {
            approval
                .decisions
                .iter_mut()
                .for_each(|earlier| earlier.void = true);
        }
        let kind = decision.decision;
        approval.decisions.push(decision);
        approval.stage = match kind {
            DecisionKind::Approve if approval.has_enough() => Stage::Approved {
                until: at.plus(approval.request.grant),
            },
            DecisionKind::Approve => Stage::Pending,
            DecisionKind::DenyWrong => Stage::Denied { at, wrong: true },
            DecisionKind::DenyNotNow => Stage::Denied { at, wrong: false },
        };
        Ok(approval)
    }

    /// Uses the grant of `id` for `call`, whose digest is `digest`.
    pub fn use_grant(
        &mut self,
        id: ApprovalId,
        digest: &Digest,
        call: CallId,
        now: Time,
    ) -> Result<(), Conflict> {
        let approval = self
            .0
            .get_mut(&id)
            .filter(|approval| approval.request.digest == *digest)
            .ok_or(Conflict::Unknown)?;
        match approval.stage {
            Stage::Approved { until } if now < until => {
                approval.stage = Stage::Used { at: now, call };
                Ok(())
            }
            stage => Err(Conflict::Wrong(stage)),
        }
    }

    /// From here on only `people` may approve: what anybody else approved no longer counts, and a
    /// grant that needed it waits for people again.
    pub fn keep_approvers(&mut self, people: &BTreeSet<PersonName>) {
        for approval in self
            .0
            .values_mut()
            .filter(|approval| approval.stage.ended_at().is_none())
        {
            for decision in approval
                .decisions
                .iter_mut()
                .filter(|decision| !people.contains(&decision.reviewer))
            {
                decision.void = true;
            }
            if matches!(approval.stage, Stage::Approved { .. }) && !approval.has_enough() {
                approval.stage = Stage::Pending;
            }
        }
    }

    /// Takes `id` back.
    pub fn withdraw(&mut self, id: ApprovalId, now: Time) -> Result<(), Conflict> {
        let approval = self.0.get_mut(&id).ok_or(Conflict::Unknown)?;
        match approval.stage {
            Stage::Pending | Stage::Approved { .. } => {
                approval.stage = Stage::Withdrawn { at: now };
                Ok(())
            }
            stage => Err(Conflict::Wrong(stage)),
        }
    }

    /// The next deadline after which [`ApprovalQueue::expire`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.0.values().filter_map(deadline).min()
    }

    /// When the next ended approval is forgotten by [`ApprovalQueue::expire`].
    #[must_use]
    pub fn next_forgotten(&self) -> Option<Time> {
        self.0
            .values()
            .filter_map(|approval| approval.stage.ended_at())
            .min()
            .map(|at| at.plus(STANDS))
    }

    /// Ends at `now` what would be over at `wall`, a time that a clock leapt to, and returns the
    /// approvals that expired. Nothing is forgotten: ended approvals are kept for their time by the
    /// clock that did not leap.
    pub fn expire_by(&mut self, wall: Time, now: Time) -> Vec<ApprovalId> {
        let over = self
            .0
            .values_mut()
            .filter(|approval| deadline(approval).is_some_and(|at| at <= wall));
        over.map(|approval| {
            approval.stage = Stage::Expired { at: now };
            approval.request.approval
        })
        .collect()
    }

    /// Ends what is past its deadline at `now`, forgets what ended long ago, and returns the
    /// approvals that expired.
    pub fn expire(&mut self, now: Time) -> Vec<ApprovalId> {
        let mut expired = Vec::new();
        for approval in self.0.values_mut() {
            if let Some(at) = deadline(approval).filter(|at| *at <= now) {
                approval.stage = Stage::Expired { at };
                expired.push(approval.request.approval);
            }
        }
        self.0.retain(|_, approval| {
            approval
                .stage
                .ended_at()
                .is_none_or(|at| now < at.plus(STANDS))
        });
        expired
    }
}

fn deadline(approval: &Approval) -> Option<Time> {
    match approval.stage {
        Stage::Pending => Some(approval.request.expires_at),
        Stage::Approved { until } => Some(until),
        Stage::Used { .. }
        | Stage::Denied { .. }
        | Stage::Expired { .. }
        | Stage::Withdrawn { .. } => None,
    }
}
