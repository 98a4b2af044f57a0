//! What is done about a call that its tool API failed: it is sent again, or another upstream is
//! asked, or neither.
//!
//! Only a call that does no harm twice is sent again, only as often as its workflow says and the
//! API's retry budget leaves, only for failures that pass by themselves, and only within the tool's
//! timeout, which covers every attempt and the waits between them. A call that timed out has used
//! that up. Each attempt is judged again and needs a permit of its own, so that a clamp between two
//! of them is the end of it (G2). An attempt that sent nothing changes nothing: what the agent gets
//! is the outcome of the last one that did.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio::time::Instant;

use super::drain::Phase;
use super::forward;
use super::forward::{Attempt, Forwarded, From, Way};
use super::parsed::ParsedCall;
use super::plane::Plane;
use super::read::CallRequest;
use super::refusal::Refused;
use super::respond::Heading;
use super::upstream::Reply;
use super::worker::Connection;
use crate::api::problem::Slug;
use crate::gate::name::CallId;
use crate::gate::run::Executed;
use crate::ledger::call::permit::{InFlightCall, Permit};

/// How long the first wait is at most, where the API does not say. Each further one is at most
/// twice as long.
const WAIT: Duration = Duration::from_millis(100);
/// The longest of these.
const MAX_WAIT: Duration = Duration::from_secs(2);

const ATTEMPTS: HeaderName = HeaderName::from_static("burngate-attempts");
const FALLBACK: HeaderName = HeaderName::from_static("burngate-fallback");

/// How an answer came about, for the agent to see. Nothing is said of one that came at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pursuit {
    attempts: u32,
    fallback: Option<Trouble>,
}

impl Pursuit {
    /// Writes it on an answer.
    pub fn write(&self, headers: &mut HeaderMap) {
        if self.attempts > 1 {
            headers.insert(ATTEMPTS, HeaderValue::from(self.attempts));
        }
        if let Some(trouble) = self.fallback {
            headers.insert(FALLBACK, trouble.header());
        }
    }
}

/// How a tool API failed a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// No connection.
    Unreachable,
    /// The connection broke.
    Reset,
    /// No answer in time.
    Timeout,
    /// No answer that can be read.
    Malformed,
    /// It says that it cannot: 502, 503 or 504, and perhaps when to come back.
    Status(u16, Option<Duration>),
}

impl Trouble {
    fn of(attempt: &Attempt) -> Option<Self> {
        match attempt {
            Attempt::Again(_) => None,
            Attempt::Answered(forwarded) => Self::of_answer(&forwarded.reply),
            Attempt::Failed(_, refused) => Self::of_failure(refused),
        }
    }

    fn of_answer(reply: &Reply) -> Option<Self> {
        let status = reply.parts.status;
        let is_passing = matches!(
            status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        );
        is_passing.then(|| {
            Trouble::Status(
                status.as_u16(),
                reply
                    .parts
                    .headers
                    .get(header::RETRY_AFTER)
                    .map(retry_after),
            )
        })
    }

    fn of_failure(refused: &Refused) -> Option<Self> {
        match refused.slug {
            Slug::UpstreamUnreachable => Some(Trouble::Unreachable),
            Slug::Ambiguous => Some(Trouble::Reset),
            Slug::UpstreamTimeout => Some(Trouble::Timeout),
            Slug::UpstreamMalformed => Some(Trouble::Malformed),
            _ => None,
        }
    }

    /// How long to wait before attempt `next`; `None` where that would not help.
    fn wait(self, next: u32, call: CallId) -> Option<Duration> {
        match self {
            Trouble::Timeout | Trouble::Malformed => None,
            Trouble::Status(_, Some(asked)) => Some(asked),
            Trouble::Unreachable | Trouble::Reset | Trouble::Status(_, None) => {
                let most = WAIT
                    .saturating_mul(1 << next.saturating_sub(2).min(16))
                    .min(MAX_WAIT);
                // Calls that failed together must not come back together, so each waits between
                // half of that and all of it.
                let share = u32::try_from(call.bits() & 0xff).unwrap_or(0);
                Some(most / 2 + most / 2 * share / 255)
            }
        }
    }

