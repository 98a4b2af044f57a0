//! `burngate demo`: a real gate, a sample tool API and a scripted agent, in one process.

use std::fmt::Write as _;

use clap::Args;

use super::failure::{Exit, Failure};
use super::render;
use super::render::number::{counted, grouped, percent};
use super::render::{Tone, escape, paint, tone_of, word};
use crate::api::workflow::WorkflowView;
use crate::app;
use crate::app::Passage;
use crate::app::demo::CallReport;

/// The longest line, except where its words come from elsewhere.
const WIDTH: usize = 78;
/// How far everything below an act is set in.
const INDENT: &str = "   ";
/// The width of a whole budget, in characters.
const BAR: i64 = 10;

/// See it work: a real gate, a sample tool API and a scripted agent, in one process
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # The whole story; you approve one call from a second terminal
  burngate demo
  # The same without waiting for you, ending by itself
  burngate demo --yes

It listens on free ports of this machine, keeps its files in a private temporary directory, and removes them at the end. Without --yes it runs until Ctrl-C.")]
pub(super) struct DemoArgs {
    /// Approve the held call without waiting for you, and end when the story does: for scripts
    #[arg(long)]
    yes: bool,
}

impl DemoArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        app::demo(app::DemoOptions { yes: self.yes, say })?;
        Ok(Exit::Did)
    }
}

/// Prints a passage. A closed standard output does not end the demo: the gate still has to be
/// stopped.
fn say(passage: &Passage) {
    drop(render::show(&describe(passage)));
}

fn describe(passage: &Passage) -> String {
    match passage {
        Passage::Title(what) => format!(
            "\n{}: {}\n",
            paint(Tone::Strong, "burngate demo"),
            escape(what)
        ),
        Passage::Act(number, title) => format!(
            "\n\n{}\n",
            paint(Tone::Strong, &format!("{number}  {}", escape(title)))
        ),
        Passage::Text(text) => format!("\n{}", wrapped(&escape(text))),
        Passage::Calls(calls) => format!("\n{}", table(calls)),
        Passage::Status(workflow) => format!("\n{}", status(workflow)),
        Passage::Try(why, lines) => typed(why, lines),
        Passage::RunHead => format!("\n{}\n", run_head()),
        Passage::Run(run, call, workflow) => run_row(run, call, workflow),
    }
}

/// A paragraph, broken between words.
fn wrapped(text: &str) -> String {
    let (mut page, mut line) = (String::new(), String::from(INDENT));
    for next in text.split(' ') {
        if line.len() > INDENT.len() && line.chars().count() + 1 + next.chars().count() > WIDTH {
            let _ = writeln!(page, "{line}");
            line = String::from(INDENT);
        }
        if line.len() > INDENT.len() {
            line.push(' ');
        }
        line.push_str(next);
    }
    page + &line + "\n"
}

/// Calls below each other: what was asked, what for, what came back.
fn table(calls: &[CallReport]) -> String {
    set_in(calls.iter().map(row))
}

fn row(call: &CallReport) -> String {
    format!(
        "{:<18}  {:<18}  {}",
        escape(&call.request),
        escape(&call.what),
        answer(call)
    )
    .trim_end()
    .to_owned()
}

/// What came back: status, verdict, and what else there is to say.
fn answer(call: &CallReport) -> String {
    // An answer that the shop never gave carries no verdict.
    let verdict = if call.verdict.is_empty() {
        "-"
    } else {
        &call.verdict
    };
    format!(
        "{}  {} {}",
        call.status,
        column(&word(verdict), verdict, 5),
        escape(&call.outcome)
    )
    .trim_end()
    .to_owned()
}

/// `painted` as wide as a column, whatever its colour: `text` is what one sees of it.
fn column(painted: &str, text: &str, width: usize) -> String {
    format!(
        "{painted}{}",
        " ".repeat(width.saturating_sub(text.chars().count()))
    )
}

/// Where the workflow stands, in two lines.
fn status(workflow: &WorkflowView) -> String {
    let budget = &workflow.budget;
    let level = paint(Tone::Strong, &escape(&workflow.level.effective));
    let binds = match workflow.level.binds.as_str() {
        "earned" if workflow.level.probation.is_some() => "on probation".to_owned(),
        "earned" => "nothing limits it".to_owned(),
        "cap" => format!(
            "the budget's cap; without it {}",
            escape(&workflow.level.earned)
        ),
        "clamp" => "clamped by an operator".to_owned(),
        "probation" => "on probation".to_owned(),
        other => escape(other),
    };
    format!(
        "{INDENT}  posture {}   level {level} ({binds})\n{INDENT}  budget  {} {} remaining   {} of {} unacceptable, {} allowed\n",
        word(&workflow.posture),
        bar(workflow),
        percent(Some(budget.remaining)),
        grouped(budget.unacceptable),
        counted(budget.runs, "run", "runs"),
        budget.allowed,
    )
}

