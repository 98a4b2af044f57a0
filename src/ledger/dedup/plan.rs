//! What a call is about to do, in the terms of the dedup index: digests and amounts.

use std::sync::Arc;
use std::time::Duration;

use crate::gate::dedup::{Amount, EarlierCall, Keyed, LimitShare, Operation, Work, series};
use crate::gate::digest::Digest;
use crate::gate::name::{Subject, ToolName};
use crate::gate::policy::dedup::reading::DedupReading;
use crate::gate::policy::dedup::{Limit, Per, Reverses};
use crate::gate::policy::facts::Lookup;
use crate::gate::policy::finding::{Finding, RuleName};
use crate::gate::policy::{DedupRules, Tool};
use crate::gate::time::Time;
use crate::wire::canonical;

/// The request header that carries an idempotency key.
const KEY_HEADER: &str = "idempotency-key";
/// The longest idempotency key.
pub const MAX_KEY: usize = 255;

/// What a call is about to do.
pub(in crate::ledger) struct PlannedOperation {
    pub(in crate::ledger) tool: Arc<Tool>,
    pub(in crate::ledger) operation: Operation,
    /// The work that nobody may do twice.
    pub(in crate::ledger) work: Option<Digest>,
    /// By limit, what it adds to which sum.
    pub(in crate::ledger) shares: Vec<Option<(Digest, Amount)>>,
    /// The work that it undoes.
    pub(in crate::ledger) undoes: Option<Undoing>,
    pub(in crate::ledger) unread: Option<Finding>,
    pub(in crate::ledger) unread_shadow: Option<Finding>,
    /// All verdicts on it are in shadow.
    pub(in crate::ledger) shadow: bool,
    /// Only rules in shadow need it to be remembered.
    pub(in crate::ledger) optional: bool,
    /// The call that did the same before, where this one goes all the same.
    pub(in crate::ledger) repeats: Option<EarlierCall>,
}

/// Work that a call undoes.
#[derive(Debug, Clone)]
pub(in crate::ledger) struct Undoing {
    pub(in crate::ledger) work: Digest,
    pub(in crate::ledger) tool: ToolName,
    pub(in crate::ledger) within: Duration,
}

impl PlannedOperation {
    /// A call of `tool`, of which nothing else is known yet.
    pub(in crate::ledger) fn of(tool: Arc<Tool>, key: Option<Keyed>, shadow: bool) -> Self {
        let operation = Operation {
            at: Time::default(),
            works: Vec::new(),
            key,
            shares: Vec::new(),
        };
        PlannedOperation {
            tool,
            operation,
            work: None,
            shares: Vec::new(),
            undoes: None,
            unread: None,
            unread_shadow: None,
            shadow,
            optional: shadow,
            repeats: None,
        }
    }

    /// Turns what was read of the call into digests: the index does not hold what it touched.
    pub(in crate::ledger) fn plan(
        &mut self,
        rules: &DedupRules,
        reading: DedupReading,
        workflow: &str,
        agent: &str,
        subject: Option<&Subject>,
    ) {
        let tool = Arc::clone(&self.tool);
        if let (Some(duplicate), Some(key)) = (&rules.duplicate, &reading.key) {
            let parts: Vec<&str> = ["work", tool.name.as_str()]
                .into_iter()
                .chain(key.iter().map(String::as_str))
                .collect();
            let work = digest(&parts);
            self.work = Some(work);
            self.operation.works.push(Work {
                work,
                keep: duplicate.within,
                each: false,
            });
        }
        if let (Some(keep), Some(subject)) = (rules.reversed_within, subject) {
            self.operation.works.push(Work {
                work: touched(&tool, subject),
                keep,
                each: true,
            });
        }
        for (limit, amount) in rules.limits.iter().zip(reading.amounts) {
            let share = amount.map(|amount| (sum(&tool, limit, workflow, agent, subject), amount));
            if let Some((series, amount)) = share {
                self.add(series, amount, limit);
            }
            self.shares.push(share);
        }
        self.undoes =
            rules
                .reverses
                .as_ref()
                .zip(subject)
                .map(|(Reverses { tool, within, .. }, subject)| Undoing {
                    work: touched_of(tool.as_str(), subject),
                    tool: tool.clone(),
                    within: *within,
                });
        (self.unread, self.unread_shadow) = (reading.unread, reading.unread_shadow);
    }

