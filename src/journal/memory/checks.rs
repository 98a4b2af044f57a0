//! The queue of runs that people are asked to judge, in memory: every counted run of a workflow
//! that asks for checks is drawn.

use std::collections::BTreeMap;

use super::Books;
use crate::gate::booking::CheckState;
use crate::gate::name::WorkflowName;
use crate::gate::risk::Risk;
use crate::gate::run::Executed;
use crate::gate::time::Time;
use crate::journal::read::{CheckView, Checks, Drawn};

impl Books {
    pub(super) fn checks(
        &self,
        workflow: Option<&WorkflowName>,
        since: Time,
        limit: usize,
    ) -> Checks {
        let mut waiting = Vec::new();
        let mut drawn: BTreeMap<WorkflowName, Drawn> = BTreeMap::new();
        for (index, (drawn_at, state)) in &self.checks {
            let view = &self.runs[*index];
            if workflow.is_some_and(|workflow| *workflow != view.run.workflow)
                || (*state != CheckState::Waiting && *drawn_at < since)
            {
                continue;
            }
            drawn
                .entry(view.run.workflow.clone())
                .or_default()
                .add(*state, 1);
            if *state == CheckState::Waiting {
                let risk = view
                    .run
                    .calls
                    .iter()
                    .filter(|call| call.executed != Executed::No)
                    .map(|call| call.risk)
                    .max()
                    .unwrap_or(Risk::Read);
                waiting.push(CheckView {
                    view: view.clone(),
                    risk,
                    drawn_at: *drawn_at,
                });
            }
        }
        waiting.sort_by_key(|check| std::cmp::Reverse(check.risk));
        waiting.truncate(limit);
        Checks {
            waiting,
            drawn: drawn.into_iter().collect(),
        }
    }

    /// A drawn run leaves the queue, where it waits there. `None` where it was not drawn.
    pub(super) fn leave_queue(&mut self, index: usize, state: CheckState) -> Option<CheckState> {
        let (_, known) = self.checks.get_mut(&index)?;
        let before = *known;
        if before == CheckState::Waiting {
            *known = state;
        }
        Some(before)
    }
}
