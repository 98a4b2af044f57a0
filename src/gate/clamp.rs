//! Operators' clamps on one workflow, or on all: which of them are on, and which is the lowest.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::level::{BUILT_IN, Ladder};
use super::name::{LevelName, PersonName};
use super::time::Time;

/// An operator's ceiling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clamp {
    /// The highest level left.
    pub to: LevelName,
    /// Who.
    pub by: PersonName,
    /// Why.
    pub reason: Arc<str>,
    /// When it was set.
    pub at: Time,
    /// When it runs out, where it does.
    pub until: Option<Time>,
}

/// Operators' clamps that are on together. A clamp is lifted by a release or its own end and
/// nothing else, so a laxer or shorter one that comes later leaves the earlier one in force. At
/// most one a level.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Clamps(Vec<Clamp>);

impl Clamps {
    /// The most levels that can be clamped to at once; a clamp to one more clamps to the lowest.
    pub const MAX: usize = 256;

    /// Adds `clamp`. Of two to the same level the one that lasts longer stays.
    pub fn add(&mut self, mut clamp: Clamp) {
        if self.0.len() >= Self::MAX && self.0.iter().all(|on| on.to != clamp.to) {
            clamp.to = BUILT_IN[0].into();
        }
        let lasts = |clamp: &Clamp| clamp.until.unwrap_or(Time::from_millis(i64::MAX));
        match self.0.iter_mut().find(|on| on.to == clamp.to) {
            Some(on) if lasts(&clamp) >= lasts(on) => *on = clamp,
            Some(_) => {}
            None => self.0.push(clamp),
        }
    }

    /// Lifts every clamp.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Ends what has run out at `now` and returns how many did.
    pub fn expire(&mut self, now: Time) -> usize {
        let before = self.0.len();
        self.0
            .retain(|clamp| clamp.until.is_none_or(|until| now < until));
        before - self.0.len()
    }

    pub(super) fn lowest(&self, ladder: &Ladder) -> Option<&Clamp> {
        self.0.iter().min_by_key(|clamp| {
            ladder
                .find(clamp.to.as_str())
                .unwrap_or_else(|| ladder.lowest())
        })
    }

    pub(super) fn ends(&self) -> impl Iterator<Item = Time> {
        self.0.iter().filter_map(|clamp| clamp.until)
    }

    pub(super) fn carried(&self, carry: impl Fn(&LevelName) -> LevelName) -> Clamps {
        let mut carried = Clamps::default();
        self.0.iter().for_each(|clamp| {
            carried.add(Clamp {
                to: carry(&clamp.to),
                ..clamp.clone()
            });
        });
        carried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clamp(to: &str, by: &str, until: Option<i64>) -> Clamp {
        Clamp {
            to: to.into(),
            by: by.into(),
            reason: "a drill".into(),
            at: Time::default(),
            until: until.map(Time::from_millis),
        }
    }

    #[test]
    fn of_clamps_to_one_level_the_longest_stays_and_of_equals_the_last() {
        for (first, second, stays) in [
            (Some(10), Some(10), "bob"),
            (Some(10), Some(9), "ada"),
            (Some(10), Some(11), "bob"),
            (Some(10), None, "bob"),
            (None, Some(10), "ada"),
            (None, None, "bob"),
        ] {
            let mut clamps = Clamps::default();
            clamps.add(clamp("read_only", "ada", first));
            clamps.add(clamp("read_only", "bob", second));
            let [only] = &*clamps.0 else {
                panic!("one a level: {clamps:?}")
            };
            assert_eq!(only.by.as_str(), stays, "{first:?} {second:?}");
        }
    }

    #[test]
    fn g7_beyond_the_bound_a_clamp_to_one_more_level_is_one_to_the_lowest() {
        let mut clamps = Clamps::default();
        let level = |n: usize| format!("level-{n}");
        for n in 0..Clamps::MAX {
            clamps.add(clamp(&level(n), "ada", None));
        }
        let last = |clamps: &Clamps| clamps.0[clamps.0.len() - 1].to.to_string();
        assert_eq!(clamps.0.len(), Clamps::MAX);
        assert_eq!(last(&clamps), level(Clamps::MAX - 1));
        clamps.add(clamp(&level(Clamps::MAX), "ada", None));
        assert_eq!(last(&clamps), BUILT_IN[0]);
    }
}
