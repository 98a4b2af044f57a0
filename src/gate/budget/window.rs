//! Counts of runs over rolling look-backs, kept in whole UTC minutes for three days and in whole
//! UTC hours for ninety.
//!
//! A look-back up to three days counts whole minutes, the budget's window whole hours; the bucket
//! that holds `now` is always part of it. Runs are booked where they belong, also days later, so a
//! bucket is found by its time, never by its age. Each bucket knows the era it belongs to (the last
//! recovery before it), so that a probation counts exactly the runs booked since, although it began
//! in the middle of an hour.
//!
//! Buckets add changes up with their signs and sums never show less than zero, so that the same
//! changes give the same sums in whatever order they arrive, and a change that is taken back leaves
//! nothing behind.
//!
//! Only buckets with something in them exist: at most 4,320 minutes and 2,160 hours for each era,
//! whatever passes through.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::buckets::{Bucket, Buckets, add};
use super::burn::{Count, Counts, LOOK_BACKS};
use super::shift::{Shift, Tally, at_least_zero};
use crate::gate::name::ToolName;
use crate::gate::outcome::FailureMode;
use crate::gate::run_flags::ModeShift;
use crate::gate::time::{Hour, Minute, Time};

/// How many hours are kept: the longest window.
pub const KEPT_HOURS: i64 = 90 * 24;
/// How many minutes are kept: the longest look-back.
pub const KEPT_MINUTES: i64 = 3 * 24 * 60;
/// The most eras that are told apart. More recoveries within [`KEPT_HOURS`] merge the oldest eras:
/// what late facts change there is then counted as older.
pub const MAX_ERAS: usize = 256;

/// What was counted over a span of hours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// The counts of runs.
    pub tally: Tally,
    /// How many runs had each failure mode.
    pub modes: BTreeMap<FailureMode, u64>,
    /// The same by the tool that each was seen at.
    pub modes_by_tool: BTreeMap<ToolName, BTreeMap<FailureMode, u64>>,
}

impl Totals {
    fn of<'b>(buckets: impl Iterator<Item = &'b Bucket>) -> Self {
        let mut sum = Shift::default();
        let (mut modes, mut pairs) = (BTreeMap::new(), BTreeMap::new());
        for bucket in buckets {
            sum.add(bucket.sum);
            bucket
                .modes
                .iter()
                .for_each(|(mode, count)| add(&mut modes, mode, *count));
            for (mode, tools) in &bucket.tools {
                for (tool, count) in tools {
                    add(&mut pairs, &(tool.clone(), mode.clone()), *count);
                }
            }
        }
        let mut by_tool: BTreeMap<ToolName, BTreeMap<FailureMode, u64>> = BTreeMap::new();
        for ((tool, mode), count) in pairs.into_iter().filter(|(_, count)| *count > 0) {
            by_tool
                .entry(tool)
                .or_default()
                .insert(mode, at_least_zero(count));
        }
        let modes = modes
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(mode, count)| (mode, at_least_zero(count)))
            .collect();
        Totals {
            tally: sum.tally(),
            modes,
            modes_by_tool: by_tool,
        }
    }
}

/// A workflow's counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    minutes: Buckets,
    hours: Buckets,
    /// When the last eras began, oldest first.
    eras: Vec<Time>,
}

impl Window {
    /// Begins a new era right after `now` and returns its beginning. What was booked at `now`
    /// itself stays in the era before, also when it is revised later.
    pub fn begin_era(&mut self, now: Time) -> Time {
        let begins = now.plus(Duration::from_millis(1));
        // An era is forgotten once the next one began before everything that is kept. The one that
        // holds the oldest bucket stays, or a late fact about that bucket would land in another.
        let reached = self
            .eras
            .iter()
            .rposition(|era| now.hour().0 - era.hour().0 > KEPT_HOURS)
            .unwrap_or(0);
        self.eras
            .drain(..reached.max((self.eras.len() + 1).saturating_sub(MAX_ERAS)));
        self.eras.push(begins);
        begins
    }

    /// Adds `shift` and `modes` at `at`. What lies before everything that is kept is
    /// forgotten: no look-back reaches it.
    pub fn book(&mut self, at: Time, shift: Shift, modes: &[ModeShift]) {
        let era = self.era_of(at);
        self.minutes.book(at.minute().0, era, shift);
        let hour = self.hours.book(at.hour().0, era, shift);
        for shift in modes {
            hour.count(shift);
        }
    }

    /// Forgets what no look-back at or after `now` reaches.
    pub fn forget(&mut self, now: Time) {
        self.minutes.forget(now.minute().0 - KEPT_MINUTES);
        self.hours.forget(now.hour().0 - KEPT_HOURS);
    }

    /// The counts of the window that ends at `now`, in eras that began at or after `from`.
    #[must_use]
    pub fn sum(&self, window: Duration, now: Time, from: Time) -> Tally {
        let mut sum = Shift::default();
        self.hours_of(window, now)
            .filter(|bucket| bucket.era >= from)
            .for_each(|bucket| sum.add(bucket.sum));
        sum.tally()
    }

    /// The counts of [`Window::sum`] that a posture is judged on, over all runs and over those with
    /// a `high` call, at the price of a search.
    #[must_use]
    pub fn counts(&self, window: Duration, now: Time, from: Time) -> (Count, Count) {
        let current = now.hour().0;
        self.hours
            .counts(current - whole_hours(window) + 1, current, from)
    }

    /// Would what is booked at `at` be part of [`Window::sum`]?
    #[must_use]
    pub fn reaches(&self, at: Time, window: Duration, now: Time, from: Time) -> bool {
        at >= starts(window, now) && at.hour() <= now.hour() && self.era_of(at) >= from
    }

