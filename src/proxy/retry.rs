//! Sends a call, and once more where its tool API fails it; at last to the tool's fallback.
//!
//! A call is sent again only if its tool is idempotent, only as often as its workflow's `retries`
//! and the API's retry budget allow, only for failures that pass by themselves, and only within the
//! tool's timeout, which covers all attempts and the waits between them. So a call that timed out
//! is not sent again. Each attempt is judged again and needs a permit of its own, so that a clamp
//! between two of them ends it (G2). The agent gets the outcome of the last attempt of which
//! anything was sent.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use tokio::time::Instant;

use super::connection::ClientConnection;
use super::context::{ResponseContext, RetryOutcome};
use super::drain::Phase;
use super::forward;
use super::forward::{AnsweredBy, Attempt, Destination, Forwarded};
use super::parsed::ParsedCall;
use super::problem_reply::ProblemReply;
use super::read::CallRequest;
use super::stopped::Stopped;
use super::upstream::UpstreamReply;
use super::worker_state::WorkerState;
use crate::api::problem::Slug;
use crate::gate::name::CallId;
use crate::gate::run::Executed;
use crate::ledger::call::in_flight::InFlightCall;
use crate::ledger::call::permit::Permit;

/// How long the first wait is at most, where the API does not say. Each further one is at most
/// twice as long.
const WAIT: Duration = Duration::from_millis(100);
/// The longest of these.
const MAX_RETRY_WAIT: Duration = Duration::from_secs(2);

/// What became of a call that was let go.
pub enum Sent {
    /// It was answered.
    Answered(Box<Forwarded>),
    /// Nothing was sent: it is to be judged again.
    Unsent(Box<InFlightCall>),
}

/// How a tool API failed a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ApiFailure {
    /// No connection.
    Unreachable,
    /// The connection broke.
    Reset,
    /// No answer in time.
    Timeout,
    /// No answer that can be read.
    Malformed,
    /// 502, 503 or 504, and perhaps when to come back.
    Status(u16, Option<Duration>),
}

impl ApiFailure {
    fn of(attempt: &Attempt) -> Option<Self> {
        match attempt {
            Attempt::Again(_) => None,
            Attempt::Answered(forwarded) => Self::of_answer(&forwarded.reply),
            Attempt::Failed(_, problem) => Self::of_failure(problem),
        }
    }

    fn of_answer(reply: &UpstreamReply) -> Option<Self> {
        let status = reply.parts.status;
        let is_passing = matches!(
            status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        );
        is_passing.then(|| {
            ApiFailure::Status(
                status.as_u16(),
                reply
                    .parts
                    .headers
                    .get(header::RETRY_AFTER)
                    .map(retry_after),
            )
        })
    }

    fn of_failure(problem: &ProblemReply) -> Option<Self> {
        match problem.slug {
            Slug::UpstreamUnreachable => Some(ApiFailure::Unreachable),
            Slug::Ambiguous => Some(ApiFailure::Reset),
            Slug::UpstreamTimeout => Some(ApiFailure::Timeout),
            Slug::UpstreamMalformed => Some(ApiFailure::Malformed),
            _ => None,
        }
    }

    /// How long to wait before attempt `next`; `None` where that would not help.
    fn wait(self, next: u32, call: CallId) -> Option<Duration> {
        match self {
            ApiFailure::Timeout | ApiFailure::Malformed => None,
            ApiFailure::Status(_, Some(asked)) => Some(asked),
            ApiFailure::Unreachable | ApiFailure::Reset | ApiFailure::Status(_, None) => {
                let most = WAIT
                    .saturating_mul(1 << next.saturating_sub(2).min(16))
                    .min(MAX_RETRY_WAIT);
                // Calls that failed together must not come back together, so each waits between
                // half of that and all of it.
                let share = u32::try_from(call.bits() & 0xff).unwrap_or(0);
                Some(most / 2 + most / 2 * share / 255)
            }
        }
    }

    fn header(self) -> HeaderValue {
        match self {
            ApiFailure::Unreachable => HeaderValue::from_static("unreachable"),
            ApiFailure::Reset => HeaderValue::from_static("reset"),
            ApiFailure::Timeout => HeaderValue::from_static("timeout"),
            ApiFailure::Malformed => HeaderValue::from_static("malformed"),
            ApiFailure::Status(status, _) => HeaderValue::from(status),
        }
    }
}

/// `Retry-After` in seconds. A date, or what is no number, is longer than any call waits.
fn retry_after(value: &HeaderValue) -> Duration {
    value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .map_or(Duration::MAX, Duration::from_secs)
}

