//! How much harm a tool can do, and how much a workflow is trusted to risk.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A tool's risk class. Risk belongs to the tool, whoever calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Looks, and changes nothing.
    Read,
    /// Changes something that is easily put right.
    Low,
    /// Changes something that others see.
    Medium,
    /// Moves money, reaches customers, or cannot be undone.
    High,
}

impl Risk {
    /// Every class, least first.
    pub const ALL: [Risk; 4] = [Risk::Read, Risk::Low, Risk::Medium, Risk::High];

    /// The class as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Risk::Read => "read",
            Risk::Low => "low",
            Risk::Medium => "medium",
            Risk::High => "high",
        }
    }

    /// A call of this class is durable in the journal before its first byte goes upstream.
    #[must_use]
    pub const fn is_risky(self) -> bool {
        matches!(self, Risk::Medium | Risk::High)
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A workflow's risk tier. It chooses the defaults of everything a policy leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Internal work whose mistakes stay inside.
    Low,
    /// Work that customers see.
    Medium,
    /// Work that moves money or cannot be undone.
    High,
}

impl Tier {
    /// The tier as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Tier::Low => "low",
            Tier::Medium => "medium",
            Tier::High => "high",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
