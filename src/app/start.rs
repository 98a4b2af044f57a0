//! A running gate: its parts are started in one order and stopped in the opposite one.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::access::Access;
use super::announce::announce;
use super::configured::Configured;
use super::emergency::Emergency;
use super::fanout::Fanout;
use super::health::GateHealth;
use super::phase::stopped;
use super::reload::{Reload, load};
use super::{token, unlisted};
use crate::admin::Admin;
use crate::clock::{Clock, GateClock};
use crate::config::{CLEAR_TEXT_HINT, Process, STRANGERS_HINT};
use crate::gate::event::Event;
use crate::gate::name::{LevelName, PersonName};
use crate::gate::policy::PolicySet;
use crate::gate::state::State;
use crate::gate::time::Time;
use crate::journal::port::Journal;
use crate::ledger::people::outcome::WorkflowScope;
use crate::ledger::{Capacity, Ledger};
use crate::proxy::accept::{Listen, Make, RunningWorkers};
use crate::proxy::body::Memory;
use crate::proxy::drain::{Drain, Phase};
use crate::proxy::identify::Identities;
use crate::proxy::pool::{PoolOptions, UpstreamPool};
use crate::proxy::traces::Traces;
use crate::proxy::worker::{AcceptOptions, Local};
use crate::proxy::worker_state::{ProcessState, WorkerState};
use crate::proxy::{accept, tls};
use crate::store::{OpenError, Opened, Store};
use crate::telemetry::metrics::Metrics;
use crate::wire::credentials::FingerprintKey;
use crate::wire::framing::HeadLimits;
use crate::{admin, config, store};

/// How often what is due by time is done.
const SWEEP: Duration = Duration::from_secs(1);

/// How a gate is started.
#[derive(Debug, Clone)]
pub struct StartOptions {
    /// How the process runs.
    pub process: Process,
    /// The file behind it, for reloads: without what the command line overrides.
    pub configured: Configured,
    /// Refuse a data directory that is absent or empty.
    pub existing: bool,
    /// Move a ledger that cannot be verified aside, and start burned.
    pub accept_loss: bool,
}

/// A running gate.
pub struct Gate {
    /// Where agents call.
    pub addresses: Vec<Listen>,
    /// Where operators call.
    pub admin: SocketAddr,
    /// The operator's token.
    pub operator_token: String,
    /// The data directory was empty before.
    pub first_start: bool,
    /// A ledger was lost.
    pub lost: bool,
    ledger: Arc<Ledger>,
    reload: Arc<Reload>,
    emergency: Arc<Emergency>,
    drain: Arc<Drain>,
    workers: RunningWorkers,
    store: store::RunningWriter,
    tasks: tokio::task::JoinSet<()>,
    patience: Duration,
}

/// Starts a gate. Must be called on a tokio runtime, which serves operators while the workers serve
/// agents on threads of their own.
pub async fn start(options: StartOptions) -> anyhow::Result<Gate> {
    let StartOptions {
        process,
        configured,
        existing,
        accept_loss,
    } = options;
    refuse_strangers(&process, configured.at_start())?;
    let floor = GateClock::starting_at(Time::default());
    let policies = load(&process.policies, &process, &floor)?;
    let opened = open_store(&process.data, existing, accept_loss, floor.now())?;
    let (operator_token, _) = token::read_or_make(&process.data)?;
    let clock: Arc<GateClock> = Arc::new(GateClock::starting_at(opened.state.now()));
    let fingerprints = opened.fingerprints.clone();
    let (queue, records) = (opened.store.journal(), opened.store.records());
    let metrics = Arc::new(Metrics::default());
    let ledger = continue_ledger(&opened.state, queue.clone(), &policies, &clock, &process);
    let store = start_writer(opened.store, &ledger, &metrics, &clock)?;
    announce(
        &ledger,
        Event::Started {
            version: env!("CARGO_PKG_VERSION").into(),
            lost: opened.lost,
        },
    )
    .await?;
    let access = Access::open(Arc::clone(&ledger), &process, &operator_token).await?;
    let (auth, tls) = (Arc::clone(access.auth()), access.tls());
    let identities = Arc::clone(access.identities());
    let reload = Arc::new(Reload::new(
        Arc::clone(&ledger),
        access,
        configured,
        process.clone(),
    ));
    clamp_frozen(&ledger, &process.emergency);
    reload.accept(policies).await?;
    if opened.lost {
        queue.loss_booked();
    }
    let drain = Arc::new(Drain::default());
    let emergency = Arc::new(Emergency::new(
        Arc::clone(&ledger),
        &process.data,
        process.emergency.clone(),
    ));
    // Before the first call is taken.
    let clamped = emergency.look(false);
    let (addresses, workers) = serve_agents(
        &process,
        (&ledger, &identities),
        fingerprints,
        tls,
        &metrics,
        &drain,
    )?;
    let mut tasks = tokio::task::JoinSet::new();
    let health = Arc::new(GateHealth {
        ledger: Arc::clone(&ledger),
        journal: queue,
        reload: Arc::clone(&reload),
        emergency: Arc::clone(&emergency),
        phase: drain.watch(),
    });
    let admin = Admin {
        ledger: Arc::clone(&ledger),
        records,
        health,
        auth,
        metrics,
        open_metrics: false,
    };
    let admin_address = serve_operators(process.admin, admin, &mut tasks, &drain).await?;
    start_watching(
        &mut tasks,
        (&ledger, clock),
        (&reload, &emergency, clamped),
        process.data,
        &drain,
    );
    Ok(Gate {
        addresses,
        admin: admin_address,
        operator_token,
        first_start: opened.first_start,
        lost: opened.lost,
        ledger,
        reload,
        emergency,
        drain,
        workers,
        store,
        tasks,
        patience: process.drain,
    })
}

