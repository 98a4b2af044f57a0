//! Strong evidence about a failure rate, as integers: how few runs make B failures damning, and how
//! many make them forgivable.
//!
//! The exact binomial bounds are computed once per target when a policy is loaded
//! (`config::evidence`) and kept here as a table by B, so that a decision looks an integer up. Past
//! the table's end a normal approximation in integers serves.

use serde::{Deserialize, Serialize};

use crate::gate::ppm::MILLION;

/// How many failures the exact tables cover: B from 0 to `TABLE − 1`.
pub const TABLE: usize = 33;

/// Integer thresholds for one target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// By B: the largest N at which P(X ≥ B | N, 1 − target) < 1%, or 0 where there is none.
    pub breach: Vec<u64>,
    /// By B: the smallest N at which P(X ≤ B | N, 1 − target) ≤ 5%.
    pub promote: Vec<u64>,
}

impl Evidence {
    /// Is it nearly impossible that so many failures came from a workflow that keeps its target?
    /// `B ≥ 3`, `B/N ≥ 1.5 × (1 − target)`, and `P(X ≥ B | N, 1 − target) < 1%`.
    #[must_use]
    pub fn is_breach(&self, miss_ppm: u32, runs: u64, unacceptable: u64) -> bool {
        let (n, b, miss, million) = (
            u128::from(runs),
            u128::from(unacceptable),
            u128::from(miss_ppm),
            u128::from(MILLION),
        );
        if unacceptable < 3 || 2 * b * million < 3 * miss * n {
            return false;
        }
        match self
            .breach
            .get(usize::try_from(unacceptable).unwrap_or(usize::MAX))
        {
            Some(&largest) => runs <= largest,
            None => upper_tail_is_below_1_percent(n, b, miss),
        }
    }

    /// Does the true failure rate lie above `1 − target` with 80% confidence? By the normal
    /// approximation, at any B.
    #[must_use]
    pub fn is_likely_worse(&self, miss_ppm: u32, runs: u64, unacceptable: u64) -> bool {
        const Z_SQUARED_PER_10_000: u128 = 7_083;
        unacceptable > 0
            && excess_is_beyond(
                Z_SQUARED_PER_10_000,
                u128::from(runs),
                u128::from(unacceptable),
                u128::from(miss_ppm),
            )
    }

    /// The runs needed for B failures to show that the target is kept: the smallest N with
    /// `P(X ≤ B | N, 1 − target) ≤ 5%`.
    #[must_use]
    pub fn runs_needed(&self, miss_ppm: u32, unacceptable: u64) -> u64 {
        match self
            .promote
            .get(usize::try_from(unacceptable).unwrap_or(usize::MAX))
        {
            Some(&needed) => needed,
            None => lower_tail_needs(u128::from(unacceptable), u128::from(miss_ppm)),
        }
    }
}

fn upper_tail_is_below_1_percent(n: u128, b: u128, miss: u128) -> bool {
    const Z_SQUARED_PER_10_000: u128 = 54_119;
    excess_is_beyond(Z_SQUARED_PER_10_000, n, b, miss)
}

/// `B − ½ > N·p` and `(B − ½ − N·p)² > z² · N·p·(1 − p)`, in units of half a millionth of a run.
fn excess_is_beyond(z_squared_per_10_000: u128, n: u128, b: u128, miss: u128) -> bool {
    let million = u128::from(MILLION);
    let Some(excess) = ((2 * b - 1) * million).checked_sub(2 * n * miss) else {
        return false;
    };
    excess * excess * 10_000 > 4 * z_squared_per_10_000 * n * miss * (million - miss)
}

/// The smallest N with `(N·p − B − ½)² ≥ z² · N·p·(1 − p)` and `N·p > B`, z = 1.6449: a bisection,
/// since the left side outgrows the right.
fn lower_tail_needs(b: u128, miss: u128) -> u64 {
    const Z_SQUARED_PER_10_000: u128 = 27_055;
    let million = u128::from(MILLION);
    let holds = |n: u128| match (2 * n * miss).checked_sub((2 * b + 1) * million) {
        Some(excess) => {
            excess * excess * 10_000 >= 4 * Z_SQUARED_PER_10_000 * n * miss * (million - miss)
        }
        None => false,
    };
    let (mut low, mut high) = (0, 16 * (b + 2) * million / miss.max(1));
    while low + 1 < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    u64::try_from(high).unwrap_or(u64::MAX)
}
