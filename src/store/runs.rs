//! Writing the run index: runs that ended, runs that were booked before their end, and their calls.

use rusqlite::{ffi, params};

use super::booked::load;
use super::chain::subject_hash;
use super::codes;
use super::codes::{AMBIGUOUS, OPEN, notable_mark};
use super::database::StoreFault;
use super::rows::{
    A_MILLISECOND, ERA, FirstCall, IndexedNames, LAST_MILLISECOND, RunRow, TIME_SHIFT, bytes,
};
use super::transaction::Transaction;
use crate::gate::booking::ids::Belongs;
use crate::gate::booking::{BookedRun, add_new, counts_anyway, ids, reasons};
use crate::gate::event::Admission;
use crate::gate::name::{PersonName, RunId, WorkflowName};
use crate::gate::run::{Charge, Executed, Mark, RunRef};
use crate::gate::run_flags::RunFlags;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::journal::booked::BookedRuns as _;
use crate::journal::record::{CallRecord, RunRecord};

impl<'c> Transaction<'c> {
    /// Writes a run that ended, and gives the id of its row where it was not booked before its end.
    pub(super) fn write_run(&mut self, run: &RunRecord) -> Result<Option<i64>, StoreFault> {
        let workflow = self.name(run.workflow.as_str())?;
        let agent = self.name(run.agent.as_str())?;
        let first = run.calls.first();
        // Most runs are one acceptable call without a name: nothing can have booked them before, so
        // nothing is looked up.
        let belongs = ids::row_of_ended(
            &mut self.names_of(workflow, agent),
            run.run.as_ref(),
            run.mark,
            first.map(|call| call.call),
        )?;
        let calls = run.calls.iter().map(|call| (call.risk, call.executed));
        let counts = counts_anyway(run.mark, calls, self.reads_count(&run.workflow));
        let more = i64::try_from(run.calls.len().saturating_sub(1)).unwrap_or(i64::MAX);
        let booked = run.booked_at.as_millis();
        let began = booked.saturating_sub(run.started.as_millis());
        let ended = run.ended.as_millis().saturating_sub(booked);
        let described = match first {
            Some(call) => Some(self.first_call(call, run.started)?),
            None => None,
        };
        let id = match &belongs {
            Belongs::To(id) => {
                self.connection.execute(
                    "UPDATE runs SET run = coalesce(run, ?2), began = ?3, ended = ?4, more = ?5, call = ?6 WHERE id = ?1",
                    params![
                        id,
                        run.run.as_ref().map(RunId::as_str),
                        began,
                        ended,
                        more,
                        first.map(|call| bytes(call.call)),
                    ],
                )?;
                if let Some(call) = &described {
                    self.describe_first(*id, call)?;
                }
                *id
            }
            Belongs::Nowhere(name) => {
                let unknown = |call: &CallRecord| call.executed == Executed::Unknown;
                let ambiguous = if run.calls.iter().any(unknown) {
                    AMBIGUOUS
                } else {
                    0
                };
                let row = RunRow {
                    workflow,
                    agent,
                    run: name.as_ref().map(RunId::as_str),
                    mark: run.mark,
                    counts,
                    high: run.high,
                    notable: notable_mark(run.mark) | ambiguous,
                    began,
                    ended: Some(ended),
                    more,
                    call: first.map(|call| call.call),
                    first: described,
                    observed: run.observed,
                };
                self.insert(run.booked_at, &row)?
            }
        };
        for (n, call) in run.calls.iter().enumerate().skip(1) {
            self.insert_call(id, n, call, run.started)?;
        }
        for call in &run.calls {
            self.touch(id, workflow, call)?;
            self.keep_arguments(call)?;
        }
        if let Belongs::To(id) = belongs {
            return self.end_booked(id, run, counts).map(|()| None);
        }
        let failed = run.mark == Mark::Unacceptable;
        let mut charges = Vec::new();
        add_new(&mut charges, &run.charges, |charge| {
            failed && self.counts(&run.workflow, &charge.mode)
        });
        for (n, charge) in (1..).zip(&charges) {
            self.insert_charge(id, n, &charge.charge, run.ended, charge.counts)?;
        }
        Ok(Some(id))
    }

