//! The queue of finished runs that were drawn for people to judge. Whoever may report may judge; no
//! agent's credential opens it (G11).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};

use super::auth::Person;
use super::durable::revised;
use super::fault::Fault;
use super::read::{Asked, Params, Segment, limit, some_name};
use super::runs::Beside;
use super::{Desk, reports, runs};
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
    State(desk): State<Arc<Desk>>,
    Params(query): Params<CheckQuery>,
) -> Result<Json<CheckQueue>, Fault> {
    let workflow = some_name::<WorkflowName>("/workflow", query.workflow.as_deref())?;
    let limit = limit(query.limit.as_deref(), LISTED, runs::MAX_LISTED)?;
    let since = desk.ledger().now().minus(LOOKS_BACK);
    let found = desk
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
    let beside = Beside::of(
        &desk,
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
    responses((status = 200, body = api::operate::RevisedRun), (status = "default", body = Problem))
)]
pub(super) async fn accept(
    State(desk): State<Arc<Desk>>,
    Extension(person): Extension<Arc<Person>>,
    Segment(run): Segment,
    Asked(accept): Asked<AcceptRequest>,
) -> Result<Json<api::operate::RevisedRun>, Fault> {
    let target = RunTarget::Run {
        run: RunId::from(run),
        workflow: some_name("/workflow", accept.workflow.as_deref())?,
        agent: some_name("/agent", accept.agent.as_deref())?,
    };
    reports::answer(
        &target,
        revised(desk.ledger().revise(
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
    responses((status = 200, body = api::operate::RevisedRun), (status = "default", body = Problem))
)]
pub(super) async fn report(
    desk: State<Arc<Desk>>,
    person: Extension<Arc<Person>>,
    run: Segment,
    report: Asked<ReportRunRequest>,
) -> Result<Json<api::operate::RevisedRun>, Fault> {
    reports::report_run(desk, person, run, report).await
}

fn check(check: &CheckView, beside: &Beside) -> QueuedCheck {
    QueuedCheck {
        drawn_at: Moment(check.drawn_at),
        risk: check.risk.as_str().to_owned(),
        run: runs::detail(&check.view, beside),
    }
}
