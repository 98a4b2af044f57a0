//! Reports and exclusions of many runs at once: counted first, then changed all together, and taken
//! back together.
//!
//! Matching runs are looked up outside the writer, because that may take a while; the writer then
//! changes exactly those, all or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};

use super::auth::Person;
use super::durable::revised;
use super::error::AdminError;
use super::read::{JsonBody, name, sentence};
use super::runs;
use super::state::AdminState;
use crate::api::report::{BatchResult, ExcludeRunsRequest, RunSelection};
use crate::api::{Problem, Slug};
use crate::gate::booking::Change;
use crate::ids;
use crate::journal::record::RunKey;
use crate::journal::revise::{BatchOf, MAX_BATCH};

/// Whether the runs that match are changed or only counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchMode {
    pub(super) confirm: bool,
    pub(super) dry_run: bool,
}

/// Takes many runs out of the budget, or puts them back.
#[utoipa::path(
    post,
    path = "/v1/exclusions",
    request_body = ExcludeRunsRequest,
    responses((status = 200, body = BatchResult), (status = "default", body = Problem))
)]
pub(super) async fn exclude(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    JsonBody(asked): JsonBody<ExcludeRunsRequest>,
) -> Result<Json<BatchResult>, AdminError> {
    let reason: Arc<str> = sentence("/reason", &asked.reason)?.into();
    let reference = asked
        .reference
        .as_deref()
        .map(|reference| name("/ref", reference))
        .transpose()?;
    let by = person.name.clone();
    let asking = BatchMode {
        confirm: asked.confirm,
        dry_run: asked.dry_run,
    };
    let batch = match (&asked.filter, reference) {
        (Some(filter), reference) => {
            let reference: Arc<str> = reference.map_or_else(|| ids::batch().into(), Into::into);
            let change = if asked.retract {
                Change::Reinstate { by }
            } else {
                Change::Exclude {
                    reason,
                    reference: Some(Arc::clone(&reference)),
                    by,
                }
            };
            matching(&state, filter, &reference, change, asking).await?
        }
        (None, Some(reference)) if asked.retract => {
            under(&state, reference, Change::Reinstate { by }).await?
        }
        (None, _) => {
            return Err(AdminError::field(
                "/filter",
                "must say which runs; with `retract`, a `ref` may say it instead",
            ));
        }
    };
    Ok(Json(batch))
}

/// Applies `change` to every run that matches.
pub(super) async fn matching(
    state: &Arc<AdminState>,
    filter: &RunSelection,
    reference: &Arc<str>,
    change: Change,
    asking: BatchMode,
) -> Result<BatchResult, AdminError> {
    if filter.is_empty() {
        return Err(AdminError::field(
            "/filter",
            "must narrow the runs down, such as with `workflow` and `since`",
        ));
    }
    let wanted = runs::filter(&filter.clone().into(), state.ledger().now())?;
    // An empty change goes first: its answer comes after every change handed over before, so the
    // look-up sees those too.
    revised(
        state
            .ledger()
            .revise_all(BatchOf::Runs(Vec::new()), change.clone()),
    )
    .await??;
    let keys = state.look_up(move |records| records.keys(&wanted)).await?;
    if keys.len() > MAX_BATCH {
        return Err(crate::journal::revise::ReviseError::TooMany.into());
    }
    let matched = keys.len() as u64;
    let workflows = by_workflow(&keys);
    if asking.dry_run {
        return Ok(BatchResult {
            matched,
            workflows,
            ..BatchResult::default()
        });
    }
    if keys.is_empty() {
        return Err(AdminError::new(Slug::NotFound, "no run matches"));
    }
    if !asking.confirm {
        let counts: Vec<_> = workflows
            .iter()
            .map(|(workflow, count)| format!("{workflow}: {count}"))
            .collect();
        let (runs, say) = (
            if matched == 1 {
                "run matches"
            } else {
                "runs match"
            },
            "send `confirm: true` to do it",
        );
        return Err(AdminError::new(
            Slug::Conflict,
            format!(
                "{matched} {runs} ({}), and nothing was changed; {say}",
                counts.join(", ")
            ),
        ));
    }
    apply(state, BatchOf::Runs(keys), change, matched, Some(reference)).await
}

/// Applies `change` to every run that has a report or an exclusion under this reference.
pub(super) async fn under(
    state: &Arc<AdminState>,
    reference: &str,
    change: Change,
) -> Result<BatchResult, AdminError> {
    let reference: Arc<str> = reference.into();
    let done = apply(
        state,
        BatchOf::Reference(Arc::clone(&reference)),
        change,
        0,
        Some(&reference),
    )
    .await?;
    let matched = done.workflows.values().sum::<u64>() + done.repeated;
    if matched == 0 {
        return Err(AdminError::new(
            Slug::NotFound,
            format!("no report or exclusion has the reference `{reference}`"),
        ));
    }
    Ok(BatchResult { matched, ..done })
}

/// Applies the change to all of the runs or none.
pub(super) async fn apply(
    state: &Arc<AdminState>,
    of: BatchOf,
    change: Change,
    matched: u64,
    reference: Option<&Arc<str>>,
) -> Result<BatchResult, AdminError> {
    let done = revised(state.ledger().revise_all(of, change)).await??;
    Ok(BatchResult {
        batch: reference.map(ToString::to_string),
        applied: true,
        matched,
        workflows: done
            .changed
            .into_iter()
            .map(|(workflow, count)| (workflow.to_string(), count))
            .collect(),
        repeated: done.repeated,
    })
}

fn by_workflow(keys: &[RunKey]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key.workflow.to_string()).or_default() += 1;
    }
    counts
}
