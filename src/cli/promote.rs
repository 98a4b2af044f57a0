//! `burngate promote`: takes a step that was earned, or grants a level.

use clap::Args;

use super::client::ConnectionArgs;
use super::failure::{Exit, Failure};
use super::render::escape;
use super::status;
use crate::api::operate;
use crate::api::workflow::WorkflowView;
use crate::gate::time::Time;

/// Take a step that was earned, or grant a level
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Agree to what is proposed
  burngate promote support-triage --reason \"agreed in Monday's review\"
  # Take a step that was earned
  burngate promote support-triage --step small-refunds \\
      --reason \"60 days without a wrong one\"
  # Grant a level that was not
  burngate promote support-triage --to autonomous \\
      --reason \"the prompt was fixed, PR-218\"

A step can be taken only when it is earned. A level can be granted without being earned, with the reason on record.")]
pub(super) struct PromoteArgs {
    /// The workflow
    workflow: String,
    /// The level to grant, above the earned one; or the lower level that is proposed
    #[arg(long, value_name = "LEVEL", conflicts_with = "step")]
    to: Option<String>,
    /// The step to take
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl PromoteArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let body = operate::PromoteRequest {
            to: self.to.clone(),
            step: self.step.clone(),
            reason: self.reason.clone(),
        };
        status::operate(
            &self.connection,
            (&self.workflow, "promote"),
            &body,
            self.json,
            page,
        )
    }
}

fn page(workflow: &WorkflowView, now: Time) -> String {
    let taken: Vec<_> = workflow
        .steps
        .iter()
        .filter(|step| step.state == "taken")
        .map(|step| escape(&step.step))
        .collect();
    let steps = if taken.is_empty() {
        String::new()
    } else {
        format!("steps taken: {}\n", taken.join(", "))
    };
    format!(
        "{} is promoted; without limits its level is {}\n{steps}{}\n",
        escape(&workflow.workflow),
        escape(&workflow.level.earned),
        status::line(workflow, now)
    )
}
