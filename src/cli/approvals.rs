//! `burngate approvals`: the calls that wait for a person.

use clap::{Args, Subcommand};

use super::client::{Client, ConnectionArgs, GateAnswer, path, query};
use super::failure::{Exit, Failure};
use super::render;
use super::render::table::Columns;
use super::render::{escape, when};
use crate::api::approval::{ApprovalList as List, ApprovalView};
use crate::api::operate::{ApproveRequest, BatchDecision, DenialVerdict, DenyRequest};
use crate::gate::time::Time;

mod context;
mod many;
mod page;
mod timed;

use many::NamedApprovals;

/// The hint for an approval that the gate does not have.
const KNOWN: &str =
    "`burngate approvals list` lists those that wait; decided ones are forgotten after a while";

/// List, show and decide calls that are held for a person
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Calls that wait for a person
  burngate approvals list
  # Everything about one of them
  burngate approvals show apr_7c8b5661388e4d42b5a760b7c7686d5d
  # Let it through, once
  burngate approvals approve apr_7c8b5661388e4d42b5a760b7c7686d5d \\
      --reason \"order A-1001 never arrived\"")]
pub(super) struct ApprovalsArgs {
    #[command(subcommand)]
    command: ApprovalsCommand,
}

#[derive(Debug, Subcommand)]
enum ApprovalsCommand {
    /// List the calls that wait: escalated ones first, then by risk, then by time left
    List(ListApprovalsArgs),
    /// Show one call in full: what it would send, which rule held it, its run so far, and earlier
    /// decisions on similar calls
    Show(ShowApprovalArgs),
    /// Let exactly this call through, once
    Approve(ApproveArgs),
    /// Refuse this call
    Deny(DenyArgs),
    /// Let held calls of a tool through for a limited time, without a decision on each
    Grant(timed::GiveGrantArgs),
    /// List the grants for a limited time
    Grants(timed::ListGrantsArgs),
    /// Take back a grant for a limited time; the next call is held again
    Revoke(timed::TakeBackGrantArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Calls that wait, those that need attention first
  burngate approvals list
  # One a line as ID@DIGEST, to decide on several at once
  burngate approvals list -w support-triage --digests
  # What became of earlier ones
  burngate approvals list --state all")]
struct ListApprovalsArgs {
    /// Only of this workflow
    #[arg(short, long)]
    workflow: Option<String>,
    /// In this state: pending, approved, used, denied, expired, withdrawn or all
    #[arg(long, default_value = "pending", value_parser = ["pending", "approved", "used", "denied", "expired", "withdrawn", "all"])]
    state: String,
    /// Only escalated calls: those put to other people because nobody decided in time
    #[arg(long)]
    escalated: bool,
    /// Print one line a call, starting with ID@DIGEST, which `approve` and `deny` take
    #[arg(long, conflicts_with = "json")]
    digests: bool,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # What would be sent, which rule held it, and what its run did so far
  burngate approvals show apr_7c8b5661388e4d42b5a760b7c7686d5d")]
struct ShowApprovalArgs {
    /// The approval's id
    id: String,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Let exactly this call through, once
  burngate approvals approve apr_7c8b5661388e4d42b5a760b7c7686d5d \\
      --reason \"order A-1001 never arrived\"
  # Let it through with another amount
  burngate approvals approve apr_7c8b5661388e4d42b5a760b7c7686d5d \\
      --edit '{\"order\":\"A-1001\",\"amount\":45}' --reason \"half of it was used\"")]
struct ApproveArgs {
    /// The approval's id; or several calls, none of risk high, each as ID@DIGEST
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Forward these arguments instead: JSON, or `@FILE`. This counts as a correction of the run
    #[arg(long, value_name = "JSON")]
    edit: Option<String>,
    /// The digest of the call as you saw it; required once somebody has edited the call
    #[arg(long, value_name = "SHA256")]
    digest: Option<String>,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Not now: the agent may ask again
  burngate approvals deny apr_7c8b5661388e4d42b5a760b7c7686d5d \\
      --reason \"wait until the parcel is back\"
  # Wrong: exactly this call is refused for 24 hours
  burngate approvals deny apr_7c8b5661388e4d42b5a760b7c7686d5d \\
      --wrong --reason \"refunded already\"")]
struct DenyArgs {
    /// The approval's id; or several calls, none of risk high, each as ID@DIGEST
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// The call is wrong: exactly this call is denied for 24 hours
    #[arg(long, conflicts_with = "not_now")]
    wrong: bool,
    /// The time is wrong, not the call; the agent may ask again (the default)
    #[arg(long)]
    not_now: bool,
    /// Why; the agent sees it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print the gate's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl ApprovalsArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        match &self.command {
            ApprovalsCommand::List(list) => list.run(),
            ApprovalsCommand::Show(show) => show.run(),
            ApprovalsCommand::Approve(approve) => approve.run(),
            ApprovalsCommand::Deny(deny) => deny.run(),
            ApprovalsCommand::Grant(give) => give.run(),
            ApprovalsCommand::Grants(list) => list.run(),
            ApprovalsCommand::Revoke(revoke) => revoke.run(),
        }
        .map_err(|failure| failure.if_unknown(KNOWN))?;
        Ok(Exit::Did)
    }
}

