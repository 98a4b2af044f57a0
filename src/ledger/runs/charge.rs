//! What a call costs its run: charges, and the booking of a run as a failure.

use super::open::{OpenRun, RunState};
use crate::gate::event::{Event, Revision};
use crate::gate::name::{CallId, ToolName};
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::run::{Charge, Mark};
use crate::gate::time::Time;
use crate::journal::port::{Durable, Journal};
use crate::ledger::workflow::WorkflowHandle;

/// Adds `charge` to an open run: books the run where the mode counts and it was not booked yet. The
/// receipt is of the event, where there is one.
pub fn charge(
    journal: &dyn Journal,
    handle: &WorkflowHandle,
    open: &OpenRun,
    run: &mut RunState,
    charge: Charge,
    now: Time,
) -> Option<Durable> {
    let objective = &handle.policy.terms.objective;
    let counts = objective.counts(&charge.mode);
    // A report goes on record even if it changes nothing, an agent's only the first time: it could
    // fill a disk with them. What the gate saw itself is on the run.
    let is_recorded = match charge.source {
        Source::Wire => false,
        Source::Agent => !run.charges.iter().any(|known| known.mode == charge.mode),
        Source::Person | Source::System => !charge
            .reference
            .as_deref()
            .is_some_and(|reference| run.is_reported(&charge.mode, reference)),
    };
    let is_new = run.charge(charge.clone(), counts);
    let reference = run.reference(&open.agent);
    let event = match run.booked_at {
        None if is_new && counts => Event::Booked {
            run: reference,
            high: run.is_high(),
            charges: run.charges.clone(),
            observed: run.flags,
        },
        Some(booked_at) if is_new => {
            // The writer knows how the run stands by then, and completes the revision.
            let revision = Revision::new(
                reference,
                booked_at,
                run.is_high(),
                Mark::Unacceptable,
                Mark::Unacceptable,
            );
            Event::Reported { revision, charge }
        }
        Some(_) | None if is_recorded => {
            let remarked = Event::Remarked {
                run: reference,
                charge,
            };
            return Some(
                handle
                    .shard
                    .append(&mut handle.shard.lock(), journal, now, remarked)
                    .durable,
            );
        }
        Some(_) | None => return None,
    };
    let mut live = handle.shard.lock();
    let booked_at = now.max(live.state().now());
    let appended = handle.shard.append(&mut live, journal, now, event);
    drop(live);
    run.booked_at.get_or_insert(booked_at);
    // Last: whoever finds the slot free finds the failure counted.
    let is_high = run.is_high();
    run.exposure
        .release_booked(is_high, handle.shard.exposure());
    Some(appended.durable)
}

/// A charge of what the gate saw on the wire.
#[must_use]
pub fn wire_charge(mode: FailureMode, call: CallId, tool: &ToolName, note: Option<&str>) -> Charge {
    Charge {
        mode,
        source: Source::Wire,
        by: None,
        call: Some(call),
        tool: Some(tool.clone()),
        note: note.map(Into::into),
        reference: None,
    }
}

/// A booked run executed its first `high` call.
pub fn book_high(
    journal: &dyn Journal,
    handle: &WorkflowHandle,
    open: &OpenRun,
    run: &RunState,
    booked_at: Time,
    now: Time,
) {
    let event = Event::BookedHigh {
        run: run.reference(&open.agent),
        booked_at,
    };
    drop(
        handle
            .shard
            .append(&mut handle.shard.lock(), journal, now, event),
    );
}
