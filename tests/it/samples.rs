//! What the calls behind a burn looked like, with nothing of what they said.

use serde_json::{Value, json};

use crate::harness::{
    Agent, Operator, Reply, ScriptedUpstream, TestGate, eventually, policies, test,
};

const OBJECTIVE: &str =
    "objective: { unacceptable: [timeout, tool_error, wrong_action], critical: [wrong_action] }\n";

/// A call that its tool answers with a server error, in a run that ended.
async fn failed(
    upstream: &ScriptedUpstream,
    agent: &Agent,
    operator: &Operator,
    args: &Value,
) -> Value {
    upstream.next(Reply::new(500, &[], "no"));
    let call = agent.post("/shop/note", args).await.call().to_owned();
    let ended = async || {
        Some(operator.get(&format!("/v1/runs/{call}")).await.json()).filter(|run| {
            run["calls"]
                .as_array()
                .is_some_and(|calls| !calls.is_empty())
        })
    };
    eventually("the run with its call", ended).await
}

/// A run that burns the budget. Its id.
async fn burn(agent: &Agent, operator: &Operator, card: &Value) -> String {
    let first = agent
        .post("/shop/note", card)
        .await
        .passed()
        .call()
        .to_owned();
    let wrong = operator.run_of(&first).await["run"]
        .as_str()
        .unwrap()
        .to_owned();
    operator
        .report("run", &wrong, "wrong_action", "CRM-1")
        .await
        .passed();
    operator
        .stands("desk", "burned", |status| status["posture"] == "burned")
        .await;
    wrong
}

#[test]
fn calls_behind_a_burn_are_sampled_without_their_values_until_the_workflow_is_healthy() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let desk = policies::desk("") + OBJECTIVE;
        let mut gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", desk)
            .start();
        let (agent, operator) = (gate.agent(), gate.operator());
        let card = json!({ "order": "A-1001", "card": "4111111111111111", "amount": 12.5, "dana@example.org": true });
        for _ in 0..40 {
            agent.post("/shop/note", &card).await.passed();
        }
        let before = failed(&upstream, &agent, &operator, &card).await;
        let wrong = burn(&agent, &operator, &card).await;

        let after = failed(&upstream, &agent, &operator, &card).await;
        let sampled = operator
            .stands("desk", "a sample", |status| {
                !status["samples"].as_array().unwrap().is_empty()
            })
            .await["samples"]
            .clone();
        let redacted = json!({ "order": "text of 6", "card": "text of 16", "amount": "number of 2.1 digits", "…": "1 more" });
        assert_eq!(
            sampled.as_array().unwrap().len(),
            1,
            "none of the calls of a healthy workflow: {sampled}"
        );
        assert_eq!(
            (
                &sampled[0]["run"],
                &sampled[0]["tool"],
                &sampled[0]["modes"],
                &sampled[0]["arguments"]
            ),
            (
                &after["run"],
                &json!("shop/note"),
                &json!(["tool_error"]),
                &redacted
            )
        );
        assert_eq!(
            (&after["calls"][0]["sample"], &before["calls"][0]["sample"]),
            (&redacted, &Value::Null),
            "{after}"
        );

        gate.restart();
        let (agent, operator) = (gate.agent(), gate.operator());
        assert_eq!(operator.status("desk").await["samples"], sampled);
        let page = gate.cli(&["status", "desk"]);
        let page = String::from_utf8(page.stdout).unwrap();
        assert!(
            page.contains("tool_error at shop/note, run ")
                && page.contains(r#""card":"text of 16""#),
            "{page}"
        );

        // A few of each mode, however many fail.
        let mut runs = vec![before, after];
        for _ in 0..4 {
            runs.push(failed(&upstream, &agent, &operator, &card).await);
        }
        assert_eq!(
            operator.status("desk").await["samples"]
                .as_array()
                .unwrap()
                .len(),
            3
        );
        let audit = operator.get("/v1/audit").await.passed().json().to_string();
        assert!(
            !audit.contains("4111111111111111") && !audit.contains("dana@example.org"),
            "{audit}"
        );

        let runs = runs.iter().map(|run| run["run"].as_str().unwrap());
        for run in runs.chain([wrong.as_str()]) {
            let why = json!({ "reason": "a test" });
            let path = format!("/v1/runs/{run}/exclude");
            operator.post(&path, &why).await.passed();
        }
        operator
            .stands("desk", "healthy without samples", |status| {
                status["posture"] == "healthy" && status["samples"] == json!([])
            })
            .await;
    });
}

#[test]
fn the_call_that_burns_a_healthy_workflow_by_itself_is_sampled() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let guarded =
            "  - { tool: wire, match: POST /wire, risk: medium, deny_when: args.amount > 100.0 }\n";
        let critical = |name: &str, mode: &str| {
            format!(
                "---\nworkflow: {name}\nrisk: medium\ntools: [shop/wire, shop/note]\nobjective: {{ unacceptable: [{mode}], critical: [{mode}] }}\n"
            )
        };
        let policy = policies::shop(&upstream.url())
            + guarded
            + &critical("by-denial", "policy_violation")
            + &critical("by-answer", "tool_error");
        let people = policies::people(
            &[("denied", &["by-denial"]), ("failed", &["by-answer"])],
            &[],
        );
        let gate = TestGate::builder()
            .policy("shop.yaml", policy)
            .config(people)
            .start();
        let operator = gate.operator();

        gate.agent()
            .token("denied-token")
            .post("/shop/wire", &json!({ "amount": 4711 }))
            .await
            .refused(403, "denied");
        upstream.next(Reply::new(500, &[], "no"));
        gate.agent()
            .token("failed-token")
            .post("/shop/note", &json!({ "order": "A-1001" }))
            .await;

        for (workflow, redacted) in [
            ("by-denial", json!({ "amount": "number of 4 digits" })),
            ("by-answer", json!({ "order": "text of 6" })),
        ] {
            let status = operator
                .stands(workflow, "a sample", |status| {
                    !status["samples"].as_array().unwrap().is_empty()
                })
                .await;
            assert_eq!(
                (&status["posture"], &status["samples"][0]["arguments"]),
                (&json!("burned"), &redacted),
                "{status}"
            );
        }
    });
}
