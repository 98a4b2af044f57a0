//! A workflow, as YAML.

use std::collections::BTreeSet;

use super::mapping::MappingBuilder;
use crate::config::quantity::{Growth, Interval, Percentage, Rate};
use crate::config::source::tree::{YamlKind, YamlNode};
use crate::gate::budget::Objective;
use crate::gate::budget::posture::Recovery;
use crate::gate::check::Check;
use crate::gate::earn::{Gain, Step, StepTrigger};
use crate::gate::level::{BUILT_IN, Changes, Rung, Validation, Volume};
use crate::gate::outcome::FailureMode;
use crate::gate::policy::{Condition, HoldRules, Inbox, RunRules, Workflow};
use crate::gate::risk::Risk;
use crate::gate::time::days;

/// Seconds in a week: the time that `check.min` is written in.
const WEEK: u32 = 7 * 86_400;

pub(super) fn workflow_document(workflow: &Workflow, written: Option<&YamlNode>) -> MappingBuilder {
    let terms = &workflow.terms;
    let caps = MappingBuilder::default()
        .text("at_risk", &terms.caps.at_risk)
        .text("burned", &terms.caps.burned)
        .text("breached", &terms.caps.breached);
    let lose = MappingBuilder::default()
        .whole("burns", terms.lose.burns)
        .text("within", Interval(terms.lose.within))
        .whole("drop", terms.lose.drop);
    let recovery = match terms.recovery {
        Recovery::Automatic => "automatic",
        Recovery::Cause => "cause",
    };
    let entries = MappingBuilder::default()
        .text("workflow", &workflow.name)
        .optional("was", terms.was.as_ref())
        .text("risk", terms.tier)
        .taken_over(&["accept_risk"], written)
        .with("objective", objective(&terms.objective).into_node())
        .list("tools", workflow.tools.iter().map(YamlNode::text))
        .text("unlisted", workflow.unlisted)
        .with("run", run(&workflow.run).into_node())
        .text("starts", &terms.starts)
        .with("caps", caps.into_node())
        .list("levels", levels(terms.ladder.rungs()))
        .with_some(
            "earn",
            (!terms.earn.is_empty()).then(|| {
                YamlNode::unwritten(YamlKind::List(terms.earn.steps.iter().map(step).collect()))
            }),
        )
        .with("lose", lose.into_node())
        .text("recovery", recovery)
        .with("hold", hold(&workflow.hold).into_node())
        .with_some("check", terms.check.map(|check| drawn(check).into_node()))
        .optional(
            "settle",
            (!terms.earn.is_empty()).then_some(Interval(terms.earn.settle)),
        )
        .optional(
            "spot_check",
            (!terms.earn.is_empty()).then_some(Percentage(terms.earn.spot_check_ppm)),
        )
        .text(
            "record",
            if workflow.record_arguments {
                "arguments"
            } else {
                "facts"
            },
        )
        .text("validation", validation(workflow.validation))
        .text("exposure", if workflow.exposure { "on" } else { "off" })
        .whole("retries", workflow.retries)
        .text(
            "disclose",
            if workflow.disclose_remaining {
                "budget"
            } else {
                "level"
            },
        );
    entries.mode(workflow.mode)
}

fn objective(objective: &Objective) -> MappingBuilder {
    let modes = |modes: &BTreeSet<FailureMode>| {
        modes
            .iter()
            .map(YamlNode::text)
            .collect::<Vec<_>>()
            .into_iter()
    };
    let mut entries = MappingBuilder::default()
        .text("target", Percentage(objective.target_ppm))
        .text("window", Interval(objective.window));
    if objective.expected_written {
        entries = entries.whole("expected_runs", objective.expected_runs);
    }
    entries
        .list("unacceptable", modes(&objective.unacceptable))
        .list("critical", modes(&objective.critical))
}

