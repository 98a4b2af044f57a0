//! A first list of tools from a document: every operation with a guess at its risk, to be read and
//! corrected by a person.

use std::fmt::Write as _;

use super::document::OpenApiDocument;
use super::guess;
use super::operation::{ApiOperation, template};
use crate::gate::policy::Pattern;
use crate::gate::risk::Risk;

/// The most tools that are drafted: an API has no more.
pub(super) const MAX_DRAFTED_TOOLS: usize = 1000;

/// A tool that was drafted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drafted {
    /// Its name.
    pub name: String,
    /// The guess at its risk.
    pub risk: Risk,
}

/// The drafted tools, and the text of their list.
#[derive(Debug, Default)]
pub struct Draft {
    /// The tools, in the order of the document.
    pub tools: Vec<Drafted>,
    /// The items of `tools:`, with comments.
    pub text: String,
    /// Operations that are only there as comments.
    pub left_out: usize,
}

/// Drafts the tools of `document`, whose calls begin with `base` where the upstream does not say
/// so.
#[must_use]
pub fn draft(document: &OpenApiDocument<'_>, base: &str) -> Draft {
    let mut draft = Draft::default();
    let mut patterns: Vec<Pattern> = Vec::new();
    for operation in document.operations() {
        let written = template(operation, base);
        let comment = comment_text(&format!("{} {}", operation.method, operation.path));
        let why_not = match Pattern::http(&written) {
            Err(message) => Some(message),
            Ok(_) if draft.tools.len() >= MAX_DRAFTED_TOOLS => {
                Some(format!("an API has at most {MAX_DRAFTED_TOOLS} tools"))
            }
            Ok(pattern) => {
                let other = patterns
                    .iter()
                    .find(|other| hides(other, &pattern) || hides(&pattern, other))
                    .map(|other| format!("`{}` matches its calls", other.source()));
                if other.is_none() {
                    patterns.push(pattern);
                }
                other
            }
        };
        if let Some(why) = why_not {
            draft.left_out += 1;
            let _ = writeln!(
                draft.text,
                "  # left out: {comment}: {}\n",
                comment_text(&why)
            );
            continue;
        }
        if let Some(pattern) = patterns.last() {
            tool(document, operation, pattern, &mut draft);
        }
    }
    draft
}

/// Does `first` get every call of `second`, so that `second` could never be called?
fn hides(first: &Pattern, second: &Pattern) -> bool {
    first.covers(second) && first.specificity(second).is_lt()
}

fn tool(
    document: &OpenApiDocument<'_>,
    operation: &ApiOperation,
    pattern: &Pattern,
    draft: &mut Draft,
) {
    let name = guess::name(
        operation.id.as_deref(),
        operation.method,
        &operation.path,
        &|name| draft.tools.iter().any(|tool| tool.name == name),
    );
    let words = [Some(operation.path.as_str()), operation.id.as_deref()]
        .into_iter()
        .flatten();
    let guessed = guess::risk(operation.method, words);
    let described = document
        .by_template(pattern.source())
        .map(|(operation, captures)| document.described(operation, &captures));
    let text = &mut draft.text;
    if let Some(summary) = &operation.summary {
        let _ = writeln!(text, "  # {}", comment_text(summary));
    }
    let _ = writeln!(text, "  - tool: {}", scalar(&name));
    let _ = writeln!(text, "    match: {}", scalar(pattern.source()));
    let _ = writeln!(
        text,
        "    risk: {:<24}# a guess: {}",
        guessed.risk.as_str(),
        guessed.why
    );
    let body = match &described {
        Some(Ok(described)) => described
            .arguments
            .as_ref()
            .map(|schema| schema.source().clone()),
        Some(Err(_)) | None => None,
    };
    if guessed.risk != Risk::Read
        && let Some(subject) = guess::subject(pattern.capture_names(), body.as_ref())
    {
        let _ = writeln!(
            text,
            "    subject: {subject:<20} # the business object that a call touches, it seems"
        );
    }
    if let Some(Err(fault)) = described {
        let _ = writeln!(
            text,
            "    # The document cannot be used here: {}: {}",
            comment_text(&fault.pointer),
            comment_text(&fault.message)
        );
        // Whatever the call is: nothing is known of it.
        text.push_str(
            "    arguments: { type: [object, array, string, number, boolean, \"null\"] }\n",
        );
        let _ = writeln!(text, "    parameters: []");
    }
    text.push('\n');
    draft.tools.push(Drafted {
        name,
        risk: guessed.risk,
    });
}

/// A text as it can stand in a comment.
fn comment_text(text: &str) -> String {
    const LONGEST: usize = 100;
    let plain = |c: char| {
        if c.is_control()
            || matches!(
                c,
                '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
            )
        {
            ' '
        } else {
            c
        }
    };
    let line: String = text
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(LONGEST + 1)
        .map(plain)
        .collect();
    if line.chars().count() > LONGEST {
        line.chars().take(LONGEST).chain("…".chars()).collect()
    } else {
        line.trim_end().to_owned()
    }
}

/// A text as a YAML value: as it is where that means the same, else quoted.
fn scalar(text: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '{' | '}' | '.' | '-' | ' ');
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    if begins_well && !is_word && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}
