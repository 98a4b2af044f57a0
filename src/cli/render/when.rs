//! Points in time as people read them: how long ago, how long still, and RFC 3339 in UTC where it
//! must be exact. Never a local time zone or language.

use jiff::Timestamp;

use crate::api::Moment;
use crate::gate::time::Time;

/// The time now.
#[must_use]
pub(in crate::cli) fn now() -> Time {
    Time::from_millis(Timestamp::now().as_millisecond())
}

/// How long before `now` the moment was: `3m ago`; `in 3m` where it is to come.
#[must_use]
pub(in crate::cli) fn ago(now: Time, at: Moment) -> String {
    if at.0 <= now && now.since(at.0).as_secs() == 0 {
        return "just now".to_owned();
    }
    if at.0 > now {
        format!("in {}", span(at.0.since(now).as_secs()))
    } else {
        format!("{} ago", span(now.since(at.0).as_secs()))
    }
}

/// The exact second and how far from `now` that is: `2026-11-23T18:00:00Z (3m ago)`.
#[must_use]
pub(in crate::cli) fn exactly(now: Time, at: Moment) -> String {
    let second = Moment(Time::from_millis(at.0.as_millis().div_euclid(1000) * 1000));
    format!("{second} ({})", ago(now, at))
}

/// A length of time in its largest unit, and the next one where there are few of it: `42s`, `12m`,
/// `1h30m`, `3d`.
fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str, u64, &str); 3] = [
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ];
    for (unit, name, next, next_name) in UNITS {
        if seconds >= unit {
            let (whole, rest) = (seconds / unit, seconds % unit / next);
            return if whole < 3 && rest > 0 {
                format!("{whole}{name}{rest}{next_name}")
            } else {
                format!("{whole}{name}")
            };
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_short() {
        assert_eq!(
            [0, 59, 60, 90, 600, 5_400, 7_200, 90_000, 864_000].map(span),
            [
                "0s", "59s", "1m", "1m30s", "10m", "1h30m", "2h", "1d1h", "10d"
            ]
        );
    }

    #[test]
    fn times_are_shown_relative_to_now() {
        let at = |text: &str| text.parse::<Moment>().unwrap();
        let now = at("2026-11-23T18:00:00Z").0;
        assert_eq!(ago(now, at("2026-11-23T17:55:00.123Z")), "4m ago");
        assert_eq!(ago(now, at("2026-11-23T17:59:59.5Z")), "just now");
        assert_eq!(ago(now, at("2026-11-23T18:10:00+00:00")), "in 10m");
        assert_eq!(
            exactly(now, at("2026-11-23T19:00:00.5+02:00")),
            "2026-11-23T17:00:00Z (59m ago)"
        );
    }
}
