//! Parameters of a path or a query: text that a schema judges as the value that it spells.
//!
//! Text has no type, so a parameter is read as each value that it could spell, and fits when one of
//! them does: `5` is a number where a number is asked for and text where text is. What nobody
//! described is not judged, and neither are headers and cookies.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MAX_VIOLATIONS, Schema, Violation};
use crate::gate::json::Json;
use crate::gate::policy::facts::{Ambiguous, Facts, Lookup};

/// The part of a request that a parameter is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// A segment of the path that the pattern captures.
    Path,
    /// The query.
    Query,
}

/// How a parameter's text spells a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// It does not: the text is one value.
    One,
    /// An element each time that the parameter is given: `tag=a&tag=b`.
    Repeated,
    /// Elements with commas between them.
    Commas,
    /// Elements with spaces between them.
    Spaces,
    /// Elements with `|` between them.
    Pipes,
}

/// A parameter and what it must look like.
#[derive(Debug, Serialize)]
pub struct Parameter {
    /// Its name: that of the capture, where it is in the path.
    pub name: Box<str>,
    /// Where it is.
    #[serde(rename = "in")]
    pub within: Within,
    /// Whether a call must give it.
    pub required: bool,
    /// How it spells a list.
    pub form: Form,
    /// What it must look like; for a list, what the list must.
    pub schema: Option<Schema>,
}

/// The most elements of a list. Beyond it the list is refused: each costs a step of the schema.
pub const MAX_LIST_ELEMENTS: usize = 1000;

impl Parameter {
    /// Every way in which a call does not satisfy it; empty when it does.
    ///
    /// # Errors
    /// [`Ambiguous`] where two readers could find different values.
    pub fn violations(&self, facts: &Facts<'_>) -> Result<Vec<Violation>, Ambiguous> {
        let part: &dyn Lookup = match self.within {
            Within::Path => facts.path,
            Within::Query => facts.query,
        };
        let elements: Vec<Cow<'_, str>> = match self.form {
            Form::Repeated => part.all(&self.name)?,
            Form::One | Form::Commas | Form::Spaces | Form::Pipes => {
                part.find(&self.name)?.into_iter().collect()
            }
        };
        if elements.is_empty() {
            return Ok(if self.required {
                vec![self.violation("", "is required".to_owned())]
            } else {
                Vec::new()
            });
        }
        let Some(schema) = &self.schema else {
            return Ok(Vec::new());
        };
        let elements: Vec<&str> = match (self.form, &*elements) {
            (Form::Commas, [text]) => text.split(',').collect(),
            (Form::Spaces, [text]) => text.split(' ').collect(),
            (Form::Pipes, [text]) => text.split('|').collect(),
            (_, elements) => elements.iter().map(|element| &**element).collect(),
        };
        if elements.len() > MAX_LIST_ELEMENTS {
            return Ok(vec![self.violation(
                "",
                format!("must have at most {MAX_LIST_ELEMENTS} elements"),
            )]);
        }
        Ok(self.judged(schema, &elements))
    }

    /// The parameter as messages and pointers name it: `query.limit`.
    #[must_use]
    pub fn described(&self) -> String {
        let part = match self.within {
            Within::Path => "path",
            Within::Query => "query",
        };
        format!("{part}.{}", self.name)
    }

    fn judged(&self, schema: &Schema, elements: &[&str]) -> Vec<Violation> {
        let as_text = self.value(elements, |text| Json::String(Cow::Borrowed(text)));
        let violations = schema.violations(Some(&as_text));
        if violations.is_empty() {
            return Vec::new();
        }
        let as_spelled = self.value(elements, spelled);
        let spelled_violations = schema.violations(Some(&as_spelled));
        if spelled_violations.is_empty() {
            return Vec::new();
        }
        let violations = if takes_text(self.element_schema(schema)) {
            violations
        } else {
            spelled_violations
        };
        violations
            .into_iter()
            .take(MAX_VIOLATIONS)
            .map(|violation| self.violation(&violation.pointer, violation.detail))
            .collect()
    }

    fn value<'e>(&self, elements: &[&'e str], read: impl Fn(&'e str) -> Json<'e>) -> Json<'e> {
        match (self.form, elements) {
            (Form::One, [text]) => read(text),
            _ => Json::Array(elements.iter().map(|text| read(text)).collect()),
        }
    }

    fn element_schema<'s>(&self, schema: &'s Schema) -> &'s Value {
        match self.form {
            Form::One => schema.source(),
            Form::Repeated | Form::Commas | Form::Spaces | Form::Pipes => schema
                .source()
                .get("items")
                .unwrap_or_else(|| schema.source()),
        }
    }

    fn violation(&self, below: &str, detail: String) -> Violation {
        Violation {
            pointer: format!("{}{below}", self.described()),
            detail,
        }
    }
}

/// The value that a text spells, where it spells another one than itself.
fn spelled(text: &str) -> Json<'_> {
    match text {
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        number if is_number(number) => Json::Number(number),
        other => Json::String(Cow::Borrowed(other)),
    }
}

