//! A call that no rule stops takes what it needs beside other calls: its share of the caps, an
//! exposure slot, its count among repeats.

use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

use super::caps::{ConcurrencySlot, VolumeShare};
use super::exposure::{ExposureSlot, NoSlot};
use super::in_flight::InFlightCall;
use super::input::DecisionInput;
use super::loops::LoopCount;
use super::refusal::Refusal;
use crate::gate::policy::Tool;
use crate::gate::policy::finding::Finding;
use crate::gate::risk::Risk;
use crate::gate::status::Status;
use crate::gate::time::Time;
use crate::ledger::living::Ledger;
use crate::ledger::runs::open::RunState;

impl InFlightCall {
    /// Takes what the call needs of every cap, or nothing. A call that has its share of a volume
    /// keeps it while it is judged again.
    pub(super) fn take_caps(&mut self, tool: Option<&Tool>, now: Time) -> Result<(), Refusal> {
        if self.reservations.concurrency.is_some() {
            return Ok(());
        }
        let slot = ConcurrencySlot::take(&self.handle, tool)?;
        if self.reservations.volume.is_none() {
            self.reservations.volume = Some(VolumeShare::take(&self.handle, tool, now)?);
        }
        self.reservations.concurrency = Some(slot);
        Ok(())
    }

    /// Takes an exposure slot for the call's run, where it needs one and has none. A call that a
    /// person approved needs none.
    pub(super) fn take_exposure(&mut self, judged: &Status) -> Result<(), NoSlot> {
        if !self.handle.policy.exposure
            || self.facts.risk < Risk::Medium
            || self.decision.granted
            || self.reservations.exposure.is_some()
        {
            return Ok(());
        }
        let slot = ExposureSlot::take(&self.handle, &self.run.open, self.facts.risk, judged)?;
        self.reservations.exposure = Some(slot);
        Ok(())
    }

    /// Does a loop of this call cost its run? Once a run, and not where the call reads or is
    /// idempotent.
    pub(in crate::ledger) const fn breaks_loop(&self, run: &mut RunState) -> bool {
        !matches!(self.facts.risk, Risk::Read)
            && !self.facts.idempotent
            && run.repeats.first_break()
    }
}

impl Ledger {
    /// Counts the call among those of its run; a finding where the same call was allowed as often as
    /// the policy allows.
    pub(super) fn count_repeat(
        &self,
        call: &mut InFlightCall,
        input: &DecisionInput<'_>,
        now: Time,
    ) -> Option<Finding> {
        if call.run.key.is_none() || call.decision.granted || call.reservations.loop_count.is_some()
        {
            return None;
        }
        let mut hasher = self.call_hasher.build_hasher();
        call.facts.tool.hash(&mut hasher);
        if !input.review.hash_call(&mut hasher) {
            return None;
        }
        let same = (call.facts.id, call.facts.risk, hasher.finish());
        match LoopCount::take(&call.handle, &call.run.open, same, now) {
            Ok(count) => {
                call.reservations.loop_count = Some(count);
                None
            }
            Err(finding) => Some(finding),
        }
    }
}
