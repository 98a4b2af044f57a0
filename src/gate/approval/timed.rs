//! Time-boxed grants: for a while, so many held calls of one tool go without asking anybody. Given
//! by a person, counted, and over at their time, their number, a clamp or a burn, whichever comes
//! first.
//!
//! They do not overrule approvals: what is denied stays denied, and no tool's ceiling
//! is lifted by one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::queue::STANDS;
use crate::gate::name::{GrantId, PersonName, ToolName};
use crate::gate::time::{Time, days};

/// The longest that one lasts.
pub const MAX_LASTS: Duration = days(1);
/// The most calls of one.
pub const MAX_CALLS: u32 = 1_000;
/// The most that one workflow has at once.
pub const MAX_OPEN: usize = 100;

/// A time-boxed grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedGrant {
    /// Its id.
    pub id: GrantId,
    /// For which tool.
    pub tool: ToolName,
    /// When it was given.
    pub at: Time,
    /// When it ends.
    pub until: Time,
    /// For how many calls.
    pub max: u32,
    /// How many went under it.
    pub used: u32,
    /// Who gave it.
    pub by: PersonName,
    /// Why.
    pub reason: Arc<str>,
    /// When somebody took it back.
    pub revoked: Option<Time>,
}

impl TimedGrant {
    /// Does it let another call go at `now`?
    #[must_use]
    pub fn is_open(&self, now: Time) -> bool {
        self.revoked.is_none() && now < self.until && self.used < self.max
    }
}

/// A workflow's time-boxed grants: those that are open, and those that ended within [`STANDS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimedGrants(Vec<TimedGrant>);

impl TimedGrants {
    /// All of them, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &TimedGrant> {
        self.0.iter()
    }

    /// The one that lets a call of `tool` go at `now`.
    #[must_use]
    pub fn open(&self, tool: &ToolName, now: Time) -> Option<&TimedGrant> {
        self.0
            .iter()
            .find(|grant| grant.tool == *tool && grant.is_open(now))
    }

    /// Does this one let another call go at `now`?
    #[must_use]
    pub fn is_open(&self, id: GrantId, now: Time) -> bool {
        self.0
            .iter()
            .any(|grant| grant.id == id && grant.is_open(now))
    }

    /// Is there no room for another?
    #[must_use]
    pub fn is_full(&self, now: Time) -> bool {
        self.0.iter().filter(|grant| grant.is_open(now)).count() >= MAX_OPEN
    }

    /// Takes `grant` in, within the bounds that all of them have.
    pub fn give(&mut self, grant: TimedGrant, now: Time) {
        let over = |grant: &TimedGrant| grant.revoked.unwrap_or(grant.until).min(grant.until);
        self.0
            .retain(|known| known.is_open(now) || now < over(known).plus(STANDS));
        // Those that are used up and not over by time are kept no longer where there are many.
        while self.0.len() >= 2 * MAX_OPEN
            && let Some(index) = self.0.iter().position(|known| !known.is_open(now))
        {
            self.0.remove(index);
        }
        if self.is_full(now) || self.0.iter().any(|known| known.id == grant.id) {
            return;
        }
        let (until, max) = (
            grant.until.min(now.plus(MAX_LASTS)),
            grant.max.min(MAX_CALLS),
        );
        self.0.push(TimedGrant {
            at: now,
            until,
            max,
            used: 0,
            revoked: None,
            ..grant
        });
    }

    /// A call goes under it.
    pub fn spend(&mut self, id: GrantId) {
        if let Some(grant) = self.0.iter_mut().find(|grant| grant.id == id) {
            grant.used = grant.used.saturating_add(1);
        }
    }

    /// Ends it.
    pub fn revoke(&mut self, id: GrantId, now: Time) {
        if let Some(grant) = self
            .0
            .iter_mut()
            .find(|grant| grant.id == id && grant.is_open(now))
        {
            grant.revoked = Some(now);
        }
    }

    /// Ends those that were given by anybody but `people`.
    pub fn keep_people(&mut self, people: &BTreeSet<PersonName>, now: Time) {
        for grant in self
            .0
            .iter_mut()
            .filter(|grant| grant.is_open(now) && !people.contains(&grant.by))
        {
            grant.revoked = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(id: u128, until: i64, max: u32) -> TimedGrant {
        TimedGrant {
            id: GrantId::from_bits(id),
            tool: "a/t".into(),
            at: Time::default(),
            until: Time::from_millis(until),
            max,
            used: 0,
            by: "ada".into(),
            reason: "a drill".into(),
            revoked: None,
        }
    }

    #[test]
    fn one_ends_at_its_time_its_number_or_when_it_is_taken_back() {
        let (mut grants, at) = (TimedGrants::default(), Time::from_millis);
        for (id, until, max) in [(1, 100, 2), (2, 100, 2), (3, 50, 2)] {
            grants.give(grant(id, until, max), at(0));
        }
        let id = GrantId::from_bits;
        grants.spend(id(1));
        assert!(
            grants.is_open(id(1), at(99)) && !grants.is_open(id(1), at(100)),
            "to the millisecond"
        );
        grants.spend(id(1));
        assert!(!grants.is_open(id(1), at(1)), "and to the call");
        grants.revoke(id(2), at(1));
        assert!(!grants.is_open(id(2), at(1)));
        assert_eq!(
            grants.open(&"a/t".into(), at(49)).map(|grant| grant.id),
            Some(id(3))
        );
        assert_eq!(grants.open(&"a/other".into(), at(49)), None);
        grants.keep_people(&BTreeSet::from(["ada".into()]), at(2));
        assert!(
            grants.is_open(id(3), at(2)),
            "who stays keeps what was given"
        );
        grants.keep_people(&BTreeSet::from(["bob".into()]), at(2));
        let used_up = grants.iter().find(|grant| grant.id == id(1));
        assert_eq!(used_up.and_then(|grant| grant.revoked), None);
        assert!(
            !grants.is_open(id(3), at(2)),
            "who is removed gives nothing"
        );
    }

    #[test]
    fn one_that_is_over_is_remembered_for_so_long_and_no_longer() {
        let (mut grants, end) = (TimedGrants::default(), Time::from_millis(100).plus(STANDS));
        grants.give(grant(1, 100, 1), Time::default());
        let ids = |grants: &TimedGrants| grants.iter().map(|grant| grant.id).collect::<Vec<_>>();
        let id = GrantId::from_bits;
        grants.give(grant(2, i64::MAX, 1), end.minus(Duration::from_millis(1)));
        assert_eq!(ids(&grants), [id(1), id(2)]);
        grants.give(grant(3, i64::MAX, 1), end);
        assert_eq!(ids(&grants), [id(2), id(3)]);
    }

    #[test]
    fn g7_no_grant_is_larger_than_all_may_be_and_there_are_only_so_many() {
        let mut grants = TimedGrants::default();
        for id in 0..2 * MAX_OPEN as u128 {
            grants.give(grant(id, i64::MAX, u32::MAX), Time::default());
        }
        assert_eq!(grants.iter().count(), MAX_OPEN);
        assert!(
            grants
                .iter()
                .all(|grant| grant.max == MAX_CALLS
                    && grant.until == Time::default().plus(MAX_LASTS))
        );
    }
}
