//! A document as a whole: which version it is, where its server is, and which operations it has.

use std::ops::Range;

use serde_json::Value;

use super::error::OpenApiError;
use super::operation::ApiOperation;
use super::pointer_index::PointerIndex;
use super::reference;
use super::reference::{Reference, below};
use super::schema::Dialect;
use crate::config::diagnostics::SourceFile;

/// The most operations of a document.
pub const MAX_OPERATIONS: usize = 10_000;

/// A document that was read.
#[derive(Debug)]
pub struct OpenApiDocument<'f> {
    file: &'f SourceFile,
    pub(super) root: Value,
    pub(super) dialect: Dialect,
    operations: Vec<ApiOperation>,
    index: PointerIndex,
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
        let (root, index) = PointerIndex::read(file)?;
        let dialect = dialect(&root)?;
        let mut document = OpenApiDocument {
            file,
            root,
            dialect,
            operations: Vec::new(),
            index,
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
            .unwrap_or_else(|| self.index.find(&self.file.text, &fault.pointer))
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
                operations.push(ApiOperation::read(method, path, written, pointer, &item));
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
    pub(super) fn follow<'v>(
        &'v self,
        value: &'v Value,
        pointer: String,
    ) -> Result<Reference<'v>, OpenApiError> {
        reference::follow(&self.root, value, pointer)
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
            format!("this is Swagger {version}, which is not supported"),
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
            format!("OpenAPI {version} is not supported"),
            "versions 3.0 and 3.1 are supported",
        )),
    }
}
