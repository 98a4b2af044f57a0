//! Late news about runs that were booked: finds the run, works out what it stands as now, and puts the difference on the books.
//!
//! A run's standing is worked out from what its charges counted as when they became known, never from today's objective: a policy that stops counting a mode must
//! not pardon old failures through the back door of an unrelated retraction.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    chain::subject_hash,
    charges::call_id,
    codes::{self, notable_mark},
    database::Fault,
    names::number,
    pen::Pen,
    runs::{TIME_SHIFT, bytes},
};
use crate::{
    gate::{
        event::{Charge, Entry, Event, Mark, Revision, RunRef},
        name::{AgentName, PersonName, RunId, Subject, ToolName, WorkflowName},
        outcome::FailureMode,
        risk::Risk,
        time::Time,
    },
    ledger::port::{Change, Revise, ReviseError, Revised, RunTarget},
};

/// How many runs are named when more than one matches.
const NAMED: usize = 10;

/// What a revision needs to know of a run.
struct Booked {
    id: i64,
    workflow: WorkflowName,
    run: RunRef,
    mark: Mark,
    counts: bool,
    high: bool,
}

type Answer<T> = Result<Result<T, ReviseError>, Fault>;

impl Pen<'_> {
    /// Carries one revision out.
    pub(super) fn revise(&mut self, revise: &Revise) -> Answer<Revised> {
        self.write_tallies()?;
        let (mode, reference) = match &revise.change {
            Change::Report(charge) => (Some(&charge.mode), charge.reference.as_deref()),
            Change::Retract { mode, reference, .. } => (Some(mode), reference.as_deref()),
            Change::Exclude { .. } | Change::Reinstate { .. } => (None, None),
        };
        let run = match self.find_target(&revise.target, revise.above, mode, reference)? {
            Ok(run) => run,
            Err(error) => return Ok(Err(error)),
        };
        match &revise.change {
            Change::Report(charge) => self.report(&run, revise.at, charge).map(Ok),
            Change::Retract { mode, reference, by } => self.retract(&run, revise.at, mode, reference.as_ref(), by),
            Change::Exclude { reason, by } => {
                if run.mark == Mark::Excluded {
                    return Ok(Ok(run.unchanged()));
                }
                self.connection.execute("INSERT INTO exclusions VALUES (?1, ?2, ?3, ?4)", params![run.id, reason, by.as_str(), revise.at.as_millis()])?;
                let (reason, by) = (reason.clone(), by.clone());
                self.restate(&run, revise.at, Mark::Excluded, |revision| Event::Excluded { revision, reason, by }).map(Ok)
            }
            Change::Reinstate { by } => {
                if run.mark != Mark::Excluded {
                    return Ok(Err(ReviseError::Nothing("the run is not excluded")));
                }
                self.connection.execute("DELETE FROM exclusions WHERE run = ?1", [run.id])?;
                let now = self.standing(&run)?;
                let by = by.clone();
                self.restate(&run, revise.at, now, |revision| Event::Reinstated { revision, by }).map(Ok)
            }
        }
    }

    fn report(&mut self, run: &Booked, at: Time, charge: &Charge) -> Result<Revised, Fault> {
        if let Some(reference) = &charge.reference {
            // Also where it was taken back since: a delivery that is repeated must not undo what a person decided.
            if self.has_report(run.id, &charge.mode, reference)? {
                return Ok(run.unchanged());
            }
        }
        let counted = self.counts(&run.workflow, &charge.mode);
        self.charge_again(run.id, charge, at, counted)?;
        let now = match run.mark {
            Mark::Excluded => Mark::Excluded,
            Mark::Unacceptable => Mark::Unacceptable,
            Mark::Idle | Mark::Acceptable if counted => Mark::Unacceptable,
            unmoved @ (Mark::Idle | Mark::Acceptable) => unmoved,
        };
        let charge = charge.clone();
        self.restate(run, at, now, |revision| Event::Reported { revision, charge })
    }

    fn retract(&mut self, run: &Booked, at: Time, mode: &FailureMode, reference: Option<&std::sync::Arc<str>>, by: &PersonName) -> Answer<Revised> {
        let newest: Option<i64> = self.connection.query_row(
            "SELECT max(c.n) FROM charges c JOIN names m ON m.id = c.mode
             WHERE c.run = ?1 AND m.name = ?2 AND c.retracted IS NULL AND (?3 IS NULL OR c.reference = ?3)",
            params![run.id, mode.as_str(), reference.map(|text| &**text)],
            |row| row.get(0),
        )?;
        let Some(n) = newest else {
            return Ok(Err(ReviseError::Nothing("no such report of the run stands")));
        };
        self.connection
            .execute("UPDATE charges SET retracted = ?3, retracted_by = ?4 WHERE run = ?1 AND n = ?2", params![run.id, n, at.as_millis(), by.as_str()])?;
        let now = if run.mark == Mark::Excluded { Mark::Excluded } else { self.standing(run)? };
        let (mode, reference, by) = (mode.clone(), reference.cloned(), by.clone());
        self.restate(run, at, now, |revision| Event::Retracted { revision, mode, reference, by }).map(Ok)
    }

    /// What a run stands as by its charges.
    fn standing(&self, run: &Booked) -> Result<Mark, Fault> {
        let wrong: bool =
            self.connection.query_row("SELECT EXISTS (SELECT 1 FROM charges WHERE run = ?1 AND counts AND retracted IS NULL)", [run.id], |row| row.get(0))?;
        Ok(match (wrong, run.counts) {
            (true, _) => Mark::Unacceptable,
            (false, true) => Mark::Acceptable,
            (false, false) => Mark::Idle,
        })
    }

    fn restate(&mut self, run: &Booked, at: Time, now: Mark, event: impl FnOnce(Revision) -> Event) -> Result<Revised, Fault> {
        self.connection
            .execute("UPDATE runs SET mark = ?2, notable = (notable & 6) | ?3 WHERE id = ?1", [run.id, codes::mark::code(now), notable_mark(now)])?;
        let revision = Revision { run: run.run.clone(), booked_at: run.booked_at(), high: run.high, was: run.mark, now };
        let workflow = self.current_name(&run.workflow);
        self.fold(0, Entry { at, workflow: Some(workflow), event: event(revision) })?;
        Ok(Revised { now, repeated: false, ..run.unchanged() })
    }

    /// The name that the workflow's books are kept under now, where it was renamed since.
    fn current_name(&self, workflow: &WorkflowName) -> WorkflowName {
        let state = &self.books.state;
        if state.workflow(workflow).is_some() {
            return workflow.clone();
        }
        let heir = state.workflows().find(|(_, state)| state.terms().was.as_ref() == Some(workflow));
        heir.map_or_else(|| workflow.clone(), |(name, _)| name.clone())
    }

    /// Adds a charge even where an equal one stands: two people may report the same thing.
    fn charge_again(&mut self, id: i64, charge: &Charge, at: Time, counted: bool) -> Result<(), Fault> {
        let known: i64 = self.connection.query_row("SELECT coalesce(max(n), 0) FROM charges WHERE run = ?1", [id], |row| row.get(0))?;
        self.insert_charge(id, known + 1, charge, at, counted)
    }

    fn has_report(&self, id: i64, mode: &FailureMode, reference: &str) -> Result<bool, Fault> {
        Ok(self.connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM charges c JOIN names m ON m.id = c.mode WHERE c.reference = ?1 AND c.run = ?2 AND m.name = ?3)",
            params![reference, id, mode.as_str()],
            |row| row.get(0),
        )?)
    }

    fn find_target(&self, target: &RunTarget, above: Option<Risk>, mode: Option<&FailureMode>, reference: Option<&str>) -> Answer<Booked> {
        let ids = match target {
            RunTarget::Run { run, workflow, agent } => self.by_id(run, workflow.as_ref(), agent.as_ref())?,
            RunTarget::Call(call) => by_call(self.connection, &bytes(*call))?,
            RunTarget::Subject { subject, tool, workflow } => {
                let reported = match (mode, reference) {
                    (Some(mode), Some(reference)) => self.reported_of(subject, workflow.as_ref(), mode, reference)?,
                    _ => None,
                };
                match reported {
                    Some(id) => vec![id],
                    None => self.by_subject(subject, tool.as_ref(), workflow.as_ref(), above)?,
                }
            }
        };
        match ids[..] {
            [] => Ok(Err(ReviseError::Unknown)),
            [id] => Ok(Ok(load(self.connection, id)?)),
            _ => {
                let named = ids.iter().take(NAMED).map(|&id| load(self.connection, id).map(|run| (run.workflow, run.run.agent, run.run.run)));
                Ok(Err(ReviseError::Several(named.collect::<Result<_, _>>()?)))
            }
        }
    }

    fn by_id(&self, run: &RunId, workflow: Option<&WorkflowName>, agent: Option<&AgentName>) -> Result<Vec<i64>, Fault> {
        let call: Option<[u8; 16]> = run.as_str().parse().ok().map(bytes);
        // Each half answers from its own index.
        let mut select = self.connection.prepare(
            "SELECT r.id FROM (SELECT id, workflow, agent FROM runs WHERE run = ?1
                               UNION SELECT id, workflow, agent FROM runs WHERE call = ?2 AND run IS NULL) r
             JOIN names w ON w.id = r.workflow JOIN names a ON a.id = r.agent
             WHERE (?3 IS NULL OR w.name = ?3) AND (?4 IS NULL OR a.name = ?4) LIMIT ?5",
        )?;
        let limit = i64::try_from(NAMED).unwrap_or(i64::MAX);
        let ids = select.query_map(params![run.as_str(), call, workflow.map(WorkflowName::as_str), agent.map(AgentName::as_str), limit], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// The newest run that touched the subject through its riskiest tool, or through this one.
    fn by_subject(&self, subject: &Subject, tool: Option<&ToolName>, workflow: Option<&WorkflowName>, above: Option<Risk>) -> Result<Vec<i64>, Fault> {
        let hash = subject_hash(&self.books.ledger, subject);
        let Some(tool) = numbered(self.connection, tool.map(ToolName::as_str))? else { return Ok(Vec::new()) };
        let Some(workflow) = numbered(self.connection, workflow.map(WorkflowName::as_str))? else { return Ok(Vec::new()) };
        let newest_era: Option<i64> = self.connection.query_row("SELECT max(era) FROM touched", [], |row| row.get(0))?;
        let mut select = self.connection.prepare(
            "SELECT risk, run FROM touched WHERE era = ?1 AND subject = ?2 AND executed AND (?3 IS NULL OR tool = ?3) AND (?4 IS NULL OR workflow = ?4)
             ORDER BY risk DESC, run DESC LIMIT 1",
        )?;
        let mut best: Option<(i64, i64)> = None;
        for era in 0..newest_era.map_or(0, |newest| newest + 1) {
            let found = select.query_row(params![era, hash, tool, workflow], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            best = best.max(found);
        }
        let is_above = |risk: i64| above.is_none_or(|above| risk > codes::risk::code(above));
        Ok(best.filter(|(risk, _)| is_above(*risk)).map(|(_, run)| run).into_iter().collect())
    }

    /// The run of this subject that the report with this reference was about. A delivery that is repeated after a newer run touched the same object is still about
    /// the old one.
    fn reported_of(&self, subject: &Subject, workflow: Option<&WorkflowName>, mode: &FailureMode, reference: &str) -> Result<Option<i64>, Fault> {
        let hash = subject_hash(&self.books.ledger, subject);
        Ok(self
            .connection
            .query_row(
                "SELECT c.run FROM charges c JOIN names m ON m.id = c.mode JOIN runs r ON r.id = c.run JOIN names w ON w.id = r.workflow
                 WHERE c.reference = ?1 AND m.name = ?2 AND (?3 IS NULL OR w.name = ?3)
                   AND (r.subject = ?4 OR EXISTS (SELECT 1 FROM calls k WHERE k.run = r.id AND k.subject = ?4))
                 ORDER BY c.run DESC LIMIT 1",
                params![reference, mode.as_str(), workflow.map(WorkflowName::as_str), hash],
                |row| row.get(0),
            )
            .optional()?)
    }
}

impl Booked {
    fn booked_at(&self) -> Time {
        Time::from_millis(self.id >> TIME_SHIFT)
    }

    fn unchanged(&self) -> Revised {
        Revised {
            workflow: self.workflow.clone(),
            agent: self.run.agent.clone(),
            run: self.run.run.clone(),
            booked_at: self.booked_at(),
            was: self.mark,
            now: self.mark,
            repeated: true,
        }
    }
}

/// The runs that have this call: one, unless ids were made elsewhere.
fn by_call(connection: &Connection, call: &[u8; 16]) -> Result<Vec<i64>, Fault> {
    let mut select = connection.prepare("SELECT id FROM runs WHERE call = ?1 UNION SELECT run FROM calls WHERE call = ?1")?;
    let ids = select.query_map([call], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(ids)
}

/// `Some(None)` where no name was asked for, `None` where the name was never written.
#[expect(clippy::option_option, reason = "no name asked for, a known name, an unknown name")]
fn numbered(connection: &Connection, name: Option<&str>) -> Result<Option<Option<i64>>, Fault> {
    match name {
        None => Ok(Some(None)),
        Some(name) => Ok(number(connection, name)?.map(Some)),
    }
}

fn load(connection: &Connection, id: i64) -> Result<Booked, Fault> {
    let read = |row: &Row<'_>| {
        let run: Option<String> = row.get(2)?;
        let call: Option<[u8; 16]> = row.get(3)?;
        Ok(Booked {
            id,
            workflow: row.get::<_, String>(0)?.into(),
            run: RunRef { agent: row.get::<_, String>(1)?.into(), run: run_id(run, call) },
            mark: codes::mark::value(row.get(4)?).unwrap_or(Mark::Unacceptable),
            counts: row.get(5)?,
            high: row.get(6)?,
        })
    };
    Ok(connection.query_row(
        "SELECT w.name, a.name, r.run, r.call, r.mark, r.counts, r.high
         FROM runs r JOIN names w ON w.id = r.workflow JOIN names a ON a.id = r.agent WHERE r.id = ?1",
        [id],
        read,
    )?)
}

/// A run's id: its own, or its only call's.
fn run_id(run: Option<String>, call: Option<[u8; 16]>) -> RunId {
    match (run, call) {
        (Some(run), _) => run.into(),
        (None, Some(call)) => call_id(call).to_string().into(),
        (None, None) => "".into(),
    }
}
