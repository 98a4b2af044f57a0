//! What reviewers decided before, when a call comes that needs a person: the grant that lets it go once, and the denials that stand.

use std::sync::MutexGuard;

use super::{
    Ledger,
    admit::{Admit, Ask, capped_by},
    permit::{Permit, Seat},
    shard::Live,
};
use crate::gate::{
    approval::{Approval, queue::ENOUGH_DENIALS},
    digest::Digest,
    name::ApprovalId,
    policy::judge::{Finding, RuleName},
    time::Time,
    verdict::Verdict,
};

/// An approval that is used, the digest that was approved, and the one that is sent where that is another.
pub(super) type Used = (ApprovalId, Digest, Option<Digest>);

impl Ledger {
    /// Lets the call go under the grant of an approval.
    pub(super) fn use_grant(&self, mut seat: Seat, ask: &Ask<'_>, mut live: MutexGuard<'_, Live>, used: Used, epoch: u64, now: Time) -> Admit {
        if let Some(recalled) = self.take_approved(&mut seat, now) {
            drop(live);
            return self.deny_recalled(seat, recalled, now);
        }
        // Before the grant is used: a cap puts the call off, and the grant is still there when it comes again.
        if let Err((finding, capped)) = seat.take_caps(ask.tool.map(|tool| &**tool), now) {
            drop(live);
            return capped_by(seat, finding, capped);
        }
        (seat.verdict, seat.rule, seat.granted) = (Verdict::Allow, None, true);
        let durable = self.journal_admission(&mut seat, &mut live, Some(used), now);
        drop(live);
        Admit::Pass { permit: Permit { seat, epoch }, durable: Some(durable) }
    }
}

/// Was enough of the same tool and subject denied as wrong?
pub(super) fn denied_before(live: &Live, seat: &Seat, now: Time) -> bool {
    seat.subject.as_ref().is_some_and(|subject| live.state().approvals().denials(&seat.tool, subject, now) >= ENOUGH_DENIALS)
}

pub(super) fn denied_unasked() -> Finding {
    finding("calls of this tool about the same subject were denied as wrong more than once within 24 hours; nobody is asked about another".to_owned())
}

pub(super) fn denied(approval: &Approval) -> Finding {
    let by = approval.decisions.last().map_or_else(String::new, |decision| format!(" by {}", decision.reviewer));
    let why = approval.decisions.last().and_then(|decision| decision.reason.as_deref()).map_or_else(String::new, |reason| format!(": {reason}"));
    finding(format!("exactly this call was denied as wrong{by}{why}"))
}

const fn finding(detail: String) -> Finding {
    Finding { verdict: Verdict::Deny, rule: RuleName::Denied, place: None, detail, violations: Vec::new(), clamped: false }
}
