//! A run that has ended, with its calls, as it is handed to the journal.

use std::sync::Arc;

use crate::gate::name::{AgentName, CallId, RunId, Subject, ToolName, WorkflowName};
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, Executed, Mark};
use crate::gate::run_flags::{RunContribution, RunFlags};
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;

/// A run that has ended, with its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Whose workflow.
    pub workflow: WorkflowName,
    /// Whose run.
    pub agent: AgentName,
    /// Its id; `None` where its only call is the run: then the call's id is the run's.
    pub run: Option<RunId>,
    /// When it began.
    pub started: Time,
    /// When it ended.
    pub ended: Time,
    /// When it was booked: at its first unacceptable mode, else at its end.
    pub booked_at: Time,
    /// What it stands as. `Unacceptable` runs were booked by an event of their own and are not
    /// tallied again.
    pub mark: Mark,
    /// Whether it executed a `high` call.
    pub high: bool,
    /// What the gate saw of it besides.
    pub observed: RunFlags,
    /// What went wrong, counted or not.
    pub charges: Vec<Charge>,
    /// Its calls, in order.
    pub calls: Vec<CallRecord>,
}

/// One call of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// Its id.
    pub call: CallId,
    /// When it was judged.
    pub at: Time,
    /// Its tool; for an unlisted call, method and path of the API as `api/?`.
    pub tool: ToolName,
    /// Its tool's risk class.
    pub risk: Risk,
    /// What the gate said.
    pub verdict: Verdict,
    /// Whether it was executed.
    pub executed: Executed,
    /// The rule that decided, where it was not allowed.
    pub rule: Option<Arc<str>>,
    /// The status the agent got.
    pub status: u16,
    /// The business object it touched.
    pub subject: Option<Subject>,
    /// Its arguments as canonical JSON, where the policy says `record: arguments` and they are no
    /// longer than [`MAX_RECORDED`].
    pub args: Option<Arc<str>>,
}

/// The longest arguments that are recorded, in bytes. Of longer ones only the facts are kept, as of
/// all where the policy does not say `record: arguments`.
pub const MAX_RECORDED: usize = 16 * 1024;

/// Exactly one booked run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunKey {
    /// Its workflow.
    pub workflow: WorkflowName,
    /// Its agent.
    pub agent: AgentName,
    /// Its id.
    pub run: RunId,
}

impl RunRecord {
    /// Its id: that of its only call where it has none of its own.
    #[must_use]
    pub fn id(&self) -> RunId {
        let call = || {
            self.calls
                .first()
                .map_or_else(String::new, |call| call.call.to_string())
        };
        self.run.clone().unwrap_or_else(|| RunId::from(call()))
    }

    /// How it stands in the counts, as `mark`.
    #[must_use]
    pub fn shown(&self, mark: Mark) -> RunContribution {
        RunContribution::of(mark, self.observed, &self.charges)
    }
}
