//! The living state: what the data plane reads and changes while calls are in flight.
//!
//! Free of any runtime, so that a simulator can step it. The order in which its locks are taken is
//! written in [`shard`].
//!
//! Three steps, each of which uses only those before it. First the data: a workflow's state
//! ([`shard`]), its open runs ([`runs`]), what is left of its caps ([`caps`]), what was done before
//! ([`dedup`]), and other modules of that kind. Then `living`, which holds all of it in one
//! [`Ledger`]. Last what is done with it: for calls in [`call`], by people in [`people`], and as
//! time passes in `upkeep`.

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
