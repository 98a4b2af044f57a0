//! When somebody last looked at how a workflow does: what makes a review overdue, and what waits
//! for one.
//!
//! A workflow that books runs is to be reviewed every week; while nobody reviews it, an event says
//! so once a week. At tier high no promotion comes without a review within thirty days:
//! what nobody looked at earns nothing. Levels are lost all the same.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::name::PersonName;
use super::risk::Tier;
use super::time::{Time, days};

/// How long after the first run that no review covers the next review is due.
pub const EVERY: Duration = days(7);
/// At tier high nothing is earned when the last review is older than this.
pub const LASTS: Duration = days(30);

/// Somebody's review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReview {
    /// When.
    pub at: Time,
    /// By whom.
    pub by: PersonName,
    /// What they noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Arc<str>>,
}

/// The reviews of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviews {
    begun: Time,
    last: Option<LastReview>,
    /// When the next is due, or when an event next says that it is overdue; `None` while there is
    /// nothing to review.
    due: Option<Time>,
    overdue_since: Option<Time>,
}

impl Reviews {
    /// None yet, of a workflow that began at `at`.
    #[must_use]
    pub const fn new(at: Time) -> Self {
        Reviews {
            begun: at,
            last: None,
            due: None,
            overdue_since: None,
        }
    }

    /// The last one.
    #[must_use]
    pub const fn last(&self) -> Option<&LastReview> {
        self.last.as_ref()
    }

    /// Since when one is overdue.
    #[must_use]
    pub const fn overdue_since(&self) -> Option<Time> {
        self.overdue_since
    }

    /// When the next is due, or when an event next says that it is overdue.
    #[must_use]
    pub const fn due(&self) -> Option<Time> {
        self.due
    }

    /// A counted run was booked at `at`: from here on there is something to look at.
    pub fn booked(&mut self, at: Time) {
        if self.due.is_none() {
            self.due = Some(at.plus(EVERY));
        }
    }

    /// Lets time pass until `now`. Returns since when a review is overdue, where an event is to say
    /// so now.
    pub fn pass(&mut self, now: Time) -> Option<Time> {
        let due = self.due.filter(|due| *due <= now)?;
        self.due = Some(due.plus(EVERY));
        Some(*self.overdue_since.get_or_insert(due))
    }

    /// Somebody looked.
    pub fn done(&mut self, done: LastReview) {
        (self.due, self.overdue_since, self.last) = (None, None, Some(done));
    }

    /// Does a promotion wait for a review?
    #[must_use]
    pub fn is_missed(&self, tier: Tier, now: Time) -> bool {
        tier == Tier::High
            && now.since(self.last.as_ref().map_or(self.begun, |last| last.at)) > LASTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: i64) -> Time {
        Time::from_millis(n * 86_400_000)
    }

    #[test]
    fn a_week_after_the_first_run_that_nobody_saw_a_review_is_overdue_and_said_so_weekly() {
        let mut reviews = Reviews::new(day(0));
        assert_eq!(reviews.pass(day(100)), None, "nothing was booked");
        reviews.booked(day(100));
        reviews.booked(day(106));
        assert_eq!(
            [106, 107, 108, 114].map(|n| reviews.pass(day(n))),
            [None, Some(day(107)), None, Some(day(107))]
        );
        reviews.done(LastReview {
            at: day(115),
            by: "ada".into(),
            note: None,
        });
        assert_eq!(
            (reviews.pass(day(130)), reviews.overdue_since()),
            (None, None)
        );
    }

    #[test]
    fn at_tier_high_alone_thirty_days_without_a_review_stop_promotion() {
        let mut reviews = Reviews::new(day(0));
        assert_eq!(
            [Tier::Low, Tier::Medium, Tier::High].map(|tier| reviews.is_missed(tier, day(31))),
            [false, false, true]
        );
        assert!(!reviews.is_missed(Tier::High, day(30)));
        reviews.done(LastReview {
            at: day(31),
            by: "ada".into(),
            note: None,
        });
        assert!(!reviews.is_missed(Tier::High, day(61)));
        assert!(reviews.is_missed(Tier::High, day(62)));
    }
}
