//! A call as it is judged: the outgoing message, and the arguments in its body.
//!
//! Borrowed from the message for one judgement. Target, captures and query are offsets in it; only
//! the arguments are read anew each time, because a tree of them may be many times as large as the
//! body, and nothing that large may be kept while a call waits for a person (G7).

use std::borrow::Cow;
use std::hash::Hasher;
use std::sync::Arc;

use http::header;

use super::body::RequestBody;
use super::identify;
use super::identify::Caller;
use super::message::{HeaderParts, OutgoingMessage, PathParts};
use super::problem_reply::ProblemReply;
use super::read::CallRequest;
use crate::gate::approval::{BoundHeader, BoundTo};
use crate::gate::digest::Digest;
use crate::gate::json::Json;
use crate::gate::name::{AgentName, RunId};
use crate::gate::policy::facts::{Facts, ResponseFacts, RunFacts};
use crate::gate::policy::{BodyKind, Tool};
use crate::gate::status::Status;
use crate::ledger::call::input::{DecisionInput, ReviewView};
use crate::wire::body::ReadBody;
use crate::wire::canonical::{Approved, Body};
use crate::wire::query::Query;
use crate::wire::{Malformed, body, canonical, media};

/// A call, ready to be judged.
pub struct ParsedCall<'m> {
    request: &'m CallRequest,
    path: PathParts<'m>,
    query: Query<'m>,
    headers: HeaderParts<'m>,
    args: Option<Json<'m>>,
    /// The body where it is no arguments, described in JSON.
    described: Option<String>,
    /// Why a reviewer could not see the body.
    unshown: Option<Malformed>,
}

impl<'m> ParsedCall<'m> {
    /// Reads the body of a call as its tool says, where it has been read.
    ///
    /// # Errors
    /// 400 where the body is not what it says, or gives what policy names in two ways. One of a type
    /// that the tool does not take is no error here: nobody may have to read it.
    pub fn of(request: &'m CallRequest) -> Result<Self, ProblemReply> {
        let (message, tool) = (&request.message, request.tool());
        let kind = tool.map_or(BodyKind::Json, |tool| tool.body);
        let (mut args, mut described, mut unshown) = (None, None, None);
        match &message.body {
            RequestBody::Read(bytes, _) if !bytes.is_empty() => {
                match body::read(kind, &message.headers, bytes) {
                    Ok(ReadBody::Arguments(read)) => args = Some(read),
                    Ok(ReadBody::Described(text)) => described = Some(text),
                    Err(why) if why.status() == 415 => unshown = Some(why),
                    Err(why) => return Err(why.into()),
                }
            }
            RequestBody::None | RequestBody::Read(..) | RequestBody::Unread(_) => {}
        }
        if let (Some(tool), Some(args)) = (tool, &args) {
            check_named(tool, args)?;
        }
        Ok(ParsedCall {
            request,
            path: PathParts {
                target: &message.target,
                tool: request.tool().map(|tool| &**tool),
            },
            query: Query::new(message.target.query()),
            headers: HeaderParts(&message.headers),
            args,
            described,
            unshown,
        })
    }

    /// What the ledger decides by, when `agent` asks.
    #[must_use]
    pub fn input<'a>(&'a self, agent: &'a AgentName) -> DecisionInput<'a> {
        DecisionInput {
            agent,
            api: &self.request.route().api,
            tool: self.request.tool(),
            args: self.args.as_ref(),
            path: &self.path,
            query: &self.query,
            header: &self.headers,
            review: self,
        }
    }

    /// The run that the call belongs to: the header's, else the policy's key, else the trace's,
    /// else none but its own.
    pub fn run(&self, caller: &Caller, status: &Status) -> Result<Option<RunId>, ProblemReply> {
        let gate = &self.request.gate;
        if let Some(run) = identify::named_run(&gate.headers)? {
            return Ok(Some(run));
        }
        if let Some(key) = &caller.workflow.policy.run.key {
            let text = key.text(&self.facts(caller, status, None));
            if let Some(run) = text.ok().flatten().as_deref().and_then(identify::run_id) {
                return Ok(Some(run));
            }
        }
        let is_traced = Some(&self.message().headers).filter(|_| gate.is_traced);
        Ok(is_traced.and_then(identify::traced_run))
    }