    /// Everything counted in the window that ends at `now`, in eras that began at or after `from`.
    #[must_use]
    pub fn totals(&self, window: Duration, now: Time, from: Time) -> Totals {
        Totals::of(
            self.hours_of(window, now)
                .filter(|bucket| bucket.era >= from),
        )
    }

    /// Everything counted in the whole hours from that of `since` to that of `until`, both
    /// included, whatever probations began in them.
    #[must_use]
    pub fn between(&self, since: Time, until: Time) -> Totals {
        Totals::of(self.hours.between(since.hour().0, until.hour().0))
    }

    /// The minute under which a past run that was at `at` can be gathered with others at `now`, so
    /// that it counts as if it were booked alone: its own for as long as minutes are kept; then the
    /// first of its hour, unless an era begins between the two. `None` where no window reaches it.
    #[must_use]
    pub fn gathers(&self, at: Time, now: Time) -> Option<Minute> {
        if now.hour().0 - at.hour().0 >= KEPT_HOURS {
            return None;
        }
        let (minute, hour) = (at.minute(), at.hour().start());
        let keeps_minute = now.minute().0 - minute.0 < KEPT_MINUTES
            || self.era_of(hour) != self.era_of(minute.start());
        Some(if keeps_minute { minute } else { hour.minute() })
    }

    /// The counts of every burn-rate look-back at `now`, over all runs and over those with a `high`
    /// call.
    #[must_use]
    pub fn look_backs(&self, now: Time, from: Time) -> (Counts, Counts) {
        let current = now.minute().0;
        let sums = LOOK_BACKS.map(|(_, span)| {
            self.minutes
                .counts(current - whole_minutes(span) + 1, current, from)
        });
        (sums.map(|(all, _)| all), sums.map(|(_, high)| high))
    }

    /// The next time after `now` at which a bucket leaves `window` or a look-back that has failures
    /// in it, so that a posture can change by itself; `None` while there is none. A gap of years
    /// costs as many steps as there are buckets, never one for each minute of it.
    #[must_use]
    pub fn next_edge(&self, window: Duration, now: Time) -> Option<Time> {
        let (minute, hour) = (now.minute().0, now.hour().0);
        let leaves_look_back = self.minutes.last_failure(minute).and_then(|failed| {
            let in_use = LOOK_BACKS
                .iter()
                .map(|(_, span)| whole_minutes(*span))
                .filter(|span| minute - failed < *span);
            in_use
                .filter_map(|span| Some(self.minutes.oldest(minute, span)? + span))
                .min()
        });
        let leaves_window = self
            .hours
            .last_failure(hour)
            .filter(|failed| hour - failed < whole_hours(window))
            .and_then(|_| {
                let oldest = self.hours.oldest(hour, whole_hours(window))?;
                Some(oldest + whole_hours(window))
            });
        [
            leaves_look_back.map(|at| Minute(at).start()),
            leaves_window.map(|at| Hour(at).start()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn hours_of(&self, window: Duration, now: Time) -> impl Iterator<Item = &Bucket> {
        let current = now.hour().0;
        self.hours
            .between(current - whole_hours(window) + 1, current)
    }

    fn era_of(&self, at: Time) -> Time {
        self.eras
            .iter()
            .rev()
            .find(|era| **era <= at)
            .copied()
            .unwrap_or_default()
    }
}

/// The first moment of the window that ends at `now`.
#[must_use]
pub fn starts(window: Duration, now: Time) -> Time {
    Hour(now.hour().0.saturating_sub(whole_hours(window) - 1)).start()
}

/// The first moment of the look-back over `span` that ends at `now`.
#[must_use]
pub fn look_back_starts(span: Duration, now: Time) -> Time {
    Minute(now.minute().0.saturating_sub(whole_minutes(span) - 1)).start()
}

fn whole_hours(window: Duration) -> i64 {
    i64::try_from(window.as_secs() / 3_600)
        .unwrap_or(KEPT_HOURS)
        .min(KEPT_HOURS)
}

fn whole_minutes(span: Duration) -> i64 {
    i64::try_from(span.as_secs() / 60).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::budget::shift::Delta;
    use crate::gate::time::hours;

    #[test]
    fn nothing_changes_by_itself_before_anything_failed() {
        let (mut window, now) = (Window::default(), Time::default().plus(hours(24)));
        let book = |window: &mut Window, unacceptable: i64| {
            let runs = 5;
            window.book(now, Shift::of(Delta { runs, unacceptable }, false), &[]);
            window.next_edge(hours(24), now.plus(hours(1)))
        };
        assert_eq!(book(&mut window, 0), None);
        assert!(book(&mut window, 1).is_some());
    }

    #[test]
    fn as_many_eras_are_told_apart_as_the_bound_and_then_the_oldest_goes() {
        let mut window = Window::default();
        let mut now = Time::default();
        let mut begun = Vec::new();
        for _ in 0..MAX_ERAS {
            begun.push(window.begin_era(now));
            now = now.plus(hours(1));
        }
        assert_eq!(window.eras, begun);
        begun.push(window.begin_era(now));
        assert_eq!(window.eras, begun[1..]);
    }

    #[test]
    fn a_look_back_and_a_window_begin_with_the_first_whole_part_of_them() {
        let now = Time::from_millis(7 * 3_600_000 + 59_999);
        let (five, three) = (Duration::from_mins(5), hours(3));
        assert_eq!(look_back_starts(five, now), Minute(7 * 60 - 4).start());
        assert_eq!(starts(three, now), Hour(5).start());
    }
}
