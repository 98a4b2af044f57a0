//! Evidence for skipping a review: the runs whose held calls people approved, or denied as wrong,
//! and what became of those runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gate::name::StepName;
use crate::gate::run::{Mark, RunRef};
use crate::gate::time::Time;

/// The most runs with approved calls that are kept as evidence for skipping a review. At it, the
/// oldest makes room (G7).
pub const MOST_SAMPLES: usize = 2_048;
/// A run whose held call people approved, or denied as wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReviewedRun {
    run: RunRef,
    at: Time,
    steps: Vec<StepName>,
    /// Somebody judged the run and found it right.
    checked: bool,
    /// The run went wrong.
    wrong: bool,
    /// A reviewer denied the call as wrong, which no later news about the run changes.
    denied: bool,
}

/// The runs, the one that came first at the front.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct ReviewedRuns(Vec<ReviewedRun>);

impl ReviewedRuns {
    pub(super) const NONE: Self = ReviewedRuns(Vec::new());

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Forgets what was found of calls that a step under these names would release.
    pub(super) fn forget_where(&mut self, changed: impl Fn(&StepName) -> bool) {
        for run in &mut self.0 {
            run.steps.retain(|step| !changed(step));
        }
        self.0.retain(|run| !run.steps.is_empty());
    }

    /// A held call of `run` that `steps` would have released was denied as wrong.
    pub(super) fn denied(&mut self, run: &RunRef, steps: &[StepName], at: Time) {
        if let Some(reviewed) = self.note(run, steps, at) {
            reviewed.denied = true;
        }
    }

    /// Somebody judged a run and found it right.
    pub(super) fn checked(&mut self, run: &RunRef) {
        self.0
            .iter_mut()
            .filter(|reviewed| reviewed.run == *run)
            .for_each(|reviewed| reviewed.checked = true);
    }

    /// A run stands as `mark` now. Returns the steps that would have released a call of it, where
    /// it went wrong.
    pub(super) fn run_marked(&mut self, run: &RunRef, mark: Mark) -> Vec<StepName> {
        let Some(index) = self.0.iter().position(|reviewed| reviewed.run == *run) else {
            return Vec::new();
        };
        match mark {
            Mark::Excluded => {
                self.0.remove(index);
                Vec::new()
            }
            Mark::Idle | Mark::Acceptable => {
                self.0[index].wrong = false;
                Vec::new()
            }
            Mark::Unacceptable => {
                self.0[index].wrong = true;
                self.0[index].steps.clone()
            }
        }
    }

    /// How many runs speak for or against `step` at `now`, and how many of them against it. A run
    /// that was found right counts `settle` after its approval.
    pub(super) fn judged(&self, step: &StepName, settle: Duration, now: Time) -> (i64, i64) {
        let of_step = self
            .0
            .iter()
            .filter(|reviewed| reviewed.steps.contains(step));
        let (mut runs, mut wrong) = (0, 0);
        for reviewed in of_step {
            let is_wrong = reviewed.wrong || reviewed.denied;
            wrong += i64::from(is_wrong);
            runs += i64::from(is_wrong || (reviewed.checked && now.since(reviewed.at) >= settle));
        }
        (runs, wrong)
    }

    /// A held call of `run` that `steps` would have released was decided at `at`. `None` where no
    /// step is concerned.
    pub(super) fn note(
        &mut self,
        run: &RunRef,
        steps: &[StepName],
        at: Time,
    ) -> Option<&mut ReviewedRun> {
        if steps.is_empty() {
            return None;
        }
        let index = self
            .0
            .iter()
            .position(|reviewed| reviewed.run == *run)
            .unwrap_or_else(|| {
                if self.0.len() >= MOST_SAMPLES {
                    self.0.remove(0);
                }
                self.0.push(ReviewedRun {
                    run: run.clone(),
                    at,
                    steps: Vec::new(),
                    checked: false,
                    wrong: false,
                    denied: false,
                });
                self.0.len() - 1
            });
        let reviewed = &mut self.0[index];
        reviewed.at = reviewed.at.max(at);
        for step in steps {
            if !reviewed.steps.contains(step) {
                reviewed.steps.push(step.clone());
            }
        }
        Some(reviewed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(n: usize) -> RunRef {
        RunRef {
            agent: "bot".into(),
            run: n.to_string().as_str().into(),
        }
    }

    #[test]
    fn g7_as_many_runs_are_evidence_as_the_bound_and_then_the_oldest_goes() {
        let mut reviewed = ReviewedRuns::NONE;
        let mut approve = |n: usize| {
            reviewed.note(&run(n), &["small-refunds".into()], Time::default());
            (reviewed.0.len(), reviewed.0[0].run.clone())
        };
        for n in 0..MOST_SAMPLES {
            assert_eq!(approve(n), (n + 1, run(0)));
        }
        assert_eq!(approve(MOST_SAMPLES), (MOST_SAMPLES, run(1)));
        assert_eq!(
            approve(MOST_SAMPLES),
            (MOST_SAMPLES, run(1)),
            "a run that is known takes no room"
        );
    }
}
