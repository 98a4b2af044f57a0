//! The queue of finished runs that people are asked to judge: which are drawn, and what becomes of
//! them.
//!
//! The draw is made here because the secret is here: the writer alone sees it, and calls have long
//! been answered by then (G11). It is part of the transaction that writes the run, so a run that is
//! on disk has been drawn or not, for good (G9).

use rusqlite::{OptionalExtension as _, params};

use super::codes;
use super::database::StoreFault;
use super::draws::{KnownPace, draw_number};
use super::transaction::Transaction;
use crate::gate::booking::CheckState;
use crate::gate::check;
use crate::gate::check::{Check, CheckPace, MOST_WAITING, Week};
use crate::gate::name::{PersonName, WorkflowName};
use crate::gate::risk::Risk;
use crate::gate::run::Executed;
use crate::gate::time::{Time, days};
use crate::journal::record::RunRecord;

impl Transaction<'_> {
    /// Draws the counted run in row `id`, or not.
    pub(super) fn draw(&mut self, id: i64, run: &RunRecord) -> Result<(), StoreFault> {
        let Some(check) = self.check_of(&run.workflow) else {
            return Ok(());
        };
        let risk = run
            .calls
            .iter()
            .filter(|call| call.executed != Executed::No)
            .map(|call| call.risk)
            .max();
        let pace = self.pace(&run.workflow, run.ended)?;
        let chance = check.chance_ppm(risk, &pace, run.ended);
        // Nothing is hashed where the answer is known.
        if chance > 0 && check::is_drawn(draw_number(&self.draws.secret, run), chance) {
            self.enqueue(id, &run.workflow, risk.unwrap_or(Risk::Read), run.ended)?;
        }
        Ok(())
    }

    /// Takes a run out of the queue, where it waits there.
    pub(super) fn leave_queue(
        &mut self,
        id: i64,
        workflow: &WorkflowName,
        state: CheckState,
        by: Option<&PersonName>,
        at: Time,
    ) -> Result<(), StoreFault> {
        let left = self.connection.execute(
            "UPDATE checks SET state = ?2, by = ?3, judged = ?4 WHERE run = ?1 AND state = 0",
            params![
                id,
                codes::check::code(state),
                by.map(PersonName::as_str),
                at.as_millis()
            ],
        )?;
        if let Some(known) = self.draws.paces.get_mut(workflow) {
            known.waiting = known.waiting.saturating_sub(left);
        }
        Ok(())
    }

    fn check_of(&self, workflow: &WorkflowName) -> Option<Check> {
        self.loaded.state.workflow(workflow)?.terms().check
    }

    fn enqueue(
        &mut self,
        id: i64,
        workflow: &WorkflowName,
        risk: Risk,
        at: Time,
    ) -> Result<(), StoreFault> {
        let name = self.name(workflow.as_str())?;
        self.connection.execute(
            "INSERT INTO checks VALUES (?1, ?2, ?3, ?4, 0, NULL, NULL)",
            params![id, name, codes::risk::code(risk), at.as_millis()],
        )?;
        self.rows += 1;
        let Some(known) = self.draws.paces.get_mut(workflow) else {
            return Ok(());
        };
        known.pace.drawn = known.pace.drawn.saturating_add(1);
        known.waiting += 1;
        if known.waiting <= MOST_WAITING {
            return Ok(());
        }
        let last: Option<i64> = self
            .connection
            .query_row("SELECT run FROM checks WHERE state = 0 AND workflow = ?1 ORDER BY risk, run LIMIT 1", [name], |row| row.get(0))
            .optional()?;
        match last {
            Some(last) => self.leave_queue(last, workflow, CheckState::Unchecked, None, at),
            None => Ok(()),
        }
    }

    /// A workflow's pace at `at`. Counted anew once a minute: runs come by the thousand.
    fn pace(&mut self, workflow: &WorkflowName, at: Time) -> Result<CheckPace, StoreFault> {
        let week = Week::of(at);
        if let Some(known) = self
            .draws
            .paces
            .get(workflow)
            .filter(|known| known.minute == at.minute() && known.pace.week == week)
        {
            return Ok(known.pace);
        }
        let name = self.name(workflow.as_str())?;
        let (begins, ends) = (week.start(), week.start().plus(days(7)));
        let drawn = self.connection.query_row(
            "SELECT count(*) FROM checks WHERE workflow = ?1 AND drawn >= ?2 AND drawn < ?3",
            [name, begins.as_millis(), ends.as_millis()],
            |row| row.get(0),
        )?;
        let waiting: i64 = self.connection.query_row(
            "SELECT count(*) FROM checks WHERE state = 0 AND workflow = ?1",
            [name],
            |row| row.get(0),
        )?;
        let expected = self.loaded.state.workflow(workflow).map_or(0, |state| {
            let objective = &state.terms().objective;
            let before = state.account().full_tally(days(7), state.now()).all.runs;
            before.max(check::weekly(objective.expected_runs, objective.window))
        });
        let pace = CheckPace {
            week,
            drawn,
            expected,
        };
        let known = KnownPace {
            pace,
            minute: at.minute(),
            waiting: usize::try_from(waiting).unwrap_or(0),
        };
        self.draws.paces.insert(workflow.clone(), known);
        Ok(pace)
    }
}
