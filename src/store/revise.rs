//! Late news about runs that were booked: finds the run, works out what it stands as now, and puts
//! the difference on the books.
//!
//! A run's standing is worked out from what its charges counted as when they became known, never
//! from today's objective: a policy that stops counting a mode must not pardon old failures through
//! the back door of an unrelated retraction.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, params};

use super::codes;
use super::codes::notable_mark;
use super::database::Fault;
use super::meant::load;
use super::pen::Pen;
use super::runs::seen_code;
use crate::gate::booking::Change;
use crate::gate::booking::CheckState;
use crate::gate::event::{Entry, Event, Revision};
use crate::gate::facets::{Facets, Shown};
use crate::gate::name::{PersonName, WorkflowName};
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::run::{Charge, Mark, RunRef};
use crate::gate::time::Time;
use crate::journal::revise::{Batch, BatchOf, MAX_BATCH, Revise, ReviseError, Revised, RevisedAll};

/// What a revision needs to know of a run.
pub(super) struct Booked {
    pub(super) id: i64,
    pub(super) workflow: WorkflowName,
    pub(super) run: RunRef,
    pub(super) mark: Mark,
    pub(super) counts: bool,
    pub(super) high: bool,
    /// It goes on.
    pub(super) open: bool,
    /// What was seen of it, or said in a check.
    pub(super) seen: Facets,
    pub(super) shown: Shown,
}

pub(super) type Answer<T> = Result<Result<T, ReviseError>, Fault>;

