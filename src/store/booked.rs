//! Booked runs, read from the run index as the rules want them (`gate::booking`), and found by what
//! people know of them: an id, a call, a business object, a reference.
//!
//! Runs of an import that is not finished are passed over.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::chain::{LedgerId, subject_hash};
use super::charges::call_id;
use super::codes::OPEN;
use super::database::StoreFault;
use super::names::{name_of, number};
use super::rows::{TIME_SHIFT, bytes};
use super::{charges, codes};
use crate::gate::booking::ids::{Candidate, MAX_NAMED, TouchingRun, present_name};
use crate::gate::booking::{BookedRun, CheckState, Exclusion};
use crate::gate::name::{AgentName, CallId, RunId, Subject, ToolName, WorkflowName};
use crate::gate::outcome::FailureMode;
use crate::gate::risk::Risk;
use crate::gate::run::{Executed, Mark, RunRef};
use crate::gate::run_flags::RunFlags;
use crate::gate::state::State;
use crate::gate::time::Time;
use crate::journal::booked::candidate;
use crate::journal::revise::MAX_BATCH;

const TOUCHED: &str = "SELECT risk, workflow, tool, run FROM touched
    WHERE era = ?1 AND subject = ?2 AND executed = 1 AND (risk, workflow, tool) < (?3, ?4, ?5)
          AND run NOT IN (SELECT run FROM importing)
    ORDER BY risk DESC, workflow DESC, tool DESC, run DESC LIMIT 1";

/// An object that is looked for.
pub(super) struct Sought<'a> {
    pub(super) ledger: &'a LedgerId,
    pub(super) state: &'a State,
    pub(super) subject: &'a Subject,
    pub(super) tool: Option<&'a ToolName>,
    pub(super) workflow: Option<&'a WorkflowName>,
}

/// A run that touched the object, as the index has it.
struct Touched {
    risk: i64,
    tool: i64,
    run: i64,
}

/// The run in this row.
pub(super) fn load(connection: &Connection, id: i64) -> Result<BookedRun, StoreFault> {
    let mut select = connection.prepare(
        "SELECT w.name, a.name, r.run, r.call, r.mark, r.counts, r.high, r.notable, r.seen, r.executed, r.more
         FROM runs r JOIN names w ON w.id = r.workflow JOIN names a ON a.id = r.agent WHERE r.id = ?1",
    )?;
    let (mut run, more) = select.query_row([id], |row| {
        let call: Option<[u8; 16]> = row.get(3)?;
        let executed: Option<i64> = row.get(9)?;
        let run = BookedRun {
            workflow: row.get::<_, String>(0)?.into(),
            run: RunRef {
                agent: row.get::<_, String>(1)?.into(),
                run: run_id(row.get(2)?, call),
            },
            booked_at: booked_at(id),
            mark: codes::mark::value(row.get(4)?).unwrap_or(Mark::Unacceptable),
            counts: row.get(5)?,
            high: row.get(6)?,
            open: row.get::<_, i64>(7)? & OPEN != 0,
            observed: RunFlags::from_bits(row.get::<_, Option<u8>>(8)?.unwrap_or(0)),
            charges: Vec::new(),
            exclusion: None,
            calls: call
                .zip(executed)
                .map(|(call, executed)| (call_id(call), known(executed)))
                .into_iter()
                .collect(),
            check: None,
        };
        Ok((run, row.get::<_, i64>(10)?))
    })?;
    if more > 0 {
        let mut select =
            connection.prepare("SELECT call, executed FROM calls WHERE run = ?1 ORDER BY n")?;
        let mut rows = select.query([id])?;
        while let Some(row) = rows.next()? {
            run.calls.push((call_id(row.get(0)?), known(row.get(1)?)));
        }
    }
    run.charges = charges::of_run(connection, id)?;
    if run.mark == Mark::Excluded {
        run.exclusion = exclusion(connection, id)?;
    }
    run.check = check_state(connection, id)?;
    Ok(run)
}

/// When the run in row `id` was booked.
pub(super) const fn booked_at(id: i64) -> Time {
    Time::from_millis(id >> TIME_SHIFT)
}

/// A run's id: its own, or its only call's.
pub(super) fn run_id(run: Option<String>, call: Option<[u8; 16]>) -> RunId {
    match (run, call) {
        (Some(run), _) => run.into(),
        (None, Some(call)) => call_id(call).to_string().into(),
        (None, None) => "".into(),
    }
}

