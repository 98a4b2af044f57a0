//! What the agent gets: an upstream's answer with the gate's headers on it, or a problem (RFC
//! 9457).

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, Version, header};

use super::address_map::RequestedOrigin;
use super::answer_headers;
use super::connection::ClientConnection;
use super::context::ResponseContext;
use super::failure_rule::FailureRule;
use super::forward::{AnsweredBy, Forwarded};
use super::hold::StillWaiting;
use super::observe::ReplyBody;
use super::problem_reply::ProblemReply;
use super::read::CallRequest;
use super::settle::Settle;
use super::worker_state::WorkerState;
use crate::api::problem::{FieldError, LimitReached, Problem, Slug};
use crate::api::{Moment, problem};
use crate::gate::dedup::EarlierCall;
use crate::gate::policy::finding::Finding;
use crate::gate::run::Executed;
use crate::gate::verdict::Verdict;
use crate::ledger::dedup::ReachedLimit;
use crate::ledger::dedup::answers::{MAX_ANSWER, StoredAnswer};
use crate::telemetry::log;

/// Any answer of the data plane.
pub type AgentAnswer = Response<ReplyBody<Settle>>;

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The upstream's answer, observed to its end.
pub fn answered(
    worker: &WorkerState,
    connection: &ClientConnection,
    context: &ResponseContext,
    request: &mut CallRequest,
    forwarded: Forwarded,
) -> AgentAnswer {
    let Forwarded {
        call,
        reply,
        answered_by,
    } = forwarded;
    let failure_rule = FailureRule::of(request, context.caller());
    let mut copy = failure_rule
        .as_ref()
        .filter(|rule| rule.reads_body())
        .map(|_| worker.process().body);
    let status = reply.parts.status;
    let mut parts = reply.parts;
    // An upstream's HTTP/1.0 is between it and the gate: hyper would end the agent's connection.
    parts.version = Version::HTTP_11;
    answer_headers::to_agent(
        &mut parts.headers,
        RequestedOrigin {
            scheme: connection.scheme,
            host: request.gate.host.as_ref(),
        },
        match &answered_by {
            AnsweredBy::Api => &request.route().addresses,
            AnsweredBy::Fallback(addresses) => addresses,
        },
    );
    let mut settle = Settle::new(call, status.as_u16(), failure_rule);
    if settle.keeps_answer(&parts.headers) {
        copy = copy.max(Some(MAX_ANSWER));
    }
    // What was forwarded was allowed, also where a rule in shadow mode would have held it.
    context.write(worker, &mut parts.headers, Some(Verdict::Allow));
    Response::from_parts(parts, ReplyBody::observed(reply.body, settle, copy))
}

/// The answer that an earlier call got under the same idempotency key. Nothing was executed for
/// this one.
pub fn replayed(
    worker: &WorkerState,
    context: &ResponseContext,
    stored: &StoredAnswer,
) -> AgentAnswer {
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
    context.write(worker, headers, Some(Verdict::Allow));
    answer
}

