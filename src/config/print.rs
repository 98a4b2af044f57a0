//! Policies as they are understood: every document with its defaults filled in, as YAML that means
//! the same (`burngate check --print`).
//!
//! Written from the lowered values, so that what is shown is what is enforced; keys that are
//! accepted and not acted on yet are taken over as they are written. Comments are lost. Printing
//! and loading again gives the same version.

use std::fmt::Write as _;

use super::diagnostics::SourceFile;
use super::lower::is_attachment;
use super::quantity::{Date, Growth, Interval, Percentage, Rate, Size};
use super::source::tree;
use super::source::tree::{YamlKey, YamlKind, YamlNode};
use crate::gate::budget::posture::Recovery;
use crate::gate::check::Check;
use crate::gate::earn::{Gain, Step, StepTrigger};
use crate::gate::level::{BUILT_IN, Changes, Rung, Validation, Volume};
use crate::gate::outcome::FailureMode;
use crate::gate::policy::dedup::{Duplicate, Limit, Reverses};
use crate::gate::policy::signal::{About, Says, SecretPlace};
use crate::gate::policy::{
    Api, Condition, DedupRules, HoldRules, Inbox, Mode, Mount, Parameter, PolicySet, Protocol,
    Rule, Signal, Tool, Workflow,
};
use crate::gate::risk::Risk;
use crate::gate::time::days;

/// Seconds in a week: the time that `check.min` is written in.
const WEEK: u32 = 7 * 86_400;

/// Every document of `policies`, APIs first. `files` are those that they were loaded from.
#[must_use]
pub fn print(policies: &PolicySet, files: &[SourceFile]) -> String {
    let written: Vec<YamlNode> = files
        .iter()
        .filter(|file| !is_attachment(&file.name))
        .flat_map(|file| tree::read(&file.text).unwrap_or_default())
        .collect();
    let find = |kind: &str, name: &str| {
        written.iter().find(|node| {
            node.get(kind).is_some_and(|found| {
                *found == YamlNode::text(name) || found.described() == format!("`{name}`")
            })
        })
    };
    let mut text = String::new();
    for api in policies.apis.values() {
        document(&mut text, "", api_document(api));
    }
    for signal in policies.signals.values() {
        document(&mut text, "", signal_document(signal));
    }
    for workflow in policies.workflows.values() {
        document(
            &mut text,
            &remarks(workflow),
            workflow_document(workflow, find("workflow", workflow.name.as_str())),
        );
    }
    text
}

fn document(text: &mut String, remarks: &str, entries: MappingBuilder) {
    let yaml = serde_saphyr::to_string(&entries.into_node()).unwrap_or_default();
    let _ = write!(text, "---\n{remarks}{}\n", yaml.trim_end());
}

/// Defaults that cannot be written out without changing their meaning, as comments.
fn remarks(workflow: &Workflow) -> String {
    let mut remarks = String::new();
    let objective = &workflow.terms.objective;
    if !objective.expected_written {
        let _ = writeln!(
            remarks,
            "# objective.expected_runs is not written: {} until there are more",
            objective.expected_runs
        );
    }
    if waits_by_protocol(&workflow.hold) {
        let _ = writeln!(
            remarks,
            "# hold.wait is not written: {} for http, {} for mcp",
            Interval(workflow.hold.wait),
            Interval(workflow.hold.wait_mcp)
        );
    }
    remarks
}

fn waits_by_protocol(hold: &HoldRules) -> bool {
    hold.wait != hold.wait_mcp
}

/// A mapping in the making.
#[derive(Default)]
struct MappingBuilder(Vec<(YamlKey, YamlNode)>);

impl MappingBuilder {
    fn with(mut self, key: &str, value: YamlNode) -> Self {
        self.0.push((
            YamlKey {
                span: 0..0,
                text: key.to_owned(),
            },
            value,
        ));
        self
    }

    fn text(self, key: &str, value: impl std::fmt::Display) -> Self {
        self.with(key, YamlNode::text(value))
    }

    fn whole(self, key: &str, value: impl Into<u64>) -> Self {
        self.with(key, YamlNode::whole(value.into()))
    }

    fn flag(self, key: &str, value: bool) -> Self {
        self.with(key, YamlNode::unwritten(YamlKind::Bool(value)))
    }

    fn list(self, key: &str, items: impl Iterator<Item = YamlNode>) -> Self {
        self.with(key, YamlNode::unwritten(YamlKind::List(items.collect())))
    }

