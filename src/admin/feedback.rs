//! How people's decisions on a workflow's held calls turned out, in all and by rule, over any span
//! that the journal still covers.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;

use super::error::AdminError;
use super::numbers::span;
use super::read::{PathSegment, QueryParams};
use super::review::{USUAL, each_entry, unknown};
use super::state::AdminState;
use crate::api::numbers::SpanQuery;
use crate::api::review::approvals::KINDS;
use crate::api::review::gather::HOLDS;
use crate::api::review::{SpanApprovals, approvals};
use crate::api::{Moment, Problem};
use crate::gate::event::Event;
use crate::gate::event::table::EventKind;
use crate::gate::name::WorkflowName;
use crate::gate::time::Time;
use crate::journal::read::{Happened, Records};
use crate::journal::unavailable::Unavailable;

/// One workflow's held calls and decisions over a span of time, the last seven days where nobody
/// says: how many, how fast, how often just as asked, and how many that were let go turned out bad;
/// of all, and of each rule.
#[utoipa::path(
    get,
    path = "/v1/workflows/{workflow}/approvals",
    params(("workflow" = String, Path), SpanQuery),
    responses((status = 200, body = SpanApprovals), (status = "default", body = Problem))
)]
pub(super) async fn show(
    State(state): State<Arc<AdminState>>,
    PathSegment(workflow): PathSegment,
    QueryParams(query): QueryParams<SpanQuery>,
) -> Result<Json<SpanApprovals>, AdminError> {
    let name = WorkflowName::from(workflow);
    let now = state
        .ledger()
        .view(&name)
        .ok_or_else(|| unknown(&name))?
        .state
        .now();
    let (since, until) = span(
        query.since.as_deref(),
        query.until.as_deref(),
        now,
        now.minus(USUAL),
    )?;
    state
        .look_up(move |records| read_decisions(records, &name, since, until))
        .await
        .map(Json)
}

pub(super) fn read_decisions(
    records: &dyn Records,
    name: &WorkflowName,
    since: Time,
    until: Time,
) -> Result<SpanApprovals, Unavailable> {
    let (mut read, mut missing) = (approvals::ApprovalFollower::default(), Vec::new());
    let end = until.plus(Duration::from_millis(1));
    // What was held before the span may be decided in it.
    let before = Happened {
        workflow: Some(name.clone()),
        since: since.minus(HOLDS),
        until: since,
        kinds: vec![EventKind::Held],
        granted: false,
    };
    let within = Happened {
        workflow: Some(name.clone()),
        since,
        until: end,
        kinds: KINDS.to_vec(),
        granted: true,
    };
    for (happened, counts) in [(before, false), (within, true)] {
        each_entry(records, &happened, &mut missing, |entry| {
            match &entry.event {
                Event::Held(request) => read.hold(entry.at, request, counts),
                _ => read.read(entry),
            }
        })?;
    }
    Ok(SpanApprovals {
        workflow: name.to_string(),
        since: Moment(since),
        until: Moment(until),
        missing,
        approvals: read.close(),
    })
}
