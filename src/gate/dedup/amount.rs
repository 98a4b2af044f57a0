//! Amounts of limits: exact decimals, so that ten times 0.1 is one.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Decimal places that are kept.
const PLACES: u32 = 12;
const ONE: i128 = 10_i128.pow(PLACES);
/// The largest amount of one call, in ones. Far above any number that binary64 keeps exactly, and a
/// hundred million of them fit the sum.
const LARGEST: i128 = 10_i128.pow(18);

/// An amount or a sum of amounts, in 10^-12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i128);

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);
    /// One call.
    pub const CALL: Amount = Amount(ONE);

    /// Reads a decimal number, such as `12.50` or `1e3`. `None` where it is no number, has more
    /// than twelve decimal places, or is beyond 10^18 either way: it could not be added up exactly.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = text
            .strip_prefix('-')
            .map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i64 = exponent.parse().ok()?;
        let digits = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = digits.trim_end_matches('0');
        let dropped = digits.len() - significant.len();
        let significant = significant.trim_start_matches('0');
        if significant.is_empty() {
            return Some(Amount::ZERO);
        }
        // What the last significant digit stands for, as a power of ten.
        let last = exponent
            .checked_sub(i64::try_from(fraction.len()).ok()?)?
            .checked_add(i64::try_from(dropped).ok()?)?;
        let shift = u32::try_from(last.checked_add(i64::from(PLACES))?).ok()?;
        let value = significant
            .parse::<i128>()
            .ok()?
            .checked_mul(10_i128.checked_pow(shift)?)?;
        (value <= LARGEST * ONE).then_some(Amount(if negative { -value } else { value }))
    }

    /// Is it below zero?
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The sum of the two.
    #[must_use]
    pub const fn plus(self, other: Amount) -> Amount {
        Amount(self.0.saturating_add(other.0))
    }

    /// What is left of it without `other`; never less than nothing.
    #[must_use]
    pub fn less(self, other: Amount) -> Amount {
        Amount(self.0.saturating_sub(other.0).max(0))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0.abs() / ONE, self.0.abs() % ONE);
        let text = format!(
            "{}{whole}.{fraction:012}",
            if self.0 < 0 { "-" } else { "" }
        );
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        // A sum may be larger than any amount of one call.
        let whole_of = |text: &str| text.parse::<i128>().ok()?.checked_mul(ONE);
        let sum = if fraction.is_empty() {
            whole_of(whole).map(Amount)
        } else {
            None
        };
        sum.or_else(|| scaled(whole, fraction))
            .ok_or_else(|| serde::de::Error::custom("expected a decimal number"))
    }
}

fn scaled(whole: &str, fraction: &str) -> Option<Amount> {
    if fraction.len() > PLACES as usize || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = format!("{fraction:0<12}").parse::<i128>().ok()?;
    let value = whole
        .trim_start_matches('-')
        .parse::<i128>()
        .ok()?
        .checked_mul(ONE)?
        .checked_add(part)?;
    Some(Amount(if whole.starts_with('-') {
        -value
    } else {
        value
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn amounts_are_exact_and_have_one_spelling() {
        for (written, shown) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("12.50", "12.5"),
            ("1e3", "1000"),
            ("1.001E3", "1001"),
            ("4990", "4990"),
            ("0.000000000001", "0.000000000001"),
            ("1000000000000000000", "1000000000000000000"),
            ("1e18", "1000000000000000000"),
            ("-7.25", "-7.25"),
            ("00012", "12"),
        ] {
            assert_eq!(amount(written).to_string(), shown, "{written}");
        }
        let tenths = (0..10).fold(Amount::ZERO, |sum, _| sum.plus(amount("0.1")));
        assert_eq!(tenths, amount("1"));
        assert_eq!(amount("1").less(amount("2")), Amount::ZERO);
        assert!(amount("-0.01").is_negative());
    }

    #[test]
    fn what_cannot_be_added_up_exactly_is_no_amount() {
        for text in [
            "",
            "x",
            "1.2.3",
            "1e",
            "0.0000000000001",
            "1000000000000000001",
            "1e19",
            "1e999999999999999999999",
            "1e9223372036854775807",
            "٣",
            "NaN",
            "+1",
        ] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_amount_survives_the_journal() {
        for text in [
            "0",
            "12.5",
            "0.000000000001",
            "1000000000000000000",
            "-7.25",
            "-0.5",
        ] {
            let json = serde_json::to_string(&amount(text)).unwrap();
            assert_eq!(
                serde_json::from_str::<Amount>(&json).unwrap(),
                amount(text),
                "{json}"
            );
        }
        let sum = (0..1_000).fold(Amount::ZERO, |sum, _| sum.plus(amount("1e18")));
        assert_eq!(
            serde_json::from_str::<Amount>(&serde_json::to_string(&sum).unwrap()).unwrap(),
            sum
        );
        for bad in ["\"\"", "\"1.0000000000001\"", "\"1e3\"", "\"-\"", "1"] {
            assert!(serde_json::from_str::<Amount>(bad).is_err(), "{bad}");
        }
    }
}
