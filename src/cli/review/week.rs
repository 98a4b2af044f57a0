//! A review of workflows for a meeting: first what to decide, then a table of all, then each one.

use std::collections::BTreeMap;

use super::document::{ListItem, ReviewDocument, change, line_item, minute};
use crate::api::Decimal;
use crate::api::numbers::RateDetail;
use crate::api::review::{
    ApprovalsSummary, BurnReview, DecisionFigures, ReviewResponse, ReviewerSummary, RuleSummary,
    WorkflowReview,
};
use crate::cli::render::number::{counted, grouped, percent, took};

/// The most lines of one kind that are shown; `--format json` has all.
const SHOWN: usize = 20;

/// The page.
pub(super) fn document(review: &ReviewResponse) -> ReviewDocument {
    let mut page = ReviewDocument::new(format!(
        "Review, {} to {} UTC",
        minute(review.since),
        minute(review.until)
    ));
    page.text(headline(review));
    let decide: Vec<ListItem> = review.workflows.iter().flat_map(to_decide).collect();
    page.heading(2, "To decide");
    if decide.is_empty() {
        page.text("Nothing is proposed.");
    }
    page.list(decide);
    page.heading(2, "Workflows");
    let head = vec![
        "workflow",
        "risk",
        "posture",
        "level",
        "runs",
        "unacceptable",
        "success",
        "change",
        "budget left",
        "checked",
    ];
    page.table(head, review.workflows.iter().map(row).collect());
    for reviewed in &review.workflows {
        workflow(&mut page, reviewed);
    }
    if !review.incidents.is_empty() {
        page.heading(2, "Incidents of tool APIs");
        page.list(review.incidents.iter().map(|reviewed| {
            let incident = &reviewed.incident;
            let until = incident.closed.map_or_else(
                || "still open".to_owned(),
                |closed| format!("over at {}", minute(closed)),
            );
            let excluded = match reviewed.excluded {
                0 => "no run was excluded for it".to_owned(),
                runs => format!("{} excluded for it", counted(runs, "run was", "runs were")),
            };
            let (failures, calls) = (grouped(incident.failures), grouped(incident.calls));
            ListItem::from(format!(
                "{}: {failures} of {calls} calls failed from {}, {until}; {excluded} ({})",
                incident.api,
                minute(incident.since),
                incident.incident
            ))
        }));
    }
    if !review.gate.is_empty() {
        page.heading(2, "The gate");
        lines(&mut page, &review.gate);
    }
    page.list(
        review
            .missing
            .iter()
            .map(|missing| ListItem::from(format!("Not in here: {missing}"))),
    );
    page
}

fn headline(review: &ReviewResponse) -> String {
    let mut postures: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for reviewed in &review.workflows {
        postures
            .entry(&reviewed.status.posture)
            .or_default()
            .push(&reviewed.status.workflow);
    }
    let mut parts = Vec::new();
    for posture in ["breached", "burned", "at_risk"] {
        if let Some(names) = postures.get(posture) {
            parts.push(format!("{posture}: {}", names.join(", ")));
        }
    }
    match postures.get("healthy").map_or(0, Vec::len) {
        0 => {}
        all if all == review.workflows.len() => parts.push(if all == 1 {
            "it is healthy".to_owned()
        } else {
            "all are healthy".to_owned()
        }),
        healthy => parts.push(format!("healthy: {healthy}")),
    }
    let burns: usize = review
        .workflows
        .iter()
        .map(|reviewed| reviewed.burns.len())
        .sum();
    parts.push(counted(burns as u64, "burn", "burns"));
    parts.push(counted(
        review.incidents.len() as u64,
        "incident",
        "incidents",
    ));
    let overdue: Vec<_> = review
        .workflows
        .iter()
        .filter(|reviewed| reviewed.overdue_since.is_some())
        .map(|reviewed| reviewed.status.workflow.as_str())
        .collect();
    if !overdue.is_empty() {
        parts.push(format!("review overdue: {}", overdue.join(", ")));
    }
    format!(
        "{}; {}.",
        counted(review.workflows.len() as u64, "workflow", "workflows"),
        parts.join("; ")
    )
}

