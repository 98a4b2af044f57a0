//! Reading what the journal in memory kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::books::MemoryBooks;
use super::matching::{has_entry, has_run};
use crate::gate::event::{Entry, Event};
use crate::gate::name::{ToolName, WorkflowName};
use crate::gate::run::Executed;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::journal::read::{
    Entries, EntryFilter, Happened, MOST_RECORDS, RunFilter, RunView, Shadowed,
};
use crate::journal::record::{CallRecord, RunKey};
use crate::journal::revise::MAX_BATCH;

impl MemoryBooks {
    pub(super) fn runs(&self, filter: &RunFilter) -> Vec<RunView> {
        let views = self.runs.views().filter(|view| has_run(filter, view));
        views.take(filter.limit.min(MOST_RECORDS)).collect()
    }

    pub(super) fn keys(&self, filter: &RunFilter) -> Vec<RunKey> {
        let views = self.runs.views().filter(|view| has_run(filter, view));
        views
            .take(MAX_BATCH + 1)
            .map(|RunView { run, .. }| RunKey {
                run: run.id(),
                workflow: run.workflow,
                agent: run.agent,
            })
            .collect()
    }

    pub(super) fn entries(&self, filter: &EntryFilter) -> Entries {
        let views: Vec<_> = self
            .entries
            .iter()
            .filter(|view| has_entry(filter, view))
            .take(filter.limit.min(MOST_RECORDS))
            .cloned()
            .collect();
        let next = views
            .last()
            .filter(|_| views.len() == filter.limit.min(MOST_RECORDS))
            .map(|view| view.seq);
        Entries { views, next }
    }

    pub(super) fn happened(
        &self,
        happened: &Happened,
        after: u64,
        limit: usize,
    ) -> Vec<(u64, Entry)> {
        self.entries
            .iter()
            .filter(|view| view.seq > after && happened.has(&view.entry))
            .take(limit.min(MOST_RECORDS))
            .map(|view| (view.seq, view.entry.clone()))
            .collect()
    }

    pub(super) fn decided(&self, workflow: &WorkflowName, limit: usize) -> Vec<Entry> {
        let of = |entry: &Entry| {
            entry.workflow.as_ref() == Some(workflow) && is_about_people(&entry.event)
        };
        self.entries
            .iter()
            .rev()
            .map(|view| &view.entry)
            .filter(|entry| of(entry))
            .take(limit.min(MOST_RECORDS))
            .cloned()
            .collect()
    }

    pub(super) fn shadowed(&self, since: Time, until: Time) -> Vec<Shadowed> {
        let mut counts: BTreeMap<(WorkflowName, ToolName, Verdict, Arc<str>), u64> =
            BTreeMap::new();
        for RunView { run, .. } in self.runs.views() {
            if run.booked_at < since || run.booked_at >= until {
                continue;
            }
            for call in run.calls.iter().filter(|call| is_let_through(call)) {
                let rule = call.rule.clone().unwrap_or_default();
                let key = (run.workflow.clone(), call.tool.clone(), call.verdict, rule);
                *counts.entry(key).or_default() += 1;
            }
        }
        counts
            .into_iter()
            .map(|((workflow, tool, verdict, rule), calls)| Shadowed {
                workflow,
                tool,
                verdict,
                rule,
                calls,
            })
            .collect()
    }
}

/// Did the call go although a rule said otherwise?
fn is_let_through(call: &CallRecord) -> bool {
    call.verdict != Verdict::Allow && call.executed != Executed::No
}

/// Is it a held call, a decision on one, or a call that a person let go?
fn is_about_people(event: &Event) -> bool {
    matches!(event, Event::Held(_) | Event::Decided { .. })
        || matches!(event, Event::Admitted(admission) if admission.uses_grant())
}
