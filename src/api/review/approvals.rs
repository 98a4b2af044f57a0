//! How people decided: how many, how fast, how often just so, and how many of the calls that they let go turned out bad.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    api::Decimal,
    gate::{
        approval::{Decision, DecisionKind, Request},
        event::{Mark, RunRef},
        name::{ApprovalId, PersonName},
        time::Time,
    },
};

/// A reviewer with so many decisions and a median below [`HASTY_MS`] is pointed out: nobody reads that fast.
pub const MANY: usize = 20;
/// Five seconds.
pub const HASTY_MS: u64 = 5_000;
/// The most held calls and runs that one review follows.
pub const MOST_FOLLOWED: usize = 100_000;

/// Held calls and decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalsReviewed {
    /// Calls that were held.
    pub held: u64,
    /// Decisions of people.
    pub decisions: u64,
    /// Calls that as many people approved as it takes.
    pub approved: u64,
    /// Calls that somebody denied as wrong.
    pub denied_wrong: u64,
    /// Calls that somebody denied for now.
    pub denied_not_now: u64,
    /// Approvals that expired, undecided or unused.
    pub expired: u64,
    /// From the hold to the decision, in the middle, in seconds.
    pub median_seconds: Option<Decimal>,
    /// Calls that were approved with other arguments than the agent asked for.
    pub edited: u64,
    /// Calls that were approved just as the agent asked, as a share of the approved.
    pub without_edits: Option<Decimal>,
    /// Calls that were approved without edits and sent, and whose run stands as unacceptable. An edit is a correction by itself, and says so of the run.
    pub turned_bad: u64,
    /// As a share of those approved without edits.
    pub turned_bad_share: Option<Decimal>,
    /// Who decided, whoever decided most first.
    pub reviewers: Vec<Reviewer>,
}

/// One reviewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reviewer {
    /// Who.
    pub reviewer: String,
    /// Their decisions.
    pub decisions: u64,
    /// From the hold to their decision, in the middle, in seconds.
    pub median_seconds: Option<Decimal>,
    /// Twenty decisions or more at a median under five seconds.
    pub hasty: bool,
}

/// What is followed of held calls while the journal is read.
#[derive(Debug, Default)]
pub(super) struct Desk {
    held: BTreeMap<ApprovalId, (Time, Request)>,
    marks: BTreeMap<RunRef, Mark>,
    /// How many people approved each.
    approved: BTreeMap<ApprovalId, u32>,
    edited: BTreeSet<ApprovalId>,
    /// The runs in which grants were used: an agent that names no run asks in one and sends in another.
    used: BTreeMap<ApprovalId, RunRef>,
    waits: BTreeMap<PersonName, Vec<u64>>,
    counts: ApprovalsReviewed,
}

impl Desk {
    /// A call was held; it counts where that was in the span.
    pub(super) fn hold(&mut self, at: Time, request: &Request, counts: bool) {
        self.counts.held += u64::from(counts);
        if self.held.len() < MOST_FOLLOWED {
            // The arguments are not needed, and may be long.
            self.held.insert(request.approval, (at, Request { args: None, ..request.clone() }));
        }
    }

    pub(super) fn request(&self, approval: ApprovalId) -> Option<&Request> {
        self.held.get(&approval).map(|(_, request)| request)
    }

    pub(super) fn decide(&mut self, at: Time, approval: ApprovalId, decision: &Decision) {
        self.counts.decisions += 1;
        let waits = self.waits.entry(decision.reviewer.clone()).or_default();
        match self.held.get(&approval) {
            Some((held_at, _)) => waits.push(u64::try_from(at.since(*held_at).as_millis()).unwrap_or(u64::MAX)),
            // Held before the journal was read: the speed of this one is not known, and a long one.
            None => waits.push(u64::MAX),
        }
        match decision.decision {
            DecisionKind::Approve => {
                if self.approved.len() < MOST_FOLLOWED {
                    if decision.edit.is_some() {
                        // What was approved before it was another call.
                        self.edited.insert(approval);
                        self.approved.remove(&approval);
                    }
                    *self.approved.entry(approval).or_default() += 1;
                }
            }
            DecisionKind::DenyWrong => self.counts.denied_wrong += 1,
            DecisionKind::DenyNotNow => self.counts.denied_not_now += 1,
        }
    }

    /// A grant was used in `run`.
    pub(super) fn sent(&mut self, approval: ApprovalId, run: &RunRef) {
        if self.used.len() < MOST_FOLLOWED {
            self.used.insert(approval, run.clone());
        }
    }

    pub(super) fn expire(&mut self) {
        self.counts.expired += 1;
    }

    /// A run stands as `mark` now.
    pub(super) fn stands(&mut self, run: &RunRef, mark: Mark) {
        if self.marks.len() < MOST_FOLLOWED || self.marks.contains_key(run) {
            self.marks.insert(run.clone(), mark);
        }
    }

    pub(super) fn close(self) -> ApprovalsReviewed {
        let needed = |approval: &ApprovalId| self.held.get(approval).map_or(1, |(_, request)| request.needed);
        let let_go: Vec<&ApprovalId> = self.approved.iter().filter(|(approval, people)| **people >= needed(approval)).map(|(approval, _)| approval).collect();
        let approved = let_go.len() as u64;
        let as_asked: Vec<_> = let_go.into_iter().filter(|approval| !self.edited.contains(*approval)).collect();
        let unedited = as_asked.len() as u64;
        let is_bad = |approval: &&&ApprovalId| self.used.get(**approval).is_some_and(|run| self.marks.get(run) == Some(&Mark::Unacceptable));
        let turned_bad = as_asked.iter().filter(is_bad).count() as u64;
        let all: Vec<u64> = self.waits.values().flatten().copied().collect();
        let mut reviewers: Vec<_> = self
            .waits
            .into_iter()
            .map(|(reviewer, waits)| {
                let (decisions, median) = (waits.len(), median(waits));
                let hasty = decisions >= MANY && median.is_some_and(|ms| ms < HASTY_MS);
                Reviewer { reviewer: reviewer.to_string(), decisions: decisions as u64, median_seconds: median.map(seconds), hasty }
            })
            .collect();
        reviewers.sort_by(|one, other| other.decisions.cmp(&one.decisions).then_with(|| one.reviewer.cmp(&other.reviewer)));
        ApprovalsReviewed {
            approved,
            median_seconds: median(all).map(seconds),
            edited: approved - unedited,
            without_edits: Decimal::ratio(unedited, approved),
            turned_bad,
            turned_bad_share: Decimal::ratio(turned_bad, unedited),
            reviewers,
            ..self.counts
        }
    }
}

/// The middle one, or the lower of the two in the middle; `None` of none, and where it is not known.
fn median(mut waits: Vec<u64>) -> Option<u64> {
    waits.sort_unstable();
    let middle = waits.get(waits.len().checked_sub(1)? / 2)?;
    (*middle < u64::MAX).then_some(*middle)
}

fn seconds(ms: u64) -> Decimal {
    Decimal::of(i64::try_from(ms.saturating_mul(10)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_what_is_known() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![9, 1, 5]), Some(5));
        assert_eq!(median(vec![9, 1]), Some(1));
        assert_eq!(median(vec![u64::MAX, 1, u64::MAX]), None, "mostly held before anybody looked");
    }
}
