//! Checks that a condition reads only what its calls have, and that it can be true at all. A rule
//! that can never match protects nothing, though it looks as if it did.

use serde_json::Value;

use super::expression::{CallShape, inside};
use crate::config::diagnostics::Notes;
use crate::config::source::setting::At;
use crate::gate::nearest::did_you_mean;
use crate::gate::policy::Condition;

/// Keywords by which a schema describes members elsewhere than in `properties`. Where one of them
/// is, nothing is known to be missing.
const ELSEWHERE: [&str; 8] = [
    "$ref",
    "$dynamicRef",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "patternProperties",
    "dependentSchemas",
];

/// Reports every argument and path capture that the condition reads and no call has.
pub(super) fn known(
    condition: &Condition,
    at: &At<String>,
    key: &str,
    calls: CallShape<'_>,
    notes: &mut Notes<'_>,
) {
    let reads = condition.reads();
    if reads.computed_header {
        notes
            .error(at.span.clone(), format!("`{key}` computes which header it reads"))
            .hint("name the header, such as `header[\"x-tenant\"]`: an approval is bound to the headers that a rule reads");
    }
    if let Some(schema) = calls.schema {
        for path in &reads.args {
            if let Some((member, members)) = missing(schema, path) {
                let span = inside(at, offset_of(&at.value, member), notes.file());
                let hint = did_you_mean(member, members.iter().copied())
                    .unwrap_or_else(|| format!("it has {}", list(&members)));
                notes.error(span, format!("`{key}` reads the argument `{}`, which the tool's schema does not allow", path.join("."))).hint(hint);
            }
        }
    }
    if let Some(pattern) = calls.pattern {
        let captures: Vec<&str> = pattern.capture_names().collect();
        for name in reads
            .path
            .iter()
            .filter(|name| !captures.contains(&name.as_str()))
        {
            let span = inside(at, offset_of(&at.value, name), notes.file());
            let hint =
                did_you_mean(name, captures.iter().copied()).unwrap_or_else(|| {
                    match captures.len() {
                        0 => format!(
                            "`{}` captures nothing; a capture is written as `{{{name}}}`",
                            pattern.source()
                        ),
                        _ => format!("it captures {}", list(&captures)),
                    }
                });
            notes
                .error(
                    span,
                    format!(
                        "`{key}` reads `path.{name}`, which `{}` does not capture",
                        pattern.source()
                    ),
                )
                .hint(hint);
        }
    }
}

/// Reports a condition that no call whose arguments satisfy the schema can meet.
pub(super) fn can_hold(
    condition: &Condition,
    at: &At<String>,
    key: &str,
    calls: CallShape<'_>,
    notes: &mut Notes<'_>,
) {
    let unknown = |schema: &&Value| {
        condition
            .reads()
            .args
            .iter()
            .any(|path| missing(schema, path).is_some())
    };
    // An argument that does not exist has been reported.
    if let Some(why) = calls
        .schema
        .filter(|schema| !unknown(schema))
        .and_then(|schema| condition.never_holds_given(schema))
    {
        notes
            .error(at.span.clone(), format!("`{key}` can never match: {}", why.trim_end_matches('.')))
            .hint("calls whose arguments do not satisfy the schema are refused before any rule is asked");
    }
}

/// The first name of `path` that a closed schema does not have, and the names that it has.
fn missing<'p, 's>(schema: &'s Value, path: &'p [String]) -> Option<(&'p str, Vec<&'s str>)> {
    let mut schema = schema;
    for name in path {
        let described = schema.as_object()?;
        if ELSEWHERE
            .iter()
            .any(|keyword| described.contains_key(*keyword))
        {
            return None;
        }
        let properties = described.get("properties").and_then(Value::as_object);
        match properties.and_then(|properties| properties.get(name)) {
            Some(member) => schema = member,
            None if described.get("additionalProperties") == Some(&Value::Bool(false)) => {
                return Some((
                    name,
                    properties
                        .into_iter()
                        .flat_map(|properties| properties.keys())
                        .map(String::as_str)
                        .collect(),
                ));
            }
            None => return None,
        }
    }
    None
}

/// Where an expression first names `name` as a member; its beginning where that is spelled in
/// another way.
fn offset_of(expression: &str, name: &str) -> usize {
    expression
        .find(&format!(".{name}"))
        .map(|dot| dot + 1)
        .or_else(|| expression.find(name))
        .unwrap_or(0)
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        "no members".to_owned()
    } else {
        names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_schema_lacks_members() {
        let lacks = |schema: Value, path: &[&str]| {
            let path: Vec<String> = path.iter().map(|&name| name.to_owned()).collect();
            missing(&schema, &path).map(|(name, _)| name.to_owned())
        };
        let closed = || serde_json::json!({ "properties": { "a": { "properties": { "b": {} }, "additionalProperties": false } }, "additionalProperties": false });
        assert_eq!(lacks(closed(), &["x"]), Some("x".to_owned()));
        assert_eq!(lacks(closed(), &["a", "x"]), Some("x".to_owned()));
        assert_eq!(lacks(closed(), &["a", "b", "x"]), None);
        assert_eq!(
            lacks(serde_json::json!({ "properties": { "a": {} } }), &["x"]),
            None
        );
        assert_eq!(
            lacks(
                serde_json::json!({ "allOf": [{}], "additionalProperties": false }),
                &["x"]
            ),
            None
        );
        assert_eq!(lacks(serde_json::json!(true), &["x"]), None);
    }
}
