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
