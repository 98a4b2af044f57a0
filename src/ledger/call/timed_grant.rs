//! The time-boxed grant that releases a held call ([`crate::ledger::people::grants`]).
//!
//! What an agent should have escalated, what a limit holds, what a tool's ceiling holds, and what
//! needs more than one person is still put to people. So is everything once a clamp is what holds
//! it, or the budget has burned.

use super::in_flight::InFlightCall;
use crate::gate::budget::posture::Posture;
use crate::gate::event::HeldBy;
use crate::gate::name::GrantId;
use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::policy::{HoldRules, Tool};
use crate::gate::risk::Risk;
use crate::gate::status::Status;
use crate::gate::time::Time;
use crate::ledger::shard::Live;

impl InFlightCall {
    /// It goes under `grant` instead of being held by `finding`, and that is counted against the
    /// rule.
    pub(in crate::ledger) fn go_under(&mut self, grant: GrantId, finding: Finding) {
        self.decision.under = Some(grant);
        self.decision.held_by = Some(Box::new(HeldBy {
            rule: finding.rule.as_str().into(),
            location: finding.location,
        }));
    }
}

/// How many people a held call of this risk needs.
pub(in crate::ledger) fn people(hold: &HoldRules, risk: Risk) -> u32 {
    if risk == Risk::High {
        hold.approvals_high
    } else {
        hold.approvals
    }
    .max(1)
}

/// The time-boxed grant that releases the held call.
pub(in crate::ledger) fn open(
    live: &Live,
    call: &InFlightCall,
    tool: Option<&Tool>,
    finding: &Finding,
    status: &Status,
    now: Time,
) -> Option<GrantId> {
    let tool = tool?;
    let grant = live.state().timed().open(&tool.name, now)?;
    (applies(finding, status)
        && !call.decision.unescalated
        && !call.decision.escalated
        && tool.always.is_none()
        && people(&call.handle.policy.hold, tool.risk) == 1)
        .then_some(grant.id)
}

/// Does a time-boxed grant apply to what holds the call?
pub(in crate::ledger) fn applies(finding: &Finding, status: &Status) -> bool {
    let rule = matches!(
        finding.rule,
        RuleName::Level | RuleName::HoldWhen | RuleName::Validation
    );
    rule && !finding.clamped && status.posture < Posture::Burned
}
