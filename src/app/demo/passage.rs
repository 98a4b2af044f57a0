//! What the demonstration shows, piece by piece. The command line decides how it looks.

use crate::api::workflow::WorkflowView;

/// A piece of the story.
#[derive(Debug, Clone, PartialEq)]
pub enum Passage {
    /// What this is.
    Title(&'static str),
    /// An act begins.
    Act(u8, &'static str),
    /// A paragraph.
    Text(String),
    /// What the agent called in a run, and what it got.
    Calls(Vec<CallReport>),
    /// Where the workflow stands, as the admin API says it.
    Status(Box<WorkflowView>),
    /// What to type in a second terminal: why, and the lines.
    Try(&'static str, Vec<String>),
    /// The story is over, and lines of [`Run`](Passage::Run) follow.
    RunHead,
    /// The story is over and the agent goes on: its latest run, what that got, and where the
    /// workflow stands after it.
    Run(String, CallReport, Box<WorkflowView>),
}

/// One call of the agent, and what it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallReport {
    /// The request line, without the route: `POST /refunds`.
    pub request: String,
    /// What for, in a few words.
    pub what: String,
    /// The status of the answer.
    pub status: u16,
    /// What the gate said: allow, hold or deny.
    pub verdict: String,
    /// What came of it, where the verdict does not say it.
    pub outcome: String,
}