fn to_decide(reviewed: &WorkflowReview) -> Vec<ListItem> {
    let name = &reviewed.status.workflow;
    let item = |suggestion: &crate::api::review::Suggestion| ListItem {
        text: format!("{name}: {}. {}.", suggestion.what, capital(&suggestion.why)),
        code: Some(suggestion.how.clone()),
    };
    reviewed.suggestions.iter().map(item).collect()
}

fn row(reviewed: &WorkflowReview) -> Vec<String> {
    let (status, numbers) = (&reviewed.status, &reviewed.numbers);
    let success = numbers.numbers.metrics.success_rate;
    vec![
        status.workflow.clone(),
        status.risk.clone(),
        status.posture.clone(),
        status.level.effective.clone(),
        grouped(numbers.runs),
        grouped(numbers.unacceptable),
        percent(success),
        change(
            success,
            reviewed
                .before
                .as_ref()
                .and_then(|before| before.numbers.metrics.success_rate),
        ),
        percent(Some(status.budget.remaining)),
        grouped(numbers.checked),
    ]
}

fn workflow(page: &mut ReviewDocument, reviewed: &WorkflowReview) {
    let status = &reviewed.status;
    page.heading(2, format!("{} (risk {})", status.workflow, status.risk));
    page.text(format!(
        "{} at level {} (binds: {}): {}.",
        capital(&status.posture),
        status.level.effective,
        status.level.binds,
        status.why
    ));
    let last = match (&reviewed.last_review, reviewed.overdue_since) {
        (_, Some(since)) => format!("A review is overdue since {}.", minute(since)),
        (Some(last), None) => format!(
            "Last reviewed {} by {}.",
            minute(last.at),
            last.by.as_deref().unwrap_or("nobody")
        ),
        (None, None) => String::new(),
    };
    page.text(last);
    numbers(page, reviewed);
    if !reviewed.spent.is_empty() {
        page.heading(3, "What went wrong");
        page.list(reviewed.spent.iter().map(|spent| {
            let tools: Vec<_> = spent
                .tools
                .iter()
                .map(|(tool, runs)| format!("{tool} {}", grouped(*runs)))
                .collect();
            let at = if tools.is_empty() {
                String::new()
            } else {
                format!(", at {}", tools.join(", "))
            };
            let costs = if spent.costs { "" } else { "; costs nothing" };
            ListItem::from(format!(
                "{}: {}{at}{costs}",
                spent.mode,
                counted(spent.runs, "run", "runs")
            ))
        }));
    }
    if !reviewed.burns.is_empty() {
        page.heading(3, "Burns");
        reviewed.burns.iter().for_each(|burn| burn_of(page, burn));
    }
    approvals(page, &reviewed.approvals);
    if !reviewed.shadow.is_empty() {
        page.heading(3, "Let through in shadow");
        page.list(reviewed.shadow.iter().take(SHOWN).map(|finding| {
            let rule = if finding.rule.is_empty() {
                String::new()
            } else {
                format!(" by {}", finding.rule)
            };
            ListItem::from(format!(
                "{}: {} would have been {}{rule}",
                finding.tool,
                counted(finding.calls, "call", "calls"),
                past(&finding.verdict)
            ))
        }));
    }
    exclusions(page, reviewed);
    if !reviewed.levels.is_empty() {
        page.heading(3, "Level");
        lines(page, &reviewed.levels);
    }
    if !reviewed.changes.is_empty() {
        page.heading(3, "What changed");
        lines(page, &reviewed.changes);
    }
    page.text(nothing(reviewed));
}

