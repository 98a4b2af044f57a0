//! Where the demonstration keeps its files: a directory that nobody else can read, and that is gone
//! when it ends, however it ends.

use std::fs;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use uuid::Uuid;

/// A private directory, removed when it is dropped.
pub(super) struct DemoDirectory {
    root: PathBuf,
}

impl DemoDirectory {
    /// Makes one below the system's directory for temporary files.
    pub(super) fn make() -> anyhow::Result<Self> {
        let root = std::env::temp_dir().join(format!("burngate-demo-{}", Uuid::new_v4().simple()));
        // Others can guess where temporary files are: the name is random, must not exist, and
        // nobody else may look inside.
        DirBuilder::new()
            .mode(0o700)
            .create(&root)
            .with_context(|| format!("cannot make {}", root.display()))?;
        Ok(DemoDirectory { root })
    }

    /// The gate's data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The directory of the policies.
    pub(super) fn policies(&self) -> PathBuf {
        self.root.join("policies")
    }

    /// Writes a policy file.
    pub(super) fn write_policy(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let write = |directory: &Path| {
            fs::create_dir_all(directory).and_then(|()| fs::write(directory.join(name), text))
        };
        write(&self.policies())
            .with_context(|| format!("cannot write {name} in {}", self.policies().display()))
    }

    /// Removes it, and says so where that fails.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.root)
            .with_context(|| format!("cannot remove {}", self.root.display()))
    }
}

impl Drop for DemoDirectory {
    fn drop(&mut self) {
        // After `remove` it is gone already; after an error, that error is the one to report.
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_directory_is_private_and_gone_afterwards() {
        let (one, other) = (
            DemoDirectory::make().unwrap(),
            DemoDirectory::make().unwrap(),
        );
        assert_ne!(one.root, other.root);
        assert_eq!(
            fs::metadata(&one.root).unwrap().permissions().mode() & 0o777,
            0o700
        );
        one.write_policy("a.yaml", "api: a").unwrap();
        let (root, others) = (one.root.clone(), other.root.clone());
        one.remove().unwrap();
        drop(other);
        assert!(!root.exists() && !others.exists());
    }
}
