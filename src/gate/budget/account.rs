//! A workflow's budget over time: its counts, its posture, its burns and the way back from them.
//!
//! Two budgets are kept, over all runs and over those that executed a `high` call; the posture is
//! the worse of the two. Burned and breached are entered only by an event that adds an unacceptable
//! run: ageing and falling traffic never enter them. What was once the posture is never rewritten;
//! late facts change the counts where the run was booked, and the posture is judged now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::balance::Balance;
use super::burn::{Burn, BurnRates};
use super::burn_record::BurnRecord;
use super::objective::Objective;
use super::posting::Posting;
use super::posture::Posture;
use super::shift::{Shift, Tally};
use super::totals::{Added, BudgetTotals, Grounds};
use super::window::{KEPT_HOURS, Totals, Window};
use crate::gate::budget::posture::Recovery;
use crate::gate::name::LevelName;
use crate::gate::outcome::FailureMode;
use crate::gate::time::{Minute, Time, days, hours};

/// An entry into burned or breached so soon after leaving continues the burn that was left; and a
/// burn is left no sooner than this after it was entered.
pub const SETTLES: Duration = hours(24);
/// Burns are remembered this long.
pub const REMEMBERED: Duration = days(366);
/// The most burns that are remembered.
pub const MAX_BURNS: usize = 256;
/// A workflow's budget over time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    window: Window,
    posture: Posture,
    /// When the posture was entered.
    since: Time,
    /// From when on a burn settles: its entry, or the end of a probation that was used up.
    settles_from: Time,
    /// The budget counts eras from here on.
    counts_from: Time,
    burns: Vec<BurnRecord>,
    probation: Option<Probation>,
    last_recovery: Option<Time>,
}

/// The way back: a level up to the earned one, with a budget of its own over the runs booked since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probation {
    /// When it began; its runs are those booked from here on.
    pub from: Time,
    /// When it has lasted.
    pub until: Time,
    /// The level it opens; `None` for the earned one.
    pub to: Option<LevelName>,
}

/// What happened to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// The posture changed, for the reason given.
    Posture(Posture, Posture, Arc<str>),
    /// A burn began.
    BurnOpened,
    /// The failures behind a burn are gone.
    BurnVoided,
    /// A probation ended, and whether it lasted.
    ProbationEnded(bool),
}

/// What a budget is judged under.
#[derive(Debug, Clone, Copy)]
pub struct BudgetRules<'a> {
    /// The objective.
    pub objective: &'a Objective,
    /// How a burn is left without a probation.
    pub recovery: Recovery,
}

impl Account {
    /// An account that begins burned, because what it stood at was lost.
    #[must_use]
    pub fn lost(now: Time) -> Self {
        let why: Arc<str> = "the ledger was lost; the budget starts burned".into();
        // Nothing that can be taken back is behind it.
        let grounds = Some(Grounds {
            high: false,
            since: now,
            have: 0,
            need: 0,
        });
        let burn = BurnRecord::new(now, Posture::Burned, why, BTreeMap::new(), grounds);
        Account {
            posture: Posture::Burned,
            since: now,
            settles_from: now,
            burns: vec![burn],
            ..Account::default()
        }
    }

    /// The posture.
    #[must_use]
    pub const fn posture(&self) -> Posture {
        self.posture
    }

    /// When the posture was entered.
    #[must_use]
    pub const fn since(&self) -> Time {
        self.since
    }

    /// The burns that are remembered, oldest first.
    #[must_use]
    pub fn burns(&self) -> &[BurnRecord] {
        &self.burns
    }

    /// The burn that is on, where one is.
    #[must_use]
    pub fn burn(&self) -> Option<&BurnRecord> {
        self.burns.last().filter(|burn| burn.left.is_none())
    }

    /// The probation that is on, where one is.
    #[must_use]
    pub const fn probation(&self) -> Option<&Probation> {
        self.probation.as_ref()
    }

    /// The budgets over all runs and over those that executed a `high` call.
    #[must_use]
    pub fn balances(&self, objective: &Objective, now: Time) -> (Balance, Balance) {
        let totals = self.budget_totals(objective, now);
        (totals.all, totals.high)
    }

    /// The counts of the budget's window.
    #[must_use]
    pub fn tally(&self, objective: &Objective, now: Time) -> Tally {
        self.window.sum(objective.window, now, self.counts_from)
    }

    /// The counts of the full window, whatever probations began in it.
    #[must_use]
    pub fn full_tally(&self, span: Duration, now: Time) -> Tally {
        self.window.sum(span, now, Time::default())
    }

