//! How a run turned out, and in which ways it can go wrong.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A way in which a run can go wrong. The built-in modes, or one that a policy names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Arc<str>", into = "Arc<str>")]
pub enum FailureMode {
    /// The agent did the wrong thing.
    WrongAction,
    /// The agent read the case wrongly.
    Misclassified,
    /// It should have called a person and did not.
    MissedEscalation,
    /// A person had to correct it materially.
    MajorCorrection,
    /// Work was done twice.
    DuplicateWork,
    /// The work did not reach whoever had to go on with it.
    BrokenHandoff,
    /// No answer in time.
    Timeout,
    /// The arguments did not fit the tool.
    WrongArguments,
    /// A rule forbade it.
    PolicyViolation,
    /// The tool failed.
    ToolError,
    /// A mode that a policy names.
    Named(Arc<str>),
}

impl FailureMode {
    /// Every built-in mode.
    pub const BUILT_IN: [FailureMode; 10] = [
        FailureMode::WrongAction,
        FailureMode::Misclassified,
        FailureMode::MissedEscalation,
        FailureMode::MajorCorrection,
        FailureMode::DuplicateWork,
        FailureMode::BrokenHandoff,
        FailureMode::Timeout,
        FailureMode::WrongArguments,
        FailureMode::PolicyViolation,
        FailureMode::ToolError,
    ];

    /// The mode as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            FailureMode::WrongAction => "wrong_action",
            FailureMode::Misclassified => "misclassified",
            FailureMode::MissedEscalation => "missed_escalation",
            FailureMode::MajorCorrection => "major_correction",
            FailureMode::DuplicateWork => "duplicate_work",
            FailureMode::BrokenHandoff => "broken_handoff",
            FailureMode::Timeout => "timeout",
            FailureMode::WrongArguments => "wrong_arguments",
            FailureMode::PolicyViolation => "policy_violation",
            FailureMode::ToolError => "tool_error",
            FailureMode::Named(name) => name,
        }
    }
}

impl From<&str> for FailureMode {
    fn from(text: &str) -> Self {
        Self::BUILT_IN
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .unwrap_or_else(|| FailureMode::Named(text.into()))
    }
}

impl From<Arc<str>> for FailureMode {
    fn from(text: Arc<str>) -> Self {
        Self::from(&*text)
    }
}

impl From<FailureMode> for Arc<str> {
    fn from(mode: FailureMode) -> Self {
        mode.as_str().into()
    }
}

impl fmt::Display for FailureMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a run turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Within acceptable quality and control bounds.
    Acceptable,
    /// At least one mode that the objective counts.
    Unacceptable,
    /// Taken out of the budget by an operator, with a reason on record.
    Excluded,
}

impl Outcome {
    /// The outcome as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Acceptable => "acceptable",
            Outcome::Unacceptable => "unacceptable",
            Outcome::Excluded => "excluded",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who says that something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Seen on the wire by the gate.
    Wire,
    /// The agent, of its own run; only ever for the worse (G11).
    Agent,
    /// A person.
    Person,
    /// Another system.
    System,
}

impl Source {
    /// The source as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Wire => "wire",
            Source::Agent => "agent",
            Source::Person => "person",
            Source::System => "system",
        }
    }
}
