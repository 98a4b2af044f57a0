//! What of a workflow's tools is in shadow: whole tools, and single rules of tools that act.

use super::finding::RuleName;
use super::{Mode, PolicySet, Tool, Workflow};
use crate::gate::location::SourceLocation;
use crate::gate::name::ToolName;
use crate::gate::time::Time;

/// A tool or a rule in shadow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowRule {
    /// The tool.
    pub tool: ToolName,
    /// Its rule; `None` where every rule of the tool is in shadow.
    pub rule: Option<RuleName>,
    /// When it begins to act.
    pub until: Time,
    /// Where it was written.
    pub location: SourceLocation,
}

/// The tools that `workflow` reaches and their rules that are in shadow at `now`, in the order of
/// their names.
#[must_use]
pub fn in_shadow(workflow: &Workflow, policies: &PolicySet, now: Time) -> Vec<ShadowRule> {
    let found = |name: &ToolName| {
        policies
            .apis
            .get(name.api())?
            .tools
            .iter()
            .find(|tool| tool.name == *name)
    };
    workflow
        .tools
        .iter()
        .filter_map(found)
        .flat_map(|tool| of_tool(tool, now))
        .collect()
}

fn of_tool(tool: &Tool, now: Time) -> Vec<ShadowRule> {
    let shadow = |rule: Option<RuleName>, mode: Mode, location: &SourceLocation| match mode {
        Mode::Shadow { until } if now < until => Some(ShadowRule {
            tool: tool.name.clone(),
            rule,
            until,
            location: location.clone(),
        }),
        Mode::Shadow { .. } | Mode::Enforce => None,
    };
    if let Some(whole) = shadow(None, tool.mode, &tool.location) {
        return vec![whole];
    }
    let conditions = [
        (RuleName::DenyWhen, &tool.deny_when),
        (RuleName::HoldWhen, &tool.hold_when),
        (RuleName::EscalateWhen, &tool.escalate_when),
    ];
    let conditions = conditions.into_iter().filter_map(|(name, rule)| {
        rule.as_ref()
            .and_then(|rule| shadow(Some(name), rule.mode, &rule.location))
    });
    let dedup = tool.dedup.iter().flat_map(|rules| {
        let duplicate = rules
            .duplicate
            .iter()
            .map(|rule| (RuleName::Duplicate, rule.mode, &rule.location));
        duplicate.chain(
            rules
                .limits
                .iter()
                .map(|rule| (RuleName::Limits, rule.mode, &rule.location)),
        )
    });
    conditions
        .chain(dedup.filter_map(|(name, mode, location)| shadow(Some(name), mode, location)))
        .collect()
}
