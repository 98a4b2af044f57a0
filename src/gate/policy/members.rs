//! The members of a call's arguments that a policy names, so that no twin of one passes beside it.
//!
//! A reader that ignores case takes `{"amount":1,"Amount":9999}` for another amount than the one that
//! is judged. So a member that a condition reads or a schema names may have no twin by case at its
//! depth.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::gate::json::{Json, fold_case};

/// The named members of one object, and those below them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NamedMembers {
    named: BTreeMap<String, NamedMembers>,
    /// Of each element, where it is a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    elements: Option<Box<NamedMembers>>,
}

/// The keywords of a schema that apply others to the same value.
const SAME_VALUE: [&str; 3] = ["allOf", "anyOf", "oneOf"];

impl NamedMembers {
    /// Adds the member that these names lead to.
    pub fn add_path(&mut self, path: &[String]) {
        if let Some((first, rest)) = path.split_first() {
            self.named.entry(first.clone()).or_default().add_path(rest);
        }
    }

    /// Adds what `schema` names; its depth is bounded by whoever compiled it.
    pub fn add_schema(&mut self, schema: &Value) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, member) in properties {
                self.named
                    .entry(name.clone())
                    .or_default()
                    .add_schema(member);
            }
        }
        if let Some(items) = schema.get("items") {
            self.elements.get_or_insert_default().add_schema(items);
        }
        let same = SAME_VALUE
            .iter()
            .filter_map(|keyword| schema.get(keyword)?.as_array());
        for schema in same.flatten() {
            self.add_schema(schema);
        }
    }

    /// Whether a member of this name is named.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    /// Whether nothing is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == NamedMembers::default()
    }

    /// The name of a member of `value` that has a twin by case.
    #[must_use]
    pub fn twin(&self, value: &Json<'_>) -> Option<&str> {
        match value {
            Json::Object(members) => self.named.iter().find_map(|(name, below)| {
                let is_twin = |other: &str| other != name && fold_case(other).eq(fold_case(name));
                if members.iter().any(|(other, _)| is_twin(other)) {
                    return Some(name.as_str());
                }
                let (_, member) = members.iter().find(|(other, _)| other == name)?;
                below.twin(member)
            }),
            Json::Array(elements) => {
                let below = self.elements.as_deref()?;
                elements.iter().find_map(|element| below.twin(element))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::json as value;

    use super::*;

    fn json(value: &Value) -> Json<'static> {
        match value {
            Value::Array(elements) => Json::Array(elements.iter().map(json).collect()),
            Value::Object(members) => {
                let member =
                    |(name, value): (&_, &_)| (Cow::Owned(String::clone(name)), json(value));
                Json::Object(members.iter().map(member).collect())
            }
            _ => Json::Null,
        }
    }

    fn twin<'m>(members: &'m NamedMembers, text: &str) -> Option<&'m str> {
        members.twin(&json(&serde_json::from_str(text).unwrap()))
    }

    #[test]
    fn s8_a_member_that_a_condition_reads_has_no_twin() {
        let mut members = NamedMembers::default();
        assert!(members.is_empty());
        members.add_path(&["amount".to_owned()]);
        members.add_path(&["risk".to_owned()]);
        members.add_path(&["to".to_owned(), "iban".to_owned()]);
        for (text, found) in [
            (r#"{"amount":1,"Amount":9999}"#, Some("amount")),
            (r#"{"AMOUNT":9999}"#, Some("amount")),
            ("{\"ris\u{212a}\":1}", Some("risk")),
            ("{\"ri\u{17f}k\":1}", Some("risk")),
            (r#"{"to":{"iban":"a","IBAN":"b"}}"#, Some("iban")),
            (r#"{"to":{"iban":"a"},"note":1,"Note":2}"#, None),
            (r#"{"amount":1,"amounts":2}"#, None),
            ("[1]", None),
        ] {
            assert_eq!(twin(&members, text), found, "{text}");
        }
    }

    #[test]
    fn s8_a_member_that_a_schema_names_has_no_twin() {
        let mut members = NamedMembers::default();
        members.add_schema(&value!({
            "properties": { "lines": { "items": { "properties": { "sku": {} } } } },
            "anyOf": [{ "properties": { "order": {} } }]
        }));
        for (text, found) in [
            (r#"{"lines":[{"sku":1},{"sku":1,"SKU":2}]}"#, Some("sku")),
            (r#"{"Order":1}"#, Some("order")),
            (r#"{"order":1,"lines":[{"sku":1}]}"#, None),
        ] {
            assert_eq!(twin(&members, text), found, "{text}");
        }
    }
}
