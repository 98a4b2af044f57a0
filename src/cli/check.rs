//! `burngate check`: are the policies and the configuration right?
//!
//! Findings go to standard error as a compiler's do; with `--json` they are the answer and go to
//! standard output.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use super::failure::{Exit, Failure};
use super::render::number::counted;
use super::render::{escape, when};
use super::{files, render};
use crate::config::files::{gather, load_from};
use crate::config::print::print;
use crate::config::{Diagnostic, Diagnostics, Loaded, Process, Severity};

/// Check policies and `burngate.yaml`, and print every finding
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # ./policies (or the directory that burngate.yaml names), and burngate.yaml
  burngate check
  # Only these files
  burngate check policies/tools.yaml policies/support-triage.yaml
  # The policies with every default filled in
  burngate check --print")]
pub(super) struct CheckArgs {
    /// Policy files or directories
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The configuration file, burngate.yaml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the policies as the gate reads them, with the tier's defaults filled in
    #[arg(long, conflicts_with = "json")]
    print: bool,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

impl CheckArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let checked = self.check();
        if self.json {
            render::show_json(&checked.json())?;
            return Ok(if checked.loaded.is_some() {
                Exit::Did
            } else {
                Exit::Failed
            });
        }
        let Some(loaded) = &checked.loaded else {
            return Err(Failure::found(checked.summary(), checked.findings));
        };
        checked
            .findings
            .iter()
            .for_each(|findings| render::to_stderr(&findings.render(true)));
        if self.print {
            let (files, _) = gather(&checked.paths);
            render::show(&print(&loaded.policies, &files))?;
        } else {
            render::show(&checked.right(loaded))?;
        }
        Ok(Exit::Did)
    }

    fn check(&self) -> CheckResult {
        let mut findings = Vec::new();
        // A `burngate.yaml` among the paths is the configuration, not a policy.
        let (configs, mut paths): (Vec<_>, Vec<_>) = self
            .paths
            .iter()
            .cloned()
            .partition(|path| path.file_name().is_some_and(|name| name == "burngate.yaml"));
        let process = match files::configuration(self.config.as_ref().or(configs.first())) {
            Ok(process) => {
                findings.push(process.warnings.clone());
                Some(process)
            }
            Err(found) => {
                findings.push(found);
                None
            }
        };
        let assumed = process.clone().unwrap_or_default();
        if paths.is_empty() {
            paths.push(assumed.policies.clone());
        }
        let loaded = self
            .load(&paths, &assumed, &mut findings)
            .filter(|_| process.is_some());
        findings.retain(|findings| !findings.is_empty());
        CheckResult {
            paths,
            loaded,
            findings,
        }
    }

    fn load(
        &self,
        paths: &[PathBuf],
        process: &Process,
        findings: &mut Vec<Diagnostics>,
    ) -> Option<Loaded> {
        if self.paths.is_empty() && !paths.iter().any(|path| path.exists()) {
            let missing = paths
                .first()
                .map(|path| path.display().to_string())
                .unwrap_or_default();
            let mut nothing = Diagnostic::without_location(
                Severity::Error,
                &missing,
                "no such file or directory",
            );
            nothing.hint("`burngate init` writes a first policy there; or name the files to check");
            let mut found = Diagnostics::default();
            found.push(nothing);
            findings.push(found);
            return None;
        }
        match load_from(paths, process, when::now()) {
            Ok(loaded) => {
                findings.push(loaded.warnings.clone());
                Some(loaded)
            }
            Err(found) => {
                findings.push(found);
                None
            }
        }
    }
}

/// What the check found.
struct CheckResult {
    paths: Vec<PathBuf>,
    loaded: Option<Loaded>,
    findings: Vec<Diagnostics>,
}

impl CheckResult {
    fn all(&self) -> impl Iterator<Item = &Diagnostic> {
        self.findings.iter().flatten()
    }

    fn count(&self, severity: Severity) -> u64 {
        self.all()
            .filter(|found| found.severity == severity)
            .count() as u64
    }

