//! Records that hold as many runs and entries as a test asks for, made up as they are read.

use crate::gate::event::{Entry, Event};
use crate::gate::name::WorkflowName;
use crate::gate::time::Time;
use crate::journal::read::{
    Checks, Entries, EntryFilter, Happened, Records, RunFilter, RunView, Shadowed,
};
use crate::journal::record::{RunKey, RunRecord};
use crate::journal::unavailable::Unavailable;

/// The records.
pub(in crate::admin) struct ManyRecords {
    /// How many runs there are, all alike.
    pub(in crate::admin) runs: u64,
    /// What every run is.
    pub(in crate::admin) run: RunRecord,
    /// How many entries a review finds, all alike.
    pub(in crate::admin) entries: u64,
    /// What people let go or not, newest first.
    pub(in crate::admin) decided: Vec<Entry>,
}

impl Records for ManyRecords {
    fn runs(&self, filter: &RunFilter) -> Result<Vec<RunView>, Unavailable> {
        let first = filter.before.map_or(self.runs, |before| before - 1);
        let view = |position| RunView {
            position,
            run: self.run.clone(),
            retracted: Vec::new(),
            excluded: None,
        };
        Ok((1..=first).rev().take(filter.limit).map(view).collect())
    }

    fn keys(&self, _: &RunFilter) -> Result<Vec<RunKey>, Unavailable> {
        Ok(Vec::new())
    }

    fn checks(&self, _: Option<&WorkflowName>, _: Time, _: usize) -> Result<Checks, Unavailable> {
        Ok(Checks::default())
    }

    fn ledger(&self) -> String {
        String::new()
    }

    fn entries(&self, _: &EntryFilter) -> Result<Entries, Unavailable> {
        Ok(Entries::default())
    }

    fn happened(
        &self,
        happened: &Happened,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Entry)>, Unavailable> {
        let entry = Entry {
            at: happened.since,
            workflow: None,
            event: Event::Stopped,
        };
        let numbers = after + 1..=self.entries;
        Ok(numbers
            .take(limit)
            .map(|seq| (seq, entry.clone()))
            .collect())
    }

    fn decided(&self, _: &WorkflowName, limit: usize) -> Result<Vec<Entry>, Unavailable> {
        Ok(self.decided.iter().take(limit).cloned().collect())
    }

    fn shadowed(&self, _: Time, _: Time) -> Result<Vec<Shadowed>, Unavailable> {
        Ok(Vec::new())
    }
}
