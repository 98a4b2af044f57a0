//! One transaction after the other: folds what was handed over, and writes it with what followed
//! from it.
//!
//! A [`Transaction`] belongs to one connection and is begun again after each commit. When it fails
//! it is thrown away with its fold, which had run ahead of the disk, and both are read anew.

use std::collections::{BTreeMap, HashMap, btree_map};

use rusqlite::{Connection, Statement, params};

use super::chain::{Head, checksum};
use super::database::StoreFault;
use super::draws::Draws;
use super::importing::Importing;
use super::loaded::LoadedState;
use super::names::{REMEMBERED, number};
use super::rows::RunStatements;
use crate::gate::event::{Entry, Event, TalliedMinute};
use crate::gate::name::WorkflowName;
use crate::gate::run::Mark;
use crate::gate::time::{Minute, Time};
use crate::journal::port::Ticket;
use crate::journal::record::RunRecord;

/// How many snapshots are kept.
const SNAPSHOTS: i64 = 2;

/// An entry of the transaction that is being written, and its ticket: 0 where it has none.
pub(super) type Written = (Ticket, Entry);

/// What one connection is written with.
pub(super) struct Transaction<'c> {
    pub(super) connection: &'c Connection,
    pub(super) loaded: LoadedState,
    pub(super) runs: RunStatements<'c>,
    pub(super) names: HashMap<Box<str>, i64>,
    pub(super) draws: Draws,
    journal: Statement<'c>,
    tallies: BTreeMap<WorkflowName, PendingTally>,
    written: Vec<Written>,
    /// The import that is on.
    pub(super) importing: Option<Importing>,
    /// Index rows written since the transaction was made.
    pub(super) rows: u64,
}

/// Runs that ended acceptably and are not in the journal yet.
#[derive(Default)]
struct PendingTally {
    at: Time,
    cells: BTreeMap<Minute, TalliedMinute>,
}

