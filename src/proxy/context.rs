//! What every answer to one call says of it: the call, its run and tool, and the budget before it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::identify::Caller;
use super::worker_state::WorkerState;
use crate::api::Decimal;
use crate::api::problem::BudgetDisclosure;
use crate::gate::digest::Digest;
use crate::gate::name::{CallId, RunId, ToolName};
use crate::gate::status::Status;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::ledger::call::in_flight::InFlightCall;

const CALL: HeaderName = HeaderName::from_static("burngate-call");
const VERDICT: HeaderName = HeaderName::from_static("burngate-verdict");
const BUDGET: HeaderName = HeaderName::from_static("burngate-budget");
const ATTEMPTS: HeaderName = HeaderName::from_static("burngate-attempts");
const FALLBACK: HeaderName = HeaderName::from_static("burngate-fallback");
const EDITED: HeaderName = HeaderName::from_static("burngate-edited");

/// How many attempts an answer took, and what the tool API did where its fallback gave the answer.
/// An answer to the first attempt says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryOutcome {
    /// How often the call was sent to its tool API.
    pub attempts: u32,
    /// How the tool API failed a call that the fallback answered.
    pub fallback: Option<HeaderValue>,
}

/// What every answer to one call says of it: the call, and where the workflow stood before it.
pub struct ResponseContext {
    /// The call's id.
    pub call: CallId,
    caller: Caller,
    status: Arc<Status>,
    run: Option<RunId>,
    tool: Option<ToolName>,
    /// What is sent in the place of what was asked for.
    edited: Option<Digest>,
    retries: RetryOutcome,
    /// The agent sees no verdict in shadow.
    shadow: bool,
}

impl ResponseContext {
    /// The context of a call that was not judged yet.
    #[must_use]
    pub fn new(caller: Caller, call: CallId, now: Time) -> Self {
        let status = caller.workflow.shard.status_full();
        let shadow = caller.workflow.policy.mode.is_shadow(now);
        ResponseContext {
            call,
            caller,
            status,
            run: None,
            tool: None,
            edited: None,
            retries: RetryOutcome::default(),
            shadow,
        }
    }

    /// Who asks.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The call's run, once it has one.
    #[must_use]
    pub const fn run(&self) -> Option<&RunId> {
        self.run.as_ref()
    }

    /// The call's tool, once it has a run.
    #[must_use]
    pub const fn tool(&self) -> Option<&ToolName> {
        self.tool.as_ref()
    }

    /// Is the workflow in shadow mode?
    #[must_use]
    pub const fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// Where the workflow stood before the call.
    #[must_use]
    pub const fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Adds the run and the tool of the call.
    pub fn describe(&mut self, call: &InFlightCall) {
        self.run = Some(call.run().clone());
        self.tool = Some(call.tool().clone());
    }

    /// A reviewer replaced the arguments: the answer says which were sent.
    pub fn edited(&mut self, call: &InFlightCall) {
        self.edited = call.edited().copied();
    }

    /// The call was sent as often as this.
    pub fn sent(&mut self, retries: RetryOutcome) {
        self.retries = retries;
    }

    /// The budget before the call, as far as the agent may know it.
    #[must_use]
    pub fn budget(&self) -> BudgetDisclosure {
        let remaining = self
            .caller
            .workflow
            .policy
            .disclose_remaining
            .then(|| Decimal::of(self.status.remaining.ten_thousandths()));
        BudgetDisclosure {
            posture: self.status.posture.to_string(),
            remaining,
        }
    }

    /// Writes it on an answer.
    pub fn write(&self, worker: &WorkerState, headers: &mut HeaderMap, verdict: Option<Verdict>) {
        if let Ok(call) = HeaderValue::from_str(self.call.spell().as_str()) {
            headers.insert(CALL, call);
        }
        if let Some(edited) = self
            .edited
            .and_then(|digest| HeaderValue::from_str(&digest.to_string()).ok())
        {
            headers.insert(EDITED, edited);
        }
        if self.retries.attempts > 1 {
            headers.insert(ATTEMPTS, HeaderValue::from(self.retries.attempts));
        }
        if let Some(failure) = &self.retries.fallback {
            headers.insert(FALLBACK, failure.clone());
        }
        if self.shadow {
            return;
        }
        if let Some(verdict) = verdict {
            headers.insert(VERDICT, HeaderValue::from_static(verdict.as_str()));
        }
        headers.insert(
            BUDGET,
            worker.budget_header(&self.status, self.caller.workflow.policy.disclose_remaining),
        );
    }
}
