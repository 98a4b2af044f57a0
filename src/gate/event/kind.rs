//! What is true of every event of a kind: its name in the journal, whether it only tightens, and
//! whether it has happened already.

use super::Event;
use crate::gate::approval::DecisionKind;

impl Event {
    /// Can this event only tighten? Such an event acts in memory at once and is acknowledged when
    /// durable; any other acts only when durable.
    #[must_use]
    pub const fn tightens(&self) -> bool {
        match self {
            // A hold opens nothing by itself; acting at once lets an identical call find it.
            Event::Admitted(_)
            | Event::Booked { .. }
            | Event::BookedHigh { .. }
            | Event::Escalated { .. }
            | Event::Sampled { .. }
            | Event::Clamped(_)
            | Event::Demoted { .. }
            | Event::Withdrawn { .. }
            | Event::GrantRevoked { .. }
            | Event::ApproversNamed { .. }
            | Event::ClockJumped { .. }
            | Event::Held(_) => true,
            Event::Decided { decision, .. } => !matches!(decision.decision, DecisionKind::Approve),
            // A report is resolved against the run index by the writer, and acts when that is
            // durable.
            Event::Reported { .. }
            | Event::Started { .. }
            | Event::Stopped
            | Event::PolicyAccepted { .. }
            | Event::PolicyRefused { .. }
            | Event::AccessChanged(_)
            | Event::ClockAccepted { .. }
            | Event::Settled { .. }
            | Event::Tallied { .. }
            | Event::Retracted { .. }
            | Event::Excluded { .. }
            | Event::Reinstated { .. }
            | Event::Reconciled { .. }
            | Event::Noted { .. }
            | Event::Remarked { .. }
            | Event::ChangeRefused { .. }
            | Event::Seen { .. }
            | Event::Checked { .. }
            | Event::Imported(_)
            | Event::Paced { .. }
            | Event::Refused { .. }
            | Event::TurnedAway { .. }
            | Event::SignedIn { .. }
            | Event::GrantGiven(_)
            | Event::Released { .. }
            | Event::Waived { .. }
            | Event::Recovered { .. }
            | Event::Promoted { .. }
            | Event::StepTaken { .. }
            | Event::Reviewed { .. }
            | Event::Changed { .. }
            | Event::IncidentOpened { .. }
            | Event::IncidentClosed { .. }
            | Event::PolicyHeldBack { .. }
            | Event::Followed(_) => false,
        }
    }

    /// Has it happened, or does it only tighten? Then it is written in the end. What asks for
    /// something, or opens something, is dropped once its asker was told no: it must not come true
    /// later.
    #[must_use]
    pub const fn is_fact(&self) -> bool {
        match self {
            Event::Started { .. }
            | Event::Stopped
            | Event::PolicyRefused { .. }
            | Event::ApproversNamed { .. }
            | Event::AccessChanged(_)
            | Event::ClockJumped { .. }
            | Event::Settled { .. }
            | Event::Tallied { .. }
            | Event::Booked { .. }
            | Event::BookedHigh { .. }
            | Event::Escalated { .. }
            | Event::Sampled { .. }
            | Event::Noted { .. }
            | Event::Remarked { .. }
            | Event::ChangeRefused { .. }
            | Event::Seen { .. }
            | Event::Checked { .. }
            | Event::Paced { .. }
            | Event::Refused { .. }
            | Event::TurnedAway { .. }
            | Event::SignedIn { .. }
            | Event::Withdrawn { .. }
            | Event::GrantRevoked { .. }
            | Event::Clamped(_)
            | Event::Demoted { .. }
            | Event::IncidentOpened { .. }
            | Event::IncidentClosed { .. }
            | Event::PolicyHeldBack { .. }
            | Event::Followed(_) => true,
            Event::Decided { decision, .. } => !matches!(decision.decision, DecisionKind::Approve),
            Event::PolicyAccepted { .. }
            | Event::ClockAccepted { .. }
            | Event::Admitted(_)
            | Event::Reported { .. }
            | Event::Retracted { .. }
            | Event::Excluded { .. }
            | Event::Reinstated { .. }
            | Event::Imported(_)
            | Event::Reconciled { .. }
            | Event::Held(_)
            | Event::GrantGiven(_)
            | Event::Released { .. }
            | Event::Waived { .. }
            | Event::Recovered { .. }
            | Event::Promoted { .. }
            | Event::StepTaken { .. }
            | Event::Reviewed { .. }
            | Event::Changed { .. } => false,
        }
    }

    /// The event's name in the journal.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Event::Started { .. } => "started",
            Event::Stopped => "stopped",
            Event::PolicyAccepted { .. } => "policy_accepted",
            Event::PolicyRefused { .. } => "policy_refused",
            Event::ApproversNamed { .. } => "approvers_named",
            Event::AccessChanged(_) => "access_changed",
            Event::ClockJumped { .. } => "clock_jumped",
            Event::ClockAccepted { .. } => "clock_accepted",
            Event::Admitted(_) => "admitted",
            Event::Settled { .. } => "settled",
            Event::Tallied { .. } => "tallied",
            Event::Booked { .. } => "booked",
            Event::BookedHigh { .. } => "booked_high",
            Event::Escalated { .. } => "escalated",
            Event::Reported { .. } => "reported",
            Event::Retracted { .. } => "retracted",
            Event::Excluded { .. } => "excluded",
            Event::Reinstated { .. } => "reinstated",
            Event::Reconciled { .. } => "reconciled",
            Event::Noted { .. } => "noted",
            Event::Remarked { .. } => "remarked",
            Event::Checked { .. } => "checked",
            Event::Imported(_) => "imported",
            Event::Paced { .. } => "paced",
            Event::Refused { .. } => "refused",
            Event::TurnedAway { .. } => "turned_away",
            Event::SignedIn { .. } => "signed_in",
            Event::Held(_) => "held",
            Event::Seen { .. } => "seen",
            Event::Decided { .. } => "decided",
            Event::Withdrawn { .. } => "withdrawn",
            Event::GrantGiven(_) => "grant_given",
            Event::GrantRevoked { .. } => "grant_revoked",
            Event::Clamped(_) => "clamped",
            Event::Released { .. } => "released",
            Event::Waived { .. } => "waived",
            Event::Recovered { .. } => "recovered",
            Event::Promoted { .. } => "promoted",
            Event::StepTaken { .. } => "step_taken",
            Event::Reviewed { .. } => "reviewed",
            Event::Demoted { .. } => "demoted",
            Event::PolicyHeldBack { .. } => "policy_held_back",
            Event::Sampled { .. } => "sampled",
            Event::Changed { .. } => "changed",
            Event::ChangeRefused { .. } => "change_refused",
            Event::IncidentOpened { .. } => "incident_opened",
            Event::IncidentClosed { .. } => "incident_closed",
            Event::Followed(_) => "followed",
        }
    }
}
