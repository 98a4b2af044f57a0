//! Conditions of tools and workflows: compiled, and checked against what they can read.

use super::api::mode;
use super::written::{place, required};
use crate::config::diagnostics::{Notes, SourceFile};
use crate::config::source::decode::{At, Setting, TextOr};
use crate::config::source::policy::RuleEntry;
use crate::config::source::tree::SourceSpan;
use crate::gate::policy::condition::{BadCondition, Scope};
use crate::gate::policy::{Condition, Mode, Pattern, Rule};
use crate::gate::time::Time;

/// What the calls that a condition judges look like.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CallShape<'t> {
    /// The pattern that they match, where it is known.
    pub(super) pattern: Option<&'t Pattern>,
    /// The schema that their arguments satisfy, where there is one.
    pub(super) schema: Option<&'t serde_json::Value>,
}

/// A rule of calls that is written at `field`, with a mode of its own where it has one.
pub(super) fn modal(
    field: &Setting<TextOr<RuleEntry>>,
    key: &str,
    calls: CallShape<'_>,
    now: Time,
    notes: &mut Notes<'_>,
) -> Option<Rule> {
    let At { value, span } = field.given()?;
    match value {
        TextOr::Text(text) => rule(
            &Setting::Given(At {
                span: span.clone(),
                value: text.clone(),
            }),
            key,
            Scope::Request,
            calls,
            notes,
        ),
        TextOr::More(entry) => {
            let mode = mode(&entry.mode, &entry.until, now, notes);
            required(&entry.r#if, "if", &format!("`{key}`"), span, notes);
            rule(&entry.r#if, key, Scope::Request, calls, notes).map(|rule| Rule { mode, ..rule })
        }
    }
}

/// A rule that is written at `field`, and acts.
pub(super) fn rule(
    field: &Setting<String>,
    key: &str,
    scope: Scope,
    calls: CallShape<'_>,
    notes: &mut Notes<'_>,
) -> Option<Rule> {
    let condition = condition(field, key, scope, calls, notes)?;
    let at = field.given()?;
    super::reads::can_hold(&condition, at, key, calls, notes);
    Some(Rule {
        condition,
        mode: Mode::Enforce,
        place: place(&at.span, notes),
    })
}

/// An expression that is written at `field`.
pub(super) fn condition(
    field: &Setting<String>,
    key: &str,
    scope: Scope,
    calls: CallShape<'_>,
    notes: &mut Notes<'_>,
) -> Option<Condition> {
    let at = field.given()?;
    match Condition::compile(&at.value, scope) {
        Ok(condition) => {
            super::reads::known(&condition, at, key, calls, notes);
            Some(condition)
        }
        Err(BadCondition {
            offset,
            message,
            hint,
        }) => {
            let span = inside(at, offset, notes.file());
            notes.error(span, format!("`{key}`: {message}")).hint = hint;
            None
        }
    }
}

/// The place in the file of the byte at `offset` of an expression: exact where the file spells the
/// expression as it is, else the whole of it.
pub(super) fn inside(at: &At<String>, offset: usize, file: &SourceFile) -> SourceSpan {
    let written = file.text.get(at.span.clone()).unwrap_or_default();
    let value = at.value.as_str();
    let Some(lead) = written.find(value).filter(|_| !value.is_empty()) else {
        return at.span.clone();
    };
    let offset = (0..=offset.min(value.len()))
        .rev()
        .find(|&offset| value.is_char_boundary(offset))
        .unwrap_or(0);
    let rest = &value[offset..];
    // To the end of the word, so that a name is underlined as a whole.
    let word = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    let length = word.max(rest.chars().next().map_or(0, char::len_utf8));
    let start = at.span.start + lead + offset;
    start..start + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_inside_an_expression_is_a_place_in_the_file() {
        let text = "deny_when: \"args.amount > 5\"\nhold_when: 'args.a == ''x'''\n";
        let file = SourceFile::new("p", text);
        let at = |span: SourceSpan, value: &str| At {
            span,
            value: value.to_owned(),
        };
        let quoted = at(11..28, "args.amount > 5");
        assert_eq!(&text[inside(&quoted, 5, &file)], "amount");
        assert_eq!(&text[inside(&quoted, 12, &file)], ">");
        assert_eq!(inside(&quoted, 15, &file), 27..27);
        // Escapes make the bytes differ: the whole expression then.
        let escaped = at(40..57, "args.a == 'x'");
        assert_eq!(inside(&escaped, 5, &file), 40..57);
    }
}