fn run(rules: &RunRules) -> MappingBuilder {
    MappingBuilder::default()
        .optional("key", rules.key.as_ref().map(Condition::source))
        .text("lease", Interval(rules.lease))
        .text("max", Interval(rules.max))
        .whole("calls", rules.calls)
        .whole("loop", rules.repeats)
        .text(
            "finish",
            if rules.finish_required {
                "required"
            } else {
                "optional"
            },
        )
}

pub(super) fn waits_by_protocol(hold: &HoldRules) -> bool {
    hold.wait != hold.wait_mcp
}

fn hold(hold: &HoldRules) -> MappingBuilder {
    let entries = if waits_by_protocol(hold) {
        MappingBuilder::default()
    } else {
        MappingBuilder::default().text("wait", Interval(hold.wait))
    };
    let approvals = MappingBuilder::default()
        .whole("high", hold.approvals_high)
        .whole("other", hold.approvals);
    let Inbox {
        run,
        agent,
        workflow,
    } = hold.inbox;
    let inbox = MappingBuilder::default()
        .whole("run", run)
        .whole("agent", agent)
        .whole("workflow", workflow);
    let entries = entries
        .text("expires", Interval(hold.expires))
        .text("grant", Interval(hold.grant))
        .with("approvals", approvals.into_node());
    let entries = entries.with("inbox", inbox.into_node());
    match &hold.escalate {
        None => entries,
        Some(rule) => entries
            .text("escalate_to", &rule.to)
            .text("after", Interval(rule.after)),
    }
}

fn step(step: &Step) -> YamlNode {
    let how = match step.how {
        StepTrigger::Automatic => "automatic",
        StepTrigger::Propose => "propose",
    };
    let entries = MappingBuilder::default()
        .text("step", &step.name)
        .text("after", Interval(days(step.after_days.into())));
    let entries = match &step.gain {
        Gain::Volume { times } => entries.text("volume", Growth::Times(*times)),
        Gain::VolumeTo { cap } => entries.text("volume", Growth::To(Rate(*cap))),
        Gain::Level { to } => entries.text("to", to),
        Gain::Skip { tool, rule, cases } => {
            let skip = MappingBuilder::default()
                .text("tool", tool)
                .text("rule", rule)
                .optional("where", cases.as_deref());
            entries.with("skip", skip.into_node())
        }
    };
    entries.text("how", how).into_node()
}

fn drawn(check: Check) -> MappingBuilder {
    let min = (check.min > 0).then_some(Rate(Volume {
        calls: check.min,
        per_seconds: WEEK,
    }));
    MappingBuilder::default()
        .text("sample", Percentage(check.sample_ppm))
        .optional("min", min)
}

const fn validation(validation: Validation) -> &'static str {
    match validation {
        Validation::Schemas => "schemas",
        Validation::Strict => "strict",
    }
}

/// The rungs, lowest first, so that each `above` names a level that is known by then.
fn levels(rungs: &[Rung]) -> impl Iterator<Item = YamlNode> {
    let below = std::iter::once(None).chain(rungs.iter().map(Some));
    rungs.iter().zip(below).map(|(rung, below)| {
        let is_built_in = BUILT_IN.contains(&rung.level.as_str());
        let mut entries = MappingBuilder::default().text("level", &rung.level);
        entries = entries.optional(
            "above",
            below.filter(|_| !is_built_in).map(|below| &below.level),
        );
        for risk in Risk::ALL {
            entries = entries.text(risk.as_str(), rung.verdicts[risk as usize]);
        }
        if let Some(tools) = &rung.tools {
            entries = entries.list("tools", tools.iter().map(YamlNode::text));
        }
        let changes = match rung.changes {
            Changes::Frozen => "frozen",
            Changes::Open => "open",
        };
        entries = entries.optional("volume", rung.volume.map(Rate));
        if let Some(concurrency) = rung.concurrency {
            entries = entries.whole("concurrency", concurrency);
        }
        entries
            .optional("validation", rung.validation.map(validation))
            .text("changes", changes)
            .into_node()
    })
}
