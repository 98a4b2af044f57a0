//! What `levels:` means: the built-in ladder with fields changed and rungs added, and the check
//! that it only widens upwards.
//!
//! Caps on volume and concurrency, narrowed tools and strict validation flow down: a level that
//! leaves them out has those of the level above it. So one cap on `standard` bounds every level
//! below, and only a level that asks for more is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::written::{items, name, number, required, span_of};
use crate::config::diagnostics::Notes;
use crate::config::source::setting::At;
use crate::config::source::setting::ListSetting;
use crate::config::source::tree::SourceSpan;
use crate::config::source::workflow::LevelEntry;
use crate::gate::level::{Changes, Ladder, Rung, Validation, Volume};
use crate::gate::name::{LevelName, ToolName};
use crate::gate::nearest::did_you_mean;
use crate::gate::risk::Risk;

/// The range of a cap on calls in flight.
pub(super) const CONCURRENCY: RangeInclusive<u64> = 1..=1_000_000;

/// A ladder, and what its policy wrote.
#[derive(Debug)]
pub(super) struct LoweredLadder {
    pub(super) ladder: Ladder,
    /// Every name that was written, so that a level with a mistake is not also unknown.
    names: BTreeSet<String>,
}

impl LoweredLadder {
    /// The level that is named at `at`.
    pub(super) fn find(
        &self,
        at: &At<String>,
        key: &str,
        notes: &mut Notes<'_>,
    ) -> Option<LevelName> {
        if self.ladder.find(&at.value).is_some() {
            return Some(LevelName::from(at.value.as_str()));
        }
        if !self.names.contains(&at.value) {
            let known: Vec<&str> = self
                .ladder
                .rungs()
                .iter()
                .map(|rung| rung.level.as_str())
                .collect();
            let hint = did_you_mean(&at.value, known.iter().copied())
                .unwrap_or_else(|| format!("the levels of this workflow are {}", known.join(", ")));
            notes
                .error(
                    at.span.clone(),
                    format!("`{key}`: unknown level `{}`", at.value),
                )
                .hint(hint);
        }
        None
    }
}

/// Lowers `levels`. `tool` resolves the name of a tool, and reports one that does not exist.
pub(super) fn lower(
    levels: &ListSetting<LevelEntry>,
    mut tool: impl FnMut(&At<String>, &mut Notes<'_>) -> Option<ToolName>,
    notes: &mut Notes<'_>,
) -> LoweredLadder {
    let mut ladder = Ladder::built_in();
    let mut spans: BTreeMap<String, SourceSpan> = BTreeMap::new();
    for entry in items(levels) {
        let Some(at) = required(&entry.value.level, "level", "a level", &entry.span, notes) else {
            continue;
        };
        let Some(level) = name(at, "a level", notes) else {
            continue;
        };
        if spans.insert(level.to_owned(), at.span.clone()).is_some() {
            notes
                .error(at.span.clone(), format!("level `{level}` is written twice"))
                .hint("put all its fields into one entry");
            continue;
        }
        if let Some(rung) = rung(&mut ladder, level, at, &entry.value, notes) {
            change(rung, &entry.value, &mut tool, notes);
        }
    }
    flow_down(&mut ladder);
    widens_upwards(&ladder, &spans, notes);
    LoweredLadder {
        ladder,
        names: spans.into_keys().collect(),
    }
}

/// The rung that an entry changes: a built-in one, or a new one right above another, which starts
/// out with its verdicts.
fn rung<'l>(
    ladder: &'l mut Ladder,
    level: &str,
    at: &At<String>,
    entry: &LevelEntry,
    notes: &mut Notes<'_>,
) -> Option<&'l mut Rung> {
    let is_built_in = ladder.find(level).is_some();
    match (is_built_in, entry.above.given()) {
        (true, Some(above)) => {
            notes
                .error(
                    above.span.clone(),
                    format!("built-in level `{level}` cannot be moved"),
                )
                .hint("drop `above`, or choose a name of your own");
        }
        (false, None) => {
            let known = ladder.rungs().iter().map(|rung| rung.level.as_str());
            let hint = did_you_mean(level, known).unwrap_or_else(|| {
                "a new level says which one it stands right above, such as `above: supervised`"
                    .to_owned()
            });
            notes
                .error(at.span.clone(), format!("unknown level `{level}`"))
                .hint(hint);
            return None;
        }
        (false, Some(above)) => {
            let Some(below) = ladder.find(&above.value) else {
                let known = ladder.rungs().iter().map(|rung| rung.level.as_str());
                let hint = did_you_mean(&above.value, known).unwrap_or_else(|| {
                    "a level that is written further down is not known yet".to_owned()
                });
                notes
                    .error(
                        above.span.clone(),
                        format!("`above`: unknown level `{}`", above.value),
                    )
                    .hint(hint);
                return None;
            };
            let below = ladder.rung(below);
            let (verdicts, changes) = (below.verdicts, below.changes);
            let copy = Rung {
                level: LevelName::from(level),
                verdicts,
                changes,
                tools: None,
                volume: None,
                concurrency: None,
                validation: None,
            };
            if ladder.insert_above(&above.value, copy).is_err() {
                notes.error(
                    at.span.clone(),
                    format!("a workflow has at most {} levels", Ladder::MAX),
                );
                return None;
            }
        }
        (true, None) => {}
    }
    let index = ladder.find(level)?.index();
    ladder.rungs_mut().get_mut(index)
}

