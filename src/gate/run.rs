//! The words for one run: whose it is, whether its calls were executed, what went wrong with it,
//! and how it counts. Events, budgets and policies are built from these, and these from none of
//! them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name::{AgentName, CallId, PersonName, RunId, ToolName};
use super::outcome::{FailureMode, Outcome, Source};

/// One run: ids are scoped to workflow and agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunRef {
    /// Whose run.
    pub agent: AgentName,
    /// Its id.
    pub run: RunId,
}

/// Was a call executed?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Executed {
    /// The upstream answered it.
    Yes,
    /// Provably not one byte of it went upstream.
    No,
    /// It was sent and the answer was lost.
    Unknown,
}

impl Executed {
    /// In words, as the end of a sentence.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Executed::Yes => "executed",
            Executed::No => "not executed",
            Executed::Unknown => "sent, and the answer was lost",
        }
    }
}

/// What went wrong with a run, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The mode.
    pub mode: FailureMode,
    /// Where it comes from.
    pub source: Source,
    /// Who says so, where a person or a named system does.
    pub by: Option<PersonName>,
    /// The call it was seen on.
    pub call: Option<CallId>,
    /// The tool of that call.
    pub tool: Option<ToolName>,
    /// A note.
    pub note: Option<Arc<str>>,
    /// The reporter's reference: the same one twice is one report.
    pub reference: Option<Arc<str>>,
}

/// How a run counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It does not count.
    Idle,
    /// It counts and was acceptable.
    Acceptable,
    /// It counts and was not.
    Unacceptable,
    /// An operator took it out.
    Excluded,
}

impl Mark {
    /// The mark as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Mark::Idle => "idle",
            Mark::Acceptable => "acceptable",
            Mark::Unacceptable => "unacceptable",
            Mark::Excluded => "excluded",
        }
    }

    /// The run's outcome: an idle run has nothing to reproach it with.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Mark::Idle | Mark::Acceptable => Outcome::Acceptable,
            Mark::Unacceptable => Outcome::Unacceptable,
            Mark::Excluded => Outcome::Excluded,
        }
    }
}
