//! Every rule that a call passes, in the order of judging, with its answer, including those that
//! allow.
//!
//! The verdicts are the gate's ([`judge::explain`]). This file adds only the rules that had no
//! objection.

use serde::Serialize;

use crate::gate::dedup::Amount;
use crate::gate::location::SourceLocation;
use crate::gate::name::Subject;
use crate::gate::policy::finding::{Finding, RuleName, Unreadable};
use crate::gate::policy::judge::Case;
use crate::gate::policy::schema::Violation;
use crate::gate::policy::{Mode, Rule, dedup, judge};
use crate::gate::verdict::Verdict;

/// One rule's answer.
#[derive(Debug, Serialize)]
pub(super) struct RuleAnswer {
    /// The rule.
    pub(super) rule: RuleName,
    /// What it says.
    pub(super) verdict: Verdict,
    /// Where it was written.
    #[serde(rename = "place")]
    pub(super) location: Option<String>,
    /// Why.
    pub(super) detail: String,
    /// The rule itself is in shadow: what it says is recorded, and decides nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) shadow: bool,
    /// How the arguments fail the schema.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) violations: Vec<Violation>,
}

/// Every rule's answer to `case`.
pub(super) fn every(case: &Case<'_>) -> Result<Vec<RuleAnswer>, Unreadable> {
    let mut findings = judge::explain(case)?;
    let mut lines = Vec::new();
    for silent in written(case) {
        match findings
            .iter()
            .position(|finding| finding.rule == silent.rule)
        {
            Some(index) => lines.push(found(findings.remove(index), case)),
            None => lines.push(silent),
        }
    }
    remembered(case, &mut lines)?;
    // Whatever the gate found by a rule that is not listed above is shown too, last: nothing that
    // decides may be missing.
    lines.extend(findings.into_iter().map(|finding| found(finding, case)));
    Ok(lines)
}

/// The rules about earlier calls, with the answer they give if there was none. They stand before
/// `deny_when`, as when a call is judged.
fn remembered(case: &Case<'_>, lines: &mut Vec<RuleAnswer>) -> Result<(), Unreadable> {
    let Some(tool) = case.tool else { return Ok(()) };
    let Some(rules) = &tool.dedup else {
        return Ok(());
    };
    let subject = tool
        .subject
        .as_ref()
        .and_then(|subject| subject.text(&case.facts).ok().flatten())
        .map(Subject::from);
    let reading = dedup::reading::read(tool, rules, &case.facts, subject.as_ref(), case.now)?;
    let line = |rule, verdict, location: &SourceLocation, mode: Mode, detail| RuleAnswer {
        rule,
        verdict,
        location: Some(location.to_string()),
        detail,
        shadow: mode.is_shadow(case.now),
        violations: Vec::new(),
    };
    let mut answers = Vec::new();
    if let (Some(duplicate), Some(key)) = (&rules.duplicate, &reading.key) {
        let parts = duplicate
            .key
            .iter()
            .zip(key)
            .map(|(part, text)| format!("`{}` is {text}", part.source()))
            .collect::<Vec<_>>()
            .join(", ");
        let detail = format!(
            "{parts}: the same within {} is done already",
            dedup::Spelled(duplicate.within)
        );
        answers.push(line(
            RuleName::Duplicate,
            Verdict::Allow,
            &duplicate.location,
            duplicate.mode,
            detail,
        ));
    }
    for (limit, amount) in rules.limits.iter().zip(&reading.amounts) {
        let Some(amount) = amount else { continue };
        let bound = |word, bound: Option<Amount>| {
            bound
                .map(|bound| format!(", {word} above {bound}"))
                .unwrap_or_default()
        };
        let bounds = bound("held", limit.hold_above) + &bound("denied", limit.deny_above);
        let verdict = limit
            .says(*amount)
            .map_or(Verdict::Allow, |(verdict, _)| verdict);
        answers.push(line(
            RuleName::Limits,
            verdict,
            &limit.location,
            limit.mode,
            format!("{limit}{bounds}: this call adds {amount}"),
        ));
    }
    answers.extend(
        [reading.unread, reading.unread_shadow]
            .into_iter()
            .flatten()
            .map(|finding| found(finding, case)),
    );
    let before = |line: &RuleAnswer| {
        matches!(
            line.rule,
            RuleName::Unlisted | RuleName::Arguments | RuleName::Forbidden
        )
    };
    let at = lines.iter().take_while(|line| before(line)).count();
    lines.splice(at..at, answers);
    Ok(())
}

fn found(finding: Finding, case: &Case<'_>) -> RuleAnswer {
    let Finding {
        verdict,
        rule,
        location,
        detail,
        violations,
        in_shadow,
        ..
    } = finding;
    // The gate says what binds the level; here it is assumed.
    let detail = if rule == RuleName::Level {
        format!(
            "level `{}` says {verdict} for risk {}",
            case.status.level(),
            judge::risk(case.workflow, case.tool)
        )
    } else {
        detail
    };
    RuleAnswer {
        rule,
        verdict,
        location: location.map(|location| location.to_string()),
        detail,
        shadow: in_shadow,
        violations,
    }
}

/// The rules that apply to the call, in order, with the answer they give if they have no objection.
fn written(case: &Case<'_>) -> Vec<RuleAnswer> {
    let allow = |rule, location: Option<&SourceLocation>, detail: String| RuleAnswer {
        rule,
        verdict: Verdict::Allow,
        location: location.map(ToString::to_string),
        detail,
        shadow: false,
        violations: Vec::new(),
    };
    let level = || {
        allow(
            RuleName::Level,
            None,
            format!(
                "level `{}` says allow for risk {}",
                case.status.level(),
                judge::risk(case.workflow, case.tool)
            ),
        )
    };
    let listed = case
        .tool
        .filter(|tool| case.workflow.tools.contains(&tool.name));
    let unlisted =
        |detail: String| allow(RuleName::Unlisted, Some(&case.workflow.location), detail);
    let Some(tool) = listed else {
        return vec![unlisted(String::new()), level()];
    };
    let condition = |rule, written: Option<&Rule>| {
        let written = written?;
        let line = allow(
            rule,
            Some(&written.location),
            format!("`{}` does not hold", written.condition.source()),
        );
        Some(RuleAnswer {
            shadow: written.mode.is_shadow(case.now),
            ..line
        })
    };
    let location = Some(&tool.location);
    [
        Some(unlisted(format!(
            "`{}` is among the tools of workflow `{}`",
            tool.name, case.workflow.name
        ))),
        tool.arguments.as_ref().map(|_| {
            allow(
                RuleName::Arguments,
                location,
                "the arguments fit the schema".to_owned(),
            )
        }),
        tool.forbidden
            .then(|| allow(RuleName::Forbidden, location, String::new())),
        condition(RuleName::DenyWhen, tool.deny_when.as_ref()),
        Some(level()),
        Some(allow(
            RuleName::Validation,
            location,
            "validation asks for nothing more".to_owned(),
        )),
        condition(RuleName::HoldWhen, tool.hold_when.as_ref()),
        condition(RuleName::EscalateWhen, tool.escalate_when.as_ref()),
        case.facts.run.escalated.then(|| {
            allow(
                RuleName::Escalated,
                Some(&case.workflow.location),
                "the call changes nothing, or escalates".to_owned(),
            )
        }),
        tool.always
            .map(|_| allow(RuleName::Always, location, String::new())),
    ]
    .into_iter()
    .flatten()
    .collect()
}
