//! The queue of finished runs that were picked for people to judge. Everybody who may report may
//! judge; an agent's credential does not open it (G11).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};

use super::auth::Person;
use super::durable::revised;
use super::error::AdminError;
use super::read::{JsonBody, PathSegment, QueryParams, limit, some_name};
use super::runs::RunContext;
use super::state::AdminState;
use super::{reports, runs};
use crate::api;
use crate::api::check::{AcceptRequest, CheckQuery, CheckQueue, CheckTally, QueuedCheck};
use crate::api::operate::ReportRunRequest;
use crate::api::{Moment, Problem};
use crate::gate::booking::Change;
use crate::gate::name::{RunId, WorkflowName};
use crate::gate::time::days;
use crate::journal::read::CheckView;
use crate::journal::revise::RunTarget;

/// How many runs are listed where nobody says.
const LISTED: usize = 100;
/// How far the counts of what became of drawn runs look back.
const LOOKS_BACK: Duration = days(30);

/// Runs that were drawn for people to judge, and what became of those drawn in the last 30 days.
#[utoipa::path(get, path = "/v1/checks", params(CheckQuery), responses((status = 200, body = CheckQueue), (status = "default", body = Problem)))]
pub(super) async fn list(
    State(state): State<Arc<AdminState>>,
    QueryParams(query): QueryParams<CheckQuery>,
) -> Result<Json<CheckQueue>, AdminError> {
    let workflow = some_name::<WorkflowName>("/workflow", query.workflow.as_deref())?;
    let limit = limit(query.limit.as_deref(), LISTED, runs::MAX_LISTED)?;
    let since = state.ledger().now().minus(LOOKS_BACK);
    let found = state
        .look_up(move |records| records.checks(workflow.as_ref(), since, limit))
        .await?;
    let drawn = found.drawn.iter().map(|(workflow, drawn)| CheckTally {
        workflow: workflow.to_string(),
        waiting: drawn.waiting,
        accepted: drawn.accepted,
        reported: drawn.reported,
        unchecked: drawn.unchecked,
        excluded: drawn.excluded,
    });
    let beside = RunContext::of(
        &state,
        found
            .waiting
            .iter()
            .map(|waiting| &waiting.view.run.workflow),
    );
    let checks = found
        .waiting
        .iter()
        .map(|waiting| check(waiting, &beside))
        .collect();
    Ok(Json(CheckQueue {
        checks,
        drawn: drawn.collect(),
    }))
}

/// Says that a drawn run was right. Once is enough: said again, nothing changes.
#[utoipa::path(
    post,
    path = "/v1/checks/{run}/accept",
    params(("run" = String, Path)),
    request_body = AcceptRequest,
    responses((status = 200, body = api::report::RevisedRun), (status = "default", body = Problem))
)]
pub(super) async fn accept(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(run): PathSegment,
    JsonBody(accept): JsonBody<AcceptRequest>,
) -> Result<Json<api::report::RevisedRun>, AdminError> {
    let target = RunTarget::Run {
        run: RunId::from(run),
        workflow: some_name("/workflow", accept.workflow.as_deref())?,
        agent: some_name("/agent", accept.agent.as_deref())?,
    };
    reports::answer(
        &target,
        revised(state.ledger().revise(
            target.clone(),
            Change::Accept {
                by: person.name.clone(),
            },
        ))
        .await?,
    )
}

/// Says what was wrong with a drawn run. The same as reporting it: it leaves the queue either way.
#[utoipa::path(
    post,
    path = "/v1/checks/{run}/report",
    params(("run" = String, Path)),
    request_body = ReportRunRequest,
    responses((status = 200, body = api::report::RevisedRun), (status = "default", body = Problem))
)]
pub(super) async fn report(
    state: State<Arc<AdminState>>,
    person: Extension<Arc<Person>>,
    run: PathSegment,
    report: JsonBody<ReportRunRequest>,
) -> Result<Json<api::report::RevisedRun>, AdminError> {
    reports::report_run(state, person, run, report).await
}

fn check(check: &CheckView, beside: &RunContext) -> QueuedCheck {
    QueuedCheck {
        drawn_at: Moment(check.drawn_at),
        risk: check.risk.as_str().to_owned(),
        run: runs::detail(&check.view, beside),
    }
}
