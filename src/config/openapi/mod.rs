//! `OpenAPI` documents (3.0 and 3.1): what they say about the calls of a tool API.
//!
//! A document fills in what a listed tool does not say itself: the schema of its JSON body and of
//! its path and query parameters. It never makes a tool: a tool has a risk, and no document states
//! one. Only the operations that tools name are read in full, so that a flaw elsewhere in a large
//! document stops nobody.
//!
//! Nothing is fetched and no other file is read: a reference that leaves the document is an error
//! that says where it is written.

use std::ops::Range;

use serde_json::{Map, Value};

use super::diagnostics::SourceFile;

mod body;
pub mod draft;
pub mod guess;
mod parameters;
mod pointer_index;
mod reference;
mod schema;
#[cfg(test)]
mod tests;

pub use body::{Described, DescribedParameter};
use pointer_index::PointerIndex;
use reference::{Reference, below};

/// The most operations of a document.
pub const MAX_OPERATIONS: usize = 10_000;

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenApiError {
    /// JSON pointer to it.
    pub pointer: String,
    /// Its bytes, where no pointer leads there.
    pub span: Option<Range<usize>>,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl OpenApiError {
    fn at(pointer: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        OpenApiError {
            pointer: pointer.into(),
            span: None,
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// Which of the two languages for schemas the document speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// 3.0: nearly draft 4, with `nullable`.
    V30,
    /// 3.1: draft 2020-12.
    V31,
}

/// A document that was read.
#[derive(Debug)]
pub struct OpenApiDocument<'f> {
    file: &'f SourceFile,
    root: Value,
    dialect: Dialect,
    operations: Vec<ApiOperation>,
    places: PointerIndex,
}

/// One operation of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiOperation {
    /// Its method, in upper case.
    pub method: &'static str,
    /// Its path template, below the server's.
    pub path: String,
    /// Its `operationId`.
    pub id: Option<String>,
    /// Its first words for people.
    pub summary: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    pointer: String,
    /// Where the path item is whose parameters it shares.
    item: String,
}

const METHODS: [(&str, &str); 7] = [
    ("get", "GET"),
    ("head", "HEAD"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("options", "OPTIONS"),
];

const WHAT: &str = "an OpenAPI document begins with `openapi: 3.0.3` or `openapi: 3.1.0`";

impl<'f> OpenApiDocument<'f> {
    /// Reads `file`.
    ///
    /// # Errors
    /// What is wrong with it as a whole. Operations are read by [`OpenApiDocument::described`].
    pub fn read(file: &'f SourceFile) -> Result<Self, OpenApiError> {
        let (root, places) = PointerIndex::read(file)?;
        let dialect = dialect(&root)?;
        let mut document = OpenApiDocument {
            file,
            root,
            dialect,
            operations: Vec::new(),
            places,
        };
        document.operations = document.list()?;
        Ok(document)
    }

    /// The file that it was read from.
    #[must_use]
    pub fn file(&self) -> &'f SourceFile {
        self.file
    }

    /// Its operations, in the order of the document's paths.
    #[must_use]
    pub fn operations(&self) -> &[ApiOperation] {
        &self.operations
    }

    /// The `title` of its `info`.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.root.pointer("/info/title").and_then(Value::as_str)
    }

    /// The bytes in the file that `fault` is about.
    #[must_use]
    pub fn span(&self, fault: &OpenApiError) -> Range<usize> {
        fault
            .span
            .clone()
            .unwrap_or_else(|| self.places.find(&self.file.text, &fault.pointer))
    }

    /// The address of its first server, where that is a whole one.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        let url = self.root.pointer("/servers/0/url")?.as_str()?;
        ((url.starts_with("http://") || url.starts_with("https://")) && !url.contains('{'))
            .then(|| url.trim_end_matches('/'))
    }

    /// The operation that is called `id`.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&ApiOperation> {
        self.operations
            .iter()
            .find(|operation| operation.id.as_deref() == Some(id))
    }

    /// The operation whose calls the template `METHOD /path/{capture}` matches, with the document's
    /// name for each capture. The template may have the path that the document's first server adds
    /// before each of its own.
    #[must_use]
    pub fn by_template(&self, template: &str) -> Option<(&ApiOperation, Vec<(String, String)>)> {
        let (method, path) = template.split_once(' ')?;
        let base = self.server_path();
        [
            Some(path),
            path.strip_prefix(base.as_str())
                .filter(|_| !base.is_empty()),
        ]
        .into_iter()
        .flatten()
        .find_map(|path| {
            self.operations
                .iter()
                .find_map(|operation| Some((operation, operation.matched(method, path)?)))
        })
    }

    /// The path of the first server, without a slash at its end; empty where there is none, or
    /// where it has variables.
    #[must_use]
    pub fn server_path(&self) -> String {
        let url = self
            .root
            .pointer("/servers/0/url")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
            None => url,
        };
        let path = path
            .split(['?', '#'])
            .next()
            .unwrap_or_default()
            .trim_end_matches('/');
        if path.starts_with('/') && !path.contains('{') {
            path.to_owned()
        } else {
            String::new()
        }
    }

    fn list(&self) -> Result<Vec<ApiOperation>, OpenApiError> {
        let Some(paths) = self.root.get("paths") else {
            return Ok(Vec::new());
        };
        let paths = paths.as_object().ok_or_else(|| {
            OpenApiError::at(
                "/paths",
                "`paths` must be a mapping",
                "each key is a path, such as `/orders/{order}`",
            )
        })?;
        let mut operations = Vec::new();
        for (path, item) in paths.iter().filter(|(path, _)| path.starts_with('/')) {
            let item = self.follow(item, below("/paths", path))?;
            let Some(members) = item.value.as_object() else {
                return Err(OpenApiError::at(
                    item.pointer,
                    format!("path `{path}` must be a mapping"),
                    "its keys are methods, such as `get`",
                ));
            };
            for (key, method) in METHODS {
                let Some(written) = members.get(key) else {
                    continue;
                };
                let pointer = below(&item.pointer, key);
                let Some(written) = written.as_object() else {
                    return Err(OpenApiError::at(
                        pointer,
                        format!("operation `{method} {path}` must be a mapping"),
                        "such as `{ operationId: getOrder }`",
                    ));
                };
                operations.push(operation(method, path, written, pointer, &item));
                if operations.len() > MAX_OPERATIONS {
                    return Err(OpenApiError::at(
                        "/paths",
                        format!("the document has more than {MAX_OPERATIONS} operations"),
                        "cut it down to those that agents call",
                    ));
                }
            }
        }
        Ok(operations)
    }

    /// What `value` at `pointer` is, references to other parts of the document followed.
    fn follow<'v>(
        &'v self,
        value: &'v Value,
        pointer: String,
    ) -> Result<Reference<'v>, OpenApiError> {
        reference::follow(&self.root, value, pointer)
    }
}