    /// Two limits over the same sum, such as one an hour and one a day, share it.
    fn add(&mut self, series: Digest, amount: Amount, limit: &Limit) {
        let (keep, grain) = (limit.within, series::grain(limit.within));
        match self
            .operation
            .shares
            .iter_mut()
            .find(|share| share.series == series)
        {
            Some(share) => {
                (share.keep, share.grain) = (share.keep.max(keep), share.grain.min(grain));
            }
            None => self.operation.shares.push(LimitShare {
                series,
                amount,
                keep,
                grain,
            }),
        }
    }

    /// The rule that wants it to be remembered.
    pub(in crate::ledger) const fn rule(&self) -> RuleName {
        if self.operation.key.is_some() {
            RuleName::Idempotency
        } else if self.operation.works.is_empty() {
            RuleName::Limits
        } else {
            RuleName::Duplicate
        }
    }
}

/// The idempotency key that a request carries.
pub(in crate::ledger) fn key_of(header: &dyn Lookup) -> Result<Option<String>, &'static str> {
    let written = header
        .find(KEY_HEADER)
        .map_err(|_| "it is given twice, or not in ASCII")?;
    written.as_deref().map(key).transpose()
}

/// An idempotency key: a string of the draft's structured field, or the bare text that most clients
/// send.
fn key(written: &str) -> Result<String, &'static str> {
    let written = written.trim();
    let key = match written.strip_prefix('"') {
        None => written.to_owned(),
        Some(rest) => {
            let inner = rest
                .strip_suffix('"')
                .ok_or("its quotation mark is not closed")?;
            let (mut key, mut letters) = (String::with_capacity(inner.len()), inner.chars());
            while let Some(letter) = letters.next() {
                match letter {
                    '\\' => key.push(
                        letters
                            .next()
                            .filter(|escaped| matches!(escaped, '"' | '\\'))
                            .ok_or("it escapes what needs no escape")?,
                    ),
                    '"' => return Err("it goes on after its quotation mark"),
                    letter => key.push(letter),
                }
            }
            key
        }
    };
    match key.len() {
        0 => Err("it is empty"),
        1..=MAX_KEY => Ok(key),
        _ => Err("it has more than 255 bytes"),
    }
}

fn touched(tool: &Tool, subject: &Subject) -> Digest {
    touched_of(tool.name.as_str(), subject)
}

fn touched_of(tool: &str, subject: &Subject) -> Digest {
    digest(&["touched", tool, subject.as_str()])
}

/// The sum that a limit is about: whose it is depends on `per`, and its window is not part of it,
/// so that a policy that changes the window keeps what was counted.
fn sum(
    tool: &Tool,
    limit: &Limit,
    workflow: &str,
    agent: &str,
    subject: Option<&Subject>,
) -> Digest {
    let whose = match limit.per {
        Per::Subject => subject.map_or("", Subject::as_str),
        Per::Agent => agent,
        Per::Workflow => workflow,
    };
    digest(&[
        "sum",
        tool.name.as_str(),
        limit.counted(),
        limit.per.as_str(),
        whose,
    ])
}

/// A digest of texts that no other texts have: as a JSON list, in which nothing runs into its
/// neighbour.
pub(in crate::ledger) fn digest(parts: &[&str]) -> Digest {
    canonical::digest(&serde_json::to_vec(parts).unwrap_or_default())
}

#[cfg(test)]
mod tests;
