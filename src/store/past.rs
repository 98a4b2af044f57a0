//! Reading a whole ledger from its beginning: the journal, verified row by row, and beside it the
//! runs in the order in which they were booked.
//!
//! Reads only, over connections of its own; a gate may be running on the ledger. Nothing is held
//! but one batch of runs.

use std::path::{Path, PathBuf};

use rusqlite::OptionalExtension as _;

use super::chain::Head;
use super::database::{StoreFault, meta, open_read_only};
use super::files::DATABASE;
use super::loaded::walk;
use super::open_error::OpenError;
use super::records::{RUN_COLUMNS, RUN_NAMES, view};
use super::rows::bytes;
use crate::gate::event::Entry;
use crate::journal::read::RunView;

/// How many runs are read at once.
const BATCH: usize = 512;

/// A ledger's past.
pub struct LedgerPast {
    path: PathBuf,
}

/// The runs of a ledger, in the order of the times they are booked to.
pub struct PastRuns {
    connection: rusqlite::Connection,
    after: i64,
}

impl LedgerPast {
    /// The past of the ledger in `dir`.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        LedgerPast {
            path: dir.join(DATABASE),
        }
    }

    /// How many journal rows there are.
    pub fn rows(&self) -> Result<u64, OpenError> {
        let rows: i64 = open_read_only(&self.path)?
            .query_row("SELECT coalesce(max(seq), 0) FROM journal", [], |row| {
                row.get(0)
            })
            .map_err(StoreFault::from)?;
        Ok(u64::try_from(rows).unwrap_or(0))
    }

    /// Hands out every entry, in order.
    pub fn entries(&self, each: impl FnMut(&Entry)) -> Result<(), OpenError> {
        let connection = open_read_only(&self.path)?;
        let ledger =
            meta(&connection, "ledger")?.ok_or(StoreFault::Broken("the ledger has no id"))?;
        walk(&connection, Head::genesis(&ledger), each)?;
        Ok(())
    }

    /// The runs, from the oldest on.
    pub fn runs(&self) -> Result<PastRuns, OpenError> {
        Ok(PastRuns {
            connection: open_read_only(&self.path)?,
            after: i64::MIN,
        })
    }
}

impl PastRuns {
    /// The next runs; none when that was all.
    pub fn batch(&mut self) -> Result<Vec<RunView>, OpenError> {
        self.read().map_err(OpenError::from)
    }

    fn read(&mut self) -> Result<Vec<RunView>, StoreFault> {
        let mut select = self.connection.prepare(&format!(
            "SELECT {RUN_COLUMNS} FROM runs r {RUN_NAMES} WHERE r.id > ?1 AND r.id NOT IN (SELECT run FROM importing) ORDER BY r.id LIMIT {BATCH}"
        ))?;
        let mut arguments = self
            .connection
            .prepare("SELECT args FROM arguments WHERE call = ?1")?;
        let mut rows = select.query([self.after])?;
        let mut runs = Vec::with_capacity(BATCH);
        while let Some(row) = rows.next()? {
            self.after = row.get(0)?;
            let mut run = view(&self.connection, row)?;
            for call in &mut run.run.calls {
                call.args = arguments
                    .query_row([&bytes(call.call)[..]], |row| row.get::<_, String>(0))
                    .optional()?
                    .map(Into::into);
            }
            runs.push(run);
        }
        Ok(runs)
    }
}
