//! Does it: sends one admitted call upstream, once. Whether it is sent once more is decided in
//! `again`.
//!
//! The permit is compared with the clamp epoch when the connection stands ready, right before the
//! first byte: one that is older than a clamp goes back to be judged again (G2). A call is sent a
//! second time only where provably not a byte of it was written the first time.

use std::time::Duration;

use http::Request;

use super::body::Content;
use super::headers;
use super::headers::Destination;
use super::outbound::OutBody;
use super::plane::Plane;
use super::read::CallRequest;
use super::refusal::Refused;
use super::upstream::{Patience, Reply, SendError};
use super::worker::Connection;
use crate::gate::policy::Upstream;
use crate::journal::receipt::Receipt;
use crate::journal::unavailable::Unavailable;
use crate::ledger::call::permit::{InFlightCall, Permit};

/// How an attempt ended.
pub enum Attempt {
    /// The upstream's answer began.
    Answered(Box<Forwarded>),
    /// Nothing was sent: a clamp came, or the pooled connection had died. To be judged again.
    Again(InFlightCall),
    /// There is no answer.
    Failed(InFlightCall, Box<Refused>),
}

/// A call whose answer has begun.
pub struct Forwarded {
    /// Settles the call.
    pub call: InFlightCall,
    /// The answer.
    pub reply: Reply,
    /// Where it came from.
    pub from: From,
}

/// Whose answer it is.
pub enum From {
    /// The tool API's.
    Api,
    /// The fallback's.
    Fallback(Box<Destination>),
}

/// Where a call goes, and how long that may take.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// To another upstream than its tool API's.
    pub fallback: Option<(&'a Upstream, &'a Destination)>,
    /// Until a connection stands, and from the last byte sent until the answer begins.
    pub answer: Duration,
}

/// Waits until the admission is on disk.
pub async fn durable(receipt: Option<Receipt<Result<(), Unavailable>>>) -> Result<(), Refused> {
    match receipt {
        None => Ok(()),
        Some(receipt) => match receipt.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Refused::journal()),
        },
    }
}

/// Sends the call.
pub async fn forward(
    plane: &Plane,
    connection: &Connection,
    permit: Permit,
    request: &mut CallRequest,
    way: Way<'_>,
) -> Attempt {
    let silence = request.timeout();
    let upstream = way
        .fallback
        .map_or(&request.route().api.upstream, |(upstream, _)| upstream);
    let lease = match plane.pool.ready(upstream, way.answer).await {
        Ok(lease) => lease,
        Err(unreachable) => {
            return Attempt::Failed(
                permit.give_up(),
                Box::new(Refused::unreachable(&unreachable.to_string())),
            );
        }
    };
    let Some(outgoing) = outgoing(plane, connection, request, way) else {
        return Attempt::Failed(
            permit.give_up(),
            Box::new(Refused::unreachable("its address is not one")),
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
                answer: way.answer,
                silence,
            },
        )
        .await;
    let idempotent = call.is_idempotent();
    let refused = match sent {
        Ok(reply) => {
            plane.shared().metrics.upstream(began.elapsed());
            call.answered(reply.parts.status.as_u16());
            let from = match way.fallback {
                None => From::Api,
                Some((_, destination)) => From::Fallback(Box::new(destination.clone())),
            };
            return Attempt::Answered(Box::new(Forwarded { call, reply, from }));
        }
        Err(SendError::Unsent(outgoing)) => {
            call.unsent();
            request.take_back(*outgoing);
            return Attempt::Again(call);
        }
        Err(SendError::Body(failure)) => Refused::body(failure),
        Err(SendError::Timeout) => Refused::timeout(),
        Err(SendError::Malformed) => Refused::upstream_malformed(idempotent),
        Err(SendError::Reset { written: true }) => Refused::ambiguous(idempotent),
        Err(SendError::Reset { written: false }) => {
            call.unsent();
            Refused::unreachable("it closed the connection before the call was sent")
        }
    };
    Attempt::Failed(call, Box::new(refused))
}

/// The request as its upstream gets it. What was judged stays behind, so that it can be judged
/// again; only a body that streams goes along.
fn outgoing(
    plane: &Plane,
    connection: &Connection,
    request: &mut CallRequest,
    way: Way<'_>,
) -> Option<Request<OutBody>> {
    let bound = request.tool().and_then(|tool| tool.body);
    let timeout = request.timeout();
    let target = match way.fallback {
        None => request.message.target.whole().clone(),
        Some((upstream, _)) => request.message.target.below(&upstream.base)?,
    };
    let destination = way
        .fallback
        .map_or(&request.route().destination, |(_, destination)| destination);
    let headers = headers::to_upstream(&request.message, connection, destination, &plane.traces);
    let message = &mut request.message;
    let body = match std::mem::replace(&mut message.body, Content::None) {
        Content::None => OutBody::Empty,
        Content::Read(bytes, share) => {
            let body = OutBody::Full(bytes.clone());
            message.body = Content::Read(bytes, share);
            body
        }
        Content::Unread(incoming) => {
            let bound = bound.unwrap_or(usize::MAX) as u64;
            OutBody::stream(incoming, connection.wire(), bound, timeout)
        }
    };
    let mut outgoing = Request::new(body);
    *outgoing.headers_mut() = headers;
    *outgoing.method_mut() = message.method.clone();
    *outgoing.uri_mut() = target.into();
    Some(outgoing)
}
