//! The clock as a small trait, and the one that the process runs on.
//!
//! The gate never asks for the time; whoever acts does, here, and hands it in. [`GateClock`] never goes back (G5): it stays at the highest time it has seen, also
//! across restarts, where it starts from the ledger's high-water mark.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::gate::time::Time;

/// Where `now` comes from.
pub trait Clock: Send + Sync {
    /// The time now. Never earlier than any time it has told before.
    fn now(&self) -> Time;
}

/// The wall clock with a high-water mark.
#[derive(Debug)]
pub struct GateClock {
    highest: AtomicI64,
}

impl GateClock {
    /// A clock that tells no time before `floor`.
    #[must_use]
    pub const fn starting_at(floor: Time) -> Self {
        GateClock { highest: AtomicI64::new(floor.as_millis()) }
    }
}

impl Clock for GateClock {
    fn now(&self) -> Time {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        let highest = self.highest.load(Ordering::Relaxed);
        if wall <= highest {
            return Time::from_millis(highest);
        }
        Time::from_millis(self.highest.fetch_max(wall, Ordering::Relaxed).max(wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G5.
    #[test]
    fn a_clock_never_tells_less_than_its_floor() {
        let floor = Time::from_millis(i64::MAX - 1);
        assert_eq!(GateClock::starting_at(floor).now(), floor);
    }
}
