//! Time-boxed grants: given and taken back by operators, and used by calls that would be held for
//! nothing but their level, their `hold_when` or a missing schema ([`crate::ledger::call`]).

use std::sync::Arc;
use std::time::Duration;

use super::outcome::OperateError;
use crate::gate::approval::TimedGrant;
use crate::gate::event::Event;
use crate::gate::name::{GrantId, PersonName, ToolName, WorkflowName};
use crate::ids;
use crate::journal::port::Durable;
use crate::ledger::call::timed_grant::people;
use crate::ledger::living::Ledger;

impl Ledger {
    /// Lets at most `max` held calls of `tool` go, for as long as `lasts`.
    ///
    /// # Errors
    /// Why no such grant can be given.
    pub fn give_grant(
        &self,
        workflow: &WorkflowName,
        tool: &ToolName,
        (lasts, max): (Duration, u32),
        by: &PersonName,
        reason: &str,
    ) -> Result<(GrantId, Durable), OperateError> {
        let shard = self
            .shard(workflow)
            .ok_or_else(|| OperateError::NoWorkflow(workflow.clone()))?;
        let table = self.table();
        let handle = table
            .entries
            .get(workflow)
            .ok_or_else(|| OperateError::NoWorkflow(workflow.clone()))?;
        let api = table.policies.apis.get(tool.api());
        let known = api
            .and_then(|api| api.tools.iter().find(|known| known.name == *tool))
            .filter(|known| handle.policy.tools.contains(&known.name));
        let Some(known) = known else {
            return Err(OperateError::Tool(format!(
                "`{workflow}` reaches no tool `{tool}`"
            )));
        };
        if known.always.is_some() || known.forbidden {
            return Err(OperateError::Tool(format!(
                "the policy's own ceiling stands over `{tool}`: no grant lifts it"
            )));
        }
        let needed = people(&handle.policy.hold, known.risk);
        if needed > 1 {
            return Err(OperateError::Tool(format!(
                "a call of `{tool}` needs {needed} people, and a grant is one person's"
            )));
        }
        let _entitled = self.entitled(by)?;
        let now = self.now();
        let mut live = shard.lock();
        if live.state().timed().is_full(now) {
            return Err(OperateError::Conflict(format!(
                "`{workflow}` has as many grants as it may have at once"
            )));
        }
        let id = ids::grant();
        let grant = TimedGrant {
            id,
            tool: tool.clone(),
            at: now,
            until: now.plus(lasts),
            max,
            used: 0,
            by: by.clone(),
            reason: reason.into(),
            revoked: None,
        };
        Ok((
            id,
            shard
                .append(
                    &mut live,
                    &*self.journal,
                    now,
                    Event::GrantGiven(Box::new(grant)),
                )
                .durable,
        ))
    }

    /// Takes a time-boxed grant back, at once.
    ///
    /// # Errors
    /// Where there is none, or it is over.
    pub fn revoke_grant(
        &self,
        id: GrantId,
        by: &PersonName,
        reason: &str,
    ) -> Result<Durable, OperateError> {
        let now = self.now();
        let shards: Vec<_> = self.shards.iter().map(|shard| Arc::clone(&shard)).collect();
        for shard in shards {
            let mut live = shard.lock();
            let Some(grant) = live.state().timed().iter().find(|grant| grant.id == id) else {
                continue;
            };
            if !grant.is_open(now) {
                return Err(OperateError::Conflict(
                    "this grant is over already".to_owned(),
                ));
            }
            let event = Event::GrantRevoked {
                grant: id,
                by: by.clone(),
                reason: reason.into(),
            };
            return Ok(shard.append(&mut live, &*self.journal, now, event).durable);
        }
        Err(OperateError::NoGrant)
    }

    /// Every time-boxed grant that is remembered, in the order in which they were given.
    #[must_use]
    pub fn grants(&self) -> Vec<(WorkflowName, TimedGrant)> {
        let shards: Vec<_> = self.shards.iter().map(|shard| Arc::clone(&shard)).collect();
        let mut all: Vec<_> = shards
            .iter()
            .flat_map(|shard| {
                shard
                    .lock()
                    .state()
                    .timed()
                    .iter()
                    .map(|grant| (shard.name().clone(), grant.clone()))
                    .collect::<Vec<_>>()
            })
            .collect();
        all.sort_by_key(|(_, grant)| (grant.at, grant.id));
        all
    }
}
