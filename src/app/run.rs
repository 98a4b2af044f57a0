//! `burngate run`: from flags to a gate, and from a signal to its end.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::configured::Configured;
use super::start::{Gate, StartOptions, start};
use crate::config::Process;
use crate::proxy::accept::Listen;

/// The author and the reason of a clamp by signal, which carries neither.
const SIGNAL: &str = "SIGUSR2";
const REASON: &str = "the process was sent SIGUSR2";

/// What to run, and how to show what came of it.
pub struct RunOptions {
    /// The process's configuration, with whatever the command line puts over it.
    pub process: Process,
    /// The configuration file, for reloads.
    pub configured: Configured,
    /// Refuse a data directory that is absent or empty.
    pub existing: bool,
    /// Move a ledger that cannot be verified aside: every workflow starts burned.
    pub accept_loss: bool,
    /// Shows a notice to the operator.
    pub say: fn(&StartupNotice),
}

/// A notice to the operator about a gate that has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartupNotice {
    /// The data plane listens here: an `http://…` or `unix:…` address.
    Listening(String),
    /// The admin API listens here: an `http://…` address.
    Admin(String),
    /// This data directory was absent or empty.
    FirstStart(String),
    /// Something else that matters, as a sentence without its full stop.
    Note(String),
}

/// Runs a gate until a signal stops it.
pub fn run(options: RunOptions) -> anyhow::Result<()> {
    log_to_stderr("info");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(serve(options))
}

/// Logs to standard error, filtered by `RUST_LOG` or else by `usually`; standard output is for
/// addresses. Coloured on a terminal only.
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

fn greet(gate: &Gate, data: &str, say: fn(&StartupNotice)) {
    for address in &gate.addresses {
        say(&StartupNotice::Listening(match address {
            Listen::Tcp(address) => format!("http://{address}"),
            Listen::Unix(path) => format!("unix:{}", path.display()),
        }));
    }
    say(&StartupNotice::Admin(format!("http://{}", gate.admin)));
    if gate.first_start {
        say(&StartupNotice::FirstStart(data.to_owned()));
        say(&StartupNotice::Note(format!(
            "the operator's token is in {data}/{}; commands on this machine read it from there (--data)",
            super::token::FILE
        )));
    }
    if gate.lost {
        say(&StartupNotice::Note(
            "THE LEDGER WAS LOST and its loss accepted: every workflow starts burned".to_owned(),
        ));
    }
}