/// A problem, and one log line.
pub fn problem(
    worker: &WorkerState,
    reply: &ProblemReply,
    context: Option<&ResponseContext>,
) -> AgentAnswer {
    log(reply.slug, reply.status, reply.finding.as_deref(), context);
    if context.is_none_or(|context| context.run().is_none()) {
        worker.ledger().count_rejected(reply.slug.as_str());
    }
    let mut problem = problem_of(
        reply.slug,
        reply.status,
        reply.detail.clone(),
        reply.executed,
        reply.finding.as_deref(),
        context,
    );
    problem.cause = reply.cause;
    let mut retry_after = reply.retry_after;
    if let Some(before) = &reply.before {
        problem.earlier = before.earlier.as_ref().map(earlier);
        problem.limit = before.reached.as_ref().map(limit);
        let waits = before
            .reached
            .as_ref()
            .and_then(|reached| reached.frees_at)
            .map(|at| at.since(worker.ledger().now()));
        // Up to the whole second: a repeat within the last one would come too early.
        retry_after = waits
            .map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
            .or(retry_after);
    }
    let mut answer = json(reply.status, &problem);
    if let Some(seconds) = retry_after {
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(cap) = reply.cap {
        answer_headers::rate_limit(answer.headers_mut(), cap, reply.retry_after.unwrap_or(1));
    }
    match reply.slug {
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
    if let Some(context) = context {
        context.write(worker, answer.headers_mut(), reply.verdict);
    }
    answer
}

/// The call waits for a person: 403, or 202 for an agent that prefers not to wait.
pub fn held(
    worker: &WorkerState,
    context: &ResponseContext,
    waiting: &StillWaiting,
    finding: &Finding,
) -> AgentAnswer {
    let request = &waiting.approval.request;
    let status = if waiting.respond_async {
        StatusCode::ACCEPTED
    } else {
        StatusCode::FORBIDDEN
    };
    log(Slug::Held, status, Some(finding), Some(context));
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
        Some(context),
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
            seconds.min(super::hold::MAX_HOLD_WAIT.as_secs())
        ))
        .ok(),
        (false, None) => None,
    };
    if let Some(applied) = applied {
        headers.insert(PREFERENCE_APPLIED, applied);
    }
    context.write(worker, headers, Some(Verdict::Hold));
    answer
}

/// Reads the rest of a body that nobody wants, so that its connection can be kept; where that would
/// take too long, the answer says that the connection closes.
pub async fn discard_body(
    request: CallRequest,
    connection: &ClientConnection,
    mut answer: AgentAnswer,
) -> AgentAnswer {
    // Reading would ask a client that waits for `100 Continue` to send what nobody wants.
    if request.gate.asks_first || !request.message.body.discard(connection).await {
        answer
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// What the gate as a whole can do.
#[must_use]
pub fn options() -> AgentAnswer {
    let mut answer = Response::new(ReplyBody::Empty);
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(
        header::ALLOW,
        HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    );
    answer
}

/// JSON of the gate's own.
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> AgentAnswer {
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
    context: Option<&ResponseContext>,
) -> Problem {
    let mut problem = Problem::new(slug, detail);
    problem.status = status.as_u16();
    problem.executed = Some(problem::ExecutedView(executed));
    if let Some(context) = context {
        problem.call = Some(context.call.to_string());
        problem.workflow = Some(context.caller().workflow.policy.name.to_string());
        problem.run = context.run().map(ToString::to_string);
        problem.tool = context.tool().map(ToString::to_string);
        if !context.is_shadow() {
            problem.level = Some(context.status().level().to_string());
            problem.budget = Some(context.budget());
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

fn earlier(done: &EarlierCall) -> problem::EarlierCallView {
    let EarlierCall {
        doer, at, stage, ..
    } = done;
    problem::EarlierCallView {
        call: doer.call.to_string(),
        run: doer.run.run.to_string(),
        at: Moment(*at),
        state: stage.as_str().to_owned(),
    }
}

fn limit(reached: &ReachedLimit) -> LimitReached {
    let ReachedLimit {
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
    match &finding.location {
        Some(location) => format!("{} ({location})", finding.rule),
        None => finding.rule.to_string(),
    }
}

fn log(
    slug: Slug,
    status: StatusCode,
    finding: Option<&Finding>,
    context: Option<&ResponseContext>,
) {
    let rule = finding.map(rule);
    log::refusal(&log::RefusalLine {
        slug: slug.as_str(),
        status: status.as_u16(),
        workflow: context.map(|context| &context.caller().workflow.policy.name),
        agent: context.map(|context| &context.caller().agent),
        run: context.and_then(ResponseContext::run),
        call: context.map(|context| context.call),
        tool: context.and_then(ResponseContext::tool),
        rule: rule.as_deref(),
    });
}
