//! burngate: a policy gate between AI agents and their tool APIs.

pub mod config;
pub mod gate;
