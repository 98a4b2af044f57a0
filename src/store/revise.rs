//! Changes to booked runs: what `gate::booking` makes of a run is written to its row, and the event
//! to the journal, in one transaction.

use rusqlite::{OptionalExtension as _, params};

use super::booked::{
    Sought, by_call, by_id, by_object, by_report, excluded_under, load, reported_under,
};
use super::codes;
use super::codes::{AMBIGUOUS, OPEN, notable_mark};
use super::database::StoreFault;
use super::rows::{bytes, observed_code};
use super::transaction::Transaction;
use crate::gate::booking::ids::{TouchingRun, present_name};
use crate::gate::booking::{BookedRun, Changed, RunEnd, counts_mode};
use crate::gate::event::{Entry, Event, Revision};
use crate::gate::name::{AgentName, CallId, PersonName, RunId, Subject, ToolName, WorkflowName};
use crate::gate::outcome::FailureMode;
use crate::gate::run::{Charge, Executed};
use crate::gate::time::Time;
use crate::journal::booked;
use crate::journal::booked::BookedRuns;
use crate::journal::record::RunRecord;
use crate::journal::revise::{Batch, Revise, ReviseError, Revised, RevisedAll};

impl BookedRuns for Transaction<'_> {
    type Row = i64;
    type Error = StoreFault;

    fn by_id(
        &mut self,
        run: &RunId,
        workflow: Option<&WorkflowName>,
        agent: Option<&AgentName>,
    ) -> Result<Vec<i64>, StoreFault> {
        by_id(self.connection, run, workflow, agent)
    }

    fn by_call(&mut self, call: CallId) -> Result<Vec<i64>, StoreFault> {
        by_call(self.connection, call)
    }

    fn by_object(
        &mut self,
        subject: &Subject,
        tool: Option<&ToolName>,
        workflow: Option<&WorkflowName>,
    ) -> Result<Vec<TouchingRun<i64>>, StoreFault> {
        by_object(self.connection, &self.sought(subject, tool, workflow))
    }

    fn by_report(
        &mut self,
        subject: &Subject,
        workflow: Option<&WorkflowName>,
        mode: Option<&FailureMode>,
        reference: &str,
    ) -> Result<Option<i64>, StoreFault> {
        let sought = self.sought(subject, None, workflow);
        by_report(self.connection, &sought, mode, reference)
    }

    fn reported_under(
        &mut self,
        reference: &str,
        mode: Option<&FailureMode>,
    ) -> Result<Vec<i64>, StoreFault> {
        reported_under(self.connection, reference, mode)
    }

    fn excluded_under(&mut self, reference: &str) -> Result<Vec<i64>, StoreFault> {
        excluded_under(self.connection, reference)
    }

    fn load(&mut self, row: i64) -> Result<BookedRun, StoreFault> {
        load(self.connection, row)
    }

    fn save(
        &mut self,
        row: i64,
        before: &BookedRun,
        changed: Changed,
        at: Time,
        by: Option<&PersonName>,
    ) -> Result<(), StoreFault> {
        self.update(row, before, &changed.after, at, by)?;
        let workflow = self.present_name(&before.workflow);
        self.fold(
            0,
            Entry {
                at,
                workflow: Some(workflow),
                event: changed.event,
            },
        )
    }

    fn present_name(&self, workflow: &WorkflowName) -> WorkflowName {
        present_name(&self.loaded.state, workflow)
    }

    fn counts(&self, workflow: &WorkflowName, mode: &FailureMode) -> bool {
        counts_mode(&self.loaded.state, workflow, mode)
    }
}

