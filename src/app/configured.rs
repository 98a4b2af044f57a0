//! `burngate.yaml`, read at the start and again by every reload.

use std::path::{Path, PathBuf};

use crate::config::files::{LookUp, find_config};
use crate::config::{Diagnostic, Diagnostics, Process, Severity, process};

/// Where the process's configuration was read from, and what it was then.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    /// `None` if there never was a file to read again.
    look_up: Option<LookUp>,
    file: Option<PathBuf>,
    at_start: Process,
}

impl Configured {
    /// Reads the file that `look_up` finds; the defaults where there is none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(look_up: LookUp) -> Result<Self, Diagnostics> {
        let found = find_config(&look_up)?;
        let at_start = process(found.as_ref())?;
        Ok(match found {
            // Reloads read only this file: if it is removed, another one or the defaults, which let
            // any local caller in, must not take its place.
            Some(found) => {
                let file = PathBuf::from(&*found.name);
                Configured {
                    look_up: Some(LookUp {
                        flag: Some(file.clone()),
                        ..LookUp::default()
                    }),
                    file: Some(file),
                    at_start,
                }
            }
            None => Configured {
                look_up: Some(look_up),
                file: None,
                at_start,
            },
        })
    }

    /// Reads it again. `None` if there was no file, and there is none now.
    ///
    /// # Errors
    /// What is wrong with it, or that it is gone.
    pub fn read_again(&self) -> Result<Option<Process>, Diagnostics> {
        let Some(look_up) = &self.look_up else {
            return Ok(None);
        };
        let Some(found) = find_config(look_up)? else {
            return Ok(None);
        };
        if self.file.is_some() && found.text.trim().is_empty() {
            // Most likely a save in progress. An empty file would also let any local caller in, and
            // remove every reviewer.
            let mut empty = Diagnostics::default();
            empty.push(Diagnostic::without_location(
                Severity::Error,
                &found.name,
                "this file is empty, and was not when the gate started",
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

    /// The configuration as it was read at the start.
    #[must_use]
    pub const fn at_start(&self) -> &Process {
        &self.at_start
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
        assert_eq!(configured.read_again().unwrap().unwrap().workers, Some(2));
        fs::write(&file, " \n").unwrap();
        assert!(
            configured
                .read_again()
                .unwrap_err()
                .to_string()
                .contains("is empty")
        );
        fs::remove_file(&file).unwrap();
        assert!(
            configured
                .read_again()
                .unwrap_err()
                .to_string()
                .contains("no such file")
        );
        // One that comes later is read, where there was none.
        let nothing = Configured::read(look_up).unwrap();
        assert_eq!(nothing.file(), None);
        fs::write(&file, "workers: 3\n").unwrap();
        assert_eq!(nothing.read_again().unwrap().unwrap().workers, Some(3));
        assert!(Configured::default().read_again().unwrap().is_none());
    }
}
