//! Changes of a workflow, and waivers: whether something may ship now, and for how long the
//! posture's cap is suspended.
//!
//! The gate cannot see a prompt ship, so its answer there is advice that is on record. It enforces
//! the same answer where it can: on policies.

use std::sync::Arc;
use std::time::Duration;

use super::conflict::{ExclusiveOperation, refuse_while_under_way};
use super::outcome::OperateError;
use crate::gate::budget::posture::Posture;
use crate::gate::event::Event;
use crate::gate::level::Changes;
use crate::gate::name::{PersonName, WorkflowName};
use crate::gate::workflow::{MAX_WAIVERS, WAIVERS_WITHIN, WorkflowState};
use crate::journal::port::Durable;
use crate::ledger::living::Ledger;
use crate::ledger::shard::Shard;

/// A change that somebody is about to ship.
#[derive(Debug, Clone, Copy)]
pub struct Shipping<'a> {
    /// What kind.
    pub kind: &'a str,
    /// A reference to it.
    pub reference: &'a str,
    /// Why it ships in spite of a freeze, where it should.
    pub emergency: Option<&'a str>,
}

impl Ledger {
    /// May the change ship? Then it is recorded. In a freeze it may not, unless it is an emergency.
    pub fn change(
        &self,
        workflow: &WorkflowName,
        shipping: Shipping<'_>,
        by: &PersonName,
    ) -> Result<Durable, OperateError> {
        let shard = self
            .shard(workflow)
            .ok_or_else(|| OperateError::NoWorkflow(workflow.clone()))?;
        let now = self.now();
        shard.advance(now);
        let mut live = shard.lock();
        if let Some(why) = frozen(workflow, live.state())
            && shipping.emergency.is_none()
        {
            let asked = Event::ChangeRefused {
                kind: shipping.kind.into(),
                reference: shipping.reference.into(),
                by: by.clone(),
            };
            drop(shard.append(&mut live, &*self.journal, now, asked));
            return Err(OperateError::Conflict(format!(
                "{why}; `burngate change --emergency --reason TEXT` ships anyway, on record"
            )));
        }
        let Shipping {
            kind,
            reference,
            emergency,
        } = shipping;
        let event = Event::Changed {
            kind: kind.into(),
            reference: reference.into(),
            by: by.clone(),
            emergency: emergency.map(Into::into),
        };
        Ok(shard.append(&mut live, &*self.journal, now, event).durable)
    }

    /// Records that a wider policy of the workflow is held back; `None` where that is on record.
    pub fn hold_back(&self, workflow: &WorkflowName, what: &Arc<str>) -> Option<Durable> {
        let shard = self.shard(workflow)?;
        let mut live = shard.lock();
        let is_known = live.state().change_log().held_back() == Some(what);
        (!is_known).then(|| {
            shard
                .append(
                    &mut live,
                    &*self.journal,
                    self.now(),
                    Event::PolicyHeldBack {
                        what: Arc::clone(what),
                    },
                )
                .durable
        })
    }

    /// Workflows for which a policy was held back, and whose changes are frozen still.
    #[must_use]
    pub fn held_back(&self) -> Vec<(WorkflowName, Arc<str>)> {
        let shards: Vec<_> = self.shards.iter().map(|shard| Arc::clone(&shard)).collect();
        let held = |shard: &Shard| {
            let live = shard.lock();
            let what = live.state().change_log().held_back().map(Arc::clone)?;
            frozen(shard.name(), live.state()).map(|_| (shard.name().clone(), what))
        };
        shards.iter().filter_map(|shard| held(shard)).collect()
    }

    /// Suspends the posture's cap for `lasts`, once that is durable.
    pub fn waive(
        &self,
        workflow: &WorkflowName,
        by: &PersonName,
        reason: &str,
        lasts: Duration,
    ) -> Result<Durable, OperateError> {
        let shard = self
            .shard(workflow)
            .ok_or_else(|| OperateError::NoWorkflow(workflow.clone()))?;
        let now = self.now();
        shard.advance(now);
        let mut live = shard.lock();
        let state = live.state();
        let conflict = match state.account().posture() {
            Posture::Healthy => Some(format!("`{workflow}` is healthy: there is no cap to waive")),
            Posture::Breached => Some(format!(
                "`{workflow}` is breached, and nothing waives that; `burngate recover {workflow} --cause TEXT` is the way back"
            )),
            Posture::AtRisk | Posture::Burned if !state.may_waive(now) => {
                let within = WAIVERS_WITHIN.as_secs() / 86_400;
                let way_back = match state.account().burn() {
                    Some(_) => {
                        format!("`burngate recover {workflow} --cause TEXT` is the way back")
                    }
                    None => "the cap ends when the budget is healthy again".to_owned(),
                };
                Some(format!(
                    "`{workflow}` had {MAX_WAIVERS} waivers in {within} days; {way_back}"
                ))
            }
            Posture::AtRisk | Posture::Burned => None,
        };
        if let Some(conflict) = conflict {
            return Err(OperateError::Conflict(conflict));
        }
        refuse_while_under_way(&live, workflow, ExclusiveOperation::Waiver)?;
        let event = Event::Waived {
            until: now.plus(lasts),
            by: by.clone(),
            reason: reason.into(),
        };
        Ok(shard.append(&mut live, &*self.journal, now, event).durable)
    }
}

/// Why changes of the workflow are refused, and what lifts that; `None` where they are not.
#[must_use]
pub fn frozen(workflow: &WorkflowName, state: &WorkflowState) -> Option<String> {
    let status = state.status();
    if status.changes == Changes::Open {
        return None;
    }
    let no_cause = state
        .account()
        .burn()
        .is_some_and(|burn| burn.cause.is_none());
    Some(if no_cause {
        format!(
            "changes of `{workflow}` are frozen: it burned ({}) and no cause is on record; `burngate recover {workflow} --cause TEXT` lifts the freeze",
            status.why
        )
    } else {
        format!(
            "changes of `{workflow}` are frozen at level `{}`: {}; a higher level lifts the freeze",
            status.level(),
            status.bound_by()
        )
    })
}
