//! Rows of the run index, and the statements that write them. One row a run that was booked, in the
//! order of the time it is booked to.

use rusqlite::{Connection, OptionalExtension as _, Statement, params};

use super::codes;
use super::database::StoreFault;
use crate::gate::booking::ids::{RunNames, split};
use crate::gate::name::CallId;
use crate::gate::run::Mark;
use crate::gate::run_flags::RunFlags;

/// A row's id is its booking time shifted by so many bits, and a number that tells runs of one
/// millisecond apart.
pub(super) const TIME_SHIFT: u32 = 21;
/// How many runs can be booked to one millisecond.
pub(super) const A_MILLISECOND: i64 = 1 << TIME_SHIFT;
/// The largest millisecond that fits: the year 2109.
pub(super) const LAST_MILLISECOND: i64 = i64::MAX >> TIME_SHIFT;
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
    pub(super) run: Statement<'c>,
    pub(super) call: Statement<'c>,
    pub(super) touched: Statement<'c>,
    pub(super) name: Statement<'c>,
    pub(super) booked: Statement<'c>,
    pub(super) importing: Statement<'c>,
    pub(super) arguments: Statement<'c>,
    /// Tells runs of one millisecond apart.
    pub(super) tail: i64,
    pub(super) era: i64,
    /// How many entries the era has.
    pub(super) in_era: u64,
}

impl<'c> RunStatements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> Result<Self, StoreFault> {
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
    pub(super) fn named(
        &mut self,
        workflow: i64,
        agent: i64,
        run: &str,
    ) -> Result<Option<(i64, bool)>, StoreFault> {
        let found = self.name.query_row(params![run, workflow, agent], |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
        Ok(found.optional()?)
    }
}

/// A row about to be inserted.
pub(super) struct RunRow<'r> {
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
    pub(super) observed: RunFlags,
}

/// The first call's part of a run's row.
pub(super) struct FirstCall {
    pub(super) at: i64,
    pub(super) tool: i64,
    pub(super) risk: i64,
    pub(super) verdict: i64,
    pub(super) executed: i64,
    pub(super) rule: Option<i64>,
    pub(super) status: u16,
    pub(super) subject: Option<[u8; 16]>,
}

impl RunRow<'_> {
    /// Binds column by column and leaves out what is NULL: this is the hot path, and a list of
    /// parameters binds every column through a trait object.
    pub(super) fn bind(&self, statement: &mut Statement<'_>, id: i64) -> rusqlite::Result<()> {
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
        if let Some(observed) = observed_code(self.observed) {
            statement.raw_bind_parameter(21, observed)?;
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
pub(super) struct IndexedNames<'s, 'c> {
    pub(super) statements: &'s mut RunStatements<'c>,
    pub(super) connection: &'c Connection,
    pub(super) workflow: i64,
    pub(super) agent: i64,
}

impl RunNames for IndexedNames<'_, '_> {
    type Row = i64;
    type Error = StoreFault;

    fn named(&mut self, run: &str) -> Result<Option<(i64, bool)>, StoreFault> {
        self.statements.named(self.workflow, self.agent, run)
    }

    fn open_by_call(&mut self, call: CallId) -> Result<Option<i64>, StoreFault> {
        let key = params![bytes(call), self.workflow, self.agent];
        let find = &mut self.statements.booked;
        Ok(find.query_row(key, |row| row.get(0)).optional()?)
    }

    fn open_continuation(&mut self, base: &str) -> Result<Option<i64>, StoreFault> {
        let (from, to) = continuations(base);
        Ok(self.connection.query_row(
            "SELECT max(id) FROM runs WHERE run > ?1 AND run < ?2 AND workflow = ?3 AND agent = ?4 AND ended IS NULL",
            params![from, to, self.workflow, self.agent],
            |row| row.get(0),
        )?)
    }

    fn last_number(&mut self, base: &str) -> Result<u64, StoreFault> {
        last_number(self.connection, base, self.workflow, self.agent)
    }
}

/// The highest number among the run that is called `base`, which counts as 1, and its
/// continuations; 0 where there is none.
pub(super) fn last_number(
    connection: &Connection,
    base: &str,
    workflow: i64,
    agent: i64,
) -> Result<u64, StoreFault> {
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

/// What was observed of a run, as its row has it.
pub(super) fn observed_code(observed: RunFlags) -> Option<u8> {
    Some(observed.bits()).filter(|bits| *bits > 0)
}

/// An id as it is stored: in the order of its number.
pub(super) fn bytes(call: CallId) -> [u8; 16] {
    call.bits().to_be_bytes()
}
