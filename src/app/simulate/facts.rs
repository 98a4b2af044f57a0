//! What a replay must know of the whole journal before it begins.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::upcoming::WorkflowRun;
use crate::gate::event::Event;
use crate::gate::name::CallId;
use crate::gate::outcome::FailureMode;
use crate::store::{LedgerPast, OpenError};

/// What must be known of the journal before it is replayed.
#[derive(Default)]
pub(super) struct JournalFacts {
    /// Runs that were booked by an event of their own.
    pub(super) booked: HashSet<WorkflowRun>,
    /// Modes that were reported later.
    pub(super) reported: HashMap<WorkflowRun, BTreeSet<FailureMode>>,
    /// Calls that a person approved.
    pub(super) approved: HashSet<CallId>,
}

impl JournalFacts {
    /// Reads them from the journal of `past`.
    pub(super) fn of(past: &LedgerPast) -> Result<Self, OpenError> {
        let mut facts = JournalFacts::default();
        past.entries(|entry| {
            let Some(workflow) = &entry.workflow else {
                return;
            };
            match &entry.event {
                Event::Booked { run, .. } => {
                    facts.booked.insert((workflow.clone(), run.clone()));
                }
                Event::Reported { revision, charge } => {
                    facts
                        .reported
                        .entry((workflow.clone(), revision.run.clone()))
                        .or_default()
                        .insert(charge.mode.clone());
                }
                Event::Admitted(admission) if admission.approval.is_some() => {
                    facts.approved.insert(admission.call);
                }
                _ => {}
            }
        })?;
        Ok(facts)
    }
}
