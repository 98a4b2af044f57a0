//! JSON Schema for a tool's arguments.
//!
//! Nothing is ever fetched: a schema is judged by what the policy holds. Patterns match in linear
//! time. A message to an agent names limits and types, never a value that it sent: arguments carry
//! secrets, and a refusal is logged in more places than a call.
//!
//! The validator has binary64 where an integer does not fit 64 bits, so a number whose value that
//! would change beyond rounding is a violation by itself.

use std::fmt;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use self::borrowed::Borrowed;
use self::value::{escaped, number_of, quoted, value_of};
use crate::gate::json::Json;
use crate::gate::nearest::nearest;

pub(crate) use bounds::decoded;

mod borrowed;
mod bounds;
pub mod parameter;
#[cfg(test)]
mod tests;
mod value;

/// A compiled schema.
pub struct Schema {
    source: Value,
    /// Judges arguments in place: nearly all calls fit, and need no more than that.
    in_place: Validator<Borrowed>,
    /// Judges a copy, which can name what does not fit, and finds a member among very many without
    /// looking at each.
    validator: Validator,
    /// How deep arguments may nest, where each level multiplies the work.
    depth: Option<usize>,
}

/// One way in which arguments do not satisfy a schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// JSON pointer to the argument.
    pub pointer: String,
    /// A sentence that an agent can act on.
    pub detail: String,
}

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFault {
    /// JSON pointer to the part of the schema; empty where it is the whole.
    pub pointer: String,
    /// What is wrong, as a sentence without its full stop.
    pub message: String,
}

impl fmt::Display for SchemaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<String> for SchemaFault {
    fn from(message: String) -> Self {
        SchemaFault {
            pointer: String::new(),
            message,
        }
    }
}

impl From<&str> for SchemaFault {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

/// The most violations that are reported at once.
pub const MAX_VIOLATIONS: usize = 8;

/// The most members of an object that is judged in place: a schema may look for each of its names,
/// and looks through all of them each time.
const MAX_IN_PLACE_MEMBERS: usize = 64;

/// The most memory that one pattern compiles to, in bytes.
const MAX_PATTERN: usize = 256 * 1024;

impl Schema {
    /// Compiles `source`. Nothing is ever fetched.
    ///
    /// # Errors
    /// A sentence about what is wrong with the schema.
    pub fn compile(source: Value) -> Result<Self, String> {
        Schema::compile_located(source).map_err(|fault| fault.to_string())
    }

    /// The same, with the fault located in the schema.
    ///
    /// # Errors
    /// What is wrong with the schema, and where.
    pub fn compile_located(source: Value) -> Result<Self, SchemaFault> {
        let depth = bounds::check(&source)?;
        let patterns = || {
            PatternOptions::regex()
                .size_limit(MAX_PATTERN)
                .dfa_size_limit(MAX_PATTERN)
        };
        let draft = draft_of(&source)?;
        let validator = jsonschema::options()
            .with_draft(draft)
            .offline()
            .with_pattern_options(patterns())
            .build(&source)
            .map_err(|error| fault(&error))?;
        let in_place = jsonschema::options_for::<Borrowed>()
            .with_draft(draft)
            .offline()
            .with_pattern_options(patterns())
            .build(&source);
        let in_place = in_place.map_err(|error| fault(&error))?;
        Ok(Schema {
            source,
            in_place,
            validator,
            depth,
        })
    }

    /// Every way in which `args` do not satisfy it, at most [`MAX_VIOLATIONS`]; empty when they do.
    /// No arguments at all are `null`.
    #[must_use]
    pub fn violations(&self, args: Option<&Json<'_>>) -> Vec<Violation> {
        let args_in_place = args.unwrap_or(&Json::Null);
        if is_plain(args_in_place, self.depth.unwrap_or(usize::MAX))
            && self.in_place.is_valid(args_in_place)
        {
            return Vec::new();
        }
        let value = match args.map_or(Ok(Value::Null), value_of) {
            Ok(value) => value,
            Err(pointer) => {
                return vec![Violation {
                    pointer,
                    detail: "has more digits, or a larger exponent, than can be judged exactly"
                        .to_owned(),
                }];
            }
        };
        if let Some(depth) = self.depth
            && bounds::depth_of(&value, depth).is_none()
        {
            return vec![Violation {
                pointer: String::new(),
                detail: format!("must not nest deeper than {depth} levels"),
            }];
        }
        if self.validator.is_valid(&value) {
            return Vec::new();
        }
        if args.is_none() && self.source.get("type").and_then(Value::as_str) == Some("object") {
            return vec![Violation {
                pointer: String::new(),
                detail: "a JSON object is required".to_owned(),
            }];
        }
        let mut violations = Vec::new();
        for error in self.validator.iter_errors(&value) {
            self.explain(&error, &mut violations);
            if violations.len() >= MAX_VIOLATIONS {
                break;
            }
        }
        violations.truncate(MAX_VIOLATIONS);
        violations
    }

    /// The schema as it was written.
    #[must_use]
    pub const fn source(&self) -> &Value {
        &self.source
    }

