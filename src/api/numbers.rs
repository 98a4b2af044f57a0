//! The four numbers, with what they were counted from and the failure modes behind them.
//!
//! Nothing here decides. A rate with nothing to count is `null`, not zero: silence is not success.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Decimal, Moment};
use crate::gate::budget::shift::Tally;
use crate::gate::budget::window::Totals;
use crate::gate::outcome::FailureMode;
use crate::gate::run_flags::RunFlag;

/// Over what. Moments are RFC 3339, or how long ago: `7d`. Whole hours (UTC) are counted, the first
/// and the last included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SpanQuery {
    /// From when; at most 90 days ago, for which counts are kept. The budget's window where it is
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Until when; now where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// A workflow's numbers over a span of time, by when its runs were booked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpanNumbers {
    /// Its name.
    pub workflow: String,
    /// The beginning of the first hour that is counted.
    pub since: Moment,
    /// The last moment that is counted.
    pub until: Moment,
    /// Counted runs.
    pub runs: u64,
    /// Unacceptable runs among them.
    pub unacceptable: u64,
    /// Counted runs that executed a `high` call.
    pub high_runs: u64,
    /// Unacceptable runs among those.
    pub high_unacceptable: u64,
    /// Runs that do not count.
    pub idle_runs: u64,
    /// Counted runs that somebody judged.
    pub checked: u64,
    /// The four numbers.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// The four numbers and the failure modes behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Numbers {
    /// The four numbers.
    pub metrics: MetricRates,
    /// The four numbers with what they were counted from.
    pub metrics_detail: MetricsDetail,
    /// How many runs had each failure mode.
    pub failure_modes: BTreeMap<String, u64>,
    /// The same by the tool that each was seen at; `none` for what names no tool, `other` for tools
    /// beyond the number that is counted separately.
    #[serde(default)]
    pub failure_modes_by_tool: BTreeMap<String, BTreeMap<String, u64>>,
}

/// The four numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MetricRates {
    /// Acceptable runs.
    pub success_rate: Option<Decimal>,
    /// Runs that a person had to correct materially; unknown until something was checked.
    pub correction_rate: Option<Decimal>,
    /// Runs that should have escalated and did not.
    pub escalation_miss_rate: Option<Decimal>,
    /// Runs that caused duplicate, undone or follow-on work.
    pub rework_rate: Option<Decimal>,
}

/// The four numbers with what they were counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MetricsDetail {
    /// Acceptable runs.
    pub success_rate: RateDetail,
    /// Runs that a person had to correct materially.
    pub correction_rate: RateDetail,
    /// Runs that should have escalated and did not.
    pub escalation_miss_rate: RateDetail,
    /// Runs that caused duplicate, undone or follow-on work.
    pub rework_rate: RateDetail,
}

/// One number with what it was counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RateDetail {
    /// The rate; `null` with nothing to count.
    pub rate: Option<Decimal>,
    /// How many.
    pub numerator: u64,
    /// Of how many.
    pub denominator: u64,
    /// How many of those somebody judged.
    pub checked: u64,
    /// Between which two rates the true one lies with 95% confidence (Wilson's score interval);
    /// `null` with nothing to count. Of the correction rate: from what it is if all runs that
    /// nobody checked were right, to what it is if they are like the checked ones.
    pub interval: Option<[Decimal; 2]>,
    /// Of the escalation miss rate: how many of the misses a hold caught, which cost nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caught: Option<u64>,
}

impl SpanNumbers {
    /// What `workflow` came to from `since` to `until`.
    #[must_use]
    pub fn of(workflow: String, since: Moment, until: Moment, totals: &Totals) -> Self {
        let Tally {
            all,
            high,
            idle,
            flags,
        } = totals.tally;
        SpanNumbers {
            workflow,
            since,
            until,
            runs: all.runs,
            unacceptable: all.unacceptable,
            high_runs: high.runs,
            high_unacceptable: high.unacceptable,
            idle_runs: idle,
            checked: flags.get(RunFlag::Checked),
            numbers: Numbers::of(totals),
        }
    }
}

impl Numbers {
    /// The numbers of `totals`.
    #[must_use]
    pub fn of(totals: &Totals) -> Self {
        let detail = MetricsDetail::of(&totals.tally);
        Numbers {
            metrics: detail.rates(),
            metrics_detail: detail,
            failure_modes: counts(&totals.modes),
            failure_modes_by_tool: totals
                .modes_by_tool
                .iter()
                .map(|(tool, modes)| (tool.to_string(), counts(modes)))
                .collect(),
        }
    }
}

impl MetricsDetail {
    /// The four numbers of `tally`.
    #[must_use]
    pub fn of(tally: &Tally) -> Self {
        let (runs, checked) = (tally.all.runs, tally.flags.get(RunFlag::Checked));
        let count = |flag| tally.flags.get(flag);
        let rate = |numerator: u64, denominator: u64| {
            // Late facts about runs that have left the window may be missing from one of the two.
            let numerator = numerator.min(denominator);
            let interval = interval(numerator, denominator);
            RateDetail {
                rate: Decimal::ratio(numerator, denominator),
                numerator,
                denominator,
                checked,
                interval,
                caught: None,
            }
        };
        let corrected = rate(count(RunFlag::Corrected), runs);
        // From what it is if every run that nobody looked at was right, to what it is if they are
        // like those that somebody looked at.
        let alike = interval(corrected.numerator.min(checked), checked);
        let between = corrected
            .interval
            .zip(alike)
            .map(|([low, high], [_, alike])| [low, high.max(alike)]);
        let correction_rate = RateDetail {
            rate: corrected.rate.filter(|_| checked > 0),
            interval: between,
            ..corrected
        };
        MetricsDetail {
            success_rate: rate(runs.saturating_sub(tally.all.unacceptable), runs),
            correction_rate,
            escalation_miss_rate: RateDetail {
                caught: Some(count(RunFlag::EscalationCaught)),
                ..rate(
                    count(RunFlag::EscalationMissed),
                    count(RunFlag::EscalationDue),
                )
            },
            rework_rate: rate(count(RunFlag::Rework), runs),
        }
    }

