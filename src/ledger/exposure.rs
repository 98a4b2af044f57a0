//! Exposure: how many risky runs may be under way at once, measured by what is left of the budget.
//!
//! Each run that made a risky call and is not booked yet may turn out a failure. So a run takes a
//! slot with its first medium or high call, and there are as many slots as failures left:
//! `max(1, ⌈allowed − B⌉)`, and for `high` calls as many as their own budget has left too. However
//! many runs start together, they cannot overdraw it. The slot is released when the run is booked,
//! because then it is in B, or when it ends, because then no call of it can fail any more.
//!
//! Slots are taken under the shard's lock, where a failure raises B before its run releases its
//! slot: nobody sees room that is both spent and free. They are not kept over a restart: there are
//! no open runs then, and what was under way is booked as ambiguous before any call goes.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::gate::status::Status;

/// The slots that a workflow's runs have taken.
#[derive(Debug, Default)]
pub struct TakenSlots {
    all: AtomicU32,
    high: AtomicU32,
}

/// How many slots there are, and how many are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotUsage {
    /// Slots for runs with a medium or high call.
    pub all: u32,
    /// Those taken.
    pub all_taken: u32,
    /// Slots for runs with a high call.
    pub high: u32,
    /// Those taken.
    pub high_taken: u32,
}

/// What a run has taken.
#[derive(Debug, Default)]
pub struct RunExposure {
    /// A slot for a run with a medium or high call.
    pub(in crate::ledger) all: bool,
    /// A slot for a run with a high call.
    pub(in crate::ledger) high: bool,
    /// Risky calls that were allowed and may have been executed.
    pub(in crate::ledger) risky: u32,
}

impl TakenSlots {
    /// Takes a slot of each kind that is asked for.
    pub(in crate::ledger) fn take(&self, all: bool, high: bool) {
        self.all.fetch_add(u32::from(all), Ordering::Relaxed);
        self.high.fetch_add(u32::from(high), Ordering::Relaxed);
    }

    /// Gives a slot of each kind back.
    pub(in crate::ledger) fn give_back(&self, all: bool, high: bool) {
        self.all.fetch_sub(u32::from(all), Ordering::Relaxed);
        self.high.fetch_sub(u32::from(high), Ordering::Relaxed);
    }

    /// The slots that there are while the workflow has this status, and those taken.
    #[must_use]
    pub fn usage(&self, status: &Status) -> SlotUsage {
        let room = |balance: &crate::gate::budget::balance::Balance| {
            u32::try_from(balance.allowed.room(balance.unacceptable).max(1)).unwrap_or(u32::MAX)
        };
        SlotUsage {
            all: room(&status.all),
            all_taken: self.all.load(Ordering::Relaxed),
            high: room(&status.high),
            high_taken: self.high.load(Ordering::Relaxed),
        }
    }
}

impl RunExposure {
    /// A risky call of the run was not executed. The last of them releases the slot.
    pub(in crate::ledger) fn release_call(&mut self, taken: &TakenSlots) {
        self.risky = self.risky.saturating_sub(1);
        if self.risky == 0 {
            self.release(taken);
        }
    }

    /// The run was booked as a failure, and is in B now. Its high slot is released only where it
    /// counts for that budget too.
    pub(in crate::ledger) fn release_booked(&mut self, is_high: bool, taken: &TakenSlots) {
        taken.give_back(std::mem::take(&mut self.all), false);
        if is_high {
            self.release(taken);
        }
    }

    /// The run ended: no call of it can fail any more.
    pub(in crate::ledger) fn release(&mut self, taken: &TakenSlots) {
        taken.give_back(
            std::mem::take(&mut self.all),
            std::mem::take(&mut self.high),
        );
    }
}
