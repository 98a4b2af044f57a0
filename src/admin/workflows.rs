//! Workflows as they stand, and what operators do to their levels. The answer to a change is the
//! workflow after it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};

use super::auth::Person;
use super::durable::{MAY_STILL, durable};
use super::error::AdminError;
use super::read::{JsonBody, PathSegment, lasting, name, remark, sentence, some_name};
use super::state::AdminState;
use crate::api::operate::{
    ClampRequest, ClampResponse, PromoteRequest, RecoverRequest, ReleaseRequest,
};
use crate::api::workflow::{ExposureView, PauseView, TrafficView, WorkflowList, WorkflowView};
use crate::api::{Moment, Problem, Slug};
use crate::config::quantity::Rate;
use crate::gate::name::{LevelName, WorkflowName};
use crate::gate::pace::Pause;
use crate::gate::policy::shadow::in_shadow;
use crate::gate::time::days;
use crate::ledger::WorkflowHandle;
use crate::ledger::people::outcome::WorkflowScope;
use crate::ledger::people::promote::Promotion;
use crate::ledger::people::views::View;

/// The longest clamp that runs out by itself. A longer one is one without an end.
const MAX_CLAMP: Duration = days(366);
/// How long a probation lasts by default.
const PROBATION: Duration = days(7);
/// The longest probation: the longest window.
const MAX_PROBATION: Duration = days(90);

/// Every workflow as it stands, by name.
#[utoipa::path(get, path = "/v1/workflows", responses((status = 200, body = WorkflowList), (status = "default", body = Problem)))]
pub(super) async fn list(State(state): State<Arc<AdminState>>) -> Json<WorkflowList> {
    Json(all(&state))
}

/// One workflow as it stands.
#[utoipa::path(
    get,
    path = "/v1/workflows/{workflow}",
    params(("workflow" = String, Path)),
    responses((status = 200, body = WorkflowView), (status = "default", body = Problem))
)]
pub(super) async fn show(
    State(state): State<Arc<AdminState>>,
    PathSegment(workflow): PathSegment,
) -> Result<Json<WorkflowView>, AdminError> {
    one(&state, &workflow.into()).map(Json)
}

/// Sets a ceiling on one workflow's level, in force for the next call.
#[utoipa::path(
    post,
    path = "/v1/workflows/{workflow}/clamp",
    params(("workflow" = String, Path)),
    request_body = ClampRequest,
    responses((status = 200, body = ClampResponse), (status = "default", body = Problem))
)]
pub(super) async fn clamp(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(workflow): PathSegment,
    JsonBody(clamp): JsonBody<ClampRequest>,
) -> Result<Json<ClampResponse>, AdminError> {
    clamp_scope(&state, &person, WorkflowScope::One(workflow.into()), clamp).await
}

/// Sets a ceiling on every workflow's level, those to come included.
#[utoipa::path(post, path = "/v1/clamp", request_body = ClampRequest, responses((status = 200, body = ClampResponse), (status = "default", body = Problem)))]
pub(super) async fn clamp_all(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    JsonBody(clamp): JsonBody<ClampRequest>,
) -> Result<Json<ClampResponse>, AdminError> {
    clamp_scope(&state, &person, WorkflowScope::All, clamp).await
}

/// Lifts the clamp of one workflow, and nothing else.
#[utoipa::path(
    post,
    path = "/v1/workflows/{workflow}/release",
    params(("workflow" = String, Path)),
    request_body = ReleaseRequest,
    responses((status = 200, body = WorkflowView), (status = "default", body = Problem))
)]
pub(super) async fn release(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(workflow): PathSegment,
    JsonBody(release): JsonBody<ReleaseRequest>,
) -> Result<Json<WorkflowView>, AdminError> {
    let workflow = WorkflowName::from(workflow);
    release_scope(
        &state,
        &person,
        &WorkflowScope::One(workflow.clone()),
        &release,
    )
    .await?;
    one(&state, &workflow).map(Json)
}

/// Lifts the clamp on every workflow, and nothing else: a workflow's own clamp stays.
#[utoipa::path(post, path = "/v1/release", request_body = ReleaseRequest, responses((status = 200, body = WorkflowList), (status = "default", body = Problem)))]
pub(super) async fn release_all(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    JsonBody(release): JsonBody<ReleaseRequest>,
) -> Result<Json<WorkflowList>, AdminError> {
    release_scope(&state, &person, &WorkflowScope::All, &release).await?;
    let note = state
        .admin
        .health
        .clamp_file()
        .map(|file| format!("the file `{file}` still exists: it does not clamp again while this gate runs, but it will at the next start, so remove it"));
    Ok(Json(WorkflowList {
        note,
        ..all(&state)
    }))
}

/// Puts the cause of a burn on record and opens a probation.
#[utoipa::path(
    post,
    path = "/v1/workflows/{workflow}/recover",
    params(("workflow" = String, Path)),
    request_body = RecoverRequest,
    responses((status = 200, body = WorkflowView), (status = "default", body = Problem))
)]
pub(super) async fn recover(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(workflow): PathSegment,
    JsonBody(recover): JsonBody<RecoverRequest>,
) -> Result<Json<WorkflowView>, AdminError> {
    let workflow = WorkflowName::from(workflow);
    let (cause, fix) = (
        sentence("/cause", &recover.cause)?,
        remark("/fix", recover.fix.as_deref())?,
    );
    let to = some_name::<LevelName>("/to", recover.to.as_deref())?;
    let lasts = recover
        .lasts
        .map_or(Ok(PROBATION), |lasts| lasting("/for", lasts, MAX_PROBATION))?;
    let receipt =
        state
            .ledger()
            .recover(&workflow, &person.name, cause, fix, to.as_ref(), lasts)?;
    durable(receipt, MAY_STILL).await?;
    one(&state, &workflow).map(Json)
}

