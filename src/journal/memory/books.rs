//! What the journal in memory adds up to: the fold, the entries, and the runs that were booked.

use std::convert::Infallible;
use std::sync::Weak;

use super::kept::{KeptNames, KeptRun, KeptRuns};
use crate::gate::booking::ids::{
    Belongs, RunNames as _, TouchingRun, present_name, row_of, row_of_ended,
};
use crate::gate::booking::{
    BookedRun, Changed, CheckState, RunEnd, add_new, counts_anyway, counts_mode, reasons,
};
use crate::gate::event::{Entry, Event, Revision, TalliedMinute};
use crate::gate::name::{AgentName, CallId, PersonName, RunId, Subject, ToolName, WorkflowName};
use crate::gate::outcome::FailureMode;
use crate::gate::run::{Charge, Executed, Mark, RunRef};
use crate::gate::run_flags::RunFlags;
use crate::gate::state::State;
use crate::gate::time::Time;
use crate::journal::booked;
use crate::journal::booked::BookedRuns;
use crate::journal::port::{Projection, Ticket};
use crate::journal::read::JournalView;
use crate::journal::record::RunRecord;
use crate::journal::revise::{Batch, Revise, ReviseError, Revised, RevisedAll};

/// Everything that the journal in memory keeps.
#[derive(Default)]
pub(super) struct MemoryBooks {
    pub(super) state: State,
    pub(super) entries: Vec<JournalView>,
    pub(super) runs: KeptRuns,
    pub(super) projection: Option<Weak<dyn Projection>>,
}

impl MemoryBooks {
    /// Folds an entry that was handed over, and writes the run that it books.
    pub(super) fn enter(&mut self, ticket: Ticket, mut entry: Entry) {
        // A run is booked to the minute that the fold books it to.
        let at = entry.at.max(self.state.now());
        self.complete(&mut entry);
        self.fold(ticket, entry.clone());
        let Some(workflow) = &entry.workflow else {
            return;
        };
        match &entry.event {
            Event::Booked {
                run,
                high,
                charges,
                observed,
            } => self.book(workflow, run, at, *high, *observed, charges),
            Event::BookedHigh { run, .. } => {
                if let Belongs::To(row) = self.row_of(workflow, run)
                    && let Some(kept) = self.runs.rows.get_mut(&row)
                {
                    kept.run = kept.run.with_high();
                }
            }
            _ => {}
        }
    }

    fn fold(&mut self, ticket: Ticket, mut entry: Entry) {
        // The journal's times never go back.
        entry.at = entry.at.max(self.state.now());
        let entry = &entry;
        let followed = self.state.apply(entry);
        for entry in std::iter::once(entry).chain(&followed) {
            self.keep(entry);
        }
        let Some(projection) = self.projection.as_ref().and_then(Weak::upgrade) else {
            return;
        };
        let concerned: Vec<_> = match &entry.workflow {
            Some(name) => vec![name.clone()],
            None => self
                .state
                .workflows()
                .map(|(name, _)| name.clone())
                .collect(),
        };
        for name in concerned {
            let Some(state) = self.state.workflow(&name) else {
                continue;
            };
            let own = followed
                .iter()
                .filter(|followed| followed.workflow.as_ref() == Some(&name));
            let entries: Vec<_> = std::iter::once(entry).chain(own).cloned().collect();
            projection.committed(&name, ticket, &entries, state);
        }
    }

    pub(super) fn keep(&mut self, entry: &Entry) {
        let seq = self.entries.len() as u64 + 1;
        self.entries.push(JournalView::unchained(seq, entry));
    }

    /// A report of a run that was booked and has not ended comes without what only its row tells.
    fn complete(&mut self, entry: &mut Entry) {
        if let (Some(workflow), Event::Reported { revision, charge }) =
            (&entry.workflow, &mut entry.event)
            && let Belongs::To(row) = self.row_of(workflow, &revision.run)
            && let Some(kept) = self.runs.rows.get_mut(&row)
        {
            let state = &self.state;
            let counts = |mode: &FailureMode| counts_mode(state, workflow, mode);
            let (after, complete) = kept.run.remark(charge, counts);
            kept.run = after;
            *revision = Revision {
                run: revision.run.clone(),
                ..complete
            };
        }
    }

