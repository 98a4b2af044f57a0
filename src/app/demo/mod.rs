//! `burngate demo`: a real gate, a sample tool API and a scripted agent, in one process.
//!
//! Nothing here has a way around the gate: the agent calls the data plane, the operator calls the
//! admin API, and both policies are ordinary files. Everything listens on loopback, on free
//! ports, and keeps its files in a private directory; all of it is gone at the end, whether that
//! comes by itself, by a signal or by an error.

mod agent;
mod directory;
mod exchange;
mod operator;
mod passage;
mod shop;
mod story;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::agent::ScriptedAgent;
use self::directory::DemoDirectory;
use self::operator::{Operator, WORKFLOW};
use self::story::Story;
use super::configured::Configured;
use super::run::log_to_stderr;
use super::start::{Gate, StartOptions, start};
use crate::config::{AgentIdentity, ListenAddress, Process};
use crate::gate::digest::Digest;
use crate::gate::location::SourceLocation;
use crate::gate::name::{AgentName, WorkflowName};
use crate::proxy::accept;

pub use self::passage::{CallReport, Passage};

/// The agent of the demonstration.
const AGENT: &str = "refund-bot";
/// The policy of the sample tool API.
const SHOP: &str = include_str!("shop.yaml");
/// The policy of the workflow.
const REFUNDS: &str = include_str!("refunds.yaml");
/// Where [`SHOP`] says that the shop is.
const UPSTREAM: &str = "http://127.0.0.1:3000";
/// The story shows every change of the budget already, so the log leaves those out.
const LOG: &str = "warn,burngate::budget=error";
/// How long calls in flight may take at the end.
const DRAIN: Duration = Duration::from_secs(1);
/// A free port that nobody on another machine can reach.
const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// How to run the demonstration.
pub struct DemoOptions {
    /// Play the reviewer too, never wait for input, and end with the story.
    pub yes: bool,
    /// Shows a passage to the reader.
    pub say: fn(&Passage),
}

/// Runs a gate, a sample tool API and a scripted agent in this process, and tells what happens.
pub fn demo(options: DemoOptions) -> anyhow::Result<()> {
    log_to_stderr(LOG);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(play(options))
}

async fn play(options: DemoOptions) -> anyhow::Result<()> {
    // Before there is anything to clean up: a signal that comes early must not end the process
    // at once and leave files behind.
    let mut signals = StopSignals::listen()?;
    let directory = DemoDirectory::make()?;
    let stopping = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let played = async {
        let listener = TcpListener::bind(LOOPBACK)
            .await
            .context("cannot listen for the shop")?;
        let shop = listener.local_addr()?;
        tasks.spawn(shop::serve(listener, stopping.clone().cancelled_owned()));
        play_with(&directory, shop, &options, &mut signals).await
    }
    .await;
    stopping.cancel();
    while tasks.join_next().await.is_some() {}
    let removed = directory.remove();
    played.and(removed)?;
    (options.say)(&Passage::Text(
        "The ports are closed and the files are removed: nothing is left behind.".to_owned(),
    ));
    Ok(())
}

/// Starts the gate, plays the story until its end or a signal, and stops the gate.
async fn play_with(
    directory: &DemoDirectory,
    shop: SocketAddr,
    options: &DemoOptions,
    signals: &mut StopSignals,
) -> anyhow::Result<()> {
    directory.write_policy(
        "shop.yaml",
        &SHOP.replace(UPSTREAM, &format!("http://{shop}")),
    )?;
    directory.write_policy("refunds.yaml", REFUNDS)?;
    let token = format!("bgag_{}", Uuid::new_v4().simple());
    let gate = start(StartOptions {
        process: process(directory, &token),
        configured: Configured::default(),
        existing: false,
        accept_loss: false,
    })
    .await?;
    let played = tokio::select! {
        played = story(&gate, &token, options) => played,
        () = signals.any() => Ok(()),
    };
    played.and(stop(gate, signals).await)
}

/// Stops the gate; a second signal ends the drain at once.
async fn stop(gate: Gate, signals: &mut StopSignals) -> anyhow::Result<()> {
    let drain = Arc::clone(gate.drain_handle());
    let mut stopping = std::pin::pin!(gate.stop());
    loop {
        tokio::select! {
            stopped = &mut stopping => return stopped,
            () = signals.any() => Gate::hurry(&drain),
        }
    }
}

async fn story(gate: &Gate, token: &str, options: &DemoOptions) -> anyhow::Result<()> {
    let Some(accept::Listen::Tcp(agents)) = gate.addresses.first() else {
        anyhow::bail!("the gate listens nowhere")
    };
    let operator = Operator {
        admin: gate.admin,
        token: gate.operator_token.clone(),
    };
    Story {
        agent: ScriptedAgent::new(*agents, token),
        operator,
        gate: *agents,
        yes: options.yes,
        say: options.say,
    }
    .play()
    .await
}

fn process(directory: &DemoDirectory, token: &str) -> Process {
    let agent = AgentIdentity {
        agent: AgentName::from(AGENT),
        workflows: BTreeSet::from([WorkflowName::from(WORKFLOW)]),
        token_sha256: Some(Digest::new(Sha256::digest(token.as_bytes()).into())),
        spiffe: None,
        location: SourceLocation {
            file: "the demonstration".into(),
            line: 1,
        },
    };
    Process {
        listen: vec![ListenAddress::Tcp(LOOPBACK)],
        admin: LOOPBACK,
        policies: directory.policies(),
        data: directory.data(),
        agents: Some(vec![agent]),
        workers: Some(1),
        drain: DRAIN,
        ..Process::default()
    }
}

/// Whatever asks a process to end. A terminal that was closed is one of them.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl StopSignals {
    fn listen() -> anyhow::Result<Self> {
        Ok(StopSignals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::config::SourceFile;
    use crate::gate::time::Time;

    #[test]
    fn the_policies_load_without_a_warning() {
        assert_eq!(
            SHOP.matches(UPSTREAM).count(),
            1,
            "the shop's port is written over one address"
        );
        let files = [
            SourceFile::new("refunds.yaml", REFUNDS),
            SourceFile::new("shop.yaml", SHOP),
        ];
        let loaded = config::load(&files, &Process::default(), Time::default()).unwrap();
        assert!(
            loaded.warnings.is_empty(),
            "{}",
            loaded.warnings.render(false)
        );
        assert!(
            loaded
                .policies
                .workflows
                .keys()
                .eq([&WorkflowName::from(WORKFLOW)])
        );
    }
}
