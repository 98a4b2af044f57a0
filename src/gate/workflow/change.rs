//! What one event does to a workflow: the fold's own match, and the postings that it makes of runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Effects, MAX_WAIVER, WAIVER_ENDS_AFTER, WAIVERS_WITHIN, Waiver, WorkflowState};
use crate::gate::budget::posting::Posting;
use crate::gate::budget::posture::Posture;
use crate::gate::budget::shift::{Delta, Shift};
use crate::gate::earn::StepProgress;
use crate::gate::event::{Admission, Event, Revision, TalliedMinute};
use crate::gate::name::{LevelName, PersonName, StepName};
use crate::gate::outcome::FailureMode;
use crate::gate::past::Imported;
use crate::gate::review::LastReview;
use crate::gate::run::{Charge, Mark, RunRef};
use crate::gate::run_flags::{ModeShift, RunFlagCounts, RunFlags, mode_shifts};
use crate::gate::time::Time;

/// One run that counts and was unacceptable.
const FAILED: Delta = Delta {
    runs: 1,
    unacceptable: 1,
};

impl WorkflowState {
    pub(super) fn change(&mut self, at: Time, event: &Event, effects: &mut Effects) {
        match event {
            Event::Admitted(admission) => self.admit(at, admission),
            Event::Settled { call, .. } => drop(self.open_calls.remove(call)),
            Event::Tallied { cells } => self.tally(at, cells, effects),
            Event::Booked {
                run,
                high,
                charges,
                observed,
            } => self.book_run(at, run, (*high, *observed), charges, effects),
            Event::BookedHigh { booked_at, .. } => self.book_high(at, *booked_at, effects),
            Event::Escalated { run } => self.escalated.note(at, run),
            Event::Reported { revision, .. } | Event::Noted { revision } => {
                self.worsen(at, revision, effects);
            }
            Event::Retracted { revision, mode, .. } => {
                self.take_back(at, revision, std::slice::from_ref(mode), effects);
            }
            Event::Reconciled {
                revision,
                retracted,
                ..
            } => self.take_back(at, revision, retracted, effects),
            Event::Excluded { revision, .. } | Event::Reinstated { revision, .. } => {
                self.exclude(at, revision, effects);
            }
            Event::Checked {
                revision, right, ..
            } => self.check(at, revision, *right, effects),
            Event::Imported(imported) => self.import(at, imported, effects),
            Event::Paced { hour, busy } => self.pace.note(*hour, *busy),
            Event::Held(request) => self.approvals.hold((**request).clone(), at),
            Event::Seen { approvals, by } => self.approvals.see(approvals, by, at),
            Event::Decided { approval, decision } => self.decided(at, *approval, decision, effects),
            Event::Withdrawn { approval, .. } => {
                let _ = self.approvals.withdraw(*approval, at);
            }
            Event::GrantGiven(grant) => self.timed.give((**grant).clone(), at),
            Event::GrantRevoked { grant, .. } => self.timed.revoke(*grant, at),
            Event::Clamped(clamp) => self.clamps.add(self.known(clamp)),
            Event::Released { .. } => self.clamps.clear(),
            Event::Waived { until, .. } => self.waive(at, *until),
            Event::Recovered {
                cause,
                fix,
                to,
                lasts,
                ..
            } => {
                self.account
                    .recover(at, to.clone(), *lasts, Arc::clone(cause), fix.clone());
            }
            Event::Promoted { to, .. } => self.promote(at, to),
            Event::Reviewed { by, note } => self.reviews.done(LastReview {
                at,
                by: by.clone(),
                note: note.clone(),
            }),
            Event::Demoted { to, .. } => self.lower(at, to, effects),
            Event::StepTaken { step, by, .. } => self.take_step(at, step, by),
            Event::Sampled { .. } if self.account.posture() != Posture::Healthy => {
                self.samples.apply(at, event);
            }
            Event::PolicyHeldBack { .. } | Event::Changed { .. } => {
                self.change_log.apply(at, event);
            }
            Event::Sampled { .. }
            | Event::Started { .. }
            | Event::Stopped
            | Event::PolicyAccepted { .. }
            | Event::PolicyRefused { .. }
            | Event::ApproversNamed { .. }
            | Event::AccessChanged(_)
            | Event::ClockJumped { .. }
            | Event::ClockAccepted { .. }
            | Event::IncidentOpened { .. }
            | Event::IncidentClosed { .. }
            | Event::Refused { .. }
            | Event::TurnedAway { .. }
            | Event::Remarked { .. }
            | Event::ChangeRefused { .. }
            | Event::SignedIn { .. }
            | Event::Followed(_) => {}
        }
    }

