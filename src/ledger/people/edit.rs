//! Approving a call with other arguments: what a reviewer wrote is judged as if the agent had asked
//! for it, and it is what is forwarded when the agent repeats its call.
//!
//! An edit changes arguments and nothing else: tool, method and target stay those of the held call.
//! It is judged twice, here and when it is sent. The agent's headers are gone by now, so a rule
//! that needs one cannot be judged here and refuses the edit (G3).

use crate::gate::approval::{Approval, BoundTo, Edit};
use crate::gate::digest::Digest;
use crate::gate::json::Json;
use crate::gate::name::{ApprovalId, WorkflowName};
use crate::gate::policy::facts::{Facts, Nothing, RunFacts};
use crate::gate::policy::finding::{Finding, Unreadable};
use crate::gate::policy::judge::Case;
use crate::gate::policy::pattern::Captures;
use crate::gate::policy::{Api, BodyKind, Tool, judge};
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::ledger::living::Ledger;
use crate::ledger::workflow::WorkflowHandle;
use crate::wire::canonical::{Approved, Body};
use crate::wire::query::Query;
use crate::wire::target::CanonicalTarget;
use crate::wire::{Malformed, canonical, json, target};

/// The longest arguments of an edit, in bytes.
pub const MAX_EDIT: usize = 64 * 1024;

/// Why arguments cannot replace those that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No such approval.
    #[error("no approval has this id")]
    NoApproval,
    /// The call has no arguments that are JSON.
    #[error(
        "this call has no arguments in JSON to edit: deny it, and say in the reason what to change"
    )]
    NoArguments,
    /// The call that was held cannot be made any more.
    #[error(
        "the tool, or where it is, changed since this call was held: deny it, and the agent can ask again"
    )]
    Changed,
    /// It is no JSON that the gate would take from an agent.
    #[error("the edit is refused: {0}")]
    Malformed(Malformed),
    /// It is longer than [`MAX_EDIT`].
    #[error("the edit is longer than {MAX_EDIT} bytes")]
    TooLong,
    /// It is what was asked for already.
    #[error("the edit changes nothing: approve the call as it is")]
    Same,
    /// A rule refuses it.
    #[error("the edited call is refused: {}", .0.detail)]
    Refused(Box<Finding>),
    /// A rule reads it in a way that two readers could read differently.
    #[error(
        "a rule reads `{0}`, which the edited call gives ambiguously or as a number that binary64 changes"
    )]
    Unreadable(String),
}

/// A held call as the policies in force see it.
struct Known<'a> {
    api: &'a Api,
    tool: &'a Tool,
    method: &'a str,
    target: CanonicalTarget<'a>,
    bound: &'a BoundTo,
}

impl Known<'_> {
    fn digest(&self, workflow: &WorkflowName, agent: &str, args: &Json<'_>) -> Digest {
        canonical::approval_digest(&Approved {
            workflow: workflow.as_str(),
            agent,
            api: self.api.name.as_str(),
            upstream: &self.api.upstream.to_string(),
            tool: self.tool.name.as_str(),
            definition: &self.tool.definition,
            method: self.method,
            target: &self.target.to_string(),
            bound: self.bound,
            body: Body::Json(args),
        })
    }
}

impl Ledger {
    /// The arguments `args` for the held call `id`, judged.
    ///
    /// # Errors
    /// Why they cannot replace those that were asked for.
    pub fn edit(&self, id: ApprovalId, args: &[u8]) -> Result<Edit, EditError> {
        let (workflow, approval) = self.approval(id).ok_or(EditError::NoApproval)?;
        if args.len() > MAX_EDIT {
            return Err(EditError::TooLong);
        }
        let asked = approval
            .request
            .args
            .as_deref()
            .ok_or(EditError::NoArguments)?;
        let table = self.table();
        let handle = table.entries.get(&workflow).ok_or(EditError::Changed)?;
        let api = table
            .policies
            .apis
            .get(approval.request.tool.api())
            .ok_or(EditError::Changed)?;
        let known = known(api, &approval).ok_or(EditError::Changed)?;
        if known.tool.body != BodyKind::Json {
            return Err(EditError::NoArguments);
        }
        let before =
            json::parse(asked.as_bytes()).map_err(|error| EditError::Malformed(error.into()))?;
        if known.digest(&workflow, approval.request.agent.as_str(), &before)
            != approval.request.digest
        {
            return Err(EditError::Changed);
        }
        let after = json::parse(args).map_err(|error| EditError::Malformed(error.into()))?;
        let mut text = Vec::with_capacity(args.len());
        canonical::write(&after, &mut text);
        let current = approval.edit().map_or(asked, |edit| &edit.args);
        if text == current.as_bytes() {
            return Err(EditError::Same);
        }
        weigh(&known, handle, &approval, &after, self.now())?;
        let digest = known.digest(&workflow, approval.request.agent.as_str(), &after);
        let args =
            String::from_utf8(text).map_err(|_| EditError::Malformed(Malformed::BodyIncomplete))?;
        Ok(Edit {
            args: args.into(),
            digest,
        })
    }

