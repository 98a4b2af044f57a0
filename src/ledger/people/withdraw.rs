//! Withdrawing held calls and unused grants, also all of them with a clamp: so that none is used in
//! the moment after the clamp is lifted.

use super::outcome::{OperateError, WorkflowScope, decided};
use crate::gate::approval::Stage;
use crate::gate::approval::queue::Conflict;
use crate::gate::event::Event;
use crate::gate::name::{ApprovalId, PersonName};
use crate::journal::port::Durable;
use crate::ledger::living::Ledger;
use crate::ledger::shard::Shard;

impl Ledger {
    /// Takes a held call back, or its unused grant.
    pub fn withdraw(&self, id: ApprovalId, reason: &str) -> Result<Durable, OperateError> {
        let shard = self.shard_of(id).ok_or(OperateError::NoApproval)?;
        let now = self.now();
        shard.advance(now);
        let mut live = shard.lock();
        let stage = live
            .state()
            .approvals()
            .get(id)
            .ok_or(OperateError::NoApproval)?
            .stage;
        if stage.ended_at().is_some() {
            return Err(decided(&Conflict::Wrong(stage)));
        }
        Ok(shard
            .append(
                &mut live,
                &*self.journal,
                now,
                Event::Withdrawn {
                    approval: id,
                    reason: reason.into(),
                },
            )
            .durable)
    }

    /// Withdraws every pending approval and every unused grant of one workflow or all, at once; the
    /// receipts, one for each, answer when that is durable. A decision that is on its way to disk
    /// comes first in the journal, and is void then.
    pub fn withdraw_all(
        &self,
        scope: &WorkflowScope,
        by: &PersonName,
        reason: &str,
    ) -> Result<Vec<Durable>, OperateError> {
        let shards = self.scope(scope)?;
        let reason: std::sync::Arc<str> = format!("{by} withdrew it with a clamp: {reason}").into();
        Ok(shards
            .iter()
            .flat_map(|shard| self.withdraw_of(shard, &reason))
            .collect())
    }

    fn withdraw_of(&self, shard: &Shard, reason: &std::sync::Arc<str>) -> Vec<Durable> {
        let now = self.now();
        shard.advance(now);
        let mut live = shard.lock();
        let is_open = |stage: Stage| matches!(stage, Stage::Pending | Stage::Approved { .. });
        let open: Vec<ApprovalId> = live
            .state()
            .approvals()
            .iter()
            .filter(|approval| is_open(approval.stage))
            .map(|a| a.request.approval)
            .collect();
        open.into_iter()
            .map(|approval| {
                shard
                    .append(
                        &mut live,
                        &*self.journal,
                        now,
                        Event::Withdrawn {
                            approval,
                            reason: reason.clone(),
                        },
                    )
                    .durable
            })
            .collect()
    }
}
