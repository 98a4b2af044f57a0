//! An import that is on: what will count once it is finished.

use std::collections::BTreeMap;

use crate::gate::name::WorkflowName;
use crate::gate::past::{MOST_CRITICAL, PastCell, PastRun};
use crate::gate::run::{Mark, RunRef};
use crate::gate::state::State;
use crate::gate::time::{Minute, Time};
use crate::journal::record::RunRecord;

/// An import that is on: what will count once it is finished. Bounded by the hours that are kept,
/// not by the runs.
#[derive(Default)]
pub(super) struct Importing {
    pub(super) workflows: BTreeMap<WorkflowName, ImportedPast>,
}

/// The past of one workflow.
#[derive(Default)]
pub(super) struct ImportedPast {
    pub(super) runs: u64,
    pub(super) cells: BTreeMap<Minute, PastCell>,
    /// The newest runs with critical modes.
    pub(super) critical: BTreeMap<(Time, RunRef), PastRun>,
}

impl Importing {
    /// Counts one run more.
    pub(super) fn take(&mut self, loaded: &State, run: &RunRecord) {
        let past = self.workflows.entry(run.workflow.clone()).or_default();
        past.runs += 1;
        let Some(state) = loaded.workflow(&run.workflow) else {
            return;
        };
        let Some(minute) = state.account().gathers(run.booked_at, loaded.now()) else {
            return;
        };
        let reference = RunRef {
            agent: run.agent.clone(),
            run: run.run.clone().unwrap_or_else(|| "".into()),
        };
        let objective = &state.terms().objective;
        let mut one = PastRun {
            run: reference,
            booked_at: run.booked_at,
            high: run.high,
            charges: run.charges.clone(),
        };
        if run.mark == Mark::Unacceptable
            && one
                .charges
                .iter()
                .any(|charge| objective.critical.contains(&charge.mode))
        {
            past.critical.insert((one.booked_at, one.run.clone()), one);
            if past.critical.len() <= MOST_CRITICAL {
                return;
            }
            // The oldest gives way: the newer ones burn as well as it would.
            let Some((_, oldest)) = past.critical.pop_first() else {
                return;
            };
            one = oldest;
        }
        let minute = state
            .account()
            .gathers(one.booked_at, loaded.now())
            .unwrap_or(minute);
        past.cells
            .entry(minute)
            .or_insert_with(|| PastCell::new(minute))
            .add(run.mark, one.high, &one.charges);
    }
}
