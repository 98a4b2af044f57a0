//! Schemas of a document as JSON Schema of draft 2020-12 that stands on its own: what it refers to
//! goes along under `$defs`, cycles included.
//!
//! Only keywords that judge are kept. Descriptions and examples go: a reworded sentence is no
//! change of what a tool takes.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::error::OpenApiError;
use super::reference;
use super::reference::{below, follow};

/// Which of the two languages for schemas the document speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// 3.0: nearly draft 4, with `nullable`.
    V30,
    /// 3.1: draft 2020-12.
    V31,
}

/// The most schemas that one body or parameter is made of.
pub(super) const MAX_SCHEMAS: usize = 10_000;

/// How deep schemas nest inside one another.
pub(super) const MAX_NESTING: usize = 64;

/// Keywords that judge, and hold no schema.
const KEPT: [&str; 27] = [
    "type",
    "enum",
    "const",
    "multipleOf",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxContains",
    "minContains",
    "maxProperties",
    "minProperties",
    "dependentRequired",
    "format",
    "contentEncoding",
    "contentMediaType",
    // Refused by the engine with the reason; dropping them would accept what they exclude.
    "$id",
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveRef",
];

const ONE: [&str; 12] = [
    "not",
    "if",
    "then",
    "else",
    "items",
    "additionalItems",
    "additionalProperties",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];

const EACH: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];

const NAMED: [&str; 3] = ["properties", "patternProperties", "dependentSchemas"];

/// A schema that stands on its own, and where its parts come from.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) schema: Value,
    /// Pointers into the schema, each with that into the document; the longest that fits is the
    /// one.
    origins: Vec<(String, String)>,
}

impl Converted {
    /// A schema that the document implies at `pointer`.
    pub(super) fn of(schema: Value, pointer: String) -> Self {
        Converted {
            schema,
            origins: vec![(String::new(), pointer)],
        }
    }

    /// Where in the document the part at `pointer` of the schema is.
    pub(super) fn origin(&self, pointer: &str) -> String {
        let inside = |part: &str| {
            pointer
                .strip_prefix(part)
                .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let best = self
            .origins
            .iter()
            .filter_map(|(part, origin)| Some((part.len(), origin, inside(part)?)))
            .max_by_key(|(length, ..)| *length);
        best.map(|(_, origin, rest)| format!("{origin}{rest}"))
            .unwrap_or_default()
    }

    /// Lets there be nothing as well.
    pub(super) fn or_nothing(self) -> Self {
        let Value::Object(mut members) = self.schema else {
            return self;
        };
        let defs = members.remove("$defs");
        let mut schema = json!({ "anyOf": [{ "type": "null" }, members] });
        if let (Some(defs), Value::Object(schema)) = (defs, &mut schema) {
            schema.insert("$defs".to_owned(), defs);
        }
        let moved = |part: String| {
            if part.starts_with("/$defs/") {
                part
            } else {
                format!("/anyOf/1{part}")
            }
        };
        Converted {
            schema,
            origins: self
                .origins
                .into_iter()
                .map(|(part, origin)| (moved(part), origin))
                .collect(),
        }
    }
}

/// The schema at `pointer` of the document.
pub(super) fn convert(
    root: &Value,
    dialect: Dialect,
    schema: &Value,
    pointer: String,
) -> Result<Converted, OpenApiError> {
    let mut conversion = Conversion {
        root,
        dialect,
        names: HashMap::new(),
        due: Vec::new(),
        count: 0,
    };
    // Conditions are checked against what a schema says directly, so a schema that is nothing
    // but a reference is replaced by what it refers to.
    let only_refers = schema.get("$ref").is_some()
        && (dialect == Dialect::V30
            || schema.as_object().is_some_and(|members| members.len() == 1));
    let (schema, pointer) = if only_refers {
        let found = follow(root, schema, pointer)?;
        (found.value, found.pointer)
    } else {
        (schema, pointer)
    };
    let mut converted = conversion.schema(schema, &pointer, 0)?;
    let mut origins = vec![(String::new(), pointer)];
    let mut defs = Map::new();
    while let Some((name, pointer)) = conversion.due.pop() {
        let schema = root.pointer(&pointer).unwrap_or(&Value::Null);
        defs.insert(name.clone(), conversion.schema(schema, &pointer, 0)?);
        origins.push((below("/$defs", &name), pointer));
    }
    if let (Value::Object(members), false) = (&mut converted, defs.is_empty()) {
        members.insert("$defs".to_owned(), Value::Object(defs));
    }
    Ok(Converted {
        schema: converted,
        origins,
    })
}

struct Conversion<'v> {
    root: &'v Value,
    dialect: Dialect,
    /// The name under `$defs` of each part that something refers to.
    names: HashMap<String, String>,
    /// Those that are not converted yet.
    due: Vec<(String, String)>,
    count: usize,
}

