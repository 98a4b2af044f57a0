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
use std::sync::Arc;
use std::time::Duration;

use super::admit::DecisionInput;
use super::in_flight::InFlightCall;
use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::risk::Risk;
use crate::gate::time::{Time, minutes};
use crate::gate::verdict::Verdict;
use crate::ledger::Ledger;
use crate::ledger::runs::open::{OpenRun, RunState};

/// Reads count within so much time, and so many times as many of them pass.
const READS: (Duration, u32) = (minutes(1), 20);

/// A call that counts among the same calls of its run.
pub(in crate::ledger) struct LoopCount {
    run: Arc<OpenRun>,
    print: u64,
    counts: bool,
}

impl LoopCount {
    /// It was sent, and not put off: it counts for good.
    pub(in crate::ledger) fn commit(mut self) {
        self.counts = true;
    }
}

impl Drop for LoopCount {
    fn drop(&mut self) {
        if !self.counts {
            self.run.lock().repeats.give_back(self.print);
        }
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
        if call.run.key.is_none() || call.decision.granted || call.reservations.loop_count.is_some()
        {
            return None;
        }
        let mut hasher = self.alike.build_hasher();
        call.facts.tool.hash(&mut hasher);
        if !input.review.alike(&mut hasher) {
            return None;
        }
        let print = hasher.finish();
        let most = call.handle.policy.run.repeats.saturating_sub(1);
        let (most, window) = if call.facts.risk == Risk::Read {
            (most.saturating_mul(READS.1), Some(READS.0))
        } else {
            (most, None)
        };
        let counted = call
            .run
            .open
            .lock()
            .repeats
            .count(print, call.facts.id, most, window, now);
        match counted {
            Ok(()) => {
                call.reservations.loop_count = Some(LoopCount {
                    run: Arc::clone(&call.run.open),
                    print,
                    counts: false,
                });
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
        !matches!(self.facts.risk, Risk::Read) && !self.facts.idempotent && run.repeats.break_once()
    }
}