    /// Did the tool or its address change since the call was held? Then approving it would be in
    /// vain: the agent's repeat has another digest.
    pub(in crate::ledger) fn has_changed(
        &self,
        workflow: &WorkflowName,
        approval: &Approval,
    ) -> bool {
        let table = self.table();
        let Some(api) = table.policies.apis.get(approval.request.tool.api()) else {
            return false;
        };
        let Some(args) = approval
            .request
            .args
            .as_deref()
            .and_then(|args| json::parse(args.as_bytes()).ok())
        else {
            return false;
        };
        let Some(known) = known(api, approval) else {
            return api
                .tools
                .iter()
                .any(|tool| tool.name == approval.request.tool);
        };
        let is_json = known.tool.body == BodyKind::Json;
        is_json
            && known.digest(workflow, approval.request.agent.as_str(), &args)
                != approval.request.digest
    }
}

fn known<'a>(api: &'a Api, approval: &'a Approval) -> Option<Known<'a>> {
    let (method, target) = approval.request.target.split_once(' ')?;
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    let target = target::read(path, query).ok()?;
    let tool = api
        .tools
        .iter()
        .find(|tool| captures(tool, method, &target).is_some())
        .filter(|tool| tool.name == approval.request.tool)?;
    Some(Known {
        api,
        tool,
        method,
        target,
        bound: &approval.request.bound,
    })
}

fn captures<'a>(
    tool: &'a Tool,
    method: &str,
    target: &CanonicalTarget<'_>,
) -> Option<Captures<'a, 'a>> {
    let segments: Vec<_> = if target.path() == "/" {
        Vec::new()
    } else {
        target.segments().collect()
    };
    let captured = tool.pattern.captures(method, &segments)?;
    Some(
        captured
            .into_iter()
            .map(|(name, value)| (name, value.into_owned().into()))
            .collect(),
    )
}

/// What the policies in force say of the call with `args`.
fn weigh(
    known: &Known<'_>,
    handle: &WorkflowHandle,
    approval: &Approval,
    args: &Json<'_>,
    now: Time,
) -> Result<(), EditError> {
    let request = &approval.request;
    let status = handle.shard.status();
    let path = captures(known.tool, known.method, &known.target).unwrap_or_default();
    let query = Query::new(known.target.query());
    let facts = Facts {
        args: Some(args),
        path: &path,
        query: &query,
        header: &Nothing,
        tool: known.tool.name.as_str(),
        agent: request.agent.as_str(),
        workflow: handle.policy.name.as_str(),
        run: RunFacts {
            id: request.run.as_str(),
            calls: 0,
            escalated: false,
        },
        level: status.level().as_str(),
        posture: status.posture.as_str(),
        remaining: status.remaining,
        burn: &status.burn,
        response: None,
    };
    let case = Case {
        workflow: &handle.policy,
        status: &status,
        tool: Some(known.tool),
        facts,
        now,
    };
    match judge::judge(&case) {
        Ok(judged) => match judged
            .acts
            .filter(|finding| finding.verdict == Verdict::Deny)
        {
            Some(finding) => Err(EditError::Refused(Box::new(finding))),
            None => Ok(()),
        },
        Err(Unreadable(what)) => Err(EditError::Unreadable(what)),
    }
}
