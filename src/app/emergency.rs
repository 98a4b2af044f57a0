//! The last resorts: a file named `clamp` in the data directory, and SIGUSR2. Either clamps every
//! workflow to the emergency level of the configuration, for when the admin API cannot be reached or
//! nobody has a token at hand.
//!
//! Decides only when: a file that appears, or that is there at the start, clamps once. It is
//! journaled like any clamp, and lifted like any clamp: `release` lifts it, and nothing else, so
//! removing the file changes nothing. A file that is still there when the clamp is released shows
//! in the health report, and does not clamp again until the next start; otherwise the release would
//! be undone a moment later.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::phase::stopped;
use crate::api::operate::MAX_TEXT;
use crate::gate::name::{LevelName, PersonName};
use crate::ledger::Ledger;
use crate::ledger::people::outcome::WorkflowScope;
use crate::proxy::drain::Phase;
use crate::telemetry::log;

/// The file's name.
const FILE: &str = "clamp";
/// How often it is looked for: an operator who makes it waits no longer.
const LOOKS: Duration = Duration::from_millis(250);

/// Clamps everything.
pub struct Emergency {
    ledger: Arc<Ledger>,
    file: PathBuf,
    level: LevelName,
}

impl Emergency {
    /// Clamps `ledger` to `level`, for the file in the data directory `data`.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, data: &Path, level: LevelName) -> Self {
        Emergency {
            ledger,
            file: data.join(FILE),
            level,
        }
    }

    /// Where the file is, while it is there.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        // If the directory cannot be read, the file may be there.
        self.file
            .symlink_metadata()
            .map_or_else(
                |error| error.kind() != std::io::ErrorKind::NotFound,
                |_| true,
            )
            .then_some(&*self.file)
    }

    /// Clamps; it is in force when this returns. `by` names what asked for it.
    pub fn clamp(&self, by: &str, reason: &str) {
        match self.ledger.clamp(
            &WorkflowScope::All,
            &self.level,
            &PersonName::from(by),
            reason,
            None,
        ) {
            Ok(clamped) => {
                tracing::error!(
                    target: log::PROCESS,
                    by, ?reason, level = %self.level, in_flight = clamped.in_flight, unused_grants = clamped.grants, pending_approvals = clamped.pending,
                    "EMERGENCY: every workflow is clamped; `burngate release --all --reason TEXT` lifts it"
                );
                clamped.durable.then(|written| {
                    if !matches!(written, Some(Ok(()))) {
                        tracing::error!(target: log::PROCESS, "the emergency clamp is in force, and the journal did not take it: it is not known to survive a restart");
                    }
                });
            }
            Err(error) => {
                tracing::error!(target: log::PROCESS, %error, "EMERGENCY, and no workflow could be clamped: stop the gate");
            }
        }
    }

    /// Clamps if the file has appeared. Answers whether it is there.
    #[must_use]
    pub fn look(&self, was_there: bool) -> bool {
        let is_there = self.file().is_some();
        if is_there && !was_there {
            self.clamp("clamp file", &self.reason());
        }
        is_there
    }

    /// Looks for the file until the gate has stopped.
    pub async fn watch(self: Arc<Self>, was_there: bool, phase: watch::Receiver<Phase>) {
        let mut looks = tokio::time::interval(LOOKS);
        let mut was_there = was_there;
        let mut stopped = std::pin::pin!(stopped(phase));
        loop {
            tokio::select! {
                _ = looks.tick() => was_there = self.look(was_there),
                () = &mut stopped => return,
            }
        }
    }

    /// The file's text. One that has none, or is no plain file, clamps all the same.
    fn reason(&self) -> String {
        let mut text = Vec::new();
        // A pipe would keep the gate waiting for its other end.
        if self
            .file
            .metadata()
            .is_ok_and(|metadata| metadata.is_file())
            && let Ok(file) = File::open(&self.file)
        {
            let _ = file.take(4 * MAX_TEXT as u64).read_to_end(&mut text);
        }
        // Escapes of a terminal have no place in a reason.
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = String::from_utf8_lossy(&text)
            .trim()
            .chars()
            .map(plain)
            .take(MAX_TEXT)
            .collect();
        if text.is_empty() {
            format!(
                "the file `{}` is there, and gives no reason",
                self.file.display()
            )
        } else {
            text
        }
    }
}
