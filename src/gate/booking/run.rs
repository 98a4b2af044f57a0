//! A booked run as it is on record: what it counts as, and how it ends.

use std::sync::Arc;

use crate::gate::event::{Event, Revision};
use crate::gate::name::{CallId, PersonName, WorkflowName};
use crate::gate::outcome::FailureMode;
use crate::gate::run::{Charge, Executed, Mark, RunRef};
use crate::gate::run_flags::{RunContribution, RunFlags};
use crate::gate::time::Time;

/// A booked run as it is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedRun {
    /// Its workflow, under the name that it was booked with.
    pub workflow: WorkflowName,
    /// Whose run, and which.
    pub run: RunRef,
    /// The time it is booked to.
    pub booked_at: Time,
    /// What it stands as.
    pub mark: Mark,
    /// It counts even where nothing went wrong: a call above `read` was forwarded.
    pub counts: bool,
    /// It executed a `high` call.
    pub high: bool,
    /// It was booked before its end, and goes on.
    pub open: bool,
    /// What the gate saw of it, or people said in a check.
    pub observed: RunFlags,
    /// What went wrong, in the order in which it became known.
    pub charges: Vec<BookedCharge>,
    /// Why it is out of the budget, where it is.
    pub exclusion: Option<Exclusion>,
    /// Its calls: whether each was executed.
    pub calls: Vec<(CallId, Executed)>,
    /// What became of it in the queue of runs to judge; `None` where it was not drawn.
    pub check: Option<CheckState>,
}

/// A charge of a booked run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedCharge {
    /// What went wrong.
    pub charge: Charge,
    /// The objective counted its mode when it became known.
    pub counts: bool,
    /// It was taken back.
    pub retracted: bool,
}

/// Why a run is out of the budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// Why.
    pub reason: Arc<str>,
    /// The reference that it can be put back by.
    pub reference: Option<Arc<str>>,
    /// Who took it out.
    pub by: PersonName,
}

/// What becomes of a run that is drawn for people to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// It waits for somebody.
    Waiting,
    /// Somebody said that it was right.
    Accepted,
    /// Somebody said what was wrong with it.
    Reported,
    /// The queue was full and others were riskier or newer: nobody looked at it.
    Unchecked,
    /// It was taken out of the budget.
    Excluded,
}

/// How a run ended that was booked before.
#[derive(Debug, Clone)]
pub struct RunEnd<'a> {
    /// Whether it counts even where nothing went wrong.
    pub counts: bool,
    /// Whether it executed a `high` call.
    pub high: bool,
    /// What the gate saw of it.
    pub observed: RunFlags,
    /// What went wrong with it from its beginning.
    pub charges: &'a [Charge],
    /// Its calls: whether each was executed.
    pub calls: Vec<(CallId, Executed)>,
}

impl BookedRun {
    /// A run that is booked before its end, at its first failure.
    #[must_use]
    pub const fn unfinished(
        workflow: WorkflowName,
        run: RunRef,
        booked_at: Time,
        high: bool,
        observed: RunFlags,
    ) -> Self {
        BookedRun {
            workflow,
            run,
            booked_at,
            mark: Mark::Unacceptable,
            counts: high,
            high,
            open: true,
            observed,
            charges: Vec::new(),
            exclusion: None,
            calls: Vec::new(),
            check: None,
        }
    }

    /// Something more was said of it while it went on: by then it may stand as anything, and what
    /// is added moves only what it shows.
    #[must_use]
    pub fn remark(
        &self,
        charge: &Charge,
        counts: impl Fn(&FailureMode) -> bool,
    ) -> (BookedRun, Revision) {
        let mut after = self.clone();
        after.add(std::slice::from_ref(charge), |charge| counts(&charge.mode));
        let revision = self.revision(&after);
        (after, revision)
    }

    /// It has ended, and may have come to more by then: an event says so where it did.
    #[must_use]
    pub fn end(
        &self,
        end: RunEnd<'_>,
        counts: impl Fn(&FailureMode) -> bool,
    ) -> (BookedRun, Option<Event>) {
        let mut after = BookedRun {
            open: false,
            counts: end.counts,
            high: self.high || end.high,
            observed: self.observed.or(end.observed),
            calls: end.calls,
            ..self.clone()
        };
        after.add(end.charges, |charge| counts(&charge.mode));
        if after.shown() == self.shown() {
            return (after, None);
        }
        let revision = Revision {
            high: after.high,
            ..self.revision(&after)
        };
        (after, Some(Event::Noted { revision }))
    }

    /// It goes on, and executed its first `high` call.
    #[must_use]
    pub fn with_high(&self) -> BookedRun {
        BookedRun {
            counts: true,
            high: true,
            ..self.clone()
        }
    }

    /// Adds the charges that it does not carry yet, each with whether it counts.
    pub fn add(&mut self, charges: &[Charge], counts: impl Fn(&Charge) -> bool) {
        add_new(&mut self.charges, charges, counts);
    }

    /// What it shows in the counts.
    #[must_use]
    pub fn shown(&self) -> RunContribution {
        let status = self.charges.iter().filter(|known| !known.retracted);
        RunContribution::of(self.mark, self.observed, status.map(|known| &known.charge))
    }

    /// Was a call of it sent of which nobody knows whether it was executed?
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|(_, executed)| *executed == Executed::Unknown)
    }

    /// What it stands as by its charges. Out of the budget it stays until somebody puts it back.
    pub(super) fn judged(&self) -> Mark {
        let mut charges = self.charges.iter();
        if self.mark == Mark::Excluded {
            Mark::Excluded
        } else if charges.any(|known| known.counts && !known.retracted) {
            Mark::Unacceptable
        } else if self.counts {
            Mark::Acceptable
        } else {
            Mark::Idle
        }
    }

    /// Nobody has to judge it any more, where it waited for that.
    pub(super) fn leave_queue(&mut self, state: CheckState) {
        if self.check == Some(CheckState::Waiting) {
            self.check = Some(state);
        }
    }

    /// What becoming `after` changes about what it counts as.
    pub(super) fn revision(&self, after: &BookedRun) -> Revision {
        Revision::new(
            self.run.clone(),
            self.booked_at,
            self.high,
            self.mark,
            after.mark,
        )
        .showing(&self.shown(), &after.shown())
    }
}

/// Adds to `known` the charges that it does not have yet, each with whether it counts.
pub fn add_new(
    known: &mut Vec<BookedCharge>,
    charges: &[Charge],
    counts: impl Fn(&Charge) -> bool,
) {
    for charge in charges {
        if !known.iter().any(|known| known.charge == *charge) {
            known.push(BookedCharge {
                charge: charge.clone(),
                counts: counts(charge),
                retracted: false,
            });
        }
    }
}
