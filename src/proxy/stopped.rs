//! A call that does not go through: what a stage returns as its error.

use super::problem_reply::ProblemReply;
use crate::ledger::call::in_flight::InFlightCall;

/// A call that does not go through, and why.
pub struct Stopped {
    /// Without one, it was refused before it took its place in a run.
    pub call: Option<InFlightCall>,
    /// What the agent gets.
    pub problem: ProblemReply,
}

impl Stopped {
    /// `call` ends with `problem`.
    #[must_use]
    pub fn new(call: impl Into<Option<InFlightCall>>, problem: ProblemReply) -> Box<Self> {
        Box::new(Stopped {
            call: call.into(),
            problem,
        })
    }
}

impl From<ProblemReply> for Box<Stopped> {
    fn from(problem: ProblemReply) -> Self {
        Stopped::new(None, problem)
    }
}
