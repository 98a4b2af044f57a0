//! What a tool's calls must look like: from the policy, inline or in a file of its own, or
//! else from the API's `OpenAPI` document.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::keywords;
use super::written::{items, required, span_of};
use crate::config::diagnostics::{Notes, SourceFile};
use crate::config::openapi::{ApiOperation, Described, OpenApiDocument, OpenApiError, template};
use crate::config::source::api::{ApiDocument, ParameterEntry, ToolEntry};
use crate::config::source::setting::{At, Setting};
use crate::config::source::tree;
use crate::gate::nearest::{did_you_mean, nearest};
use crate::gate::policy::schema::parameter::{Form, Within};
use crate::gate::policy::{BodyKind, Parameter, Pattern, Protocol, Schema, Upstream};

/// The most parameters that a tool describes.
pub(super) const MAX_PARAMETERS: usize = 200;

/// An API's `OpenAPI` document, and which of its operations tools name.
pub(super) struct OpenApi<'f> {
    document: OpenApiDocument<'f>,
    /// What the server's address adds before the document's paths, where the upstream does not.
    base: String,
    named: RefCell<BTreeSet<String>>,
}

/// What is known of a tool's calls.
#[derive(Default)]
pub(super) struct DescribedCall {
    pub(super) arguments: Option<Schema>,
    pub(super) parameters: Vec<Parameter>,
}

impl<'f> OpenApi<'f> {
    /// Reads the document that an API names.
    pub(super) fn of(
        document: &ApiDocument,
        upstream: Option<&Upstream>,
        files: &'f [SourceFile],
        notes: &mut Notes<'_>,
    ) -> Option<Self> {
        let at = document.openapi.given()?;
        if document.protocol.value() == Some(&Protocol::Mcp) {
            notes
                .error(
                    at.span.clone(),
                    "`openapi` describes plain HTTP APIs, and this one speaks mcp",
                )
                .hint("drop `openapi`: an MCP server lists its own tools");
            return None;
        }
        if at.value.contains("://") {
            notes
                .error(at.span.clone(), format!("`openapi`: expected the name of a file, found the address `{}`", at.value))
                .hint("nothing is fetched when policies are loaded; `burngate init --openapi URL` writes a copy, or download it next to the policy file");
            return None;
        }
        let file = match beside(&at.value, notes.file(), files) {
            Ok(file) => file,
            Err(name) => {
                let ending = [".json", ".openapi.yaml", ".openapi.yml"]
                    .iter()
                    .any(|ending| at.value.ends_with(ending));
                let hint = if ending {
                    "it is looked up in the directory of the policy file, and nowhere else"
                } else {
                    "its name must end with `.openapi.yaml`, `.openapi.yml` or `.json`, so that it is not read as a policy"
                };
                notes
                    .error(
                        at.span.clone(),
                        format!("`openapi`: there is no file `{name}`"),
                    )
                    .hint(hint);
                return None;
            }
        };
        match OpenApiDocument::read(file) {
            Ok(document) => {
                let server = document.server_path();
                let base = if upstream.is_some_and(|upstream| upstream.base.ends_with(&server)) {
                    String::new()
                } else {
                    server
                };
                Some(OpenApi {
                    document,
                    base,
                    named: RefCell::default(),
                })
            }
            Err(fault) => {
                let position = file.position(fault.span.clone().map_or(0, |span| span.start));
                let hint = format!(
                    "`{}` is read because of `openapi` here ({}:{})",
                    file.name, position.0, position.1
                );
                complain(file, fault.span.clone().unwrap_or(0..0), &fault, notes);
                notes
                    .warning(
                        at.span.clone(),
                        "nothing is filled in from this document: it cannot be read",
                    )
                    .hint(hint);
                None
            }
        }
    }

    /// How many operations of the document no tool names.
    pub(super) fn unlisted(&self) -> usize {
        self.document.operations().len() - self.named.borrow().len()
    }

