//! What one rule says of a call: its name, its verdict, and why (G8).

use std::fmt;

use serde::Serialize;

use super::schema::Violation;
use crate::gate::location::SourceLocation;
use crate::gate::outcome::FailureMode;
use crate::gate::verdict::Verdict;

/// A rule's name, as refusals, logs and `explain` give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleName {
    /// The tool is not among the workflow's.
    Unlisted,
    /// The tool's schema.
    Arguments,
    /// The tool is forbidden.
    Forbidden,
    /// The tool's `deny_when`.
    DenyWhen,
    /// The effective level's verdict for the tool's risk.
    Level,
    /// Strict validation: a tool without a schema.
    Validation,
    /// The tool's `hold_when`.
    HoldWhen,
    /// The tool's `escalate_when`.
    EscalateWhen,
    /// The run escalated before: a person has its case now.
    Escalated,
    /// The tool's ceiling.
    Always,
    /// A reviewer's denial that stands.
    Denied,
    /// The same call again and again in one run.
    Loop,
    /// A cap on calls per time.
    Volume,
    /// A cap on calls in flight.
    Concurrency,
    /// As many risky runs are under way as the budget has room for.
    Exposure,
    /// The tool's `duplicate`: done already, or under way.
    Duplicate,
    /// The agent's idempotency key.
    Idempotency,
    /// The tool's `limits`.
    Limits,
}

impl RuleName {
    /// The name as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RuleName::Unlisted => "unlisted",
            RuleName::Arguments => "arguments",
            RuleName::Forbidden => "forbidden",
            RuleName::DenyWhen => "deny_when",
            RuleName::Level => "level",
            RuleName::Validation => "validation",
            RuleName::HoldWhen => "hold_when",
            RuleName::EscalateWhen => "escalate_when",
            RuleName::Escalated => "escalated",
            RuleName::Always => "always",
            RuleName::Denied => "denied",
            RuleName::Loop => "loop",
            RuleName::Volume => "volume",
            RuleName::Concurrency => "concurrency",
            RuleName::Exposure => "exposure",
            RuleName::Duplicate => "duplicate",
            RuleName::Idempotency => "idempotency",
            RuleName::Limits => "limits",
        }
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What one rule says of a call, where it does not allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it says.
    pub verdict: Verdict,
    /// Which rule.
    pub rule: RuleName,
    /// Where it was written.
    pub location: Option<SourceLocation>,
    /// Why, as a sentence without its full stop.
    pub detail: String,
    /// How the arguments fail the schema.
    pub violations: Vec<Violation>,
    /// An operator's clamp binds: it acts in shadow too.
    pub clamped: bool,
    /// The rule itself is in shadow: what it says neither acts nor costs.
    pub in_shadow: bool,
}

impl Finding {
    pub(super) fn new(
        verdict: Verdict,
        rule: RuleName,
        location: &SourceLocation,
        detail: impl Into<String>,
    ) -> Self {
        Finding {
            location: Some(location.clone()),
            ..Finding::nowhere(verdict, rule, detail)
        }
    }

    /// A finding of a rule that is not written anywhere.
    #[must_use]
    pub fn nowhere(verdict: Verdict, rule: RuleName, detail: impl Into<String>) -> Self {
        Finding {
            verdict,
            rule,
            location: None,
            detail: detail.into(),
            violations: Vec::new(),
            clamped: false,
            in_shadow: false,
        }
    }

    /// The mode that being stopped by this rule books at once. Arguments that a schema stops are a
    /// mistake, not yet a failure; what a level, a ceiling or a reviewer stops costs nothing (G6),
    /// and neither does what a rule says that is only tried out.
    #[must_use]
    pub const fn books(&self) -> Option<FailureMode> {
        if self.in_shadow {
            return None;
        }
        match (self.verdict, self.rule) {
            (Verdict::Deny, RuleName::Forbidden | RuleName::DenyWhen) => {
                Some(FailureMode::PolicyViolation)
            }
            _ => None,
        }
    }
}

/// The request gives something that a condition reads in a way that two readers could read
/// differently: 400, and nothing is booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(pub String);
