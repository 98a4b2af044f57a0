//! `burngate run`: from flags to a gate, and from a signal to its end.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::configured::Configured;
use super::start::{Gate, StartOptions, start};
use crate::config::Process;
use crate::proxy::accept::Listen;

/// Who is told of a clamp by signal, and why: a signal carries no words.
const SIGNAL: &str = "SIGUSR2";
const REASON: &str = "the process was sent SIGUSR2";

/// What to run, and how to say what became of it.
pub struct RunOptions {
    /// The process's configuration, with whatever the command line puts over it.
    pub process: Process,
    /// The configuration as it was read, to be read again.
    pub configured: Configured,
    /// Refuse a data directory that is absent or empty.
    pub existing: bool,
    /// Move a ledger that cannot be verified aside: every workflow starts burned.
    pub accept_loss: bool,
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
    /// Something else that matters, as a sentence without its full stop.
    Note(String),
}

/// Runs a gate until it is told to stop.
pub fn run(options: RunOptions) -> anyhow::Result<()> {
    log_to_stderr("info");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(serve(options))
}

/// Logs to standard error, as `RUST_LOG` says or else `usually`: standard output is for addresses.
/// Coloured only for a person's terminal.
pub(super) fn log_to_stderr(usually: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usually));
    let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A second subscriber in one process is a test's; the first one stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(coloured)
        .with_writer(std::io::stderr)
        .try_init();
}

async fn serve(options: RunOptions) -> anyhow::Result<()> {
    // Before anything is announced: a signal that comes early must not be lost.
    let (mut terminate, mut interrupt, mut hangup) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
    );
    let mut clamp = signal(SignalKind::user_defined2())?;
    let RunOptions {
        process,
        configured,
        existing,
        accept_loss,
        say,
    } = options;
    let data = process.data.display().to_string();
    let gate = start(StartOptions {
        process,
        configured,
        existing,
        accept_loss,
    })
    .await?;
    greet(&gate, &data, say);
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                gate.reload().await;
            }
            _ = clamp.recv() => gate.emergency().clamp(SIGNAL, REASON),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    let (drain, emergency) = (
        std::sync::Arc::clone(gate.drain_handle()),
        std::sync::Arc::clone(gate.emergency()),
    );
    let stopping = gate.stop();
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            stopped = &mut stopping => return stopped,
            _ = clamp.recv() => emergency.clamp(SIGNAL, REASON),
            _ = terminate.recv() => Gate::hurry(&drain),
            _ = interrupt.recv() => Gate::hurry(&drain),
        }
    }
}

fn greet(gate: &Gate, data: &str, say: fn(&Said)) {
    for address in &gate.addresses {
        say(&Said::Listening(match address {
            Listen::Tcp(address) => format!("http://{address}"),
            Listen::Unix(path) => format!("unix:{}", path.display()),
        }));
    }
    say(&Said::Admin(format!("http://{}", gate.admin)));
    if gate.first_start {
        say(&Said::FirstStart(data.to_owned()));
        say(&Said::Note(format!(
            "the operator's token is in {data}/{}; commands on this machine find it by --data",
            super::token::FILE
        )));
    }
    if gate.lost {
        say(&Said::Note(
            "THE LEDGER WAS LOST and its loss accepted: every workflow starts burned".to_owned(),
        ));
    }
}
