//! Unlisted calls, for `burngate learn`.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::error::AdminError;
use super::read::{QueryParams, moment};
use super::state::AdminState;
use crate::api::unlisted::{UnlistedCall, UnlistedCalls, UnlistedQuery};
use crate::api::{Moment, Problem};
use crate::ledger::unlisted::UnlistedKind;

/// Unlisted calls, those that look alike together: shapes, and no values.
#[utoipa::path(get, path = "/v1/unlisted", params(UnlistedQuery), responses((status = 200, body = UnlistedCalls), (status = "default", body = Problem)))]
pub(super) async fn list(
    State(state): State<Arc<AdminState>>,
    QueryParams(query): QueryParams<UnlistedQuery>,
) -> Result<Json<UnlistedCalls>, AdminError> {
    let since = moment("/since", query.since.as_deref(), state.ledger().now())?;
    let kept = state.ledger().unlisted().samples();
    let matches = |kind: &UnlistedKind| {
        since.is_none_or(|since| kind.last >= since)
            && query
                .workflow
                .as_ref()
                .is_none_or(|name| kind.workflow.as_str() == name)
    };
    let mut calls: Vec<_> = kept.calls.into_iter().filter(matches).map(call).collect();
    calls.sort_by_key(|call| Reverse(call.count));
    Ok(Json(UnlistedCalls {
        calls,
        overflow: kept.overflow,
    }))
}

fn call(kind: UnlistedKind) -> UnlistedCall {
    UnlistedCall {
        workflow: kind.workflow.to_string(),
        api: kind.api.to_string(),
        tool: kind.tool.map(|tool| tool.to_string()),
        method: kind.method,
        path: kind.path,
        count: kind.count,
        first_at: Moment(kind.first),
        last_at: Moment(kind.last),
        query: kind.query,
        arguments: kind.body.map(|body| body.schema()),
    }
}
