//! `burngate.yaml`, read once to start by and again while the gate runs.

use std::path::{Path, PathBuf};

use crate::config::files::{LookUp, find_config};
use crate::config::{Diagnostic, Diagnostics, Process, Severity, process};

/// Where the process's configuration was read from, and what it said then.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    /// `None` where nothing was ever written down: there is nothing to read again.
    look_up: Option<LookUp>,
    file: Option<PathBuf>,
    said: Process,
}

impl Configured {
    /// Reads the file that `look_up` finds; the defaults where there is none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(look_up: LookUp) -> Result<Self, Diagnostics> {
        let found = find_config(&look_up)?;
        let said = process(found.as_ref())?;
        Ok(match found {
            // From here on it is this very file: one that is gone must not give way to another, or
            // to defaults that let anybody call.
            Some(found) => {
                let file = PathBuf::from(&*found.name);
                Configured {
                    look_up: Some(LookUp {
                        flag: Some(file.clone()),
                        ..LookUp::default()
                    }),
                    file: Some(file),
                    said,
                }
            }
            None => Configured {
                look_up: Some(look_up),
                file: None,
                said,
            },
        })
    }

    /// Reads it again. `None` where it never was in a file, and is in none now.
    ///
    /// # Errors
    /// What is wrong with it, or that it is gone.
    pub fn again(&self) -> Result<Option<Process>, Diagnostics> {
        let Some(look_up) = &self.look_up else {
            return Ok(None);
        };
        let Some(found) = find_config(look_up)? else {
            return Ok(None);
        };
        if self.file.is_some() && found.text.trim().is_empty() {
            // Half of a save, most likely: empty is also what lets any local caller in, and takes
            // every reviewer off the list.
            let mut empty = Diagnostics::default();
            empty.push(Diagnostic::without_place(
                Severity::Error,
                &found.name,
                "this file was written before, and is empty",
            ));
            return Err(empty);
        }
        process(Some(&found)).map(Some)
    }

    /// The file, where there was one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What it said when it was read first.
    #[must_use]
    pub const fn said(&self) -> &Process {
        &self.said
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_is_gone_or_empty_does_not_give_way_to_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("burngate.yaml");
        fs::write(&file, "workers: 2\n").unwrap();
        let look_up = LookUp {
            directory: dir.path().to_owned(),
            ..LookUp::default()
        };
        let configured = Configured::read(look_up.clone()).unwrap();
        assert_eq!(configured.again().unwrap().unwrap().workers, Some(2));
        fs::write(&file, " \n").unwrap();
        assert!(
            configured
                .again()
                .unwrap_err()
                .to_string()
                .contains("is empty")
        );
        fs::remove_file(&file).unwrap();
        assert!(
            configured
                .again()
                .unwrap_err()
                .to_string()
                .contains("no such file")
        );
        // One that comes later is read, where there was none.
        let nothing = Configured::read(look_up).unwrap();
        assert_eq!(nothing.file(), None);
        fs::write(&file, "workers: 3\n").unwrap();
        assert_eq!(nothing.again().unwrap().unwrap().workers, Some(3));
        assert!(Configured::default().again().unwrap().is_none());
    }
}
