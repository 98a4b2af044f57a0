//! Changes that operators announce before they ship them, and waivers of a cap.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};

use super::auth::Person;
use super::durable::{MAY_STILL, durable};
use super::error::AdminError;
use super::read::{JsonBody, PathSegment, lasting, name, remark, sentence};
use super::state::AdminState;
use super::workflows::one;
use crate::api::Problem;
use crate::api::operate::{ChangeRequest, ChangeResponse, WaiveRequest};
use crate::api::workflow::WorkflowView;
use crate::gate::name::WorkflowName;
use crate::gate::workflow::MAX_WAIVER;
use crate::ledger::people::changes::Shipping;

/// May a change of the workflow ship? 200: it may, and it is on record. 409: changes are frozen;
/// `detail` says why and what lifts that.
#[utoipa::path(
    post,
    path = "/v1/workflows/{workflow}/changes",
    params(("workflow" = String, Path)),
    request_body = ChangeRequest,
    responses((status = 200, body = ChangeResponse), (status = "default", body = Problem))
)]
pub(super) async fn change(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(workflow): PathSegment,
    JsonBody(change): JsonBody<ChangeRequest>,
) -> Result<Json<ChangeResponse>, AdminError> {
    let workflow = WorkflowName::from(workflow);
    let reference = name("/ref", &change.reference)?;
    let reason = remark("/reason", change.reason.as_deref())?;
    let emergency = match (change.emergency, reason) {
        (true, None) => return Err(AdminError::field("/reason", "is required with `emergency`")),
        (false, Some(_)) => {
            return Err(AdminError::field(
                "/reason",
                "is only allowed with `emergency`",
            ));
        }
        (_, reason) => reason,
    };
    let shipping = Shipping {
        kind: change.kind.as_str(),
        reference,
        emergency,
    };
    durable(
        state.ledger().change(&workflow, shipping, &person.name)?,
        MAY_STILL,
    )
    .await?;
    let changes = one(&state, &workflow)?.changes;
    Ok(Json(ChangeResponse {
        workflow: workflow.to_string(),
        kind: change.kind,
        reference: reference.to_owned(),
        changes,
    }))
}

/// Suspends the cap that the budget's posture puts on the level.
#[utoipa::path(
    post,
    path = "/v1/workflows/{workflow}/waive",
    params(("workflow" = String, Path)),
    request_body = WaiveRequest,
    responses((status = 200, body = WorkflowView), (status = "default", body = Problem))
)]
pub(super) async fn waive(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(workflow): PathSegment,
    JsonBody(waive): JsonBody<WaiveRequest>,
) -> Result<Json<WorkflowView>, AdminError> {
    let workflow = WorkflowName::from(workflow);
    let (reason, lasts) = (
        sentence("/reason", &waive.reason)?,
        lasting("/for", waive.lasts, MAX_WAIVER)?,
    );
    durable(
        state
            .ledger()
            .waive(&workflow, &person.name, reason, lasts)?,
        MAY_STILL,
    )
    .await?;
    one(&state, &workflow).map(Json)
}
