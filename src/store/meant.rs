//! Which booked run is meant: by its id, by a call, by the business object that it touched, or by
//! the reference of what was said of it.
//!
//! Runs of an import that is not finished are passed over. It never guesses: where runs of several
//! workflows may be meant, they are named, and whoever asks says which.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::chain::subject_hash;
use super::charges::call_id;
use super::codes::OPEN;
use super::database::Fault;
use super::names::number;
use super::pen::Pen;
use super::revise::{Answer, Booked};
use super::runs::{TIME_SHIFT, bytes};
use super::{charges, codes};
use crate::gate::booking::Change;
use crate::gate::booking::ids::Candidate;
use crate::gate::facets::{Facets, Shown};
use crate::gate::name::{AgentName, RunId, Subject, ToolName, WorkflowName};
use crate::gate::outcome::FailureMode;
use crate::gate::risk::Risk;
use crate::gate::run::{Mark, RunRef};
use crate::gate::time::Time;
use crate::journal::revise::{MAX_BATCH, ReviseError, RunTarget};

/// How many runs are named when more than one matches.
const NAMED: usize = 10;

const TOUCHED: &str = "SELECT risk, workflow, tool, run FROM touched
    WHERE era = ?1 AND subject = ?2 AND executed = 1 AND (risk, workflow, tool) < (?3, ?4, ?5)
          AND run NOT IN (SELECT run FROM importing)
    ORDER BY risk DESC, workflow DESC, tool DESC, run DESC LIMIT 1";

/// A run that touched the object.
struct Touch {
    risk: i64,
    tool: i64,
    run: i64,
}

