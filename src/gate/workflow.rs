//! One workflow's part of the fold: its account, its levels, its held calls, and the effective
//! level that follows from them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::approval::{Queue, TimedGrants};
use super::budget::account::{Account, Posting, Turn};
use super::budget::posture::Posture;
use super::budget::window::{Delta, Shift};
use super::change_log::ChangeLog;
use super::earn;
use super::earn::{Earned, Progress};
use super::escalated::Escalated;
use super::event::{Admission, Cell, Clamp, Effect, Event, Revision};
use super::facets::{FacetCounts, Facets, ModeShift, mode_shifts};
use super::name::{CallId, LevelName};
use super::outcome::FailureMode;
use super::pace::Pace;
use super::policy::Terms;
use super::review::{Done, Reviews};
use super::run::{Charge, Mark};
use super::sample::Samples;
use super::time::{Time, days};

mod clamps;
mod levels;
mod view;

pub use clamps::Clamps;

/// A waiver lasts at most this long.
pub const MAX_WAIVER: Duration = days(1);
/// So many waivers within [`WAIVERS_WITHIN`].
pub const MAX_WAIVERS: usize = 2;
/// The time over which waivers are counted.
pub const WAIVERS_WITHIN: Duration = days(30);
/// So many unacceptable runs end a waiver.
const WAIVER_ENDS_AFTER: u32 = 2;

/// What the journal adds up to for one workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowState {
    now: Time,
    terms: Arc<Terms>,
    account: Account,
    earned: LevelName,
    earned_since: Time,
    clamps: Clamps,
    clamps_all: Clamps,
    waiver: Option<Waiver>,
    waivers: VecDeque<Time>,
    approvals: Queue,
    open_calls: BTreeMap<CallId, Admission>,
    demoted_at: Option<Time>,
    #[serde(default)]
    pace: Pace,
    #[serde(default)]
    timed: TimedGrants,
    #[serde(default, skip_serializing_if = "Escalated::is_empty")]
    escalated: Escalated,
    #[serde(default, skip_serializing_if = "ChangeLog::is_empty")]
    change_log: ChangeLog,
    /// A level that burns cost without strong evidence, since when: the operator decides.
    demotion: Option<(LevelName, Time)>,
    steps: Earned,
    #[serde(default, skip_serializing_if = "Samples::is_empty")]
    samples: Samples,
    reviews: Reviews,
}

/// A suspension of the posture's cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// When it runs out.
    pub until: Time,
    /// Unacceptable runs since it began.
    pub failures: u32,
}

type Effects = Vec<(Time, Effect)>;

impl WorkflowState {
    /// A workflow that was never seen before.
    #[must_use]
    pub fn new(at: Time, terms: Arc<Terms>, clamps_all: Clamps, lost: bool) -> Self {
        let account = if lost {
            Account::lost(at)
        } else {
            Account::default()
        };
        WorkflowState {
            now: at,
            steps: Earned::new(at, account.posture()),
            account,
            earned: terms
                .ladder
                .name(
                    terms
                        .ladder
                        .find(terms.starts.as_str())
                        .unwrap_or_else(|| terms.ladder.lowest()),
                )
                .clone(),
            earned_since: at,
            terms,
            clamps: Clamps::default(),
            clamps_all,
            waiver: None,
            waivers: VecDeque::new(),
            approvals: Queue::default(),
            open_calls: BTreeMap::new(),
            demoted_at: None,
            pace: Pace::default(),
            timed: TimedGrants::default(),
            escalated: Escalated::default(),
            change_log: ChangeLog::default(),
            demotion: None,
            samples: Samples::default(),
            reviews: Reviews::new(at),
        }
    }

    /// Applies one event of this workflow and returns what followed, with its time.
    pub fn apply(&mut self, at: Time, event: &Event) -> Effects {
        let mut effects = self.advance(at);
        let before = self.level();
        let at = self.now;
        self.change(at, event, &mut effects);
        self.note_level(before, at, &mut effects);
        effects
    }

