//! The loop breaker: the same call again and again in one run.
//!
//! Two calls are the same where tool, method, target and body are, however they are spelled. A body
//! that no rule reads streams past unread, and such calls are not compared. What counts is what was
//! let go: a call that is held or refused counts nothing, so that repeating a held call until it is
//! approved is no loop; nor does one that was not sent, or that the tool put off (429, 503). A call
//! that a person approved is a person's to repeat.
//!
//! Calls above `read` count over the whole run. Reads may poll: of them twenty times as many pass
//! within a minute, which stops a loop that does not even pause.

use std::hash::{BuildHasher as _, Hash as _, Hasher as _};
use std::time::Duration;

use super::admit::DecisionInput;
use super::permit::InFlightCall;
use crate::gate::name::CallId;
use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::risk::Risk;
use crate::gate::time::{Time, minutes};
use crate::gate::verdict::Verdict;
use crate::ledger::Ledger;
use crate::ledger::runs::open::RunState;

/// Reads count within so much time, and so many times as many of them pass.
const READS: (Duration, u32) = (minutes(1), 20);
/// The most different calls that one run remembers (G7). Beyond that the one that was seen least
/// recently makes room: a loop through more calls than these ends with the run's bound on calls.
const MOST: usize = 64;

/// What a run remembers of its calls.
#[derive(Debug, Default)]
pub struct Repeats {
    seen: Vec<Seen>,
    broken: bool,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    print: u64,
    first: CallId,
    count: u32,
    since: Time,
    last: Time,
}

impl Repeats {
    /// Counts one more call of the same `print`. Where `most` were let go before, within `window`
    /// if there is one: the first of them.
    fn count(
        &mut self,
        print: u64,
        call: CallId,
        most: u32,
        window: Option<Duration>,
        now: Time,
    ) -> Result<(), CallId> {
        let new = Seen {
            print,
            first: call,
            count: 1,
            since: now,
            last: now,
        };
        let Some(known) = self.seen.iter_mut().find(|seen| seen.print == print) else {
            if self.seen.len() >= MOST
                && let Some((index, _)) = self
                    .seen
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, seen)| seen.last)
            {
                self.seen.swap_remove(index);
            }
            self.seen.push(new);
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
    pub(in crate::ledger) fn give_back(&mut self, print: u64) {
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.print == print) {
            seen.count = seen.count.saturating_sub(1);
        }
    }

    /// True the first time.
    const fn break_once(&mut self) -> bool {
        !std::mem::replace(&mut self.broken, true)
    }
}

impl Ledger {
    /// Counts the call among its run's; a finding where the same call was let go as often
    /// as the policy lets it.
    pub(in crate::ledger) fn count_repeat(
        &self,
        call: &mut InFlightCall,
        input: &DecisionInput<'_>,
        now: Time,
    ) -> Option<Finding> {
        if call.key.is_none() || call.granted || call.print.is_some() {
            return None;
        }
        let mut hasher = self.alike.build_hasher();
        call.tool.hash(&mut hasher);
        if !input.review.alike(&mut hasher) {
            return None;
        }
        let print = hasher.finish();
        let most = call.handle.policy.run.repeats.saturating_sub(1);
        let (most, window) = if call.risk == Risk::Read {
            (most.saturating_mul(READS.1), Some(READS.0))
        } else {
            (most, None)
        };
        let counted = call
            .run
            .lock()
            .repeats
            .count(print, call.id, most, window, now);
        match counted {
            Ok(()) => {
                call.print = Some(print);
                None
            }
            Err(first) => {
                let when = if window.is_some() {
                    "within a minute"
                } else {
                    "in this run"
                };
                let detail =
                    format!("exactly this call was let go {most} times {when}, first as {first}");
                Some(Finding {
                    place: Some(call.handle.policy.place.clone()),
                    ..Finding::nowhere(Verdict::Deny, RuleName::Loop, detail)
                })
            }
        }
    }
}

impl InFlightCall {
    /// Was work done again and again that is not the same done once? A loop of it costs its run,
    /// and once. One that reads, or does no more each time, costs nothing.
    pub(in crate::ledger) const fn breaks_loop(&self, run: &mut RunState) -> bool {
        !matches!(self.risk, Risk::Read) && !self.idempotent && run.repeats.break_once()
    }

    /// Did the call count although it was not sent, or was put off?
    pub(in crate::ledger) fn uncounts_repeat(&self, sent: bool, status: u16) -> Option<u64> {
        self.print.filter(|_| !sent || matches!(status, 429 | 503))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((repeats.break_once(), repeats.break_once()), (true, false));
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
        for (second, print) in (0..).zip(0..MOST as u64) {
            repeats
                .count(print, call(u128::from(print)), 1, None, at(second))
                .unwrap();
        }
        assert_eq!(
            repeats.count(0, call(9), 1, None, at(100)),
            Err(call(0)),
            "at the bound all are known"
        );
        repeats.count(1_000, call(1_000), 1, None, at(101)).unwrap();
        assert_eq!(repeats.seen.len(), MOST);
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
