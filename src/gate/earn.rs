//! What a workflow earns by keeping its budget, and how that is lost again: the steps of its
//! policy, days within budget, and evidence.
//!
//! Days alone earn nothing, since silence would then be success: the counted runs since the last
//! change of level must also be too many, with too few failures among them, to be chance. A step
//! that skips a review asks for more: that people approved the very calls that it would release,
//! and that whoever looked at those runs found them right. What is earned is lost with the level,
//! and a skipped review is back as soon as one of the calls that are still held is found wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::objective::Objective;
use super::budget::posture::Posture;
use super::budget::shift::Shift;
use super::level::{Ladder, Rung};
use super::name::{LevelName, PersonName, StepName};
use super::run::{Mark, RunRef};
use super::time::{Time, days};

mod reviewed;
mod step;

use reviewed::ReviewedRuns;
use step::more;

pub use reviewed::MOST_SAMPLES;
pub use step::{Earn, Gain, Step, StepTrigger};

/// A level that was lost is earned again after so long within budget, where no step of the policy
/// leads to it.
pub const REGAIN: Duration = days(30);
/// The name of the step that leads back to a level that was lost.
pub const REGAINED: &str = "regain";
/// More than one run excluded of so many counted stops promotion.
const EXCLUDED_ONE_IN: i64 = 50;
const DAY_MS: i64 = 86_400_000;

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenStep {
    /// When.
    pub at: Time,
    /// By whom; `None` where the policy takes it by itself.
    pub by: Option<PersonName>,
    /// What it gives: a policy that gives more under the same name has it earned anew.
    pub gain: Gain,
}

/// What a workflow has earned, and the counts that further steps are judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earned {
    /// The last change of level: days and runs count from here.
    base: Time,
    burning: bool,
    /// Days since `base` on which it was burned or breached, up to and including `spoiled_to`.
    spoiled: i64,
    spoiled_to: i64,
    runs: i64,
    unacceptable: i64,
    excluded: i64,
    taken: BTreeMap<StepName, TakenStep>,
    proposed: BTreeMap<StepName, Time>,
    /// The level that was lost last, until it is earned or given back.
    lost: Option<LevelName>,
    /// What people found of the calls that a step would release.
    samples: ReviewedRuns,
}

/// The counts that a step is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Runs.
    pub runs: u64,
    /// Unacceptable ones among them.
    pub unacceptable: u64,
    /// How many runs it takes with so many failures.
    pub needed: u64,
}

impl Proof {
    /// Are they enough?
    #[must_use]
    pub const fn is_enough(&self) -> bool {
        self.runs >= self.needed
    }
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepProgress {
    /// The step.
    pub step: Step,
    /// Days within budget.
    pub days: u32,
    /// What the counts say.
    pub proof: Proof,
    /// When it was first earned, where it waits for the operator.
    pub proposed: Option<Time>,
}

/// What follows from what was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// A step was earned and is taken.
    Taken(Step),
    /// A step was earned and waits for the operator.
    Proposed(Step),
}

impl Earned {
    /// Nothing yet, from `at` on.
    #[must_use]
    pub const fn new(at: Time, posture: Posture) -> Self {
        Earned {
            base: at,
            burning: burns(posture),
            spoiled: 0,
            spoiled_to: day(at),
            runs: 0,
            unacceptable: 0,
            excluded: 0,
            taken: BTreeMap::new(),
            proposed: BTreeMap::new(),
            lost: None,
            samples: ReviewedRuns::NONE,
        }
    }

    /// Since when days and runs count.
    #[must_use]
    pub const fn base(&self) -> Time {
        self.base
    }

    /// The steps that were taken.
    #[must_use]
    pub const fn taken(&self) -> &BTreeMap<StepName, TakenStep> {
        &self.taken
    }

    /// The level that was lost last and is not back.
    #[must_use]
    pub const fn lost(&self) -> Option<&LevelName> {
        self.lost.as_ref()
    }

