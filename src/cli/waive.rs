//! `burngate waive`: the budget's cap is suspended for a while, with a reason on record.

use clap::Args;

use super::client::{ConnectionArgs, path};
use super::failure::{Exit, Failure};
use super::render::{escape, when};
use super::{render, status};
use crate::api::{TimeSpan, operate};

/// Suspend the cap that a budget's posture puts on a workflow's level, for at most a day
#[derive(Debug, Args)]
#[command(after_help = "\
Example: burngate waive support-triage --for 4h --reason \"the bank's outage is over, INC-4\"

Not possible in breached, and at most twice in 30 days; two unacceptable runs end it. Clamps and freezes stay in force.")]
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
        let client = self.connection.client()?;
        let body = operate::WaiveRequest {
            lasts: self.lasts,
            reason: self.reason.clone(),
        };
        let answer = client
            .post(&path(&["v1", "workflows", &self.workflow, "waive"]), &body)
            .map_err(|failure| failure.if_unknown(status::KNOWN))?;
        if self.json {
            render::show_json(answer.json())?;
        } else {
            let workflow = status::standing(&client, &self.workflow, &answer)?;
            render::show(&format!(
                "the budget's cap on {} is waived\n{}\n",
                escape(&workflow.workflow),
                status::line(&workflow, when::now())
            ))?;
        }
        Ok(Exit::Did)
    }
}
