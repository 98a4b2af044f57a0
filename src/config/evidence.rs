//! The exact binomial tables behind breach and promotion, computed once per target of a load.
//!
//! The decision itself looks an integer up (`gate::budget::evidence`): floats end here. Both tails
//! are monotone in N, so each entry is a bisection over the regularised incomplete beta function.

use std::collections::BTreeMap;
use std::sync::Arc;

use statrs::function::beta::beta_reg;

use crate::gate::budget::Evidence;
use crate::gate::budget::evidence::TABLE;
use crate::gate::ppm::MILLION;

/// Below this probability, chance no longer explains so many failures.
const BREACH: f64 = 0.01;

/// Below this probability, chance no longer explains so few.
const PROMOTE: f64 = 0.05;

/// The tables computed so far, by target.
#[derive(Debug, Default)]
pub struct Tables(BTreeMap<u32, Arc<Evidence>>);

impl Tables {
    /// The table of `target_ppm`.
    pub fn of(&mut self, target_ppm: u32) -> Arc<Evidence> {
        let table = self
            .0
            .entry(target_ppm)
            .or_insert_with(|| Arc::new(evidence(target_ppm)));
        Arc::clone(table)
    }
}

fn evidence(target_ppm: u32) -> Evidence {
    let miss = f64::from(MILLION - target_ppm) / f64::from(MILLION);
    let failures = 0..TABLE as u64;
    Evidence {
        breach: failures
            .clone()
            .map(|b| last(b, |n| at_least(b, n, miss) < BREACH))
            .collect(),
        promote: failures
            .map(|b| last(b, |n| at_most(b, n, miss) > PROMOTE) + 1)
            .collect(),
    }
}

/// The largest N ≥ `from` for which `holds`, given that it holds up to some N and never after; 0
/// where it never holds.
fn last(from: u64, holds: impl Fn(u64) -> bool) -> u64 {
    if !holds(from) {
        return 0;
    }
    let mut step = 1;
    while holds(from + step) {
        step *= 2;
    }
    let (mut low, mut high) = (from + step / 2, from + step);
    while low + 1 < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// P(X ≥ b) of n runs that each fail with probability `miss`.
fn at_least(b: u64, n: u64, miss: f64) -> f64 {
    match b {
        0 => 1.0,
        b if b > n => 0.0,
        b => beta_reg(float(b), float(n - b + 1), miss),
    }
}

/// P(X ≤ b) of n runs that each fail with probability `miss`.
fn at_most(b: u64, n: u64, miss: f64) -> f64 {
    // By symmetry rather than as 1 − P(X > b), which would lose the digits that matter.
    if b >= n {
        1.0
    } else {
        beta_reg(float(n - b), float(b + 1), 1.0 - miss)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts here stay far below 2^53"
)]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breach_as_tabled() {
        let failures = [3, 4, 5, 6, 8, 10, 15, 20];
        for (target, largest) in [
            (950_000, [9, 17, 26, 37, 60, 85, 152, 225]),
            (970_000, [15, 28, 44, 61, 98, 140, 252, 373]),
            (980_000, [22, 42, 65, 90, 147, 208, 377, 558]),
            (995_000, [87, 165, 257, 358, 583, 828, 1498, 2220]),
        ] {
            let table = evidence(target);
            assert_eq!(failures.map(|b| table.breach[b]), largest, "{target}");
        }
    }

    #[test]
    fn promotion_as_tabled() {
        for (target, smallest) in [
            (950_000, [59, 93, 124, 153, 181, 208]),
            (970_000, [99, 157, 208, 257, 303, 348]),
            (980_000, [149, 236, 313, 386, 456, 523]),
            (995_000, [598, 947, 1258, 1549, 1829, 2100]),
        ] {
            assert_eq!(evidence(target).promote[..6], smallest, "{target}");
        }
    }

    #[test]
    fn the_extreme_targets_have_tables_too() {
        for target in [500_000, 999_990] {
            let table = evidence(target);
            assert_eq!((table.breach.len(), table.promote.len()), (TABLE, TABLE));
            assert!(
                table.breach[1..].is_sorted() && table.promote.is_sorted(),
                "{table:?}"
            );
        }
        // Even one failure of one run is no evidence at 50%, and three of three are 12.5%.
        assert_eq!(evidence(500_000).breach[..4], [0, 0, 0, 0]);
    }

    #[test]
    fn a_table_is_computed_once() {
        let mut tables = Tables::default();
        assert!(Arc::ptr_eq(&tables.of(970_000), &tables.of(970_000)));
    }
}
