//! The queue of runs that people are asked to judge, in memory: every counted run of a workflow
//! that asks for checks is drawn.

use std::collections::BTreeMap;

use super::books::MemoryBooks;
use crate::gate::booking::CheckState;
use crate::gate::name::WorkflowName;
use crate::gate::risk::Risk;
use crate::gate::run::Executed;
use crate::gate::time::Time;
use crate::journal::read::{CheckView, Checks, Drawn};

impl MemoryBooks {
    pub(super) fn checks(
        &self,
        workflow: Option<&WorkflowName>,
        since: Time,
        limit: usize,
    ) -> Checks {
        let mut waiting = Vec::new();
        let mut drawn: BTreeMap<WorkflowName, Drawn> = BTreeMap::new();
        for (row, kept) in &self.runs.rows {
            let Some((drawn_at, state)) = kept.drawn_at.zip(kept.run.check) else {
                continue;
            };
            if workflow.is_some_and(|workflow| *workflow != kept.run.workflow)
                || (state != CheckState::Waiting && drawn_at < since)
            {
                continue;
            }
            drawn
                .entry(kept.run.workflow.clone())
                .or_default()
                .add(state, 1);
            if state == CheckState::Waiting {
                let view = kept.view(*row);
                let executed = view.run.calls.iter();
                let executed = executed.filter(|call| call.executed != Executed::No);
                let risk = executed.map(|call| call.risk).max().unwrap_or(Risk::Read);
                waiting.push(CheckView {
                    view,
                    risk,
                    drawn_at,
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
}
