//! Which runs a filter means, among those that are kept in memory.

use crate::gate::name::{RunId, WorkflowName};
use crate::gate::run::Executed;
use crate::gate::time::Time;
use crate::journal::read::{EntryFilter, JournalView, RunFilter, RunView};
use crate::journal::record::CallRecord;

/// Does this run match the filter?
pub(super) fn has_run(filter: &RunFilter, view: &RunView) -> bool {
    let run = &view.run;
    let any_call = |matches: &dyn Fn(&CallRecord) -> bool| run.calls.iter().any(matches);
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
pub(super) fn has_entry(filter: &EntryFilter, view: &JournalView) -> bool {
    view.seq > filter.after
        && filter
            .workflow
            .as_ref()
            .is_none_or(|workflow| view.entry.workflow.as_ref() == Some(workflow))
        && filter
            .kind
            .as_deref()
            .is_none_or(|kind| view.entry.event.kind().name() == kind)
        && filter.since.is_none_or(|since| view.entry.at >= since)
        && filter.until.is_none_or(|until| view.entry.at < until)
}
