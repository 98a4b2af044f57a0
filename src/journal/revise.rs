//! Changes to runs that were booked: which run, what changes, and what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::RunKey;
use super::unavailable::Unavailable;
use crate::gate::booking::Change;
use crate::gate::booking::ids::Candidate;
use crate::gate::name::{AgentName, CallId, RunId, Subject, ToolName, WorkflowName};
use crate::gate::run::Mark;
use crate::gate::time::Time;

/// Which run to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunTarget {
    /// By its id; workflow and agent where they are needed to tell runs apart.
    Run {
        /// The run's id.
        run: RunId,
        /// Its workflow.
        workflow: Option<WorkflowName>,
        /// Its agent.
        agent: Option<AgentName>,
    },
    /// By one of its calls.
    Call(CallId),
    /// The newest run that touched this business object through its riskiest tool, or through this
    /// one.
    Subject {
        /// The business object.
        subject: Subject,
        /// The tool.
        tool: Option<ToolName>,
        /// The workflow.
        workflow: Option<WorkflowName>,
    },
}

/// A change to how a booked run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revise {
    /// Which run.
    pub target: RunTarget,
    /// The time it is judged at.
    pub at: Time,
    /// What changes.
    pub change: Change,
    /// Open runs that touched the object, the likeliest of each workflow: a booked one of the same
    /// workflow is meant only where it did through a riskier tool.
    pub open: Vec<Candidate>,
}

/// A change to how many booked runs stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Which runs.
    pub of: BatchOf,
    /// The time it is judged at.
    pub at: Time,
    /// What changes.
    pub change: Change,
}

/// Which runs a batch is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchOf {
    /// These, by id, workflow and agent.
    Runs(Vec<RunKey>),
    /// Those with a report, or an exclusion, of this reference that stands.
    Reference(Arc<str>),
}

/// The most runs of one batch. The journal takes a batch in one transaction, and nobody's admission
/// becomes durable meanwhile.
pub const MAX_BATCH: usize = 10_000;

/// What a batch did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevisedAll {
    /// Runs that it changed, by workflow.
    pub changed: BTreeMap<WorkflowName, u64>,
    /// Runs of which the same had been said before.
    pub repeated: u64,
}

/// What a revision did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revised {
    /// The run's workflow.
    pub workflow: WorkflowName,
    /// The run's agent.
    pub agent: AgentName,
    /// The run.
    pub run: RunId,
    /// When it was booked.
    pub booked_at: Time,
    /// What it stood as.
    pub was: Mark,
    /// What it stands as.
    pub now: Mark,
    /// The same report had been made before: nothing changed.
    pub repeated: bool,
}

/// Why a revision cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReviseError {
    /// There is no such run.
    #[error("no run matches")]
    Unknown,
    /// Several runs match.
    #[error("{} runs match", .0.len())]
    Several(Vec<Candidate>),
    /// It has not ended, and what was asked for waits for that.
    #[error("run `{0}` of `{1}` has a call in flight and ends with it; ask again then")]
    Open(RunId, WorkflowName),
    /// More runs than one batch takes.
    #[error(
        "more than {MAX_BATCH} runs match, and one batch takes no more; narrow it down, such as with `since` and `until`"
    )]
    TooMany,
    /// It was never reported so, or is not excluded.
    #[error("{0}")]
    Nothing(&'static str),
    /// What is to be taken back was reported by somebody else.
    #[error(
        "somebody else made that report: it may be taken back by them, a reviewer or an operator"
    )]
    NotOwn,
    /// The journal cannot take it.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
