//! `burngate exclude`: takes runs out of the budget, with a reason and a name on record.

use clap::Args;

use super::client::{Client, ConnectionArgs, path};
use super::failure::{Exit, Failure};
use super::filters::FilterArgs;
use super::render::number::counted;
use super::report::revised;
use super::{filters, render};
use crate::api::incident::{ExcludeIncidentRequest, ExcludeIncidentResponse};
use crate::api::operate;
use crate::api::report::{ExcludeRunsRequest, RunSelection};

/// Take runs out of the budget, or put them back
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Take one run out of the budget
  burngate exclude --run ticket-77 --reason \"load test\"
  # Every run of the last two hours; without --yes they are only counted
  burngate exclude -w support-triage --since 2h \\
      --reason \"bank outage\" --ref INC-4 --yes
  # Put those back
  burngate exclude --retract --batch INC-4 --reason \"not an outage after all\"")]
pub(super) struct ExcludeArgs {
    /// The run
    #[arg(long)]
    run: Option<String>,
    /// Every run that failed only because of this incident of a tool API
    #[arg(long, value_name = "INCIDENT", conflicts_with = "run")]
    incident: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Put them back; with --ref alone, all that was excluded under it
    #[arg(long)]
    retract: bool,
    /// Your reference, such as an incident: with it they can be put back
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
    /// The reference of the batch to put back
    #[arg(long, value_name = "ID", requires = "retract", conflicts_with_all = ["reference", "run"])]
    batch: Option<String>,
    /// The agent, if several have a run with this id
    #[arg(long)]
    agent: Option<String>,
    /// With this failure mode
    #[arg(long, help_heading = "Filters")]
    mode: Option<String>,
    /// Change every run that matches the filters; without this they are only counted
    #[arg(long)]
    yes: bool,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl ExcludeArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let client = self.connection.client()?;
        if let Some(incident) = &self.incident {
            return self.incident(&client, incident);
        }
        if let Some(run) = &self.run {
            self.one(&client, run)?;
            return Ok(Exit::Did);
        }
        let filter = RunSelection {
            mode: self.mode.clone(),
            ..self.filters.filter()
        };
        let reference = self.reference.clone().or_else(|| self.batch.clone());
        let exclusion = ExcludeRunsRequest {
            reason: self.reason.clone(),
            reference,
            retract: self.retract,
            ..ExcludeRunsRequest::default()
        };
        let exclusion = match filter.is_empty() {
            true if self.retract && exclusion.reference.is_some() => exclusion,
            true => return Err(filters::which()),
            false => ExcludeRunsRequest {
                filter: Some(filter),
                confirm: self.yes,
                dry_run: !self.yes,
                ..exclusion
            },
        };
        let answer = client.post("/v1/exclusions", &exclusion)?;
        let (done, undo) = if self.retract {
            ("put back", "")
        } else {
            ("excluded", "exclude --retract")
        };
        filters::show_batch(&answer, self.json, done, undo)
    }

    fn incident(&self, client: &Client, incident: &str) -> Result<Exit, Failure> {
        let body = ExcludeIncidentRequest {
            reason: self.reason.clone(),
            retract: self.retract,
        };
        let answer = client
            .post(&path(&["v1", "incidents", incident, "exclude"]), &body)
            .map_err(|failure| {
                failure.if_unknown("`burngate status` names the incidents of the last day")
            })?;
        if self.json {
            render::show_json(answer.json())?;
            return Ok(Exit::Did);
        }
        let decided: ExcludeIncidentResponse = answer.read()?;
        let what = if self.retract { "put back" } else { "excluded" };
        let left = match decided.left {
            0 => String::new(),
            left => format!(
                "; {} by something else too, and stay as they are",
                counted(left, "run failed", "runs failed")
            ),
        };
        render::show_page(&format!(
            "{} {what}{left}\n",
            counted(decided.runs, "run", "runs")
        ))?;
        Ok(Exit::Did)
    }

    fn one(&self, client: &Client, run: &str) -> Result<(), Failure> {
        let (workflow, agent) = (self.filters.workflow.clone(), self.agent.clone());
        let body = operate::ExcludeRunRequest {
            workflow,
            agent,
            reason: self.reason.clone(),
            reference: self.reference.clone(),
            retract: self.retract,
        };
        let answer = client
            .post(&path(&["v1", "runs", run, "exclude"]), &body)
            .map_err(|failure| {
                failure.if_unknown("`burngate runs` lists the runs that are booked")
            })?;
        answer.show(self.json, revised)
    }
}
