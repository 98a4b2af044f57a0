//! Everything that is remembered of what was done, within bounds.
//!
//! The index takes in whatever was admitted. Whoever judges a call asks [`DedupIndex::room`] first,
//! and a call for which there is none is held: what was done is never forgotten to make room (G7).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::operation::{CallStage, Doer, EarlierCall, KEY_LASTS, Keyed, Operation, Reversal};
use super::series::Series;
use crate::gate::digest::Digest;
use crate::gate::name::{CallId, WorkflowName};
use crate::gate::run::Executed;
use crate::gate::time::{Time, minutes};

/// The most works that are remembered at once.
pub const MAX_WORKS: usize = 100_000;
/// The most idempotency keys that are remembered at once.
pub const MAX_KEYS: usize = 100_000;
/// The most of them of one workflow, so that no workflow's keys use up another's room (G11).
pub const MAX_KEYS_EACH: usize = 25_000;
/// The most cells of all sums together.
pub const MAX_CELLS: usize = 200_000;
/// The most calls that did one work and can each be undone. Who undoes more of one subject than
/// that is told the newest of them.
pub const MAX_EACH: usize = 32;
/// How often what has passed is forgotten.
const EXPIRES: Duration = minutes(1);

/// There is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// Of works.
    Works,
    /// Of idempotency keys.
    Keys,
    /// Of sums.
    Sums,
}

impl NoRoom {
    /// What there is no room for, for a sentence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            NoRoom::Works => "works",
            NoRoom::Keys => "idempotency keys",
            NoRoom::Sums => "sums",
        }
    }
}

/// What an idempotency key was used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// The digest of the call.
    pub payload: Digest,
    /// The call.
    #[serde(flatten)]
    pub done: EarlierCall,
}

/// What the calls of every workflow did, as far as a later call is compared with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DedupIndex {
    works: BTreeMap<Digest, Vec<EarlierCall>>,
    keys: BTreeMap<Digest, KeyUse>,
    keys_of: BTreeMap<WorkflowName, usize>,
    sums: BTreeMap<Digest, Series>,
    /// What calls that are under way may have to give back.
    open: BTreeMap<CallId, Operation>,
    /// How many works there are, of whatever digest.
    known: usize,
    cells: usize,
    expires_at: Time,
}

impl DedupIndex {
    /// The call that last did this work and blocks another at `now`, `but` this one.
    #[must_use]
    pub fn done(
        &self,
        work: &Digest,
        within: Duration,
        now: Time,
        but: CallId,
    ) -> Option<&EarlierCall> {
        let blocks = |done: &&EarlierCall| done.doer.call != but && done.blocks(within, now);
        self.works
            .get(work)?
            .iter()
            .filter(blocks)
            .max_by_key(|done| (done.at, done.doer.call))
    }

    /// The work of `call` was undone, and cannot be again.
    pub fn undo(&mut self, Reversal { work, call }: Reversal) {
        let Some(dones) = self.works.get_mut(&work) else {
            return;
        };
        let before = dones.len();
        dones.retain(|done| done.doer.call != call);
        self.known -= before - dones.len();
        if dones.is_empty() {
            self.works.remove(&work);
        }
    }

    /// The newest call that did this work and can be undone at `now`, `but` not by itself. What is
    /// still under way has done nothing yet.
    #[must_use]
    pub fn undoable(
        &self,
        work: &Digest,
        within: Duration,
        now: Time,
        but: CallId,
    ) -> Option<&EarlierCall> {
        let is_done = |done: &&EarlierCall| {
            done.doer.call != but && done.stage != CallStage::InFlight && done.blocks(within, now)
        };
        self.works.get(work)?.iter().rev().find(is_done)
    }

    /// What this idempotency key was used for.
    #[must_use]
    pub fn key(&self, key: &Digest, now: Time) -> Option<&KeyUse> {
        self.keys
            .get(key)
            .filter(|used| used.done.blocks(KEY_LASTS, now))
    }

    /// What was added to a sum within `within` before `now`.
    #[must_use]
    pub fn sum(&self, series: &Digest, within: Duration, now: Time) -> Amount {
        self.sums
            .get(series)
            .map_or(Amount::ZERO, |series| series.sum(within, now))
    }

    /// When a sum will be at most `bound` if nothing is added; `None` where it is already.
    #[must_use]
    pub fn falls_to(
        &self,
        series: &Digest,
        bound: Amount,
        within: Duration,
        now: Time,
    ) -> Option<Time> {
        self.sums.get(series)?.falls_to(bound, within, now)
    }

    /// Is there room for `operation` of `workflow`?
    ///
    /// # Errors
    /// What there is no room for.
    pub fn room(&self, workflow: &WorkflowName, operation: &Operation) -> Result<(), NoRoom> {
        if self.known + operation.works.len() > MAX_WORKS {
            return Err(NoRoom::Works);
        }
        let keys_of = self.keys_of.get(workflow).copied().unwrap_or(0);
        if operation.key.is_some() && (self.keys.len() >= MAX_KEYS || keys_of >= MAX_KEYS_EACH) {
            return Err(NoRoom::Keys);
        }
        if self.cells + operation.shares.len() > MAX_CELLS {
            Err(NoRoom::Sums)
        } else {
            Ok(())
        }
    }