impl ListApprovalsArgs {
    fn run(&self) -> Result<(), Failure> {
        let mut pairs = Vec::new();
        if self.state != "all" {
            pairs.push(("state", self.state.clone()));
        }
        pairs.extend(
            self.workflow
                .iter()
                .map(|workflow| ("workflow", workflow.clone())),
        );
        if self.escalated {
            pairs.push(("escalated", "true".to_owned()));
        }
        let answer = self
            .connection
            .client()?
            .get(&format!("/v1/approvals{}", query(&pairs)))?;
        if self.digests {
            return render::show_page(&many::lines(&answer.read()?));
        }
        answer.show(self.json, |found, now| list(found, &self.state, now))
    }
}

impl ShowApprovalArgs {
    fn run(&self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let answer = client.get(&(path(&["v1", "approvals", &self.id]) + "?context=true"))?;
        answer.show(self.json, page::page)
    }
}

impl ApproveArgs {
    fn run(&self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let id = match many::named(&self.ids)? {
            NamedApprovals::One(id) => id,
            NamedApprovals::Many(_) if self.edit.is_some() || self.digest.is_some() => {
                return Err(
                    Failure::usage("`--edit` and `--digest` work on one call only")
                        .hint("name one approval"),
                );
            }
            NamedApprovals::Many(looked) => {
                return many::decide(
                    &client,
                    BatchDecision::Approve,
                    self.reason.clone(),
                    looked,
                    self.json,
                );
            }
        };
        let answer = client.post(&path(&["v1", "approvals", id, "approve"]), &self.request()?)?;
        if self.json {
            return render::show_json(answer.json());
        }
        render::show_page(&approved(&decided(&client, id, &answer)?, when::now()))
    }
}

impl ApproveArgs {
    fn request(&self) -> Result<ApproveRequest, Failure> {
        let text = match self
            .edit
            .as_deref()
            .map(|edit| edit.strip_prefix('@').ok_or(edit))
        {
            None => None,
            Some(Err(text)) => Some(text.to_owned()),
            Some(Ok(file)) => {
                let read = std::fs::read_to_string(file);
                Some(read.map_err(|error| {
                    Failure::usage(format!("cannot read {}: {error}", escape(file)))
                        .hint("`--edit @FILE` reads the arguments from a file")
                })?)
            }
        };
        let edit = text
            .map(serde_json::value::RawValue::from_string)
            .transpose();
        let edit = edit.map_err(|error| {
            Failure::usage(format!("`--edit` is not JSON: {error}"))
                .hint("write all arguments, such as '{\"order\":\"A-1\",\"amount\":90}'")
        })?;
        Ok(ApproveRequest {
            reason: self.reason.clone(),
            edit,
            digest: self.digest.clone(),
        })
    }
}

