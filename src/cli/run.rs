//! `burngate run`: the gate.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::failure::{Exit, Failure};
use super::render::{Tone, escape, paint};
use super::{files, render};
use crate::app;
use crate::app::StartupNotice;
use crate::config::lower::listen::socket_address;
use crate::config::{ListenAddress, Process};

/// Run the gate
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # The policies in ./policies; agents call 127.0.0.1:8080
  burngate run
  # Listen elsewhere, and refuse to start without an existing ledger
  burngate run --listen 127.0.0.1:9000 --data /var/lib/burngate --existing

Flags override burngate.yaml, which is the first of: --config, $BURNGATE_CONFIG, ./burngate.yaml, $XDG_CONFIG_HOME/burngate/burngate.yaml, /etc/burngate/burngate.yaml. Both addresses are printed to standard output, one a line.

A changed policy file, or SIGHUP, reloads all policies or none, and the lists of agents and reviewers. SIGTERM finishes the calls in flight and stops.")]
pub(super) struct RunArgs {
    /// The configuration file, burngate.yaml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of the policies
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Where agents connect: address:port (port 0 for any free port) or `unix:/path`; may be given
    /// several times
    #[arg(long, value_name = "ADDR")]
    listen: Vec<ListenAddress>,
    /// Where the admin API listens: address:port
    #[arg(long, value_name = "ADDR", value_parser = socket_address)]
    admin: Option<SocketAddr>,
    /// The directory of the data
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Refuse to start if the data directory has no ledger, so that a wrong path does not reset
    /// every budget
    #[arg(long)]
    existing: bool,
    /// Start even if the data cannot be verified; every workflow then starts burned
    #[arg(long)]
    accept_loss: bool,
}

impl RunArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let configured = files::configured(self.config.as_ref())
            .map_err(|found| Failure::found("the configuration cannot be used", vec![found]))?;
        render::to_stderr(&configured.at_start().warnings.render(true));
        app::run(app::RunOptions {
            process: self.over(configured.at_start().clone()),
            configured,
            existing: self.existing,
            accept_loss: self.accept_loss,
            say,
        })?;
        Ok(Exit::Did)
    }

    /// `process`, with the flags overriding it.
    fn over(&self, process: Process) -> Process {
        Process {
            policies: self.policies.clone().unwrap_or(process.policies),
            listen: if self.listen.is_empty() {
                process.listen
            } else {
                self.listen.clone()
            },
            admin: self.admin.unwrap_or(process.admin),
            data: self.data.clone().unwrap_or(process.data),
            ..process
        }
    }
}

/// Prints to the operator: addresses on standard output, where scripts read them, everything else
/// on standard error.
pub(super) fn say(said: &StartupNotice) {
    let line = describe(said);
    match said {
        // A closed standard output is no reason to stop serving agents.
        StartupNotice::Listening(_) | StartupNotice::Admin(_) => drop(render::show(&line)),
        StartupNotice::FirstStart(_) | StartupNotice::Note(_) => render::to_stderr(&line),
    }
}

fn describe(said: &StartupNotice) -> String {
    match said {
        StartupNotice::Listening(address) => format!("listening {}\n", escape(address)),
        StartupNotice::Admin(address) => format!("admin {}\n", escape(address)),
        StartupNotice::FirstStart(directory) => format!(
            "{} {} is new: no run has counted yet, and workflows start at the level of their policy\nhint: from the next start on, `--existing` refuses to start without this ledger, and so without the budget in it\n",
            paint(Tone::Odd, "first start:"),
            escape(directory)
        ),
        StartupNotice::Note(note) => format!("{}\n", escape(note)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::render::plain;
    use crate::cli::{Cli, Command};

    fn run(flags: &[&str]) -> RunArgs {
        let Command::Run(run) = Cli::try_parse_from(["burngate", "run"].iter().chain(flags))
            .unwrap()
            .command
        else {
            panic!("{flags:?}")
        };
        run
    }

    #[test]
    fn flags_go_over_the_configuration_and_leave_the_rest() {
        let file = Process {
            data: "/var/lib/burngate".into(),
            policies: "/etc/policies".into(),
            ..Process::default()
        };
        let process = run(&[
            "--policies",
            "mine",
            "--listen",
            "127.0.0.1:0",
            "--listen",
            "unix:/run/gate.sock",
            "--admin",
            ":9000",
        ])
        .over(file);
        assert_eq!(
            (process.policies.to_str(), process.data.to_str()),
            (Some("mine"), Some("/var/lib/burngate"))
        );
        assert_eq!(
            process
                .listen
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["127.0.0.1:0", "unix:/run/gate.sock"]
        );
        assert_eq!(process.admin.to_string(), "0.0.0.0:9000");
        assert_eq!(run(&[]).over(Process::default()), Process::default());
    }

    #[test]
    fn an_address_that_is_none_is_a_usage_error() {
        for flags in [["--listen", "8080"], ["--admin", "gate:http"]] {
            assert!(
                Cli::try_parse_from(["burngate", "run"].iter().chain(&flags)).is_err(),
                "{flags:?}"
            );
        }
    }

    #[test]
    fn what_is_told_is_a_line_each() {
        let said = [
            StartupNotice::FirstStart("./burngate-data".to_owned()),
            StartupNotice::Listening("http://127.0.0.1:41234".to_owned()),
            StartupNotice::Admin("http://127.0.0.1:41235".to_owned()),
        ];
        insta::assert_snapshot!(plain(&said.iter().map(describe).collect::<String>()), @r"
        first start: ./burngate-data is new: no run has counted yet, and workflows start at the level of their policy
        hint: from the next start on, `--existing` refuses to start without this ledger, and so without the budget in it
        listening http://127.0.0.1:41234
        admin http://127.0.0.1:41235
        ");
    }
}
