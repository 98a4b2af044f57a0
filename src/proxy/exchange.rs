//! The life of a call, on one screen: who asks, what is asked, may it go, a person's yes where one
//! is needed, do it, and settle it when the answer ends.
//!
//! All branching of the data plane sits here; the stages hold none of it. Nothing is forwarded
//! without a [`Permit`](crate::ledger::call::permit::Permit), and whatever happens, the call is
//! settled exactly once (G1, G2).
//!
//! The future of a call is moved as a whole when it begins, so what most calls never do is boxed:
//! holding, and the agent's own paths.

use std::rc::Rc;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;

use super::again::Pursuit;
use super::forward::{Attempt, Way};
use super::hold::Decided;
use super::identify::Caller;
use super::parsed::ParsedCall;
use super::plane::Plane;
use super::read::{CallRequest, Intake};
use super::refusal::Refused;
use super::respond::{Answer, Heading};
use super::settle::Settle;
use super::worker::{Connection, Serve};
use super::{again, agent, forward, hold, read, respond};
use crate::gate::approval::Approval;
use crate::gate::policy::judge::Finding;
use crate::gate::verdict::Verdict;
use crate::ids;
use crate::journal::receipt::Receipt;
use crate::journal::unavailable::Unavailable;
use crate::ledger::call::admit::Admit;
use crate::ledger::call::answers::Answer as StoredAnswer;
use crate::ledger::call::permit::{InFlightCall, Permit, Settlement};

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
        Err(refused) => respond::refused(plane, &refused, None),
        Ok(Intake::Options) => respond::options(),
        Ok(Intake::Reserved(request)) => Box::pin(agent::answer(plane, connection, *request)).await,
        Ok(Intake::Call(mut request)) => {
            let answer = match plane.identify(&request.message.headers) {
                Err(refused) => respond::refused(plane, &refused, None),
                Ok(caller) => call(plane, connection, caller, &mut request).await,
            };
            if request.is_unread() {
                Box::pin(respond::part(*request, connection, answer)).await
            } else {
                answer
            }
        }
    }
}

async fn call(
    plane: &Plane,
    connection: &Connection,
    caller: Caller,
    request: &mut CallRequest,
) -> Answer {
    let mut heading = Heading::new(caller, ids::call(), plane.ledger().now());
    if let Err(refused) = request
        .prepare(plane, connection, &heading.caller().place)
        .await
    {
        return respond::refused(plane, &refused, Some(&heading));
    }
    let mut call = None;
    for _ in 0..MAX_ROUNDS {
        let judged = match ParsedCall::of(request)
            .and_then(|parsed| judge(plane, &heading, &parsed, call.take()))
        {
            Ok(judged) => judged,
            Err(refused) => return end(plane, heading, call, &refused),
        };
        call = Some(match judged {
            Judged::Pass { permit, durable } => {
                if let Err(refused) = forward::durable(durable).await {
                    return end(plane, heading, permit.give_up(), &refused);
                }
                let began = again::is_possible(&heading, request).then(|| request.route().called());
                let way = Way {
                    fallback: None,
                    answer: request.timeout(),
                };
                let first = forward::forward(plane, connection, permit, request, way).await;
                let (last, pursuit) = match began.filter(|_| again::is_failed(&first)) {
                    None => (first, Pursuit::default()),
                    Some(began) => {
                        Box::pin(again::pursue(
                            plane, connection, &heading, request, first, began,
                        ))
                        .await
                    }
                };
                match last {
                    Attempt::Answered(forwarded) => {
                        return respond::answered(
                            plane, connection, &heading, request, *forwarded, pursuit,
                        );
                    }
                    Attempt::Again(call) => call,
                    Attempt::Failed(call, refused) => {
                        let mut answer = end(plane, heading, call, &refused);
                        pursuit.write(answer.headers_mut());
                        return answer;
                    }
                }
            }
            Judged::Held {
                call,
                approval,
                durable,
                finding,
            } => {
                heading.describe(&call);
                match Box::pin(hold::wait(
                    plane,
                    connection,
                    &request.message.headers,
                    &call,
                    *approval,
                    durable,
                ))
                .await
                {
                    Decided::Approved => {
                        match plane.still(&request.message.headers, heading.caller()) {
                            Ok(()) => call,
                            Err(refused) => return end(plane, heading, call, &refused),
                        }
                    }
                    Decided::Waiting(waiting) => {
                        let answer = respond::held(plane, &heading, &waiting, &finding);
                        call.settle(Settlement {
                            status: answer.status().as_u16(),
                            modes: Vec::new(),
                        });
                        return answer;
                    }
                    Decided::Refused(refused) => return end(plane, heading, call, &refused),
                }
            }
            Judged::Edited { call, args } => match request.edit(&args, plane) {
                Ok(()) => {
                    heading.edited(&call);
                    call
                }
                Err(refused) => return end(plane, heading, call, &refused),
            },
            Judged::Unread { call } => match request.buffer(plane, connection).await {
                Ok(()) => call,
                Err(refused) => return end(plane, heading, call, &refused),
            },
            Judged::Answered { call, answer } => {
                heading.describe(&call);
                call.settle(Settlement {
                    status: answer.status,
                    modes: Vec::new(),
                });
                return respond::replayed(plane, &heading, &answer);
            }
            Judged::Refused { call, refused } => return end(plane, heading, call, &refused),
        });
    }
    end(
        plane,
        heading,
        call,
        &Refused::unreachable("the connection kept closing before the call was sent"),
    )
}

/// What the ledger said.
enum Judged {
    Pass {
        permit: Permit,
        durable: Option<Receipt<Result<(), Unavailable>>>,
    },
    Held {
        call: InFlightCall,
        approval: Box<Approval>,
        durable: Option<Receipt<Result<(), Unavailable>>>,
        finding: Box<Finding>,
    },
    Edited {
        call: InFlightCall,
        args: Arc<str>,
    },
    Unread {
        call: InFlightCall,
    },
    Answered {
        call: InFlightCall,
        answer: StoredAnswer,
    },
    Refused {
        call: InFlightCall,
        refused: Box<Refused>,
    },
}

/// May it go? The first time, the call is opened in its run; an error is a call without a run.
fn judge(
    plane: &Plane,
    heading: &Heading,
    parsed: &ParsedCall<'_>,
    call: Option<InFlightCall>,
) -> Result<Judged, Refused> {
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
    Ok(match admit {
        Admit::Pass { permit, durable } => Judged::Pass { permit, durable },
        Admit::Held {
            call,
            approval,
            durable,
            finding,
        } => Judged::Held {
            call,
            approval,
            durable,
            finding,
        },
        Admit::Edited { call, args } => Judged::Edited { call, args },
        Admit::Unread { call } => Judged::Unread { call },
        Admit::Answered { call, answer } => Judged::Answered { call, answer },
        Admit::Refused { call, refusal } => Judged::Refused {
            call,
            refused: Box::new(Refused::from(refusal)),
        },
    })
}

/// Ends a call that does not go through.
fn end(
    plane: &Plane,
    mut heading: Heading,
    call: impl Into<Option<InFlightCall>>,
    refused: &Refused,
) -> Answer {
    let Some(call) = call.into() else {
        return respond::refused(plane, refused, Some(&heading));
    };
    heading.describe(&call);
    let answer = respond::refused(plane, refused, Some(&heading));
    // No rule said no, so no list of denied calls has it.
    if refused.is_the_gates() && call.verdict() != Verdict::Deny {
        plane.ledger().turn_away(refused.slug.as_str());
    }
    refused.settle(call);
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
