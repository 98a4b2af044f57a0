//! `burngate completion`: what a shell needs to complete commands and flags.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use super::failure::{Exit, Failure};
use super::render;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Completion in every new bash
  burngate completion bash > ~/.local/share/bash-completion/completions/burngate")]
pub(super) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

impl CompletionArgs {
    /// Prints the script for `command`, the whole command line.
    pub(super) fn run(&self, mut command: Command) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut command, "burngate", &mut script);
        render::show(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Did)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_shell_has_a_script_that_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            generate(shell, &mut Cli::command(), "burngate", &mut script);
            assert!(
                String::from_utf8(script).unwrap().contains("approvals"),
                "{shell}"
            );
        }
    }
}
