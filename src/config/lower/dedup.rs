//! What a tool's `duplicate`, `reverses` and `limits` mean.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::expression::CallShape;
use super::mode;
use super::rules::condition;
use super::written::{interval, items, location, required};
use crate::config::diagnostics::Notes;
use crate::config::source::api::{
    DuplicateEntry, DuplicateWord, LimitEntry, PerWord, ReversesEntry, ToolEntry,
};
use crate::config::source::setting::{At, Setting};
use crate::config::source::tree::SourceSpan;
use crate::gate::dedup::Amount;
use crate::gate::name::ToolName;
use crate::gate::policy::condition::ConditionScope;
use crate::gate::policy::dedup::{Duplicate, Limit, MAX_LIMITS, MAX_PARTS, Per, Reverses, Twice};
use crate::gate::policy::{Condition, DedupRules, Mode};
use crate::gate::time::{Time, days};

/// What a window may be: what was done is remembered for as long, across restarts.
const WINDOWS: RangeInclusive<Duration> = Duration::from_secs(1)..=days(30);

/// A tool whose work another one undoes, and where that is written.
#[derive(Debug)]
pub(super) struct PendingReversal {
    pub(super) by: ToolName,
    pub(super) tool: ToolName,
    pub(super) within: Duration,
    pub(super) span: SourceSpan,
}

