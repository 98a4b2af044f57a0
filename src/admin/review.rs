//! The weekly review, an incident's timeline, and the record that a person reviewed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};

use super::auth::Person;
use super::durable::{MAY_STILL, durable};
use super::error::AdminError;
use super::numbers::span;
use super::pages::pages;
use super::read::{JsonBody, QueryParams, remark, some_name};
use super::runs::each_run;
use super::state::AdminState;
use crate::api::review::gather::{HOLDS, ReviewGathering, ReviewSubject, kinds};
use crate::api::review::{
    ExecutedCalls, ReviewDoneRequest, ReviewDoneResponse, ReviewQuery, ReviewResponse,
    ShadowFinding,
};
use crate::api::{Moment, Problem, Slug};
use crate::gate::event::Entry;
use crate::gate::event::table::EventKind;
use crate::gate::name::{ToolName, WorkflowName};
use crate::gate::policy::{PolicySet, Workflow};
use crate::gate::risk::Risk;
use crate::gate::run::Executed;
use crate::gate::time::{Time, days};
use crate::journal::read::{Happened, Records, RunFilter};
use crate::journal::unavailable::Unavailable;
use crate::ledger::people::outcome::WorkflowScope;
use crate::ledger::people::views::View;

/// What is reviewed where nobody says: a week.
pub(super) const USUAL: Duration = days(7);
/// So many entries are read at once.
const PAGE: usize = 1_000;
/// The most entries that one review reads.
pub(super) const MAX_REVIEW_ENTRIES: usize = 200_000;
/// The most runs of which a timeline counts the calls.
pub(super) const MAX_TIMELINE_RUNS: usize = 10_000;

/// How workflows did over a span of time.
#[utoipa::path(get, path = "/v1/review", params(ReviewQuery), responses((status = 200, body = ReviewResponse), (status = "default", body = Problem)))]
pub(super) async fn show(
    State(state): State<Arc<AdminState>>,
    QueryParams(query): QueryParams<ReviewQuery>,
) -> Result<Json<ReviewResponse>, AdminError> {
    let only = some_name::<WorkflowName>("/workflow", query.workflow.as_deref())?;
    let with_timeline = query.timeline.unwrap_or(false);
    if with_timeline && only.is_none() {
        return Err(AdminError::field(
            "/timeline",
            "needs one workflow: name it with `workflow`",
        ));
    }
    let now = state.ledger().now();
    let (since, until) = span(
        query.since.as_deref(),
        query.until.as_deref(),
        now,
        now.minus(USUAL),
    )?;
    let views = match &only {
        Some(name) => vec![(
            name.clone(),
            state.ledger().view(name).ok_or_else(|| unknown(name))?,
        )],
        None => state.ledger().views(),
    };
    let policies = state.ledger().table();
    let subjects = views
        .into_iter()
        .map(|(name, view)| subject(name, view, &policies.policies))
        .collect();
    let gathering = ReviewGathering::new(
        since,
        until.plus(Duration::from_millis(1)),
        subjects,
        state.ledger().incidents(),
        with_timeline,
    );
    state
        .look_up(move |records| {
            look(
                records,
                gathering,
                only,
                (since, until.plus(Duration::from_millis(1))),
                with_timeline,
            )
        })
        .await
        .map(Json)
}

/// Records that a person looked, at one workflow or at all.
#[utoipa::path(post, path = "/v1/review", request_body = ReviewDoneRequest, responses((status = 200, body = ReviewDoneResponse), (status = "default", body = Problem)))]
pub(super) async fn done(
    State(state): State<Arc<AdminState>>,
    Extension(person): Extension<Arc<Person>>,
    JsonBody(done): JsonBody<ReviewDoneRequest>,
) -> Result<Json<ReviewDoneResponse>, AdminError> {
    let scope = some_name::<WorkflowName>("/workflow", done.workflow.as_deref())?
        .map_or(WorkflowScope::All, WorkflowScope::One);
    let note = remark("/note", done.note.as_deref())?;
    for receipt in state.ledger().reviewed(&scope, &person.name, note)? {
        durable(receipt, MAY_STILL).await?;
    }
    let workflows = match scope {
        WorkflowScope::One(name) => vec![name.to_string()],
        WorkflowScope::All => state
            .ledger()
            .views()
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect(),
    };
    Ok(Json(ReviewDoneResponse {
        workflows,
        by: person.name.to_string(),
    }))
}

