//! burngate: a policy gate between AI agents and their tool APIs.

pub mod gate;
pub mod ledger;
pub mod store;
