//! A judged JSON value in the shape the schema engine reads.
//!
//! Integers that fit stay exact; every other number becomes its nearest binary64. A number that
//! binary64 cannot hold at all has no value here, and so the document has none: a schema must not
//! judge infinity, or zero, in place of what was written.

use serde_json::{Map, Number, Value};

use crate::gate::json::Json;

/// The same document for the schema engine; `None` when a number in it lies outside binary64.
#[must_use]
pub fn to_value(json: &Json<'_>) -> Option<Value> {
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(text) => Value::Number(number(text)?),
        Json::String(text) => Value::String(text.to_string()),
        Json::Array(elements) => {
            Value::Array(elements.iter().map(to_value).collect::<Option<_>>()?)
        }
        Json::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| Some((name.to_string(), to_value(value)?)))
                .collect::<Option<Map<_, _>>>()?,
        ),
    })
}

fn number(text: &str) -> Option<Number> {
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Some(integer.into());
    }
    let value: f64 = text.parse().ok()?;
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let underflown = value == 0.0 && mantissa.bytes().any(|digit| matches!(digit, b'1'..=b'9'));
    if underflown {
        None
    } else {
        Number::from_f64(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse;

    #[test]
    fn a_document_keeps_its_value_for_the_schema_engine() {
        let text = r#"{"a":[1,-2,1.5,1E2,18446744073709551615,"xA",true,null],"b":{}}"#;
        let expected = serde_json::json!({"b": {}, "a": [1, -2, 1.5, 100.0, 18_446_744_073_709_551_615_u64, "xA", true, null]});
        assert_eq!(to_value(&parse(text.as_bytes()).unwrap()), Some(expected));
    }

    #[test]
    fn a65_a_number_outside_binary64_has_no_value() {
        for text in ["1e400", "-1e400", "1e-400", "[1,{\"a\":1e999}]"] {
            assert_eq!(to_value(&parse(text.as_bytes()).unwrap()), None, "{text}");
        }
        assert_eq!(
            to_value(&parse(b"0e5").unwrap()),
            Some(serde_json::json!(0.0))
        );
    }
}
