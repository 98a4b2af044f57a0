//! How a booked run changes, and ([`ids`]) which run an id means.
//!
//! Booked runs are kept by a journal: in a database, or in memory where nothing has to last. Either
//! loads a run, asks here what a change does to it, and writes what comes back; neither has a rule
//! of its own, so what a test sees in memory is what the database does.
//!
//! A run is judged by what its charges counted as when they became known, never by today's
//! objective: a policy that stops counting a mode must not pardon old failures through an unrelated
//! retraction. Nothing here decides when a run is booked, or what a change does to a budget: that is
//! the fold's, which reads the events that are made here (G12).

use std::sync::Arc;

use super::event::{Event, Revision};
use super::name::{CallId, PersonName, WorkflowName};
use super::outcome::{FailureMode, Source};
use super::risk::Risk;
use super::run::{Charge, Executed, Mark, RunRef};
use super::run_flags::{RunCounts, RunFlags};
use super::state::State;
use super::time::Time;

pub mod ids;

#[cfg(test)]
mod tests;

/// The modes that the gate charges for an answer that was lost.
const LOST_ANSWER: [FailureMode; 2] = [FailureMode::Timeout, FailureMode::ToolError];

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
    pub seen: RunFlags,
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

/// A change to a booked run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Something went wrong with it.
    Report(Charge),
    /// A report is taken back: the newest with this mode and this reference, as far as they are
    /// given. At least one of them is.
    Retract {
        /// The mode.
        mode: Option<FailureMode>,
        /// The report's reference.
        reference: Option<Arc<str>>,
        /// Who.
        by: PersonName,
    },
    /// It leaves the budget.
    Exclude {
        /// Why.
        reason: Arc<str>,
        /// The reference that it can be put back by.
        reference: Option<Arc<str>>,
        /// Who.
        by: PersonName,
    },
    /// Somebody found out whether a call whose answer was lost was executed.
    Reconcile {
        /// The call.
        call: CallId,
        /// Whether it was.
        executed: bool,
        /// No harm was done: what the gate charged for the lost answer is taken back.
        harmless: bool,
        /// A note.
        note: Option<Arc<str>>,
        /// Who.
        by: PersonName,
    },
    /// It comes back.
    Reinstate {
        /// Who.
        by: PersonName,
    },
    /// A person looked at a run that was drawn, and it was right.
    Accept {
        /// Who.
        by: PersonName,
    },
    /// A person or a system judged it, drawn or not. One that was not right is reported besides:
    /// the judgement alone costs nothing.
    Check {
        /// Whether it was right.
        right: bool,
        /// Who.
        by: PersonName,
    },
}

/// What a change comes to: the run as it is on record from now on, and the event that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The run.
    pub after: BookedRun,
    /// The event.
    pub event: Event,
}

/// Why a run does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchangeable {
    /// It goes on, and what was asked for waits for its end.
    Open,
    /// It is not in the state that the change is about.
    Nothing(&'static str),
}

/// How a run ended that was booked before.
#[derive(Debug, Clone)]
pub struct RunEnd<'a> {
    /// Whether it counts even where nothing went wrong.
    pub counts: bool,
    /// Whether it executed a `high` call.
    pub high: bool,
    /// What the gate saw of it.
    pub seen: RunFlags,
    /// What went wrong with it from its beginning.
    pub charges: &'a [Charge],
    /// Its calls: whether each was executed.
    pub calls: Vec<(CallId, Executed)>,
}

impl Change {
    /// Who makes it, where that is known.
    #[must_use]
    pub const fn by(&self) -> Option<&PersonName> {
        match self {
            Change::Report(charge) => charge.by.as_ref(),
            Change::Retract { by, .. }
            | Change::Exclude { by, .. }
            | Change::Reconcile { by, .. }
            | Change::Reinstate { by }
            | Change::Accept { by }
            | Change::Check { by, .. } => Some(by),
        }
    }
}

impl BookedRun {
    /// A run that is booked before its end, at its first failure.
    #[must_use]
    pub const fn unfinished(
        workflow: WorkflowName,
        run: RunRef,
        booked_at: Time,
        high: bool,
        seen: RunFlags,
    ) -> Self {
        BookedRun {
            workflow,
            run,
            booked_at,
            mark: Mark::Unacceptable,
            counts: high,
            high,
            open: true,
            seen,
            charges: Vec::new(),
            exclusion: None,
            calls: Vec::new(),
            check: None,
        }
    }