/// Opens the ledger in `data`.
fn open_store(data: &Path, existing: bool, accept_loss: bool, now: Time) -> anyhow::Result<Opened> {
    let dir = data.to_path_buf();
    let options = store::Options {
        dir,
        existing,
        accept_loss,
        now,
    };
    Store::open(&options).map_err(|error| cannot_open(error, data))
}

/// Judges the addresses once more, since the command line may have changed what the file says.
fn refuse_strangers(process: &Process, in_file: &Process) -> anyhow::Result<()> {
    if let Some(address) = process.open_to_strangers() {
        anyhow::bail!(
            "other machines reach {address}, and without `agents` any caller may use every workflow\nhint: {STRANGERS_HINT}"
        );
    }
    // What the file says has been warned about where it was read.
    if process.admin != in_file.admin
        && let Some(address) = process.clear_text_admin()
    {
        tracing::warn!(target: crate::telemetry::log::PROCESS, %address, "other machines reach the admin address, and tokens cross the network in clear text: {CLEAR_TEXT_HINT}");
    }
    Ok(())
}

/// The ledger as it was when the process before this one ended, under `policies`.
fn continue_ledger(
    state: &State,
    journal: Arc<dyn Journal>,
    policies: &Arc<PolicySet>,
    clock: &Arc<GateClock>,
    process: &Process,
) -> Arc<Ledger> {
    let capacity = Capacity {
        holds: process.bounds.holds,
    };
    let (policies, clock) = (Arc::clone(policies), Arc::clone(clock));
    let ledger = Arc::new(Ledger::new(state, policies, journal, clock, capacity));
    unlisted::restore(&ledger, &process.data);
    ledger
}

/// A failure of the disk says neither where it was nor what to do.
fn cannot_open(error: OpenError, dir: &Path) -> anyhow::Error {
    let OpenError::Disk(why) = error else {
        return error.into();
    };
    let why = if dir.exists() && !dir.is_dir() {
        "it is not a directory".to_owned()
    } else {
        why
    };
    anyhow::anyhow!(
        "cannot open the data directory {}: {why}; nothing was changed\nhint: name a directory that this user may write with --data",
        dir.display()
    )
}

/// What to do where the gate cannot listen; `flag` chooses another address.
fn listen_hint(error: &io::Error, flag: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another process listens there: stop it, or choose another address with {flag}; `{flag} 127.0.0.1:0` takes a free port"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address; choose another with {flag}")
        }
        io::ErrorKind::PermissionDenied => format!(
            "this user may not listen there (ports below 1024 are privileged); choose another address with {flag}"
        ),
        _ => format!("choose another address with {flag}"),
    }
}

/// Starts the thread that writes the journal, and passes what it has written to the ledger, the
/// metrics and the log.
fn start_writer(
    store: Store,
    ledger: &Arc<Ledger>,
    metrics: &Arc<Metrics>,
    clock: &Arc<GateClock>,
) -> anyhow::Result<store::RunningWriter> {
    let clock = Arc::clone(clock);
    let fanout = Arc::new(Fanout {
        ledger: Arc::clone(ledger),
        metrics: Arc::clone(metrics),
    });
    store
        .start(fanout, Arc::new(move || clock.now()))
        .context("the ledger's writer cannot start")
}

/// Serves the admin API on `address`. Answers with the address that it got.
async fn serve_operators(
    address: SocketAddr,
    admin: Admin,
    tasks: &mut tokio::task::JoinSet<()>,
    drain: &Drain,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let hint = listen_hint(&error, "--admin");
        anyhow::anyhow!("cannot listen for operators on {address}: {error}\nhint: {hint}")
    })?;
    let bound = listener.local_addr()?;
    tasks.spawn(admin::serve(
        listener,
        admin::router(admin),
        stopped(drain.watch()),
    ));
    Ok(bound)
}

/// Starts the background tasks, which run until the gate stops.
fn start_watching(
    tasks: &mut tokio::task::JoinSet<()>,
    (ledger, clock): (&Arc<Ledger>, Arc<GateClock>),
    (reload, emergency, clamped): (&Arc<Reload>, &Arc<Emergency>, bool),
    data: PathBuf,
    drain: &Drain,
) {
    tasks.spawn(unlisted::keep(Arc::clone(ledger), data, drain.watch()));
    tasks.spawn(sweep(Arc::clone(ledger), clock, drain.watch()));
    tasks.spawn(Arc::clone(reload).watch(drain.watch()));
    tasks.spawn(Arc::clone(emergency).watch(clamped, drain.watch()));
}

