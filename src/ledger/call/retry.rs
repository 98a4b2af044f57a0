//! May a call that was sent be sent once more? It is judged again, as it stands now.
//!
//! Nothing is held, booked or counted here: the call has its seat and was admitted once, and a
//! repeat that may not go simply does not. A permit that is minted here is as good as any other,
//! until the next clamp (G2).

use super::admit::{Ask, facts};
use super::permit::{Permit, Seat};
use crate::gate::policy::facts::RunFacts;
use crate::gate::policy::judge;
use crate::gate::policy::judge::Case;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::ledger::Ledger;

impl Ledger {
    /// A permit for sending the call in `seat` once more; the seat back where the verdict is not
    /// the same any more.
    pub fn again(&self, seat: Seat, ask: &Ask<'_>, now: Time) -> Result<Permit, Box<Seat>> {
        let epoch = self.epoch();
        seat.place.shard.advance(now);
        let standing = seat.place.shard.standing();
        let run = RunFacts {
            id: seat.run_id.as_str(),
            calls: 0,
            escalated: false,
        };
        let facts = facts(ask, &seat, &standing, run);
        let case = Case {
            workflow: &seat.place.policy,
            standing: &standing,
            tool: ask.tool.map(|tool| &**tool),
            facts,
            now,
        };
        let passes = match judge::judge(&case) {
            Err(_) => false,
            // A grant was used for this very call.
            Ok(judged) => judged
                .acts
                .is_none_or(|finding| finding.verdict == Verdict::Hold && seat.granted),
        };
        if !passes {
            return Err(Box::new(seat));
        }
        Ok(Permit { seat, epoch })
    }
}