impl<'c> Transaction<'c> {
    pub(super) fn new(connection: &'c Connection, loaded: LoadedState) -> Result<Self, StoreFault> {
        Ok(Transaction {
            connection,
            loaded,
            runs: RunStatements::prepare(connection)?,
            names: HashMap::new(),
            draws: Draws::load(connection)?,
            journal: connection.prepare("INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?,
            tallies: BTreeMap::new(),
            written: Vec::new(),
            importing: None,
            rows: 0,
        })
    }

    /// The number of a name, given out at its first use.
    pub(super) fn name(&mut self, name: &str) -> Result<i64, StoreFault> {
        if let Some(&id) = self.names.get(name) {
            return Ok(id);
        }
        let id = match number(self.connection, name)? {
            Some(id) => id,
            None => self.connection.query_row(
                "INSERT INTO names (name) VALUES (?1) RETURNING id",
                [name],
                |row| row.get(0),
            )?,
        };
        if self.names.len() >= REMEMBERED {
            self.names.clear();
        }
        self.names.insert(name.into(), id);
        Ok(id)
    }

    pub(super) fn begin(&mut self) -> Result<(), StoreFault> {
        self.written.clear();
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    /// Makes the transaction durable, and gives the entries it wrote.
    pub(super) fn commit(&mut self) -> Result<Vec<Written>, StoreFault> {
        self.write_tallies()?;
        let now = self.loaded.state.now().as_millis();
        self.connection
            .execute("UPDATE meta SET value = CASE key WHEN 'commits' THEN ?1 ELSE ?2 END WHERE key IN ('commits', 'now')", [self.loaded.commits + 1, now])?;
        self.connection.execute_batch("COMMIT")?;
        self.loaded.commits += 1;
        Ok(std::mem::take(&mut self.written))
    }

    /// Folds an entry and writes it, what followed from it, and the run it loaded.
    pub(super) fn enter(&mut self, ticket: Ticket, entry: &Entry) -> Result<(), StoreFault> {
        // What was handed over before it is judged before it: the runs of the last moments are part
        // of the N that a failure is measured against.
        match &entry.workflow {
            Some(workflow) => self.write_tally_of(workflow)?,
            None => self.write_tallies()?,
        }
        // A run is booked to the minute in which the fold counts it: later changes to it are
        // counted in that minute.
        let at = entry.at.max(self.loaded.state.now());
        let completed = self.completed(entry, at)?;
        self.fold(ticket, completed)?;
        if let Some(workflow) = &entry.workflow {
            match &entry.event {
                Event::Booked {
                    run,
                    high,
                    charges,
                    observed,
                } => {
                    self.book(workflow, run, at, *high, *observed, charges)?;
                }
                Event::BookedHigh { run, .. } => self.book_high(workflow, run)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes a run that ended, and tallies it unless it was booked by an event of its own.
    pub(super) fn record(&mut self, run: &RunRecord) -> Result<(), StoreFault> {
        let Some(id) = self.write_run(run)? else {
            // It was booked before its end, and is counted.
            return Ok(());
        };
        match run.mark {
            Mark::Acceptable | Mark::Idle => {}
            Mark::Unacceptable | Mark::Excluded => return Ok(()),
        }
        if run.mark == Mark::Acceptable {
            self.draw(id, run)?;
        }
        let tally = match self.tallies.get_mut(&run.workflow) {
            Some(tally) => tally,
            None => self.tallies.entry(run.workflow.clone()).or_default(),
        };
        tally.at = tally.at.max(run.ended);
        let minute = run.booked_at.minute();
        let cell = match tally.cells.entry(minute) {
            btree_map::Entry::Occupied(cell) => cell.into_mut(),
            btree_map::Entry::Vacant(empty) => empty.insert(TalliedMinute::new(minute)),
        };
        cell.add(run.mark, run.high, run.observed, &run.charges);
        Ok(())
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, now: Time) -> Result<(), StoreFault> {
        self.write_tallies()?;
        for entry in self.loaded.state.advance(now) {
            self.write(0, entry)?;
        }
        Ok(())
    }

    /// Writes the fold as it stands, and drops the snapshots that are no longer needed.
    pub(super) fn snapshot(&mut self) -> Result<(), StoreFault> {
        self.write_tallies()?;
        let (head, at) = (self.loaded.head, self.loaded.state.now().as_millis());
        if head.seq == 0 {
            return Ok(());
        }
        let body = serde_json::to_string(&self.loaded.state)?;
        let sum = checksum(&head, at, &body);
        self.connection.execute(
            "INSERT OR REPLACE INTO snapshots VALUES (?1, ?2, ?3, ?4, ?5)",
            params![head.seq, at, &head.hash[..], body, &sum[..]],
        )?;
        self.connection.execute("DELETE FROM snapshots WHERE seq NOT IN (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT ?1)", [SNAPSHOTS])?;
        self.loaded.unsaved = 0;
        Ok(())
    }

    pub(super) fn write_tallies(&mut self) -> Result<(), StoreFault> {
        while let Some((workflow, tally)) = self.tallies.pop_first() {
            self.write_tally(workflow, tally)?;
        }
        Ok(())
    }

    /// Does a read count as a run of this workflow?
    pub(super) fn reads_count(&self, workflow: &WorkflowName) -> bool {
        self.loaded
            .state
            .workflow(workflow)
            .is_some_and(|state| state.terms().reads_only)
    }

    pub(super) fn write_tally_of(&mut self, workflow: &WorkflowName) -> Result<(), StoreFault> {
        match self.tallies.remove(workflow) {
            Some(tally) => self.write_tally(workflow.clone(), tally),
            None => Ok(()),
        }
    }

    fn write_tally(
        &mut self,
        workflow: WorkflowName,
        tally: PendingTally,
    ) -> Result<(), StoreFault> {
        let event = Event::Tallied {
            cells: tally.cells.into_values().collect(),
        };
        self.fold(
            0,
            Entry {
                at: tally.at,
                workflow: Some(workflow),
                event,
            },
        )
    }

    /// The journal's times never go back: an entry is judged, and written, no earlier than anything
    /// before it.
    pub(super) fn fold(&mut self, ticket: Ticket, mut entry: Entry) -> Result<(), StoreFault> {
        entry.at = entry.at.max(self.loaded.state.now());
        let followed = self.loaded.state.apply(&entry);
        self.write(ticket, entry)?;
        for entry in followed {
            self.write(0, entry)?;
        }
        Ok(())
    }

    fn write(&mut self, ticket: Ticket, entry: Entry) -> Result<(), StoreFault> {
        let body = serde_json::to_string(&entry.event)?;
        let workflow = entry.workflow.as_ref().map(WorkflowName::as_str);
        let at = entry.at.as_millis();
        let head: Head = self.loaded.head.then(at, workflow, &body);
        self.journal.execute(params![
            head.seq,
            at,
            workflow,
            entry.event.kind().name(),
            body,
            &head.hash[..]
        ])?;
        self.loaded.head = head;
        self.loaded.unsaved += 1;
        self.written.push((ticket, entry));
        Ok(())
    }
}
