//! What people see of the living state: workflows and approvals as they stand.

use std::sync::Arc;

use crate::gate::approval::Approval;
use crate::gate::name::{ApprovalId, WorkflowName};
use crate::gate::status::Status;
use crate::gate::workflow::WorkflowState;
use crate::journal::receipt::Receipt;
use crate::ledger::living::Ledger;
use crate::ledger::workflow::WorkflowHandle;

/// One workflow as an operator sees it.
pub struct View {
    /// Its policy, where it has one in force.
    pub handle: Option<Arc<WorkflowHandle>>,
    /// What the journal adds up to.
    pub state: WorkflowState,
    /// Where it stands.
    pub status: Status,
}

impl Ledger {
    /// Every workflow as it stands, by name.
    #[must_use]
    pub fn views(&self) -> Vec<(WorkflowName, View)> {
        let mut names: Vec<_> = self.table().entries.keys().cloned().collect();
        names.sort();
        names
            .into_iter()
            .filter_map(|name| self.view(&name).map(|view| (name, view)))
            .collect()
    }

    /// One workflow as it stands.
    #[must_use]
    pub fn view(&self, workflow: &WorkflowName) -> Option<View> {
        let shard = self.shard(workflow)?;
        let now = self.now();
        shard.advance(now);
        let mut state = shard.lock().state().clone();
        state.advance(now);
        let status = state.status();
        Some(View {
            handle: self.table().entries.get(workflow).map(Arc::clone),
            state,
            status,
        })
    }

    /// Every approval that is remembered, oldest first.
    #[must_use]
    pub fn approvals(&self) -> Vec<(WorkflowName, Approval)> {
        let shards: Vec<_> = self.shards.iter().map(|shard| Arc::clone(&shard)).collect();
        let now = self.now();
        let mut approvals = Vec::new();
        for shard in shards {
            shard.advance(now);
            approvals.extend(
                shard
                    .lock()
                    .state()
                    .approvals()
                    .iter()
                    .map(|approval| (shard.name().clone(), approval.clone())),
            );
        }
        approvals.sort_by_key(|(_, approval)| (approval.created_at, approval.request.approval));
        approvals
    }

    /// One approval, with its workflow.
    #[must_use]
    pub fn approval(&self, id: ApprovalId) -> Option<(WorkflowName, Approval)> {
        let shard = self.shard_of(id)?;
        shard.advance(self.now());
        Some((shard.name().clone(), shard.approval(id)?))
    }

    /// Answers when something about the approval changes; at once where it has ended or been
    /// approved.
    #[must_use]
    pub fn watch(&self, id: ApprovalId) -> Option<(Approval, Receipt<()>)> {
        let shard = self.shard_of(id)?;
        shard.advance(self.now());
        let mut live = shard.lock();
        let approval = live.state().approvals().get(id)?.clone();
        let receipt = live.watch(id);
        Some((approval, receipt))
    }
}
