//! Which finished runs people are asked to judge. Silence is not success: a budget that only counts
//! what somebody complained about is a budget over complaints.
//!
//! A draw compares a number that nobody can guess with a chance; the caller derives the number from
//! a secret and the run's identity. So a draw is the same whenever it is made again,
//! and an agent can neither foresee nor learn it (G11). The chance follows the risk of what the run
//! did, and rises where the sample alone would leave the week below the policy's minimum.

use serde::{Deserialize, Serialize};

use super::risk::Risk;
use super::time::{Time, days};
use crate::gate::ppm::MILLION;

/// The most runs of one workflow that wait for people. At it, the least risky and of those the
/// oldest leaves the queue unchecked, and is counted as such (G7).
pub const MOST_WAITING: usize = 1_000;
/// The length of a week.
const WEEK_MS: i64 = 7 * 86_400_000;
/// Weeks begin on Monday, and 1 January 1970 was a Thursday.
const FIRST_MONDAY_MS: i64 = 4 * 86_400_000;

/// How many finished runs people check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The share that is drawn, in parts per million: of runs whose riskiest executed call was
    /// `low` or `read`.
    pub sample_ppm: u32,
    /// The fewest that are drawn in a week, where there are as many.
    pub min: u32,
}

/// A whole UTC week, from Monday to Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Week(i64);

impl Week {
    /// The week that holds `at`.
    #[must_use]
    pub const fn of(at: Time) -> Self {
        Week((at.as_millis() - FIRST_MONDAY_MS).div_euclid(WEEK_MS))
    }

    /// Its first millisecond.
    #[must_use]
    pub const fn start(self) -> Time {
        Time::from_millis(
            self.0
                .saturating_mul(WEEK_MS)
                .saturating_add(FIRST_MONDAY_MS),
        )
    }

    /// What is left of it at `at`, in parts per million: all of it before it begins, nothing once
    /// it is over.
    fn left_ppm(self, at: Time) -> u64 {
        let left = (self.start().as_millis() + WEEK_MS - at.as_millis()).clamp(0, WEEK_MS);
        left.unsigned_abs() * u64::from(MILLION) / WEEK_MS.unsigned_abs()
    }
}

/// What a week of a workflow has come to so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckPace {
    /// The week.
    pub week: Week,
    /// Runs drawn in it.
    pub drawn: u32,
    /// Counted runs to be expected in a whole week: what the last seven days had, or what the
    /// policy expects if that is more.
    pub expected: u64,
}

impl Check {
    /// The chance of a run that ended at `at`, in parts per million: the sample, twice that where
    /// it executed a `medium` call and four times where a `high` one; and no less than what still
    /// brings the week to its minimum.
    #[must_use]
    pub fn chance_ppm(&self, risk: Option<Risk>, pace: &CheckPace, at: Time) -> u32 {
        let weight = match risk {
            None | Some(Risk::Read | Risk::Low) => 1,
            Some(Risk::Medium) => 2,
            Some(Risk::High) => 4,
        };
        let sampled = u64::from(self.sample_ppm) * weight;
        let missing = u64::from(self.min.saturating_sub(pace.drawn));
        // In millionths of a run. Where fewer are to come than are missing, each of them is drawn.
        let to_come = u128::from(pace.expected) * u128::from(pace.week.left_ppm(at));
        let million = u128::from(MILLION);
        let needed = (u128::from(missing) * million * million)
            .checked_div(to_come)
            .unwrap_or(if missing > 0 { million } else { 0 });
        u32::try_from(u128::from(sampled).max(needed).min(million)).unwrap_or(MILLION)
    }
}

/// The counted runs of a week, where a policy expects `runs` in a window of `window_days` days.
#[must_use]
pub fn weekly(runs: u64, window: std::time::Duration) -> u64 {
    let (week, window) = (
        u128::from(days(7).as_secs()),
        u128::from(window.as_secs().max(1)),
    );
    u64::try_from(u128::from(runs) * week / window).unwrap_or(u64::MAX)
}

/// Is a run drawn whose number is `number`? Numbers are spread evenly over all of `u64`.
#[must_use]
pub fn is_drawn(number: u64, chance_ppm: u32) -> bool {
    // The share of numbers below the chance, without a rounding that would ever draw at 0 or miss
    // at 1.
    u128::from(number) * u128::from(MILLION) < u128::from(chance_ppm) << 64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Monday 5 January 2026, 00:00 UTC.
    const MONDAY: i64 = 1_767_571_200_000;

    fn pace(drawn: u32, expected: u64) -> CheckPace {
        CheckPace {
            week: Week::of(Time::from_millis(MONDAY)),
            drawn,
            expected,
        }
    }

    #[test]
    fn weeks_begin_on_monday() {
        assert_eq!(
            Week::of(Time::from_millis(MONDAY)).start(),
            Time::from_millis(MONDAY)
        );
        assert!(Week::of(Time::from_millis(MONDAY - 1)) < Week::of(Time::from_millis(MONDAY)));
        assert_eq!(
            Week::of(Time::from_millis(MONDAY + WEEK_MS - 1)),
            Week::of(Time::from_millis(MONDAY))
        );
    }

    #[test]
    fn riskier_runs_are_drawn_more_often() {
        let check = Check {
            sample_ppm: 50_000,
            min: 0,
        };
        let chance = |risk| check.chance_ppm(risk, &pace(0, 10_000), Time::from_millis(MONDAY));
        assert_eq!(
            [None, Some(Risk::Low), Some(Risk::Medium), Some(Risk::High)].map(chance),
            [50_000, 50_000, 100_000, 200_000]
        );
        assert_eq!(
            Check {
                sample_ppm: 500_000,
                min: 0
            }
            .chance_ppm(Some(Risk::High), &pace(0, 1), Time::from_millis(MONDAY)),
            MILLION
        );
    }

    #[test]
    fn a_week_that_falls_behind_is_drawn_from_more_often_and_one_that_has_its_minimum_is_not() {
        let check = Check {
            sample_ppm: 10_000,
            min: 20,
        };
        let half = Time::from_millis(MONDAY + WEEK_MS / 2);
        assert_eq!(
            check.chance_ppm(None, &pace(0, 100), half),
            400_000,
            "20 of the 50 to come"
        );
        assert_eq!(check.chance_ppm(None, &pace(10, 100), half), 200_000);
        assert_eq!(check.chance_ppm(None, &pace(20, 100), half), 10_000);
        assert_eq!(
            check.chance_ppm(None, &pace(0, 10), half),
            MILLION,
            "fewer are to come than are missing"
        );
        assert_eq!(
            check.chance_ppm(None, &pace(19, 0), Time::from_millis(MONDAY)),
            MILLION,
            "nothing is known of what is to come"
        );
    }

    #[test]
    fn what_a_policy_expects_of_a_window_is_brought_to_a_week() {
        assert_eq!(weekly(100, days(30)), 23);
        assert_eq!(weekly(7, days(1)), 49);
    }

    proptest! {
        #[test]
        fn a_chance_of_nothing_never_draws_and_one_of_all_always_does(number: u64) {
            prop_assert!(!is_drawn(number, 0));
            prop_assert!(is_drawn(number, MILLION));
        }

        #[test]
        fn no_chance_lies_below_the_sample_or_above_certainty(sample in 0..=MILLION, min: u32, drawn: u32, expected: u64, ms in 0..WEEK_MS) {
            let chance = Check { sample_ppm: sample, min }.chance_ppm(None, &pace(drawn, expected), Time::from_millis(MONDAY + ms));
            prop_assert!((sample..=MILLION).contains(&chance));
        }
    }
}
