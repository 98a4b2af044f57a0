//! The clock as a small trait, and the one that the process runs on.
//!
//! The gate never asks for the time; whoever acts does, here, and hands it in. [`GateClock`] never
//! goes back (G5): it stays at the highest time it has told, also across restarts, where it starts
//! from the ledger's high-water mark.
//!
//! Nor does it leap: the wall clock is followed while it is no more than [`LEAP`] ahead of the pace
//! at which the machine has been running. Further ahead, `now` goes on at that pace, so that nobody
//! ages a budget's failures away with a clock, until somebody accepts the wall clock. A restart
//! accepts it: it is all there is to go by then.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::gate::time::Time;

/// How far ahead of boot-time pace the wall clock is believed. A machine whose clock was wrong when
/// it booted is put right by less.
pub const LEAP: Duration = Duration::from_mins(5);
/// A good wall clock gains at most one part in so many on boot-time pace: the kernel slews it no
/// faster than 500 parts in a million.
const DRIFT: i64 = 2_000;

/// Where `now` comes from.
pub trait Clock: Send + Sync {
    /// The time now. Never earlier than any time it has told before.
    fn now(&self) -> Time;

    /// What the wall clock showed when it leapt ahead: reported once a leap.
    fn jumped(&self) -> Option<Time> {
        None
    }

    /// The wall clock is right, however far it leapt.
    fn accept(&self) {}
}

