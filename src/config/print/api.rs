//! An API and its tools, as YAML.

use super::mapping::MappingBuilder;
use crate::config::quantity::{Interval, Rate, Size};
use crate::config::source::tree::YamlNode;
use crate::gate::policy::dedup::{Duplicate, Limit, Reverses};
use crate::gate::policy::{Api, Condition, DedupRules, Mount, Parameter, Protocol, Tool};

pub(super) fn api_document(api: &Api) -> MappingBuilder {
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
    if !api.credentials.is_empty() {
        let headers = api.credentials.iter().map(YamlNode::text);
        let headers = MappingBuilder::default().list("headers", headers);
        entries = entries.with("credentials", headers.into_node());
    }
    let mut tools: Vec<&Tool> = api.tools.iter().map(|tool| &**tool).collect();
    tools.sort_by_key(|tool| tool.location.line);
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
    if !tool.binds.is_empty() {
        entries = entries.list("binds", tool.binds.iter().map(YamlNode::text));
    }
    let entries = entries
        .flag("idempotent", tool.idempotent)
        .optional("size", tool.size.map(Size))
        .text("body", tool.body.as_str())
        .text("timeout", Interval(tool.timeout))
        .optional("fallback", tool.fallback.as_ref());
    entries.mode(tool.mode)
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
        entries = entries.with("duplicate", duplicate.own_mode(*mode).into_node());
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
    entries.own_mode(limit.mode).into_node()
}
