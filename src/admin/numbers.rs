//! The four numbers over any span for which counts are kept.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::error::AdminError;
use super::read::{PathSegment, QueryParams, moment};
use super::state::AdminState;
use crate::api::numbers::{SpanNumbers, SpanQuery};
use crate::api::{Moment, Problem, Slug};
use crate::gate::budget::window::{KEPT_HOURS, starts};
use crate::gate::name::WorkflowName;
use crate::gate::time::{Hour, Time};

/// One workflow's four numbers over a span of time.
#[utoipa::path(
    get,
    path = "/v1/workflows/{workflow}/numbers",
    params(("workflow" = String, Path), SpanQuery),
    responses((status = 200, body = SpanNumbers), (status = "default", body = Problem))
)]
pub(super) async fn show(
    State(state): State<Arc<AdminState>>,
    PathSegment(workflow): PathSegment,
    QueryParams(query): QueryParams<SpanQuery>,
) -> Result<Json<SpanNumbers>, AdminError> {
    let name = WorkflowName::from(workflow);
    let view = state.ledger().view(&name).ok_or_else(|| {
        AdminError::new(Slug::NotFound, format!("no workflow is called `{name}`"))
    })?;
    let now = view.state.now();
    let window = view.state.terms().objective.window;
    let (since, until) = span(
        query.since.as_deref(),
        query.until.as_deref(),
        now,
        starts(window, now),
    )?;
    let totals = view.state.account().between(since, until);
    Ok(Json(SpanNumbers::of(
        name.to_string(),
        Moment(since.hour().start()),
        Moment(until),
        &totals,
    )))
}

/// The span that is asked for: from `usual` where nobody says, until now.
pub(super) fn span(
    since: Option<&str>,
    until: Option<&str>,
    now: Time,
    usual: Time,
) -> Result<(Time, Time), AdminError> {
    let ends = until.is_some();
    let since = moment("/since", since, now)?.unwrap_or(usual);
    let until = moment("/until", until, now)?.unwrap_or(now).min(now);
    if since > now {
        return Err(AdminError::field(
            "/since",
            "lies in the future, and nothing is booked there",
        ));
    }
    if until <= since && ends {
        return Err(AdminError::field("/until", "must lie after `since`"));
    }
    let kept = Hour(now.hour().0 - KEPT_HOURS + 1).start();
    if since < kept {
        let detail = format!(
            "lies before {}: counts are kept for {} days; `burngate runs --since` lists older runs",
            Moment(kept),
            KEPT_HOURS / 24
        );
        return Err(AdminError::field("/since", detail));
    }
    Ok((since, until))
}