fn numbers(page: &mut ReviewDocument, reviewed: &WorkflowReview) {
    let detail = &reviewed.numbers.numbers.metrics_detail;
    let before = reviewed
        .before
        .as_ref()
        .map(|before| &before.numbers.metrics_detail);
    if reviewed.numbers.runs == 0 {
        page.text(format!(
            "No run counted in this span ({}).",
            counted(reviewed.numbers.idle_runs, "idle run", "idle runs")
        ));
        return;
    }
    let row = |name: &str, rate: &RateDetail, before: Option<&RateDetail>| {
        let interval = rate.interval.map_or_else(
            || "-".to_owned(),
            |[low, high]| format!("{} to {}", percent(Some(low)), percent(Some(high))),
        );
        let change = change(rate.rate, before.and_then(|before| before.rate));
        vec![
            name.to_owned(),
            percent(rate.rate),
            change,
            grouped(rate.numerator),
            grouped(rate.denominator),
            grouped(rate.checked),
            interval,
        ]
    };
    let rows = vec![
        row(
            "success",
            &detail.success_rate,
            before.map(|before| &before.success_rate),
        ),
        row(
            "human correction",
            &detail.correction_rate,
            before.map(|before| &before.correction_rate),
        ),
        row(
            "escalation miss",
            &detail.escalation_miss_rate,
            before.map(|before| &before.escalation_miss_rate),
        ),
        row(
            "rework",
            &detail.rework_rate,
            before.map(|before| &before.rework_rate),
        ),
    ];
    page.table(
        vec![
            "number",
            "rate",
            "change (points)",
            "runs",
            "of",
            "checked",
            "95% interval",
        ],
        rows,
    );
}

fn burn_of(page: &mut ReviewDocument, burn: &BurnReview) {
    let left = burn.left.map_or_else(
        || "still on".to_owned(),
        |left| format!("left {}", minute(left)),
    );
    let voided = if burn.voided { ", void" } else { "" };
    let modes: Vec<_> = burn
        .modes
        .iter()
        .filter(|(_, runs)| **runs > 0)
        .map(|(mode, runs)| format!("{mode} {}", grouped(*runs)))
        .collect();
    let modes = if modes.is_empty() {
        String::new()
    } else {
        format!(" ({})", modes.join(", "))
    };
    page.text(format!(
        "{} from {}, {left}{voided}: {}{modes}.",
        capital(&burn.posture),
        minute(burn.at),
        burn.why
    ));
    page.text(match (&burn.cause, &burn.fix) {
        (Some(cause), Some(fix)) => format!("Cause: {cause}. Fix: {fix}."),
        (Some(cause), None) => format!("Cause: {cause}. No fix is on record."),
        (None, _) => "No cause is on record.".to_owned(),
    });
    page.list(burn.done.iter().rev().take(SHOWN).rev().map(line_item));
}

fn approvals(page: &mut ReviewDocument, approvals: &ApprovalsSummary) {
    let all = &approvals.figures;
    if idle(approvals) {
        return;
    }
    page.heading(3, "Approvals");
    if all.held > 0 || all.decisions > 0 {
        page.text(format!(
            "{}{}.",
            held(all),
            if all.escalated > 0 {
                format!("; {} put to other people", grouped(all.escalated))
            } else {
                String::new()
            }
        ));
    }
    if all.unseen > 0 {
        let calls = counted(
            all.unseen,
            "held call expired and nobody who could decide ever saw it",
            "held calls expired and nobody who could decide ever saw them",
        );
        page.text(format!("{calls}: the gate failed its people."));
    }
    if all.approved > 0 {
        page.text(format!("{}.", turned_out(all)));
    }
    page.text(unasked(all).map_or_else(String::new, |text| format!("{text}.")));
    let head = vec![
        "rule",
        "where",
        "held",
        "decisions",
        "half within",
        "nine of ten within",
        "unseen",
        "without edits",
        "turned out bad",
        "under a grant",
    ];
    page.table(head, approvals.rules.iter().take(SHOWN).map(rule).collect());
    let head = vec!["reviewer", "decisions", "half within", "remark"];
    page.table(
        head,
        approvals
            .reviewers
            .iter()
            .take(SHOWN)
            .map(reviewer)
            .collect(),
    );
}

fn rule(rule: &RuleSummary) -> Vec<String> {
    let figures = &rule.figures;
    let dash = || "-".to_owned();
    vec![
        rule.rule.clone(),
        rule.location.clone().unwrap_or_else(dash),
        grouped(figures.held),
        grouped(figures.decisions),
        within(figures.median_seconds),
        within(figures.p90_seconds),
        grouped(figures.unseen),
        percent(figures.without_edits),
        if figures.approved > 0 {
            format!(
                "{} ({})",
                grouped(figures.turned_bad),
                percent(figures.turned_bad_share)
            )
        } else {
            dash()
        },
        grouped(figures.unasked),
    ]
}

