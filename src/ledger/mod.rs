//! The living state: what the data plane reads and changes while calls are in flight.
//!
//! Free of any runtime, so that a simulator can step it. Locks live in this folder only; their
//! order is written in [`shard`].
//!
//! Data lies below, each with its own rules: [`shard`], [`runs`], [`caps`], [`dedup`] and their
//! like. `living` holds it together, and above it lies what is done with it: for calls in
//! [`call`], by people in [`people`], and as time passes in `upkeep`.

pub use self::living::{Capacity, Ledger};
pub use self::workflow::{Table, VerdictCounts, WorkflowHandle};

mod approvers;
pub mod call;
pub mod caps;
pub mod dedup;
pub mod exposure;
mod incidents;
mod living;
pub mod people;
pub mod refused;
pub mod runs;
pub mod shard;
pub mod unlisted;
mod upkeep;
mod workflow;
