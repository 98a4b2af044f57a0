//! Keywords of a JSON Schema that a policy writes: those that do nothing, and what the schema says
//! about the type of a value.
//!
//! A validator ignores a keyword that it does not know, so a slip such as `maximun` would be a bound
//! that nobody keeps. JSON Schema allows that for the sake of annotations; a policy needs none but
//! the standard ones and those that begin with `x-`.

use serde_json::Value;

use crate::gate::nearest::{did_you_mean, nearest};
use crate::gate::policy::schema::decoded;

/// Every keyword of the drafts 4 to 2020-12.
const KEYWORDS: [&str; 63] = [
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$recursiveAnchor",
    "$recursiveRef",
    "$ref",
    "$schema",
    "$vocabulary",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "id",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
];

/// Keywords whose value is a schema or a list of schemas.
const SCHEMAS: [&str; 16] = [
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Keywords whose value has a schema for each of its names.
const NAMED_SCHEMAS: [&str; 6] = [
    "$defs",
    "definitions",
    "dependencies",
    "dependentSchemas",
    "patternProperties",
    "properties",
];

/// Something in a schema that does not mean what it seems to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeywordFault {
    /// What is wrong, with a JSON pointer to the part of the schema where it is not the whole.
    pub(super) message: String,
    /// What to write instead.
    pub(super) hint: String,
}

/// Everything in `schema` that does nothing or that no value can satisfy.
pub(super) fn faults(schema: &Value) -> Vec<KeywordFault> {
    let mut found = Vec::new();
    walk(schema, "", &mut found);
    found
}

fn walk(schema: &Value, pointer: &str, found: &mut Vec<KeywordFault>) {
    let Value::Object(members) = schema else {
        return;
    };
    let place = if pointer.is_empty() {
        String::new()
    } else {
        format!(" at `{pointer}`")
    };
    for (keyword, value) in members {
        let name = keyword.as_str();
        if !KEYWORDS.contains(&name) && !name.starts_with("x-") {
            found.push(KeywordFault {
                message: format!(
                    "`{name}`{place} is no keyword of JSON Schema, so it does nothing"
                ),
                hint: instead_of(name),
            });
            continue;
        }
        let below = format!("{pointer}/{name}");
        match value {
            Value::Object(inner) if NAMED_SCHEMAS.contains(&name) => {
                for (member, schema) in inner {
                    walk(schema, &format!("{below}/{}", escaped(member)), found);
                }
            }
            Value::Array(inner) if SCHEMAS.contains(&name) => {
                for (index, schema) in inner.iter().enumerate() {
                    walk(schema, &format!("{below}/{index}"), found);
                }
            }
            one if SCHEMAS.contains(&name) => walk(one, &below, found),
            _ => {}
        }
    }
    found.extend(forbidden_members(schema, &place));
}

/// A pointer's spelling of a member's name.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn instead_of(keyword: &str) -> String {
    match keyword {
        "nullable" => "write `type: [string, \"null\"]` for text that may be null".to_owned(),
        "example" => "write `examples`, with a list".to_owned(),
        other => did_you_mean(other, KEYWORDS)
            .unwrap_or_else(|| "drop it; notes of your own begin with `x-`".to_owned()),
    }
}

/// Members that are required where `additionalProperties: false` forbids them: no value can fit.
fn forbidden_members(schema: &Value, place: &str) -> Vec<KeywordFault> {
    let has_patterns = schema
        .get("patternProperties")
        .and_then(Value::as_object)
        .is_some_and(|patterns| !patterns.is_empty());
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) || has_patterns {
        return Vec::new();
    }
    let known: Vec<&str> = schema
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    required
        .filter(|name| !known.contains(name))
        .map(|name| KeywordFault {
            message: format!(
                "`required`{place} names `{name}`, which `additionalProperties: false` forbids, so nothing fits"
            ),
            hint: nearest(name, known.iter().copied()).map_or_else(
                || format!("list `{name}` under `properties`"),
                |meant| format!("did you mean `{meant}`?"),
            ),
        })
        .collect()
}

/// Does `schema`, which compiles, say of what type its value is? Its own word, that of a schema that
/// it refers to, one part of an `allOf` or every choice of the others.
pub(super) fn has_type(root: &Value, schema: &Value) -> bool {
    if ["type", "enum", "const"]
        .iter()
        .any(|keyword| schema.get(keyword).is_some())
    {
        return true;
    }
    let parts = |keyword| {
        schema
            .get(keyword)
            .and_then(Value::as_array)
            .filter(|parts| !parts.is_empty())
    };
    target(root, schema).is_some_and(|target| has_type(root, target))
        || parts("allOf").is_some_and(|parts| parts.iter().any(|part| has_type(root, part)))
        || ["anyOf", "oneOf"].into_iter().any(|keyword| {
            parts(keyword).is_some_and(|parts| parts.iter().all(|part| has_type(root, part)))
        })
}

/// May something else than an object fit `schema`, which compiles, because one of its parts that judge
/// the value itself says so?
pub(super) fn names_another_type(root: &Value, schema: &Value) -> bool {
    let own = match schema.get("type") {
        Some(Value::String(name)) => name != "object",
        Some(_) => true,
        None => schema.get("enum").is_some() || schema.get("const").is_some(),
    };
    own || target(root, schema).is_some_and(|target| names_another_type(root, target))
        || ["allOf", "anyOf", "oneOf"].into_iter().any(|keyword| {
            let parts = schema.get(keyword).and_then(Value::as_array);
            parts
                .into_iter()
                .flatten()
                .any(|part| names_another_type(root, part))
        })
}

/// May the value be a list by `schema`'s own `type`, or by that of a schema that it refers to?
pub(super) fn takes_list(root: &Value, schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(name)) => name == "array",
        Some(Value::Array(names)) => names.iter().any(|name| name == "array"),
        _ => target(root, schema).is_some_and(|target| takes_list(root, target)),
    }
}

/// The schema in `root` that `schema` refers to.
fn target<'s>(root: &'s Value, schema: &Value) -> Option<&'s Value> {
    let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
    root.pointer(&decoded(pointer)?)
}