    /// `operation` takes its place. A call takes it once, however often it is admitted.
    pub fn admit(&mut self, doer: &Doer, operation: &Operation) {
        if self.open.contains_key(&doer.call) {
            return;
        }
        let done = |keep| EarlierCall {
            doer: doer.clone(),
            at: operation.at,
            until: operation.at.plus(keep),
            stage: CallStage::InFlight,
        };
        for work in &operation.works {
            let dones = self.works.entry(work.work).or_default();
            // By time, whoever was written first: the living state and the fold keep the same list.
            let index =
                dones.partition_point(|done| (done.at, done.doer.call) < (operation.at, doer.call));
            dones.insert(index, done(work.keep));
            self.known += 1;
        }
        if let Some(Keyed { key, payload }) = operation.key {
            self.forget_key(&key);
            self.keys.insert(
                key,
                KeyUse {
                    payload,
                    done: done(KEY_LASTS),
                },
            );
            *self.keys_of.entry(doer.workflow.clone()).or_default() += 1;
        }
        for share in &operation.shares {
            let is_new = self.sums.entry(share.series).or_default().add(
                operation.at,
                share.amount,
                share.keep,
                share.grain,
            );
            self.cells += usize::from(is_new);
        }
        self.open.insert(doer.call, operation.clone());
    }

    /// The call is over. Only what was provably not executed gives its place back.
    pub fn settle(&mut self, call: CallId, executed: Executed) {
        let Some(operation) = self.open.remove(&call) else {
            return;
        };
        match executed {
            Executed::No => self.give_back(call, &operation),
            Executed::Yes => self.stand(call, &operation, CallStage::Done),
            Executed::Unknown => self.stand(call, &operation, CallStage::Unknown),
        }
    }

    /// Forgets what has passed, now and then.
    pub fn pass(&mut self, now: Time) {
        if now >= self.expires_at {
            self.expires_at = now.plus(EXPIRES);
            self.expire(now);
        }
    }

    /// Forgets what has passed at `now`.
    pub fn expire(&mut self, now: Time) {
        let over = |done: &EarlierCall| done.stage != CallStage::InFlight && done.until <= now;
        let known = &mut self.known;
        self.works.retain(|_, dones| {
            let before = dones.len();
            dones.retain(|done| !over(done));
            *known -= before - dones.len();
            !dones.is_empty()
        });
        let gone: Vec<Digest> = self
            .keys
            .iter()
            .filter(|(_, used)| over(&used.done))
            .map(|(key, _)| *key)
            .collect();
        for key in &gone {
            self.forget_key(key);
        }
        let cells = &mut self.cells;
        self.sums.retain(|_, series| {
            *cells -= series.expire(now);
            !series.is_empty()
        });
    }

    /// How many works, idempotency keys and cells of sums there are.
    #[must_use]
    pub fn len(&self) -> (usize, usize, usize) {
        (self.known, self.keys.len(), self.cells)
    }

    /// Is nothing remembered?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0, 0)
    }

    fn give_back(&mut self, call: CallId, operation: &Operation) {
        for work in &operation.works {
            let Some(dones) = self.works.get_mut(&work.work) else {
                continue;
            };
            let before = dones.len();
            dones.retain(|done| done.doer.call != call);
            self.known -= before - dones.len();
            if dones.is_empty() {
                self.works.remove(&work.work);
            }
        }
        if let Some(Keyed { key, .. }) = &operation.key
            && self
                .keys
                .get(key)
                .is_some_and(|used| used.done.doer.call == call)
        {
            self.forget_key(key);
        }
        for share in &operation.shares {
            let Some(series) = self.sums.get_mut(&share.series) else {
                continue;
            };
            self.cells -= usize::from(series.give_back(operation.at, share.amount, share.grain));
            if series.is_empty() {
                self.sums.remove(&share.series);
            }
        }
    }

    /// What was done, or may have been, stands. Of several calls that did the same work the last is
    /// enough, unless each can be undone.
    fn stand(&mut self, call: CallId, operation: &Operation, stage: CallStage) {
        for work in &operation.works {
            let Some(dones) = self.works.get_mut(&work.work) else {
                continue;
            };
            dones
                .iter_mut()
                .filter(|done| done.doer.call == call)
                .for_each(|done| done.stage = stage);
            let (before, most) = (dones.len(), if work.each { MAX_EACH } else { 1 });
            // The oldest go first: they stand in the order of time.
            let mut spare = dones
                .iter()
                .filter(|done| done.stage != CallStage::InFlight)
                .count()
                .saturating_sub(most);
            dones.retain(|done| {
                let goes = done.stage != CallStage::InFlight && spare > 0;
                spare -= usize::from(goes);
                !goes
            });
            self.known -= before - dones.len();
        }
        if let Some(Keyed { key, .. }) = &operation.key
            && let Some(used) = self
                .keys
                .get_mut(key)
                .filter(|used| used.done.doer.call == call)
        {
            used.done.stage = stage;
        }
    }

    fn forget_key(&mut self, key: &Digest) {
        let Some(used) = self.keys.remove(key) else {
            return;
        };
        if let Some(count) = self.keys_of.get_mut(&used.done.doer.workflow) {
            *count -= 1;
            if *count == 0 {
                self.keys_of.remove(&used.done.doer.workflow);
            }
        }
    }
}

#[cfg(test)]
mod tests;
