//! Files whose change is a reason to reload: the policies, `burngate.yaml`, and certificates.
//!
//! Directories are watched, because editors and Kubernetes replace files instead of writing to
//! them. Of the policies' directory everything matters; of any other only the files that were
//! added, and the link by which Kubernetes swaps all of a volume.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::Sender;

use crate::telemetry::log;

/// What Kubernetes renames when a volume of a `ConfigMap` or a secret changes.
const VOLUME: &str = "..data";

/// Watches files, and reports that something changed.
pub struct WatchedFiles {
    watcher: notify::Result<RecommendedWatcher>,
    files: Arc<ArcSwap<BTreeSet<OsString>>>,
    directories: BTreeSet<PathBuf>,
}

impl WatchedFiles {
    /// Sends to `changed` when something in the directory of the `policies` changes, or one of the
    /// files that are added later.
    #[must_use]
    pub fn new(policies: &Path, changed: Sender<()>) -> Self {
        let files = Arc::new(ArcSwap::from_pointee(BTreeSet::new()));
        let (directory, named) = (
            std::path::absolute(policies).unwrap_or_else(|_| policies.to_owned()),
            Arc::clone(&files),
        );
        let first = changed.clone();
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| {
                !event.kind.is_access()
                    && (event.paths.is_empty()
                        || event
                            .paths
                            .iter()
                            .any(|path| matters(path, &directory, &named.load())))
            }) {
                // A full channel is fine: a reload is due already.
                let _ = changed.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(on_event).and_then(|mut watcher| {
            watcher.watch(policies, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match &watcher {
            // What changed after the policies were loaded and before they were watched would be
            // missed.
            Ok(_) => drop(first.try_send(())),
            Err(error) => {
                tracing::warn!(target: log::PROCESS, %error, "the policy directory cannot be watched; SIGHUP reloads");
            }
        }
        WatchedFiles {
            watcher,
            files,
            directories: BTreeSet::from([policies.to_owned()]),
        }
    }

    /// Watches these `files` as well, instead of those that were added before.
    pub fn add<'f>(&mut self, files: impl IntoIterator<Item = &'f Path>) {
        let Ok(watcher) = &mut self.watcher else {
            return;
        };
        let mut names = BTreeSet::new();
        for file in files {
            names.extend(file.file_name().map(OsStr::to_owned));
            let directory = file
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .unwrap_or_else(|| Path::new("."));
            if self.directories.insert(directory.to_owned())
                && let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive)
            {
                tracing::warn!(target: log::PROCESS, %error, file = %file.display(), "changes of this file are not noticed; SIGHUP reloads");
            }
        }
        self.files.store(Arc::new(names));
    }
}

fn matters(path: &Path, policies: &Path, files: &BTreeSet<OsString>) -> bool {
    let is_named = |name: &OsStr| name == VOLUME || files.contains(name);
    path == policies || path.parent() == Some(policies) || path.file_name().is_some_and(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_other_directories_only_what_was_named_matters() {
        let files = BTreeSet::from([OsString::from("burngate.yaml")]);
        let matters =
            |path: &str| matters(Path::new(path), Path::new("/etc/burngate/policies"), &files);
        for path in [
            "/etc/burngate/policies",
            "/etc/burngate/policies/shop.yaml",
            "/etc/burngate/burngate.yaml",
            "/etc/burngate/..data",
        ] {
            assert!(matters(path), "{path}");
        }
        for path in [
            "/etc/burngate/gate.log",
            "/etc/burngate/burngate.yaml~",
            "/etc/burngate",
        ] {
            assert!(!matters(path), "{path}");
        }
    }
}