    /// The budget's counts with the failure modes behind them.
    #[must_use]
    pub fn totals(&self, objective: &Objective, now: Time) -> Totals {
        self.window.totals(objective.window, now, self.counts_from)
    }

    /// What was counted in the whole hours from that of `since` to that of `until`, whatever
    /// probations began in them. At most [`KEPT_HOURS`] are kept.
    #[must_use]
    pub fn between(&self, since: Time, until: Time) -> Totals {
        self.window.between(since, until)
    }

    /// The burn rates over all runs.
    #[must_use]
    pub fn burn_rates(&self, objective: &Objective, now: Time) -> BurnRates {
        Burn::of(objective).rates(&self.window.look_backs(now, self.counts_from).0)
    }

    /// Posts a change and judges the posture at `now`. Nothing is booked ahead of `now`.
    pub fn post(&mut self, rules: BudgetRules<'_>, now: Time, posting: &Posting) -> Vec<Turn> {
        self.post_all(rules, now, std::slice::from_ref(posting))
    }

    /// Posts changes as one: the posture is judged once, when all of them are on the totals.
    pub fn post_all(
        &mut self,
        rules: BudgetRules<'_>,
        now: Time,
        postings: &[Posting],
    ) -> Vec<Turn> {
        let mut turns = Vec::new();
        for posting in postings {
            if posting.shift != Shift::default() || !posting.counts.is_empty() {
                self.window
                    .book(posting.booked_at.min(now), posting.shift, &posting.counts);
            }
        }
        self.window.forget(now);
        let (mut added, mut critical) = (Added::default(), Vec::new());
        for posting in postings {
            let (here, comes_back) = self.adds(rules, now, posting, &mut turns);
            added = added.or(here);
            if here.critical {
                let modes = posting
                    .modes
                    .iter()
                    .filter(|(mode, change)| *change > 0 && rules.objective.critical.contains(mode))
                    .map(|(mode, _)| mode.clone());
                critical.push((
                    posting.run.as_ref(),
                    modes.chain(comes_back.unwrap_or_default()).collect(),
                ));
            }
        }
        self.judge(rules, now, added, &mut turns);
        for (run, modes) in critical {
            if let Some(burn) = self.burns.last_mut().filter(|burn| burn.left.is_none()) {
                burn.note_critical(run, modes);
            }
        }
        turns
    }

    /// Which counts a booked posting added a failure to, and the critical modes of a
    /// run that came back by it.
    fn adds(
        &mut self,
        rules: BudgetRules<'_>,
        now: Time,
        posting: &Posting,
        turns: &mut Vec<Turn>,
    ) -> (Added, Option<BTreeSet<FailureMode>>) {
        let booked_at = posting.booked_at.min(now);
        let (span, shift) = (rules.objective.window, posting.shift);
        let in_full = self.window.reaches(booked_at, span, now, Time::default());
        let in_books = self.window.reaches(booked_at, span, now, self.counts_from);
        let comes_back = self.revise_grounds(rules.objective, now, booked_at, posting, turns);
        let added = Added {
            all: in_books && shift.all.unacceptable > 0,
            high: in_books && shift.high.unacceptable > 0,
            full_all: in_full && shift.all.unacceptable > 0,
            full_high: in_full && shift.high.unacceptable > 0,
            critical: in_full
                && (comes_back.is_some()
                    || (posting.critical
                        && shift.all.unacceptable >= 0
                        && posting.modes.iter().any(|(_, change)| *change > 0))),
        };
        (added, comes_back)
    }

    /// The minute under which a past run can be gathered with others: see [`Window::gathers`].
    #[must_use]
    pub fn gathers(&self, at: Time, now: Time) -> Option<Minute> {
        self.window.gathers(at, now)
    }

    /// Judges the posture at `now` under new rules.
    pub fn reconsider(&mut self, rules: BudgetRules<'_>, now: Time) -> Vec<Turn> {
        let mut turns = Vec::new();
        self.judge(rules, now, Added::default(), &mut turns);
        turns
    }

    /// Lets time pass until `now`: everything that follows from that alone, in order. Call with
    /// non-decreasing times.
    pub fn advance(&mut self, rules: BudgetRules<'_>, from: Time, now: Time) -> Vec<(Time, Turn)> {
        let (mut turns, mut at) = (Vec::new(), from);
        while let Some(next) = self
            .next_change(rules.objective, at)
            .filter(|next| *next <= now)
        {
            at = next;
            let mut here = Vec::new();
            self.judge(rules, at, Added::default(), &mut here);
            turns.extend(here.into_iter().map(|turn| (at, turn)));
        }
        self.window.forget(now);
        self.burns
            .retain(|burn| burn.left.is_none_or(|left| now.since(left) < REMEMBERED));
        turns
    }

