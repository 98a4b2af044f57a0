//! May a call that was sent be sent once more? It is judged again, as it stands now.
//!
//! Nothing is held, booked or counted here: the call was admitted once, and an attempt that may not
//! go is not made. A permit from here is like any other, and worthless after the next clamp (G2).

use super::in_flight::InFlightCall;
use super::input::{DecisionInput, facts};
use super::permit::{Judgement, Permit};
use crate::gate::policy::judge;
use crate::gate::policy::judge::Case;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::ledger::living::Ledger;

impl Ledger {
    /// A permit for sending the call once more; the call back where the verdict is not the same any
    /// more.
    pub fn retry(
        &self,
        call: InFlightCall,
        input: &DecisionInput<'_>,
        now: Time,
    ) -> Result<Permit, Box<InFlightCall>> {
        let judgement = Judgement::begin(self);
        call.handle.shard.advance(now);
        let status = call.handle.shard.status();
        let facts = facts(input, &call, &status);
        let case = Case {
            workflow: &call.handle.policy,
            status: &status,
            tool: input.tool.map(|tool| &**tool),
            facts,
            now,
        };
        let passes = match judge::judge(&case) {
            Err(_) => false,
            // A grant was used for this very call.
            Ok(judged) => judged
                .acts
                .is_none_or(|finding| finding.verdict == Verdict::Hold && call.decision.granted),
        };
        if !passes {
            return Err(Box::new(call));
        }
        Ok(judgement.allow(call))
    }
}
