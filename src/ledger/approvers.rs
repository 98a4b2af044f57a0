//! Who may decide on held calls, as far as anybody was named.
//!
//! A decision is handed over under a lock that naming the approvers takes alone: see
//! [`super::people::approvers`]. That lock is taken before every other of this folder.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::gate::name::PersonName;

/// Who may decide.
#[derive(Debug)]
pub(super) struct Approvers(RwLock<BTreeSet<PersonName>>);

/// Keeps the approvers as they are until a decision is handed over.
pub(super) struct Entitled<'l>(
    #[expect(dead_code, reason = "held for its drop")] RwLockReadGuard<'l, BTreeSet<PersonName>>,
);

impl Approvers {
    pub(super) const fn of(people: BTreeSet<PersonName>) -> Self {
        Approvers(RwLock::new(people))
    }

    /// Locks them for a change: no decision is handed over until the guard is dropped.
    pub(super) fn change(&self) -> RwLockWriteGuard<'_, BTreeSet<PersonName>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The people that were named.
    pub(super) fn people(&self) -> BTreeSet<PersonName> {
        self.read().clone()
    }

    /// May `person` decide? They may for as long as the answer is held.
    pub(super) fn entitled(&self, person: &PersonName) -> Option<Entitled<'_>> {
        let named = self.read();
        // Until approvers are named for the first time, nobody is refused for not being one.
        (named.is_empty() || named.contains(person)).then(|| Entitled(named))
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeSet<PersonName>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
