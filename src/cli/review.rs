//! `burngate review`: how workflows did, ready to paste into a meeting's notes; or one workflow's
//! timeline, ready to paste into an incident's.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::client::{ConnectionArgs, query};
use super::failure::{Exit, Failure};
use super::render::escape;
use super::{render, status};
use crate::api::TimeSpan;
use crate::api::review::{ReviewDoneRequest, ReviewDoneResponse, ReviewResponse};
use crate::gate::time::days;

mod document;
mod html;
mod markdown;
mod timeline;
mod week;

/// One workflow over so short a span is an incident: its timeline is shown.
const INCIDENT: Duration = days(2);

/// Show how workflows did, for a weekly review; or, for one workflow over some hours, what happened
/// in order
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # The last week, as Markdown for a meeting's notes
  burngate review
  # An incident: what executed, on which subjects, and who did what when
  burngate review -w support-triage --since 3h
  # Record that somebody looked
  burngate review --done --note \"tightened payouts\"

A review is overdue a week after the first run since the last review. At tier high nothing is promoted after 30 days without one.")]
pub(super) struct ReviewArgs {
    /// Only this workflow
    #[arg(short, long, value_name = "NAME")]
    workflow: Option<String>,
    /// From when: a moment, or how long ago (at most 90 days)
    #[arg(long, value_name = "WHEN", default_value = "7d")]
    since: String,
    /// Until when
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = ReviewFormat::Markdown)]
    format: ReviewFormat,
    /// Print the gate's answer as JSON: the same as `--format json`
    #[arg(long)]
    json: bool,
    /// Show what happened in order (the default for one workflow over at most two days)
    #[arg(long, requires = "workflow")]
    timeline: bool,
    /// Record that you have reviewed this workflow, or all of them
    #[arg(long, conflicts_with_all = ["until", "timeline", "format"])]
    done: bool,
    /// A note to record with it
    #[arg(long, value_name = "TEXT", requires = "done")]
    note: Option<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// How a review is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReviewFormat {
    /// For notes
    Markdown,
    /// One page
    Html,
    /// For programs
    Json,
}

impl ReviewArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        if self.done {
            return self.record();
        }
        let mut pairs = vec![("since", self.since.clone())];
        pairs.extend(self.until.iter().map(|until| ("until", until.clone())));
        pairs.extend(
            self.workflow
                .iter()
                .map(|workflow| ("workflow", workflow.clone())),
        );
        if self.is_incident() {
            pairs.push(("timeline", "true".to_owned()));
        }
        let answer = self
            .connection
            .client()?
            .get(&format!("/v1/review{}", query(&pairs)))
            .map_err(|failure| failure.if_unknown(status::KNOWN))?;
        if self.json || self.format == ReviewFormat::Json {
            render::show_json(answer.json())?;
            return Ok(Exit::Did);
        }
        let review: ReviewResponse = answer.read()?;
        let document = if review.timeline.is_some() {
            timeline::document(&review)
        } else {
            week::document(&review)
        };
        render::show(&if self.format == ReviewFormat::Html {
            html::page(&document)
        } else {
            markdown::page(&document)
        })?;
        Ok(Exit::Did)
    }

    fn is_incident(&self) -> bool {
        let short = || {
            self.since
                .parse::<TimeSpan>()
                .is_ok_and(|span| span.0 <= INCIDENT)
        };
        self.timeline || (self.workflow.is_some() && short())
    }

    fn record(&self) -> Result<Exit, Failure> {
        let body = ReviewDoneRequest {
            workflow: self.workflow.clone(),
            note: self.note.clone(),
        };
        let answer = self
            .connection
            .client()?
            .post("/v1/review", &body)
            .map_err(|failure| failure.if_unknown(status::KNOWN))?;
        if self.json {
            render::show_json(answer.json())?;
        } else {
            let recorded: ReviewDoneResponse = answer.read()?;
            let names: Vec<_> = recorded.workflows.iter().map(|name| escape(name)).collect();
            render::show(&format!(
                "reviewed by {}: {}\n",
                escape(&recorded.by),
                names.join(", ")
            ))?;
        }
        Ok(Exit::Did)
    }
}
