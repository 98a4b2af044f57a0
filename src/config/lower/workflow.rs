//! What a workflow document means.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::context::{LoadContext, find_tool, listed};
use super::earn::Around;
use super::expression::CallShape;
use super::ladder::LoweredLadder;
use super::rules::condition;
use super::written::{interval, items, location, name, number, required, span_of};
use super::{earn, hold, ladder, mode, objective};
use crate::config::diagnostics::Notes;
use crate::config::evidence::Tables;
use crate::config::source::setting::{At, Setting};
use crate::config::source::workflow::{
    CapsEntry, CheckEntry, Disclose, FinishWord, LoseEntry, Record, RunEntry, Switch,
    WorkflowDocument,
};
use crate::config::tiers;
use crate::config::tiers::Defaults;
use crate::gate::check::Check;
use crate::gate::level::Validation;
use crate::gate::name::{LevelName, ToolName, WorkflowName};
use crate::gate::policy::condition::ConditionScope;
use crate::gate::policy::{RunRules, Workflow};
use crate::gate::risk::{Risk, Tier};
use crate::gate::terms::{Lose, PostureCaps, Terms};
use crate::gate::time::{days, hours, minutes};
use crate::gate::verdict::Verdict;

/// The most tools that one workflow reaches.
pub(super) const MAX_REACH: usize = 1000;

/// How often an idempotent call may be sent again at most.
pub(super) const RETRIES: RangeInclusive<u64> = 0..=5;

/// From which time on the same call is refused in one run, where the policy does not say. A model
/// that is stuck repeats itself quickly. Work that rightly repeats so often in one run, such as
/// taking the next item of a queue, needs a higher `loop` in its policy.
const REPEATS: u32 = 10;

/// The range of `loop`. Its end is the most calls that a run can have.
const LOOP: RangeInclusive<u64> = 2..=1_000_000;

/// The most runs that `check.min` can put to people each week: they could not judge more.
pub(super) const MOST_CHECKS: u32 = 10_000;

/// Lowers `document`. Errors go to `notes`; `None` where there is no workflow to go on with.
pub(super) fn lower(
    document: &WorkflowDocument,
    known: &LoadContext,
    tables: &mut Tables,
    notes: &mut Notes<'_>,
) -> Option<Workflow> {
    let at = document.workflow.given()?;
    let workflow_name = name(at, "a workflow", notes);
    let owner = format!("workflow `{}`", at.value);
    let risk = required(&document.risk, "risk", &owner, &at.span, notes);
    // What follows is checked even without a tier; the strictest stands in.
    let tier = risk.map_or(Tier::High, |risk| risk.value);
    let defaults = tiers::defaults(tier);

    let tools = reach(document, at, known, notes);
    accepted_risk(document, tier, known, notes);
    let objective = objective::lower(&document.objective, tier, defaults, at, tables, notes);
    let ladder = ladder::lower(
        &document.levels,
        |tool, notes| find_tool(tool, known, notes),
        notes,
    );
    let starts = level(&document.starts, "starts", defaults.starts, &ladder, notes);
    let caps = caps(&document.caps, defaults, &ladder, notes);
    let hold = hold::lower(&document.hold, defaults, notes);
    let validation = document
        .validation
        .value()
        .copied()
        .unwrap_or(defaults.validation);
    strict_without_schema(document, validation, &tools, at, known, notes);
    hold::enough_approvers(document, &hold, &tools, at, known, notes);
    let (earn, skips) = earn::lower(
        document,
        &Around {
            tools: &tools,
            ladder: &ladder,
            starts: &starts,
        },
        notes,
    );

    let was = document
        .was
        .given()
        .and_then(|was| name(was, "a workflow", notes))
        .map(WorkflowName::from);
    let terms = Terms {
        tier,
        was,
        objective,
        ladder: ladder.ladder,
        starts,
        caps,
        recovery: document
            .recovery
            .value()
            .copied()
            .unwrap_or(defaults.recovery),
        lose: lose(&document.lose, notes),
        reads_only: reads_only(&tools, known),
        grant: hold.grant,
        check: check(&document.check, notes),
        earn,
        reach: more_than_reads(&tools, known),
    };
    risk?;
    Some(Workflow {
        name: WorkflowName::from(workflow_name?),
        terms: terms.into(),
        tools,
        unlisted: unlisted(&document.unlisted, defaults, notes),
        run: run(&document.run, notes),
        hold,
        skips,
        validation,
        exposure: document
            .exposure
            .value()
            .map_or(defaults.exposure, |switch| *switch == Switch::On),
        retries: number(&document.retries, "retries", &RETRIES, notes).unwrap_or(defaults.retries),
        record_arguments: document
            .record
            .value()
            .is_some_and(|record| *record == Record::Arguments),
        disclose_remaining: document
            .disclose
            .value()
            .map_or(defaults.disclose_remaining, |disclose| {
                *disclose == Disclose::Budget
            }),
        mode: mode::lower(&document.mode, &document.until, known.now, notes),
        location: location(&at.span, notes),
    })
}

