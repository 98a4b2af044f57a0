//! One operation of a document, and the pattern for its calls.

use serde_json::{Map, Value};

use super::reference::Reference;

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
    /// JSON pointer to it.
    pub(super) pointer: String,
    /// JSON pointer to the path item whose parameters it shares.
    pub(super) item: String,
}

impl ApiOperation {
    /// Reads what is written for `method` of `path`.
    pub(super) fn read(
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

    /// The document's names of what `path` captures, each with the template's; `None` where it is
    /// another operation's.
    pub(super) fn matched(&self, method: &str, path: &str) -> Option<Vec<(String, String)>> {
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
