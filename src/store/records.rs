//! Reading what was kept: runs by any filter, and the journal. Read-only connections of their own,
//! so that no question can hold up the writer.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

use rusqlite::{Connection, Row, ToSql, params};

use super::audit::hexadecimal;
use super::booked::{exclusion, run_id};
use super::chain::{LedgerId, subject_hash};
use super::charges::call_id;
use super::database::{StoreFault, open_read_only};
use super::names::number;
use super::rows::{TIME_SHIFT, bytes, last_number};
use super::{charges, codes, spans};
use crate::gate::booking::{BookedCharge, CheckState};
use crate::gate::digest::Digest;
use crate::gate::event::{Entry, Event};
use crate::gate::name::{AgentName, RunId, Subject, WorkflowName};
use crate::gate::outcome::Outcome;
use crate::gate::risk::Risk;
use crate::gate::run::{Executed, Mark};
use crate::gate::run_flags::RunFlags;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::journal::read::{
    CheckView, Checks, Drawn, Entries, EntryFilter, Happened, JournalView, MOST_RECORDS, Records,
    RunFilter, RunView, Shadowed,
};
use crate::journal::record::{CallRecord, RunKey, RunRecord};
use crate::journal::revise::MAX_BATCH;
use crate::journal::unavailable::Unavailable;

/// How many questions are answered at once; more wait.
const READERS: usize = 4;

/// So many journal entries are looked through for one page: what is rare must not cost a walk over
/// all of them.
pub(super) const MOST_LOOKED_AT: i64 = 10_000;

/// What a run is read from, in the order that `view` expects.
pub(super) const RUN_COLUMNS: &str =
    "r.id, w.name, a.name, r.run, r.began, r.ended, r.mark, r.high, r.more, r.call, r.at, t.name, r.risk, r.verdict, r.executed, u.name,
                           r.status, r.subject, r.seen";
/// The names in it.
pub(super) const RUN_NAMES: &str = "JOIN names w ON w.id = r.workflow JOIN names a ON a.id = r.agent LEFT JOIN names t ON t.id = r.tool LEFT JOIN names u ON u.id = r.rule";

/// The readers.
pub struct Readers {
    path: PathBuf,
    ledger: LedgerId,
    idle: Mutex<ReaderPool>,
    returned: Condvar,
}

#[derive(Default)]
struct ReaderPool {
    connections: Vec<Connection>,
    lent: usize,
}

impl Records for Readers {
    fn runs(&self, filter: &RunFilter) -> Result<Vec<RunView>, Unavailable> {
        self.read(|connection| runs(connection, &self.ledger, filter))
    }

    fn keys(&self, filter: &RunFilter) -> Result<Vec<RunKey>, Unavailable> {
        self.read(|connection| keys(connection, &self.ledger, filter))
    }

    fn checks(
        &self,
        workflow: Option<&WorkflowName>,
        since: Time,
        limit: usize,
    ) -> Result<Checks, Unavailable> {
        self.read(|connection| checks(connection, workflow, since, limit))
    }

    fn ledger(&self) -> String {
        hexadecimal(&self.ledger)
    }

    fn entries(&self, filter: &EntryFilter) -> Result<Entries, Unavailable> {
        self.read(|connection| entries(connection, filter))
    }

    fn happened(
        &self,
        happened: &Happened,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Entry)>, Unavailable> {
        self.read(|connection| {
            spans::happened(connection, happened, after, limit.min(MOST_RECORDS))
        })
    }

    fn decided(&self, workflow: &WorkflowName, limit: usize) -> Result<Vec<Entry>, Unavailable> {
        self.read(|connection| spans::decided(connection, workflow, limit.min(MOST_RECORDS)))
    }

    fn shadowed(&self, since: Time, until: Time) -> Result<Vec<Shadowed>, Unavailable> {
        self.read(|connection| spans::shadowed(connection, since, until))
    }
}

