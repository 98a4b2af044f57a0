//! A sum over a sliding window: what was added, by when it leaves.
//!
//! Times are kept to a grain, rounded up: what was added in the same grain shares a cell, so that a
//! busy window takes no more cells than it has grains, and nothing leaves the window early. An
//! amount that is given back goes back out of the cell that it went into.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::amount::Amount;
use crate::gate::time::Time;

/// A limit's window is remembered in about so many grains.
pub const GRAINS: u32 = 1_000;

/// What was added, by time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Series {
    cells: VecDeque<Cell>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cell {
    at: Time,
    until: Time,
    amount: Amount,
}

/// How finely the time of what is added to a window of `within` is remembered.
#[must_use]
pub fn grain(within: Duration) -> Duration {
    (within / GRAINS).max(Duration::from_millis(1))
}

impl Series {
    /// Adds `amount` at `at`, to be remembered for `keep`. True where it takes a cell of its own.
    pub fn add(&mut self, at: Time, amount: Amount, keep: Duration, grain: Duration) -> bool {
        if amount == Amount::ZERO {
            return false;
        }
        let at = rounded(at, grain);
        let until = at.plus(keep);
        let index = self.cells.partition_point(|cell| cell.at < at);
        match self.cells.get_mut(index) {
            Some(cell) if cell.at == at => {
                cell.amount = cell.amount.plus(amount);
                cell.until = cell.until.max(until);
                false
            }
            _ => {
                self.cells.insert(index, Cell { at, until, amount });
                true
            }
        }
    }

    /// Takes `amount`, which was added at `at`, out again. True where its cell is gone.
    pub fn give_back(&mut self, at: Time, amount: Amount, grain: Duration) -> bool {
        let at = rounded(at, grain);
        let index = self.cells.partition_point(|cell| cell.at < at);
        let Some(cell) = self.cells.get_mut(index).filter(|cell| cell.at == at) else {
            return false;
        };
        cell.amount = cell.amount.less(amount);
        let is_empty = cell.amount == Amount::ZERO;
        if is_empty {
            self.cells.remove(index);
        }
        is_empty
    }

    /// What was added within `within` before `now`.
    #[must_use]
    pub fn sum(&self, within: Duration, now: Time) -> Amount {
        let counted = self.cells.iter().filter(|cell| cell.counts(within, now));
        counted.fold(Amount::ZERO, |sum, cell| sum.plus(cell.amount))
    }

    /// When the sum will be at most `bound` if nothing is added; `None` where it is already.
    #[must_use]
    pub fn falls_to(&self, bound: Amount, within: Duration, now: Time) -> Option<Time> {
        let mut left = self.sum(within, now);
        let mut falls_at = None;
        for cell in self.cells.iter().filter(|cell| cell.counts(within, now)) {
            if left <= bound {
                break;
            }
            left = left.less(cell.amount);
            falls_at = Some(cell.at.plus(within).min(cell.until));
        }
        falls_at
    }

    /// Forgets what no window reaches at `now`, and returns how many cells that was.
    pub fn expire(&mut self, now: Time) -> usize {
        let before = self.cells.len();
        self.cells.retain(|cell| now < cell.until);
        before - self.cells.len()
    }

    /// How many cells it takes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Is there nothing in it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

impl Cell {
    fn counts(&self, within: Duration, now: Time) -> bool {
        now < self.until && now < self.at.plus(within)
    }
}

/// `at`, rounded up to a whole number of grains.
fn rounded(at: Time, grain: Duration) -> Time {
    let grain = i64::try_from(grain.as_millis()).unwrap_or(i64::MAX).max(1);
    let over = at.as_millis().rem_euclid(grain);
    if over == 0 {
        at
    } else {
        Time::from_millis(at.as_millis().saturating_add(grain - over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::time::{hours, minutes};

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    const DAY: Duration = hours(24);

    fn at(minute: i64) -> Time {
        Time::from_millis(minute * 60_000)
    }

    /// A series in whole minutes, with (minute, amount) added in order.
    fn series(added: &[(i64, &str)]) -> Series {
        let mut series = Series::default();
        for (minute, text) in added {
            series.add(at(*minute), amount(text), DAY, minutes(1));
        }
        series
    }

    #[test]
    fn what_was_added_leaves_when_its_window_has_passed_and_not_before() {
        let series = series(&[(0, "499"), (10, "0.5")]);
        for (minute, sum) in [
            (0, "499.5"),
            (10, "499.5"),
            (1439, "499.5"),
            (1440, "0.5"),
            (1449, "0.5"),
            (1450, "0"),
        ] {
            assert_eq!(series.sum(DAY, at(minute)), amount(sum), "minute {minute}");
        }
        // A shorter window over the same sum.
        assert_eq!(series.sum(minutes(5), at(10)), amount("0.5"));
    }

    #[test]
    fn a_grain_is_rounded_up_so_that_nothing_leaves_early() {
        let mut series = Series::default();
        assert!(series.add(Time::from_millis(1), amount("1"), DAY, minutes(1)));
        assert!(!series.add(Time::from_millis(60_000), amount("2"), DAY, minutes(1)));
        assert_eq!(series.len(), 1);
        assert_eq!(
            series.sum(DAY, Time::from_millis(1 + 86_400_000)),
            amount("3")
        );
        assert_eq!(
            series.sum(DAY, Time::from_millis(60_000 + 86_400_000)),
            Amount::ZERO
        );
    }

    #[test]
    fn what_is_given_back_was_never_there() {
        let mut series = series(&[(0, "400"), (1, "70"), (1, "30")]);
        assert!(!series.give_back(at(1), amount("70"), minutes(1)));
        assert_eq!(series.sum(DAY, at(2)), amount("430"));
        assert!(series.give_back(at(1), amount("30"), minutes(1)));
        // What is not there cannot be given back twice.
        assert!(!series.give_back(at(1), amount("30"), minutes(1)));
        assert_eq!((series.sum(DAY, at(2)), series.len()), (amount("400"), 1));
    }

    #[test]
    fn when_enough_will_have_left_is_known() {
        let series = series(&[(0, "400"), (5, "300"), (9, "300")]);
        assert_eq!(series.falls_to(amount("1000"), DAY, at(10)), None);
        assert_eq!(series.falls_to(amount("999"), DAY, at(10)), Some(at(1440)));
        assert_eq!(series.falls_to(amount("600"), DAY, at(10)), Some(at(1440)));
        assert_eq!(series.falls_to(amount("599"), DAY, at(10)), Some(at(1445)));
        assert_eq!(series.falls_to(Amount::ZERO, DAY, at(10)), Some(at(1449)));
    }

    #[test]
    fn a_busy_window_takes_no_more_cells_than_it_has_grains() {
        let mut series = Series::default();
        let grain = grain(DAY);
        for n in 0..200_000 {
            series.add(Time::from_millis(n * 432), Amount::CALL, DAY, grain);
        }
        assert!(series.len() <= GRAINS as usize + 1, "{}", series.len());
        let cells = series.len();
        assert_eq!(series.expire(Time::from_millis(86_400_000 * 3)), cells);
    }
}
