//! What was refused, on its way into the journal, for whoever audits it. What a refusal costs is on its run; this only says that it happened.
//!
//! Written together, at the next sweep: a flood of refused calls costs a row for each [`MOST_REFUSED`] of them, and what never became a call of a run, because
//! anybody can send that, a row of numbers a minute (G7).

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{Ledger, permit::Seat, port::Journal, shard::Shard};
use crate::gate::{
    event::{Entry, Event, Executed, MOST_REFUSED, RefusedCall, RunRef},
    name::PersonName,
    time::Time,
    verdict::Verdict,
};

/// How often what was turned away is written down.
const TURNED_AWAY_EVERY: Duration = Duration::from_mins(1);

/// A workflow's denied calls that are not in the journal yet. Its lock is taken last, and nothing else under it.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Vec<RefusedCall>>);

/// How many requests were turned away since that was last written down, by the slug of their problem.
#[derive(Debug)]
pub struct TurnedAway(Mutex<(BTreeMap<&'static str, u64>, Time)>);

/// The UTC day on which each person was seen last. As many as there are people with a token.
#[derive(Debug, Default)]
pub struct Seen(Mutex<BTreeMap<PersonName, i64>>);

impl Refusals {
    /// Adds `call`, and gives all of them where they fill an entry.
    fn add(&self, call: RefusedCall) -> Option<Vec<RefusedCall>> {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call);
        (calls.len() >= MOST_REFUSED).then(|| std::mem::take(&mut *calls))
    }

    fn take(&self) -> Vec<RefusedCall> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for TurnedAway {
    fn default() -> Self {
        TurnedAway(Mutex::new((BTreeMap::new(), Time::from_millis(i64::MIN))))
    }
}

impl Seat {
    /// A call that was denied, or would have been where a rule only watches, goes into the journal.
    pub(super) fn note_refused(&self, executed: Executed, status: u16, now: Time) {
        if self.verdict != Verdict::Deny {
            return;
        }
        let run = RunRef { agent: self.run.agent.clone(), run: self.run_id.clone() };
        let rule = self.rule.map(Into::into);
        let call = RefusedCall { call: self.call, run, at: self.at, tool: self.tool.clone(), rule, status, executed };
        if let Some(calls) = self.place.shard.refusals().add(call) {
            self.place.shard.write_refused(&*self.ledger.journal, calls, now);
        }
    }
}

impl Shard {
    fn write_refused(&self, journal: &dyn Journal, calls: Vec<RefusedCall>, now: Time) {
        if !calls.is_empty() {
            drop(self.append(&mut self.lock(), journal, now, Event::Refused { calls }));
        }
    }
}

impl Ledger {
    /// A request was answered with `slug` before it was a call of any run.
    pub fn turn_away(&self, slug: &'static str) {
        let mut counts = self.turned_away.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.0.entry(slug).or_default() += 1;
    }

    /// Writes down what was refused; where the process `stops`, also what could wait.
    pub(super) fn write_refusals(&self, now: Time, stops: bool) {
        let waiting: Vec<_> = self.shards.iter().map(|shard| (shard.refusals().take(), shard)).filter(|(calls, _)| !calls.is_empty()).collect();
        for (calls, shard) in waiting {
            shard.write_refused(&*self.journal, calls, now);
        }
        let mut turned_away = self.turned_away.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (counts, last) = &mut *turned_away;
        if counts.is_empty() || (!stops && now < last.plus(TURNED_AWAY_EVERY)) {
            return;
        }
        *last = now;
        let counts = std::mem::take(counts).into_iter().map(|(slug, count)| (slug.into(), count)).collect();
        drop(turned_away);
        drop(self.journal.append(Entry { at: now, workflow: None, event: Event::TurnedAway { counts } }));
    }

    /// Somebody's token was used. Its first use on a UTC day, or since the gate started, goes on record.
    pub fn signed_in(&self, by: &PersonName, role: &'static str) {
        let now = self.now();
        let today = now.hour().0.div_euclid(24);
        let mut seen = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.insert(by.clone(), today) != Some(today) {
            drop(seen);
            drop(self.journal.append(Entry { at: now, workflow: None, event: Event::SignedIn { by: by.clone(), role: role.into() } }));
        }
    }
}
