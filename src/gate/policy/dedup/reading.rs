//! What the rules about earlier work read of one call. An expression that gives no answer holds the
//! call (G3).

use super::{DedupRules, Duplicate, MAX_TEXT, Per};
use crate::gate::dedup::Amount;
use crate::gate::location::SourceLocation;
use crate::gate::name::Subject;
use crate::gate::policy::condition::{Condition, Undecided};
use crate::gate::policy::facts::Facts;
use crate::gate::policy::finding::{Finding, RuleName, Unreadable};
use crate::gate::policy::tool::Tool;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;

/// What the rules read of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DedupReading {
    /// The texts that identify its work; `None` where there is no such rule, or one gives no
    /// answer.
    pub key: Option<Vec<String>>,
    /// What it adds to each of the tool's limits, in their order; `None` where that gives no
    /// answer.
    pub amounts: Vec<Option<Amount>>,
    /// What gave no answer: the call is held.
    pub unread: Option<Finding>,
    /// What gave no answer to a rule in shadow.
    pub unread_shadow: Option<Finding>,
}

/// Reads a call of `tool`, at `now`.
///
/// # Errors
/// A number or a part of the request that two readers could read differently, also where only a
/// rule in shadow reads it.
pub fn read(
    tool: &Tool,
    rules: &DedupRules,
    facts: &Facts<'_>,
    subject: Option<&Subject>,
    now: Time,
) -> Result<DedupReading, Unreadable> {
    let mut reading = DedupReading::default();
    if let Some(duplicate) = &rules.duplicate {
        match key(duplicate, facts)? {
            Ok(key) => reading.key = Some(key),
            Err(why) => reading.hold(
                RuleName::Duplicate,
                &duplicate.location,
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
                    &limit.location,
                    limit.mode.is_shadow(now),
                    why,
                );
            }
        }
    }
    if (rules.reverses.is_some() || rules.reversed_within.is_some()) && subject.is_none() {
        let location = rules
            .reverses
            .as_ref()
            .map_or(&tool.location, |reverses| &reverses.location);
        reading.hold(
            RuleName::Duplicate,
            location,
            false,
            format!(
                "the `subject` of `{}` gives none, and undone work is found by it",
                tool.name
            ),
        );
    }
    Ok(reading)
}

impl DedupReading {
    fn hold(&mut self, rule: RuleName, location: &SourceLocation, in_shadow: bool, why: String) {
        let finding = Finding {
            in_shadow,
            ..Finding::new(Verdict::Hold, rule, location, why)
        };
        let unread = if in_shadow {
            &mut self.unread_shadow
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
