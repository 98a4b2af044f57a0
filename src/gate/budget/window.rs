//! Counts of runs over rolling look-backs, kept in whole UTC minutes for three days and in whole UTC hours for ninety.
//!
//! A look-back up to three days counts whole minutes, the budget's window whole hours; the bucket that holds `now` is always part of it. Runs are booked where they
//! belong, also days later, so a bucket is found by its time, never by its age. Each bucket knows the era it belongs to (the last recovery before it), so that a
//! probation counts exactly the runs booked since, although it began in the middle of an hour.
//!
//! Only buckets with something in them exist: at most 4,320 minutes and 2,160 hours for each era, whatever passes through.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::burn::{Count, Counts, LOOK_BACKS};
use crate::gate::{
    outcome::FailureMode,
    time::{Hour, Minute, Time},
};

/// How many hours are kept: the longest window.
pub const KEPT_HOURS: i64 = 90 * 24;
/// How many minutes are kept: the longest look-back.
pub const KEPT_MINUTES: i64 = 3 * 24 * 60;

/// Counts of runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// All counted runs.
    pub all: Count,
    /// Those that executed a `high` call.
    pub high: Count,
    /// Runs that do not count.
    pub idle: u64,
    /// Counted runs that somebody judged.
    pub checked: u64,
}

/// A change to the counts of one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shift {
    /// All counted runs.
    pub all: Delta,
    /// Those that executed a `high` call.
    pub high: Delta,
    /// Idle runs.
    pub idle: i64,
    /// Checked runs.
    pub checked: i64,
}

/// A change to one count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delta {
    /// Counted runs.
    pub runs: i64,
    /// Unacceptable runs among them.
    pub unacceptable: i64,
}

