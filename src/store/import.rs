//! Importing a history: its runs go into the run index batch by batch, so that no transaction keeps
//! the gate waiting, and are counted in one last transaction.
//!
//! Rows of an import that is not finished are listed in `importing`, and every look-up of runs
//! passes over them. The counts wait in memory. A crash, a failed transaction or an abandoned
//! import loses the counts and leaves rows that nobody sees; the next import clears them away
//! before it begins.

use rusqlite::{OptionalExtension as _, params};

use super::codes::notable_mark;
use super::database::StoreFault;
use super::importing::Importing;
use super::rows::{RunRow, bytes};
use super::transaction::Transaction;
use crate::gate::booking::reasons;
use crate::gate::event::{Entry, Event};
use crate::gate::name::{PersonName, RunId};
use crate::gate::past::Imported;
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, Mark};
use crate::journal::booked::BookedRuns as _;
use crate::journal::import::{ImportError, ImportReply, ImportStep};
use crate::journal::record::RunRecord;

/// So many rows are cleared away in one transaction: about what a batch takes to write.
const CLEARED_AT_ONCE: i64 = 1_000;
/// The reason on record of a run that its history excludes.
const EXCLUDED: &str = "excluded in the imported history";

impl Transaction<'_> {
    /// Carries one step out.
    pub(super) fn import(
        &mut self,
        step: &ImportStep,
    ) -> Result<Result<ImportReply, ImportError>, StoreFault> {
        match step {
            ImportStep::Begin => {
                self.importing = None;
                if self.clear()? {
                    return Ok(Ok(ImportReply::Clearing));
                }
                self.importing = Some(Importing::default());
                Ok(Ok(ImportReply::Begun))
            }
            ImportStep::Abandon => {
                self.importing = None;
                let left = self.clear()?;
                Ok(Ok(if left {
                    ImportReply::Clearing
                } else {
                    ImportReply::Abandoned
                }))
            }
            ImportStep::Runs { runs, by } => {
                let Some(mut importing) = self.importing.take() else {
                    return Ok(Err(ImportError::Lost));
                };
                let mut known = Vec::new();
                for (n, run) in runs.iter().enumerate() {
                    if self.import_run(run, by)? {
                        importing.take(&self.loaded.state, run);
                    } else {
                        known.push(n);
                    }
                }
                self.importing = Some(importing);
                Ok(Ok(ImportReply::Taken(known)))
            }
            ImportStep::Finish { at, by } => {
                let Some(importing) = self.importing.take() else {
                    return Ok(Err(ImportError::Lost));
                };
                for (workflow, past) in importing.workflows {
                    let imported = Imported {
                        by: by.clone(),
                        runs: past.runs,
                        cells: past.cells.into_values().collect(),
                        critical: past.critical.into_values().collect(),
                    };
                    self.enter(
                        0,
                        &Entry {
                            at: *at,
                            workflow: Some(workflow),
                            event: Event::Imported(Box::new(imported)),
                        },
                    )?;
                }
                self.connection.execute("DELETE FROM importing", [])?;
                Ok(Ok(ImportReply::Finished))
            }
        }
    }

    /// Writes a past run, unless it is known. Was it written?
    fn import_run(&mut self, run: &RunRecord, by: &PersonName) -> Result<bool, StoreFault> {
        let workflow = self.name(run.workflow.as_str())?;
        let agent = self.name(run.agent.as_str())?;
        let name = run.run.as_ref().map_or("", RunId::as_str);
        if self.knows(workflow, agent, name)? {
            return Ok(false);
        }
        // A history that names no calls knows of the run all the same.
        let counts = run.calls.is_empty()
            || run.calls.iter().any(|call| call.risk > Risk::Read)
            || self.reads_count(&run.workflow);
        let first = run.calls.first();
        let row = RunRow {
            workflow,
            agent,
            run: Some(name),
            mark: run.mark,
            counts,
            high: run.high,
            notable: notable_mark(run.mark),
            began: 0,
            ended: Some(0),
            more: i64::try_from(run.calls.len().saturating_sub(1)).unwrap_or(i64::MAX),
            call: first.map(|call| call.call),
            first: first
                .map(|call| self.first_call(call, run.started))
                .transpose()?,
            observed: run.observed,
        };
        let id = self.insert(run.booked_at, &row)?;
        self.note_importing(id)?;
        for (n, call) in run.calls.iter().enumerate().skip(1) {
            self.insert_call(id, n, call, run.started)?;
        }
        for call in &run.calls {
            self.touch(id, workflow, call)?;
            self.keep_arguments(call)?;
        }
        let failed = run.mark == Mark::Unacceptable;
        let counted: Vec<bool> = {
            let is_why = reasons(&run.charges, |mode| self.counts(&run.workflow, mode));
            let counts = |charge: &Charge| self.counts(&run.workflow, &charge.mode);
            let charges = run.charges.iter();
            charges
                .map(|charge| {
                    if failed {
                        is_why(charge)
                    } else {
                        counts(charge)
                    }
                })
                .collect()
        };
        for ((n, charge), counts) in (1..).zip(&run.charges).zip(counted) {
            self.insert_charge(id, n, charge, run.booked_at, counts)?;
        }
        if run.mark == Mark::Excluded {
            self.connection.execute(
                "INSERT INTO exclusions VALUES (?1, ?2, NULL, ?3, ?4)",
                params![id, EXCLUDED, by.as_str(), run.booked_at.as_millis()],
            )?;
        }
        Ok(true)
    }

    /// Is there such a run, under its own id or, where it had none, under its call's?
    fn knows(&mut self, workflow: i64, agent: i64, run: &str) -> Result<bool, StoreFault> {
        if self.find(workflow, agent, run)?.is_some() {
            return Ok(true);
        }
        let Ok(call) = run.parse() else {
            return Ok(false);
        };
        let mut select = self.connection.prepare(
            "SELECT 1 FROM runs WHERE call = ?1 AND run IS NULL AND workflow = ?2 AND agent = ?3",
        )?;
        Ok(select
            .query_row(params![bytes(call), workflow, agent], |_| Ok(()))
            .optional()?
            .is_some())
    }

    /// Clears some of what an import that broke off left. Is there more?
    fn clear(&mut self) -> Result<bool, StoreFault> {
        let mut select = self
            .connection
            .prepare("SELECT run, era FROM importing LIMIT ?1")?;
        let rows: Vec<(i64, i64)> = select
            .query_map([CLEARED_AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        // The subjects of a run lie in the era in which it was written, and in the one after where
        // that was full.
        let statements = [
            "DELETE FROM touched WHERE era BETWEEN ?2 AND ?2 + 1 AND run = ?1
             AND subject IN (SELECT subject FROM runs WHERE id = ?1 UNION ALL SELECT subject FROM calls WHERE run = ?1)",
            "DELETE FROM arguments WHERE call IN (SELECT call FROM runs WHERE id = ?1 UNION ALL SELECT call FROM calls WHERE run = ?1) AND ?2 >= 0",
            "DELETE FROM calls WHERE run = ?1 AND ?2 >= 0",
            "DELETE FROM charges WHERE run = ?1 AND ?2 >= 0",
            "DELETE FROM exclusions WHERE run = ?1 AND ?2 >= 0",
            "DELETE FROM runs WHERE id = ?1 AND ?2 >= 0",
            "DELETE FROM importing WHERE run = ?1 AND ?2 >= 0",
        ];
        for statement in statements {
            let mut delete = self.connection.prepare(statement)?;
            for row in &rows {
                delete.execute(params![row.0, row.1])?;
            }
        }
        Ok(i64::try_from(rows.len()).unwrap_or(i64::MAX) >= CLEARED_AT_ONCE)
    }
}
