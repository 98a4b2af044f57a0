//! How runs turned out, as people and their systems report it: by run, by call, or by the business
//! object that was touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};

use super::auth::{Person, Role};
use super::batch;
use super::batch::BatchMode;
use super::durable::{MAY_STILL, durable, revised};
use super::error::AdminError;
use super::read::{JsonBody, PathSegment, name, remark, sentence, some_name};
use super::state::AdminState;
use crate::api::operate::{ExcludeRunRequest, ReportRequest, ReportRunRequest};
use crate::api::{Moment, Problem};
use crate::gate::booking::Change;
use crate::gate::name::RunId;
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::run::Charge;
use crate::journal::revise::{ReviseError, Revised, RunTarget};
use crate::ledger::people::report::Reported;
use crate::{api, ids};

/// Reports how a run turned out, or many, or takes such reports back.
#[utoipa::path(
    post,
    path = "/v1/reports",
    request_body = ReportRequest,
    responses((status = 200, body = api::report::ReportResponse), (status = "default", body = Problem))
)]
pub(super) async fn report(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    JsonBody(report): JsonBody<ReportRequest>,
) -> Result<Json<api::report::ReportResponse>, AdminError> {
    if report.filter.is_some() || takes_back_all(&report) {
        return make_many(&state, &person, &report)
            .await
            .map(|batch| Json(api::report::ReportResponse::Many(batch)));
    }
    stray("/confirm", report.confirm, "is only allowed with `filter`")?;
    stray("/dry_run", report.dry_run, "is only allowed with `filter`")?;
    let target = target(&report)?;
    make(&state, &person, target, &report)
        .await
        .map(|Json(one)| Json(api::report::ReportResponse::One(one)))
}

/// Reports how the run in the path turned out, or takes such a report back.
#[utoipa::path(
    post,
    path = "/v1/runs/{run}/report",
    params(("run" = String, Path)),
    request_body = ReportRunRequest,
    responses((status = 200, body = api::report::RevisedRun), (status = "default", body = Problem))
)]
pub(super) async fn report_run(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(run): PathSegment,
    JsonBody(report): JsonBody<ReportRunRequest>,
) -> Result<Json<api::report::RevisedRun>, AdminError> {
    let report = ReportRequest {
        run: Some(run),
        ..report.into()
    };
    let target = target(&report)?;
    make(&state, &person, target, &report).await
}

/// Takes the run in the path out of the budget, or puts it back.
#[utoipa::path(
    post,
    path = "/v1/runs/{run}/exclude",
    params(("run" = String, Path)),
    request_body = ExcludeRunRequest,
    responses((status = 200, body = api::report::RevisedRun), (status = "default", body = Problem))
)]
pub(super) async fn exclude(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(run): PathSegment,
    JsonBody(exclude): JsonBody<ExcludeRunRequest>,
) -> Result<Json<api::report::RevisedRun>, AdminError> {
    let reason = sentence("/reason", &exclude.reason)?.into();
    let by = person.name.clone();
    let reference = some_reference(exclude.reference.as_deref())?;
    let target = RunTarget::Run {
        run: RunId::from(run),
        workflow: some_name("/workflow", exclude.workflow.as_deref())?,
        agent: some_name("/agent", exclude.agent.as_deref())?,
    };
    let change = if exclude.retract {
        Change::Reinstate { by }
    } else {
        Change::Exclude {
            reason,
            reference,
            by,
        }
    };
    answer(
        &target,
        revised(state.ledger().revise(target.clone(), change)).await?,
    )
}

