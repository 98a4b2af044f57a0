//! Who may decide on held calls, changed while the gate runs.
//!
//! Whoever is taken off the list loses their decisions at once, also one that is on its way to
//! disk: decisions are handed over under a shared lock that naming the approvers takes exclusively.
//! So whatever a person decided stands in the journal before the entry that takes them off, and the
//! fold voids it there.

use std::collections::BTreeSet;

use super::outcome::OperateError;
use crate::gate::event::Event;
use crate::gate::name::PersonName;
use crate::journal::port::Durable;
use crate::ledger::approvers::Entitled;
use crate::ledger::living::Ledger;

impl Ledger {
    /// From here on `people` may decide on held calls, and what anybody else approved no longer
    /// counts: a grant that needed it waits for people again. In force when this returns.
    pub fn name_approvers(&self, people: BTreeSet<PersonName>) -> Durable {
        let mut named = self.approvers.change();
        named.clone_from(&people);
        self.append_everywhere(self.now(), Event::ApproversNamed { people })
    }

    /// Who may decide, as far as anybody was named.
    #[must_use]
    pub fn approvers(&self) -> BTreeSet<PersonName> {
        self.approvers.people()
    }

    /// May `person` decide? They may for as long as the answer is held.
    pub(in crate::ledger) fn entitled(
        &self,
        person: &PersonName,
    ) -> Result<Entitled<'_>, OperateError> {
        self.approvers
            .entitled(person)
            .ok_or_else(|| OperateError::NoApprover(person.clone()))
    }
}
