//! Numbers as people read them.

pub(in crate::cli) use crate::gate::budget::sentence::grouped;

use std::time::Duration;

use crate::api::{Decimal, TimeSpan};
use crate::gate::budget::sentence;

/// A ratio as a percentage, rounded down, as the gate does: `96%`, `-33.34%`; `-` where there
/// was nothing to count.
#[must_use]
pub(in crate::cli) fn percent(ratio: Option<Decimal>) -> String {
    ratio.map_or_else(
        || "-".to_owned(),
        |ratio| {
            format!(
                "{}%",
                sentence::decimal(ratio.ten_thousandths().saturating_mul(100))
            )
        },
    )
}

/// How long people took, to the second above.
#[must_use]
pub(in crate::cli) fn took(seconds: Decimal) -> TimeSpan {
    TimeSpan(Duration::from_secs(
        seconds
            .ten_thousandths()
            .unsigned_abs()
            .div_ceil(10_000)
            .max(1),
    ))
}

/// `1 run`, `2 runs`.
#[must_use]
pub(in crate::cli) fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_read_as_percentages() {
        assert_eq!(
            [9_600, 10_000, 9_903, -3_334, 0].map(|ratio| percent(Some(Decimal::of(ratio)))),
            ["96%", "100%", "99.03%", "-33.34%", "0%"]
        );
        assert_eq!(percent(None), "-");
        assert_eq!(
            [7_190, 950_000, 7_540_001].map(|seconds| took(Decimal::of(seconds)).to_string()),
            ["1s", "1m35s", "12m35s"]
        );
        assert_eq!(
            [counted(1, "run", "runs"), counted(1_200, "run", "runs")],
            ["1 run", "1,200 runs"]
        );
    }
}
