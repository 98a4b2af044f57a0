//! `burngate explain`: the verdict on a call, rule by rule, without a gate.
//!
//! The gate's own code judges the call, at an assumed level that the answer names: the one the
//! workflow starts at, or `--at`. What needs a gate's state (caps, exposure, earlier calls,
//! reviewers' decisions) is not judged, and the answer says so.

use std::path::PathBuf;

use clap::Args;

use super::failure::{Exit, Failure};
use super::render::when;
use super::{files, render};
use crate::config::files::load_from;
use crate::gate::clamp::Clamps;
use crate::gate::level::Rung;
use crate::gate::nearest::did_you_mean;
use crate::gate::policy::finding::Unreadable;
use crate::gate::policy::{PolicySet, Workflow};
use crate::gate::status::{Binds, Status};
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::gate::workflow::WorkflowState;

mod asked;
mod page;
mod rules;

use asked::{CallArgs, ExplainedCall};
use page::ExplainAnswer;

/// Show the verdict on a call, rule by rule, without a running gate
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # What would happen to this refund?
  burngate explain --workflow support-triage --tool tools/refund \\
      --args '{\"order\":\"A-1001\",\"amount\":90}'
  # And to this read while the workflow is clamped to read_only?
  burngate explain --workflow support-triage --tool tools/get_item \\
      --request 'GET /items/7?expand=all' --at read_only

Exit code 3: the call would be held or denied.")]
pub(super) struct ExplainArgs {
    /// The workflow
    #[arg(long, value_name = "W")]
    workflow: String,
    #[command(flatten)]
    call: CallArgs,
    /// The level to assume, instead of the one that the workflow starts at
    #[arg(long, value_name = "LEVEL")]
    at: Option<String>,
    /// Policy files or a directory, instead of the configured one
    #[arg(long, value_name = "PATH")]
    policies: Option<PathBuf>,
    /// The configuration file, burngate.yaml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl ExplainArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let process = files::configuration(self.config.as_ref())
            .map_err(|found| Failure::found("the configuration cannot be used", vec![found]))?;
        let path = self
            .policies
            .clone()
            .unwrap_or_else(|| process.policies.clone());
        let now = when::now();
        let loaded = load_from(&[path], &process, now)
            .map_err(|found| Failure::found("the policies cannot be used", vec![found]))?;
        let answer = self.explain(&loaded.policies, now)?;
        if self.json {
            let json = serde_json::to_string_pretty(&answer)
                .map_err(|error| Failure::new(format!("cannot write the answer: {error}")))?;
            render::show_json(&json)?;
        } else {
            render::show_page(&page::page(&answer))?;
        }
        Ok(if answer.verdict == Verdict::Allow {
            Exit::Did
        } else {
            Exit::AnswerIsNo
        })
    }

    fn explain(&self, policies: &PolicySet, now: Time) -> Result<ExplainAnswer, Failure> {
        let workflow = policies
            .workflows
            .get(self.workflow.as_str())
            .ok_or_else(|| unknown_workflow(&self.workflow, policies))?;
        let status = self.status(workflow, now)?;
        let asked = ExplainedCall::read(&self.call, policies, workflow)?;
        let case = asked.case(workflow, &status, now);
        let (rules, malformed) = match rules::every(&case) {
            Ok(rules) => (rules, None),
            Err(Unreadable(what)) => (Vec::new(), Some(what)),
        };
        let acting = || rules.iter().filter(|line| !line.shadow);
        let strictest = acting()
            .map(|line| line.verdict)
            .max()
            .unwrap_or(Verdict::Allow);
        let verdict = if malformed.is_some() {
            Verdict::Deny
        } else {
            strictest
        };
        // The first of its strictness, as when a call is judged.
        let rule = acting()
            .find(|line| line.verdict == verdict && verdict != Verdict::Allow)
            .map(|line| line.rule.as_str());
        Ok(ExplainAnswer {
            workflow: workflow.name.to_string(),
            tool: asked.name.to_string(),
            level: status.level().to_string(),
            level_from: if self.at.is_some() { "at" } else { "starts" },
            posture: status.posture.as_str(),
            mode: if case.is_shadow() {
                "shadow"
            } else {
                "enforce"
            },
            verdict,
            rule,
            malformed,
            rules,
            notes: asked.notes.clone(),
            version: policies.version.to_string(),
        })
    }

    /// A workflow that nothing has happened to yet, at the level that is assumed.
    fn status(&self, workflow: &Workflow, now: Time) -> Result<Status, Failure> {
        let fresh =
            WorkflowState::new(now, workflow.terms.clone(), Clamps::default(), false).status();
        let Some(name) = &self.at else {
            return Ok(fresh);
        };
        let ladder = &workflow.terms.ladder;
        let names = || ladder.rungs().iter().map(|rung| rung.level.as_str());
        let level = ladder.find(name).ok_or_else(|| {
            let known = format!(
                "the levels of `{}` are {}",
                workflow.name,
                names().collect::<Vec<_>>().join(", ")
            );
            Failure::new(format!("no level is called `{name}`"))
                .hint(did_you_mean(name, names()).unwrap_or(known))
        })?;
        let rung: Rung = ladder.rung(level).clone();
        Ok(Status {
            earned: rung.level.clone(),
            cap: None,
            binds: Binds::Earned,
            changes: rung.changes,
            rung,
            ..fresh
        })
    }
}

fn unknown_workflow(name: &str, policies: &PolicySet) -> Failure {
    let names = || {
        policies
            .workflows
            .keys()
            .map(crate::gate::name::WorkflowName::as_str)
    };
    let known = format!(
        "there is {}",
        names()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    Failure::new(format!("no workflow is called `{name}`"))
        .hint(did_you_mean(name, names()).unwrap_or(known))
}

#[cfg(test)]
mod tests;
