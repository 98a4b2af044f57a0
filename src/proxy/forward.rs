//! Sends one admitted call upstream, once. Whether it is sent once more is decided in `retry`.
//!
//! The permit is compared with the clamp epoch when the connection stands ready, right before the
//! first byte: one that is older than a clamp goes back to be judged again (G2). So does a call of
//! which provably not a byte was written, because its pooled connection had died. Whatever else
//! fails is reported as what it is: whether the call was executed is then unknown, and only `retry`
//! may send it again, if its tool is idempotent.

use std::time::Duration;

use http::Request;

use super::address_map::AddressMap;
use super::body::RequestBody;
use super::connection::ClientConnection;
use super::outbound::OutBody;
use super::problem_reply::ProblemReply;
use super::read::CallRequest;
use super::stopped::Stopped;
use super::upstream::{Patience, SendError, UpstreamReply};
use super::worker_state::WorkerState;
use crate::gate::policy::Upstream;
use crate::journal::receipt::Receipt;
use crate::journal::unavailable::Unavailable;
use crate::ledger::call::in_flight::InFlightCall;
use crate::ledger::call::permit::Permit;

/// How an attempt ended.
pub enum Attempt {
    /// The upstream's answer began.
    Answered(Box<Forwarded>),
    /// Nothing was sent: a clamp came, or the pooled connection had died. To be judged again.
    Again(InFlightCall),
    /// There is no answer.
    Failed(InFlightCall, Box<ProblemReply>),
}

/// A call whose answer has begun.
pub struct Forwarded {
    /// Settles the call.
    pub call: InFlightCall,
    /// The answer.
    pub reply: UpstreamReply,
    /// Where it came from.
    pub answered_by: AnsweredBy,
}

/// Whose answer it is.
pub enum AnsweredBy {
    /// The tool API's.
    Api,
    /// The fallback's.
    Fallback(Box<AddressMap>),
}

/// Where a call goes, and how long that may take.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// To another upstream than its tool API's.
    pub fallback: Option<(&'a Upstream, &'a AddressMap)>,
    /// Until a connection stands, and from the last byte sent until the answer begins.
    pub answer: Duration,
}

/// Waits until an event is on disk.
pub async fn durable(
    receipt: Option<Receipt<Result<(), Unavailable>>>,
) -> Result<(), ProblemReply> {
    match receipt {
        None => Ok(()),
        Some(receipt) => match receipt.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ProblemReply::journal()),
        },
    }
}

/// Waits until the admission of a call is on disk, where it must be.
pub async fn admitted(
    permit: Permit,
    receipt: Option<Receipt<Result<(), Unavailable>>>,
) -> Result<Permit, Box<Stopped>> {
    match durable(receipt).await {
        Ok(()) => Ok(permit),
        Err(problem) => Err(Stopped::new(permit.give_up(), problem)),
    }
}

/// Sends the call.
pub async fn forward(
    worker: &WorkerState,
    connection: &ClientConnection,
    permit: Permit,
    request: &mut CallRequest,
    destination: Destination<'_>,
) -> Attempt {
    let silence = request.timeout();
    let upstream = destination
        .fallback
        .map_or(&request.route().api.upstream, |(upstream, _)| upstream);
    let lease = match worker.pool.ready(upstream, destination.answer).await {
        Ok(lease) => lease,
        Err(unreachable) => {
            return Attempt::Failed(
                permit.give_up(),
                Box::new(ProblemReply::unreachable(&unreachable.to_string())),
            );
        }
    };
    let Some(outgoing) = outgoing(worker, connection, request, destination) else {
        return Attempt::Failed(
            permit.give_up(),
            Box::new(ProblemReply::unreachable("its address is not one")),
        );
    };
    let mut call = match permit.check() {
        Ok(permit) => permit.spend(),
        Err(call) => {
            request.take_back(outgoing);
            return Attempt::Again(*call);
        }
    };
    let began = std::time::Instant::now();
    let sent = lease
        .send(
            outgoing,
            Patience {
                answer: destination.answer,
                silence,
            },
        )
        .await;
    let idempotent = call.is_idempotent();
    let problem = match sent {
        Ok(reply) => {
            worker.process().metrics.upstream(began.elapsed());
            call.answered(reply.parts.status.as_u16());
            let answered_by = match destination.fallback {
                None => AnsweredBy::Api,
                Some((_, addresses)) => AnsweredBy::Fallback(Box::new(addresses.clone())),
            };
            return Attempt::Answered(Box::new(Forwarded {
                call,
                reply,
                answered_by,
            }));
        }
        Err(SendError::Unsent(outgoing)) => {
            call.mark_unsent();
            request.take_back(*outgoing);
            return Attempt::Again(call);
        }
        Err(SendError::Body(failure)) => ProblemReply::body(failure),
        Err(SendError::Timeout) => ProblemReply::timeout(),
        Err(SendError::TooLarge { most, of }) => {
            ProblemReply::answer_head_too_large(most, of, idempotent)
        }
        Err(SendError::Malformed) => ProblemReply::upstream_malformed(idempotent),
        Err(SendError::Reset { written: true }) => ProblemReply::ambiguous(idempotent),
        Err(SendError::Reset { written: false }) => {
            call.mark_unsent();
            ProblemReply::unreachable("it closed the connection before the call was sent")
        }
    };
    Attempt::Failed(call, Box::new(problem))
}

/// The request as its upstream gets it. What was judged stays behind, so that it can be judged
/// again; only a body that streams goes along.
fn outgoing(
    worker: &WorkerState,
    connection: &ClientConnection,
    request: &mut CallRequest,
    destination: Destination<'_>,
) -> Option<Request<OutBody>> {
    let bound = request.max_body(worker) as u64;
    let timeout = request.timeout();
    let target = match destination.fallback {
        None => request.message.target.whole().clone(),
        Some((upstream, _)) => request.message.target.below(&upstream.base)?,
    };
    let host = destination
        .fallback
        .map_or(&request.route().addresses, |(_, addresses)| addresses)
        .host()
        .clone();
    let headers = request.headers_to(&host);
    let message = &mut request.message;
    let body = match std::mem::replace(&mut message.body, RequestBody::None) {
        RequestBody::None => OutBody::Empty,
        RequestBody::Read(bytes, share) => {
            let body = OutBody::Full(bytes.clone());
            message.body = RequestBody::Read(bytes, share);
            body
        }
        RequestBody::Unread(incoming) => {
            OutBody::stream(incoming, connection.wire(), bound, timeout)
        }
    };
    let mut outgoing = Request::new(body);
    *outgoing.headers_mut() = headers;
    *outgoing.method_mut() = message.method.clone();
    *outgoing.uri_mut() = target.into();
    Some(outgoing)
}