impl DenyArgs {
    fn run(&self) -> Result<(), Failure> {
        let client = self.connection.client()?;
        let verdict = if self.wrong {
            DenialVerdict::Wrong
        } else {
            DenialVerdict::NotNow
        };
        // A denial is on record with a reason, also where somebody gave none.
        let reason = self
            .reason
            .clone()
            .unwrap_or_else(|| "no reason given".to_owned());
        let id = match many::named(&self.ids)? {
            NamedApprovals::One(id) => id,
            NamedApprovals::Many(looked) => {
                let decision = if self.wrong {
                    BatchDecision::DenyWrong
                } else {
                    BatchDecision::DenyNotNow
                };
                return many::decide(&client, decision, Some(reason), looked, self.json);
            }
        };
        let answer = client.post(
            &path(&["v1", "approvals", id, "deny"]),
            &DenyRequest { reason, verdict },
        )?;
        if self.json {
            return render::show_json(answer.json());
        }
        render::show_page(&denied(&decided(&client, id, &answer)?, verdict))
    }
}

/// The approval as it stands after a decision: from the answer, where it is one, or asked for.
fn decided(client: &Client, id: &str, answer: &GateAnswer) -> Result<ApprovalView, Failure> {
    answer
        .read()
        .or_else(|_| client.get(&path(&["v1", "approvals", id]))?.read())
}

fn list(list: &List, state: &str, now: Time) -> String {
    if list.approvals.is_empty() {
        return if state == "pending" {
            "no call waits for a person\n".to_owned()
        } else {
            "none\n".to_owned()
        };
    }
    let mut table = Columns::new(&[
        "ID", "STATE", "WORKFLOW", "TOOL", "REQUEST", "RISK", "SUBJECT", "RULE", "ASKED",
        "EXPIRES", "APPROVED",
    ]);
    for approval in &list.approvals {
        let open = matches!(approval.state.as_str(), "pending" | "approved");
        table.row([
            approval.id.clone(),
            approval
                .escalated_to
                .as_ref()
                .filter(|_| approval.state == "pending")
                .map_or_else(|| approval.state.clone(), |to| format!("put to {to}")),
            approval.workflow.clone(),
            approval.tool.clone(),
            approval.target.clone(),
            approval.risk.clone(),
            approval.subject.clone().unwrap_or_else(|| "-".to_owned()),
            approval.rule.clone(),
            when::ago(now, approval.created_at),
            if open {
                when::ago(now, approval.expires_at)
            } else {
                "-".to_owned()
            },
            format!("{} of {}", page::approvals(approval), approval.needed),
        ]);
    }
    table.page()
}

/// What happens next.
fn approved(approval: &ApprovalView, now: Time) -> String {
    let (id, tool) = (escape(&approval.id), escape(&approval.tool));
    if approval.state == "pending" {
        let missing = match u64::from(approval.needed).saturating_sub(page::approvals(approval)) {
            0 => String::new(),
            missing => format!(" needs {missing} more of {} people, and", approval.needed),
        };
        let to = approval.waits_for.as_ref().map_or_else(String::new, |role| {
            format!("\nit was escalated to role {0}, because nobody decided in time: one of the people who approve it must have that role", escape(role))
        });
        return format!(
            "noted; {id}{missing} expires {}{to}\n",
            when::exactly(now, approval.expires_at)
        );
    }
    if let Some(edit) = &approval.edit {
        return format!(
            "approved with other arguments: {id}\nwhen the agent repeats its call of {tool}, it is sent once, with these, until {}:\n  {}\n",
            when::exactly(now, approval.expires_at),
            render::arguments::arguments(edit.args.get(), 2)
        );
    }
    format!(
        "approved: {id}\nthe agent repeats the call of {tool}; the grant lets exactly that call through, once, until {}\npolicy, level and clamps are judged again when it does\n",
        when::exactly(now, approval.expires_at)
    )
}