async fn make(
    state: &AdminState,
    person: &Person,
    target: RunTarget,
    report: &ReportRequest,
) -> Result<Json<api::report::RevisedRun>, AdminError> {
    let mode = some_mode(state, report)?;
    let note: Option<Arc<str>> = remark("/note", report.note.as_deref())?.map(Into::into);
    let reference = some_reference(report.reference.as_deref())?;
    let by = person.name.clone();
    if let Some(executed) = report.executed {
        let RunTarget::Call(call) = target else {
            return Err(AdminError::field(
                "/executed",
                "settles a call whose answer was lost: name that call with `call`",
            ));
        };
        stray(
            "/mode",
            mode.is_some(),
            "is not allowed with `executed`, which only settles the call: report the mode in a request of its own",
        )?;
        stray(
            "/ref",
            reference.is_some(),
            "is not allowed with `executed`: a call is settled only once",
        )?;
        stray(
            "/retract",
            report.retract,
            "is not allowed with `executed`: a call is settled only once",
        )?;
        let change = Change::Reconcile {
            call,
            executed,
            harmless: report.harmless.unwrap_or(!executed),
            note,
            by,
        };
        return answer(
            &target,
            revised(state.ledger().revise(target.clone(), change)).await?,
        );
    }
    stray(
        "/harmless",
        report.harmless.is_some(),
        "is only allowed with `executed`",
    )?;
    if report.retract {
        if mode.is_none() && reference.is_none() {
            return Err(AdminError::field(
                "/mode",
                "`mode` or `ref` must say which report to take back",
            ));
        }
        let change = retraction(person, mode, reference);
        return answer(
            &target,
            revised(state.ledger().revise(target.clone(), change)).await?,
        );
    }
    let mode = mode.ok_or_else(no_mode)?;
    let call = match &target {
        RunTarget::Call(call) => Some(*call),
        RunTarget::Run { .. } | RunTarget::Subject { .. } => None,
    };
    let tool = some_name("/tool", report.tool.as_deref())?;
    let charge = Charge {
        mode,
        source: Source::Person,
        by: Some(by),
        call,
        tool,
        note,
        reference,
    };
    match state.ledger().report(target.clone(), charge) {
        Reported::Booked(receipt) => answer(&target, revised(receipt).await?),
        Reported::Open {
            revised,
            durable: receipt,
        } => {
            if let Some(receipt) = receipt {
                durable(receipt, MAY_STILL).await?;
            }
            Ok(Json(revised_run(&revised)))
        }
    }
}

/// Does it take back all that was reported under one reference?
fn takes_back_all(report: &ReportRequest) -> bool {
    let named = [&report.run, &report.call, &report.subject]
        .into_iter()
        .any(Option::is_some);
    report.retract && !named && report.reference.is_some()
}

async fn make_many(
    state: &Arc<AdminState>,
    person: &Person,
    report: &ReportRequest,
) -> Result<api::report::BatchResult, AdminError> {
    for (pointer, given) in [
        ("/run", &report.run),
        ("/call", &report.call),
        ("/subject", &report.subject),
        ("/tool", &report.tool),
        ("/agent", &report.agent),
    ] {
        stray(
            pointer,
            given.is_some(),
            "is not allowed with `filter`, nor with a `ref` alone",
        )?;
    }
    stray(
        "/executed",
        report.executed.is_some(),
        "is only allowed with `call`",
    )?;
    stray(
        "/workflow",
        report.workflow.is_some(),
        "belongs in `filter` here",
    )?;
    let mode = match &report.filter {
        Some(filter) => some_mode(
            state,
            &ReportRequest {
                workflow: filter.workflow.clone(),
                ..report.clone()
            },
        )?,
        None => some_mode(state, report)?,
    };
    let note = remark("/note", report.note.as_deref())?.map(Into::into);
    let reference = some_reference(report.reference.as_deref())?;
    let Some(filter) = &report.filter else {
        let reference = reference.unwrap_or_default();
        return batch::under(
            state,
            &reference,
            retraction(person, mode, Some(Arc::clone(&reference))),
        )
        .await;
    };
    let asking = BatchMode {
        confirm: report.confirm,
        dry_run: report.dry_run,
    };
    let by = person.name.clone();
    if report.retract {
        if mode.is_none() && reference.is_none() {
            return Err(AdminError::field(
                "/mode",
                "`mode` or `ref` must say which reports to take back",
            ));
        }
        let name = reference.clone().unwrap_or_default();
        return batch::matching(
            state,
            filter,
            &name,
            retraction(person, mode, reference),
            asking,
        )
        .await;
    }
    let mode = mode.ok_or_else(no_mode)?;
    let reference = reference.unwrap_or_else(|| ids::batch().into());
    let charge = Charge {
        mode,
        source: Source::Person,
        by: Some(by),
        call: None,
        tool: None,
        note,
        reference: Some(Arc::clone(&reference)),
    };
    batch::matching(state, filter, &reference, Change::Report(charge), asking).await
}

pub(super) fn answer(
    target: &RunTarget,
    revised: Result<Revised, ReviseError>,
) -> Result<Json<api::report::RevisedRun>, AdminError> {
    match revised {
        Ok(revised) => Ok(Json(revised_run(&revised))),
        Err(ReviseError::Unknown) => Err(AdminError::no_run(target)),
        Err(error) => Err(error.into()),
    }
}

