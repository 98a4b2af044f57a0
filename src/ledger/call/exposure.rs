//! A run's slot among the risky runs that may be under way at once ([`crate::ledger::exposure`]):
//! taken with its first risky call, and given back where none of them was executed after all.

use std::sync::Arc;

use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::risk::Risk;
use crate::gate::status::Status;
use crate::gate::verdict::Verdict;
use crate::ledger::runs::open::OpenRun;
use crate::ledger::workflow::WorkflowHandle;

/// A risky call's share of the slot that its run has.
pub(in crate::ledger) struct ExposureSlot {
    handle: Arc<WorkflowHandle>,
    run: Arc<OpenRun>,
    executed: bool,
}

/// Why a run gets no slot.
#[derive(Debug)]
pub(super) enum NoSlot {
    /// There is none left.
    Full(Box<Finding>),
    /// The level is not the one that the call was judged at, which may not allow it any more.
    Outdated,
}

impl ExposureSlot {
    /// Takes a slot for the run, where it has none, for a call of this risk that was judged at the
    /// status `judged`.
    pub(super) fn take(
        handle: &Arc<WorkflowHandle>,
        open: &Arc<OpenRun>,
        risk: Risk,
        judged: &Status,
    ) -> Result<Self, NoSlot> {
        let mut run = open.lock();
        let booked = run.booked_at.is_some();
        let needs_all = !booked && !run.exposure.all;
        // A run that is in B counts for the high budget only from its first high call on.
        let needs_high = risk == Risk::High && !run.exposure.high && !(booked && run.is_high());
        let live = handle.shard.lock();
        let (taken, status) = (handle.shard.exposure(), handle.shard.status());
        // Many may have been judged while all was well: those that come here after the failure that
        // burns the budget are judged again.
        if status.level() != judged.level() {
            return Err(NoSlot::Outdated);
        }
        let usage = taken.usage(&status);
        if needs_all && usage.all_taken >= usage.all {
            return Err(full(handle, usage.all_taken, "risky", "the budget"));
        }
        if needs_high && usage.high_taken >= usage.high {
            let budget = "the budget of high-risk runs";
            return Err(full(handle, usage.high_taken, "high-risk", budget));
        }
        taken.take(needs_all, needs_high);
        drop(live);
        run.exposure.all |= needs_all;
        run.exposure.high |= needs_high;
        run.exposure.risky += 1;
        drop(run);
        Ok(ExposureSlot {
            handle: Arc::clone(handle),
            run: Arc::clone(open),
            executed: false,
        })
    }

    /// The call may have been executed: its run keeps its slot until it is booked or ends.
    pub(in crate::ledger) fn commit(mut self) {
        self.executed = true;
    }
}

impl Drop for ExposureSlot {
    fn drop(&mut self) {
        if !self.executed {
            self.run
                .lock()
                .exposure
                .release_call(self.handle.shard.exposure());
        }
    }
}

fn full(handle: &WorkflowHandle, taken: u32, kind: &str, budget: &str) -> NoSlot {
    let detail = format!(
        "{taken} {kind} runs are under way, and {budget} has room for no more that could fail"
    );
    NoSlot::Full(Box::new(Finding {
        location: Some(handle.policy.location.clone()),
        ..Finding::nowhere(Verdict::Deny, RuleName::Exposure, detail)
    }))
}
