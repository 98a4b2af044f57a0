//! What a review suggests to talk about: the target, the next step, a schema. Each suggestion has
//! the numbers behind it, and the command that would do it.

use super::{ApprovalsSummary, ExclusionSummary, Suggestion};
use crate::api::earn::ProposalView;
use crate::api::numbers::{MetricsDetail, SpanNumbers};
use crate::api::{Decimal, TimeSpan};
use crate::gate::name::ToolName;
use crate::gate::ppm::MILLION;
use crate::gate::risk::Tier;
use crate::gate::workflow::WorkflowState;

/// The targets that are suggested, in parts per million: the steps in which people think.
const TARGETS: [u32; 12] = [
    800_000, 850_000, 900_000, 930_000, 950_000, 970_000, 980_000, 990_000, 995_000, 998_000,
    999_000, 999_900,
];
/// The most tools that are named.
const NAMED: usize = 5;

pub(super) fn of(
    state: &WorkflowState,
    numbers: &SpanNumbers,
    approvals: &ApprovalsSummary,
    exclusions: &ExclusionSummary,
    without_schema: &[ToolName],
) -> Vec<Suggestion> {
    let mut suggestions = proposals(state, &numbers.workflow);
    suggestions.extend(target(state));
    suggestions.extend(schema(numbers, without_schema));
    suggestions.extend(checks(state, numbers));
    for reviewer in approvals.reviewers.iter().filter(|reviewer| reviewer.hasty) {
        suggestions.push(Suggestion {
            kind: "look_closer".to_owned(),
            what: format!(
                "talk to {} about how held calls are decided",
                reviewer.reviewer
            ),
            why: format!(
                "{} decisions, half of them within {} s of the hold",
                reviewer.decisions,
                reviewer
                    .median_seconds
                    .map_or_else(|| "5".to_owned(), |seconds| seconds.to_string())
            ),
            how: "hold fewer calls: let `hold_when` name the cases that need a person".to_owned(),
        });
    }
    if exclusions.too_many {
        suggestions.push(Suggestion {
            kind: "look_closer".to_owned(),
            what: "look at the exclusions: above 2% they stop promotion".to_owned(),
            why: format!("{} excluded, {} counted", exclusions.runs, numbers.runs),
            how: format!("burngate runs -w {} --outcome excluded", numbers.workflow),
        });
    }
    suggestions
}

fn proposals(state: &WorkflowState, workflow: &str) -> Vec<Suggestion> {
    let proofs = state.progress();
    let suggestion = |proposal: ProposalView| {
        let is_promotion = proposal.proposal == "promotion";
        let flag = match (&proposal.step, &proposal.to) {
            (Some(step), _) => format!("--step {step}"),
            (None, Some(to)) => format!("--to {to}"),
            (None, None) => String::new(),
        };
        let proof = proofs
            .iter()
            .find(|progress| proposal.step.as_deref() == Some(progress.step.name.as_str()));
        let why = proof.map_or_else(
            || format!("burns within {} cost a level, and the failure rate alone does not decide it", TimeSpan(state.terms().lose.within)),
            |progress| {
                let proof = progress.proof;
                format!(
                    "{} of {} days within budget; {} runs with {} unacceptable, where {} are needed",
                    progress.days, progress.step.after_days, proof.runs, proof.unacceptable, proof.needed
                )
            },
        );
        Suggestion {
            kind: if is_promotion { "promote" } else { "demote" }.to_owned(),
            what: format!("decide on the {}: {}", proposal.proposal, proposal.gives),
            why,
            how: format!("burngate promote {workflow} {flag} --reason TEXT"),
        }
    };
    ProposalView::of(state)
        .into_iter()
        .map(suggestion)
        .collect()
}

