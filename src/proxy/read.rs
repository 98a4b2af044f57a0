//! What is asked: one canonical reading of a request, which is judged, shown to reviewers, and
//! forwarded.
//!
//! What is ambiguous is refused here and books nothing. The body is read only where a rule or an
//! approval needs it.

use std::rc::Rc;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Method, Request, Version, header};
use hyper::body::Incoming;

use super::body::Content;
use super::exhibit::{Headers, Shown};
use super::identify;
use super::identify::Caller;
use super::outbound::OutBody;
use super::plane::Plane;
use super::refusal::Refused;
use super::respond::Answer;
use super::routes::{Route, Routes, segments};
use super::worker::Connection;
use crate::gate::json::Json;
use crate::gate::name::{AgentName, RunId};
use crate::gate::policy::Tool;
use crate::gate::policy::condition::Condition;
use crate::gate::policy::facts::{Facts, Lookup, Nothing, ResponseFacts, RunFacts};
use crate::gate::policy::pattern::Captures;
use crate::gate::standing::Standing;
use crate::ledger::Workplace;
use crate::ledger::admit::Ask;
use crate::ledger::unlisted::MAX_BODY;
use crate::wire;
use crate::wire::head::HeadLimits;
use crate::wire::query::Query;
use crate::wire::target::Target;
use crate::wire::{Malformed, media, target};

/// The paths that are the gate's own.
pub const RESERVED: &str = "/.burngate/";

/// The longest body that is kept for another attempt alone.
const REPLAYED: usize = 64 * 1024;

/// What a request turns out to be.
pub enum Intake {
    /// A call of a tool API.
    Call(Box<Arrival>),
    /// For the gate itself.
    Reserved(Box<Request<Incoming>>),
    /// `OPTIONS *`: what the gate as a whole can do.
    Options,
}

/// A request for a tool API, before it is read.
pub struct Arrival {
    /// Its head.
    pub parts: Parts,
    /// Its body.
    pub content: Content,
    /// Its target in its one spelling, the API's prefix stripped.
    path: Box<str>,
    query: Option<Box<str>>,
    routes: Rc<Routes>,
    route: usize,
    tool: Option<Arc<Tool>>,
}

/// A request as it is judged: everything borrowed from the one arrival that is forwarded.
pub struct Reading<'a> {
    arrival: &'a Arrival,
    target: Target<'a>,
    captures: Captures<'a, 'a>,
    args: Option<Json<'a>>,
    headers: Headers<'a>,
    query: Query<'a>,
}

/// Sorts a request: the guard's verdict on its head first, before anything else of it is believed.
pub fn intake(
    plane: &Plane,
    connection: &Connection,
    request: Request<Incoming>,
) -> Result<Intake, Refused> {
    connection.next_head()?;
    let (parts, body) = request.into_parts();
    if parts.version == Version::HTTP_2 {
        wire::http::check_h2(&parts, HeadLimits::default())?;
    }
    if parts.uri.path() == "*" {
        return Ok(Intake::Options);
    }
    if parts.uri.path().starts_with(RESERVED) {
        return Ok(Intake::Reserved(Box::new(Request::from_parts(parts, body))));
    }
    let table = plane.ledger().table();
    let routes = plane.routes(&table);
    let target = target::read(parts.uri.path(), parts.uri.query())?;
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| parts.uri.authority().map(http::uri::Authority::as_str));
    let Some((route, rest)) = routes.find(host.unwrap_or_default(), &target)? else {
        return Err(Refused::no_api(target.path()));
    };
    let segments = segments(&rest);
    let api = &routes.at(route).api;
    let tool = api
        .tools
        .iter()
        .find(|tool| {
            tool.pattern
                .captures(parts.method.as_str(), &segments)
                .is_some()
        })
        .map(Arc::clone);
    let (path, query) = (rest.path().into(), rest.query().map(Into::into));
    drop(segments);
    Ok(Intake::Call(Box::new(Arrival {
        content: Content::of(body),
        path,
        query,
        routes,
        route,
        tool,
        parts,
    })))
}

