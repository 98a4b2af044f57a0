//! What a reviewer wants to know besides the call: how its workflow stands, what else touched the same object lately, and how calls like it were decided and turned out.
//!
//! Asked for with the reviewer's own token. What cannot be read is said, and the call is shown all the same: a decision must not wait for what only helps it.

use std::fmt::Write as _;

use crate::{
    api::{
        approval::{Approval, Approvals},
        run::{RunDetail, Runs},
    },
    cli::{
        client::{Client, path, query},
        failure::Failure,
        render::{escape, when},
        status,
    },
    gate::time::Time,
};

/// So many runs, and so many earlier decisions, are shown.
const SHOWN: usize = 5;

/// Everything about the surroundings of `approval`, as the gate tells it.
#[must_use]
pub(super) fn page(client: &Client, approval: &Approval, now: Time) -> String {
    let parts = [("stands", workflow(client, approval, now)), ("lately", touched(client, approval, now)), ("before", alike(client, approval, now))];
    let mut page = String::new();
    for (name, part) in parts {
        let lines = part.unwrap_or_else(|failure| vec![format!("cannot be read: {}", failure.message)]);
        for (index, line) in lines.iter().enumerate() {
            let _ = writeln!(page, "  {:<9} {line}", if index == 0 { name } else { "" });
        }
    }
    page
}

/// Budget and posture.
fn workflow(client: &Client, approval: &Approval, now: Time) -> Result<Vec<String>, Failure> {
    let workflow = client.get(&path(&["v1", "workflows", &approval.workflow]))?.read()?;
    Ok(vec![status::line(&workflow, now)])
}

/// The newest runs that touched the same object.
fn touched(client: &Client, approval: &Approval, now: Time) -> Result<Vec<String>, Failure> {
    let Some(subject) = &approval.subject else { return Ok(vec!["the call names no object".to_owned()]) };
    let runs: Runs = client.get(&format!("/v1/runs{}", query(&[("subject", subject.clone()), ("limit", SHOWN.to_string())])))?.read()?;
    let line = |run: &crate::api::run::Run| {
        let modes = if run.modes.is_empty() { String::new() } else { format!(" ({})", escape(&run.modes.join(", "))) };
        format!("{}: run {} of {} was {}{modes}", when::ago(now, run.booked_at), escape(&run.run), escape(&run.workflow), escape(&run.outcome))
    };
    let lines: Vec<_> = runs.runs.iter().map(line).collect();
    Ok(if lines.is_empty() { vec![format!("no booked run touched {}", escape(subject))] } else { lines })
}

/// The newest decisions on calls of the same tool, those about the same object first, and what became of the runs.
fn alike(client: &Client, approval: &Approval, now: Time) -> Result<Vec<String>, Failure> {
    let all: Approvals = client.get(&format!("/v1/approvals{}", query(&[("workflow", approval.workflow.clone())])))?.read()?;
    let mut alike: Vec<_> =
        all.approvals.iter().filter(|other| other.id != approval.id && other.tool == approval.tool && !other.decisions.is_empty()).collect();
    alike.sort_by_key(|other| (approval.subject.is_none() || other.subject != approval.subject, std::cmp::Reverse(other.created_at.0)));
    alike.truncate(SHOWN);
    let lines: Vec<_> = alike.into_iter().map(|other| decision(client, other, now)).collect();
    Ok(if lines.is_empty() { vec![format!("no call of {} was decided lately", escape(&approval.tool))] } else { lines })
}

fn decision(client: &Client, other: &Approval, now: Time) -> String {
    let said: Vec<_> = other.decisions.iter().map(|decision| format!("{} said {}", escape(&decision.reviewer), escape(&decision.decision))).collect();
    let about = other.subject.as_deref().map_or_else(String::new, |subject| format!(" about {}", escape(subject)));
    let outcome = if other.state == "used" { turned_out(client, other) } else { escape(&other.state) };
    format!("{}{about}: {}; {outcome}", when::ago(now, other.created_at), said.join(", "))
}

fn turned_out(client: &Client, other: &Approval) -> String {
    let asked = path(&["v1", "runs", &other.run]) + &query(&[("workflow", other.workflow.clone()), ("agent", other.agent.clone())]);
    let run = client.get(&asked).and_then(|answer| answer.read::<RunDetail>());
    run.map_or_else(|_| "executed, and its run is not booked yet".to_owned(), |run| format!("executed, and its run was {}", escape(&run.outcome)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::{
        approvals::tests::{approval, now},
        client::scripted::Scripted,
        render::plain,
        status::tests::workflow,
    };

    #[test]
    fn what_surrounds_a_call_is_told_and_what_cannot_be_read_is_said() {
        let run = json!({
            "run": "ticket-70", "workflow": "support-triage", "agent": "triage-bot", "started": "2026-11-23T15:00:00Z", "ended": "2026-11-23T15:05:00Z",
            "booked_at": "2026-11-23T15:05:00Z", "outcome": "unacceptable", "counted": true, "high": true, "modes": ["wrong_action"], "calls": 1, "ambiguous": false,
            "subjects": [],
        });
        let earlier = |id: &str, subject: &str, state: &str, said: &str| {
            let decisions = json!([{ "reviewer": "dana", "decision": said, "reason": null, "at": "2026-11-23T15:01:00Z" }]);
            approval(&json!({ "id": id, "subject": subject, "state": state, "created_at": "2026-11-23T15:00:00Z", "decisions": decisions }))
        };
        let asked = approval(&json!({}));
        let all = json!({ "approvals": [asked, earlier("apr_1", "A-2", "denied", "deny_wrong"), earlier("apr_2", "A-1001", "used", "approve")] });
        let mut detail = run.clone();
        for list in ["calls", "reports", "retracted"] {
            detail[list] = json!([]);
        }
        detail["excluded"] = json!(null);
        let standing = serde_json::to_string(&workflow(&json!({}))).unwrap();
        let answers = [standing, json!({ "runs": [run] }).to_string(), all.to_string(), detail.to_string()];
        let gate = Scripted::json(&answers.each_ref().map(String::as_str));
        let told = page(&gate.client(), &asked, now());
        insta::assert_snapshot!(plain(&told), @r"
          stands    support-triage (risk medium) is healthy, at level standard. That is the level it has earned.
          lately    2h55m ago: run ticket-70 of support-triage was unacceptable (wrong_action)
          before    3h ago about A-1001: dana said approve; executed, and its run was unacceptable
                    3h ago about A-2: dana said deny_wrong; denied
        ");
        let gate = Scripted::raw(&["HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n{}"; 3]);
        let refused = page(&gate.client(), &asked, now());
        assert_eq!(refused.matches("cannot be read: ").count(), 3, "{refused}");
    }
}
