//! A JSON value as the gate sees it: borrowed from the bytes that were judged, members in their
//! order, numbers as written.
//!
//! Only the value lives here. Reading it from attacker-shaped bytes is `wire::json`, its canonical
//! spelling `wire::canonical`. Numbers keep their text so that a digest can cover their exact
//! decimal value and a condition can refuse one that binary64 would change.

use std::borrow::Cow;

/// One JSON value. Object members have unique names: the strict reader refuses anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, exactly as it was written (RFC 8259 grammar).
    Number(&'a str),
    /// A string with its escapes resolved; borrowed where it had none.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object, in the order it was written.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// The member `name` of an object; `None` for anything else.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(members) => members
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a string; `None` for anything else.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }
}

/// The value of a number that binary64 represents without changing it, by the rule of the policy
/// language: an integer within ±(2^53 − 1), or at most 15 significant digits. `None` for any other
/// number: two readers could disagree about it, so no condition may judge it.
#[must_use]
pub fn exact_binary64(number: &str) -> Option<f64> {
    const LARGEST_EXACT: f64 = 9_007_199_254_740_991.0;
    let value: f64 = number.parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    let mantissa = number.split(['e', 'E']).next().unwrap_or(number);
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    let significant = significant_digits(digits);
    let fits_digits = significant <= 15 && (value != 0.0 || significant == 0);
    let is_integer = !number.contains(['.', 'e', 'E']);
    (fits_digits || (is_integer && value.abs() <= LARGEST_EXACT && significant <= 16))
        .then_some(value)
}

fn significant_digits(digits: impl Iterator<Item = u8>) -> usize {
    let (mut count, mut trailing_zeros) = (0, 0);
    for digit in digits.skip_while(|&digit| digit == b'0') {
        count += 1;
        trailing_zeros = if digit == b'0' { trailing_zeros + 1 } else { 0 };
    }
    count - trailing_zeros
}

/// A name as a reader takes it that ignores case (Go's does). Up and down again: the Kelvin sign and
/// the long s become `k` and `s` only this way.
pub fn fold_case(name: &str) -> impl Iterator<Item = char> {
    name.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_two_readers_could_read_differently_have_no_value() {
        for exact in [
            "0",
            "-0",
            "1",
            "500.00",
            "1E2",
            "0.1",
            "9007199254740991",
            "-9007199254740991",
            "123456789012345",
            "1e300",
            "1200000000000000000000",
        ] {
            assert!(exact_binary64(exact).is_some(), "{exact}");
        }
        for inexact in [
            "1e400",
            "9007199254740993",
            "0.1234567890123456",
            "1e-400",
            "9007199254740992.5",
            "12345678901234567890",
        ] {
            assert!(exact_binary64(inexact).is_none(), "{inexact}");
        }
    }
}
