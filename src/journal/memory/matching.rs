//! Which runs a filter means, among those that are kept in memory.

use crate::gate::name::{RunId, ToolName, WorkflowName};
use crate::gate::risk::Risk;
use crate::gate::run::{Executed, RunRef};
use crate::gate::time::Time;
use crate::journal::read::{EntryFilter, JournalView, RunFilter, RunView};
use crate::journal::record::{CallRecord, RunRecord};
use crate::journal::revise::RunTarget;

/// Does the filter mean this run?
pub(super) fn matches(filter: &RunFilter, view: &RunView) -> bool {
    let run = &view.run;
    let any_call = |meant: &dyn Fn(&CallRecord) -> bool| run.calls.iter().any(meant);
    let is_workflow = |workflow: &WorkflowName| *workflow == run.workflow;
    let is_run = |asked: &RunId| {
        run.id().as_str().split('#').next() == Some(asked.as_str()) || run.id() == *asked
    };
    let in_time = |since: Time, until: Time| run.booked_at >= since && run.booked_at < until;
    filter.before.is_none_or(|before| view.position < before)
        && filter.workflow.as_ref().is_none_or(is_workflow)
        && filter.run.as_ref().is_none_or(is_run)
        && filter
            .call
            .is_none_or(|call| any_call(&|known| known.call == call))
        && in_time(
            filter.since.unwrap_or_default(),
            filter.until.unwrap_or(Time::from_millis(i64::MAX)),
        )
        && filter
            .tool
            .as_ref()
            .is_none_or(|tool| any_call(&|call| call.tool == *tool))
        && filter
            .subject
            .as_ref()
            .is_none_or(|subject| any_call(&|call| call.subject.as_ref() == Some(subject)))
        && filter
            .outcome
            .is_none_or(|outcome| run.mark.outcome() == outcome)
        && filter
            .mode
            .as_ref()
            .is_none_or(|mode| run.charges.iter().any(|charge| charge.mode == *mode))
        && (!filter.ambiguous || any_call(&|call| call.executed == Executed::Unknown))
}

/// Does the filter mean this entry?
pub(super) fn meant(filter: &EntryFilter, view: &JournalView) -> bool {
    view.seq > filter.after
        && filter
            .workflow
            .as_ref()
            .is_none_or(|workflow| view.entry.workflow.as_ref() == Some(workflow))
        && filter
            .kind
            .as_deref()
            .is_none_or(|kind| view.entry.event.kind() == kind)
        && filter.since.is_none_or(|since| view.entry.at >= since)
        && filter.until.is_none_or(|until| view.entry.at < until)
}

/// The riskiest tool through which the run touched the object that is asked for.
pub(super) fn touching(target: &RunTarget, view: &RunView) -> Option<(Risk, ToolName)> {
    let RunTarget::Subject {
        subject,
        tool,
        workflow,
    } = target
    else {
        return None;
    };
    let touches = |call: &&CallRecord| {
        call.executed != Executed::No
            && call.subject.as_ref() == Some(subject)
            && tool.as_ref().is_none_or(|tool| *tool == call.tool)
    };
    let is_meant = workflow
        .as_ref()
        .is_none_or(|workflow| *workflow == view.run.workflow);
    view.run
        .calls
        .iter()
        .filter(|_| is_meant)
        .filter(touches)
        .max_by_key(|call| call.risk)
        .map(|call| (call.risk, call.tool.clone()))
}

/// The workflow and the run, as what is kept beside runs is found by.
pub(super) fn key_of(run: &RunRecord) -> (WorkflowName, RunRef) {
    (
        run.workflow.clone(),
        RunRef {
            agent: run.agent.clone(),
            run: run.id(),
        },
    )
}
