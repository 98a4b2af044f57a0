//! Where a workflow stands: the one value that a call is judged by.
//!
//! Computed when something changes, read by every call. It holds everything that depends on the
//! budget, the levels and the operator, so that judging a call costs the same for one workflow and
//! for a hundred thousand.

use std::sync::Arc;

use super::budget::balance::Balance;
use super::budget::burn::BurnRates;
use super::budget::objective::Remaining;
use super::budget::posture::Posture;
use super::budget::sentence;
use super::clamp::Clamp;
use super::level::{Changes, Level, Rung};
use super::name::LevelName;
use super::pace::Pause;

/// What sets the effective level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binds {
    /// What was earned.
    Earned,
    /// The posture's cap.
    Cap,
    /// An operator's clamp.
    Clamp,
    /// The earned level, because a waiver suspends the cap.
    Waiver,
    /// The level that a probation opens.
    Probation,
}

impl Binds {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Binds::Earned => "earned",
            Binds::Cap => "cap",
            Binds::Clamp => "clamp",
            Binds::Waiver => "waiver",
            Binds::Probation => "probation",
        }
    }
}

/// The effective level and its bounds, as places on the workflow's ladder.
#[derive(Debug, Clone, Copy)]
pub struct Effective<'a> {
    /// The lowest of the three.
    pub level: Level,
    /// What was earned.
    pub earned: Level,
    /// What the posture caps, where it does.
    pub cap: Option<Level>,
    /// The lower of the operators' clamps.
    pub clamp: Option<&'a Clamp>,
    /// Which of them binds.
    pub binds: Binds,
}

/// Where a workflow stands.
#[derive(Debug, Clone)]
pub struct Status {
    /// The effective level's rung.
    pub rung: Rung,
    /// The level that was earned.
    pub earned: LevelName,
    /// The cap of the posture, where it has one in force.
    pub cap: Option<LevelName>,
    /// The lower of the operators' clamps.
    pub clamp: Option<Clamp>,
    /// What that clamp leaves, whatever else bounds the level further.
    pub ceiling: Option<Rung>,
    /// Which of them binds.
    pub binds: Binds,
    /// The posture.
    pub posture: Posture,
    /// The budget over all runs.
    pub all: Balance,
    /// The budget over the runs that executed a `high` call.
    pub high: Balance,
    /// The lower of what remains of the two.
    pub remaining: Remaining,
    /// The burn rates over all runs.
    pub burn: BurnRates,
    /// May changes ship?
    pub changes: Changes,
    /// What a pause of expansion leaves, from `at_risk` on.
    pub pause: Option<Pause>,
    /// The posture in a sentence.
    pub why: Arc<str>,
}

impl Status {
    /// The effective level's name.
    #[must_use]
    pub const fn level(&self) -> &LevelName {
        &self.rung.level
    }

    /// What binds the level, in a sentence without its full stop.
    #[must_use]
    pub fn bound_by(&self) -> String {
        match (self.binds, &self.clamp) {
            (Binds::Clamp, Some(clamp)) => {
                format!("an operator clamped it ({}): {}", clamp.by, clamp.reason)
            }
            (Binds::Cap, _) => format!("the budget is {}: {}", self.posture, self.why),
            (Binds::Probation, _) => "a probation opens no more than that".to_owned(),
            (Binds::Waiver, _) => {
                "a waiver suspends the budget's cap, and no operator limits the level".to_owned()
            }
            (Binds::Earned | Binds::Clamp, _) => {
                "neither the budget nor an operator limits the level".to_owned()
            }
        }
    }

    /// What an agent is told, so that a good one slows itself down:
    /// `posture=healthy; level=standard; remaining=0.96`.
    #[must_use]
    pub fn disclosure(&self, remaining: bool) -> String {
        let mut text = format!("posture={}; level={}", self.posture, self.level());
        if remaining {
            text.push_str("; remaining=");
            text.push_str(&sentence::decimal(self.remaining.ten_thousandths()));
        }
        text
    }
}
