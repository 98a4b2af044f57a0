//! The people behind the admin API.

use std::net::SocketAddr;

use http::Request;
use serde_json::{Value, json};

use super::{Agent, Answer, agent, eventually};

/// Somebody with a token, or without.
#[derive(Debug, Clone)]
pub struct Person(Agent);

/// Who may do everything.
pub type Operator = Person;
/// Who decides on held calls.
pub type Reviewer = Person;

impl Person {
    /// Who holds `token`.
    pub fn new(admin: SocketAddr, token: &str) -> Self {
        Person(Agent::new(admin).with("authorization", &format!("Bearer {token}")))
    }

    /// Who holds nothing.
    pub fn stranger(admin: SocketAddr) -> Self {
        Person(Agent::new(admin))
    }

    /// With a header.
    pub fn with(self, name: &str, value: &str) -> Self {
        Person(self.0.with(name, value))
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.0.get(path).await
    }

    /// POST.
    pub async fn post(&self, path: &str, json: &Value) -> Answer {
        self.0.post(path, json).await
    }

    /// POST; `None` where the gate went away.
    pub async fn try_post(&self, path: &str, json: &Value) -> Option<Answer> {
        self.0.try_call("POST", path, Some(json)).await
    }

    /// POST of whatever.
    pub async fn post_as(&self, path: &str, content_type: &str, body: &str) -> Answer {
        let request: Request<_> = self
            .0
            .request("POST", path)
            .header("content-type", content_type)
            .body(agent::full(body.to_owned()))
            .unwrap();
        self.0.send(request).await
    }

    /// How a workflow stands.
    pub async fn status(&self, workflow: &str) -> Value {
        let answer = self.get(&format!("/v1/workflows/{workflow}")).await;
        answer.passed().json()
    }

    /// How a workflow stands, once that is what is wanted.
    pub async fn stands(
        &self,
        workflow: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let wanted = &wanted;
        eventually(&format!("{workflow}: {what}"), || async move {
            Some(self.status(workflow).await).filter(|state| wanted(state))
        })
        .await
    }

    /// Reports that the run of `call` did what it should not. Returns once `desk` is burned by it.
    pub async fn burn(&self, call: &str) {
        self.run_of(call).await;
        self.post(
            "/v1/reports",
            &json!({ "call": call, "mode": "wrong_action" }),
        )
        .await
        .passed();
        self.stands("desk", "burned", |status| status["posture"] == "burned")
            .await;
    }

    /// The run that holds `call`, once it is in the run index.
    pub async fn run_of(&self, call: &str) -> Value {
        let one = || async move {
            let answer = self.get(&format!("/v1/runs?call={call}")).await;
            answer.passed().json()["runs"].get(0).cloned()
        };
        eventually(&format!("the run of call {call}"), one).await
    }

    /// The only run of a workflow, once it is in the run index.
    pub async fn only_run(&self, workflow: &str) -> Value {
        let one = || async move {
            let answer = self.get(&format!("/v1/runs?workflow={workflow}")).await;
            let runs = answer.passed().json()["runs"].as_array().unwrap().clone();
            assert!(runs.len() < 2, "{runs:?}");
            runs.into_iter().next()
        };
        eventually(&format!("the run of {workflow}"), one).await
    }

    /// The run called `run`, once it is in the run index.
    pub async fn booked(&self, run: &str) -> Value {
        let one = || async move {
            let answer = self.get(&format!("/v1/runs?run={run}")).await;
            answer.passed().json()["runs"].get(0).cloned()
        };
        eventually(&format!("run {run}"), one).await
    }

    /// Approvals in a state.
    pub async fn approvals(&self, state: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v1/approvals?state={state}")).await;
        answer.passed().json()["approvals"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// The one approval that is pending, once it is.
    pub async fn pending(&self) -> Value {
        let one = || async {
            let mut pending = self.approvals("pending").await;
            assert!(pending.len() < 2, "{pending:?}");
            pending.pop()
        };
        eventually("a pending approval", one).await
    }

    /// Approves.
    pub async fn approve(&self, id: &str) -> Answer {
        self.post(&format!("/v1/approvals/{id}/approve"), &json!({}))
            .await
    }

    /// Denies; `verdict` is `wrong` or `not_now`.
    pub async fn deny(&self, id: &str, verdict: &str, reason: &str) -> Answer {
        self.post(
            &format!("/v1/approvals/{id}/deny"),
            &json!({ "verdict": verdict, "reason": reason }),
        )
        .await
    }

    /// Clamps one workflow.
    pub async fn clamp(&self, workflow: &str, to: &str) -> Answer {
        self.post(
            &format!("/v1/workflows/{workflow}/clamp"),
            &json!({ "to": to, "reason": "a test says so" }),
        )
        .await
    }

    /// Releases one workflow.
    pub async fn release(&self, workflow: &str) -> Answer {
        self.post(
            &format!("/v1/workflows/{workflow}/release"),
            &json!({ "reason": "a test says so" }),
        )
        .await
    }

    /// Reports a failure of what `key` names: `run`, `call` or `subject`.
    pub async fn report(&self, key: &str, value: &str, mode: &str, reference: &str) -> Answer {
        self.post(
            "/v1/reports",
            &json!({ key: value, "mode": mode, "ref": reference }),
        )
        .await
    }
}