impl Conversion<'_> {
    fn schema(
        &mut self,
        schema: &Value,
        pointer: &str,
        nesting: usize,
    ) -> Result<Value, OpenApiError> {
        let simpler = "write `arguments` for the tool, with a simpler schema";
        self.count += 1;
        if self.count > MAX_SCHEMAS {
            return Err(OpenApiError::at(
                pointer,
                format!("this schema has more than {MAX_SCHEMAS} parts"),
                simpler,
            ));
        }
        if nesting > MAX_NESTING {
            return Err(OpenApiError::at(
                pointer,
                format!("schemas nest deeper than {MAX_NESTING} here"),
                simpler,
            ));
        }
        let members = match schema {
            Value::Bool(_) => return Ok(schema.clone()),
            Value::Object(members) => members,
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(OpenApiError::at(
                    pointer,
                    "a schema must be a mapping",
                    "such as `{ type: string }`",
                ));
            }
        };
        let mut converted = Map::new();
        if let Some(reference) = members.get("$ref") {
            let reference = reference.as_str().ok_or_else(|| {
                OpenApiError::at(
                    below(pointer, "$ref"),
                    "`$ref` must be text",
                    "such as `#/components/schemas/Order`",
                )
            })?;
            converted.insert("$ref".to_owned(), self.refer(reference, pointer)?.into());
            if self.dialect == Dialect::V30 {
                // What stands beside a reference is ignored there (3.0.3, Reference Object).
                return Ok(Value::Object(converted));
            }
        }
        for (keyword, value) in members {
            let (name, at) = (keyword.as_str(), below(pointer, keyword));
            if KEPT.contains(&name) {
                converted.insert(keyword.clone(), value.clone());
            } else if name == "required" {
                converted.insert(keyword.clone(), self.sent(value, members));
            } else if EACH.contains(&name) || (name == "items" && value.is_array()) {
                let parts = value.as_array().ok_or_else(|| {
                    OpenApiError::at(
                        at.as_str(),
                        format!("`{name}` must be a list of schemas"),
                        "such as `- { type: string }`",
                    )
                })?;
                let parts: Result<Vec<_>, _> = parts
                    .iter()
                    .enumerate()
                    .map(|(index, part)| {
                        self.schema(part, &below(&at, &index.to_string()), nesting + 1)
                    })
                    .collect();
                converted.insert(keyword.clone(), Value::Array(parts?));
            } else if ONE.contains(&name) {
                converted.insert(keyword.clone(), self.schema(value, &at, nesting + 1)?);
            } else if NAMED.contains(&name) {
                let parts = value.as_object().ok_or_else(|| {
                    OpenApiError::at(
                        at.as_str(),
                        format!("`{name}` must be a mapping"),
                        "each key names what its schema is for",
                    )
                })?;
                let mut named = Map::new();
                for (part_name, part) in parts {
                    named.insert(
                        part_name.clone(),
                        self.schema(part, &below(&at, part_name), nesting + 1)?,
                    );
                }
                converted.insert(keyword.clone(), Value::Object(named));
            }
        }
        Ok(if self.dialect == Dialect::V30 {
            from_v30(members, converted)
        } else {
            Value::Object(converted)
        })
    }

    /// What a request must have: a `readOnly` member that is required is required of answers only
    /// (3.0.3 and 3.1, Schema Object).
    fn sent(&self, required: &Value, members: &Map<String, Value>) -> Value {
        let Value::Array(names) = required else {
            return required.clone();
        };
        let is_read_only = |name: &str| {
            let property = members
                .get("properties")
                .and_then(|properties| properties.get(name));
            property.is_some_and(|property| {
                let is_marked = |value: &Value| value.get("readOnly") == Some(&Value::Bool(true));
                is_marked(property)
                    || follow(self.root, property, String::new())
                        .is_ok_and(|found| is_marked(found.value))
            })
        };
        names
            .iter()
            .filter(|name| !name.as_str().is_some_and(is_read_only))
            .cloned()
            .collect()
    }

    /// The reference under `$defs` to what `reference` names.
    fn refer(&mut self, reference: &str, pointer: &str) -> Result<String, OpenApiError> {
        let target = reference::target(self.root, reference, pointer)?;
        if let Some(name) = self.names.get(&target.pointer) {
            return Ok(format!("#/$defs/{name}"));
        }
        let last = target.pointer.rsplit('/').next().unwrap_or_default();
        let plain: String = last
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let mut name = if plain.is_empty() {
            "document".to_owned()
        } else {
            plain.clone()
        };
        let mut count = 1;
        while self.names.values().any(|taken| *taken == name) {
            count += 1;
            name = format!("{plain}_{count}");
        }
        self.names.insert(target.pointer.clone(), name.clone());
        self.due.push((name.clone(), target.pointer));
        Ok(format!("#/$defs/{name}"))
    }
}

/// What 3.0 writes otherwise than draft 2020-12.
fn from_v30(written: &Map<String, Value>, mut schema: Map<String, Value>) -> Value {
    for (exclusive, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        match schema.get(exclusive) {
            Some(Value::Bool(true)) => {
                schema.remove(exclusive);
                if let Some(limit) = schema.remove(bound) {
                    schema.insert(exclusive.to_owned(), limit);
                }
            }
            Some(Value::Bool(false)) => {
                schema.remove(exclusive);
            }
            _ => {}
        }
    }
    if written.get("nullable") != Some(&Value::Bool(true)) {
        return Value::Object(schema);
    }
    // By the letter, `nullable` adds null to a `type` beside it and to nothing else (3.0.3, Schema
    // Object). Documents mean it as it reads, so null is added to an `enum` and to composed schemas
    // as well: refusing a null that the API takes would stop calls that are right.
    let composed = ["allOf", "anyOf", "oneOf", "not"]
        .into_iter()
        .any(|keyword| schema.contains_key(keyword));
    if composed {
        return json!({ "anyOf": [{ "type": "null" }, schema] });
    }
    if let Some(Value::String(name)) = schema.get("type") {
        let both = json!([name, "null"]);
        schema.insert("type".to_owned(), both);
    }
    if let Some(Value::Array(options)) = schema.get_mut("enum")
        && !options.contains(&Value::Null)
    {
        options.push(Value::Null);
    }
    Value::Object(schema)
}
