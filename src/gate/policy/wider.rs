//! Does a new policy give a workflow more than the old one did?
//!
//! Asked of a reload while changes are frozen. Conservative: what is not plainly the same or
//! tighter counts as wider. A condition or a schema that changed may be tighter, and nobody here
//! can tell. Shadow is a way of not acting: what goes into it, or stays in it longer, is wider, and
//! what leaves it earlier is tighter.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Api, PolicySet, Workflow};
use crate::gate::name::{ApiName, ToolName};

/// What of `new` is wider than `old` for the workflow, its tools included; `None` where nothing is.
#[must_use]
pub fn widens(old: (&Workflow, &PolicySet), new: (&Workflow, &PolicySet)) -> Option<String> {
    let ((old, old_set), (new, new_set)) = (old, new);
    let changed = first_wider(&members(old), &members(new), workflow_member_is_tighter);
    if let Some(key) = changed {
        return Some(format!("`{key}` of the workflow"));
    }
    let apis: BTreeSet<ApiName> = old
        .tools
        .iter()
        .map(|tool| ApiName::from(tool.api()))
        .collect();
    apis.iter().find_map(
        |name| match (old_set.apis.get(name), new_set.apis.get(name)) {
            (None, _) => None,
            // It would be as new when it comes back.
            (Some(_), None) => Some(format!("the removal of api `{name}`")),
            (Some(old_api), Some(new_api)) => api_widens(old, old_api, new_api),
        },
    )
}

fn api_widens(workflow: &Workflow, old: &Api, new: &Api) -> Option<String> {
    let without_tools = |api: &Api| {
        let mut members = members(api);
        members.remove("tools");
        members
    };
    if let Some(key) = first_wider(&without_tools(old), &without_tools(new), |_, _, _| false) {
        return Some(format!("`{key}` of api `{}`", old.name));
    }
    let reached = |tool: &ToolName| workflow.tools.contains(tool);
    for tool in old.tools.iter().filter(|tool| reached(&tool.name)) {
        // Whatever matched it may match a laxer tool now.
        let Some(other) = new.tools.iter().find(|other| other.name == tool.name) else {
            return Some(format!("tool `{}`, which is gone", tool.name));
        };
        if let Some(key) = first_wider(
            &members(&**tool),
            &members(&**other),
            tool_member_is_tighter,
        ) {
            return Some(format!("`{key}` of tool `{}`", tool.name));
        }
    }
    let known = |tool: &ToolName| old.tools.iter().any(|old| old.name == *tool);
    let added = new.tools.iter().find(|tool| {
        !known(&tool.name)
            && (reached(&tool.name) || workflow.unlisted != crate::gate::verdict::Verdict::Deny)
    });
    added.map(|tool| format!("tool `{}`, which is new", tool.name))
}

fn members(value: &impl Serialize) -> Map<String, Value> {
    let mut value = serde_json::to_value(value).unwrap_or_default();
    forget_locations(&mut value);
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Where something is written says nothing about what it means; nor do tables that follow from the
/// target.
fn forget_locations(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("place");
            members.remove("evidence");
            members.values_mut().for_each(forget_locations);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_locations),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

type IsTighter = fn(&str, &Value, &Value) -> bool;

fn first_wider(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    is_tighter: IsTighter,
) -> Option<String> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .find(|key| {
            let (old, new) = (
                old.get(*key).unwrap_or(&Value::Null),
                new.get(*key).unwrap_or(&Value::Null),
            );
            old != new && !is_tighter(key, old, new)
        })
        .cloned()
}

fn workflow_member_is_tighter(key: &str, old: &Value, new: &Value) -> bool {
    match key {
        "tools" | "skips" => is_subset(new, old),
        "terms" => match (old, new) {
            (Value::Object(old), Value::Object(new)) => {
                first_wider(old, new, terms_member_is_tighter).is_none()
            }
            _ => false,
        },
        "unlisted" => *new == "deny",
        "exposure" => *new == true,
        "retries" => new.as_u64() < old.as_u64(),
        "mode" => acts_no_later(old, new),
        // What an answer discloses gives the agent nothing more to do.
        "disclose_remaining" => true,
        _ => false,
    }
}

fn terms_member_is_tighter(key: &str, old: &Value, new: &Value) -> bool {
    match (key, old, new) {
        ("objective", Value::Object(old), Value::Object(new)) => {
            first_wider(old, new, objective_member_is_tighter).is_none()
        }
        ("earn", Value::Object(old), Value::Object(new)) => {
            first_wider(old, new, earn_member_is_tighter).is_none()
        }
        // Follows from the tools.
        ("reads_only" | "reach", ..) => true,
        _ => false,
    }
}

fn earn_member_is_tighter(key: &str, old: &Value, new: &Value) -> bool {
    match key {
        "steps" => is_subset(new, old),
        "settle" | "spot_check_ppm" => new.as_u64() > old.as_u64(),
        _ => false,
    }
}

fn objective_member_is_tighter(key: &str, old: &Value, new: &Value) -> bool {
    match key {
        "target_ppm" => new.as_u64() > old.as_u64(),
        "expected_runs" => new.as_u64() < old.as_u64(),
        "unacceptable" | "critical" => is_subset(old, new),
        _ => false,
    }
}

