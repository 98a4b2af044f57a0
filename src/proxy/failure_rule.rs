//! A tool's `failure_when`, kept with its request until the answer has ended.

use super::identify::Caller;
use super::parsed::ParsedCall;
use super::read::CallRequest;
use crate::gate::policy::facts::ResponseFacts;
use crate::wire;

/// A condition on request and answer, with the request it reads.
pub struct FailureRule {
    request: CallRequest,
    caller: Caller,
}

impl FailureRule {
    /// The rule for the answer to `request`, which has been sent: what the rule will read is taken
    /// out of it. `None` where its tool has no such rule.
    #[must_use]
    pub fn of(request: &mut CallRequest, caller: &Caller) -> Option<Box<Self>> {
        request.tool()?.failure_when.as_ref()?;
        Some(Box::new(FailureRule {
            request: request.take(),
            caller: caller.clone(),
        }))
    }

    /// Does its condition read the answer's body?
    #[must_use]
    pub fn reads_body(&self) -> bool {
        let rule = self
            .request
            .tool()
            .and_then(|tool| tool.failure_when.as_ref());
        rule.is_some_and(|rule| rule.condition.reads().body)
    }

    /// Did the call fail? A condition that cannot be evaluated says so as a failure: silence is not
    /// success.
    #[must_use]
    pub fn failed(&self, status: u16, body: Option<&[u8]>) -> bool {
        let Some(rule) = self
            .request
            .tool()
            .and_then(|tool| tool.failure_when.as_ref())
        else {
            return false;
        };
        let Ok(call) = ParsedCall::of(&self.request) else {
            return true;
        };
        let answer = body.and_then(|bytes| wire::json::parse(bytes).ok());
        let workflow_status = self.caller.workflow.shard.status();
        let response = ResponseFacts {
            status,
            body: answer.as_ref(),
        };
        let facts = call.facts(&self.caller, &workflow_status, Some(response));
        rule.condition.holds(&facts).unwrap_or(true)
    }
}
