//! The life of a call, on one screen: who asks, what is asked, may it go, a person's yes where one
//! is needed, do it, and settle it when the answer ends.
//!
//! All branching of the data plane sits here: each stage answers one question, and what follows
//! from its answer is decided in this file. Nothing is forwarded without a
//! [`Permit`](crate::ledger::call::permit::Permit), and whatever happens, the call is settled exactly
//! once (G1, G2).
//!
//! The future of a call is moved as a whole when it begins, so what most calls never do is boxed:
//! holding, sending once more, and the agent's own paths.

use std::rc::Rc;

use http::Request;
use hyper::body::Incoming;

use super::again::Pursuit;
use super::forward::Attempt;
use super::hold::Decided;
use super::parsed::ParsedCall;
use super::plane::Plane;
use super::read::{CallRequest, Intake};
use super::refusal::Refused;
use super::respond::{Answer, Heading};
use super::settle::Settle;
use super::worker::{Connection, Serve};
use super::{again, agent, forward, hold, read, respond};
use crate::gate::verdict::Verdict;
use crate::ids;
use crate::ledger::call::admit::Admit;
use crate::ledger::call::permit::{InFlightCall, Settlement};

/// How often one call may be judged: again after its body was read, after each hold that was
/// approved, each clamp, and each pooled connection that had died.
const MAX_ROUNDS: u32 = 8;

/// Answers one request.
pub async fn exchange(
    plane: &Plane,
    connection: &Connection,
    request: Request<Incoming>,
) -> Answer {
    match read::intake(plane, connection, request) {
        Err(problem) => respond::refused(plane, &problem, None),
        Ok(Intake::Options) => respond::options(),
        Ok(Intake::Reserved(request)) => Box::pin(agent::answer(plane, connection, *request)).await,
        Ok(Intake::Call(mut request)) => {
            let answer = identified(plane, connection, &mut request).await;
            if request.is_unread() {
                Box::pin(respond::part(*request, connection, answer)).await
            } else {
                answer
            }
        }
    }
}

/// Answers one call.
async fn identified(plane: &Plane, connection: &Connection, request: &mut CallRequest) -> Answer {
    let caller = match plane.identify(&request.message.headers) {
        Ok(caller) => caller,
        Err(problem) => return respond::refused(plane, &problem, None),
    };
    let mut heading = Heading::new(caller, ids::call(), plane.ledger().now());
    match call(plane, connection, &mut heading, request).await {
        Ok(answer) => answer,
        Err(stopped) => stop(plane, heading, *stopped),
    }
}

/// The spine: from an identified call to its answer. What does not go through ends as an error.
async fn call(
    plane: &Plane,
    connection: &Connection,
    heading: &mut Heading,
    request: &mut CallRequest,
) -> Result<Answer, Box<Stopped>> {
    let place = &heading.caller().place;
    request.prepare(plane, connection, place).await?;
    let mut judged = None;
    for _ in 0..MAX_ROUNDS {
        let again = match admit(plane, heading, request, judged.take())? {
            Admit::Pass { permit, durable } => {
                if let Err(problem) = forward::durable(durable).await {
                    return Err(Stopped::new(permit.give_up(), problem));
                }
                let sent = again::forward(plane, connection, heading, request, permit).await;
                match sent {
                    (Attempt::Answered(forwarded), retries) => {
                        return Ok(respond::answered(
                            plane, connection, heading, request, *forwarded, retries,
                        ));
                    }
                    (Attempt::Again(call), _) => call,
                    (Attempt::Failed(call, problem), retries) => {
                        return Err(Stopped::after(retries, call, *problem));
                    }
                }
            }
            Admit::Held {
                call,
                approval,
                durable,
                finding,
            } => {
                heading.describe(&call);
                let headers = &request.message.headers;
                let wait = hold::wait(plane, connection, headers, &call, *approval, durable);
                match Box::pin(wait).await {
                    Ok(Decided::Approved) => on(call, plane.still(headers, heading.caller()))?,
                    Ok(Decided::Waiting(waiting)) => {
                        let answer = respond::held(plane, heading, &waiting, &finding);
                        return Ok(settled(call, answer));
                    }
                    Err(problem) => return Err(Stopped::new(call, problem)),
                }
            }
            Admit::Edited { call, args } => {
                let call = on(call, request.edit(&args, plane))?;
                heading.edited(&call);
                call
            }
            Admit::Unread { call } => on(call, request.buffer(plane, connection).await)?,
            Admit::Answered { call, answer } => {
                heading.describe(&call);
                return Ok(settled(call, respond::replayed(plane, heading, &answer)));
            }
            Admit::Refused { call, refusal } => return Err(Stopped::new(call, refusal.into())),
        };
        judged = Some(again);
    }
    let problem = Refused::unreachable("the connection kept closing before the call was sent");
    Err(Stopped::new(judged, problem))
}

