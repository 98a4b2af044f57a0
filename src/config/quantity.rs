//! The quantities that policies are written in: durations, percentages, sizes, rates and dates.
//!
//! Each is a newtype that is read from exactly one spelling family and written back in one.
//! Everything is integer arithmetic: `99.95%` is 999,500 parts per million, never a float that was
//! close to it. What a quantity is good for, and its bounds, is decided where it is lowered.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::gate::level::Volume;
use crate::gate::ppm::MILLION;
use crate::gate::time::{Time, days};

/// The longest duration that can be written: a century. Sums of durations and points in time then
/// never overflow.
pub const MAX_DURATION: Duration = days(100 * 365);

/// A text that is not the quantity it should be. Prints as a lower-case fragment that says what was
/// expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadQuantity {
    expected: &'static str,
    found: String,
}

impl fmt::Display for BadQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found `{}`", self.expected, self.found)
    }
}

impl std::error::Error for BadQuantity {}

macro_rules! quantity {
    ($name:ident, $expected:literal, $pattern:literal) => {
        impl FromStr for $name {
            type Err = BadQuantity;

            fn from_str(text: &str) -> Result<Self, BadQuantity> {
                Self::read(text).ok_or_else(|| BadQuantity { expected: $expected, found: text.to_owned() })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $expected, "pattern": $pattern })
            }
        }
    };
}

/// A length of time, such as `15m`, `1h30m` or `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(pub Duration);

quantity!(
    Interval,
    "a duration such as 15m",
    r"^([0-9]+(ms|s|m|h|d|w))+$"
);

/// The units of a duration in milliseconds, longest first.
const UNITS: [(&str, u64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl Interval {
    fn read(text: &str) -> Option<Self> {
        let (mut rest, mut millis, mut smallest) = (text, 0_u64, u64::MAX);
        while !rest.is_empty() {
            let (count, after) = leading_number(rest)?;
            let unit_length = after
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(after.len());
            let (unit, after) = after.split_at(unit_length);
            let (_, unit) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
            // Descending units, each once: `5m1h` and `1m1m` are slips, not durations.
            if unit >= smallest {
                return None;
            }
            millis = millis.checked_add(count.checked_mul(unit)?)?;
            (rest, smallest) = (after, unit);
        }
        let length = Duration::from_millis(millis);
        (smallest < u64::MAX && length <= MAX_DURATION).then_some(Interval(length))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        // Weeks are read but not written: `7d` compares better with `30d` than `1w` does.
        let whole = UNITS[1..].iter().find(|(_, unit)| millis % unit == 0);
        whole.map_or(Ok(()), |(name, unit)| write!(f, "{}{name}", millis / unit))
    }
}

/// A share, such as `97%` or `99.95%`, in parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentage(pub u32);

quantity!(
    Percentage,
    "a percentage such as 99.5%",
    r"^[0-9]{1,3}(\.[0-9]{1,4})?%$"
);

impl Percentage {
    fn read(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?.trim_end();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        if decimals.is_empty()
            || decimals.len() > 4
            || !decimals.bytes().all(|b| b.is_ascii_digit())
            || whole.len() > 3
        {
            return None;
        }
        let (whole, rest) = leading_number(whole)?;
        let (decimals, _) =
            leading_number(&format!("{decimals:0<4}")).map(|(value, rest)| (value, rest.len()))?;
        let ppm = u32::try_from(whole * 10_000 + decimals).ok()?;
        (rest.is_empty() && ppm <= MILLION).then_some(Percentage(ppm))
    }
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:04}", self.0 / 10_000, self.0 % 10_000);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A number of bytes, such as `32KiB` or `1MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

quantity!(Size, "a size such as 1MiB", r"^[0-9]+(B|KiB|MiB|GiB)$");

/// The units of a size, largest first.
const SIZES: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl Size {
    fn read(text: &str) -> Option<Self> {
        let (count, unit) = leading_number(text)?;
        let (_, unit) = SIZES.into_iter().find(|(name, _)| *name == unit)?;
        usize::try_from(count.checked_mul(unit)?).ok().map(Size)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as u64;
        let (name, unit) = SIZES
            .into_iter()
            .find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit))
            .unwrap_or(("B", 1));
        write!(f, "{}{name}", bytes / unit)
    }
}

/// So many per time, such as `600/min` or `20/week`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Volume);

quantity!(
    Rate,
    "a rate such as 600/min",
    r"^[0-9]+/(s|sec|min|h|hour|d|day|w|week)$"
);

/// The times that a rate counts in, in seconds; the first spelling of each is the one that is
/// written.
const RATE_UNITS: [(&str, u32); 9] = [
    ("sec", 1),
    ("s", 1),
    ("min", 60),
    ("hour", 3_600),
    ("h", 3_600),
    ("day", 86_400),
    ("d", 86_400),
    ("week", 604_800),
    ("w", 604_800),
];

impl Rate {
    fn read(text: &str) -> Option<Self> {
        let (count, unit) = text.split_once('/')?;
        let (calls, rest) = leading_number(count)?;
        let (_, per_seconds) = RATE_UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let calls = u32::try_from(calls)
            .ok()
            .filter(|calls| rest.is_empty() && *calls > 0)?;
        Some(Rate(Volume { calls, per_seconds }))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = RATE_UNITS
            .into_iter()
            .find(|(_, seconds)| *seconds == self.0.per_seconds)
            .map_or("sec", |(name, _)| name);
        write!(f, "{}/{unit}", self.0.calls)
    }
}

/// What an earned step does to a volume cap: `x2`, or a new rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// So many times the cap before.
    Times(u32),
    /// This cap.
    To(Rate),
}

