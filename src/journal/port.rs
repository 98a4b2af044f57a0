//! Two ports: a [`Journal`] takes what happens, and calls a [`Projection`] once that is durable.
//! `store` is a journal on disk, [`super::memory`] one in memory; the ledger is a projection.

use super::import::{ImportError, ImportReply, ImportStep};
use super::receipt;
use super::receipt::Receipt;
use super::record::RunRecord;
use super::revise::{Batch, Revise, ReviseError, Revised, RevisedAll};
use super::unavailable::Unavailable;
use crate::gate::event::Entry;
use crate::gate::name::{AgentName, RunId, WorkflowName};
use crate::gate::workflow::WorkflowState;

/// A place in the order in which things were handed to the journal. Counts from 1.
pub type Ticket = u64;

/// What answers once something is durable, or says that it never will be.
pub type Durable = Receipt<Result<(), Unavailable>>;

/// What one append gives back.
pub struct Appended {
    /// Its place in the order.
    pub ticket: Ticket,
    /// Answers once it is durable.
    pub durable: Durable,
}

/// Where events and ended runs go. No method but [`Journal::last_number`] waits for a disk.
pub trait Journal: Send + Sync {
    /// Hands `entry` over. Entries of one workflow reach the journal in the order in which they
    /// were handed over.
    fn append(&self, entry: Entry) -> Appended;

    /// Hands over a run that has ended. It reaches the journal and the run index in one
    /// transaction, at most 250 ms later.
    fn record(&self, run: RunRecord);

    /// Is the disk well, and is there room? A call that must be durable first is admitted only if
    /// so; what happens to admitted calls is always taken.
    fn ready(&self) -> bool;

    /// Is there room for one more ended run? Any call is admitted only if so.
    fn room(&self) -> bool;

    /// Looks a booked run up and changes how it stands, one such change after the other.
    fn revise(&self, revise: Revise) -> Receipt<Result<Revised, ReviseError>>;

    /// Changes how many booked runs stand: all of them, in one transaction, or none.
    fn revise_all(&self, batch: Batch) -> Receipt<Result<RevisedAll, ReviseError>>;

    /// The highest number of the runs that are on record under `run`, an id that calls give, and
    /// its continuations ([`crate::gate::booking::ids`]): 0 where there is none. Looked up once for
    /// a run that opens under an id of which the process does not know that it ended: in an index,
    /// so that it may wait for a disk to read a page. A journal that keeps no run index knows of
    /// none.
    fn last_number(
        &self,
        workflow: &WorkflowName,
        agent: &AgentName,
        run: &RunId,
    ) -> Result<u64, Unavailable> {
        let _ = (workflow, agent, run);
        Ok(0)
    }

    /// Takes a step of the import of a history. A journal that keeps no run index takes none.
    fn import(&self, step: ImportStep) -> Receipt<Result<ImportReply, ImportError>> {
        drop(step);
        let (stamp, receipt) = receipt::pair();
        stamp.answer(Err(Unavailable.into()));
        receipt
    }
}

/// Who reads what the journal has made durable. Called by the writer, before it answers receipts.
pub trait Projection: Send + Sync {
    /// `entries` of one workflow are durable; `state` is the fold behind the last of them, and
    /// `upto` the highest ticket among them (0 where none had one).
    fn committed(
        &self,
        workflow: &WorkflowName,
        upto: Ticket,
        entries: &[Entry],
        state: &WorkflowState,
    );

    /// `entry` concerns the process or every workflow, and is durable. Told once, after every
    /// workflow was told of it.
    fn announced(&self, entry: &Entry) {
        let _ = entry;
    }

    /// What one workflow handed over with these tickets was refused and will never be written;
    /// `state` is the fold. Called before the journal is ready again.
    fn refused(&self, workflow: &WorkflowName, tickets: &[Ticket], state: &WorkflowState) {
        let _ = (workflow, tickets, state);
    }
}
