//! A history: the outcomes of runs before the gate was installed, one JSON object a line, for
//! `import`, `simulate` and `init --from`.
//!
//! Reads one line at a time and knows no policy: the caller knows which workflows, modes and tools
//! exist. A member that is not known is an error, so that a misspelt `mods` does not turn failures
//! into successes.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::io::{BufRead, Read as _};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Moment;
use super::operate::MAX_NAME;
use crate::gate::outcome::{FailureMode, Outcome};
use crate::gate::time::Time;

/// The media type of a history.
pub const MEDIA_TYPE: &str = "application/x-ndjson";
/// The longest line, in bytes.
pub const MAX_LINE: usize = 1024 * 1024;
/// The most calls of a run.
pub const MAX_CALLS: usize = 1_000;
/// The most failure modes of a run.
pub const MAX_MODES: usize = 64;
/// The most lines of a kind that are named one by one; the rest is counted.
pub const MAX_NAMED: usize = 20;

/// One run of a history.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryRun<'a> {
    /// When it was booked.
    pub at: Moment,
    /// Its workflow.
    #[serde(borrow)]
    pub workflow: Cow<'a, str>,
    /// Its id.
    #[serde(borrow)]
    pub run: Cow<'a, str>,
    /// Its agent, where the history names one.
    #[serde(default)]
    pub agent: Option<String>,
    /// What it came to.
    pub outcome: Outcome,
    /// In which ways it went wrong.
    #[serde(default)]
    pub modes: BTreeSet<FailureMode>,
    /// Its calls, in order, where the history has them.
    #[serde(borrow, default)]
    pub calls: Vec<HistoryCall<'a>>,
}

/// One call of a run in a history.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryCall<'a> {
    /// Its tool, as `api/tool`.
    #[serde(borrow)]
    pub tool: Cow<'a, str>,
    /// Its arguments, as they were written.
    #[serde(borrow, default)]
    pub args: Option<&'a RawValue>,
}

/// A line that is no run, and why: a fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadLine(String);

/// Reads the next line, with its end, into `line`, and answers how many bytes it takes in all; 0 at
/// the end. Of a line that is longer than [`MAX_LINE`] one byte more than that is kept.
///
/// # Errors
/// `reader` cannot be read.
pub fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    line.clear();
    let longest = MAX_LINE as u64 + 1;
    let read = reader.take(longest).read_until(b'\n', line)?;
    if read <= MAX_LINE || line.ends_with(b"\n") {
        return Ok(read);
    }
    Ok(read + reader.skip_until(b'\n')?)
}

impl<'a> HistoryRun<'a> {
    /// Reads one line.
    pub fn read(text: &'a [u8]) -> Result<Self, BadLine> {
        let text = std::str::from_utf8(text).map_err(|_| BadLine("not UTF-8".to_owned()))?;
        // An array of the members' values would do for the reader behind this.
        if !text.trim_start().starts_with('{') {
            return Err(BadLine("not a JSON object".to_owned()));
        }
        let line: HistoryRun<'a> =
            serde_json::from_str(text).map_err(|error| BadLine(describe(&error)))?;
        let bad = |what: &str| Err(BadLine(what.to_owned()));
        let is_name = |name: &str| {
            !name.is_empty()
                && name.chars().count() <= MAX_NAME
                && !name.chars().any(char::is_control)
        };
        if !is_name(&line.workflow)
            || !is_name(&line.run)
            || line.agent.as_deref().is_some_and(|agent| !is_name(agent))
        {
            return bad(&format!(
                "`workflow`, `run` and `agent` have 1 to {MAX_NAME} characters, none of them a control character"
            ));
        }
        if line.at.0 < Time::default() {
            return bad("`at` lies before 1970");
        }
        if line.calls.len() > MAX_CALLS || !line.calls.iter().all(|call| is_name(&call.tool)) {
            return bad(&format!(
                "`calls` has at most {MAX_CALLS} calls, each with a `tool` of 1 to {MAX_NAME} characters"
            ));
        }
        if line.modes.len() > MAX_MODES || !line.modes.iter().all(|mode| is_name(mode.as_str())) {
            return bad(&format!(
                "`modes` has at most {MAX_MODES} modes of 1 to {MAX_NAME} characters"
            ));
        }
        Ok(line)
    }
}

/// The error without its line number, which is always 1.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    if error.is_data() {
        what.to_owned()
    } else {
        format!("not JSON: {what} at column {}", error.column())
    }
}

