//! A shop behind a gate, with an agent that calls it and an operator: what most tests of held calls
//! begin with.

use serde_json::{Value, json};

use super::{Agent, Answer, Operator, ScriptedUpstream, TestGate, policies};

/// The shop.
pub struct Shop {
    pub upstream: ScriptedUpstream,
    pub gate: TestGate,
    pub agent: Agent,
    pub operator: Operator,
}

impl Shop {
    /// The usual shop, with further keys of its workflow.
    pub async fn start(desk: &str) -> Self {
        Shop::configured(desk, "").await
    }

    /// The same, under a process configuration.
    pub async fn configured(desk: &str, config: &str) -> Self {
        Shop::of(policies::shop, desk, config).await
    }

    /// The same, with an API of its own behind the upstream's URL.
    pub async fn of(api: impl FnOnce(&str) -> String, desk: &str, config: &str) -> Self {
        let upstream = ScriptedUpstream::start().await;
        let builder = TestGate::builder()
            .policy("shop.yaml", api(&upstream.url()))
            .policy("desk.yaml", policies::desk(desk));
        let gate = builder.config(config).start();
        Shop {
            agent: gate.agent(),
            operator: gate.operator(),
            upstream,
            gate,
        }
    }
}

impl Agent {
    /// Pays an order, which is a high risk.
    pub async fn pay(&self, name: &str) -> Answer {
        self.post("/shop/pay", &order(name)).await
    }

    /// Pays an order, is held, and learns the id of the approval.
    pub async fn held(&self, name: &str) -> String {
        text(&self.pay(name).await.refused(403, "held"), "approval").to_owned()
    }
}

/// An order, as it is paid.
pub fn order(name: &str) -> Value {
    json!({ "order": name, "amount": 12.50 })
}

/// The text at `key`.
pub fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key} in {value}"))
}
