//! What a policy gets for what it leaves out: the table of defaults by risk tier, as data.

use crate::gate::budget::posture::Recovery;
use crate::gate::level::Validation;
use crate::gate::outcome::FailureMode;
use crate::gate::risk::{Risk, Tier};
use crate::gate::verdict::Verdict;

/// The defaults of one tier.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// The objective's target, in parts per million.
    pub target_ppm: u32,
    /// The level a workflow begins at.
    pub starts: &'static str,
    /// The cap in posture `at_risk`.
    pub at_risk: &'static str,
    /// The cap in posture `burned`.
    pub burned: &'static str,
    /// The cap in posture `breached`.
    pub breached: &'static str,
    /// What an unlisted call gets. A held one is held as risk high.
    pub unlisted: Verdict,
    /// How often an idempotent call may be sent again.
    pub retries: u32,
    /// Whether no more risky runs may be open at once than the budget can still absorb.
    pub exposure: bool,
    /// How many people must approve a call of a high-risk tool.
    pub approvals_high: u32,
    /// How hard arguments are checked where the level does not say.
    pub validation: Validation,
    /// The modes that burn the budget at once.
    pub critical: &'static [FailureMode],
    /// How a burn is left without a probation.
    pub recovery: Recovery,
    /// Whether the agent sees what remains of the budget.
    pub disclose_remaining: bool,
}

/// The defaults of `tier`.
#[must_use]
pub const fn defaults(tier: Tier) -> Defaults {
    match tier {
        Tier::Low => Defaults {
            target_ppm: 950_000,
            starts: "autonomous",
            at_risk: "standard",
            burned: "supervised",
            breached: "read_only",
            unlisted: Verdict::Hold,
            retries: 2,
            exposure: false,
            approvals_high: 1,
            validation: Validation::Schemas,
            critical: &[],
            recovery: Recovery::Automatic,
            disclose_remaining: true,
        },
        Tier::Medium => Defaults {
            target_ppm: 970_000,
            starts: "standard",
            at_risk: "standard",
            burned: "supervised",
            breached: "read_only",
            unlisted: Verdict::Deny,
            retries: 1,
            exposure: false,
            approvals_high: 1,
            validation: Validation::Schemas,
            critical: &[],
            recovery: Recovery::Cause,
            disclose_remaining: true,
        },
        Tier::High => Defaults {
            target_ppm: 995_000,
            starts: "supervised",
            at_risk: "supervised",
            burned: "read_only",
            breached: "halted",
            unlisted: Verdict::Deny,
            retries: 0,
            exposure: true,
            approvals_high: 2,
            validation: Validation::Strict,
            critical: &[FailureMode::MissedEscalation],
            recovery: Recovery::Cause,
            disclose_remaining: false,
        },
    }
}

/// How many people must approve a call of a tool that is not high-risk, at every tier.
pub const APPROVALS: u32 = 1;

/// Is a tool of this risk idempotent where its policy does not say?
#[must_use]
pub const fn is_idempotent(risk: Risk) -> bool {
    matches!(risk, Risk::Read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::level::Ladder;

    #[test]
    fn the_table_of_defaults() {
        let row = |tier| {
            let d = defaults(tier);
            format!(
                "{} {} | {} {} {} | {} {} {} {} {:?} {:?} {:?} {}",
                d.target_ppm,
                d.starts,
                d.at_risk,
                d.burned,
                d.breached,
                d.unlisted,
                d.retries,
                d.exposure,
                d.approvals_high,
                d.validation,
                d.critical,
                d.recovery,
                d.disclose_remaining
            )
        };
        assert_eq!(
            row(Tier::Low),
            "950000 autonomous | standard supervised read_only | hold 2 false 1 Schemas [] Automatic true"
        );
        assert_eq!(
            row(Tier::Medium),
            "970000 standard | standard supervised read_only | deny 1 false 1 Schemas [] Cause true"
        );
        assert_eq!(
            row(Tier::High),
            "995000 supervised | supervised read_only halted | deny 0 true 2 Strict [MissedEscalation] Cause false"
        );
    }

    #[test]
    fn every_default_level_exists_and_worse_postures_never_leave_more() {
        let ladder = Ladder::built_in();
        for tier in [Tier::Low, Tier::Medium, Tier::High] {
            let d = defaults(tier);
            let [starts, at_risk, burned, breached] =
                [d.starts, d.at_risk, d.burned, d.breached].map(|name| ladder.find(name).unwrap());
            assert!(
                starts >= at_risk && at_risk >= burned && burned >= breached,
                "{tier}"
            );
        }
    }
}
