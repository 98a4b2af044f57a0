//! Decimals as they are shown: four places, rounded down, exact in JSON.
//!
//! Decisions never read them. They are kept in ten-thousandths and written to JSON as text, so that
//! `0.8333` is never `0.83330000000000004`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use utoipa::ToSchema;

use crate::gate::budget::objective::Allowed;
use crate::gate::budget::sentence;

/// Ten-thousandths in one.
const ONE: i64 = 10_000;

/// A decimal with at most four places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, ToSchema)]
#[schema(value_type = f64, examples(0.96))]
pub struct Decimal(i64);

impl Decimal {
    /// `ten_thousandths` / 10,000.
    #[must_use]
    pub const fn of(ten_thousandths: i64) -> Self {
        Decimal(ten_thousandths)
    }

    /// In ten-thousandths.
    #[must_use]
    pub const fn ten_thousandths(self) -> i64 {
        self.0
    }

    /// `numerator / denominator` rounded down; `None` with nothing to count.
    #[must_use]
    pub fn ratio(numerator: u64, denominator: u64) -> Option<Self> {
        let scaled = u128::from(numerator) * u128::from(ONE.unsigned_abs());
        let quotient = scaled.checked_div(u128::from(denominator))?;
        Some(Decimal(i64::try_from(quotient).unwrap_or(i64::MAX)))
    }

    /// A burn rate, which is never negative.
    #[must_use]
    pub fn rate(ten_thousandths: u64) -> Self {
        Decimal(i64::try_from(ten_thousandths).unwrap_or(i64::MAX))
    }

    /// An allowance, rounded down.
    #[must_use]
    pub fn allowed(allowed: Allowed) -> Self {
        Decimal(i64::try_from(allowed.millionths() / 100).unwrap_or(i64::MAX))
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&sentence::decimal(self.0))
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % ONE == 0 {
            return serializer.serialize_i64(self.0 / ONE);
        }
        // The text has at most nineteen digits; the shortest text of the nearest binary64 is that
        // text again up to fifteen of them.
        let nearest = sentence::decimal(self.0)
            .parse()
            .map_err(|_| ser::Error::custom("a decimal without a value"))?;
        serializer.serialize_f64(nearest)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        let digits = format!("{value:.4}").replace('.', "");
        digits
            .parse()
            .map(Decimal)
            .map_err(|_| de::Error::custom("a number out of range"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_written_as_people_write_it_and_read_back() {
        let written =
            |ten_thousandths| serde_json::to_string(&Decimal::of(ten_thousandths)).unwrap();
        assert_eq!(
            [9_600, 8_333, 10_000, -3_334, 0, 3_000_000, 1].map(written),
            ["0.96", "0.8333", "1", "-0.3334", "0", "300", "0.0001"]
        );
        for ten_thousandths in [
            9_600,
            8_333,
            10_000,
            -3_334,
            0,
            25_000,
            1,
            -1,
            123_456_789_012,
        ] {
            let text = serde_json::to_string(&Decimal::of(ten_thousandths)).unwrap();
            assert_eq!(
                serde_json::from_str::<Decimal>(&text).unwrap(),
                Decimal::of(ten_thousandths),
                "{text}"
            );
        }
    }

    #[test]
    fn a_ratio_is_rounded_down_and_unknown_without_anything_to_count() {
        assert_eq!(Decimal::ratio(1_222, 1_234), Some(Decimal::of(9_902)));
        assert_eq!(Decimal::ratio(2, 3), Some(Decimal::of(6_666)));
        assert_eq!(Decimal::ratio(0, 0), None);
    }
}
