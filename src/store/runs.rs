//! The run index: a row for every run that was booked, in the order of the time it is booked to.

use rusqlite::{Connection, OptionalExtension as _, Statement, ffi, params};

use super::booked::load;
use super::chain::subject_hash;
use super::codes;
use super::codes::{AMBIGUOUS, OPEN, notable_mark};
use super::database::Fault;
use super::pen::Pen;
use crate::gate::booking::ids::{Belongs, RunNames, split};
use crate::gate::booking::{BookedRun, add_new, counts_anyway, ids, reasons};
use crate::gate::event::Admission;
use crate::gate::facets::Facets;
use crate::gate::name::{CallId, PersonName, RunId, WorkflowName};
use crate::gate::run::{Charge, Executed, Mark, RunRef};
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::journal::booked::BookedRuns as _;
use crate::journal::record::{CallRecord, RunRecord};

/// A row's id is its booking time shifted by so many bits, and a number that tells runs of one
/// millisecond apart.
pub(super) const TIME_SHIFT: u32 = 21;
/// How many runs can be booked to one millisecond.
const A_MILLISECOND: i64 = 1 << TIME_SHIFT;
/// The largest millisecond that fits: the year 2109.
const LAST_MILLISECOND: i64 = i64::MAX >> TIME_SHIFT;
/// How many entries an era of `touched` has: a size at which the part that is written to stays in
/// the cache, while ten million make only 153 places to look.
pub(super) const ERA: u64 = 65_536;

const INSERT_RUN: &str = "INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)";
const INSERT_CALL: &str = "INSERT INTO calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const INSERT_TOUCHED: &str =
    "INSERT INTO touched VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
const FIND_NAME: &str =
    "SELECT id, ended IS NULL FROM runs WHERE run = ?1 AND workflow = ?2 AND agent = ?3";
const FIND_CALL: &str =
    "SELECT id FROM runs WHERE call = ?1 AND workflow = ?2 AND agent = ?3 AND ended IS NULL";

/// The statements of the hot path, prepared once a connection.
pub(super) struct RunStatements<'c> {
    run: Statement<'c>,
    call: Statement<'c>,
    touched: Statement<'c>,
    name: Statement<'c>,
    booked: Statement<'c>,
    importing: Statement<'c>,
    arguments: Statement<'c>,
    /// Tells runs of one millisecond apart.
    tail: i64,
    era: i64,
    /// How many entries the era has.
    in_era: u64,
}

impl<'c> RunStatements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> Result<Self, Fault> {
        let (era, in_era): (i64, i64) = connection.query_row(
            "SELECT coalesce(max(era), 0), (SELECT count(*) FROM touched WHERE era = (SELECT max(era) FROM touched)) FROM touched",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(RunStatements {
            run: connection.prepare(INSERT_RUN)?,
            call: connection.prepare(INSERT_CALL)?,
            touched: connection.prepare(INSERT_TOUCHED)?,
            name: connection.prepare(FIND_NAME)?,
            booked: connection.prepare(FIND_CALL)?,
            arguments: connection.prepare("INSERT OR REPLACE INTO arguments VALUES (?1, ?2)")?,
            importing: connection.prepare("INSERT INTO importing VALUES (?1, ?2)")?,
            tail: 0,
            era,
            in_era: u64::try_from(in_era).unwrap_or(0),
        })
    }

    /// The row of the run that is called exactly so, and whether the run goes on.
    fn named(
        &mut self,
        workflow: i64,
        agent: i64,
        run: &str,
    ) -> Result<Option<(i64, bool)>, Fault> {
        let found = self.name.query_row(params![run, workflow, agent], |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
        Ok(found.optional()?)
    }
}

