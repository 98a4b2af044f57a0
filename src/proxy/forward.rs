//! Does it: sends one admitted call upstream, once. Whether it is sent once more is decided in
//! `again`.
//!
//! The permit is compared with the clamp epoch when the connection stands ready, right before the
//! first byte: one that is older than a clamp goes back to be judged again (G2). A call is sent a
//! second time only where provably not a byte of it was written the first time.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request};

use super::body::Content;
use super::headers;
use super::headers::Destination;
use super::outbound::OutBody;
use super::plane::Plane;
use super::read::Arrival;
use super::refusal::Refused;
use super::routes::Routes;
use super::upstream::{Patience, Reply, SendError};
use super::worker::Connection;
use crate::gate::policy::Upstream;
use crate::journal::receipt::Receipt;
use crate::journal::unavailable::Unavailable;
use crate::ledger::permit::{Permit, Seat};

/// How an attempt ended.
pub enum Attempt {
    /// The upstream's answer began.
    Answered(Box<Forwarded>),
    /// Nothing was sent: a clamp came, or the pooled connection had died. To be judged again.
    Again(Seat),
    /// There is no answer.
    Failed(Seat, Box<Refused>),
}

/// A call whose answer has begun.
pub struct Forwarded {
    /// Settles the call.
    pub seat: Seat,
    /// The answer.
    pub reply: Reply,
    /// The host that the agent asked for.
    pub asked: Option<HeaderValue>,
    /// Where it came from.
    pub from: From,
}

/// Whose answer it is.
pub enum From {
    /// The tool API's: the routes, and which one it went.
    Api(Rc<Routes>, usize),
    /// The fallback's.
    Fallback(Box<Destination>),
}

impl From {
    /// Where the answer seems to come from.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        match self {
            From::Api(routes, index) => &routes.at(*index).destination,
            From::Fallback(destination) => destination,
        }
    }
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
    arrival: &mut Arrival,
    way: Way<'_>,
) -> Attempt {
    let (silence, found) = (arrival.timeout(), arrival.found());
    let route = found.0.at(found.1);
    let (upstream, destination) = way
        .fallback
        .unwrap_or((&route.api.upstream, &route.destination));
    let lease = match plane.pool.ready(upstream, way.answer).await {
        Ok(lease) => lease,
        Err(unreachable) => {
            return Attempt::Failed(
                permit.give_up(),
                Box::new(Refused::unreachable(&unreachable.to_string())),
            );
        }
    };
    let Some((request, asked)) = outgoing(plane, connection, arrival, upstream, destination) else {
        return Attempt::Failed(
            permit.give_up(),
            Box::new(Refused::unreachable("its address is not one")),
        );
    };
    let mut seat = match permit.check() {
        Ok(permit) => permit.spend(),
        Err(seat) => {
            arrival.take_back(request);
            return Attempt::Again(*seat);
        }
    };
    let began = std::time::Instant::now();
    let sent = lease
        .send(
            request,
            Patience {
                answer: way.answer,
                silence,
            },
        )
        .await;
    let idempotent = seat.is_idempotent();
    let refused = match sent {
        Ok(reply) => {
            plane.shared().metrics.upstream(began.elapsed());
            seat.answered(reply.parts.status.as_u16());
            let from = match way.fallback {
                None => From::Api(Rc::clone(&found.0), found.1),
                Some((_, destination)) => From::Fallback(Box::new(destination.clone())),
            };
            return Attempt::Answered(Box::new(Forwarded {
                seat,
                reply,
                asked,
                from,
            }));
        }
        Err(SendError::Unsent(request)) => {
            seat.unsent();
            arrival.take_back(*request);
            return Attempt::Again(seat);
        }
        Err(SendError::Body(failure)) => Refused::body(failure),
        Err(SendError::Timeout) => Refused::timeout(),
        Err(SendError::Malformed) => Refused::upstream_malformed(idempotent),
        Err(SendError::Reset { written: true }) => Refused::ambiguous(idempotent),
        Err(SendError::Reset { written: false }) => {
            seat.unsent();
            Refused::unreachable("it closed the connection before the call was sent")
        }
    };
    Attempt::Failed(seat, Box::new(refused))
}

/// The request as its upstream gets it. What was judged stays behind, so that it can be judged
/// again; only a body that streams goes along.
fn outgoing(
    plane: &Plane,
    connection: &Connection,
    arrival: &mut Arrival,
    upstream: &Upstream,
    destination: &Destination,
) -> Option<(Request<OutBody>, Option<HeaderValue>)> {
    let target =
        PathAndQuery::from_maybe_shared(Bytes::from(arrival.target_below(&upstream.base))).ok()?;
    let bound = arrival
        .tool()
        .and_then(|tool| tool.body)
        .unwrap_or(usize::MAX);
    let timeout = arrival.timeout();
    let body = match std::mem::replace(&mut arrival.content, Content::None) {
        Content::None => OutBody::Empty,
        Content::Read(bytes, share) => {
            let body = OutBody::Full(bytes.clone());
            arrival.content = Content::Read(bytes, share);
            body
        }
        Content::Unread(incoming) => {
            OutBody::stream(incoming, connection.wire(), bound as u64, timeout)
        }
    };
    let mut request = Request::new(body);
    let (headers, asked) =
        headers::to_upstream(&arrival.parts, connection, destination, &plane.traces);
    *request.headers_mut() = headers;
    *request.method_mut() = arrival.parts.method.clone();
    *request.uri_mut() = target.into();
    Some((request, asked))
}