/// What is left of a budget, as a bar.
fn bar(workflow: &WorkflowView) -> String {
    let full =
        usize::try_from((workflow.budget.remaining.ten_thousandths() * BAR / 10_000).clamp(0, BAR))
            .unwrap_or_default();
    let empty = usize::try_from(BAR).unwrap_or_default() - full;
    let paint_if = |tone, text: String| {
        if text.is_empty() {
            text
        } else {
            paint(tone, &text)
        }
    };
    let tone = tone_of(&workflow.posture).unwrap_or(Tone::Fine);
    format!(
        "[{}{}]",
        paint_if(tone, "=".repeat(full)),
        paint_if(Tone::Fine, "-".repeat(empty))
    )
}

fn typed(why: &str, lines: &[String]) -> String {
    let why = if why.is_empty() {
        String::new()
    } else {
        format!("\n{INDENT}{}", escape(why))
    };
    format!(
        "{why}\n{}",
        set_in(lines.iter().map(|line| paint(Tone::Strong, &escape(line))))
    )
}

/// Lines of their own, below a paragraph.
fn set_in(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |mut page, line| {
        let _ = writeln!(page, "{INDENT}  {line}");
        page
    })
}

/// The heads of the columns of [`run_row`].
fn run_head() -> String {
    paint(
        Tone::Fine,
        &format!(
            "{INDENT}  {:<7} {:<21} {:<8} {:<10} {:>9}   {}",
            "RUN", "REFUND", "POSTURE", "LEVEL", "REMAINING", "UNACCEPTABLE"
        ),
    )
}

/// A run in passing, in one line.
fn run_row(run: &str, call: &CallReport, workflow: &WorkflowView) -> String {
    let (budget, level, answer) = (&workflow.budget, &workflow.level.effective, answer(call));
    let seen = anstream::adapter::strip_str(&answer).to_string();
    format!(
        "{INDENT}  {run:<7} {} {} {} {:>9}   {} of {}\n",
        column(&answer, &seen, 21),
        column(&word(&workflow.posture), &workflow.posture, 8),
        column(&paint(Tone::Strong, &escape(level)), level, 10),
        percent(Some(budget.remaining)),
        grouped(budget.unacceptable),
        counted(budget.runs, "run", "runs"),
        run = escape(run),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::render::plain;
    use crate::cli::status::tests::workflow;

    fn call(verdict: &str, outcome: &str) -> CallReport {
        CallReport {
            request: "POST /refunds".to_owned(),
            what: "40 EUR for A-2044".to_owned(),
            status: 403,
            verdict: verdict.to_owned(),
            outcome: outcome.to_owned(),
        }
    }

    #[test]
    fn the_story_as_somebody_reads_it() {
        let burned = workflow(&json!({
            "posture": "burned", "budget": { "unacceptable": 300, "remaining": -0.25 },
            "level": { "effective": "supervised", "cap": "supervised", "binds": "cap" },
        }));
        let passages = [
            Passage::Title("a gate"),
            Passage::Act(1, "Healthy"),
            Passage::Text("a few words, ".repeat(14).trim_end().to_owned()),
            Passage::Calls(vec![
                call("allow", ""),
                call("", "upstream-timeout"),
                call("hold", "held: \u{1b}[2Jlevel"),
            ]),
            Passage::Status(Box::new(workflow(&json!({})))),
            Passage::Status(Box::new(burned.clone())),
            Passage::Try("Look:", vec!["burngate status refunds".to_owned()]),
            Passage::Try(
                "",
                vec!["burngate release refunds --reason \"fine\"".to_owned()],
            ),
            Passage::RunHead,
            Passage::Run(
                "run-059".to_owned(),
                call("hold", "held: level"),
                Box::new(burned),
            ),
        ];
        insta::assert_snapshot!(plain(&passages.iter().map(describe).collect::<String>()), @r#"

        burngate demo: a gate


        1  Healthy

           a few words, a few words, a few words, a few words, a few words, a few
           words, a few words, a few words, a few words, a few words, a few words, a
           few words, a few words, a few words,

             POST /refunds       40 EUR for A-2044   403  allow
             POST /refunds       40 EUR for A-2044   403  -     upstream-timeout
             POST /refunds       40 EUR for A-2044   403  hold  held: \u{1b}[2Jlevel

             posture healthy   level standard (nothing limits it)
             budget  [=========-] 96% remaining   12 of 1,234 runs unacceptable, 300 allowed

             posture burned   level supervised (the budget's cap; without it standard)
             budget  [----------] -25% remaining   300 of 1,234 runs unacceptable, 300 allowed

           Look:
             burngate status refunds

             burngate release refunds --reason "fine"

             RUN     REFUND                POSTURE  LEVEL      REMAINING   UNACCEPTABLE
             run-059 403  hold  held: level burned   supervised      -25%   300 of 1,234 runs
        "#);
    }

    #[test]
    fn no_line_of_a_paragraph_is_wider_than_a_narrow_terminal() {
        for words in 1..60 {
            let text = wrapped(&"reliability earns scope ".repeat(words));
            assert!(
                text.lines().all(|line| line.chars().count() <= WIDTH),
                "{text}"
            );
            assert_eq!(text.split_whitespace().count(), words * 3);
        }
    }
}