    /// What a condition outside the ledger's judgement reads: nothing of the run.
    #[must_use]
    pub fn facts<'f>(
        &'f self,
        caller: &'f Caller,
        status: &'f Status,
        response: Option<ResponseFacts<'f>>,
    ) -> Facts<'f> {
        Facts {
            args: self.args.as_ref(),
            path: &self.path,
            query: &self.query,
            header: &self.headers,
            tool: self.tool_name(),
            agent: caller.agent.as_str(),
            workflow: caller.workflow.policy.name.as_str(),
            run: RunFacts {
                id: "",
                calls: 0,
                escalated: false,
            },
            level: status.level().as_str(),
            posture: status.posture.as_str(),
            remaining: status.remaining,
            burn: &status.burn,
            response,
        }
    }

    /// A body that was read, as the digest takes it: JSON by its value, parts without their
    /// boundary, all else by its bytes.
    fn digested<'a>(&'a self, bytes: &'a [u8]) -> Body<'a> {
        let kind = self.tool().map_or(BodyKind::Json, |tool| tool.body);
        match (&self.args, &self.described, kind) {
            (Some(args), _, BodyKind::Json) => Body::Json(args),
            (_, Some(parts), BodyKind::Multipart) => Body::Parts(parts),
            _ => Body::Bytes(bytes),
        }
    }

    fn message(&self) -> &'m OutgoingMessage {
        &self.request.message
    }

    fn tool(&self) -> Option<&'m Arc<Tool>> {
        self.request.tool()
    }

    fn tool_name(&self) -> &'m str {
        self.tool().map_or("?", |tool| tool.name.as_str())
    }
}

/// Refuses arguments that give a member that policy names in two ways: with a twin in another case
/// (A64), or as a form's field that is given twice (A72).
fn check_named(tool: &Tool, args: &Json<'_>) -> Result<(), Malformed> {
    if tool.members.twin(args).is_some() {
        return Err(Malformed::MemberTwin);
    }
    let is_twice = |(name, value): &(Cow<'_, str>, Json<'_>)| {
        matches!(value, Json::Array(_)) && tool.members.has(name)
    };
    match args {
        Json::Object(fields) if tool.body == BodyKind::Form && fields.iter().any(is_twice) => {
            Err(Malformed::Form)
        }
        _ => Ok(()),
    }
}

/// The call as reviewers are shown it, and as an approval is bound to it.
impl ReviewView for ParsedCall<'_> {
    fn digest(&self, workflow: &str, agent: &str) -> Option<Digest> {
        let (message, route) = (self.message(), self.request.route());
        let body = match (&message.body, &self.args) {
            (RequestBody::Unread(_), _) => return None,
            (RequestBody::None, _) => Body::None,
            (RequestBody::Read(bytes, _), _) => self.digested(bytes),
        };
        let undefined = Digest::new([0; 32]);
        Some(canonical::approval_digest(&Approved {
            workflow,
            agent,
            api: route.api.name.as_str(),
            upstream: &route.upstream,
            tool: self.tool_name(),
            definition: self.tool().map_or(&undefined, |tool| &tool.definition),
            method: message.method.as_str(),
            target: message.target.as_str(),
            bound: &self.bound(),
            body,
        }))
    }

    fn body(&self) -> Option<String> {
        self.described.clone()
    }

    fn unshown(&self) -> Option<Malformed> {
        self.unshown
    }

    fn bound(&self) -> BoundTo {
        let headers = &self.message().headers;
        let bound = |name: &str| BoundHeader {
            name: name.into(),
            // A byte a character: a header's value need not be UTF-8.
            values: headers
                .get_all(name)
                .iter()
                .map(|value| value.as_bytes().iter().copied().map(char::from))
                .map(|text| text.collect::<String>().into())
                .collect(),
        };
        let tool = self.tool().into_iter();
        BoundTo {
            media_type: media::spelled(headers.get(header::CONTENT_TYPE)).map(Into::into),
            coding: media::coding(headers.get(header::CONTENT_ENCODING)).map(Into::into),
            headers: tool
                .flat_map(|tool| &tool.binds)
                .map(|name| bound(name))
                .collect(),
            credentials: self.request.credentials(),
        }
    }

    fn hash_call(&self, into: &mut dyn Hasher) -> bool {
        let (method, target) = (&self.message().method, &self.message().target);
        into.write(method.as_str().as_bytes());
        into.write_u8(0xff);
        into.write(target.path().as_bytes());
        into.write_u8(if target.query().is_some() { 0xfe } else { 0xff });
        into.write(target.query().unwrap_or_default().as_bytes());
        // No text has this byte: what ends here does not go on in what follows.
        into.write_u8(0xff);
        match (&self.message().body, &self.args) {
            (RequestBody::Unread(_), _) => return false,
            (RequestBody::None, _) => into.write_u8(0),
            (RequestBody::Read(bytes, _), Some(args)) => {
                let mut text = Vec::with_capacity(bytes.len());
                canonical::write(args, &mut text);
                into.write_u8(1);
                into.write(&text);
            }
            (RequestBody::Read(bytes, _), None) => {
                into.write_u8(2);
                into.write(bytes);
            }
        }
        true
    }

    fn target(&self) -> String {
        let message = self.message();
        [message.method.as_str(), " ", message.target.as_str()].concat()
    }

    fn args(&self) -> Option<String> {
        let args = self.args.as_ref()?;
        let mut text = Vec::new();
        canonical::write(args, &mut text);
        String::from_utf8(text).ok()
    }
}
