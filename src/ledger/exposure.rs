//! Exposure: how many risky runs may be under way at once, measured by what is left of the budget.
//!
//! Each run that has asked for harm and was not booked yet may turn out a failure. So a run takes a
//! place with its first medium or high call, and there are as many places as failures left:
//! `max(1, ⌈allowed − B⌉)`, and for `high` calls as many as their own budget has left too. However
//! many runs start together, they cannot overdraw it. The place comes back when the run is booked,
//! because then it is in B, or when it ends, because then nothing can come of it on the wire.
//!
//! Places are taken under the shard's lock, where a failure raises B before its run gives its place
//! back: nobody sees room that is both spent and free. They are not kept: a start has no open runs,
//! and books what was under way as ambiguous before anything else goes.

use std::sync::atomic::{AtomicU32, Ordering};

use super::call::permit::InFlightCall;
use super::runs::open::RunState;
use super::shard::Shard;
use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::risk::Risk;
use crate::gate::status::Status;
use crate::gate::verdict::Verdict;

/// The places that a workflow's runs have taken.
#[derive(Debug, Default)]
pub struct Taken {
    all: AtomicU32,
    high: AtomicU32,
}

/// How many places there are, and how many are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Places for runs with a medium or high call.
    pub all: u32,
    /// Those taken.
    pub all_taken: u32,
    /// Places for runs with a high call.
    pub high: u32,
    /// Those taken.
    pub high_taken: u32,
}

/// Why a run gets no place.
#[derive(Debug)]
pub(super) enum Exposed {
    /// There is none left.
    Full(Box<Finding>),
    /// The level is not the one that the call was judged at: what lets it go may not do so any
    /// more.
    Outdated,
}

/// What a run has taken.
#[derive(Debug, Default)]
pub struct Holds {
    all: bool,
    high: bool,
    /// Risky calls that were let go and may have been executed.
    risky: u32,
}

impl Taken {
    /// The places where the workflow stands like that.
    #[must_use]
    pub fn places(&self, standing: &Status) -> Places {
        let room = |balance: &crate::gate::budget::balance::Balance| {
            u32::try_from(balance.allowed.room(balance.unacceptable).max(1)).unwrap_or(u32::MAX)
        };
        Places {
            all: room(&standing.all),
            all_taken: self.all.load(Ordering::Relaxed),
            high: room(&standing.high),
            high_taken: self.high.load(Ordering::Relaxed),
        }
    }
}

impl InFlightCall {
    /// Takes a place for the call's run, where it needs one and has none. A call that a person
    /// approved needs none.
    pub(super) fn take_place(&mut self, judged: &Status) -> Result<(), Exposed> {
        let handle = std::sync::Arc::clone(&self.handle);
        if !handle.policy.exposure || self.risk < Risk::Medium || self.granted || self.exposed {
            return Ok(());
        }
        let mut run = self.run.lock();
        let booked = run.booked_at.is_some();
        let needs_all = !booked && !run.exposed.all;
        // A run that is in B counts for the high budget only from its first high call on.
        let needs_high = self.risk == Risk::High && !run.exposed.high && !(booked && run.is_high());
        let live = handle.shard.lock();
        let (taken, standing) = (handle.shard.taken(), handle.shard.standing());
        // Of many that were judged while all was well, those that come after the failure that burns
        // are not let go one by one.
        if standing.level() != judged.level() {
            return Err(Exposed::Outdated);
        }
        let places = taken.places(&standing);
        if (needs_all && places.all_taken >= places.all)
            || (needs_high && places.high_taken >= places.high)
        {
            drop(live);
            let (kind, taken, balance) = if needs_all && places.all_taken >= places.all {
                ("risky", places.all_taken, "the budget")
            } else {
                (
                    "high-risk",
                    places.high_taken,
                    "the budget of high-risk runs",
                )
            };
            let detail = format!(
                "{taken} {kind} runs are under way, and {balance} has room for no more that could fail"
            );
            let at = Some(handle.policy.place.clone());
            return Err(Exposed::Full(Box::new(Finding {
                place: at,
                ..Finding::nowhere(Verdict::Deny, RuleName::Exposure, detail)
            })));
        }
        taken.all.fetch_add(u32::from(needs_all), Ordering::Relaxed);
        taken
            .high
            .fetch_add(u32::from(needs_high), Ordering::Relaxed);
        drop(live);
        run.exposed.all |= needs_all;
        run.exposed.high |= needs_high;
        run.exposed.risky += 1;
        drop(run);
        self.exposed = true;
        Ok(())
    }
}

impl RunState {
    /// A risky call of it was not executed. With the last of them goes the place.
    pub(super) fn spare(&mut self, shard: &Shard) {
        self.exposed.risky = self.exposed.risky.saturating_sub(1);
        if self.exposed.risky == 0 {
            self.leave_places(shard);
        }
    }

    /// It was booked as a failure: it is in B now. Its high place goes with that only where it
    /// counts for that budget too.
    pub(super) fn leave_booked(&mut self, shard: &Shard) {
        if std::mem::take(&mut self.exposed.all) {
            shard.taken().all.fetch_sub(1, Ordering::Relaxed);
        }
        if self.is_high() {
            self.leave_places(shard);
        }
    }

    /// Nothing can come of it any more.
    pub(super) fn leave_places(&mut self, shard: &Shard) {
        let (all, high) = (
            std::mem::take(&mut self.exposed.all),
            std::mem::take(&mut self.exposed.high),
        );
        shard
            .taken()
            .all
            .fetch_sub(u32::from(all), Ordering::Relaxed);
        shard
            .taken()
            .high
            .fetch_sub(u32::from(high), Ordering::Relaxed);
    }
}
