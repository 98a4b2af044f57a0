//! What a change does to a booked run: a report, a retraction, an exclusion, a judgement.

use std::sync::Arc;

use super::run::{BookedCharge, BookedRun, CheckState, Exclusion};
use crate::gate::event::{Event, Revision};
use crate::gate::name::{CallId, PersonName};
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::run::{Charge, Executed, Mark};

/// The modes that the gate charges for an answer that was lost.
const LOST_ANSWER: [FailureMode; 2] = [FailureMode::Timeout, FailureMode::ToolError];

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
        /// Whether only a report that `by` made themselves may be taken back.
        own_only: bool,
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
    /// The reports in question are somebody else's, and may be taken back only by their authors or
    /// a role above.
    NotOwn,
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
            Change::Report(failure) => Ok(self.report(failure, counts(&failure.mode))),
            Change::Retract {
                mode,
                reference,
                by,
                own_only,
            } => self
                .retract(mode.as_ref(), reference.as_ref(), by, *own_only)
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

    /// Does `change` wait for the run's end? What goes on can get worse; in any other way it is
    /// judged by all that it came to.
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
        own_only: bool,
    ) -> Result<Changed, Unchangeable> {
        let is_meant = |known: &BookedCharge| {
            !known.retracted
                && mode.is_none_or(|mode| known.charge.mode == *mode)
                && (reference.is_none() || known.charge.reference.as_ref() == reference)
        };
        // A signal or an agent may go by the name of a person.
        let is_own = |known: &BookedCharge| {
            known.charge.source == Source::Person && known.charge.by.as_ref() == Some(by)
        };
        let newest = self
            .charges
            .iter()
            .rposition(|known| is_meant(known) && (!own_only || is_own(known)))
            .ok_or_else(|| {
                if self.charges.iter().any(is_meant) {
                    Unchangeable::NotOwn
                } else {
                    Unchangeable::Nothing("no such report of the run stands")
                }
            })?;
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

    /// A judgement of a run that may not have been drawn. Where it waits for one, it no longer
    /// does.
    fn check(&self, right: bool, by: &PersonName) -> Option<Changed> {
        if self.observed.judged(right) == self.observed {
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
        after.observed = self.observed.judged(right);
        let by = by.clone();
        self.became(after, |revision| Event::Checked {
            revision,
            by,
            right,
        })
    }

    fn became(&self, after: BookedRun, event: impl FnOnce(Revision) -> Event) -> Changed {
        let event = event(self.revision(&after));
        Changed { after, event }
    }
}
