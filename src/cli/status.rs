//! `burngate status`: where workflows stand.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::client::{Client, ConnectionArgs, path, query};
use super::failure::{Exit, Failure};
use super::render;
use super::render::number::{grouped, percent};
use super::render::table::Columns;
use super::render::{escape, when};
use crate::api::approval::ApprovalList;
use crate::api::incident::{IncidentList, IncidentView};
use crate::api::review::SpanApprovals;
use crate::api::workflow::{WorkflowList, WorkflowView};
use crate::gate::time::{Time, days};

mod decisions;
mod numbers;
mod sentences;

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(2);

/// The hint for a workflow that the gate does not have.
pub(super) const KNOWN: &str = "`burngate status` lists the workflows";

/// Show the state of every workflow, or of one with the reasons
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Every workflow, one a line
  burngate status
  # One workflow, and why it stands where it does
  burngate status support-triage
  # Its four numbers over the last week
  burngate status support-triage --since 7d")]
pub(super) struct StatusArgs {
    /// Only this workflow, in sentences
    workflow: Option<String>,
    /// Show only the workflow's four numbers, over runs booked since then: RFC 3339, or how long
    /// ago (`7d`; at most 90 days)
    #[arg(long, value_name = "WHEN", requires = "workflow")]
    since: Option<String>,
    /// Count only runs booked before then
    #[arg(long, value_name = "WHEN", requires = "since")]
    until: Option<String>,
    /// Refresh every two seconds until interrupted
    #[arg(long)]
    watch: bool,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl StatusArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let client = self.connection.client()?;
        let mut page = self.page(&client)?;
        loop {
            if self.json {
                render::show_json(&page)?;
            } else {
                if self.watch {
                    render::clear();
                }
                render::show_page(&page)?;
            }
            if !self.watch {
                return Ok(Exit::Did);
            }
            thread::sleep(EVERY);
            // A gate that restarts is worth waiting for; one that refuses is not.
            match self.page(&client) {
                Ok(next) => page = next,
                Err(failure) if failure.status.is_some() => return Err(failure),
                Err(failure) => render::fail(&failure),
            }
        }
    }

    fn page(&self, client: &Client) -> Result<String, Failure> {
        let Some(workflow) = &self.workflow else {
            let answer = client.get("/v1/workflows")?;
            if self.json {
                return Ok(answer.json().to_owned());
            }
            let approvals = client.get(&format!(
                "/v1/approvals{}",
                query(&[("state", "pending".to_owned())])
            ))?;
            let incidents = client.get("/v1/incidents")?;
            return Ok(table(&answer.read()?, &approvals.read()?)
                + &lately(&incidents.read()?, when::now()));
        };
        if let Some(since) = &self.since {
            let span = [
                Some(("since", since.clone())),
                self.until.clone().map(|until| ("until", until)),
            ];
            let asked = path(&["v1", "workflows", workflow, "numbers"])
                + &query(&span.into_iter().flatten().collect::<Vec<_>>());
            let answer = client
                .get(&asked)
                .map_err(|failure| failure.if_unknown(KNOWN))?;
            return if self.json {
                Ok(answer.json().to_owned())
            } else {
                Ok(numbers::page(&answer.read()?))
            };
        }
        let answer = client
            .get(&path(&["v1", "workflows", workflow]))
            .map_err(|failure| failure.if_unknown(KNOWN))?;
        if self.json {
            return Ok(answer.json().to_owned());
        }
        let approvals: SpanApprovals = client
            .get(&path(&["v1", "workflows", workflow, "approvals"]))?
            .read()?;
        Ok(sentences::page(&answer.read()?, when::now()) + &decisions::line(&approvals.approvals))
    }
}

/// Asks for `operation` on a workflow, and prints the answer, or `page` of the workflow after it.
pub(super) fn operate(
    connection: &ConnectionArgs,
    (workflow, operation): (&str, &str),
    body: &impl Serialize,
    json: bool,
    page: impl FnOnce(&WorkflowView, Time) -> String,
) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let answer = client
        .post(&path(&["v1", "workflows", workflow, operation]), body)
        .map_err(|failure| failure.if_unknown(KNOWN))?;
    if json {
        render::show_json(answer.json())?;
    } else {
        let workflow = of_workflow(&client, workflow, &answer)?;
        render::show_page(&page(&workflow, when::now()))?;
    }
    Ok(Exit::Did)
}

/// The workflow as it stands now, for commands that changed something about it: from their own
/// answer, where it is one, or asked for.
pub(super) fn of_workflow(
    client: &Client,
    workflow: &str,
    answer: &super::client::GateAnswer,
) -> Result<WorkflowView, Failure> {
    answer
        .read()
        .or_else(|_| client.get(&path(&["v1", "workflows", workflow]))?.read())
}

/// Where a workflow stands, in one sentence.
#[must_use]
pub(super) fn line(workflow: &WorkflowView, now: Time) -> String {
    sentences::status(workflow) + " " + &sentences::binds(workflow, now)
}

/// Incidents of tool APIs that are open, or closed within a day.
fn lately(incidents: &IncidentList, now: Time) -> String {
    let is_recent = |incident: &&IncidentView| {
        incident
            .closed
            .is_none_or(|closed| now.since(closed.0) < days(1))
    };
    let line = |incident: &IncidentView| {
        let (id, api) = (escape(&incident.incident), escape(&incident.api));
        let failed = format!(
            "{} of {} calls failed in five minutes",
            grouped(incident.failures),
            grouped(incident.calls)
        );
        let began = when::ago(now, incident.since);
        let until = incident.closed.map_or_else(
            || "is open".to_owned(),
            |closed| format!("closed {}", when::ago(now, closed)),
        );
        format!(
            "incident {id} of {api}, since {began}, {until}: {failed}; `burngate exclude --incident {id} --reason TEXT` takes its runs out of budgets\n"
        )
    };
    incidents
        .incidents
        .iter()
        .filter(is_recent)
        .map(line)
        .collect()
}

