//! burngate: a policy gate between AI agents and their tool APIs.

pub mod admin;
pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod gate;
pub mod ids;
pub mod ledger;
pub mod proxy;
pub mod store;
pub mod telemetry;
pub mod wire;
