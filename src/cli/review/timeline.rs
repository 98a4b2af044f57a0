//! One workflow's timeline: what happened, in order, and what executed.

use super::document::{ListItem, ReviewDocument, second};
use crate::api::review::ReviewResponse;
use crate::cli::render::number::{counted, grouped};

/// The page.
pub(super) fn document(review: &ReviewResponse) -> ReviewDocument {
    let name = review
        .workflows
        .first()
        .map_or("", |reviewed| reviewed.status.workflow.as_str());
    let mut page = ReviewDocument::new(format!(
        "Timeline of {name}, {} to {} UTC",
        second(review.since),
        second(review.until)
    ));
    for reviewed in &review.workflows {
        let status = &reviewed.status;
        page.text(format!(
            "Now {} at level {} (binds: {}). {}.",
            status.posture, status.level.effective, status.level.binds, status.why
        ));
    }
    let Some(timeline) = &review.timeline else {
        return page;
    };
    page.heading(2, "What happened");
    if timeline.lines.is_empty() {
        page.text("Nothing is on record for this span.");
    }
    if timeline.left_out > 0 {
        page.text(format!(
            "{} left out: choose a shorter span.",
            counted(timeline.left_out, "older line is", "older lines are")
        ));
    }
    page.list(timeline.lines.iter().map(|line| {
        let by = line
            .by
            .as_ref()
            .map_or_else(String::new, |by| format!("{by}: "));
        ListItem::from(format!("{} {by}{}", second(line.at), line.what))
    }));
    page.heading(2, "What executed");
    if timeline.executed.is_empty() {
        page.text("No call of a run that has ended. Calls above low risk are in the list, with what became of them.");
    } else {
        page.text("Calls of runs that have ended, those of read and low risk included. Subjects of risky calls are in the list above.");
        let row = |tool: &crate::api::review::ExecutedCalls| {
            vec![
                tool.tool.clone(),
                tool.risk.clone(),
                grouped(tool.calls),
                grouped(tool.subjects),
            ]
        };
        page.table(
            vec!["tool", "risk", "calls", "subjects"],
            timeline.executed.iter().map(row).collect(),
        );
    }
    page.list(
        review
            .missing
            .iter()
            .map(|missing| ListItem::from(format!("Not in here: {missing}"))),
    );
    page
}