    fn optional(self, key: &str, value: Option<impl std::fmt::Display>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    fn with_some(self, key: &str, value: Option<YamlNode>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    fn rule(self, key: &str, rule: Option<&Rule>) -> Self {
        match rule {
            None => self,
            Some(Rule {
                condition,
                mode: Mode::Enforce,
                ..
            }) => self.text(key, condition.source()),
            Some(rule) => self.with(
                key,
                mode(
                    MappingBuilder::default().text("if", rule.condition.source()),
                    rule.mode,
                )
                .into_node(),
            ),
        }
    }

    /// Takes `keys` over as they are written.
    fn taken_over(mut self, keys: &[&str], written: Option<&YamlNode>) -> Self {
        for key in keys {
            if let Some(value) = written.and_then(|written| written.get(key)) {
                self = self.with(key, value.clone());
            }
        }
        self
    }

    fn into_node(self) -> YamlNode {
        YamlNode::unwritten(YamlKind::Map(self.0))
    }
}

fn api_document(api: &Api) -> MappingBuilder {
    let protocol = match api.protocol {
        Protocol::Http => "http",
        Protocol::Mcp => "mcp",
    };
    let mut entries = MappingBuilder::default()
        .text("api", &api.name)
        .text("protocol", protocol)
        .text("upstream", &api.upstream);
    entries = match &api.mount {
        Mount::Route(route) => entries.text("route", route),
        Mount::Hosts(hosts) => entries.list("hosts", hosts.iter().map(YamlNode::text)),
    };
    let overrides = api.overrides.names();
    if !overrides.is_empty() {
        entries = entries.list("overrides", overrides.iter().map(YamlNode::text));
    }
    if api.overrides.underscores() {
        entries = entries.text("underscores", "pass");
    }
    let mut tools: Vec<&Tool> = api.tools.iter().map(|tool| &**tool).collect();
    tools.sort_by_key(|tool| tool.place.line);
    let tools = tools.into_iter().map(|tool| tool_entry(tool).into_node());
    // `openapi` is not taken over: what it fills in is written out.
    entries
        .text("timeout", Interval(api.timeout))
        .list("tools", tools)
}

fn tool_entry(tool: &Tool) -> MappingBuilder {
    let name = tool
        .name
        .as_str()
        .split_once('/')
        .map_or("", |(_, name)| name);
    let mut entries = MappingBuilder::default()
        .text("tool", name)
        .text("match", tool.pattern.source())
        .text("risk", tool.risk);
    entries = entries.optional("subject", tool.subject.as_ref().map(Condition::source));
    if let Some(schema) = &tool.arguments {
        entries = entries.with("arguments", YamlNode::from_json(schema.source()));
    }
    if !tool.parameters.is_empty() {
        entries = entries.list("parameters", tool.parameters.iter().map(parameter));
    }
    entries = entries
        .rule("deny_when", tool.deny_when.as_ref())
        .rule("hold_when", tool.hold_when.as_ref())
        .rule("escalate_when", tool.escalate_when.as_ref())
        .rule("failure_when", tool.failure_when.as_ref())
        .optional("always", tool.always)
        .optional("volume", tool.volume.map(Rate));
    if let Some(concurrency) = tool.concurrency {
        entries = entries.whole("concurrency", concurrency);
    }
    if let Some(rules) = &tool.dedup {
        entries = dedup_rules(entries, rules);
    }
    for (key, is_on) in [
        ("forbidden", tool.forbidden),
        ("escalation", tool.escalation),
    ] {
        entries = if is_on {
            entries.flag(key, true)
        } else {
            entries
        };
    }
    let entries = entries
        .flag("idempotent", tool.idempotent)
        .optional("body", tool.body.map(Size))
        .text("timeout", Interval(tool.timeout))
        .optional("fallback", tool.fallback.as_ref());
    mode(entries, tool.mode)
}

fn parameter(parameter: &Parameter) -> YamlNode {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut entries = MappingBuilder::default()
        .text("name", &parameter.name)
        .text("in", word(serde_json::json!(parameter.within)));
    entries = entries
        .flag("required", parameter.required)
        .text("list", word(serde_json::json!(parameter.form)));
    if let Some(schema) = &parameter.schema {
        entries = entries.with("schema", YamlNode::from_json(schema.source()));
    }
    entries.into_node()
}

fn dedup_rules(mut entries: MappingBuilder, rules: &DedupRules) -> MappingBuilder {
    if let Some(Duplicate {
        key,
        within,
        verdict,
        mode,
        ..
    }) = &rules.duplicate
    {
        let key = key.iter().map(|part| YamlNode::text(part.source()));
        let duplicate = MappingBuilder::default()
            .list("key", key)
            .text("within", Interval(*within))
            .text("verdict", verdict.as_str());
        entries = entries.with("duplicate", own_mode(duplicate, *mode).into_node());
    }
    if let Some(Reverses { tool, within, .. }) = &rules.reverses {
        entries = entries.with(
            "reverses",
            MappingBuilder::default()
                .text("tool", tool)
                .text("within", Interval(*within))
                .into_node(),
        );
    }
    if rules.limits.is_empty() {
        entries
    } else {
        entries.list("limits", rules.limits.iter().map(limit))
    }
}

fn limit(limit: &Limit) -> YamlNode {
    let entries = match &limit.sum {
        Some(sum) => MappingBuilder::default().text("sum", sum.source()),
        None => MappingBuilder::default().flag("count", true),
    };
    let mut entries = entries
        .text("per", limit.per.as_str())
        .text("within", Interval(limit.within));
    for (key, bound) in [
        ("hold_above", limit.hold_above),
        ("deny_above", limit.deny_above),
    ] {
        // A number as it is written: read again, it is the same amount.
        let number = bound.and_then(|bound| bound.to_string().parse::<serde_json::Number>().ok());
        entries = match number {
            Some(number) => {
                entries.with(key, YamlNode::from_json(&serde_json::Value::Number(number)))
            }
            None => entries,
        };
    }
    own_mode(entries, limit.mode).into_node()
}

/// The mode of a rule: one that enforces is what its tool makes of it.
fn own_mode(entries: MappingBuilder, rule: Mode) -> MappingBuilder {
    match rule {
        Mode::Enforce => entries,
        Mode::Shadow { .. } => mode(entries, rule),
    }
}

fn mode(entries: MappingBuilder, mode: Mode) -> MappingBuilder {
    match mode {
        Mode::Enforce => entries.text("mode", "enforce"),
        Mode::Shadow { until } => entries.text("mode", "shadow").text("until", Date(until)),
    }
}

fn workflow_document(workflow: &Workflow, written: Option<&YamlNode>) -> MappingBuilder {
    let terms = &workflow.terms;
    let modes = |modes: &std::collections::BTreeSet<FailureMode>| {
        modes
            .iter()
            .map(YamlNode::text)
            .collect::<Vec<_>>()
            .into_iter()
    };
    let mut objective = MappingBuilder::default()
        .text("target", Percentage(terms.objective.target_ppm))
        .text("window", Interval(terms.objective.window));
    if terms.objective.expected_written {
        objective = objective.whole("expected_runs", terms.objective.expected_runs);
    }
    let objective = objective
        .list("unacceptable", modes(&terms.objective.unacceptable))
        .list("critical", modes(&terms.objective.critical));
    let run = MappingBuilder::default()
        .optional("key", workflow.run.key.as_ref().map(Condition::source))
        .text("lease", Interval(workflow.run.lease))
        .text("max", Interval(workflow.run.max))
        .whole("calls", workflow.run.calls)
        .whole("loop", workflow.run.repeats)
        .text(
            "finish",
            if workflow.run.finish_required {
                "required"
            } else {
                "optional"
            },
        );
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
        .with("objective", objective.into_node())
        .list("tools", workflow.tools.iter().map(YamlNode::text))
        .text("unlisted", workflow.unlisted)
        .with("run", run.into_node())
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
    mode(entries, workflow.mode)
}

fn signal_document(signal: &Signal) -> MappingBuilder {
    let entries = MappingBuilder::default()
        .text("signal", &signal.name)
        .optional("workflow", signal.workflow.as_ref())
        .rule("when", signal.when.as_ref());
    let entries = match &signal.about {
        About::Run(run) => entries.rule("run", Some(run)),
        About::Subject(subject, tool) => entries
            .rule("subject", Some(subject))
            .optional("tool", tool.as_ref()),
    };
    let entries = match &signal.says {
        Says::Wrong(mode) => entries.text("mode", mode),
        Says::Right => entries.flag("right", true),
    };
    let entries = entries
        .rule("note", signal.note.as_ref())
        .rule("ref", signal.reference.as_ref());
    match &signal.secret {
        None => entries,
        Some(SecretPlace::File(file)) => entries.text("secret_file", file),
        Some(SecretPlace::Variable(variable)) => entries.text("secret_env", variable),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::starter::starter;
    use crate::config::{Process, load};
    use crate::gate::risk::Tier;
    use crate::gate::time::Time;

    const NOW: Time = Time::from_millis(1_795_000_000_000);

    fn round_trip(files: &[SourceFile]) -> String {
        let loaded = load(files, &Process::default(), NOW)
            .unwrap_or_else(|found| panic!("{}", found.render(false)));
        let printed = print(&loaded.policies, files);
        let again = [SourceFile::new("printed.yaml", printed.clone())];
        let reloaded = load(&again, &Process::default(), NOW)
            .unwrap_or_else(|found| panic!("{}\n{printed}", found.render(false)));
        assert_eq!(
            reloaded.policies.version, loaded.policies.version,
            "{printed}"
        );
        assert_eq!(print(&reloaded.policies, &again), printed);
        printed
    }

    #[test]
    fn what_is_printed_means_the_same() {
        for tier in [Tier::Low, Tier::Medium, Tier::High] {
            let files: Vec<_> = starter("w", tier, "http://x", None, None)
                .into_iter()
                .map(|(name, text)| SourceFile::new(name, text))
                .collect();
            round_trip(&files);
        }
    }

    #[test]
    fn every_key_survives_being_printed() {
        let api = "
api: 007
protocol: mcp
upstream: https://x/mcp
hosts: [b.internal, a.internal]
timeout: 90s
tools:
  - { tool: a, risk: read, volume: 100/s, concurrency: 5, body: 4MiB, timeout: 250ms, mode: shadow, until: 2026-12-01 }
  - { tool: b, match: b/c, risk: high, always: hold, escalation: true, idempotent: true, subject: 'args[\"x y\"]', failure_when: 'response.status >= 500' }
  - { tool: c, risk: low, deny_when: 'args.n > 5.0 && tool != \"x: y\"', duplicate: { key: [args.n], within: 24h, verdict: count }, forbidden: true }
  - { tool: e, risk: low, deny_when: { if: 'args.n > 5.0', mode: shadow, until: 2026-12-01 }, hold_when: { if: 'args.n > 2.0', mode: enforce }, duplicate: { key: [args.n], within: 24h,
      mode: shadow, until: 2026-12-01 }, limits: [ { sum: args.n, per: agent, within: 1h, hold_above: 9, mode: shadow, until: 2026-12-02 } ] }
  - { tool: d, risk: high, subject: args.s, reverses: { tool: b, within: 7d }, duplicate: { key: [args.s, agent], within: 90m }, limits: [
      { sum: args.n, per: subject, within: 24h, hold_above: 1000, deny_above: 5000.5 }, { count: true, per: agent, within: 1h, deny_above: 0 } ] }
";
        let workflow = "
workflow: w
was: v
risk: low
accept_risk: \"because: reasons\"
objective: { target: 99.95%, window: 7d, expected_runs: 20000, unacceptable: [timeout, wrong_action, late], critical: [late] }
tools: [007/a, 007/b, 007/c, 007/d]
unlisted: deny
run: { lease: 5m, max: 2h, calls: 50, loop: 7, finish: required, key: \"header['x-ticket']\" }
starts: careful
caps: { at_risk: careful, burned: read_only, breached: halted }
levels:
  - { level: careful, above: supervised, high: hold, concurrency: 3 }
  - { level: bolder, above: careful, medium: allow }
  - { level: supervised, volume: 600/min, validation: strict, changes: frozen, tools: [007/a] }
lose: { burns: 3, within: 30d, drop: 2 }
recovery: cause
hold: { wait: 2s, expires: 30m, grant: 1m, approvals: { high: 1 } }
check: { sample: 5%, min: 20/week }
earn:
  - { step: volume, after: 30d, volume: x2, how: automatic }
  - { step: more, after: 45d, volume: 900/min }
  - { step: up, after: 60d, to: bolder }
  - { step: small, after: 90d, skip: { tool: 007/c, rule: hold_when, where: 'args.n < 2.0' } }
settle: 48h
spot_check: 25%
validation: strict
exposure: on
retries: 0
disclose: level
mode: shadow
until: 2026-12-24T12:00:00Z
";
        let printed = round_trip(&[
            SourceFile::new("a.yaml", api),
            SourceFile::new("w.yaml", workflow),
        ]);
        for kept in ["sample: 5%", "spot_check: 25%", "accept_risk:", "key:"] {
            assert!(printed.contains(kept), "{kept}\n{printed}");
        }
    }
}
