//! What is asked: which tool a request calls, and the message that leaves for it.
//!
//! What is ambiguous is refused here and books nothing. The body is read only where a rule or an
//! approval needs it.

use std::rc::Rc;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Version, header};
use hyper::body::Incoming;

use super::body::RequestBody;
use super::connection::{ClientConnection, Peer};
use super::message::{OutgoingMessage, OutgoingTarget};
use super::outbound::OutBody;
use super::problem_reply::ProblemReply;
use super::request_headers;
use super::request_headers::GateHeaders;
use super::routes::{ApiRoute, RouteTable, segments};
use super::worker_state::WorkerState;
use crate::gate::digest::Digest;
use crate::gate::policy::condition::Condition;
use crate::gate::policy::{Api, BodyKind, Tool};
use crate::gate::risk::Risk;
use crate::ledger::WorkflowHandle;
use crate::ledger::unlisted::MAX_BODY;
use crate::wire;
use crate::wire::framing::HeadLimits;
use crate::wire::target::CanonicalTarget;
use crate::wire::{Malformed, body, overrides, target};

/// The paths that are the gate's own.
pub const RESERVED: &str = "/.burngate/";

/// The longest body that is kept for another attempt alone, in bytes.
pub const MAX_REPLAYED_BODY: usize = 64 * 1024;

/// What a request turns out to be.
pub enum RequestKind {
    /// A call of a tool API.
    Call(Box<CallRequest>),
    /// For the gate itself.
    Reserved(Box<Request<Incoming>>),
    /// `OPTIONS *`: what the gate as a whole can do.
    Options,
}

/// A request for a tool API: the message that leaves if it may, and which tool that calls.
pub struct CallRequest {
    /// The message.
    pub message: OutgoingMessage,
    /// What it says to the gate.
    pub gate: GateHeaders,
    routes: Rc<RouteTable>,
    route: usize,
    tool: Option<Arc<Tool>>,
}

/// Reads a request: the guard's verdict on its head first, before anything else of it is believed.
pub fn read(
    worker: &WorkerState,
    connection: &ClientConnection,
    request: Request<Incoming>,
) -> Result<RequestKind, ProblemReply> {
    connection.next_head()?;
    let (mut parts, body) = request.into_parts();
    if parts.version == Version::HTTP_2 {
        wire::http::check_h2(&parts, HeadLimits::default())?;
    }
    if parts.uri.path() == "*" {
        return Ok(RequestKind::Options);
    }
    if parts.uri.path().starts_with(RESERVED) {
        return Ok(RequestKind::Reserved(Box::new(Request::from_parts(
            parts, body,
        ))));
    }
    let table = worker.ledger().table();
    let routes = worker.routes(&table);
    let target = target::read(parts.uri.path(), parts.uri.query())?;
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or_default();
    let Some((route, rest)) = routes.find(host, &target)? else {
        return Err(ProblemReply::no_api(target.path()));
    };
    let segments = segments(&rest);
    let api = &routes.at(route).api;
    let matched = |tool: &Arc<Tool>| {
        let matched = tool.pattern.matched(parts.method.as_str(), &segments)?;
        Some((Arc::clone(tool), matched))
    };
    let (tool, captures) = api.tools.iter().find_map(matched).unzip();
    check_unambiguous(&parts, &rest, api, tool.as_deref())?;
    let target = OutgoingTarget::new(&api.upstream.base, &rest, &captures.unwrap_or_default())
        .ok_or_else(|| ProblemReply::unreachable("its address is not one"))?;
    drop(segments);
    let at = match connection.peer {
        Peer::Tcp { at, .. } => Some(at),
        Peer::Unix => None,
    };
    let owns_host = routes.owns_host(host, at);
    let addresses = &routes.at(route).addresses;
    let (headers, gate) =
        request_headers::split(&mut parts, connection, addresses, owns_host, &worker.traces);
    Ok(RequestKind::Call(Box::new(CallRequest {
        message: OutgoingMessage {
            method: parts.method,
            target,
            headers,
            body: RequestBody::of(body),
        },
        gate,
        routes,
        route,
        tool,
    })))
}

/// Refuses what some upstream could read as another request than the one that is judged, where the
/// API does not say otherwise.
fn check_unambiguous(
    head: &Parts,
    target: &CanonicalTarget<'_>,
    api: &Api,
    tool: Option<&Tool>,
) -> Result<(), Malformed> {
    overrides::check(&head.headers, target.query(), &api.overrides)?;
    let only_reads = match tool {
        Some(tool) => tool.risk == Risk::Read,
        None => matches!(head.method, Method::GET | Method::HEAD),
    };
    if target.is_merged() && !only_reads {
        return Err(Malformed::TargetMerged);
    }
    Ok(())
}

impl CallRequest {
    /// The tool API that it is for.
    #[must_use]
    pub fn route(&self) -> &ApiRoute {
        self.routes.at(self.route)
    }

    /// The tool, where one matches.
    #[must_use]
    pub const fn tool(&self) -> Option<&Arc<Tool>> {
        self.tool.as_ref()
    }

    /// The fingerprint of the credentials that the tool API gets; `None` where it gets none.
    #[must_use]
    pub fn credentials(&self) -> Option<Digest> {
        let names = &self.route().credentials;
        self.routes.fingerprints().of(&self.message.headers, names)
    }

