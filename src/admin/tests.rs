//! The router driven in-process, over a ledger whose journal is in memory.

mod changes;
mod doors;
mod incidents;
mod looks;
pub(super) mod many_records;
mod pages;
pub(super) mod world;
