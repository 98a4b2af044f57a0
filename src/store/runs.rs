//! The run index: a row for every run that was booked, in the order of the time it is booked to.

use rusqlite::{Connection, OptionalExtension as _, Statement, ffi, params};

use super::chain::subject_hash;
use super::codes;
use super::codes::{AMBIGUOUS, OPEN, notable_mark};
use super::database::Fault;
use super::meant::load;
use super::pen::Pen;
use super::revise::Booked;
use crate::gate::event::Admission;
use crate::gate::facets::Facets;
use crate::gate::name::{CallId, PersonName, RunId, WorkflowName};
use crate::gate::outcome::FailureMode;
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, Executed, Mark, RunRef};
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
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

/// Where a run belongs.
enum Place {
    /// It was booked before it ended, and its row waits for the rest.
    Booked(i64),
    /// It needs a row: under this id, or under its call's where there is none.
    New(Option<String>),
}

impl Pen<'_> {
    /// Writes a run that ended, and gives the id of its row, with how it stood where it was booked
    /// before.
    pub(super) fn write_run(&mut self, run: &RunRecord) -> Result<(i64, Option<Booked>), Fault> {
        let workflow = self.name(run.workflow.as_str())?;
        let agent = self.name(run.agent.as_str())?;
        let first = run.calls.first();
        // Most runs are one acceptable call without a name: nothing can have booked them before, so
        // nothing is looked up.
        let place = match &run.run {
            Some(id) => self.place(workflow, agent, id.as_str(), None)?,
            None if run.mark == Mark::Unacceptable => {
                self.place_call(workflow, agent, first.map(|call| call.call))?
            }
            None => Place::New(None),
        };
        let forwarded = |call: &CallRecord| call.executed != Executed::No;
        let counts = match run.mark {
            Mark::Acceptable => true,
            Mark::Idle => false,
            Mark::Unacceptable | Mark::Excluded => {
                run.calls
                    .iter()
                    .any(|call| forwarded(call) && call.risk > Risk::Read)
                    || (self.reads_count(&run.workflow) && run.calls.iter().any(forwarded))
            }
        };
        let ambiguous = if run
            .calls
            .iter()
            .any(|call| call.executed == Executed::Unknown)
        {
            AMBIGUOUS
        } else {
            0
        };
        let booked = run.booked_at.as_millis();
        let began = booked.saturating_sub(run.started.as_millis());
        let ended = run.ended.as_millis().saturating_sub(booked);
        let more = i64::try_from(run.calls.len().saturating_sub(1)).unwrap_or(i64::MAX);
        let first_call = match first {
            Some(call) => Some(self.first_call(call, run.started)?),
            None => None,
        };
        let (id, stood) = match place {
            Place::New(name) => {
                let row = Row {
                    workflow,
                    agent,
                    run: name.as_deref(),
                    mark: run.mark,
                    counts,
                    high: run.high,
                    notable: notable_mark(run.mark) | ambiguous,
                    began,
                    ended: Some(ended),
                    more,
                    call: first.map(|call| call.call),
                    first: first_call,
                    seen: run.seen,
                };
                (self.insert(run.booked_at, &row)?, None)
            }
            Place::Booked(id) => {
                let stood = load(self.connection, id)?;
                self.connection.execute(
                    "UPDATE runs SET run = coalesce(run, ?2), counts = ?3, high = max(high, ?4), notable = (notable & 3) | ?5, began = ?6, ended = ?7,
                     more = ?8, call = ?9, seen = ?10 WHERE id = ?1",
                    params![
                        id,
                        run.run.as_ref().map(RunId::as_str),
                        counts,
                        run.high,
                        ambiguous,
                        began,
                        ended,
                        more,
                        first.map(|call| bytes(call.call)),
                        seen_code(stood.seen.or(run.seen))
                    ],
                )?;
                if let Some(call) = &first_call {
                    self.describe_first(id, call)?;
                }
                (id, Some(stood))
            }
        };
        for (n, call) in run.calls.iter().enumerate().skip(1) {
            self.insert_call(id, n, call, run.started)?;
        }
        for call in &run.calls {
            self.touch(id, workflow, call)?;
            self.keep_arguments(call)?;
        }
        if !run.charges.is_empty() {
            let counted = run.mark == Mark::Unacceptable;
            self.charge(id, &run.charges, run.ended, |pen, mode| {
                counted && pen.counts(&run.workflow, mode)
            })?;
        }
        Ok((id, stood))
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
    ) -> Result<i64, Fault> {
        let owner = self.name(workflow.as_str())?;
        let agent = self.name(run.agent.as_str())?;
        let call = run.run.as_str().parse().ok();
        let id = match self.place(owner, agent, run.run.as_str(), call)? {
            Place::Booked(id) => id,
            Place::New(name) => {
                let row = Row {
                    workflow: owner,
                    agent,
                    run: name.as_deref(),
                    mark: Mark::Unacceptable,
                    counts: high,
                    high,
                    notable: notable_mark(Mark::Unacceptable) | OPEN,
                    began: 0,
                    ended: None,
                    more: 0,
                    call,
                    first: None,
                    seen,
                };
                self.insert(at, &row)?
            }
        };
        // Somebody decided that these are unacceptable; where the objective names none of them, all
        // of them are why.
        let named = charges
            .iter()
            .any(|charge| self.counts(workflow, &charge.mode));
        self.charge(id, charges, at, |pen, mode| {
            !named || pen.counts(workflow, mode)
        })?;
        Ok(id)
    }

    pub(super) fn book_high(&mut self, workflow: &WorkflowName, run: &RunRef) -> Result<(), Fault> {
        if let Some(id) = self.booked_row(workflow, run)? {
            self.connection
                .execute("UPDATE runs SET high = 1, counts = 1 WHERE id = ?1", [id])?;
        }
        Ok(())
    }

    /// The row of a run that was booked and has not ended.
    pub(super) fn booked_row(
        &mut self,
        workflow: &WorkflowName,
        run: &RunRef,
    ) -> Result<Option<i64>, Fault> {
        let owner = self.name(workflow.as_str())?;
        let agent = self.name(run.agent.as_str())?;
        Ok(
            match self.place(
                owner,
                agent,
                run.run.as_str(),
                run.run.as_str().parse().ok(),
            )? {
                Place::Booked(id) => Some(id),
                Place::New(_) => None,
            },
        )
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

    /// Adds what the row does not have yet, with whether the objective counts it.
    pub(super) fn charge(
        &mut self,
        id: i64,
        charges: &[Charge],
        at: Time,
        counts: impl Fn(&Self, &FailureMode) -> bool,
    ) -> Result<(), Fault> {
        let mut known = super::charges::of_run(self.connection, id)?;
        for charge in charges {
            if known.iter().any(|(known, _)| known == charge) {
                continue;
            }
            let counted = counts(self, &charge.mode);
            self.insert_charge(
                id,
                i64::try_from(known.len()).unwrap_or(i64::MAX) + 1,
                charge,
                at,
                counted,
            )?;
            known.push((charge.clone(), false));
        }
        Ok(())
    }

    pub(super) fn insert_charge(
        &mut self,
        id: i64,
        n: i64,
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
                n,
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

    /// A run booked under its call's id belongs there, and so does one that an agent named like a
    /// call.
    fn place(
        &mut self,
        workflow: i64,
        agent: i64,
        run: &str,
        call: Option<CallId>,
    ) -> Result<Place, Fault> {
        match self.find(workflow, agent, run)? {
            Some((id, true)) => Ok(Place::Booked(id)),
            Some((_, false)) => self.continuation(workflow, agent, run),
            None => match call.or_else(|| run.parse().ok()) {
                Some(named) => match self.place_call(workflow, agent, Some(named))? {
                    Place::New(_) if call.is_none() => Ok(Place::New(Some(run.into()))),
                    place => Ok(place),
                },
                None => Ok(Place::New(Some(run.into()))),
            },
        }
    }

    fn place_call(
        &mut self,
        workflow: i64,
        agent: i64,
        call: Option<CallId>,
    ) -> Result<Place, Fault> {
        let Some(call) = call else {
            return Ok(Place::New(None));
        };
        let id = self
            .runs
            .booked
            .query_row(params![bytes(call), workflow, agent], |row| row.get(0))
            .optional()?;
        Ok(id.map_or(Place::New(None), Place::Booked))
    }

    pub(super) fn find(
        &mut self,
        workflow: i64,
        agent: i64,
        run: &str,
    ) -> Result<Option<(i64, bool)>, Fault> {
        Ok(self
            .runs
            .name
            .query_row(params![run, workflow, agent], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?)
    }

    /// The ledger forgets ended runs after a while, and all of them in a restart; their ids may
    /// come again, and are then runs of their own.
    fn continuation(&mut self, workflow: i64, agent: i64, run: &str) -> Result<Place, Fault> {
        let base = match run.rsplit_once('#') {
            Some((base, number)) if number.parse::<u64>().is_ok() => base,
            _ => run,
        };
        // '$' is the character after '#'.
        let range = params![format!("{base}#"), format!("{base}$"), workflow, agent];
        let (others, open): (i64, Option<i64>) = self.connection.query_row(
            "SELECT count(*), max(id) FILTER (WHERE ended IS NULL) FROM runs WHERE run > ?1 AND run < ?2 AND workflow = ?3 AND agent = ?4",
            range,
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if let Some(id) = open {
            return Ok(Place::Booked(id));
        }
        let mut number = others + 2;
        loop {
            let name = format!("{base}#{number}");
            if self.find(workflow, agent, &name)?.is_none() {
                return Ok(Place::New(Some(name)));
            }
            number += 1;
        }
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
