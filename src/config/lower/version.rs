//! Digests of what policies mean: the version of a set, and the definition of a tool.
//!
//! They are taken over JSON with sorted members and without file positions, so that a moved line, a
//! comment or another order of keys is the same policy. Evidence tables are left out: they follow
//! from the target, and their floats must not decide a version.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::gate::digest::Digest;
use crate::gate::policy::{Api, Parameter, Pattern, Schema, Signal, Workflow};
use crate::gate::risk::Risk;

/// The version of a set of policies.
pub(super) fn of_set<'p>(
    apis: impl Iterator<Item = &'p Api>,
    workflows: impl Iterator<Item = &'p Workflow>,
    signals: impl Iterator<Item = &'p Signal>,
) -> Digest {
    let mut text = String::from("burngate policies 1\n");
    for api in apis {
        let mut value = serde_json::to_value(api).unwrap_or_default();
        remove(&mut value, "place");
        for tool in value
            .get_mut("tools")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            remove(tool, "place");
            for rule in ["deny_when", "hold_when", "escalate_when", "failure_when"] {
                tool.get_mut(rule)
                    .into_iter()
                    .for_each(|rule| remove(rule, "place"));
            }
            tool.get_mut("deeds")
                .into_iter()
                .for_each(without_locations);
        }
        write_sorted(&value, &mut text);
        text.push('\n');
    }
    for workflow in workflows {
        let mut value = serde_json::to_value(workflow).unwrap_or_default();
        remove(&mut value, "place");
        value
            .pointer_mut("/terms/objective")
            .into_iter()
            .for_each(|objective| remove(objective, "evidence"));
        write_sorted(&value, &mut text);
        text.push('\n');
    }
    for signal in signals {
        let mut value = serde_json::to_value(signal).unwrap_or_default();
        remove_everywhere(&mut value, "place");
        write_sorted(&value, &mut text);
        text.push('\n');
    }
    digest(&text)
}

fn remove_everywhere(value: &mut Value, member: &str) {
    remove(value, member);
    match value {
        Value::Object(members) => members
            .values_mut()
            .for_each(|value| remove_everywhere(value, member)),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|value| remove_everywhere(value, member)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The definition of a tool: what it does and takes.
pub(super) fn of_tool(
    pattern: &Pattern,
    risk: Risk,
    arguments: Option<&Schema>,
    parameters: &[Parameter],
) -> Digest {
    let mut text = String::new();
    let definition = serde_json::json!({ "match": pattern.source(), "risk": risk, "arguments": arguments.map(Schema::source), "parameters": parameters });
    write_sorted(&definition, &mut text);
    digest(&text)
}

fn digest(text: &str) -> Digest {
    Digest::new(Sha256::digest(text).into())
}

fn remove(value: &mut Value, member: &str) {
    if let Value::Object(members) = value {
        members.remove(member);
    }
}

fn without_locations(rules: &mut Value) {
    for rule in ["duplicate", "reverses"] {
        rules
            .get_mut(rule)
            .into_iter()
            .for_each(|rule| remove(rule, "place"));
    }
    let limits = rules.get_mut("limits").and_then(Value::as_array_mut);
    limits
        .into_iter()
        .flatten()
        .for_each(|limit| remove(limit, "place"));
}

/// Sorted here and not left to the map: another crate's feature can make `serde_json` keep the
/// order of insertion.
fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in sorted {
                let _ = write!(text, "{}:", Value::from(name.as_str()));
                write_sorted(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_sorted(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _ = write!(text, "{value}");
        }
    }
}
