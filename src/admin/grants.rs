//! Timed grants: operators give, list and revoke them.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};

use super::auth::Person;
use super::durable::{MAY_STILL, durable};
use super::error::AdminError;
use super::read::{JsonBody, PathSegment, QueryParams, lasting, name, sentence};
use super::state::AdminState;
use crate::api::Problem;
use crate::api::grant::{GrantList, GrantQuery, GrantRequest, GrantView, RevokeRequest};
use crate::gate::approval::timed::{MAX_CALLS, MAX_LASTS};
use crate::gate::name::{GrantId, ToolName};
use crate::ledger::people::outcome::OperateError;

/// Time-boxed grants, those that are over for a day.
#[utoipa::path(get, path = "/v1/grants", params(GrantQuery), responses((status = 200, body = GrantList), (status = "default", body = Problem)))]
pub(super) async fn list(
    State(state): State<Arc<AdminState>>,
    QueryParams(query): QueryParams<GrantQuery>,
) -> Json<GrantList> {
    let now = state.ledger().now();
    let all = state.ledger().grants();
    let asked = all.iter().filter(|(workflow, _)| {
        query
            .workflow
            .as_ref()
            .is_none_or(|name| name == workflow.as_str())
    });
    Json(GrantList {
        grants: asked
            .map(|(workflow, grant)| GrantView::of(workflow, grant, now))
            .collect(),
    })
}

/// Lets held calls of a tool go for a while. Never above the tool's own ceiling, and not where a
/// call needs more than one person.
#[utoipa::path(
    post,
    path = "/v1/workflows/{workflow}/grants",
    params(("workflow" = String, Path)),
    request_body = GrantRequest,
    responses((status = 200, body = GrantView), (status = "default", body = Problem))
)]
pub(super) async fn give(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(workflow): PathSegment,
    JsonBody(asked): JsonBody<GrantRequest>,
) -> Result<Json<GrantView>, AdminError> {
    let (tool, reason) = (
        ToolName::from(name("/tool", &asked.tool)?),
        sentence("/reason", &asked.reason)?,
    );
    let lasts = lasting("/for", asked.lasts, MAX_LASTS)?;
    if asked.max == 0 || asked.max > MAX_CALLS {
        return Err(AdminError::field(
            "/max",
            format!("must be a number from 1 to {MAX_CALLS}"),
        ));
    }
    let (id, written) = state.ledger().give_grant(
        &workflow.as_str().into(),
        &tool,
        (lasts, asked.max),
        &person.name,
        reason,
    )?;
    durable(written, MAY_STILL).await?;
    grant_view(&state, id)
}

/// Takes a time-boxed grant back, at once.
#[utoipa::path(
    post,
    path = "/v1/grants/{id}/revoke",
    params(("id" = String, Path)),
    request_body = RevokeRequest,
    responses((status = 200, body = GrantView), (status = "default", body = Problem))
)]
pub(super) async fn revoke(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(id): PathSegment,
    JsonBody(revoke): JsonBody<RevokeRequest>,
) -> Result<Json<GrantView>, AdminError> {
    let id: GrantId = id.parse().map_err(|_| OperateError::NoGrant)?;
    durable(
        state
            .ledger()
            .revoke_grant(id, &person.name, sentence("/reason", &revoke.reason)?)?,
        MAY_STILL,
    )
    .await?;
    grant_view(&state, id)
}

fn grant_view(state: &AdminState, id: GrantId) -> Result<Json<GrantView>, AdminError> {
    let now = state.ledger().now();
    let all = state.ledger().grants();
    let found = all
        .iter()
        .find(|(_, grant)| grant.id == id)
        .ok_or(OperateError::NoGrant)?;
    Ok(Json(GrantView::of(&found.0, &found.1, now)))
}
