//! `burngate demo`: a real gate, a sample tool API and a scripted agent, in one process.

use super::run::Said;

/// How to run the demonstration.
pub struct DemoOptions {
    /// Where the reader is told.
    pub say: fn(&Said),
}

/// Runs a gate, a sample tool API and a scripted agent in this process.
pub fn demo(options: DemoOptions) -> anyhow::Result<()> {
    let _ = options.say;
    anyhow::bail!("this build has no demonstration in it")
}