/// Tighter where the workflow certainly does better than the next step, looser where it certainly
/// does not reach what is asked: by the interval of its success rate, over the budget's window.
fn target(state: &WorkflowState) -> Option<Suggestion> {
    let objective = &state.terms().objective;
    let tally = state.account().full_tally(objective.window, state.now());
    let rate = MetricsDetail::of(&tally).success_rate;
    let [low, high] = rate.interval?;
    let ppm = |decimal: Decimal| u32::try_from(decimal.ten_thousandths() * 100).unwrap_or(0);
    let known = format!(
        "{} of {} runs in {} were acceptable: with 95% confidence between {} and {} of all",
        rate.numerator,
        rate.denominator,
        TimeSpan(objective.window),
        percent(ppm(low)),
        percent(ppm(high))
    );
    let now = objective.target_ppm;
    let tighter = TARGETS
        .iter()
        .rev()
        .find(|target| **target > now && **target <= ppm(low));
    let (kind, what, to) = if let Some(target) = tighter {
        (
            "tighten_target",
            format!(
                "tighten the target from {} to {}",
                percent(now),
                percent(*target)
            ),
            *target,
        )
    } else if ppm(high) < now {
        let reached = ppm(rate.rate?);
        let target = TARGETS.iter().rev().find(|target| **target <= reached)?;
        let what = format!(
            "mend it, or own up to a target of {} in place of {}",
            percent(*target),
            percent(now)
        );
        ("loosen_target", what, *target)
    } else {
        return None;
    };
    Some(Suggestion {
        kind: kind.to_owned(),
        what,
        why: known,
        how: format!("objective: {{ target: {} }}", percent(to)),
    })
}

fn schema(numbers: &SpanNumbers, without_schema: &[ToolName]) -> Option<Suggestion> {
    let failures = |tool: &ToolName| {
        numbers
            .numbers
            .failure_modes_by_tool
            .get(tool.as_str())
            .map_or(0, |modes| modes.values().sum::<u64>())
    };
    let mut tools: Vec<_> = without_schema
        .iter()
        .map(|tool| (failures(tool), tool))
        .collect();
    tools.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(other.1)));
    let named = tools.iter().take(NAMED).map(|(failures, tool)| {
        if *failures > 0 {
            format!("{tool} ({failures} failures)")
        } else {
            tool.to_string()
        }
    });
    let listed = named.collect::<Vec<_>>().join(", ");
    let more = tools.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    (!tools.is_empty()).then(|| Suggestion {
        kind: "add_schema".to_owned(),
        what: format!("describe the arguments of {listed}{more}"),
        why: "nothing checks what is sent to a tool without a schema, and strict validation holds each of its calls".to_owned(),
        how: "arguments: { … } at the tool, or openapi: FILE at the API".to_owned(),
    })
}

fn checks(state: &WorkflowState, numbers: &SpanNumbers) -> Option<Suggestion> {
    let unknown = numbers.runs > 0 && numbers.checked == 0;
    unknown.then(|| {
        let is_drawn = state.terms().check.is_some();
        Suggestion {
            kind: "add_checks".to_owned(),
            what: "have people look at some of its runs".to_owned(),
            why: format!(
                "none of {} runs was checked, so nobody knows how many needed correction",
                numbers.runs
            ),
            how: if is_drawn {
                "burngate checks list".to_owned()
            } else {
                format!(
                    "check: {{ sample: {}, min: 20/week }}",
                    share(state.terms().tier)
                )
            },
        }
    })
}

const fn share(tier: Tier) -> &'static str {
    match tier {
        Tier::Low => "1%",
        Tier::Medium => "5%",
        Tier::High => "10%",
    }
}

/// Parts per million as a percentage, without zeros at its end.
fn percent(ppm: u32) -> String {
    let (whole, rest) = (ppm / (MILLION / 100), ppm % (MILLION / 100));
    let rest = format!("{rest:04}");
    let rest = rest.trim_end_matches('0');
    if rest.is_empty() {
        format!("{whole}%")
    } else {
        format!("{whole}.{rest}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_written_as_people_write_them() {
        assert_eq!(
            [970_000, 995_000, 999_990, 1_000_000, 50_000].map(percent),
            ["97%", "99.5%", "99.999%", "100%", "5%"]
        );
    }
}