    /// Writes the row of a run that was booked before its end, so that it can be found whatever
    /// becomes of the process.
    pub(super) fn book(
        &mut self,
        workflow: &WorkflowName,
        run: &RunRef,
        at: Time,
        high: bool,
        observed: RunFlags,
        charges: &[Charge],
    ) -> Result<(), StoreFault> {
        let (owner, agent, belongs) = self.row_of(workflow, run)?;
        let (id, before) = match belongs {
            Belongs::To(id) => (id, load(self.connection, id)?),
            Belongs::Nowhere(name) => {
                let begun =
                    BookedRun::unfinished(workflow.clone(), run.clone(), at, high, observed);
                let row = RunRow {
                    workflow: owner,
                    agent,
                    run: name.as_ref().map(RunId::as_str),
                    mark: begun.mark,
                    counts: begun.counts,
                    high,
                    notable: notable_mark(begun.mark) | OPEN,
                    began: 0,
                    ended: None,
                    more: 0,
                    call: run.run.as_str().parse().ok(),
                    first: None,
                    observed,
                };
                (self.insert(at, &row)?, begun)
            }
        };
        let mut after = before.clone();
        after.add(
            charges,
            reasons(charges, |mode| self.counts(workflow, mode)),
        );
        self.update(id, &before, &after, at, None)
    }

    pub(super) fn book_high(
        &mut self,
        workflow: &WorkflowName,
        run: &RunRef,
    ) -> Result<(), StoreFault> {
        let Some(id) = self.booked_row(workflow, run)? else {
            return Ok(());
        };
        let before = load(self.connection, id)?;
        self.update(id, &before, &before.with_high(), before.booked_at, None)
    }

    /// The row of a run that was booked and has not ended.
    pub(super) fn booked_row(
        &mut self,
        workflow: &WorkflowName,
        run: &RunRef,
    ) -> Result<Option<i64>, StoreFault> {
        Ok(match self.row_of(workflow, run)?.2 {
            Belongs::To(id) => Some(id),
            Belongs::Nowhere(_) => None,
        })
    }

    /// The numbers of the workflow and of the agent, and where the run belongs.
    fn row_of(
        &mut self,
        workflow: &WorkflowName,
        run: &RunRef,
    ) -> Result<(i64, i64, Belongs<i64>), StoreFault> {
        let workflow = self.name(workflow.as_str())?;
        let agent = self.name(run.agent.as_str())?;
        let id = run.run.as_str();
        let belongs = ids::row_of(&mut self.names_of(workflow, agent), id, id.parse().ok())?;
        Ok((workflow, agent, belongs))
    }