    /// The document's file.
    pub(super) fn file(&self) -> &'f SourceFile {
        self.document.file()
    }

    /// The pattern of the operation that has the tool's name as its `operationId`.
    pub(super) fn pattern(
        &self,
        at: &At<String>,
        owner: &str,
        notes: &mut Notes<'_>,
    ) -> Option<Pattern> {
        let Some(operation) = self.document.by_id(&at.value) else {
            let ids = self
                .document
                .operations()
                .iter()
                .filter_map(|operation| operation.id.as_deref());
            let hint = did_you_mean(&at.value, ids).unwrap_or_else(|| {
                "for example `match: POST /refunds` or `match: GET /orders/{order}`".to_owned()
            });
            notes
                .error(
                    at.span.clone(),
                    format!(
                        "{owner} lacks `match`, and `{}` has no operation of that name",
                        self.file().name
                    ),
                )
                .label("`match` is missing here")
                .hint(hint);
            return None;
        };
        let template = template(operation, &self.base);
        Pattern::http(&template)
            .map_err(|message| {
                notes
                    .error(at.span.clone(), format!("{owner} lacks `match`, and the path of the operation with that name cannot be used: {message}"))
                    .hint(format!("the document writes it as `{} {}`", operation.method, operation.path));
            })
            .ok()
    }

    /// What the document says about the calls of the tool with `pattern`.
    fn described(
        &self,
        pattern: &Pattern,
        entry: &ToolEntry,
        at: &At<String>,
        notes: &mut Notes<'_>,
    ) -> Option<Described> {
        let Some((operation, captures)) = self.document.by_template(pattern.source()) else {
            let span = span_of(&entry.r#match).unwrap_or_else(|| at.span.clone());
            let diagnostic = notes.warning(
                span,
                format!(
                    "`{}` has no operation `{}`, so nothing is filled in from it",
                    self.file().name,
                    pattern.source()
                ),
            );
            let hint = self
                .nearest(pattern.source())
                .unwrap_or_else(|| "write `arguments` for the tool, or correct `match`".to_owned());
            diagnostic.label("not in the document").hint(hint);
            return None;
        };
        self.named
            .borrow_mut()
            .insert(format!("{} {}", operation.method, operation.path));
        if !entry.arguments.is_absent() && !entry.parameters.is_absent() {
            return None;
        }
        match self.document.described(operation, &captures) {
            Ok(described) => {
                if let Some(media) = described
                    .other_body
                    .as_ref()
                    .filter(|_| entry.arguments.is_absent())
                {
                    notes
                        .warning(at.span.clone(), format!("`{} {}` takes {media}, and only JSON bodies are judged", operation.method, operation.path))
                        .hint("its body has no schema; rules that read `args` cannot be evaluated for it");
                }
                Some(described)
            }
            Err(fault) => {
                let file = self.file();
                let hint = format!("{} ({} {})", fault.hint, operation.method, operation.path);
                complain(
                    file,
                    self.document.span(&fault),
                    &OpenApiError { hint, ..fault },
                    notes,
                );
                None
            }
        }
    }

    fn nearest(&self, template_written: &str) -> Option<String> {
        let templates: Vec<String> = self
            .document
            .operations()
            .iter()
            .map(|operation: &ApiOperation| template(operation, &self.base))
            .collect();
        nearest(template_written, templates.iter().map(String::as_str))
            .map(|found| format!("did you mean `{found}`?"))
    }
}

/// What the calls of a tool must look like.
pub(super) fn calls(
    entry: &ToolEntry,
    at: &At<String>,
    pattern: Option<&Pattern>,
    openapi: Option<&OpenApi<'_>>,
    files: &[SourceFile],
    notes: &mut Notes<'_>,
) -> DescribedCall {
    let described = openapi
        .zip(pattern)
        .and_then(|(openapi, pattern)| openapi.described(pattern, entry, at, notes));
    let (filled_arguments, filled_parameters) = described
        .map_or_else(Default::default, |described| {
            (described.arguments, described.parameters)
        });
    DescribedCall {
        arguments: if entry.arguments.is_absent() {
            filled_arguments
        } else {
            schema(&entry.arguments, "arguments", files, notes)
                .map(|schema| of_object(schema, entry.body.value().copied().unwrap_or_default()))
        },
        parameters: if entry.parameters.is_absent() {
            filled_parameters
        } else {
            parameters(entry, pattern, files, notes)
        },
    }
}

/// Arguments are an object unless the schema says otherwise: `required` and `properties` alone would
/// let through a list, `null` and no body at all. A text is never an object.
fn of_object(schema: Schema, body: BodyKind) -> Schema {
    let root = schema.source();
    if body == BodyKind::Text
        || root.get("type").is_some()
        || keywords::names_another_type(root, root)
    {
        return schema;
    }
    let mut source = root.clone();
    if let Some(members) = source.as_object_mut() {
        members.insert("type".to_owned(), "object".into());
    }
    Schema::compile(source).unwrap_or(schema)
}

