//! `burngate change`: may a change to a workflow ship? A pipeline asks this before it ships one.

use clap::{Args, ValueEnum};
use http::StatusCode;

use super::client::{ConnectionArgs, path};
use super::failure::{Exit, Failure};
use super::render::escape;
use super::status;
use crate::api::operate;

/// Ask whether a change to a workflow may ship, and record that it ships
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Deploy a prompt only if the workflow's changes are not frozen
  burngate change support-triage --kind prompt --ref \"$GIT_COMMIT\" \\
      && ./deploy-prompt
  # Ship in spite of a freeze, on record
  burngate change support-triage --kind policy --ref PR-219 \\
      --emergency --reason \"the bank closed the account\"

Exit codes: 0 it may ship and is on record, 3 changes are frozen, 1 the gate could not be reached. A pipeline ships only on 0.

For prompts, models and tools this is advice, because the gate cannot see them ship. For policies it is enforced: while changes are frozen, a reload that widens one waits.")]
pub(super) struct ChangeArgs {
    /// The workflow
    workflow: String,
    /// What changes
    #[arg(long)]
    kind: ChangeKindArg,
    /// A reference to it, such as a commit or a pull request
    #[arg(long = "ref", value_name = "REF")]
    reference: String,
    /// Ship in spite of a freeze
    #[arg(long, requires = "reason")]
    emergency: bool,
    /// Why it is an emergency
    #[arg(long, value_name = "TEXT", requires = "emergency")]
    reason: Option<String>,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// What changes.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ChangeKindArg {
    Prompt,
    Model,
    Tools,
    Policy,
}

impl ChangeArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let kind = match self.kind {
            ChangeKindArg::Prompt => operate::ChangeKind::Prompt,
            ChangeKindArg::Model => operate::ChangeKind::Model,
            ChangeKindArg::Tools => operate::ChangeKind::Tools,
            ChangeKindArg::Policy => operate::ChangeKind::Policy,
        };
        let body = operate::ChangeRequest {
            kind,
            reference: self.reference.clone(),
            emergency: self.emergency,
            reason: self.reason.clone(),
        };
        let asked = self.connection.client()?.post(
            &path(&["v1", "workflows", &self.workflow, "changes"]),
            &body,
        );
        let answer = match asked {
            Ok(answer) => answer,
            Err(failure) if failure.status == Some(StatusCode::CONFLICT) => {
                return Err(Failure {
                    exit: Exit::AnswerIsNo,
                    ..failure
                });
            }
            Err(failure) => return Err(failure.if_unknown(status::KNOWN)),
        };
        answer.show(self.json, |change, _| page(change))?;
        Ok(Exit::Did)
    }
}

fn page(change: &operate::ChangeResponse) -> String {
    let (name, kind, reference) = (
        escape(&change.workflow),
        change.kind.as_str(),
        escape(&change.reference),
    );
    let anyway = if change.changes == "frozen" {
        ", in spite of the freeze"
    } else {
        ""
    };
    format!("{kind} {reference} of {name} may ship{anyway}; that is on record\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::plain;

    #[test]
    fn a_change_that_ships_in_a_freeze_says_so() {
        let shipped = |changes: &str| operate::ChangeResponse {
            workflow: "support-triage".to_owned(),
            kind: operate::ChangeKind::Prompt,
            reference: "4f1c".to_owned(),
            changes: changes.to_owned(),
        };
        insta::assert_snapshot!(plain(&(page(&shipped("open")) + &page(&shipped("frozen")))), @r"
        prompt 4f1c of support-triage may ship; that is on record
        prompt 4f1c of support-triage may ship, in spite of the freeze; that is on record
        ");
    }
}
