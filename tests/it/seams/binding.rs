//! What an approval and a stored answer are bound to: another tenant, type or credential is another
//! call.

use serde_json::{Value, json};

use crate::harness::{Agent, Operator, Reply, ScriptedUpstream, TestGate, test};

struct World {
    upstream: ScriptedUpstream,
    gate: TestGate,
    operator: Operator,
}

async fn world(tool: &str) -> World {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy(
            "pay.yaml",
            format!(
                "api: pay\nupstream: {}\nroute: /pay\ncredentials: {{ headers: [x-api-key] }}\ntools:\n  - {{ tool: send, match: POST /send, risk: low, idempotent: false, {tool} }}\n",
                upstream.url()
            ),
        )
        .policy(
            "triage.yaml",
            "workflow: triage\nrisk: low\ntools: [pay/send]\nobjective: { target: 97%, expected_runs: 1000 }\n",
        )
        .start();
    World {
        operator: gate.operator(),
        upstream,
        gate,
    }
}

fn body() -> Value {
    json!({ "to": "x" })
}

/// Holds the call of `agent`, approves it, and gives the approval.
async fn approved(world: &World, agent: &Agent) -> Value {
    let problem = agent.post("/pay/send", &body()).await.refused(403, "held");
    let id = problem["approval"].as_str().unwrap().to_owned();
    world.operator.approve(&id).await.passed();
    world
        .operator
        .get(&format!("/v1/approvals/{id}"))
        .await
        .passed()
        .json()
}

/// The call of `agent` is held, under another approval than `before`.
async fn is_held_again(agent: &Agent, before: &Value) {
    let problem = agent.post("/pay/send", &body()).await.refused(403, "held");
    assert_ne!(problem["approval"], before["id"]);
}

#[test]
fn s2_another_value_of_a_header_that_a_rule_reads_is_another_call() {
    test(async {
        let world = world("hold_when: '\"x-tenant\" in header'").await;
        let tenant = |name: &str| world.gate.agent().with("x-tenant", name);
        let before = approved(&world, &tenant("sandbox")).await;
        assert_eq!(before["headers"], json!({ "x-tenant": ["sandbox"] }));
        is_held_again(&tenant("production"), &before).await;
        tenant("sandbox").post("/pay/send", &body()).await.passed();
        assert_eq!(world.upstream.count(), 1);
    });
}

#[test]
fn s2_another_value_of_a_header_that_the_policy_binds_is_another_call() {
    test(async {
        let world = world("always: hold, binds: [X-Tenant]").await;
        let tenant = |name: &str| world.gate.agent().with("x-tenant", name);
        let before = approved(&world, &world.gate.agent()).await;
        assert_eq!(before["headers"], json!({ "x-tenant": [] }));
        is_held_again(&tenant(""), &before).await;
        world.gate.agent().post("/pay/send", &body()).await.passed();
        assert_eq!(world.upstream.count(), 1);
    });
}

#[test]
fn s3_another_credential_or_type_is_another_call() {
    test(async {
        let world = world("always: hold").await;
        let own = |token: &str| world.gate.agent().with("authorization", token);
        let before = approved(&world, &own("Bearer ann")).await;
        assert_eq!(before["media_type"], "application/json");
        for other in [
            own("Bearer bob"),
            world.gate.agent(),
            own("Bearer ann").with("cookie", "sid=1"),
            own("Bearer ann").with("x-api-key", "k"),
        ] {
            is_held_again(&other, &before).await;
        }
        let request = own("Bearer ann")
            .request("POST", "/pay/send")
            .header("content-type", "application/vnd.pay+json");
        let typed = request
            .body(crate::harness::agent::full(body().to_string()))
            .unwrap();
        let problem = world.gate.agent().send(typed).await.refused(403, "held");
        assert_ne!(problem["approval"], before["id"]);
        own("Bearer ann").post("/pay/send", &body()).await.passed();
        assert_eq!(world.upstream.count(), 1);
    });
}

#[test]
fn s3_a_refreshed_token_of_the_same_user_is_the_same_call() {
    test(async {
        use base64::Engine as _;
        let token = |claims: &str| {
            let payload = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(claims);
            format!("Bearer e30.{payload}.c2ln")
        };
        let world = world("always: hold").await;
        let own = |claims: &str| world.gate.agent().with("authorization", &token(claims));
        let before = approved(&world, &own(r#"{"iss":"i","sub":"ann","exp":1}"#)).await;
        is_held_again(&own(r#"{"iss":"i","sub":"bob","exp":2}"#), &before).await;
        let refreshed = own(r#"{"iss":"i","sub":"ann","exp":2}"#);
        refreshed.post("/pay/send", &body()).await.passed();
        assert_eq!(world.upstream.count(), 1);
    });
}

#[test]
fn s11_a_stored_answer_is_for_the_credential_that_got_it() {
    test(async {
        let world = world("subject: args.to").await;
        let own = |token: &str| {
            let agent = world.gate.agent().with("idempotency-key", "k");
            agent.with("authorization", token)
        };
        world.upstream.next(Reply::new(200, &[], "for ann"));
        let first = own("Bearer ann").post("/pay/send", &body()).await;
        assert_eq!(first.passed().body, "for ann");
        world.upstream.next(Reply::new(200, &[], "for bob"));
        let other = own("Bearer bob").post("/pay/send", &body()).await;
        assert_eq!(other.passed().body, "for bob");
        let again = own("Bearer ann").post("/pay/send", &body()).await;
        assert_eq!(again.passed().body, "for ann");
        assert_eq!(world.upstream.count(), 2);
    });
}
