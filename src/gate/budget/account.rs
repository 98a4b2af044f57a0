//! A workflow's budget over time: its counts, its posture, its burns and the way back from them.
//!
//! Two budgets are kept, over all runs and over those that executed a `high` call; the posture is the worse of the two. Burned and breached are entered only by an
//! event that adds an unacceptable run: ageing and falling traffic never enter them. What was once the posture is never rewritten; late facts change the counts where
//! the run was booked, and the posture is judged now.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    burn::{Burn, BurnRates, Counts, LOOK_BACKS, PAIRS},
    objective::{Allowed, Objective, Remaining},
    posture::Posture,
    window::{Shift, Tally, Window},
};
use crate::gate::{
    name::LevelName,
    outcome::FailureMode,
    policy::{Recovery, Terms},
    time::{Time, days, hours},
};

/// An entry into burned or breached so soon after leaving continues the burn that was left; and a burn is left no sooner than this after it was entered.
pub const SETTLES: Duration = hours(24);
/// Burns are remembered this long.
pub const REMEMBERED: Duration = days(366);
/// The most burns that are remembered.
pub const MAX_BURNS: usize = 256;
/// The fastest pair burns only with so many unacceptable runs in its long look-back.
const FAST_BURN: u64 = 5;
/// Any pair puts at risk only with so many unacceptable runs in its long look-back.
const AT_RISK: u64 = 2;

/// A workflow's budget over time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    window: Window,
    posture: Posture,
    /// When the posture was entered.
    since: Time,
    /// The budget counts eras from here on.
    counts_from: Time,
    burns: Vec<BurnRecord>,
    probation: Option<Probation>,
    last_recovery: Option<Time>,
}

/// An entry into burned or breached from outside both, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurnRecord {
    /// When it was entered.
    pub at: Time,
    /// When it was left.
    pub left: Option<Time>,
    /// The worst posture in it.
    pub posture: Posture,
    /// The failure modes of the window when it was entered.
    pub modes: BTreeMap<FailureMode, u64>,
    /// What the budget stood at when it was entered.
    pub why: Arc<str>,
    /// The cause that a person put on record.
    pub cause: Option<Arc<str>>,
    /// The fix that was referred to.
    pub fix: Option<Arc<str>>,
    /// The failures behind it were retracted or excluded.
    pub voided: bool,
    grounds: Grounds,
}

/// What a burn rests on: so many failures, booked since, of which so many are needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Grounds {
    high: bool,
    since: Time,
    have: u64,
    need: u64,
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

/// What an event posts to the books.
#[derive(Debug, Clone, Default)]
pub struct Posting {
    /// When the runs were booked.
    pub booked_at: Time,
    /// What it changes.
    pub shift: Shift,
    /// The failure modes that it adds or takes back.
    pub modes: Vec<(FailureMode, i64)>,
    /// One of its modes is critical.
    pub critical: bool,
}

impl Posting {
    /// Only what adds a failure enters a burn.
    const fn adds_failure(&self) -> bool {
        self.critical || self.shift.all.unacceptable > 0 || self.shift.high.unacceptable > 0
    }
}

/// One budget as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Counted runs.
    pub runs: u64,
    /// Unacceptable runs.
    pub unacceptable: u64,
    /// What is allowed.
    pub allowed: Allowed,
}

impl Balance {
    /// What is left.
    #[must_use]
    pub fn remaining(&self) -> Remaining {
        self.allowed.remaining(self.unacceptable)
    }

    fn is_spent(&self) -> bool {
        self.allowed.is_spent_by(self.unacceptable)
    }

    fn is_nearly_spent(&self) -> bool {
        self.remaining().cmp_percent(25) != Ordering::Greater || (self.unacceptable > 0 && self.allowed.is_spent_by(self.unacceptable + 1))
    }

    fn has_recovered(&self) -> bool {
        self.remaining().cmp_percent(10) == Ordering::Greater && !self.allowed.is_spent_by(self.unacceptable + 1)
    }
}