    /// Writes the row of a run that is booked before its end.
    fn book(
        &mut self,
        workflow: &WorkflowName,
        run: &RunRef,
        at: Time,
        high: bool,
        observed: RunFlags,
        charges: &[Charge],
    ) {
        let row = match self.row_of(workflow, run) {
            Belongs::To(row) => row,
            Belongs::Nowhere(name) => {
                let record = RunRecord {
                    workflow: workflow.clone(),
                    agent: run.agent.clone(),
                    run: name.clone(),
                    started: at,
                    ended: at,
                    booked_at: at,
                    mark: Mark::Unacceptable,
                    high,
                    observed,
                    charges: Vec::new(),
                    calls: Vec::new(),
                };
                let known = RunRef {
                    agent: run.agent.clone(),
                    run: name.unwrap_or_else(|| run.run.clone()),
                };
                self.runs.insert(KeptRun {
                    run: BookedRun::unfinished(workflow.clone(), known, at, high, observed),
                    record,
                    drawn_at: None,
                })
            }
        };
        let state = &self.state;
        if let Some(kept) = self.runs.rows.get_mut(&row) {
            let counts = |mode: &FailureMode| counts_mode(state, workflow, mode);
            kept.run.add(charges, reasons(charges, counts));
        }
    }

    /// Writes a run that ended, and counts it unless it was booked by an event of its own.
    pub(super) fn record(&mut self, mut run: RunRecord) {
        let call = run.calls.first().map(|call| call.call);
        let mut names = self.names_of(&run.workflow, &run.agent);
        let Ok(belongs) = row_of_ended(&mut names, run.run.as_ref(), run.mark, call);
        let reads_only =
            (self.state.workflow(&run.workflow)).is_some_and(|state| state.terms().reads_only);
        let calls = run.calls.iter().map(|call| (call.risk, call.executed));
        let counts = counts_anyway(run.mark, calls, reads_only);
        let name = match belongs {
            Belongs::To(row) => return self.end_booked(row, run, counts),
            Belongs::Nowhere(name) => name,
        };
        run.run = name;
        if matches!(run.mark, Mark::Acceptable | Mark::Idle) {
            let mut minute = TalliedMinute::new(run.booked_at.minute());
            minute.add(run.mark, run.high, run.observed, &run.charges);
            let event = Event::Tallied {
                cells: vec![minute],
            };
            self.fold(0, entry(&run.workflow, run.ended, event));
        }
        let is_checked = self
            .state
            .workflow(&run.workflow)
            .is_some_and(|state| state.terms().check.is_some());
        let is_drawn = run.mark == Mark::Acceptable && is_checked;
        let failed = run.mark == Mark::Unacceptable;
        let mut charges = Vec::new();
        add_new(&mut charges, &run.charges, |charge| {
            failed && self.counts(&run.workflow, &charge.mode)
        });
        let booked = BookedRun {
            workflow: run.workflow.clone(),
            run: RunRef {
                agent: run.agent.clone(),
                run: run.id(),
            },
            booked_at: run.booked_at,
            mark: run.mark,
            counts,
            high: run.high,
            open: false,
            observed: run.observed,
            charges,
            exclusion: None,
            calls: executed(&run),
            check: is_drawn.then_some(CheckState::Waiting),
        };
        self.runs.insert(KeptRun {
            run: booked,
            drawn_at: is_drawn.then_some(run.ended),
            record: run,
        });
    }

    fn end_booked(&mut self, row: i64, run: RunRecord, counts: bool) {
        let Some(kept) = self.runs.rows.get_mut(&row) else {
            return;
        };
        let end = RunEnd {
            counts,
            high: run.high,
            observed: run.observed,
            charges: &run.charges,
            calls: executed(&run),
        };
        let state = &self.state;
        let (after, noted) = (kept.run).end(end, |mode| counts_mode(state, &run.workflow, mode));
        kept.run = after;
        let workflow = present_name(state, &run.workflow);
        let ended = run.ended;
        kept.record = RunRecord {
            run: kept.record.run.take().or_else(|| run.run.clone()),
            booked_at: kept.record.booked_at,
            ..run
        };
        if let Some(event) = noted {
            self.fold(0, entry(&workflow, ended, event));
        }
    }

