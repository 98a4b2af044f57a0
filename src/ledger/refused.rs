//! What was refused, on its way into the journal, for whoever audits it. What a refusal costs is on
//! its run; this only says that it happened.
//!
//! Refusals are written together, at the next sweep, so that a flood of them does not fill a disk
//! (G7): of each workflow, [`MOST_LISTED`] a minute are listed one by one, and those beyond are
//! counted by agent, tool and rule. Requests that never became a call of a run, which anybody can
//! send, are only counted by the slug of their problem.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::unlisted::UNLISTED;
use crate::gate::event::{MOST_REFUSED, RefusedAlike, RefusedCall};
use crate::gate::name::{AgentName, PersonName, ToolName};
use crate::gate::time::{Minute, Time};

/// So many denied calls of one workflow are listed one by one in a minute: more than anybody reads,
/// and some 100 MB a day where it never stops.
pub const MOST_LISTED: usize = 500;
/// So many kinds of denied calls are counted apart. Beyond that an agent's are counted together,
/// and there are as many agents as the configuration lists.
const MOST_KINDS: usize = 64;

/// A workflow's denied calls that are not in the journal yet. Its lock is taken last, and nothing
/// else under it.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    calls: Vec<RefusedCall>,
    /// The minute that is being counted in, and how many of its calls were listed.
    minute: Minute,
    listed: usize,
    more: BTreeMap<RefusalKind, u64>,
}

/// What denied calls are counted by.
type RefusalKind = (AgentName, ToolName, Option<Arc<str>>);

/// How many requests were rejected before they were a call of any run, by the slug of their
/// problem, and when that was last written down.
#[derive(Debug)]
pub struct RejectedRequests(pub(super) Mutex<(BTreeMap<&'static str, u64>, Time)>);

/// The UTC day on which each person's token was last used. As many as there are people with one.
#[derive(Debug, Default)]
pub struct SignIns(pub(super) Mutex<BTreeMap<PersonName, i64>>);

impl Refusals {
    /// Adds `call`, and gives all that are listed where they fill an entry.
    pub(super) fn add(&self, call: RefusedCall, now: Time) -> Option<Vec<RefusedCall>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.minute() > waiting.minute {
            (waiting.minute, waiting.listed) = (now.minute(), 0);
        }
        if waiting.listed >= MOST_LISTED {
            waiting.count(call);
            return None;
        }
        waiting.listed += 1;
        waiting.calls.push(call);
        (waiting.calls.len() >= MOST_REFUSED).then(|| std::mem::take(&mut waiting.calls))
    }

    /// What is to be written: what was counted only once its minute is over, or where the process
    /// `stops`.
    pub(super) fn take(&self, now: Time, stops: bool) -> (Vec<RefusedCall>, Vec<RefusedAlike>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = std::mem::take(&mut waiting.calls);
        let is_over = stops || now.minute() > waiting.minute;
        let more = if is_over {
            std::mem::take(&mut waiting.more)
        } else {
            BTreeMap::new()
        };
        (
            calls,
            more.into_iter()
                .map(|((agent, tool, rule), count)| RefusedAlike {
                    agent,
                    tool,
                    rule,
                    count,
                })
                .collect(),
        )
    }
}

impl Waiting {
    fn count(&mut self, call: RefusedCall) {
        let kind = (call.run.agent, call.tool, call.rule);
        let is_known = self.more.len() < MOST_KINDS || self.more.contains_key(&kind);
        let kind = if is_known {
            kind
        } else {
            (kind.0, ToolName::from(UNLISTED), None)
        };
        *self.more.entry(kind).or_default() += 1;
    }
}

impl Default for RejectedRequests {
    fn default() -> Self {
        RejectedRequests(Mutex::new((BTreeMap::new(), Time::from_millis(i64::MIN))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::name::CallId;
    use crate::gate::run::{Executed, RunRef};

    fn call(n: u128, tool: &str) -> RefusedCall {
        let run = RunRef {
            agent: "bot".into(),
            run: "r".into(),
        };
        let at = Time::from_millis(60_000);
        RefusedCall {
            call: CallId::from_bits(n),
            run,
            at,
            tool: tool.into(),
            rule: Some("level".into()),
            status: 403,
            executed: Executed::No,
        }
    }

    #[test]
    fn a_flood_is_listed_up_to_a_bound_and_then_counted_and_the_next_minute_is_listed_again() {
        let (refusals, minute) = (Refusals::default(), |minute: i64| {
            Time::from_millis(minute * 60_000)
        });
        let mut listed = 0;
        for n in 0..2_000 {
            listed += refusals
                .add(call(n, "a/t"), minute(1))
                .map_or(0, |calls| calls.len());
        }
        let (calls, more) = refusals.take(minute(1), false);
        assert_eq!(
            (listed + calls.len(), more),
            (MOST_LISTED, Vec::new()),
            "what is counted waits for its minute to be over"
        );
        assert_eq!(refusals.add(call(2_000, "a/t"), minute(2)), None);
        let (calls, more) = refusals.take(minute(2), true);
        let alike = RefusedAlike {
            agent: "bot".into(),
            tool: "a/t".into(),
            rule: Some("level".into()),
            count: 1_500,
        };
        assert_eq!((calls.len(), more), (1, vec![alike]));
    }

    #[test]
    fn kinds_are_counted_together_past_their_bound_and_none_is_lost() {
        let (refusals, now) = (Refusals::default(), Time::from_millis(60_000));
        for n in 0..5_000_u128 {
            drop(refusals.add(call(n, &format!("a/{n}")), now));
        }
        let (_, more) = refusals.take(now, true);
        assert_eq!(more.len(), MOST_KINDS + 1);
        assert_eq!(
            more.iter().map(|alike| alike.count).sum::<u64>(),
            5_000 - MOST_LISTED as u64
        );
    }

    #[test]
    fn g7_one_entry_holds_as_many_denied_calls_as_the_bound() {
        let (refusals, now) = (Refusals::default(), Time::from_millis(60_000));
        let add = |n: usize| refusals.add(call(n as u128, "a/t"), now);
        for n in 1..MOST_REFUSED {
            assert_eq!(add(n), None);
        }
        assert_eq!(
            add(MOST_REFUSED).map(|calls| calls.len()),
            Some(MOST_REFUSED)
        );
        assert_eq!(add(MOST_REFUSED + 1), None);
        assert_eq!(refusals.take(now, false).0.len(), 1);
    }
}