/// Sends an admitted call, and again as often as that is permitted and helps.
pub async fn forward(
    worker: &WorkerState,
    connection: &ClientConnection,
    context: &mut ResponseContext,
    request: &mut CallRequest,
    permit: Permit,
) -> Result<Sent, Box<Stopped>> {
    // When it was first sent matters only where something can be done about a failure.
    let began = is_possible(context, request).then(|| request.route().called());
    let destination = Destination {
        fallback: None,
        answer: request.timeout(),
    };
    let first = forward::forward(worker, connection, permit, request, destination).await;
    let (last, retries) = match began.filter(|_| ApiFailure::of(&first).is_some()) {
        None => (first, RetryOutcome::default()),
        Some(began) => Box::pin(retry(worker, connection, context, request, first, began)).await,
    };
    match last {
        Attempt::Again(call) => Ok(Sent::Unsent(Box::new(call))),
        Attempt::Answered(forwarded) => {
            context.sent(retries);
            Ok(Sent::Answered(forwarded))
        }
        Attempt::Failed(call, problem) => {
            context.sent(retries);
            Err(Stopped::new(call, *problem))
        }
    }
}

/// May the call be sent again, or to a fallback, should it fail?
fn is_possible(context: &ResponseContext, request: &CallRequest) -> bool {
    let tool = request
        .tool()
        .filter(|tool| tool.idempotent && !request.is_unread());
    tool.is_some_and(|tool| context.caller().workflow.policy.retries > 0 || tool.fallback.is_some())
}

/// Sends the call again, as often as that is permitted and helps, and at last to its fallback.
/// `began` is when it was first sent.
async fn retry(
    worker: &WorkerState,
    connection: &ClientConnection,
    context: &ResponseContext,
    request: &mut CallRequest,
    first: Attempt,
    began: Instant,
) -> (Attempt, RetryOutcome) {
    let mut retries = RetryOutcome {
        attempts: 1,
        fallback: None,
    };
    let mut outcome = match first {
        Attempt::Again(call) => return (Attempt::Again(call), retries),
        Attempt::Answered(forwarded) => Attempted::answered(*forwarded),
        Attempt::Failed(call, problem) => Attempted {
            call,
            last: LastResult::Failed(problem),
        },
    };
    let deadline = began + request.timeout();
    let limit = context.caller().workflow.policy.retries;
    while retries.attempts <= limit
        && let Some(wait) = outcome
            .last
            .failure()
            .and_then(|failure| failure.wait(retries.attempts + 1, context.call))
        && Instant::now()
            .checked_add(wait)
            .is_some_and(|then| then < deadline)
        && request.route().may_retry(worker.ledger().now())
    {
        tokio::time::sleep(wait).await;
        let destination = Destination {
            fallback: None,
            answer: deadline.saturating_duration_since(Instant::now()),
        };
        let went;
        (outcome, went) = attempt(worker, connection, context, request, outcome, destination).await;
        if !went {
            return (outcome.into(), retries);
        }
        retries.attempts += 1;
        worker.process().metrics.retried(&request.route().api.name);
    }
    if let Some(failure) = outcome.last.failure()
        && let Some(upstream) = request.tool().and_then(|tool| tool.fallback.clone())
        && let Some(addresses) = request.route().addresses.towards(&upstream)
    {
        let destination = Destination {
            fallback: Some((&upstream, &addresses)),
            answer: request.timeout(),
        };
        (outcome, _) = attempt(worker, connection, context, request, outcome, destination).await;
        if outcome.last.is_fallback() {
            outcome.call.fell_back();
            retries.fallback = Some(failure.header());
            worker
                .process()
                .metrics
                .fell_back(&request.route().api.name);
        }
    }
    (outcome.into(), retries)
}

/// One more attempt, and whether it was made. The result before it stands where it brings nothing
/// better.
async fn attempt(
    worker: &WorkerState,
    connection: &ClientConnection,
    context: &ResponseContext,
    request: &mut CallRequest,
    before: Attempted,
    destination: Destination<'_>,
) -> (Attempted, bool) {
    // So much was pipelined behind the call that its agent may be gone, or the gate stops: nobody
    // waits for another attempt.
    if connection.is_blind() || *worker.process().phase.borrow() != Phase::Running {
        return (before, false);
    }
    let Attempted { call, last } = before;
    let progress = call.progress();
    let permit = match permit(worker, context, request, call) {
        Ok(permit) => permit,
        Err(call) => {
            return (Attempted { call: *call, last }, false);
        }
    };
    let is_fallback = destination.fallback.is_some();
    let (mut call, result) =
        match forward::forward(worker, connection, permit, request, destination).await {
            Attempt::Again(call) => (call, None),
            Attempt::Answered(forwarded) => {
                let Attempted { call, last: result } = Attempted::answered(*forwarded);
                (
                    call,
                    Some(result).filter(|result| !is_fallback || result.is_fit()),
                )
            }
            Attempt::Failed(call, problem) => (
                call,
                Some(LastResult::Failed(problem))
                    .filter(|result| !is_fallback && result.was_sent()),
            ),
        };
    if let Some(result) = result {
        return (Attempted { call, last: result }, true);
    }
    call.reset_progress(progress);
    (Attempted { call, last }, true)
}

