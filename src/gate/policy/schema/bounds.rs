//! Bounds what judging arguments by a schema can cost, before the schema is compiled.
//!
//! A schema may come from an MCP server, so it is not trusted. `{"$ref": "#"}` sends a validator
//! into endless recursion; twenty definitions that each name the next one twice make a million
//! steps of one value; a definition that reaches itself twice through the same member doubles with
//! every level of the arguments. So the schema is walked here as a validator would walk it,
//! references followed, and what that shows is refused or bounded.

use serde_json::Value;

/// The most subschemas that one schema expands to, its references followed.
pub(super) const MAX_EXPANDED: usize = 10_000;

/// The most subschemas that apply to one value inside one another: a validator recurses through
/// them at each level of the arguments.
pub(super) const MAX_IN_PLACE: usize = 16;

/// How deep a schema nests, as JSON.
pub(super) const MAX_SCHEMA_DEPTH: usize = 100;

/// How deep arguments may nest for a schema; `None` where their depth does not multiply its work.
pub(super) type ArgumentDepth = Option<usize>;

/// Refuses a schema whose work cannot be bounded.
///
/// # Errors
/// A sentence about what is wrong with it.
pub(super) fn check(source: &Value) -> Result<ArgumentDepth, String> {
    if depth_of(source, MAX_SCHEMA_DEPTH).is_none() {
        return Err(format!("the schema nests deeper than {MAX_SCHEMA_DEPTH}"));
    }
    let mut walk = Walk {
        root: source,
        expanded: 0,
        open: Vec::new(),
        route: Vec::new(),
        returns: Vec::new(),
    };
    walk.schema(source, 0)?;
    let branching = walk
        .returns
        .iter()
        .map(|route| {
            walk.returns
                .iter()
                .filter(|other| may_meet(route, other))
                .count()
        })
        .max();
    Ok(branching
        .filter(|branching| *branching > 1)
        .map(|branching| usize::try_from(MAX_EXPANDED.ilog(branching)).unwrap_or(1)))
}

/// How deep `value` nests; `None` where that is more than `most`.
pub(super) fn depth_of(value: &Value, most: usize) -> Option<usize> {
    let inner: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(elements) => Box::new(elements.iter()),
        Value::Object(members) => Box::new(members.values()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Some(0),
    };
    let most = most.checked_sub(1)?;
    let mut deepest = 0;
    for value in inner {
        deepest = deepest.max(depth_of(value, most)?);
    }
    Some(deepest + 1)
}

/// The way from a value to the part of it that a subschema applies to; `None` for any element or
/// member.
type Route<'s> = Vec<Option<&'s str>>;

struct Walk<'s> {
    root: &'s Value,
    expanded: usize,
    /// The schemas that the walk is inside, each with the length of the route there.
    open: Vec<(&'s Value, usize)>,
    route: Route<'s>,
    /// The routes by which a schema comes back to itself.
    returns: Vec<Route<'s>>,
}

const IN_PLACE: [&str; 4] = ["not", "if", "then", "else"];
const IN_PLACE_EACH: [&str; 5] = [
    "allOf",
    "anyOf",
    "oneOf",
    "dependentSchemas",
    "dependencies",
];
const BELOW: [&str; 8] = [
    "items",
    "additionalItems",
    "contains",
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "propertyNames",
    "contentSchema",
];
const BELOW_EACH: [&str; 3] = ["prefixItems", "items", "patternProperties"];

impl<'s> Walk<'s> {
    fn schema(&mut self, schema: &'s Value, in_place: usize) -> Result<(), String> {
        let Value::Object(keywords) = schema else {
            return Ok(());
        };
        if let Some((_, from)) = self
            .open
            .iter()
            .rev()
            .find(|(open, _)| std::ptr::eq(*open, schema))
        {
            if *from == self.route.len() {
                return Err("a `$ref` leads back to itself without looking at another part of the arguments".to_owned());
            }
            self.returns.push(self.route[*from..].to_vec());
            return Ok(());
        }
        self.expanded += 1;
        if self.expanded > MAX_EXPANDED {
            return Err(format!(
                "the schema expands to more than {MAX_EXPANDED} subschemas"
            ));
        }
        if in_place > MAX_IN_PLACE {
            return Err(format!(
                "more than {MAX_IN_PLACE} subschemas apply to one value inside one another"
            ));
        }
        self.open.push((schema, self.route.len()));
        if let Some(target) = self.reference(schema)? {
            self.schema(target, in_place + 1)?;
        }
        for (keyword, value) in keywords {
            let keyword = keyword.as_str();
            if IN_PLACE.contains(&keyword) {
                self.schema(value, in_place + 1)?;
            } else if IN_PLACE_EACH.contains(&keyword) {
                for inner in inside(value) {
                    self.schema(inner, in_place + 1)?;
                }
            } else if keyword == "properties" {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    self.below(Some(name), inner)?;
                }
            } else if BELOW.contains(&keyword) && !value.is_array() {
                self.below(None, value)?;
            } else if BELOW_EACH.contains(&keyword) {
                for inner in inside(value) {
                    self.below(None, inner)?;
                }
            }
        }
        self.open.pop();
        Ok(())
    }

    fn below(&mut self, name: Option<&'s str>, schema: &'s Value) -> Result<(), String> {
        self.route.push(name);
        self.schema(schema, 0)?;
        self.route.pop();
        Ok(())
    }

    /// What a schema refers to. Only pointers into the same document: every other way to name a
    /// schema can be written as one.
    fn reference(&self, schema: &Value) -> Result<Option<&'s Value>, String> {
        if ["$dynamicRef", "$recursiveRef"]
            .into_iter()
            .any(|keyword| schema.get(keyword).is_some_and(Value::is_string))
        {
            return Err(
                "`$dynamicRef` and `$recursiveRef` are not supported; write a `$ref`".to_owned(),
            );
        }
        let is_root = std::ptr::eq(schema, self.root);
        if !is_root
            && ["$id", "id"]
                .into_iter()
                .any(|keyword| schema.get(keyword).is_some_and(Value::is_string))
        {
            return Err("an `$id` below the root of a schema is not supported".to_owned());
        }
        let Some(Value::String(reference)) = schema.get("$ref") else {
            return Ok(None);
        };
        let quoted = super::value::quoted(reference);
        let pointer = reference
            .strip_prefix('#')
            .filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let pointer =
            pointer.ok_or_else(|| format!("`$ref` names {quoted}: nothing is fetched, so it must lead to a part of this schema, such as `#/$defs/order`"))?;
        let target = self
            .root
            .pointer(pointer)
            .or_else(|| self.root.pointer(&decoded(pointer)?));
        target
            .map(Some)
            .ok_or_else(|| format!("`$ref` names {quoted}, which this schema does not have"))
    }
}

/// A pointer without percent-encoding (RFC 6901, 6); `None` where that is not text.
pub(crate) fn decoded(pointer: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits =
                    [rest.next()?, rest.next()?].map(|digit| char::from(digit).to_digit(16));
                u8::try_from(digits[0]? * 16 + digits[1]?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn inside(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(elements) => Box::new(elements.iter()),
        Value::Object(members) => Box::new(members.values()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Box::new(std::iter::empty())
        }
    }
}

/// May two routes lead to the same part of a value, or one to a part of the other's?
fn may_meet(one: &[Option<&str>], other: &[Option<&str>]) -> bool {
    one.iter()
        .zip(other)
        .all(|(one, other)| one.is_none() || other.is_none() || one == other)
}
