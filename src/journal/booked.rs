//! Carrying out changes to booked runs: the walk from what is asked to the runs that are meant, to
//! what becomes of them. Every journal takes it over the runs that it keeps.
//!
//! What decides is [`crate::gate::booking`]; a journal finds rows, loads them and saves them.

use std::sync::Arc;

use super::record::RunKey;
use super::revise::{
    Batch, BatchOf, MAX_BATCH, Revise, ReviseError, Revised, RevisedAll, RunTarget,
};
use crate::gate::booking::ids::{Candidate, NotOne, TouchingRun};
use crate::gate::booking::{BookedRun, Change, Changed, Unchangeable, ids};
use crate::gate::name::{AgentName, CallId, PersonName, RunId, Subject, ToolName, WorkflowName};
use crate::gate::outcome::FailureMode;
use crate::gate::time::Time;

/// The booked runs of a journal.
pub trait BookedRuns {
    /// A run's row; rows are in the order in which runs were booked.
    type Row: Copy + Ord;
    /// Why a row cannot be read or written.
    type Error;

    /// The runs with exactly this id, in their order; one more than are named, at most.
    fn by_id(
        &mut self,
        run: &RunId,
        workflow: Option<&WorkflowName>,
        agent: Option<&AgentName>,
    ) -> Result<Vec<Self::Row>, Self::Error>;

    /// The runs with this call.
    fn by_call(&mut self, call: CallId) -> Result<Vec<Self::Row>, Self::Error>;

    /// The runs of which an executed call touched `subject`, of this tool and this workflow where
    /// they are given: of each workflow at least the newest through its riskiest tool.
    fn by_object(
        &mut self,
        subject: &Subject,
        tool: Option<&ToolName>,
        workflow: Option<&WorkflowName>,
    ) -> Result<Vec<TouchingRun<Self::Row>>, Self::Error>;

    /// The run that touched `subject` and has a report with this reference, and this mode where it
    /// is given: one whose report stands before any other, and of those the newest.
    fn by_report(
        &mut self,
        subject: &Subject,
        workflow: Option<&WorkflowName>,
        mode: Option<&FailureMode>,
        reference: &str,
    ) -> Result<Option<Self::Row>, Self::Error>;

    /// The runs with a report of this reference, and this mode where it is given, that stands; at
    /// most one more than a batch takes.
    fn reported_under(
        &mut self,
        reference: &str,
        mode: Option<&FailureMode>,
    ) -> Result<Vec<Self::Row>, Self::Error>;

    /// The runs that were excluded under this reference; at most one more than a batch takes.
    fn excluded_under(&mut self, reference: &str) -> Result<Vec<Self::Row>, Self::Error>;

    /// A run.
    fn load(&mut self, row: Self::Row) -> Result<BookedRun, Self::Error>;

    /// Keeps what became of a run that stood as `before`, and enters the event.
    fn save(
        &mut self,
        row: Self::Row,
        before: &BookedRun,
        changed: Changed,
        at: Time,
        by: Option<&PersonName>,
    ) -> Result<(), Self::Error>;

    /// The name that the workflow's books are kept under now.
    fn present_name(&self, workflow: &WorkflowName) -> WorkflowName;

    /// Does the objective in force count this mode?
    fn counts(&self, workflow: &WorkflowName, mode: &FailureMode) -> bool;
}

/// What came of a change, unless the rows could not be read or written.
pub type ReviseOutcome<T, B> = Result<Result<T, ReviseError>, <B as BookedRuns>::Error>;

/// Carries out one change.
///
/// # Errors
/// A row cannot be read or written.
pub fn revise<B: BookedRuns>(booked: &mut B, revise: &Revise) -> ReviseOutcome<Revised, B> {
    match resolve(booked, revise)? {
        Ok(row) => {
            let run = booked.load(row)?;
            change(booked, row, &run, revise.at, &revise.change)
        }
        Err(NotOne::Unknown) => Ok(Err(ReviseError::Unknown)),
        Err(NotOne::Several(named)) => Ok(Err(ReviseError::Several(named))),
    }
}

