//! One call as far as it is remembered: the work it does, its idempotency key, what it adds to
//! which sums, and what became of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::amount::Amount;
use crate::gate::digest::Digest;
use crate::gate::name::{CallId, WorkflowName};
use crate::gate::run::RunRef;
use crate::gate::time;
use crate::gate::time::{Time, days};

/// How long an idempotency key is remembered.
pub const KEY_LASTS: Duration = days(1);

/// What a call does, as far as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// When it took its place. The call's own time, so that the fold and the living state put it in
    /// the same place.
    pub at: Time,
    /// The work it does, by each digest under which somebody may ask for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub works: Vec<Work>,
    /// Its idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Keyed>,
    /// What it adds to which sums.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<LimitShare>,
}

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The digest of the tool and what identifies the work.
    pub work: Digest,
    /// How long it is remembered.
    #[serde(with = "time::millis")]
    pub keep: Duration,
    /// It can be undone, so each call that did it is remembered, and not the last one alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub each: bool,
}

/// Work that a call undid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversal {
    /// The digest of the work.
    pub work: Digest,
    /// The call that had done it.
    pub call: CallId,
}

/// An idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyed {
    /// The digest of the key and whose it is.
    pub key: Digest,
    /// The digest of exactly this call.
    pub payload: Digest,
}

/// What a call adds to a sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitShare {
    /// The digest of the tool, what is summed, and for whom.
    pub series: Digest,
    /// How much.
    pub amount: Amount,
    /// How long it is remembered.
    #[serde(with = "time::millis")]
    pub keep: Duration,
    /// How finely its time is remembered.
    #[serde(with = "time::millis")]
    pub grain: Duration,
}

/// Whose operation it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doer {
    /// The call.
    pub call: CallId,
    /// Its workflow.
    pub workflow: WorkflowName,
    /// Its run.
    pub run: RunRef,
}

/// How far a call has come that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallStage {
    /// It is under way.
    InFlight,
    /// It was answered.
    Done,
    /// It was sent, and its answer was lost.
    Unknown,
}

impl CallStage {
    /// The word as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            CallStage::InFlight => "in_flight",
            CallStage::Done => "done",
            CallStage::Unknown => "unknown",
        }
    }
}

/// An earlier call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierCall {
    /// Whose it was.
    #[serde(flatten)]
    pub doer: Doer,
    /// When it took its place.
    pub at: Time,
    /// When it is forgotten, once it is over.
    pub until: Time,
    /// How far it has come.
    pub stage: CallStage,
}

impl EarlierCall {
    /// Does it block a call at `now`, where the work is asked for again within `within`? A call
    /// that is under way does, however long it takes.
    #[must_use]
    pub fn blocks(&self, within: Duration, now: Time) -> bool {
        self.stage == CallStage::InFlight || (now < self.until && now < self.at.plus(within))
    }
}
