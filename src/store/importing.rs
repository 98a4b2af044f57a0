//! An import in progress: what will count once it is finished.

use std::collections::BTreeMap;

use crate::gate::name::WorkflowName;
use crate::gate::past::{MOST_CRITICAL, PastCell, PastRun};
use crate::gate::run::{Mark, RunRef};
use crate::gate::state::State;
use crate::gate::time::{Minute, Time};
use crate::journal::record::RunRecord;

/// An import in progress: what will count once it is finished. Bounded by the hours that are kept,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::gate::event::{Entry, Event};
    use crate::gate::outcome::FailureMode;
    use crate::store::tests::{at, charge, run, terms};

    #[test]
    fn g7_as_many_critical_runs_are_listed_as_the_bound_and_older_ones_are_counted() {
        let mut terms = terms();
        terms.objective.critical = BTreeSet::from([FailureMode::MissedEscalation]);
        terms
            .objective
            .unacceptable
            .insert(FailureMode::MissedEscalation);
        let mut state = State::default();
        state.apply(&Entry {
            at: at(0),
            workflow: None,
            event: Event::PolicyAccepted {
                version: crate::gate::digest::Digest::new([0; 32]),
                terms: [("w".into(), Arc::new(terms))].into(),
                policies: "{}".into(),
            },
        });
        let mut importing = Importing::default();
        let mut take = |n: usize| {
            let record = RunRecord {
                booked_at: at(i64::try_from(n).unwrap()),
                mark: Mark::Unacceptable,
                charges: vec![charge(FailureMode::MissedEscalation, None)],
                ..run(Some(&format!("r{n}")), Vec::new())
            };
            importing.take(&state, &record);
            let past = &importing.workflows["w"];
            let counted: i64 = past.cells.values().map(|cell| cell.shift.all.runs).sum();
            let oldest = past.critical.keys().next().unwrap().0;
            (past.critical.len(), counted, oldest)
        };
        for n in 0..MOST_CRITICAL {
            assert_eq!(take(n), (n + 1, 0, at(0)));
        }
        assert_eq!(take(MOST_CRITICAL), (MOST_CRITICAL, 1, at(1)));
    }
}
