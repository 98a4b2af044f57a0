//! What a crash left open: calls that were admitted and never answered, and runs that were booked
//! and had not ended.

use tracing::warn;

use super::database::Database;
use super::loaded::LoadedState;
use super::open_error::OpenError;
use super::transaction::Transaction;
use crate::gate::event::{Admission, Entry, Event};
use crate::gate::name::WorkflowName;
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, Executed};
use crate::gate::run_flags::RunFlags;
use crate::gate::time::Time;
use crate::journal::booked::BookedRuns as _;

/// The note of the charge that a lost answer earns.
const AMBIGUOUS: &str = "ambiguous: sent, and the answer was lost in a restart";

/// Settles what was admitted and never answered: it may have been executed, so it counts where a
/// repetition would do harm, and is not sent again (F1).
pub(super) fn settle(
    database: &Database,
    mut loaded: LoadedState,
    now: Time,
) -> Result<LoadedState, OpenError> {
    // A clock that was set back before the newest entry changes nothing: time never goes back (G5).
    let now = now.max(loaded.state.now());
    let open: Vec<(WorkflowName, Admission)> = loaded
        .state
        .workflows()
        .flat_map(|(workflow, state)| {
            state
                .open_calls()
                .map(|(_, admission)| (workflow.clone(), admission.clone()))
        })
        .collect();
    if loaded.head.seq == 0 {
        // Nothing happened yet: the first entry is the app's.
        loaded.state.advance(now);
        return Ok(loaded);
    }
    let mut transaction = Transaction::new(&database.connection, loaded)?;
    transaction.begin()?;
    transaction.advance(now)?;
    if !open.is_empty() {
        warn!(
            calls = open.len(),
            "calls were under way when the gate stopped: they are settled as ambiguous"
        );
    }
    for (workflow, admission) in &open {
        let entry = |event| Entry {
            at: now,
            workflow: Some(workflow.clone()),
            event,
        };
        transaction.enter(
            0,
            &entry(Event::Settled {
                call: admission.call,
                executed: Executed::Unknown,
                undid: None,
            }),
        )?;
        let booked = transaction.booked_row(workflow, &admission.run)?;
        if admission.idempotent && booked.is_none() {
            continue;
        }
        let high = admission.risk == Risk::High;
        let charge = Charge {
            mode: FailureMode::Timeout,
            source: Source::Wire,
            by: None,
            call: Some(admission.call),
            tool: Some(admission.tool.clone()),
            note: Some(AMBIGUOUS.into()),
            reference: None,
        };
        // A run is booked once; what becomes known later is added to it.
        let row = if booked.is_some() {
            booked
        } else {
            transaction.enter(
                0,
                &entry(Event::Booked {
                    run: admission.run.clone(),
                    high,
                    charges: vec![charge.clone()],
                    observed: RunFlags::NONE,
                }),
            )?;
            transaction.booked_row(workflow, &admission.run)?
        };
        if let Some(row) = row.filter(|_| booked.is_some() && !admission.idempotent) {
            transaction.add_charges(row, &[charge], now, |transaction, charge| {
                transaction.counts(workflow, &charge.mode)
            })?;
        }
        if let Some(row) = row {
            transaction.attach(row, workflow, admission, now)?;
        }
    }
    transaction.end_open(now)?;
    transaction.commit()?;
    Ok(transaction.loaded)
}