    /// Applies one event that concerns every workflow.
    pub fn apply_everywhere(&mut self, at: Time, event: &Event) -> Effects {
        let mut effects = self.advance(at);
        let before = self.level();
        let at = self.now;
        match event {
            Event::Clamped(clamp) => self.clamps_all.add(self.known(clamp)),
            Event::Released { .. } => self.clamps_all.clear(),
            Event::ApproversNamed { people } => {
                self.approvals.keep_approvers(people);
                self.timed.keep_people(people, at);
            }
            Event::ClockJumped { wall } => {
                // By that clock they are over. Nothing else is: a leap lifts no clamp, ends no burn
                // and ages no window.
                let expired = self.approvals.expire_by(*wall, at);
                self.note_expired(expired, at, &mut effects);
            }
            _ => {}
        }
        self.note_level(before, at, &mut effects);
        effects
    }

    /// New terms. The earned level is carried to the new ladder and never widens; the posture is
    /// judged under them at once.
    pub fn accept(&mut self, at: Time, terms: Arc<Terms>) -> Effects {
        let mut effects = self.advance(at);
        let before = self.level();
        let old = &self.terms.ladder;
        // A name that stood for no level so far was as good as the lowest: a ladder that brings it
        // in does not raise it.
        let carried = |name: &LevelName| match old.find(name.as_str()) {
            Some(_) => terms.ladder.name(terms.ladder.carry(name, old)).clone(),
            None => terms.ladder.name(terms.ladder.lowest()).clone(),
        };
        let before_earned = self.earned.clone();
        let earned = carried(&self.earned);
        self.earned = earned;
        self.account.carry(carried);
        self.clamps = self.clamps.carried(carried);
        self.clamps_all = self.clamps_all.carried(carried);
        let at = self.now;
        self.carry_steps(&before_earned, &terms, at, &mut effects);
        self.terms = terms;
        self.change_log.thaw();
        for turn in self.account.reconsider(&Arc::clone(&self.terms), at) {
            self.note_turn(at, turn, &mut effects);
        }
        self.note_level(before, at, &mut effects);
        effects
    }

    /// Lets time pass until `now`: what follows from that alone happens at its own moment, however
    /// often and whenever this is called.
    pub fn advance(&mut self, now: Time) -> Effects {
        let mut effects = Vec::new();
        let now = now.max(self.now);
        loop {
            let deadline = self.next_deadline().filter(|at| *at <= now);
            let until = deadline.unwrap_or(now).max(self.now);
            while let Some(at) = self
                .account
                .next_change(&self.terms.objective, self.now)
                .filter(|at| *at <= until)
            {
                self.pass(at, &mut effects);
            }
            self.pass(until, &mut effects);
            self.end(until, &mut effects);
            if deadline.is_none() {
                return effects;
            }
        }
    }

    /// Lets the account see `now`, at most its next change.
    fn pass(&mut self, now: Time, effects: &mut Effects) {
        let before = self.level();
        let terms = Arc::clone(&self.terms);
        for (at, turn) in self.account.advance(&terms, self.now, now) {
            self.note_turn(at, turn, effects);
        }
        self.now = now;
        self.note_level(before, now, effects);
    }

    /// Ends what ends at `now`.
    fn end(&mut self, now: Time, effects: &mut Effects) {
        let before = self.level();
        self.expire_approvals(now, effects);
        for _ in 0..self.clamps.expire(now) + self.clamps_all.expire(now) {
            effects.push((now, Effect::ClampExpired));
        }
        if self.waiver.is_some_and(|waiver| waiver.until <= now) {
            self.end_waiver(now, effects);
        }
        if earn::is_day_end(now) {
            self.judge_steps(now, effects);
        }
        if let Some(since) = self.reviews.pass(now) {
            effects.push((now, Effect::ReviewOverdue { since }));
        }
        self.note_level(before, now, effects);
    }

