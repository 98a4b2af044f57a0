//! Looking runs up. Only booked runs are shown, so an open run appears once it is booked.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::error::AdminError;
use super::pages::pages;
use super::read::{PathSegment, QueryParams, limit, moment, name, some_name};
use super::state::AdminState;
use crate::api::problem::{CandidateRun, ExecutedView};
use crate::api::run::{
    CallView, ChargeView, ExclusionView, RunDetail, RunPage, RunQuery, RunScope, RunSummary,
};
use crate::api::workflow::redacted;
use crate::api::{Moment, Problem, Slug};
use crate::gate::incident::Incident;
use crate::gate::name::{CallId, IncidentId, RunId, WorkflowName};
use crate::gate::outcome::{FailureMode, Outcome};
use crate::gate::run;
use crate::gate::run::Mark;
use crate::gate::sample::CallSample;
use crate::gate::time::Time;
use crate::journal::read::{Records, RunFilter, RunView};
use crate::journal::record::{CallRecord, RunRecord};
use crate::journal::unavailable::Unavailable;

/// How many runs are listed by default.
const LISTED: usize = 100;
/// The most runs that are listed at once.
pub(super) const MAX_LISTED: usize = 1_000;

/// Booked runs, newest first.
#[utoipa::path(get, path = "/v1/runs", params(RunQuery), responses((status = 200, body = RunPage), (status = "default", body = Problem)))]
pub(super) async fn list(
    State(state): State<Arc<AdminState>>,
    QueryParams(query): QueryParams<RunQuery>,
) -> Result<Json<RunPage>, AdminError> {
    let filter = filter(&query, state.ledger().now())?;
    let limit = filter.limit;
    // One more than fits the page: if it exists there is a next page.
    let filter = RunFilter {
        limit: limit + 1,
        ..filter
    };
    let mut found = state.look_up(move |records| records.runs(&filter)).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found
        .last()
        .filter(|_| more)
        .map(|last| last.position.to_string());
    Ok(Json(RunPage {
        runs: found.iter().map(run).collect(),
        next,
    }))
}

/// One booked run with its calls and what was said of it.
#[utoipa::path(
    get,
    path = "/v1/runs/{run}",
    params(("run" = String, Path), RunScope),
    responses((status = 200, body = RunDetail), (status = "default", body = Problem))
)]
pub(super) async fn show(
    State(state): State<Arc<AdminState>>,
    PathSegment(asked): PathSegment,
    QueryParams(scope): QueryParams<RunScope>,
) -> Result<Json<RunDetail>, AdminError> {
    let workflow = some_name::<WorkflowName>("/workflow", scope.workflow.as_deref())?;
    let filter = RunFilter {
        run: Some(RunId::from(asked.as_str())),
        workflow,
        limit: MAX_LISTED,
        ..RunFilter::default()
    };
    let mut found = state.look_up(move |records| records.runs(&filter)).await?;
    // The filter also finds continuations, which have ids of their own.
    found.retain(|view| {
        view.run.id().as_str() == asked
            && scope
                .agent
                .as_deref()
                .is_none_or(|agent| agent == view.run.agent.as_str())
    });
    match found.as_slice() {
        [] => Err(AdminError::new(
            Slug::NotFound,
            "no booked run has this id; one that is still open is shown when it ends",
        )),
        [one] => Ok(Json(detail(
            one,
            &RunContext::of(&state, [&one.run.workflow]),
        ))),
        several => Err(AdminError::several(several.iter().map(|view| {
            CandidateRun {
                workflow: view.run.workflow.to_string(),
                agent: view.run.agent.to_string(),
                run: view.run.id().to_string(),
                tool: None,
                at: Moment(view.run.booked_at),
            }
        }))),
    }
}

pub(super) fn filter(query: &RunQuery, now: Time) -> Result<RunFilter, AdminError> {
    let (since, until) = (
        moment("/since", query.since.as_deref(), now)?,
        moment("/until", query.until.as_deref(), now)?,
    );
    if since.is_some_and(|since| since > now) {
        return Err(AdminError::field(
            "/since",
            "lies in the future, and nothing is booked there",
        ));
    }
    if let (Some(since), Some(until)) = (since, until)
        && until <= since
    {
        return Err(AdminError::field("/until", "must lie after `since`"));
    }
    let call = query
        .call
        .as_deref()
        .map(|call| {
            call.parse()
                .map_err(|error| AdminError::field("/call", format!("{error}")))
        })
        .transpose()?;
    Ok(RunFilter {
        workflow: some_name("/workflow", query.workflow.as_deref())?,
        run: some_name("/run", query.run.as_deref())?,
        call,
        since,
        until,
        tool: some_name("/tool", query.tool.as_deref())?,
        subject: some_name("/subject", query.subject.as_deref())?,
        outcome: query.outcome.as_deref().map(outcome).transpose()?,
        mode: query
            .mode
            .as_deref()
            .map(|mode| name("/mode", mode).map(FailureMode::from))
            .transpose()?,
        ambiguous: match query.ambiguous.as_deref() {
            None | Some("false") => false,
            Some("true" | "") => true,
            Some(_) => return Err(AdminError::field("/ambiguous", "must be true or false")),
        },
        before: match query.before.as_deref().map(str::parse) {
            None => None,
            Some(Ok(position)) => Some(position),
            Some(Err(_)) => {
                return Err(AdminError::field(
                    "/before",
                    "must be what the page before gave as `next`",
                ));
            }
        },
        limit: limit(query.limit.as_deref(), LISTED, MAX_LISTED)?,
    })
}