    /// A risky call goes: it uses what let it go, and is open until it is settled.
    fn admit(&mut self, at: Time, admission: &Admission) {
        if let Some(grant) = admission.under {
            self.timed.spend(grant);
        }
        if let (Some(approval), Some(digest)) = (admission.approval, &admission.digest) {
            self.granted(at, approval, digest, admission);
        }
        self.open_calls.insert(admission.call, admission.clone());
    }

    /// A run was unacceptable: `high` says whether it executed a `high` call by then, and
    /// `observed` what else the gate had seen of it.
    fn book_run(
        &mut self,
        at: Time,
        run: &RunRef,
        (high, observed): (bool, RunFlags),
        charges: &[Charge],
        effects: &mut Effects,
    ) {
        let posting = Posting {
            booked_at: at,
            shift: Shift {
                flags: RunFlagCounts::one(RunFlags::of(observed, charges)),
                ..Shift::of(FAILED, high)
            },
            modes: distinct(charges),
            counts: mode_shifts(charges),
            run: Some(run.clone()),
            ..Posting::default()
        };
        self.book(at, posting, true, effects);
        self.run_marked(at, run, Mark::Unacceptable, effects);
    }

    /// A run that was booked as unacceptable counts among those with a `high` call from now on.
    fn book_high(&mut self, at: Time, booked_at: Time, effects: &mut Effects) {
        let posting = Posting {
            booked_at,
            shift: Shift {
                high: FAILED,
                ..Shift::default()
            },
            ..Posting::default()
        };
        self.post(at, &posting, effects);
    }

    /// More is known against a booked run.
    fn worsen(&mut self, at: Time, revision: &Revision, effects: &mut Effects) {
        let posting = Posting {
            modes: moved(revision),
            ..revised(revision)
        };
        let is_unacceptable = revision.now == Mark::Unacceptable;
        self.book(at, posting, is_unacceptable, effects);
        self.run_marked(at, &revision.run, revision.now, effects);
    }

    /// These modes of a booked run no longer hold.
    fn take_back(
        &mut self,
        at: Time,
        revision: &Revision,
        modes: &[FailureMode],
        effects: &mut Effects,
    ) {
        let critical = &self.terms.objective.critical;
        let posting = Posting {
            modes: moved(revision),
            critical: modes.iter().any(|mode| critical.contains(mode)),
            ..revised(revision)
        };
        self.post(at, &posting, effects);
        self.run_marked(at, &revision.run, revision.now, effects);
    }

    /// A run was taken out of the budget, or put back.
    fn exclude(&mut self, at: Time, revision: &Revision, effects: &mut Effects) {
        self.post(at, &revised(revision), effects);
        let excluded = |mark| i64::from(mark == Mark::Excluded);
        self.steps.excluded(
            revision.booked_at,
            excluded(revision.now) - excluded(revision.was),
        );
        self.run_marked(at, &revision.run, revision.now, effects);
    }

    /// A person or a system judged a run.
    fn check(&mut self, at: Time, revision: &Revision, right: bool, effects: &mut Effects) {
        self.post(at, &revised(revision), effects);
        if right {
            self.steps.checked(&revision.run);
        }
    }

    fn import(&mut self, at: Time, imported: &Imported, effects: &mut Effects) {
        let terms = Arc::clone(&self.terms);
        let postings = imported.postings(&terms.objective);
        for turn in self.account.post_all(terms.budget(), at, &postings) {
            self.note_turn(at, turn, effects);
        }
    }

    /// Refused here too: what was asked for may have been allowed until a failure came first.
    fn waive(&mut self, at: Time, until: Time) {
        if self.may_waive(at) && until > at {
            self.waivers
                .retain(|given| at.since(*given) < WAIVERS_WITHIN);
            self.waivers.push_back(at);
            self.waiver = Some(Waiver {
                until: until.min(at.plus(MAX_WAIVER)),
                failures: 0,
            });
        }
    }

    /// Refused here too: a step may have been lost, and a review missed, since it was asked for.
    fn promote(&mut self, at: Time, to: &LevelName) {
        if !self.misses_review() {
            self.earn(at, self.known_level(to));
        }
    }