    /// How long the call may take until its answer begins, and between two pieces of it.
    #[must_use]
    pub fn timeout(&self) -> std::time::Duration {
        self.tool
            .as_ref()
            .map_or(self.route().api.timeout, |tool| tool.timeout)
    }

    /// Replaces the body with what a reviewer approved, and removes the digests of the old one.
    pub fn edit(&mut self, args: &str, worker: &WorkerState) -> Result<(), ProblemReply> {
        self.message.body = RequestBody::held(
            bytes::Bytes::copy_from_slice(args.as_bytes()),
            &worker.process().memory,
        )?;
        for name in ["content-digest", "repr-digest", "digest", "content-md5"] {
            self.message.headers.remove(name);
        }
        Ok(())
    }

    /// The headers for a destination whose host is `host`. They stay behind as well where something
    /// may still read them: another attempt, or a rule on the answer.
    #[must_use]
    pub fn headers_to(&mut self, host: &HeaderValue) -> HeaderMap {
        let is_read_again = |tool: &Arc<Tool>| tool.idempotent || tool.failure_when.is_some();
        let mut headers = if self.tool.as_ref().is_some_and(is_read_again) {
            self.message.headers.clone()
        } else {
            std::mem::take(&mut self.message.headers)
        };
        if let Some(known) = headers.get_mut(header::HOST)
            && known != host
        {
            known.clone_from(host);
        }
        headers
    }

    /// Takes back a request that was not sent after all.
    pub fn take_back(&mut self, request: Request<OutBody>) {
        let (head, body) = request.into_parts();
        if self.message.headers.is_empty() {
            self.message.headers = head.headers;
        }
        if let Some(incoming) = body.into_unread() {
            self.message.body = RequestBody::Unread(incoming);
        }
    }

    /// Moves the request out, for a reader that outlives the call. What stays behind may only be
    /// dropped.
    #[must_use]
    pub fn take(&mut self) -> CallRequest {
        CallRequest {
            message: OutgoingMessage {
                method: self.message.method.clone(),
                target: self.message.target.clone(),
                headers: std::mem::take(&mut self.message.headers),
                body: std::mem::replace(&mut self.message.body, RequestBody::None),
            },
            gate: GateHeaders::default(),
            routes: Rc::clone(&self.routes),
            route: self.route,
            tool: self.tool.clone(),
        }
    }

    /// Reads the body where a rule of the tool needs it. One that is announced as longer than its
    /// bound is refused unread, so that a client which asks first sends nothing of it.
    pub async fn prepare(
        &mut self,
        worker: &WorkerState,
        connection: &ClientConnection,
        workflow: &WorkflowHandle,
    ) -> Result<(), ProblemReply> {
        let skips = |tool: &Tool| {
            workflow.policy.skips.iter().any(|skip| {
                skip.tool == tool.name && skip.cases.as_ref().is_some_and(Condition::reads_args)
            })
        };
        let reads = self
            .tool
            .as_ref()
            .is_some_and(|tool| tool.reads_body() || skips(tool))
            || workflow
                .policy
                .run
                .key
                .as_ref()
                .is_some_and(Condition::reads_args);
        if matches!(self.message.body, RequestBody::None) {
            return Ok(());
        }
        let announced = self.message.body.announced();
        if announced.is_some_and(|length| length > self.max_body(worker)) {
            return Err(Malformed::BodyTooLarge.into());
        }
        if !reads {
            // A small body of an unlisted call shows what a tool for it would take. Only where the
            // call passes: a refusal waits for no body.
            if self.tool.is_none()
                && workflow.policy.mode.is_shadow(worker.ledger().now())
                && self.is_plain_json()
                && self
                    .message
                    .body
                    .is_short(MAX_BODY, &worker.process().memory)
            {
                return self.buffer(worker, connection).await;
            }
            let repeats = workflow.policy.retries > 0
                && self.tool.as_ref().is_some_and(|tool| tool.idempotent);
            // Kept so that it can be sent again; a larger one, or one of unknown length, streams
            // past and is sent once.
            return if repeats
                && self
                    .message
                    .body
                    .is_short(MAX_REPLAYED_BODY, &worker.process().memory)
            {
                self.buffer(worker, connection).await
            } else {
                Ok(())
            };
        }
        let kind = self.tool.as_ref().map_or(BodyKind::Json, |tool| tool.body);
        body::check(kind, &self.message.headers)?;
        self.buffer(worker, connection).await
    }

    fn is_plain_json(&self) -> bool {
        body::check(BodyKind::Json, &self.message.headers).is_ok()
    }

    /// Reads the body, whatever it is.
    pub async fn buffer(
        &mut self,
        worker: &WorkerState,
        connection: &ClientConnection,
    ) -> Result<(), ProblemReply> {
        let bound = self.max_body(worker);
        let content = std::mem::replace(&mut self.message.body, RequestBody::None);
        self.message.body = content
            .buffer(connection, bound, &worker.process().memory)
            .await?;
        Ok(())
    }

    /// The longest body that it may have, in bytes, read or passed on as it comes.
    #[must_use]
    pub fn max_body(&self, worker: &WorkerState) -> usize {
        self.tool
            .as_ref()
            .and_then(|tool| tool.size)
            .unwrap_or(worker.process().body)
    }

    /// Is there a body that nobody read?
    #[must_use]
    pub const fn is_unread(&self) -> bool {
        matches!(self.message.body, RequestBody::Unread(_))
    }
}