impl Pen<'_> {
    /// The run that a change is about. `Unknown` also means that it is the open one, where there is
    /// one.
    pub(super) fn find_target(
        &self,
        target: &RunTarget,
        change: &Change,
        open: &[Candidate],
    ) -> Answer<Booked> {
        let ids = match target {
            RunTarget::Run {
                run,
                workflow,
                agent,
            } => self.by_id(run, workflow.as_ref(), agent.as_ref())?,
            RunTarget::Call(call) => by_call(self.connection, &bytes(*call))?,
            RunTarget::Subject {
                subject,
                tool,
                workflow,
            } => {
                if let Some(id) = self.said_of(subject, workflow.as_ref(), change)? {
                    return Ok(Ok(load(self.connection, id)?));
                }
                return self.by_subject(subject, tool.as_ref(), workflow.as_ref(), open);
            }
        };
        match ids[..] {
            [] => Ok(Err(ReviseError::Unknown)),
            [id] => Ok(Ok(load(self.connection, id)?)),
            _ => {
                let named = ids
                    .iter()
                    .take(NAMED)
                    .map(|&id| Ok(load(self.connection, id)?.candidate(None)));
                Ok(Err(ReviseError::Several(
                    named.collect::<Result<_, Fault>>()?,
                )))
            }
        }
    }

    pub(super) fn by_id(
        &self,
        run: &RunId,
        workflow: Option<&WorkflowName>,
        agent: Option<&AgentName>,
    ) -> Result<Vec<i64>, Fault> {
        let call: Option<[u8; 16]> = run.as_str().parse().ok().map(bytes);
        // Each half answers from its own index.
        let mut select = self.connection.prepare(
            "SELECT r.id FROM (SELECT id, workflow, agent FROM runs WHERE run = ?1
                               UNION SELECT id, workflow, agent FROM runs WHERE call = ?2 AND run IS NULL) r
             JOIN names w ON w.id = r.workflow JOIN names a ON a.id = r.agent
             WHERE (?3 IS NULL OR w.name = ?3) AND (?4 IS NULL OR a.name = ?4) AND r.id NOT IN (SELECT run FROM importing) LIMIT ?5",
        )?;
        let limit = i64::try_from(NAMED + 1).unwrap_or(i64::MAX);
        let ids = select
            .query_map(
                params![
                    run.as_str(),
                    call,
                    workflow.map(WorkflowName::as_str),
                    agent.map(AgentName::as_str),
                    limit
                ],
                |row| row.get(0),
            )?
            .collect::<Result<_, _>>()?;
        Ok(ids)
    }

    /// The runs with a report of this reference that stands, or that were excluded under it; one
    /// more than a batch takes at most.
    pub(super) fn by_reference(&self, reference: &str, change: &Change) -> Result<Vec<i64>, Fault> {
        let text = match change {
            Change::Reinstate { .. } | Change::Exclude { .. } | Change::Accept { .. } | Change::Check { .. } | Change::Reconcile { .. } => {
                "SELECT run FROM exclusions WHERE reference = ?1 AND ?2 IS NULL ORDER BY run LIMIT ?3"
            }
            Change::Report(_) | Change::Retract { .. } => {
                "SELECT DISTINCT c.run FROM charges c JOIN names m ON m.id = c.mode
                 WHERE c.reference = ?1 AND c.retracted IS NULL AND (?2 IS NULL OR m.name = ?2) ORDER BY c.run LIMIT ?3"
            }
        };
        let mode = match change {
            Change::Retract { mode, .. } => mode.as_ref().map(FailureMode::as_str),
            Change::Report(charge) => Some(charge.mode.as_str()),
            Change::Reinstate { .. }
            | Change::Exclude { .. }
            | Change::Accept { .. }
            | Change::Check { .. }
            | Change::Reconcile { .. } => None,
        };
        let limit = i64::try_from(MAX_BATCH + 1).unwrap_or(i64::MAX);
        let mut select = self.connection.prepare(text)?;
        let ids = select
            .query_map(params![reference, mode, limit], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(ids)
    }

    /// The newest run that touched the subject through its riskiest tool, or through this one; of
    /// each workflow one, and if there are several nobody is charged.
    fn by_subject(
        &self,
        subject: &Subject,
        tool: Option<&ToolName>,
        workflow: Option<&WorkflowName>,
        open: &[Candidate],
    ) -> Answer<Booked> {
        let touches = match tool
            .map(|tool| number(self.connection, tool.as_str()))
            .transpose()?
        {
            Some(None) => BTreeMap::new(),
            Some(Some(tool)) => self.touches(subject, Some(tool))?,
            None => self.touches(subject, None)?,
        };
        let mut booked: BTreeMap<WorkflowName, (i64, Booked, i64)> = BTreeMap::new();
        for touch in touches.into_values() {
            let run = load(self.connection, touch.run)?;
            let name = self.current_name(&run.workflow);
            if workflow.is_some_and(|asked| *asked != name && *asked != run.workflow) {
                continue;
            }
            // A workflow that was renamed has rows under both names.
            if booked
                .get(&name)
                .is_none_or(|(risk, known, _)| (touch.risk, run.id) > (*risk, known.id))
            {
                booked.insert(name, (touch.risk, run, touch.tool));
            }
        }
        let risk_of = |open: &Candidate| {
            open.tool
                .as_ref()
                .map_or(0, |(risk, _)| codes::risk::code(*risk))
        };
        let riskiest = booked
            .values()
            .map(|(risk, ..)| *risk)
            .chain(open.iter().map(risk_of))
            .max();
        let open: Vec<_> = open
            .iter()
            .filter(|open| Some(risk_of(open)) == riskiest)
            .collect();
        booked.retain(|name, (risk, ..)| {
            Some(*risk) == riskiest && open.iter().all(|open| open.workflow != *name)
        });
        if booked.len() + open.len() > 1 {
            let mut named: Vec<_> = open.into_iter().cloned().collect();
            for (name, (risk, run, tool)) in booked {
                let tool: String = self.connection.query_row(
                    "SELECT name FROM names WHERE id = ?1",
                    [tool],
                    |row| row.get(0),
                )?;
                let risk = codes::risk::value(risk).unwrap_or(Risk::High);
                named.push(Candidate {
                    workflow: name,
                    ..run.candidate(Some((risk, tool.into())))
                });
            }
            named.sort_by(|one, other| one.workflow.cmp(&other.workflow));
            named.truncate(NAMED);
            return Ok(Err(ReviseError::Several(named)));
        }
        Ok(booked
            .into_values()
            .next()
            .map(|(_, run, _)| run)
            .ok_or(ReviseError::Unknown))
    }

    /// For each workflow the newest run that touched the subject through the riskiest tool of all,
    /// or through this one.
    fn touches(&self, subject: &Subject, tool: Option<i64>) -> Result<BTreeMap<i64, Touch>, Fault> {
        let hash = subject_hash(&self.books.ledger, subject);
        let newest_era: Option<i64> =
            self.connection
                .query_row("SELECT max(era) FROM touched", [], |row| row.get(0))?;
        let mut select = self.connection.prepare(TOUCHED)?;
        let mut best: BTreeMap<i64, Touch> = BTreeMap::new();
        let mut riskiest = i64::MIN;
        for era in 0..newest_era.map_or(0, |newest| newest + 1) {
            let mut below = (i64::MAX, i64::MAX, i64::MAX);
            loop {
                let read = |row: &Row<'_>| {
                    Ok((
                        row.get::<_, i64>(1)?,
                        Touch {
                            risk: row.get(0)?,
                            tool: row.get(2)?,
                            run: row.get(3)?,
                        },
                    ))
                };
                let Some((workflow, touch)) = select
                    .query_row(params![era, hash, below.0, below.1, below.2], read)
                    .optional()?
                else {
                    break;
                };
                if touch.risk < riskiest {
                    break;
                }
                below = (touch.risk, workflow, touch.tool);
                if tool.is_some_and(|tool| tool != touch.tool) {
                    continue;
                }
                if touch.risk > riskiest {
                    riskiest = touch.risk;
                    best.clear();
                }
                if best
                    .get(&workflow)
                    .is_none_or(|known| known.run < touch.run)
                {
                    best.insert(workflow, touch);
                }
            }
        }
        Ok(best)
    }

    /// The run of this subject that the report with this reference was about. A delivery that is
    /// repeated after a newer run touched the same object is still about the old one.
    fn said_of(
        &self,
        subject: &Subject,
        workflow: Option<&WorkflowName>,
        change: &Change,
    ) -> Result<Option<i64>, Fault> {
        let (mode, reference) = match change {
            Change::Report(charge) => (Some(&charge.mode), charge.reference.as_ref()),
            Change::Retract {
                mode, reference, ..
            } => (mode.as_ref(), reference.as_ref()),
            Change::Exclude { .. }
            | Change::Reinstate { .. }
            | Change::Accept { .. }
            | Change::Check { .. }
            | Change::Reconcile { .. } => (None, None),
        };
        let Some(reference): Option<&Arc<str>> = reference else {
            return Ok(None);
        };
        let hash = subject_hash(&self.books.ledger, subject);
        Ok(self
            .connection
            .query_row(
                "SELECT c.run FROM charges c JOIN names m ON m.id = c.mode JOIN runs r ON r.id = c.run JOIN names w ON w.id = r.workflow
                 WHERE c.reference = ?1 AND (?2 IS NULL OR m.name = ?2) AND (?3 IS NULL OR w.name = ?3)
                   AND (r.subject = ?4 OR EXISTS (SELECT 1 FROM calls k WHERE k.run = r.id AND k.subject = ?4))
                 ORDER BY c.retracted IS NULL DESC, c.run DESC LIMIT 1",
                params![&**reference, mode.map(FailureMode::as_str), workflow.map(WorkflowName::as_str), hash],
                |row| row.get(0),
            )
            .optional()?)
    }
}