fn subject(name: WorkflowName, view: View, policies: &PolicySet) -> ReviewSubject {
    let policy = view.handle.map(|handle| Arc::clone(&handle.policy));
    let without_schema = policy
        .as_ref()
        .map_or_else(Vec::new, |policy| bare(policy, policies));
    ReviewSubject {
        name,
        mode: policy.map(|policy| policy.mode),
        state: view.state,
        without_schema,
    }
}

/// The tools above `read` that the workflow reaches and nobody described.
fn bare(workflow: &Workflow, policies: &PolicySet) -> Vec<ToolName> {
    let tools = policies.apis.values().flat_map(|api| &api.tools);
    tools
        .filter(|tool| {
            workflow.tools.contains(&tool.name)
                && tool.risk > Risk::Read
                && tool.arguments.is_none()
        })
        .map(|tool| tool.name.clone())
        .collect()
}

fn look(
    records: &dyn Records,
    mut gathering: ReviewGathering,
    workflow: Option<WorkflowName>,
    (since, until): (Time, Time),
    with_timeline: bool,
) -> Result<ReviewResponse, Unavailable> {
    let mut missing = Vec::new();
    // What was held before the span may be decided in it.
    let before = Happened {
        workflow: workflow.clone(),
        since: since.minus(HOLDS),
        until: since,
        kinds: vec![EventKind::Held],
        granted: false,
    };
    let within = Happened {
        workflow: workflow.clone(),
        since,
        until,
        kinds: kinds(with_timeline),
        granted: true,
    };
    for happened in [before, within] {
        each_entry(records, &happened, &mut missing, |entry| {
            gathering.read(entry);
        })?;
    }
    let mut shadow: BTreeMap<WorkflowName, Vec<ShadowFinding>> = BTreeMap::new();
    for found in records.shadowed(since, until)? {
        let finding = ShadowFinding {
            tool: found.tool.to_string(),
            verdict: found.verdict.as_str().to_owned(),
            rule: found.rule.to_string(),
            calls: found.calls,
        };
        shadow.entry(found.workflow).or_default().push(finding);
    }
    let mut review = gathering.close(missing, shadow);
    if let Some(timeline) = &mut review.timeline {
        let (executed, more) = executed(records, workflow, (since, until))?;
        timeline.executed = executed;
        if more {
            review.missing.push(format!(
                "calls of older runs than the newest {MAX_TIMELINE_RUNS}"
            ));
        }
    }
    Ok(review)
}

/// Calls `see` with every entry of `happened`, oldest first. Where there are more than are read,
/// says in `missing` from when on.
pub(super) fn each_entry(
    records: &dyn Records,
    happened: &Happened,
    missing: &mut Vec<String>,
    mut see: impl FnMut(&Entry),
) -> Result<(), Unavailable> {
    let (mut after, mut last) = (0, happened.since);
    let read = |limit| {
        let page = records.happened(happened, after, limit)?;
        if let Some((seq, _)) = page.last() {
            after = *seq;
        }
        Ok(page)
    };
    let more = pages(MAX_REVIEW_ENTRIES, PAGE, read, |(_, entry)| {
        last = entry.at;
        see(&entry);
    })?;
    if more {
        missing.push(format!(
            "what happened after {}: choose a shorter span",
            Moment(last)
        ));
    }
    Ok(())
}

/// What the runs of the span executed, by tool; and whether there are more runs than were looked
/// at.
fn executed(
    records: &dyn Records,
    workflow: Option<WorkflowName>,
    (since, until): (Time, Time),
) -> Result<(Vec<ExecutedCalls>, bool), Unavailable> {
    let mut counts: BTreeMap<String, (Risk, u64, BTreeSet<String>)> = BTreeMap::new();
    let filter = RunFilter {
        workflow,
        since: Some(since),
        until: Some(until),
        ..RunFilter::default()
    };
    let more = each_run(records, filter, MAX_TIMELINE_RUNS, |view| {
        for call in view
            .run
            .calls
            .iter()
            .filter(|call| call.executed != Executed::No)
        {
            let (_, calls, subjects) = counts
                .entry(call.tool.to_string())
                .or_insert_with(|| (call.risk, 0, BTreeSet::new()));
            *calls += 1;
            subjects.extend(call.subject.as_ref().map(ToString::to_string));
        }
    })?;
    let shown =
        |(tool, (risk, calls, subjects)): (String, (Risk, u64, BTreeSet<String>))| ExecutedCalls {
            tool,
            risk: risk.as_str().to_owned(),
            calls,
            subjects: subjects.len() as u64,
        };
    Ok((counts.into_iter().map(shown).collect(), more))
}

pub(super) fn unknown(name: &WorkflowName) -> AdminError {
    AdminError::new(Slug::NotFound, format!("no workflow is called `{name}`"))
}