    /// The next time after `at` at which [`Account::advance`] may have something to say.
    #[must_use]
    pub fn next_change(&self, objective: &Objective, at: Time) -> Option<Time> {
        let probation = self.probation.as_ref().map(|probation| probation.until);
        let leaves = (self.posture == Posture::Burned).then(|| self.settles_from.plus(SETTLES));
        [
            self.window.next_edge(objective.window, at),
            probation,
            leaves,
        ]
        .into_iter()
        .flatten()
        .filter(|next| *next > at)
        .min()
    }

    /// Puts a cause on record and opens a probation, where a burn is on. Returns whether it did.
    pub fn recover(
        &mut self,
        now: Time,
        to: Option<LevelName>,
        lasts: Duration,
        cause: Arc<str>,
        fix: Option<Arc<str>>,
    ) -> bool {
        if self.probation.is_some() {
            return false;
        }
        let Some(burn) = self.burns.last_mut().filter(|burn| burn.left.is_none()) else {
            return false;
        };
        (burn.cause, burn.fix) = (Some(cause), fix);
        let from = self.window.begin_era(now);
        self.last_recovery = Some(from);
        self.probation = Some(Probation {
            from,
            until: now.plus(lasts).max(from),
            to,
        });
        true
    }

    /// Carries the level that a probation opens to another ladder.
    pub fn carry(&mut self, carried: impl Fn(&LevelName) -> LevelName) {
        if let Some(to) = self
            .probation
            .as_mut()
            .and_then(|probation| probation.to.as_mut())
        {
            *to = carried(to);
        }
    }

