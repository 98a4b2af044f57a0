//! What an operation says about its calls: the schema of its JSON body, and its parameters.

use serde_json::Value;

use super::document::OpenApiDocument;
use super::error::OpenApiError;
use super::operation::ApiOperation;
use super::parameters;
use super::parameters::DescribedParameter;
use super::reference::below;
use super::schema::{Converted, convert};
use crate::gate::policy::{Parameter, Schema};

/// What a document says about the calls of one operation.
#[derive(Debug)]
pub struct Described {
    /// What its JSON body must look like; `None` where nothing says so.
    pub arguments: Option<Schema>,
    /// What its path and query parameters must look like.
    pub parameters: Vec<Parameter>,
    /// The media types of its body, where it takes one and none of them is JSON.
    pub other_body: Option<String>,
}

impl OpenApiDocument<'_> {
    /// What it says about the calls of `operation`, whose captures have the names in `captures`:
    /// the document's, and the template's.
    pub fn described(
        &self,
        operation: &ApiOperation,
        captures: &[(String, String)],
    ) -> Result<Described, OpenApiError> {
        let (arguments, other_body) = self.body(operation)?;
        let mut described = Vec::new();
        for parameter in parameters::of(self, operation, captures)? {
            let schema = parameter.schema.as_ref().map(compiled).transpose()?;
            let DescribedParameter {
                name,
                within,
                required,
                form,
                ..
            } = parameter;
            described.push(Parameter {
                name: name.into(),
                within,
                required,
                form,
                schema,
            });
        }
        Ok(Described {
            arguments,
            parameters: described,
            other_body,
        })
    }

    fn body(
        &self,
        operation: &ApiOperation,
    ) -> Result<(Option<Schema>, Option<String>), OpenApiError> {
        let nothing = || {
            Converted::of(
                serde_json::json!({ "type": "null" }),
                operation.pointer.clone(),
            )
        };
        let Some(written) = self.root.pointer(&below(&operation.pointer, "requestBody")) else {
            return Ok((Some(compiled(&nothing())?), None));
        };
        let body = self.follow(written, below(&operation.pointer, "requestBody"))?;
        let content = body.value.get("content").and_then(Value::as_object);
        let Some(content) = content.filter(|content| !content.is_empty()) else {
            return Err(OpenApiError::at(
                body.pointer,
                "`requestBody` lacks `content`",
                "such as `content: { application/json: { schema: { type: object } } }`",
            ));
        };
        let Some((media, described)) = content
            .iter()
            .min_by_key(|(media, _)| rank(media))
            .filter(|(media, _)| rank(media) < NOT_JSON)
        else {
            return Ok((
                None,
                Some(
                    content
                        .keys()
                        .map(String::as_str)
                        .collect::<Vec<_>>()
                        .join(", "),
                ),
            ));
        };
        let pointer = below(&below(&body.pointer, "content"), media);
        let described = self.follow(described, pointer)?;
        let Some(schema) = described.value.get("schema") else {
            return Ok((None, None));
        };
        let converted = convert(
            &self.root,
            self.dialect,
            schema,
            below(&described.pointer, "schema"),
        )?;
        let required = body.value.get("required") == Some(&Value::Bool(true));
        let converted = if required {
            converted
        } else {
            converted.or_nothing()
        };
        // `true` and `{}` say nothing.
        Ok((
            if converted
                .schema
                .as_object()
                .is_some_and(|members| !members.is_empty())
            {
                Some(compiled(&converted)?)
            } else {
                None
            },
            None,
        ))
    }
}

const NOT_JSON: u8 = 3;

/// How much a media type is the JSON that the gate reads.
fn rank(media: &str) -> u8 {
    let plain = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match plain.as_str() {
        "application/json" => 0,
        other if other.starts_with("application/") && other.ends_with("+json") => 1,
        "*/*" | "application/*" => 2,
        _ => NOT_JSON,
    }
}

fn compiled(converted: &Converted) -> Result<Schema, OpenApiError> {
    Schema::compile_located(converted.schema.clone()).map_err(|fault| {
        let hint = "correct the document, or write `arguments` (and `parameters`) for the tool, which then count instead";
        OpenApiError::at(converted.origin(&fault.pointer), fault.message, hint)
    })
}
