//! What `earn:` means: the steps of a workflow, and the reviews that they skip.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::expression::CallShape;
use super::ladder::LoweredLadder;
use super::rules::condition;
use super::written::{interval, items, name, required, span_of};
use crate::config::diagnostics::Notes;
use crate::config::quantity::{Growth, Percentage};
use crate::config::source::setting::{At, Setting};
use crate::config::source::tree::SourceSpan;
use crate::config::source::workflow::{EarnEntry, HowWord, SkipEntry, WorkflowDocument};
use crate::gate::earn::{Earn, Gain, REGAINED, Step, StepTrigger};
use crate::gate::name::{LevelName, StepName, ToolName};
use crate::gate::policy::Skip;
use crate::gate::policy::condition::ConditionScope;
use crate::gate::policy::finding::RuleName;
use crate::gate::time::{days, hours};

/// The most steps of one workflow.
pub(super) const MAX_STEPS: usize = 32;
/// The largest factor of a volume step.
pub(super) const MAX_TIMES: u32 = 1_000;
/// The rules whose reviews can be skipped. An escalation hands a case to a person, strict
/// validation holds calls that no schema describes, and `always` is never relaxed.
const SKIPPED: [RuleName; 2] = [RuleName::HoldWhen, RuleName::Level];
/// The least share of the calls of a skipped review that is held all the same, in parts per
/// million.
const LEAST_SPOT_CHECK: u32 = 1_000;

/// What a step is lowered against.
pub(super) struct Around<'a> {
    pub(super) tools: &'a BTreeSet<ToolName>,
    pub(super) ladder: &'a LoweredLadder,
    pub(super) starts: &'a LevelName,
}

/// Lowers `earn`, `settle` and `spot_check`.
pub(super) fn lower(
    document: &WorkflowDocument,
    around: &Around<'_>,
    notes: &mut Notes<'_>,
) -> (Earn, Vec<Skip>) {
    let mut earn = Earn::default();
    earn.settle = interval(
        &document.settle,
        "settle",
        &(hours(1)..=days(30)),
        earn.settle,
        notes,
    );
    earn.spot_check_ppm = spot_check(&document.spot_check, earn.spot_check_ppm, notes);
    let (mut skips, mut names) = (Vec::new(), BTreeSet::new());
    for At { value: entry, span } in items(&document.earn) {
        if names.len() == MAX_STEPS {
            notes.error(
                span.clone(),
                format!("`earn`: expected at most {MAX_STEPS} steps, and this is one more"),
            );
            break;
        }
        let Some(at) = required(&entry.step, "step", "an earned step", span, notes) else {
            continue;
        };
        let Some(step) = name(at, "a step", notes).map(StepName::from) else {
            continue;
        };
        if step.as_str() == REGAINED {
            notes
                .error(
                    at.span.clone(),
                    format!("a step cannot be called `{REGAINED}`: the name is reserved for regaining a lost level"),
                )
                .hint("call the step something else");
        } else if !names.insert(step.clone()) {
            notes.error(at.span.clone(), format!("step `{step}` is written twice"));
        }
        let after_days = after(entry, span, notes);
        let Some(gain) = gain(&step, entry, span, around, &mut skips, notes) else {
            continue;
        };
        if matches!(gain, Gain::Skip { .. }) && document.check.is_absent() {
            notes
                .warning(span.clone(), format!("step `{step}` counts only checked runs, and no run of this workflow is ever drawn for a check"))
                .hint("write `check: { sample: 5%, min: 20/week }`");
        }
        let how = match entry.how.value() {
            Some(HowWord::Automatic) => StepTrigger::Automatic,
            Some(HowWord::Propose) | None => StepTrigger::Propose,
        };
        earn.steps.push(Step {
            name: step,
            after_days,
            gain,
            how,
        });
    }
    (earn, skips)
}

fn spot_check(field: &Setting<Percentage>, default: u32, notes: &mut Notes<'_>) -> u32 {
    let Some(at) = field.given() else {
        return default;
    };
    if at.value.0 < LEAST_SPOT_CHECK {
        notes
            .error(
                at.span.clone(),
                format!(
                    "`spot_check`: expected a share from {} to 100%, found `{}`",
                    Percentage(LEAST_SPOT_CHECK),
                    at.value
                ),
            )
            .hint("without spot checks nobody would notice when a skipped review is needed again");
        return default;
    }
    at.value.0
}

