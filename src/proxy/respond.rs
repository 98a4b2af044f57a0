//! What the agent gets: an upstream's answer with the gate's headers on it, or a problem (RFC
//! 9457).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::again::Pursuit;
use super::failure_rule::FailureRule;
use super::forward::{Forwarded, From};
use super::headers;
use super::hold::Waiting;
use super::identify::Caller;
use super::observe::ReplyBody;
use super::plane::Plane;
use super::read::CallRequest;
use super::refusal::Refused;
use super::settle::Settle;
use super::worker::Connection;
use crate::api::problem::{BudgetDisclosure, FieldError, LimitReached, Problem, Slug};
use crate::api::{Decimal, Moment, problem};
use crate::gate::deed::Done;
use crate::gate::digest::Digest;
use crate::gate::name::{CallId, RunId, ToolName};
use crate::gate::policy::judge::Finding;
use crate::gate::run::Executed;
use crate::gate::standing::Standing;
use crate::gate::time::Time;
use crate::gate::verdict::Verdict;
use crate::ledger::call::answers::{Answer as StoredAnswer, MAX_ANSWER};
use crate::ledger::call::dedup::Reached;
use crate::ledger::call::permit::InFlightCall;
use crate::telemetry::log;

/// Any answer of the data plane.
pub type Answer = Response<ReplyBody<Settle>>;

const CALL: HeaderName = HeaderName::from_static("burngate-call");
const VERDICT: HeaderName = HeaderName::from_static("burngate-verdict");
const BUDGET: HeaderName = HeaderName::from_static("burngate-budget");
const EDITED: HeaderName = HeaderName::from_static("burngate-edited");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What every answer to one call says of it: the call, and where the workflow stood before it.
pub struct Heading {
    /// The call's id.
    pub call: CallId,
    caller: Caller,
    standing: Arc<Standing>,
    run: Option<RunId>,
    tool: Option<ToolName>,
    /// What is sent in the place of what was asked for.
    edited: Option<Digest>,
    /// The agent sees no verdict in shadow.
    shadow: bool,
}

impl Heading {
    /// The heading of a call that was not read yet.
    #[must_use]
    pub fn new(caller: Caller, call: CallId, now: Time) -> Self {
        let standing = caller.place.shard.standing_full();
        let shadow = caller.place.policy.mode.is_shadow(now);
        Heading {
            call,
            caller,
            standing,
            run: None,
            tool: None,
            edited: None,
            shadow,
        }
    }

    /// Who asks.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Where the workflow stood before the call.
    #[must_use]
    pub const fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// Adds what a seat knows.
    pub fn describe(&mut self, call: &InFlightCall) {
        self.run = Some(call.run().clone());
        self.tool = Some(call.tool().clone());
    }

    /// A reviewer put other arguments in the place of those that were asked for: the agent is told.
    pub fn edited(&mut self, call: &InFlightCall) {
        self.edited = call.edited().copied();
    }

    /// The budget before the call, as the agent is told of it.
    #[must_use]
    pub fn budget(&self) -> BudgetDisclosure {
        let remaining = self
            .caller
            .place
            .policy
            .disclose_remaining
            .then(|| Decimal::of(self.standing.remaining.ten_thousandths()));
        BudgetDisclosure {
            posture: self.standing.posture.to_string(),
            remaining,
        }
    }

    fn write(&self, plane: &Plane, headers: &mut HeaderMap, verdict: Option<Verdict>) {
        if let Ok(call) = HeaderValue::from_str(self.call.spell().as_str()) {
            headers.insert(CALL, call);
        }
        if let Some(edited) = self
            .edited
            .and_then(|digest| HeaderValue::from_str(&digest.to_string()).ok())
        {
            headers.insert(EDITED, edited);
        }
        if self.shadow {
            return;
        }
        if let Some(verdict) = verdict {
            headers.insert(VERDICT, HeaderValue::from_static(verdict.as_str()));
        }
        headers.insert(
            BUDGET,
            plane.budget_header(&self.standing, self.caller.place.policy.disclose_remaining),
        );
    }
}