fn outcome(text: &str) -> Result<Outcome, AdminError> {
    let known = [
        Outcome::Acceptable,
        Outcome::Unacceptable,
        Outcome::Excluded,
    ];
    known
        .into_iter()
        .find(|outcome| outcome.as_str() == text)
        .ok_or_else(|| {
            AdminError::field("/outcome", "must be acceptable, unacceptable or excluded")
        })
}

/// Calls `see` with every run of `filter`, newest first, until it has seen `most`. Returns whether
/// there are more.
pub(super) fn each_run(
    records: &dyn Records,
    mut filter: RunFilter,
    most: usize,
    mut see: impl FnMut(&RunView),
) -> Result<bool, Unavailable> {
    let read = |limit| {
        filter.limit = limit;
        let page = records.runs(&filter)?;
        if let Some(last) = page.last() {
            filter.before = Some(last.position);
        }
        Ok(page)
    };
    pages(most, MAX_LISTED, read, |view| see(&view))
}

fn run(view: &RunView) -> RunSummary {
    let run = &view.run;
    let subjects: BTreeSet<_> = run
        .calls
        .iter()
        .filter_map(|call| call.subject.as_ref())
        .map(ToString::to_string)
        .collect();
    RunSummary {
        run: run.id().to_string(),
        workflow: run.workflow.to_string(),
        agent: run.agent.to_string(),
        started: Moment(run.started),
        ended: Moment(run.ended),
        booked_at: Moment(run.booked_at),
        outcome: run.mark.outcome().as_str().to_owned(),
        counted: counts(run.mark),
        high: run.high,
        modes: modes(run),
        calls: run.calls.len() as u64,
        ambiguous: run
            .calls
            .iter()
            .any(|call| call.executed == run::Executed::Unknown),
        subjects: subjects.into_iter().collect(),
    }
}

/// What the ledger adds to runs of the run index.
pub(super) struct RunContext {
    incidents: Vec<Incident>,
    samples: Vec<CallSample>,
}

impl RunContext {
    /// For runs of these workflows.
    pub(super) fn of<'w>(
        state: &AdminState,
        workflows: impl IntoIterator<Item = &'w WorkflowName>,
    ) -> Self {
        let workflows: BTreeSet<_> = workflows.into_iter().collect();
        let samples = |workflow: &WorkflowName| {
            state.ledger().view(workflow).map_or_else(Vec::new, |view| {
                view.state.samples().iter().cloned().collect()
            })
        };
        RunContext {
            incidents: state.ledger().incidents(),
            samples: workflows.into_iter().flat_map(samples).collect(),
        }
    }
}

pub(super) fn detail(view: &RunView, beside: &RunContext) -> RunDetail {
    let run = &view.run;
    RunDetail {
        run: run.id().to_string(),
        workflow: run.workflow.to_string(),
        agent: run.agent.to_string(),
        started: Moment(run.started),
        ended: Moment(run.ended),
        booked_at: Moment(run.booked_at),
        outcome: run.mark.outcome().as_str().to_owned(),
        counted: counts(run.mark),
        high: run.high,
        modes: modes(run),
        calls: run
            .calls
            .iter()
            .map(|one| call(one, &beside.samples))
            .collect(),
        reports: run
            .charges
            .iter()
            .map(|charge| charge_view(charge, view, &beside.incidents))
            .collect(),
        retracted: view.retracted.iter().map(ChargeView::of).collect(),
        excluded: view.excluded.as_ref().map(|(reason, by)| ExclusionView {
            reason: reason.to_string(),
            by: by.to_string(),
        }),
    }
}

fn charge_view(charge: &run::Charge, view: &RunView, incidents: &[Incident]) -> ChargeView {
    ChargeView {
        incident: incident_of(incidents, view, charge).map(|incident| incident.to_string()),
        ..ChargeView::of(charge)
    }
}

/// Which of the incidents a charge of `run` belongs to.
fn incident_of(incidents: &[Incident], run: &RunView, charge: &run::Charge) -> Option<IncidentId> {
    let at = called_at(run, charge.call?)?;
    incidents
        .iter()
        .find(|incident| incident.has(charge, at))
        .map(|incident| incident.incident)
}

/// When `call` of this run was judged.
pub(super) fn called_at(view: &RunView, call: CallId) -> Option<Time> {
    view.run
        .calls
        .iter()
        .find(|known| known.call == call)
        .map(|known| known.at)
}

const fn counts(mark: Mark) -> bool {
    matches!(mark, Mark::Acceptable | Mark::Unacceptable)
}

pub(super) fn modes(run: &RunRecord) -> Vec<String> {
    let modes: BTreeSet<_> = run.charges.iter().map(|charge| &charge.mode).collect();
    modes.into_iter().map(ToString::to_string).collect()
}

pub(super) fn call(call: &CallRecord, samples: &[CallSample]) -> CallView {
    CallView {
        call: call.call.to_string(),
        at: Moment(call.at),
        tool: call.tool.to_string(),
        risk: call.risk.as_str().to_owned(),
        verdict: call.verdict.as_str().to_owned(),
        rule: call.rule.as_deref().map(ToOwned::to_owned),
        executed: ExecutedView(call.executed),
        status: call.status,
        subject: call.subject.as_ref().map(ToString::to_string),
        sample: samples
            .iter()
            .find(|sample| sample.call == call.call)
            .map(redacted),
    }
}
