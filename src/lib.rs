//! burngate: a policy gate between AI agents and their tool APIs.

pub mod admin;
pub mod api;
pub mod clock;
pub mod gate;
pub mod ids;
pub mod ledger;
pub mod telemetry;
pub mod wire;
