//! Held calls that go without a review, because their workflow earned that.

use std::hash::BuildHasher as _;

use super::in_flight::InFlightCall;
use crate::gate::check;
use crate::gate::digest::Digest;
use crate::gate::name::StepName;
use crate::ledger::living::Ledger;
use crate::ledger::shard::Live;

impl Ledger {
    /// Has one of `steps` been earned, and is this not one of the calls that are held all the same?
    /// The draw holds for what the call touches, so that repeating it or changing a word in it
    /// draws no other; it comes from a key of this process that no agent knows (G11).
    pub(in crate::ledger) fn skips_review(
        &self,
        call: &InFlightCall,
        live: &Live,
        steps: &[StepName],
        digest: &Digest,
    ) -> bool {
        if steps.is_empty() {
            return false;
        }
        let skipped = live.state().skipped();
        let spot_check = live.state().terms().earn.spot_check_ppm;
        let is_spot_checked = |step: &StepName| {
            let number = match &call.facts.subject {
                Some(subject) => {
                    self.call_hasher
                        .hash_one(("spot check", &call.facts.tool, step, subject))
                }
                None => self
                    .call_hasher
                    .hash_one(("spot check", &call.facts.tool, step, digest)),
            };
            check::is_drawn(number, spot_check)
        };
        steps
            .iter()
            .any(|step| skipped.contains(step) && !is_spot_checked(step))
    }
}
