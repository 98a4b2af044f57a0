//! Held calls and the decisions on them. Of several decisions on one approval the first wins, and
//! every other learns that it lost (409, A95).

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};

use super::auth::{Person, Role};
use super::context;
use super::durable::{MAY_STILL, durable, patient, revised};
use super::error::AdminError;
use super::read::{JsonBody, PathSegment, QueryParams, remark, sentence};
use super::state::AdminState;
use crate::api::Problem;
use crate::api::approval::{ApprovalList, ApprovalQuery, ApprovalView};
use crate::api::context::ContextQuery;
use crate::api::operate::{
    ApproveRequest, BatchDecision, DecideItem, DecideRequest, DecideResponse, DecideResult,
    DenialVerdict, DenyRequest, WithdrawRequest,
};
use crate::gate::approval::{Decision, DecisionKind, Edit};
use crate::gate::digest::Digest;
use crate::gate::name::ApprovalId;
use crate::gate::risk::Risk;
use crate::ledger::people::decide;
use crate::ledger::people::outcome::OperateError;
use crate::ledger::people::report::Reported;

/// How many times a decision waits for an earlier one on the same approval. An approval needs few
/// people, so few decisions can be on their way to disk.
const TRIES: usize = 8;
/// The most calls that are decided at once.
const MAX_BATCH: usize = 100;
/// The states that can be asked for.
const STATES: [&str; 6] = [
    "pending",
    "approved",
    "used",
    "denied",
    "expired",
    "withdrawn",
];

/// Held calls and what became of them. Ended ones are remembered for a day.
#[utoipa::path(get, path = "/v1/approvals", params(ApprovalQuery), responses((status = 200, body = ApprovalList), (status = "default", body = Problem)))]
pub(super) async fn list(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    QueryParams(query): QueryParams<ApprovalQuery>,
) -> Result<Json<ApprovalList>, AdminError> {
    if let Some(state) = &query.state
        && !STATES.contains(&state.as_str())
    {
        return Err(AdminError::field(
            "/state",
            format!("must be one of {}", STATES.join(", ")),
        ));
    }
    let mut all = state.ledger().approvals();
    let is_pending = query.state.as_deref() == Some("pending");
    if is_pending {
        // A person's time goes to what nobody decided on for too long, then to what can do most
        // harm, and of that to what waits least.
        all.sort_by_key(|(_, approval)| {
            let request = &approval.request;
            (
                !approval.attended.escalated,
                Reverse(request.risk),
                request.expires_at,
                approval.created_at,
            )
        });
    }
    let asked = all.iter().filter(|(workflow, approval)| {
        query
            .state
            .as_ref()
            .is_none_or(|state| state == approval.stage.as_str())
            && query
                .workflow
                .as_ref()
                .is_none_or(|name| name == workflow.as_str())
            && query
                .escalated
                .is_none_or(|escalated| escalated == approval.attended.escalated)
    });
    let asked: Vec<_> = asked.collect();
    mark_seen(
        &state,
        &person,
        &asked
            .iter()
            .map(|(_, approval)| approval.request.approval)
            .collect::<Vec<_>>(),
    );
    Ok(Json(ApprovalList {
        approvals: asked
            .into_iter()
            .map(|(workflow, approval)| ApprovalView::of(workflow, approval))
            .collect(),
    }))
}

/// One held call; with `context`, everything that a reviewer looks at before deciding: the run so
/// far, how the workflow stands, what else touched its object, and how calls like it were decided
/// and turned out.
#[utoipa::path(
    get,
    path = "/v1/approvals/{id}",
    params(("id" = String, Path), ContextQuery),
    responses((status = 200, body = ApprovalView), (status = "default", body = Problem))
)]
pub(super) async fn show(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(id): PathSegment,
    QueryParams(query): QueryParams<ContextQuery>,
) -> Result<Json<ApprovalView>, AdminError> {
    let id = read_id(&id)?;
    mark_seen(&state, &person, &[id]);
    let (name, approval) = state
        .ledger()
        .approval(id)
        .ok_or(OperateError::NoApproval)?;
    let context = if query.context.unwrap_or(false) {
        Some(Box::new(context::of(&state, &name, &approval).await?))
    } else {
        None
    };
    Ok(Json(ApprovalView {
        context,
        ..ApprovalView::of(&name, &approval)
    }))
}