    fn lower(&mut self, at: Time, to: &LevelName, effects: &mut Effects) {
        if self.level_of(to) < self.level_of(&self.earned) {
            self.demote(at, self.known_level(to), effects);
        }
    }

    /// Refused here too: what was earned when it was asked for may not be any more.
    fn take_step(&mut self, at: Time, step: &StepName, by: &PersonName) {
        let earned = self
            .progress()
            .into_iter()
            .find(|progress| progress.step.name == *step && self.is_met(progress));
        if let Some(StepProgress { step, .. }) = earned {
            self.take(at, &step, Some(by.clone()));
        }
    }

    fn tally(&mut self, at: Time, cells: &[TalliedMinute], effects: &mut Effects) {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for cell in cells {
            let delta = |runs| Delta {
                runs: signed(runs),
                unacceptable: 0,
            };
            let shift = Shift {
                all: delta(cell.runs),
                high: delta(cell.high),
                idle: signed(cell.idle),
                flags: cell.flags,
            };
            let modes = cell.modes.iter().map(|(mode, count)| ModeShift {
                mode: mode.clone(),
                tool: None,
                change: signed(*count),
            });
            let at_tools = cell.tools.iter().flat_map(|(mode, tools)| {
                tools.iter().map(|(tool, count)| ModeShift {
                    mode: mode.clone(),
                    tool: Some(tool.clone()),
                    change: signed(*count),
                })
            });
            let counts = modes.chain(at_tools).collect();
            self.post(
                at,
                &Posting {
                    booked_at: cell.minute.start(),
                    shift,
                    counts,
                    ..Posting::default()
                },
                effects,
            );
        }
    }

    /// Books charges of one run. A critical mode burns at once, also when it comes later than the
    /// run's first mode; but a run that stands as anything but unacceptable, such as an excluded
    /// one, costs nothing.
    fn book(&mut self, at: Time, posting: Posting, is_unacceptable: bool, effects: &mut Effects) {
        let critical = is_unacceptable
            && posting
                .modes
                .iter()
                .any(|(mode, _)| self.terms.objective.critical.contains(mode));
        let posting = Posting {
            critical,
            ..posting
        };
        self.post(at, &posting, effects);
        if posting.shift.all.unacceptable > 0
            && let Some(waiver) = &mut self.waiver
        {
            waiver.failures += 1;
            if waiver.failures >= WAIVER_ENDS_AFTER {
                self.end_waiver(at, effects);
            }
        }
    }

    fn post(&mut self, at: Time, posting: &Posting, effects: &mut Effects) {
        let terms = Arc::clone(&self.terms);
        self.steps.count(posting.booked_at.min(at), &posting.shift);
        if posting.shift.all.runs > 0 {
            self.reviews.booked(at);
        }
        for turn in self.account.post(terms.budget(), at, posting) {
            self.note_turn(at, turn, effects);
        }
    }
}

fn revised(revision: &Revision) -> Posting {
    let stays_out = revision.was == Mark::Excluded && revision.now == Mark::Excluded;
    let counts = if stays_out {
        Vec::new()
    } else {
        revision.modes.clone()
    };
    Posting {
        booked_at: revision.booked_at,
        shift: shift(revision),
        counts,
        run: Some(revision.run.clone()),
        ..Posting::default()
    }
}

/// The modes that the run comes to stand with or without, each once.
fn moved(revision: &Revision) -> Vec<(FailureMode, i64)> {
    revision
        .modes
        .iter()
        .filter(|shift| shift.tool.is_none())
        .map(|shift| (shift.mode.clone(), shift.change))
        .collect()
}

fn distinct(charges: &[Charge]) -> Vec<(FailureMode, i64)> {
    let modes: BTreeSet<&FailureMode> = charges.iter().map(|charge| &charge.mode).collect();
    modes.into_iter().map(|mode| (mode.clone(), 1)).collect()
}

fn shift(revision: &Revision) -> Shift {
    let counts = |mark: Mark| match mark {
        Mark::Idle => (0, 0, 1),
        Mark::Acceptable => (1, 0, 0),
        Mark::Unacceptable => (1, 1, 0),
        Mark::Excluded => (0, 0, 0),
    };
    let (was, now) = (counts(revision.was), counts(revision.now));
    let flags = RunFlagCounts::between(revision.flags_were, revision.flags);
    Shift {
        idle: now.2 - was.2,
        flags,
        ..Shift::of(
            Delta {
                runs: now.0 - was.0,
                unacceptable: now.1 - was.1,
            },
            revision.high,
        )
    }
}
