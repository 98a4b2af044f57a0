//! The gate's own paths, for the agent itself: how its held calls stand, that a run is finished or
//! went wrong, and what is left of the budget.
//!
//! An agent sees and ends only what is its own, and reports only for the worse (G11).

use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use super::body::RequestBody;
use super::connection::ClientConnection;
use super::context::ResponseContext;
use super::identify::Caller;
use super::problem_reply::ProblemReply;
use super::read::RESERVED;
use super::respond::AgentAnswer;
use super::worker_state::WorkerState;
use super::{hold, identify, respond};
use crate::api::Moment;
use crate::api::decision::EditView;
use crate::api::problem::Slug;
use crate::gate::approval::{Approval, Stage};
use crate::gate::booking::ids::{numbered, split};
use crate::gate::name::{ApprovalId, RunId};
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::run::Charge;
use crate::ids;
use crate::journal::revise::{ReviseError, RunTarget};
use crate::ledger::people::report::Reported;
use crate::wire::query::Query;
use crate::wire::{Malformed, media, target};

/// The largest body that an agent sends to the gate itself.
const MAX_BODY: usize = 16 * 1024;
/// The longest note, in bytes.
const MAX_NOTE: usize = 4 * 1024;
/// The longest long poll: below the shortest limit that real clients keep.
const MAX_POLL: Duration = Duration::from_secs(55);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FinishRequest {
    status: FinishStatus,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum FinishStatus {
    Completed,
    Failed,
    Escalated,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentReport {
    mode: String,
    #[serde(default)]
    note: Option<String>,
    #[serde(default, rename = "ref")]
    reference: Option<String>,
}

#[derive(Serialize)]
struct ApprovalStatus {
    approval: String,
    state: &'static str,
    tool: String,
    digest: String,
    created_at: Moment,
    expires_at: Moment,
    needed: u32,
    approved: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edit: Option<EditView>,
    next: &'static str,
}

#[derive(Serialize)]
struct Finished {
    run: String,
    status: &'static str,
}

#[derive(Serialize)]
struct BudgetStatus {
    workflow: String,
    posture: String,
    level: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<crate::api::Decimal>,
}

/// Answers a request for the gate itself.
pub async fn answer(
    worker: &WorkerState,
    connection: &ClientConnection,
    request: Request<Incoming>,
) -> AgentAnswer {
    let (parts, body) = request.into_parts();
    let caller = match worker.identify(&parts.headers) {
        Ok(caller) => caller,
        Err(problem) => return respond::problem(worker, &problem, None),
    };
    let context = ResponseContext::new(caller, ids::call(), worker.ledger().now());
    match route(worker, connection, &context, &parts, RequestBody::of(body)).await {
        Ok(answer) => answer,
        Err(problem) => respond::problem(worker, &problem, Some(&context)),
    }
}

async fn route(
    worker: &WorkerState,
    connection: &ClientConnection,
    context: &ResponseContext,
    parts: &http::request::Parts,
    body: RequestBody,
) -> Result<AgentAnswer, ProblemReply> {
    let target = target::read(parts.uri.path(), parts.uri.query())?;
    let rest = target.path().strip_prefix(RESERVED).unwrap_or_default();
    let words: Vec<&str> = rest.split('/').collect();
    match (&parts.method, words.as_slice()) {
        (&Method::GET, ["budget"]) => Ok(budget(context)),
        (&Method::DELETE, ["approvals", id]) => withdrawn(worker, context.caller(), id).await,
        (&Method::GET, ["approvals", id]) => {
            approval(worker, context.caller(), id, parts.uri.query()).await
        }
        (&Method::POST, ["runs", run, "finish"]) => {
            let finish: FinishRequest = read(worker, connection, parts, body).await?;
            finished(worker, context, run, finish.status).await
        }
        (&Method::POST, ["runs", run, "report"]) => {
            let report: AgentReport = read(worker, connection, parts, body).await?;
            reported(worker, context.caller(), run, report).await
        }
        _ => Err(ProblemReply::own(
            Slug::NotFound,
            "The gate has no such path. It has /.burngate/budget, /.burngate/approvals/{id} and /.burngate/runs/{run}/finish and /report.",
        )),
    }
}

fn budget(context: &ResponseContext) -> AgentAnswer {
    let disclosed = context.budget();
    let level = context.status().level().to_string();
    let workflow = context.caller().workflow.policy.name.to_string();
    respond::json(
        StatusCode::OK,
        &BudgetStatus {
            workflow,
            posture: disclosed.posture,
            level,
            remaining: disclosed.remaining,
        },
    )
}

/// How long a poll with `?wait=` waits: not at all where that is no number of seconds.
fn poll_wait(wait: Option<&str>) -> Duration {
    wait.and_then(|wait| wait.parse().ok())
        .map_or(Duration::ZERO, Duration::from_secs)
        .min(MAX_POLL)
}

/// How a held call stands. Only the agent that asked may know; to any other there is no such
/// approval.
async fn approval(
    worker: &WorkerState,
    caller: &Caller,
    id: &str,
    query: Option<&str>,
) -> Result<AgentAnswer, ProblemReply> {
    let unknown = || ProblemReply::own(Slug::NotFound, "No approval of this agent has this id.");
    let id: ApprovalId = id.parse().map_err(|_| unknown())?;
    let own = |found: &(_, Approval)| {
        found.0 == caller.workflow.policy.name && found.1.request.agent == caller.agent
    };
    let (_, mut approval) = worker
        .ledger()
        .approval(id)
        .filter(own)
        .ok_or_else(unknown)?;
    let wait = poll_wait(Query::new(query).get("wait")?.as_deref());
    if approval.stage == Stage::Pending && !wait.is_zero() {
        tokio::select! {
            Some(decided) = hold::decision(worker.ledger(), id) => approval = decided,
            () = tokio::time::sleep(wait) => {}
            () = worker.stopping() => {}
        }
    }
    Ok(respond::json(StatusCode::OK, &status(&approval)))
}

/// The agent takes its own held call back, or the grant that it did not use: nobody need look at it
/// any more.
async fn withdrawn(
    worker: &WorkerState,
    caller: &Caller,
    id: &str,
) -> Result<AgentAnswer, ProblemReply> {
    let unknown = || ProblemReply::own(Slug::NotFound, "No approval of this agent has this id.");
    let id: ApprovalId = id.parse().map_err(|_| unknown())?;
    let own = |found: &(_, Approval)| {
        found.0 == caller.workflow.policy.name && found.1.request.agent == caller.agent
    };
    worker
        .ledger()
        .approval(id)
        .filter(own)
        .ok_or_else(unknown)?;
    let ended = |_| {
        ProblemReply::own(
            Slug::Conflict,
            "It has ended already: there is nothing to take back.",
        )
    };
    let durable = worker
        .ledger()
        .withdraw(id, "the agent took it back")
        .map_err(ended)?;
    super::forward::durable(Some(durable)).await?;
    let (_, approval) = worker.ledger().approval(id).ok_or_else(unknown)?;
    Ok(respond::json(StatusCode::OK, &status(&approval)))
}

fn status(approval: &Approval) -> ApprovalStatus {
    let request = &approval.request;
    let next = match approval.stage {
        Stage::Pending => "wait, and ask again",
        Stage::Approved { .. } if approval.edit().is_some() => {
            "repeat exactly the held call: it passes once, with the arguments that a reviewer put in place of yours"
        }
        Stage::Approved { .. } => "repeat exactly the held call: it passes once",
        Stage::Used { .. } => "nothing: the call was made",
        Stage::Denied { wrong: true, .. } => "do not repeat the call",
        Stage::Denied { wrong: false, .. } => "go on without the call",
        Stage::Expired { .. } | Stage::Withdrawn { .. } => {
            "make the call again if it is still needed"
        }
    };
    let expires_at = if let Stage::Approved { until } = approval.stage {
        until
    } else {
        request.expires_at
    };
    ApprovalStatus {
        approval: request.approval.to_string(),
        state: approval.stage.as_str(),
        tool: request.tool.to_string(),
        digest: request.digest.to_string(),
        created_at: Moment(approval.created_at),
        expires_at: Moment(expires_at),
        needed: request.needed,
        approved: approval.approvals(),
        reason: approval
            .decisions
            .last()
            .and_then(|decision| decision.reason.as_deref())
            .map(ToOwned::to_owned),
        edit: approval.edit().map(EditView::of),
        next,
    }
}

async fn finished(
    worker: &WorkerState,
    context: &ResponseContext,
    run: &str,
    status: FinishStatus,
) -> Result<AgentAnswer, ProblemReply> {
    let unknown = || {
        ProblemReply::own(
            Slug::NotFound,
            "No run of this agent is open under this id.",
        )
    };
    let caller = context.caller();
    let run = identify::run_id(run).ok_or_else(unknown)?;
    let (workflow, agent) = (&caller.workflow.policy.name, &caller.agent);
    if status == FinishStatus::Failed {
        // The agent says that it failed: for the worse, so it is believed.
        let charge = charge(
            caller,
            FailureMode::BrokenHandoff,
            Some("the agent finished the run as failed".into()),
            None,
        );
        if worker.ledger().is_open(workflow, agent, &run) {
            drop(acknowledge(worker, caller, &run, charge).await?);
        }
    }
    let id = worker
        .ledger()
        .finish(workflow, agent, &run, status == FinishStatus::Escalated)
        .ok_or_else(unknown)?;
    let status = match status {
        FinishStatus::Completed => "completed",
        FinishStatus::Failed => "failed",
        FinishStatus::Escalated => "escalated",
    };
    Ok(respond::json(
        StatusCode::OK,
        &Finished {
            run: id.to_string(),
            status,
        },
    ))
}

async fn reported(
    worker: &WorkerState,
    caller: &Caller,
    run: &str,
    report: AgentReport,
) -> Result<AgentAnswer, ProblemReply> {
    let unknown = || ProblemReply::own(Slug::NotFound, "No run of this agent has this id.");
    // The id as an answer named it: a continuation has a number behind `#`.
    let named = run.replace("%23", "#");
    let (base, number) = split(&named);
    let base = identify::run_id(base).ok_or_else(unknown)?;
    let run = numbered(base.as_str(), number);
    let mode = FailureMode::from(report.mode.as_str());
    let objective = &caller.workflow.policy.terms.objective;
    if matches!(mode, FailureMode::Named(_)) && !objective.unacceptable.contains(&mode) {
        return Err(ProblemReply::own(
            Slug::Invalid,
            "No failure mode of this workflow has this name. An agent reports only what went wrong.",
        ));
    }
    if report
        .note
        .as_ref()
        .is_some_and(|note| note.len() > MAX_NOTE)
    {
        return Err(ProblemReply::own(
            Slug::Invalid,
            "The note is longer than 4 KiB.",
        ));
    }
    let charge = charge(
        caller,
        mode,
        report.note.map(Into::into),
        report.reference.map(Into::into),
    );
    let run = acknowledge(worker, caller, &run, charge).await?;
    Ok(respond::json(
        StatusCode::OK,
        &Finished {
            run: run.to_string(),
            status: "reported",
        },
    ))
}

fn charge(
    caller: &Caller,
    mode: FailureMode,
    note: Option<std::sync::Arc<str>>,
    reference: Option<std::sync::Arc<str>>,
) -> Charge {
    Charge {
        mode,
        source: Source::Agent,
        by: Some(caller.agent.as_str().into()),
        call: None,
        tool: None,
        note,
        reference,
    }
}

/// Reports, waits until that is on disk, and gives the id of the run that was reported on.
async fn acknowledge(
    worker: &WorkerState,
    caller: &Caller,
    run: &RunId,
    charge: Charge,
) -> Result<RunId, ProblemReply> {
    let target = RunTarget::Run {
        run: run.clone(),
        workflow: Some(caller.workflow.policy.name.clone()),
        agent: Some(caller.agent.clone()),
    };
    match worker.ledger().report(target, charge) {
        Reported::Open { revised, durable } => {
            super::forward::durable(durable).await?;
            Ok(revised.run)
        }
        Reported::Booked(receipt) => match receipt.await {
            Ok(Ok(revised)) => Ok(revised.run),
            Ok(Err(ReviseError::Unavailable(_))) | Err(_) => Err(ProblemReply::journal()),
            Ok(Err(_)) => Err(ProblemReply::own(
                Slug::NotFound,
                "No run of this agent has this id.",
            )),
        },
    }
}

/// The JSON body of a request for the gate itself.
async fn read<T: for<'de> Deserialize<'de>>(
    worker: &WorkerState,
    connection: &ClientConnection,
    parts: &http::request::Parts,
    content: RequestBody,
) -> Result<T, ProblemReply> {
    media::is_json(parts.headers.get(header::CONTENT_TYPE))?;
    let content = content
        .buffer(connection, MAX_BODY, &worker.process().memory)
        .await
        .map_err(ProblemReply::from)?;
    let bytes = content.bytes().map(|bytes| &**bytes).unwrap_or_default();
    let value = crate::wire::json::parse(bytes).map_err(Malformed::from)?;
    drop(value);
    serde_json::from_slice(bytes).map_err(|error| {
        ProblemReply::own(Slug::Invalid, &format!("The body does not fit: {error}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_waits_as_long_as_it_asks_up_to_the_bound() {
        let seconds = |text: String| poll_wait(Some(&text)).as_secs();
        let most = MAX_POLL.as_secs();
        assert_eq!(seconds(most.to_string()), most);
        assert_eq!(seconds((most + 1).to_string()), most);
        assert_eq!(poll_wait(None), Duration::ZERO);
        assert_eq!(poll_wait(Some("soon")), Duration::ZERO);
    }
}
