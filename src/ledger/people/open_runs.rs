//! What a run that is still open has done, for whoever decides on one of its calls. Booked runs are
//! in the records; these are in memory alone.

use crate::gate::name::{AgentName, CallId, RunId, Subject, ToolName, WorkflowName};
use crate::gate::outcome::FailureMode;
use crate::gate::run::Executed;
use crate::gate::time::Time;
use crate::journal::record::{CallRecord, RunKey};
use crate::ledger::living::Ledger;
use crate::ledger::runs::open::OpenRun;

/// An open run as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRunView {
    /// When it began.
    pub started: Time,
    /// The newest of its calls that are settled, oldest first.
    pub calls: Vec<CallRecord>,
    /// How many older ones are left out.
    pub left_out: usize,
    /// Its calls that are under way, the held one not among them.
    pub in_flight: usize,
    /// What went wrong with it, counted or not.
    pub modes: Vec<FailureMode>,
    /// It handed its case to a person.
    pub escalated: bool,
}

/// An open run that touched a business object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTouchingRun {
    /// Whose workflow.
    pub workflow: WorkflowName,
    /// Whose run.
    pub agent: AgentName,
    /// Its id.
    pub run: RunId,
    /// When it last did.
    pub at: Time,
    /// Through which tools.
    pub tools: Vec<ToolName>,
    /// What went wrong with it, counted or not.
    pub modes: Vec<FailureMode>,
}

impl Ledger {
    /// What a run has done, where it is open: its newest `most` calls without `except`.
    #[must_use]
    pub fn open_run(
        &self,
        workflow: &WorkflowName,
        agent: &AgentName,
        run: &RunId,
        except: CallId,
        most: usize,
    ) -> Option<OpenRunView> {
        let open = self.runs.by_id(workflow, agent, run)?;
        let run = open.lock();
        let others = || run.calls.iter().filter(|call| call.call != except);
        let left_out = others().count().saturating_sub(most);
        Some(OpenRunView {
            started: run.started,
            calls: others().skip(left_out).cloned().collect(),
            left_out,
            in_flight: run
                .in_flight_ids
                .iter()
                .filter(|call| **call != except)
                .count(),
            modes: modes(run.charges.iter().map(|charge| &charge.mode)),
            escalated: run.escalated,
        })
    }

    /// Open runs in which a call that was executed touched `subject`, the latest first, without the
    /// run `except`. Looks at every open run.
    #[must_use]
    pub fn touching(
        &self,
        subject: &Subject,
        except: &RunKey,
        most: usize,
    ) -> Vec<OpenTouchingRun> {
        let touches = |open: &OpenRun| open.lock().calls.iter().any(|call| is_touch(call, subject));
        let found = self.runs.matching(|_, open| touches(open));
        let mut touching: Vec<_> = found
            .into_iter()
            .filter_map(|(key, open)| {
                let run = open.lock();
                if (&key.workflow, &key.agent, &run.id)
                    == (&except.workflow, &except.agent, &except.run)
                {
                    return None;
                }
                let touches = || run.calls.iter().filter(|call| is_touch(call, subject));
                let mut tools: Vec<_> = touches().map(|call| call.tool.clone()).collect();
                tools.sort();
                tools.dedup();
                let at = touches().map(|call| call.at).max()?;
                let modes = modes(run.charges.iter().map(|charge| &charge.mode));
                Some(OpenTouchingRun {
                    workflow: key.workflow,
                    agent: key.agent,
                    run: run.id.clone(),
                    at,
                    tools,
                    modes,
                })
            })
            .collect();
        touching.sort_by(|one, other| other.at.cmp(&one.at).then_with(|| one.run.cmp(&other.run)));
        touching.truncate(most);
        touching
    }
}

fn is_touch(call: &CallRecord, subject: &Subject) -> bool {
    call.executed != Executed::No && call.subject.as_ref() == Some(subject)
}

fn modes<'m>(modes: impl Iterator<Item = &'m FailureMode>) -> Vec<FailureMode> {
    let mut modes: Vec<_> = modes.cloned().collect();
    modes.sort();
    modes.dedup();
    modes
}