/// May it be sent once more?
fn permit(
    worker: &WorkerState,
    context: &ResponseContext,
    request: &CallRequest,
    call: InFlightCall,
) -> Result<Permit, Box<InFlightCall>> {
    match ParsedCall::of(request) {
        Ok(parsed) => {
            let (ledger, input) = (worker.ledger(), parsed.input(&context.caller().agent));
            ledger.retry(call, &input, ledger.now())
        }
        Err(_) => Err(Box::new(call)),
    }
}

/// A call after an attempt, with the result that the agent gets if no other follows.
struct Attempted {
    call: InFlightCall,
    last: LastResult,
}

enum LastResult {
    Answered(Box<UpstreamReply>, AnsweredBy),
    Failed(Box<ProblemReply>),
}

impl Attempted {
    fn answered(forwarded: Forwarded) -> Self {
        let Forwarded {
            call,
            reply,
            answered_by,
        } = forwarded;
        Attempted {
            call,
            last: LastResult::Answered(Box::new(reply), answered_by),
        }
    }
}

impl From<Attempted> for Attempt {
    fn from(Attempted { call, last }: Attempted) -> Self {
        match last {
            LastResult::Answered(reply, answered_by) => Attempt::Answered(Box::new(Forwarded {
                call,
                reply: *reply,
                answered_by,
            })),
            LastResult::Failed(problem) => Attempt::Failed(call, problem),
        }
    }
}

impl LastResult {
    fn failure(&self) -> Option<ApiFailure> {
        match self {
            LastResult::Answered(reply, ..) => ApiFailure::of_answer(reply),
            LastResult::Failed(problem) => ApiFailure::of_failure(problem),
        }
    }

    const fn is_fallback(&self) -> bool {
        matches!(self, LastResult::Answered(_, AnsweredBy::Fallback(_)))
    }

    /// May a fallback's answer stand in for the tool API's? A 404 of the fallback says nothing
    /// about the tool API.
    fn is_fit(&self) -> bool {
        matches!(self, LastResult::Answered(reply, ..) if reply.parts.status.is_success() || reply.parts.status == StatusCode::NOT_MODIFIED)
    }

    fn was_sent(&self) -> bool {
        match self {
            LastResult::Answered(..) => true,
            LastResult::Failed(problem) => problem.executed != Executed::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_spread() {
        let wait = |next, bits| {
            ApiFailure::Reset
                .wait(next, CallId::from_bits(bits))
                .unwrap()
                .as_millis()
        };
        assert_eq!(
            [2, 3, 4, 7, 40].map(|next| wait(next, 0)),
            [50, 100, 200, 1_000, 1_000]
        );
        let longest = MAX_RETRY_WAIT.as_millis();
        // The sixth would be longer than that.
        assert_eq!(
            [2, 3, 4, 6, 7, 40].map(|next| wait(next, 0xff)),
            [100, 200, 400, 1_600, longest, longest]
        );
    }

    #[test]
    fn what_passes_by_itself_is_waited_for_and_nothing_else() {
        let call = CallId::from_bits(0);
        assert_eq!(ApiFailure::Timeout.wait(2, call), None);
        assert_eq!(ApiFailure::Malformed.wait(2, call), None);
        assert_eq!(
            ApiFailure::Status(503, Some(Duration::from_secs(7))).wait(2, call),
            Some(Duration::from_secs(7))
        );
        assert!(
            ApiFailure::Unreachable.wait(2, call).is_some()
                && ApiFailure::Status(502, None).wait(2, call).is_some()
        );
    }

    #[test]
    fn a_retry_after_that_is_no_number_of_seconds_is_longer_than_any_call_waits() {
        let read = |text: &'static str| retry_after(&HeaderValue::from_static(text));
        assert_eq!(
            [read("0"), read(" 3 ")],
            [Duration::ZERO, Duration::from_secs(3)]
        );
        assert_eq!(
            [
                read("Wed, 21 Oct 2026 07:28:00 GMT"),
                read("-1"),
                read("99999999999999999999")
            ],
            [Duration::MAX; 3]
        );
    }
}