impl Arrival {
    /// The tool API that it is for.
    #[must_use]
    pub fn route(&self) -> &Route {
        self.routes.at(self.route)
    }

    /// The routes that it was found by, and which of them it is for.
    #[must_use]
    pub fn found(&self) -> (Rc<Routes>, usize) {
        (Rc::clone(&self.routes), self.route)
    }

    /// The tool, where one matches.
    #[must_use]
    pub const fn tool(&self) -> Option<&Arc<Tool>> {
        self.tool.as_ref()
    }

    /// How long the call may take until its answer begins, and between two pieces of it.
    #[must_use]
    pub fn timeout(&self) -> std::time::Duration {
        self.tool
            .as_ref()
            .map_or(self.route().api.timeout, |tool| tool.timeout)
    }

    /// Puts what a reviewer approved in the place of the body. What only vouched for the old one
    /// goes with it.
    pub fn edit(&mut self, args: &str, plane: &Plane) -> Result<(), Refused> {
        self.content = Content::held(
            bytes::Bytes::copy_from_slice(args.as_bytes()),
            &plane.shared().memory,
        )?;
        for name in ["content-digest", "repr-digest", "digest", "content-md5"] {
            self.parts.headers.remove(name);
        }
        Ok(())
    }

    /// A request that was not sent after all: its body is still there.
    pub fn take_back(&mut self, request: Request<OutBody>) {
        if let Some(incoming) = request.into_body().into_unread() {
            self.content = Content::Unread(incoming);
        }
    }

    /// Path and query as they go to an upstream with this base.
    #[must_use]
    pub fn target_below(&self, base: &str) -> String {
        match &self.query {
            Some(query) => [base, &self.path, "?", query].concat(),
            None => [base, &self.path].concat(),
        }
    }

    /// Reads the body where a rule of the tool needs it.
    pub async fn prepare(
        &mut self,
        plane: &Plane,
        connection: &Connection,
        place: &Workplace,
    ) -> Result<(), Refused> {
        let skips = |tool: &Tool| {
            place.policy.skips.iter().any(|skip| {
                skip.tool == tool.name && skip.cases.as_ref().is_some_and(Condition::reads_args)
            })
        };
        let reads = self
            .tool
            .as_ref()
            .is_some_and(|tool| tool.reads_body() || skips(tool))
            || place
                .policy
                .run
                .key
                .as_ref()
                .is_some_and(Condition::reads_args);
        if matches!(self.content, Content::None) {
            return Ok(());
        }
        if !reads {
            // A small body of an unlisted call shows what a tool for it would take. Only where the
            // call passes: a refusal waits for no body.
            if self.tool.is_none()
                && place.policy.mode.is_shadow(plane.ledger().now())
                && self.is_plain_json()
                && self.content.is_short(MAX_BODY, &plane.shared().memory)
            {
                return self.buffer(plane, connection).await;
            }
            let repeats =
                place.policy.retries > 0 && self.tool.as_ref().is_some_and(|tool| tool.idempotent);
            // Kept so that it can be sent again; a larger one, or one of unknown length, streams
            // past and is sent once.
            return if repeats && self.content.is_short(REPLAYED, &plane.shared().memory) {
                self.buffer(plane, connection).await
            } else {
                Ok(())
            };
        }
        media::is_json(self.parts.headers.get(header::CONTENT_TYPE))?;
        media::is_identity(self.parts.headers.get(header::CONTENT_ENCODING))?;
        self.buffer(plane, connection).await
    }

    fn is_plain_json(&self) -> bool {
        let headers = &self.parts.headers;
        media::is_json(headers.get(header::CONTENT_TYPE)).is_ok()
            && media::is_identity(headers.get(header::CONTENT_ENCODING)).is_ok()
    }