    fn budget_totals<'a>(&self, objective: &'a Objective, now: Time) -> BudgetTotals<'a> {
        let (all, high) = self.window.counts(objective.window, now, self.counts_from);
        BudgetTotals {
            now,
            counts_from: self.counts_from,
            objective,
            all: Balance {
                runs: all.runs,
                unacceptable: all.unacceptable,
                allowed: objective.allowed(all.runs),
            },
            high: Balance {
                runs: high.runs,
                unacceptable: high.unacceptable,
                allowed: objective.allowed_high(high.runs),
            },
            full: self.window.counts(objective.window, now, Time::default()),
            look_backs: self.window.look_backs(now, self.counts_from),
        }
    }

    fn judge(&mut self, rules: BudgetRules<'_>, now: Time, added: Added, turns: &mut Vec<Turn>) {
        let objective = rules.objective;
        let totals = self.budget_totals(objective, now);
        if let Some((posture, grounds)) = totals
            .enters(added)
            .filter(|(posture, _)| *posture > self.posture)
        {
            self.enter(&totals, posture, grounds, turns);
            return;
        }
        if let Some(probation) = self.probation.clone() {
            // Its budget, too, is used up only by a failure, never by falling traffic.
            let failed = added.full_all || added.full_high;
            let (all, high) =
                self.window
                    .counts(hours(KEPT_HOURS.unsigned_abs()), now, probation.from);
            let is_used_up = totals.all.allowed.tenth().is_spent_by(all.unacceptable)
                || totals.high.allowed.tenth().is_spent_by(high.unacceptable);
            if added.critical || (failed && is_used_up) {
                // Back to the burn's cap, and not out of it again at the next edge because the burn
                // itself is a day old.
                (self.probation, self.settles_from) = (None, now);
                turns.push(Turn::ProbationEnded(false));
            } else if now >= probation.until {
                self.probation = None;
                self.counts_from = probation.from;
                turns.push(Turn::ProbationEnded(true));
                self.leave(objective, now, turns);
            }
            return;
        }
        match self.posture {
            Posture::Breached => {}
            Posture::Burned => {
                let may_leave = rules.recovery == Recovery::Automatic
                    || self.burn().is_none_or(|burn| burn.cause.is_some());
                if may_leave
                    && now.since(self.settles_from) >= SETTLES
                    && totals.all.has_recovered()
                    && totals.high.has_recovered()
                {
                    self.leave(objective, now, turns);
                }
            }
            Posture::Healthy | Posture::AtRisk => self.settle(&totals, now, turns),
        }
    }

    /// Enters burned or breached.
    fn enter(
        &mut self,
        totals: &BudgetTotals<'_>,
        posture: Posture,
        grounds: Option<Grounds>,
        turns: &mut Vec<Turn>,
    ) {
        let now = totals.now;
        if self.probation.take().is_some() {
            turns.push(Turn::ProbationEnded(false));
        }
        let why = totals.why_entered(posture, grounds.as_ref());
        let is_new = !matches!(self.posture, Posture::Burned | Posture::Breached);
        self.turn(posture, now, Arc::clone(&why), turns);
        let modes = self
            .window
            .totals(totals.objective.window, now, self.counts_from)
            .modes;
        if is_new && !self.continues(totals.objective, now) {
            if self.burns.len() >= MAX_BURNS {
                self.burns.remove(0);
            }
            self.burns
                .push(BurnRecord::new(now, posture, why, modes, grounds));
            turns.push(Turn::BurnOpened);
        } else if let Some(burn) = self.burns.last_mut() {
            if is_new {
                burn.cause = None;
            }
            if posture > burn.posture {
                burn.why = why;
            }
            (burn.left, burn.posture, burn.voided) = (None, burn.posture.max(posture), false);
            // What a late fact changes is compared with the grounds up to here.
            (burn.grounds, burn.rests_until) = (grounds, now);
        }
    }

    /// Does an entry at `now` continue the last burn: within a day of leaving it, or on failures
    /// that were all booked before the last recovery?
    fn continues(&self, objective: &Objective, now: Time) -> bool {
        let Some(last) = self.burns.last() else {
            return false;
        };
        let soon = last.left.is_some_and(|left| now.since(left) < SETTLES) && !last.voided;
        let old_failures = self.last_recovery.is_some_and(|from| {
            self.window
                .counts(objective.window, now, from)
                .0
                .unacceptable
                == 0
        });
        soon || old_failures
    }

    /// Leaves a burn, for the posture that the counts give now, which is never burned or breached.
    fn leave(&mut self, objective: &Objective, now: Time, turns: &mut Vec<Turn>) {
        if let Some(burn) = self.burns.last_mut().filter(|burn| burn.left.is_none()) {
            burn.left = Some(now);
        }
        let totals = self.budget_totals(objective, now);
        self.settle(&totals, now, turns);
    }

    fn settle(&mut self, totals: &BudgetTotals<'_>, now: Time, turns: &mut Vec<Turn>) {
        let posture = if totals.is_at_risk() {
            Posture::AtRisk
        } else {
            Posture::Healthy
        };
        if posture != self.posture {
            self.turn(posture, now, totals.why(), turns);
        }
    }

    fn turn(&mut self, to: Posture, now: Time, why: Arc<str>, turns: &mut Vec<Turn>) {
        turns.push(Turn::Posture(self.posture, to, why));
        (self.posture, self.since, self.settles_from) = (to, now, now);
    }

    /// Keeps what burns rest on true to late facts, and voids those that rest on nothing any more.
    /// Returns the critical modes of a run that came back.
    fn revise_grounds(
        &mut self,
        objective: &Objective,
        now: Time,
        booked_at: Time,
        posting: &Posting,
        turns: &mut Vec<Turn>,
    ) -> Option<BTreeSet<FailureMode>> {
        let (mut comes_back, mut current_is_shaken) = (None, false);
        for burn in &mut self.burns {
            comes_back = burn.revise_critical(posting).or(comes_back);
            burn.revise_grounds(booked_at, posting.shift);
            if burn.voided || burn.holds() {
                continue;
            }
            if burn.left.is_none() {
                current_is_shaken = true;
            } else if !burn.rests_on_critical() {
                burn.voided = true;
                turns.push(Turn::BurnVoided);
            }
        }
        if current_is_shaken {
            self.shake(objective, now, turns);
        }
        comes_back
    }

    /// What the current burn was entered on is gone. It rests on whatever else holds it now, or is
    /// void.
    fn shake(&mut self, objective: &Objective, now: Time, turns: &mut Vec<Turn>) {
        let totals = self.budget_totals(objective, now);
        let entry = totals.enters(Added::EVERY_WINDOW);
        let why = totals.why();
        let Some(burn) = self.burns.last_mut() else {
            return;
        };
        let is_critical = burn.rests_on_critical();
        let posture = match entry {
            Some((posture, grounds)) => {
                (burn.grounds, burn.rests_until) = (grounds, now);
                posture
            }
            None if is_critical => {
                burn.grounds = None;
                Posture::Burned
            }
            None => {
                burn.voided = true;
                turns.push(Turn::BurnVoided);
                if self.probation.take().is_some() {
                    turns.push(Turn::ProbationEnded(true));
                }
                self.leave(objective, now, turns);
                return;
            }
        };
        if posture < self.posture {
            self.turn(posture, now, why, turns);
        }
    }
}

#[cfg(test)]
mod tests;
