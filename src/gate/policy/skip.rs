//! Reviews that a workflow may earn to skip, and which of them would have let a held call go.
//!
//! A review is skipped only where nothing else holds the call: a ceiling on the tool, strict
//! validation, an escalation or a clamp holds it all the same. What cannot be evaluated is not
//! skipped (G3).

use super::finding::RuleName;
use super::judge;
use super::judge::Case;
use super::workflow::Skip;
use crate::gate::name::StepName;
use crate::gate::verdict::Verdict;

/// The steps that would let this call go, which the rules hold.
#[must_use]
pub fn releasing(case: &Case<'_>) -> Vec<StepName> {
    let Some(tool) = case.tool else {
        return Vec::new();
    };
    let mut own = case
        .workflow
        .skips
        .iter()
        .filter(|skip| skip.tool == tool.name)
        .peekable();
    if own.peek().is_none() {
        return Vec::new();
    }
    let Ok(findings) = judge::explain(case) else {
        return Vec::new();
    };
    // What is in shadow holds nothing.
    let acting = findings.iter().filter(|finding| !finding.in_shadow);
    let alone = |rule: RuleName| {
        acting.clone().all(|finding| {
            finding.verdict == Verdict::Hold && finding.rule == rule && !finding.clamped
        })
    };
    let would_release = |skip: &&Skip| {
        alone(skip.rule)
            && skip
                .cases
                .as_ref()
                .is_none_or(|cases| matches!(cases.holds(&case.facts), Ok(true)))
    };
    own.filter(would_release)
        .map(|skip| skip.step.clone())
        .collect()
}
