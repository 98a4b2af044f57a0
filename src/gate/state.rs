//! The fold: what the events so far say about every workflow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    event::{Clamp, Entry},
    name::WorkflowName,
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
pub struct WorkflowState {}

impl State {
    /// Applies one entry and returns what followed from it, to be recorded right after it.
    pub fn apply(&mut self, entry: &Entry) -> Vec<Entry> {
        self.now = self.now.max(entry.at);
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
