//! The ledger on disk: one SQLite database, written by one thread, that survives the loss of
//! the process at any moment (G9).
//!
//! - `journal` has every event, chained by digests; `snapshots` has what it adds up to (G12). A
//!   start verifies and reads the newest snapshot and the rows after it.
//! - `runs` and `calls` are the run index: what was booked, so that a report can find it weeks
//!   later.
//! - [`Store::open`] verifies, settles what a crash left open, and gives the state to build the
//!   living ledger from; [`Store::start`] starts the writer.
//!
//! It does not decide anything: the fold does. It keeps no arguments, unless the policy says
//! `record: arguments`, and no texts of business objects, and it never makes a new ledger where one
//! was.

mod audit;
mod booked;
mod chain;
mod charges;
mod checks;
mod codes;
mod database;
mod draws;
mod files;
mod import;
mod importing;
mod index;
mod loaded;
mod names;
mod open;
mod open_error;
mod past;
mod queue;
mod records;
mod refusal;
mod revise;
mod rows;
mod runs;
mod settle;
mod spans;
mod transaction;
mod writer;

#[cfg(test)]
mod tests;

pub use audit::{AuditChain, Checkpoint, Unsound, Verified, verify};
pub use chain::BadRow;
pub use open::{Opened, Options, RunningWriter, Store};
pub use open_error::OpenError;
pub use past::{LedgerPast, PastRuns};
pub use queue::{MOST_QUEUED, WriterQueue};
pub use records::Readers;
pub use writer::WriterClock;
