//! What went wrong with a run, as it is read back.

use rusqlite::{Connection, Row};

use super::codes;
use super::database::StoreFault;
use crate::gate::booking::BookedCharge;
use crate::gate::name::CallId;
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::run::Charge;

/// The charges of a run in the order in which they became known.
pub(super) fn of_run(connection: &Connection, id: i64) -> Result<Vec<BookedCharge>, StoreFault> {
    let mut select = connection.prepare(
        "SELECT m.name, c.source, c.by, c.call, t.name, c.note, c.reference, c.counts, c.retracted IS NOT NULL
         FROM charges c JOIN names m ON m.id = c.mode LEFT JOIN names t ON t.id = c.tool WHERE c.run = ?1 ORDER BY c.n",
    )?;
    let charges = select
        .query_map([id], |row| {
            Ok(BookedCharge {
                charge: charge(row)?,
                counts: row.get(7)?,
                retracted: row.get(8)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(charges)
}

fn charge(row: &Row<'_>) -> rusqlite::Result<Charge> {
    let text = |column| row.get::<_, Option<String>>(column);
    Ok(Charge {
        mode: FailureMode::from(row.get_ref(0)?.as_str()?),
        source: codes::source::value(row.get(1)?).unwrap_or(Source::System),
        by: text(2)?.map(Into::into),
        call: row.get::<_, Option<[u8; 16]>>(3)?.map(call_id),
        tool: text(4)?.map(Into::into),
        note: text(5)?.map(Into::into),
        reference: text(6)?.map(Into::into),
    })
}

/// A call's id from its 16 bytes.
pub(super) fn call_id(bytes: [u8; 16]) -> CallId {
    CallId::from_bits(u128::from_be_bytes(bytes))
}
