//! Reads a document's text, and finds the bytes of what a JSON pointer names in it.
//!
//! JSON goes through the JSON reader: it is many times faster on the megabytes that published
//! documents have, and YAML reads some of JSON's escapes otherwise.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::thread;

use serde_json::Value;
use serde_json::value::RawValue;

use super::error::OpenApiError;
use super::reference::one_line;
use crate::config::diagnostics::SourceFile;
use crate::config::source::tree;
use crate::config::source::tree::{YamlKind, YamlNode};

/// A YAML document may nest deeper than a policy, and the parser recurses.
const STACK: usize = 64 << 20;

/// Where the parts of a document are.
#[derive(Debug)]
pub(super) enum PointerIndex {
    /// Looked up in the text when an error is shown.
    Json,
    /// Known for every node.
    Yaml(Box<YamlNode>),
}

impl PointerIndex {
    /// The document in `file`, and where its parts are.
    pub(super) fn read(file: &SourceFile) -> Result<(Value, Self), OpenApiError> {
        let broken = |span, message: String| OpenApiError {
            pointer: String::new(),
            span: Some(span),
            message,
            hint: "correct the file; nothing in it is used".to_owned(),
        };
        if file.name.ends_with(".json") || file.text.trim_start().starts_with('{') {
            match serde_json::from_str(&file.text) {
                Ok(root) => return Ok((root, PointerIndex::Json)),
                Err(error) if file.name.ends_with(".json") => {
                    let start = offset_of(&file.text, error.line(), error.column());
                    let message = error.to_string();
                    let message = message.split(" at line ").next().unwrap_or_default();
                    return Err(broken(
                        start..start,
                        format!("this cannot be read as JSON: {}", one_line(message)),
                    ));
                }
                // A flow mapping is YAML.
                Err(_) => {}
            }
        }
        let read = thread::scope(|scope| {
            let parser = thread::Builder::new()
                .name("read-yaml".to_owned())
                .stack_size(STACK);
            parser
                .spawn_scoped(scope, || tree::read_large(&file.text))
                .map(thread::ScopedJoinHandle::join)
        });
        let documents = match read {
            Ok(Ok(documents)) => documents.map_err(|error| {
                broken(
                    error.span,
                    format!("this cannot be read as YAML: {}", error.message),
                )
            })?,
            Ok(Err(_)) | Err(_) => {
                return Err(broken(0..0, "this cannot be read as YAML".to_owned()));
            }
        };
        let mut documents = documents.into_iter();
        match (documents.next(), documents.next()) {
            (Some(node), None) => Ok((node.to_json(), PointerIndex::Yaml(Box::new(node)))),
            (None, _) => Err(broken(0..0, "this file is empty".to_owned())),
            (Some(_), Some(second)) => Err(broken(
                second.span,
                "this file holds more than one document".to_owned(),
            )),
        }
    }

    /// The bytes of what `pointer` names in `text`; of the nearest thing around it, where there is
    /// no such part.
    pub(super) fn find(&self, text: &str, pointer: &str) -> Range<usize> {
        let steps = pointer
            .split('/')
            .skip(1)
            .map(|step| step.replace("~1", "/").replace("~0", "~"));
        match self {
            PointerIndex::Json => in_json(text, steps),
            PointerIndex::Yaml(node) => in_yaml(node, steps),
        }
    }
}

fn in_yaml(node: &YamlNode, steps: impl Iterator<Item = String>) -> Range<usize> {
    let mut at = node;
    for step in steps {
        let found = match &at.kind {
            YamlKind::Map(_) => at.get(&step),
            YamlKind::List(items) => step
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get(index)),
            YamlKind::Null | YamlKind::Bool(_) | YamlKind::Number(..) | YamlKind::Text(_) => None,
        };
        let Some(found) = found else { break };
        at = found;
    }
    at.span.clone()
}

fn in_json(text: &str, steps: impl Iterator<Item = String>) -> Range<usize> {
    let mut at = text;
    for step in steps {
        let found = match at.trim_start().as_bytes().first() {
            Some(b'{') => serde_json::from_str::<HashMap<Cow<'_, str>, &RawValue>>(at)
                .ok()
                .and_then(|mut members| members.remove(step.as_str())),
            Some(b'[') => {
                let elements = serde_json::from_str::<Vec<&RawValue>>(at).ok();
                elements
                    .zip(step.parse::<usize>().ok())
                    .and_then(|(elements, index)| elements.get(index).copied())
            }
            _ => None,
        };
        let Some(found) = found else { break };
        at = found.get();
    }
    let start = at.as_ptr().addr() - text.as_ptr().addr();
    let start = start + (at.len() - at.trim_start().len());
    // The first line of it is enough to see.
    let length = text[start..]
        .find(['\n', '\r'])
        .unwrap_or(text.len() - start)
        .min(at.trim().len())
        .min(80);
    start..text.floor_char_boundary(start + length)
}

/// The byte at a line and column, both from 1.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    text.floor_char_boundary((start + column.saturating_sub(1)).min(text.len()))
}
