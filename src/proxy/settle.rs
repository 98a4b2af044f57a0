//! The token that travels with an answer's body and settles its call when the body ends, fails or
//! is dropped (G1).

use std::sync::Arc;

use http::HeaderMap;

use super::failure_rule::FailureRule;
use super::observe::{AnswerEnding, Copied, OnEnd};
use crate::gate::outcome::FailureMode;
use crate::ledger::call::in_flight::{InFlightCall, Settlement};
use crate::ledger::dedup::answers::StoredAnswer;

/// Settles one call by how its answer ended.
pub struct Settle {
    call: Option<InFlightCall>,
    status: u16,
    failure_rule: Option<Box<FailureRule>>,
    /// The headers of an answer that may be asked for again.
    kept: Option<Kept>,
}

type Kept = Arc<[(&'static str, Box<str>)]>;

/// What a client cannot read an answer's body without, or would look for elsewhere.
const KEPT: [&str; 4] = ["content-type", "content-encoding", "location", "etag"];

impl Settle {
    /// The token of a call whose answer began with `status`.
    #[must_use]
    pub const fn new(
        call: InFlightCall,
        status: u16,
        failure_rule: Option<Box<FailureRule>>,
    ) -> Self {
        Settle {
            call: Some(call),
            status,
            failure_rule,
            kept: None,
        }
    }

    /// Will the answer with these headers be asked for again? Then it is kept, if it comes to a
    /// good end and is not too large.
    pub fn keeps_answer(&mut self, headers: &HeaderMap) -> bool {
        let keeps = self.call.as_ref().is_some_and(InFlightCall::keeps_answer);
        self.kept = keeps.then(|| {
            let text = |name: &str| {
                headers
                    .get(name)
                    .and_then(|value| value.to_str().ok())
                    .map(Box::from)
            };
            KEPT.iter()
                .filter_map(|name| Some((*name, text(name)?)))
                .collect()
        });
        keeps
    }
}

impl OnEnd for Settle {
    fn on_end(mut self, ending: AnswerEnding, copy: Option<Copied>) {
        let Some(mut call) = self.call.take() else {
            return;
        };
        let mut modes = Vec::new();
        let lost = if call.is_idempotent() {
            FailureMode::ToolError
        } else {
            FailureMode::Timeout
        };
        match ending {
            AnswerEnding::UpstreamTimeout => {
                modes.push((FailureMode::Timeout, "the answer stopped in the middle"));
            }
            AnswerEnding::UpstreamReset | AnswerEnding::UpstreamMalformed => {
                modes.push((lost, "the answer broke off"));
            }
            AnswerEnding::Complete | AnswerEnding::ClientGone => {}
        }
        let body = copy
            .as_ref()
            .filter(|copy| copy.whole)
            .map(|copy| &*copy.bytes);
        if self
            .failure_rule
            .as_ref()
            .is_some_and(|rule| rule.failed(self.status, body))
        {
            modes.push((FailureMode::ToolError, "failure_when holds"));
        } else if self.status >= 500 {
            modes.push((
                FailureMode::ToolError,
                "the tool answered with a server error",
            ));
        }
        if let (AnswerEnding::Complete, Some(headers), Some(body)) =
            (ending, self.kept.take(), body)
        {
            call.keep_answer(StoredAnswer {
                status: self.status,
                headers,
                body: body.into(),
            });
        }
        call.settle(Settlement {
            status: self.status,
            modes,
        });
    }
}
