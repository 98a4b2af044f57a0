//! What a workflow achieved so far, and the target that follows: one that it keeps with room to
//! spare.
//!
//! A workflow that runs exactly at its target uses its budget up about half of the time, so the
//! proposed target allows twice the failures that were seen, and never fewer than three more than
//! that: a history without failures proves little when it is short.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use crate::api::history::{HistoryRun, MAX_LINE, next_line};
use crate::cli::client::in_words;
use crate::cli::failure::Failure;
use crate::cli::render::escape;
use crate::cli::render::number::grouped;
use crate::cli::render::progress::ByteProgress;
use crate::config::starter::ObjectiveProposal;
use crate::gate::budget::Evidence;
use crate::gate::budget::objective::Objective;
use crate::gate::outcome::FailureMode;
use crate::gate::past;
use crate::gate::policy::default_unacceptable;
use crate::gate::risk::Tier;
use crate::gate::run::Mark;
use crate::gate::time::{Time, days};

/// The most workflows that a history may have.
const MOST_WORKFLOWS: usize = 1_000;
/// The span that `expected_runs` is for.
const WINDOW: u64 = 30 * 86_400_000;
/// Targets that a policy can have, in parts per million.
const LOWEST: u64 = 500_000;
const HIGHEST: u64 = 999_990;

/// What one workflow achieved.
#[derive(Debug, Default)]
pub(super) struct WorkflowHistory {
    runs: u64,
    unacceptable: u64,
    modes: BTreeMap<FailureMode, u64>,
    tools: BTreeSet<String>,
    first: Option<Time>,
    last: Time,
}

