//! Every rule that a call passes, in the order of judging, with what it says: also those that allow.
//!
//! The verdicts are the gate's ([`judge::explain`]). What is added here is only which rules there were besides, and that they had nothing to say.

use serde::Serialize;

use crate::gate::{
    policy::{
        Place, Rule,
        judge::{self, Case, Finding, RuleName, Unreadable},
        schema::Violation,
    },
    verdict::Verdict,
};

/// One rule's answer.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    /// The rule.
    pub(super) rule: RuleName,
    /// What it says.
    pub(super) verdict: Verdict,
    /// Where it was written.
    pub(super) place: Option<String>,
    /// Why.
    pub(super) detail: String,
    /// How the arguments fail the schema.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) violations: Vec<Violation>,
}

/// Every rule's answer to `case`.
pub(super) fn every(case: &Case<'_>) -> Result<Vec<Line>, Unreadable> {
    let mut findings = judge::explain(case)?;
    let mut lines = Vec::new();
    for silent in written(case) {
        match findings.iter().position(|finding| finding.rule == silent.rule) {
            Some(index) => lines.push(found(findings.remove(index), case)),
            None => lines.push(silent),
        }
    }
    // Whatever the gate found by a rule that is not listed above is shown too, last: nothing that decides may be missing.
    lines.extend(findings.into_iter().map(|finding| found(finding, case)));
    Ok(lines)
}

fn found(finding: Finding, case: &Case<'_>) -> Line {
    let Finding { verdict, rule, place, detail, violations, .. } = finding;
    // The gate says what binds the level; here it is assumed.
    let detail = if rule == RuleName::Level {
        format!("level `{}` says {verdict} for risk {}", case.standing.level(), judge::risk(case.workflow, case.tool))
    } else {
        detail
    };
    Line { rule, verdict, place: place.map(|place| place.to_string()), detail, violations }
}

/// The rules that there are for the call, in their order, as they answer where they have nothing against it.
fn written(case: &Case<'_>) -> Vec<Line> {
    let allow = |rule, place: Option<&Place>, detail: String| Line {
        rule,
        verdict: Verdict::Allow,
        place: place.map(ToString::to_string),
        detail,
        violations: Vec::new(),
    };
    let level = || allow(RuleName::Level, None, format!("level `{}` says allow for risk {}", case.standing.level(), judge::risk(case.workflow, case.tool)));
    let listed = case.tool.filter(|tool| case.workflow.tools.contains(&tool.name));
    let unlisted = |detail: String| allow(RuleName::Unlisted, Some(&case.workflow.place), detail);
    let Some(tool) = listed else { return vec![unlisted(String::new()), level()] };
    let condition =
        |rule, written: Option<&Rule>| written.map(|written| allow(rule, Some(&written.place), format!("`{}` does not hold", written.condition.source())));
    let place = Some(&tool.place);
    [
        Some(unlisted(format!("`{}` is among the tools of workflow `{}`", tool.name, case.workflow.name))),
        tool.arguments.as_ref().map(|_| allow(RuleName::Arguments, place, "the arguments fit the schema".to_owned())),
        tool.forbidden.then(|| allow(RuleName::Forbidden, place, String::new())),
        condition(RuleName::DenyWhen, tool.deny_when.as_ref()),
        Some(level()),
        Some(allow(RuleName::Validation, place, "nothing that validation demands is missing".to_owned())),
        condition(RuleName::HoldWhen, tool.hold_when.as_ref()),
        condition(RuleName::EscalateWhen, tool.escalate_when.as_ref()),
        case.facts.run.escalated.then(|| allow(RuleName::Escalated, Some(&case.workflow.place), "the call changes nothing, or escalates".to_owned())),
        tool.always.map(|_| allow(RuleName::Always, place, String::new())),
    ]
    .into_iter()
    .flatten()
    .collect()
}
