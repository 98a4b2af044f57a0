//! Who looks at a held call, and when more people are asked to: a notice before it expires, other
//! people where nobody decided for a while, and a failure of the gate where it expired and nobody
//! ever saw it.
//!
//! None of this decides anything, and it never makes a decision easier: once a call was put to a
//! role, one of those who approve it has to hold that role. Those who did not decide in time may
//! still deny it, or be one of several who approve, but their late approval alone is not enough.

use std::sync::Arc;
use std::time::Duration;

use super::queue::ApprovalQueue;
use super::request::{Approval, Stage};
use crate::gate::name::{ApprovalId, PersonName};
use crate::gate::time::{Time, minutes};

/// The longest time before a held call expires at which a notice comes; usually it comes when a
/// quarter of the call's time is left.
pub const NOTICE: Duration = minutes(10);

/// What is due of a held call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attention {
    /// It expires soon, and nobody has decided.
    Due(ApprovalId),
    /// Nobody decided for a while: it is put to these people.
    Escalated(ApprovalId, Arc<str>),
}

impl Approval {
    /// The role that it was put to, while nobody who holds it has approved.
    #[must_use]
    pub fn waits_for(&self) -> Option<&Arc<str>> {
        let escalate = self
            .request
            .escalate
            .as_ref()
            .filter(|_| self.attended.escalated)?;
        let holds =
            |role: &Option<Arc<str>>| role.as_deref().is_some_and(|role| escalate.is_to(role));
        (!self
            .decisions
            .iter()
            .any(|decision| decision.counts() && holds(&decision.role)))
        .then_some(&escalate.to)
    }

    /// When an event says that it expires soon.
    #[must_use]
    pub fn notice_at(&self) -> Time {
        let lasts = self.request.expires_at.since(self.created_at);
        self.request.expires_at.minus((lasts / 4).min(NOTICE))
    }

    /// Did it expire undecided, and nobody who could decide ever saw it?
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        matches!(self.stage, Stage::Expired { .. })
            && self.attended.seen.is_none()
            && self.decisions.is_empty()
    }

    /// When something happens to it by itself.
    #[must_use]
    pub fn next_due(&self) -> Time {
        self.next_attention()
            .unwrap_or(self.request.expires_at)
            .min(self.request.expires_at)
    }

    fn next_attention(&self) -> Option<Time> {
        let escalation = self
            .request
            .escalate
            .as_ref()
            .filter(|_| !self.attended.escalated)
            .map(|escalate| escalate.at);
        let notice = (!self.attended.noticed).then(|| self.notice_at());
        escalation
            .into_iter()
            .chain(notice)
            .min()
            .filter(|_| self.stage == Stage::Pending)
    }
}

impl ApprovalQueue {
    /// When something is due of a held call.
    #[must_use]
    pub fn next_attention(&self) -> Option<Time> {
        self.iter().filter_map(Approval::next_attention).min()
    }

    /// What is due at `now`, once.
    pub fn attend(&mut self, now: Time) -> Vec<Attention> {
        let mut due = Vec::new();
        for approval in self
            .iter_mut()
            .filter(|approval| approval.next_attention().is_some_and(|at| at <= now))
        {
            let id = approval.request.approval;
            if !approval.attended.noticed && approval.notice_at() <= now {
                approval.attended.noticed = true;
                due.push(Attention::Due(id));
            }
            if let Some(escalate) = approval
                .request
                .escalate
                .as_ref()
                .filter(|escalate| !approval.attended.escalated && escalate.at <= now)
            {
                approval.attended.escalated = true;
                due.push(Attention::Escalated(id, Arc::clone(&escalate.to)));
            }
        }
        due
    }

    /// Somebody who can decide saw these.
    pub fn see(&mut self, ids: &[ApprovalId], by: &PersonName, now: Time) {
        for approval in self.iter_mut().filter(|approval| {
            approval.attended.seen.is_none() && ids.contains(&approval.request.approval)
        }) {
            approval.attended.seen = Some((by.clone(), now));
        }
    }
}