    /// Reads the body, whatever it is.
    pub async fn buffer(&mut self, plane: &Plane, connection: &Connection) -> Result<(), Refused> {
        let bound = self
            .tool
            .as_ref()
            .and_then(|tool| tool.body)
            .unwrap_or(plane.shared().body);
        let content = std::mem::replace(&mut self.content, Content::None);
        self.content = content
            .buffer(connection, bound, &plane.shared().memory)
            .await?;
        Ok(())
    }

    /// Is there a body that nobody read?
    #[must_use]
    pub const fn is_unread(&self) -> bool {
        matches!(self.content, Content::Unread(_))
    }

    /// Parts with a call that goes nowhere: takes the rest of its body, so that the connection can
    /// go on, or says that it cannot.
    pub async fn part(self, connection: &Connection, mut answer: Answer) -> Answer {
        // Reading would tell a client that asks first to send what nobody wants.
        let asks_first = self.parts.headers.contains_key(header::EXPECT);
        if asks_first || !self.content.discard(connection).await {
            answer
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    /// The one reading.
    pub fn reading(&self) -> Result<Reading<'_>, Refused> {
        let target = target::read(&self.path, self.query.as_deref())?;
        let captures = match &self.tool {
            Some(tool) => captures(tool, self.parts.method.as_str(), &self.path)?,
            None => Captures::new(),
        };
        let is_json = media::is_json(self.parts.headers.get(header::CONTENT_TYPE)).is_ok();
        let args = match self.content.bytes() {
            Some(bytes) if is_json && !bytes.is_empty() => {
                Some(wire::json::parse(bytes).map_err(Malformed::from)?)
            }
            _ => None,
        };
        let query = Query::new(self.query.as_deref());
        Ok(Reading {
            arrival: self,
            target,
            captures,
            args,
            headers: Headers(&self.parts.headers),
            query,
        })
    }
}

impl Reading<'_> {
    /// Asks with it, for `agent`.
    pub fn ask<R>(&self, agent: &AgentName, with: impl FnOnce(&Ask<'_>) -> R) -> R {
        let route = self.arrival.route();
        let shown = Shown {
            api: route.api.name.as_str(),
            upstream: &route.upstream,
            tool: self.arrival.tool.as_ref(),
            method: self.arrival.parts.method.as_str(),
            target: &self.target,
            content: &self.arrival.content,
            args: self.args.as_ref(),
        };
        with(&Ask {
            agent,
            api: &route.api,
            tool: self.arrival.tool.as_ref(),
            args: self.args.as_ref(),
            path: &self.captures,
            query: &self.query,
            header: &self.headers,
            exhibit: &shown,
        })
    }

    /// The run that the call belongs to: the header's, else the policy's key, else the trace's,
    /// else none but its own.
    pub fn run(&self, caller: &Caller, standing: &Standing) -> Result<Option<RunId>, Refused> {
        let headers = &self.arrival.parts.headers;
        if let Some(run) = identify::named_run(headers)? {
            return Ok(Some(run));
        }
        if let Some(key) = &caller.place.policy.run.key {
            let text = key.text(&self.facts(caller, standing, None));
            if let Some(run) = text.ok().flatten().as_deref().and_then(identify::run_id) {
                return Ok(Some(run));
            }
        }
        Ok(identify::traced_run(headers))
    }

    /// What a condition on the answer will need of the request; `None` where the tool has none.
    #[must_use]
    pub fn aftermath(&self, caller: &Caller) -> Option<Box<Aftermath>> {
        let tool = self
            .arrival
            .tool
            .as_ref()
            .filter(|tool| tool.failure_when.is_some())?;
        Some(Box::new(Aftermath {
            tool: Arc::clone(tool),
            agent: caller.agent.clone(),
            place: Arc::clone(&caller.place),
            method: self.arrival.parts.method.clone(),
            headers: self.arrival.parts.headers.clone(),
            path: self.arrival.path.clone(),
            query: self.arrival.query.clone(),
            body: self.arrival.content.bytes().cloned(),
        }))
    }

    fn facts<'f>(
        &'f self,
        caller: &'f Caller,
        standing: &'f Standing,
        response: Option<ResponseFacts<'f>>,
    ) -> Facts<'f> {
        let tool = self
            .arrival
            .tool
            .as_ref()
            .map_or("?", |tool| tool.name.as_str());
        let path: &dyn Lookup = &self.captures;
        facts_of(
            (self.args.as_ref(), path, &self.query, &self.headers),
            tool,
            caller,
            standing,
            response,
        )
    }
}

