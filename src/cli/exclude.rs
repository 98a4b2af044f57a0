//! `burngate exclude`: takes runs out of the budget, with a reason and a name on record.

use clap::Args;

use super::{
    client::{Client, Connection, path},
    failure::{Exit, Failure},
    filters::Filters,
    render::{self, number::counted, when},
    report::revised,
};
use crate::api::operate;

/// Take runs out of the budget, or put them back
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  burngate exclude --run ticket-77 --reason \"load test\"
  burngate exclude -w support-triage --since 2h --until 1h --reason \"bank outage INC-4\" --yes")]
pub(super) struct Exclude {
    /// The run
    #[arg(long)]
    run: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Put them back
    #[arg(long)]
    retract: bool,
    /// The agent, where several have such a run
    #[arg(long)]
    agent: Option<String>,
    /// Exclude every run that the filters leave, without asking
    #[arg(long)]
    yes: bool,
    /// Print the gate's answer as JSON, a line for each run
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    connection: Connection,
}

impl Exclude {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let client = self.connection.client()?;
        if let Some(run) = &self.run {
            self.one(&client, run, self.filters.workflow.clone(), self.agent.clone())?;
            return Ok(Exit::Did);
        }
        let runs = self.filters.all(&client, self.yes)?;
        for run in &runs {
            self.one(&client, &run.run, Some(run.workflow.clone()), Some(run.agent.clone()))?;
        }
        if !self.json {
            let what = if self.retract { "put back" } else { "excluded" };
            render::show(&format!("{} {what}\n", counted(runs.len() as u64, "run", "runs")))?;
        }
        Ok(Exit::Did)
    }

    fn one(&self, client: &Client, run: &str, workflow: Option<String>, agent: Option<String>) -> Result<(), Failure> {
        let body = operate::Exclude { workflow, agent, reason: self.reason.clone(), retract: self.retract };
        let answer = client
            .post(&path(&["v1", "runs", run, "exclude"]), &body)
            .map_err(|failure| failure.if_unknown("`burngate runs` lists the runs that are booked"))?;
        if self.json { render::show_json(answer.json()) } else { render::show(&revised(&answer.read()?, when::now())) }
    }
}