    /// Whole UTC days since the last change of level on which it was neither burned nor breached.
    #[must_use]
    pub fn days(&self, now: Time) -> u32 {
        let (first, today) = (day(self.base), day(now));
        let yesterday = today - 1;
        // Today is not over: it counts neither way.
        let ended = self.spoiled - i64::from(self.spoiled_to == today && self.spoiled_to > first);
        let running = if self.burning {
            (yesterday - self.spoiled_to.max(first)).max(0)
        } else {
            0
        };
        u32::try_from((yesterday - first - ended - running).max(0)).unwrap_or(u32::MAX)
    }

    /// The counted runs since the last change of level.
    #[must_use]
    pub fn proof(&self, objective: &Objective) -> Proof {
        prove(objective, self.runs, self.unacceptable)
    }

    /// Do exclusions stop promotion? Above 2% of the counted runs, what was taken out says more
    /// than what was left in.
    #[must_use]
    pub const fn is_thinned(&self) -> bool {
        self.excluded * EXCLUDED_ONE_IN > self.runs
    }

    /// How far every step is that was not taken, in the policy's order; the way back to a lost
    /// level last.
    #[must_use]
    pub fn progress(
        &self,
        earn: &Earn,
        objective: &Objective,
        ladder: &Ladder,
        earned: &LevelName,
        now: Time,
    ) -> Vec<StepProgress> {
        let days = self.days(now);
        let steps = earn
            .steps
            .iter()
            .cloned()
            .chain(self.regain(earn, ladder, earned));
        let open = steps.filter(|step| !self.has(step, ladder, earned));
        open.map(|step| StepProgress {
            days,
            proof: self.proof_of(&step, earn, objective, now),
            proposed: self.proposed.get(&step.name).copied(),
            step,
        })
        .collect()
    }

    /// Is it earned? From at_risk on nothing expands, and nothing does while exclusions thin out
    /// what is counted.
    #[must_use]
    pub fn is_met(&self, progress: &StepProgress, posture: Posture) -> bool {
        posture == Posture::Healthy
            && !self.is_thinned()
            && progress.days >= progress.step.after_days
            && progress.proof.is_enough()
    }

    /// Judges every step at `now`: what is earned is taken or proposed, and what is no longer
    /// earned is no longer proposed.
    pub fn judge(
        &mut self,
        earn: &Earn,
        objective: &Objective,
        ladder: &Ladder,
        earned: &LevelName,
        posture: Posture,
        now: Time,
    ) -> Vec<Reached> {
        if earn.is_empty() && self.lost.is_none() {
            return Vec::new();
        }
        let mut reached = Vec::new();
        for progress in self.progress(earn, objective, ladder, earned, now) {
            let is_met = self.is_met(&progress, posture);
            let StepProgress { step, proposed, .. } = progress;
            match (is_met, step.how) {
                (false, _) => drop(self.proposed.remove(&step.name)),
                (true, StepTrigger::Automatic) => reached.push(Reached::Taken(step)),
                (true, StepTrigger::Propose) if proposed.is_none() => {
                    self.proposed.insert(step.name.clone(), now);
                    reached.push(Reached::Proposed(step));
                }
                (true, StepTrigger::Propose) => {}
            }
        }
        reached
    }

    /// The next time at which a day ends that may earn something; `None` while there is nothing to
    /// earn.
    #[must_use]
    pub fn next_day(
        &self,
        earn: &Earn,
        ladder: &Ladder,
        earned: &LevelName,
        now: Time,
    ) -> Option<Time> {
        let open = self.lost.is_some()
            || earn
                .steps
                .iter()
                .any(|step| !self.has(step, ladder, earned));
        open.then(|| Time::from_millis((day(now) + 1).saturating_mul(DAY_MS)))
    }

    /// `step` is taken.
    pub fn take(&mut self, step: &Step, at: Time, by: Option<PersonName>) {
        self.proposed.remove(&step.name);
        self.taken.insert(
            step.name.clone(),
            TakenStep {
                at,
                by,
                gain: step.gain.clone(),
            },
        );
        // What was seen until now was reviewed call by call. From here on it is the calls that are
        // held all the same that speak.
        self.forget(&step.name);
    }