impl Booked {
    fn candidate(self, tool: Option<(Risk, ToolName)>) -> Candidate {
        let at = self.booked_at();
        Candidate {
            workflow: self.workflow,
            agent: self.run.agent,
            run: self.run.run,
            tool,
            at,
        }
    }

    pub(super) fn booked_at(&self) -> Time {
        Time::from_millis(self.id >> TIME_SHIFT)
    }
}

/// The runs that have this call: one, unless ids were made elsewhere.
fn by_call(connection: &Connection, call: &[u8; 16]) -> Result<Vec<i64>, Fault> {
    let mut select = connection.prepare(
        "SELECT id FROM (SELECT id FROM runs WHERE call = ?1 UNION SELECT run FROM calls WHERE call = ?1) WHERE id NOT IN (SELECT run FROM importing)",
    )?;
    let ids = select
        .query_map([call], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(ids)
}

/// The run in this row.
pub(super) fn load(connection: &Connection, id: i64) -> Result<Booked, Fault> {
    let standing: Vec<_> = charges::of_run(connection, id)?
        .into_iter()
        .filter(|(_, retracted)| !retracted)
        .map(|(charge, _)| charge)
        .collect();
    let read = |row: &Row<'_>| {
        let run: Option<String> = row.get(2)?;
        let call: Option<[u8; 16]> = row.get(3)?;
        let mark = codes::mark::value(row.get(4)?).unwrap_or(Mark::Unacceptable);
        let seen = Facets::from_bits(row.get::<_, Option<u8>>(8)?.unwrap_or(0));
        Ok(Booked {
            id,
            workflow: row.get::<_, String>(0)?.into(),
            run: RunRef {
                agent: row.get::<_, String>(1)?.into(),
                run: run_id(run, call),
            },
            mark,
            counts: row.get(5)?,
            high: row.get(6)?,
            open: row.get::<_, i64>(7)? & OPEN != 0,
            seen,
            shown: Shown::of(mark, seen, &standing),
        })
    };
    let mut select = connection.prepare(
        "SELECT w.name, a.name, r.run, r.call, r.mark, r.counts, r.high, r.notable, r.seen
         FROM runs r JOIN names w ON w.id = r.workflow JOIN names a ON a.id = r.agent WHERE r.id = ?1",
    )?;
    Ok(select.query_row([id], read)?)
}

/// A run's id: its own, or its only call's.
pub(super) fn run_id(run: Option<String>, call: Option<[u8; 16]>) -> RunId {
    match (run, call) {
        (Some(run), _) => run.into(),
        (None, Some(call)) => call_id(call).to_string().into(),
        (None, None) => "".into(),
    }
}
