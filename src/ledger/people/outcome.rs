//! Whom an operation concerns, and why one cannot be done.

use crate::gate::approval::Stage;
use crate::gate::approval::queue::Conflict;
use crate::gate::name::{LevelName, PersonName, StepName, WorkflowName};
use crate::ledger::shard::Shard;

/// One workflow or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowScope {
    /// This workflow.
    One(WorkflowName),
    /// Every workflow, those to come included.
    All,
}

/// Why something cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// No such workflow.
    #[error("no workflow is called `{0}`")]
    NoWorkflow(WorkflowName),
    /// No such level.
    #[error("workflow `{workflow}` has no level `{level}`; it has {known}")]
    NoLevel {
        /// The workflow.
        workflow: WorkflowName,
        /// The level that was asked for.
        level: LevelName,
        /// The levels there are.
        known: String,
    },
    /// No such step.
    #[error("workflow `{workflow}` has no step `{step}` to earn; it has {known}")]
    NoStep {
        /// The workflow.
        workflow: WorkflowName,
        /// The step that was asked for.
        step: StepName,
        /// The steps there are.
        known: String,
    },
    /// The state does not permit it.
    #[error("{0}")]
    Conflict(String),
    /// No such approval.
    #[error("no approval has this id")]
    NoApproval,
    /// No such grant.
    #[error("no grant has this id")]
    NoGrant,
    /// No grant can be given for the tool.
    #[error("{0}")]
    Tool(String),
    /// The person who decides asked for the call.
    #[error("who asks cannot decide: another person must")]
    Own,
    /// The person is no approver, or not any more.
    #[error(
        "`{0}` may not decide on held calls; whoever is listed with the role of reviewer or operator may"
    )]
    NoApprover(PersonName),
    /// Somebody else's decision on the same approval is on its way to disk.
    #[error("another decision on this approval is being written")]
    Deciding,
}

pub(in crate::ledger) fn known_level(shard: &Shard, level: &LevelName) -> Result<(), OperateError> {
    let live = shard.lock();
    let ladder = &live.state().terms().ladder;
    if ladder.find(level.as_str()).is_some() {
        return Ok(());
    }
    let known = ladder
        .rungs()
        .iter()
        .map(|rung| format!("`{}`", rung.level))
        .collect::<Vec<_>>()
        .join(", ");
    Err(OperateError::NoLevel {
        workflow: shard.name().clone(),
        level: level.clone(),
        known,
    })
}

pub(in crate::ledger) fn decided(conflict: &Conflict) -> OperateError {
    match conflict {
        Conflict::Unknown => OperateError::NoApproval,
        Conflict::Wrong(stage) => OperateError::Conflict(format!(
            "the approval is {} already: {}",
            stage.as_str(),
            ended(*stage)
        )),
        Conflict::Own => OperateError::Own,
        Conflict::Repeated => OperateError::Conflict(
            "you have decided on this approval already; it needs another person".to_owned(),
        ),
    }
}

/// What is left to do about an approval that is decided.
const fn ended(stage: Stage) -> &'static str {
    match stage {
        Stage::Pending => "it waits for people",
        Stage::Approved { .. } => "to take that back before the call is sent, withdraw it",
        Stage::Used { .. } => "the call was sent; report its run if it was wrong",
        Stage::Denied { wrong: true, .. } => "exactly this call is refused for 24 hours",
        Stage::Denied { wrong: false, .. } | Stage::Expired { .. } | Stage::Withdrawn { .. } => {
            "the agent can ask again"
        }
    }
}
