//! The fold: what the events so far say about every workflow (G12).
//!
//! The writer owns the one true fold; the ledger keeps a projection of it per workflow and runs the
//! same code. Time passing is part of the fold: what follows from it alone, such as the end of a
//! clamp, is dated to its own moment, no matter who looks or when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::budget::posture::Posture;
use super::clamp::Clamps;
use super::dedup::{DedupIndex, Doer};
use super::event::{Entry, Event};
use super::incident::Incidents;
use super::level::Level;
use super::name::{PersonName, WorkflowName};
use super::terms::Terms;
use super::time::Time;
use super::workflow::WorkflowState;

/// Everything that the journal adds up to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    now: Time,
    workflows: BTreeMap<WorkflowName, WorkflowState>,
    clamps: Clamps,
    /// The ledger before this one was lost: every workflow starts burned.
    lost: bool,
    /// What was done, across workflows: the same refund from two of them is one refund too many.
    #[serde(default)]
    #[serde(rename = "deeds")]
    dedup: DedupIndex,
    /// Incidents of tool APIs.
    #[serde(default)]
    incidents: Incidents,
    /// Who may approve.
    #[serde(default)]
    approvers: BTreeSet<PersonName>,
}

impl State {
    /// Applies one entry and returns what followed from it, to be recorded right after it.
    pub fn apply(&mut self, entry: &Entry) -> Vec<Entry> {
        let at = entry.at.max(self.now);
        self.pass(at);
        self.remember(entry);
        match &entry.workflow {
            Some(name) => self
                .workflows
                .get_mut(name)
                .map(|workflow| followed(name, workflow.apply(at, &entry.event)))
                .unwrap_or_default(),
            None => self.apply_to_all(at, &entry.event),
        }
    }

    /// Applies an entry from the journal. Effects are derived anew: an entry that records one only
    /// shows that the fold had advanced its workflow to that time. Other workflows are not
    /// advanced, so that effects that are not recorded yet still come out of the next
    /// [`State::advance`].
    pub fn replay(&mut self, entry: &Entry) {
        match (&entry.event, &entry.workflow) {
            (Event::Followed(_), Some(name)) => {
                self.stand_at(entry.at);
                if let Some(workflow) = self.workflows.get_mut(name) {
                    workflow.advance(entry.at);
                }
            }
            _ => drop(self.apply(entry)),
        }
    }

    /// Sets the time to `now`, unless it is later already (G5). What follows from the time that
    /// passed is left to the next [`State::advance`].
    pub fn stand_at(&mut self, now: Time) {
        self.pass(self.now.max(now));
    }

