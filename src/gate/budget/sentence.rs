//! The numbers in plain sentences: what a status, an event and a refusal say about a budget.

use super::balance::Balance;
use super::objective::Allowed;

/// `12 of 1,234 runs were unacceptable; 300 are allowed`, and the same of the runs with a high-risk
/// call where those are worse off.
#[must_use]
pub fn spent(all: &Balance, high: &Balance) -> String {
    let balance = |balance: &Balance, what: &str| {
        let were = if balance.unacceptable == 1 {
            "was"
        } else {
            "were"
        };
        format!(
            "{} of {} {what} {were} unacceptable; {} are allowed",
            grouped(balance.unacceptable),
            grouped(balance.runs),
            allowed(balance.allowed)
        )
    };
    if high.unacceptable > 0 && high.remaining() < all.remaining() {
        balance(high, "runs with a high-risk call")
    } else {
        balance(all, "runs")
    }
}

/// `3 of 40 runs were unacceptable; a workflow that keeps its target has so many in less than 1% of
/// cases`: why a budget is breached.
#[must_use]
pub fn breached(runs: u64, unacceptable: u64, high: bool) -> String {
    format!(
        "{} of {} {} were unacceptable; a workflow that keeps its target has so many in less than 1% of cases",
        grouped(unacceptable),
        grouped(runs),
        if high {
            "runs with a high-risk call"
        } else {
            "runs"
        }
    )
}

/// An allowance with at most four decimals, rounded down: `300`, `2.5`.
#[must_use]
pub fn allowed(allowed: Allowed) -> String {
    let ten_thousandths = allowed.millionths() / 100;
    let whole = grouped(u64::try_from(ten_thousandths / 10_000).unwrap_or(u64::MAX));
    match ten_thousandths % 10_000 {
        0 => whole,
        fraction => format!("{whole}.{}", format!("{fraction:04}").trim_end_matches('0')),
    }
}

/// A count with thousands separated: `1,234`.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Ten-thousandths as a decimal: `0.96`, `-0.3334`.
#[must_use]
pub fn decimal(ten_thousandths: i64) -> String {
    let sign = if ten_thousandths < 0 { "-" } else { "" };
    let magnitude = ten_thousandths.unsigned_abs();
    match magnitude % 10_000 {
        0 => format!("{sign}{}", magnitude / 10_000),
        fraction => format!(
            "{sign}{}.{}",
            magnitude / 10_000,
            format!("{fraction:04}").trim_end_matches('0')
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::gate::budget::objective::Objective;
    use crate::gate::time::days;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(
            [0, 12, 999, 1_000, 1_234_567].map(grouped),
            ["0", "12", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [9_600, 10_000, -3_334, 0, 6_666].map(decimal),
            ["0.96", "1", "-0.3334", "0", "0.6666"]
        );
    }

    #[test]
    fn the_budget_that_is_worse_off_is_the_one_told() {
        let objective = Objective {
            target_ppm: 980_000,
            window: days(30),
            expected_runs: 100,
            expected_written: true,
            unacceptable: BTreeSet::new(),
            critical: BTreeSet::new(),
            evidence: Arc::default(),
        };
        let told = |all, high| {
            let balance = |runs, unacceptable, allowed| Balance {
                runs,
                unacceptable,
                allowed,
            };
            spent(
                &balance(100, all, objective.allowed(100)),
                &balance(10, high, objective.allowed_high(10)),
            )
        };
        let of_all = "1 of 100 runs was unacceptable; 2 are allowed";
        let of_high = "2 of 10 runs with a high-risk call were unacceptable; 3 are allowed";
        assert_eq!(told(1, 0), of_all);
        assert_eq!(told(1, 1), of_all);
        assert_eq!(told(1, 2), of_high);
    }
}
