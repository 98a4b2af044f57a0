//! What an objective means: target, window, size, and the failures that count.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::written::{items, name, number, span_of};
use crate::config::diagnostics::Notes;
use crate::config::evidence::Tables;
use crate::config::quantity::{Interval, Percentage};
use crate::config::source::setting::ListSetting;
use crate::config::source::setting::{At, Setting};
use crate::config::source::tree::SourceSpan;
use crate::config::source::workflow::ObjectiveEntry;
use crate::config::tiers::Defaults;
use crate::gate::budget::Objective;
use crate::gate::nearest::nearest;
use crate::gate::outcome::FailureMode;
use crate::gate::policy::default_unacceptable;
use crate::gate::ppm::MILLION;
use crate::gate::risk::Tier;
use crate::gate::time::days;

/// What a target may be, in parts per million. Below half, failure is the norm; above 99.999%, no
/// number of runs an agent makes would show it.
pub(super) const TARGETS: RangeInclusive<u32> = 500_000..=999_990;

/// What a window may be.
pub(super) const WINDOWS: RangeInclusive<Duration> = days(1)..=days(90);

/// The default window.
pub(super) const WINDOW: Duration = days(30);

/// The default number of expected runs.
pub(super) const EXPECTED_RUNS: u64 = 100;

/// How many runs may be expected.
pub(super) const EXPECTATIONS: RangeInclusive<u64> = 1..=1_000_000_000;

/// How many modes an objective should list: fewer hide failures, more make every day a burn.
const USUAL_MODES: RangeInclusive<usize> = 3..=5;

/// The most modes that an objective can list.
pub(super) const MAX_MODES: usize = 32;

/// Lowers the objective of the workflow that is named at `owner`.
pub(super) fn lower(
    field: &Setting<ObjectiveEntry>,
    tier: Tier,
    defaults: Defaults,
    owner: &At<String>,
    tables: &mut Tables,
    notes: &mut Notes<'_>,
) -> Objective {
    let nothing = ObjectiveEntry::default();
    let entry = field.value().unwrap_or(&nothing);
    let target_ppm = target(&entry.target, notes).unwrap_or(defaults.target_ppm);
    let window = window(&entry.window, notes).unwrap_or(WINDOW);
    let expected = number(&entry.expected_runs, "expected_runs", &EXPECTATIONS, notes);
    let unacceptable =
        modes(&entry.unacceptable, notes).unwrap_or_else(|| default_unacceptable(tier));
    if let Some(span) = span_of(&entry.unacceptable) {
        if unacceptable.is_empty() {
            notes
                .error(span, "`unacceptable` is empty: no run could ever fail")
                .hint("list the 3 to 5 modes that make a run unacceptable, or leave it out");
        } else if !USUAL_MODES.contains(&unacceptable.len())
            && unacceptable != default_unacceptable(tier)
        {
            notes
                .warning(
                    span,
                    format!(
                        "`unacceptable` lists {} mode{}; 3 to 5 is usual",
                        unacceptable.len(),
                        if unacceptable.len() == 1 { "" } else { "s" }
                    ),
                )
                .hint("the modes that are not listed are recorded and shown all the same");
        }
    }
    let critical = match modes(&entry.critical, notes) {
        Some(critical) => {
            for mode in critical.difference(&unacceptable) {
                notes
                    .error(
                        span_of(&entry.critical).unwrap_or_default(),
                        format!("critical mode `{mode}` is not among the unacceptable ones"),
                    )
                    .hint(format!(
                        "add `{mode}` to `unacceptable`, or drop it from `critical`"
                    ));
            }
            critical
        }
        None => defaults
            .critical
            .iter()
            .filter(|mode| unacceptable.contains(*mode))
            .cloned()
            .collect(),
    };
    let objective = Objective {
        target_ppm,
        window,
        expected_runs: expected.unwrap_or(EXPECTED_RUNS),
        expected_written: expected.is_some(),
        unacceptable,
        critical,
        evidence: tables.of(target_ppm),
    };
    let size_span = span_of(&entry.expected_runs)
        .or_else(|| span_of(&entry.target))
        .unwrap_or_else(|| owner.span.clone());
    small_budget(&objective, &owner.value, size_span, notes);
    objective
}

