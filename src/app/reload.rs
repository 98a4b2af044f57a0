//! Reloading: people, agents, certificates and policies. Each of these is applied as a whole or not
//! at all: if a file is broken, what was in force stays in force, and the log says where the mistake
//! is. None of them waits for another: a typing mistake in a policy must not leave a person who was
//! removed with the right to decide.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{Mutex, mpsc, watch};

use super::access::Access;
use super::announce::{announce, announce_held_back};
use super::configured::Configured;
use super::phase::stopping;
use super::quarantine::Quarantine;
use super::watched_files::WatchedFiles;
use crate::clock::Clock;
use crate::config;
use crate::config::{Diagnostics, Process};
use crate::gate::event::Event;
use crate::gate::policy::PolicySet;
use crate::ledger::Ledger;
use crate::proxy::drain::Phase;
use crate::telemetry::log;

/// Changes that come together are one reload: editors and Kubernetes write in several steps.
const SETTLE: Duration = Duration::from_millis(250);

/// How often it is checked whether something held back can take effect.
const THAWS: Duration = Duration::from_secs(1);

/// Why files are read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Somebody sent a signal or changed a file, and may look for a line in the log.
    Asked,
    /// Nobody did: the gate looks by itself.
    Due,
}

/// Reloads what may change while the gate runs.
pub struct Reload {
    ledger: Arc<Ledger>,
    access: Access,
    configured: Configured,
    policies: PathBuf,
    /// The configuration in force. Its lock lets one reload run at a time.
    turn: Mutex<Process>,
    /// What is held back while changes are frozen.
    quarantine: Quarantine,
    /// Whether the last reload failed, so that what is in force differs from the files.
    broken: AtomicBool,
}

impl Reload {
    /// Reloads what `configured` and the policies that `process` names say into `ledger` and
    /// `access`.
    #[must_use]
    pub fn new(
        ledger: Arc<Ledger>,
        access: Access,
        configured: Configured,
        process: Process,
    ) -> Self {
        let policies = process.policies.clone();
        Reload {
            ledger,
            access,
            configured,
            policies,
            turn: Mutex::new(process),
            quarantine: Quarantine::default(),
            broken: AtomicBool::new(false),
        }
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
        // What is held back may be all that is new; and what is no longer held back must be known
        // to be so.
        let is_new = table.entries.is_empty() || policies.version != table.policies.version;
        if is_new || (held_before && self.quarantine.held().is_empty()) {
            self.put_in_force(policies).await?;
        }
        announce_held_back(&self.ledger, &self.quarantine.held()).await
    }

    async fn put_in_force(&self, policies: Arc<PolicySet>) -> anyhow::Result<()> {
        let (version, terms) = (policies.version, Ledger::terms(&policies));
        let lowered = serde_json::json!({ "apis": policies.apis, "workflows": policies.workflows, "signals": policies.signals }).to_string();
        announce(
            &self.ledger,
            Event::PolicyAccepted {
                version,
                terms,
                policies: lowered.into(),
            },
        )
        .await?;
        self.ledger.install(policies).map_err(|workflow| {
            anyhow::anyhow!("the journal does not know workflow `{workflow}`")
        })?;
        tracing::info!(target: log::PROCESS, %version, "calls are judged by these policies");
        Ok(())
    }

    /// Reloads. True if everything in the files is in force, or held back by a freeze.
    pub async fn reload(&self) -> bool {
        self.reload_because(Cause::Asked).await
    }

    async fn reload_because(&self, cause: Cause) -> bool {
        let mut process = self.turn.lock().await;
        let reloaded = [
            ("people and agents", self.reload_access(&mut process).await),
            ("certificates", self.access.renew(&process).await),
            ("policies", self.reload_policies(&process, cause).await),
        ];
        let broken = reloaded.iter().any(|(_, reloaded)| reloaded.is_err());
        self.broken.store(broken, Ordering::Relaxed);
        for (what, reloaded) in reloaded {
            let Err(error) = reloaded else { continue };
            tracing::error!(target: log::PROCESS, "{what} were not reloaded; those before stay in force\n{error:#}");
            drop(
                announce(
                    &self.ledger,
                    Event::PolicyRefused {
                        reason: format!("{what}: {error:#}").into(),
                    },
                )
                .await,
            );
        }
        !broken
    }

