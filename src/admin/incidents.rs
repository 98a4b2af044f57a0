//! Incidents of tool APIs, and what an operator decides about the runs that failed in one.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};

use super::auth::Person;
use super::batch;
use super::error::AdminError;
use super::read::{JsonBody, PathSegment, sentence};
use super::runs::{called_at, each_run};
use super::state::AdminState;
use crate::api::incident::{
    ExcludeIncidentRequest, ExcludeIncidentResponse, IncidentList, IncidentView,
};
use crate::api::{Problem, Slug};
use crate::gate::booking::Change;
use crate::gate::incident;
use crate::gate::name::IncidentId;
use crate::gate::outcome::{FailureMode, Outcome};
use crate::gate::run::Charge;
use crate::gate::time::minutes;
use crate::journal::read::{Records, RunFilter, RunView};
use crate::journal::record::RunKey;
use crate::journal::revise::{BatchOf, MAX_BATCH, ReviseError};
use crate::ledger::Table;

/// So many unacceptable runs of an incident's time are looked at; of more, none is excluded.
pub(super) const MAX_INCIDENT_RUNS: usize = 100_000;
/// A run is booked no later than this after the last of its calls that an incident can have: no
/// call takes longer.
const SETTLES: std::time::Duration = minutes(61);

/// The incidents that are remembered, newest first.
#[utoipa::path(get, path = "/v1/incidents", responses((status = 200, body = IncidentList), (status = "default", body = Problem)))]
pub(super) async fn list(State(state): State<Arc<AdminState>>) -> Json<IncidentList> {
    Json(IncidentList {
        incidents: state
            .ledger()
            .incidents()
            .iter()
            .rev()
            .map(IncidentView::of)
            .collect(),
    })
}

/// Takes the runs out of the budget that failed by this incident alone, or puts them back.
#[utoipa::path(
    post,
    path = "/v1/incidents/{incident}/exclude",
    params(("incident" = String, Path)),
    request_body = ExcludeIncidentRequest,
    responses((status = 200, body = ExcludeIncidentResponse), (status = "default", body = Problem))
)]
pub(super) async fn exclude(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    PathSegment(id): PathSegment,
    JsonBody(exclude): JsonBody<ExcludeIncidentRequest>,
) -> Result<Json<ExcludeIncidentResponse>, AdminError> {
    let id: IncidentId = id.parse().map_err(|_| unknown(&id))?;
    let reason = sentence("/reason", &exclude.reason)?;
    let incident = state
        .ledger()
        .incidents()
        .into_iter()
        .find(|incident| incident.incident == id)
        .ok_or_else(|| unknown(&id.to_string()))?;
    let by = person.name.clone();
    if exclude.retract {
        let done = batch::under(&state, &id.to_string(), Change::Reinstate { by }).await?;
        return Ok(Json(ExcludeIncidentResponse {
            incident: id.to_string(),
            runs: done.workflows.values().sum(),
            left: 0,
        }));
    }
    let until = incident.closed.map(|closed| closed.plus(SETTLES));
    let filter = RunFilter {
        since: Some(incident.since),
        until,
        outcome: Some(Outcome::Unacceptable),
        ..RunFilter::default()
    };
    let table = state.ledger().table_full();
    let sort = move |records: &dyn Records| {
        let (mut keys, mut left) = (Vec::new(), 0);
        let more = each_run(records, filter, MAX_INCIDENT_RUNS, |view| {
            match tags(&table, &incident, view) {
                IncidentShare { any: false, .. } => {}
                IncidentShare { all: true, .. } => keys.push(key(view)),
                IncidentShare { .. } => left += 1,
            }
        })?;
        Ok((keys, left, more))
    };
    let (keys, left, more) = state.look_up(sort).await?;
    if more || keys.len() > MAX_BATCH {
        return Err(ReviseError::TooMany.into());
    }
    let change = Change::Exclude {
        reason: reason.into(),
        reference: Some(id.to_string().into()),
        by,
    };
    let runs = keys.len() as u64;
    let done = batch::apply(&state, BatchOf::Runs(keys), change, runs, None).await?;
    Ok(Json(ExcludeIncidentResponse {
        incident: id.to_string(),
        runs: done.workflows.values().sum(),
        left,
    }))
}

/// Which of a run's failures that count belong to an incident.
struct IncidentShare {
    any: bool,
    all: bool,
}

fn tags(table: &Table, incident: &incident::Incident, view: &RunView) -> IncidentShare {
    let objective = table
        .entries
        .get(&view.run.workflow)
        .map(|handle| &handle.policy.terms.objective);
    // Of a workflow without a policy nobody knows any more which modes counted: all of them, so
    // that too little is excluded and not too much.
    let counts = |mode: &FailureMode| objective.is_none_or(|objective| objective.counts(mode));
    let has = |charge: &Charge| {
        charge
            .call
            .and_then(|call| called_at(view, call))
            .is_some_and(|at| incident.has(charge, at))
    };
    let counting: Vec<bool> = view
        .run
        .charges
        .iter()
        .filter(|charge| counts(&charge.mode))
        .map(has)
        .collect();
    IncidentShare {
        any: counting.contains(&true),
        all: !counting.contains(&false),
    }
}

fn key(view: &RunView) -> RunKey {
    RunKey {
        workflow: view.run.workflow.clone(),
        agent: view.run.agent.clone(),
        run: view.run.id(),
    }
}

fn unknown(id: &str) -> AdminError {
    AdminError::new(
        Slug::NotFound,
        format!("no incident `{id}` is remembered; GET /v1/incidents lists them"),
    )
}
