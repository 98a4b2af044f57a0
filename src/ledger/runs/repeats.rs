//! What a run remembers of its calls, so that a loop of the same call is found.

use std::time::Duration;

use crate::gate::name::CallId;
use crate::gate::time::Time;

/// The most different calls that one run remembers (G7). Beyond that the one that was seen least
/// recently makes room: a loop through more calls than these ends at the run's bound on calls.
const MOST: usize = 64;

/// What a run remembers of its calls.
#[derive(Debug, Default)]
pub struct Repeats {
    known: Vec<RepeatedCall>,
    broken: bool,
}

#[derive(Debug, Clone, Copy)]
struct RepeatedCall {
    fingerprint: u64,
    first: CallId,
    count: u32,
    since: Time,
    last: Time,
}

impl Repeats {
    /// Counts one more call of the same `fingerprint`. Where `most` were allowed before, in
    /// `window` if there is one: the first of them.
    pub(in crate::ledger) fn count(
        &mut self,
        fingerprint: u64,
        call: CallId,
        most: u32,
        window: Option<Duration>,
        now: Time,
    ) -> Result<(), CallId> {
        let new = RepeatedCall {
            fingerprint,
            first: call,
            count: 1,
            since: now,
            last: now,
        };
        let Some(known) = self
            .known
            .iter_mut()
            .find(|call| call.fingerprint == fingerprint)
        else {
            if self.known.len() >= MOST
                && let Some((index, _)) = self
                    .known
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, call)| call.last)
            {
                self.known.swap_remove(index);
            }
            self.known.push(new);
            return Ok(());
        };
        known.last = now;
        if known.count == 0 || window.is_some_and(|window| now.since(known.since) >= window) {
            *known = new;
        } else if known.count >= most {
            return Err(known.first);
        } else {
            known.count += 1;
        }
        Ok(())
    }

    /// A call that was counted does not count after all.
    pub(in crate::ledger) fn give_back(&mut self, fingerprint: u64) {
        if let Some(call) = self
            .known
            .iter_mut()
            .find(|call| call.fingerprint == fingerprint)
        {
            call.count = call.count.saturating_sub(1);
        }
    }

    /// True the first time.
    pub(in crate::ledger) const fn first_break(&mut self) -> bool {
        !std::mem::replace(&mut self.broken, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::time::minutes;

    fn at(seconds: i64) -> Time {
        Time::from_millis(1_795_000_000_000 + seconds * 1_000)
    }

    fn call(bits: u128) -> CallId {
        CallId::from_bits(bits)
    }

    #[test]
    fn the_first_of_too_many_is_named_and_what_is_given_back_may_come_again() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.count(7, call(1), 2, None, at(0)), Ok(()));
        assert_eq!(repeats.count(8, call(2), 2, None, at(0)), Ok(()));
        assert_eq!(repeats.count(7, call(3), 2, None, at(3_600)), Ok(()));
        assert_eq!(repeats.count(7, call(4), 2, None, at(7_200)), Err(call(1)));
        repeats.give_back(7);
        assert_eq!(repeats.count(7, call(5), 2, None, at(7_200)), Ok(()));
        assert_eq!(repeats.count(7, call(6), 2, None, at(7_200)), Err(call(1)));
        assert_eq!(
            (repeats.first_break(), repeats.first_break()),
            (true, false)
        );
    }

    #[test]
    fn within_a_window_only_what_came_in_it_counts() {
        let mut repeats = Repeats::default();
        let minute = Some(minutes(1));
        for second in [0, 1] {
            assert_eq!(repeats.count(7, call(1), 2, minute, at(second)), Ok(()));
        }
        assert_eq!(repeats.count(7, call(2), 2, minute, at(59)), Err(call(1)));
        assert_eq!(repeats.count(7, call(3), 2, minute, at(60)), Ok(()));
        assert_eq!(repeats.count(7, call(4), 2, minute, at(61)), Ok(()));
        assert_eq!(repeats.count(7, call(5), 2, minute, at(62)), Err(call(3)));
    }

    #[test]
    fn g7_a_run_remembers_so_many_and_forgets_the_least_recent() {
        let mut repeats = Repeats::default();
        for (second, fingerprint) in (0..).zip(0..MOST as u64) {
            repeats
                .count(
                    fingerprint,
                    call(u128::from(fingerprint)),
                    1,
                    None,
                    at(second),
                )
                .unwrap();
        }
        assert_eq!(
            repeats.count(0, call(9), 1, None, at(100)),
            Err(call(0)),
            "at the bound all are known"
        );
        repeats.count(1_000, call(1_000), 1, None, at(101)).unwrap();
        assert_eq!(repeats.known.len(), MOST);
        assert_eq!(
            repeats.count(0, call(9), 1, None, at(102)),
            Err(call(0)),
            "seen a moment ago"
        );
        assert_eq!(
            repeats.count(1, call(9), 1, None, at(103)),
            Ok(()),
            "the least recent made room"
        );
    }
}
