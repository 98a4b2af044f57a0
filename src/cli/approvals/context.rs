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