/// Why a run is out of the budget.
pub(super) fn exclusion(connection: &Connection, id: i64) -> Result<Option<Exclusion>, StoreFault> {
    let mut select =
        connection.prepare("SELECT reason, reference, by FROM exclusions WHERE run = ?1")?;
    let exclusion = select.query_row([id], |row| {
        Ok(Exclusion {
            reason: row.get::<_, String>(0)?.into(),
            reference: row.get::<_, Option<String>>(1)?.map(Into::into),
            by: row.get::<_, String>(2)?.into(),
        })
    });
    Ok(exclusion.optional()?)
}

/// What became of a drawn run; `None` where it was not drawn.
fn check_state(connection: &Connection, id: i64) -> Result<Option<CheckState>, StoreFault> {
    let mut select = connection.prepare("SELECT state FROM checks WHERE run = ?1")?;
    let state = select.query_row([id], |row| row.get(0)).optional()?;
    Ok(state.map(|code| codes::check::value(code).unwrap_or(CheckState::Unchecked)))
}

fn known(executed: i64) -> Executed {
    codes::executed::value(executed).unwrap_or(Executed::Unknown)
}

/// The runs with exactly this id.
pub(super) fn by_id(
    connection: &Connection,
    run: &RunId,
    workflow: Option<&WorkflowName>,
    agent: Option<&AgentName>,
) -> Result<Vec<i64>, StoreFault> {
    let call: Option<[u8; 16]> = run.as_str().parse().ok().map(bytes);
    // Each half answers from its own index.
    let mut select = connection.prepare(
        "SELECT r.id FROM (SELECT id, workflow, agent FROM runs WHERE run = ?1
                           UNION SELECT id, workflow, agent FROM runs WHERE call = ?2 AND run IS NULL) r
         JOIN names w ON w.id = r.workflow JOIN names a ON a.id = r.agent
         WHERE (?3 IS NULL OR w.name = ?3) AND (?4 IS NULL OR a.name = ?4) AND r.id NOT IN (SELECT run FROM importing)
         ORDER BY r.id LIMIT ?5",
    )?;
    let ids = select.query_map(
        params![
            run.as_str(),
            call,
            workflow.map(WorkflowName::as_str),
            agent.map(AgentName::as_str),
            limit(MAX_NAMED)
        ],
        |row| row.get(0),
    )?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// The runs that have this call: one, unless ids were made elsewhere.
