//! What is asked: one call, read once, as the policy, a reviewer and the ledger see it.

use std::hash::Hasher;
use std::sync::Arc;

use super::in_flight::InFlightCall;
use crate::gate::approval::BoundTo;
use crate::gate::digest::Digest;
use crate::gate::json::Json;
use crate::gate::name::{AgentName, Subject};
use crate::gate::policy::facts::{Facts, Lookup, RunFacts};
use crate::gate::policy::judge::Case;
use crate::gate::policy::{Api, Tool};
use crate::gate::status::Status;
use crate::wire::Malformed;

/// What is asked: one call, read once.
pub struct DecisionInput<'a> {
    /// Who asks.
    pub agent: &'a AgentName,
    /// The tool API it is for.
    pub api: &'a Api,
    /// The tool, where one matches.
    pub tool: Option<&'a Arc<Tool>>,
    /// The arguments.
    pub args: Option<&'a Json<'a>>,
    /// What the tool's pattern captured.
    pub path: &'a dyn Lookup,
    /// The query.
    pub query: &'a dyn Lookup,
    /// The request's headers.
    pub header: &'a dyn Lookup,
    /// What a reviewer would be shown; only asked where the call is held or its approval looked
    /// for.
    pub review: &'a dyn ReviewView,
}

/// A call as a reviewer is shown it, and as an approval is bound to it.
pub trait ReviewView {
    /// The digest of exactly this call; `None` while its body has not been read.
    fn digest(&self, workflow: &str, agent: &str) -> Option<Digest>;
    /// The body where it is no arguments, described in JSON.
    fn body(&self) -> Option<String>;
    /// Why a reviewer could not see the body; `None` where there is none, or it is shown whole.
    fn unshown(&self) -> Option<Malformed>;
    /// What else its digest is of: type, coding, headers and credentials.
    fn bound(&self) -> BoundTo;
    /// Feeds what makes this call the same as another into a hash; false while its body has not
    /// been read.
    fn hash_call(&self, into: &mut dyn Hasher) -> bool;
    /// Method and target as they would be forwarded.
    fn target(&self) -> String;
    /// The arguments as canonical JSON.
    fn args(&self) -> Option<String>;
}

/// What the policy is asked about: the request, its run and where the workflow stands.
pub(super) fn facts<'a>(
    input: &'a DecisionInput<'_>,
    call: &'a InFlightCall,
    status: &'a Status,
) -> Facts<'a> {
    let state = call.run.open.lock();
    let run = RunFacts {
        id: call.run.id.as_str(),
        calls: state.judged.saturating_sub(1),
        escalated: state.escalated,
    };
    drop(state);
    Facts {
        args: input.args,
        path: input.path,
        query: input.query,
        header: input.header,
        tool: call.facts.tool.as_str(),
        agent: input.agent.as_str(),
        workflow: call.handle.policy.name.as_str(),
        run,
        level: status.level().as_str(),
        posture: status.posture.as_str(),
        remaining: status.remaining,
        burn: &status.burn,
        response: None,
    }
}

/// The business object the call touches. One that cannot be worked out is none: the subject is for
/// finding the run later, not for judging the call.
pub(super) fn subject(tool: Option<&Arc<Tool>>, case: &Case<'_>) -> Option<Subject> {
    tool?
        .subject
        .as_ref()?
        .text(&case.facts)
        .ok()
        .flatten()
        .map(Subject::from)
}
