//! What a policy says of work that was done before, of work that is undone, and of sums and counts:
//! the rules, and what they read of one call.
//!
//! What was done before is not known here. A [`Reading`] says under which texts a call's work is
//! known and what it adds to which sums; an expression that gives no answer holds the call (G3).

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::condition::Undecided;
use super::facts::Facts;
use super::judge::{Finding, RuleName, Unreadable};
use super::{Condition, Mode, Place, Tool};
use crate::gate::deed::Amount;
use crate::gate::name::{Subject, ToolName};
use crate::gate::time;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;

/// The most expressions of one key.
pub const MAX_PARTS: usize = 16;
/// The longest text that one part of a key gives, in bytes: a key names a piece of work, it does
/// not carry it.
pub const MAX_TEXT: usize = 4_096;
/// The most limits of one tool.
pub const MAX_LIMITS: usize = 16;

/// A tool's rules about what was done.
#[derive(Debug, Default, Serialize)]
pub struct DeedRules {
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

impl DeedRules {
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
    pub fn only_watch(&self, now: Time) -> bool {
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
    pub place: Place,
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
    pub place: Place,
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
    pub place: Place,
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

/// What the rules read of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The texts that identify its work; `None` where there is no such rule, or one gives no
    /// answer.
    pub key: Option<Vec<String>>,
    /// What it adds to each of the tool's limits, in their order; `None` where that gives no
    /// answer.
    pub amounts: Vec<Option<Amount>>,
    /// What gave no answer: the call is held.
    pub unread: Option<Finding>,
    /// What gave no answer to a rule in shadow.
    pub unread_watched: Option<Finding>,
}

/// Reads a call of `tool`, at `now`.
///
/// # Errors
/// A number or a part of the request that two readers could read differently, also where only a
/// rule in shadow reads it.
pub fn read(
    tool: &Tool,
    rules: &DeedRules,
    facts: &Facts<'_>,
    subject: Option<&Subject>,
    now: Time,
) -> Result<Reading, Unreadable> {
    let mut reading = Reading::default();
    if let Some(duplicate) = &rules.duplicate {
        match key(duplicate, facts)? {
            Ok(key) => reading.key = Some(key),
            Err(why) => reading.hold(
                RuleName::Duplicate,
                &duplicate.place,
                duplicate.mode.is_shadow(now),
                why,
            ),
        }
    }
    for limit in &rules.limits {
        let amount = match &limit.sum {
            None => Ok(Amount::CALL),
            Some(sum) => amount(sum, facts)?,
        };
        let amount = if limit.per == Per::Subject && subject.is_none() {
            Err(format!("the `subject` of `{}` gives none", tool.name))
        } else {
            amount
        };
        match amount {
            Ok(amount) => reading.amounts.push(Some(amount)),
            Err(why) => {
                reading.amounts.push(None);
                reading.hold(
                    RuleName::Limits,
                    &limit.place,
                    limit.mode.is_shadow(now),
                    why,
                );
            }
        }
    }
    if (rules.reverses.is_some() || rules.reversed_within.is_some()) && subject.is_none() {
        let place = rules
            .reverses
            .as_ref()
            .map_or(&tool.place, |reverses| &reverses.place);
        reading.hold(
            RuleName::Duplicate,
            place,
            false,
            format!(
                "the `subject` of `{}` gives none, and undone work is found by it",
                tool.name
            ),
        );
    }
    Ok(reading)
}

impl Reading {
    fn hold(&mut self, rule: RuleName, place: &Place, watched: bool, why: String) {
        let finding = Finding {
            watched,
            ..Finding::new(Verdict::Hold, rule, place, why)
        };
        let unread = if watched {
            &mut self.unread_watched
        } else {
            &mut self.unread
        };
        unread.get_or_insert(finding);
    }
}

type Read<T> = Result<Result<T, String>, Unreadable>;

/// The texts of a key. A part that is missing, null or empty is no part: two calls that both lack
/// it are not the same work, nor are they known not to be.
fn key(duplicate: &Duplicate, facts: &Facts<'_>) -> Read<Vec<String>> {
    let mut texts = Vec::with_capacity(duplicate.key.len());
    for part in &duplicate.key {
        match part.text(facts) {
            Ok(Some(text)) if text.len() <= MAX_TEXT => texts.push(text),
            Ok(Some(text)) => {
                return Ok(Err(format!(
                    "`{}` of the key has {} bytes, and a part of a key has at most {MAX_TEXT}",
                    part.source(),
                    text.len()
                )));
            }
            Ok(None) => {
                return Ok(Err(format!(
                    "`{}` of the key has no value in this call",
                    part.source()
                )));
            }
            Err(undecided) => return unanswered(part, undecided),
        }
    }
    Ok(Ok(texts))
}

fn amount(sum: &Condition, facts: &Facts<'_>) -> Read<Amount> {
    match sum.amount(facts) {
        Ok(Some(amount)) if amount.is_negative() => Ok(Err(format!(
            "`{}` is below zero, and a limit adds up what is not",
            sum.source()
        ))),
        Ok(Some(amount)) => Ok(Ok(amount)),
        Ok(None) => Ok(Err(format!("`{}` has no value in this call", sum.source()))),
        Err(undecided) => unanswered(sum, undecided),
    }
}

fn unanswered<T>(expression: &Condition, undecided: Undecided) -> Read<T> {
    match undecided {
        Undecided::Failed(why) => Ok(Err(format!(
            "`{}` cannot be evaluated for this call: {why}",
            expression.source()
        ))),
        Undecided::Ambiguous(what) | Undecided::Inexact(what) => Err(Unreadable(what)),
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