fn denied(approval: &ApprovalView, verdict: DenialVerdict) -> String {
    let id = escape(&approval.id);
    match verdict {
        DenialVerdict::Wrong => format!(
            "denied as wrong: {id}\nexactly this call is refused for 24 hours, without asking anybody\n"
        ),
        DenialVerdict::NotNow => format!(
            "denied for now: {id}\nthe agent may ask again; `--wrong` would have refused exactly this call for 24 hours\n"
        ),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::api::Moment;
    use crate::cli::render::plain;

    pub(in crate::cli) fn now() -> Time {
        "2026-11-23T18:00:00Z".parse::<Moment>().unwrap().0
    }

    /// A held refund, with these members instead.
    pub(in crate::cli) fn approval(over: &serde_json::Value) -> ApprovalView {
        let mut value = serde_json::json!({
            "id": "apr_0123456789abcdef0123456789abcdef", "state": "pending", "workflow": "support-triage", "run": "ticket-77", "call": "call_00000000000000000000000000000001",
            "agent": "triage-bot", "api": "payments", "tool": "payments/refund", "risk": "high", "target": "POST /refunds",
            "args": { "order": "A-1001", "amount": 900 }, "subject": "A-1001",
            "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "rule": "hold_when", "place": "policies/payments.yaml:18",
            "reason": "`args.amount > 500.0` holds", "created_at": "2026-11-23T17:57:00Z", "expires_at": "2026-11-23T18:57:00Z", "needed": 2, "decisions": []
        });
        for (name, member) in over.as_object().unwrap() {
            value[name] = member.clone();
        }
        // From text: the arguments are kept as they are written.
        serde_json::from_str(&value.to_string()).unwrap()
    }

    #[test]
    fn every_call_that_waits_has_a_line() {
        let approvals = vec![
            approval(&serde_json::json!({})),
            approval(
                &serde_json::json!({ "state": "used", "subject": null, "needed": 1, "decisions": [{ "reviewer": "dana", "decision": "approve", "reason": null, "at": "2026-11-23T17:58:00Z" }] }),
            ),
        ];
        insta::assert_snapshot!(plain(&list(&List { approvals }, "all", now())), @r"
        ID                                     STATE     WORKFLOW         TOOL              REQUEST         RISK   SUBJECT   RULE        ASKED    EXPIRES   APPROVED
        apr_0123456789abcdef0123456789abcdef   pending   support-triage   payments/refund   POST /refunds   high   A-1001    hold_when   3m ago   in 57m    0 of 2
        apr_0123456789abcdef0123456789abcdef   used      support-triage   payments/refund   POST /refunds   high   -         hold_when   3m ago   -         1 of 1
        ");
        assert_eq!(
            list(
                &List {
                    approvals: Vec::new()
                },
                "pending",
                now()
            ),
            "no call waits for a person\n"
        );
    }

    #[test]
    fn a_decision_says_what_happens_next() {
        let one = serde_json::json!([{ "reviewer": "dana", "decision": "approve", "reason": null, "at": "2026-11-23T17:58:00Z" }]);
        let pages = [
            approved(&approval(&serde_json::json!({ "decisions": one })), now()),
            approved(
                &approval(
                    &serde_json::json!({ "state": "approved", "expires_at": "2026-11-23T18:10:00Z" }),
                ),
                now(),
            ),
            denied(
                &approval(&serde_json::json!({ "state": "denied" })),
                DenialVerdict::Wrong,
            ),
            denied(
                &approval(&serde_json::json!({ "state": "denied" })),
                DenialVerdict::NotNow,
            ),
        ];
        insta::assert_snapshot!(pages.join("\n"), @r"
        noted; apr_0123456789abcdef0123456789abcdef needs 1 more of 2 people, and expires 2026-11-23T18:57:00Z (in 57m)

        approved: apr_0123456789abcdef0123456789abcdef
        the agent repeats the call of payments/refund; the grant lets exactly that call through, once, until 2026-11-23T18:10:00Z (in 10m)
        policy, level and clamps are judged again when it does

        denied as wrong: apr_0123456789abcdef0123456789abcdef
        exactly this call is refused for 24 hours, without asking anybody

        denied for now: apr_0123456789abcdef0123456789abcdef
        the agent may ask again; `--wrong` would have refused exactly this call for 24 hours
        ");
    }
}
