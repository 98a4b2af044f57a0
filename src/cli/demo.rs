//! `burngate demo`: a real gate, a sample tool API and a scripted agent, in one process.

use clap::Args;

use super::{
    failure::{Exit, Failure},
    run::say,
};
use crate::app;

/// Run a real gate with a sample tool API and a scripted agent, in one process
#[derive(Debug, Args)]
pub(super) struct Demo {}

impl Demo {
    #[expect(clippy::unused_self, reason = "every command is run alike")]
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        app::demo(app::DemoOptions { say })?;
        Ok(Exit::Did)
    }
}
