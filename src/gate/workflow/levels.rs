//! How a workflow's level and what was earned at it come and go: the steps of its policy, demotion
//! by burns, and what decisions and late news say about both.

use std::sync::Arc;

use super::{Effects, WorkflowState};
use crate::gate::approval::{Approval, Attention, Decision};
use crate::gate::budget::burn_record::BurnRecord;
use crate::gate::digest::Digest;
use crate::gate::earn;
use crate::gate::earn::{Earned, Gain, Step, StepProgress};
use crate::gate::event::{Admission, Effect};
use crate::gate::level::{Level, Rung};
use crate::gate::name::{ApprovalId, LevelName, PersonName, StepName};
use crate::gate::review::Reviews;
use crate::gate::run::{Mark, RunRef};
use crate::gate::terms::Terms;
use crate::gate::time::Time;

impl WorkflowState {
    /// A workflow that was never seen before and reaches what another one does: it begins no higher
    /// than `level`.
    #[must_use]
    pub fn at_most(mut self, level: Level) -> Self {
        let ladder = &self.terms.ladder;
        if ladder
            .find(self.earned.as_str())
            .is_some_and(|earned| level < earned)
        {
            self.earned = ladder.name(level).clone();
        }
        self
    }

    /// What it has earned besides its level, and the counts that further steps are judged by.
    #[must_use]
    pub const fn steps(&self) -> &Earned {
        &self.steps
    }

    /// How far every step is that was not taken.
    #[must_use]
    pub fn progress(&self) -> Vec<StepProgress> {
        self.steps.progress(
            &self.terms.earn,
            &self.terms.objective,
            &self.terms.ladder,
            &self.earned,
            self.now,
        )
    }

    /// Has `progress` come far enough, and does nothing stand against it?
    #[must_use]
    pub fn is_met(&self, progress: &StepProgress) -> bool {
        self.steps.is_met(progress, self.account.posture()) && !self.misses_review()
    }

    /// When somebody last looked at how it does, and whether that is overdue.
    #[must_use]
    pub const fn reviews(&self) -> &Reviews {
        &self.reviews
    }

    /// Does every promotion wait for a review?
    #[must_use]
    pub fn misses_review(&self) -> bool {
        self.reviews.is_missed(self.terms.tier, self.now)
    }

    /// The demotion that is proposed, and since when.
    #[must_use]
    pub const fn demotion(&self) -> Option<&(LevelName, Time)> {
        self.demotion.as_ref()
    }

    /// The burns that count towards losing a level, oldest first.
    pub fn costly_burns(&self) -> impl Iterator<Item = &BurnRecord> {
        let (now, within) = (self.now, self.terms.lose.within);
        let since_demotion = move |at: Time| self.demoted_at.is_none_or(|demoted| at > demoted);
        self.account.burns().iter().filter(move |burn| {
            !burn.voided && now.since(burn.at) < within && since_demotion(burn.at)
        })
    }

    /// The reviews that are skipped now.
    #[must_use]
    pub fn skipped(&self) -> Arc<[StepName]> {
        self.steps.skipped(self.account.posture())
    }

    /// The rung of `level`, with what was earned on top.
    #[must_use]
    pub fn rung(&self, level: Level) -> Rung {
        self.steps.widened(
            self.terms.ladder.rung(level).clone(),
            self.account.posture(),
        )
    }

    /// Uses a grant: a call that a person approved is evidence for the steps that would have let it
    /// go.
    pub(super) fn granted(
        &mut self,
        at: Time,
        approval: ApprovalId,
        digest: &Digest,
        admission: &Admission,
    ) {
        let used = self
            .approvals
            .use_grant(approval, digest, admission.call, at)
            .is_ok();
        if let Some(known) = self
            .approvals
            .get(approval)
            .filter(|known| used && known.edit().is_none())
        {
            self.steps
                .approved(&admission.run, &known.request.steps, at);
        }
    }

    /// What is due of held calls, and which of them are over.
    pub(super) fn expire_approvals(&mut self, now: Time, effects: &mut Effects) {
        for due in self.approvals.attend(now) {
            let effect = match due {
                Attention::Due(approval) => Effect::ApprovalDue { approval },
                Attention::Escalated(approval, to) => Effect::ApprovalEscalated { approval, to },
            };
            effects.push((now, effect));
        }
        let expired = self.approvals.expire(now);
        self.note_expired(expired, now, effects);
    }

    /// What expired, and what of that nobody ever saw.
    pub(super) fn note_expired(&self, expired: Vec<ApprovalId>, at: Time, effects: &mut Effects) {
        for approval in expired {
            effects.push((at, Effect::ApprovalExpired { approval }));
            if self
                .approvals
                .get(approval)
                .is_some_and(Approval::is_unseen)
            {
                effects.push((at, Effect::ApprovalUnseen { approval }));
            }
        }
    }