    /// The next time at which something happens by itself; `None` while nothing will.
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        let account = self.account.next_change(&self.terms.objective, self.now);
        self.next_deadline()
            .into_iter()
            .chain(account)
            .chain(self.approvals.next_forgotten())
            .min()
    }

    fn next_deadline(&self) -> Option<Time> {
        let clamps = self.clamps.ends().chain(self.clamps_all.ends());
        let day = self
            .steps
            .next_day(&self.terms.earn, &self.terms.ladder, &self.earned, self.now);
        let held = self
            .approvals
            .next_deadline()
            .into_iter()
            .chain(self.approvals.next_attention());
        clamps
            .chain(self.waiver.map(|waiver| waiver.until))
            .chain(held)
            .chain(day)
            .chain(self.reviews.due())
            .min()
    }

    fn change(&mut self, at: Time, event: &Event, effects: &mut Effects) {
        match event {
            Event::Admitted(admission) => {
                if let Some(grant) = admission.under {
                    self.timed.spend(grant);
                }
                if let (Some(approval), Some(digest)) = (admission.approval, &admission.digest) {
                    self.granted(at, approval, digest, admission);
                }
                self.open_calls.insert(admission.call, admission.clone());
            }
            Event::Settled { call, .. } => {
                self.open_calls.remove(call);
            }
            Event::Tallied { cells } => self.tally(at, cells, effects),
            Event::Booked {
                run,
                high,
                charges,
                seen,
            } => {
                let facets = FacetCounts::one(Facets::of(*seen, charges));
                let shift = Shift {
                    facets,
                    ..Shift::of(
                        Delta {
                            runs: 1,
                            unacceptable: 1,
                        },
                        *high,
                    )
                };
                let (modes, counts) = (distinct(charges), mode_shifts(charges));
                self.book(
                    at,
                    Posting {
                        booked_at: at,
                        shift,
                        modes,
                        counts,
                        run: Some(run.clone()),
                        ..Posting::default()
                    },
                    true,
                    effects,
                );
                self.stands(at, run, Mark::Unacceptable, effects);
            }
            Event::BookedHigh { booked_at, .. } => {
                let shift = Shift {
                    high: Delta {
                        runs: 1,
                        unacceptable: 1,
                    },
                    ..Shift::default()
                };
                self.post(
                    at,
                    &Posting {
                        booked_at: *booked_at,
                        shift,
                        ..Posting::default()
                    },
                    effects,
                );
            }
            Event::Escalated { run } => self.escalated.note(at, run),
            Event::Reported { revision, .. } | Event::Noted { revision } => {
                self.book(
                    at,
                    Posting {
                        modes: moved(revision),
                        ..revised(revision)
                    },
                    revision.now == Mark::Unacceptable,
                    effects,
                );
                self.stands(at, &revision.run, revision.now, effects);
            }
            Event::Retracted { revision, mode, .. } => {
                let critical = self.terms.objective.critical.contains(mode);
                self.post(
                    at,
                    &Posting {
                        modes: moved(revision),
                        critical,
                        ..revised(revision)
                    },
                    effects,
                );
                self.stands(at, &revision.run, revision.now, effects);
            }
            Event::Reconciled {
                revision,
                retracted,
                ..
            } => {
                let critical = retracted
                    .iter()
                    .any(|mode| self.terms.objective.critical.contains(mode));
                self.post(
                    at,
                    &Posting {
                        modes: moved(revision),
                        critical,
                        ..revised(revision)
                    },
                    effects,
                );
                self.stands(at, &revision.run, revision.now, effects);
            }
            Event::Excluded { revision, .. } | Event::Reinstated { revision, .. } => {
                self.post(at, &revised(revision), effects);
                let excluded = |mark| i64::from(mark == Mark::Excluded);
                self.steps.excluded(
                    revision.booked_at,
                    excluded(revision.now) - excluded(revision.was),
                );
                self.stands(at, &revision.run, revision.now, effects);
            }
            Event::Checked {
                revision, right, ..
            } => {
                self.post(at, &revised(revision), effects);
                if *right {
                    self.steps.checked(&revision.run);
                }
            }
            Event::Imported(imported) => {
                let terms = Arc::clone(&self.terms);
                let turns = self
                    .account
                    .post_all(&terms, at, &imported.postings(&terms.objective));
                for turn in turns {
                    self.note_turn(at, turn, effects);
                }
            }
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
            // Refused here too: what was asked for may have been allowed until a failure came
            // first.
            Event::Waived { until, .. } if self.may_waive(at) && *until > at => {
                self.waivers
                    .retain(|given| at.since(*given) < WAIVERS_WITHIN);
                self.waivers.push_back(at);
                self.waiver = Some(Waiver {
                    until: (*until).min(at.plus(MAX_WAIVER)),
                    failures: 0,
                });
            }
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
            // Refused here too: a step may have been lost, and a review missed, since it was asked
            // for.
            Event::Promoted { to, .. } => {
                if !self.misses_review() {
                    self.earn(at, self.known_level(to));
                }
            }
            Event::Reviewed { by, note } => self.reviews.done(Done {
                at,
                by: by.clone(),
                note: note.clone(),
            }),
            Event::Demoted { to, .. } => {
                let place = |name: &LevelName| {
                    self.terms
                        .ladder
                        .find(name.as_str())
                        .unwrap_or_else(|| self.terms.ladder.lowest())
                };
                if place(to) < place(&self.earned) {
                    self.demote(at, self.known_level(to), effects);
                }
            }
            Event::StepTaken { step, by, .. } => {
                // Refused here too: what was earned when it was asked for may not be any more.
                let earned = self
                    .progress()
                    .into_iter()
                    .find(|progress| progress.step.name == *step && self.is_met(progress));
                if let Some(Progress { step, .. }) = earned {
                    self.take(at, &step, Some(by.clone()));
                }
            }
            Event::Sampled { .. } if self.account.posture() != Posture::Healthy => {
                self.samples.apply(at, event);
            }
            Event::PolicyHeldBack { .. } | Event::Changed { .. } => {
                self.change_log.apply(at, event);
            }
            Event::Waived { .. }
            | Event::Sampled { .. }
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

    fn tally(&mut self, at: Time, cells: &[Cell], effects: &mut Effects) {
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
                facets: cell.facets,
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
        for turn in self.account.post(&terms, at, posting) {
            self.note_turn(at, turn, effects);
        }
    }

    fn note_turn(&mut self, at: Time, turn: Turn, effects: &mut Effects) {
        match turn {
            Turn::Posture(from, to, why) => {
                effects.push((at, Effect::PostureChanged { from, to, why }));
                self.steps.posture_changed(at, to);
                // Never in breached; nor does one wait there until the breach is over.
                if to == Posture::Breached {
                    self.end_waiver(at, effects);
                }
                if to == Posture::Healthy {
                    self.samples.forget();
                }
            }
            Turn::BurnVoided => effects.push((at, Effect::BurnVoided)),
            Turn::ProbationEnded(lasted) => effects.push((at, Effect::ProbationEnded { lasted })),
            Turn::BurnOpened => {
                effects.push((at, Effect::BurnOpened));
                self.lose(at, effects);
            }
        }
    }

    /// `clamp`, spelled as a level of this ladder: one that it does not know is as good as the
    /// lowest.
    fn known(&self, clamp: &Clamp) -> Clamp {
        Clamp {
            to: self.known_level(&clamp.to),
            ..clamp.clone()
        }
    }

    fn known_level(&self, name: &LevelName) -> LevelName {
        let ladder = &self.terms.ladder;
        ladder
            .name(
                ladder
                    .find(name.as_str())
                    .unwrap_or_else(|| ladder.lowest()),
            )
            .clone()
    }

    fn end_waiver(&mut self, at: Time, effects: &mut Effects) {
        if self.waiver.take().is_some() {
            effects.push((at, Effect::WaiverEnded));
        }
    }

    fn level(&self) -> LevelName {
        self.terms.ladder.name(self.effective().level).clone()
    }

    fn note_level(&self, before: LevelName, at: Time, effects: &mut Effects) {
        let after = self.level();
        if after != before {
            effects.push((
                at,
                Effect::LevelChanged {
                    from: before,
                    to: after,
                    binds: self.effective().binds.as_str().into(),
                },
            ));
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
    let facets = FacetCounts::between(revision.facets_were, revision.facets);
    Shift {
        idle: now.2 - was.2,
        facets,
        ..Shift::of(
            Delta {
                runs: now.0 - was.0,
                unacceptable: now.1 - was.1,
            },
            revision.high,
        )
    }
}