fn target(field: &Setting<Percentage>, notes: &mut Notes<'_>) -> Option<u32> {
    let at = field.given()?;
    if TARGETS.contains(&at.value.0) {
        return Some(at.value.0);
    }
    let (least, most) = (Percentage(*TARGETS.start()), Percentage(*TARGETS.end()));
    notes
        .error(
            at.span.clone(),
            format!(
                "`target`: expected a percentage from {least} to {most}, found `{}`",
                at.value
            ),
        )
        .label("out of bounds")
        .hint("100% leaves no budget: the first failure would stop the workflow for good");
    None
}

fn window(field: &Setting<Interval>, notes: &mut Notes<'_>) -> Option<Duration> {
    let at = field.given()?;
    if WINDOWS.contains(&at.value.0)
        && at.value.0.as_secs().is_multiple_of(86_400)
        && at.value.0.subsec_nanos() == 0
    {
        return Some(at.value.0);
    }
    notes
        .error(
            at.span.clone(),
            format!(
                "`window`: expected whole days from 1d to 90d, found `{}`",
                at.value
            ),
        )
        .label("out of bounds");
    None
}

fn modes(list: &ListSetting<String>, notes: &mut Notes<'_>) -> Option<BTreeSet<FailureMode>> {
    list.value()?;
    let mut modes = BTreeSet::new();
    for at in items(list) {
        let Some(text) = name(at, "a failure mode", notes) else {
            continue;
        };
        let mode = FailureMode::from(text);
        if let FailureMode::Named(text) = &mode
            && let Some(near) = nearest(text, FailureMode::BUILT_IN.iter().map(FailureMode::as_str))
        {
            notes
                .warning(at.span.clone(), format!("`{text}` is not a built-in failure mode, and is taken as one of this policy's own"))
                .hint(format!("did you mean `{near}`?"));
        }
        modes.insert(mode);
    }
    if modes.len() > MAX_MODES {
        notes.error(
            span_of(list).unwrap_or_default(),
            format!(
                "an objective lists at most {MAX_MODES} modes, found {}",
                modes.len()
            ),
        );
    }
    Some(modes)
}

/// A budget that two failures would burn teaches nobody anything. It is the default of a high-tier
/// workflow, so it is worth a word and no more.
fn small_budget(objective: &Objective, workflow: &str, span: SourceSpan, notes: &mut Notes<'_>) {
    let million = u128::from(MILLION);
    if objective.allowed(0).millionths() > 2 * million {
        return;
    }
    let (miss, runs) = (u64::from(objective.miss_ppm()), objective.expected_runs);
    let enough_runs = (3 * u64::from(MILLION)).div_ceil(miss);
    let enough_target = u64::from(MILLION).saturating_sub((3 * u64::from(MILLION)).div_ceil(runs));
    // Rounded down to a tenth of a percent, so that the suggested target is a round number.
    let enough_target = u32::try_from(enough_target / 1_000 * 1_000).unwrap_or(0);
    let lower_target = if TARGETS.contains(&enough_target) {
        format!("a target of {} or ", Percentage(enough_target))
    } else {
        String::new()
    };
    let source = if objective.expected_written {
        ""
    } else {
        " (the default)"
    };
    notes
        .warning(
            span,
            format!("two unacceptable runs would burn the budget of `{workflow}`: {} of {runs} expected runs{source}", Percentage(objective.target_ppm)),
        )
        .hint(format!("with low traffic, choose {lower_target}`expected_runs: {enough_runs}`, so that at least three are allowed"));
}
