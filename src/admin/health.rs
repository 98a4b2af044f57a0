//! Is the gate alive, is it ready, and what has it counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::AdminState;
use super::error::AdminError;
use crate::api::Slug;
use crate::telemetry::metrics::CONTENT_TYPE;

/// Whether the gate is ready. `app` knows: policies loaded, store open, not draining.
pub trait Health: Send + Sync {
    /// What readiness rests on. Told without a token: names and short words, no paths and no
    /// numbers.
    fn checks(&self) -> Vec<HealthCheck>;

    /// Where the file is that clamps everything, while it is there. Told to operators.
    fn clamp_file(&self) -> Option<String> {
        None
    }
}

/// One thing that readiness rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What: `policies`, `store`, `draining`.
    pub what: &'static str,
    /// How it is.
    pub state: HealthState,
}

/// How something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthState {
    /// Well.
    Well,
    /// Well enough to go on, and somebody should look.
    Warned(&'static str),
    /// Not ready.
    Failed(&'static str),
}

/// What readiness is told as.
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
    let told = checks.into_iter().map(|check| match check.state {
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
            checks: told.collect(),
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