impl ApiOperation {
    /// The document's names of what `path` captures, each with the template's; `None` where it is
    /// another operation's.
    fn matched(&self, method: &str, path: &str) -> Option<Vec<(String, String)>> {
        if self.method != method {
            return None;
        }
        let (ours, theirs) = (segments(&self.path), segments(path));
        if ours.len() != theirs.len() {
            return None;
        }
        let mut names = Vec::new();
        for (our, their) in ours.into_iter().zip(theirs) {
            match (our.contains('{'), capture(their)) {
                (false, None) if our == their => {}
                (true, Some(name)) => {
                    names.extend(capture(our).map(|our| (our.to_owned(), name.to_owned())));
                }
                (false | true, _) => return None,
            }
        }
        Some(names)
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.trim_matches('/').split('/').collect()
}

/// The name of a segment that is one capture and nothing else.
fn capture(segment: &str) -> Option<&str> {
    segment
        .strip_prefix('{')?
        .strip_suffix('}')
        .filter(|name| !name.contains(['{', '}']) && !name.ends_with("..."))
}

/// The pattern for the calls of `operation`, whose paths begin with `base`. A segment that is only
/// partly a parameter becomes one capture: patterns have whole segments only. A slash at the end is
/// left out, as the gate reads paths without it.
#[must_use]
pub fn template(operation: &ApiOperation, base: &str) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut path = base.to_owned();
    for segment in segments(&operation.path) {
        path.push('/');
        if !segment.contains('{') {
            path.push_str(segment);
            continue;
        }
        let inside = segment
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split('}').next())
            .collect::<Vec<_>>()
            .join("_");
        let plain: String = inside
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let lead = if plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            ""
        } else {
            "p_"
        };
        let mut name = format!("{lead}{plain}");
        while names.contains(&name) {
            name.push('_');
        }
        path.push('{');
        path.push_str(&name);
        path.push('}');
        names.push(name);
    }
    format!("{} {path}", operation.method)
}

fn operation(
    method: &'static str,
    path: &str,
    written: &Map<String, Value>,
    pointer: String,
    item: &Reference<'_>,
) -> ApiOperation {
    let text = |name: &str| written.get(name).and_then(Value::as_str).map(str::to_owned);
    let tags = written
        .get("tags")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    ApiOperation {
        method,
        path: path.to_owned(),
        id: text("operationId"),
        summary: text("summary").or_else(|| text("description")),
        tags: tags.map(str::to_owned).collect(),
        pointer,
        item: item.pointer.clone(),
    }
}

fn dialect(root: &Value) -> Result<Dialect, OpenApiError> {
    if !root.is_object() {
        return Err(OpenApiError::at(
            "",
            "this is not an OpenAPI document",
            WHAT,
        ));
    }
    if let Some(version) = root.get("swagger") {
        let version = version.as_str().unwrap_or("2.0");
        return Err(OpenApiError::at(
            "/swagger",
            format!("this is Swagger {version}, which is not read"),
            "convert it to OpenAPI 3, for example with `swagger2openapi`",
        ));
    }
    let version = match root.get("openapi") {
        Some(Value::String(version)) => version.clone(),
        Some(Value::Number(version)) => version.to_string(),
        Some(_) => {
            return Err(OpenApiError::at(
                "/openapi",
                "`openapi` must be a version",
                WHAT,
            ));
        }
        None => {
            return Err(OpenApiError::at(
                "",
                "this is not an OpenAPI document: it has no `openapi`",
                WHAT,
            ));
        }
    };
    match version.as_str() {
        "3.0" => Ok(Dialect::V30),
        "3.1" => Ok(Dialect::V31),
        version if version.starts_with("3.0.") => Ok(Dialect::V30),
        version if version.starts_with("3.1.") => Ok(Dialect::V31),
        version => Err(OpenApiError::at(
            "/openapi",
            format!("OpenAPI {version} is not read"),
            "versions 3.0 and 3.1 are",
        )),
    }
}
