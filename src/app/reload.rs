//! Reloading policies: all files or none. A broken file leaves what is in force in force, and says where it is broken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::{Mutex, mpsc, watch};

use super::{
    quarantine::Quarantine,
    start::{announce, load},
};
use crate::{
    config::Process,
    gate::{event::Event, policy::PolicySet},
    ledger::Ledger,
    proxy::drain::Phase,
    telemetry::log,
};

/// Changes that come together are one reload: editors and Kubernetes write in several steps.
const SETTLE: Duration = Duration::from_millis(250);

/// How often it is asked whether what is held back need not be any longer.
const THAWS: Duration = Duration::from_secs(1);

/// Reloads policies.
pub struct Reload {
    ledger: Arc<Ledger>,
    process: Process,
    /// One reload at a time.
    turn: Mutex<()>,
    /// What is held back while changes are frozen.
    quarantine: Quarantine,
    /// The files are broken: what is in force is not what they say.
    broken: AtomicBool,
}

impl Reload {
    /// Reloads what `process` says into `ledger`.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, process: Process) -> Self {
        Reload { ledger, process, turn: Mutex::new(()), quarantine: Quarantine::default(), broken: AtomicBool::new(false) }
    }

    /// Did the last reload fail?
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Puts `policies` in force, once that is on disk.
    pub async fn accept(&self, policies: Arc<PolicySet>) -> anyhow::Result<()> {
        let held_before = !self.quarantine.held().is_empty();
        let policies = self.quarantine.hold_back(&self.ledger, policies);
        let table = self.ledger.table_full();
        // What is held back may be all that is new; and what is no longer held back must be known to be so.
        let is_new = table.entries.is_empty() || policies.version != table.policies.version;
        if is_new || (held_before && self.quarantine.held().is_empty()) {
            self.put_in_force(policies).await?;
        }
        for (workflow, what) in &*self.quarantine.held() {
            if let Some(receipt) = self.ledger.hold_back(workflow, what) {
                receipt.await.context("the journal's writer stopped")?.context("the journal cannot be written")?;
            }
        }
        Ok(())
    }

    async fn put_in_force(&self, policies: Arc<PolicySet>) -> anyhow::Result<()> {
        let (version, terms) = (policies.version, Ledger::terms(&policies));
        let lowered = serde_json::json!({ "apis": policies.apis, "workflows": policies.workflows, "signals": policies.signals }).to_string();
        announce(&self.ledger, Event::PolicyAccepted { version, terms, policies: lowered.into() }).await?;
        self.ledger.install(policies).map_err(|workflow| anyhow::anyhow!("the journal does not know workflow `{workflow}`"))?;
        tracing::info!(target: log::PROCESS, %version, "calls are judged by these policies");
        Ok(())
    }

    /// Reloads. True where new policies are in force, or the same as before.
    pub async fn reload(&self) -> bool {
        let _turn = self.turn.lock().await;
        let reloaded = match load(&self.process.policies, &self.process, &ClockOf(&self.ledger)) {
            Ok(policies) if policies.version == self.ledger.table().policies.version && self.quarantine.held().is_empty() => {
                tracing::info!(target: log::PROCESS, "policies reloaded; nothing changed");
                self.broken.store(false, Ordering::Relaxed);
                return true;
            }
            Ok(policies) => self.accept(policies).await.context("new policies could not be journaled"),
            Err(found) => Err(anyhow::anyhow!("{}", found.render(false).trim_end())),
        };
        self.broken.store(reloaded.is_err(), Ordering::Relaxed);
        let Err(error) = reloaded else { return true };
        tracing::error!(target: log::PROCESS, "policies were not reloaded; those before stay in force\n{error:#}");
        let refused = Event::PolicyRefused { reason: format!("{error:#}").into() };
        drop(announce(&self.ledger, refused).await);
        false
    }

    /// Reloads whenever the policy directory changes, until the gate stops.
    pub async fn watch(self: Arc<Self>, phase: watch::Receiver<Phase>) {
        let (tell, mut changed) = mpsc::channel(1);
        let first = tell.clone();
        let told = move |event: notify::Result<notify::Event>| {
            let matters = event.is_ok_and(|event| !event.kind.is_access());
            if matters {
                // Full is as good: a reload is due.
                let _ = tell.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(told).and_then(|mut watcher| {
            watcher.watch(&self.process.policies, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match &watcher {
            // What changed after the policies were loaded and before they were watched would be missed.
            Ok(_) => drop(first.try_send(())),
            Err(error) => tracing::warn!(target: log::PROCESS, %error, "the policy directory cannot be watched; SIGHUP reloads"),
        }
        let mut stopping = std::pin::pin!(stopping(phase));
        let mut thaws = tokio::time::interval(THAWS);
        loop {
            tokio::select! {
                _ = thaws.tick() => {
                    if self.quarantine.is_over(&self.ledger) {
                        self.reload().await;
                    }
                }
                Some(()) = changed.recv() => {
                    tokio::time::sleep(SETTLE).await;
                    while changed.try_recv().is_ok() {}
                    self.reload().await;
                }
                () = &mut stopping => return,
            }
        }
    }
}

/// Resolves when the gate begins to stop.
async fn stopping(mut phase: watch::Receiver<Phase>) {
    // A sender that is gone has stopped.
    let _ = phase.wait_for(|phase| *phase != Phase::Running).await;
}

struct ClockOf<'a>(&'a Ledger);

impl crate::clock::Clock for ClockOf<'_> {
    fn now(&self) -> crate::gate::time::Time {
        self.0.now()
    }
}