/// What became of a history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportResponse {
    /// Lines that were not empty.
    pub lines: u64,
    /// Runs that were booked.
    pub booked: u64,
    /// Acceptable ones among them.
    pub acceptable: u64,
    /// Unacceptable ones among them.
    pub unacceptable: u64,
    /// Excluded ones among them.
    pub excluded: u64,
    /// Those among them that only read, and do not count.
    pub idle: u64,
    /// Lines that were skipped.
    pub skipped: u64,
    /// What was found, and where: why lines were skipped, and what is odd about runs that were
    /// booked all the same.
    pub findings: Vec<ImportFinding>,
    /// The workflows that runs were booked to, as they stand now.
    pub workflows: Vec<ImportedWorkflow>,
}

/// One kind of finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportFinding {
    /// What kind.
    pub kind: ImportFindingKind,
    /// Whether its lines were skipped.
    pub skipped: bool,
    /// How many lines.
    pub count: u64,
    /// The first of them.
    pub lines: Vec<ImportFindingLine>,
}

/// What is odd about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportFindingKind {
    /// It is not a run.
    Broken,
    /// No policy in force has the workflow.
    UnknownWorkflow,
    /// No such failure mode.
    UnknownMode,
    /// It lies in the future.
    Future,
    /// The run is known: from an earlier line, an earlier import, or the gate itself.
    Duplicate,
    /// Outcome and modes disagree; the modes decided.
    Contradiction,
    /// A tool that the workflow does not reach; it was taken for a high one.
    UnknownTool,
    /// Older than every window: it can be found, and counts in no budget.
    Old,
}

impl ImportFindingKind {
    /// Is a line skipped for it?
    #[must_use]
    pub const fn skips(self) -> bool {
        match self {
            ImportFindingKind::Broken
            | ImportFindingKind::UnknownWorkflow
            | ImportFindingKind::UnknownMode
            | ImportFindingKind::Future
            | ImportFindingKind::Duplicate => true,
            ImportFindingKind::Contradiction
            | ImportFindingKind::UnknownTool
            | ImportFindingKind::Old => false,
        }
    }

    /// The finding in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ImportFindingKind::Broken => "not a run",
            ImportFindingKind::UnknownWorkflow => "unknown workflow",
            ImportFindingKind::UnknownMode => "unknown failure mode",
            ImportFindingKind::Future => "in the future",
            ImportFindingKind::Duplicate => "known already",
            ImportFindingKind::Contradiction => "outcome and modes disagree; the modes decided",
            ImportFindingKind::UnknownTool => {
                "a tool that the workflow does not reach, taken for a high one"
            }
            ImportFindingKind::Old => "older than every window: kept, and in no budget",
        }
    }
}

/// A line with something odd about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportFindingLine {
    /// Its number, from 1.
    pub line: u64,
    /// What exactly.
    pub what: String,
}

/// A workflow after an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedWorkflow {
    /// Its name.
    pub workflow: String,
    /// How many runs were booked to it.
    pub booked: u64,
    /// Its posture.
    pub posture: String,
    /// Its effective level.
    pub level: String,
    /// The posture in a sentence.
    pub why: String,
}

/// Findings as they are gathered: counted by kind, the first ones named.
#[derive(Debug, Clone, Default)]
pub struct ImportFindings(
    std::collections::BTreeMap<ImportFindingKind, (u64, Vec<ImportFindingLine>)>,
);

impl ImportFindings {
    /// Notes a finding; lines come in any order.
    pub fn note(&mut self, kind: ImportFindingKind, line: u64, what: impl Into<String>) {
        let (count, lines) = self.0.entry(kind).or_default();
        *count += 1;
        if lines.len() < MAX_NAMED {
            lines.push(ImportFindingLine {
                line,
                what: what.into(),
            });
        }
    }

