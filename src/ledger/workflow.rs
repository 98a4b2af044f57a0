//! A workflow's policy beside its living state, and how many of its calls got which verdict.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::caps::WorkflowCaps;
use super::shard::Shard;
use crate::gate::name::{ToolName, WorkflowName};
use crate::gate::policy::{PolicySet, Workflow};
use crate::gate::verdict::Verdict;

/// The policies in force, with the living state of each of their workflows.
pub struct Table {
    /// The policies.
    pub policies: Arc<PolicySet>,
    /// By workflow.
    pub entries: BTreeMap<WorkflowName, Arc<WorkflowHandle>>,
}

/// A workflow's policy beside its living state.
pub struct WorkflowHandle {
    /// The policy.
    pub policy: Arc<Workflow>,
    /// The living state.
    pub shard: Arc<Shard>,
    pub(super) caps: WorkflowCaps,
    pub(super) counts: HashMap<ToolName, Arc<VerdictCounts>>,
    pub(super) unlisted: Arc<VerdictCounts>,
}

/// How many calls got which verdict.
#[derive(Debug, Default)]
pub struct VerdictCounts([AtomicU64; 3], AtomicU64);

impl WorkflowHandle {
    /// Its tool API failed a call of `tool`.
    pub(super) fn fail(&self, tool: &ToolName) {
        self.counts
            .get(tool)
            .unwrap_or(&self.unlisted)
            .1
            .fetch_add(1, Ordering::Relaxed);
    }

    /// A call of `tool` got `verdict`.
    pub(super) fn count(&self, tool: Option<&ToolName>, verdict: Verdict) {
        tool.and_then(|tool| self.counts.get(tool))
            .unwrap_or(&self.unlisted)
            .add(verdict);
    }
}

impl VerdictCounts {
    fn add(&self, verdict: Verdict) {
        self.0[verdict as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many calls their tool API failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.1.load(Ordering::Relaxed)
    }

    /// How many calls got `verdict`.
    #[must_use]
    pub fn get(&self, verdict: Verdict) -> u64 {
        self.0[verdict as usize].load(Ordering::Relaxed)
    }
}
