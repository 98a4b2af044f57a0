//! Runs end: when their agent says so, when their lease is over or they are as long as runs get,
//! and when the gate stops.

use std::sync::Arc;

use crate::gate::name::{AgentName, CallId, RunId, ToolName, WorkflowName};
use crate::gate::outcome::FailureMode;
use crate::gate::time::Time;
use crate::ledger::living::Ledger;
use crate::ledger::runs::charge::{charge, wire_charge};
use crate::ledger::runs::index::Key;
use crate::ledger::runs::open::{End, OpenRun};
use crate::ledger::unlisted::UNLISTED;
use crate::ledger::workflow::WorkflowHandle;

impl Ledger {
    /// Ends the agent's open run. `None` where there is none.
    #[must_use]
    pub fn finish(
        &self,
        workflow: &WorkflowName,
        agent: &AgentName,
        run: &RunId,
        escalated: bool,
    ) -> Option<RunId> {
        let key = Key {
            workflow: workflow.clone(),
            agent: agent.clone(),
            run: run.clone(),
        };
        let open = self.runs.get(&key)?;
        let handle = self.table().entries.get(workflow).map(Arc::clone)?;
        let mut run_state = open.lock();
        let first = escalated && run_state.escalate();
        let id = run_state.id.clone();
        drop(run_state);
        if first {
            handle.note_escalated(&*self.journal, &key, self.now());
        }
        self.end_run(&handle, Some(&key), &open, self.now(), End::Finished);
        Some(id)
    }

    /// Is a run of this agent open under this id?
    #[must_use]
    pub fn is_open(&self, workflow: &WorkflowName, agent: &AgentName, run: &RunId) -> bool {
        self.runs
            .get(&Key {
                workflow: workflow.clone(),
                agent: agent.clone(),
                run: run.clone(),
            })
            .is_some()
    }

    /// Ends a run and hands it to the journal; one with calls in flight takes no more and ends with
    /// the last of them.
    pub(in crate::ledger) fn end_run(
        &self,
        handle: &WorkflowHandle,
        key: Option<&Key>,
        open: &Arc<OpenRun>,
        now: Time,
        end: End,
    ) {
        let mut run = open.lock();
        let id = run.id.clone();
        if run.in_flight > 0 && end != End::Stopped && !run.has_ended() {
            run.ending = true;
            drop(run);
            if let Some(key) = key {
                self.runs.end_with_last_call(key, &id, open, now);
            }
            return;
        }
        if end == End::Lease && handle.policy.run.finish_required && !run.has_ended() {
            let call = run
                .calls
                .last()
                .map_or(CallId::from_bits(0), |call| call.call);
            let tool = run
                .calls
                .last()
                .map_or_else(|| ToolName::from(UNLISTED), |call| call.tool.clone());
            drop(charge(
                &*self.journal,
                handle,
                open,
                &mut run,
                wire_charge(
                    FailureMode::Timeout,
                    call,
                    &tool,
                    Some("the run never finished"),
                ),
                now,
            ));
        }
        run.exposure.release(handle.shard.exposure());
        let record = run.end(
            &handle.policy,
            handle.shard.name(),
            &open.agent,
            open.given_id.as_ref(),
            now,
        );
        // Recorded under the run's lock: a report that finds it ended reaches the journal after its
        // record does.
        if let Some(record) = record {
            self.journal.record(record);
        }
        drop(run);
        if let Some(key) = key {
            self.runs.close(key, &id, open, now);
        }
    }

    /// Ends the runs whose lease is over. A run whose workflow has no policy any more ends under
    /// the one it began with.
    pub(in crate::ledger) fn end_leases(&self, now: Time) {
        let table = self.table_full();
        for (key, open) in self.runs.due(now) {
            let handle = table.entries.get(&key.workflow).unwrap_or(&open.handle);
            let rules = &handle.policy.run;
            let mut run = open.lock();
            let before = run.held.len();
            let shard = &open.handle.shard;
            run.held.retain(|id| {
                shard
                    .approval(*id)
                    .is_some_and(|approval| approval.stage.ended_at().is_none())
            });
            if run.held.len() < before {
                run.last_activity = now;
            }
            let is_idle = run.in_flight == 0 && run.held.is_empty();
            let over = run.is_over(rules, now);
            let full = is_idle && now.since(run.started) >= rules.max;
            let lasts = run.started.plus(rules.max);
            let lease = if is_idle {
                run.last_activity.plus(rules.lease)
            } else {
                now.plus(rules.lease)
            };
            if run.held.is_empty() {
                open.set_due(if lasts > now { lease.min(lasts) } else { lease });
            }
            drop(run);
            if over || full {
                self.end_run(
                    handle,
                    Some(&key),
                    &open,
                    now,
                    if over { End::Lease } else { End::Full },
                );
            }
        }
    }

    /// Ends every open run: the gate stops.
    pub fn end_all(&self) {
        let now = self.now();
        let table = self.table_full();
        for (key, open) in self.runs.snapshot() {
            let handle = table.entries.get(&key.workflow).unwrap_or(&open.handle);
            self.end_run(handle, Some(&key), &open, now, End::Stopped);
        }
        self.write_pace(now, true);
        self.write_refusals(now, true);
    }
}