fn reviewer(reviewer: &ReviewerSummary) -> Vec<String> {
    let remark = if reviewer.hasty {
        "faster than anybody reads"
    } else {
        "-"
    };
    vec![
        reviewer.reviewer.clone(),
        grouped(reviewer.decisions),
        within(reviewer.median_seconds),
        remark.to_owned(),
    ]
}

fn within(seconds: Option<Decimal>) -> String {
    seconds.map_or_else(|| "-".to_owned(), |seconds| took(seconds).to_string())
}

fn idle(approvals: &ApprovalsSummary) -> bool {
    let all = &approvals.figures;
    all.held == 0 && all.decisions == 0 && all.unasked == 0
}

fn held(figures: &DecisionFigures) -> String {
    let speed = match (figures.median_seconds, figures.p90_seconds) {
        (Some(median), Some(most)) if figures.decisions > 1 => format!(
            ", half of them within {} and nine of ten within {}",
            took(median),
            took(most)
        ),
        (Some(median), _) => format!(", within {}", took(median)),
        (None, _) => String::new(),
    };
    format!(
        "{} held; {}{speed}: {} approved, {} denied as wrong, {} not now; {} expired",
        counted(figures.held, "call was", "calls were"),
        counted(figures.decisions, "decision", "decisions"),
        grouped(figures.approved),
        grouped(figures.denied_wrong),
        grouped(figures.denied_not_now),
        grouped(figures.expired)
    )
}

fn turned_out(figures: &DecisionFigures) -> String {
    format!(
        "Of those approved {} went without edits ({} with), and of these {} turned out bad ({})",
        percent(figures.without_edits),
        grouped(figures.edited),
        grouped(figures.turned_bad),
        percent(figures.turned_bad_share)
    )
}

/// Calls that a timed grant let through.
fn unasked(figures: &DecisionFigures) -> Option<String> {
    let went = counted(figures.unasked, "call went", "calls went");
    let sentence = || {
        format!(
            "{went} under a timed grant, without a decision on each; {} turned out bad",
            grouped(figures.unasked_turned_bad)
        )
    };
    (figures.unasked > 0).then(sentence)
}

fn exclusions(page: &mut ReviewDocument, reviewed: &WorkflowReview) {
    let exclusions = &reviewed.exclusions;
    if exclusions.runs == 0 {
        return;
    }
    page.heading(3, "Exclusions");
    let too_many = if exclusions.too_many {
        ": above 2%, which stops promotion"
    } else {
        ""
    };
    page.text(format!(
        "{} taken out, {} of the counted ones{too_many}.",
        counted(exclusions.runs, "run was", "runs were"),
        percent(exclusions.share)
    ));
    page.list(exclusions.reasons.iter().take(SHOWN).map(|reason| {
        ListItem::from(format!(
            "{} by {}: {}",
            grouped(reason.runs),
            reason.by,
            reason.reason
        ))
    }));
}

fn lines(page: &mut ReviewDocument, lines: &[crate::api::review::ReviewLine]) {
    let left_out = lines.len().saturating_sub(SHOWN);
    page.list(lines.iter().skip(left_out).map(line_item));
    if left_out > 0 {
        page.text(format!(
            "And {}.",
            counted(left_out as u64, "older line", "older lines")
        ));
    }
}

/// What did not happen, in one line: worth knowing, but not worth a heading.
fn nothing(reviewed: &WorkflowReview) -> String {
    let parts = [
        ("burns", reviewed.burns.is_empty()),
        ("held calls", idle(&reviewed.approvals)),
        ("exclusions", reviewed.exclusions.runs == 0),
        (
            "waivers, clamps or moves of the level",
            reviewed.levels.is_empty(),
        ),
        ("changes", reviewed.changes.is_empty()),
    ];
    let none: Vec<_> = parts
        .into_iter()
        .filter(|(_, is_none)| *is_none)
        .map(|(what, _)| what)
        .collect();
    if none.is_empty() {
        String::new()
    } else {
        format!("No {}.", none.join(", no "))
    }
}

fn past(verdict: &str) -> &'static str {
    if verdict == "hold" { "held" } else { "denied" }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}
