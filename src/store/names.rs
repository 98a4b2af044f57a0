//! Names of workflows, agents, tools, rules and modes as small integers: a row of the run index is
//! mostly these.

use rusqlite::{Connection, OptionalExtension as _};

use super::database::StoreFault;

/// How many names are remembered. Names come from policies and identities, so there are few; the
/// bound holds where that turns out wrong (G7).
pub(super) const REMEMBERED: usize = 65_536;

/// The number of a name that has one.
pub(super) fn number(connection: &Connection, name: &str) -> Result<Option<i64>, StoreFault> {
    Ok(connection
        .query_row("SELECT id FROM names WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .optional()?)
}

/// The name with this number.
pub(super) fn name_of(connection: &Connection, number: i64) -> Result<String, StoreFault> {
    let mut select = connection.prepare("SELECT name FROM names WHERE id = ?1")?;
    Ok(select.query_row([number], |row| row.get(0))?)
}
