//! Time-boxed grants: given, looked at and taken back by operators.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};

use super::Desk;
use super::auth::Person;
use super::durable::{MAY_STILL, durable};
use super::fault::Fault;
use super::read::{Asked, Params, Segment, lasting, name, sentence};
use crate::api::Problem;
use crate::api::grant::{GrantList, GrantQuery, GrantRequest, GrantView, RevokeRequest};
use crate::gate::approval::timed::{MAX_CALLS, MAX_LASTS};
use crate::gate::name::{GrantId, ToolName};
use crate::ledger::people::operate::OperateError;

/// Time-boxed grants, those that are over for a day.
#[utoipa::path(get, path = "/v1/grants", params(GrantQuery), responses((status = 200, body = GrantList), (status = "default", body = Problem)))]
pub(super) async fn list(
    State(desk): State<Arc<Desk>>,
    Params(query): Params<GrantQuery>,
) -> Json<GrantList> {
    let now = desk.ledger().now();
    let all = desk.ledger().grants();
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
    State(desk): State<Arc<Desk>>,
    Extension(person): Extension<Arc<Person>>,
    Segment(workflow): Segment,
    Asked(asked): Asked<GrantRequest>,
) -> Result<Json<GrantView>, Fault> {
    let (tool, reason) = (
        ToolName::from(name("/tool", &asked.tool)?),
        sentence("/reason", &asked.reason)?,
    );
    let lasts = lasting("/for", asked.lasts, MAX_LASTS)?;
    if asked.max == 0 || asked.max > MAX_CALLS {
        return Err(Fault::field(
            "/max",
            format!("must be a number from 1 to {MAX_CALLS}"),
        ));
    }
    let (id, written) = desk.ledger().give_grant(
        &workflow.as_str().into(),
        &tool,
        (lasts, asked.max),
        &person.name,
        reason,
    )?;
    durable(written, MAY_STILL).await?;
    shown(&desk, id)
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
    State(desk): State<Arc<Desk>>,
    Extension(person): Extension<Arc<Person>>,
    Segment(id): Segment,
    Asked(revoke): Asked<RevokeRequest>,
) -> Result<Json<GrantView>, Fault> {
    let id: GrantId = id.parse().map_err(|_| OperateError::NoGrant)?;
    durable(
        desk.ledger()
            .revoke_grant(id, &person.name, sentence("/reason", &revoke.reason)?)?,
        MAY_STILL,
    )
    .await?;
    shown(&desk, id)
}

fn shown(desk: &Desk, id: GrantId) -> Result<Json<GrantView>, Fault> {
    let now = desk.ledger().now();
    let all = desk.ledger().grants();
    let found = all
        .iter()
        .find(|(_, grant)| grant.id == id)
        .ok_or(OperateError::NoGrant)?;
    Ok(Json(GrantView::of(&found.0, &found.1, now)))
}
