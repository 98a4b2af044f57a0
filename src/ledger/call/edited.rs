//! A call that a reviewer approved with other arguments: what they approved is judged, and sent, in
//! the place of what the agent asked for.

use std::sync::Arc;

use super::in_flight::{Edited, InFlightCall};
use super::input::DecisionInput;
use super::outcome::{Admit, Goes, NotAdmitted};
use super::refusal::Refusal;
use crate::gate::approval::{Approval, Stage};
use crate::gate::digest::Digest;
use crate::gate::time::Time;
use crate::ledger::living::Ledger;

impl Ledger {
    /// The edit that a reviewer approved in the place of the call. Costs a look at the
    /// workflow's approvals, and only while an edited call waits to be sent.
    #[cold]
    pub(in crate::ledger) fn find_edit(
        mut call: InFlightCall,
        input: &DecisionInput<'_>,
        now: Time,
    ) -> Result<InFlightCall, Box<Admit>> {
        let handle = Arc::clone(&call.handle);
        let live = handle.shard.lock();
        let is_candidate = |approval: &&Approval| {
            let is_open = matches!(approval.stage, Stage::Approved { until } if now < until);
            is_open
                && approval.edit().is_some()
                && approval.request.tool == call.facts.tool
                && approval.request.agent == *input.agent
        };
        if live.state().approvals().iter().find(is_candidate).is_none() {
            return Ok(call);
        }
        let Some(digest) = input
            .review
            .digest(handle.policy.name.as_str(), input.agent.as_str())
        else {
            return Err(Box::new(Admit::Unread { call }));
        };
        let found = live
            .state()
            .approvals()
            .iter()
            .filter(is_candidate)
            .find(|approval| approval.request.digest == digest)
            .cloned();
        drop(live);
        let Some((approval, edit)) = found.as_ref().and_then(|approval| {
            approval
                .edit()
                .map(|edit| (approval.request.approval, edit))
        }) else {
            return Ok(call);
        };
        call.decision.edited = Some(Edited {
            approval,
            asked: digest,
            sent: edit.digest,
        });
        Err(Box::new(Admit::Edited {
            call,
            args: Arc::clone(&edit.args),
        }))
    }

    /// No rule refuses the edited call: uses its grant, where that is still there.
    pub(in crate::ledger) fn send_edited(
        &self,
        call: InFlightCall,
        edited: Edited,
        input: &DecisionInput<'_>,
    ) -> Result<Goes, NotAdmitted> {
        if !self.journal.ready() {
            return Err(call.turned_down(Refusal::Journal).into());
        }
        let handle = Arc::clone(&call.handle);
        let Some(sent) = input
            .review
            .digest(handle.policy.name.as_str(), input.agent.as_str())
        else {
            return Err(Admit::Unread { call }.into());
        };
        let live = handle.shard.lock();
        // The time of the judgement may be old by now, and a grant is used before it expires by the
        // journal's time (G4).
        let now = self.now().max(call.facts.at);
        let approval = live.state().approvals().get(edited.approval).cloned();
        match approval {
            Some(approval)
                if matches!(approval.stage, Stage::Approved { until } if now < until)
                    && *approval.digest() == sent
                    && edited.sent == sent =>
            {
                let used = (edited.approval, edited.asked, Some(sent));
                self.use_grant(call, input, live, used, now)
            }
            Some(approval) => {
                drop(live);
                let refusal = Refusal::Spent(Box::new(approval));
                Err(Admit::Refused { call, refusal }.into())
            }
            None => {
                drop(live);
                Err(call.turned_down(Refusal::Holds).into())
            }
        }
    }
}

impl InFlightCall {
    /// The digest of what is sent in the place of what was asked for, where a reviewer edited it.
    #[must_use]
    pub fn edited(&self) -> Option<&Digest> {
        self.decision.edited.as_ref().map(|edited| &edited.sent)
    }
}
