//! Wiring: the only layer that knows all the others.
//!
//! Opens the ledger, loads the policies, starts the writer, the workers and the admin server, does
//! what is due by time, reloads, and stops in the opposite order. It decides nothing about a call.

pub mod access;
pub mod announce;
pub mod audit;
pub mod configured;
pub mod demo;
pub mod emergency;
pub mod fanout;
pub mod fetch;
pub mod health;
mod phase;
pub mod quarantine;
pub mod reload;
pub mod run;
pub mod simulate;
pub mod start;
pub mod token;
pub mod unlisted;
pub mod watched_files;

pub use configured::Configured;
pub use demo::{DemoOptions, Passage, demo};
pub use run::{RunOptions, StartupNotice, run};
pub use start::{Gate, StartOptions, start};
pub use token::{digest, make as make_token};

/// The `OpenAPI` document of the admin API, as JSON.
#[must_use]
pub fn openapi() -> String {
    crate::admin::openapi()
}
