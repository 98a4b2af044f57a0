//! The runs that the journal in memory keeps: what the run index is to a database.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::gate::booking::ids::{RunNames, TouchingRun, present_name, split};
use crate::gate::booking::{BookedRun, Exclusion, ids};
use crate::gate::name::{AgentName, CallId, RunId, Subject, ToolName, WorkflowName};
use crate::gate::outcome::FailureMode;
use crate::gate::run::Executed;
use crate::gate::state::State;
use crate::gate::time::Time;
use crate::journal::booked::candidate;
use crate::journal::read::RunView;
use crate::journal::record::{CallRecord, RunRecord};

/// A row's number is the millisecond that its run is booked to, shifted by so many bits, and a
/// number that tells runs of one millisecond apart.
const TIME_SHIFT: u32 = 21;

/// A run that was booked.
pub(super) struct KeptRun {
    /// The run as it stands.
    pub(super) run: BookedRun,
    /// What was handed over when it ended; of a run that goes on, what is known so far.
    pub(super) record: RunRecord,
    /// When it was drawn for people to judge. Without a secret there is no chance: every counted
    /// run of a workflow that asks for checks is drawn.
    pub(super) drawn_at: Option<Time>,
}

/// Every run, by the number of its row.
#[derive(Default)]
pub(super) struct KeptRuns {
    pub(super) rows: BTreeMap<i64, KeptRun>,
    /// The rows of runs that have ids of their own.
    named: BTreeMap<(WorkflowName, AgentName, RunId), i64>,
    inserted: i64,
}

/// The ids that one agent gave to runs of one workflow.
pub(super) struct KeptNames<'k> {
    pub(super) kept: &'k KeptRuns,
    pub(super) workflow: &'k WorkflowName,
    pub(super) agent: &'k AgentName,
}

impl KeptRun {
    /// The run as it is read back.
    pub(super) fn view(&self, row: i64) -> RunView {
        let run = &self.run;
        let of = |retracted: bool| {
            let charges = run.charges.iter();
            let charges = charges.filter(move |known| known.retracted == retracted);
            charges.map(|known| known.charge.clone()).collect()
        };
        let executed = |call: CallId, was: Executed| {
            let mut calls = run.calls.iter();
            let known = calls.find(|(known, _)| *known == call);
            known.map_or(was, |(_, executed)| *executed)
        };
        let calls = self.record.calls.iter().map(|call| CallRecord {
            executed: executed(call.call, call.executed),
            ..call.clone()
        });
        RunView {
            position: u64::try_from(row).unwrap_or(0),
            run: RunRecord {
                mark: run.mark,
                high: run.high,
                observed: run.observed,
                charges: of(false),
                calls: calls.collect(),
                ..self.record.clone()
            },
            retracted: of(true),
            excluded: run
                .exclusion
                .as_ref()
                .map(|Exclusion { reason, by, .. }| (reason.clone(), by.clone())),
        }
    }

    fn is_executed(&self, call: &CallRecord) -> bool {
        let mut calls = self.run.calls.iter();
        calls.any(|(known, executed)| *known == call.call && *executed != Executed::No)
    }

    fn touched(&self, subject: &Subject) -> impl Iterator<Item = &CallRecord> {
        let calls = self.record.calls.iter();
        calls.filter(move |call| call.subject.as_ref() == Some(subject))
    }

    /// Is this its only call, under whose id it goes?
    fn goes_by(&self, call: CallId) -> bool {
        self.record.run.is_none() && self.run.run.run.as_str() == call.spell().as_str()
    }
}

impl KeptRuns {
    pub(super) fn insert(&mut self, kept: KeptRun) -> i64 {
        self.inserted += 1;
        let tail = self.inserted % (1 << TIME_SHIFT);
        let row = kept.run.booked_at.as_millis() << TIME_SHIFT | tail;
        self.name(row, &kept);
        self.rows.insert(row, kept);
        row
    }

    fn name(&mut self, row: i64, kept: &KeptRun) {
        if let Some(run) = &kept.record.run {
            let (workflow, agent) = (&kept.record.workflow, &kept.record.agent);
            let key = (workflow.clone(), agent.clone(), run.clone());
            self.named.insert(key, row);
        }
    }

    /// The newest first.
    pub(super) fn views(&self) -> impl Iterator<Item = RunView> {
        self.rows.iter().rev().map(|(row, kept)| kept.view(*row))
    }

    pub(super) fn matching(&self, matches: impl Fn(&KeptRun) -> bool) -> Vec<i64> {
        let rows = self.rows.iter().filter(|(_, kept)| matches(kept));
        rows.map(|(row, _)| *row).collect()
    }

