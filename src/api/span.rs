//! Moments and durations as people write them: RFC 3339 in UTC, and `90s`, `15m`, `1h30m`, `7d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

use crate::gate::time::{Time, UNITS, days, in_units};

/// The longest duration that can be written: a hundred years. Longer ones are slips of the
/// keyboard.
const MAX: Duration = days(36_600);

/// A moment, written in RFC 3339, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, examples("2026-11-23T09:30:00Z"))]
pub struct Moment(pub Time);

/// A duration, written as `7d` or `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, examples("7d", "1h30m"))]
pub struct TimeSpan(pub Duration);

/// A text that is no moment or no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTimeSpan {
    /// Not RFC 3339.
    #[error("expected a time in RFC 3339, such as 2026-11-23T09:30:00Z")]
    Moment,
    /// Not a duration.
    #[error("expected a duration, such as 30m, 1h30m or 7d")]
    Duration,
    /// Neither of the two.
    #[error(
        "expected a time in RFC 3339, such as 2026-11-23T09:30:00Z, or how long ago, such as 1d"
    )]
    Either,
}

impl Moment {
    /// What `text` means at `now`: a moment, or a duration before now.
    pub fn at_or_ago(text: &str, now: Time) -> Result<Self, BadTimeSpan> {
        text.parse()
            .or_else(|_| text.parse().map(|ago: TimeSpan| Moment(now.minus(ago.0))))
            .map_err(|_| BadTimeSpan::Either)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A time beyond the year 9999 has no spelling in RFC 3339; the last one that has stands for
        // it.
        let limit = if self.0.as_millis() < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        f.pad(
            &Timestamp::from_millisecond(self.0.as_millis())
                .unwrap_or(limit)
                .to_string(),
        )
    }
}

impl FromStr for Moment {
    type Err = BadTimeSpan;

    fn from_str(text: &str) -> Result<Self, BadTimeSpan> {
        text.parse::<Timestamp>()
            .map(|at| Moment(Time::from_millis(at.as_millisecond())))
            .map_err(|_| BadTimeSpan::Moment)
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&in_units(self.0))
    }
}

impl FromStr for TimeSpan {
    type Err = BadTimeSpan;

    fn from_str(text: &str) -> Result<Self, BadTimeSpan> {
        let (mut rest, mut total, mut smaller_than) = (text, Duration::ZERO, 0);
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (count, tail) = rest.split_at(digits);
            let count: u64 = count.parse().map_err(|_| BadTimeSpan::Duration)?;
            let mut tail = tail.chars();
            let unit = tail.next().ok_or(BadTimeSpan::Duration)?;
            let unit = UNITS
                .iter()
                .position(|(known, _)| *known == unit)
                .filter(|unit| *unit >= smaller_than)
                .ok_or(BadTimeSpan::Duration)?;
            let seconds = count
                .checked_mul(UNITS[unit].1)
                .ok_or(BadTimeSpan::Duration)?;
            total = total
                .checked_add(Duration::from_secs(seconds))
                .ok_or(BadTimeSpan::Duration)?;
            (rest, smaller_than) = (tail.as_str(), unit + 1);
        }
        if text.is_empty() || total > MAX {
            Err(BadTimeSpan::Duration)
        } else {
            Ok(TimeSpan(total))
        }
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

as_text!(Moment);
as_text!(TimeSpan);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::time::minutes;

    #[test]
    fn a_duration_is_read_in_falling_units_and_written_back() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("1h30m", 5_400),
            ("7d", 604_800),
            ("2w", 1_209_600),
            ("1d12h", 129_600),
        ] {
            assert_eq!(
                text.parse(),
                Ok(TimeSpan(Duration::from_secs(seconds))),
                "{text}"
            );
        }
        for bad in [
            "",
            "7",
            "d",
            "-1d",
            "1.5h",
            "30m1h",
            "1h1h",
            "1y",
            " 1h",
            "99999999999999999999s",
            "40000d",
        ] {
            assert_eq!(bad.parse::<TimeSpan>(), Err(BadTimeSpan::Duration), "{bad}");
        }
        assert_eq!(TimeSpan(minutes(90)).to_string(), "1h30m");
        assert_eq!(TimeSpan(days(30)).to_string(), "30d");
        assert_eq!("0s".parse(), Ok(TimeSpan(Duration::ZERO)));
    }

    #[test]
    fn a_moment_is_utc_whatever_offset_it_was_written_in() {
        let moment: Moment = "2026-11-23T10:30:00+01:00".parse().unwrap();
        assert_eq!(moment.to_string(), "2026-11-23T09:30:00Z");
        assert_eq!(
            Moment(Time::from_millis(1_500)).to_string(),
            "1970-01-01T00:00:01.5Z"
        );
        assert_eq!(
            Moment::at_or_ago("1s", Time::from_millis(2_500)),
            Ok(Moment(Time::from_millis(1_500)))
        );
        assert_eq!(
            Moment::at_or_ago("yesterday", Time::default()),
            Err(BadTimeSpan::Either)
        );
    }

    #[test]
    fn the_gate_spells_a_whole_second_as_the_api_does() {
        // Every 17 days and a bit, from the year 3 to the year 9996.
        for step in -42_000..173_000_i64 {
            let at = Time::from_millis(step * 1_462_321_000);
            assert_eq!(at.to_string(), Moment(at).to_string());
        }
        assert_eq!(Time::from_millis(-1).to_string(), "1969-12-31T23:59:59Z");
        assert_eq!(
            Time::from_millis(i64::MAX).to_string(),
            "9999-12-31T23:59:59Z"
        );
        assert_eq!(
            Time::from_millis(i64::MIN).to_string(),
            "0000-01-01T00:00:00Z"
        );
    }
}