    /// The level changed: everything counts anew from here. Losing a level loses what was earned at
    /// it; returns the steps that were lost.
    pub fn level_changed(
        &mut self,
        at: Time,
        lost: Option<LevelName>,
        is_back: bool,
    ) -> Vec<StepName> {
        (self.base, self.spoiled, self.spoiled_to) = (at, 0, day(at));
        (self.runs, self.unacceptable, self.excluded) = (0, 0, 0);
        self.proposed.clear();
        self.samples.clear();
        if lost.is_some() {
            self.lost = lost;
            return std::mem::take(&mut self.taken).into_keys().collect();
        }
        if is_back {
            self.lost = None;
        }
        Vec::new()
    }

    /// New terms: what their steps give no longer, or give otherwise, is not earned. Returns the
    /// steps that were lost.
    pub fn accept(&mut self, earn: &Earn) -> Vec<StepName> {
        let gives = |name: &StepName, gain: &Gain| {
            earn.steps
                .iter()
                .any(|step| step.name == *name && step.gain == *gain)
        };
        let lost: Vec<_> = self
            .taken
            .iter()
            .filter(|(name, taken)| !gives(name, &taken.gain))
            .map(|(name, _)| name.clone())
            .collect();
        self.taken.retain(|name, _| !lost.contains(name));
        self.proposed.clear();
        lost
    }

    /// Forgets what was found of calls that a step under these names would release: under new terms
    /// it would release others.
    pub fn forget_where(&mut self, changed: impl Fn(&StepName) -> bool) {
        self.samples.forget_where(changed);
    }

    /// The posture changed.
    pub const fn posture_changed(&mut self, at: Time, to: Posture) {
        let (today, burns) = (day(at), burns(to));
        if burns || self.burning {
            let from = if burns && !self.burning {
                max(self.spoiled_to, today - 1)
            } else {
                self.spoiled_to
            };
            let (first, from) = (day(self.base), max(from, day(self.base)));
            if today > first && today > from {
                self.spoiled += today - from;
            }
            self.spoiled_to = max(self.spoiled_to, today);
        }
        self.burning = burns;
    }

    /// Runs were booked at `booked_at`, or what they stand as changed. By whole minutes, as runs
    /// are tallied.
    pub fn count(&mut self, booked_at: Time, shift: &Shift) {
        if booked_at.minute() > self.base.minute() {
            self.runs = self.runs.saturating_add(shift.all.runs);
            self.unacceptable = self.unacceptable.saturating_add(shift.all.unacceptable);
        }
    }

    /// A run went out of the budget, or came back.
    pub fn excluded(&mut self, booked_at: Time, change: i64) {
        if booked_at.minute() > self.base.minute() {
            self.excluded = self.excluded.saturating_add(change);
        }
    }

    /// A held call that `steps` would have released was approved and went.
    pub fn approved(&mut self, run: &RunRef, steps: &[StepName], at: Time) {
        self.samples.note(run, steps, at);
    }

    /// A held call that `steps` would have released was denied as wrong. Returns the skipped
    /// reviews that are back.
    pub fn denied(&mut self, run: &RunRef, steps: &[StepName], at: Time) -> Vec<StepName> {
        self.samples.denied(run, steps, at);
        self.restore(steps)
    }

    /// Somebody judged a run and found it right.
    pub fn checked(&mut self, run: &RunRef) {
        self.samples.checked(run);
    }

    /// A run stands as `mark` now. Returns the skipped reviews that are back.
    pub fn run_marked(&mut self, run: &RunRef, mark: Mark) -> Vec<StepName> {
        let steps = self.samples.run_marked(run, mark);
        self.restore(&steps)
    }

    /// `rung` with what was earned on top. In burned and breached what was earned rests.
    #[must_use]
    pub fn widened(&self, mut rung: Rung, posture: Posture) -> Rung {
        if let Some(volume) = rung.volume.filter(|_| !burns(posture)) {
            rung.volume = Some(
                self.taken
                    .values()
                    .map(|taken| taken.gain.widened(volume))
                    .fold(volume, more),
            );
        }
        rung
    }

