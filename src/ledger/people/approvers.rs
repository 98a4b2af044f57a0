//! Who may decide on held calls, changed while the gate runs.
//!
//! Whoever leaves the company loses their decision at once, also one that is on its way: a decision
//! is handed over under a lock that naming the approvers takes alone. So in the journal, what a
//! person decided stands before the entry that takes it from them, or does not stand at all, and
//! the fold voids what stands before it.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::operate::{Durable, OperateError};
use crate::gate::event::Event;
use crate::gate::name::PersonName;
use crate::ledger::Ledger;

/// Who may decide. Its lock is taken before every other of this folder.
#[derive(Debug)]
pub struct Approvers(RwLock<BTreeSet<PersonName>>);

/// Keeps the approvers as they are until a decision is handed over.
pub(in crate::ledger) struct Entitled<'l>(
    #[expect(dead_code, reason = "held for its drop")] RwLockReadGuard<'l, BTreeSet<PersonName>>,
);

impl Approvers {
    pub(in crate::ledger) const fn of(people: BTreeSet<PersonName>) -> Self {
        Approvers(RwLock::new(people))
    }
}

impl Ledger {
    /// From here on `people` may decide on held calls, and what anybody else approved no longer
    /// counts: a grant that needed it waits for people again. In force when this returns.
    pub fn name_approvers(&self, people: BTreeSet<PersonName>) -> Durable {
        let mut named = self
            .approvers
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        named.clone_from(&people);
        self.append_everywhere(self.now(), Event::ApproversNamed { people })
    }

    /// Who may decide, as far as anybody was named.
    #[must_use]
    pub fn approvers(&self) -> BTreeSet<PersonName> {
        self.approvers
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// May `person` decide? They may for as long as the answer is held.
    pub(in crate::ledger) fn entitled(
        &self,
        person: &PersonName,
    ) -> Result<Entitled<'_>, OperateError> {
        let named = self
            .approvers
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        // Where nobody was ever named there is no list to be missing from.
        if named.is_empty() || named.contains(person) {
            Ok(Entitled(named))
        } else {
            Err(OperateError::NoApprover(person.clone()))
        }
    }
}
