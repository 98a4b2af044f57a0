//! `burngate simulate`: what these policies would have done, over a history or over the gate's own
//! ledger.
//!
//! Needs no gate; a ledger is only read, and a gate may be running on it. `app::simulate` judges,
//! with the gate's own code; this file reads the flags and prints.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::client::in_words;
use super::failure::{Exit, Failure};
use super::render::progress::ByteProgress;
use super::render::when;
use super::{files, render};
use crate::api::TimeSpan;
use crate::app::simulate::{RECOVERS_AFTER, Simulated, history, journal};
use crate::config::files::load_from;
use crate::gate::policy::PolicySet;

mod page;
mod picture;

/// What `--history` says for the gate's own ledger.
const JOURNAL: &str = "journal";

/// Show what policies would have done: over a history, or over this gate's own journal
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # What would the policies in next/ have done to past runs?
  burngate simulate --policies next/ --history 2026.jsonl
  # And to what this gate recorded?
  burngate simulate --policies next/ --history journal --data burngate-data
  # The same as a page with a picture
  burngate simulate --policies next/ --history 2026.jsonl \\
      --format html --out year.html

A run with a call that would have been denied is counted as prevented and not booked. A run with a call that would have been held is booked as it was. Caps on volume, limits and duplicates are not simulated.")]
pub(super) struct SimulateArgs {
    /// Policy files or a directory, instead of the configured one
    #[arg(long, value_name = "PATH")]
    policies: Option<PathBuf>,
    /// A history (one JSON object a line, as for `import`), or `journal` for what this gate
    /// recorded
    #[arg(long, value_name = "FILE|journal")]
    history: String,
    /// The data directory to read the journal from, with `--history journal`
    #[arg(long, value_name = "DIR", default_value = "burngate-data")]
    data: PathBuf,
    /// In a history: how long after a burn begins a person is assumed to find its cause, or `never`
    #[arg(long, value_name = "DURATION", default_value_t = TimeSpan(RECOVERS_AFTER).to_string())]
    recovers_after: String,
    /// What to print
    #[arg(long, value_enum, default_value_t = SimulateFormat::Table)]
    format: SimulateFormat,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print everything as JSON
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// The configuration file, burngate.yaml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SimulateFormat {
    /// A table, and what changed when
    Table,
    /// A page with a picture of postures and levels over time, in one file
    Html,
}

impl SimulateArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let recovers_after = self.recovers_after()?;
        let process = files::configuration(self.config.as_ref())
            .map_err(|found| Failure::found("the configuration cannot be used", vec![found]))?;
        let path = self
            .policies
            .clone()
            .unwrap_or_else(|| process.policies.clone());
        let loaded = load_from(&[path], &process, when::now())
            .map_err(|found| Failure::found("the policies cannot be used", vec![found]))?;
        let simulated = self.simulate(Arc::new(loaded.policies), recovers_after)?;
        if self.json {
            let json = serde_json::to_string_pretty(&simulated)
                .map_err(|error| Failure::new(format!("cannot write the answer: {error}")))?;
            return self.put(&json, render::show_json);
        }
        match self.format {
            SimulateFormat::Table if self.out.is_none() => {
                render::show(&page::page(&simulated)).map(|()| Exit::Did)
            }
            SimulateFormat::Table => self.put(
                &render::without_colours(&page::page(&simulated)),
                render::show,
            ),
            SimulateFormat::Html => self.put(&picture::page(&simulated), render::show),
        }
    }

    fn simulate(
        &self,
        policies: Arc<PolicySet>,
        recovers_after: Option<Duration>,
    ) -> Result<Simulated, Failure> {
        let failed = |error: anyhow::Error| Failure::from(error);
        if self.history == JOURNAL {
            let rows = journal::entries(&self.data).map_err(|error| failed(error.into()))?;
            // The journal is gone through twice: by number of rows, and nothing is printed of the
            // first time.
            let mut progress = ByteProgress::new("simulating", rows);
            return journal::simulate(&self.data, policies, &mut |rows| progress.add(rows))
                .map_err(|error| failed(error.into()));
        }
        let file = PathBuf::from(&self.history);
        let unreadable = |error: &std::io::Error| {
            Failure::new(format!(
                "cannot read {}: {}",
                file.display(),
                in_words(error)
            ))
        };
        let about = fs::metadata(&file).map_err(|error| unreadable(&error))?;
        if about.is_dir() {
            return Err(
                Failure::new(format!("cannot read {}: it is a directory", file.display()))
                    .hint("`journal` means the ledger in --data"),
            );
        }
        let mut progress = ByteProgress::new("simulating", about.len());
        history::simulate(
            &file,
            &policies,
            recovers_after,
            when::now(),
            &mut |bytes| progress.add(bytes),
        )
        .map_err(|error| failed(error.into()))
    }

    fn recovers_after(&self) -> Result<Option<Duration>, Failure> {
        if self.recovers_after == "never" {
            return Ok(None);
        }
        let span: TimeSpan = self.recovers_after.parse().map_err(|error| {
            Failure::usage(format!("--recovers-after: {error}")).hint("or `never`")
        })?;
        Ok(Some(span.0))
    }

    fn put(&self, text: &str, show: impl Fn(&str) -> Result<(), Failure>) -> Result<Exit, Failure> {
        match &self.out {
            None => show(text)?,
            Some(path) => {
                fs::write(path, text).map_err(|error| {
                    Failure::new(format!(
                        "cannot write {}: {}",
                        path.display(),
                        in_words(&error)
                    ))
                })?;
                render::to_stderr(&format!("wrote {}\n", path.display()));
            }
        }
        Ok(Exit::Did)
    }
}