/// Carries out one change on many runs. Everything that can be refused is refused before the first
/// of them is touched.
///
/// # Errors
/// A row cannot be read or written.
pub fn revise_all<B: BookedRuns>(booked: &mut B, batch: &Batch) -> ReviseOutcome<RevisedAll, B> {
    let rows = match &batch.of {
        BatchOf::Reference(reference) => match &batch.change {
            Change::Report(charge) => booked.reported_under(reference, Some(&charge.mode))?,
            Change::Retract { mode, .. } => booked.reported_under(reference, mode.as_ref())?,
            Change::Exclude { .. }
            | Change::Reconcile { .. }
            | Change::Reinstate { .. }
            | Change::Accept { .. }
            | Change::Check { .. } => booked.excluded_under(reference)?,
        },
        BatchOf::Runs(keys) => {
            let mut rows = Vec::with_capacity(keys.len());
            for RunKey {
                workflow,
                agent,
                run,
            } in keys
            {
                rows.extend(booked.by_id(run, Some(workflow), Some(agent))?);
            }
            rows.sort_unstable();
            rows.dedup();
            rows
        }
    };
    if rows.len() > MAX_BATCH {
        return Ok(Err(ReviseError::TooMany));
    }
    let mut runs = Vec::with_capacity(rows.len());
    for row in rows {
        let run = booked.load(row)?;
        if run.must_end_before(&batch.change) {
            return Ok(Err(ReviseError::Open(run.run.run, run.workflow)));
        }
        let changed = run.change(&batch.change, |mode| booked.counts(&run.workflow, mode));
        if changed == Err(Unchangeable::NotOwn) {
            return Ok(Err(ReviseError::NotOwn));
        }
        runs.push((row, run));
    }
    let takes_back =
        matches!(&batch.change, Change::Retract { reference, .. } if reference.is_some());
    let mut done = RevisedAll::default();
    for (row, run) in runs {
        match change(booked, row, &run, batch.at, &batch.change)? {
            Ok(revised) if !revised.repeated => {
                let workflow = booked.present_name(&run.workflow);
                *done.changed.entry(workflow).or_default() += 1;
            }
            // It was said before, or there is nothing to take back.
            Ok(_) | Err(_) => done.repeated += 1,
        }
        // Whatever else was said of the run under the same reference goes with it.
        let mut is_left = takes_back;
        while is_left {
            let run = booked.load(row)?;
            is_left = change(booked, row, &run, batch.at, &batch.change)?.is_ok();
        }
    }
    Ok(Ok(done))
}

/// The run that `revise` is about. `Unknown` where no booked run is, also where an open one is.
fn resolve<B: BookedRuns>(
    booked: &mut B,
    revise: &Revise,
) -> Result<Result<B::Row, NotOne>, B::Error> {
    let rows = match &revise.target {
        RunTarget::Run {
            run,
            workflow,
            agent,
        } => booked.by_id(run, workflow.as_ref(), agent.as_ref())?,
        RunTarget::Call(call) => booked.by_call(*call)?,
        RunTarget::Subject {
            subject,
            tool,
            workflow,
        } => {
            // A delivery that is repeated after a newer run touched the same object is still about
            // the old one.
            if let Some((mode, reference)) = reported(&revise.change)
                && let Some(row) = booked.by_report(subject, workflow.as_ref(), mode, reference)?
            {
                return Ok(Ok(row));
            }
            let touching = booked.by_object(subject, tool.as_ref(), workflow.as_ref())?;
            return Ok(ids::by_object(touching, &revise.open));
        }
    };
    Ok(match rows[..] {
        [] => Err(NotOne::Unknown),
        [row] => Ok(row),
        _ => {
            let mut named = Vec::new();
            for row in rows.into_iter().take(ids::MAX_NAMED) {
                named.push(candidate(booked.load(row)?));
            }
            Err(NotOne::Several(named))
        }
    })
}

fn change<B: BookedRuns>(
    booked: &mut B,
    row: B::Row,
    run: &BookedRun,
    at: Time,
    change: &Change,
) -> ReviseOutcome<Revised, B> {
    let changed = match run.change(change, |mode| booked.counts(&run.workflow, mode)) {
        Ok(changed) => changed,
        Err(Unchangeable::Open) => {
            let open = ReviseError::Open(run.run.run.clone(), run.workflow.clone());
            return Ok(Err(open));
        }
        Err(Unchangeable::NotOwn) => return Ok(Err(ReviseError::NotOwn)),
        Err(Unchangeable::Nothing(why)) => return Ok(Err(ReviseError::Nothing(why))),
    };
    let revised = Revised {
        workflow: run.workflow.clone(),
        agent: run.run.agent.clone(),
        run: run.run.run.clone(),
        booked_at: run.booked_at,
        was: run.mark,
        now: changed
            .as_ref()
            .map_or(run.mark, |changed| changed.after.mark),
        repeated: changed.is_none(),
    };
    if let Some(changed) = changed {
        booked.save(row, run, changed, at, change.by())?;
    }
    Ok(Ok(revised))
}

/// The mode and the reference of the report that a change makes or takes back.
fn reported(change: &Change) -> Option<(Option<&FailureMode>, &str)> {
    let (mode, reference): (_, Option<&Arc<str>>) = match change {
        Change::Report(failure) => (Some(&failure.mode), failure.reference.as_ref()),
        Change::Retract {
            mode, reference, ..
        } => (mode.as_ref(), reference.as_ref()),
        Change::Exclude { .. }
        | Change::Reinstate { .. }
        | Change::Accept { .. }
        | Change::Check { .. }
        | Change::Reconcile { .. } => (None, None),
    };
    reference.map(|reference| (mode, &**reference))
}

/// A booked run, as it is named among others.
#[must_use]
pub fn candidate(run: BookedRun) -> Candidate {
    Candidate {
        workflow: run.workflow,
        agent: run.run.agent,
        run: run.run.run,
        tool: None,
        at: run.booked_at,
    }
}
