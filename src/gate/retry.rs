//! How often calls may be sent again: never more than a fifth of what is called anyway, so that an
//! API which fails is not called harder for it.
//!
//! Decides nothing about a single call: whether it may be repeated at all, and whether a clamp came
//! meanwhile, is judged elsewhere. Counts in thousandths.

use super::time::Time;

/// What one call adds: a fifth of a retry.
const PER_CALL: u32 = RETRY / 5;
/// What one retry takes.
const RETRY: u32 = 1_000;
/// The most that is saved up. It bounds the burst after a long time without failures: ten retries,
/// which fifty calls have paid for.
const MOST: u32 = 10 * RETRY;
/// So much comes back by itself, one retry a second: an API that is called once a minute may be
/// retried too.
const FLOOR: u32 = 2 * RETRY;

/// What is left for retries of one API. Filled by calls and by time, emptied by retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    left: u32,
    at: Time,
}

impl RetryBudget {
    /// One that begins at `now`, with what time alone would give.
    #[must_use]
    pub const fn new(now: Time) -> Self {
        RetryBudget {
            left: FLOOR,
            at: now,
        }
    }

    /// A call was sent for the first time.
    pub const fn call(&mut self) {
        let left = self.left + PER_CALL;
        self.left = if left < MOST { left } else { MOST };
    }

    /// Takes one retry, where one is left at `now`.
    pub fn take(&mut self, now: Time) -> bool {
        let passed = now.since(self.at);
        self.at = self.at.max(now);
        if self.left < FLOOR {
            let came = u32::try_from(passed.as_millis()).unwrap_or(FLOOR);
            self.left = self.left.saturating_add(came).min(FLOOR);
        }
        let is_left = self.left >= RETRY;
        if is_left {
            self.left -= RETRY;
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Time {
        Time::from_millis(1_000_000 + millis)
    }

    fn taken(budget: &mut RetryBudget, now: Time) -> usize {
        (0..1_000).take_while(|_| budget.take(now)).count()
    }

    #[test]
    fn retries_are_a_fifth_of_the_calls_when_everything_fails() {
        let mut budget = RetryBudget::new(at(0));
        let floor = taken(&mut budget, at(0));
        let mut retries = 0;
        for _ in 0..1_000 {
            budget.call();
            retries += usize::from(budget.take(at(0)));
        }
        assert_eq!((floor, retries), (2, 200));
    }

    #[test]
    fn what_is_saved_up_is_bounded() {
        let mut budget = RetryBudget::new(at(0));
        (0..1_000_000).for_each(|_| budget.call());
        assert_eq!(taken(&mut budget, at(0)), 10);
    }

    #[test]
    fn time_alone_gives_back_no_more_than_the_floor() {
        let mut budget = RetryBudget::new(at(0));
        assert_eq!(taken(&mut budget, at(0)), 2);
        assert!(!budget.take(at(999)));
        assert!(budget.take(at(1_000)));
        assert!(!budget.take(at(1_001)));
        assert_eq!(taken(&mut budget, at(86_400_000)), 2);
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing() {
        let mut budget = RetryBudget::new(at(10_000));
        assert_eq!(taken(&mut budget, at(10_000)), 2);
        assert!(!budget.take(at(0)));
        assert!(!budget.take(at(10_999)));
        assert!(budget.take(at(11_000)));
    }
}
