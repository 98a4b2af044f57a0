//! What the ledger says about a span of time: the journal between two moments, and the calls that
//! shadow let through.
//!
//! Rows of the journal are in the order in which they were written, which is nearly the order of
//! their times: what follows from time passing is written later, when the state is next looked at.
//! So the first row of a span is found by binary search over the latest time among some rows before
//! each probe, and rows outside the span are skipped one by one.

use rusqlite::{Connection, ToSql, params};

use super::codes;
use super::database::StoreFault;
use super::index::{GRANTED, INDEX, indexed};
use super::rows::TIME_SHIFT;
use crate::gate::event::table::{EventKind, Indexed};
use crate::gate::event::{Entry, Event};
use crate::gate::name::WorkflowName;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::journal::read::{Happened, Shadowed};

/// How many rows before a probe are looked at for their latest time.
const NEAR: i64 = 64;

pub(super) fn happened(
    connection: &Connection,
    happened: &Happened,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, Entry)>, StoreFault> {
    let first = first(connection, happened.since)?
        .max(i64::try_from(after).unwrap_or(i64::MAX).saturating_add(1));
    let kinds = vec!["?"; happened.kinds.len()].join(", ");
    let granted = if happened.granted {
        format!("OR ({GRANTED})")
    } else {
        String::new()
    };
    let is_indexed = |kind: &EventKind| kind.row().indexed == Indexed::Always;
    let (from, indexed) = if happened.kinds.iter().all(is_indexed) {
        (format!("journal INDEXED BY {INDEX}"), indexed())
    } else {
        ("journal".to_owned(), "TRUE".to_owned())
    };
    let mut select = connection.prepare(&format!(
        "SELECT seq, at, workflow, body FROM {from} WHERE seq >= ? AND at >= ? AND at < ? AND (? IS NULL OR workflow IS NULL OR workflow = ?)
         AND ({indexed}) AND (kind IN ({kinds}) {granted}) ORDER BY seq LIMIT ?"
    ))?;
    let workflow = happened
        .workflow
        .as_ref()
        .map(|name| name.as_str().to_owned());
    let mut values: Vec<Box<dyn ToSql>> = vec![
        Box::new(first),
        Box::new(happened.since.as_millis()),
        Box::new(happened.until.as_millis()),
        Box::new(workflow.clone()),
        Box::new(workflow),
    ];
    values.extend(
        happened
            .kinds
            .iter()
            .map(|kind| Box::new(kind.name()) as Box<dyn ToSql>),
    );
    values.push(Box::new(i64::try_from(limit).unwrap_or(i64::MAX)));
    let values: Vec<&dyn ToSql> = values.iter().map(|value| &**value).collect();
    let mut rows = select.query(&values[..])?;
    let mut views = Vec::new();
    while let Some(row) = rows.next()? {
        let event: Event =
            serde_json::from_str(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?;
        let entry = Entry {
            at: Time::from_millis(row.get(1)?),
            workflow: row.get::<_, Option<String>>(2)?.map(Into::into),
            event,
        };
        views.push((u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0), entry));
    }
    Ok(views)
}

/// What people decided on lately. Arguments may be long, and are left out while the rows are read.
pub(super) fn decided(
    connection: &Connection,
    workflow: &WorkflowName,
    limit: usize,
) -> Result<Vec<Entry>, StoreFault> {
    let held = EventKind::Held.name();
    let mut select = connection.prepare(&format!(
        "SELECT at, CASE kind WHEN '{held}' THEN json_remove(body, '$.args') ELSE json_replace(body, '$.decision.edit.args', '') END
         FROM journal INDEXED BY {INDEX} WHERE workflow = ?1 AND ({}) AND kind IN ('{held}', '{}', '{}') ORDER BY seq DESC LIMIT ?2",
        indexed(),
        EventKind::Decided.name(),
        EventKind::Admitted.name(),
    ))?;
    let mut rows = select.query(params![
        workflow.as_str(),
        i64::try_from(limit).unwrap_or(i64::MAX)
    ])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let event = serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        entries.push(Entry {
            at: Time::from_millis(row.get(0)?),
            workflow: Some(workflow.clone()),
            event,
        });
    }
    Ok(entries)
}

/// The first row that can lie at `since` or later.
pub(super) fn first(connection: &Connection, since: Time) -> Result<i64, StoreFault> {
    let mut latest =
        connection.prepare("SELECT max(at) FROM journal WHERE seq > ?1 AND seq <= ?2")?;
    let (mut low, mut high) = (
        1,
        connection.query_row("SELECT coalesce(max(seq), 0) + 1 FROM journal", [], |row| {
            row.get::<_, i64>(0)
        })?,
    );
    while low < high {
        let middle = low + (high - low) / 2;
        let at: Option<i64> = latest.query_row(params![middle - NEAR, middle], |row| row.get(0))?;
        if at.is_some_and(|at| at < since.as_millis()) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    // Rows before it may have later times than rows after it: at most as many as a probe
    // looks at.
    Ok((low - NEAR).max(1))
}

pub(super) fn shadowed(
    connection: &Connection,
    since: Time,
    until: Time,
) -> Result<Vec<Shadowed>, StoreFault> {
    let id = |at: Time| at.as_millis().clamp(0, i64::MAX >> TIME_SHIFT) << TIME_SHIFT;
    let mut select = connection.prepare(
        "SELECT w.name, t.name, c.verdict, coalesce(u.name, ''), sum(c.calls) FROM (
             SELECT workflow, tool, verdict, rule, count(*) AS calls FROM runs
             WHERE id >= ?1 AND id < ?2 AND verdict > 0 AND executed > 0 GROUP BY workflow, tool, verdict, rule
             UNION ALL
             SELECT r.workflow, k.tool, k.verdict, k.rule, count(*) FROM runs r JOIN calls k ON k.run = r.id
             WHERE r.id >= ?1 AND r.id < ?2 AND r.more > 0 AND k.verdict > 0 AND k.executed > 0 GROUP BY r.workflow, k.tool, k.verdict, k.rule
         ) c JOIN names w ON w.id = c.workflow JOIN names t ON t.id = c.tool LEFT JOIN names u ON u.id = c.rule
         GROUP BY w.name, t.name, c.verdict, u.name ORDER BY w.name, sum(c.calls) DESC, t.name LIMIT 1000",
    )?;
    let mut rows = select.query(params![id(since), id(until)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Shadowed {
            workflow: row.get::<_, String>(0)?.into(),
            tool: row.get::<_, String>(1)?.into(),
            verdict: codes::verdict::value(row.get(2)?).unwrap_or(Verdict::Deny),
            rule: row.get::<_, String>(3)?.into(),
            calls: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
        });
    }
    Ok(found)
}