/// A reporter takes back only what they reported themselves; a reviewer and an operator anything.
fn retraction(person: &Person, mode: Option<FailureMode>, reference: Option<Arc<str>>) -> Change {
    Change::Retract {
        mode,
        reference,
        by: person.name.clone(),
        own_only: person.role < Role::Reviewer,
    }
}

fn no_mode() -> AdminError {
    AdminError::field("/mode", "must say what went wrong")
}

fn some_reference(reference: Option<&str>) -> Result<Option<Arc<str>>, AdminError> {
    Ok(reference
        .map(|reference| name("/ref", reference))
        .transpose()?
        .map(Into::into))
}

fn stray(pointer: &str, given: bool, what: &str) -> Result<(), AdminError> {
    if given {
        Err(AdminError::field(pointer, what))
    } else {
        Ok(())
    }
}

/// The run that a report names, by exactly one of run, call and subject. A member that would be
/// ignored is an error.
fn target(report: &ReportRequest) -> Result<RunTarget, AdminError> {
    let workflow = some_name("/workflow", report.workflow.as_deref())?;
    match (
        report.run.as_deref(),
        report.call.as_deref(),
        report.subject.as_deref(),
    ) {
        (Some(run), None, None) => {
            stray(
                "/tool",
                report.tool.is_some(),
                "is only allowed with `subject`",
            )?;
            Ok(RunTarget::Run {
                run: name("/run", run)?.into(),
                workflow,
                agent: some_name("/agent", report.agent.as_deref())?,
            })
        }
        (None, Some(call), None) => {
            stray(
                "/tool",
                report.tool.is_some(),
                "is only allowed with `subject`",
            )?;
            stray(
                "/workflow",
                workflow.is_some(),
                "is not allowed with `call`, whose id already says the workflow",
            )?;
            stray(
                "/agent",
                report.agent.is_some(),
                "is not allowed with `call`, whose id already says the agent",
            )?;
            Ok(RunTarget::Call(call.parse().map_err(|error| {
                AdminError::field("/call", format!("{error}"))
            })?))
        }
        (None, None, Some(subject)) => {
            stray(
                "/agent",
                report.agent.is_some(),
                "is only allowed with `run`",
            )?;
            Ok(RunTarget::Subject {
                subject: name("/subject", subject)?.into(),
                tool: some_name("/tool", report.tool.as_deref())?,
                workflow,
            })
        }
        _ => Err(AdminError::field(
            "/run",
            "exactly one of `run`, `call` and `subject` is required",
        )),
    }
}

/// A built-in mode, or one that the workflow's objective names; that of any workflow where the
/// report does not say which. A misspelt mode is an error, not a new mode.
fn some_mode(
    state: &AdminState,
    report: &ReportRequest,
) -> Result<Option<FailureMode>, AdminError> {
    let Some(mode) = &report.mode else {
        return Ok(None);
    };
    let mode = FailureMode::from(name("/mode", mode)?);
    if !matches!(mode, FailureMode::Named(_)) {
        return Ok(Some(mode));
    }
    let table = state.ledger().table_full();
    let named_workflows = table.entries.iter().filter(|(workflow, _)| {
        report
            .workflow
            .as_deref()
            .is_none_or(|name| name == workflow.as_str())
    });
    let mut known: BTreeSet<&FailureMode> = FailureMode::BUILT_IN.iter().collect();
    for (_, handle) in named_workflows {
        let objective = &handle.policy.terms.objective;
        known.extend(objective.unacceptable.iter().chain(&objective.critical));
    }
    if known.contains(&mode) {
        return Ok(Some(mode));
    }
    let known: Vec<_> = known.into_iter().map(FailureMode::as_str).collect();
    Err(AdminError::field(
        "/mode",
        format!(
            "no failure mode is called `{mode}`; known are {}",
            known.join(", ")
        ),
    ))
}

pub(super) fn revised_run(revised: &Revised) -> api::report::RevisedRun {
    api::report::RevisedRun {
        run: revised.run.to_string(),
        workflow: revised.workflow.to_string(),
        agent: revised.agent.to_string(),
        booked_at: Moment(revised.booked_at),
        was: revised.was.as_str().to_owned(),
        now: revised.now.as_str().to_owned(),
        repeated: revised.repeated,
    }
}
