//! Values and texts as the validator reads them and as a violation repeats them.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

use crate::gate::json::{Json, exact_binary64};

/// The longest text of a schema that is repeated to an agent, in characters: an enum of a thousand
/// names helps nobody.
const MAX_QUOTED: usize = 160;

/// The validator's form of `json`. Integers of 64 bits stay exact, and an integral number is the
/// same integer in every spelling.
///
/// # Errors
/// The pointer to a number that the validator could only judge by another value than the upstream
/// will read.
pub(crate) fn value_of(json: &Json<'_>) -> Result<Value, String> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Number(number_of(number).ok_or_else(String::new)?),
        Json::String(text) => Value::String(text.clone().into_owned()),
        Json::Array(elements) => {
            let elements = elements
                .iter()
                .enumerate()
                .map(|(at, element)| value_of(element).map_err(|below| format!("/{at}{below}")));
            Value::Array(elements.collect::<Result<_, _>>()?)
        }
        Json::Object(members) => {
            let members = members.iter().map(|(name, value)| match value_of(value) {
                Ok(value) => Ok((name.clone().into_owned(), value)),
                Err(below) => Err(format!("/{}{below}", escaped(name))),
            });
            Value::Object(members.collect::<Result<Map<_, _>, _>>()?)
        }
    })
}

/// `None` for a number that is out of range, an integer that binary64 would change, and one that it
/// would make zero. A fraction may be rounded in its last place: 0.30000000000000004 is what
/// programs write, and no limit lies between it and its neighbours.
#[allow(
    clippy::cast_possible_truncation,
    reason = "a whole number within ±2^53"
)]
pub(super) fn number_of(number: &str) -> Option<Number> {
    const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
    if let Ok(integer) = number.parse::<i64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = number.parse::<u64>() {
        return Some(integer.into());
    }
    let value: f64 = number.parse().ok()?;
    let is_whole = value.fract() == 0.0;
    if value == 0.0 || (is_whole && value.abs() >= LARGEST_EXACT) {
        exact_binary64(number)?;
    }
    if is_whole && value.abs() < LARGEST_EXACT {
        return Some((value as i64).into());
    }
    Number::from_f64(value)
}

/// A text as it is repeated: on one line and not too long.
pub(super) fn quoted(text: &str) -> Cow<'_, str> {
    if text.chars().nth(MAX_QUOTED).is_none() && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown: String = text
        .chars()
        .take(MAX_QUOTED)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

/// A name as a JSON pointer writes it (RFC 6901).
pub(super) fn escaped(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) {
        Cow::Owned(name.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_repeated_up_to_its_bound() {
        let whole = "é".repeat(MAX_QUOTED);
        assert_eq!(quoted(&whole), whole);
        assert_eq!(quoted(&format!("{whole}x")), format!("{whole}…"));
    }
}
