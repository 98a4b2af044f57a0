//! What failure means for a workflow and how much of it is acceptable: the objective, and the
//! allowance that follows from it.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use crate::gate::outcome::FailureMode;
use crate::gate::ppm::MILLION;
use crate::gate::time;

/// Target, window and size of a workflow's budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    /// The share of runs that must be acceptable, in parts per million: 500,000 to 999,990.
    pub target_ppm: u32,
    /// The rolling window, in whole days from 1 to 90.
    #[serde(with = "time::millis")]
    pub window: Duration,
    /// How many runs are expected in a window; the budget is never smaller than for this many.
    pub expected_runs: u64,
    /// Whether the policy wrote `expected_runs`: then the counted runs enter the allowance with at
    /// most twice that.
    pub expected_written: bool,
    /// The modes that make a run unacceptable.
    pub unacceptable: BTreeSet<FailureMode>,
    /// The modes that burn the budget at once.
    pub critical: BTreeSet<FailureMode>,
    /// The counts at which failures are strong evidence about the true rate.
    pub evidence: Arc<Evidence>,
}

/// How many unacceptable runs a budget allows, exactly: in millionths of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allowed(u128);

/// What is left of a budget, as the exact ratio `1 − B / allowed`. Negative once overdrawn.
#[derive(Debug, Clone, Copy)]
pub struct Remaining {
    left: i128,
    of: i128,
}

impl Objective {
    /// Does a run with this mode count as unacceptable?
    #[must_use]
    pub fn counts(&self, mode: &FailureMode) -> bool {
        self.unacceptable.contains(mode) || self.critical.contains(mode)
    }

    /// Is this a mode that a run of the workflow can be charged with: a built-in one, or one that
    /// the objective lists?
    #[must_use]
    pub fn knows(&self, mode: &FailureMode) -> bool {
        !matches!(mode, FailureMode::Named(_)) || self.counts(mode)
    }

    /// The share of runs that may be unacceptable, in parts per million. Never zero.
    #[must_use]
    pub const fn miss_ppm(&self) -> u32 {
        MILLION - self.target_ppm
    }

    /// The allowance over all runs: `max(2, (1 − target) × max(N, expected_runs))`, where N counts
    /// with at most twice a written `expected_runs`.
    #[must_use]
    pub fn allowed(&self, runs: u64) -> Allowed {
        let ceiling = if self.expected_written {
            self.expected_runs.saturating_mul(2)
        } else {
            u64::MAX
        };
        let size = runs.min(ceiling).max(self.expected_runs);
        Allowed::of(2, self.miss_ppm(), size)
    }

    /// The allowance over the runs that executed a `high` call: `max(3, (1 − target) × N)` of their
    /// own N.
    #[must_use]
    pub fn allowed_high(&self, runs: u64) -> Allowed {
        Allowed::of(3, self.miss_ppm(), runs)
    }
}

impl Allowed {
    fn of(floor: u32, miss_ppm: u32, runs: u64) -> Self {
        Allowed(
            (u128::from(miss_ppm) * u128::from(runs)).max(u128::from(floor) * u128::from(MILLION)),
        )
    }

    /// A tenth of this allowance, but at least one run: the budget of a probation.
    #[must_use]
    pub fn tenth(self) -> Self {
        Allowed((self.0 / 10).max(u128::from(MILLION)))
    }

    /// The allowance in millionths of a run.
    #[must_use]
    pub const fn millionths(self) -> u128 {
        self.0
    }

    /// Would `unacceptable` runs use this allowance up?
    #[must_use]
    pub fn is_spent_by(self, unacceptable: u64) -> bool {
        u128::from(unacceptable) * u128::from(MILLION) >= self.0
    }

    /// What is left after `unacceptable` runs.
    #[must_use]
    pub fn remaining(self, unacceptable: u64) -> Remaining {
        let of = i128::try_from(self.0).unwrap_or(i128::MAX);
        Remaining {
            left: of - i128::from(unacceptable) * i128::from(MILLION),
            of,
        }
    }

    /// How many more unacceptable runs bring it to its end: `⌈allowed − B⌉`, at least 0.
    #[must_use]
    pub fn room(self, unacceptable: u64) -> u64 {
        let spent = u128::from(unacceptable) * u128::from(MILLION);
        u64::try_from(self.0.saturating_sub(spent).div_ceil(u128::from(MILLION)))
            .unwrap_or(u64::MAX)
    }
}

impl Remaining {
    /// What is left of a budget of which nothing was spent.
    pub const FULL: Remaining = Remaining { left: 1, of: 1 };

    /// Compares with a whole percentage.
    #[must_use]
    pub fn cmp_percent(&self, percent: i32) -> Ordering {
        (self.left * 100).cmp(&(i128::from(percent) * self.of))
    }

    /// The ratio in ten-thousandths, rounded down: what is shown to four places.
    #[must_use]
    pub fn ten_thousandths(&self) -> i64 {
        i64::try_from((self.left * 10_000).div_euclid(self.of)).unwrap_or(i64::MIN)
    }
}

impl PartialEq for Remaining {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Remaining {}

impl PartialOrd for Remaining {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Remaining {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.left * other.of).cmp(&(other.left * self.of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objective(target_ppm: u32, expected_runs: u64, expected_written: bool) -> Objective {
        Objective {
            target_ppm,
            window: time::days(30),
            expected_runs,
            expected_written,
            unacceptable: BTreeSet::new(),
            critical: BTreeSet::new(),
            evidence: Arc::default(),
        }
    }

    #[test]
    fn the_200th_failure_of_10_000_runs_at_98_percent_spends_the_budget() {
        let allowed = objective(980_000, 10_000, true).allowed(10_000);
        assert!(!allowed.is_spent_by(199));
        assert!(allowed.is_spent_by(200));
        assert_eq!(allowed.remaining(150).cmp_percent(25), Ordering::Equal);
        assert_eq!(allowed.remaining(179).cmp_percent(10), Ordering::Greater);
        assert_eq!(allowed.remaining(180).cmp_percent(10), Ordering::Equal);
        assert_eq!(allowed.room(197), 3);
    }

    #[test]
    fn a_written_size_counts_at_most_twice() {
        assert_eq!(
            objective(970_000, 10_000, true)
                .allowed(40_000)
                .millionths(),
            600_000_000
        );
        assert_eq!(
            objective(970_000, 10_000, false)
                .allowed(40_000)
                .millionths(),
            1_200_000_000
        );
    }

    #[test]
    fn a_small_budget_allows_two_and_a_small_high_budget_three() {
        assert_eq!(
            objective(995_000, 100, false).allowed(0).millionths(),
            2_000_000
        );
        assert_eq!(
            objective(995_000, 100, false).allowed_high(10).millionths(),
            3_000_000
        );
    }

    #[test]
    fn what_remains_is_shown_rounded_down_also_below_zero() {
        let allowed = objective(970_000, 100, true).allowed(100);
        assert_eq!(allowed.remaining(1).ten_thousandths(), 6_666);
        assert_eq!(allowed.remaining(4).ten_thousandths(), -3_334);
    }

    #[test]
    fn what_remains_of_two_budgets_is_compared_as_a_share() {
        let [two, four] = [100, 200].map(|runs| objective(980_000, runs, true).allowed(runs));
        assert_eq!(two.remaining(1), four.remaining(2));
        assert!(two.remaining(1) < four.remaining(1));
        assert!(four.remaining(3) < two.remaining(1));
    }
}
