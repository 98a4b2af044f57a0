//! Names of workflows, agents, tools, rules and modes as small integers: a row of the run index is
//! mostly these.

use rusqlite::{Connection, OptionalExtension as _};

use super::database::Fault;
use super::pen::Pen;

/// How many names are remembered. Names come from policies and identities, so there are few; the
/// bound is for whoever proves that wrong (G7).
pub(super) const REMEMBERED: usize = 65_536;

impl Pen<'_> {
    /// The number of a name, given out at its first use.
    pub(super) fn name(&mut self, name: &str) -> Result<i64, Fault> {
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
}

/// The number of a name that has one.
pub(super) fn number(connection: &Connection, name: &str) -> Result<Option<i64>, Fault> {
    Ok(connection
        .query_row("SELECT id FROM names WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .optional()?)
}

/// The name with this number.
pub(super) fn name_of(connection: &Connection, number: i64) -> Result<String, Fault> {
    let mut select = connection.prepare("SELECT name FROM names WHERE id = ?1")?;
    Ok(select.query_row([number], |row| row.get(0))?)
}
