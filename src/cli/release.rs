//! `burngate release`: lifts a clamp, and nothing else.

use clap::Args;

use super::clamp::ScopeArgs;
use super::client::ConnectionArgs;
use super::failure::{Exit, Failure};
use super::render::{Tone, escape, paint, when};
use super::{render, status};
use crate::api::operate;
use crate::api::workflow::WorkflowList;

/// Lift the clamp on one workflow, or the one on every workflow
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Lift the clamp on one workflow
  burngate release support-triage --reason \"looked at, all in order\"
  # Lift the clamp on every workflow
  burngate release --all --reason \"looked at, all in order\"

A clamp on every workflow and a clamp on one workflow are separate: each is released by itself.")]
pub(super) struct ReleaseArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl ReleaseArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let client = self.connection.client()?;
        let body = operate::ReleaseRequest {
            reason: self.reason.clone(),
        };
        let answer = client
            .post(&self.scope.path("release"), &body)
            .map_err(|failure| failure.if_unknown(status::KNOWN))?;
        match &self.scope.workflow {
            _ if self.json => render::show_json(answer.json())?,
            None => {
                let note = answer
                    .read::<WorkflowList>()?
                    .note
                    .map_or_else(String::new, |note| {
                        format!("{}\n", paint(Tone::Odd, &escape(&note)))
                    });
                render::show_page(&format!(
                    "the clamp on every workflow is lifted; clamps on single workflows stay\n{note}"
                ))?;
            }
            Some(name) => {
                let workflow = status::of_workflow(&client, name, &answer)?;
                render::show_page(&format!(
                    "the clamp on {} is lifted\n{}\n",
                    escape(name),
                    status::line(&workflow, when::now())
                ))?;
            }
        }
        Ok(Exit::Did)
    }
}
