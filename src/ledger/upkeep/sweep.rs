//! Time passes: what ends or begins by itself does, and what is only needed for a while is
//! forgotten.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::gate::event::Event;
use crate::gate::time::{Time, days, minutes};
use crate::ledger::living::Ledger;
use crate::ledger::shard::Shard;

/// How often ids that are no longer needed are removed.
const FORGETS: Duration = minutes(1);

impl Ledger {
    /// Lets time pass: postures move at their edges, holds end by their deadlines (G10), leases run
    /// out. Costs a look at each workflow and each open run, and a lock only for those of which
    /// something is due.
    pub fn sweep(&self) {
        let now = self.now();
        let due: Vec<_> = self
            .shards
            .iter()
            .filter(|shard| shard.is_due(now))
            .map(|shard| Arc::clone(&shard))
            .collect();
        for shard in due {
            shard.advance(now);
        }
        self.end_leases(now);
        self.write_pace(now, false);
        self.detect_incidents(now);
        self.write_refusals(now, false);
        if self.forgets_at.load(Ordering::Relaxed) <= now.as_millis() {
            self.forgets_at
                .store(now.plus(FORGETS).as_millis(), Ordering::Relaxed);
            self.runs.forget(now.minus(days(1)));
            self.forget_approvals();
        }
    }

    /// Journals how busy the hours were that are over; where the process stops, also the current
    /// one.
    pub(crate) fn write_pace(&self, now: Time, stops: bool) {
        let busy = |shard: &Arc<Shard>| {
            shard
                .traffic()
                .hours(now, stops)
                .into_iter()
                .map(|hour| (Arc::clone(shard), hour))
                .collect::<Vec<_>>()
        };
        let hours: Vec<_> = self.shards.iter().flat_map(|shard| busy(&shard)).collect();
        for (shard, (hour, busy)) in hours {
            drop(shard.append(
                &mut shard.lock(),
                &*self.journal,
                now,
                Event::Paced { hour, busy },
            ));
        }
    }

    /// Removes the ids of approvals that their shard has forgotten.
    fn forget_approvals(&self) {
        let known: Vec<_> = self
            .approvals
            .iter()
            .map(|entry| (*entry.key(), entry.value().clone()))
            .collect();
        for (id, workflow) in known {
            let is_kept = |shard: Arc<Shard>| shard.lock().state().approvals().get(id).is_some();
            if !self.shard(&workflow).is_some_and(is_kept) {
                self.approvals.remove(&id);
            }
        }
    }
}