/// Lets a held call go, once, where this is the last approval it needs.
#[utoipa::path(
    post,
    path = "/v1/approvals/{id}/approve",
    params(("id" = String, Path)),
    request_body = ApproveRequest,
    responses((status = 200, body = ApprovalView), (status = "default", body = Problem))
)]
pub(super) async fn approve(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(id): PathSegment,
    JsonBody(approve): JsonBody<ApproveRequest>,
) -> Result<Json<ApprovalView>, AdminError> {
    let (id, reason) = (read_id(&id)?, remark("/reason", approve.reason.as_deref())?);
    let digest = approve
        .digest
        .as_deref()
        .map(|text| read_digest("/digest", text))
        .transpose()?;
    // Somebody who may not decide must not learn what an edit would do.
    let (_, held) = state
        .ledger()
        .approval(id)
        .ok_or(OperateError::NoApproval)?;
    if held.request.agent.as_str() == person.name.as_str() {
        return Err(OperateError::Own.into());
    }
    let edit = approve
        .edit
        .map(|edit| state.ledger().edit(id, edit.get().as_bytes()))
        .transpose()?;
    decide(
        &state,
        &person,
        id,
        ReviewerInput {
            decision: DecisionKind::Approve,
            reason,
            edit,
            digest,
        },
    )
    .await
}

/// Says no to a held call.
#[utoipa::path(
    post,
    path = "/v1/approvals/{id}/deny",
    params(("id" = String, Path)),
    request_body = DenyRequest,
    responses((status = 200, body = ApprovalView), (status = "default", body = Problem))
)]
pub(super) async fn deny(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(id): PathSegment,
    JsonBody(deny): JsonBody<DenyRequest>,
) -> Result<Json<ApprovalView>, AdminError> {
    let kind = match deny.verdict {
        DenialVerdict::Wrong => DecisionKind::DenyWrong,
        DenialVerdict::NotNow => DecisionKind::DenyNotNow,
    };
    let input = ReviewerInput {
        decision: kind,
        reason: Some(sentence("/reason", &deny.reason)?),
        edit: None,
        digest: None,
    };
    decide(&state, &person, read_id(&id)?, input).await
}

/// Records that somebody who can decide has seen these calls.
fn mark_seen(state: &AdminState, person: &Person, approvals: &[ApprovalId]) {
    if person.role >= Role::Reviewer {
        state.ledger().mark_seen(approvals, &person.name);
    }
}

/// Decides on many held calls, each named with the digest that was looked at. Never of risk high:
/// those are looked at one by one. One that cannot be decided so leaves the others as they are.
#[utoipa::path(
    post,
    path = "/v1/approvals/decide",
    request_body = DecideRequest,
    responses((status = 200, body = DecideResponse), (status = "default", body = Problem))
)]
pub(super) async fn decide_many(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    JsonBody(asked): JsonBody<DecideRequest>,
) -> Result<Json<DecideResponse>, AdminError> {
    let reason = remark("/reason", asked.reason.as_deref())?;
    let kind = match asked.decision {
        BatchDecision::Approve => DecisionKind::Approve,
        BatchDecision::DenyWrong => DecisionKind::DenyWrong,
        BatchDecision::DenyNotNow => DecisionKind::DenyNotNow,
    };
    if kind != DecisionKind::Approve && reason.is_none() {
        return Err(AdminError::field("/reason", "a denial says why"));
    }
    if asked.approvals.is_empty() || asked.approvals.len() > MAX_BATCH {
        return Err(AdminError::field(
            "/approvals",
            format!("must name 1 to {MAX_BATCH} calls"),
        ));
    }
    let mut looked = Vec::with_capacity(asked.approvals.len());
    let mut named = BTreeSet::new();
    for (index, DecideItem { id, digest }) in asked.approvals.iter().enumerate() {
        let at = |member: &str| format!("/approvals/{index}/{member}");
        let id = read_id(id)?;
        let (_, held) = state
            .ledger()
            .approval(id)
            .ok_or(OperateError::NoApproval)?;
        if held.request.risk == Risk::High {
            return Err(AdminError::field(
                &at("id"),
                "calls of risk high are decided one by one",
            ));
        }
        if !named.insert(id) {
            return Err(AdminError::field(&at("id"), "is named twice"));
        }
        looked.push((id, read_digest(&at("digest"), digest)?));
    }
    let mut decided = Vec::with_capacity(looked.len());
    for (id, digest) in looked {
        let input = ReviewerInput {
            decision: kind,
            reason,
            edit: None,
            digest: Some(digest),
        };
        let (state, refused) = match decide(&state, &person, id, input).await {
            Ok(Json(approval)) => (Some(approval.state), None),
            Err(error) => (None, Some(error.detail().to_owned())),
        };
        decided.push(DecideResult {
            id: id.to_string(),
            state,
            refused,
        });
    }
    Ok(Json(DecideResponse { decided }))
}

