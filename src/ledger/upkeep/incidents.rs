//! Looks at what tool APIs failed since the last sweep ([`crate::ledger::incidents`]).

use std::sync::atomic::Ordering;

use crate::gate::event::Entry;
use crate::gate::incident::Incident;
use crate::gate::time::Time;
use crate::ledger::living::Ledger;

impl Ledger {
    /// The incidents that are remembered, oldest first.
    #[must_use]
    pub fn incidents(&self) -> Vec<Incident> {
        self.incidents.incidents()
    }

    /// Looks at what failed since the last look, and opens and closes incidents.
    pub(in crate::ledger) fn detect_incidents(&self, now: Time) {
        let failures = self.failures.load(Ordering::Relaxed);
        let enter = |event| {
            drop(self.journal.append(Entry {
                at: now,
                workflow: None,
                event,
            }));
        };
        self.incidents
            .look(now, failures, || self.verdict_counts(), enter);
    }
}