    /// What `change` does to it; `None` where the same was said before. `counts` says which modes
    /// the objective in force counts.
    ///
    /// # Errors
    /// Why it does not change.
    pub fn change(
        &self,
        change: &Change,
        counts: impl Fn(&FailureMode) -> bool,
    ) -> Result<Option<Changed>, Unchangeable> {
        if self.must_end_before(change) {
            return Err(Unchangeable::Open);
        }
        match change {
            Change::Report(charge) => Ok(self.report(charge, counts(&charge.mode))),
            Change::Retract {
                mode,
                reference,
                by,
            } => self
                .retract(mode.as_ref(), reference.as_ref(), by)
                .map(Some),
            Change::Exclude {
                reason,
                reference,
                by,
            } => Ok(self.exclude(reason, reference.as_ref(), by)),
            Change::Reconcile {
                call,
                executed,
                harmless,
                note,
                by,
            } => self.reconcile(*call, *executed, *harmless, note.as_ref(), by),
            Change::Reinstate { by } => self.reinstate(by).map(Some),
            Change::Accept { by } => self.accept(by),
            Change::Check { right, by } => Ok(self.check(*right, by)),
        }
    }

    /// Does `change` wait for the run's end? What goes on can get worse; in any other way it is judged
    /// by all that it came to.
    #[must_use]
    pub const fn must_end_before(&self, change: &Change) -> bool {
        self.open && !matches!(change, Change::Report(_))
    }

    fn report(&self, charge: &Charge, counts: bool) -> Option<Changed> {
        // Also where it was taken back since: a delivery that is repeated must not undo what a
        // person decided. Without a reference, two equal reports are two.
        if charge.reference.is_some()
            && self.charges.iter().any(|known| {
                known.charge.mode == charge.mode && known.charge.reference == charge.reference
            })
        {
            return None;
        }
        let mut after = self.clone();
        after.charges.push(BookedCharge {
            charge: charge.clone(),
            counts,
            retracted: false,
        });
        if counts && matches!(self.mark, Mark::Idle | Mark::Acceptable) {
            after.mark = Mark::Unacceptable;
        }
        // A person has judged it; anybody else has said that there is nothing left to judge.
        if charge.source == Source::Person || after.mark == Mark::Unacceptable {
            after.leave_queue(CheckState::Reported);
        }
        let charge = charge.clone();
        Some(self.became(after, |revision| Event::Reported { revision, charge }))
    }

    fn retract(
        &self,
        mode: Option<&FailureMode>,
        reference: Option<&Arc<str>>,
        by: &PersonName,
    ) -> Result<Changed, Unchangeable> {
        let is_meant = |known: &BookedCharge| {
            !known.retracted
                && mode.is_none_or(|mode| known.charge.mode == *mode)
                && (reference.is_none() || known.charge.reference.as_ref() == reference)
        };
        let newest = self
            .charges
            .iter()
            .rposition(is_meant)
            .ok_or(Unchangeable::Nothing("no such report of the run stands"))?;
        let mut after = self.clone();
        after.charges[newest].retracted = true;
        after.mark = after.judged();
        let (mode, reference, by) = (
            self.charges[newest].charge.mode.clone(),
            reference.cloned(),
            by.clone(),
        );
        Ok(self.became(after, |revision| Event::Retracted {
            revision,
            mode,
            reference,
            by,
        }))
    }

    fn exclude(
        &self,
        reason: &Arc<str>,
        reference: Option<&Arc<str>>,
        by: &PersonName,
    ) -> Option<Changed> {
        if self.mark == Mark::Excluded {
            return None;
        }
        let mut after = self.clone();
        after.mark = Mark::Excluded;
        let exclusion = Exclusion {
            reason: Arc::clone(reason),
            reference: reference.cloned(),
            by: by.clone(),
        };
        after.exclusion = Some(exclusion.clone());
        after.leave_queue(CheckState::Excluded);
        Some(self.became(after, |revision| Event::Excluded {
            revision,
            reason: exclusion.reason,
            reference: exclusion.reference,
            by: exclusion.by,
        }))
    }

    fn reinstate(&self, by: &PersonName) -> Result<Changed, Unchangeable> {
        if self.mark != Mark::Excluded {
            return Err(Unchangeable::Nothing("the run is not excluded"));
        }
        let mut after = self.clone();
        after.mark = Mark::Idle;
        after.exclusion = None;
        after.mark = after.judged();
        let by = by.clone();
        Ok(self.became(after, |revision| Event::Reinstated { revision, by }))
    }

    fn reconcile(
        &self,
        call: CallId,
        executed: bool,
        harmless: bool,
        note: Option<&Arc<str>>,
        by: &PersonName,
    ) -> Result<Option<Changed>, Unchangeable> {
        let now = if executed {
            Executed::Yes
        } else {
            Executed::No
        };
        let known = self.calls.iter().position(|(known, _)| *known == call);
        let index = match known.map(|index| (index, self.calls[index].1)) {
            Some((index, Executed::Unknown)) => index,
            Some((_, known)) if known == now => return Ok(None),
            Some((_, Executed::Yes)) => {
                return Err(Unchangeable::Nothing(
                    "the call is known to have been executed",
                ));
            }
            Some((_, Executed::No)) | None => {
                return Err(Unchangeable::Nothing(
                    "the call is known not to have been executed",
                ));
            }
        };
        let mut after = self.clone();
        // It was forwarded, whatever the upstream made of it: the run counts as before.
        after.calls[index].1 = now;
        let mut retracted = Vec::new();
        if harmless {
            // Only what the gate said itself: people and systems take their own reports back.
            let for_the_lost_answer = |known: &&mut BookedCharge| {
                !known.retracted
                    && known.charge.source == Source::Wire
                    && known.charge.call == Some(call)
                    && LOST_ANSWER.contains(&known.charge.mode)
            };
            for known in after.charges.iter_mut().filter(for_the_lost_answer) {
                known.retracted = true;
                retracted.push(known.charge.mode.clone());
            }
        }
        after.mark = after.judged();
        let (note, by) = (note.cloned(), by.clone());
        Ok(Some(self.became(after, |revision| Event::Reconciled {
            revision,
            call,
            executed,
            retracted,
            note,
            by,
        })))
    }

