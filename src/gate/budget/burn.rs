//! Burn rates: how fast a budget is being spent, over a long and a short look-back at once.
//!
//! The burn rate over a look-back w is `b / ((1 − target) × max(n, expected_runs × w/W))`. A pair
//! fires when both its look-backs reach its threshold, the rate that spends its share of the budget
//! in the long one, at most half the largest possible rate.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::objective::Objective;
use crate::gate::ppm::MILLION;
use crate::gate::time::{days, hours, minutes};

/// The look-backs whose burn rates are kept, shortest first.
pub const LOOK_BACKS: [(&str, Duration); 7] = [
    ("5m", minutes(5)),
    ("30m", minutes(30)),
    ("1h", hours(1)),
    ("2h", hours(2)),
    ("6h", hours(6)),
    ("1d", days(1)),
    ("3d", days(3)),
];

/// One pair of look-backs and the share of the budget whose spending within the long one it warns
/// of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Index of the long look-back in [`LOOK_BACKS`].
    pub long: usize,
    /// Index of the short look-back in [`LOOK_BACKS`].
    pub short: usize,
    /// Share of the budget, in percent.
    pub percent: u32,
}

/// The pairs, fastest first.
pub const PAIRS: [Pair; 4] = [
    Pair {
        long: 2,
        short: 0,
        percent: 2,
    },
    Pair {
        long: 4,
        short: 1,
        percent: 5,
    },
    Pair {
        long: 5,
        short: 3,
        percent: 10,
    },
    Pair {
        long: 6,
        short: 4,
        percent: 10,
    },
];

/// Counted and unacceptable runs of one look-back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Counted runs.
    pub runs: u64,
    /// Unacceptable runs among them.
    pub unacceptable: u64,
}

/// The counts of every look-back, in the order of [`LOOK_BACKS`].
pub type Counts = [Count; LOOK_BACKS.len()];

/// Burn rates as they are shown, in ten-thousandths rounded down; `None` for a look-back whose pair
/// is not in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BurnRates([Option<u64>; LOOK_BACKS.len()]);

impl BurnRates {
    /// The rate over the look-back called `name`, in ten-thousandths.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        let index = LOOK_BACKS
            .iter()
            .position(|(look_back, _)| *look_back == name)?;
        self.0[index]
    }

    /// Every look-back's name and rate in ten-thousandths.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Option<u64>)> {
        LOOK_BACKS
            .iter()
            .zip(self.0)
            .map(|((name, _), rate)| (*name, rate))
    }
}

/// The burn rates of one budget: an objective and the size that is expected of it.
#[derive(Debug, Clone, Copy)]
pub struct Burn {
    miss: u128,
    window: u128,
    expected: u128,
}

impl Burn {
    /// The burn rates over all runs.
    #[must_use]
    pub fn of(objective: &Objective) -> Self {
        Burn {
            miss: u128::from(objective.miss_ppm()),
            window: objective.window.as_millis(),
            expected: u128::from(objective.expected_runs),
        }
    }

    /// The burn rates over the runs that executed a `high` call, of which none are expected.
    #[must_use]
    pub fn of_high(objective: &Objective) -> Self {
        Burn {
            expected: 0,
            ..Burn::of(objective)
        }
    }

    /// Is `pair` in force: long look-back at most a tenth of the window, threshold at least 1?
    #[must_use]
    pub fn in_force(&self, pair: Pair) -> bool {
        let long = LOOK_BACKS[pair.long].1.as_millis();
        let share_reaches_one = u128::from(pair.percent) * self.window >= 100 * long;
        let half_of_largest_reaches_one = u128::from(MILLION) >= 2 * self.miss;
        10 * long <= self.window && share_reaches_one && half_of_largest_reaches_one
    }

    /// Does `pair` fire on these counts?
    #[must_use]
    pub fn fires(&self, pair: Pair, counts: &Counts) -> bool {
        self.in_force(pair)
            && [pair.long, pair.short]
                .into_iter()
                .all(|look_back| self.reaches(pair, look_back, counts[look_back]))
    }

    /// The rates to show.
    #[must_use]
    pub fn rates(&self, counts: &Counts) -> BurnRates {
        let mut rates = BurnRates::default();
        for pair in PAIRS.into_iter().filter(|pair| self.in_force(*pair)) {
            for look_back in [pair.long, pair.short] {
                let (spent, size) = self.rate(look_back, counts[look_back]);
                let rate = (spent * 10_000).checked_div(size).unwrap_or(0);
                rates.0[look_back] = Some(u64::try_from(rate).unwrap_or(u64::MAX));
            }
        }
        rates
    }

