//! The router driven in-process, over a ledger whose journal is in memory.

mod access;
mod batches;
mod decisions;
mod fields;
mod incidents;
mod journal;
mod levels;
pub(super) mod many_records;
mod pages;
mod reads;
mod reports;
mod signals;
pub(super) mod world;