    /// A run that was drawn is right: once, whoever says so again. What was reported of it has to
    /// be taken back first.
    fn accept(&self, by: &PersonName) -> Result<Option<Changed>, Unchangeable> {
        let why_not = match self.check {
            Some(CheckState::Waiting) => {
                let mut after = self.clone();
                after.leave_queue(CheckState::Accepted);
                return Ok(Some(self.judge(after, true, by)));
            }
            Some(CheckState::Accepted) => return Ok(None),
            Some(CheckState::Reported) => "somebody judged the run already, and found it wrong",
            Some(CheckState::Excluded) => "the run was taken out of the budget",
            Some(CheckState::Unchecked) => "the run has left the full queue unchecked",
            None => "the run was not drawn for a check",
        };
        Err(Unchangeable::Nothing(why_not))
    }

    /// A judgement of a run that may not have been drawn. Where it waits for one, it no longer does.
    fn check(&self, right: bool, by: &PersonName) -> Option<Changed> {
        if self.seen.judged(right) == self.seen {
            return None;
        }
        let mut after = self.clone();
        after.leave_queue(if right {
            CheckState::Accepted
        } else {
            CheckState::Reported
        });
        Some(self.judge(after, right, by))
    }

    fn judge(&self, mut after: BookedRun, right: bool, by: &PersonName) -> Changed {
        after.seen = self.seen.judged(right);
        let by = by.clone();
        self.became(after, |revision| Event::Checked {
            revision,
            by,
            right,
        })
    }

    /// Something more was said of it while it went on: by then it may stand as anything, and what is
    /// added moves only what it shows.
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
            seen: self.seen.or(end.seen),
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
    pub fn shown(&self) -> RunCounts {
        let status = self.charges.iter().filter(|known| !known.retracted);
        RunCounts::of(self.mark, self.seen, status.map(|known| &known.charge))
    }

    /// Was a call of it sent of which nobody knows whether it was executed?
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|(_, executed)| *executed == Executed::Unknown)
    }

    /// What it stands as by its charges. Out of the budget it stays until somebody puts it back.
    fn judged(&self) -> Mark {
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

    fn leave_queue(&mut self, state: CheckState) {
        if self.check == Some(CheckState::Waiting) {
            self.check = Some(state);
        }
    }

    fn revision(&self, after: &BookedRun) -> Revision {
        Revision::new(
            self.run.clone(),
            self.booked_at,
            self.high,
            self.mark,
            after.mark,
        )
        .showing(&self.shown(), &after.shown())
    }

    fn became(&self, after: BookedRun, event: impl FnOnce(Revision) -> Event) -> Changed {
        let event = event(self.revision(&after));
        Changed { after, event }
    }
}

/// Does a run count that stands as `mark`, even if nothing went wrong? It does where a call above
/// `read` was forwarded, or any call where the workflow reaches nothing but `read` tools.
#[must_use]
pub fn counts_anyway(
    mark: Mark,
    calls: impl Iterator<Item = (Risk, Executed)>,
    reads_only: bool,
) -> bool {
    match mark {
        Mark::Acceptable => true,
        Mark::Idle => false,
        Mark::Unacceptable | Mark::Excluded => calls
            .filter(|(_, executed)| *executed != Executed::No)
            .any(|(risk, _)| risk > Risk::Read || reads_only),
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

/// Does the objective in force count this mode? Where none is known, everything counts: what cannot
/// be judged is not forgiven (G3).
#[must_use]
pub fn counts_mode(state: &State, workflow: &WorkflowName, mode: &FailureMode) -> bool {
    state
        .workflow(&ids::present_name(state, workflow))
        .is_none_or(|state| state.terms().objective.counts(mode))
}

/// Which charges count of a run that somebody decided is unacceptable: those whose modes the
/// objective counts, and where it counts none, all of them, because they are why.
pub fn reasons(
    charges: &[Charge],
    counts: impl Fn(&FailureMode) -> bool,
) -> impl Fn(&Charge) -> bool {
    let is_any_counted = charges.iter().any(|charge| counts(&charge.mode));
    move |charge| !is_any_counted || counts(&charge.mode)
}
