//! What a policy says of work that was done before, of work that is undone, and of sums and counts:
//! the rules, and what they read of one call.
//!
//! What was done before is not known here. A [`DedupReading`](reading::DedupReading) says under
//! which texts a call's work is known and what it adds to which sums.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::condition::Condition;
use super::rule::Mode;
use crate::gate::dedup::Amount;
use crate::gate::location::SourceLocation;
use crate::gate::name::ToolName;
use crate::gate::time;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;

pub mod reading;

/// The most expressions of one key.
pub const MAX_PARTS: usize = 16;
/// The longest text that one part of a key gives, in bytes: a key names a piece of work, it does
/// not carry it.
pub const MAX_TEXT: usize = 4_096;
/// The most limits of one tool.
pub const MAX_LIMITS: usize = 16;

/// A tool's rules about what was done.
#[derive(Debug, Default, Serialize)]
pub struct DedupRules {
    /// When a call counts as done before.
    pub duplicate: Option<Duplicate>,
    /// Whose work it undoes.
    pub reverses: Option<Reverses>,
    /// Another tool undoes its work, for so long after it.
    #[serde(serialize_with = "millis")]
    pub reversed_within: Option<Duration>,
    /// Bounds on sums and counts.
    pub limits: Vec<Limit>,
}

impl DedupRules {
    /// Does any of them read `args`?
    #[must_use]
    pub fn reads_args(&self) -> bool {
        self.expressions().any(Condition::reads_args)
    }

    /// Every expression in them.
    pub fn expressions(&self) -> impl Iterator<Item = &Condition> {
        let key = self.duplicate.iter().flat_map(|duplicate| &duplicate.key);
        key.chain(self.limits.iter().filter_map(|limit| limit.sum.as_ref()))
    }

    /// Do they say nothing?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.duplicate.is_none()
            && self.reverses.is_none()
            && self.reversed_within.is_none()
            && self.limits.is_empty()
    }

    /// Does none of them act, because each is in shadow?
    #[must_use]
    pub fn is_all_shadow(&self, now: Time) -> bool {
        let mut modes = self
            .duplicate
            .iter()
            .map(|duplicate| duplicate.mode)
            .chain(self.limits.iter().map(|limit| limit.mode));
        self.reverses.is_none()
            && self.reversed_within.is_none()
            && modes.all(|mode| mode.is_shadow(now))
    }
}

/// When a call counts as done before.
#[derive(Debug, Serialize)]
pub struct Duplicate {
    /// Expressions that together identify the work.
    pub key: Vec<Condition>,
    /// For how long.
    #[serde(with = "time::millis")]
    pub within: Duration,
    /// What becomes of the second call.
    pub verdict: Twice,
    /// Whether it acts by itself.
    #[serde(skip_serializing_if = "Mode::enforces")]
    pub mode: Mode,
    /// Where it was written.
    #[serde(rename = "place")]
    pub location: SourceLocation,
}

/// What becomes of a call whose work was done before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Twice {
    /// It is refused.
    Deny,
    /// It goes, and is booked as duplicate work.
    Count,
}

impl Twice {
    /// The word as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Twice::Deny => "deny",
            Twice::Count => "count",
        }
    }
}

/// Whose work a tool undoes.
#[derive(Debug, Serialize)]
pub struct Reverses {
    /// The other tool.
    pub tool: ToolName,
    /// For how long after it.
    #[serde(with = "time::millis")]
    pub within: Duration,
    /// Where it was written.
    #[serde(rename = "place")]
    pub location: SourceLocation,
}

/// A bound on a sum or a count.
#[derive(Debug, Serialize)]
pub struct Limit {
    /// What is summed; `None` where calls are counted.
    pub sum: Option<Condition>,
    /// For whom.
    pub per: Per,
    /// Within which time.
    #[serde(with = "time::millis")]
    pub within: Duration,
    /// A call that would bring the sum above this is held.
    pub hold_above: Option<Amount>,
    /// A call that would bring the sum above this is denied.
    pub deny_above: Option<Amount>,
    /// Whether it acts by itself.
    #[serde(skip_serializing_if = "Mode::enforces")]
    pub mode: Mode,
    /// Where it was written.
    #[serde(rename = "place")]
    pub location: SourceLocation,
}

/// For whom a limit is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Each business object, whoever touches it.
    Subject,
    /// Each agent, in all its workflows.
    Agent,
    /// Each workflow.
    Workflow,
}

impl Per {
    /// The word as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Per::Subject => "subject",
            Per::Agent => "agent",
            Per::Workflow => "workflow",
        }
    }
}

impl Limit {
    /// What is summed, in one word that tells sums apart.
    #[must_use]
    pub fn counted(&self) -> &str {
        self.sum.as_ref().map_or("calls", Condition::source)
    }

    /// What it says of a sum that a call would bring about, and by which bound.
    #[must_use]
    pub fn says(&self, sum: Amount) -> Option<(Verdict, Amount)> {
        let above = |bound: Option<Amount>, verdict| {
            bound
                .filter(|bound| sum > *bound)
                .map(|bound| (verdict, bound))
        };
        above(self.deny_above, Verdict::Deny).or_else(|| above(self.hold_above, Verdict::Hold))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.sum.is_some() {
            "the sum of "
        } else {
            ""
        };
        let name = if self.sum.is_some() {
            format!("`{}`", self.counted())
        } else {
            self.counted().to_owned()
        };
        write!(
            f,
            "{what}{name} per {} within {}",
            self.per.as_str(),
            Spelled(self.within)
        )
    }
}

/// A window as it is written.
pub struct Spelled(pub Duration);

impl fmt::Display for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (count, unit) = [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
            .into_iter()
            // A day is written in hours: `24h` is what policies say.
            .find(|(size, _)| {
                seconds >= size * if *size == 86_400 { 2 } else { 1 }
                    && seconds.is_multiple_of(*size)
            })
            .map_or((seconds, 's'), |(size, unit)| (seconds / size, unit));
        write!(f, "{count}{unit}")
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn millis<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match span {
        Some(span) => time::millis::serialize(span, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests;