    /// `3 errors, 1 warning in 2 files`.
    fn summary(&self) -> String {
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let counts = [
            (errors, "error", "errors"),
            (warnings, "warning", "warnings"),
        ];
        let counts: Vec<_> = counts
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, more)| counted(count, one, more))
            .collect();
        let files: BTreeSet<_> = self
            .all()
            .map(|found| &found.file)
            .filter(|file| !file.is_empty())
            .collect();
        let files = if files.is_empty() {
            String::new()
        } else {
            format!(" in {}", counted(files.len() as u64, "file", "files"))
        };
        format!("{}{files}", counts.join(", "))
    }

    fn right(&self, loaded: &Loaded) -> String {
        let policies = &loaded.policies;
        let tools: usize = policies.apis.values().map(|api| api.tools.len()).sum();
        let counts = [
            counted(policies.workflows.len() as u64, "workflow", "workflows"),
            counted(policies.apis.len() as u64, "tool API", "tool APIs"),
            counted(tools as u64, "tool", "tools"),
        ];
        let warnings = if self.count(Severity::Warning) == 0 {
            "no findings".to_owned()
        } else {
            self.summary()
        };
        let version = policies.version.to_string();
        let remarks: Vec<_> = loaded
            .remarks
            .iter()
            .map(|remark| format!("note: {}\n", escape(remark)))
            .collect();
        format!(
            "ok: {}; {warnings}; policy version {}\n{}",
            counts.join(", "),
            version.get(..12).unwrap_or(&version),
            remarks.concat()
        )
    }

    fn json(&self) -> String {
        let version = self
            .loaded
            .as_ref()
            .map(|loaded| loaded.policies.version.to_string());
        let findings: Vec<_> = self.all().collect();
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let remarks = self
            .loaded
            .as_ref()
            .map(|loaded| loaded.remarks.clone())
            .unwrap_or_default();
        let answer = serde_json::json!({
            "ok": self.loaded.is_some(), "errors": errors, "warnings": warnings, "version": version, "findings": findings, "remarks": remarks,
        });
        format!("{answer:#}")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const API: &str =
        "api: a\nupstream: http://x\ntools:\n  - tool: t\n    match: GET /t\n    risk: read\n";

    fn check(files: &[(&str, &str)], paths: &[&str]) -> CheckResult {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let paths = paths.iter().map(|path| dir.path().join(path)).collect();
        // A configuration that is named, so that none is looked for where the tests run.
        fs::write(dir.path().join("empty.yml"), "").unwrap();
        let config = files
            .iter()
            .all(|(name, _)| *name != "burngate.yaml")
            .then(|| dir.path().join("empty.yml"));
        CheckArgs {
            paths,
            config,
            print: false,
            json: false,
        }
        .check()
    }

    #[test]
    fn what_is_right_is_said_in_a_line() {
        let checked = check(
            &[
                ("a.yaml", API),
                ("w.yaml", "workflow: w\nrisk: low\ntools: [a/t]\n"),
            ],
            &["a.yaml", "w.yaml"],
        );
        let said = checked.right(checked.loaded.as_ref().unwrap());
        assert!(
            said.starts_with("ok: 1 workflow, 1 tool API, 1 tool; no findings; policy version "),
            "{said}"
        );
    }

    #[test]
    fn findings_of_policies_and_configuration_are_counted_together() {
        let checked = check(
            &[
                ("a.yaml", API),
                ("w.yaml", "workflow: w\nrisk: lo\ntools: [a/x]\n"),
                ("burngate.yaml", "listn: x\n"),
            ],
            &["a.yaml", "w.yaml", "burngate.yaml"],
        );
        assert!(checked.loaded.is_none());
        assert_eq!(checked.summary(), "3 errors, 2 warnings in 3 files");
        let json: serde_json::Value = serde_json::from_str(&checked.json()).unwrap();
        assert_eq!(
            (
                json["ok"].as_bool(),
                json["errors"].as_u64(),
                json["findings"].as_array().unwrap().len()
            ),
            (Some(false), Some(3), 5)
        );
    }

    #[test]
    fn a_wrong_configuration_is_an_error_though_the_policies_are_right() {
        let checked = check(
            &[
                ("a.yaml", API),
                ("w.yaml", "workflow: w\nrisk: low\ntools: [a/t]\n"),
                ("burngate.yaml", "admin: nowhere\n"),
            ],
            &["a.yaml", "w.yaml", "burngate.yaml"],
        );
        assert!(checked.loaded.is_none());
        assert_eq!(checked.summary(), "1 error in 1 file");
    }
}