/// Where a [`GateClock`] reads, in milliseconds.
pub trait TimeSource: Send + Sync {
    /// Since the Unix epoch, by the wall clock, which anybody may set.
    fn wall(&self) -> i64;
    /// Since some moment, by a clock that nobody sets and that runs on while the machine sleeps.
    fn boot(&self) -> i64;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct MachineTime(#[cfg(not(target_os = "linux"))] std::time::Instant);

/// The wall clock, held to the pace of the machine, with a high-water mark.
#[derive(Debug)]
pub struct GateClock<H = MachineTime> {
    source: H,
    highest: AtomicI64,
    /// What boot time lacks to the time that is expected.
    ahead: AtomicI64,
    leap: Mutex<Leap>,
}

#[derive(Debug)]
struct Leap {
    /// What boot time lacked to the wall clock where it leapt to last.
    to: Option<i64>,
    /// The boot time until which drift has been followed.
    followed: i64,
}

impl GateClock {
    /// A clock that tells no time before `floor`, and trusts the wall clock as it is now.
    #[must_use]
    pub fn starting_at(floor: Time) -> Self {
        GateClock::reading(MachineTime::default(), floor)
    }
}

impl<H: TimeSource> GateClock<H> {
    /// A clock that reads `source`, tells no time before `floor`, and trusts the wall clock as it
    /// is now.
    #[must_use]
    pub fn reading(source: H, floor: Time) -> Self {
        let (wall, boot) = (source.wall(), source.boot());
        let leap = Mutex::new(Leap {
            to: None,
            followed: boot,
        });
        GateClock {
            source,
            highest: AtomicI64::new(floor.as_millis()),
            ahead: AtomicI64::new(wall.saturating_sub(boot)),
            leap,
        }
    }

    fn leap(&self) -> std::sync::MutexGuard<'_, Leap> {
        self.leap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: TimeSource> Clock for GateClock<H> {
    fn now(&self) -> Time {
        let (wall, boot) = (self.source.wall(), self.source.boot());
        let expected = boot.saturating_add(self.ahead.load(Ordering::Relaxed));
        let now = if wall.saturating_sub(expected) > leap() {
            expected
        } else {
            wall
        };
        let highest = self.highest.load(Ordering::Relaxed);
        if now <= highest {
            return Time::from_millis(highest);
        }
        Time::from_millis(self.highest.fetch_max(now, Ordering::Relaxed).max(now))
    }

    /// To be asked every now and then: drift is followed here too.
    fn jumped(&self) -> Option<Time> {
        let mut last = self.leap();
        let (wall, boot) = (self.source.wall(), self.source.boot());
        let (lead, ahead) = (
            wall.saturating_sub(boot),
            self.ahead.load(Ordering::Relaxed),
        );
        if lead.saturating_sub(ahead) <= leap() {
            let gained = (boot - last.followed) / DRIFT;
            if gained > 0 {
                // Upwards only: a clock that was set back and is put right again has not leapt.
                self.ahead
                    .fetch_add((lead - ahead).clamp(0, gained), Ordering::Relaxed);
                last.followed += gained * DRIFT;
            }
            last.to = None;
            return None;
        }
        last.followed = boot;
        let is_new = last.to.is_none_or(|to| lead.saturating_sub(to) > leap());
        if is_new {
            last.to = Some(lead);
        }
        is_new.then(|| Time::from_millis(wall))
    }

    fn accept(&self) {
        let mut last = self.leap();
        let (wall, boot) = (self.source.wall(), self.source.boot());
        self.ahead
            .store(wall.saturating_sub(boot), Ordering::Relaxed);
        *last = Leap {
            to: None,
            followed: boot,
        };
    }
}

fn leap() -> i64 {
    i64::try_from(LEAP.as_millis()).unwrap_or(i64::MAX)
}

impl MachineTime {
    fn new() -> Self {
        MachineTime(
            #[cfg(not(target_os = "linux"))]
            std::time::Instant::now(),
        )
    }
}

impl Default for MachineTime {
    fn default() -> Self {
        MachineTime::new()
    }
}

impl TimeSource for MachineTime {
    fn wall(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
    }

    #[cfg(target_os = "linux")]
    fn boot(&self) -> i64 {
        let at = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        at.tv_sec
            .saturating_mul(1_000)
            .saturating_add(at.tv_nsec / 1_000_000)
    }

    #[cfg(not(target_os = "linux"))]
    fn boot(&self) -> i64 {
        i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const SECOND: i64 = 1_000;
    const MINUTE: i64 = 60 * SECOND;
    const DAY: i64 = 24 * 60 * MINUTE;

    /// A time source that a test moves: wall and boot.
    #[derive(Clone, Default)]
    struct Moved(Arc<[AtomicI64; 2]>);

    impl Moved {
        fn run(&self, boot: i64, wall: i64) {
            self.0[0].fetch_add(wall, Ordering::Relaxed);
            self.0[1].fetch_add(boot, Ordering::Relaxed);
        }
    }

    impl TimeSource for Moved {
        fn wall(&self) -> i64 {
            self.0[0].load(Ordering::Relaxed)
        }

        fn boot(&self) -> i64 {
            self.0[1].load(Ordering::Relaxed)
        }
    }

    fn clock(floor: i64) -> (Moved, GateClock<Moved>) {
        let source = Moved::default();
        source.run(7 * MINUTE, 1_000 * DAY);
        (
            source.clone(),
            GateClock::reading(source, Time::from_millis(floor)),
        )
    }

    fn now(clock: &impl Clock) -> i64 {
        clock.now().as_millis() - 1_000 * DAY
    }

    #[test]
    fn a_clock_never_tells_less_than_its_floor() {
        let floor = Time::from_millis(i64::MAX - 1);
        assert_eq!(GateClock::starting_at(floor).now(), floor);
    }

    #[test]
    fn the_machine_has_a_boot_time_that_runs() {
        let machine = MachineTime::default();
        let before = machine.boot();
        assert!(machine.boot() >= before && before >= 0 && machine.wall() > 0);
    }

    /// G5.
    #[test]
    fn a_wall_clock_that_goes_back_stops_the_time_and_is_no_leap_when_it_comes_back() {
        let (source, clock) = clock(0);
        source.run(MINUTE, MINUTE);
        assert_eq!(now(&clock), MINUTE);
        source.run(MINUTE, -DAY);
        assert_eq!((now(&clock), clock.jumped()), (MINUTE, None));
        source.run(MINUTE, DAY + 2 * MINUTE);
        assert_eq!((now(&clock), clock.jumped()), (3 * MINUTE, None));
    }

    #[test]
    fn five_minutes_are_followed_and_a_millisecond_more_is_a_leap() {
        let (source, clock) = clock(0);
        source.run(SECOND, SECOND + 5 * MINUTE);
        assert_eq!((now(&clock), clock.jumped()), (SECOND + 5 * MINUTE, None));
        source.run(0, 1);
        // What was told is not taken back, and goes on once boot time has caught up.
        assert_eq!(now(&clock), SECOND + 5 * MINUTE);
        assert_eq!(
            clock.jumped(),
            Some(Time::from_millis(1_000 * DAY + SECOND + 5 * MINUTE + 1))
        );
        assert_eq!(clock.jumped(), None);
        source.run(6 * MINUTE, 6 * MINUTE);
        assert_eq!(now(&clock), SECOND + 6 * MINUTE);
    }

    #[test]
    fn a_leap_is_told_once_and_time_goes_on_at_boot_pace_until_it_is_accepted() {
        let (source, clock) = clock(0);
        source.run(SECOND, 30 * DAY);
        assert_eq!(now(&clock), SECOND);
        assert_eq!(clock.jumped(), Some(Time::from_millis(1_030 * DAY)));
        source.run(DAY, DAY);
        assert_eq!((now(&clock), clock.jumped()), (DAY + SECOND, None));
        // Another leap on top is told again.
        source.run(0, 30 * DAY);
        assert_eq!(
            (now(&clock), clock.jumped()),
            (DAY + SECOND, Some(Time::from_millis(1_061 * DAY)))
        );
        clock.accept();
        assert_eq!((now(&clock), clock.jumped()), (61 * DAY, None));
        source.run(MINUTE, MINUTE);
        assert_eq!(now(&clock), 61 * DAY + MINUTE);
    }

    #[test]
    fn a_leap_that_was_taken_back_can_come_again() {
        let (source, clock) = clock(0);
        for _ in 0..2 {
            source.run(SECOND, DAY + SECOND);
            assert!(clock.jumped().is_some());
            source.run(SECOND, SECOND - DAY);
            assert_eq!(clock.jumped(), None);
        }
        assert_eq!(now(&clock), 4 * SECOND);
    }

    #[test]
    fn drift_is_no_leap_and_many_small_leaps_are_one() {
        let (source, drifting) = clock(0);
        for _ in 0..400 {
            // 40 seconds a day for more than a year.
            source.run(DAY, DAY + 40 * SECOND);
            assert_eq!(drifting.jumped(), None);
        }
        assert_eq!(now(&drifting), 400 * (DAY + 40 * SECOND));
        let (source, leaping) = clock(0);
        let reported = (0..10).filter(|_| {
            source.run(SECOND, 4 * MINUTE);
            leaping.jumped().is_some()
        });
        assert!(reported.count() >= 1);
        assert!(
            now(&leaping) <= 10 * SECOND + 5 * MINUTE,
            "{}",
            now(&leaping)
        );
    }

    #[test]
    fn a_floor_ahead_of_the_wall_clock_is_waited_for() {
        let (source, clock) = clock(1_000 * DAY + MINUTE);
        assert_eq!(now(&clock), MINUTE);
        source.run(2 * MINUTE, 2 * MINUTE);
        assert_eq!((now(&clock), clock.jumped()), (2 * MINUTE, None));
    }
}
