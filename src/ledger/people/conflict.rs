//! Two operators at once. What loosens acts only when it is durable, so the state does not show
//! what one of them asked for while it is on its way to disk. Whoever asks for the same in the
//! meantime gets an error that says so, and not a success that is somebody else's.

use std::sync::Arc;

use super::outcome::{OperateError, WorkflowScope};
use crate::gate::event::{Entry, Event};
use crate::gate::name::{PersonName, WorkflowName};
use crate::journal::port::Durable;
use crate::ledger::living::Ledger;
use crate::ledger::shard::{Live, Shard};

impl Ledger {
    /// Lifts the clamp of one workflow, or the one on all, and nothing else.
    pub fn release(
        &self,
        scope: &WorkflowScope,
        by: &PersonName,
        reason: &str,
    ) -> Result<Durable, OperateError> {
        let (shards, now) = (self.scope(scope)?, self.now());
        // A clamp that has run out is lifted already.
        for shard in &shards {
            shard.advance(now);
        }
        let event = Event::Released {
            by: by.clone(),
            reason: reason.into(),
        };
        let under_way_error = |what: &str, by: &PersonName| {
            Err(OperateError::Conflict(format!(
                "{what} is being released by {by} at this moment"
            )))
        };
        if let (WorkflowScope::One(name), [shard]) = (scope, &*shards) {
            let mut live = shard.lock();
            if live.state().clamp().is_none() {
                drop(live);
                return Err(OperateError::Conflict(not_clamped(scope, &shards)));
            }
            if let Some(by) = releasing(&live, false) {
                return under_way_error(&format!("`{name}`"), by);
            }
            return Ok(shard.append(&mut live, &*self.journal, now, event).durable);
        }
        let everywhere = self.everywhere();
        let mut under_way = None;
        let is_clamped = |shard: &Arc<Shard>| {
            let live = shard.lock();
            let by = releasing(&live, true).cloned();
            let is_clamped = live.state().clamp_all().is_some() && by.is_none();
            under_way = under_way.take().or(by);
            is_clamped
        };
        if !shards.iter().any(is_clamped) {
            drop(everywhere);
            return match &under_way {
                Some(by) => under_way_error("the clamp on every workflow", by),
                None => Err(OperateError::Conflict(not_clamped(scope, &shards))),
            };
        }
        Ok(self.append_to_all(
            everywhere,
            Entry {
                at: now,
                workflow: None,
                event,
            },
        ))
    }
}

/// Whose release of the clamp is on its way to disk, of the one on `all` workflows or of the
/// workflow's own. A clamp that came after it stays.
fn releasing(live: &Live, all: bool) -> Option<&PersonName> {
    let newest = live
        .unconfirmed()
        .filter(|entry| entry.workflow.is_none() == all)
        .find_map(|entry| match &entry.event {
            Event::Released { by, .. } => Some(Some(by)),
            Event::Clamped(_) => Some(None),
            _ => None,
        });
    newest.flatten()
}

/// Refuses a recovery, a waiver or a promotion while another one is on its way.
pub(in crate::ledger) fn refuse_while_under_way(
    live: &Live,
    workflow: &WorkflowName,
    what: ExclusiveOperation,
) -> Result<(), OperateError> {
    let by = live
        .unconfirmed()
        .find_map(|entry| match (&entry.event, what) {
            (Event::Recovered { by, .. }, ExclusiveOperation::Recovery)
            | (Event::Waived { by, .. }, ExclusiveOperation::Waiver)
            | (Event::StepTaken { by, .. }, ExclusiveOperation::Promotion) => Some(by),
            (
                Event::Promoted { by, .. } | Event::Demoted { by, .. },
                ExclusiveOperation::Promotion,
            ) => by.as_ref(),
            _ => None,
        });
    match by {
        None => Ok(()),
        Some(by) => {
            let what = what.as_str();
            Err(OperateError::Conflict(format!(
                "{what} of `{workflow}` by {by} is being written at this moment: look at what it comes to, and ask again"
            )))
        }
    }
}

/// An operation of which only one may be under way for a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum ExclusiveOperation {
    Recovery,
    Waiver,
    Promotion,
}

impl ExclusiveOperation {
    const fn as_str(self) -> &'static str {
        match self {
            ExclusiveOperation::Recovery => "a recovery",
            ExclusiveOperation::Waiver => "a waiver",
            ExclusiveOperation::Promotion => "a promotion",
        }
    }
}

fn not_clamped(scope: &WorkflowScope, shards: &[Arc<Shard>]) -> String {
    match scope {
        WorkflowScope::One(name)
            if shards
                .iter()
                .any(|shard| shard.lock().state().clamp_all().is_some()) =>
        {
            format!(
                "`{name}` has no clamp of its own; every workflow is clamped, which `release --all` lifts"
            )
        }
        WorkflowScope::One(name) => format!("`{name}` is not clamped"),
        WorkflowScope::All => "no clamp on every workflow is in force".to_owned(),
    }
}