    /// Adds what is wrong to `violations`. Where the schema allows several forms and only one of
    /// them takes the argument's type, that is what that form asks for: an agent can do nothing
    /// with "none of them".
    fn explain(&self, error: &ValidationError<'_>, violations: &mut Vec<Violation>) {
        if let ValidationErrorKind::AnyOf { context }
        | ValidationErrorKind::OneOfNotValid { context } = error.kind()
            && let Some(errors) = likeliest(context, error)
        {
            for inner in errors.iter().take(MAX_VIOLATIONS) {
                self.explain(inner, violations);
            }
            return;
        }
        violations.push(self.violation(error));
    }

    fn violation(&self, error: &ValidationError<'_>) -> Violation {
        let pointer = error.instance_path().to_string();
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                Violation {
                    pointer: format!("{pointer}/{}", escaped(name)),
                    detail: "is required".to_owned(),
                }
            }
            kind => Violation {
                detail: self.detail(kind, error),
                pointer,
            },
        }
    }

    fn detail(&self, kind: &ValidationErrorKind, error: &ValidationError<'_>) -> String {
        use ValidationErrorKind as Kind;
        match kind {
            Kind::Type { kind } => format!(
                "must be {}, but is {}",
                types(kind),
                type_name(error.instance())
            ),
            Kind::AdditionalProperties { unexpected }
            | Kind::UnevaluatedProperties { unexpected } => self.unexpected(unexpected, error),
            Kind::Minimum { limit } => format!("must be at least {limit}"),
            Kind::Maximum { limit } => format!("must be at most {limit}"),
            Kind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
            Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
            Kind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
            Kind::MinLength { limit } => format!("must have at least {limit} characters"),
            Kind::MaxLength { limit } => format!("must have at most {limit} characters"),
            Kind::MinItems { limit } => format!("must have at least {limit} elements"),
            Kind::MaxItems { limit } => format!("must have at most {limit} elements"),
            Kind::MinProperties { limit } => format!("must have at least {limit} members"),
            Kind::MaxProperties { limit } => format!("must have at most {limit} members"),
            Kind::AdditionalItems { limit } => format!("must have at most {limit} elements"),
            Kind::UnevaluatedItems { .. } => "has elements that are not allowed".to_owned(),
            Kind::Enum { options } => format!("must be one of {}", quoted(&listed(options))),
            Kind::Constant { expected_value } => {
                format!("must be {}", quoted(&expected_value.to_string()))
            }
            Kind::Pattern { pattern } => format!("must match the pattern {}", quoted(pattern)),
            Kind::Format { format } => format!("must be written as {format}"),
            Kind::UniqueItems => "must not contain the same element twice".to_owned(),
            Kind::Contains => {
                "must contain an element of the kind that the schema asks for".to_owned()
            }
            Kind::PropertyNames { error } => format!(
                "has a member whose name is not allowed: it {}",
                self.detail(error.kind(), error)
            ),
            Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => {
                "must be one of the forms that the schema lists, and is none of them".to_owned()
            }
            Kind::OneOfMultipleValid { .. } => {
                "must be exactly one of the forms that the schema lists, and is more than one"
                    .to_owned()
            }
            Kind::Not { .. } | Kind::FalseSchema => "is not allowed here".to_owned(),
            Kind::ContentEncoding {
                content_encoding: form,
            }
            | Kind::ContentMediaType {
                content_media_type: form,
            } => format!("must be {form}"),
            _ => format!("does not satisfy `{}` of the schema", kind.keyword()),
        }
    }

    /// Names an agent's own member names: it needs them to see which to leave out.
    fn unexpected(&self, unexpected: &[String], error: &ValidationError<'_>) -> String {
        let names: Vec<_> = unexpected
            .iter()
            .take(MAX_VIOLATIONS)
            .map(|name| format!("`{}`", quoted(name)))
            .collect();
        let verb = if names.len() == 1 {
            "is not an argument"
        } else {
            "are not arguments"
        };
        let known = self.members_beside(error);
        match known {
            Some(known) if !known.is_empty() => {
                let slip = unexpected
                    .iter()
                    .find_map(|name| nearest(name, known.keys().map(String::as_str)));
                let question = slip
                    .map(|name| format!(" (did you mean `{}`?)", quoted(name)))
                    .unwrap_or_default();
                let allowed = known
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ");
                format!(
                    "{} {verb} of this tool{question}; allowed are {}",
                    names.join(", "),
                    quoted(&allowed)
                )
            }
            _ => format!("{} {verb} of this tool", names.join(", ")),
        }
    }

    /// The members that are described beside the keyword that `error` is about, references on the
    /// way followed.
    fn members_beside(&self, error: &ValidationError<'_>) -> Option<&Map<String, Value>> {
        let path = error.schema_path().to_string();
        let (above, _) = path.rsplit_once('/')?;
        let mut at = &self.source;
        for step in above.split('/').skip(1) {
            let name = step.replace("~1", "/").replace("~0", "~");
            at = match at {
                Value::Array(elements) => elements.get(name.parse::<usize>().ok()?)?,
                // The validator's path goes through a reference as if it were a member.
                Value::Object(_) if name == "$ref" => self
                    .source
                    .pointer(at.get("$ref")?.as_str()?.strip_prefix('#')?)?,
                value => value.get(&name)?,
            };
        }
        at.get("properties")?.as_object()
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.source).finish()
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}

