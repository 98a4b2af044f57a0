//! The answer as a page.

use std::fmt::Write as _;

use serde::Serialize;

use super::rules::RuleAnswer;
use crate::cli::render::table::Columns;
use crate::cli::render::{Tone, escape, paint, word};
use crate::gate::verdict::Verdict;

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct ExplainAnswer {
    pub(super) workflow: String,
    pub(super) tool: String,
    pub(super) level: String,
    /// Where the level comes from: `starts` or `at`.
    pub(super) level_from: &'static str,
    pub(super) posture: &'static str,
    pub(super) mode: &'static str,
    pub(super) verdict: Verdict,
    /// The rule that decided; `null` where every rule allows.
    pub(super) rule: Option<&'static str>,
    /// Why no rule could judge it: the gate answers 400.
    pub(super) malformed: Option<String>,
    pub(super) rules: Vec<RuleAnswer>,
    pub(super) notes: Vec<String>,
    pub(super) version: String,
}

/// `answer` as it is shown.
pub(super) fn page(answer: &ExplainAnswer) -> String {
    let mut table = Columns::new(&["RULE", "VERDICT", "PLACE", "DETAIL"]);
    for line in &answer.rules {
        let location = line.location.clone().unwrap_or_else(|| "-".to_owned());
        let verdict = if line.shadow {
            format!("{} (shadow)", line.verdict)
        } else {
            line.verdict.to_string()
        };
        table.row([
            line.rule.to_string(),
            verdict,
            location,
            line.detail.clone(),
        ]);
        // The detail has the first already.
        for violation in line.violations.iter().skip(1) {
            table.row([
                String::new(),
                String::new(),
                String::new(),
                format!("`{}` {}", violation.pointer, violation.detail),
            ]);
        }
    }
    let mut page = format!(
        "{} by {}: {}\n\n",
        escape(&answer.tool),
        escape(&answer.workflow),
        assumed(answer)
    );
    if !answer.rules.is_empty() {
        page += &table.page();
        page.push('\n');
    }
    let _ = writeln!(page, "{}", verdict(answer));
    for line in answer
        .rules
        .iter()
        .filter(|line| line.shadow && line.verdict != Verdict::Allow)
    {
        let location = line
            .location
            .as_ref()
            .map_or_else(String::new, |location| format!(" ({})", escape(location)));
        let _ = writeln!(
            page,
            "in shadow: {}{location} says {}; that is recorded without effect",
            line.rule, line.verdict
        );
    }
    for note in &answer.notes {
        let _ = writeln!(page, "{} {}", paint(Tone::Fine, "note:"), escape(note));
    }
    page + &paint(Tone::Fine, "note:")
        + " volume, concurrency, exposure, earlier calls and decisions are known only to a running gate\n"
}

fn assumed(answer: &ExplainAnswer) -> String {
    let level = paint(Tone::Strong, &escape(&answer.level));
    let from = if answer.level_from == "at" {
        "as asked"
    } else {
        "where the workflow starts; --at LEVEL assumes another"
    };
    format!(
        "assuming level {level} ({from}), a {} budget and nothing spent",
        answer.posture
    )
}

fn verdict(answer: &ExplainAnswer) -> String {
    let verdict = word(answer.verdict.as_str());
    let shadow = if answer.mode == "shadow" && answer.verdict != Verdict::Allow {
        "; in shadow it is recorded, and the call passes"
    } else {
        ""
    };
    match (&answer.malformed, answer.rule) {
        (Some(what), _) => format!("verdict: {verdict}, as malformed (400): {}", escape(what)),
        (None, Some(rule)) => format!("verdict: {verdict}, by {rule}{shadow}"),
        (None, None) => format!("verdict: {verdict}"),
    }
}
