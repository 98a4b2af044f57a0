//! Which runs: one set of filters for looking them up, reporting them and taking them out.

use clap::Args;

use super::client::GateAnswer;
use super::failure::{Exit, Failure};
use super::render;
use super::render::escape;
use super::render::number::{counted, grouped};
use crate::api::report::{BatchResult, RunSelection};

/// Filters.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct FilterArgs {
    /// Of this workflow
    #[arg(short, long)]
    pub workflow: Option<String>,
    /// Booked at or after: RFC 3339, or how long ago, such as 1d
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Booked before: RFC 3339, or how long ago
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
    /// With a call of this tool, as api/tool
    #[arg(long)]
    pub tool: Option<String>,
    /// With a call that touched this business object
    #[arg(long)]
    pub subject: Option<String>,
    /// With this outcome
    #[arg(long, value_parser = ["acceptable", "unacceptable", "excluded"])]
    pub outcome: Option<String>,
    /// With a call that was sent and whose answer was lost
    #[arg(long)]
    pub ambiguous: bool,
}

impl FilterArgs {
    /// Is nothing filtered?
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.pairs().is_empty()
    }

    /// As the API's query has them.
    #[must_use]
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("workflow", &self.workflow),
            ("since", &self.since),
            ("until", &self.until),
            ("tool", &self.tool),
            ("subject", &self.subject),
            ("outcome", &self.outcome),
        ];
        let mut pairs: Vec<_> = given
            .into_iter()
            .filter_map(|(key, value)| value.clone().map(|value| (key, value)))
            .collect();
        if self.ambiguous {
            pairs.push(("ambiguous", "true".to_owned()));
        }
        pairs
    }

    /// As a report's or an exclusion's body has them.
    #[must_use]
    pub(super) fn filter(&self) -> RunSelection {
        RunSelection {
            workflow: self.workflow.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            tool: self.tool.clone(),
            subject: self.subject.clone(),
            outcome: self.outcome.clone(),
            mode: None,
            ambiguous: self.ambiguous,
        }
    }
}

/// The error if no flag says which runs.
pub(super) fn which() -> Failure {
    Failure::usage("no run was named").hint("name one with --run, or many with filters such as --workflow, --since and --tool together with --yes")
}

/// What a batch would change, if it is repeated with `--yes`.
fn unconfirmed(batch: &BatchResult) -> Failure {
    if batch.matched == 0 {
        return Failure::new("no run matches")
            .hint("`burngate runs` with the same filters shows what there is");
    }
    Failure::new(format!(
        "{}{}; nothing was changed",
        counted(batch.matched, "run matches", "runs match"),
        by_workflow(batch)
    ))
    .hint("look at them with `burngate runs` and the same filters, then repeat this with --yes")
}

/// Prints what a change of many runs did, or says what it would do. `done` says what happened to
/// the runs, such as `reported`; `undo` is the command that takes it back, where there is one.
pub(super) fn show_batch(
    answer: &GateAnswer,
    json: bool,
    done: &str,
    undo: &str,
) -> Result<Exit, Failure> {
    let result: BatchResult = answer.read()?;
    if !result.applied {
        return Err(unconfirmed(&result));
    }
    if json {
        render::show_json(answer.json())?;
    } else {
        render::show_page(&batch(&result, done, undo))?;
    }
    Ok(Exit::Did)
}

/// What a batch changed: how many runs were `done`, such as `reported`.
#[must_use]
pub(super) fn batch(batch: &BatchResult, done: &str, undo: &str) -> String {
    let changed = batch.workflows.values().sum();
    let mut text = format!(
        "{} {done}{}",
        counted(changed, "run", "runs"),
        by_workflow(batch)
    );
    if batch.repeated > 0 {
        text = format!(
            "{text}; {} as before",
            counted(batch.repeated, "run stands", "runs stand")
        );
    }
    match batch.batch.as_deref().filter(|_| !undo.is_empty()) {
        Some(id) => format!(
            "{text}\nbatch {}; `burngate {undo} --batch {}` takes it back\n",
            escape(id),
            escape(id)
        ),
        None => format!("{text}\n"),
    }
}

fn by_workflow(batch: &BatchResult) -> String {
    let counts: Vec<_> = batch
        .workflows
        .iter()
        .map(|(workflow, count)| format!("{} {}", escape(workflow), grouped(*count)))
        .collect();
    if counts.is_empty() {
        String::new()
    } else {
        format!(" ({})", counts.join(", "))
    }
}