/// A number by the grammar of JSON: what every upstream reads as the same one.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

fn takes_text(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(name)) => name == "string",
        Some(Value::Array(names)) => names.iter().any(|name| name == "string"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gate::budget::burn::BurnRates;
    use crate::gate::budget::objective::Remaining;
    use crate::gate::policy::facts::{Nothing, RunFacts};

    struct Pairs(Vec<(&'static str, &'static str)>);

    impl Lookup for Pairs {
        fn find(&self, name: &str) -> Result<Option<Cow<'_, str>>, Ambiguous> {
            let found = self.all(name)?;
            if found.len() > 1 {
                Err(Ambiguous)
            } else {
                Ok(found.into_iter().next())
            }
        }

        fn all(&self, name: &str) -> Result<Vec<Cow<'_, str>>, Ambiguous> {
            Ok(self
                .0
                .iter()
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| Cow::Borrowed(*value))
                .collect())
        }
    }

    fn judge(
        form: Form,
        schema: Value,
        pairs: &[(&'static str, &'static str)],
    ) -> Result<String, Ambiguous> {
        let parameter = Parameter {
            name: "limit".into(),
            within: Within::Query,
            required: true,
            form,
            schema: Some(Schema::compile(schema).unwrap()),
        };
        let (query, burn) = (Pairs(pairs.to_vec()), BurnRates::default());
        let run = RunFacts {
            id: "",
            calls: 0,
            escalated: false,
        };
        let facts = Facts {
            args: None,
            path: &Nothing,
            query: &query,
            header: &Nothing,
            tool: "",
            agent: "",
            workflow: "",
            run,
            level: "",
            posture: "",
            remaining: Remaining::FULL,
            burn: &burn,
            response: None,
        };
        let violations = parameter.violations(&facts)?;
        Ok(violations
            .into_iter()
            .map(|violation| format!("{} {}", violation.pointer, violation.detail))
            .collect::<Vec<_>>()
            .join("; "))
    }

    #[test]
    fn text_fits_as_any_value_that_it_spells() {
        let integer = || json!({ "type": "integer", "maximum": 100 });
        let one = |schema: Value, text: &'static str| {
            judge(Form::One, schema, &[("limit", text)]).unwrap()
        };
        assert_eq!(one(integer(), "100"), "");
        assert_eq!(one(json!({ "type": "string", "maxLength": 3 }), "100"), "");
        assert_eq!(one(json!({ "type": "boolean" }), "true"), "");
        assert_eq!(one(json!({ "enum": ["1", "2"] }), "2"), "");
        assert_eq!(one(integer(), "101"), "query.limit must be at most 100");
        assert_eq!(
            one(integer(), "many"),
            "query.limit must be an integer, but is a string"
        );
        for odd in ["1_000", "0x10", "+1", "010", " 1", "NaN", "", "null"] {
            assert_ne!(one(integer(), odd), "", "{odd}");
        }
        assert_eq!(
            one(json!({ "type": "string", "maxLength": 3 }), "1000"),
            "query.limit must have at most 3 characters"
        );
        assert_eq!(
            judge(Form::One, integer(), &[]).unwrap(),
            "query.limit is required"
        );
        assert!(judge(Form::One, integer(), &[("limit", "1"), ("limit", "2")]).is_err());
    }

    #[test]
    fn a_list_is_spelled_as_its_form_says() {
        let list = || json!({ "type": "array", "items": { "type": "integer" }, "maxItems": 2 });
        assert_eq!(
            judge(Form::Repeated, list(), &[("limit", "1"), ("limit", "2")]).unwrap(),
            ""
        );
        assert_eq!(
            judge(Form::Repeated, list(), &[("limit", "1"), ("limit", "x")]).unwrap(),
            "query.limit/1 must be an integer, but is a string"
        );
        assert_eq!(
            judge(Form::Commas, list(), &[("limit", "1,2")]).unwrap(),
            ""
        );
        assert_eq!(
            judge(Form::Commas, list(), &[("limit", "1,2,3")]).unwrap(),
            "query.limit must have at most 2 elements"
        );
        assert_eq!(judge(Form::Pipes, list(), &[("limit", "1|2")]).unwrap(), "");
        assert_eq!(
            judge(Form::Spaces, list(), &[("limit", "1 2")]).unwrap(),
            ""
        );
        let endless = || json!({ "type": "array", "items": { "type": "string" } });
        let full = Box::leak(",".repeat(MAX_LIST_ELEMENTS - 1).into_boxed_str());
        assert_eq!(
            judge(Form::Commas, endless(), &[("limit", full)]).unwrap(),
            ""
        );
        let long = Box::leak(",".repeat(MAX_LIST_ELEMENTS).into_boxed_str());
        assert_eq!(
            judge(Form::Commas, endless(), &[("limit", long)]).unwrap(),
            format!("query.limit must have at most {MAX_LIST_ELEMENTS} elements")
        );
    }
}
