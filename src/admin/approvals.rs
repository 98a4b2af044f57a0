//! Held calls and the decisions on them. Of several decisions on one approval the first wins, and every other learns that it lost (409, A95).

use std::sync::Arc;

use axum::{Extension, Json, extract::State};

use super::{
    Desk,
    auth::Person,
    durable::{MAY_STILL, durable, patient},
    fault::Fault,
    read::{Asked, Params, Segment, remark, sentence},
};
use crate::{
    api::{
        Problem,
        approval::{Approval, ApprovalQuery, Approvals},
        operate::{Approve, Denial, Deny},
    },
    gate::{
        approval::{Decision, DecisionKind},
        name::ApprovalId,
    },
    ledger::operate::{Durable, OperateError},
};

/// How often a decision waits for the one before it. An approval needs few people, so few can be on their way to disk.
const TRIES: usize = 8;
/// The states that can be asked for.
const STATES: [&str; 6] = ["pending", "approved", "used", "denied", "expired", "withdrawn"];

/// Held calls and what became of them, oldest first. Ended ones are remembered for a day.
#[utoipa::path(get, path = "/v1/approvals", params(ApprovalQuery), responses((status = 200, body = Approvals), (status = "default", body = Problem)))]
pub(super) async fn list(State(desk): State<Arc<Desk>>, Params(query): Params<ApprovalQuery>) -> Result<Json<Approvals>, Fault> {
    if let Some(state) = &query.state
        && !STATES.contains(&state.as_str())
    {
        return Err(Fault::field("/state", format!("must be one of {}", STATES.join(", "))));
    }
    let all = desk.ledger().approvals();
    let asked = all.iter().filter(|(workflow, approval)| {
        query.state.as_ref().is_none_or(|state| state == approval.stage.as_str()) && query.workflow.as_ref().is_none_or(|name| name == workflow.as_str())
    });
    Ok(Json(Approvals { approvals: asked.map(|(workflow, approval)| Approval::of(workflow, approval)).collect() }))
}

/// One held call.
#[utoipa::path(
    get,
    path = "/v1/approvals/{id}",
    params(("id" = String, Path)),
    responses((status = 200, body = Approval), (status = "default", body = Problem))
)]
pub(super) async fn show(State(desk): State<Arc<Desk>>, Segment(id): Segment) -> Result<Json<Approval>, Fault> {
    shown(&desk, read_id(&id)?).map(Json)
}

/// Lets a held call go, once, where this is the last approval it needs.
#[utoipa::path(
    post,
    path = "/v1/approvals/{id}/approve",
    params(("id" = String, Path)),
    request_body = Approve,
    responses((status = 200, body = Approval), (status = "default", body = Problem))
)]
pub(super) async fn approve(
    State(desk): State<Arc<Desk>>,
    Extension(person): Extension<Arc<Person>>,
    Segment(id): Segment,
    Asked(approve): Asked<Approve>,
) -> Result<Json<Approval>, Fault> {
    if approve.edit.is_some() {
        return Err(Fault::field("/edit", "edits are not supported yet: deny the call and say in the reason what to change"));
    }
    let reason = remark("/reason", approve.reason.as_deref())?;
    decide(&desk, &person, read_id(&id)?, DecisionKind::Approve, reason).await
}

/// Says no to a held call.
#[utoipa::path(
    post,
    path = "/v1/approvals/{id}/deny",
    params(("id" = String, Path)),
    request_body = Deny,
    responses((status = 200, body = Approval), (status = "default", body = Problem))
)]
pub(super) async fn deny(
    State(desk): State<Arc<Desk>>,
    Extension(person): Extension<Arc<Person>>,
    Segment(id): Segment,
    Asked(deny): Asked<Deny>,
) -> Result<Json<Approval>, Fault> {
    let kind = match deny.verdict {
        Denial::Wrong => DecisionKind::DenyWrong,
        Denial::NotNow => DecisionKind::DenyNotNow,
    };
    decide(&desk, &person, read_id(&id)?, kind, Some(sentence("/reason", &deny.reason)?)).await
}

async fn decide(desk: &Desk, person: &Person, id: ApprovalId, decision: DecisionKind, reason: Option<&str>) -> Result<Json<Approval>, Fault> {
    let decision = Decision { reviewer: person.name.clone(), decision, reason: reason.map(Into::into), at: desk.ledger().now(), void: false };
    durable(hand_over(desk, id, &decision).await?, MAY_STILL).await?;
    shown(desk, id).map(Json)
}

/// Hands the decision over, after those that are on their way to disk already.
async fn hand_over(desk: &Desk, id: ApprovalId, decision: &Decision) -> Result<Durable, Fault> {
    for _ in 0..TRIES {
        // Only who has to wait watches: a watcher stays until the approval changes, and one that has ended may never change again.
        match desk.ledger().decide(id, decision.clone()) {
            Err(OperateError::Deciding) => {}
            decided => return Ok(decided?),
        }
        let (_, watch) = desk.ledger().watch(id).ok_or(OperateError::NoApproval)?;
        // The decision before this one may have come through before the watch began, and would not wake it.
        match desk.ledger().decide(id, decision.clone()) {
            Err(OperateError::Deciding) => {}
            decided => return Ok(decided?),
        }
        patient(watch).await.ok_or_else(|| Fault::journal("another decision on this approval does not reach the disk; nothing was decided"))?.ok();
    }
    Err(OperateError::Deciding.into())
}

fn shown(desk: &Desk, id: ApprovalId) -> Result<Approval, Fault> {
    let (workflow, approval) = desk.ledger().approval(id).ok_or(OperateError::NoApproval)?;
    Ok(Approval::of(&workflow, &approval))
}

/// An id that is not spelled like one belongs to nothing.
fn read_id(text: &str) -> Result<ApprovalId, Fault> {
    text.parse().map_err(|_| OperateError::NoApproval.into())
}