    /// Applies who may call, decide and report, and which certificate files are used.
    async fn reload_access(&self, process: &mut Process) -> anyhow::Result<()> {
        let read = self
            .configured
            .read_again()
            .map_err(|found| anyhow::anyhow!("{}", found.render(false).trim_end()))?;
        let Some(read) = read else { return Ok(()) };
        for warning in &read.warnings {
            tracing::warn!(target: log::PROCESS, "{warning}");
        }
        for key in self.configured.at_start().needs_restart(&read) {
            tracing::warn!(target: log::PROCESS, key, "this key of burngate.yaml changed; the change takes effect at the next start");
        }
        anyhow::ensure!(
            process.agents.is_none() || read.agents.is_some(),
            "`agents` was removed from burngate.yaml, which would let any local caller in; that takes a restart, and until then nothing in the file is applied"
        );
        let tls = if process.tls.is_some() {
            read.tls.or_else(|| process.tls.clone())
        } else {
            None
        };
        let next = Process {
            agents: read.agents,
            reviewers: read.reviewers,
            tls,
            ..process.clone()
        };
        self.access.accept(&next).await?;
        *process = next;
        Ok(())
    }

    async fn reload_policies(&self, process: &Process, cause: Cause) -> anyhow::Result<()> {
        match load(&self.policies, process, &ClockOf(&self.ledger)) {
            Ok(policies)
                if policies.version == self.ledger.table().policies.version
                    && self.quarantine.held().is_empty() =>
            {
                if cause == Cause::Asked {
                    tracing::info!(target: log::PROCESS, "policies reloaded; nothing changed");
                }
                Ok(())
            }
            Ok(policies) => self
                .accept(policies)
                .await
                .context("new policies could not be journaled"),
            Err(found) => Err(anyhow::anyhow!("{}", found.render(false).trim_end())),
        }
    }

    /// Reloads whenever one of the files changes, until the gate stops.
    pub async fn watch(self: Arc<Self>, phase: watch::Receiver<Phase>) {
        let (notify, mut changed) = mpsc::channel(1);
        let mut watched = WatchedFiles::new(&self.policies, notify);
        let mut stopping = std::pin::pin!(stopping(phase));
        let mut thaws = tokio::time::interval(THAWS);
        // What is read first is what the start has just read.
        let mut cause = Cause::Due;
        loop {
            watched.add(self.files().await.iter().map(|file| &**file));
            tokio::select! {
                _ = thaws.tick() => {
                    if self.quarantine.is_over(&self.ledger) || self.access.is_over() {
                        self.reload_because(Cause::Due).await;
                    }
                }
                Some(()) = changed.recv() => {
                    tokio::time::sleep(SETTLE).await;
                    while changed.try_recv().is_ok() {}
                    self.reload_because(cause).await;
                    cause = Cause::Asked;
                }
                () = &mut stopping => return,
            }
        }
    }

    /// The files, besides the policies, that a reload reads.
    async fn files(&self) -> Vec<PathBuf> {
        let process = self.turn.lock().await;
        let certificates = process
            .tls
            .iter()
            .flat_map(|tls| [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()])
            .flatten()
            .map(PathBuf::as_path);
        self.configured
            .file()
            .into_iter()
            .chain(certificates)
            .map(Path::to_owned)
            .collect()
    }
}

/// The policies in `path`. Warnings are logged.
pub(super) fn load(
    path: &Path,
    process: &Process,
    clock: &dyn Clock,
) -> Result<Arc<PolicySet>, Diagnostics> {
    let loaded = config::files::load_from(&[path.to_owned()], process, clock.now())?;
    for warning in &loaded.warnings {
        tracing::warn!(target: log::PROCESS, "{warning}");
    }
    Ok(Arc::new(loaded.policies))
}

struct ClockOf<'a>(&'a Ledger);

impl Clock for ClockOf<'_> {
    fn now(&self) -> crate::gate::time::Time {
        self.0.now()
    }
}