impl Readers {
    pub(super) fn new(path: PathBuf, ledger: LedgerId) -> Self {
        Readers {
            path,
            ledger,
            idle: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    pub(super) fn last_number(
        &self,
        workflow: &WorkflowName,
        agent: &AgentName,
        run: &RunId,
    ) -> Result<u64, Unavailable> {
        self.read(|connection| {
            let workflow = number(connection, workflow.as_str())?;
            match workflow.zip(number(connection, agent.as_str())?) {
                Some((workflow, agent)) => last_number(connection, run.as_str(), workflow, agent),
                None => Ok(0),
            }
        })
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreFault>,
    ) -> Result<T, Unavailable> {
        let kept = self.borrow();
        let result = kept
            .map_or_else(|| open_read_only(&self.path), Ok)
            .and_then(|connection| {
                let answer = read(&connection)?;
                Ok((connection, answer))
            });
        let mut pool = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        pool.lent -= 1;
        // A connection that failed is not used again.
        let answer = result.map(|(connection, answer)| {
            pool.connections.push(connection);
            answer
        });
        drop(pool);
        self.returned.notify_one();
        answer.map_err(|fault| {
            tracing::warn!(%fault, "the ledger could not be read");
            Unavailable
        })
    }

    fn borrow(&self) -> Option<Connection> {
        let mut pool = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while pool.lent >= READERS {
            pool = self
                .returned
                .wait(pool)
                .unwrap_or_else(PoisonError::into_inner);
        }
        pool.lent += 1;
        pool.connections.pop()
    }
}

/// Conditions on `runs r`, and their values in order.
#[derive(Default)]
struct Where {
    conditions: Vec<String>,
    values: Vec<Box<dyn ToSql>>,
}

impl Where {
    /// Adds a condition, in which `?` is the value.
    fn and(&mut self, condition: &str, value: impl ToSql + 'static) {
        self.values.push(Box::new(value));
        self.conditions
            .push(condition.replace('?', &format!("?{}", self.values.len())));
    }
}

fn runs(
    connection: &Connection,
    ledger: &LedgerId,
    filter: &RunFilter,
) -> Result<Vec<RunView>, StoreFault> {
    // One picture of the ledger for all the questions that follow.
    let transaction = connection.unchecked_transaction()?;
    let Some(wanted) = conditions(connection, ledger, filter)? else {
        return Ok(Vec::new());
    };
    let limit = filter.limit.min(MOST_RECORDS);
    let condition = wanted.conditions.join(" AND ");
    let mut select = connection.prepare(&format!(
        "SELECT {RUN_COLUMNS} FROM runs r {RUN_NAMES}
         WHERE {condition} ORDER BY r.id DESC LIMIT {limit}"
    ))?;
    let values: Vec<&dyn ToSql> = wanted.values.iter().map(|value| &**value).collect();
    let mut rows = select.query(&values[..])?;
    let mut views = Vec::new();
    while let Some(row) = rows.next()? {
        views.push(view(connection, row)?);
    }
    drop(rows);
    drop(select);
    transaction.finish()?;
    Ok(views)
}

fn keys(
    connection: &Connection,
    ledger: &LedgerId,
    filter: &RunFilter,
) -> Result<Vec<RunKey>, StoreFault> {
    let Some(wanted) = conditions(connection, ledger, filter)? else {
        return Ok(Vec::new());
    };
    let condition = if wanted.conditions.is_empty() {
        "1".to_owned()
    } else {
        wanted.conditions.join(" AND ")
    };
    let mut select = connection.prepare(&format!(
        "SELECT w.name, a.name, r.run, r.call FROM runs r JOIN names w ON w.id = r.workflow JOIN names a ON a.id = r.agent
         WHERE {condition} ORDER BY r.id DESC LIMIT {}",
        MAX_BATCH + 1
    ))?;
    let values: Vec<&dyn ToSql> = wanted.values.iter().map(|value| &**value).collect();
    let key = |row: &Row<'_>| {
        let (workflow, agent) = (
            row.get::<_, String>(0)?.into(),
            row.get::<_, String>(1)?.into(),
        );
        Ok(RunKey {
            workflow,
            agent,
            run: run_id(row.get(2)?, row.get(3)?),
        })
    };
    let keys = select
        .query_map(&values[..], key)?
        .collect::<Result<_, _>>()?;
    Ok(keys)
}

fn checks(
    connection: &Connection,
    workflow: Option<&WorkflowName>,
    since: Time,
    limit: usize,
) -> Result<Checks, StoreFault> {
    let transaction = connection.unchecked_transaction()?;
    let id = match workflow {
        None => None,
        Some(workflow) => match number(connection, workflow.as_str())? {
            None => return Ok(Checks::default()),
            id => id,
        },
    };
    let limit = i64::try_from(limit.min(MOST_RECORDS)).unwrap_or(i64::MAX);
    let mut select = connection.prepare(&format!(
        "SELECT {RUN_COLUMNS}, k.risk, k.drawn FROM (SELECT run, risk, drawn FROM checks WHERE state = 0 AND (?1 IS NULL OR workflow = ?1)
         ORDER BY risk DESC, run LIMIT ?2) k JOIN runs r ON r.id = k.run {RUN_NAMES} ORDER BY k.risk DESC, k.run"
    ))?;
    let mut rows = select.query(params![id, limit])?;
    let mut found = Checks::default();
    while let Some(row) = rows.next()? {
        let risk = codes::risk::value(row.get(19)?).unwrap_or(Risk::High);
        found.waiting.push(CheckView {
            view: view(connection, row)?,
            risk,
            drawn_at: Time::from_millis(row.get(20)?),
        });
    }
    let mut select = connection.prepare(
        "SELECT w.name, k.state, count(*) FROM checks k JOIN names w ON w.id = k.workflow
         WHERE (?1 IS NULL OR k.workflow = ?1) AND (k.state = 0 OR k.drawn >= ?2) GROUP BY w.name, k.state ORDER BY w.name",
    )?;
    let mut rows = select.query(params![id, since.as_millis()])?;
    while let Some(row) = rows.next()? {
        let (workflow, state): (String, i64) = (row.get(0)?, row.get(1)?);
        if found
            .drawn
            .last()
            .is_none_or(|(last, _)| last.as_str() != workflow)
        {
            found.drawn.push((workflow.into(), Drawn::default()));
        }
        if let Some((_, drawn)) = found.drawn.last_mut() {
            drawn.add(
                codes::check::value(state).unwrap_or(CheckState::Unchecked),
                u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
            );
        }
    }
    drop(rows);
    transaction.finish()?;
    Ok(found)
}

