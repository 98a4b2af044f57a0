//! A call is read: it joins its run, and from here on it is settled, however it ends (G1).

use std::sync::Arc;

use super::in_flight::{CallDecision, CallFacts, InFlightCall, JoinedRun, Progress};
use super::reservations::Reservations;
use crate::gate::name::{AgentName, CallId, RunId, ToolName};
use crate::gate::risk::Risk;
use crate::gate::time::Time;
use crate::ledger::living::Ledger;
use crate::ledger::runs::index::Key;
use crate::ledger::runs::open::{End, OpenRun};
use crate::ledger::unlisted::UNLISTED;
use crate::ledger::workflow::WorkflowHandle;

impl Ledger {
    /// Opens a call in its run: the run that `run` names, or one of its own. `None`
    /// where no more runs can be opened.
    pub fn open_call(
        self: &Arc<Self>,
        handle: &Arc<WorkflowHandle>,
        agent: &AgentName,
        run: Option<RunId>,
        call: CallId,
        now: Time,
    ) -> Option<InFlightCall> {
        let (key, open) = if let Some(run) = run {
            let key = Key {
                workflow: handle.policy.name.clone(),
                agent: agent.clone(),
                run,
            };
            let open = self.join_run(handle, &key, call, now)?;
            (Some(key), open)
        } else {
            let id = RunId::from(call.spell().as_str());
            (
                None,
                Arc::new(OpenRun::of_one_call(
                    Arc::clone(handle),
                    agent.clone(),
                    id,
                    now,
                )),
            )
        };
        let run_id = open.lock().id.clone();
        Some(InFlightCall {
            ledger: Arc::clone(self),
            handle: Arc::clone(handle),
            facts: CallFacts {
                id: call,
                at: now,
                tool: ToolName::from(UNLISTED),
                risk: Risk::High,
                idempotent: false,
                escalation: false,
                subject: None,
                sample: None,
                args: None,
            },
            run: JoinedRun {
                open,
                key,
                id: run_id,
            },
            decision: CallDecision::default(),
            reservations: Reservations::default(),
            progress: Progress::Waiting,
            failed: false,
        })
    }

    /// The open run of `key` with room for one more call; a run that is full or over is ended and
    /// continued.
    fn join_run(
        &self,
        handle: &Arc<WorkflowHandle>,
        key: &Key,
        call: CallId,
        now: Time,
    ) -> Option<Arc<OpenRun>> {
        loop {
            let open = self.runs.open(key, handle, &*self.journal, now)?;
            let mut state = open.lock();
            let end = if state.is_over(&handle.policy.run, now) {
                End::Lease
            } else if state.is_full(&handle.policy, now) {
                End::Full
            } else if state.has_ended() || state.ending {
                End::Finished
            } else {
                state.judged += 1;
                state.in_flight += 1;
                state.in_flight_ids.push(call);
                state.last_activity = now;
                drop(state);
                return Some(open);
            };
            drop(state);
            self.end_run(handle, Some(key), &open, now, end);
        }
    }
}