/// Can it be judged in place: every number has a value, it is no deeper than `depth`, and no object
/// has more members than are looked through one by one?
fn is_plain(json: &Json<'_>, depth: usize) -> bool {
    match json {
        Json::Null | Json::Bool(_) | Json::String(_) => true,
        Json::Number(number) => number_of(number).is_some(),
        Json::Array(elements) => {
            depth > 0 && elements.iter().all(|element| is_plain(element, depth - 1))
        }
        Json::Object(members) => {
            depth > 0
                && members.len() <= MAX_IN_PLACE_MEMBERS
                && members.iter().all(|(_, value)| is_plain(value, depth - 1))
        }
    }
}

/// Draft 2020-12, unless `$schema` names another one that is known.
fn draft_of(source: &Value) -> Result<Draft, String> {
    let Some(named) = source.get("$schema") else {
        return Ok(Draft::Draft202012);
    };
    let name = named
        .as_str()
        .ok_or("`$schema` must be a string")?
        .trim_end_matches('#');
    let drafts = [
        (
            "https://json-schema.org/draft/2020-12/schema",
            Draft::Draft202012,
        ),
        (
            "https://json-schema.org/draft/2019-09/schema",
            Draft::Draft201909,
        ),
        ("http://json-schema.org/draft-07/schema", Draft::Draft7),
        ("http://json-schema.org/draft-06/schema", Draft::Draft6),
        ("http://json-schema.org/draft-04/schema", Draft::Draft4),
    ];
    let known = drafts.into_iter().find(|(uri, _)| {
        uri.split_once(':').map(|(_, rest)| rest) == name.split_once(':').map(|(_, rest)| rest)
    });
    known.map(|(_, draft)| draft).ok_or_else(|| {
        format!(
            "`$schema` names {}, which is not known here; leave it out for draft 2020-12",
            quoted(name)
        )
    })
}

fn fault(error: &ValidationError<'_>) -> SchemaFault {
    SchemaFault {
        pointer: error.instance_path().to_string(),
        message: explained(error),
    }
}

fn explained(error: &ValidationError<'_>) -> String {
    let at = error.instance_path().to_string();
    let within = if at.is_empty() {
        "the schema".to_owned()
    } else {
        format!("`{at}` of the schema")
    };
    match error.kind() {
        ValidationErrorKind::Referencing(cause) => {
            format!(
                "a `$ref` leads nowhere: {}; nothing is fetched, so put what it names under `$defs`",
                quoted(&cause.to_string())
            )
        }
        ValidationErrorKind::Type { kind } => format!(
            "{within} must be {}, but is {}",
            types(kind),
            type_name(error.instance())
        ),
        ValidationErrorKind::Format { format } if format == "regex" => {
            format!(
                "{within} is not a regular expression that matches in linear time; look-around and back-references are left out"
            )
        }
        _ => format!("{within} is wrong: {}", quoted(&error.to_string())),
    }
}

/// What is wrong by the one form among `context` that takes the argument's type, where there is
/// only one.
fn likeliest<'c>(
    context: &'c [Vec<ValidationError<'static>>],
    error: &ValidationError<'_>,
) -> Option<&'c [ValidationError<'static>]> {
    let at = error.instance_path().to_string();
    let is_other_type = |inner: &ValidationError<'_>| {
        matches!(inner.kind(), ValidationErrorKind::Type { .. })
            && inner.instance_path().to_string() == at
    };
    let mut fitting = context
        .iter()
        .filter(|errors| !errors.is_empty() && !errors.iter().any(is_other_type));
    match (fitting.next(), fitting.next(), context) {
        (Some(one), None, _) => Some(one),
        // Of `null` and one other form, the other: the argument is not null.
        (None, _, [one, other]) => {
            let takes_null = |errors: &[ValidationError<'_>]| matches!(errors, [only] if matches!(only.kind(), ValidationErrorKind::Type { kind: TypeKind::Single(jsonschema::JsonType::Null) }));
            match (takes_null(one), takes_null(other)) {
                (true, false) => Some(other),
                (false, true) => Some(one),
                (true, true) | (false, false) => None,
            }
        }
        _ => None,
    }
}

fn types(kind: &TypeKind) -> String {
    let named = |name: &str| match name {
        "null" => "null".to_owned(),
        "array" => "a list".to_owned(),
        "integer" | "object" => format!("an {name}"),
        other => format!("a {other}"),
    };
    match kind {
        TypeKind::Single(one) => named(&one.to_string()),
        TypeKind::Multiple(several) => several
            .iter()
            .map(|one| named(&one.to_string()))
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn listed(options: &Value) -> String {
    match options.as_array() {
        Some(options) => options
            .iter()
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        None => options.to_string(),
    }
}
