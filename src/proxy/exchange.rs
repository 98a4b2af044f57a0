//! The life of a call, on one screen: who asks, what is asked, may it go, a person's yes where one
//! is needed, do it, and settle it when the answer ends.
//!
//! All branching of the data plane sits here: each stage answers one question, and what follows
//! from its answer is decided in `call`. Nothing is forwarded without a
//! [`Permit`](crate::ledger::call::permit::Permit), and whatever happens, the call is settled exactly
//! once (G1, G2). A stage does not decide what comes after it, `retry` included: it sends one call,
//! in one attempt or several.
//!
//! The future of a call is moved as a whole when it begins, so what most calls never do is boxed:
//! holding, sending once more, and the agent's own paths.

use std::rc::Rc;

use http::Request;
use hyper::body::Incoming;

use super::connection::ClientConnection;
use super::context::ResponseContext;
use super::hold::HoldOutcome;
use super::parsed::ParsedCall;
use super::problem_reply::ProblemReply;
use super::read::{CallRequest, RequestKind};
use super::respond::AgentAnswer;
use super::retry::Sent;
use super::settle::Settle;
use super::stopped::Stopped;
use super::worker::Serve;
use super::worker_state::WorkerState;
use super::{agent, forward, hold, read, respond, retry};
use crate::gate::verdict::Verdict;
use crate::ids;
use crate::ledger::call::in_flight::{InFlightCall, Settlement};
use crate::ledger::call::outcome::Admit;

/// How often one call may be judged: again after its body was read, after each hold that was
/// approved, each clamp, and each pooled connection that had died.
const MAX_ROUNDS: u32 = 8;

/// Answers one request.
pub async fn exchange(
    worker: &WorkerState,
    connection: &ClientConnection,
    request: Request<Incoming>,
) -> AgentAnswer {
    match read::read(worker, connection, request) {
        Err(problem) => respond::problem(worker, &problem, None),
        Ok(RequestKind::Options) => respond::options(),
        Ok(RequestKind::Reserved(request)) => {
            Box::pin(agent::answer(worker, connection, *request)).await
        }
        Ok(RequestKind::Call(mut request)) => {
            let answer = identified(worker, connection, &mut request).await;
            if request.is_unread() {
                Box::pin(respond::discard_body(*request, connection, answer)).await
            } else {
                answer
            }
        }
    }
}

/// Answers one call.
async fn identified(
    worker: &WorkerState,
    connection: &ClientConnection,
    request: &mut CallRequest,
) -> AgentAnswer {
    let caller = match worker.identify(&request.gate.headers) {
        Ok(caller) => caller,
        Err(problem) => return respond::problem(worker, &problem, None),
    };
    let mut context = ResponseContext::new(caller, ids::call(), worker.ledger().now());
    match call(worker, connection, &mut context, request).await {
        Ok(answer) => answer,
        Err(stopped) => stop(worker, context, *stopped),
    }
}

/// The spine: from an identified call to its answer. A stage whose error ends the call returns it
/// with the call.
async fn call(
    worker: &WorkerState,
    connection: &ClientConnection,
    context: &mut ResponseContext,
    request: &mut CallRequest,
) -> Result<AgentAnswer, Box<Stopped>> {
    let mut judged = None;
    request
        .prepare(worker, connection, &context.caller().workflow)
        .await?;
    for _ in 0..MAX_ROUNDS {
        judged = Some(match admit(worker, context, request, judged.take())? {
            Admit::Pass { permit, durable } => {
                let permit = forward::admitted(permit, durable).await?;
                match retry::forward(worker, connection, context, request, permit).await? {
                    Sent::Answered(sent) => {
                        return Ok(respond::answered(
                            worker, connection, context, request, *sent,
                        ));
                    }
                    Sent::Unsent(call) => *call,
                }
            }
            Admit::Held {
                call,
                approval,
                durable,
                finding,
            } => {
                context.describe(&call);
                let headers = &request.message.headers;
                let wait = hold::wait(worker, connection, headers, call, *approval, durable);
                match Box::pin(wait).await? {
                    HoldOutcome::Approved(call) => {
                        let still = worker.still(&request.gate.headers, context.caller());
                        on(call, still)?
                    }
                    HoldOutcome::Waiting(call, waiting) => {
                        let answer = respond::held(worker, context, &waiting, &finding);
                        return Ok(settled(call, answer));
                    }
                }
            }
            Admit::Edited { call, args } => {
                let call = on(call, request.edit(&args, worker))?;
                context.edited(&call);
                call
            }
            Admit::Unread { call } => on(call, request.buffer(worker, connection).await)?,
            Admit::Answered { call, answer } => {
                context.describe(&call);
                return Ok(settled(call, respond::replayed(worker, context, &answer)));
            }
            Admit::Refused { call, refusal } => return Err(Stopped::new(call, refusal.into())),
        });
    }
    Err(Stopped::new(judged, ProblemReply::unsent()))
}

/// May it go? The first time, the call takes its place in its run; what is refused before that has
/// none.
fn admit(
    worker: &WorkerState,
    context: &ResponseContext,
    request: &CallRequest,
    call: Option<InFlightCall>,
) -> Result<Admit, Box<Stopped>> {
    let parsed = match ParsedCall::of(request) {
        Ok(parsed) => parsed,
        Err(problem) => return Err(Stopped::new(call, problem)),
    };
    let (ledger, caller, now) = (worker.ledger(), context.caller(), worker.ledger().now());
    let call = if let Some(call) = call {
        call
    } else {
        let run = parsed.run(caller, context.status())?;
        ledger
            .open_call(&caller.workflow, &caller.agent, run, context.call, now)
            .ok_or_else(ProblemReply::memory)?
    };
    let began = std::time::Instant::now();
    let admit = ledger.admit(call, &parsed.input(&caller.agent), now);
    worker.process().metrics.decision(began.elapsed());
    Ok(admit)
}

/// The call goes on where a stage went well, and stops where it did not.
fn on(call: InFlightCall, stage: Result<(), ProblemReply>) -> Result<InFlightCall, Box<Stopped>> {
    match stage {
        Ok(()) => Ok(call),
        Err(problem) => Err(Stopped::new(call, problem)),
    }
}

/// Settles a call that was not sent, by the answer it gets instead.
fn settled(call: InFlightCall, answer: AgentAnswer) -> AgentAnswer {
    call.settle(Settlement {
        status: answer.status().as_u16(),
        modes: Vec::new(),
    });
    answer
}

/// Ends a call that does not go through.
fn stop(worker: &WorkerState, mut context: ResponseContext, stopped: Stopped) -> AgentAnswer {
    let Stopped { call, problem } = stopped;
    let Some(call) = call else {
        return respond::problem(worker, &problem, Some(&context));
    };
    context.describe(&call);
    let answer = respond::problem(worker, &problem, Some(&context));
    // No rule said no, so no list of denied calls has it.
    if problem.is_the_gates() && call.verdict() != Verdict::Deny {
        worker.ledger().count_rejected(problem.slug.as_str());
    }
    problem.settle(call);
    answer
}

impl Serve for WorkerState {
    type EndToken = Settle;

    async fn serve(
        self: Rc<Self>,
        connection: Rc<ClientConnection>,
        request: Request<Incoming>,
    ) -> AgentAnswer {
        exchange(&self, &connection, request).await
    }

    fn tend(&self) {
        self.pool.tend();
    }
}