    pub(super) fn by_id(
        &self,
        run: &RunId,
        workflow: Option<&WorkflowName>,
        agent: Option<&AgentName>,
    ) -> Vec<i64> {
        let mut rows = self.matching(|KeptRun { run: kept, .. }| {
            kept.run.run == *run
                && workflow.is_none_or(|workflow| *workflow == kept.workflow)
                && agent.is_none_or(|agent| *agent == kept.run.agent)
        });
        rows.truncate(ids::MAX_NAMED + 1);
        rows
    }

    pub(super) fn by_call(&self, call: CallId) -> Vec<i64> {
        self.matching(|kept| {
            kept.goes_by(call) || kept.record.calls.iter().any(|known| known.call == call)
        })
    }

    pub(super) fn by_object(
        &self,
        state: &State,
        subject: &Subject,
        tool: Option<&ToolName>,
        workflow: Option<&WorkflowName>,
    ) -> Vec<TouchingRun<i64>> {
        let mut found = Vec::new();
        for (row, kept) in &self.rows {
            let present = present_name(state, &kept.run.workflow);
            let is_asked = |name: &WorkflowName| *name == kept.run.workflow || *name == present;
            if !workflow.is_none_or(is_asked) {
                continue;
            }
            let calls = kept.touched(subject).filter(|call| kept.is_executed(call));
            let through = calls.filter(|call| tool.is_none_or(|tool| *tool == call.tool));
            if let Some(call) = through.max_by_key(|call| call.risk) {
                let mut candidate = candidate(kept.run.clone());
                candidate.workflow = present;
                candidate.tool = Some((call.risk, call.tool.clone()));
                found.push(TouchingRun {
                    candidate,
                    row: *row,
                });
            }
        }
        found
    }

    pub(super) fn by_report(
        &self,
        subject: &Subject,
        workflow: Option<&WorkflowName>,
        mode: Option<&FailureMode>,
        reference: &str,
    ) -> Option<i64> {
        let mut reported: Option<(bool, i64)> = None;
        for (row, kept) in &self.rows {
            if workflow.is_some_and(|workflow| *workflow != kept.run.workflow)
                || kept.touched(subject).next().is_none()
            {
                continue;
            }
            for known in &kept.run.charges {
                if known.charge.reference.as_deref() == Some(reference)
                    && mode.is_none_or(|mode| *mode == known.charge.mode)
                {
                    reported = reported.max(Some((!known.retracted, *row)));
                }
            }
        }
        reported.map(|(_, row)| row)
    }

    pub(super) fn reported_under(&self, reference: &str, mode: Option<&FailureMode>) -> Vec<i64> {
        self.matching(|kept| {
            kept.run.charges.iter().any(|known| {
                !known.retracted
                    && known.charge.reference.as_deref() == Some(reference)
                    && mode.is_none_or(|mode| *mode == known.charge.mode)
            })
        })
    }

    pub(super) fn excluded_under(&self, reference: &str) -> Vec<i64> {
        self.matching(|kept| {
            let exclusion = kept.run.exclusion.as_ref();
            exclusion.and_then(|excluded| excluded.reference.as_deref()) == Some(reference)
        })
    }
}

impl RunNames for KeptNames<'_> {
    type Row = i64;
    type Error = Infallible;

    fn named(&mut self, run: &str) -> Result<Option<(i64, bool)>, Infallible> {
        let key = (self.workflow.clone(), self.agent.clone(), run.into());
        let row = self.kept.named.get(&key);
        Ok(row.map(|row| (*row, self.kept.rows[row].run.open)))
    }

    fn open_by_call(&mut self, call: CallId) -> Result<Option<i64>, Infallible> {
        let rows = self.kept.matching(|kept| {
            kept.run.open
                && kept.goes_by(call)
                && (&kept.run.workflow, &kept.run.run.agent) == (self.workflow, self.agent)
        });
        Ok(rows.last().copied())
    }

    fn open_continuation(&mut self, base: &str) -> Result<Option<i64>, Infallible> {
        let rows = self.of(base).filter(|(run, _)| run.as_str() != base);
        let open = rows.filter(|(_, row)| self.kept.rows[row].run.open);
        Ok(open.map(|(_, row)| *row).max())
    }

    fn last_number(&mut self, base: &str) -> Result<u64, Infallible> {
        let numbers = self.of(base).map(|(run, _)| split(run.as_str()).1);
        Ok(numbers.max().unwrap_or(0))
    }
}

impl KeptNames<'_> {
    /// The run that is called `base`, and its continuations.
    fn of<'k>(&'k self, base: &'k str) -> impl Iterator<Item = (&'k RunId, &'k i64)> {
        let key = |run: String| (self.workflow.clone(), self.agent.clone(), run.into());
        // `$` is the character after `#`.
        let continuations = key(format!("{base}#"))..key(format!("{base}$"));
        let own = key(base.to_owned());
        let named = &self.kept.named;
        named
            .get_key_value(&own)
            .into_iter()
            .chain(named.range(continuations))
            .filter(move |((_, _, run), _)| split(run.as_str()).0 == base)
            .map(|((_, _, run), row)| (run, row))
    }
}
