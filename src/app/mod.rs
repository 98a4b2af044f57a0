//! Wiring: the only place that knows who talks to whom.

use anyhow::bail;

use crate::config::{Diagnostics, Process};

/// What to run, and how to say what became of it.
pub struct RunOptions {
    /// The process's configuration, with whatever the command line puts over it.
    pub process: Process,
    /// Refuse an absent or empty data directory.
    pub existing: bool,
    /// Start from a data directory that holds no verifiable ledger: every workflow starts burned.
    pub accept_loss: bool,
    /// Where the operator is told.
    pub say: fn(&Said),
}

/// How to run the demonstration.
pub struct DemoOptions {
    /// Where the operator is told.
    pub say: fn(&Said),
}

/// What the operator is told of a gate that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The data plane listens here: an `http://…` or `unix:…` address.
    Listening(String),
    /// The admin API listens here: an `http://…` address.
    Admin(String),
    /// This data directory was absent or empty.
    FirstStart(String),
    /// A link that signs in to the dashboard.
    SignIn(String),
    /// What is wrong, or odd, in files that were read: at the start and at every reload.
    Findings(Diagnostics),
    /// Something else that matters, as a sentence without its full stop.
    Note(String),
}

/// Runs the gate until it is told to stop.
pub fn run(_options: RunOptions) -> anyhow::Result<()> {
    bail!("this build has no gate in it")
}

/// Runs a gate, a sample tool API and a scripted agent in this process.
pub fn demo(_options: DemoOptions) -> anyhow::Result<()> {
    bail!("this build has no gate in it")
}

/// The `OpenAPI` description of the admin API, as JSON.
pub fn openapi() -> anyhow::Result<String> {
    bail!("this build has no gate in it")
}