    /// How many lines were skipped.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.0
            .iter()
            .filter(|(kind, _)| kind.skips())
            .map(|(_, (count, _))| count)
            .sum()
    }

    /// The findings by kind, what was skipped first.
    #[must_use]
    pub fn into_list(self) -> Vec<ImportFinding> {
        let finding =
            |(kind, (count, mut lines)): (ImportFindingKind, (u64, Vec<ImportFindingLine>))| {
                lines.sort_by_key(|found| found.line);
                ImportFinding {
                    kind,
                    skipped: kind.skips(),
                    count,
                    lines,
                }
            };
        self.0.into_iter().map(finding).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let text = br#"{"at":"2026-11-23T09:30:00+01:00","workflow":"w","run":"r","outcome":"unacceptable","modes":["timeout","odd"],"calls":[{"tool":"a/t","args":{"n":1.50}}]}"#;
        let line = HistoryRun::read(text).unwrap();
        assert_eq!(
            (
                line.at.to_string().as_str(),
                &*line.workflow,
                &*line.run,
                line.outcome
            ),
            ("2026-11-23T08:30:00Z", "w", "r", Outcome::Unacceptable)
        );
        assert_eq!(
            line.modes
                .iter()
                .map(FailureMode::as_str)
                .collect::<Vec<_>>(),
            ["timeout", "odd"]
        );
        assert_eq!(line.calls[0].args.unwrap().get(), r#"{"n":1.50}"#);
    }

    #[test]
    fn what_is_no_run_says_why() {
        let bad = |text: &str| HistoryRun::read(text.as_bytes()).unwrap_err().to_string();
        let with = |member: &str| {
            bad(&format!(
                r#"{{"at":"2026-01-01T00:00:00Z","workflow":"w","run":"r","outcome":"acceptable"{member}}}"#
            ))
        };
        assert_eq!(
            bad("{"),
            "not JSON: EOF while parsing an object at column 1"
        );
        assert_eq!(bad("7"), "not a JSON object");
        assert_eq!(
            bad(r#"["2026-01-01T00:00:00Z","w","r",null,"acceptable",[],[]]"#),
            "not a JSON object"
        );
        assert_eq!(
            bad(r#"{"at":"2026-01-01T00:00:00Z","workflow":"w","outcome":"acceptable"}"#),
            "missing field `run`"
        );
        assert!(bad(r#"{"at":"yesterday"}"#).starts_with("expected a time in RFC 3339"));
        assert!(
            bad(r#"{"at":"1969-12-31T00:00:00Z","workflow":"w","run":"r","outcome":"acceptable"}"#)
                .contains("before 1970")
        );
        assert!(with(r#","mods":["timeout"]"#).starts_with("unknown field `mods`"));
        assert!(with(r#","outcome":"acceptable""#).starts_with("duplicate field"));
        assert!(with(r#","outcome2":1"#).starts_with("unknown field"));
        assert!(with(r#","modes":null"#).starts_with("invalid type: null"));
        assert!(with(r#","agent":"a\u001bb""#).contains("control character"));
        assert!(with(&format!(r#","agent":"{}""#, "x".repeat(257))).contains("1 to 256"));
        assert!(
            with(&format!(
                r#","calls":[{}]"#,
                vec![r#"{"tool":"a/t"}"#; 1_001].join(",")
            ))
            .contains("at most 1000 calls")
        );
        assert!(with("} {").starts_with("not JSON: trailing characters"));
        assert!(
            HistoryRun::read(b"{\"at\":\"\xff\"}")
                .unwrap_err()
                .to_string()
                .contains("UTF-8")
        );
    }

    #[test]
    fn findings_are_counted_and_the_first_are_named() {
        let mut findings = ImportFindings::default();
        for line in (1..=30).rev() {
            findings.note(ImportFindingKind::Duplicate, line, "r");
        }
        findings.note(ImportFindingKind::Contradiction, 7, "odd");
        assert_eq!(findings.skipped(), 30);
        let list = findings.into_list();
        assert_eq!(
            (list[0].count, list[0].lines.len(), list[0].lines[0].line),
            (30, MAX_NAMED, 11)
        );
        assert!(!list[1].skipped);
    }

    #[test]
    fn g7_a_line_is_kept_up_to_its_bound_and_the_next_one_is_whole() {
        let lengths = |length: usize| {
            let text = format!("{}\nnext\n", "x".repeat(length - 1));
            let (mut reader, mut line) = (text.as_bytes(), Vec::new());
            let taken = next_line(&mut reader, &mut line).unwrap();
            let kept = line.len();
            assert_eq!(next_line(&mut reader, &mut line).unwrap(), 5);
            assert_eq!(line, b"next\n");
            assert_eq!(next_line(&mut reader, &mut line).unwrap(), 0);
            (taken, kept)
        };
        assert_eq!(lengths(MAX_LINE), (MAX_LINE, MAX_LINE));
        assert_eq!(lengths(MAX_LINE + 1), (MAX_LINE + 1, MAX_LINE + 1));
        assert_eq!(lengths(2 * MAX_LINE), (2 * MAX_LINE, MAX_LINE + 1));
    }

    #[test]
    fn g7_a_run_has_as_many_calls_and_modes_as_the_bounds() {
        let read = |calls: usize, modes: usize| {
            let call = serde_json::json!({ "tool": "a/t" });
            let line = serde_json::json!({
                "at": "2026-01-01T00:00:00Z", "workflow": "w", "run": "r", "outcome": "unacceptable",
                "calls": vec![call; calls],
                "modes": (0..modes).map(|n| format!("mode_{n}")).collect::<Vec<_>>(),
            });
            let text = line.to_string();
            HistoryRun::read(text.as_bytes()).map(|run| (run.calls.len(), run.modes.len()))
        };
        assert_eq!(read(MAX_CALLS, MAX_MODES).unwrap(), (MAX_CALLS, MAX_MODES));
        assert!(read(MAX_CALLS + 1, 0).is_err());
        assert!(read(0, MAX_MODES + 1).is_err());
    }
}