    const fn rates(&self) -> MetricRates {
        MetricRates {
            success_rate: self.success_rate.rate,
            correction_rate: self.correction_rate.rate,
            escalation_miss_rate: self.escalation_miss_rate.rate,
            rework_rate: self.rework_rate.rate,
        }
    }
}

/// Wilson's score interval at 95%, its ends rounded outwards to 4 places. In integers: z² is
/// 3.8416.
fn interval(numerator: u64, denominator: u64) -> Option<[Decimal; 2]> {
    const SCALE: u128 = 1_000_000;
    const Z_SQUARED: u128 = 38_416;
    if denominator == 0 {
        return None;
    }
    // Everything times 10,000, so that z² is whole; the root once more times SCALE, so that nothing
    // that shows is lost in it.
    let (k, n) = (
        u128::from(numerator) * 10_000,
        u128::from(denominator) * 10_000,
    );
    let spread = k * (n - k) / n * 10_000 + Z_SQUARED * 10_000 / 4;
    let half = (spread * Z_SQUARED / 10_000 * SCALE * SCALE / 10_000).isqrt() / 100;
    let middle = (k + Z_SQUARED / 2) * SCALE / 10_000;
    let whole = (n + Z_SQUARED) * SCALE / 10_000;
    let low = middle.saturating_sub(half) * 10_000 / whole;
    let high = ((middle + half) * 10_000).div_ceil(whole).min(10_000);
    let decimal = |scaled: u128| Decimal::of(i64::try_from(scaled).unwrap_or(10_000));
    Some([
        decimal(if numerator == 0 { 0 } else { low }),
        decimal(if numerator == denominator {
            10_000
        } else {
            high
        }),
    ])
}

/// Failure modes by their names.
pub(super) fn counts(modes: &BTreeMap<FailureMode, u64>) -> BTreeMap<String, u64> {
    modes
        .iter()
        .map(|(mode, count)| (mode.to_string(), *count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::budget::burn::Count;
    use crate::gate::run_flags::{RunFlagCounts, RunFlags};

    #[test]
    fn a_rate_with_nothing_to_count_is_unknown_and_corrections_are_until_something_was_checked() {
        let detail = MetricsDetail::of(&Tally::default());
        assert_eq!(
            detail.rates(),
            MetricRates {
                success_rate: None,
                correction_rate: None,
                escalation_miss_rate: None,
                rework_rate: None
            }
        );
        let mut tally = Tally {
            all: Count {
                runs: 1_234,
                unacceptable: 12,
            },
            ..Tally::default()
        };
        let show = |tally: &mut Tally, flags: &[RunFlag], runs| {
            for _ in 0..runs {
                tally.flags.add(RunFlagCounts::one(
                    flags
                        .iter()
                        .fold(RunFlags::NONE, |all, flag| all.with(*flag)),
                ));
            }
        };
        show(&mut tally, &[RunFlag::Corrected], 3);
        show(
            &mut tally,
            &[
                RunFlag::EscalationDue,
                RunFlag::EscalationMissed,
                RunFlag::EscalationCaught,
            ],
            1,
        );
        show(
            &mut tally,
            &[RunFlag::EscalationDue, RunFlag::EscalationMissed],
            1,
        );
        show(&mut tally, &[RunFlag::EscalationDue], 6);
        let detail = MetricsDetail::of(&tally);
        assert_eq!(
            (
                detail.correction_rate.rate,
                detail.correction_rate.interval,
                detail.correction_rate.numerator
            ),
            (None, None, 3)
        );
        assert_eq!(detail.success_rate.rate, Some(Decimal::of(9_902)));
        let missed = detail.escalation_miss_rate;
        assert_eq!(
            (missed.numerator, missed.denominator, missed.caught),
            (2, 8, Some(1))
        );
        show(&mut tally, &[RunFlag::Checked], 61);
        let corrected = MetricsDetail::of(&tally).correction_rate;
        assert_eq!(
            (corrected.rate, corrected.interval),
            (
                Some(Decimal::of(24)),
                Some([Decimal::of(8), Decimal::of(1_350)])
            ),
            "3 of 1,234, 61 checked"
        );
    }

    /// Against values worked out elsewhere: for 3 of 61 it is 1.685% to 13.49%.
    #[test]
    fn an_interval_holds_the_rate_and_narrows_with_what_is_known() {
        assert_eq!(interval(0, 0), None);
        for (k, n, low, high) in [
            (3, 61, 168, 1_350),
            (0, 10, 0, 2_776),
            (10, 10, 7_224, 10_000),
            (1_222, 1_234, 9_830, 9_945),
            (5, 10, 2_365, 7_635),
        ] {
            assert_eq!(
                interval(k, n),
                Some([Decimal::of(low), Decimal::of(high)]),
                "{k} of {n}"
            );
        }
        assert!(interval(1, u64::MAX).is_some());
    }
}