/// Takes a held call back, or its unused grant.
#[utoipa::path(
    post,
    path = "/v1/approvals/{id}/withdraw",
    params(("id" = String, Path)),
    request_body = WithdrawRequest,
    responses((status = 200, body = ApprovalView), (status = "default", body = Problem))
)]
pub(super) async fn withdraw(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(id): PathSegment,
    JsonBody(withdraw): JsonBody<WithdrawRequest>,
) -> Result<Json<ApprovalView>, AdminError> {
    let (id, reason) = (read_id(&id)?, sentence("/reason", &withdraw.reason)?);
    durable(
        state
            .ledger()
            .withdraw(id, &format!("{}: {reason}", person.name))?,
        MAY_STILL,
    )
    .await?;
    approval_view(&state, id).map(Json)
}

/// A decision as the request gives it.
struct ReviewerInput<'a> {
    decision: DecisionKind,
    reason: Option<&'a str>,
    edit: Option<Edit>,
    digest: Option<Digest>,
}

async fn decide(
    state: &AdminState,
    person: &Person,
    id: ApprovalId,
    input: ReviewerInput<'_>,
) -> Result<Json<ApprovalView>, AdminError> {
    let ReviewerInput {
        decision,
        reason,
        edit,
        digest,
    } = input;
    let decision = Decision {
        reviewer: person.name.clone(),
        role: Some(person.role.as_str().into()),
        decision,
        reason: reason.map(Into::into),
        at: state.ledger().now(),
        edit,
        void: false,
    };
    let decide::Deciding {
        durable: written,
        charged,
    } = hand_over(state, id, &decision, digest.as_ref()).await?;
    durable(written, MAY_STILL).await?;
    match charged {
        Some(Reported::Open {
            durable: Some(charged),
            ..
        }) => durable(charged, MAY_STILL).await?,
        // Its run is not in the records, such as one that a crash lost: then there is nothing to
        // charge.
        Some(Reported::Booked(receipt)) => drop(revised(receipt).await?),
        Some(Reported::Open { durable: None, .. }) | None => {}
    }
    approval_view(state, id).map(Json)
}

/// Hands the decision over, after those that are on their way to disk already.
async fn hand_over(
    state: &AdminState,
    id: ApprovalId,
    decision: &Decision,
    digest: Option<&Digest>,
) -> Result<decide::Deciding, AdminError> {
    for _ in 0..TRIES {
        // Watch only if we have to wait: a watcher stays until the approval changes, and one that
        // has ended may never change again.
        match state.ledger().decide(id, decision, digest) {
            Err(OperateError::Deciding) => {}
            decided => return Ok(decided?),
        }
        let (_, watch) = state.ledger().watch(id).ok_or(OperateError::NoApproval)?;
        // The decision before this one may have come through before the watch began, and would not
        // wake it.
        match state.ledger().decide(id, decision, digest) {
            Err(OperateError::Deciding) => {}
            decided => return Ok(decided?),
        }
        patient(watch).await.ok_or_else(|| AdminError::journal("another decision on this approval does not reach the disk; nothing was decided"))?.ok();
    }
    Err(OperateError::Deciding.into())
}

fn read_digest(pointer: &str, text: &str) -> Result<Digest, AdminError> {
    text.parse()
        .map_err(|_| AdminError::field(pointer, "must be 64 lower-case hexadecimal digits"))
}

fn approval_view(state: &AdminState, id: ApprovalId) -> Result<ApprovalView, AdminError> {
    let (workflow, approval) = state
        .ledger()
        .approval(id)
        .ok_or(OperateError::NoApproval)?;
    Ok(ApprovalView::of(&workflow, &approval))
}

/// Text that is not spelled like an id names no approval: 404.
fn read_id(text: &str) -> Result<ApprovalId, AdminError> {
    text.parse().map_err(|_| OperateError::NoApproval.into())
}