    /// Records a decision on a held call. Judged by the fold's time, which never goes back: one
    /// dated ahead mints no longer grant.
    pub(super) fn decided(
        &mut self,
        at: Time,
        approval: ApprovalId,
        decision: &Decision,
        effects: &mut Effects,
    ) {
        let corrects = decision.corrects();
        if let Ok(Approval { request, .. }) = self.approvals.decide(
            approval,
            Decision {
                at,
                ..decision.clone()
            },
        ) && corrects
        {
            let run = RunRef {
                agent: request.agent.clone(),
                run: request.run.clone(),
            };
            let back = self.steps.denied(&run, &request.steps, at);
            effects.extend(back.into_iter().map(|step| (at, Effect::StepLost { step })));
        }
    }

    /// What new terms no longer give, or give otherwise, is earned no more; a level that was
    /// dropped with its ladder counts anew.
    pub(super) fn carry_steps(
        &mut self,
        earned: &LevelName,
        terms: &Terms,
        at: Time,
        effects: &mut Effects,
    ) {
        if self.earned != *earned {
            self.steps.level_changed(at, None, false);
            self.demotion = None;
        }
        let gain = |steps: &[Step], name: &StepName| {
            steps
                .iter()
                .find(|step| step.name == *name)
                .map(|step| step.gain.clone())
        };
        let before = Arc::clone(&self.terms);
        self.steps
            .forget_where(|name| gain(&before.earn.steps, name) != gain(&terms.earn.steps, name));
        effects.extend(
            self.steps
                .accept(&terms.earn)
                .into_iter()
                .map(|step| (at, Effect::StepLost { step })),
        );
    }

    /// Burns within the policy's time lose a level: by itself where the failure rate over that time
    /// is very likely too high, else as a proposal.
    pub(super) fn lose(&mut self, at: Time, effects: &mut Effects) {
        let lose = &self.terms.lose;
        let burns = self.costly_burns().count();
        let ladder = &self.terms.ladder;
        let earned = ladder
            .find(self.earned.as_str())
            .unwrap_or_else(|| ladder.lowest());
        let lower = earned.index().saturating_sub(lose.drop as usize);
        if lose.burns == 0 || burns < lose.burns as usize || lower == earned.index() {
            return;
        }
        let to = ladder.rungs()[lower].level.clone();
        let counts = self.account.full_tally(lose.within, at).all;
        if self.terms.objective.evidence.is_likely_worse(
            self.terms.objective.miss_ppm(),
            counts.runs,
            counts.unacceptable,
        ) {
            effects.push((at, Effect::Demoted { to: to.clone() }));
            self.demote(at, to, effects);
        } else {
            self.demotion = Some((to.clone(), at));
            effects.push((at, Effect::DemotionProposed { to }));
        }
    }

    /// Judges what was earned, at the end of a day.
    pub(super) fn judge_steps(&mut self, at: Time, effects: &mut Effects) {
        if self.misses_review() {
            return;
        }
        let (terms, posture) = (Arc::clone(&self.terms), self.account.posture());
        for reached in self.steps.judge(
            &terms.earn,
            &terms.objective,
            &terms.ladder,
            &self.earned,
            posture,
            at,
        ) {
            match reached {
                earn::Reached::Taken(step) => {
                    self.take(at, &step, None);
                    effects.push((at, Effect::StepEarned { step: step.name }));
                    // What was judged before a level changed is not judged of the new one.
                    if matches!(step.gain, Gain::Level { .. }) {
                        return;
                    }
                }
                earn::Reached::Proposed(step) => {
                    effects.push((at, Effect::StepProposed { step: step.name }));
                }
            }
        }
    }

    pub(super) fn take(&mut self, at: Time, step: &Step, by: Option<PersonName>) {
        match &step.gain {
            Gain::Level { to } => self.earn(at, to.clone()),
            Gain::Volume { .. } | Gain::VolumeTo { .. } | Gain::Skip { .. } => {
                self.steps.take(step, at, by);
            }
        }
    }

    /// What a run stands as may bear on reviews that are skipped, or may be.
    pub(super) fn run_marked(&mut self, at: Time, run: &RunRef, mark: Mark, effects: &mut Effects) {
        effects.extend(
            self.steps
                .run_marked(run, mark)
                .into_iter()
                .map(|step| (at, Effect::StepLost { step })),
        );
    }

    pub(super) fn earn(&mut self, at: Time, to: LevelName) {
        let ladder = &self.terms.ladder;
        let is_back = self
            .steps
            .lost()
            .is_some_and(|lost| ladder.find(to.as_str()) >= ladder.find(lost.as_str()));
        (self.earned, self.earned_since, self.demotion) = (to, at, None);
        self.steps.level_changed(at, None, is_back);
    }

    /// A level is lost, and with it what was earned at it. The burns behind that cost no further
    /// one.
    pub(super) fn demote(&mut self, at: Time, to: LevelName, effects: &mut Effects) {
        let ladder = &self.terms.ladder;
        let highest = self
            .steps
            .lost()
            .filter(|lost| ladder.find(lost.as_str()) > ladder.find(self.earned.as_str()))
            .unwrap_or(&self.earned)
            .clone();
        (
            self.earned,
            self.earned_since,
            self.demotion,
            self.demoted_at,
        ) = (to, at, None, Some(at));
        effects.extend(
            self.steps
                .level_changed(at, Some(highest), false)
                .into_iter()
                .map(|step| (at, Effect::StepLost { step })),
        );
    }
}
