//! `burngate init`: the first policy.
//!
//! Nothing is overwritten, and nothing is written that would not load: a name that no policy may
//! have never becomes the name of a file.

use std::fs;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::client::in_words;
use super::failure::{Exit, Failure};
use super::render;
use super::render::{escape, when};
use crate::app::fetch::fetch;
use crate::config::diagnostics::Notes;
use crate::config::files::read_attachment;
use crate::config::openapi::OpenApiDocument;
use crate::config::starter::{Wanted, api_name, default_target_ppm, starter, starter_from};
use crate::config::{Diagnostics, Process, SourceFile, load};
use crate::gate::risk::Tier;

mod achieved;

/// Write a first policy: a tool API and a workflow, with comments
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # A policy with example tools to replace
  burngate init --workflow support-triage --risk medium \\
      --upstream http://127.0.0.1:3000 --expected-runs 10000
  # A tool for each operation of an OpenAPI document (a file or a URL)
  burngate init --workflow support-triage --risk medium \\
      --openapi shop.openapi.yaml
  # A target that past runs bear out
  burngate init --from 2026.jsonl --risk medium --upstream http://127.0.0.1:3000")]
pub(super) struct InitArgs {
    /// The workflow's name; may be left out with --from if the history has only one workflow
    #[arg(long, value_name = "NAME", required_unless_present = "from")]
    workflow: Option<String>,
    /// How much harm the workflow can do; every default follows from it
    #[arg(long)]
    risk: RiskArg,
    /// The URL of the tool API [default, with --openapi: the document's first server]
    #[arg(long, value_name = "URL", required_unless_present = "openapi")]
    upstream: Option<String>,
    /// An OpenAPI document of the API (3.0 or 3.1): every operation becomes a tool, with a guess at
    /// its risk; a copy is put beside the policies
    #[arg(long, value_name = "FILE|URL")]
    openapi: Option<String>,
    /// How many runs are expected in 30 days
    #[arg(long, value_name = "N")]
    expected_runs: Option<u64>,
    /// A history (one JSON object a line, as for `import`): proposes the target and the number of
    /// expected runs from it
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The directory to write to
    #[arg(long, value_name = "DIR", default_value = "policies")]
    policies: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RiskArg {
    /// Internal work whose mistakes stay inside
    Low,
    /// Work that customers see
    Medium,
    /// Work that moves money or cannot be undone
    High,
}

impl From<RiskArg> for Tier {
    fn from(risk: RiskArg) -> Self {
        match risk {
            RiskArg::Low => Tier::Low,
            RiskArg::Medium => Tier::Medium,
            RiskArg::High => Tier::High,
        }
    }
}

impl InitArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        render::show(&self.write()?)?;
        Ok(Exit::Did)
    }

    /// Writes the files and says what to do next.
    fn write(&self) -> Result<String, Failure> {
        let tier: Tier = self.risk.into();
        let (workflow, proposal) = match &self.from {
            None => (self.workflow.clone().unwrap_or_default(), None),
            Some(history) => {
                let (workflow, achieved) = achieved::read(history, self.workflow.as_deref(), tier)?;
                (
                    workflow,
                    achieved.proposal(self.expected_runs, default_target_ppm(tier)),
                )
            }
        };
        let upstream = self.upstream.as_deref().unwrap_or_default();
        let wanted = Wanted {
            workflow: &workflow,
            risk: tier,
            upstream,
            expected_runs: self.expected_runs,
            proposal: proposal.as_ref(),
        };
        let drafted = self
            .openapi
            .as_deref()
            .map(|from| draft(from, wanted))
            .transpose()?;
        let files = match &drafted {
            Some(files) => files.clone(),
            None => starter(
                &workflow,
                tier,
                upstream,
                self.expected_runs,
                proposal.as_ref(),
            ),
        };
        check(&files)?;
        write(&self.policies, &files)?;
        Ok(next(&self.policies, &files, drafted.is_some()))
    }
}

