//! `burngate demo`: a real gate, a sample tool API and a scripted agent, in one process.

use std::fmt::Write as _;

use clap::Args;

use super::{
    failure::{Exit, Failure},
    render::{
        self, Tone, escape,
        number::{counted, grouped, percent},
        paint, word,
    },
};
use crate::{
    api::workflow::Workflow,
    app::{self, Passage, demo::Call},
};

/// No line is longer, where nobody chose its words.
const WIDTH: usize = 98;
/// How far everything below an act is set in.
const INDENT: &str = "   ";
/// How many characters a whole budget is.
const BAR: i64 = 20;

/// See it work: a real gate, a sample tool API and a scripted agent, in one process
#[derive(Debug, Args)]
#[command(after_help = "\
Listens on free ports of this machine, keeps its files in a private directory for temporary files, and leaves nothing behind.
It waits for you to approve a call from a second terminal, and then runs until Ctrl-C.")]
pub(super) struct Demo {
    /// Play the reviewer too, wait for nobody, and end with the story: for scripts
    #[arg(long)]
    yes: bool,
}

impl Demo {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        app::demo(app::DemoOptions { yes: self.yes, say })?;
        Ok(Exit::Did)
    }
}

/// Tells the reader. A closed standard output ends nothing: the gate still has to be put away.
fn say(passage: &Passage) {
    drop(render::show(&told(passage)));
}

fn told(passage: &Passage) -> String {
    match passage {
        Passage::Title(what) => format!("\n{}: {}\n", paint(Tone::Strong, "burngate demo"), escape(what)),
        Passage::Act(number, title) => format!("\n\n{}\n", paint(Tone::Strong, &format!("{number}  {}", escape(title)))),
        Passage::Text(text) => format!("\n{}", wrapped(&escape(text))),
        Passage::Calls(calls) => format!("\n{}", table(calls)),
        Passage::Standing(workflow) => format!("\n{}", standing(workflow)),
        Passage::Try(why, lines) => typed(why, lines),
        Passage::Status(call, workflow) => status(call, workflow),
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
fn table(calls: &[Call]) -> String {
    calls.iter().map(|call| format!("{INDENT}  {}\n", row(call))).collect()
}

fn row(call: &Call) -> String {
    let (request, what, outcome) = (escape(&call.request), escape(&call.what), escape(&call.outcome));
    let said = format!("{}{}", word(&call.verdict), " ".repeat(6_usize.saturating_sub(call.verdict.len())));
    format!("{request:<20} {what:<28} {}  {said} {}", call.status, paint(Tone::Fine, &outcome)).trim_end().to_owned()
}

/// Where the workflow stands, in two lines.
fn standing(workflow: &Workflow) -> String {
    let budget = &workflow.budget;
    let level = paint(Tone::Strong, &escape(&workflow.level.effective));
    let binds = match workflow.level.binds.as_str() {
        "earned" => "as earned".to_owned(),
        "cap" => format!("capped by the budget; earned is {}", escape(&workflow.level.earned)),
        "clamp" => "clamped by an operator".to_owned(),
        "probation" => "on probation".to_owned(),
        other => escape(other),
    };
    format!(
        "{INDENT}  posture {}   level {level} ({binds})\n{INDENT}  budget  {} {} remains   {} of {} unacceptable, {} allowed\n",
        word(&workflow.posture),
        bar(budget.remaining.ten_thousandths()),
        percent(Some(budget.remaining)),
        grouped(budget.unacceptable),
        counted(budget.runs, "run", "runs"),
        budget.allowed,
    )
}

/// What is left of a budget, to the eye.
fn bar(remaining: i64) -> String {
    let full = usize::try_from((remaining * BAR / 10_000).clamp(0, BAR)).unwrap_or_default();
    let empty = usize::try_from(BAR).unwrap_or_default() - full;
    format!("[{}{}]", "=".repeat(full), paint(Tone::Fine, &"-".repeat(empty)))
}

fn typed(why: &str, lines: &[String]) -> String {
    let why = if why.is_empty() { String::new() } else { format!("\n{INDENT}{}", escape(why)) };
    let lines: String = lines.iter().map(|line| format!("{INDENT}  {}\n", paint(Tone::Strong, &escape(line)))).collect();
    format!("{why}\n{lines}")
}

fn status(call: &Call, workflow: &Workflow) -> String {
    format!(
        "{INDENT}{}\n{INDENT}  {}, level {}, {} remains, {} of {} unacceptable\n",
        row(call),
        word(&workflow.posture),
        paint(Tone::Strong, &escape(&workflow.level.effective)),
        percent(Some(workflow.budget.remaining)),
        grouped(workflow.budget.unacceptable),
        counted(workflow.budget.runs, "run", "runs"),
    )
}
