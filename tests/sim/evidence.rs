//! Every row of the evidence tables: breach, promotion, burn-rate thresholds and the worked rows.

use std::cmp::Ordering;

use burngate::gate::budget::burn::{Burn, Count, Counts, LOOK_BACKS, PAIRS};
use burngate::gate::budget::evidence::TABLE;
use burngate::gate::risk::Tier;
use burngate::gate::time::days;

use crate::world::{evidence, largest_breach, smallest_promotion, terms};

const TARGETS: [u32; 4] = [950_000, 970_000, 980_000, 995_000];

#[test]
fn breach_needs_what_the_table_says() {
    let failures = [3, 4, 5, 6, 8, 10, 15, 20];
    let rows = [
        [9, 17, 26, 37, 60, 85, 152, 225],
        [15, 28, 44, 61, 98, 140, 252, 373],
        [22, 42, 65, 90, 147, 208, 377, 558],
        [87, 165, 257, 358, 583, 828, 1498, 2220],
    ];
    for (target, row) in TARGETS.into_iter().zip(rows) {
        let (evidence, miss) = (evidence(target), 1_000_000 - target);
        for (b, largest) in failures.into_iter().zip(row) {
            assert!(
                evidence.is_breach(miss, largest, b),
                "{target} {b} of {largest}"
            );
            assert!(
                !evidence.is_breach(miss, largest + 1, b),
                "{target} {b} of {}",
                largest + 1
            );
        }
        for b in 0..3 {
            assert!(
                !evidence.is_breach(miss, b, b),
                "two failures are never strong evidence"
            );
        }
    }
}

#[test]
fn promotion_needs_what_the_table_says() {
    let rows = [
        [59, 93, 124, 153, 181, 208],
        [99, 157, 208, 257, 303, 348],
        [149, 236, 313, 386, 456, 523],
        [598, 947, 1258, 1549, 1829, 2100],
    ];
    for (target, row) in TARGETS.into_iter().zip(rows) {
        for (b, smallest) in row.into_iter().enumerate() {
            assert_eq!(
                evidence(target).runs_needed(1_000_000 - target, b as u64),
                smallest,
                "{target} {b}"
            );
        }
    }
}

#[test]
fn past_the_tables_the_approximation_is_close() {
    for target in [
        500_000, 900_000, 950_000, 970_000, 980_000, 995_000, 999_900,
    ] {
        let (evidence, miss) = (evidence(target), 1_000_000 - target);
        for b in (TABLE as u64..61).chain([100, 1_000]) {
            let exact = largest_breach(target, b);
            let (mut low, mut high) = (b, 4 * exact);
            while low + 1 < high {
                let middle = u64::midpoint(low, high);
                if evidence.is_breach(miss, middle, b) {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            // The ratio of 1.5 bounds it where that is stricter.
            let bound = exact.min(2 * b * 1_000_000 / (3 * u64::from(miss)));
            assert!(
                low.abs_diff(bound) * 100 <= bound * 3 + 100,
                "{target}: breach by {b} up to {low}, exactly {bound}"
            );
            let (needed, exact) = (evidence.runs_needed(miss, b), smallest_promotion(target, b));
            assert!(
                needed.abs_diff(exact) * 100 <= exact * 2 + 100,
                "{target}: promotion with {b} from {needed}, exactly {exact}"
            );
        }
    }
}

#[test]
fn the_true_rate_lies_above_with_80_percent_confidence() {
    let evidence = evidence(970_000);
    // 97%: 3 are expected of 100, with a standard deviation of 1.7.
    assert!(!evidence.is_likely_worse(30_000, 100, 0));
    assert!(!evidence.is_likely_worse(30_000, 100, 3));
    assert!(!evidence.is_likely_worse(30_000, 100, 4));
    assert!(evidence.is_likely_worse(30_000, 100, 5));
    assert!(!evidence.is_likely_worse(30_000, 10_000, 300));
    assert!(evidence.is_likely_worse(30_000, 10_000, 320));
}

fn fires(
    objective: &burngate::gate::budget::Objective,
    pair: usize,
    runs: u64,
    unacceptable: u64,
) -> bool {
    let mut counts = Counts::default();
    counts[PAIRS[pair].long] = Count { runs, unacceptable };
    counts[PAIRS[pair].short] = Count { runs, unacceptable };
    Burn::of(objective).fires(PAIRS[pair], &counts)
}

#[test]
fn burn_rates_fire_where_the_table_says() {
    let names: Vec<_> = PAIRS
        .iter()
        .map(|pair| (LOOK_BACKS[pair.long].0, LOOK_BACKS[pair.short].0))
        .collect();
    assert_eq!(
        names,
        [("1h", "5m"), ("6h", "30m"), ("1d", "2h"), ("3d", "6h")]
    );
    for target in TARGETS {
        let mut objective = terms(Tier::Low, target).objective;
        objective.expected_runs = 0;
        let (miss, runs) = (u64::from(1_000_000 - target), 10_000_000u64);
        for (pair, tenths) in [144, 60, 30, 10].into_iter().enumerate() {
            // At most half of the largest possible rate: every second run.
            let threshold = (miss * tenths * runs)
                .div_ceil(10 * 1_000_000)
                .min(runs / 2);
            assert!(
                fires(&objective, pair, runs, threshold),
                "{target} {tenths}"
            );
            assert!(
                !fires(&objective, pair, runs, threshold - 1),
                "{target} {tenths}"
            );
        }
    }
}

#[test]
fn traffic_below_what_is_expected_counts_as_what_is_expected() {
    let mut objective = terms(Tier::Low, 980_000).objective;
    objective.expected_runs = 72_000;
    // An hour of 720 is a hundred runs: 14.4 times 2% of those is 28.8.
    let mut counts = Counts::default();
    counts[PAIRS[0].short] = Count {
        runs: 20,
        unacceptable: 10,
    };
    counts[PAIRS[0].long] = Count {
        runs: 40,
        unacceptable: 29,
    };
    assert!(Burn::of(&objective).fires(PAIRS[0], &counts));
    counts[PAIRS[0].long].unacceptable = 28;
    assert!(!Burn::of(&objective).fires(PAIRS[0], &counts));
    assert!(
        Burn::of_high(&objective).fires(PAIRS[0], &counts),
        "none are expected of the runs with a high call"
    );
}

#[test]
fn the_worked_rows() {
    let mut objective = terms(Tier::Medium, 980_000).objective;
    (objective.expected_runs, objective.expected_written) = (10_000, true);
    let allowed = objective.allowed(10_000);
    assert_eq!(
        (
            allowed.remaining(150).cmp_percent(25),
            allowed.remaining(149).cmp_percent(25)
        ),
        (Ordering::Equal, Ordering::Greater)
    );
    assert!(allowed.is_spent_by(200) && !allowed.is_spent_by(199));
    assert!(
        allowed.remaining(179).cmp_percent(10) == Ordering::Greater
            && allowed.remaining(180).cmp_percent(10) == Ordering::Equal
    );

    let objective = terms(Tier::High, 995_000).objective;
    assert_eq!(objective.allowed(100).millionths(), 2_000_000);
    assert!(!objective.allowed(100).is_spent_by(1) && objective.allowed(100).is_spent_by(2));

    let mut objective = terms(Tier::Medium, 970_000).objective;
    (
        objective.expected_runs,
        objective.expected_written,
        objective.window,
    ) = (10_000, true, days(30));
    assert_eq!(objective.allowed(40_000).millionths(), 600_000_000);
}
