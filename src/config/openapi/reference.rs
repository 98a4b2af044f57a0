//! References inside a document. One that leaves it is an error: nothing is fetched, and no other
//! file is read.

use std::borrow::Cow;

use serde_json::Value;

use super::error::OpenApiError;
use crate::gate::nearest::did_you_mean;
use crate::gate::policy::schema::decoded;

/// How many references may lead to one another before something is reached.
pub(super) const MAX_HOPS: usize = 32;

/// A part of the document, found through any number of references.
#[derive(Debug, Clone)]
pub(super) struct Reference<'v> {
    pub(super) value: &'v Value,
    pub(super) pointer: String,
}

/// What `value` at `pointer` is, references followed.
pub(super) fn follow<'v>(
    root: &'v Value,
    value: &'v Value,
    pointer: String,
) -> Result<Reference<'v>, OpenApiError> {
    let (mut value, mut pointer) = (value, pointer);
    for _ in 0..MAX_HOPS {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
            return Ok(Reference { value, pointer });
        };
        let target = target(root, reference, &pointer)?;
        value = target.value;
        pointer = target.pointer;
    }
    Err(OpenApiError::at(
        pointer,
        format!("`$ref` leads through more than {MAX_HOPS} references, or back to itself"),
        "point `$ref` directly at the part",
    ))
}

/// What `reference`, written in the object at `pointer`, names.
pub(super) fn target<'v>(
    root: &'v Value,
    reference: &str,
    pointer: &str,
) -> Result<Reference<'v>, OpenApiError> {
    let at = below(pointer, "$ref");
    let shown = one_line(reference);
    let Some(fragment) = reference.strip_prefix('#') else {
        let what = if reference.contains("://") || reference.starts_with("//") {
            "another server"
        } else {
            "another file"
        };
        return Err(OpenApiError::at(
            at,
            format!("`$ref` names `{shown}`, which is in {what}"),
            "nothing is fetched and no other file is read: bundle the document into one file first (`npx @redocly/cli bundle`), or write `arguments` for the tool",
        ));
    };
    if !fragment.is_empty() && !fragment.starts_with('/') {
        let hint = "such as `#/components/schemas/Order`";
        return Err(OpenApiError::at(
            at,
            format!("`$ref` names `{shown}`; expected `#/` and a JSON pointer"),
            hint,
        ));
    }
    let found = root
        .pointer(fragment)
        .map(|value| (value, fragment.to_owned()));
    let found = found.or_else(|| {
        decoded(fragment).and_then(|fragment| Some((root.pointer(&fragment)?, fragment)))
    });
    let (value, pointer) = found.ok_or_else(|| {
        OpenApiError::at(
            at,
            format!("`$ref` names `{shown}`, which this document does not have"),
            neighbours(root, fragment),
        )
    })?;
    Ok(Reference { value, pointer })
}

/// The pointer to the member `name` below `pointer` (RFC 6901).
pub(super) fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// `text` as messages show it: on one line, and not too long.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 120;
    if text.chars().nth(LONGEST).is_none() && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let shown: String = text
        .chars()
        .take(LONGEST)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    Cow::Owned(if text.chars().nth(LONGEST).is_some() {
        shown + "…"
    } else {
        shown
    })
}

fn neighbours(root: &Value, fragment: &str) -> String {
    let around = fragment
        .rsplit_once('/')
        .and_then(|(above, name)| Some((root.pointer(above)?.as_object()?, name)));
    let near =
        around.and_then(|(members, name)| did_you_mean(name, members.keys().map(String::as_str)));
    near.unwrap_or_else(|| "define it under `components`, or correct the name".to_owned())
}