/// Lowers the rules of `tool`; what it undoes goes to `pending_reversals`.
pub(super) fn lower(
    tool: &ToolName,
    entry: &ToolEntry,
    (calls, now): (CallShape<'_>, Time),
    pending_reversals: &mut Vec<PendingReversal>,
    notes: &mut Notes<'_>,
) -> Option<Box<DedupRules>> {
    let limits: Vec<_> = items(&entry.limits)
        .filter_map(|at| limit(at, entry, (calls, now), notes))
        .collect();
    if let Some(at) = entry
        .limits
        .given()
        .filter(|at| at.value.len() > MAX_LIMITS)
    {
        notes.error(
            at.span.clone(),
            format!(
                "`limits`: a tool has at most {MAX_LIMITS}, and this one has {}",
                at.value.len()
            ),
        );
    }
    let duplicate = entry
        .duplicate
        .given()
        .and_then(|at| duplicate(at, (calls, now), notes));
    let reverses = entry
        .reverses
        .given()
        .and_then(|at| reverses(at, tool, entry, notes));
    if let (Some(reverses), Some(at)) = (
        &reverses,
        entry.reverses.given().and_then(|at| at.value.tool.given()),
    ) {
        pending_reversals.push(PendingReversal {
            by: tool.clone(),
            tool: reverses.tool.clone(),
            within: reverses.within,
            span: at.span.clone(),
        });
    }
    let rules = DedupRules {
        duplicate,
        reverses,
        reversed_within: None,
        limits,
    };
    (!rules.is_empty()).then(|| Box::new(rules))
}

fn duplicate(
    At { value, span }: &At<DuplicateEntry>,
    (calls, now): (CallShape<'_>, Time),
    notes: &mut Notes<'_>,
) -> Option<Duplicate> {
    let within = window(&value.within, "`duplicate`", span, notes);
    let mode = mode::lower(&value.mode, &value.until, now, notes);
    let written = required(&value.key, "key", "`duplicate`", span, notes)?;
    if written.value.is_empty() || written.value.len() > MAX_PARTS {
        notes
            .error(
                written.span.clone(),
                format!(
                    "`key`: expected 1 to {MAX_PARTS} expressions, found {}",
                    written.value.len()
                ),
            )
            .hint("list what identifies the work, such as `key: [args.order, args.amount]`");
        return None;
    }
    let key: Vec<Condition> = written
        .value
        .iter()
        .filter_map(|part| condition(part, "key", ConditionScope::Request, calls, notes))
        .collect();
    let verdict = match value.verdict.value() {
        Some(DuplicateWord::Count) => Twice::Count,
        Some(DuplicateWord::Deny) | None => Twice::Deny,
    };
    if let (Twice::Count, Mode::Shadow { .. }, Some(at)) = (verdict, mode, value.mode.given()) {
        notes
            .error(at.span.clone(), "`mode: shadow` has no effect beside `verdict: count`: a duplicate that is only counted is never refused")
            .hint("drop `verdict: count` to record what would be refused, or drop `mode` and `until`");
    }
    (key.len() == written.value.len()).then_some(Duplicate {
        key,
        within: within?,
        verdict,
        mode,
        location: location(span, notes),
    })
}

fn reverses(
    At { value, span }: &At<ReversesEntry>,
    tool: &ToolName,
    entry: &ToolEntry,
    notes: &mut Notes<'_>,
) -> Option<Reverses> {
    let within = window(&value.within, "`reverses`", span, notes);
    let other = required(&value.tool, "tool", "`reverses`", span, notes)?;
    if entry.subject.is_absent() {
        notes
            .error(span.clone(), format!("`reverses` needs the `subject` of `{tool}`, so that the call that it undoes can be found"))
            .hint("such as `subject: args.order`");
        return None;
    }
    let name = if other.value.contains('/') {
        ToolName::from(other.value.as_str())
    } else {
        ToolName::of(tool.api(), &other.value)
    };
    Some(Reverses {
        tool: name,
        within: within?,
        location: location(span, notes),
    })
}

fn limit(
    At { value, span }: &At<LimitEntry>,
    entry: &ToolEntry,
    (calls, now): (CallShape<'_>, Time),
    notes: &mut Notes<'_>,
) -> Option<Limit> {
    let within = window(&value.within, "a limit", span, notes);
    let mode = mode::lower(&value.mode, &value.until, now, notes);
    let per = required(&value.per, "per", "a limit", span, notes).map(|at| match at.value {
        PerWord::Subject => Per::Subject,
        PerWord::Agent => Per::Agent,
        PerWord::Workflow => Per::Workflow,
    });
    if per == Some(Per::Subject) && entry.subject.is_absent() {
        notes
            .error(
                span.clone(),
                "a limit `per: subject` needs the tool's `subject`",
            )
            .hint("such as `subject: args.order`");
    }
    let counts = match &value.count {
        Setting::Given(at) if !at.value => {
            notes
                .error(at.span.clone(), "`count: false` has no effect")
                .hint("write `count: true`, or the `sum` of something");
            return None;
        }
        count => !count.is_absent(),
    };
    if value.sum.is_absent() != counts {
        notes
            .error(span.clone(), "a limit needs one of `sum` and `count`")
            .hint("such as `sum: args.amount`, or `count: true`");
        return None;
    }
    let sum = condition(&value.sum, "sum", ConditionScope::Request, calls, notes);
    let hold_above = bound(&value.hold_above, "hold_above", notes);
    let deny_above = bound(&value.deny_above, "deny_above", notes);
    if value.hold_above.is_absent() && value.deny_above.is_absent() {
        notes
            .error(span.clone(), "a limit needs `hold_above` or `deny_above`")
            .hint("such as `deny_above: 5000`");
    }
    if let (Some(hold), Some(deny), Some(at)) = (hold_above, deny_above, value.hold_above.given())
        && hold >= deny
    {
        notes
            .error(at.span.clone(), format!("`hold_above`: {hold} is not below `deny_above`, which is {deny}"))
            .hint("a sum is held first and denied above that; drop one of the two, or lower `hold_above`");
    }
    let written_well = counts || sum.is_some();
    written_well.then_some(Limit {
        sum,
        per: per?,
        within: within?,
        hold_above,
        deny_above,
        mode,
        location: location(span, notes),
    })
}

fn window(
    field: &Setting<crate::config::quantity::Interval>,
    owner: &str,
    span: &SourceSpan,
    notes: &mut Notes<'_>,
) -> Option<Duration> {
    required(field, "within", owner, span, notes)?;
    Some(interval(field, "within", &WINDOWS, *WINDOWS.start(), notes))
}

fn bound(field: &Setting<serde_json::Number>, key: &str, notes: &mut Notes<'_>) -> Option<Amount> {
    let at = field.given()?;
    let amount = Amount::parse(&at.value.to_string()).filter(|amount| !amount.is_negative());
    if amount.is_none() {
        let message = format!(
            "`{key}`: expected a number from 0 to 10^18 with at most twelve decimal places, found `{}`",
            at.value
        );
        notes.error(at.span.clone(), message).label("out of bounds");
    }
    amount
}
