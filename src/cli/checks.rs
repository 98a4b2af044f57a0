//! `burngate checks`: the finished runs that were picked for people to judge.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::client::{ConnectionArgs, path, query};
use super::failure::{Exit, Failure};
use super::render::number::{counted, grouped};
use super::render::{escape, when, word};
use super::report::revised;
use crate::api::check::{AcceptRequest, CheckQueue as List, CheckTally, QueuedCheck};
use crate::api::operate::ReportRunRequest;
use crate::gate::time::Time;

/// The hint for a run that does not wait.
const KNOWN: &str = "`burngate checks list` lists the runs that wait";

/// List and judge finished runs that were picked at random
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Finished runs that wait for somebody to judge them
  burngate checks list -w support-triage
  # This one was right
  burngate checks accept ticket-77

A policy turns checks on with `check: { sample: 5%, min: 20/week }`. An agent cannot tell which of its runs are picked.")]
pub(super) struct ChecksArgs {
    #[command(subcommand)]
    command: ChecksCommand,
}

#[derive(Debug, Subcommand)]
enum ChecksCommand {
    /// List the runs that wait to be judged, with their calls, the riskiest first
    List(ListChecksArgs),
    /// Record that a run was right
    Accept(AcceptArgs),
    /// Record what was wrong with a run
    Report(ReportCheckArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Runs that wait to be judged, the riskiest first
  burngate checks list -w support-triage")]
struct ListChecksArgs {
    /// Only of this workflow
    #[arg(short, long)]
    workflow: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # The run was right
  burngate checks accept ticket-77")]
struct AcceptArgs {
    /// The run
    run: String,
    /// The workflow, if several have a run with this id
    #[arg(short, long)]
    workflow: Option<String>,
    /// The agent, if several have a run with this id
    #[arg(long)]
    agent: Option<String>,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # The run refunded an order twice
  burngate checks report ticket-77 --mode wrong_action --note \"refunded twice\"")]
struct ReportCheckArgs {
    /// The run
    run: String,
    /// What went wrong: `wrong_action`, `misclassified`, `missed_escalation`, `major_correction`,
    /// …, or a mode that the policy names
    #[arg(long)]
    mode: String,
    /// A note
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Your reference, such as a ticket; a second report under the same one changes nothing
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
    /// The workflow, if several have a run with this id
    #[arg(short, long)]
    workflow: Option<String>,
    /// The agent, if several have a run with this id
    #[arg(long)]
    agent: Option<String>,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl ChecksArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        match &self.command {
            ChecksCommand::List(list) => list.run(),
            ChecksCommand::Accept(accept) => accept.run(),
            ChecksCommand::Report(report) => report.run(),
        }
        .map_err(|failure| failure.if_unknown(KNOWN))?;
        Ok(Exit::Did)
    }
}

impl ListChecksArgs {
    fn run(&self) -> Result<(), Failure> {
        let mut pairs = vec![("limit", self.limit.to_string())];
        pairs.extend(
            self.workflow
                .iter()
                .map(|workflow| ("workflow", workflow.clone())),
        );
        let answer = self
            .connection
            .client()?
            .get(&format!("/v1/checks{}", query(&pairs)))?;
        answer.show(self.json, page)
    }
}

impl AcceptArgs {
    fn run(&self) -> Result<(), Failure> {
        let body = AcceptRequest {
            workflow: self.workflow.clone(),
            agent: self.agent.clone(),
        };
        let answer = self
            .connection
            .client()?
            .post(&path(&["v1", "checks", &self.run, "accept"]), &body)?;
        answer.show(self.json, |run, now| {
            format!("accepted: {}", revised(run, now))
        })
    }
}

impl ReportCheckArgs {
    fn run(&self) -> Result<(), Failure> {
        let body = ReportRunRequest {
            mode: Some(self.mode.clone()),
            note: self.note.clone(),
            reference: self.reference.clone(),
            workflow: self.workflow.clone(),
            agent: self.agent.clone(),
            retract: false,
        };
        let answer = self
            .connection
            .client()?
            .post(&path(&["v1", "checks", &self.run, "report"]), &body)?;
        answer.show(self.json, revised)
    }
}

fn page(list: &List, now: Time) -> String {
    if list.drawn.is_empty() {
        return "no run was picked for a check; a policy turns checks on with `check: { sample: 5%, min: 20/week }`\n".to_owned();
    }
    let mut page: String = list
        .checks
        .iter()
        .map(|check| waiting(check, now))
        .collect();
    let waiting: u64 = list.drawn.iter().map(|drawn| drawn.waiting).sum();
    let more = waiting.saturating_sub(list.checks.len() as u64);
    if waiting == 0 {
        page.push_str("no run waits for a check\n");
    } else if more > 0 {
        let _ = writeln!(page, "{} more; --limit shows up to 1000", grouped(more));
    }
    page.push_str(&list.drawn.iter().map(became).collect::<String>());
    page
}

/// One run, and a line for each of its calls.
fn waiting(check: &QueuedCheck, now: Time) -> String {
    let run = &check.run;
    let mut page = format!(
        "{} of {} ({}), ended {}, risk {}\n",
        escape(&run.run),
        escape(&run.workflow),
        escape(&run.agent),
        when::ago(now, run.ended),
        word(&check.risk)
    );
    for call in &run.calls {
        let subject = call
            .subject
            .as_ref()
            .map_or_else(String::new, |subject| format!(" on {}", escape(subject)));
        let rule = call
            .rule
            .as_ref()
            .map_or_else(String::new, |rule| format!(" by {}", escape(rule)));
        let _ = writeln!(
            page,
            "  {} {}{rule} {}{subject}: status {}",
            call.at,
            word(&call.verdict),
            escape(&call.tool),
            call.status
        );
    }
    for report in &run.reports {
        let _ = writeln!(
            page,
            "  {} by {}",
            escape(&report.mode),
            escape(&report.source)
        );
    }
    page
}

fn became(drawn: &CheckTally) -> String {
    let all = drawn.waiting + drawn.accepted + drawn.reported + drawn.unchecked + drawn.excluded;
    let of = [
        (drawn.waiting, "waiting"),
        (drawn.accepted, "accepted"),
        (drawn.reported, "reported"),
        (
            drawn.unchecked,
            "dropped unchecked because the queue was full",
        ),
        (drawn.excluded, "excluded"),
    ];
    let of: Vec<_> = of
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", grouped(*count)))
        .collect();
    format!(
        "{}: {} picked in 30d: {}\n",
        escape(&drawn.workflow),
        counted(all, "run", "runs"),
        of.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::approvals::tests::now;
    use crate::cli::render::plain;

    #[test]
    fn every_run_that_waits_is_shown_with_what_it_did() {
        let call = serde_json::json!({
            "call": "call_019ab2f64f007000a1b2c3d4e5f60718", "at": "2026-11-23T17:00:01Z", "tool": "payments/refund", "risk": "high", "verdict": "hold",
            "rule": "hold_when", "executed": true, "status": 200, "subject": "sha256:0011",
        });
        let run = serde_json::json!({
            "drawn_at": "2026-11-23T17:05:00Z", "risk": "high", "run": "ticket-77\u{1b}[31m", "workflow": "support-triage", "agent": "triage-bot",
            "started": "2026-11-23T17:00:00Z", "ended": "2026-11-23T17:05:00Z", "booked_at": "2026-11-23T17:05:00Z", "outcome": "acceptable", "counted": true,
            "high": true, "modes": ["tool_error"], "calls": [call],
            "reports": [{ "mode": "tool_error", "source": "wire", "by": null, "call": null, "tool": null, "note": null, "ref": null }],
            "retracted": [], "excluded": null,
        });
        let list = |checks: Vec<&serde_json::Value>, waiting: u64| -> List {
            let drawn = serde_json::json!([{ "workflow": "support-triage", "waiting": waiting, "accepted": 30, "reported": 1, "unchecked": 0, "excluded": 0 }]);
            serde_json::from_value(serde_json::json!({ "checks": checks, "drawn": drawn })).unwrap()
        };
        let pages = [
            page(&list(vec![&run], 3), now()),
            page(&list(vec![], 0), now()),
            page(
                &List {
                    checks: vec![],
                    drawn: vec![],
                },
                now(),
            ),
        ];
        insta::assert_snapshot!(plain(&pages.join("--\n")), @r"
        ticket-77\u{1b}[31m of support-triage (triage-bot), ended 55m ago, risk high
          2026-11-23T17:00:01Z hold by hold_when payments/refund on sha256:0011: status 200
          tool_error by wire
        2 more; --limit shows up to 1000
        support-triage: 34 runs picked in 30d: 3 waiting, 30 accepted, 1 reported
        --
        no run waits for a check
        support-triage: 31 runs picked in 30d: 30 accepted, 1 reported
        --
        no run was picked for a check; a policy turns checks on with `check: { sample: 5%, min: 20/week }`
        ");
    }
}
