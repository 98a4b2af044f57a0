//! The right to forward one call.
//!
//! Nothing is forwarded without a [`Permit`], a permit comes from a verdict and from nothing else,
//! and one that is older than a clamp is worth nothing (G2).

use super::in_flight::{InFlightCall, Progress};
use crate::ledger::living::Ledger;

/// The right to forward one call, once.
#[must_use = "a permit that is dropped settles its call as not executed"]
pub struct Permit {
    call: InFlightCall,
    epoch: u64,
}

/// A judgement that has begun. A clamp that comes after that spoils the permit it gives.
#[must_use]
pub(super) struct Judgement {
    epoch: u64,
}

impl Judgement {
    /// A judgement of a call begins.
    pub(super) fn begin(ledger: &Ledger) -> Self {
        Judgement {
            epoch: ledger.epoch(),
        }
    }

    /// The verdict is that the call may go.
    pub(super) fn allow(self, call: InFlightCall) -> Permit {
        Permit::mint(call, self.epoch)
    }
}

impl Permit {
    const fn mint(call: InFlightCall, epoch: u64) -> Self {
        Permit { call, epoch }
    }

    /// The call back, where a clamp came after this permit: it must be admitted again.
    pub fn check(self) -> Result<Permit, Box<InFlightCall>> {
        if self.epoch == self.call.ledger.epoch() {
            Ok(self)
        } else {
            Err(Box::new(self.call))
        }
    }

    /// Spends the permit on the call's first byte. What comes back settles the call.
    pub fn spend(mut self) -> InFlightCall {
        self.call.miss_escalation();
        self.call.progress = Progress::Sent;
        self.call
    }

    /// The call back: it is not forwarded after all.
    pub fn give_up(self) -> InFlightCall {
        self.call
    }

    /// The call.
    pub const fn call(&self) -> &InFlightCall {
        &self.call
    }

    /// The call, to note something about it.
    pub(super) const fn call_mut(&mut self) -> &mut InFlightCall {
        &mut self.call
    }
}