fn table(workflows: &WorkflowList, approvals: &ApprovalList) -> String {
    if workflows.workflows.is_empty() {
        return "no workflow is in force; `burngate init` writes a first policy\n".to_owned();
    }
    let mut pending: BTreeMap<&str, u64> = BTreeMap::new();
    for approval in &approvals.approvals {
        *pending.entry(&approval.workflow).or_default() += 1;
    }
    let mut table = Columns::new(&[
        "WORKFLOW",
        "RISK",
        "POSTURE",
        "LEVEL",
        "BINDS",
        "RUNS",
        "UNACCEPTABLE",
        "REMAINING",
        "PENDING",
    ]);
    table.numbers(&[5, 6, 7, 8]);
    for workflow in &workflows.workflows {
        let shadow = if workflow.mode.as_deref() == Some("shadow") {
            " (shadow)"
        } else {
            ""
        };
        table.row([
            workflow.workflow.clone(),
            workflow.risk.clone(),
            workflow.posture.clone(),
            format!("{}{shadow}", workflow.level.effective),
            workflow.level.binds.clone(),
            grouped(workflow.budget.runs),
            grouped(workflow.budget.unacceptable),
            percent(Some(
                workflow
                    .budget
                    .remaining
                    .min(workflow.budget.high.remaining),
            )),
            grouped(
                pending
                    .get(workflow.workflow.as_str())
                    .copied()
                    .unwrap_or(0),
            ),
        ]);
    }
    table.page()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::render::plain;

    /// The contract's example of a workflow, with these members put over it.
    pub(in crate::cli) fn workflow(over: &serde_json::Value) -> WorkflowView {
        let mut value = serde_json::json!({
            "workflow": "support-triage", "risk": "medium", "mode": "enforce",
            "objective": { "target": 0.97, "window": "30d", "expected_runs": 10000, "unacceptable": ["timeout"], "critical": [] },
            "budget": { "runs": 1234, "unacceptable": 12, "allowed": 300, "remaining": 0.96, "provisional": true, "exhausts_in": null, "idle_runs": 410, "checked": 61,
                        "high": { "runs": 200, "unacceptable": 1, "allowed": 6, "remaining": 0.8333 } },
            "posture": "healthy", "why": "12 of 1,234 runs were unacceptable; 300 are allowed",
            "burn_rate": { "5m": 0.0, "30m": 0.0, "1h": 0.4, "2h": 0.4, "6h": 0.3, "1d": 0.3, "3d": null },
            "level": { "effective": "standard", "earned": "standard", "cap": null, "clamp": null, "waiver": null, "probation": null, "binds": "earned" },
            "changes": "open",
            "metrics": { "success_rate": 0.9902, "correction_rate": 0.0024, "escalation_miss_rate": null, "rework_rate": 0.0016 },
            "metrics_detail": {
                "success_rate": { "rate": 0.9902, "numerator": 1222, "denominator": 1234, "checked": 61, "interval": [0.983, 0.9945] },
                "correction_rate": { "rate": 0.0024, "numerator": 3, "denominator": 1234, "checked": 61, "interval": [0.0008, 0.135] },
                "escalation_miss_rate": { "rate": null, "numerator": 0, "denominator": 0, "checked": 61, "interval": null, "caught": 0 },
                "rework_rate": { "rate": 0.0016, "numerator": 2, "denominator": 1234, "checked": 61, "interval": [0.0004, 0.0059] } },
            "failure_modes": { "timeout": 9, "major_correction": 3 },
            "failure_modes_by_tool": { "payments/refund": { "major_correction": 3, "timeout": 2 }, "crm/note": { "timeout": 7 } },
            "burns": [],
            "earn": null
        });
        put(&mut value, over);
        serde_json::from_value(value).unwrap()
    }

    fn put(value: &mut serde_json::Value, over: &serde_json::Value) {
        match (value, over) {
            (serde_json::Value::Object(members), serde_json::Value::Object(over)) => {
                over.iter().for_each(|(name, over)| {
                    put(members.entry(name).or_insert(serde_json::Value::Null), over);
                });
            }
            (value, over) => *value = over.clone(),
        }
    }

    #[test]
    fn every_workflow_has_a_line() {
        let burned = workflow(&serde_json::json!({
            "workflow": "payouts", "risk": "high", "mode": "shadow", "posture": "burned", "budget": { "remaining": -0.5, "unacceptable": 1500 },
            "level": { "effective": "read_only", "binds": "cap" },
        }));
        let workflows = WorkflowList {
            workflows: vec![burned, workflow(&serde_json::json!({}))],
            note: None,
        };
        let approvals = ApprovalList {
            approvals: vec![crate::cli::approvals::tests::approval(&serde_json::json!(
                {}
            ))],
        };
        insta::assert_snapshot!(plain(&table(&workflows, &approvals)), @r"
        WORKFLOW         RISK     POSTURE   LEVEL                BINDS     RUNS   UNACCEPTABLE   REMAINING   PENDING
        payouts          high     burned    read_only (shadow)   cap      1,234          1,500        -50%         0
        support-triage   medium   healthy   standard             earned   1,234             12      83.33%         1
        ");
        let none = WorkflowList {
            workflows: Vec::new(),
            note: None,
        };
        assert!(table(&none, &approvals).contains("`burngate init`"));
    }
}
