//! `burngate run`: from flags to a gate, and from a signal to its end.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::start::{Gate, StartOptions, start};
use crate::{config, proxy::accept::Listen};

/// What the command line says about a run. What it does not say, the configuration does.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The configuration file, where one was named.
    pub config: Option<PathBuf>,
    /// The policies' directory.
    pub policies: Option<PathBuf>,
    /// Where agents call.
    pub listen: Vec<config::Listen>,
    /// Where operators call.
    pub admin: Option<std::net::SocketAddr>,
    /// The data directory.
    pub data: Option<PathBuf>,
    /// Refuse a data directory that is absent or empty.
    pub existing: bool,
    /// Move a ledger that cannot be verified aside, and start burned.
    pub accept_loss: bool,
}

/// Runs a gate until it is told to stop. `say` gets what belongs on standard output.
pub fn run(options: RunOptions, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(serve(options, say))
}

async fn serve(options: RunOptions, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    // Before anything is announced: a signal that comes early must not be lost.
    let (mut terminate, mut interrupt, mut hangup) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
    let (existing, accept_loss) = (options.existing, options.accept_loss);
    let process = process(options)?;
    let data = process.data.clone();
    let gate = start(StartOptions { process, existing, accept_loss }).await?;
    greet(&gate, &data, say);
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                gate.reload().await;
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    let drain = std::sync::Arc::clone(gate.drain_handle());
    let stopping = gate.stop();
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            stopped = &mut stopping => return stopped,
            _ = terminate.recv() => Gate::hurry(&drain),
            _ = interrupt.recv() => Gate::hurry(&drain),
        }
    }
}

fn greet(gate: &Gate, data: &std::path::Path, say: &dyn Fn(&str)) {
    for address in &gate.addresses {
        match address {
            Listen::Tcp(address) => say(&format!("listening http://{address}")),
            Listen::Unix(path) => say(&format!("listening unix:{}", path.display())),
        }
    }
    say(&format!("admin http://{}", gate.admin));
    if gate.first_start {
        tracing::warn!(
            target: crate::telemetry::log::PROCESS,
            data = %data.display(),
            "FIRST START: there was no ledger here, so every budget begins full and empty of history; `--existing` refuses this"
        );
    }
    if gate.lost {
        tracing::error!(target: crate::telemetry::log::PROCESS, "THE LEDGER WAS LOST and its loss accepted: every workflow starts burned");
    }
}

fn process(options: RunOptions) -> anyhow::Result<config::Process> {
    let rendered = |errors: config::Diagnostics| anyhow::anyhow!("{}", errors.render(false).trim_end());
    let path = |name| std::env::var_os(name).map(PathBuf::from);
    let look_up = config::files::LookUp {
        flag: options.config,
        variable: path("BURNGATE_CONFIG"),
        directory: PathBuf::new(),
        config_home: path("XDG_CONFIG_HOME"),
    };
    let file = config::files::find_config(&look_up).map_err(rendered)?;
    let mut process = config::process(file.as_ref()).map_err(rendered)?;
    process.policies = options.policies.unwrap_or(process.policies);
    process.data = options.data.unwrap_or(process.data);
    process.admin = options.admin.unwrap_or(process.admin);
    if !options.listen.is_empty() {
        process.listen = options.listen;
    }
    Ok(process)
}
