//! What operators do to workflows: clamp them and put them on the way to recovery; and what
//! concerns the clock.
//!
//! Every one of these is acknowledged when it is durable. What tightens is in force before that;
//! what loosens only then.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::conflict::{ExclusiveOperation, refuse_while_under_way};
use super::outcome::{OperateError, WorkflowScope, known_level};
use crate::api::Moment;
use crate::gate::approval::Stage;
use crate::gate::clamp::Clamp;
use crate::gate::event::Event;
use crate::gate::name::{LevelName, PersonName, WorkflowName};
use crate::gate::time::Time;
use crate::journal::port::Durable;
use crate::ledger::living::Ledger;
use crate::ledger::shard::Shard;

/// What a clamp found.
pub struct Clamped {
    /// Answers once the clamp would survive a crash. It is in force already.
    pub durable: Durable,
    /// Calls in flight that it came too late to stop.
    pub in_flight: u64,
    /// Unused grants, which are still subject to the clamp.
    pub grants: u64,
    /// Pending approvals.
    pub pending: u64,
}

impl Ledger {
    /// Sets a ceiling on the level of one workflow or all, in force for the next call after this
    /// returns and for every permit minted before.
    pub fn clamp(
        &self,
        scope: &WorkflowScope,
        to: &LevelName,
        by: &PersonName,
        reason: &str,
        until: Option<Time>,
    ) -> Result<Clamped, OperateError> {
        let shards = self.scope(scope)?;
        for shard in &shards {
            known_level(shard, to)?;
        }
        let now = self.now();
        let clamp = Clamp {
            to: to.clone(),
            by: by.clone(),
            reason: reason.into(),
            at: now,
            until,
        };
        let durable = self.append_scoped(scope, &shards, now, Event::Clamped(clamp));
        self.epoch.fetch_add(1, Ordering::AcqRel);
        let mut found = Clamped {
            durable,
            in_flight: 0,
            grants: 0,
            pending: 0,
        };
        for shard in &shards {
            let live = shard.lock();
            found.in_flight += live.state().open_calls().count() as u64;
            for approval in live.state().approvals().iter() {
                found.grants += u64::from(matches!(approval.stage, Stage::Approved { .. }));
                found.pending += u64::from(approval.stage == Stage::Pending);
            }
        }
        Ok(found)
    }

    /// Puts the cause of a burn on record and opens a probation.
    pub fn recover(
        &self,
        workflow: &WorkflowName,
        by: &PersonName,
        cause: &str,
        fix: Option<&str>,
        to: Option<&LevelName>,
        lasts: Duration,
    ) -> Result<Durable, OperateError> {
        let shard = self
            .shard(workflow)
            .ok_or_else(|| OperateError::NoWorkflow(workflow.clone()))?;
        if let Some(to) = to {
            known_level(&shard, to)?;
        }
        let now = self.now();
        shard.advance(now);
        let mut live = shard.lock();
        let state = live.state();
        if state.account().burn().is_none() {
            return Err(OperateError::Conflict(format!(
                "`{workflow}` is {}: there is no burn to recover from",
                state.account().posture()
            )));
        }
        refuse_while_under_way(&live, workflow, ExclusiveOperation::Recovery)?;
        if let Some(probation) = state.account().probation() {
            let until = Moment(probation.until);
            let what = format!(
                "a probation of `{workflow}` is on already: it lasts until {until}, and failures end it sooner"
            );
            return Err(OperateError::Conflict(what));
        }
        let earned = state.effective().earned;
        if let Some(to) = to
            && state
                .terms()
                .ladder
                .find(to.as_str())
                .is_some_and(|to| to > earned)
        {
            let earned = state.terms().ladder.name(earned);
            return Err(OperateError::Conflict(format!(
                "a probation opens no level above the earned one, which is `{earned}`"
            )));
        }
        let event = Event::Recovered {
            cause: cause.into(),
            fix: fix.map(Into::into),
            to: to.cloned(),
            lasts,
            by: by.clone(),
        };
        Ok(shard.append(&mut live, &*self.journal, now, event).durable)
    }

    /// The wall clock leapt to `wall`: approvals that would have expired by then expire.
    pub fn clock_jumped(&self, wall: Time) -> Durable {
        self.append_everywhere(self.now(), Event::ClockJumped { wall })
    }

    /// An operator accepts the wall clock as the time, in force once that is durable.
    pub fn accept_clock(&self, by: &PersonName) -> Durable {
        self.announce(Event::ClockAccepted { by: by.clone() })
    }

    pub(in crate::ledger) fn scope(
        &self,
        scope: &WorkflowScope,
    ) -> Result<Vec<Arc<Shard>>, OperateError> {
        match scope {
            WorkflowScope::One(name) => self
                .shard(name)
                .map(|shard| vec![shard])
                .ok_or_else(|| OperateError::NoWorkflow(name.clone())),
            WorkflowScope::All => Ok(self.shards.iter().map(|shard| Arc::clone(&shard)).collect()),
        }
    }

    fn append_scoped(
        &self,
        scope: &WorkflowScope,
        shards: &[Arc<Shard>],
        now: Time,
        event: Event,
    ) -> Durable {
        match (scope, shards) {
            (WorkflowScope::One(_), [shard]) => {
                shard
                    .append(&mut shard.lock(), &*self.journal, now, event)
                    .durable
            }
            _ => self.append_everywhere(now, event),
        }
    }
}
