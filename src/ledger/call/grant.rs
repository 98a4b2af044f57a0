//! The grant of a reviewer, which lets its call go once.

use std::sync::MutexGuard;

use super::admission::Used;
use super::in_flight::InFlightCall;
use super::input::DecisionInput;
use super::outcome::{Goes, NotAdmitted, capped_by};
use crate::gate::time::Time;
use crate::ledger::living::Ledger;
use crate::ledger::shard::Live;

impl Ledger {
    /// Lets the call go under the grant of an approval.
    pub(in crate::ledger) fn use_grant(
        &self,
        mut call: InFlightCall,
        input: &DecisionInput<'_>,
        mut live: MutexGuard<'_, Live>,
        used: Used,
        now: Time,
    ) -> Result<Goes, NotAdmitted> {
        if let Some(recalled) = self.take_approved(&mut call, now) {
            drop(live);
            return Err(self.deny_recalled(call, recalled, now).into());
        }
        // Before the grant is used: a cap puts the call off, and the grant is still there when it
        // comes again.
        if let Err(refusal) = call.take_caps(input.tool.map(|tool| &**tool), now) {
            drop(live);
            return Err(capped_by(call, refusal).into());
        }
        call.decision.granted = true;
        call.allow();
        let durable = self.journal_admission(&mut call, &mut live, Some(used), now);
        drop(live);
        Ok(Goes {
            call,
            durable: Some(durable),
        })
    }
}
