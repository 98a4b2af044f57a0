//! Calls whose answer was lost, settled by somebody who looked: the upstream's own books say what
//! became of them.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, params};

use super::codes;
use super::codes::AMBIGUOUS;
use super::database::Fault;
use super::pen::Pen;
use super::revise::{Answer, Booked};
use super::runs::bytes;
use crate::gate::event::Event;
use crate::gate::name::{CallId, PersonName};
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::run::{Executed, Mark};
use crate::gate::time::Time;
use crate::journal::revise::ReviseError;

/// The modes that the gate charges for a lost answer.
const LOST: [FailureMode; 2] = [FailureMode::Timeout, FailureMode::ToolError];

impl Pen<'_> {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of one statement by one person"
    )]
    pub(super) fn reconcile(
        &mut self,
        run: &Booked,
        at: Time,
        call: CallId,
        executed: bool,
        harmless: bool,
        note: Option<&Arc<str>>,
        by: &PersonName,
    ) -> Answer<crate::journal::revise::Revised> {
        let id = bytes(call);
        let known: Option<i64> = self
            .connection
            .query_row(
                "SELECT executed FROM runs WHERE id = ?1 AND call = ?2 UNION ALL SELECT executed FROM calls WHERE run = ?1 AND call = ?2",
                params![run.id, id],
                |row| row.get(0),
            )
            .optional()?;
        let now = if executed {
            Executed::Yes
        } else {
            Executed::No
        };
        match known.and_then(codes::executed::value) {
            Some(Executed::Unknown) => {}
            Some(known) if known == now => return Ok(Ok(run.unchanged())),
            Some(Executed::Yes) => {
                return Ok(Err(ReviseError::Nothing(
                    "the call is known to have been executed",
                )));
            }
            Some(Executed::No) | None => {
                return Ok(Err(ReviseError::Nothing(
                    "the call is known not to have been executed",
                )));
            }
        }
        let code = codes::executed::code(now);
        self.connection.execute(
            "UPDATE runs SET executed = ?3 WHERE id = ?1 AND call = ?2",
            params![run.id, id, code],
        )?;
        self.connection.execute(
            "UPDATE calls SET executed = ?3 WHERE run = ?1 AND call = ?2",
            params![run.id, id, code],
        )?;
        self.connection.execute(
            "UPDATE runs SET notable = notable & ~?2 WHERE id = ?1 AND executed IS NOT 2 AND NOT EXISTS (SELECT 1 FROM calls WHERE run = ?1 AND executed = 2)",
            [run.id, AMBIGUOUS],
        )?;
        if !executed {
            self.untouch(run.id, &id)?;
        }
        let retracted = if harmless {
            self.take_back_lost(run.id, &id, at, by)?
        } else {
            Vec::new()
        };
        let mark = if run.mark == Mark::Excluded {
            Mark::Excluded
        } else {
            self.standing(run)?
        };
        let (note, by) = (note.cloned(), by.clone());
        self.restate(run, at, mark, |revision| Event::Reconciled {
            revision,
            call,
            executed,
            retracted,
            note,
            by,
        })
        .map(Ok)
    }

    /// What was not executed touched nothing, unless another call of the run did.
    fn untouch(&self, run: i64, call: &[u8; 16]) -> Result<(), Fault> {
        const CALLS: &str = "SELECT call, tool, risk, executed, subject FROM runs WHERE id = ?1 UNION ALL SELECT call, tool, risk, executed, subject FROM calls WHERE run = ?1";
        let touched: Option<(i64, i64, Option<[u8; 16]>)> = self
            .connection
            .query_row(
                &format!("SELECT tool, risk, subject FROM ({CALLS}) WHERE call = ?2"),
                params![run, call],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let Some((tool, risk, Some(subject))) = touched else {
            return Ok(());
        };
        let others: bool = self.connection.query_row(
            &format!("SELECT EXISTS (SELECT 1 FROM ({CALLS}) WHERE tool = ?2 AND subject = ?3 AND executed <> 0)"),
            params![run, tool, subject],
            |row| row.get(0),
        )?;
        if others {
            return Ok(());
        }
        let eras: Option<i64> =
            self.connection
                .query_row("SELECT max(era) FROM touched", [], |row| row.get(0))?;
        let mut update = self
            .connection
            .prepare("UPDATE OR IGNORE touched SET executed = 0 WHERE era = ?1 AND subject = ?2 AND executed = 1 AND risk = ?3 AND tool = ?4 AND run = ?5")?;
        for era in 0..eras.map_or(0, |newest| newest + 1) {
            update.execute(params![era, subject, risk, tool, run])?;
        }
        Ok(())
    }

    fn take_back_lost(
        &self,
        run: i64,
        call: &[u8; 16],
        at: Time,
        by: &PersonName,
    ) -> Result<Vec<FailureMode>, Fault> {
        let mut select = self.connection.prepare(
            "SELECT c.n, m.name FROM charges c JOIN names m ON m.id = c.mode WHERE c.run = ?1 AND c.call = ?2 AND c.source = ?3 AND c.retracted IS NULL",
        )?;
        let charges: Vec<(i64, String)> = select
            .query_map(
                params![run, call, codes::source::code(Source::Wire)],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?
            .collect::<Result<_, _>>()?;
        let mut modes = Vec::new();
        for (n, mode) in charges {
            let mode = FailureMode::from(mode.as_str());
            if LOST.contains(&mode) {
                self.connection
                    .execute("UPDATE charges SET retracted = ?3, retracted_by = ?4 WHERE run = ?1 AND n = ?2", params![run, n, at.as_millis(), by.as_str()])?;
                modes.push(mode);
            }
        }
        Ok(modes)
    }
}
