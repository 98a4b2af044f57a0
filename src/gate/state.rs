//! The fold: what the events so far say about every workflow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    event::{Admission, Clamp, Entry, Event},
    name::{CallId, WorkflowName},
    policy::Terms,
    time::Time,
};

/// Everything that the journal adds up to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    now: Time,
    workflows: BTreeMap<WorkflowName, WorkflowState>,
    clamp: Option<Clamp>,
}

/// What the journal adds up to for one workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowState {
    terms: Option<Terms>,
    open_calls: BTreeMap<CallId, Admission>,
    counted: u64,
    unacceptable: u64,
}

impl WorkflowState {
    /// What the workflow is judged under.
    #[must_use]
    pub const fn terms(&self) -> Option<&Terms> {
        self.terms.as_ref()
    }

    /// Calls that were admitted and are not settled.
    pub fn open_calls(&self) -> impl Iterator<Item = (&CallId, &Admission)> {
        self.open_calls.iter()
    }
}

impl State {
    /// Applies one entry and returns what followed from it, to be recorded right after it.
    pub fn apply(&mut self, entry: &Entry) -> Vec<Entry> {
        self.now = self.now.max(entry.at);
        if let Event::PolicyAccepted { terms, .. } = &entry.event {
            for (name, terms) in terms {
                self.workflows.entry(name.clone()).or_default().terms = Some(terms.clone());
            }
        }
        if let Event::Clamped(clamp) = &entry.event {
            self.clamp = Some(clamp.clone());
        }
        let Some(workflow) = &entry.workflow else { return Vec::new() };
        let state = self.workflows.entry(workflow.clone()).or_default();
        match &entry.event {
            Event::Admitted(admission) => {
                state.open_calls.insert(admission.call, admission.clone());
            }
            Event::Settled { call, .. } => {
                state.open_calls.remove(call);
            }
            Event::Tallied { cells } => state.counted += cells.iter().map(|cell| cell.runs).sum::<u64>(),
            Event::Booked { .. } => state.unacceptable += 1,
            _ => {}
        }
        Vec::new()
    }

    /// Lets time pass until `now` and returns what followed from that alone.
    pub fn advance(&mut self, now: Time) -> Vec<Entry> {
        self.now = self.now.max(now);
        Vec::new()
    }

    /// The latest time that the fold has seen: the high-water mark below which no clock goes.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// One workflow's state.
    #[must_use]
    pub fn workflow(&self, name: &WorkflowName) -> Option<&WorkflowState> {
        self.workflows.get(name)
    }

    /// Every workflow's state, by name.
    pub fn workflows(&self) -> impl Iterator<Item = (&WorkflowName, &WorkflowState)> {
        self.workflows.iter()
    }
}
