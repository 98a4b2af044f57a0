//! How people decided on a workflow's held calls in the last week, and how that turned out: in a
//! sentence.

use std::fmt::Write as _;

use crate::api::review::ApprovalsSummary;
use crate::cli::render::number::{counted, grouped, percent, took};

/// The sentence; nothing where nothing was held.
#[must_use]
pub(super) fn line(approvals: &ApprovalsSummary) -> String {
    let all = &approvals.figures;
    let mut lines = Vec::new();
    if all.held > 0 || all.decisions > 0 {
        let mut text = format!(
            "In the last week {} for a person",
            counted(all.held, "call was held", "calls were held")
        );
        if let (1, Some(median)) = (all.decisions, all.median_seconds) {
            let _ = write!(text, ". The only decision took {}", took(median));
        } else if let Some(median) = all.median_seconds {
            let _ = write!(
                text,
                ". Half of {} took at most {}",
                counted(all.decisions, "decision", "decisions"),
                took(median)
            );
            if let Some(most) = all.p90_seconds {
                let _ = write!(text, ", nine of ten at most {}", took(most));
            }
        }
        if all.approved > 0 {
            let approved = counted(all.approved, "approved call", "approved calls");
            let _ = write!(
                text,
                ". Of {approved}, {} were approved without edits, and {} of these turned out bad",
                percent(all.without_edits),
                grouped(all.turned_bad)
            );
        }
        lines.push(text);
    }
    if all.unseen > 0 {
        lines.push(format!(
            "{} expired before anybody who may decide listed it",
            counted(all.unseen, "held call", "held calls")
        ));
    }
    if all.unasked > 0 {
        let went = counted(all.unasked, "call went", "calls went");
        lines.push(format!(
            "{went} through under a timed grant, and {} of them turned out bad",
            grouped(all.unasked_turned_bad)
        ));
    }
    lines.into_iter().map(|text| text + ".\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Decimal;
    use crate::api::review::DecisionFigures;

    #[test]
    fn a_single_decision_is_told_without_percentiles() {
        let figures = DecisionFigures {
            held: 2,
            decisions: 1,
            median_seconds: Some(Decimal::of(45_000)),
            p90_seconds: Some(Decimal::of(45_000)),
            ..DecisionFigures::default()
        };
        let shown = line(&ApprovalsSummary {
            figures,
            ..ApprovalsSummary::default()
        });
        assert_eq!(
            shown,
            "In the last week 2 calls were held for a person. The only decision took 5s.\n"
        );
    }

    #[test]
    fn how_people_decided_is_told_in_a_sentence_and_nothing_where_nothing_was_held() {
        assert_eq!(line(&ApprovalsSummary::default()), "");
        let figures = DecisionFigures {
            held: 12,
            decisions: 11,
            approved: 10,
            edited: 1,
            median_seconds: Some(Decimal::of(950_000)),
            p90_seconds: Some(Decimal::of(36_000_000)),
            without_edits: Decimal::ratio(9, 10),
            turned_bad: 2,
            unseen: 1,
            unasked: 3,
            unasked_turned_bad: 1,
            ..DecisionFigures::default()
        };
        insta::assert_snapshot!(line(&ApprovalsSummary { figures, ..ApprovalsSummary::default() }), @r"
        In the last week 12 calls were held for a person. Half of 11 decisions took at most 1m35s, nine of ten at most 1h. Of 10 approved calls, 90% were approved without edits, and 2 of these turned out bad.
        1 held call expired before anybody who may decide listed it.
        3 calls went through under a timed grant, and 1 of them turned out bad.
        ");
    }
}
