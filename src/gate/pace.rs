//! How busy a workflow has been, hour by hour, and what a pause of its expansion leaves of that.
//!
//! From `at_risk` on a workflow does what it usually does, and no more: its calls of an hour, and
//! its calls at once, stay within what the busy hours of the last seven days reached (the 95th
//! percentile, so that one odd hour sets no mark). Only hours with traffic are looked at: for a
//! workflow that works one hour a day, the percentile over all hours would be nothing at all. With
//! fewer than a day's worth of such hours nobody knows what is usual, and nothing pauses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::time::{Hour, Time};

/// The hours of a week.
const HOURS: i64 = 7 * 24;
/// Hours with traffic from which on there is something usual.
pub const ENOUGH: usize = 24;

/// A workflow's hours with traffic, of the last seven days.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pace(BTreeMap<Hour, Busy>);

/// How busy one hour was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busy {
    /// Calls that were let go.
    pub calls: u32,
    /// The most of them that were in flight together.
    pub at_once: u32,
}

/// What a pause of expansion leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Calls in an hour.
    pub calls: u32,
    /// Calls in flight together.
    pub at_once: u32,
}

impl Pace {
    /// Notes how busy `hour` has been by now. Of several such notes the busiest stands.
    pub fn note(&mut self, hour: Hour, busy: Busy) {
        let known = self.0.entry(hour).or_default();
        *known = Busy {
            calls: known.calls.max(busy.calls),
            at_once: known.at_once.max(busy.at_once),
        };
        // Bounded by the week that it looks back on (G7), whatever hours come in.
        if let Some((&Hour(latest), _)) = self.0.last_key_value() {
            self.0 = self.0.split_off(&Hour(latest - HOURS));
        }
    }

    /// How busy `hour` has been, as far as that was noted.
    #[must_use]
    pub fn of(&self, hour: Hour) -> Busy {
        self.0.get(&hour).copied().unwrap_or_default()
    }

    /// How many hours with traffic the week before the hour of `now` had.
    #[must_use]
    pub fn hours(&self, now: Time) -> usize {
        self.week(now).count()
    }

    /// What a pause leaves at `now`; `None` while too few hours say what is usual.
    #[must_use]
    pub fn usual(&self, now: Time) -> Option<Pause> {
        let percentile = |of: fn(&Busy) -> u32| {
            let mut values: Vec<u32> = self.week(now).map(of).collect();
            values.sort_unstable();
            // The nearest rank.
            (values.len() >= ENOUGH)
                .then(|| values.get((values.len() * 95).div_ceil(100) - 1).copied())
                .flatten()
        };
        Some(Pause {
            calls: percentile(|busy| busy.calls)?,
            at_once: percentile(|busy| busy.at_once)?,
        })
    }

    fn week(&self, now: Time) -> impl Iterator<Item = &Busy> {
        let Hour(now) = now.hour();
        self.0
            .range(Hour(now - HOURS)..Hour(now))
            .map(|(_, busy)| busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 500_000;

    fn at(hour: i64) -> Time {
        Hour(hour).start()
    }

    fn paced(hours: impl IntoIterator<Item = (i64, u32, u32)>) -> Pace {
        let mut pace = Pace::default();
        for (ago, calls, at_once) in hours {
            pace.note(Hour(NOW - ago), Busy { calls, at_once });
        }
        pace
    }

    #[test]
    fn the_95th_percentile_of_the_hours_with_traffic() {
        // Of a hundred hours the 95th.
        let hours = (1..=100).map(|n| {
            (
                n,
                u32::try_from(n).unwrap() * 10,
                u32::try_from(101 - n).unwrap(),
            )
        });
        assert_eq!(
            paced(hours).usual(at(NOW)),
            Some(Pause {
                calls: 950,
                at_once: 95
            })
        );
        // One odd hour of twenty-four is not usual; two are.
        let odd = |count: i64| (1..=24).map(move |n| (n, if n <= count { 9_000 } else { 100 }, 2));
        assert_eq!(
            paced(odd(1)).usual(at(NOW)),
            Some(Pause {
                calls: 100,
                at_once: 2
            })
        );
        assert_eq!(
            paced(odd(2)).usual(at(NOW)),
            Some(Pause {
                calls: 9_000,
                at_once: 2
            })
        );
    }

    #[test]
    fn too_few_hours_pause_nothing_and_the_hour_that_is_not_over_says_nothing() {
        let pace = paced((0..24).map(|n| (n, 10, 1)));
        assert_eq!((pace.hours(at(NOW)), pace.usual(at(NOW))), (23, None));
        assert_eq!(
            (pace.hours(at(NOW + 1)), pace.usual(at(NOW + 1))),
            (
                24,
                Some(Pause {
                    calls: 10,
                    at_once: 1
                })
            )
        );
        assert_eq!(
            pace.usual(at(NOW + 1 + HOURS)),
            None,
            "a week later nothing is known"
        );
    }

    #[test]
    fn g7_it_keeps_a_week_and_the_busiest_note_of_an_hour() {
        let mut pace = paced((0..1_000).rev().map(|n| (n, 10, 1)));
        assert_eq!(pace.0.len(), usize::try_from(HOURS).unwrap() + 1);
        pace.note(
            Hour(NOW),
            Busy {
                calls: 4,
                at_once: 3,
            },
        );
        assert_eq!(
            pace.of(Hour(NOW)),
            Busy {
                calls: 10,
                at_once: 3
            }
        );
    }
}