/// A row about to be inserted.
pub(super) struct Row<'r> {
    pub(super) workflow: i64,
    pub(super) agent: i64,
    pub(super) run: Option<&'r str>,
    pub(super) mark: Mark,
    pub(super) counts: bool,
    pub(super) high: bool,
    pub(super) notable: i64,
    pub(super) began: i64,
    pub(super) ended: Option<i64>,
    pub(super) more: i64,
    pub(super) call: Option<CallId>,
    pub(super) first: Option<FirstCall>,
    pub(super) seen: Facets,
}

/// The first call's part of a run's row.
pub(super) struct FirstCall {
    at: i64,
    tool: i64,
    risk: i64,
    verdict: i64,
    executed: i64,
    rule: Option<i64>,
    status: u16,
    subject: Option<[u8; 16]>,
}

impl Row<'_> {
    /// Binds column by column and leaves out what is NULL: this is the hot path, and a list of
    /// parameters binds every column through a trait object.
    fn bind(&self, statement: &mut Statement<'_>, id: i64) -> rusqlite::Result<()> {
        statement.clear_bindings();
        for (column, value) in [id, self.workflow, self.agent].into_iter().enumerate() {
            statement.raw_bind_parameter(column + 1, value)?;
        }
        if let Some(run) = self.run {
            statement.raw_bind_parameter(4, run)?;
        }
        let known = [
            codes::mark::code(self.mark),
            self.counts.into(),
            self.high.into(),
            self.notable,
            self.began,
        ];
        for (column, value) in known.into_iter().enumerate() {
            statement.raw_bind_parameter(column + 5, value)?;
        }
        if let Some(ended) = self.ended {
            statement.raw_bind_parameter(10, ended)?;
        }
        statement.raw_bind_parameter(11, self.more)?;
        if let Some(call) = self.call {
            statement.raw_bind_parameter(12, &bytes(call)[..])?;
        }
        if let Some(seen) = seen_code(self.seen) {
            statement.raw_bind_parameter(21, seen)?;
        }
        let Some(first) = &self.first else {
            return Ok(());
        };
        for (column, value) in [
            first.at,
            first.tool,
            first.risk,
            first.verdict,
            first.executed,
        ]
        .into_iter()
        .enumerate()
        {
            statement.raw_bind_parameter(column + 13, value)?;
        }
        if let Some(rule) = first.rule {
            statement.raw_bind_parameter(18, rule)?;
        }
        statement.raw_bind_parameter(19, first.status)?;
        if let Some(subject) = &first.subject {
            statement.raw_bind_parameter(20, &subject[..])?;
        }
        Ok(())
    }
}

/// The ids that one agent gave to runs of one workflow, as the run index has them.
struct Names<'s, 'c> {
    statements: &'s mut RunStatements<'c>,
    connection: &'c Connection,
    workflow: i64,
    agent: i64,
}

impl RunNames for Names<'_, '_> {
    type Row = i64;
    type Error = Fault;

    fn named(&mut self, run: &str) -> Result<Option<(i64, bool)>, Fault> {
        self.statements.named(self.workflow, self.agent, run)
    }

    fn open_by_call(&mut self, call: CallId) -> Result<Option<i64>, Fault> {
        let key = params![bytes(call), self.workflow, self.agent];
        let find = &mut self.statements.booked;
        Ok(find.query_row(key, |row| row.get(0)).optional()?)
    }

    fn open_continuation(&mut self, base: &str) -> Result<Option<i64>, Fault> {
        let (from, to) = continuations(base);
        Ok(self.connection.query_row(
            "SELECT max(id) FROM runs WHERE run > ?1 AND run < ?2 AND workflow = ?3 AND agent = ?4 AND ended IS NULL",
            params![from, to, self.workflow, self.agent],
            |row| row.get(0),
        )?)
    }

    fn last_number(&mut self, base: &str) -> Result<u64, Fault> {
        last_number(self.connection, base, self.workflow, self.agent)
    }
}

