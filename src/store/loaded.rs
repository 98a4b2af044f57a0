//! What a ledger adds up to, read back and verified: the newest snapshot that is whole, and the
//! journal after it, row by row (G12, F7, F8).

use rusqlite::{Connection, OptionalExtension as _};
use tracing::warn;

use super::chain::{BadRow, Head, JournalRow, LedgerId, checksum};
use super::database::{StoreFault, meta};
use crate::gate::event::{Entry, Event};
use crate::gate::state::State;
use crate::gate::time::Time;

/// The fold and its place in the journal.
pub(super) struct LoadedState {
    pub(super) ledger: LedgerId,
    pub(super) state: State,
    pub(super) head: Head,
    /// Transactions so far. Tells whether one whose end was uncertain took place.
    pub(super) commits: i64,
    /// Journal rows since the newest snapshot.
    pub(super) unsaved: i64,
}

impl LoadedState {
    /// Reads and verifies.
    pub(super) fn load(connection: &Connection) -> Result<Self, StoreFault> {
        let ledger: LedgerId =
            meta(connection, "ledger")?.ok_or(StoreFault::Broken("the ledger has no id"))?;
        let commits = meta(connection, "commits")?.ok_or(StoreFault::Broken(
            "the ledger does not say how many transactions it has",
        ))?;
        let mark: i64 = meta(connection, "now")?.unwrap_or(0);
        let (state, head) = newest_whole_snapshot(connection)?
            .unwrap_or_else(|| (State::default(), Head::genesis(&ledger)));
        let mut loaded = LoadedState {
            ledger,
            state,
            head,
            commits,
            unsaved: 0,
        };
        loaded.replay(connection)?;
        // The mark only keeps the clock from going back (G5): what follows from the time that
        // passed until it and was not journaled yet still will be.
        loaded.state.stand_at(Time::from_millis(mark));
        Ok(loaded)
    }

    fn replay(&mut self, connection: &Connection) -> Result<(), StoreFault> {
        let state = &mut self.state;
        let before = self.head.seq;
        self.head = walk(connection, self.head, |entry| state.replay(entry))?;
        self.unsaved = self.head.seq - before;
        Ok(())
    }
}

/// Hands every entry after `head` to `each`, verified, and gives the head of the last.
pub(super) fn walk(
    connection: &Connection,
    mut head: Head,
    mut each: impl FnMut(&Entry),
) -> Result<Head, StoreFault> {
    let mut select = connection.prepare(
        "SELECT seq, at, workflow, body, hash, kind FROM journal WHERE seq > ?1 ORDER BY seq",
    )?;
    let mut rows = select.query([head.seq])?;
    while let Some(row) = rows.next()? {
        let unreadable = BadRow {
            seq: head.seq + 1,
            what: "not readable",
        };
        let text = |column| {
            row.get_ref(column)?
                .as_str()
                .map_err(|_| StoreFault::from(unreadable))
        };
        let workflow = row.get_ref(2)?.as_str_or_null().map_err(|_| unreadable)?;
        let body = text(3)?;
        let hash = row.get_ref(4)?.as_blob().map_err(|_| unreadable)?;
        let at: i64 = row.get(1)?;
        head = head.follow(&JournalRow {
            seq: row.get(0)?,
            at,
            workflow,
            body,
            hash,
        })?;
        let event: Event = serde_json::from_str(body).map_err(|_| BadRow {
            seq: head.seq,
            what: "of a kind that this program does not know",
        })?;
        if text(5)? != event.kind().name() {
            return Err(BadRow {
                seq: head.seq,
                what: "altered in its kind",
            }
            .into());
        }
        each(&Entry {
            at: Time::from_millis(at),
            workflow: workflow.map(Into::into),
            event,
        });
    }
    Ok(head)
}

/// The newest snapshot that is whole and belongs to this journal. A damaged one is passed over: the
/// one before it and the journal between say the same.
fn newest_whole_snapshot(connection: &Connection) -> Result<Option<(State, Head)>, StoreFault> {
    let mut select = connection
        .prepare("SELECT seq, at, head, body, checksum FROM snapshots ORDER BY seq DESC")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let whole = || -> Option<(State, Head)> {
            let head = Head {
                seq,
                hash: row.get(2).ok()?,
            };
            let body = row.get_ref(3).ok()?.as_str().ok()?;
            let sum: [u8; 32] = row.get(4).ok()?;
            (sum == checksum(&head, row.get(1).ok()?, body)).then_some(())?;
            Some((serde_json::from_str(body).ok()?, head))
        };
        match whole() {
            Some((state, head)) if anchored(connection, &head)? => return Ok(Some((state, head))),
            _ => warn!(
                seq,
                "a snapshot is damaged or does not belong to this journal; the one before it is used"
            ),
        }
    }
    Ok(None)
}

fn anchored(connection: &Connection, head: &Head) -> Result<bool, StoreFault> {
    let hash: Option<Vec<u8>> = connection
        .query_row(
            "SELECT hash FROM journal WHERE seq = ?1",
            [head.seq],
            |row| row.get(0),
        )
        .optional()?;
    Ok(hash.is_some_and(|hash| hash == head.hash))
}