impl Shift {
    /// The same change to the counts of all runs and, where the runs executed a `high` call, to theirs.
    #[must_use]
    pub fn of(delta: Delta, high: bool) -> Self {
        Shift { all: delta, high: if high { delta } else { Delta::default() }, ..Shift::default() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Bucket {
    at: i64,
    era: Time,
    tally: Tally,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    modes: BTreeMap<FailureMode, u64>,
}

/// A workflow's counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    minutes: VecDeque<Bucket>,
    hours: VecDeque<Bucket>,
    /// When the last eras began, oldest first.
    eras: Vec<Time>,
}

impl Window {
    /// Begins a new era right after `now` and returns its beginning. What was booked at `now` itself stays in the era before, also when it is revised later.
    pub fn begin_era(&mut self, now: Time) -> Time {
        let begins = now.plus(Duration::from_millis(1));
        self.eras.retain(|era| now.hour().0 - era.hour().0 <= KEPT_HOURS);
        self.eras.push(begins);
        begins
    }

    /// Books `shift` and `modes` at `at`. What lies before everything that is kept is forgotten: no look-back reaches it.
    pub fn book(&mut self, at: Time, shift: Shift, modes: &[(FailureMode, i64)]) {
        let era = self.era_of(at);
        bucket(&mut self.minutes, at.minute().0, era).tally.shift(shift);
        let hour = bucket(&mut self.hours, at.hour().0, era);
        hour.tally.shift(shift);
        for (mode, change) in modes {
            let count = hour.modes.entry(mode.clone()).or_default();
            *count = count.saturating_add_signed(*change);
        }
        hour.modes.retain(|_, count| *count > 0);
    }

    /// Forgets what no look-back at or after `now` reaches.
    pub fn forget(&mut self, now: Time) {
        forget(&mut self.minutes, now.minute().0 - KEPT_MINUTES);
        forget(&mut self.hours, now.hour().0 - KEPT_HOURS);
    }

    /// The counts of the window that ends at `now`, in eras that began at or after `from`.
    #[must_use]
    pub fn sum(&self, window: Duration, now: Time, from: Time) -> Tally {
        self.hours_of(window, now).filter(|bucket| bucket.era >= from).fold(Tally::default(), |mut sum, bucket| {
            sum.add(&bucket.tally);
            sum
        })
    }

    /// How often each failure mode was seen in the window that ends at `now`, in eras that began at or after `from`.
    #[must_use]
    pub fn modes(&self, window: Duration, now: Time, from: Time) -> BTreeMap<FailureMode, u64> {
        let mut sum = BTreeMap::new();
        for bucket in self.hours_of(window, now).filter(|bucket| bucket.era >= from) {
            for (mode, count) in &bucket.modes {
                *sum.entry(mode.clone()).or_default() += count;
            }
        }
        sum
    }

    /// The counts of every burn-rate look-back at `now`, over all runs and over those with a `high` call.
    #[must_use]
    pub fn look_backs(&self, now: Time, from: Time) -> (Counts, Counts) {
        let (mut all, mut high) = (Counts::default(), Counts::default());
        let current = now.minute().0;
        for bucket in self.minutes.iter().rev().filter(|bucket| bucket.at <= current && bucket.era >= from) {
            let age = current - bucket.at;
            if age >= KEPT_MINUTES {
                break;
            }
            for (index, (_, span)) in LOOK_BACKS.iter().enumerate() {
                if age < whole_minutes(*span) {
                    add(&mut all[index], bucket.tally.all);
                    add(&mut high[index], bucket.tally.high);
                }
            }
        }
        (all, high)
    }

    /// The next time after `now` at which a bucket leaves a look-back or the window, so that postures can change by themselves; `None` while nothing is
    /// unacceptable in what is kept.
    #[must_use]
    pub fn next_edge(&self, now: Time) -> Option<Time> {
        let current = now.minute();
        let fails = |bucket: &&Bucket| bucket.tally.all.unacceptable > 0;
        if self.minutes.iter().rev().take_while(|bucket| current.0 - bucket.at < KEPT_MINUTES).any(|bucket| fails(&bucket)) {
            return Some(Minute(current.0).next().start());
        }
        let hour = now.hour();
        self.hours.iter().filter(|bucket| hour.0 - bucket.at < KEPT_HOURS).any(|bucket| fails(&bucket)).then(|| Hour(hour.0).next().start())
    }

    fn hours_of(&self, window: Duration, now: Time) -> impl Iterator<Item = &Bucket> {
        let (current, span) = (now.hour().0, i64::try_from(window.as_secs() / 3_600).unwrap_or(KEPT_HOURS).min(KEPT_HOURS));
        let first = self.hours.partition_point(|bucket| current - bucket.at >= span);
        self.hours.range(first..).take_while(move |bucket| bucket.at <= current)
    }

    fn era_of(&self, at: Time) -> Time {
        self.eras.iter().rev().find(|era| **era <= at).copied().unwrap_or_default()
    }
}

impl Tally {
    fn shift(&mut self, shift: Shift) {
        for (count, delta) in [(&mut self.all, shift.all), (&mut self.high, shift.high)] {
            count.runs = count.runs.saturating_add_signed(delta.runs);
            count.unacceptable = count.unacceptable.saturating_add_signed(delta.unacceptable);
        }
        self.idle = self.idle.saturating_add_signed(shift.idle);
        self.checked = self.checked.saturating_add_signed(shift.checked);
    }

    fn add(&mut self, other: &Tally) {
        add(&mut self.all, other.all);
        add(&mut self.high, other.high);
        self.idle += other.idle;
        self.checked += other.checked;
    }
}

fn add(sum: &mut Count, count: Count) {
    sum.runs += count.runs;
    sum.unacceptable += count.unacceptable;
}

fn whole_minutes(span: Duration) -> i64 {
    i64::try_from(span.as_secs() / 60).unwrap_or(i64::MAX)
}

/// The bucket of `at` and `era`, made where there is none. Nearly always the last one.
fn bucket(buckets: &mut VecDeque<Bucket>, at: i64, era: Time) -> &mut Bucket {
    let index = match buckets.back() {
        Some(last) if (last.at, last.era) == (at, era) => buckets.len() - 1,
        _ => {
            let index = buckets.partition_point(|bucket| (bucket.at, bucket.era) < (at, era));
            if buckets.get(index).is_none_or(|found| (found.at, found.era) != (at, era)) {
                buckets.insert(index, Bucket { at, era, tally: Tally::default(), modes: BTreeMap::new() });
            }
            index
        }
    };
    &mut buckets[index]
}

fn forget(buckets: &mut VecDeque<Bucket>, until: i64) {
    let gone = buckets.partition_point(|bucket| bucket.at <= until);
    buckets.drain(..gone);
}
