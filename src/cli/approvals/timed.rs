//! Timed grants: for a limited time, held calls of a tool go through without a decision on each.

use clap::Args;

use crate::api::TimeSpan;
use crate::api::grant::{GrantList, GrantRequest, GrantView, RevokeRequest};
use crate::cli::client::{ConnectionArgs, path, query};
use crate::cli::failure::Failure;
use crate::cli::render::table::Columns;
use crate::cli::render::{escape, when};
use crate::gate::time::Time;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Let up to 20 refunds through in the next half hour without asking
  burngate approvals grant support-triage --tool tools/refund \\
      --for 30m --max 20 --reason \"recall of lot 12, INC-4\"")]
pub(super) struct GiveGrantArgs {
    /// The workflow
    workflow: String,
    /// The tool, as `api/tool`
    #[arg(long, value_name = "TOOL")]
    tool: String,
    /// For how long, such as 30m; at most a day
    #[arg(long = "for", value_name = "DURATION")]
    lasts: TimeSpan,
    /// For how many calls; at most 1,000
    #[arg(long, value_name = "N")]
    max: u32,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # What may go through without asking, and how much of it was used
  burngate approvals grants -w support-triage")]
pub(super) struct ListGrantsArgs {
    /// Only of this workflow
    #[arg(short, long)]
    workflow: Option<String>,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Ask again from the next call on
  burngate approvals revoke grt_01998f2c5b6a7c3d8e9f0a1b2c3d4e5f \\
      --reason \"the recall is over\"")]
pub(super) struct TakeBackGrantArgs {
    /// The grant's id
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl GiveGrantArgs {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let body = GrantRequest {
            tool: self.tool.clone(),
            lasts: self.lasts,
            max: self.max,
            reason: self.reason.clone(),
        };
        let answer = self
            .connection
            .client()?
            .post(&path(&["v1", "workflows", &self.workflow, "grants"]), &body)?;
        answer.show(self.json, given)
    }
}

impl ListGrantsArgs {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let pairs: Vec<_> = self
            .workflow
            .iter()
            .map(|workflow| ("workflow", workflow.clone()))
            .collect();
        let answer = self
            .connection
            .client()?
            .get(&format!("/v1/grants{}", query(&pairs)))?;
        answer.show(self.json, list)
    }
}

impl TakeBackGrantArgs {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let answer = self.connection.client()?.post(
            &path(&["v1", "grants", &self.id, "revoke"]),
            &RevokeRequest {
                reason: self.reason.clone(),
            },
        )?;
        answer.show(self.json, |grant: &GrantView, _| {
            format!(
                "taken back: {}, after {} of {} calls\n",
                escape(&grant.id),
                grant.used,
                grant.max
            )
        })
    }
}

fn given(grant: &GrantView, now: Time) -> String {
    format!(
        "{}: up to {} held calls of {} pass without a decision, until {}\na clamp, a burn or `burngate approvals revoke` ends it earlier; calls over a limit, and calls to escalate, are still held\n",
        escape(&grant.id),
        grant.max,
        escape(&grant.tool),
        when::exactly(now, grant.until)
    )
}

fn list(list: &GrantList, now: Time) -> String {
    if list.grants.is_empty() {
        return "no grants\n".to_owned();
    }
    let mut table = Columns::new(&["ID", "WORKFLOW", "TOOL", "USED", "ENDS", "BY", "REASON"]);
    for grant in &list.grants {
        table.row([
            grant.id.clone(),
            grant.workflow.clone(),
            grant.tool.clone(),
            format!("{} of {}", grant.used, grant.max),
            if grant.open {
                when::ago(now, grant.until)
            } else {
                "over".to_owned()
            },
            grant.by.clone(),
            grant.reason.clone(),
        ]);
    }
    table.page()
}