    /// Puts an admitted call into the row of its run after a restart: that call is all that is
    /// known of the run.
    pub(super) fn attach(
        &mut self,
        id: i64,
        workflow: &WorkflowName,
        admission: &Admission,
        at: Time,
    ) -> Result<(), StoreFault> {
        let call = CallRecord {
            call: admission.call,
            at,
            tool: admission.tool.clone(),
            risk: admission.risk,
            verdict: Verdict::Allow,
            executed: Executed::Unknown,
            rule: None,
            status: 0,
            subject: admission.subject.clone(),
            args: None,
        };
        let owner = self.name(workflow.as_str())?;
        let (first, more): (bool, i64) = self.connection.query_row(
            "SELECT tool IS NULL, more FROM runs WHERE id = ?1",
            [id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if first {
            let described = self.first_call(&call, at)?;
            self.describe_first(id, &described)?;
            self.connection.execute(
                "UPDATE runs SET call = ?2 WHERE id = ?1",
                params![id, bytes(call.call)],
            )?;
        } else {
            self.insert_call(id, usize::try_from(more).unwrap_or(0) + 1, &call, at)?;
            self.connection
                .execute("UPDATE runs SET more = more + 1 WHERE id = ?1", [id])?;
        }
        self.connection.execute(
            "UPDATE runs SET counts = 1, notable = notable | ?2 WHERE id = ?1",
            [id, AMBIGUOUS],
        )?;
        self.touch(id, owner, &call)
    }

    /// Ends what a crash left open: whatever comes under the same id is another run.
    pub(super) fn end_open(&mut self, now: Time) -> Result<(), StoreFault> {
        self.connection.execute(
            "UPDATE runs SET ended = max(0, ?1 - (id >> 21)), notable = notable & 3
             WHERE id IN (SELECT id FROM runs WHERE notable > 0 AND notable & 4)",
            [now.as_millis()],
        )?;
        Ok(())
    }

    pub(super) fn insert_charge(
        &mut self,
        id: i64,
        n: usize,
        charge: &Charge,
        at: Time,
        counted: bool,
    ) -> Result<(), StoreFault> {
        let mode = self.name(charge.mode.as_str())?;
        let tool = charge
            .tool
            .as_ref()
            .map(|tool| self.name(tool.as_str()))
            .transpose()?;
        self.connection.execute(
            "INSERT INTO charges VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, NULL, NULL)",
            params![
                id,
                i64::try_from(n).unwrap_or(i64::MAX),
                mode,
                codes::source::code(charge.source),
                charge.by.as_ref().map(PersonName::as_str),
                charge.call.map(bytes),
                tool,
                charge.note.as_deref(),
                charge.reference.as_deref(),
                at.as_millis(),
                counted
            ],
        )?;
        Ok(())
    }

    fn names_of(&mut self, workflow: i64, agent: i64) -> IndexedNames<'_, 'c> {
        IndexedNames {
            statements: &mut self.runs,
            connection: self.connection,
            workflow,
            agent,
        }
    }

    pub(super) fn find(
        &mut self,
        workflow: i64,
        agent: i64,
        run: &str,
    ) -> Result<Option<(i64, bool)>, StoreFault> {
        self.runs.named(workflow, agent, run)
    }

    pub(super) fn first_call(
        &mut self,
        call: &CallRecord,
        started: Time,
    ) -> Result<FirstCall, StoreFault> {
        Ok(FirstCall {
            at: call.at.as_millis().saturating_sub(started.as_millis()),
            tool: self.name(call.tool.as_str())?,
            risk: codes::risk::code(call.risk),
            verdict: codes::verdict::code(call.verdict),
            executed: codes::executed::code(call.executed),
            rule: call.rule.as_ref().map(|rule| self.name(rule)).transpose()?,
            status: call.status,
            subject: call
                .subject
                .as_ref()
                .map(|subject| subject_hash(&self.loaded.ledger, subject)),
        })
    }

    /// Lists a row as one of an import that is not finished.
    pub(super) fn note_importing(&mut self, id: i64) -> Result<(), StoreFault> {
        self.runs.importing.execute([id, self.runs.era])?;
        Ok(())
    }

    fn describe_first(&mut self, id: i64, first: &FirstCall) -> Result<(), StoreFault> {
        self.connection.execute(
            "UPDATE runs SET at = ?2, tool = ?3, risk = ?4, verdict = ?5, executed = ?6, rule = ?7, status = ?8, subject = ?9 WHERE id = ?1",
            params![id, first.at, first.tool, first.risk, first.verdict, first.executed, first.rule, first.status, first.subject],
        )?;
        Ok(())
    }

    pub(super) fn insert_call(
        &mut self,
        id: i64,
        n: usize,
        call: &CallRecord,
        started: Time,
    ) -> Result<(), StoreFault> {
        let FirstCall {
            at,
            tool,
            risk,
            verdict,
            executed,
            rule,
            status,
            subject,
        } = self.first_call(call, started)?;
        let n = i64::try_from(n).unwrap_or(i64::MAX) + 1;
        self.runs.call.execute(params![
            id,
            n,
            bytes(call.call),
            at,
            tool,
            risk,
            verdict,
            executed,
            rule,
            status,
            subject
        ])?;
        self.rows += 1;
        Ok(())
    }

    pub(super) fn keep_arguments(&mut self, call: &CallRecord) -> Result<(), StoreFault> {
        if let Some(args) = &call.args {
            self.runs
                .arguments
                .execute(params![bytes(call.call), &**args])?;
            self.rows += 1;
        }
        Ok(())
    }

    pub(super) fn touch(
        &mut self,
        id: i64,
        workflow: i64,
        call: &CallRecord,
    ) -> Result<(), StoreFault> {
        let Some(subject) = &call.subject else {
            return Ok(());
        };
        let subject = subject_hash(&self.loaded.ledger, subject);
        let tool = self.name(call.tool.as_str())?;
        self.runs.touched.execute(params![
            self.runs.era,
            subject,
            call.executed != Executed::No,
            codes::risk::code(call.risk),
            workflow,
            tool,
            id
        ])?;
        self.rows += 1;
        self.runs.in_era += 1;
        if self.runs.in_era >= ERA {
            self.runs.era += 1;
            self.runs.in_era = 0;
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, booked: Time, row: &RunRow<'_>) -> Result<i64, StoreFault> {
        self.rows += 1;
        let mut millisecond = booked.as_millis().clamp(0, LAST_MILLISECOND);
        let mut tries = 0;
        loop {
            self.runs.tail = (self.runs.tail + 1) % A_MILLISECOND;
            let id = millisecond << TIME_SHIFT | self.runs.tail;
            let inserted = row
                .bind(&mut self.runs.run, id)
                .and_then(|()| self.runs.run.raw_execute());
            match inserted {
                Ok(_) => return Ok(id),
                Err(rusqlite::Error::SqliteFailure(error, _))
                    if matches!(
                        error.extended_code,
                        ffi::SQLITE_CONSTRAINT_ROWID | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                    ) =>
                {
                    tries += 1;
                    if tries == A_MILLISECOND {
                        // Two million runs in one millisecond: an import. The next millisecond will
                        // do.
                        tries = 0;
                        millisecond = (millisecond + 1).min(LAST_MILLISECOND);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
