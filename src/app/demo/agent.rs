//! The scripted agent: what it does in each run is written here, and it reaches its tools only
//! through the gate.
//!
//! It is a good agent in one respect: it finishes its runs, repeats a held call exactly once it was
//! approved, and does without it otherwise. Its mistakes are the story's.

use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json};

use super::exchange;
use super::passage::CallReport;
use crate::api::problem::{Problem, URN};

/// Orders are made up from this: the same ones at every start.
const SEED: u64 = 40;

/// The agent.
pub(super) struct ScriptedAgent {
    gate: SocketAddr,
    authorization: String,
    dice: u64,
    /// How many runs it has begun.
    pub runs: u64,
}

/// One execution of the workflow.
#[derive(Debug, Clone)]
pub(super) struct ScriptedRun {
    /// Its id, as `Burngate-Run` gives it.
    pub id: String,
    /// The order that it is about.
    pub order: String,
}

/// What the agent got.
pub(super) struct AgentReply {
    /// The call and its answer in short.
    pub call: CallReport,
    /// The gate's problem, where it refused.
    pub problem: Option<Problem>,
    /// What `Burngate-Budget` said.
    pub budget: String,
}

impl ScriptedAgent {
    /// An agent that calls `gate` with this token.
    pub(super) fn new(gate: SocketAddr, token: &str) -> Self {
        ScriptedAgent {
            gate,
            authorization: format!("Bearer {token}"),
            dice: SEED,
            runs: 0,
        }
    }

    /// Begins a run about the next order.
    pub(super) fn begin(&mut self) -> ScriptedRun {
        let order = format!("A-{}", 2001 + self.runs);
        self.begin_about(&order)
    }

    /// Begins a run about this order.
    pub(super) fn begin_about(&mut self, order: &str) -> ScriptedRun {
        self.runs += 1;
        ScriptedRun {
            id: format!("run-{:03}", self.runs),
            order: order.to_owned(),
        }
    }

    /// A number below `sides`, the same ones at every start (splitmix64).
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.dice ^ (self.dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }

    /// Looks the order up.
    pub(super) async fn look_up(&self, run: &ScriptedRun) -> anyhow::Result<AgentReply> {
        self.call(
            run,
            Method::GET,
            &format!("/orders/{}", run.order),
            "look it up",
            None,
        )
        .await
    }

    /// Leaves a note for colleagues.
    pub(super) async fn note(&self, run: &ScriptedRun) -> anyhow::Result<AgentReply> {
        let body = json!({ "order": run.order, "text": "The parcel came back unopened." });
        self.call(
            run,
            Method::POST,
            "/notes",
            &format!("a note on {}", run.order),
            Some(&body),
        )
        .await
    }

    /// Writes to the customer.
    pub(super) async fn email(&self, run: &ScriptedRun) -> anyhow::Result<AgentReply> {
        let body = json!({ "order": run.order, "text": "Your parcel reached us; we are looking into it." });
        self.call(
            run,
            Method::POST,
            "/emails",
            &format!("about {}", run.order),
            Some(&body),
        )
        .await
    }

    /// Gives `amount` euros back.
    pub(super) async fn refund(
        &self,
        run: &ScriptedRun,
        amount: u64,
    ) -> anyhow::Result<AgentReply> {
        let body = json!({ "order": run.order, "amount": amount });
        self.call(
            run,
            Method::POST,
            "/refunds",
            &format!("{amount} EUR for {}", run.order),
            Some(&body),
        )
        .await
    }

    /// Asks for a refund in words where a number belongs.
    pub(super) async fn refund_in_words(&self, run: &ScriptedRun) -> anyhow::Result<AgentReply> {
        let body = json!({ "order": run.order, "amount": "forty" });
        self.call(
            run,
            Method::POST,
            "/refunds",
            &format!("\"forty\" for {}", run.order),
            Some(&body),
        )
        .await
    }

    /// Says that the run is over.
    pub(super) async fn finish(&self, run: &ScriptedRun) -> anyhow::Result<()> {
        let path = format!("/.burngate/runs/{}/finish", run.id);
        self.send(
            run,
            Method::POST,
            &path,
            Some(&json!({ "status": "completed" })),
        )
        .await
        .map(drop)
    }

    async fn call(
        &self,
        run: &ScriptedRun,
        method: Method,
        path: &str,
        what: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<AgentReply> {
        let answer = self
            .send(run, method.clone(), &format!("/shop{path}"), body)
            .await?;
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let (status, verdict, budget) = (
            answer.status().as_u16(),
            header("burngate-verdict"),
            header("burngate-budget"),
        );
        let is_problem = header("content-type") == crate::api::problem::MEDIA_TYPE;
        let problem: Option<Problem> = if is_problem {
            Some(serde_json::from_slice(answer.body()).context("a refusal that cannot be read")?)
        } else {
            None
        };
        let outcome = match &problem {
            Some(problem) => refusal(problem),
            None => complaint(answer.body()).unwrap_or_default(),
        };
        Ok(AgentReply {
            call: CallReport {
                request: format!("{method} {path}"),
                what: what.to_owned(),
                status,
                verdict,
                outcome,
            },
            problem,
            budget,
        })
    }

    async fn send(
        &self,
        run: &ScriptedRun,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Response<Bytes>> {
        exchange::send(
            self.gate,
            method,
            path,
            &[
                ("burngate-authorization", &self.authorization),
                ("burngate-run", &run.id),
            ],
            body,
        )
        .await
    }
}

/// The gate's word for a refusal, and the rule behind it where the word does not name it.
fn refusal(problem: &Problem) -> String {
    let slug = problem.kind.trim_start_matches(URN);
    let rule = problem
        .rule
        .as_deref()
        .and_then(|rule| rule.split(' ').next())
        .filter(|rule| *rule != slug && *rule != "arguments");
    rule.map_or_else(|| slug.to_owned(), |rule| format!("{slug}: {rule}"))
}

/// What the shop says went wrong, where it says so.
fn complaint(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    answer.get("error")?.as_str().map(ToOwned::to_owned)
}

impl AgentReply {
    /// The approval that the call waits for.
    pub(super) fn approval(&self) -> anyhow::Result<&str> {
        self.problem.as_ref().and_then(|problem| problem.approval.as_deref()).with_context(|| {
            format!(
                "the demo cannot go on: {} should have been held, and was not\nhint: was the workflow clamped or recovered meanwhile? start the demo again",
                self.call.request
            )
        })
    }
}