impl Transaction<'_> {
    /// Carries one revision out.
    pub(super) fn revise(
        &mut self,
        revise: &Revise,
    ) -> Result<Result<Revised, ReviseError>, StoreFault> {
        self.write_tallies()?;
        booked::revise(self, revise)
    }

    /// Carries one change out on many runs.
    pub(super) fn revise_all(
        &mut self,
        batch: &Batch,
    ) -> Result<Result<RevisedAll, ReviseError>, StoreFault> {
        self.write_tallies()?;
        booked::revise_all(self, batch)
    }

    fn sought<'s>(
        &'s self,
        subject: &'s Subject,
        tool: Option<&'s ToolName>,
        workflow: Option<&'s WorkflowName>,
    ) -> Sought<'s> {
        Sought {
            ledger: &self.loaded.ledger,
            state: &self.loaded.state,
            subject,
            tool,
            workflow,
        }
    }

    /// Adds to a booked run what was said of it while it went on.
    pub(super) fn add_charges(
        &mut self,
        id: i64,
        charges: &[Charge],
        at: Time,
        counts: impl Fn(&Self, &Charge) -> bool,
    ) -> Result<(), StoreFault> {
        let before = load(self.connection, id)?;
        let mut after = before.clone();
        after.add(charges, |charge| counts(self, charge));
        self.update(id, &before, &after, at, None)
    }

    /// Completes a report of a run that was booked and has not ended: how the run counts by now,
    /// and what was reported before, are known from its row alone. The report is written to the row
    /// as well, so that it can be found, and taken back, before the run ends.
    pub(super) fn completed(&mut self, entry: &Entry, at: Time) -> Result<Entry, StoreFault> {
        let mut entry = entry.clone();
        if let (Some(workflow), Event::Reported { revision, charge }) =
            (&entry.workflow, &mut entry.event)
            && let Some(id) = self.booked_row(workflow, &revision.run)?
        {
            let before = load(self.connection, id)?;
            let (after, complete) = before.remark(charge, |mode| self.counts(workflow, mode));
            self.update(id, &before, &after, at, None)?;
            *revision = Revision {
                run: revision.run.clone(),
                ..complete
            };
        }
        Ok(entry)
    }

    /// A run that was booked before its end has ended.
    pub(super) fn end_booked(
        &mut self,
        id: i64,
        run: &RunRecord,
        counts: bool,
    ) -> Result<(), StoreFault> {
        let before = load(self.connection, id)?;
        let end = RunEnd {
            counts,
            high: run.high,
            observed: run.observed,
            charges: &run.charges,
            calls: run.calls.iter().map(|c| (c.call, c.executed)).collect(),
        };
        let (after, noted) = before.end(end, |mode| self.counts(&run.workflow, mode));
        self.update(id, &before, &after, run.ended, None)?;
        let Some(event) = noted else { return Ok(()) };
        let workflow = self.present_name(&before.workflow);
        self.write_tally_of(&workflow)?;
        self.fold(
            0,
            Entry {
                at: run.ended,
                workflow: Some(workflow),
                event,
            },
        )
    }

    /// Writes what is different about a run.
    pub(super) fn update(
        &mut self,
        id: i64,
        before: &BookedRun,
        after: &BookedRun,
        at: Time,
        by: Option<&PersonName>,
    ) -> Result<(), StoreFault> {
        let columns = |run: &BookedRun| {
            let ambiguous = if run.is_ambiguous() { AMBIGUOUS } else { 0 };
            let open = if run.open { OPEN } else { 0 };
            (
                codes::mark::code(run.mark),
                run.counts,
                run.high,
                notable_mark(run.mark) | ambiguous | open,
                observed_code(run.observed),
            )
        };
        let (mark, counts, high, notable, observed) = columns(after);
        if columns(before) != columns(after) {
            self.connection.execute(
                "UPDATE runs SET mark = ?2, counts = ?3, high = ?4, notable = ?5, seen = ?6 WHERE id = ?1",
                params![id, mark, counts, high, notable, observed],
            )?;
        }
        self.update_charges(id, before, after, at, by)?;
        if before.exclusion != after.exclusion {
            self.connection
                .execute("DELETE FROM exclusions WHERE run = ?1", [id])?;
            if let Some(excluded) = &after.exclusion {
                self.connection.execute(
                    "INSERT INTO exclusions VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![
                        id,
                        excluded.reason,
                        excluded.reference.as_deref(),
                        excluded.by.as_str(),
                        at.as_millis()
                    ],
                )?;
            }
        }
        if let Some(state) = after.check.filter(|state| before.check != Some(*state)) {
            self.leave_queue(id, &after.workflow, state, by, at)?;
        }
        for ((call, executed), (_, was)) in after.calls.iter().zip(&before.calls) {
            if executed != was {
                self.update_executed(id, *call, *executed)?;
            }
        }
        Ok(())
    }

    fn update_charges(
        &mut self,
        id: i64,
        before: &BookedRun,
        after: &BookedRun,
        at: Time,
        by: Option<&PersonName>,
    ) -> Result<(), StoreFault> {
        for (n, charge) in (1..).zip(&after.charges) {
            match before.charges.get(n - 1) {
                None => self.insert_charge(id, n, &charge.charge, at, charge.counts)?,
                Some(was) if charge.retracted && !was.retracted => {
                    self.connection.execute(
                        "UPDATE charges SET retracted = ?3, retracted_by = ?4 WHERE run = ?1 AND n = ?2",
                        params![id, i64::try_from(n).unwrap_or(i64::MAX), at.as_millis(), by.map(PersonName::as_str)],
                    )?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Somebody found out whether a call was executed. One that was not touched nothing, unless
    /// another call of the run did through the same tool.
    fn update_executed(&self, id: i64, call: CallId, executed: Executed) -> Result<(), StoreFault> {
        let (call, code) = (bytes(call), codes::executed::code(executed));
        for update in [
            "UPDATE runs SET executed = ?3 WHERE id = ?1 AND call = ?2",
            "UPDATE calls SET executed = ?3 WHERE run = ?1 AND call = ?2",
        ] {
            self.connection.execute(update, params![id, call, code])?;
        }
        if executed == Executed::No {
            self.untouch(id, &call)?;
        }
        Ok(())
    }

    fn untouch(&self, run: i64, call: &[u8; 16]) -> Result<(), StoreFault> {
        const CALLS: &str = "SELECT call, tool, risk, executed, subject FROM runs WHERE id = ?1 UNION ALL SELECT call, tool, risk, executed, subject FROM calls WHERE run = ?1";
        let touched: Option<(i64, i64, Option<[u8; 16]>)> = self
            .connection
            .query_row(
                &format!("SELECT tool, risk, subject FROM ({CALLS}) WHERE call = ?2"),
                params![run, call],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let Some((tool, risk, Some(subject))) = touched else {
            return Ok(());
        };
        let others: bool = self.connection.query_row(
            &format!("SELECT EXISTS (SELECT 1 FROM ({CALLS}) WHERE tool = ?2 AND subject = ?3 AND executed <> 0)"),
            params![run, tool, subject],
            |row| row.get(0),
        )?;
        if others {
            return Ok(());
        }
        let eras: Option<i64> =
            self.connection
                .query_row("SELECT max(era) FROM touched", [], |row| row.get(0))?;
        let mut update = self
            .connection
            .prepare("UPDATE OR IGNORE touched SET executed = 0 WHERE era = ?1 AND subject = ?2 AND executed = 1 AND risk = ?3 AND tool = ?4 AND run = ?5")?;
        for era in 0..eras.map_or(0, |newest| newest + 1) {
            update.execute(params![era, subject, risk, tool, run])?;
        }
        Ok(())
    }
}