    /// The reviews that are skipped. In burned and breached none is.
    #[must_use]
    pub fn skipped(&self, posture: Posture) -> Arc<[StepName]> {
        let skips = self
            .taken
            .iter()
            .filter(|(_, taken)| matches!(taken.gain, Gain::Skip { .. }) && !burns(posture));
        skips.map(|(name, _)| name.clone()).collect()
    }

    /// A call that was held although its review is skipped turned out wrong: the review is back, to
    /// be earned anew.
    fn restore(&mut self, steps: &[StepName]) -> Vec<StepName> {
        let back: Vec<_> = steps
            .iter()
            .filter(|step| self.taken.remove(*step).is_some())
            .cloned()
            .collect();
        for step in &back {
            self.forget(step);
        }
        back
    }

    fn forget(&mut self, step: &StepName) {
        self.forget_where(|known| known == step);
    }

    fn has(&self, step: &Step, ladder: &Ladder, earned: &LevelName) -> bool {
        match &step.gain {
            Gain::Level { to } => ladder.find(to.as_str()) <= ladder.find(earned.as_str()),
            Gain::Volume { .. } | Gain::VolumeTo { .. } | Gain::Skip { .. } => {
                self.taken.contains_key(&step.name)
            }
        }
    }

    /// The way back to a level that was lost, where the policy names none.
    fn regain(&self, earn: &Earn, ladder: &Ladder, earned: &LevelName) -> Option<Step> {
        let lost = self
            .lost
            .as_ref()
            .and_then(|lost| ladder.find(lost.as_str()))?;
        let above = ladder
            .find(earned.as_str())
            .filter(|earned| *earned < lost)?;
        // One level at a time, however many were lost.
        let to = ladder.rungs().get(above.index() + 1)?.level.clone();
        let leads_back = |step: &Step| matches!(&step.gain, Gain::Level { to: level } if ladder.find(level.as_str()) >= ladder.find(to.as_str()));
        let after_days = u32::try_from(REGAIN.as_secs() / 86_400).unwrap_or(u32::MAX);
        (!earn.steps.iter().any(leads_back)).then(|| Step {
            name: REGAINED.into(),
            after_days,
            gain: Gain::Level { to },
            how: StepTrigger::Propose,
        })
    }

    fn proof_of(&self, step: &Step, earn: &Earn, objective: &Objective, now: Time) -> Proof {
        match &step.gain {
            Gain::Volume { .. } | Gain::VolumeTo { .. } | Gain::Level { .. } => {
                self.proof(objective)
            }
            Gain::Skip { .. } => {
                let (runs, wrong) = self.samples.judged(&step.name, earn.settle, now);
                prove(objective, runs, wrong)
            }
        }
    }
}

fn prove(objective: &Objective, runs: i64, unacceptable: i64) -> Proof {
    let [runs, unacceptable] = [runs, unacceptable].map(|count| u64::try_from(count).unwrap_or(0));
    Proof {
        runs,
        unacceptable,
        needed: objective
            .evidence
            .runs_needed(objective.miss_ppm(), unacceptable)
            .max(1),
    }
}

/// Does a day end at `at`? Steps are judged then and at no other time.
#[must_use]
pub const fn is_day_end(at: Time) -> bool {
    at.as_millis().rem_euclid(DAY_MS) == 0
}

const fn burns(posture: Posture) -> bool {
    matches!(posture, Posture::Burned | Posture::Breached)
}

const fn day(at: Time) -> i64 {
    at.as_millis().div_euclid(DAY_MS)
}

const fn max(one: i64, other: i64) -> i64 {
    if one > other { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusions_stop_promotion_above_one_in_fifty_and_not_at_it() {
        let mut earned = Earned::new(Time::default(), Posture::Healthy);
        (earned.runs, earned.excluded) = (2 * EXCLUDED_ONE_IN, 2);
        assert!(!earned.is_thinned());
        earned.runs -= 1;
        assert!(earned.is_thinned());
    }
}
