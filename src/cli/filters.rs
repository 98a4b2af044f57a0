//! Which runs are meant: one set of filters for looking them up, reporting them and taking them out.

use clap::Args;

use super::{
    client::{Client, query},
    failure::Failure,
    render::number::{counted, grouped},
};
use crate::api::run::{Run, Runs};

/// The most runs that one command changes.
pub(super) const MOST: usize = 1000;

/// Filters.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct Filters {
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

impl Filters {
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
        let mut pairs: Vec<_> = given.into_iter().filter_map(|(key, value)| value.clone().map(|value| (key, value))).collect();
        if self.ambiguous {
            pairs.push(("ambiguous", "true".to_owned()));
        }
        pairs
    }

    /// Every run that is meant, to be changed: where there are more than one command changes, or nobody said `--yes`, none is.
    pub(super) fn all(&self, client: &Client, yes: bool) -> Result<Vec<Run>, Failure> {
        if self.is_empty() {
            return Err(
                Failure::usage("which runs?").hint("name one with --run, or many with filters such as --workflow, --since and --tool together with --yes")
            );
        }
        let mut pairs = self.pairs();
        pairs.push(("limit", MOST.to_string()));
        let runs = client.get(&format!("/v1/runs{}", query(&pairs)))?.read::<Runs>()?.runs;
        let count = grouped(runs.len() as u64);
        match runs.len() {
            0 => Err(Failure::new("no run matches").hint("`burngate runs` with the same filters shows what there is")),
            // The answer may have been cut there, so that nobody knows what would be left out.
            MOST.. => Err(Failure::new(format!("{count} runs or more match, and one command changes fewer")).hint("narrow it down with --since and --until")),
            _ if !yes => Err(Failure::new(format!("{}; nothing was changed", counted(runs.len() as u64, "run matches", "runs match")))
                .hint("look at them with `burngate runs` and the same filters, then repeat this with --yes")),
            _ => Ok(runs),
        }
    }
}