fn reach(
    document: &WorkflowDocument,
    at: &At<String>,
    known: &LoadContext,
    notes: &mut Notes<'_>,
) -> BTreeSet<ToolName> {
    required(
        &document.tools,
        "tools",
        &format!("workflow `{}`", at.value),
        &at.span,
        notes,
    );
    let mut tools = BTreeSet::new();
    for tool in items(&document.tools) {
        if let Some(tool_name) = find_tool(tool, known, notes)
            && !tools.insert(tool_name)
        {
            notes.warning(
                tool.span.clone(),
                format!("tool `{}` is listed twice", tool.value),
            );
        }
    }
    if let Some(span) = span_of(&document.tools) {
        if document.tools.value().is_some_and(Vec::is_empty) {
            notes
                .warning(span, format!("workflow `{}` reaches no tool", at.value))
                .hint("list the tools that it may call, each as `api/tool`");
        } else if tools.len() > MAX_REACH {
            notes.error(
                span,
                format!(
                    "workflow `{}` reaches more than {MAX_REACH} tools",
                    at.value
                ),
            );
        }
    }
    tools
}

fn reads_only(tools: &BTreeSet<ToolName>, known: &LoadContext) -> bool {
    !tools.is_empty()
        && tools
            .iter()
            .all(|tool| known.tools.get(tool) == Some(&Some(Risk::Read)))
}

/// The tools that may do more than read.
fn more_than_reads(tools: &BTreeSet<ToolName>, known: &LoadContext) -> BTreeSet<ToolName> {
    let does_more = |tool: &&ToolName| {
        let risk = known.tools.get(tool.as_str());
        risk.is_some_and(|risk| *risk != Some(Risk::Read))
    };
    tools.iter().filter(does_more).cloned().collect()
}

/// A low-tier workflow has the laxest defaults; reaching a high-risk tool under them takes a
/// reason.
fn accepted_risk(
    document: &WorkflowDocument,
    tier: Tier,
    known: &LoadContext,
    notes: &mut Notes<'_>,
) {
    if let Some(at) = document
        .accept_risk
        .given()
        .filter(|at| at.value.trim().is_empty())
    {
        notes
            .error(at.span.clone(), "`accept_risk` is empty")
            .hint("write the reason: it is shown in every review");
    }
    if tier != Tier::Low || !document.accept_risk.is_absent() {
        return;
    }
    for tool in items(&document.tools) {
        if known.tools.get(tool.value.as_str()) == Some(&Some(Risk::High)) {
            notes
                .error(
                    tool.span.clone(),
                    format!(
                        "a low-tier workflow reaches `{}`, which is high-risk",
                        tool.value
                    ),
                )
                .hint("raise the workflow's `risk`, or write `accept_risk: \"reason\"`");
        }
    }
}

fn level(
    field: &Setting<String>,
    key: &str,
    default: &str,
    ladder: &LoweredLadder,
    notes: &mut Notes<'_>,
) -> LevelName {
    field
        .given()
        .and_then(|at| ladder.find(at, key, notes))
        .unwrap_or_else(|| LevelName::from(default))
}

fn caps(
    field: &Setting<CapsEntry>,
    defaults: Defaults,
    ladder: &LoweredLadder,
    notes: &mut Notes<'_>,
) -> PostureCaps {
    let nothing = CapsEntry::default();
    let entry = field.value().unwrap_or(&nothing);
    let caps = PostureCaps {
        at_risk: level(&entry.at_risk, "at_risk", defaults.at_risk, ladder, notes),
        burned: level(&entry.burned, "burned", defaults.burned, ladder, notes),
        breached: level(
            &entry.breached,
            "breached",
            defaults.breached,
            ladder,
            notes,
        ),
    };
    let rank = |level: &LevelName| ladder.ladder.find(level.as_str());
    for (worse, cap, better, other) in [
        ("burned", &caps.burned, "at_risk", &caps.at_risk),
        ("breached", &caps.breached, "burned", &caps.burned),
    ] {
        if rank(cap) > rank(other)
            && let Some(at) = field.given()
        {
            notes
                .warning(at.span.clone(), format!("`caps`: a workflow that is {worse} may do more ({cap}) than one that is {better} ({other})"))
                .hint("a worse posture should not leave a higher level");
        }
    }
    caps
}