/// Everything that a posture is judged on, at one moment.
struct Books<'a> {
    now: Time,
    objective: &'a Objective,
    all: Balance,
    high: Balance,
    /// The full window, whatever probations began in it.
    full: Tally,
    look_backs: (Counts, Counts),
}

impl Account {
    /// An account that begins burned, because what it stood at was lost.
    #[must_use]
    pub fn lost(now: Time) -> Self {
        let why: Arc<str> = "the ledger was lost; the budget starts burned".into();
        let grounds = Grounds { high: false, since: now, have: 1, need: 1 };
        let burn = BurnRecord { at: now, left: None, posture: Posture::Burned, modes: BTreeMap::new(), why, cause: None, fix: None, voided: false, grounds };
        Account { posture: Posture::Burned, since: now, burns: vec![burn], ..Account::default() }
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
        let books = self.books(objective, now);
        (books.all, books.high)
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

    /// The failure modes of the budget's window.
    #[must_use]
    pub fn modes(&self, objective: &Objective, now: Time) -> BTreeMap<FailureMode, u64> {
        self.window.modes(objective.window, now, self.counts_from)
    }

    /// The burn rates over all runs.
    #[must_use]
    pub fn burn_rates(&self, objective: &Objective, now: Time) -> BurnRates {
        Burn::of(objective).rates(&self.window.look_backs(now, self.counts_from).0)
    }

    /// Posts a change and judges the posture at `now`.
    pub fn post(&mut self, terms: &Terms, now: Time, posting: &Posting) -> Vec<Turn> {
        self.window.book(posting.booked_at, posting.shift, &posting.modes);
        let mut turns = Vec::new();
        if posting.shift.all.unacceptable < 0 {
            self.take_back(&terms.objective, now, posting, &mut turns);
        }
        self.judge(terms, now, Some(posting), &mut turns);
        turns
    }

    /// Lets time pass until `now`: everything that follows from that alone, in order. Call with non-decreasing times.
    pub fn advance(&mut self, terms: &Terms, from: Time, now: Time) -> Vec<(Time, Turn)> {
        let (mut turns, mut at) = (Vec::new(), from);
        while let Some(next) = self.next_change(at).filter(|next| *next <= now) {
            at = next;
            let mut here = Vec::new();
            self.judge(terms, at, None, &mut here);
            turns.extend(here.into_iter().map(|turn| (at, turn)));
        }
        self.window.forget(now);
        self.burns.retain(|burn| burn.left.is_none_or(|left| now.since(left) < REMEMBERED));
        turns
    }

    /// Puts a cause on record and opens a probation, where a burn is on. Returns whether it did.
    pub fn recover(&mut self, now: Time, to: Option<LevelName>, lasts: Duration, cause: Arc<str>, fix: Option<Arc<str>>) -> bool {
        if self.probation.is_some() {
            return false;
        }
        let Some(burn) = self.burns.last_mut().filter(|burn| burn.left.is_none()) else { return false };
        (burn.cause, burn.fix) = (Some(cause), fix);
        let from = self.window.begin_era(now);
        self.last_recovery = Some(from);
        self.probation = Some(Probation { from, until: now.plus(lasts), to });
        true
    }

    fn books<'a>(&self, objective: &'a Objective, now: Time) -> Books<'a> {
        let tally = self.window.sum(objective.window, now, self.counts_from);
        let full = if self.counts_from == Time::default() { tally } else { self.window.sum(objective.window, now, Time::default()) };
        Books {
            now,
            objective,
            all: Balance { runs: tally.all.runs, unacceptable: tally.all.unacceptable, allowed: objective.allowed(tally.all.runs) },
            high: Balance { runs: tally.high.runs, unacceptable: tally.high.unacceptable, allowed: objective.allowed_high(tally.high.runs) },
            full,
            look_backs: self.window.look_backs(now, self.counts_from),
        }
    }

    fn next_change(&self, at: Time) -> Option<Time> {
        let probation = self.probation.as_ref().map(|probation| probation.until);
        let leaves = (self.posture == Posture::Burned).then(|| self.since.plus(SETTLES));
        [self.window.next_edge(at), probation, leaves].into_iter().flatten().filter(|next| *next > at).min()
    }

    fn judge(&mut self, terms: &Terms, now: Time, posting: Option<&Posting>, turns: &mut Vec<Turn>) {
        let objective = &terms.objective;
        let books = self.books(objective, now);
        let entered = posting.filter(|posting| posting.adds_failure()).and_then(|posting| books.enters(posting.critical));
        if let Some((posture, grounds)) = entered.filter(|(posture, _)| *posture > self.posture) {
            self.enter(&books, posture, grounds, turns);
            return;
        }
        if let Some(probation) = self.probation.clone() {
            let since = self.window.sum(objective.window, now, probation.from).all.unacceptable;
            if books.all.allowed.tenth().is_spent_by(since) {
                self.probation = None;
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
                let may_leave = terms.recovery == Recovery::Automatic || self.burn().is_none_or(|burn| burn.cause.is_some());
                if may_leave && now.since(self.since) >= SETTLES && books.all.has_recovered() && books.high.has_recovered() {
                    self.leave(objective, now, turns);
                }
            }
            Posture::Healthy | Posture::AtRisk => self.settle(&books, now, turns),
        }
    }

    /// Enters burned or breached.
    fn enter(&mut self, books: &Books<'_>, posture: Posture, grounds: Grounds, turns: &mut Vec<Turn>) {
        let now = books.now;
        if self.probation.take().is_some() {
            turns.push(Turn::ProbationEnded(false));
        }
        let why = books.why();
        let is_new = !matches!(self.posture, Posture::Burned | Posture::Breached);
        self.turn(posture, now, Arc::clone(&why), turns);
        let modes = self.window.modes(books.objective.window, now, self.counts_from);
        if is_new && !self.continues(books.objective, now) {
            if self.burns.len() >= MAX_BURNS {
                self.burns.remove(0);
            }
            self.burns.push(BurnRecord { at: now, left: None, posture, modes, why, cause: None, fix: None, voided: false, grounds });
            turns.push(Turn::BurnOpened);
        } else if let Some(burn) = self.burns.last_mut() {
            if is_new {
                burn.cause = None;
            }
            (burn.left, burn.posture, burn.grounds) = (None, burn.posture.max(posture), grounds);
        }
    }

    /// Does an entry at `now` continue the last burn: within a day of leaving it, or on failures that were all booked before the last recovery?
    fn continues(&self, objective: &Objective, now: Time) -> bool {
        let Some(last) = self.burns.last() else { return false };
        let soon = last.left.is_some_and(|left| now.since(left) < SETTLES) && !last.voided;
        let old_failures = self.last_recovery.is_some_and(|from| self.window.sum(objective.window, now, from).all.unacceptable == 0);
        soon || old_failures
    }

    /// Leaves a burn: to whatever the books say now, but never straight back in.
    fn leave(&mut self, objective: &Objective, now: Time, turns: &mut Vec<Turn>) {
        if let Some(burn) = self.burns.last_mut().filter(|burn| burn.left.is_none()) {
            burn.left = Some(now);
        }
        let books = self.books(objective, now);
        self.settle(&books, now, turns);
    }

    fn settle(&mut self, books: &Books<'_>, now: Time, turns: &mut Vec<Turn>) {
        let posture = if books.is_at_risk() { Posture::AtRisk } else { Posture::Healthy };
        if posture != self.posture {
            self.turn(posture, now, books.why(), turns);
        }
    }

    fn turn(&mut self, to: Posture, now: Time, why: Arc<str>, turns: &mut Vec<Turn>) {
        turns.push(Turn::Posture(self.posture, to, why));
        (self.posture, self.since) = (to, now);
    }

    /// A failure was taken back: a burn that rests on it may be void.
    fn take_back(&mut self, objective: &Objective, now: Time, posting: &Posting, turns: &mut Vec<Turn>) {
        let mut current_is_void = false;
        for burn in self.burns.iter_mut().filter(|burn| !burn.voided) {
            let grounds = &mut burn.grounds;
            let delta = if grounds.high { posting.shift.high } else { posting.shift.all };
            if posting.booked_at >= grounds.since && posting.booked_at <= burn.at {
                grounds.have = grounds.have.saturating_add_signed(delta.unacceptable.min(0));
            }
            if grounds.have < grounds.need {
                burn.voided = true;
                current_is_void |= burn.left.is_none();
                turns.push(Turn::BurnVoided);
            }
        }
        let books = self.books(objective, now);
        if !current_is_void {
            return;
        }
        if books.all.is_spent() || books.high.is_spent() {
            // Other failures have spent the budget since: the burn rests on those now.
            if let Some(burn) = self.burns.last_mut() {
                let (high, balance) = if books.all.is_spent() { (false, books.all) } else { (true, books.high) };
                burn.voided = false;
                burn.grounds = books.spent(high, balance);
                turns.retain(|turn| *turn != Turn::BurnVoided);
            }
            return;
        }
        if self.probation.take().is_some() {
            turns.push(Turn::ProbationEnded(true));
        }
        self.leave(objective, now, turns);
    }
}