quantity!(
    Growth,
    "a factor such as x2 or a rate such as 600/min",
    r"^(x[0-9]+|[0-9]+/[a-z]+)$"
);

impl Growth {
    fn read(text: &str) -> Option<Self> {
        let Some(factor) = text.strip_prefix('x') else {
            return Rate::read(text).map(Growth::To);
        };
        let (times, rest) = leading_number(factor)?;
        u32::try_from(times)
            .ok()
            .filter(|times| rest.is_empty() && *times > 1)
            .map(Growth::Times)
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Growth::Times(times) => write!(f, "x{times}"),
            Growth::To(rate) => rate.fmt(f),
        }
    }
}

/// A point in time: a date, meaning its first moment in UTC, or an RFC 3339 timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub Time);

quantity!(
    Date,
    "a date such as 2027-01-31",
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
);

impl Date {
    fn read(text: &str) -> Option<Self> {
        let timestamp = if text.len() == 10 {
            let date: jiff::civil::Date = text.parse().ok()?;
            date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()
        } else {
            text.parse().ok()?
        };
        Some(Date(Time::from_millis(timestamp.as_millisecond())))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(timestamp) = jiff::Timestamp::from_millisecond(self.0.as_millis()) else {
            return f.write_str("?");
        };
        let midnight = self.0.as_millis().rem_euclid(86_400_000) == 0;
        if midnight {
            write!(f, "{}", timestamp.strftime("%F"))
        } else {
            timestamp.fmt(f)
        }
    }
}

/// The decimal number that `text` begins with, and the rest. No sign, no spaces, no separators.
fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    number.parse().ok().map(|number| (number, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn interval(text: &str) -> Option<u128> {
        text.parse::<Interval>()
            .ok()
            .map(|interval| interval.0.as_millis())
    }

    #[test]
    fn durations_are_whole_numbers_with_units_in_descending_order() {
        for (text, millis) in [
            ("15m", 900_000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("30d", 2_592_000_000),
            ("0s", 0),
            ("250ms", 250),
            ("1w", 604_800_000),
        ] {
            assert_eq!(interval(text), Some(millis), "{text}");
        }
        for text in [
            "",
            "15",
            "15 minutes",
            "15 m",
            "-1m",
            "1.5h",
            "m",
            "30m1h",
            "1m1m",
            "1M",
            "١m",
            "99999999999999999999d",
            "+1m",
        ] {
            assert_eq!(interval(text), None, "{text}");
        }
        assert_eq!(
            "15 minutes".parse::<Interval>().unwrap_err().to_string(),
            "expected a duration such as 15m, found `15 minutes`"
        );
    }

    #[test]
    fn the_longest_duration_is_a_century() {
        let longest = MAX_DURATION.as_millis();
        assert_eq!(interval("36500d"), Some(longest));
        assert_eq!(interval(&format!("{longest}ms")), Some(longest));
        assert_eq!(interval(&format!("{}ms", longest + 1)), None);
    }

    #[test]
    fn percentages_are_exact() {
        for (text, ppm) in [
            ("97%", 970_000),
            ("99.95%", 999_500),
            ("99.999%", 999_990),
            ("0.0001%", 1),
            ("100%", 1_000_000),
            ("5%", 50_000),
        ] {
            assert_eq!(
                text.parse::<Percentage>().map(|share| share.0),
                Ok(ppm),
                "{text}"
            );
        }
        for text in [
            "97",
            "0.97",
            "100.0001%",
            "99.99999%",
            "%",
            ".5%",
            "5.%",
            "-5%",
            "1e1%",
            "٥%",
            "5.٥%",
        ] {
            assert!(text.parse::<Percentage>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_rates_and_growth_name_their_unit() {
        assert_eq!("1MiB".parse(), Ok(Size(1 << 20)));
        assert_eq!("32KiB".parse::<Size>().unwrap().to_string(), "32KiB");
        assert_eq!(
            "600/min".parse(),
            Ok(Rate(Volume {
                calls: 600,
                per_seconds: 60
            }))
        );
        assert_eq!("x2".parse(), Ok(Growth::Times(2)));
        for text in ["1MB", "1", "1 MiB", "99999999999GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        for text in ["0/min", "600", "600/fortnight", "/min", "4294967296/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert!("x1".parse::<Growth>().is_err());
    }

    #[test]
    fn a_date_is_its_first_moment_in_utc() {
        assert_eq!(
            "1970-01-02".parse(),
            Ok(Date(Time::from_millis(86_400_000)))
        );
        assert_eq!(
            "1970-01-02T01:00:00Z".parse::<Date>().unwrap().to_string(),
            "1970-01-02T01:00:00Z"
        );
        assert!("2026-02-30".parse::<Date>().is_err());
        assert!("tomorrow".parse::<Date>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0_u64..=3_153_600_000_000, ppm in 0_u32..=1_000_000, bytes in 0_usize..=1 << 40, calls in 1_u32.., unit in 0_usize..9) {
            let interval = Interval(Duration::from_millis(millis));
            prop_assert_eq!(interval.to_string().parse(), Ok(interval));
            let share = Percentage(ppm);
            prop_assert_eq!(share.to_string().parse(), Ok(share));
            let size = Size(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            let rate = Rate(Volume { calls, per_seconds: RATE_UNITS[unit].1 });
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            let date = Date(Time::from_millis(i64::try_from(millis).unwrap()));
            prop_assert_eq!(date.to_string().parse(), Ok(date));
        }

        #[test]
        fn no_text_makes_reading_panic(text in ".{0,24}") {
            let _ = (text.parse::<Interval>(), text.parse::<Percentage>(), text.parse::<Size>(), text.parse::<Growth>(), text.parse::<Date>());
        }
    }
}