/// Reads what `workflow`, or the only one there is, achieved in the history in `file`; and its
/// name.
pub(super) fn read(
    file: &Path,
    workflow: Option<&str>,
    tier: Tier,
) -> Result<(String, WorkflowHistory), Failure> {
    let shown = file.display().to_string();
    let unreadable =
        |error: &std::io::Error| Failure::new(format!("cannot read {shown}: {}", in_words(error)));
    let opened = File::open(file).map_err(|error| unreadable(&error))?;
    let mut progress =
        ByteProgress::new("reading", opened.metadata().map_or(0, |about| about.len()));
    let mut reader = BufReader::with_capacity(256 * 1024, opened);
    let objective = objective(tier);
    let (mut text, mut number, mut broken) = (Vec::new(), 0_u64, Vec::new());
    let mut achieved: BTreeMap<String, WorkflowHistory> = BTreeMap::new();
    loop {
        let read = next_line(&mut reader, &mut text).map_err(|error| unreadable(&error))?;
        if read == 0 {
            break;
        }
        progress.add(read);
        number += 1;
        if read > MAX_LINE {
            broken.push(format!("line {number}: longer than {MAX_LINE} bytes"));
            continue;
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        match HistoryRun::read(text.trim_ascii()) {
            Ok(line) if workflow.is_none_or(|workflow| *workflow == *line.workflow) => {
                if achieved.len() >= MOST_WORKFLOWS && !achieved.contains_key(&*line.workflow) {
                    return Err(Failure::new(format!(
                        "{shown} has more than {MOST_WORKFLOWS} workflows"
                    ))
                    .hint("say which one with --workflow"));
                }
                achieved
                    .entry(line.workflow.clone().into_owned())
                    .or_default()
                    .add(&line, &objective);
            }
            Ok(_) => {}
            Err(bad) => broken.push(format!("line {number}: {bad}")),
        }
        if broken.len() >= 5 && achieved.is_empty() {
            break;
        }
    }
    drop(progress);
    let mut names = achieved.keys().map(|name| format!("`{}`", escape(name)));
    match (achieved.len(), workflow) {
        (0, _) => {
            let hint = broken.first().map_or_else(
                || "is it one JSON object a line, and the workflow among them?".to_owned(),
                |first| escape(first),
            );
            Err(Failure::new(format!(
                "{shown} has no run of {}",
                workflow.map_or("any workflow".to_owned(), |name| format!(
                    "`{}`",
                    escape(name)
                ))
            ))
            .hint(hint))
        }
        (1, _) => achieved
            .pop_first()
            .ok_or_else(|| Failure::new("there is no workflow")),
        _ => Err(Failure::usage(format!(
            "{shown} has several workflows: {}",
            names.by_ref().take(10).collect::<Vec<_>>().join(", ")
        ))
        .hint("say which one with --workflow")),
    }
}

impl WorkflowHistory {
    fn add(&mut self, line: &HistoryRun<'_>, objective: &Objective) {
        let mark = past::read(objective, line.outcome, &line.modes, false).mark;
        if mark == Mark::Excluded {
            return;
        }
        self.runs += 1;
        self.unacceptable += u64::from(mark == Mark::Unacceptable);
        for mode in &line.modes {
            *self.modes.entry(mode.clone()).or_default() += 1;
        }
        if self.tools.len() < 100 {
            self.tools
                .extend(line.calls.iter().map(|call| call.tool.clone().into_owned()));
        }
        let at = line.at.0;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = self.last.max(at);
    }

    /// The target and size that this calls for, and why, in lines that become comments.
    pub(super) fn proposal(
        &self,
        expected: Option<u64>,
        default_ppm: u32,
    ) -> Option<ObjectiveProposal> {
        let span = u64::try_from(self.last.since(self.first?).as_millis()).unwrap_or(u64::MAX);
        let days_seen = (span / 86_400_000).max(1);
        let month = u128::from(self.runs) * u128::from(WINDOW) / u128::from(span.max(86_400_000));
        let month = two_digits(u64::try_from(month).unwrap_or(u64::MAX)).max(1);
        let room = (2 * self.unacceptable).max(self.unacceptable + 3);
        let miss =
            u64::try_from((u128::from(room) * 1_000_000).div_ceil(u128::from(self.runs.max(1))))
                .unwrap_or(LOWEST)
                .min(1_000_000);
        let target = rounded_down((1_000_000 - miss).clamp(LOWEST, HIGHEST));
        let achieved_ppm = (self.runs - self.unacceptable) * 1_000_000 / self.runs.max(1);
        let percent = |ppm: u64| {
            crate::config::quantity::Percentage(u32::try_from(ppm).unwrap_or(0)).to_string()
        };
        let mut why = vec![
            format!(
                "{} of {} runs in {} days were acceptable: {}. A workflow that runs exactly at its target uses its budget",
                grouped(self.runs - self.unacceptable),
                grouped(self.runs),
                grouped(days_seen),
                percent(achieved_ppm)
            ),
            "up half of the time; this target allows twice the failures that were seen, and at least three more.".to_owned(),
        ];
        if self.unacceptable * 20 < 60 && self.runs < 300 {
            why.push(
                "The history is short: look at the target again when there is more of it."
                    .to_owned(),
            );
        }
        match target.cmp(&u64::from(default_ppm)) {
            std::cmp::Ordering::Less => {
                why.push(format!("The tier expects {}, which this history does not bear out: mend the workflow, or accept this.", percent(default_ppm.into())));
            }
            std::cmp::Ordering::Greater => why.push(format!(
                "The tier expects {}; this history bears out more.",
                percent(default_ppm.into())
            )),
            std::cmp::Ordering::Equal => {}
        }
        if !self.modes.is_empty() {
            let mut modes: Vec<_> = self.modes.iter().collect();
            modes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            let modes: Vec<_> = modes
                .into_iter()
                .take(5)
                .map(|(mode, count)| format!("{} {}", escape(mode.as_str()), grouped(*count)))
                .collect();
            why.push(format!("What went wrong: {}.", modes.join(", ")));
        }
        if !self.tools.is_empty() {
            let tools: Vec<_> = self
                .tools
                .iter()
                .take(10)
                .map(|tool| escape(tool))
                .collect();
            why.push(format!("Tools that it called: {}.", tools.join(", ")));
        }
        let size = match expected {
            Some(_) => "As you said.".to_owned(),
            None => format!(
                "{} runs in {} days make about this many in 30.",
                grouped(self.runs),
                grouped(days_seen)
            ),
        };
        Some(ObjectiveProposal {
            target_ppm: u32::try_from(target).unwrap_or(default_ppm),
            expected_runs: expected.unwrap_or(month),
            why,
            size,
        })
    }
}

/// An objective of the tier's default modes, to read outcomes by.
fn objective(tier: Tier) -> Objective {
    Objective {
        target_ppm: 950_000,
        window: days(30),
        expected_runs: 100,
        expected_written: false,
        unacceptable: default_unacceptable(tier),
        critical: BTreeSet::new(),
        evidence: Arc::new(Evidence::default()),
    }
}

/// A target that can be said aloud: whole tenths of a percent, finer where that would be too
/// coarse.
fn rounded_down(ppm: u64) -> u64 {
    let step = match ppm {
        ..990_000 => 5_000,
        990_000..999_000 => 500,
        _ => 10,
    };
    (ppm / step * step).max(LOWEST)
}

fn two_digits(number: u64) -> u64 {
    let mut scale = 1;
    while number / scale >= 100 {
        scale *= 10;
    }
    number / scale * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn achieved(runs: u64, unacceptable: u64, over: u64) -> WorkflowHistory {
        WorkflowHistory {
            runs,
            unacceptable,
            first: Some(Time::from_millis(0)),
            last: Time::default().plus(days(over)),
            ..WorkflowHistory::default()
        }
    }

    #[test]
    fn the_target_allows_twice_what_failed_and_the_size_is_that_of_a_month() {
        for ((runs, unacceptable, over), (target, expected)) in [
            ((10_000, 100, 60), (980_000, 5_000)),
            ((10_000, 0, 30), (999_700, 10_000)),
            ((100, 0, 10), (970_000, 300)),
            ((1_234_567, 12, 90), (999_980, 410_000)),
            ((10, 9, 3), (500_000, 100)),
            ((1, 0, 0), (500_000, 30)),
        ] {
            let proposal = achieved(runs, unacceptable, over)
                .proposal(None, 970_000)
                .unwrap();
            assert_eq!(
                (proposal.target_ppm, proposal.expected_runs),
                (target, expected),
                "{runs} {unacceptable} {over}"
            );
        }
        assert_eq!(
            achieved(100, 1, 10)
                .proposal(Some(7), 970_000)
                .unwrap()
                .expected_runs,
            7
        );
    }

    #[test]
    fn g7_a_history_has_as_many_workflows_as_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |count: usize| {
            let line = |n: usize| {
                format!(
                    r#"{{"at":"2026-01-01T00:00:00Z","workflow":"w{n}","run":"r","outcome":"acceptable"}}"#
                ) + "\n"
            };
            let file = dir.path().join("history.jsonl");
            std::fs::write(&file, (0..count).map(line).collect::<String>()).unwrap();
            read(&file, None, Tier::Low).unwrap_err().message
        };
        assert!(refused(MOST_WORKFLOWS).contains("has several workflows"));
        assert!(refused(MOST_WORKFLOWS + 1).contains("more than 1000 workflows"));
    }
}
