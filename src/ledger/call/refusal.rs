//! Why a call does not go.

use std::time::Duration;

use crate::gate::approval::Approval;
use crate::gate::level::Volume;
use crate::gate::policy::finding::Finding;
use crate::ledger::dedup::DedupFinding;
use crate::wire::Malformed;

/// Why a call does not go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A rule said so.
    Rule(Box<Finding>),
    /// The request gives what a rule reads in a way that two readers could read differently.
    Unreadable(String),
    /// A cap is reached.
    Cap(Box<Finding>, ReachedCap),
    /// Its idempotency key is malformed.
    IdempotencyKey(&'static str),
    /// An earlier call or a limit stands in its way.
    Done(Box<DedupFinding>),
    /// The approval that it was to be sent under was used or has ended.
    Spent(Box<Approval>),
    /// It needs a person, who could not see its body.
    Unshown(Malformed),
    /// The journal cannot take it.
    Journal,
    /// An inbox is full: no more calls of its owner may wait for people.
    Inbox {
        /// Of whom: `run`, `agent` or `workflow`.
        of: &'static str,
        /// How many held calls of it may wait.
        most: u32,
    },
    /// The process holds as many calls as it may.
    Holds,
}

/// A cap that is reached, in the words of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReachedCap {
    /// So many calls in so many seconds.
    Volume {
        /// The cap.
        cap: Volume,
        /// How long until it lets one more go.
        wait: Duration,
    },
    /// So many at once.
    Concurrency {
        /// The cap.
        cap: u32,
    },
}

impl Refusal {
    /// The rule that decided, and why, where one did.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Refusal::Rule(finding) | Refusal::Cap(finding, _) => Some(finding),
            Refusal::Done(found) => Some(&found.finding),
            Refusal::Unreadable(_)
            | Refusal::IdempotencyKey(_)
            | Refusal::Spent(_)
            | Refusal::Unshown(_)
            | Refusal::Journal
            | Refusal::Inbox { .. }
            | Refusal::Holds => None,
        }
    }

    /// The rule that is on record for it, where no rule of the policy decided.
    pub(super) const fn recorded_as(&self) -> Option<&'static str> {
        match self {
            Refusal::Journal => Some("journal"),
            Refusal::Inbox { .. } => Some("inbox-full"),
            Refusal::Holds => Some("holds"),
            Refusal::Rule(_)
            | Refusal::Unreadable(_)
            | Refusal::Cap(..)
            | Refusal::IdempotencyKey(_)
            | Refusal::Done(_)
            | Refusal::Unshown(_)
            | Refusal::Spent(_) => None,
        }
    }
}