/// `None` where a name is asked for that was never written: then nothing matches.
fn conditions(
    connection: &Connection,
    ledger: &LedgerId,
    filter: &RunFilter,
) -> Result<Option<Where>, StoreFault> {
    let mut wanted = Where::default();
    wanted
        .conditions
        .push("r.id NOT IN (SELECT run FROM importing)".into());
    if let Some(workflow) = &filter.workflow {
        let Some(id) = number(connection, workflow.as_str())? else {
            return Ok(None);
        };
        wanted.and("r.workflow = ?", id);
    }
    if let Some(run) = &filter.run {
        match run.as_str().parse().ok().map(bytes) {
            Some(call) => {
                wanted.and("r.id IN (SELECT id FROM runs WHERE run = ? OR (run > ? || '#' AND run < ? || '$')", run.as_str().to_owned());
                let condition = wanted.conditions.pop().unwrap_or_default();
                wanted.and(
                    "UNION SELECT id FROM runs WHERE run IS NULL AND call = ?)",
                    call,
                );
                let second = wanted.conditions.pop().unwrap_or_default();
                wanted.conditions.push(format!("{condition} {second}"));
            }
            None => wanted.and(
                "(r.run = ? OR (r.run > ? || '#' AND r.run < ? || '$'))",
                run.as_str().to_owned(),
            ),
        }
    }
    if let Some(call) = filter.call {
        wanted.and("r.id IN (SELECT id FROM runs WHERE call = ? UNION SELECT run FROM calls WHERE call = ?)", bytes(call));
    }
    if let Some(since) = filter.since {
        wanted.and(
            "r.id >= ?",
            since.as_millis().clamp(0, i64::MAX >> TIME_SHIFT) << TIME_SHIFT,
        );
    }
    if let Some(until) = filter.until {
        wanted.and(
            "r.id < ?",
            until.as_millis().clamp(0, i64::MAX >> TIME_SHIFT) << TIME_SHIFT,
        );
    }
    if let Some(before) = filter.before {
        wanted.and("r.id < ?", i64::try_from(before).unwrap_or(i64::MAX));
    }
    if let Some(tool) = &filter.tool {
        let Some(id) = number(connection, tool.as_str())? else {
            return Ok(None);
        };
        wanted.and("(r.tool = ? OR (r.more > 0 AND EXISTS (SELECT 1 FROM calls k WHERE k.run = r.id AND k.tool = ?)))", id);
    }
    if let Some(subject) = &filter.subject {
        wanted.and(
            "r.id IN (WITH RECURSIVE eras (era) AS (SELECT 0 UNION ALL SELECT era + 1 FROM eras WHERE era < (SELECT max(era) FROM touched))
                      SELECT o.run FROM eras e CROSS JOIN touched o ON o.era = e.era AND o.subject = ?)",
            subject_hash(ledger, subject),
        );
    }
    if let Some(mode) = &filter.mode {
        let Some(id) = number(connection, mode.as_str())? else {
            return Ok(None);
        };
        wanted.and(
            "r.id IN (SELECT c.run FROM charges c WHERE c.mode = ? AND c.retracted IS NULL)",
            id,
        );
    }
    match filter.outcome {
        None => {}
        Some(Outcome::Acceptable) => wanted.conditions.push("r.mark < 2".into()),
        Some(Outcome::Unacceptable) => wanted
            .conditions
            .push("r.notable > 0 AND r.mark = 2".into()),
        Some(Outcome::Excluded) => wanted
            .conditions
            .push("r.notable > 0 AND r.mark = 3".into()),
    }
    if filter.ambiguous {
        wanted.conditions.push(format!(
            "r.notable > 0 AND r.notable & {}",
            codes::AMBIGUOUS
        ));
    }
    Ok(Some(wanted))
}

