//! What is kept of a call's arguments once it is over: all of them where the policy records
//! arguments, and a redacted sample where the call failed while its workflow was not healthy.

use std::sync::Arc;

use super::in_flight::InFlightCall;
use crate::gate::budget::posture::Posture;
use crate::gate::event::Event;
use crate::gate::json::Json;
use crate::gate::outcome::FailureMode;
use crate::gate::policy::judge::Judged;
use crate::gate::status::Status;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::gate::{incident, sample};
use crate::journal::record::MAX_RECORDED;
use crate::ledger::runs::open::RunState;
use crate::wire::canonical;

impl InFlightCall {
    /// Keeps of the call's arguments what may be needed once it is over: all of them where the
    /// policy says so, and what they look like where the workflow is not healthy or where this call
    /// alone may burn it.
    pub(in crate::ledger) fn keep_arguments(
        &mut self,
        args: Option<&Json<'_>>,
        status: &Status,
        judged: &Judged,
    ) {
        // In shadow a denial stops nothing, and costs all the same; that of a rule which is only
        // tried out does not.
        let is_denied = [&judged.acts, &judged.shadow]
            .into_iter()
            .flatten()
            .any(|finding| finding.verdict == Verdict::Deny && !finding.in_shadow);
        let may_burn = || {
            self.handle
                .policy
                .terms
                .objective
                .critical
                .iter()
                .any(incident::is_failure)
        };
        if is_denied || status.posture != Posture::Healthy || may_burn() {
            self.facts.sample = args.map(|args| sample::redacted(args).into());
        }
        if self.handle.policy.record_arguments {
            self.facts.args = args.and_then(recorded);
        }
    }

    /// Journals the sample of a call that counts against the budget, where few such calls are
    /// known.
    pub(in crate::ledger) fn show_sample(&self, run: &RunState, sample: &str, now: Time) {
        let objective = &self.handle.policy.terms.objective;
        let counts = |mode: &FailureMode| objective.counts(mode);
        let modes: Vec<_> = run
            .charges
            .iter()
            .filter(|charge| charge.call == Some(self.facts.id) && counts(&charge.mode))
            .map(|charge| charge.mode.clone())
            .collect();
        if modes.is_empty() {
            return;
        }
        let mut live = self.handle.shard.lock();
        let state = live.state();
        if state.account().posture() == Posture::Healthy || !state.samples().wants(&modes) {
            return;
        }
        let run = run.reference(self.agent());
        let event = Event::Sampled {
            run,
            call: self.facts.id,
            tool: self.facts.tool.clone(),
            modes,
            arguments: sample.into(),
        };
        // Nobody waits for it: a fact is written even if the disk is unwell now.
        drop(
            self.handle
                .shard
                .append(&mut live, &*self.ledger.journal, now, event),
        );
    }
}

/// The arguments as they are recorded.
fn recorded(args: &Json<'_>) -> Option<Arc<str>> {
    let mut text = Vec::new();
    canonical::write(args, &mut text);
    (text.len() <= MAX_RECORDED)
        .then(|| String::from_utf8(text).ok().map(Arc::from))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g7_arguments_are_recorded_up_to_the_bound() {
        let recorded = |bytes: usize| {
            // The quotes count.
            recorded(&Json::String("x".repeat(bytes - 2).into())).map(|text| text.len())
        };
        assert_eq!(recorded(MAX_RECORDED), Some(MAX_RECORDED));
        assert_eq!(recorded(MAX_RECORDED + 1), None);
    }
}