/// A request kept until its answer ends, for a condition that judges both.
pub struct Aftermath {
    tool: Arc<Tool>,
    agent: AgentName,
    place: Arc<Workplace>,
    method: Method,
    headers: http::HeaderMap,
    path: Box<str>,
    query: Option<Box<str>>,
    body: Option<bytes::Bytes>,
}

impl Aftermath {
    /// Does its condition read the answer's body?
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.tool
            .failure_when
            .as_ref()
            .is_some_and(|rule| rule.condition.reads().body)
    }

    /// Did the call fail, by the tool's `failure_when`? One that cannot be evaluated says so as a
    /// failure: silence is not success.
    #[must_use]
    pub fn failed(&self, status: u16, body: Option<&[u8]>) -> bool {
        let Some(rule) = &self.tool.failure_when else {
            return false;
        };
        let args = self
            .body
            .as_deref()
            .and_then(|bytes| wire::json::parse(bytes).ok());
        let answer = body.and_then(|bytes| wire::json::parse(bytes).ok());
        let captures = captures(&self.tool, self.method.as_str(), &self.path);
        let path: &dyn Lookup = captures
            .as_ref()
            .map_or(&Nothing, |captures| captures as &dyn Lookup);
        let (query, headers) = (Query::new(self.query.as_deref()), Headers(&self.headers));
        let standing = self.place.shard.standing();
        let caller = Caller {
            agent: self.agent.clone(),
            place: Arc::clone(&self.place),
        };
        let response = Some(ResponseFacts {
            status,
            body: answer.as_ref(),
        });
        let facts = facts_of(
            (args.as_ref(), path, &query, &headers),
            self.tool.name.as_str(),
            &caller,
            &standing,
            response,
        );
        rule.condition.holds(&facts).unwrap_or(true)
    }
}

type RequestFacts<'f> = (
    Option<&'f Json<'f>>,
    &'f dyn Lookup,
    &'f dyn Lookup,
    &'f dyn Lookup,
);

fn facts_of<'f>(
    request: RequestFacts<'f>,
    tool: &'f str,
    caller: &'f Caller,
    standing: &'f Standing,
    response: Option<ResponseFacts<'f>>,
) -> Facts<'f> {
    let (args, path, query, header) = request;
    Facts {
        args,
        path,
        query,
        header,
        tool,
        agent: caller.agent.as_str(),
        workflow: caller.place.policy.name.as_str(),
        run: RunFacts {
            id: "",
            calls: 0,
            escalated: false,
        },
        level: standing.level().as_str(),
        posture: standing.posture.as_str(),
        remaining: standing.remaining,
        burn: &standing.burn,
        response,
    }
}

/// What the tool's pattern captures of a path in its one spelling.
fn captures<'a>(
    tool: &'a Tool,
    method: &str,
    path: &'a str,
) -> Result<Captures<'a, 'a>, Malformed> {
    // The path is canonical, so its segments borrow from it wherever nothing is encoded; what is
    // encoded is decoded once more.
    let target = target::read(path, None)?;
    let captured = tool
        .pattern
        .captures(method, &segments(&target))
        .unwrap_or_default();
    Ok(captured
        .into_iter()
        .map(|(name, value)| (name, std::borrow::Cow::Owned(value.into_owned())))
        .collect())
}