/// The highest number among the run that is called `base`, which counts as 1, and its continuations;
/// 0 where there is none.
pub(super) fn last_number(
    connection: &Connection,
    base: &str,
    workflow: i64,
    agent: i64,
) -> Result<u64, Fault> {
    let (from, to) = continuations(base);
    let mut select = connection.prepare(
        "SELECT run FROM runs WHERE (run = ?1 OR (run > ?2 AND run < ?3)) AND workflow = ?4 AND agent = ?5",
    )?;
    let mut rows = select.query(params![base, from, to, workflow, agent])?;
    let mut last = 0;
    while let Some(row) = rows.next()? {
        let (known, number) = split(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?);
        if known == base {
            last = last.max(number);
        }
    }
    Ok(last)
}

/// Between which names the continuations of `base` lie: `$` is the character after `#`.
fn continuations(base: &str) -> (String, String) {
    (format!("{base}#"), format!("{base}$"))
}

impl<'c> Pen<'c> {
    /// Writes a run that ended, and gives the id of its row where it was not booked before its end.
    pub(super) fn write_run(&mut self, run: &RunRecord) -> Result<Option<i64>, Fault> {
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
                let row = Row {
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
                    seen: run.seen,
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
        seen: Facets,
        charges: &[Charge],
    ) -> Result<(), Fault> {
        let (owner, agent, belongs) = self.row_of(workflow, run)?;
        let (id, before) = match belongs {
            Belongs::To(id) => (id, load(self.connection, id)?),
            Belongs::Nowhere(name) => {
                let begun = BookedRun::unfinished(workflow.clone(), run.clone(), at, high, seen);
                let row = Row {
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
                    seen,
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

    pub(super) fn book_high(&mut self, workflow: &WorkflowName, run: &RunRef) -> Result<(), Fault> {
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
    ) -> Result<Option<i64>, Fault> {
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
    ) -> Result<(i64, i64, Belongs<i64>), Fault> {
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
    ) -> Result<(), Fault> {
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
    pub(super) fn end_open(&mut self, now: Time) -> Result<(), Fault> {
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
    ) -> Result<(), Fault> {
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

    fn names_of(&mut self, workflow: i64, agent: i64) -> Names<'_, 'c> {
        Names {
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
    ) -> Result<Option<(i64, bool)>, Fault> {
        self.runs.named(workflow, agent, run)
    }

    pub(super) fn first_call(
        &mut self,
        call: &CallRecord,
        started: Time,
    ) -> Result<FirstCall, Fault> {
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
                .map(|subject| subject_hash(&self.books.ledger, subject)),
        })
    }

    /// Lists a row as one of an import that is not finished.
    pub(super) fn note_importing(&mut self, id: i64) -> Result<(), Fault> {
        self.runs.importing.execute([id, self.runs.era])?;
        Ok(())
    }

    fn describe_first(&mut self, id: i64, first: &FirstCall) -> Result<(), Fault> {
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
    ) -> Result<(), Fault> {
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

    pub(super) fn keep_arguments(&mut self, call: &CallRecord) -> Result<(), Fault> {
        if let Some(args) = &call.args {
            self.runs
                .arguments
                .execute(params![bytes(call.call), &**args])?;
            self.rows += 1;
        }
        Ok(())
    }

    pub(super) fn touch(&mut self, id: i64, workflow: i64, call: &CallRecord) -> Result<(), Fault> {
        let Some(subject) = &call.subject else {
            return Ok(());
        };
        let subject = subject_hash(&self.books.ledger, subject);
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

    pub(super) fn insert(&mut self, booked: Time, row: &Row<'_>) -> Result<i64, Fault> {
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

/// What was seen of a run, as its row has it.
pub(super) fn seen_code(seen: Facets) -> Option<u8> {
    Some(seen.bits()).filter(|bits| *bits > 0)
}

/// An id as it is stored: in the order of its number.
pub(super) fn bytes(call: CallId) -> [u8; 16] {
    call.bits().to_be_bytes()
}
