//! The operator's token: made at the first start, readable by its owner only, kept beside the
//! ledger.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use uuid::Uuid;

/// The file's name in the data directory.
pub const FILE: &str = "operator.token";
/// The largest file that is read as a token, in bytes.
const MAX_TOKEN: u64 = 1024;

/// The operator's token in `dir`, made where there is none. True where it was made.
pub fn read_or_make(dir: &Path) -> anyhow::Result<(String, bool)> {
    let path = dir.join(FILE);
    match File::open(&path) {
        Ok(file) => {
            let mut token = String::new();
            // One byte more shows that there are more.
            let read = file
                .take(MAX_TOKEN + 1)
                .read_to_string(&mut token)
                .with_context(|| format!("cannot read {}", path.display()))?;
            anyhow::ensure!(
                read as u64 <= MAX_TOKEN,
                "{} holds more than {MAX_TOKEN} bytes, which is no token\nhint: delete it, and the next start makes a new token",
                path.display()
            );
            let token = token.trim().to_owned();
            anyhow::ensure!(
                !token.is_empty(),
                "{} is empty\nhint: delete it, and the next start makes a new token",
                path.display()
            );
            Ok((token, false))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let token = make("bgop");
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(token.as_bytes())
                .and_then(|()| file.sync_all())
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok((token, true))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// SHA-256 of `token`, as `burngate.yaml` lists it.
#[must_use]
pub fn digest(token: &str) -> String {
    crate::admin::auth::digest(token).to_string()
}

/// A token that nobody has: two UUIDs, which are 244 random bits from the operating system.
#[must_use]
pub fn make(prefix: &str) -> String {
    format!(
        "{prefix}_{}{}",
        Uuid::new_v4().simple(),
        Uuid::new_v4().simple()
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let (token, made) = read_or_make(dir.path()).unwrap();
        assert!(made && token.len() > 64);
        assert_eq!(
            std::fs::metadata(dir.path().join(FILE))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        assert_eq!(read_or_make(dir.path()).unwrap(), (token, false));
        std::fs::write(dir.path().join(FILE), " \n").unwrap();
        assert!(read_or_make(dir.path()).is_err());
    }

    #[test]
    fn a_token_is_as_long_as_the_bound_and_a_longer_one_is_not_cut() {
        let dir = tempfile::tempdir().unwrap();
        let read = |length: u64| {
            let token = "t".repeat(usize::try_from(length).unwrap());
            std::fs::write(dir.path().join(FILE), &token).unwrap();
            read_or_make(dir.path()).map(|(read, made)| (read == token, made))
        };
        assert_eq!(read(MAX_TOKEN).unwrap(), (true, false));
        assert!(read(MAX_TOKEN + 1).is_err());
    }
}