pub(super) fn by_call(connection: &Connection, call: CallId) -> Result<Vec<i64>, StoreFault> {
    let mut select = connection.prepare(
        "SELECT id FROM (SELECT id FROM runs WHERE call = ?1 UNION SELECT run FROM calls WHERE call = ?1)
         WHERE id NOT IN (SELECT run FROM importing) ORDER BY id",
    )?;
    let ids = select.query_map([bytes(call)], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// For each workflow the newest run that touched the object through the riskiest tool of all, or
/// through the one that is named.
pub(super) fn by_object(
    connection: &Connection,
    sought: &Sought<'_>,
) -> Result<Vec<TouchingRun<i64>>, StoreFault> {
    let tool = match sought.tool {
        None => None,
        Some(tool) => match number(connection, tool.as_str())? {
            None => return Ok(Vec::new()),
            known => known,
        },
    };
    let mut found = Vec::new();
    for touched in touched(connection, sought, tool)?.into_values() {
        let run = load(connection, touched.run)?;
        let workflow = present_name(sought.state, &run.workflow);
        let risk = codes::risk::value(touched.risk).unwrap_or(Risk::High);
        let tool = name_of(connection, touched.tool)?.into();
        let candidate = Candidate {
            workflow,
            tool: Some((risk, tool)),
            ..candidate(run)
        };
        found.push(TouchingRun {
            candidate,
            row: touched.run,
        });
    }
    Ok(found)
}

fn touched(
    connection: &Connection,
    sought: &Sought<'_>,
    tool: Option<i64>,
) -> Result<BTreeMap<i64, Touched>, StoreFault> {
    let hash = subject_hash(sought.ledger, sought.subject);
    let newest_era: Option<i64> =
        connection.query_row("SELECT max(era) FROM touched", [], |row| row.get(0))?;
    let mut select = connection.prepare(TOUCHED)?;
    let mut asked: BTreeMap<i64, bool> = BTreeMap::new();
    let mut best: BTreeMap<i64, Touched> = BTreeMap::new();
    let mut riskiest = i64::MIN;
    for era in 0..newest_era.map_or(0, |newest| newest + 1) {
        let mut below = (i64::MAX, i64::MAX, i64::MAX);
        loop {
            let read = |row: &Row<'_>| {
                let touched = Touched {
                    risk: row.get(0)?,
                    tool: row.get(2)?,
                    run: row.get(3)?,
                };
                Ok((row.get::<_, i64>(1)?, touched))
            };
            let Some((workflow, touched)) = select
                .query_row(params![era, hash, below.0, below.1, below.2], read)
                .optional()?
            else {
                break;
            };
            if touched.risk < riskiest {
                break;
            }
            below = (touched.risk, workflow, touched.tool);
            if tool.is_some_and(|tool| tool != touched.tool)
                || !is_asked(connection, sought, workflow, &mut asked)?
            {
                continue;
            }
            if touched.risk > riskiest {
                riskiest = touched.risk;
                best.clear();
            }
            if best
                .get(&workflow)
                .is_none_or(|known| known.run < touched.run)
            {
                best.insert(workflow, touched);
            }
        }
    }
    Ok(best)
}

/// Is this the workflow that was asked for, by its present name or by the one that it had?
fn is_asked(
    connection: &Connection,
    sought: &Sought<'_>,
    workflow: i64,
    known: &mut BTreeMap<i64, bool>,
) -> Result<bool, StoreFault> {
    let Some(asked) = sought.workflow else {
        return Ok(true);
    };
    if let Some(known) = known.get(&workflow) {
        return Ok(*known);
    }
    let name = WorkflowName::from(name_of(connection, workflow)?);
    let is_asked = *asked == name || *asked == present_name(sought.state, &name);
    known.insert(workflow, is_asked);
    Ok(is_asked)
}

/// The run that touched the object and has a report with this reference: one whose report stands
/// before any other, and of those the newest.
pub(super) fn by_report(
    connection: &Connection,
    sought: &Sought<'_>,
    mode: Option<&FailureMode>,
    reference: &str,
) -> Result<Option<i64>, StoreFault> {
    let hash = subject_hash(sought.ledger, sought.subject);
    let mut select = connection.prepare(
        "SELECT c.run FROM charges c JOIN names m ON m.id = c.mode JOIN runs r ON r.id = c.run JOIN names w ON w.id = r.workflow
         WHERE c.reference = ?1 AND (?2 IS NULL OR m.name = ?2) AND (?3 IS NULL OR w.name = ?3)
           AND (r.subject = ?4 OR EXISTS (SELECT 1 FROM calls k WHERE k.run = r.id AND k.subject = ?4))
         ORDER BY c.retracted IS NULL DESC, c.run DESC LIMIT 1",
    )?;
    let named = params![
        reference,
        mode.map(FailureMode::as_str),
        sought.workflow.map(WorkflowName::as_str),
        hash
    ];
    Ok(select.query_row(named, |row| row.get(0)).optional()?)
}

/// The runs with a report of this reference that stands.
pub(super) fn reported_under(
    connection: &Connection,
    reference: &str,
    mode: Option<&FailureMode>,
) -> Result<Vec<i64>, StoreFault> {
    let mut select = connection.prepare(
        "SELECT DISTINCT c.run FROM charges c JOIN names m ON m.id = c.mode
         WHERE c.reference = ?1 AND c.retracted IS NULL AND (?2 IS NULL OR m.name = ?2) ORDER BY c.run LIMIT ?3",
    )?;
    let mode = mode.map(FailureMode::as_str);
    let ids = select.query_map(params![reference, mode, limit(MAX_BATCH)], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// The runs that were excluded under this reference.
pub(super) fn excluded_under(
    connection: &Connection,
    reference: &str,
) -> Result<Vec<i64>, StoreFault> {
    let mut select = connection
        .prepare("SELECT run FROM exclusions WHERE reference = ?1 ORDER BY run LIMIT ?2")?;
    let ids = select.query_map(params![reference, limit(MAX_BATCH)], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// One more than `most`, so that the caller sees that there are more.
fn limit(most: usize) -> i64 {
    i64::try_from(most + 1).unwrap_or(i64::MAX)
}
