//! Reading what the journal in memory kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::matching::meant;
use super::{MemoryJournal, lock, matches};
use crate::gate::event::{Entry, Event};
use crate::gate::name::{ToolName, WorkflowName};
use crate::gate::run::Executed;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::journal::read::{
    Checks, Entries, EntryFilter, Happened, MOST_RECORDS, Records, RunFilter, RunView, Shadowed,
};
use crate::journal::record::RunKey;
use crate::journal::revise::MAX_BATCH;
use crate::journal::unavailable::Unavailable;

impl Records for MemoryJournal {
    fn runs(&self, filter: &RunFilter) -> Result<Vec<RunView>, Unavailable> {
        if self.is_refusing() {
            return Err(Unavailable);
        }
        Ok(lock(&self.books)
            .runs
            .iter()
            .rev()
            .filter(|view| matches(filter, view))
            .take(filter.limit.min(MOST_RECORDS))
            .cloned()
            .collect())
    }

    fn keys(&self, filter: &RunFilter) -> Result<Vec<RunKey>, Unavailable> {
        if self.is_refusing() {
            return Err(Unavailable);
        }
        let books = lock(&self.books);
        let matching = books
            .runs
            .iter()
            .rev()
            .filter(|view| matches(filter, view))
            .take(MAX_BATCH + 1);
        Ok(matching
            .map(|view| RunKey {
                workflow: view.run.workflow.clone(),
                agent: view.run.agent.clone(),
                run: view.run.id(),
            })
            .collect())
    }

    fn checks(
        &self,
        workflow: Option<&WorkflowName>,
        since: Time,
        limit: usize,
    ) -> Result<Checks, Unavailable> {
        if self.is_refusing() {
            return Err(Unavailable);
        }
        Ok(lock(&self.books).checks(workflow, since, limit))
    }

    fn ledger(&self) -> String {
        "memory".to_owned()
    }

    fn entries(&self, filter: &EntryFilter) -> Result<Entries, Unavailable> {
        if self.is_refusing() {
            return Err(Unavailable);
        }
        let views: Vec<_> = lock(&self.books)
            .entries
            .iter()
            .filter(|view| meant(filter, view))
            .take(filter.limit)
            .cloned()
            .collect();
        let next = views
            .last()
            .filter(|_| views.len() == filter.limit)
            .map(|view| view.seq);
        Ok(Entries { views, next })
    }

    fn happened(
        &self,
        happened: &Happened,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Entry)>, Unavailable> {
        if self.is_refusing() {
            return Err(Unavailable);
        }
        let books = lock(&self.books);
        Ok(books
            .entries
            .iter()
            .filter(|view| view.seq > after && happened.has(&view.entry))
            .take(limit)
            .map(|view| (view.seq, view.entry.clone()))
            .collect())
    }

    fn decided(&self, workflow: &WorkflowName, limit: usize) -> Result<Vec<Entry>, Unavailable> {
        if self.is_refusing() {
            return Err(Unavailable);
        }
        let of = |entry: &Entry| {
            entry.workflow.as_ref() == Some(workflow) && is_about_people(&entry.event)
        };
        Ok(lock(&self.books)
            .entries
            .iter()
            .rev()
            .map(|view| &view.entry)
            .filter(|entry| of(entry))
            .take(limit)
            .cloned()
            .collect())
    }

    fn shadowed(&self, since: Time, until: Time) -> Result<Vec<Shadowed>, Unavailable> {
        if self.is_refusing() {
            return Err(Unavailable);
        }
        let books = lock(&self.books);
        let mut counts: BTreeMap<(WorkflowName, ToolName, Verdict, Arc<str>), u64> =
            BTreeMap::new();
        for run in books
            .runs
            .iter()
            .map(|view| &view.run)
            .filter(|run| since <= run.booked_at && run.booked_at < until)
        {
            for call in run
                .calls
                .iter()
                .filter(|call| call.verdict != Verdict::Allow && call.executed != Executed::No)
            {
                *counts
                    .entry((
                        run.workflow.clone(),
                        call.tool.clone(),
                        call.verdict,
                        call.rule.clone().unwrap_or_default(),
                    ))
                    .or_default() += 1;
            }
        }
        Ok(counts
            .into_iter()
            .map(|((workflow, tool, verdict, rule), calls)| Shadowed {
                workflow,
                tool,
                verdict,
                rule,
                calls,
            })
            .collect())
    }
}

/// Is it a held call, a decision on one, or a call that a person let go?
fn is_about_people(event: &Event) -> bool {
    matches!(event, Event::Held(_) | Event::Decided { .. })
        || matches!(event, Event::Admitted(admission) if admission.is_let_go())
}