/// May it go? The first time, the call takes its place in its run; what is refused before that has
/// none.
fn admit(
    plane: &Plane,
    heading: &Heading,
    request: &CallRequest,
    call: Option<InFlightCall>,
) -> Result<Admit, Box<Stopped>> {
    let parsed = match ParsedCall::of(request) {
        Ok(parsed) => parsed,
        Err(problem) => return Err(Stopped::new(call, problem)),
    };
    let (ledger, caller, now) = (plane.ledger(), heading.caller(), plane.ledger().now());
    let call = if let Some(call) = call {
        call
    } else {
        let run = parsed.run(caller, heading.standing())?;
        ledger
            .open_call(&caller.place, &caller.agent, run, heading.call, now)
            .ok_or_else(Refused::memory)?
    };
    let began = std::time::Instant::now();
    let admit = ledger.admit(call, &parsed.input(&caller.agent), now);
    plane.shared().metrics.decision(began.elapsed());
    Ok(admit)
}

/// A call that does not go through, and why.
struct Stopped {
    /// Without one, it was refused before it took its place in a run.
    call: Option<InFlightCall>,
    problem: Refused,
    retries: Pursuit,
}

impl Stopped {
    fn new(call: impl Into<Option<InFlightCall>>, problem: Refused) -> Box<Self> {
        Self::after(Pursuit::default(), call, problem)
    }

    fn after(
        retries: Pursuit,
        call: impl Into<Option<InFlightCall>>,
        problem: Refused,
    ) -> Box<Self> {
        Box::new(Stopped {
            call: call.into(),
            problem,
            retries,
        })
    }
}

impl From<Refused> for Box<Stopped> {
    fn from(problem: Refused) -> Self {
        Stopped::new(None, problem)
    }
}

/// The call goes on where a stage went well, and stops where it did not.
fn on(call: InFlightCall, stage: Result<(), Refused>) -> Result<InFlightCall, Box<Stopped>> {
    match stage {
        Ok(()) => Ok(call),
        Err(problem) => Err(Stopped::new(call, problem)),
    }
}

/// The answer to a call that was not sent for it.
fn settled(call: InFlightCall, answer: Answer) -> Answer {
    call.settle(Settlement {
        status: answer.status().as_u16(),
        modes: Vec::new(),
    });
    answer
}

/// Ends a call that does not go through.
fn stop(plane: &Plane, mut heading: Heading, stopped: Stopped) -> Answer {
    let Stopped {
        call,
        problem,
        retries,
    } = stopped;
    let Some(call) = call else {
        return respond::refused(plane, &problem, Some(&heading));
    };
    heading.describe(&call);
    let mut answer = respond::refused(plane, &problem, Some(&heading));
    // No rule said no, so no list of denied calls has it.
    if problem.is_the_gates() && call.verdict() != Verdict::Deny {
        plane.ledger().turn_away(problem.slug.as_str());
    }
    problem.settle(call);
    retries.write(answer.headers_mut());
    answer
}

impl Serve for Plane {
    type End = Settle;

    async fn serve(
        self: Rc<Self>,
        connection: Rc<Connection>,
        request: Request<Incoming>,
    ) -> Answer {
        exchange(&self, &connection, request).await
    }

    fn tend(&self) {
        self.pool.tend();
    }
}
