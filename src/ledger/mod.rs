//! The living state: what the data plane reads and changes while calls are in flight, and the ports through which it is kept.
//!
//! Free of any runtime, so that a simulator can step it. Locks live in this folder only.

pub mod port;
pub mod receipt;