/// The upstream's answer, observed to its end.
pub fn answered(
    plane: &Plane,
    connection: &Connection,
    heading: &Heading,
    request: &mut CallRequest,
    forwarded: Forwarded,
    pursuit: Pursuit,
) -> Answer {
    let Forwarded { call, reply, from } = forwarded;
    let failure_rule = FailureRule::of(request, heading.caller());
    let mut copy = failure_rule
        .as_ref()
        .filter(|rule| rule.reads_body())
        .map(|_| plane.shared().body);
    let status = reply.parts.status;
    let mut parts = reply.parts;
    headers::to_agent(
        &mut parts.headers,
        connection.scheme,
        request.message.host.as_ref(),
        match &from {
            From::Api => &request.route().destination,
            From::Fallback(destination) => destination,
        },
    );
    let mut settle = Settle::new(call, status.as_u16(), failure_rule);
    if settle.keeps_answer(&parts.headers) {
        copy = copy.max(Some(MAX_ANSWER));
    }
    // What was forwarded was allowed, also where a rule that only watches would have held it.
    heading.write(plane, &mut parts.headers, Some(Verdict::Allow));
    pursuit.write(&mut parts.headers);
    Response::from_parts(parts, ReplyBody::observed(reply.body, settle, copy))
}

/// The answer that the call got when it went, under the same idempotency key. Nothing was executed
/// for it.
pub fn replayed(plane: &Plane, heading: &Heading, stored: &StoredAnswer) -> Answer {
    let mut answer = Response::new(ReplyBody::Full(Bytes::copy_from_slice(&stored.body)));
    *answer.status_mut() =
        StatusCode::from_u16(stored.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    for (name, value) in &*stored.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    heading.write(plane, headers, Some(Verdict::Allow));
    answer
}

/// A problem, and one log line.
pub fn refused(plane: &Plane, refused: &Refused, heading: Option<&Heading>) -> Answer {
    log(
        refused.slug,
        refused.status,
        refused.finding.as_deref(),
        heading,
    );
    if heading.is_none_or(|heading| heading.run.is_none()) {
        plane.ledger().turn_away(refused.slug.as_str());
    }
    let mut problem = problem_of(
        refused.slug,
        refused.status,
        refused.detail.clone(),
        refused.executed,
        refused.finding.as_deref(),
        heading,
    );
    problem.cause = refused.cause;
    let mut retry_after = refused.retry_after;
    if let Some(recalled) = &refused.recalled {
        problem.earlier = recalled.earlier.as_ref().map(earlier);
        problem.limit = recalled.reached.as_ref().map(limit);
        let waits = recalled
            .reached
            .as_ref()
            .and_then(|reached| reached.frees_at)
            .map(|at| at.since(plane.ledger().now()));
        // Up to the whole second: a repeat within the last one would come too early.
        retry_after = waits
            .map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
            .or(retry_after);
    }
    let mut answer = json(refused.status, &problem);
    if let Some(seconds) = retry_after {
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(capped) = refused.capped {
        headers::rate_limit(
            answer.headers_mut(),
            capped,
            refused.retry_after.unwrap_or(1),
        );
    }
    match refused.slug {
        Slug::Unidentified => drop(answer.headers_mut().insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"burngate\""),
        )),
        // Whatever follows on this connection may be part of what was refused.
        Slug::Malformed | Slug::TooLarge => drop(
            answer
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close")),
        ),
        _ => {}
    }
    if let Some(heading) = heading {
        heading.write(plane, answer.headers_mut(), refused.verdict);
    }
    answer
}

/// The call waits for a person: 403, or 202 for an agent that prefers not to wait.
pub fn held(plane: &Plane, heading: &Heading, waiting: &Waiting, finding: &Finding) -> Answer {
    let request = &waiting.approval.request;
    let status = if waiting.respond_async {
        StatusCode::ACCEPTED
    } else {
        StatusCode::FORBIDDEN
    };
    log(Slug::Held, status, Some(finding), Some(heading));
    let detail = format!(
        "NOT EXECUTED. This call is held for a person: {}. The gate never sends it by itself: repeat exactly this call once approval {} is approved.",
        finding.detail, request.approval
    );
    let mut problem = problem_of(
        Slug::Held,
        status,
        detail,
        Executed::No,
        Some(finding),
        Some(heading),
    );
    let status_url = format!("{}approvals/{}", super::read::RESERVED, request.approval);
    problem.approval = Some(request.approval.to_string());
    problem.expires_at = Some(Moment(request.expires_at));
    problem.digest = Some(request.digest.to_string());
    problem.status_url = Some(status_url.clone());
    let mut answer = json(status, &problem);
    let headers = answer.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    if let Ok(location) = HeaderValue::from_str(&status_url) {
        headers.insert(header::LOCATION, location);
    }
    let applied = match (waiting.respond_async, waiting.applied_wait) {
        (true, _) => HeaderValue::from_str("respond-async").ok(),
        (false, Some(seconds)) => HeaderValue::from_str(&format!(
            "wait={}",
            seconds.min(super::hold::MAX_WAIT.as_secs())
        ))
        .ok(),
        (false, None) => None,
    };
    if let Some(applied) = applied {
        headers.insert(PREFERENCE_APPLIED, applied);
    }
    heading.write(plane, headers, Some(Verdict::Hold));
    answer
}