    pub(super) fn last_number(
        &self,
        workflow: &WorkflowName,
        agent: &AgentName,
        run: &RunId,
    ) -> u64 {
        let Ok(number) = self.names_of(workflow, agent).last_number(run.as_str());
        number
    }

    pub(super) fn revise(&mut self, revise: &Revise) -> Result<Revised, ReviseError> {
        let Ok(answer) = booked::revise(self, revise);
        answer
    }

    pub(super) fn revise_all(&mut self, batch: &Batch) -> Result<RevisedAll, ReviseError> {
        let Ok(answer) = booked::revise_all(self, batch);
        answer
    }

    fn row_of(&self, workflow: &WorkflowName, run: &RunRef) -> Belongs<i64> {
        let id = run.run.as_str();
        let Ok(belongs) = row_of(
            &mut self.names_of(workflow, &run.agent),
            id,
            id.parse().ok(),
        );
        belongs
    }

    fn names_of<'k>(&'k self, workflow: &'k WorkflowName, agent: &'k AgentName) -> KeptNames<'k> {
        KeptNames {
            kept: &self.runs,
            workflow,
            agent,
        }
    }
}

impl BookedRuns for MemoryBooks {
    type Row = i64;
    type Error = Infallible;

    fn by_id(
        &mut self,
        run: &RunId,
        workflow: Option<&WorkflowName>,
        agent: Option<&AgentName>,
    ) -> Result<Vec<i64>, Infallible> {
        Ok(self.runs.by_id(run, workflow, agent))
    }

    fn by_call(&mut self, call: CallId) -> Result<Vec<i64>, Infallible> {
        Ok(self.runs.by_call(call))
    }

    fn by_object(
        &mut self,
        subject: &Subject,
        tool: Option<&ToolName>,
        workflow: Option<&WorkflowName>,
    ) -> Result<Vec<TouchingRun<i64>>, Infallible> {
        Ok(self.runs.by_object(&self.state, subject, tool, workflow))
    }

    fn by_report(
        &mut self,
        subject: &Subject,
        workflow: Option<&WorkflowName>,
        mode: Option<&FailureMode>,
        reference: &str,
    ) -> Result<Option<i64>, Infallible> {
        Ok(self.runs.by_report(subject, workflow, mode, reference))
    }

    fn reported_under(
        &mut self,
        reference: &str,
        mode: Option<&FailureMode>,
    ) -> Result<Vec<i64>, Infallible> {
        Ok(self.runs.reported_under(reference, mode))
    }

    fn excluded_under(&mut self, reference: &str) -> Result<Vec<i64>, Infallible> {
        Ok(self.runs.excluded_under(reference))
    }

    fn load(&mut self, row: i64) -> Result<BookedRun, Infallible> {
        Ok(self.runs.rows[&row].run.clone())
    }

    fn save(
        &mut self,
        row: i64,
        before: &BookedRun,
        changed: Changed,
        at: Time,
        _: Option<&PersonName>,
    ) -> Result<(), Infallible> {
        if let Some(kept) = self.runs.rows.get_mut(&row) {
            kept.run = changed.after;
        }
        let workflow = self.present_name(&before.workflow);
        self.fold(0, entry(&workflow, at, changed.event));
        Ok(())
    }

    fn present_name(&self, workflow: &WorkflowName) -> WorkflowName {
        present_name(&self.state, workflow)
    }

    fn counts(&self, workflow: &WorkflowName, mode: &FailureMode) -> bool {
        counts_mode(&self.state, workflow, mode)
    }
}

fn entry(workflow: &WorkflowName, at: Time, event: Event) -> Entry {
    Entry {
        at,
        workflow: Some(workflow.clone()),
        event,
    }
}

fn executed(run: &RunRecord) -> Vec<(CallId, Executed)> {
    run.calls
        .iter()
        .map(|call| (call.call, call.executed))
        .collect()
}
