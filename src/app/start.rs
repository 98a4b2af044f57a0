//! A gate that runs: made of parts that are started in one order and stopped in the other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::access::{Access, Certificates};
use super::configured::Configured;
use super::emergency::Emergency;
use super::fanout::Fanout;
use super::health::GateHealth;
use super::reload::Reload;
use super::{access, token, unlisted};
use crate::admin::Admin;
use crate::admin::auth::Auth;
use crate::clock::{Clock, GateClock};
use crate::config::{Diagnostics, Process};
use crate::gate::event::Event;
use crate::gate::name::{LevelName, PersonName};
use crate::gate::policy::PolicySet;
use crate::ledger::people::operate::Scope;
use crate::ledger::{Bounds, Ledger};
use crate::proxy::accept::{Listen, Make, RunningWorkers};
use crate::proxy::body::Memory;
use crate::proxy::drain::{Drain, Phase};
use crate::proxy::headers::Traces;
use crate::proxy::identify::Identities;
use crate::proxy::pool::{PoolOptions, UpstreamPool};
use crate::proxy::worker::{AcceptOptions, Local};
use crate::proxy::worker_state::{ProcessState, WorkerState};
use crate::proxy::{accept, tls};
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::wire::framing::HeadLimits;
use crate::{admin, config, store};

/// The most header fields that a request has.
const MAX_HEADERS: usize = 100;
/// How often time is let pass.
const SWEEP: Duration = Duration::from_secs(1);

/// How a gate is started.
#[derive(Debug, Clone)]
pub struct StartOptions {
    /// How the process runs.
    pub process: Process,
    /// Where that was read from, to be read again: without what the command line put over it.
    pub configured: Configured,
    /// Refuse a data directory that is absent or empty.
    pub existing: bool,
    /// Move a ledger that cannot be verified aside, and start burned.
    pub accept_loss: bool,
}

/// A gate that runs.
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
    store: store::Running,
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
    let floor = GateClock::starting_at(crate::gate::time::Time::default());
    let policies = load(&process.policies, &process, &floor)?;
    let opened = Store::open(&store::Options {
        dir: process.data.clone(),
        existing,
        accept_loss,
        now: floor.now(),
    })?;
    let (operator_token, _) = token::read_or_make(&process.data)?;
    let clock: Arc<GateClock> = Arc::new(GateClock::starting_at(opened.state.now()));
    let (queue, records) = (opened.store.journal(), opened.store.records());
    let metrics = Arc::new(Metrics::default());
    let bounds = Bounds {
        holds: process.bounds.holds,
    };
    let ledger = Arc::new(Ledger::new(
        &opened.state,
        Arc::clone(&policies),
        queue.clone(),
        clock.clone(),
        bounds,
    ));
    unlisted::restore(&ledger, &process.data);
    let writer_clock = Arc::clone(&clock);
    let fanout = Arc::new(Fanout {
        ledger: Arc::clone(&ledger),
        metrics: Arc::clone(&metrics),
    });
    let store = opened
        .store
        .start(fanout, Arc::new(move || writer_clock.now()))
        .context("the ledger's writer cannot start")?;
    announce(
        &ledger,
        Event::Started {
            version: env!("CARGO_PKG_VERSION").into(),
            lost: opened.lost,
        },
    )
    .await?;
    let people = access::people(&process);
    let auth = Arc::new(Auth::new(&operator_token, people.clone()));
    // Before anybody is served: who was removed meanwhile has approved nothing.
    let approvers = auth.approvers(&people);
    if ledger.approvers() != approvers {
        ledger
            .name_approvers(approvers)
            .await
            .context("the journal's writer stopped")?
            .context("the journal cannot be written")?;
    }
    let identities = Arc::new(ArcSwap::from_pointee(access::identities(&process)));
    let certificates = process.tls.as_ref().map(Certificates::read).transpose()?;
    let tls = certificates
        .as_ref()
        .map(|certificates| Arc::clone(certificates.config()));
    let access = Access::new(
        Arc::clone(&ledger),
        Arc::clone(&auth),
        Arc::clone(&identities),
        certificates,
    );
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
    let (addresses, workers) =
        serve_agents(&process, (&ledger, &identities), tls, &metrics, &drain)?;
    let admin_listener = TcpListener::bind(process.admin)
        .await
        .with_context(|| format!("cannot listen for operators on {}", process.admin))?;
    let admin_address = admin_listener.local_addr()?;
    let mut tasks = tokio::task::JoinSet::new();
    let admin = Admin {
        ledger: Arc::clone(&ledger),
        records,
        health: Arc::new(GateHealth {
            ledger: Arc::clone(&ledger),
            journal: queue,
            reload: Arc::clone(&reload),
            emergency: Arc::clone(&emergency),
            phase: drain.watch(),
        }),
        auth,
        metrics,
        open_metrics: false,
    };
    tasks.spawn(admin::serve(
        admin_listener,
        admin::router(admin),
        stopped(drain.watch()),
    ));
    tasks.spawn(unlisted::keep(
        Arc::clone(&ledger),
        process.data.clone(),
        drain.watch(),
    ));
    tasks.spawn(sweep(Arc::clone(&ledger), clock, drain.watch()));
    tasks.spawn(Arc::clone(&reload).watch(drain.watch()));
    tasks.spawn(Arc::clone(&emergency).watch(clamped, drain.watch()));
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

