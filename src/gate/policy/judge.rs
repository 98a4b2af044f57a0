//! How a call is judged: every rule in its order, the strictest answer wins, and every answer names
//! the rule that gave it (G8).
//!
//! Here are the rules that need nothing but the policy, where the workflow stands, and the call.
//! What needs memory (grants, open runs) is the ledger's. An error while deciding never yields
//! allow (G3): a condition that cannot be evaluated holds or denies, and says so.
//!
//! What is in shadow is judged like everything else, and kept apart: what acts decides, and what
//! only is_shadowed is on record. A clamp is never in shadow.

use super::condition::{Condition, Undecided};
use super::facts::Facts;
use super::finding::{Finding, RuleName, Unreadable};
use super::rule::Rule;
use super::schema::MAX_VIOLATIONS;
use super::tool::Tool;
use super::workflow::Workflow;
use crate::gate::level::{Rung, Validation};
use crate::gate::risk::Risk;
use crate::gate::status::Status;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;

/// A call to judge.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The workflow's policy.
    pub workflow: &'a Workflow,
    /// Where the workflow stands.
    pub status: &'a Status,
    /// The tool, where the tool API has one that matches.
    pub tool: Option<&'a Tool>,
    /// What conditions can read.
    pub facts: Facts<'a>,
    /// When: shadow ends by itself.
    pub now: Time,
}

impl Case<'_> {
    /// The tool, where the workflow reaches it.
    fn listed(&self) -> Option<&Tool> {
        self.tool
            .filter(|tool| self.workflow.tools.contains(&tool.name))
    }

    /// Are all verdicts on the call on record only, but for those of a clamp?
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        self.workflow.mode.is_shadow(self.now)
            || self
                .listed()
                .is_some_and(|tool| tool.mode.is_shadow(self.now))
    }

    /// Is the finding on record only, and the call passes it? What a clamp says acts.
    #[must_use]
    pub fn is_shadowed(&self, finding: &Finding) -> bool {
        !finding.clamped && (finding.in_shadow || self.is_shadow())
    }
}

/// Why a walk through the rules ends early.
enum WalkEnd {
    /// Nothing behind this can matter.
    Decided,
    Unreadable(Unreadable),
}

/// What the rules say of a call: the strictest finding of those that act, and the strictest of
/// those in shadow. Of two as strict, the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// What decides; `None` allows.
    pub acts: Option<Finding>,
    /// What shadow keeps from acting.
    pub shadow: Option<Finding>,
}

impl Judged {
    /// Adds what a later rule says.
    fn add(&mut self, finding: Finding, in_shadow: bool) {
        let strictest = if in_shadow {
            &mut self.shadow
        } else {
            &mut self.acts
        };
        if strictest
            .as_ref()
            .is_none_or(|held| finding.verdict > held.verdict)
        {
            *strictest = Some(finding);
        }
    }

    /// The same after what rules say that are asked before.
    #[must_use]
    pub fn after(self, mut earlier: Judged) -> Judged {
        for (finding, in_shadow) in [(self.acts, false), (self.shadow, true)] {
            if let Some(finding) = finding {
                earlier.add(finding, in_shadow);
            }
        }
        earlier
    }
}

/// Judges a call. Rules behind a denial that acts are not evaluated.
pub fn judge(case: &Case<'_>) -> Result<Judged, Unreadable> {
    let mut judged = Judged::default();
    let walked = walk(case, &mut |finding| {
        let in_shadow = case.is_shadowed(&finding);
        let decides = finding.verdict == Verdict::Deny && !in_shadow;
        judged.add(finding, in_shadow);
        if decides {
            Err(WalkEnd::Decided)
        } else {
            Ok(())
        }
    });
    match walked {
        Ok(()) | Err(WalkEnd::Decided) => Ok(judged),
        Err(WalkEnd::Unreadable(unreadable)) => Err(unreadable),
    }
}

/// Every finding, in the order of the rules.
pub fn explain(case: &Case<'_>) -> Result<Vec<Finding>, Unreadable> {
    let mut findings = Vec::new();
    let walked = walk(case, &mut |finding| {
        findings.push(finding);
        Ok(())
    });
    match walked {
        Ok(()) | Err(WalkEnd::Decided) => Ok(findings),
        Err(WalkEnd::Unreadable(unreadable)) => Err(unreadable),
    }
}