impl Pen<'_> {
    /// Carries one revision out.
    pub(super) fn revise(&mut self, revise: &Revise) -> Answer<Revised> {
        self.write_tallies()?;
        match self.find_target(&revise.target, &revise.change, &revise.open)? {
            Ok(run) => self.change(&run, revise.at, &revise.change),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Carries one change out on many runs. Everything that can be refused is refused before the
    /// first of them is touched.
    pub(super) fn revise_all(&mut self, batch: &Batch) -> Answer<RevisedAll> {
        self.write_tallies()?;
        let ids = match &batch.of {
            BatchOf::Reference(reference) => self.by_reference(reference, &batch.change)?,
            BatchOf::Runs(keys) => {
                let mut ids = Vec::with_capacity(keys.len());
                for key in keys {
                    ids.extend(self.by_id(&key.run, Some(&key.workflow), Some(&key.agent))?);
                }
                ids.sort_unstable();
                ids.dedup();
                ids
            }
        };
        if ids.len() > MAX_BATCH {
            return Ok(Err(ReviseError::TooMany));
        }
        let mut runs = Vec::with_capacity(ids.len());
        for id in ids {
            let run = load(self.connection, id)?;
            if let Some(error) = run.refuses(&batch.change) {
                return Ok(Err(error));
            }
            runs.push(run);
        }
        let mut done = RevisedAll::default();
        for run in runs {
            let workflow = self.current_name(&run.workflow);
            match self.change(&run, batch.at, &batch.change)? {
                Ok(revised) if !revised.repeated => *done.changed.entry(workflow).or_default() += 1,
                // It was said before, or there is nothing to take back.
                Ok(_) | Err(_) => done.repeated += 1,
            }
            if matches!(
                batch.change,
                Change::Retract {
                    reference: Some(_),
                    ..
                }
            ) {
                // Whatever else was said of it under the same reference goes with it.
                while self
                    .change(&load(self.connection, run.id)?, batch.at, &batch.change)?
                    .is_ok()
                {}
            }
        }
        Ok(Ok(done))
    }

    fn change(&mut self, run: &Booked, at: Time, change: &Change) -> Answer<Revised> {
        if let Some(error) = run.refuses(change) {
            return Ok(Err(error));
        }
        match change {
            Change::Report(charge) => self.report(run, at, charge).map(Ok),
            Change::Retract {
                mode,
                reference,
                by,
            } => self.retract(run, at, mode.as_ref(), reference.as_ref(), by),
            Change::Exclude {
                reason,
                reference,
                by,
            } => {
                if run.mark == Mark::Excluded {
                    return Ok(Ok(run.unchanged()));
                }
                self.connection.execute(
                    "INSERT INTO exclusions VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![
                        run.id,
                        reason,
                        reference.as_deref(),
                        by.as_str(),
                        at.as_millis()
                    ],
                )?;
                self.leave_queue(run.id, &run.workflow, CheckState::Excluded, Some(by), at)?;
                let (reason, reference, by) = (Arc::clone(reason), reference.clone(), by.clone());
                self.restate(run, at, Mark::Excluded, |revision| Event::Excluded {
                    revision,
                    reason,
                    reference,
                    by,
                })
                .map(Ok)
            }
            Change::Reconcile {
                call,
                executed,
                harmless,
                note,
                by,
            } => self.reconcile(run, at, *call, *executed, *harmless, note.as_ref(), by),
            Change::Reinstate { by } => {
                if run.mark != Mark::Excluded {
                    return Ok(Err(ReviseError::Nothing("the run is not excluded")));
                }
                self.connection
                    .execute("DELETE FROM exclusions WHERE run = ?1", [run.id])?;
                let now = self.standing(run)?;
                let by = by.clone();
                self.restate(run, at, now, |revision| Event::Reinstated { revision, by })
                    .map(Ok)
            }
            Change::Accept { by } => self.accept(run, at, by),
            Change::Check { right, by } => self.check(run, at, *right, by),
        }
    }

    fn report(&mut self, run: &Booked, at: Time, charge: &Charge) -> Result<Revised, Fault> {
        if let Some(reference) = &charge.reference {
            // Also where it was taken back since: a delivery that is repeated must not undo what a
            // person decided.
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
        // A person has judged it; anybody else has said that there is nothing left to judge.
        if charge.source == Source::Person || now == Mark::Unacceptable {
            self.leave_queue(
                run.id,
                &run.workflow,
                CheckState::Reported,
                charge.by.as_ref(),
                at,
            )?;
        }
        let charge = charge.clone();
        self.restate(run, at, now, |revision| Event::Reported {
            revision,
            charge,
        })
    }

    /// A run that was drawn is right: once, whoever says so again. What was reported of it has to
    /// be taken back first.
    fn accept(&mut self, run: &Booked, at: Time, by: &PersonName) -> Answer<Revised> {
        match self.check_state(run.id)? {
            Some(CheckState::Waiting) => {
                self.leave_queue(run.id, &run.workflow, CheckState::Accepted, Some(by), at)?;
                self.judge(run, at, true, by).map(Ok)
            }
            Some(CheckState::Accepted) => Ok(Ok(run.unchanged())),
            Some(CheckState::Reported) => Ok(Err(ReviseError::Nothing(
                "somebody judged the run already, and found it wrong",
            ))),
            Some(CheckState::Excluded) => Ok(Err(ReviseError::Nothing(
                "the run was taken out of the budget",
            ))),
            Some(CheckState::Unchecked) => Ok(Err(ReviseError::Nothing(
                "the run has left the full queue unchecked",
            ))),
            None => Ok(Err(ReviseError::Nothing(
                "the run was not drawn for a check",
            ))),
        }
    }

    /// A judgement of a run that may not have been drawn: whoever waits for somebody to look at it
    /// waits no more.
    fn check(&mut self, run: &Booked, at: Time, right: bool, by: &PersonName) -> Answer<Revised> {
        if run.seen.judged(right) == run.seen {
            return Ok(Ok(run.unchanged()));
        }
        let state = if right {
            CheckState::Accepted
        } else {
            CheckState::Reported
        };
        self.leave_queue(run.id, &run.workflow, state, Some(by), at)?;
        self.judge(run, at, right, by).map(Ok)
    }

    fn judge(
        &mut self,
        run: &Booked,
        at: Time,
        right: bool,
        by: &PersonName,
    ) -> Result<Revised, Fault> {
        self.connection.execute(
            "UPDATE runs SET seen = ?2 WHERE id = ?1",
            params![run.id, seen_code(run.seen.judged(right))],
        )?;
        let by = by.clone();
        self.restate(run, at, run.mark, |revision| Event::Checked {
            revision,
            by,
            right,
        })
    }

    fn retract(
        &mut self,
        run: &Booked,
        at: Time,
        mode: Option<&FailureMode>,
        reference: Option<&Arc<str>>,
        by: &PersonName,
    ) -> Answer<Revised> {
        let newest: Option<(i64, String)> = self
            .connection
            .query_row(
                "SELECT c.n, m.name FROM charges c JOIN names m ON m.id = c.mode
                 WHERE c.run = ?1 AND (?2 IS NULL OR m.name = ?2) AND c.retracted IS NULL AND (?3 IS NULL OR c.reference = ?3) ORDER BY c.n DESC LIMIT 1",
                params![run.id, mode.map(FailureMode::as_str), reference.map(|text| &**text)],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let Some((n, mode)) = newest else {
            return Ok(Err(ReviseError::Nothing(
                "no such report of the run stands",
            )));
        };
        self.connection.execute(
            "UPDATE charges SET retracted = ?3, retracted_by = ?4 WHERE run = ?1 AND n = ?2",
            params![run.id, n, at.as_millis(), by.as_str()],
        )?;
        let now = if run.mark == Mark::Excluded {
            Mark::Excluded
        } else {
            self.standing(run)?
        };
        let (mode, reference, by) = (
            FailureMode::from(mode.as_str()),
            reference.cloned(),
            by.clone(),
        );
        self.restate(run, at, now, |revision| Event::Retracted {
            revision,
            mode,
            reference,
            by,
        })
        .map(Ok)
    }

    /// What a run stands as by its charges.
    pub(super) fn standing(&self, run: &Booked) -> Result<Mark, Fault> {
        let wrong: bool = self.connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM charges WHERE run = ?1 AND counts AND retracted IS NULL)",
            [run.id],
            |row| row.get(0),
        )?;
        Ok(match (wrong, run.counts) {
            (true, _) => Mark::Unacceptable,
            (false, true) => Mark::Acceptable,
            (false, false) => Mark::Idle,
        })
    }

    pub(super) fn restate(
        &mut self,
        run: &Booked,
        at: Time,
        now: Mark,
        event: impl FnOnce(Revision) -> Event,
    ) -> Result<Revised, Fault> {
        self.connection.execute(
            "UPDATE runs SET mark = ?2, notable = (notable & 6) | ?3 WHERE id = ?1",
            [run.id, codes::mark::code(now), notable_mark(now)],
        )?;
        let shown = load(self.connection, run.id)?.shown;
        let revision = Revision::new(run.run.clone(), run.booked_at(), run.high, run.mark, now)
            .showing(&run.shown, &shown);
        let workflow = self.current_name(&run.workflow);
        self.fold(
            0,
            Entry {
                at,
                workflow: Some(workflow),
                event: event(revision),
            },
        )?;
        Ok(Revised {
            now,
            repeated: false,
            ..run.unchanged()
        })
    }

    /// A report of a run that was booked and has not ended comes without what only its row tells:
    /// what it stands as by now, and what was said of it before. The report goes into the row with
    /// it, so that it can be found, and taken back, before the run ends.
    pub(super) fn completed(&mut self, entry: &Entry, at: Time) -> Result<Entry, Fault> {
        let mut entry = entry.clone();
        if let (Some(workflow), Event::Reported { revision, charge }) =
            (&entry.workflow, &mut entry.event)
            && let Some(id) = self.booked_row(workflow, &revision.run)?
        {
            let was = load(self.connection, id)?;
            let charge = charge.clone();
            self.charge(id, &[charge], at, |pen, mode| pen.counts(workflow, mode))?;
            // What came back in the meantime, such as a run that was excluded, is not put on the
            // books again by what is added to it.
            let now = load(self.connection, id)?;
            *revision = Revision::new(
                revision.run.clone(),
                was.booked_at(),
                was.high,
                was.mark,
                was.mark,
            )
            .showing(&was.shown, &now.shown);
        }
        Ok(entry)
    }

    /// A run that was booked before it ended may have come to more by then.
    pub(super) fn note_end(&mut self, was: &Booked, at: Time) -> Result<(), Fault> {
        let now = load(self.connection, was.id)?;
        if now.shown == was.shown {
            return Ok(());
        }
        let workflow = self.current_name(&was.workflow);
        self.write_tally_of(&workflow)?;
        let revision = Revision::new(
            was.run.clone(),
            was.booked_at(),
            now.high,
            was.mark,
            now.mark,
        )
        .showing(&was.shown, &now.shown);
        self.fold(
            0,
            Entry {
                at,
                workflow: Some(workflow),
                event: Event::Noted { revision },
            },
        )
    }

    /// The name that the workflow's books are kept under now, where it was renamed since.
    pub(super) fn current_name(&self, workflow: &WorkflowName) -> WorkflowName {
        let state = &self.books.state;
        if state.workflow(workflow).is_some() {
            return workflow.clone();
        }
        let heir = state
            .workflows()
            .find(|(_, state)| state.terms().was.as_ref() == Some(workflow));
        heir.map_or_else(|| workflow.clone(), |(name, _)| name.clone())
    }

    /// Adds a charge even where an equal one stands: two people may report the same thing.
    fn charge_again(
        &mut self,
        id: i64,
        charge: &Charge,
        at: Time,
        counted: bool,
    ) -> Result<(), Fault> {
        let known: i64 = self.connection.query_row(
            "SELECT coalesce(max(n), 0) FROM charges WHERE run = ?1",
            [id],
            |row| row.get(0),
        )?;
        self.insert_charge(id, known + 1, charge, at, counted)
    }

    fn has_report(&self, id: i64, mode: &FailureMode, reference: &str) -> Result<bool, Fault> {
        Ok(self.connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM charges c JOIN names m ON m.id = c.mode WHERE c.reference = ?1 AND c.run = ?2 AND m.name = ?3)",
            params![reference, id, mode.as_str()],
            |row| row.get(0),
        )?)
    }
}

impl Booked {
    /// Why this cannot be done to it: what goes on can get worse, and is judged in any other way
    /// when it has ended.
    fn refuses(&self, change: &Change) -> Option<ReviseError> {
        match change {
            Change::Report(_) => None,
            Change::Retract { .. }
            | Change::Exclude { .. }
            | Change::Reinstate { .. }
            | Change::Accept { .. }
            | Change::Check { .. }
            | Change::Reconcile { .. } => self
                .open
                .then(|| ReviseError::Open(self.run.run.clone(), self.workflow.clone())),
        }
    }

    pub(super) fn unchanged(&self) -> Revised {
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
