//! Reading a workflow's state: its parts, what binds its level, and its status for deciding a call.

use std::sync::Arc;

use super::{MAX_WAIVERS, WAIVERS_WITHIN, Waiver, WorkflowState};
use crate::gate::approval::{ApprovalQueue, TimedGrants};
use crate::gate::budget::account::Account;
use crate::gate::budget::posture::Posture;
use crate::gate::budget::sentence;
use crate::gate::change_log::ChangeLog;
use crate::gate::clamp::Clamp;
use crate::gate::escalated::Escalated;
use crate::gate::event::Admission;
use crate::gate::level::{Changes, Level};
use crate::gate::name::{CallId, LevelName};
use crate::gate::pace::Pace;
use crate::gate::sample::Samples;
use crate::gate::status::{Binds, Effective, Status};
use crate::gate::terms::Terms;
use crate::gate::time::Time;

impl WorkflowState {
    /// The terms it is judged under.
    #[must_use]
    pub const fn terms(&self) -> &Arc<Terms> {
        &self.terms
    }

    /// Its budget over time.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Its held calls.
    #[must_use]
    pub const fn approvals(&self) -> &ApprovalQueue {
        &self.approvals
    }

    /// Its time-boxed grants.
    #[must_use]
    pub const fn timed(&self) -> &TimedGrants {
        &self.timed
    }

    /// How busy it has been.
    #[must_use]
    pub const fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Runs that handed their case to a person within the last day.
    #[must_use]
    pub const fn escalated(&self) -> &Escalated {
        &self.escalated
    }

    /// Admitted calls whose outcome is not known yet.
    pub fn open_calls(&self) -> impl Iterator<Item = (&CallId, &Admission)> {
        self.open_calls.iter()
    }

    /// The newest changes that shipped, and whether a policy is held back.
    #[must_use]
    pub const fn change_log(&self) -> &ChangeLog {
        &self.change_log
    }

    /// What calls looked like that failed since it was healthy.
    #[must_use]
    pub const fn samples(&self) -> &Samples {
        &self.samples
    }

    /// When its earned level was last set.
    #[must_use]
    pub const fn earned_since(&self) -> Time {
        self.earned_since
    }

    /// The lowest of the operators' clamps on this workflow alone.
    #[must_use]
    pub fn clamp(&self) -> Option<&Clamp> {
        self.clamps.lowest(&self.terms.ladder)
    }

    /// The lowest of the operators' clamps on every workflow.
    #[must_use]
    pub fn clamp_all(&self) -> Option<&Clamp> {
        self.clamps_all.lowest(&self.terms.ladder)
    }

    /// The latest time it has seen.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// The effective level and what bounds it: the lowest of what was earned, what the posture
    /// caps, and what an operator clamped.
    #[must_use]
    pub fn effective(&self) -> Effective<'_> {
        let terms = &self.terms;
        let known = |name: &LevelName| self.level_of(name);
        let earned = known(&self.earned);
        let posture = self.account.posture();
        let waived = self.waiver.is_some() && posture != Posture::Breached;
        let probation = self
            .account
            .probation()
            .map(|probation| probation.to.as_ref().map_or(earned, known));
        let cap = match posture {
            _ if waived || probation.is_some() => None,
            Posture::Healthy => None,
            Posture::AtRisk => Some(known(&terms.caps.at_risk)),
            Posture::Burned => Some(known(&terms.caps.burned)),
            Posture::Breached => Some(known(&terms.caps.breached)),
        };
        let clamp = [self.clamp(), self.clamp_all()]
            .into_iter()
            .flatten()
            .min_by_key(|clamp| known(&clamp.to));
        let (mut level, mut binds) = (earned, if waived { Binds::Waiver } else { Binds::Earned });
        let bounds = [
            (probation.filter(|_| !waived), Binds::Probation),
            (cap, Binds::Cap),
            (clamp.map(|clamp| known(&clamp.to)), Binds::Clamp),
        ];
        for (bound, bound_binds) in bounds {
            if let Some(bound) = bound.filter(|bound| *bound < level) {
                (level, binds) = (bound, bound_binds);
            }
        }
        Effective {
            level,
            earned,
            cap,
            clamp,
            binds,
        }
    }

    /// Where it stands, in everything that a call is judged by.
    #[must_use]
    pub fn status(&self) -> Status {
        let (terms, account, effective) = (self.terms(), self.account(), self.effective());
        let rung = self.rung(effective.level);
        let (all, high) = account.balances(&terms.objective, self.now());
        let name = |level: Level| terms.ladder.name(level).clone();
        let frozen_by_burn = account.burn().is_some_and(|burn| burn.cause.is_none());
        Status {
            earned: name(effective.earned),
            cap: effective.cap.map(name),
            clamp: effective.clamp.cloned(),
            ceiling: effective.clamp.map(|clamp| {
                terms
                    .ladder
                    .rung(
                        terms
                            .ladder
                            .find(clamp.to.as_str())
                            .unwrap_or_else(|| terms.ladder.lowest()),
                    )
                    .clone()
            }),
            binds: effective.binds,
            posture: account.posture(),
            all,
            high,
            remaining: all.remaining().min(high.remaining()),
            burn: account.burn_rates(&terms.objective, self.now()),
            pause: if account.posture() == Posture::Healthy {
                None
            } else {
                self.pace().usual(self.now())
            },
            changes: if frozen_by_burn {
                Changes::Frozen
            } else {
                rung.changes
            },
            why: match account.burn() {
                Some(burn) if account.posture() == Posture::Breached => Arc::clone(&burn.why),
                _ => sentence::spent(&all, &high).into(),
            },
            rung,
        }
    }

    /// The waiver that is on, where one is.
    #[must_use]
    pub const fn waiver(&self) -> Option<&Waiver> {
        self.waiver.as_ref()
    }

    /// May another waiver be given at `now`?
    #[must_use]
    pub fn may_waive(&self, now: Time) -> bool {
        self.account.posture() != Posture::Breached
            && self
                .waivers
                .iter()
                .filter(|at| now.since(**at) < WAIVERS_WITHIN)
                .count()
                < MAX_WAIVERS
    }
}