/// The risk class a call is judged as: its tool's, and `high` for one that nobody described.
#[must_use]
pub fn risk(workflow: &Workflow, tool: Option<&Tool>) -> Risk {
    tool.filter(|tool| workflow.tools.contains(&tool.name))
        .map_or(Risk::High, |tool| tool.risk)
}

/// The rules in their order. `found` gets the finding of each that does not allow the call.
fn walk(
    case: &Case<'_>,
    found: &mut dyn FnMut(Finding) -> Result<(), WalkEnd>,
) -> Result<(), WalkEnd> {
    let Case {
        workflow,
        status,
        facts,
        now,
        ..
    } = case;
    let mut rule = |finding: Option<Finding>| finding.map_or(Ok(()), &mut *found);
    let Some(tool) = case.listed() else {
        rule(Some(unlisted(case)))?;
        return rule(level(status, Risk::High, case.tool));
    };
    rule(arguments(tool, facts)?)?;
    rule(forbidden(tool))?;
    rule(condition(
        tool.deny_when.as_ref(),
        RuleName::DenyWhen,
        Verdict::Deny,
        facts,
        *now,
    )?)?;
    rule(level(status, tool.risk, Some(tool)))?;
    rule(strict_validation(workflow, status, tool))?;
    rule(condition(
        tool.hold_when.as_ref(),
        RuleName::HoldWhen,
        Verdict::Hold,
        facts,
        *now,
    )?)?;
    if facts.run.escalated {
        rule(escalated(workflow, tool))?;
    } else {
        rule(condition(
            tool.escalate_when.as_ref(),
            RuleName::EscalateWhen,
            Verdict::Hold,
            facts,
            *now,
        )?)?;
    }
    rule(always(tool))
}

/// Should a run that asks for this have escalated, before or now? Whatever else is said of the
/// call: also one that is denied was an attempt. A condition that cannot be evaluated holds the
/// call, and says nothing of the run; nor does a rule that is only tried out.
#[must_use]
pub fn should_escalate(case: &Case<'_>) -> bool {
    let rule = case
        .listed()
        .and_then(|tool| tool.escalate_when.as_ref())
        .filter(|rule| !rule.mode.is_shadow(case.now));
    rule.is_some_and(|rule| rule.condition.holds(&case.facts) == Ok(true))
}

/// Once a person has the case, the agent changes nothing of it by itself. It may look, and it may
/// escalate again.
fn escalated(workflow: &Workflow, tool: &Tool) -> Option<Finding> {
    let goes_on = tool.risk != Risk::Read && !tool.escalation;
    goes_on.then(|| {
        Finding::new(
            Verdict::Hold,
            RuleName::Escalated,
            &workflow.location,
            "this run escalated, and a person has its case now",
        )
    })
}

fn forbidden(tool: &Tool) -> Option<Finding> {
    tool.forbidden.then(|| {
        Finding::new(
            Verdict::Deny,
            RuleName::Forbidden,
            &tool.location,
            format!("the tool `{}` is forbidden", tool.name),
        )
    })
}

fn always(tool: &Tool) -> Option<Finding> {
    let verdict = tool.always?;
    Some(Finding::new(
        verdict,
        RuleName::Always,
        &tool.location,
        format!("the policy says `always: {verdict}` for `{}`", tool.name),
    ))
}

fn unlisted(case: &Case<'_>) -> Finding {
    let detail = match case.tool {
        Some(tool) => format!(
            "`{}` is not among the tools of workflow `{}`",
            tool.name, case.workflow.name
        ),
        None => format!(
            "no tool of workflow `{}` matches this request",
            case.workflow.name
        ),
    };
    Finding::new(
        case.workflow.unlisted,
        RuleName::Unlisted,
        &case.workflow.location,
        detail,
    )
}

fn arguments(tool: &Tool, facts: &Facts<'_>) -> Result<Option<Finding>, WalkEnd> {
    let mut violations = tool
        .arguments
        .as_ref()
        .map_or_else(Vec::new, |schema| schema.violations(facts.args));
    for parameter in &tool.parameters {
        let found = parameter
            .violations(facts)
            .map_err(|_| WalkEnd::Unreadable(Unreadable(parameter.described())))?;
        violations.extend(found);
    }
    violations.truncate(MAX_VIOLATIONS);
    let Some(first) = violations.first() else {
        return Ok(None);
    };
    let at = if first.pointer.is_empty() {
        String::new()
    } else {
        format!("`{}` ", first.pointer)
    };
    let detail = format!(
        "the arguments do not fit `{}`: {at}{}",
        tool.name, first.detail
    );
    Ok(Some(Finding {
        violations,
        ..Finding::new(Verdict::Deny, RuleName::Arguments, &tool.location, detail)
    }))
}