fn change(
    rung: &mut Rung,
    entry: &LevelEntry,
    tool: &mut impl FnMut(&At<String>, &mut Notes<'_>) -> Option<ToolName>,
    notes: &mut Notes<'_>,
) {
    for (risk, verdict) in
        Risk::ALL
            .into_iter()
            .zip([&entry.read, &entry.low, &entry.medium, &entry.high])
    {
        if let Some(verdict) = verdict.value() {
            rung.verdicts[risk as usize] = *verdict;
        }
    }
    // The order of the classes is the order of harm: a level that allows a riskier one and not a
    // milder one is a slip.
    if let Some(pair) = Risk::ALL
        .windows(2)
        .find(|pair| rung.verdicts[pair[0] as usize] > rung.verdicts[pair[1] as usize])
    {
        let (milder, riskier) = (pair[0], pair[1]);
        let (strict, lax) = (
            rung.verdicts[milder as usize],
            rung.verdicts[riskier as usize],
        );
        let span = span_of(&entry.level).unwrap_or_default();
        notes
            .warning(
                span,
                format!(
                    "level `{}` says {strict} to `{milder}` tools and {lax} to `{riskier}` ones",
                    rung.level
                ),
            )
            .hint("riskier tools usually get the stricter verdict");
    }
    if entry.tools.value().is_some() {
        rung.tools = Some(
            items(&entry.tools)
                .filter_map(|at| tool(at, notes))
                .collect(),
        );
    }
    rung.volume = entry.volume.value().map(|rate| rate.0).or(rung.volume);
    rung.concurrency =
        number(&entry.concurrency, "concurrency", &CONCURRENCY, notes).or(rung.concurrency);
    rung.validation = entry.validation.value().copied().or(rung.validation);
    rung.changes = entry.changes.value().copied().unwrap_or(rung.changes);
}

fn flow_down(ladder: &mut Ladder) {
    let mut above: Option<Rung> = None;
    for rung in ladder.rungs_mut().iter_mut().rev() {
        if let Some(above) = &above {
            rung.tools = rung.tools.take().or_else(|| above.tools.clone());
            rung.volume = rung.volume.or(above.volume);
            rung.concurrency = rung.concurrency.or(above.concurrency);
            rung.validation = rung.validation.or(above
                .validation
                .filter(|validation| *validation == Validation::Strict));
        }
        above = Some(rung.clone());
    }
}

fn widens_upwards(ladder: &Ladder, spans: &BTreeMap<String, SourceSpan>, notes: &mut Notes<'_>) {
    for pair in ladder.rungs().windows(2) {
        let [below, above] = pair else { continue };
        // Report it at the level that was written; a built-in pair is never wrong.
        let Some(span) = spans
            .get(below.level.as_str())
            .or_else(|| spans.get(above.level.as_str()))
        else {
            continue;
        };
        for excess in excesses(below, above) {
            notes
                .error(
                    span.clone(),
                    format!(
                        "level `{}` allows what `{}` above it does not: {excess}",
                        below.level, above.level
                    ),
                )
                .hint(format!(
                    "tighten `{}`, or widen `{}`",
                    below.level, above.level
                ));
        }
    }
}

/// Everything that `below` allows and `above` does not.
fn excesses(below: &Rung, above: &Rung) -> Vec<String> {
    let mut found = Vec::new();
    for risk in Risk::ALL {
        let (lower, upper) = (below.verdicts[risk as usize], above.verdicts[risk as usize]);
        if lower < upper {
            found.push(format!("`{risk}` tools get {lower} instead of {upper}"));
        }
    }
    if let Some(allowed) = &above.tools {
        let extra = below
            .tools
            .iter()
            .flatten()
            .find(|tool| !allowed.contains(*tool));
        found.extend(extra.map(|tool| format!("tool `{tool}`")));
    }
    let more_volume = |lower: Volume, upper: Volume| {
        u64::from(lower.calls) * u64::from(upper.per_seconds)
            > u64::from(upper.calls) * u64::from(lower.per_seconds)
    };
    if below
        .volume
        .zip(above.volume)
        .is_some_and(|(lower, upper)| more_volume(lower, upper))
    {
        found.push("a higher volume".to_owned());
    }
    if below
        .concurrency
        .zip(above.concurrency)
        .is_some_and(|(lower, upper)| lower > upper)
    {
        found.push("more calls at once".to_owned());
    }
    if below.validation == Some(Validation::Schemas) && above.validation == Some(Validation::Strict)
    {
        found.push("weaker validation".to_owned());
    }
    if below.changes == Changes::Open && above.changes == Changes::Frozen {
        found.push("changes".to_owned());
    }
    found
}
