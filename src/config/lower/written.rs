//! Reading single settings: what must be there, and within which bounds.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::diagnostics::Notes;
use crate::config::quantity::Interval;
use crate::config::source::setting::ListSetting;
use crate::config::source::setting::{At, Setting};
use crate::config::source::tree::SourceSpan;
use crate::gate::location::SourceLocation;

/// The longest name of an API, a tool, a workflow, a level, an agent, a person or a failure mode.
pub(super) const MAX_NAME: usize = 64;

/// A setting that must be written.
pub(super) fn required<'d, T>(
    field: &'d Setting<T>,
    key: &str,
    owner: &str,
    span: &SourceSpan,
    notes: &mut Notes<'_>,
) -> Option<&'d At<T>> {
    if field.is_absent() {
        notes
            .error(span.clone(), format!("{owner} lacks `{key}`"))
            .label(format!("`{key}` is missing here"));
    }
    field.given()
}

/// Where a setting was written.
pub(super) fn span_of<T>(field: &Setting<T>) -> Option<SourceSpan> {
    field.given().map(|at| at.span.clone())
}

/// The place of `span`, for a lowered value.
pub(super) fn location(span: &SourceSpan, notes: &Notes<'_>) -> SourceLocation {
    SourceLocation {
        file: notes.file().name.clone(),
        line: notes.file().position(span.start).0,
    }
}

/// A name: letters, digits, `_`, `-` and `.`, beginning with a letter or a digit. Names end up in
/// paths, metrics and headers, so they need no quoting anywhere.
pub(super) fn name<'d>(at: &'d At<String>, what: &str, notes: &mut Notes<'_>) -> Option<&'d str> {
    let letters = at
        .value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    let begins = at
        .value
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    if letters && begins && at.value.len() <= MAX_NAME {
        return Some(&at.value);
    }
    notes
        .error(at.span.clone(), format!("{what} cannot be called `{}`", at.value))
        .hint(format!("a name has at most {MAX_NAME} letters, digits, `_`, `-` and `.`, and begins with a letter or a digit"));
    None
}

/// A duration within bounds, or its default.
pub(super) fn interval(
    field: &Setting<Interval>,
    key: &str,
    bounds: &RangeInclusive<Duration>,
    default: Duration,
    notes: &mut Notes<'_>,
) -> Duration {
    let Some(at) = field.given() else {
        return default;
    };
    if bounds.contains(&at.value.0) {
        return at.value.0;
    }
    let (least, most) = (Interval(*bounds.start()), Interval(*bounds.end()));
    notes
        .error(
            at.span.clone(),
            format!(
                "`{key}`: expected a duration from {least} to {most}, found `{}`",
                at.value
            ),
        )
        .label("out of bounds");
    default
}

/// A whole number within bounds, or its default.
pub(super) fn number<T: Copy + Into<u64>>(
    field: &Setting<T>,
    key: &str,
    bounds: &RangeInclusive<u64>,
    notes: &mut Notes<'_>,
) -> Option<T> {
    let at = field.given()?;
    let value = at.value.into();
    if bounds.contains(&value) {
        return Some(at.value);
    }
    notes
        .error(
            at.span.clone(),
            format!(
                "`{key}`: expected a number from {} to {}, found `{value}`",
                bounds.start(),
                bounds.end()
            ),
        )
        .label("out of bounds");
    None
}

/// The items of a list that were written well.
pub(super) fn items<T>(list: &ListSetting<T>) -> impl Iterator<Item = &At<T>> {
    list.value()
        .into_iter()
        .flatten()
        .filter_map(Setting::given)
}
