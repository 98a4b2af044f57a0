//! Opening a ledger: whose directory it is, whether what is in it can be believed, and what a crash
//! left open.

use std::sync::Arc;

use rusqlite::ErrorCode;
use tracing::{info, warn};

use super::books::Books;
use super::database::{Database, Fault, create, meta};
use super::files::{Acknowledged, Content, Directory};
use super::pen::Pen;
use super::queue::Queue;
use super::records::Readers;
use super::{OpenError, Opened, Options, Store};
use crate::gate::event::{Admission, Entry, Event};
use crate::gate::facets::Facets;
use crate::gate::name::WorkflowName;
use crate::gate::outcome::{FailureMode, Source};
use crate::gate::risk::Risk;
use crate::gate::run::{Charge, Executed};
use crate::gate::time::Time;
use crate::journal::booked::BookedRuns as _;

/// The note of the charge that a lost answer earns.
const AMBIGUOUS: &str = "ambiguous: sent, and the answer was lost in a restart";

pub(super) fn open(options: &Options) -> Result<Opened, OpenError> {
    let directory = Directory::lock(&options.dir, options.existing)?;
    let verified = match directory.content()? {
        Content::Nothing if options.existing => {
            return Err(OpenError::Absent {
                dir: options.dir.clone(),
            });
        }
        Content::Nothing => {
            make(&directory, false)?;
            verify(&directory).map(|found| (found, true))
        }
        Content::Database => verify(&directory).map(|found| (found, false)),
        Content::Other(found) => Err(OpenError::NoLedger { found }),
    };
    let ((database, books), first_start) = match verified {
        Ok(found) => found,
        Err(error) if options.accept_loss && error.is_loss() => {
            let aside = directory.set_aside(options.now)?;
            warn!(%error, aside = %aside.display(), "the ledger is lost and its loss accepted: every workflow starts burned");
            make(&directory, true)?;
            (verify(&directory)?, false)
        }
        Err(error) => return Err(error),
    };
    let lost = meta::<i64>(&database.connection, "lost")?.is_some();
    let books = settle(&database, books, options.now)?;
    let head_file = directory.head_file()?;
    head_file.write(&Acknowledged {
        commits: books.commits,
        head: books.head,
    })?;
    info!(row = books.head.seq, dir = %directory.path().display(), first_start, "the ledger is open");
    let records = Arc::new(Readers::new(directory.database(), books.ledger));
    let index = Readers::new(directory.database(), books.ledger);
    let state = books.state.clone();
    let store = Store {
        directory,
        head_file,
        database,
        books,
        queue: Arc::new(Queue::new(index)),
        records,
        #[cfg(test)]
        fault: Arc::default(),
    };
    Ok(Opened {
        store,
        state,
        first_start,
        lost,
    })
}

fn make(directory: &Directory, lost: bool) -> Result<(), OpenError> {
    create(&directory.unfinished()?, lost)?;
    Ok(directory.finish()?)
}

fn verify(directory: &Directory) -> Result<(Database, Books), OpenError> {
    let database = Database::open(&directory.database())?;
    let books = Books::load(&database.connection)?;
    let Some(acknowledged) = directory.acknowledged()? else {
        // A torn note after a power cut, or a copy made without it: the ledger itself is whole,
        // only its end is unproven.
        if books.head.seq > 0 {
            warn!(
                "there is no readable head file: that the ledger has all it acknowledged cannot be checked"
            );
        }
        return Ok((database, books));
    };
    let known = acknowledged.head;
    if books.head.seq < known.seq || books.commits < acknowledged.commits {
        return Err(OpenError::Behind {
            acknowledged: known.seq,
            found: books.head.seq,
        });
    }
    if known.seq > 0 {
        let found: Option<[u8; 32]> = database
            .connection
            .query_row(
                "SELECT hash FROM journal WHERE seq = ?1",
                [known.seq],
                |row| row.get(0),
            )
            .ok();
        if found != Some(known.hash) {
            return Err(super::BadRow { seq: known.seq, what: "not the row that was acknowledged: the ledger was altered, or is another one" }.into());
        }
    }
    Ok((database, books))
}

/// Settles what was admitted and never answered: it may have been executed, so it counts where a
/// repetition would do harm, and is not sent again (F1).
fn settle(database: &Database, mut books: Books, now: Time) -> Result<Books, OpenError> {
    // A clock that stands before what was seen already gains nothing (G5).
    let now = now.max(books.state.now());
    let open: Vec<(WorkflowName, Admission)> = books
        .state
        .workflows()
        .flat_map(|(workflow, state)| {
            state
                .open_calls()
                .map(|(_, admission)| (workflow.clone(), admission.clone()))
        })
        .collect();
    if books.head.seq == 0 {
        // Nothing happened yet: the first entry is the app's.
        books.state.advance(now);
        return Ok(books);
    }
    let mut pen = Pen::new(&database.connection, books)?;
    pen.begin()?;
    pen.advance(now)?;
    if !open.is_empty() {
        warn!(
            calls = open.len(),
            "calls were under way when the gate stopped: they are settled as ambiguous"
        );
    }
    for (workflow, admission) in &open {
        let entry = |event| Entry {
            at: now,
            workflow: Some(workflow.clone()),
            event,
        };
        pen.enter(
            0,
            &entry(Event::Settled {
                call: admission.call,
                executed: Executed::Unknown,
                undid: None,
            }),
        )?;
        let booked = pen.booked_row(workflow, &admission.run)?;
        if admission.idempotent && booked.is_none() {
            continue;
        }
        let high = admission.risk == Risk::High;
        let charge = Charge {
            mode: FailureMode::Timeout,
            source: Source::Wire,
            by: None,
            call: Some(admission.call),
            tool: Some(admission.tool.clone()),
            note: Some(AMBIGUOUS.into()),
            reference: None,
        };
        // A run is booked once; what becomes known later is added to it.
        let row = if booked.is_some() {
            booked
        } else {
            pen.enter(
                0,
                &entry(Event::Booked {
                    run: admission.run.clone(),
                    high,
                    charges: vec![charge.clone()],
                    seen: Facets::NONE,
                }),
            )?;
            pen.booked_row(workflow, &admission.run)?
        };
        if let Some(row) = row.filter(|_| booked.is_some() && !admission.idempotent) {
            pen.add_charges(row, &[charge], now, |pen, charge| {
                pen.counts(workflow, &charge.mode)
            })?;
        }
        if let Some(row) = row {
            pen.attach(row, workflow, admission, now)?;
        }
    }
    pen.end_open(now)?;
    pen.commit()?;
    Ok(pen.books)
}

impl OpenError {
    /// Is there no way to this ledger but to give it up? A disk that is in the way may get out of
    /// it, and another process is using its own.
    pub(super) const fn is_loss(&self) -> bool {
        match self {
            OpenError::NoLedger { .. }
            | OpenError::Journal(_)
            | OpenError::Behind { .. }
            | OpenError::Version { .. }
            | OpenError::Damaged(_) => true,
            OpenError::Absent { .. } | OpenError::InUse { .. } | OpenError::Disk(_) => false,
        }
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Row(row) => OpenError::Journal(row),
            Fault::Version { found } => OpenError::Version { found },
            Fault::Io(error) => error.into(),
            Fault::Sqlite(error) if is_disk(&error) => OpenError::Disk(error.to_string()),
            Fault::Sqlite(_)
            | Fault::Json(_)
            | Fault::Foreign(_)
            | Fault::Replaced
            | Fault::Broken(_) => OpenError::Damaged(fault.to_string()),
        }
    }
}

fn is_disk(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
        )
    )
}