fn condition(
    rule: Option<&Rule>,
    name: RuleName,
    verdict: Verdict,
    facts: &Facts<'_>,
    now: Time,
) -> Result<Option<Finding>, WalkEnd> {
    let Some(Rule {
        condition,
        mode,
        location,
    }) = rule
    else {
        return Ok(None);
    };
    let found = |detail| {
        Ok(Some(Finding {
            in_shadow: mode.is_shadow(now),
            ..Finding::new(verdict, name, location, detail)
        }))
    };
    match condition.holds(facts) {
        Ok(false) => Ok(None),
        Ok(true) => found(format!("`{}` holds", condition.source())),
        Err(Undecided::Failed(why)) => found(cannot_be_evaluated(condition, &why)),
        Err(Undecided::Ambiguous(what) | Undecided::Inexact(what)) => {
            Err(WalkEnd::Unreadable(Unreadable(what)))
        }
    }
}

fn cannot_be_evaluated(condition: &Condition, why: &str) -> String {
    format!(
        "`{}` cannot be evaluated for this call: {why}",
        condition.source()
    )
}

fn level(status: &Status, risk: Risk, tool: Option<&Tool>) -> Option<Finding> {
    let says = |rung: &Rung| match tool {
        Some(tool) => rung.verdict(risk, &tool.name),
        None => rung.verdicts[risk as usize],
    };
    let verdict = says(&status.rung);
    if verdict == Verdict::Allow {
        return None;
    }
    // The clamp is in force although the posture bounds the level as far or further: in shadow the
    // posture does not act, and the clamp does.
    let clamped = status
        .ceiling
        .as_ref()
        .is_some_and(|ceiling| says(ceiling) != Verdict::Allow);
    let detail = format!(
        "level `{}` says {verdict} for risk {risk}; {}",
        status.level(),
        status.bound_by()
    );
    Some(Finding {
        clamped,
        ..Finding::nowhere(verdict, RuleName::Level, detail)
    })
}

/// Strict validation holds what nothing describes. A read changes nothing, so it may go without.
fn strict_validation(workflow: &Workflow, status: &Status, tool: &Tool) -> Option<Finding> {
    let validation = status.rung.validation.unwrap_or(workflow.validation);
    let undescribed =
        validation == Validation::Strict && tool.arguments.is_none() && tool.risk != Risk::Read;
    undescribed.then(|| {
        Finding::new(
            Verdict::Hold,
            RuleName::Validation,
            &tool.location,
            format!("validation is strict and `{}` has no schema", tool.name),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::outcome::FailureMode;

    #[test]
    fn g6_only_what_the_policy_forbids_costs_budget() {
        use RuleName::{
            Always, Arguments, Concurrency, Denied, DenyWhen, Duplicate, EscalateWhen, Escalated,
            Exposure, Forbidden, HoldWhen, Idempotency, Level, Limits, Loop, Unlisted, Validation,
            Volume,
        };
        let of_the_call = [
            Unlisted,
            Arguments,
            Level,
            Validation,
            HoldWhen,
            EscalateWhen,
            Escalated,
            Always,
            Denied,
        ];
        let beside_others = [
            Loop,
            Volume,
            Concurrency,
            Exposure,
            Duplicate,
            Idempotency,
            Limits,
        ];
        for rule in of_the_call
            .into_iter()
            .chain(beside_others)
            .chain([Forbidden, DenyWhen])
        {
            for verdict in [Verdict::Hold, Verdict::Deny] {
                let finding = Finding::nowhere(verdict, rule, "");
                let costs = verdict == Verdict::Deny && matches!(rule, Forbidden | DenyWhen);
                assert_eq!(
                    finding.books(),
                    costs.then_some(FailureMode::PolicyViolation),
                    "{verdict} by {rule}"
                );
                assert_eq!(
                    Finding {
                        in_shadow: true,
                        ..finding
                    }
                    .books(),
                    None,
                    "{verdict} by {rule}, in shadow"
                );
            }
        }
    }
}
