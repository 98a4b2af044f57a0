//! The router driven in-process, over a ledger whose journal is in memory.

mod changes;
mod doors;
mod incidents;
mod looks;
mod world;