fn unlisted(field: &Setting<Verdict>, defaults: Defaults, notes: &mut Notes<'_>) -> Verdict {
    match field.given() {
        None => defaults.unlisted,
        Some(at) if at.value == Verdict::Allow => {
            notes
                .error(
                    at.span.clone(),
                    "`unlisted: allow` would let every unknown call pass",
                )
                .hint(
                    "write `hold` or `deny`; to find out what an agent calls, use `mode: shadow`",
                );
            Verdict::Deny
        }
        Some(at) => at.value,
    }
}

fn run(field: &Setting<RunEntry>, notes: &mut Notes<'_>) -> RunRules {
    let nothing = RunEntry::default();
    let entry = field.value().unwrap_or(&nothing);
    let lease = interval(
        &entry.lease,
        "lease",
        &(Duration::from_secs(1)..=days(7)),
        minutes(15),
        notes,
    );
    let max = interval(
        &entry.max,
        "max",
        &(Duration::from_secs(1)..=days(30)),
        lease.max(hours(1)),
        notes,
    );
    if max < lease
        && let Some(span) = span_of(&entry.max)
    {
        notes
            .error(span, "`max` is shorter than `lease`")
            .hint("a run would always end before its lease does");
    }
    RunRules {
        key: condition(
            &entry.key,
            "key",
            ConditionScope::Request,
            CallShape::default(),
            notes,
        ),
        lease,
        max,
        calls: number(&entry.calls, "calls", &(1..=1_000_000), notes).unwrap_or(1000),
        repeats: number(&entry.r#loop, "loop", &LOOP, notes).unwrap_or(REPEATS),
        finish_required: entry.finish.value() == Some(&FinishWord::Required),
    }
}

/// Strict validation holds every call of a tool without a schema, reads excepted: rarely what was
/// intended.
fn strict_without_schema(
    document: &WorkflowDocument,
    validation: Validation,
    tools: &BTreeSet<ToolName>,
    at: &At<String>,
    known: &LoadContext,
    notes: &mut Notes<'_>,
) {
    let held: Vec<&str> = tools
        .intersection(&known.without_schema)
        .map(ToolName::as_str)
        .collect();
    if validation == Validation::Strict && !held.is_empty() {
        let span = span_of(&document.validation).unwrap_or_else(|| at.span.clone());
        notes
            .warning(span, format!("every call of {} is held: validation of `{}` is strict, and there is no schema", listed(held.into_iter()), at.value))
            .hint("write `arguments` for the tool (`arguments: { type: \"null\" }` where it takes no body), or `validation: schemas` for the workflow");
    }
}

fn lose(field: &Setting<LoseEntry>, notes: &mut Notes<'_>) -> Lose {
    let nothing = LoseEntry::default();
    let entry = field.value().unwrap_or(&nothing);
    Lose {
        burns: number(&entry.burns, "burns", &(1..=100), notes).unwrap_or(2),
        within: interval(
            &entry.within,
            "within",
            &(days(1)..=days(365)),
            days(90),
            notes,
        ),
        drop: number(&entry.drop, "drop", &(1..=31), notes).unwrap_or(1),
    }
}

/// `min` is a number a week, however it is written; a policy that asks for neither asks for
/// nothing.
fn check(field: &Setting<CheckEntry>, notes: &mut Notes<'_>) -> Option<Check> {
    let at = field.given()?;
    let sample_ppm = at.value.sample.value().map_or(0, |share| share.0);
    let min = at.value.min.given().map_or(0, |min| {
        let weekly = u64::from(min.value.0.calls) * days(7).as_secs() / u64::from(min.value.0.per_seconds);
        u32::try_from(weekly).ok().filter(|weekly| *weekly <= MOST_CHECKS).unwrap_or_else(|| {
            notes
                .error(min.span.clone(), format!("`min`: expected at most {MOST_CHECKS} runs a week, found {weekly}"))
                .hint("each of them is put to a person; `sample` draws a share of the runs instead");
            0
        })
    });
    if sample_ppm == 0 && min == 0 {
        notes
            .warning(at.span.clone(), "`check` draws no run")
            .hint("write `sample`, such as 5%, or `min`, such as 20/week");
        return None;
    }
    Some(Check { sample_ppm, min })
}
