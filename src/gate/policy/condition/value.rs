//! The values an expression has while it is evaluated. A part of the call stays borrowed and unread
//! until an operator needs it.

use std::cmp::Ordering;
use std::ops::Deref;
use std::rc::Rc;

use crate::gate::json::Json;

#[derive(Debug, Clone)]
pub(super) enum Value<'v> {
    Null,
    Bool(bool),
    Int(i64),
    /// Never infinite, never NaN: NaN compares false with everything, which would let a call pass.
    Double(f64),
    Text(Text<'v>),
    List(Rc<[Value<'v>]>),
    Map(Rc<[(Value<'v>, Value<'v>)]>),
    /// Not read yet: a number may turn out not to survive binary64.
    Json(&'v Json<'v>),
}

/// A text that is cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Text<'v> {
    Borrowed(&'v str),
    Shared(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl Value<'_> {
    /// What it is called in a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Null | Value::Json(Json::Null) => "null",
            Value::Bool(_) | Value::Json(Json::Bool(_)) => "a boolean",
            Value::Int(_) | Value::Double(_) | Value::Json(Json::Number(_)) => "a number",
            Value::Text(_) | Value::Json(Json::String(_)) => "a string",
            Value::List(_) | Value::Json(Json::Array(_)) => "a list",
            Value::Map(_) | Value::Json(Json::Object(_)) => "an object",
        }
    }

    /// Its number, where it is one that was read and that binary64 has.
    pub(super) fn as_double(&self) -> Option<f64> {
        match self {
            Value::Double(value) => Some(*value),
            Value::Int(value) => double_of(*value),
            _ => None,
        }
    }

    /// Its number in decimal, where it is one: as it was written, and to 15 significant digits
    /// where it was computed.
    pub(super) fn number(&self) -> Option<String> {
        match self {
            Value::Json(Json::Number(number)) => Some((*number).to_owned()),
            Value::Int(value) => Some(value.to_string()),
            Value::Double(value) => Some(format!("{value:.14e}")),
            _ => None,
        }
    }

    /// How many elements a list has.
    pub(super) fn list_len(&self) -> Option<usize> {
        match self {
            Value::List(list) => Some(list.len()),
            Value::Json(Json::Array(list)) => Some(list.len()),
            _ => None,
        }
    }
}

impl<'v> Value<'v> {
    /// The text of a string or number; a number of the call exactly as it was written, in its one
    /// spelling. Gives back a value that has no text.
    pub(super) fn written(self) -> Result<Text<'v>, Value<'v>> {
        let spelled = match &self {
            Value::Json(Json::String(text)) => return Ok(Text::Borrowed(text)),
            Value::Text(text) => return Ok(text.clone()),
            Value::Json(Json::Number(number)) => canonical_number(number),
            Value::Int(int) => Some(int.to_string()),
            Value::Double(double) => canonical_number(&format!("{double:e}")),
            _ => None,
        };
        spelled.map(|text| Text::Shared(text.into())).ok_or(self)
    }

    /// The element at `index` of a list.
    pub(super) fn element(&self, index: usize) -> Option<Value<'v>> {
        match self {
            Value::List(list) => list.get(index).cloned(),
            Value::Json(Json::Array(list)) => list.get(index).map(Value::Json),
            _ => None,
        }
    }
}

/// Compares an integer with a finite double by their exact values: rounding the integer would make
/// 2^53 + 1 equal to 2^53.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the whole part was checked to lie within i64"
)]
pub(super) fn compare_int(int: i64, double: f64) -> Ordering {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    let whole = double.trunc();
    if whole >= BEYOND {
        Ordering::Less
    } else if whole < -BEYOND {
        Ordering::Greater
    } else {
        int.cmp(&(whole as i64)).then_with(|| {
            0.0.partial_cmp(&(double - whole))
                .unwrap_or(Ordering::Equal)
        })
    }
}

/// The integer as a double, where that changes nothing.
#[allow(
    clippy::cast_precision_loss,
    reason = "only within ±2^53, where nothing is lost"
)]
pub(super) fn double_of(int: i64) -> Option<f64> {
    (int.unsigned_abs() <= 1 << 53).then_some(int as f64)
}

/// A number's one spelling, whatever it was written as: `1001`, `1001.0` and `1.001e3` name the
/// same order. The digits are kept exactly; their layout is that of RFC 8785 (ECMAScript). `None`
/// for a text that is not a number, or whose exponent nobody can mean.
pub(super) fn canonical_number(written: &str) -> Option<String> {
    let (sign, unsigned) = written
        .strip_prefix('-')
        .map_or(("", written), |rest| ("-", rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().ok()?;
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0');
    let leading = digits.len() - significant.len();
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return Some("0".to_owned());
    }
    // The decimal point stands after this many of the significant digits.
    let point =
        i64::from(exponent) + i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()?;
    let count = significant.len();
    let unsigned = match usize::try_from(point) {
        Ok(point) if point >= count && point <= 21 => {
            format!("{significant}{}", "0".repeat(point - count))
        }
        Ok(point) if point > 0 && point <= 21 => {
            format!("{}.{}", &significant[..point], &significant[point..])
        }
        _ if point <= 0 && point > -6 => format!(
            "0.{}{significant}",
            "0".repeat(usize::try_from(-point).ok()?)
        ),
        _ => {
            let (first, rest) = significant.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            format!("{first}{dot}{rest}e{:+}", point - 1)
        }
    };
    Some(format!("{sign}{unsigned}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        let table = [
            ("1001", "1001"),
            ("1001.0", "1001"),
            ("1.001e3", "1001"),
            ("10010E-1", "1001"),
            ("-0", "0"),
            ("0.00e5", "0"),
            ("-12.50", "-12.5"),
            ("12345678901234567890.5", "12345678901234567890.5"),
            ("0.000001", "0.000001"),
            ("1e-7", "1e-7"),
            ("1e21", "1e+21"),
            ("1e20", "100000000000000000000"),
            ("15e400", "1.5e+401"),
        ];
        for (written, canonical) in table {
            assert_eq!(
                canonical_number(written).as_deref(),
                Some(canonical),
                "{written}"
            );
        }
        for odd in ["", "x", "1e99999999999", "NaN"] {
            assert_eq!(canonical_number(odd), None, "{odd}");
        }
    }

    #[test]
    fn an_integer_compares_with_a_double_exactly() {
        assert_eq!(
            compare_int(9_007_199_254_740_993, 9_007_199_254_740_992.0),
            Ordering::Greater
        );
        assert_eq!(
            compare_int(i64::MAX, 9_223_372_036_854_775_808.0),
            Ordering::Less
        );
        assert_eq!(
            compare_int(i64::MIN, -9_223_372_036_854_775_808.0),
            Ordering::Equal
        );
        assert_eq!(compare_int(-1, -1.5), Ordering::Greater);
        assert_eq!(compare_int(500, 500.0), Ordering::Equal);
        assert_eq!(compare_int(0, 1e300), Ordering::Less);
    }
}
