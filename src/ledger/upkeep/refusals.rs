//! What was refused is written down, with the next sweep ([`crate::ledger::refused`]), and whose
//! token was used.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::gate::event::{Entry, Event};
use crate::gate::name::PersonName;
use crate::gate::time::Time;
use crate::ledger::living::Ledger;

/// How often the counts of rejected requests are written down.
const REJECTED_EVERY: Duration = Duration::from_mins(1);

impl Ledger {
    /// A request was answered with `slug` before it was a call of any run.
    pub fn count_rejected(&self, slug: &'static str) {
        let mut counts = self
            .rejected
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *counts.0.entry(slug).or_default() += 1;
    }

    /// Writes down what was refused; where the process `stops`, also what could wait.
    pub(super) fn write_refusals(&self, now: Time, stops: bool) {
        let waiting: Vec<_> = self
            .shards
            .iter()
            .map(|shard| (shard.refusals().take(now, stops), Arc::clone(&shard)))
            .collect();
        for (refused, shard) in waiting {
            shard.write_refused(&*self.journal, refused, now);
        }
        let mut rejected = self
            .rejected
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (counts, last) = &mut *rejected;
        if counts.is_empty() || (!stops && now < last.plus(REJECTED_EVERY)) {
            return;
        }
        *last = now;
        let counts = std::mem::take(counts)
            .into_iter()
            .map(|(slug, count)| (slug.into(), count))
            .collect();
        drop(rejected);
        drop(self.journal.append(Entry {
            at: now,
            workflow: None,
            event: Event::TurnedAway { counts },
        }));
    }

    /// Somebody's token was used. Its first use on a UTC day, or since the gate started, goes on
    /// record.
    pub fn signed_in(&self, by: &PersonName, role: &'static str) {
        let now = self.now();
        let today = now.hour().0.div_euclid(24);
        let mut sign_ins = self
            .sign_ins
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if sign_ins.insert(by.clone(), today) != Some(today) {
            drop(sign_ins);
            drop(self.journal.append(Entry {
                at: now,
                workflow: None,
                event: Event::SignedIn {
                    by: by.clone(),
                    role: role.into(),
                },
            }));
        }
    }
}
