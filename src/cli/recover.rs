//! `burngate recover`: puts the cause of a burn on record and opens a probation.

use clap::Args;

use super::client::ConnectionArgs;
use super::failure::{Exit, Failure};
use super::render::{escape, when};
use super::status;
use crate::api::workflow::WorkflowView;
use crate::api::{TimeSpan, operate};
use crate::gate::time::Time;

/// Put the cause of a burn on record and open a probation
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # The cause is known and fixed: a probation of 7 days at the earned level
  burngate recover support-triage \\
      --cause \"prompt 14 dropped the currency\" --fix PR-218
  # At a lower level, for two weeks
  burngate recover support-triage \\
      --cause \"prompt 14 dropped the currency\" --to supervised --for 14d")]
pub(super) struct RecoverArgs {
    /// The workflow
    workflow: String,
    /// What caused the failures
    #[arg(long, value_name = "TEXT")]
    cause: String,
    /// A reference to the fix
    #[arg(long, value_name = "REF")]
    fix: Option<String>,
    /// The level that the probation opens, at most the earned one [default: the earned one]
    #[arg(long, value_name = "LEVEL")]
    to: Option<String>,
    /// How long the probation lasts
    #[arg(long = "for", value_name = "DURATION", default_value = "7d")]
    lasts: TimeSpan,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl RecoverArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let body = operate::RecoverRequest {
            cause: self.cause.clone(),
            fix: self.fix.clone(),
            to: self.to.clone(),
            lasts: Some(self.lasts),
        };
        status::operate(
            &self.connection,
            (&self.workflow, "recover"),
            &body,
            self.json,
            page,
        )
    }
}

fn page(workflow: &WorkflowView, now: Time) -> String {
    let name = escape(&workflow.workflow);
    let probation = workflow.level.probation.as_ref().map_or_else(String::new, |probation| {
        format!(
            "a probation opens level {} until {}, with a small budget of its own; if that is used up, the burn's cap returns at once, otherwise the burn is over then\n",
            escape(&probation.to),
            when::exactly(now, probation.until)
        )
    });
    format!(
        "the cause is on record and the freeze on {name} is lifted\n{probation}{}\n",
        status::line(workflow, now)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::approvals::tests::now;
    use crate::cli::render::plain;
    use crate::cli::status::tests::workflow;

    #[test]
    fn a_recovery_says_what_the_probation_opens_and_what_ends_it() {
        let probation = serde_json::json!({ "to": "standard", "from": "2026-11-23T18:00:00Z", "until": "2026-11-30T18:00:00Z" });
        let workflow = workflow(
            &serde_json::json!({ "posture": "burned", "level": { "binds": "probation", "probation": probation } }),
        );
        insta::assert_snapshot!(plain(&page(&workflow, now())), @r"
        the cause is on record and the freeze on support-triage is lifted
        a probation opens level standard until 2026-11-30T18:00:00Z (in 7d), with a small budget of its own; if that is used up, the burn's cap returns at once, otherwise the burn is over then
        support-triage (risk medium) is burned, at level standard. A probation opens this level and ends in 7d; without limits it would be standard.
        ");
    }
}
