//! Finds `burngate.yaml`, for the commands that read it.

use std::env;
use std::path::PathBuf;

use crate::app::Configured;
use crate::config::files::LookUp;
use crate::config::{Diagnostics, Process};

/// The process's configuration: the file named by `flag`, or the first that the look-up finds, or
/// the defaults.
pub(super) fn configuration(flag: Option<&PathBuf>) -> Result<Process, Diagnostics> {
    configured(flag).map(|configured| configured.at_start().clone())
}

/// The same, and where to read it again.
pub(super) fn configured(flag: Option<&PathBuf>) -> Result<Configured, Diagnostics> {
    let variable = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let look_up = LookUp {
        flag: flag.cloned(),
        variable: variable("BURNGATE_CONFIG"),
        directory: PathBuf::new(),
        config_home: variable("XDG_CONFIG_HOME"),
    };
    Configured::read(look_up)
}