/// Parts with a call that goes nowhere: takes the rest of its body, so that the connection can go
/// on, or says that it cannot.
pub async fn part(request: CallRequest, connection: &Connection, mut answer: Answer) -> Answer {
    // Reading would tell a client that asks first to send what nobody wants.
    let asks_first = request.message.headers.contains_key(header::EXPECT);
    if asks_first || !request.message.body.discard(connection).await {
        answer
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// What the gate as a whole can do.
#[must_use]
pub fn options() -> Answer {
    let mut answer = Response::new(ReplyBody::Empty);
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(
        header::ALLOW,
        HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    );
    answer
}

/// JSON of the gate's own.
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut answer = Response::new(ReplyBody::Full(Bytes::from(body)));
    *answer.status_mut() = status;
    let kind = if status.is_success() && status != StatusCode::ACCEPTED {
        "application/json"
    } else {
        "application/problem+json"
    };
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn problem_of(
    slug: Slug,
    status: StatusCode,
    detail: String,
    executed: Executed,
    finding: Option<&Finding>,
    heading: Option<&Heading>,
) -> Problem {
    let mut problem = Problem::new(slug, detail);
    problem.status = status.as_u16();
    problem.executed = Some(problem::ExecutedView(executed));
    if let Some(heading) = heading {
        problem.call = Some(heading.call.to_string());
        problem.workflow = Some(heading.caller.place.policy.name.to_string());
        problem.run = heading.run.as_ref().map(ToString::to_string);
        problem.tool = heading.tool.as_ref().map(ToString::to_string);
        if !heading.shadow {
            problem.level = Some(heading.standing.level().to_string());
            problem.budget = Some(heading.budget());
        }
    }
    if let Some(finding) = finding {
        problem.rule = Some(rule(finding));
        problem.errors = finding
            .violations
            .iter()
            .map(|violation| FieldError {
                pointer: violation.pointer.clone(),
                detail: violation.detail.clone(),
            })
            .collect();
    }
    problem
}

fn earlier(done: &Done) -> problem::EarlierCall {
    let Done {
        doer, at, stage, ..
    } = done;
    problem::EarlierCall {
        call: doer.call.to_string(),
        run: doer.run.run.to_string(),
        at: Moment(*at),
        state: stage.as_str().to_owned(),
    }
}

fn limit(reached: &Reached) -> LimitReached {
    let Reached {
        limit,
        bound,
        used,
        frees_at,
    } = reached;
    LimitReached {
        limit: limit.clone(),
        bound: bound.to_string(),
        used: used.to_string(),
        resets_at: frees_at.map(Moment),
    }
}

fn rule(finding: &Finding) -> String {
    match &finding.place {
        Some(place) => format!("{} ({place})", finding.rule),
        None => finding.rule.to_string(),
    }
}

fn log(slug: Slug, status: StatusCode, finding: Option<&Finding>, heading: Option<&Heading>) {
    let rule = finding.map(rule);
    log::refusal(&log::Refusal {
        slug: slug.as_str(),
        status: status.as_u16(),
        workflow: heading.map(|heading| &heading.caller.place.policy.name),
        agent: heading.map(|heading| &heading.caller.agent),
        run: heading.and_then(|heading| heading.run.as_ref()),
        call: heading.map(|heading| heading.call),
        tool: heading.and_then(|heading| heading.tool.as_ref()),
        rule: rule.as_deref(),
    });
}