impl Gate {
    /// The living state.
    #[must_use]
    pub const fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Who clamps everything at a signal.
    #[must_use]
    pub const fn emergency(&self) -> &Arc<Emergency> {
        &self.emergency
    }

    /// Reloads the policies: all files or none.
    pub async fn reload(&self) -> bool {
        self.reload.reload().await
    }

    /// Brings the end forward for whoever drains already.
    pub fn hurry(drain: &Drain) {
        drain.begin(Duration::ZERO);
    }

    /// Who is asked to drain.
    #[must_use]
    pub const fn drain_handle(&self) -> &Arc<Drain> {
        &self.drain
    }

    /// Stops accepting, finishes what is in flight within the drain time, books the runs that are
    /// open, snapshots.
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

/// What was held back for a workflow is all that its files say now, and what was in force before
/// went with the process. So it gets what the files say, and no more than the emergency level until
/// somebody has looked.
fn clamp_frozen(ledger: &Ledger, level: &LevelName) {
    for (workflow, what) in ledger.held_back() {
        let reason = format!(
            "the gate was started while a wider policy was held back ({what}), and its changes are frozen"
        );
        match ledger.clamp(
            &Scope::One(workflow),
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

/// Tells the journal, and waits until that is on disk.
pub async fn announce(ledger: &Ledger, event: Event) -> anyhow::Result<()> {
    ledger
        .announce(event)
        .await
        .context("the journal's writer stopped")?
        .context("the journal cannot be written")
}

/// The policies in `path`. Warnings are logged.
pub fn load(
    path: &std::path::Path,
    process: &Process,
    clock: &dyn Clock,
) -> Result<Arc<PolicySet>, Diagnostics> {
    let loaded = config::files::load_from(&[PathBuf::from(path)], process, clock.now())?;
    for warning in &loaded.warnings {
        tracing::warn!(target: crate::telemetry::log::PROCESS, "{warning}");
    }
    Ok(Arc::new(loaded.policies))
}

fn serve_agents(
    process: &Process,
    (ledger, identities): (&Arc<Ledger>, &Arc<ArcSwap<Identities>>),
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    metrics: &Arc<Metrics>,
    drain: &Arc<Drain>,
) -> anyhow::Result<(Vec<Listen>, RunningWorkers)> {
    let workers = process
        .workers
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let specs: Vec<Listen> = process.listen.iter().map(listen).collect();
    let bound = accept::bind(&specs, workers).with_context(|| {
        let asked = process.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!("cannot listen on {asked}\nhint: is another process using the address? `listen: 127.0.0.1:0` takes a free port")
    })?;
    let addresses = bound.addresses().to_vec();
    let state = Arc::new(ProcessState {
        ledger: Arc::clone(ledger),
        identities: Arc::clone(identities),
        body: process.bounds.body,
        memory: Memory::new(process.bounds.memory),
        metrics: Arc::clone(metrics),
        phase: drain.watch(),
    });
    let connector = tls::client(None).context("TLS towards tool APIs")?;
    let head = HeadLimits {
        bytes: process.bounds.head,
        headers: MAX_HEADERS,
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

/// Lets time pass, each second, until the gate stops.
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
                    // In force already, and kept until it can be written.
                    drop(ledger.clock_jumped(wall));
                }
                ledger.sweep();
            }
            () = &mut stopped => return,
        }
    }
}

/// Resolves when nothing is served any more. Operators are served until the last agent is.
pub(super) async fn stopped(mut phase: watch::Receiver<Phase>) {
    // A sender that is gone has stopped.
    let _ = phase.wait_for(|phase| *phase == Phase::Stopped).await;
}