fn tool_member_is_tighter(key: &str, old: &Value, new: &Value) -> bool {
    const RISKS: [&str; 4] = ["read", "low", "medium", "high"];
    let risk = |value: &Value| RISKS.iter().position(|risk| value == risk);
    match key {
        "risk" => risk(new) > risk(old),
        "always" => *new == "deny" || old.is_null(),
        "forbidden" => *new == true,
        "idempotent" => *new == false,
        "mode" => acts_no_later(old, new),
        "deny_when" | "hold_when" | "escalate_when" => rule_is_tighter(old, new),
        "deeds" => match (old, new) {
            (Value::Object(old), Value::Object(new)) => {
                first_wider(old, new, dedup_member_is_tighter).is_none()
            }
            _ => old.is_null(),
        },
        "failure_when" | "arguments" | "body" => old.is_null(),
        "fallback" => new.is_null(),
        // Follows from the others.
        "definition" => true,
        _ => false,
    }
}

fn dedup_member_is_tighter(key: &str, old: &Value, new: &Value) -> bool {
    match (key, old, new) {
        ("duplicate" | "reverses", ..) => rule_is_tighter(old, new),
        ("reversed_within", ..) => old.is_null() || new.as_u64() > old.as_u64(),
        ("limits", Value::Array(old), Value::Array(new)) => old
            .iter()
            .all(|old| new.iter().any(|new| rule_is_tighter(old, new))),
        _ => false,
    }
}

/// A rule that was not there, or one that says the same and acts no later.
fn rule_is_tighter(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Null, _) => true,
        (Value::Object(old), Value::Object(new)) => first_wider(old, new, |key, old, new| {
            key == "mode" && acts_no_later(old, new)
        })
        .is_none(),
        _ => false,
    }
}

/// Does what has the mode `new` act as soon as with the mode `old`? A rule without one acts.
fn acts_no_later(old: &Value, new: &Value) -> bool {
    let shadow_ends = |mode: &Value| mode.pointer("/shadow/until").and_then(Value::as_i64);
    shadow_ends(new) <= shadow_ends(old)
}

/// Is every item of the list `part` in the list `whole`?
fn is_subset(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Array(part), Value::Array(whole)) => part.iter().all(|item| whole.contains(item)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn says(key: &str, old: &Value, new: &Value) -> bool {
        old == new || tool_member_is_tighter(key, old, new)
    }

    #[test]
    fn shadow_is_wider_and_leaving_it_is_tighter() {
        let rule = |condition: &str, mode: Value| json!({ "condition": condition, "mode": mode });
        let acts = json!({ "condition": "a" });
        let (soon, late) = (
            json!({ "shadow": { "until": 1 } }),
            json!({ "shadow": { "until": 2 } }),
        );
        for key in ["deny_when", "hold_when", "escalate_when"] {
            let cases = [
                (Value::Null, rule("a", late.clone()), true),
                (rule("a", late.clone()), acts.clone(), true),
                (rule("a", late.clone()), rule("a", soon.clone()), true),
                (rule("a", soon.clone()), rule("a", soon.clone()), true),
                (rule("a", soon.clone()), rule("a", late.clone()), false),
                (acts.clone(), rule("a", soon.clone()), false),
                // It would have acted one day.
                (rule("a", soon.clone()), Value::Null, false),
                (rule("a", soon.clone()), rule("b", soon.clone()), false),
                (rule("a", soon.clone()), json!({ "condition": "b" }), false),
            ];
            for (old, new, tighter) in cases {
                assert_eq!(says(key, &old, &new), tighter, "{key}: {old} to {new}");
            }
        }
        for is_tighter in [
            tool_member_is_tighter as IsTighter,
            workflow_member_is_tighter,
        ] {
            assert!(
                is_tighter("mode", &soon, &json!("enforce")) && is_tighter("mode", &late, &soon)
            );
            assert!(
                !is_tighter("mode", &json!("enforce"), &soon) && !is_tighter("mode", &soon, &late)
            );
        }
    }

    #[test]
    fn a_limit_or_a_duplicate_counts_like_any_rule() {
        let shadow = json!({ "shadow": { "until": 1 } });
        let dedup = |duplicate: Value, limits: Value| json!({ "duplicate": duplicate, "reverses": null, "reversed_within": null, "limits": limits });
        let (limit, other) = (
            json!({ "sum": "a", "deny_above": "5" }),
            json!({ "sum": "b", "deny_above": "5" }),
        );
        let in_shadow = |rule: &Value| {
            let mut rule = rule.clone();
            rule["mode"] = shadow.clone();
            rule
        };
        let (none, with) = (dedup(Value::Null, json!([])), |limits: &[&Value]| {
            dedup(Value::Null, json!(limits))
        });
        for (old, new, tighter) in [
            (Value::Null, with(&[&limit]), true),
            (with(&[&limit]), Value::Null, false),
            (none.clone(), with(&[&in_shadow(&limit)]), true),
            (with(&[&in_shadow(&limit)]), with(&[&other, &limit]), true),
            (
                with(&[&limit, &other]),
                with(&[&other, &in_shadow(&limit)]),
                false,
            ),
            (with(&[&limit]), with(&[&other]), false),
            (
                dedup(limit.clone(), json!([])),
                dedup(in_shadow(&limit), json!([])),
                false,
            ),
            (
                dedup(in_shadow(&limit), json!([])),
                dedup(limit.clone(), json!([])),
                true,
            ),
            (dedup(limit.clone(), json!([])), none.clone(), false),
        ] {
            assert_eq!(says("deeds", &old, &new), tighter, "{old} to {new}");
        }
    }
}
