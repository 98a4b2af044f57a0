//! `burngate import`: past runs on the books, so that a budget does not start empty.
//!
//! The file goes to the gate as it is, a piece at a time; the gate judges each line against the
//! policies in force and says what it skipped and why. One file is one import: if anything breaks
//! on the way, nothing of it was booked.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use clap::Args;
use hyper::body::{Body, Frame};

use super::client::{ConnectionArgs, in_words};
use super::failure::{Exit, Failure};
use super::render;
use super::render::number::{counted, grouped};
use super::render::progress::ByteProgress;
use super::render::{escape, word};
use crate::api::history::{ImportFindingKind, ImportResponse, MEDIA_TYPE};

/// How much of the file is sent at once.
const PIECE: usize = 64 * 1024;

/// Book past runs from a history, so that a new gate's budgets count them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Book last year's runs in a running gate
  burngate import --history 2026.jsonl

The file has one JSON object a line, in any order:
  {\"at\": \"2026-11-01T09:30:00Z\", \"workflow\": \"support-triage\", \"run\": \"T-77\",
   \"outcome\": \"unacceptable\", \"modes\": [\"timeout\"], \"agent\": \"triage-bot\",
   \"calls\": [{\"tool\": \"tools/refund\", \"args\": {\"order\": \"A-1\", \"amount\": 90}}]}
Only at, workflow, run and outcome (acceptable, unacceptable, excluded) are required. Importing a file again books nothing twice.")]
pub(super) struct ImportArgs {
    /// The history: one JSON object a line
    #[arg(long, value_name = "FILE")]
    history: PathBuf,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl ImportArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let shown = self.history.display();
        let unreadable =
            |error: &io::Error| Failure::new(format!("cannot read {shown}: {}", in_words(error)));
        let file = File::open(&self.history).map_err(|error| unreadable(&error))?;
        let about = file.metadata().map_err(|error| unreadable(&error))?;
        if about.is_dir() {
            return Err(Failure::new(format!(
                "cannot read {shown}: it is a directory"
            )));
        }
        let body = FileBody {
            file,
            progress: ByteProgress::new("importing", about.len()),
        };
        let answer = self
            .connection
            .client()?
            .upload("/v1/import", MEDIA_TYPE, body)?;
        let imported: ImportResponse = answer.read()?;
        if self.json {
            render::show_json(answer.json())?;
        } else {
            render::show(&page(&imported))?;
        }
        let broken = imported
            .findings
            .iter()
            .any(|finding| finding.skipped && finding.kind != ImportFindingKind::Duplicate);
        Ok(if imported.booked == 0 && broken {
            Exit::Failed
        } else {
            Exit::Did
        })
    }
}

/// What became of a history.
fn page(imported: &ImportResponse) -> String {
    let parts = [
        (imported.acceptable, "acceptable"),
        (imported.unacceptable, "unacceptable"),
        (imported.excluded, "excluded"),
        (imported.idle, "idle"),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", grouped(count)))
        .collect();
    let parts = if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join(", "))
    };
    let mut page = format!(
        "booked {} of {}{parts}\n",
        counted(imported.booked, "run", "runs"),
        counted(imported.lines, "line", "lines")
    );
    for (skipped, title) in [
        (
            true,
            format!("skipped {}", counted(imported.skipped, "line", "lines")),
        ),
        (false, "booked, with a warning".to_owned()),
    ] {
        let mut findings = imported
            .findings
            .iter()
            .filter(|finding| finding.skipped == skipped)
            .peekable();
        if findings.peek().is_some() {
            let _ = writeln!(page, "{title}:");
        }
        for finding in findings {
            let _ = writeln!(
                page,
                "  {} {}",
                grouped(finding.count),
                finding.kind.as_str()
            );
            for found in &finding.lines {
                let _ = writeln!(page, "    line {}: {}", found.line, escape(&found.what));
            }
            let more = finding.count.saturating_sub(finding.lines.len() as u64);
            if more > 0 {
                let _ = writeln!(page, "    and {} more", grouped(more));
            }
        }
    }
    for workflow in &imported.workflows {
        let booked = counted(workflow.booked, "run", "runs");
        let _ = writeln!(
            page,
            "{}: {booked}; now {}, level {}: {}",
            escape(&workflow.workflow),
            word(&workflow.posture),
            escape(&workflow.level),
            escape(&workflow.why)
        );
    }
    page
}

/// A file as the body of a request, read as it is sent.
struct FileBody {
    file: File,
    progress: ByteProgress,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    /// Reads in place: nothing else waits on this thread.
    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let mut piece = vec![0; PIECE];
        let read = loop {
            match this.file.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        Poll::Ready(match read {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                this.progress.add(read);
                Some(Ok(Frame::data(piece.into())))
            }
            Err(error) => Some(Err(error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::history::{ImportFindings, ImportedWorkflow};
    use crate::cli::render::plain;

    #[test]
    fn what_became_of_a_history_is_said_line_by_line() {
        let mut findings = ImportFindings::default();
        findings.note(ImportFindingKind::Broken, 3, "missing field `run`\u{1b}[2J");
        (10..40).for_each(|line| {
            findings.note(
                ImportFindingKind::Duplicate,
                line,
                format!("run `r{line}` of `triage`"),
            );
        });
        findings.note(
            ImportFindingKind::Contradiction,
            5,
            "the outcome is acceptable, but a mode counts as unacceptable: booked as unacceptable",
        );
        let workflow = ImportedWorkflow {
            workflow: "triage".to_owned(),
            booked: 1_200,
            posture: "at_risk".to_owned(),
            level: "standard".to_owned(),
            why: "9 of 1,200 runs were unacceptable; 12 are allowed".to_owned(),
        };
        let imported = ImportResponse {
            lines: 1_231,
            booked: 1_200,
            acceptable: 1_190,
            unacceptable: 9,
            excluded: 1,
            idle: 0,
            skipped: findings.skipped(),
            findings: findings.into_list(),
            workflows: vec![workflow],
        };
        insta::assert_snapshot!(plain(&page(&imported)), @r"
        booked 1,200 runs of 1,231 lines: 1,190 acceptable, 9 unacceptable, 1 excluded
        skipped 31 lines:
          1 not a run
            line 3: missing field `run`\u{1b}[2J
          30 known already
            line 10: run `r10` of `triage`
            line 11: run `r11` of `triage`
            line 12: run `r12` of `triage`
            line 13: run `r13` of `triage`
            line 14: run `r14` of `triage`
            line 15: run `r15` of `triage`
            line 16: run `r16` of `triage`
            line 17: run `r17` of `triage`
            line 18: run `r18` of `triage`
            line 19: run `r19` of `triage`
            line 20: run `r20` of `triage`
            line 21: run `r21` of `triage`
            line 22: run `r22` of `triage`
            line 23: run `r23` of `triage`
            line 24: run `r24` of `triage`
            line 25: run `r25` of `triage`
            line 26: run `r26` of `triage`
            line 27: run `r27` of `triage`
            line 28: run `r28` of `triage`
            line 29: run `r29` of `triage`
            and 10 more
        booked, with a warning:
          1 outcome and modes disagree; the modes decided
            line 5: the outcome is acceptable, but a mode counts as unacceptable: booked as unacceptable
        triage: 1,200 runs; now at_risk, level standard: 9 of 1,200 runs were unacceptable; 12 are allowed
        ");
    }
}
