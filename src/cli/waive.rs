//! `burngate waive`: the budget's cap is suspended for a while, with a reason on record.

use clap::Args;

use super::client::ConnectionArgs;
use super::failure::{Exit, Failure};
use super::render::escape;
use super::status;
use crate::api::{TimeSpan, operate};

/// Suspend the cap that a budget's posture puts on a workflow's level, for at most a day
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Suspend the budget's cap for four hours
  burngate waive support-triage --for 4h \\
      --reason \"the bank's outage is over, INC-4\"

At most twice in 30 days, and never while the workflow is breached. Two unacceptable runs end it. Clamps and freezes stay in force.")]
pub(super) struct WaiveArgs {
    /// The workflow
    workflow: String,
    /// For how long, at most 24h
    #[arg(long = "for", value_name = "DURATION")]
    lasts: TimeSpan,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl WaiveArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let body = operate::WaiveRequest {
            lasts: self.lasts,
            reason: self.reason.clone(),
        };
        status::operate(
            &self.connection,
            (&self.workflow, "waive"),
            &body,
            self.json,
            |workflow, now| {
                format!(
                    "the budget's cap on {} is waived\n{}\n",
                    escape(&workflow.workflow),
                    status::line(workflow, now)
                )
            },
        )
    }
}
