//! Wiring: the only place that knows who talks to whom.
//!
//! Opens the ledger, loads the policies, starts the writer, the workers and the admin server, lets
//! time pass, reloads, and stops in the opposite order. It decides nothing about a call.

pub mod access;
pub mod audit;
pub mod configured;
pub mod demo;
pub mod emergency;
pub mod fanout;
pub mod fetch;
pub mod health;
pub mod quarantine;
pub mod reload;
pub mod run;
pub mod simulate;
pub mod start;
pub mod token;
pub mod unlisted;
pub mod watched;

pub use configured::Configured;
pub use demo::{DemoOptions, Passage, demo};
pub use run::{RunOptions, Said, run};
pub use start::{Gate, StartOptions, start};
pub use token::{digest, make as make_token};

/// The `OpenAPI` document of the admin API, as JSON.
#[must_use]
pub fn openapi() -> String {
    crate::admin::openapi()
}
