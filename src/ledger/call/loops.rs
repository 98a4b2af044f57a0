//! The loop breaker: the same call again and again in one run.
//!
//! Two calls are the same where tool, method, target and body are, however they are spelled. A body
//! that no rule reads streams past unread, and such calls are not compared. What counts is what was
//! allowed: a call that is held or refused counts nothing, so that repeating a held call until it
//! is approved is no loop; nor does one that was not sent, or that the tool put off (429, 503). A
//! call that a person approved is a person's to repeat.
//!
//! Calls above `read` count over the whole run. Reads may poll: of them twenty times as many pass
//! within a minute, which stops a loop that does not even pause.

use std::sync::Arc;
use std::time::Duration;

use crate::gate::name::CallId;
use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::risk::Risk;
use crate::gate::time::{Time, minutes};
use crate::gate::verdict::Verdict;
use crate::ledger::runs::open::OpenRun;
use crate::ledger::workflow::WorkflowHandle;

/// The time within which reads count.
const READ_WINDOW: Duration = minutes(1);
/// How many times as many reads pass within that time as other calls pass in a run.
const READ_FACTOR: u32 = 20;

/// A call that counts among the same calls of its run.
pub(in crate::ledger) struct LoopCount {
    run: Arc<OpenRun>,
    fingerprint: u64,
    counts: bool,
}

impl LoopCount {
    /// Counts a call among those of its run that have the same `fingerprint`; a finding where as
    /// many were allowed as the policy allows.
    pub(super) fn take(
        handle: &WorkflowHandle,
        run: &Arc<OpenRun>,
        (call, risk, fingerprint): (CallId, Risk, u64),
        now: Time,
    ) -> Result<Self, Finding> {
        let most = handle.policy.run.repeats.saturating_sub(1);
        let (most, window) = if risk == Risk::Read {
            (most.saturating_mul(READ_FACTOR), Some(READ_WINDOW))
        } else {
            (most, None)
        };
        let counted = run
            .lock()
            .repeats
            .count(fingerprint, call, most, window, now);
        match counted {
            Ok(()) => Ok(LoopCount {
                run: Arc::clone(run),
                fingerprint,
                counts: false,
            }),
            Err(first) => {
                let when = if window.is_some() {
                    "within a minute"
                } else {
                    "in this run"
                };
                let detail =
                    format!("exactly this call was let go {most} times {when}, first as {first}");
                Err(Finding {
                    location: Some(handle.policy.location.clone()),
                    ..Finding::nowhere(Verdict::Deny, RuleName::Loop, detail)
                })
            }
        }
    }

    /// It was sent, and not put off: it counts for good.
    pub(in crate::ledger) fn commit(mut self) {
        self.counts = true;
    }
}

impl Drop for LoopCount {
    fn drop(&mut self) {
        if !self.counts {
            self.run.lock().repeats.give_back(self.fingerprint);
        }
    }
}
