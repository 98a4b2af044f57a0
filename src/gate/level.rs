//! The ladder: what each level lets a workflow do, and the one rule that bounds it.
//!
//! Everything the gate does is read off the effective level, which is the lowest of what was
//! earned, what the budget's posture caps, and what an operator clamped. There is no second
//! mechanism.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::name::{LevelName, ToolName};
use super::risk::Risk;
use super::verdict::Verdict;

/// The built-in levels, lowest first. They exist on every ladder, in this order.
pub const BUILT_IN: [&str; 5] = [
    "halted",
    "read_only",
    "supervised",
    "standard",
    "autonomous",
];

/// May prompts, models, tools and policies of the workflow be changed?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Changes {
    /// Changes are refused.
    Frozen,
    /// Changes may ship.
    Open,
}

/// How hard arguments are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validation {
    /// As the tools' schemas say.
    Schemas,
    /// A call to a tool without a schema is held.
    Strict,
}

/// At most `calls` calls in each `per_seconds` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Volume {
    /// How many calls.
    pub calls: u32,
    /// In how many seconds.
    pub per_seconds: u32,
}

/// One rung of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// The level's name.
    pub level: LevelName,
    /// The verdict on a call of each risk class, in the order of [`Risk::ALL`].
    pub verdicts: [Verdict; 4],
    /// Only these tools, where the level narrows them.
    pub tools: Option<BTreeSet<ToolName>>,
    /// A cap on calls per time.
    pub volume: Option<Volume>,
    /// A cap on calls in flight.
    pub concurrency: Option<u32>,
    /// How hard arguments are checked; `None` leaves it to the tier.
    pub validation: Option<Validation>,
    /// Whether changes may ship.
    pub changes: Changes,
}

impl Rung {
    /// What this level says of a call of `risk` to `tool`.
    #[must_use]
    pub fn verdict(&self, risk: Risk, tool: &ToolName) -> Verdict {
        match &self.tools {
            Some(tools) if !tools.contains(tool) => Verdict::Deny,
            _ => self.verdicts[risk as usize],
        }
    }
}

/// A place on a ladder: higher allows more. Only meaningful on the ladder it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// The place's index, 0 for the lowest.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A workflow's levels, lowest first: the built-in five and those that its policy adds. Never
/// empty, at most [`Ladder::MAX`] rungs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ladder(Vec<Rung>);

impl Ladder {
    /// The most levels a ladder has.
    pub const MAX: usize = 32;

    /// The built-in five.
    #[must_use]
    pub fn built_in() -> Self {
        use Verdict::{Allow, Deny, Hold};
        let table = [
            ([Deny, Deny, Deny, Deny], Changes::Frozen),
            ([Allow, Deny, Deny, Deny], Changes::Frozen),
            ([Allow, Allow, Hold, Hold], Changes::Open),
            ([Allow, Allow, Allow, Hold], Changes::Open),
            ([Allow, Allow, Allow, Allow], Changes::Open),
        ];
        let rung = |(name, (verdicts, changes)): (&str, _)| Rung {
            level: LevelName::from(name),
            verdicts,
            tools: None,
            volume: None,
            concurrency: None,
            validation: None,
            changes,
        };
        Ladder(BUILT_IN.into_iter().zip(table).map(rung).collect())
    }

    /// The rungs, lowest first.
    #[must_use]
    pub fn rungs(&self) -> &[Rung] {
        &self.0
    }

    /// The rungs, to change their fields.
    pub fn rungs_mut(&mut self) -> &mut [Rung] {
        &mut self.0
    }

    /// Adds `rung` right above `below`. Returns it back where `below` is unknown, the name is
    /// taken, or the ladder is full.
    pub fn insert_above(&mut self, below: &str, rung: Rung) -> Result<(), Rung> {
        match self.find(below) {
            Some(level) if self.find(rung.level.as_str()).is_none() && self.0.len() < Self::MAX => {
                self.0.insert(level.index() + 1, rung);
                Ok(())
            }
            _ => Err(rung),
        }
    }

    /// The place of the level called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Level> {
        let index = self.0.iter().position(|rung| rung.level.as_str() == name)?;
        u8::try_from(index).ok().map(Level)
    }

    /// The rung at `level`.
    #[must_use]
    pub fn rung(&self, level: Level) -> &Rung {
        &self.0[level.index().min(self.0.len() - 1)]
    }

    /// The name of `level`.
    #[must_use]
    pub fn name(&self, level: Level) -> &LevelName {
        &self.rung(level).level
    }

    /// The lowest level, `halted`.
    #[must_use]
    pub const fn lowest(&self) -> Level {
        Level(0)
    }

    /// The place that `name` had on the ladder `before`, on this one: the level itself, or the
    /// nearest below it that still exists, so that a reload that drops a level never widens
    /// anything.
    #[must_use]
    pub fn carry(&self, name: &LevelName, before: &Ladder) -> Level {
        let from = before
            .find(name.as_str())
            .unwrap_or_else(|| before.lowest());
        let kept = before.0[..=from.index()]
            .iter()
            .rev()
            .find_map(|rung| self.find(rung.level.as_str()));
        self.find(name.as_str())
            .or(kept)
            .unwrap_or_else(|| self.lowest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_ladder_only_widens_upwards() {
        let ladder = Ladder::built_in();
        for pair in ladder.rungs().windows(2) {
            for (below, above) in pair[0].verdicts.iter().zip(pair[1].verdicts) {
                assert!(
                    *below >= above,
                    "{} is laxer than {}",
                    pair[0].level,
                    pair[1].level
                );
            }
        }
    }

    #[test]
    fn a_dropped_level_is_carried_to_the_nearest_below_never_above() {
        let mut before = Ladder::built_in();
        let careful = Rung {
            level: "careful".into(),
            ..before.rung(before.find("supervised").unwrap()).clone()
        };
        before.insert_above("supervised", careful).unwrap();
        let after = Ladder::built_in();
        assert_eq!(
            after.carry(&"careful".into(), &before),
            after.find("supervised").unwrap()
        );
        assert_eq!(
            after.carry(&"standard".into(), &before),
            after.find("standard").unwrap()
        );
        assert_eq!(
            after.carry(&"never-heard-of".into(), &before),
            after.lowest()
        );
    }

    #[test]
    fn a_ladder_is_full_at_its_maximum() {
        let mut ladder = Ladder::built_in();
        let rung = |n: usize| Rung {
            level: format!("level-{n}").into(),
            ..Ladder::built_in().rungs()[1].clone()
        };
        for n in 5..Ladder::MAX {
            ladder.insert_above("read_only", rung(n)).unwrap();
        }
        assert!(ladder.insert_above("read_only", rung(99)).is_err());
    }
}
