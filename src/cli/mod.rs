//! The command line: what people and scripts type, and what they read back.
//!
//! One file a command, each with its flags, what it does and the page it shows. Commands that ask a
//! running gate go through [`client`]; those that need none (`check`, `explain`, `init`, `schema`,
//! `completion`) read files and nothing else. Only [`render`] prints. Nothing is decided here: a
//! verdict that is shown comes from the gate's own code. There is no configuration besides flags
//! and the environment variables that `--help` names.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use failure::{Exit, Failure};

mod approvals;
mod audit;
mod change;
mod check;
mod checks;
mod clamp;
mod client;
mod completion;
mod demo;
mod enforce;
mod exclude;
mod explain;
mod failure;
mod files;
mod filters;
mod help;
mod import;
mod init;
mod keys;
mod learn;
mod problem;
mod promote;
mod recover;
mod release;
mod render;
mod report;
mod review;
mod run;
mod runs;
mod schema;
mod simulate;
mod status;
mod waive;

const EXAMPLES: &str = "\
Examples:
  # See it work, without anything of your own
  burngate demo
  # Write a first policy, check it, and run the gate
  burngate init --workflow support-triage --risk medium \\
      --upstream http://127.0.0.1:3000
  burngate check
  burngate run
  # See where workflows stand, and which calls wait for a person
  burngate status
  burngate approvals list

`burngate help` lists the topics of the reference, `burngate COMMAND --help` shows a command's flags and examples.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the answer is no (`explain`: held or denied; `change`: frozen).";

/// A policy gate between AI agents and their tool APIs: every run is booked against an error
/// budget, and the budget decides what the agent may do next.
#[derive(Debug, Parser)]
#[command(name = "burngate", version, after_help = EXAMPLES, disable_help_subcommand = true, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Demo(demo::DemoArgs),
    Init(init::InitArgs),
    Learn(learn::LearnArgs),
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
    Import(import::ImportArgs),
    Simulate(simulate::SimulateArgs),
    Status(status::StatusArgs),
    Runs(runs::RunsArgs),
    Report(report::ReportArgs),
    Exclude(exclude::ExcludeArgs),
    Checks(checks::ChecksArgs),
    Approvals(approvals::ApprovalsArgs),
    Clamp(clamp::ClampArgs),
    Keys(keys::KeysArgs),
    Release(release::ReleaseArgs),
    Waive(waive::WaiveArgs),
    Recover(recover::RecoverArgs),
    Change(change::ChangeArgs),
    Enforce(enforce::EnforceArgs),
    Promote(promote::PromoteArgs),
    Audit(audit::AuditArgs),
    Review(review::ReviewArgs),
    Schema(schema::SchemaArgs),
    Completion(completion::CompletionArgs),
    Help(help::HelpArgs),
}

/// Reads the command line, does what it says, and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(page) => return render::usage(&page).into(),
    };
    match cli.command.run() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            render::fail(&failure);
            failure.exit.into()
        }
    }
}

impl Command {
    fn run(&self) -> Result<Exit, Failure> {
        match self {
            Command::Run(command) => command.run(),
            Command::Demo(command) => command.run(),
            Command::Init(command) => command.run(),
            Command::Learn(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Import(command) => command.run(),
            Command::Simulate(command) => command.run(),
            Command::Status(command) => command.run(),
            Command::Runs(command) => command.run(),
            Command::Report(command) => command.run(),
            Command::Exclude(command) => command.run(),
            Command::Checks(command) => command.run(),
            Command::Approvals(command) => command.run(),
            Command::Clamp(command) => command.run(),
            Command::Keys(command) => command.run(),
            Command::Release(command) => command.run(),
            Command::Waive(command) => command.run(),
            Command::Recover(command) => command.run(),
            Command::Change(command) => command.run(),
            Command::Enforce(command) => command.run(),
            Command::Promote(command) => command.run(),
            Command::Audit(command) => command.run(),
            Command::Review(command) => command.run(),
            Command::Schema(command) => command.run(),
            Command::Completion(command) => command.run(Cli::command()),
            Command::Help(command) => command.run(Cli::command()),
        }
    }
}

#[cfg(test)]
mod tests;