    /// Lets time pass until `now` and returns what followed from that alone.
    pub fn advance(&mut self, now: Time) -> Vec<Entry> {
        self.pass(self.now.max(now));
        let now = self.now;
        self.workflows
            .iter_mut()
            .flat_map(|(name, workflow)| followed(name, workflow.advance(now)))
            .collect()
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

    /// What was done, as far as it is remembered.
    #[must_use]
    pub const fn dedup(&self) -> &DedupIndex {
        &self.dedup
    }

    /// Who may approve; empty until an event named them.
    #[must_use]
    pub const fn approvers(&self) -> &BTreeSet<PersonName> {
        &self.approvers
    }

    fn remember(&mut self, entry: &Entry) {
        match (&entry.event, &entry.workflow) {
            (Event::Admitted(admission), Some(workflow)) => {
                if let Some(operation) = &admission.operation {
                    self.dedup.admit(
                        &Doer {
                            call: admission.call,
                            workflow: workflow.clone(),
                            run: admission.run.clone(),
                        },
                        operation,
                    );
                }
            }
            (
                Event::Settled {
                    call,
                    executed,
                    undid,
                },
                _,
            ) => {
                if let Some(undone) = undid {
                    self.dedup.undo(*undone);
                }
                self.dedup.settle(*call, *executed);
            }
            _ => {}
        }
    }

    /// Incidents of tool APIs, those that are remembered.
    #[must_use]
    pub const fn incidents(&self) -> &Incidents {
        &self.incidents
    }

    /// Also ends clamps on every workflow that have run out, so that a workflow that joins later
    /// starts under the same ones, no matter who looked in between.
    fn pass(&mut self, now: Time) {
        self.now = now;
        self.clamps.expire(now);
        self.dedup.pass(now);
    }

    fn apply_to_all(&mut self, at: Time, event: &Event) -> Vec<Entry> {
        match event {
            Event::Started { lost, .. } => {
                self.lost |= lost;
                Vec::new()
            }
            Event::PolicyAccepted { terms, .. } => self.accept(at, terms),
            Event::Clamped(clamp) => {
                self.clamps.add(clamp.clone());
                self.each(at, event)
            }
            Event::Released { .. } => {
                self.clamps.clear();
                self.each(at, event)
            }
            Event::ApproversNamed { people } => {
                self.approvers.clone_from(people);
                self.each(at, event)
            }
            Event::ClockJumped { .. } => self.each(at, event),
            Event::IncidentOpened { .. } | Event::IncidentClosed { .. } => {
                self.incidents.apply(at, event);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn each(&mut self, at: Time, event: &Event) -> Vec<Entry> {
        self.workflows
            .iter_mut()
            .flat_map(|(name, workflow)| followed(name, workflow.apply_everywhere(at, event)))
            .collect()
    }

    /// New terms for every workflow in them. A workflow that is gone keeps its history: a policy
    /// that drops and brings it back refills nothing.
    fn accept(&mut self, at: Time, terms: &BTreeMap<WorkflowName, Arc<Terms>>) -> Vec<Entry> {
        self.rename(terms);
        let mut entries: Vec<Entry> = self
            .workflows
            .iter_mut()
            .flat_map(|(name, workflow)| followed(name, workflow.advance(at)))
            .collect();
        // Where a new workflow begins depends on the old ones as they are now, and not on the order
        // of names.
        let new: Vec<_> = terms
            .iter()
            .filter(|(name, _)| !self.workflows.contains_key(*name))
            .collect();
        let begun: Vec<_> = new
            .into_iter()
            .map(|(name, terms_of)| {
                let workflow =
                    WorkflowState::new(at, Arc::clone(terms_of), self.clamps.clone(), self.lost);
                let begins = match self.tainted(terms_of, terms) {
                    Some(level) => workflow.at_most(level),
                    None => workflow,
                };
                (name.clone(), begins)
            })
            .collect();
        for (name, workflow) in &mut self.workflows {
            if let Some(terms) = terms.get(name) {
                entries.extend(followed(name, workflow.accept(at, Arc::clone(terms))));
            }
        }
        self.workflows.extend(begun);
        entries
    }

    /// The lowest level at which a workflow stands that is burned, breached or no longer there, and
    /// reaches one of the same tools above `read`: a new name is no way out of a burned budget, nor
    /// out of a clamp.
    fn tainted(&self, new: &Terms, terms: &BTreeMap<WorkflowName, Arc<Terms>>) -> Option<Level> {
        let is_tainted = |name: &WorkflowName, state: &WorkflowState| {
            let burns = matches!(
                state.account().posture(),
                Posture::Burned | Posture::Breached
            );
            (burns || !terms.contains_key(name)) && !state.terms().reach.is_disjoint(&new.reach)
        };
        let level = |state: &WorkflowState| {
            let ladder = &state.terms().ladder;
            new.ladder
                .carry(ladder.name(state.effective().level), ladder)
        };
        self.workflows
            .iter()
            .filter(|(name, state)| is_tainted(name, state))
            .map(|(_, state)| level(state))
            .min()
    }

    /// Moves histories to their new names, also along a chain of renames. A name that is in use
    /// keeps its own history: neither a `was` that was left in a policy after the rename nor one
    /// that names a living workflow takes a budget away or gives a fresh one.
    fn rename(&mut self, terms: &BTreeMap<WorkflowName, Arc<Terms>>) {
        let mut moved = BTreeMap::new();
        loop {
            let is_free = |name: &WorkflowName| {
                !moved.contains_key(name) && !self.workflows.contains_key(name)
            };
            let next =
                terms
                    .iter()
                    .filter(|(name, _)| is_free(name))
                    .find_map(|(name, terms_of)| {
                        let before = terms_of.was.as_ref()?;
                        (self.workflows.contains_key(before)
                            && self.is_left(before, terms, terms.len()))
                        .then(|| (name.clone(), before.clone()))
                    });
            let Some((name, before)) = next else { break };
            moved.extend(
                self.workflows
                    .remove(&before)
                    .map(|workflow| (name, workflow)),
            );
        }
        self.workflows.extend(moved);
    }

    /// Is `name` out of use, or about to take the history of one that is?
    fn is_left(
        &self,
        name: &WorkflowName,
        terms: &BTreeMap<WorkflowName, Arc<Terms>>,
        links: usize,
    ) -> bool {
        let Some(terms_of) = terms.get(name) else {
            return true;
        };
        terms_of.was.as_ref().is_some_and(|before| {
            links > 0
                && self.workflows.contains_key(before)
                && self.is_left(before, terms, links - 1)
        })
    }
}

fn followed(name: &WorkflowName, effects: Vec<(Time, super::event::Effect)>) -> Vec<Entry> {
    effects
        .into_iter()
        .map(|(at, effect)| Entry {
            at,
            workflow: Some(name.clone()),
            event: Event::Followed(effect),
        })
        .collect()
}