    fn header(self) -> HeaderValue {
        match self {
            Trouble::Unreachable => HeaderValue::from_static("unreachable"),
            Trouble::Reset => HeaderValue::from_static("reset"),
            Trouble::Timeout => HeaderValue::from_static("timeout"),
            Trouble::Malformed => HeaderValue::from_static("malformed"),
            Trouble::Status(status, _) => HeaderValue::from(status),
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
    plane: &Plane,
    connection: &Connection,
    heading: &Heading,
    request: &mut CallRequest,
    permit: Permit,
) -> (Attempt, Pursuit) {
    // When it was first sent matters only where something can be done about a failure.
    let began = is_possible(heading, request).then(|| request.route().called());
    let way = Way {
        fallback: None,
        answer: request.timeout(),
    };
    let first = forward::forward(plane, connection, permit, request, way).await;
    match began.filter(|_| Trouble::of(&first).is_some()) {
        None => (first, Pursuit::default()),
        Some(began) => Box::pin(pursue(plane, connection, heading, request, first, began)).await,
    }
}

/// Could anything be done, should the call fail?
fn is_possible(heading: &Heading, request: &CallRequest) -> bool {
    let tool = request
        .tool()
        .filter(|tool| tool.idempotent && !request.is_unread());
    tool.is_some_and(|tool| heading.caller().place.policy.retries > 0 || tool.fallback.is_some())
}

/// Sends the call again, as often as that is permitted and helps, and at last to its fallback.
/// `began` is when it was first sent.
async fn pursue(
    plane: &Plane,
    connection: &Connection,
    heading: &Heading,
    request: &mut CallRequest,
    first: Attempt,
    began: Instant,
) -> (Attempt, Pursuit) {
    let mut pursuit = Pursuit {
        attempts: 1,
        fallback: None,
    };
    let mut outcome = match first {
        Attempt::Again(call) => return (Attempt::Again(call), pursuit),
        Attempt::Answered(forwarded) => Outcome::answered(*forwarded),
        Attempt::Failed(call, refused) => Outcome {
            call,
            so_far: SoFar::Failed(refused),
        },
    };
    let deadline = began + request.timeout();
    let retries = heading.caller().place.policy.retries;
    while pursuit.attempts <= retries
        && let Some(wait) = outcome
            .so_far
            .trouble()
            .and_then(|trouble| trouble.wait(pursuit.attempts + 1, heading.call))
        && Instant::now()
            .checked_add(wait)
            .is_some_and(|then| then < deadline)
        && request.route().may_retry(plane.ledger().now())
    {
        tokio::time::sleep(wait).await;
        let way = Way {
            fallback: None,
            answer: deadline.saturating_duration_since(Instant::now()),
        };
        let went;
        (outcome, went) = attempt(plane, connection, heading, request, outcome, way).await;
        if !went {
            return (outcome.into(), pursuit);
        }
        pursuit.attempts += 1;
        plane.shared().metrics.retried(&request.route().api.name);
    }
    if let Some(trouble) = outcome.so_far.trouble()
        && let Some(upstream) = request.tool().and_then(|tool| tool.fallback.clone())
        && let Some(destination) = request.route().destination.towards(&upstream)
    {
        let way = Way {
            fallback: Some((&upstream, &destination)),
            answer: request.timeout(),
        };
        (outcome, _) = attempt(plane, connection, heading, request, outcome, way).await;
        if outcome.so_far.is_fallback() {
            outcome.call.fell_back();
            pursuit.fallback = Some(trouble);
            plane.shared().metrics.fell_back(&request.route().api.name);
        }
    }
    (outcome.into(), pursuit)
}

/// One more attempt, and whether it was made. What came before stands where it brings nothing
/// better.
async fn attempt(
    plane: &Plane,
    connection: &Connection,
    heading: &Heading,
    request: &mut CallRequest,
    before: Outcome,
    way: Way<'_>,
) -> (Outcome, bool) {
    // So much was pipelined behind the call that its agent may be gone, or the gate stops: nobody
    // waits for another attempt.
    if connection.is_blind() || *plane.shared().phase.borrow() != Phase::Running {
        return (before, false);
    }
    let Outcome { call, so_far } = before;
    let progress = call.progress();
    let permit = match permit(plane, heading, request, call) {
        Ok(permit) => permit,
        Err(call) => {
            return (
                Outcome {
                    call: *call,
                    so_far,
                },
                false,
            );
        }
    };
    let is_fallback = way.fallback.is_some();
    let (mut call, news) = match forward::forward(plane, connection, permit, request, way).await {
        Attempt::Again(call) => (call, None),
        Attempt::Answered(forwarded) => {
            let Outcome { call, so_far: news } = Outcome::answered(*forwarded);
            (
                call,
                Some(news).filter(|news| !is_fallback || news.is_fit()),
            )
        }
        Attempt::Failed(call, refused) => (
            call,
            Some(SoFar::Failed(refused)).filter(|news| !is_fallback && news.was_sent()),
        ),
    };
    if let Some(news) = news {
        return (Outcome { call, so_far: news }, true);
    }
    call.stand_at(progress);
    (Outcome { call, so_far }, true)
}

/// May it be sent once more?
fn permit(
    plane: &Plane,
    heading: &Heading,
    request: &CallRequest,
    call: InFlightCall,
) -> Result<Permit, Box<InFlightCall>> {
    match ParsedCall::of(request) {
        Ok(parsed) => {
            let (ledger, input) = (plane.ledger(), parsed.input(&heading.caller().agent));
            ledger.again(call, &input, ledger.now())
        }
        Err(_) => Err(Box::new(call)),
    }
}

/// What a call has come to so far.
struct Outcome {
    call: InFlightCall,
    so_far: SoFar,
}

enum SoFar {
    Answered(Box<Reply>, From),
    Failed(Box<Refused>),
}

impl Outcome {
    fn answered(forwarded: Forwarded) -> Self {
        let Forwarded { call, reply, from } = forwarded;
        Outcome {
            call,
            so_far: SoFar::Answered(Box::new(reply), from),
        }
    }
}

impl std::convert::From<Outcome> for Attempt {
    fn from(Outcome { call, so_far }: Outcome) -> Self {
        match so_far {
            SoFar::Answered(reply, from) => Attempt::Answered(Box::new(Forwarded {
                call,
                reply: *reply,
                from,
            })),
            SoFar::Failed(refused) => Attempt::Failed(call, refused),
        }
    }
}

impl SoFar {
    fn trouble(&self) -> Option<Trouble> {
        match self {
            SoFar::Answered(reply, ..) => Trouble::of_answer(reply),
            SoFar::Failed(refused) => Trouble::of_failure(refused),
        }
    }

    const fn is_fallback(&self) -> bool {
        matches!(self, SoFar::Answered(_, From::Fallback(_)))
    }

    /// Is it an answer that may stand in for another? That a fallback knows no such thing says
    /// nothing about the tool API.
    fn is_fit(&self) -> bool {
        matches!(self, SoFar::Answered(reply, ..) if reply.parts.status.is_success() || reply.parts.status == StatusCode::NOT_MODIFIED)
    }

    fn was_sent(&self) -> bool {
        match self {
            SoFar::Answered(..) => true,
            SoFar::Failed(refused) => refused.executed != Executed::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_spread() {
        let wait = |next, bits| {
            Trouble::Reset
                .wait(next, CallId::from_bits(bits))
                .unwrap()
                .as_millis()
        };
        assert_eq!(
            [2, 3, 4, 7, 40].map(|next| wait(next, 0)),
            [50, 100, 200, 1_000, 1_000]
        );
        assert_eq!(
            [2, 3, 4, 7, 40].map(|next| wait(next, 0xff)),
            [100, 200, 400, 2_000, 2_000]
        );
    }

    #[test]
    fn what_passes_by_itself_is_waited_for_and_nothing_else() {
        let call = CallId::from_bits(0);
        assert_eq!(Trouble::Timeout.wait(2, call), None);
        assert_eq!(Trouble::Malformed.wait(2, call), None);
        assert_eq!(
            Trouble::Status(503, Some(Duration::from_secs(7))).wait(2, call),
            Some(Duration::from_secs(7))
        );
        assert!(
            Trouble::Unreachable.wait(2, call).is_some()
                && Trouble::Status(502, None).wait(2, call).is_some()
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