/// The files for the API that the document at `from` describes, a copy of it among them.
fn draft(from: &str, wanted: Wanted<'_>) -> Result<Vec<(String, String)>, Failure> {
    let is_address = from.starts_with("http://") || from.starts_with("https://");
    let text = if is_address {
        fetch(from).map_err(|error| {
            Failure::new(format!("cannot fetch {}: {error:#}", escape(from)))
                .hint("download the document yourself, and name the file")
        })?
    } else {
        read_attachment(Path::new(from)).map_err(|found| {
            Failure::found(
                "the document cannot be read; nothing was written",
                vec![found],
            )
        })?
    };
    let ending = if text.trim_start().starts_with('{') {
        "json"
    } else {
        "yaml"
    };
    let name = format!("{}.openapi.{ending}", api_name(wanted.workflow));
    let source = SourceFile::new(name.as_str(), text.as_str());
    let document = OpenApiDocument::read(&source).map_err(|fault| {
        // The place is in the file that was typed, not in the copy that is not written.
        let typed = SourceFile::new(from, text.as_str());
        let mut notes = Notes::on(&typed);
        let span = fault.span.clone().unwrap_or(0..0);
        notes
            .error(span, fault.message.clone())
            .hint(fault.hint.clone());
        let mut found = Diagnostics::about(std::slice::from_ref(&typed));
        found.extend(notes.into_found());
        Failure::found(
            "the document cannot be used; nothing was written",
            vec![found],
        )
    })?;
    if document.operations().is_empty() {
        return Err(
            Failure::new(format!("{} describes no operation", escape(from)))
                .hint("its `paths` are empty; leave --openapi out for a policy with examples"),
        );
    }
    let upstream = match (wanted.upstream, document.server()) {
        ("", Some(server)) => server,
        ("", None) => {
            return Err(
                Failure::usage(format!("{} does not say where the API is", escape(from)))
                    .hint("say it with --upstream, such as --upstream http://127.0.0.1:3000"),
            );
        }
        (upstream, _) => upstream,
    };
    let mut files = starter_from(&document, &name, &Wanted { upstream, ..wanted });
    files.push((name, text));
    Ok(files)
}

fn check(files: &[(String, String)]) -> Result<(), Failure> {
    let sources: Vec<_> = files
        .iter()
        .map(|(name, text)| SourceFile::new(name.as_str(), text.as_str()))
        .collect();
    match load(&sources, &Process::default(), when::now()) {
        Ok(_) => Ok(()),
        Err(found) => Err(Failure::found(
            "no policy can be written with these values; nothing was written",
            vec![found],
        )),
    }
}

fn write(directory: &Path, files: &[(String, String)]) -> Result<(), Failure> {
    let cannot =
        |path: &Path, why: &str| Failure::new(format!("cannot write {}: {why}", path.display()));
    if let Some((name, _)) = files
        .iter()
        .find(|(name, _)| directory.join(name).symlink_metadata().is_ok())
    {
        return Err(cannot(&directory.join(name), "it exists already").hint(
            "nothing is overwritten: move it away, or choose another directory with --policies",
        ));
    }
    if directory.exists() && !directory.is_dir() {
        return Err(cannot(directory, "it is not a directory")
            .hint("choose another directory with --policies"));
    }
    fs::create_dir_all(directory).map_err(|error| cannot(directory, &in_words(&error)))?;
    for (name, text) in files {
        let path = directory.join(name);
        // Created, never opened: what appeared there since the look above is somebody's too.
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| cannot(&path, &in_words(&error)))?;
    }
    Ok(())
}