pub(super) fn view(connection: &Connection, row: &Row<'_>) -> Result<RunView, StoreFault> {
    let id: i64 = row.get(0)?;
    let booked = id >> TIME_SHIFT;
    let started = booked.saturating_sub(row.get(4)?);
    let more: i64 = row.get(8)?;
    let mut calls = Vec::new();
    if row.get::<_, Option<String>>(11)?.is_some() {
        calls.push(call(row, 9, started)?);
    }
    if more > 0 {
        let mut select = connection.prepare(
            "SELECT k.call, k.at, t.name, k.risk, k.verdict, k.executed, u.name, k.status, k.subject
             FROM calls k JOIN names t ON t.id = k.tool LEFT JOIN names u ON u.id = k.rule WHERE k.run = ?1 ORDER BY k.n",
        )?;
        let mut rows = select.query([id])?;
        while let Some(row) = rows.next()? {
            calls.push(call(row, 0, started)?);
        }
    }
    let (retracted, charges): (Vec<_>, Vec<_>) = charges::of_run(connection, id)?
        .into_iter()
        .partition(|known| known.retracted);
    let charge = |known: BookedCharge| known.charge;
    let mark = codes::mark::value(row.get(6)?).unwrap_or(Mark::Unacceptable);
    let excluded = match mark {
        Mark::Excluded => exclusion(connection, id)?,
        Mark::Idle | Mark::Acceptable | Mark::Unacceptable => None,
    };
    let run = RunRecord {
        workflow: row.get::<_, String>(1)?.into(),
        agent: row.get::<_, String>(2)?.into(),
        // A run that was booked by its call's id and has no call yet has no other name.
        run: row.get::<_, Option<String>>(3)?.map(RunId::from),
        started: Time::from_millis(started),
        ended: Time::from_millis(booked.saturating_add(row.get::<_, Option<i64>>(5)?.unwrap_or(0))),
        booked_at: Time::from_millis(booked),
        mark,
        high: row.get(7)?,
        observed: RunFlags::from_bits(row.get::<_, Option<u8>>(18)?.unwrap_or(0)),
        charges: charges.into_iter().map(charge).collect(),
        calls,
    };
    Ok(RunView {
        position: u64::try_from(id).unwrap_or(0),
        run,
        retracted: retracted.into_iter().map(charge).collect(),
        excluded: excluded.map(|excluded| (excluded.reason, excluded.by)),
    })
}

