//! Points in time and the whole UTC minutes and hours that budgets count in.
//!
//! A [`Time`] is a value that is handed in. Nothing in the gate asks a clock, so a year can be
//! judged in a second and a decision can be replayed (G12).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_SECONDS: i64 = 86_400;
/// The first and the last second that RFC 3339 can spell: years have four digits.
const SPELLED: (i64, i64) = (-62_167_219_200, 253_402_300_799);

/// The units that durations are written in, longest first, with their seconds.
pub const UNITS: [(char, u64); 5] = [
    ('w', 604_800),
    ('d', 86_400),
    ('h', 3_600),
    ('m', 60),
    ('s', 1),
];

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(i64);

/// A whole UTC minute, counted from the Unix epoch.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Minute(pub i64);

/// A whole UTC hour, counted from the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hour(pub i64);

impl Time {
    /// The time `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Time(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The whole minute that holds this time.
    #[must_use]
    pub const fn minute(self) -> Minute {
        Minute(self.0.div_euclid(MINUTE_MS))
    }

    /// The whole hour that holds this time.
    #[must_use]
    pub const fn hour(self) -> Hour {
        Hour(self.0.div_euclid(HOUR_MS))
    }

    /// This time and `span` more, stopping at the end of representable time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Time(self.0.saturating_add(whole_millis(span)))
    }

    /// This time less `span`, stopping at the beginning of representable time.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Time(self.0.saturating_sub(whole_millis(span)))
    }

    /// How long ago `earlier` was; zero when it lies ahead, so that a clock that stepped back
    /// forgives nothing (G5).
    #[must_use]
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// RFC 3339 in UTC, whole seconds: nobody reads the rest in a sentence. A time before the year 0 or
/// after the year 9999 is written as the nearest one that has a spelling.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1_000).clamp(SPELLED.0, SPELLED.1);
        let (year, month, day) = date(seconds.div_euclid(DAY_SECONDS));
        let second = seconds.rem_euclid(DAY_SECONDS);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

impl Minute {
    /// The first millisecond of this minute.
    #[must_use]
    pub const fn start(self) -> Time {
        Time(self.0.saturating_mul(MINUTE_MS))
    }

    /// The minute after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Minute(self.0.saturating_add(1))
    }
}

impl Hour {
    /// The first millisecond of this hour.
    #[must_use]
    pub const fn start(self) -> Time {
        Time(self.0.saturating_mul(HOUR_MS))
    }

    /// The hour after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Hour(self.0.saturating_add(1))
    }
}

/// The year, month and day of the day so many days after 1970-01-01, in the Gregorian calendar.
///
/// Counted in eras of 400 years, in years that begin in March, so that a leap day is the last of
/// its year.
const fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // from 0000-03-01 to 1970-01-01
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0 is March
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (400 * era + year + later, month, day)
}

/// A duration as people write it: `7d`, `1h30m`, `0s`. Weeks are read and never written, because a
/// window of `14d` is compared with one of `30d`.
#[must_use]
pub fn in_units(span: Duration) -> String {
    let mut left = span.as_secs();
    let mut text = String::new();
    for (unit, seconds) in &UNITS[1..] {
        if left >= *seconds {
            text = format!("{text}{}{unit}", left / seconds);
            left %= seconds;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

fn whole_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A span of `days` days.
#[must_use]
pub const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

/// A span of `hours` hours.
#[must_use]
pub const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}

/// A span of `minutes` minutes.
#[must_use]
pub const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// Durations in serialised values: whole milliseconds.
pub mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes `span` as milliseconds.
    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    /// Reads milliseconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