fn next(directory: &Path, files: &[(String, String)], drafted: bool) -> String {
    let shown = escape(&directory.display().to_string());
    let paths: Vec<_> = files
        .iter()
        .map(|(name, _)| escape(&directory.join(name).display().to_string()))
        .collect();
    let api = files
        .first()
        .map_or("", |(name, _)| name.trim_end_matches(".yaml"));
    let flag = if shown == "policies" {
        String::new()
    } else {
        format!(" --policies {shown}")
    };
    let path = if shown == "policies" {
        String::new()
    } else {
        format!(" {shown}")
    };
    format!(
        "wrote {}\n\nnext:\n  1. {} {}\n  2. burngate check{path}\n  3. burngate run{flag}\n  4. let the agent call http://127.0.0.1:8080/{api} instead of the API\n",
        paths.join(" and "),
        if drafted {
            "read every risk that was guessed, and delete the tools that your agent does not need, in"
        } else {
            "describe the tools of your API in"
        },
        paths.first().map_or("", String::as_str),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init(directory: &Path, workflow: &str) -> InitArgs {
        InitArgs {
            workflow: Some(workflow.to_owned()),
            from: None,
            risk: RiskArg::Medium,
            upstream: Some("http://127.0.0.1:3000".to_owned()),
            expected_runs: Some(10_000),
            openapi: None,
            policies: directory.to_owned(),
        }
    }

    #[test]
    fn a_first_policy_is_written_and_never_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let policies = dir.path().join("policies");
        init(&policies, "support-triage").write().unwrap();
        let before = fs::read_to_string(policies.join("support-triage.yaml")).unwrap();
        let failure = init(&policies, "support-triage").write().unwrap_err();
        assert!(
            failure.message.ends_with("it exists already") && failure.hint.is_some(),
            "{failure}"
        );
        assert_eq!(
            fs::read_to_string(policies.join("support-triage.yaml")).unwrap(),
            before
        );
    }

    #[test]
    fn a_name_that_is_none_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["../escape", "", "a\nb: c", "a/b"] {
            let failure = init(&dir.path().join("policies"), name)
                .write()
                .unwrap_err();
            assert!(!failure.findings.is_empty(), "{name:?}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_document_becomes_tools_with_a_copy_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let (file, policies) = (dir.path().join("shop.yaml"), dir.path().join("policies"));
        let of = |text: &str, upstream: Option<&str>| {
            fs::write(&file, text).unwrap();
            InitArgs {
                openapi: Some(file.display().to_string()),
                upstream: upstream.map(str::to_owned),
                ..init(&policies, "triage")
            }
            .write()
        };
        let failure = of("swagger: '2.0'\n", None).unwrap_err();
        assert!(
            failure.findings[0]
                .to_string()
                .contains("shop.yaml:1:1: this is Swagger 2.0, which is not supported"),
            "{failure}"
        );
        assert!(
            of("openapi: 3.1.0\npaths: {}\n", None)
                .unwrap_err()
                .message
                .contains("describes no operation")
        );
        let document = "openapi: 3.1.0\npaths: { /refunds: { post: { operationId: refund } } }\n";
        assert!(
            of(document, None)
                .unwrap_err()
                .message
                .contains("does not say where the API is")
        );
        assert!(!policies.exists());
        let said = of(document, Some("http://127.0.0.1:3000")).unwrap();
        assert!(said.contains("read every risk that was guessed"), "{said}");
        assert_eq!(
            fs::read_to_string(policies.join("tools.openapi.yaml")).unwrap(),
            document
        );
        assert!(
            fs::read_to_string(policies.join("tools.yaml"))
                .unwrap()
                .contains(
                    "risk: high                    # a guess: \"refunds\" moves money, it seems"
                )
        );
    }

    #[test]
    fn the_next_steps_are_commands() {
        insta::assert_snapshot!(next(Path::new("policies"), &starter("triage", Tier::Low, "http://x", None, None), false), @r"
        wrote policies/tools.yaml and policies/triage.yaml

        next:
          1. describe the tools of your API in policies/tools.yaml
          2. burngate check
          3. burngate run
          4. let the agent call http://127.0.0.1:8080/tools instead of the API
        ");
        insta::assert_snapshot!(next(Path::new("mine"), &starter("triage", Tier::Low, "http://x", None, None), false), @r"
        wrote mine/tools.yaml and mine/triage.yaml

        next:
          1. describe the tools of your API in mine/tools.yaml
          2. burngate check mine
          3. burngate run --policies mine
          4. let the agent call http://127.0.0.1:8080/tools instead of the API
        ");
    }
}
