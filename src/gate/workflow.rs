//! One workflow's part of the fold: its account, its levels, its held calls, and the effective
//! level that follows from them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::approval::{ApprovalQueue, TimedGrants};
use super::budget::account::{Account, Turn};
use super::budget::posture::Posture;
use super::change_log::ChangeLog;
use super::clamp::{Clamp, Clamps};
use super::earn;
use super::earn::Earned;
use super::escalated::Escalated;
use super::event::{Admission, Effect, Event};
use super::level::Level;
use super::name::{CallId, LevelName};
use super::pace::Pace;
use super::review::Reviews;
use super::sample::Samples;
use super::terms::Terms;
use super::time::{Time, days};

mod change;
mod levels;
mod view;

/// A waiver lasts at most this long.
pub const MAX_WAIVER: Duration = days(1);
/// The most waivers within [`WAIVERS_WITHIN`].
pub const MAX_WAIVERS: usize = 2;
/// The time over which waivers are counted.
pub const WAIVERS_WITHIN: Duration = days(30);
/// How many unacceptable runs end a waiver.
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
    approvals: ApprovalQueue,
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
            approvals: ApprovalQueue::default(),
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
        for turn in self.account.reconsider(self.terms.budget(), at) {
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
        for (at, turn) in self.account.advance(terms.budget(), self.now, now) {
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

    fn note_turn(&mut self, at: Time, turn: Turn, effects: &mut Effects) {
        match turn {
            Turn::Posture(from, to, why) => {
                effects.push((at, Effect::PostureChanged { from, to, why }));
                self.steps.posture_changed(at, to);
                // A waiver never holds in breached, and does not come back when the breach is over.
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
        self.terms.ladder.name(self.level_of(name)).clone()
    }

    /// The level of this name in the ladder, or the lowest where it has none.
    fn level_of(&self, name: &LevelName) -> Level {
        let ladder = &self.terms.ladder;
        ladder
            .find(name.as_str())
            .unwrap_or_else(|| ladder.lowest())
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
