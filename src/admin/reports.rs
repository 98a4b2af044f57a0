//! How runs turned out, as people and their systems report it: by run, by call, or by the business object that was touched.

use std::{collections::BTreeSet, sync::Arc};

use axum::{Extension, Json, extract::State};

use super::{
    Desk,
    auth::Person,
    durable::{MAY_STILL, durable, revised},
    fault::Fault,
    read::{Asked, Segment, name, remark, sentence, some_name},
};
use crate::{
    api::{
        self, Moment, Problem,
        operate::{Exclude, Report, RunReport},
    },
    gate::{
        event::Charge,
        name::RunId,
        outcome::{FailureMode, Source},
    },
    ledger::{
        operate::Reported,
        port::{Change, Revised, RunTarget},
    },
};

/// Reports how a run turned out, or takes such a report back.
#[utoipa::path(
    post,
    path = "/v1/reports",
    request_body = Report,
    responses((status = 200, body = api::operate::Revised), (status = "default", body = Problem))
)]
pub(super) async fn report(
    State(desk): State<Arc<Desk>>,
    Extension(person): Extension<Arc<Person>>,
    Asked(report): Asked<Report>,
) -> Result<Json<api::operate::Revised>, Fault> {
    let target = target(&report)?;
    make(&desk, &person, target, &report).await
}

/// Reports how the run in the path turned out, or takes such a report back.
#[utoipa::path(
    post,
    path = "/v1/runs/{run}/report",
    params(("run" = String, Path)),
    request_body = RunReport,
    responses((status = 200, body = api::operate::Revised), (status = "default", body = Problem))
)]
pub(super) async fn report_run(
    State(desk): State<Arc<Desk>>,
    Extension(person): Extension<Arc<Person>>,
    Segment(run): Segment,
    Asked(report): Asked<RunReport>,
) -> Result<Json<api::operate::Revised>, Fault> {
    let report = Report { run: Some(run), ..report.into() };
    let target = target(&report)?;
    make(&desk, &person, target, &report).await
}

/// Takes the run in the path out of the budget, or puts it back.
#[utoipa::path(
    post,
    path = "/v1/runs/{run}/exclude",
    params(("run" = String, Path)),
    request_body = Exclude,
    responses((status = 200, body = api::operate::Revised), (status = "default", body = Problem))
)]
pub(super) async fn exclude(
    State(desk): State<Arc<Desk>>,
    Extension(person): Extension<Arc<Person>>,
    Segment(run): Segment,
    Asked(exclude): Asked<Exclude>,
) -> Result<Json<api::operate::Revised>, Fault> {
    let reason = sentence("/reason", &exclude.reason)?.into();
    let by = person.name.clone();
    let target = RunTarget::Run {
        run: RunId::from(run),
        workflow: some_name("/workflow", exclude.workflow.as_deref())?,
        agent: some_name("/agent", exclude.agent.as_deref())?,
    };
    let change = if exclude.retract { Change::Reinstate { by } } else { Change::Exclude { reason, by } };
    revised(desk.ledger().revise(target, change)).await.map(|revised| Json(told(&revised)))
}

async fn make(desk: &Desk, person: &Person, target: RunTarget, report: &Report) -> Result<Json<api::operate::Revised>, Fault> {
    let mode = mode(desk, report)?;
    let note = remark("/note", report.note.as_deref())?.map(Into::into);
    let reference = report.reference.as_deref().map(|reference| name("/ref", reference)).transpose()?.map(Into::into);
    let by = person.name.clone();
    if report.retract {
        let change = Change::Retract { mode, reference, by };
        return revised(desk.ledger().revise(target, change)).await.map(|revised| Json(told(&revised)));
    }
    let call = match &target {
        RunTarget::Call(call) => Some(*call),
        RunTarget::Run { .. } | RunTarget::Subject { .. } => None,
    };
    let tool = some_name("/tool", report.tool.as_deref())?;
    let charge = Charge { mode, source: Source::Person, by: Some(by), call, tool, note, reference };
    let revised = match desk.ledger().report(target, charge) {
        Reported::Booked(receipt) => revised(receipt).await?,
        Reported::Open { revised, durable: receipt } => {
            if let Some(receipt) = receipt {
                durable(receipt, MAY_STILL).await?;
            }
            revised
        }
    };
    Ok(Json(told(&revised)))
}

/// Which run is meant: exactly one of run, call and subject, and nothing that would be looked past.
fn target(report: &Report) -> Result<RunTarget, Fault> {
    let workflow = some_name("/workflow", report.workflow.as_deref())?;
    let stray = |pointer: &str, given: bool, what: &str| if given { Err(Fault::field(pointer, what)) } else { Ok(()) };
    match (report.run.as_deref(), report.call.as_deref(), report.subject.as_deref()) {
        (Some(run), None, None) => {
            stray("/tool", report.tool.is_some(), "goes with `subject` alone")?;
            Ok(RunTarget::Run { run: name("/run", run)?.into(), workflow, agent: some_name("/agent", report.agent.as_deref())? })
        }
        (None, Some(call), None) => {
            stray("/tool", report.tool.is_some(), "goes with `subject` alone")?;
            stray("/workflow", workflow.is_some(), "a call's id says its workflow")?;
            stray("/agent", report.agent.is_some(), "a call's id says its agent")?;
            Ok(RunTarget::Call(call.parse().map_err(|error| Fault::field("/call", format!("{error}")))?))
        }
        (None, None, Some(subject)) => {
            stray("/agent", report.agent.is_some(), "goes with `run` alone")?;
            Ok(RunTarget::Subject { subject: name("/subject", subject)?.into(), tool: some_name("/tool", report.tool.as_deref())?, workflow })
        }
        _ => Err(Fault::field("/run", "exactly one of `run`, `call` and `subject` must say which run is meant")),
    }
}

/// A built-in mode, or one that the workflow's objective names; that of any workflow where the report does not say which. A slip of the keyboard is no new
/// mode.
fn mode(desk: &Desk, report: &Report) -> Result<FailureMode, Fault> {
    let mode = FailureMode::from(name("/mode", &report.mode)?);
    if !matches!(mode, FailureMode::Named(_)) {
        return Ok(mode);
    }
    let table = desk.ledger().table_full();
    let meant = table.entries.iter().filter(|(workflow, _)| report.workflow.as_deref().is_none_or(|name| name == workflow.as_str()));
    let mut known: BTreeSet<&FailureMode> = FailureMode::BUILT_IN.iter().collect();
    for (_, place) in meant {
        let objective = &place.policy.terms.objective;
        known.extend(objective.unacceptable.iter().chain(&objective.critical));
    }
    if known.contains(&mode) {
        return Ok(mode);
    }
    let known: Vec<_> = known.into_iter().map(FailureMode::as_str).collect();
    Err(Fault::field("/mode", format!("no failure mode is called `{mode}`; known are {}", known.join(", "))))
}

fn told(revised: &Revised) -> api::operate::Revised {
    api::operate::Revised {
        run: revised.run.to_string(),
        workflow: revised.workflow.to_string(),
        agent: revised.agent.to_string(),
        booked_at: Moment(revised.booked_at),
        was: revised.was.as_str().to_owned(),
        now: revised.now.as_str().to_owned(),
        repeated: revised.repeated,
    }
}
