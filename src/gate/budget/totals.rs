//! What the counts say at one moment: which posture they enter, and on what grounds.
//!
//! Pure comparison of counts with an objective. What was the posture before, and what a burn or a
//! probation makes of the answer, is `account`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::balance::Balance;
use super::burn::{Burn, Count, Counts, LOOK_BACKS, PAIRS};
use super::objective::Objective;
use super::posture::Posture;
use super::{sentence, window};
use crate::gate::time::Time;

/// The fastest pair burns only with so many unacceptable runs in its long look-back.
const FAST_BURN: u64 = 5;
/// Any pair puts at risk only with so many unacceptable runs in its long look-back.
const AT_RISK: u64 = 2;

/// So many failures, booked since, of which so many are needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Grounds {
    pub(super) high: bool,
    pub(super) since: Time,
    pub(super) have: u64,
    pub(super) need: u64,
}

/// Which counts an event added a failure to. Only those can enter burned or breached.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Added {
    /// The budget's window, over all runs and over those with a `high` call.
    pub(super) all: bool,
    pub(super) high: bool,
    /// The full window.
    pub(super) full_all: bool,
    pub(super) full_high: bool,
    /// A critical mode, of a run in the full window.
    pub(super) critical: bool,
}

impl Added {
    /// Every window may enter, whatever added to it.
    pub(super) const EVERY_WINDOW: Added = Added {
        all: true,
        high: true,
        full_all: true,
        full_high: true,
        critical: false,
    };

    /// What either of the two added to.
    pub(super) const fn or(self, other: Added) -> Added {
        Added {
            all: self.all || other.all,
            high: self.high || other.high,
            full_all: self.full_all || other.full_all,
            full_high: self.full_high || other.full_high,
            critical: self.critical || other.critical,
        }
    }
}

/// Everything that a posture is judged on, at one moment.
pub(super) struct BudgetTotals<'a> {
    pub(super) now: Time,
    pub(super) counts_from: Time,
    pub(super) objective: &'a Objective,
    pub(super) all: Balance,
    pub(super) high: Balance,
    /// The full window, whatever probations began in it.
    pub(super) full: (Count, Count),
    pub(super) look_backs: (Counts, Counts),
}

impl BudgetTotals<'_> {
    /// Burned or breached, and on what grounds, now that failures were added. Each of the two
    /// budgets is entered by what adds to it.
    pub(super) fn enters(&self, added: Added) -> Option<(Posture, Option<Grounds>)> {
        let (objective, miss) = (self.objective, self.objective.miss_ppm());
        for (high, added, count) in [
            (false, added.full_all, self.full.0),
            (true, added.full_high, self.full.1),
        ] {
            if added
                && objective
                    .evidence
                    .is_breach(miss, count.runs, count.unacceptable)
            {
                let need = (1..=count.unacceptable)
                    .rev()
                    .take_while(|b| objective.evidence.is_breach(miss, count.runs, *b))
                    .last();
                let since = window::starts(objective.window, self.now);
                return Some((
                    Posture::Breached,
                    Some(Grounds {
                        high,
                        since,
                        have: count.unacceptable,
                        need: need.unwrap_or(count.unacceptable),
                    }),
                ));
            }
        }
        if added.critical {
            return Some((Posture::Burned, None));
        }
        if added.all && self.all.is_spent() {
            return Some((Posture::Burned, Some(self.spent(false, self.all))));
        }
        if added.high && self.high.is_spent() {
            return Some((Posture::Burned, Some(self.spent(true, self.high))));
        }
        let fastest = PAIRS
            .into_iter()
            .find(|pair| Burn::of(objective).in_force(*pair))?;
        let budgets = [
            (false, added.all, Burn::of(objective), &self.look_backs.0),
            (
                true,
                added.high,
                Burn::of_high(objective),
                &self.look_backs.1,
            ),
        ];
        for (high, added, burn, counts) in budgets {
            let long = counts[fastest.long].unacceptable;
            if added && long >= FAST_BURN && burn.fires(fastest, counts) {
                let still_fires = |b: &u64| {
                    let mut fewer = *counts;
                    fewer[fastest.long].unacceptable = *b;
                    *b >= FAST_BURN && burn.fires(fastest, &fewer)
                };
                let need = (1..=long)
                    .rev()
                    .take_while(still_fires)
                    .last()
                    .unwrap_or(long);
                let since = window::look_back_starts(LOOK_BACKS[fastest.long].1, self.now)
                    .max(self.counts_from);
                return Some((
                    Posture::Burned,
                    Some(Grounds {
                        high,
                        since,
                        have: long,
                        need,
                    }),
                ));
            }
        }
        None
    }

    fn spent(&self, high: bool, balance: Balance) -> Grounds {
        let since = window::starts(self.objective.window, self.now).max(self.counts_from);
        Grounds {
            high,
            since,
            have: balance.unacceptable,
            need: balance.allowed.room(0),
        }
    }

    pub(super) fn is_at_risk(&self) -> bool {
        let fires = |burn: Burn, counts: &Counts| {
            PAIRS
                .into_iter()
                .any(|pair| counts[pair.long].unacceptable >= AT_RISK && burn.fires(pair, counts))
        };
        self.all.is_nearly_spent()
            || self.high.is_nearly_spent()
            || fires(Burn::of(self.objective), &self.look_backs.0)
            || fires(Burn::of_high(self.objective), &self.look_backs.1)
    }

    /// Why it is burned or breached on these grounds.
    pub(super) fn why_entered(&self, posture: Posture, grounds: Option<&Grounds>) -> Arc<str> {
        match grounds {
            Some(grounds) if posture == Posture::Breached => {
                let count = if grounds.high {
                    self.full.1
                } else {
                    self.full.0
                };
                sentence::breached(count.runs, count.unacceptable, grounds.high).into()
            }
            _ => self.why(),
        }
    }

    pub(super) fn why(&self) -> Arc<str> {
        sentence::spent(&self.all, &self.high).into()
    }
}
