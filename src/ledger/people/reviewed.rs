//! A person records that they reviewed how workflows do.

use super::outcome::{OperateError, WorkflowScope};
use crate::gate::event::Event;
use crate::gate::name::PersonName;
use crate::journal::port::Durable;
use crate::ledger::living::Ledger;

impl Ledger {
    /// Records that `by` looked at one workflow or at all of them. Promotions that wait for it come
    /// no sooner than it is durable.
    ///
    /// # Errors
    /// There is no such workflow.
    pub fn reviewed(
        &self,
        scope: &WorkflowScope,
        by: &PersonName,
        note: Option<&str>,
    ) -> Result<Vec<Durable>, OperateError> {
        let now = self.now();
        let record = |shard: std::sync::Arc<crate::ledger::shard::Shard>| {
            shard.advance(now);
            let mut live = shard.lock();
            shard
                .append(
                    &mut live,
                    &*self.journal,
                    now,
                    Event::Reviewed {
                        by: by.clone(),
                        note: note.map(Into::into),
                    },
                )
                .durable
        };
        Ok(self.scope(scope)?.into_iter().map(record).collect())
    }
}