impl Gate {
    /// The living state.
    #[must_use]
    pub const fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// What clamps everything at a signal.
    #[must_use]
    pub const fn emergency(&self) -> &Arc<Emergency> {
        &self.emergency
    }

    /// Reloads the policies: all files or none.
    pub async fn reload(&self) -> bool {
        self.reload.reload().await
    }

    /// Ends a drain that has begun at once.
    pub fn hurry(drain: &Drain) {
        drain.begin(Duration::ZERO);
    }

    /// What a stop is requested from.
    #[must_use]
    pub const fn drain_handle(&self) -> &Arc<Drain> {
        &self.drain
    }

    /// Stops accepting, finishes calls in flight within the drain time, books open runs, and
    /// writes a snapshot.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.drain.begin(self.patience);
        let workers = self.workers;
        tokio::task::spawn_blocking(move || workers.join())
            .await?
            .map_err(|_| anyhow::anyhow!("a worker ended in a panic"))?;
        self.drain.stop();
        while self.tasks.join_next().await.is_some() {}
        self.ledger.end_all();
        let store = self.store;
        tokio::task::spawn_blocking(move || store.drain())
            .await?
            .context("the ledger could not be closed with everything on disk")
    }
}

/// Clamps workflows whose wider policy was held back by a freeze when the process ended. The policy
/// that was in force before is gone with it, so they start under the wider one, and get no more than
/// the emergency level until an operator releases them.
fn clamp_frozen(ledger: &Ledger, level: &LevelName) {
    for (workflow, what) in ledger.held_back() {
        let reason = format!(
            "the gate was started while a wider policy was held back ({what}), and its changes are frozen"
        );
        match ledger.clamp(
            &WorkflowScope::One(workflow),
            level,
            &PersonName::from("freeze"),
            &reason,
            None,
        ) {
            Ok(clamped) => drop(clamped.durable),
            Err(error) => {
                tracing::error!(target: crate::telemetry::log::PROCESS, %error, "a frozen workflow could not be clamped");
            }
        }
    }
}

fn serve_agents(
    process: &Process,
    (ledger, identities): (&Arc<Ledger>, &Arc<ArcSwap<Identities>>),
    fingerprints: FingerprintKey,
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    metrics: &Arc<Metrics>,
    drain: &Arc<Drain>,
) -> anyhow::Result<(Vec<Listen>, RunningWorkers)> {
    let workers = process
        .workers
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let specs: Vec<Listen> = process.listen.iter().map(listen).collect();
    let bound = accept::bind(&specs, workers).map_err(|error| {
        let asked: Vec<_> = process.listen.iter().map(ToString::to_string).collect();
        let (asked, hint) = (asked.join(", "), listen_hint(&error, "--listen"));
        anyhow::anyhow!("cannot listen on {asked}: {error}\nhint: {hint}")
    })?;
    let addresses = bound.addresses().to_vec();
    let state = Arc::new(ProcessState {
        ledger: Arc::clone(ledger),
        identities: Arc::clone(identities),
        body: process.bounds.body,
        fingerprints,
        memory: Memory::new(process.bounds.memory),
        metrics: Arc::clone(metrics),
        phase: drain.watch(),
    });
    let connector = tls::client(None).context("TLS towards tool APIs")?;
    let head = HeadLimits {
        bytes: process.bounds.head,
        ..HeadLimits::default()
    };
    let options = AcceptOptions {
        tls,
        connections: process.bounds.connections,
        head,
        ..AcceptOptions::default()
    };
    let make: Make<WorkerState> = Arc::new(move |local: &Local| {
        let seed = (local.worker.0 as u64) << 48 ^ state.ledger.now().as_millis().unsigned_abs();
        Rc::new(WorkerState::new(
            Arc::clone(&state),
            UpstreamPool::new(PoolOptions::new(connector.clone())),
            Traces::new(seed),
        ))
    });
    let running = bound
        .run(&make, &options, &drain.watch())
        .context("the workers cannot start")?;
    Ok((addresses, running))
}

fn listen(listen: &config::ListenAddress) -> Listen {
    match listen {
        config::ListenAddress::Tcp(address) => Listen::Tcp(*address),
        config::ListenAddress::Unix(path) => Listen::Unix(path.clone()),
    }
}

/// Does what is due by time, each second, until the gate stops.
async fn sweep(ledger: Arc<Ledger>, clock: Arc<GateClock>, phase: watch::Receiver<Phase>) {
    let mut ticks = tokio::time::interval(SWEEP);
    let mut stopped = std::pin::pin!(stopped(phase));
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                if let Some(wall) = clock.jumped() {
                    tracing::error!(
                        target: crate::telemetry::log::PROCESS,
                        wall = wall.as_millis(),
                        "the wall clock leapt ahead: holds and grants that would be over by it have expired, and budgets go on at the old pace; if the wall clock is right, restart the gate to accept it"
                    );
                    // It is in force already; the event is written when the journal can take it.
                    drop(ledger.clock_jumped(wall));
                }
                ledger.sweep();
            }
            () = &mut stopped => return,
        }
    }
}