/// Takes a step that was earned, or gives a level, with a reason on record.
#[utoipa::path(
    post,
    path = "/v1/workflows/{workflow}/promote",
    params(("workflow" = String, Path)),
    request_body = PromoteRequest,
    responses((status = 200, body = WorkflowView), (status = "default", body = Problem))
)]
pub(super) async fn promote(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(workflow): PathSegment,
    JsonBody(promote): JsonBody<PromoteRequest>,
) -> Result<Json<WorkflowView>, AdminError> {
    let workflow = WorkflowName::from(workflow);
    let what = match (
        some_name("/to", promote.to.as_deref())?,
        some_name("/step", promote.step.as_deref())?,
    ) {
        (Some(to), None) => Promotion::Level(to),
        (None, Some(step)) => Promotion::Step(step),
        (None, None) => Promotion::Proposed,
        (Some(_), Some(_)) => {
            return Err(AdminError::field(
                "/step",
                "is not allowed with `to`: either grant a level or take a step",
            ));
        }
    };
    let receipt = state.ledger().promote(
        &workflow,
        &person.name,
        &what,
        sentence("/reason", &promote.reason)?,
    )?;
    durable(receipt, MAY_STILL).await?;
    one(&state, &workflow).map(Json)
}

async fn clamp_scope(
    state: &AdminState,
    person: &Person,
    scope: WorkflowScope,
    clamp: ClampRequest,
) -> Result<Json<ClampResponse>, AdminError> {
    let (to, reason) = (
        LevelName::from(name("/to", &clamp.to)?),
        sentence("/reason", &clamp.reason)?,
    );
    let lasts = clamp
        .lasts
        .map(|lasts| lasting("/for", lasts, MAX_CLAMP))
        .transpose()?;
    let until = lasts.map(|lasts| state.ledger().now().plus(lasts));
    let found = state
        .ledger()
        .clamp(&scope, &to, &person.name, reason, until)?;
    let withdrawn = if clamp.withdraw {
        state.ledger().withdraw_all(&scope, &person.name, reason)?
    } else {
        Vec::new()
    };
    let count = withdrawn.len() as u64;
    for receipt in std::iter::once(found.durable).chain(withdrawn) {
        durable(receipt, "the clamp is in force, and the journal did not answer: it is not known to survive a restart; clamp again").await?;
    }
    let workflow = match scope {
        WorkflowScope::One(workflow) => Some(workflow.to_string()),
        WorkflowScope::All => None,
    };
    Ok(Json(ClampResponse {
        workflow,
        to: to.to_string(),
        until: until.map(Moment),
        in_flight: found.in_flight,
        unused_grants: found.grants,
        pending_approvals: found.pending,
        withdrawn: count,
    }))
}

async fn release_scope(
    state: &AdminState,
    person: &Person,
    scope: &WorkflowScope,
    release: &ReleaseRequest,
) -> Result<(), AdminError> {
    let receipt =
        state
            .ledger()
            .release(scope, &person.name, sentence("/reason", &release.reason)?)?;
    durable(receipt, MAY_STILL).await
}

fn all(state: &AdminState) -> WorkflowList {
    WorkflowList {
        workflows: state
            .ledger()
            .views()
            .iter()
            .map(|(name, view)| workflow_view(state, name, view))
            .collect(),
        note: None,
    }
}

pub(super) fn one(state: &AdminState, workflow: &WorkflowName) -> Result<WorkflowView, AdminError> {
    let view = state.ledger().view(workflow).ok_or_else(|| {
        AdminError::new(
            Slug::NotFound,
            format!("no workflow is called `{workflow}`"),
        )
    })?;
    Ok(workflow_view(state, workflow, &view))
}

fn workflow_view(state: &AdminState, name: &WorkflowName, view: &View) -> WorkflowView {
    let mut shown = WorkflowView::of(
        name,
        view.handle.as_ref().map(|handle| handle.policy.mode),
        &view.state,
        &view.status,
    );
    if let Some(handle) = &view.handle {
        shown.shadow = in_shadow(
            &handle.policy,
            &state.ledger().table().policies,
            state.ledger().now(),
        )
        .into_iter()
        .map(Into::into)
        .collect();
    }
    shown.traffic = view.handle.as_ref().map(|handle| traffic(handle, view));
    shown
}

fn traffic(handle: &WorkflowHandle, view: &View) -> TrafficView {
    let (now, traffic) = (view.state.now(), handle.shard.traffic());
    let slots = handle
        .policy
        .exposure
        .then(|| handle.shard.exposure().usage(&view.status));
    TrafficView {
        in_flight: traffic.in_flight(),
        this_hour: traffic.calls(now),
        hours: view.state.pace().hours(now) as u64,
        volume: view
            .status
            .rung
            .volume
            .map(|volume| Rate(volume).to_string()),
        concurrency: view.status.rung.concurrency,
        pause: view
            .status
            .pause
            .map(|Pause { calls, at_once }| PauseView { calls, at_once }),
        exposure: slots.map(|slots| ExposureView {
            slots: slots.all,
            used: slots.all_taken,
            high_slots: slots.high,
            high_used: slots.high_taken,
        }),
    }
}