/// Whole days, since days within budget are counted whole.
fn after(entry: &EarnEntry, span: &SourceSpan, notes: &mut Notes<'_>) -> u32 {
    required(&entry.after, "after", "an earned step", span, notes);
    let bounds = days(1)..=days(365);
    let after = interval(&entry.after, "after", &bounds, *bounds.start(), notes);
    if let Some(at) = entry.after.given()
        && bounds.contains(&after)
        && after != days(whole_days(after).into())
    {
        notes
            .error(
                at.span.clone(),
                format!("`after`: expected whole days, found `{}`", at.value),
            )
            .hint("days within budget are whole UTC days");
    }
    whole_days(after)
}

fn whole_days(span: Duration) -> u32 {
    u32::try_from(span.as_secs() / 86_400).unwrap_or(u32::MAX)
}

fn gain(
    step: &StepName,
    entry: &EarnEntry,
    span: &SourceSpan,
    around: &Around<'_>,
    skips: &mut Vec<Skip>,
    notes: &mut Notes<'_>,
) -> Option<Gain> {
    match (entry.volume.given(), entry.to.given(), entry.skip.given()) {
        (Some(volume), None, None) => {
            if around
                .ladder
                .ladder
                .rungs()
                .iter()
                .all(|rung| rung.volume.is_none())
            {
                notes
                    .warning(
                        volume.span.clone(),
                        "no level caps volume, so there is nothing to raise",
                    )
                    .hint("write `volume` for a level, such as `volume: 600/min`");
            }
            match volume.value {
                Growth::Times(times) if times > MAX_TIMES => {
                    notes.error(
                        volume.span.clone(),
                        format!(
                            "`volume`: expected a factor of at most x{MAX_TIMES}, found `x{times}`"
                        ),
                    );
                    None
                }
                Growth::Times(times) => Some(Gain::Volume { times }),
                Growth::To(rate) => Some(Gain::VolumeTo { cap: rate.0 }),
            }
        }
        (None, Some(to), None) => {
            let level = around.ladder.find(to, "to", notes)?;
            let rank = |name: &LevelName| around.ladder.ladder.find(name.as_str());
            if rank(&level) <= rank(around.starts) {
                notes
                    .warning(
                        to.span.clone(),
                        format!(
                            "the workflow starts at `{}`, so it has `{level}` already",
                            around.starts
                        ),
                    )
                    .hint("a lost level is earned again without a step");
            }
            Some(Gain::Level { to: level })
        }
        (None, None, Some(skip)) => self::skip(step, skip, around, skips, notes),
        _ => {
            notes
                .error(
                    span.clone(),
                    format!("step `{step}` must have exactly one of `volume`, `to` and `skip`"),
                )
                .hint("`volume` raises a cap, `to` reaches a level, `skip` leaves out a review");
            None
        }
    }
}

fn skip(
    step: &StepName,
    At { value: entry, span }: &At<SkipEntry>,
    around: &Around<'_>,
    skips: &mut Vec<Skip>,
    notes: &mut Notes<'_>,
) -> Option<Gain> {
    let tool = required(&entry.tool, "tool", "a skipped review", span, notes);
    let rule = required(&entry.rule, "rule", "a skipped review", span, notes);
    let cases = condition(
        &entry.r#where,
        "where",
        ConditionScope::Request,
        CallShape::default(),
        notes,
    );
    let (tool_at, rule_at) = (tool?, rule?);
    let tool = ToolName::from(tool_at.value.as_str());
    if !around.tools.contains(&tool) {
        let known = around
            .tools
            .iter()
            .map(|tool| format!("`{tool}`"))
            .collect::<Vec<_>>()
            .join(", ");
        notes
            .error(
                tool_at.span.clone(),
                format!("`{tool}` is not among the tools of this workflow"),
            )
            .hint(format!("its tools are {known}"));
        return None;
    }
    let Some(rule) = SKIPPED
        .into_iter()
        .find(|rule| rule.as_str() == rule_at.value)
    else {
        let known = SKIPPED.map(|rule| format!("`{rule}`")).join(" or ");
        notes
            .error(
                rule_at.span.clone(),
                format!("the review of rule `{}` cannot be skipped", rule_at.value),
            )
            .hint(format!("expected {known}"));
        return None;
    };
    let source: Option<Arc<str>> = cases.as_ref().map(|cases| cases.source().into());
    if span_of(&entry.r#where).is_some() && source.is_none() {
        return None;
    }
    skips.push(Skip {
        step: step.clone(),
        tool: tool.clone(),
        rule,
        cases,
    });
    Some(Gain::Skip {
        tool,
        rule: rule.as_str().into(),
        cases: source,
    })
}