fn parameters(
    entry: &ToolEntry,
    pattern: Option<&Pattern>,
    files: &[SourceFile],
    notes: &mut Notes<'_>,
) -> Vec<Parameter> {
    let mut found: Vec<Parameter> = Vec::new();
    if let Some(at) = entry
        .parameters
        .given()
        .filter(|at| at.value.len() > MAX_PARAMETERS)
    {
        notes.error(
            at.span.clone(),
            format!("a tool describes at most {MAX_PARAMETERS} parameters"),
        );
    }
    for At {
        value:
            ParameterEntry {
                name,
                r#in,
                required: is_required,
                list,
                schema: written,
            },
        span,
    } in items(&entry.parameters).take(MAX_PARAMETERS)
    {
        let owner = "a parameter";
        let (Some(name), Some(within)) = (
            required(name, "name", owner, span, notes),
            required(r#in, "in", owner, span, notes),
        ) else {
            continue;
        };
        let within = within.value;
        let captures: Vec<&str> = pattern
            .map(|pattern| pattern.capture_names().collect())
            .unwrap_or_default();
        if within == Within::Path && pattern.is_some() && !captures.contains(&name.value.as_str()) {
            let hint = did_you_mean(&name.value, captures.iter().copied()).unwrap_or_else(|| {
                "a path parameter is a `{name}` of the tool's `match`".to_owned()
            });
            notes
                .error(
                    name.span.clone(),
                    format!("the tool's `match` captures no `{}`", name.value),
                )
                .hint(hint);
            continue;
        }
        if found
            .iter()
            .any(|other| *other.name == *name.value && other.within == within)
        {
            notes
                .error(
                    name.span.clone(),
                    format!("parameter `{}` is written twice", name.value),
                )
                .hint("keep one of the two");
            continue;
        }
        let schema = schema(written, "schema", files, notes);
        if let (Some(schema), Some(at)) = (&schema, written.given()) {
            untyped(schema, &name.value, at, notes);
        }
        let takes_list = schema
            .as_ref()
            .is_some_and(|schema| keywords::takes_list(schema.source(), schema.source()));
        // As in OpenAPI.
        let default_form = match (takes_list, within) {
            (false, _) => Form::One,
            (true, Within::Query) => Form::Repeated,
            (true, Within::Path) => Form::Commas,
        };
        found.push(Parameter {
            name: name.value.as_str().into(),
            within,
            required: is_required.value().copied().unwrap_or(false),
            form: list.value().copied().unwrap_or(default_form),
            schema,
        });
    }
    found
}

/// A parameter is text. Without a type it fits as text, which no `maximum` bounds, or as the number
/// that it spells, which no `pattern` does.
fn untyped(schema: &Schema, name: &str, at: &At<serde_json::Value>, notes: &mut Notes<'_>) {
    let root = schema.source();
    let is_list = keywords::takes_list(root, root);
    let elements = root.get("items").filter(|_| is_list);
    let what = if !keywords::has_type(root, root) {
        format!("parameter `{name}`")
    } else if elements.is_some_and(|elements| !keywords::has_type(root, elements)) {
        format!("elements of parameter `{name}`")
    } else {
        return;
    };
    notes
        .error(
            at.span.clone(),
            format!(
                "`schema`: the type of {what} is not stated, and `5` is text as well as a number"
            ),
        )
        .label("`type` is missing here")
        .hint("for example `schema: { type: integer, maximum: 100 }`");
}

/// A schema that is written inline, or in a file of the load.
fn schema(
    field: &Setting<serde_json::Value>,
    key: &str,
    files: &[SourceFile],
    notes: &mut Notes<'_>,
) -> Option<Schema> {
    let at = field.given()?;
    let complain = |notes: &mut Notes<'_>, message: String, hint: &str| {
        notes
            .error(at.span.clone(), format!("`{key}`: {message}"))
            .hint(hint);
        None
    };
    let value = match &at.value {
        serde_json::Value::String(file) => match schema_file(file, notes.file(), files) {
            Ok(value) => value,
            Err(message) => {
                return complain(
                    notes,
                    message,
                    "files are looked up next to the policy file",
                );
            }
        },
        inline => inline.clone(),
    };
    if !value.is_object() {
        return complain(
            notes,
            "expected a JSON Schema or the name of a file".to_owned(),
            "for example `arguments: { type: object }`",
        );
    }
    match Schema::compile(value) {
        Ok(schema) => {
            for fault in keywords::faults(schema.source()) {
                notes
                    .error(at.span.clone(), format!("`{key}`: {}", fault.message))
                    .hint(fault.hint);
            }
            Some(schema)
        }
        Err(message) => complain(
            notes,
            message,
            "arguments are a JSON Schema; nothing is fetched, so every `$ref` must point inside the schema",
        ),
    }
}

fn schema_file(
    file: &str,
    policy: &SourceFile,
    files: &[SourceFile],
) -> Result<serde_json::Value, String> {
    let source =
        beside(file, policy, files).map_err(|name| format!("there is no file `{name}`"))?;
    let documents = tree::read(&source.text)
        .map_err(|broken| format!("`{}` cannot be read: {}", source.name, broken.message))?;
    documents
        .first()
        .map(tree::YamlNode::to_json)
        .ok_or_else(|| format!("`{}` is empty", source.name))
}

/// The file of the load that is called `file` and lies beside `policy`; the name that was looked
/// for, where there is none.
fn beside<'f>(
    file: &str,
    policy: &SourceFile,
    files: &'f [SourceFile],
) -> Result<&'f SourceFile, String> {
    let file = file.strip_prefix("./").unwrap_or(file);
    let beside = policy.name.rfind('/').map_or_else(
        || file.to_owned(),
        |slash| format!("{}/{file}", &policy.name[..slash]),
    );
    files
        .iter()
        .find(|source| *source.name == *beside)
        .ok_or(beside)
}

fn complain(
    file: &SourceFile,
    span: std::ops::Range<usize>,
    fault: &OpenApiError,
    notes: &mut Notes<'_>,
) {
    let pointer = if fault.pointer.is_empty() {
        String::new()
    } else {
        format!("`{}`: ", fault.pointer)
    };
    notes
        .error_in(file, span, format!("{pointer}{}", fault.message))
        .hint(fault.hint.as_str());
}