    /// The burn rate as a ratio `(numerator, denominator)`; 0/0 with nothing to count.
    fn rate(&self, look_back: usize, count: Count) -> (u128, u128) {
        let span = LOOK_BACKS[look_back].1.as_millis();
        let size = (u128::from(count.runs) * self.window).max(self.expected * span);
        (
            u128::from(count.unacceptable) * u128::from(MILLION) * self.window,
            self.miss * size,
        )
    }

    /// Is the rate over `look_back` at least `min(share × W/long, ½ / (1 − target))`?
    fn reaches(&self, pair: Pair, look_back: usize, count: Count) -> bool {
        let (spent, size) = self.rate(look_back, count);
        let long = LOOK_BACKS[pair.long].1.as_millis();
        let reaches_share = spent * 100 * long >= u128::from(pair.percent) * self.window * size;
        let reaches_half_of_largest = spent * 2 * self.miss >= u128::from(MILLION) * size;
        count.unacceptable > 0 && (reaches_share || reaches_half_of_largest)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;

    fn burn(target_ppm: u32, window_days: u64) -> Burn {
        Burn::of(&Objective {
            target_ppm,
            window: days(window_days),
            expected_runs: 0,
            expected_written: false,
            unacceptable: BTreeSet::new(),
            critical: BTreeSet::new(),
            evidence: Arc::default(),
        })
    }

    fn counts(long: Count, short: Count, pair: Pair) -> Counts {
        let mut counts = Counts::default();
        counts[pair.long] = long;
        counts[pair.short] = short;
        counts
    }

    #[test]
    fn at_98_percent_and_30_days_the_pairs_fire_at_14_4_and_6_and_3_and_1() {
        let burn = burn(980_000, 30);
        for (pair, per_ten_thousand) in PAIRS.into_iter().zip([2_880, 1_200, 600, 200]) {
            let at = |unacceptable| Count {
                runs: 10_000,
                unacceptable,
            };
            assert!(burn.fires(
                pair,
                &counts(at(per_ten_thousand), at(per_ten_thousand), pair)
            ));
            assert!(!burn.fires(
                pair,
                &counts(at(per_ten_thousand - 1), at(per_ten_thousand), pair)
            ));
            assert!(!burn.fires(
                pair,
                &counts(at(per_ten_thousand), at(per_ten_thousand - 1), pair)
            ));
        }
    }

    #[test]
    fn no_threshold_lies_above_half_of_the_largest_possible_rate() {
        let burn = burn(900_000, 30);
        let half = Count {
            runs: 100,
            unacceptable: 50,
        };
        assert!(burn.fires(PAIRS[0], &counts(half, half, PAIRS[0])));
        let less = Count {
            runs: 100,
            unacceptable: 49,
        };
        assert!(!burn.fires(PAIRS[0], &counts(less, less, PAIRS[0])));
    }

    #[test]
    fn a_pair_is_in_force_only_where_its_look_back_fits_and_its_threshold_reaches_1() {
        let in_force = |window_days| PAIRS.map(|pair| burn(980_000, window_days).in_force(pair));
        assert_eq!(in_force(30), [true, true, true, true]);
        assert_eq!(in_force(29), [true, true, true, false]);
        assert_eq!(in_force(7), [true, true, false, false]);
        assert_eq!(in_force(1), [false, false, false, false]);
    }

    #[test]
    fn a_rate_is_found_by_the_name_of_its_look_back() {
        let mut counts = Counts::default();
        counts[2] = Count {
            runs: 10_000,
            unacceptable: 200,
        };
        let rates = burn(980_000, 7).rates(&counts);
        let named = [
            ("5m", Some(0)),
            ("30m", Some(0)),
            ("1h", Some(10_000)),
            ("2h", None),
            ("6h", Some(0)),
            ("1d", None),
            ("3d", None),
        ];
        assert_eq!(rates.iter().collect::<Vec<_>>(), named);
        assert_eq!(
            named.map(|(name, _)| rates.get(name)),
            named.map(|(_, rate)| rate)
        );
        assert_eq!(rates.get("7d"), None);
    }

    #[test]
    fn no_pair_fires_once_its_short_look_back_is_empty() {
        let (burn, pair) = (burn(980_000, 30), PAIRS[0]);
        let failed = Count {
            runs: 10,
            unacceptable: 10,
        };
        assert!(burn.fires(pair, &counts(failed, failed, pair)));
        assert!(!burn.fires(pair, &counts(failed, Count::default(), pair)));
    }
}