impl Books<'_> {
    /// Burned or breached, and on what grounds, now that a failure was added.
    fn enters(&self, critical: bool) -> Option<(Posture, Grounds)> {
        let (objective, miss) = (self.objective, self.objective.miss_ppm());
        for (high, count) in [(false, self.full.all), (true, self.full.high)] {
            if objective.evidence.is_breach(miss, count.runs, count.unacceptable) {
                let need = (1..=count.unacceptable).rev().take_while(|b| objective.evidence.is_breach(miss, count.runs, *b)).last();
                let grounds = Grounds { high, since: self.window_start(), have: count.unacceptable, need: need.unwrap_or(count.unacceptable) };
                return Some((Posture::Breached, grounds));
            }
        }
        if critical {
            let have = self.all.unacceptable;
            return Some((Posture::Burned, Grounds { high: false, since: self.window_start(), have, need: have }));
        }
        if self.all.is_spent() {
            return Some((Posture::Burned, self.spent(false, self.all)));
        }
        if self.high.is_spent() {
            return Some((Posture::Burned, self.spent(true, self.high)));
        }
        let fastest = PAIRS.into_iter().find(|pair| Burn::of(objective).in_force(*pair))?;
        for (high, burn, counts) in [(false, Burn::of(objective), &self.look_backs.0), (true, Burn::of_high(objective), &self.look_backs.1)] {
            let long = counts[fastest.long].unacceptable;
            if long >= FAST_BURN && burn.fires(fastest, counts) {
                let still_fires = |b: &u64| {
                    let mut fewer = *counts;
                    fewer[fastest.long].unacceptable = *b;
                    *b >= FAST_BURN && burn.fires(fastest, &fewer)
                };
                let need = (1..=long).rev().take_while(still_fires).last().unwrap_or(long);
                let since = self.now.minus(LOOK_BACKS[fastest.long].1);
                return Some((Posture::Burned, Grounds { high, since, have: long, need }));
            }
        }
        None
    }

    fn spent(&self, high: bool, balance: Balance) -> Grounds {
        Grounds { high, since: self.window_start(), have: balance.unacceptable, need: balance.allowed.room(0) }
    }

    fn window_start(&self) -> Time {
        self.now.minus(self.objective.window)
    }

    fn is_at_risk(&self) -> bool {
        let fires = |burn: Burn, counts: &Counts| PAIRS.into_iter().any(|pair| counts[pair.long].unacceptable >= AT_RISK && burn.fires(pair, counts));
        self.all.is_nearly_spent()
            || self.high.is_nearly_spent()
            || fires(Burn::of(self.objective), &self.look_backs.0)
            || fires(Burn::of_high(self.objective), &self.look_backs.1)
    }

    fn why(&self) -> Arc<str> {
        super::sentence::spent(&self.all, &self.high).into()
    }
}
