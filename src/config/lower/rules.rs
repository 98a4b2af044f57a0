//! Conditions of tools and workflows: compiled, and checked against what they can read.

use super::expression::{CallShape, inside};
use super::written::{location, required};
use super::{mode, reads};
use crate::config::diagnostics::Notes;
use crate::config::source::api::RuleEntry;
use crate::config::source::setting::{At, Setting, TextOr};
use crate::gate::policy::condition::{BadCondition, ConditionScope};
use crate::gate::policy::{Condition, Mode, Rule};
use crate::gate::time::Time;

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
            ConditionScope::Request,
            calls,
            notes,
        ),
        TextOr::More(entry) => {
            let mode = mode::lower(&entry.mode, &entry.until, now, notes);
            required(&entry.r#if, "if", &format!("`{key}`"), span, notes);
            rule(&entry.r#if, key, ConditionScope::Request, calls, notes)
                .map(|rule| Rule { mode, ..rule })
        }
    }
}

/// A rule that is written at `field`, and acts.
pub(super) fn rule(
    field: &Setting<String>,
    key: &str,
    scope: ConditionScope,
    calls: CallShape<'_>,
    notes: &mut Notes<'_>,
) -> Option<Rule> {
    let condition = condition(field, key, scope, calls, notes)?;
    let at = field.given()?;
    reads::can_hold(&condition, at, key, calls, notes);
    Some(Rule {
        condition,
        mode: Mode::Enforce,
        location: location(&at.span, notes),
    })
}

/// An expression that is written at `field`.
pub(super) fn condition(
    field: &Setting<String>,
    key: &str,
    scope: ConditionScope,
    calls: CallShape<'_>,
    notes: &mut Notes<'_>,
) -> Option<Condition> {
    let at = field.given()?;
    match Condition::compile(&at.value, scope) {
        Ok(condition) => {
            reads::known(&condition, at, key, calls, notes);
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
