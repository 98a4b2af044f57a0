//! The parameters of an operation that a call can be judged by: those of its path and its query.
//!
//! Headers and cookies are not judged: agents' clients send their own. Objects that a query spreads
//! over several names are not either.

use serde_json::Value;

use super::document::OpenApiDocument;
use super::error::OpenApiError;
use super::operation::ApiOperation;
use super::reference::{Reference, below};
use super::schema::{Converted, convert};
use crate::gate::policy::schema::parameter::{Form, Within};

/// The most parameters of an operation.
pub(super) const MAX_OPERATION_PARAMETERS: usize = 200;

/// A parameter before its schema is compiled.
#[derive(Debug)]
pub(super) struct DescribedParameter {
    pub(super) name: String,
    pub(super) within: Within,
    pub(super) required: bool,
    pub(super) form: Form,
    pub(super) schema: Option<Converted>,
}

/// The parameters of `operation` by which a call can be judged. `captures` are the document's names
/// of path parameters, each with the template's.
pub(super) fn of(
    document: &OpenApiDocument<'_>,
    operation: &ApiOperation,
    captures: &[(String, String)],
) -> Result<Vec<DescribedParameter>, OpenApiError> {
    let mut found: Vec<(String, String, Reference<'_>)> = Vec::new();
    // The operation's own come first: they override those of its path item.
    for owner in [&operation.pointer, &operation.item] {
        let pointer = below(owner, "parameters");
        let Some(written) = document.root.pointer(&pointer) else {
            continue;
        };
        let list = written.as_array().ok_or_else(|| {
            OpenApiError::at(
                pointer.as_str(),
                "`parameters` must be a list",
                "such as `- { name: limit, in: query }`",
            )
        })?;
        for (index, parameter) in list.iter().enumerate() {
            let parameter = document.follow(parameter, below(&pointer, &index.to_string()))?;
            let text = |key: &str| {
                parameter
                    .value
                    .get(key)
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            };
            let (Some(name), Some(part)) = (text("name"), text("in")) else {
                return Err(OpenApiError::at(
                    parameter.pointer,
                    "a parameter needs `name` and `in`",
                    "such as `{ name: limit, in: query }`",
                ));
            };
            if !found
                .iter()
                .any(|(other, other_part, _)| *other == name && *other_part == part)
            {
                found.push((name, part, parameter));
            }
            if found.len() > MAX_OPERATION_PARAMETERS {
                return Err(OpenApiError::at(
                    pointer,
                    format!("more than {MAX_OPERATION_PARAMETERS} parameters"),
                    "write `parameters` for the tool, with those that matter",
                ));
            }
        }
    }
    let mut described = Vec::new();
    for (name, part, parameter) in found {
        let (name, within) = match part.as_str() {
            "query" => (name, Within::Query),
            "path" => match captures.iter().find(|(ours, _)| *ours == name) {
                Some((_, capture)) => (capture.clone(), Within::Path),
                None => continue,
            },
            _ => continue,
        };
        described.extend(one(document, name, within, &parameter)?);
    }
    Ok(described)
}

fn one(
    document: &OpenApiDocument<'_>,
    name: String,
    within: Within,
    parameter: &Reference<'_>,
) -> Result<Option<DescribedParameter>, OpenApiError> {
    let is = |key: &str| parameter.value.get(key) == Some(&Value::Bool(true));
    let required = within == Within::Query && is("required");
    let schema = parameter
        .value
        .get("schema")
        .filter(|_| !is("allowEmptyValue"));
    let schema = schema
        .map(|schema| {
            convert(
                &document.root,
                document.dialect,
                schema,
                below(&parameter.pointer, "schema"),
            )
        })
        .transpose()?;
    let takes = |kind: &str| {
        schema
            .as_ref()
            .is_some_and(|converted| is_of(&converted.schema, kind))
    };
    if takes("object") {
        return Ok(None);
    }
    let explode = parameter.value.get("explode").and_then(Value::as_bool);
    let style = parameter
        .value
        .get("style")
        .and_then(Value::as_str)
        .unwrap_or(if within == Within::Path {
            "simple"
        } else {
            "form"
        });
    let form = match (takes("array"), style, explode) {
        (false, "form" | "simple", _) => Form::One,
        (true, "form", None | Some(true)) => Form::Repeated,
        (true, "form" | "simple", _) => Form::Commas,
        (true, "spaceDelimited", _) => Form::Spaces,
        (true, "pipeDelimited", _) => Form::Pipes,
        (false | true, _, _) => return Ok(None),
    };
    let schema = schema.filter(|converted| {
        converted
            .schema
            .as_object()
            .is_some_and(|members| !members.is_empty())
    });
    Ok(
        (required || schema.is_some()).then_some(DescribedParameter {
            name,
            within,
            required,
            form,
            schema,
        }),
    )
}

fn is_of(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(name)) => name == kind,
        Some(Value::Array(names)) => names.iter().any(|name| name == kind),
        _ => schema.get("properties").is_some() && kind == "object",
    }
}
