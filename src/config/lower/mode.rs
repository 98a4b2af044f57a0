//! What `mode` and `until` mean: whether the verdicts of a tool, a rule or a workflow act, or are
//! only recorded (shadow) until a day.

use std::time::Duration;

use crate::config::diagnostics::Notes;
use crate::config::quantity::{Date, Interval};
use crate::config::source::mode::ModeWord;
use crate::config::source::setting::Setting;
use crate::gate::policy::Mode;
use crate::gate::time::{Time, days};

/// How long shadow mode may last: a rule that is not enforced must not be forgotten.
pub(super) const MAX_SHADOW: Duration = days(60);

/// Do verdicts act, or are they only recorded, and until when? Reports `until` without
/// `mode: shadow`, and shadow mode with no end or with a late one.
pub(super) fn lower(
    mode: &Setting<ModeWord>,
    until: &Setting<Date>,
    now: Time,
    notes: &mut Notes<'_>,
) -> Mode {
    let shadow = mode.given().filter(|at| at.value == ModeWord::Shadow);
    match (shadow, until) {
        (None, Setting::Given(until)) if mode.value().is_some() || mode.is_absent() => {
            notes
                .error(until.span.clone(), "`until` without `mode: shadow`")
                .hint("only shadow mode ends by itself; drop `until`, or write `mode: shadow`");
            Mode::Enforce
        }
        (None, _) | (Some(_), Setting::Bad) => Mode::Enforce,
        (Some(shadow), Setting::Absent) => {
            let message = "`mode: shadow` lacks `until`".to_owned();
            notes.error(shadow.span.clone(), message).hint(format!(
                "write the day on which shadow mode ends, such as `until: {}`",
                Date(day_in(now, 30))
            ));
            Mode::Enforce
        }
        (Some(_), Setting::Given(until)) => {
            let latest = now.plus(MAX_SHADOW);
            if until.value.0 > latest {
                notes
                    .error(
                        until.span.clone(),
                        format!(
                            "`until`: shadow mode lasts at most {} from now, found `{}`",
                            Interval(MAX_SHADOW),
                            until.value
                        ),
                    )
                    .hint(format!("the latest day is {}", Date(day_in(now, 60))));
            } else if until.value.0 <= now {
                notes
                    .warning(
                        until.span.clone(),
                        format!(
                            "shadow mode ended on {}: verdicts are enforced",
                            until.value
                        ),
                    )
                    .hint("drop `mode` and `until`");
            }
            Mode::Shadow {
                until: until.value.0,
            }
        }
    }
}

/// The first moment of the day that is `count` days after `now`.
fn day_in(now: Time, count: u64) -> Time {
    const DAY: i64 = 86_400_000;
    let later = now.plus(days(count)).as_millis();
    Time::from_millis(later - later.rem_euclid(DAY))
}
