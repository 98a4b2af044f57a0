//! `/healthz`, `/readyz` and `/metrics`: is the gate alive, is it ready, and what has it counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::error::AdminError;
use super::health::HealthState;
use super::state::AdminState;
use crate::api::Slug;
use crate::telemetry::metrics::CONTENT_TYPE;

/// The body of `/readyz`.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    checks: BTreeMap<&'static str, &'static str>,
}

pub(super) async fn alive() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

pub(super) async fn ready(State(state): State<Arc<AdminState>>) -> Response {
    let checks = state.admin.health.checks();
    let ready = !checks
        .iter()
        .any(|check| matches!(check.state, HealthState::Failed(_)));
    let checks = checks.into_iter().map(|check| match check.state {
        HealthState::Well => (check.what, "ok"),
        HealthState::Warned(word) | HealthState::Failed(word) => (check.what, word),
    });
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(Readiness {
            ready,
            checks: checks.collect(),
        }),
    )
        .into_response()
}

pub(super) async fn metrics(State(state): State<Arc<AdminState>>) -> Result<Response, AdminError> {
    let text = state
        .admin
        .metrics
        .render(state.ledger())
        .map_err(|_| AdminError::new(Slug::Internal, "the metrics could not be written"))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