/// A call whose columns begin at `first`.
fn call(row: &Row<'_>, first: usize, started: i64) -> Result<CallRecord, StoreFault> {
    let subject: Option<[u8; 16]> = row.get(first + 8)?;
    Ok(CallRecord {
        call: call_id(row.get(first)?),
        at: Time::from_millis(started.saturating_add(row.get(first + 1)?)),
        tool: row.get::<_, String>(first + 2)?.into(),
        risk: codes::risk::value(row.get(first + 3)?).unwrap_or(Risk::High),
        verdict: codes::verdict::value(row.get(first + 4)?).unwrap_or(Verdict::Deny),
        executed: codes::executed::value(row.get(first + 5)?).unwrap_or(Executed::Unknown),
        rule: row.get::<_, Option<String>>(first + 6)?.map(Into::into),
        status: row.get(first + 7)?,
        // The text was not kept. Equal digests are equal objects, which is what a reader of a list
        // needs.
        subject: subject
            .map(|hash| Subject::from(format!("sha256:{:032x}", u128::from_be_bytes(hash)))),
        args: None,
    })
}

fn entries(connection: &Connection, filter: &EntryFilter) -> Result<Entries, StoreFault> {
    // One picture of the journal for all the questions that follow.
    let transaction = connection.unchecked_transaction()?;
    let mut after = i64::try_from(filter.after).unwrap_or(i64::MAX);
    let mut wanted = Where::default();
    if let Some(since) = filter.since {
        after = after.max(spans::first(connection, since)? - 1);
        wanted.and("at >= ?", since.as_millis());
    }
    let upto = after.saturating_add(MOST_LOOKED_AT);
    wanted.and("seq > ?", after);
    wanted.and("seq <= ?", upto);
    if let Some(workflow) = &filter.workflow {
        wanted.and("workflow = ?", workflow.as_str().to_owned());
    }
    if let Some(kind) = &filter.kind {
        wanted.and("kind = ?", kind.to_string());
    }
    if let Some(until) = filter.until {
        wanted.and("at < ?", until.as_millis());
    }
    let limit = filter.limit.min(MOST_RECORDS);
    let condition = wanted.conditions.join(" AND ");
    let mut select = connection.prepare(&format!("SELECT seq, at, workflow, body, hash FROM journal WHERE {condition} ORDER BY seq LIMIT {limit}"))?;
    let values: Vec<&dyn ToSql> = wanted.values.iter().map(|value| &**value).collect();
    let mut rows = select.query(&values[..])?;
    let mut views = Vec::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
        let event: Event = serde_json::from_str(body)?;
        let entry = Entry {
            at: Time::from_millis(row.get(1)?),
            workflow: row.get::<_, Option<String>>(2)?.map(Into::into),
            event,
        };
        let seq = u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0);
        views.push(JournalView {
            seq,
            entry,
            body: body.into(),
            hash: Digest::new(row.get(4)?),
        });
    }
    drop(rows);
    drop(select);
    let next = if views.len() == limit {
        views.last().map(|view| view.seq)
    } else {
        let last: i64 =
            connection.query_row("SELECT coalesce(max(seq), 0) FROM journal", [], |row| {
                row.get(0)
            })?;
        (last > upto).then(|| u64::try_from(upto).unwrap_or(0))
    };
    transaction.finish()?;
    Ok(Entries { views, next })
}
