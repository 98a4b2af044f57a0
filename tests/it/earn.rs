//! What a workflow earns, as operators see it and decide on it; months are for the simulations
//! (`tests/sim/earn.rs`).

use serde_json::json;

use crate::harness::{ScriptedUpstream, TestGate, policies, test};

const STEPS: &str = "check: { sample: 5%, min: 20/week }
levels: [ { level: standard, volume: 600/min } ]
earn:
  - { step: volume, after: 30d, volume: x2, how: automatic }
  - { step: small-pays, after: 60d, skip: { tool: shop/pay, rule: level, where: args.amount <= 600.0 }, how: propose }
  - { step: up, after: 90d, to: autonomous }
";

async fn world() -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(STEPS))
        .start();
    (upstream, gate)
}

#[test]
fn a_workflow_says_what_it_may_earn_and_what_is_missing() {
    test(async {
        let (_upstream, gate) = world().await;
        let status = gate.operator().status("desk").await;
        assert_eq!(
            status["earn"],
            json!({ "next": "volume", "days": 0, "of": 30, "evidence": { "needed": 99, "met": false, "runs": 0, "unacceptable": 0 } })
        );
        let steps: Vec<_> = status["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| {
                (
                    step["step"].as_str().unwrap(),
                    step["state"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            steps,
            [("volume", "open"), ("small-pays", "open"), ("up", "open")]
        );
        assert_eq!(
            (&status["proposals"], &status["lose"]["to"]),
            (&json!([]), &json!("supervised"))
        );

        let status = gate.cli(&["status", "desk"]);
        let page = String::from_utf8(status.stdout).unwrap();
        for told in [
            "Next is volume (volume x2): 0 of 30 days within budget, and 0 runs with 0 unacceptable, where 99 are needed: not enough yet.",
            "2 burns within 90d lower the level to supervised. So far there was none.",
        ] {
            assert!(page.contains(told), "{told}:\n{page}");
        }
    });
}

#[test]
fn an_operator_gives_a_level_and_takes_no_step_that_is_not_earned() {
    test(async {
        let (_upstream, mut gate) = world().await;
        let promote = async |gate: &TestGate, body: serde_json::Value| {
            gate.operator()
                .post("/v1/workflows/desk/promote", &body)
                .await
        };
        let problem = promote(&gate, json!({ "step": "volume", "reason": "r" }))
            .await
            .refused(409, "conflict");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("not earned: 0 of 30 days within budget"),
            "{problem}"
        );
        promote(&gate, json!({ "step": "nothing", "reason": "r" }))
            .await
            .refused(422, "invalid");
        promote(&gate, json!({ "to": "nothing", "reason": "r" }))
            .await
            .refused(422, "invalid");
        promote(
            &gate,
            json!({ "to": "autonomous", "step": "up", "reason": "r" }),
        )
        .await
        .refused(422, "invalid");
        promote(&gate, json!({ "to": "autonomous", "reason": " " }))
            .await
            .refused(422, "invalid");
        promote(&gate, json!({ "to": "standard", "reason": "r" }))
            .await
            .refused(409, "conflict");
        promote(&gate, json!({ "reason": "r" }))
            .await
            .refused(409, "conflict");

        gate.agent()
            .post("/shop/pay", &json!({ "order": "1" }))
            .await
            .refused(403, "held");
        let given = gate.cli(&[
            "promote",
            "desk",
            "--to",
            "autonomous",
            "--reason",
            "a drill",
        ]);
        assert!(given.status.success(), "{given:?}");
        assert!(
            String::from_utf8(given.stdout)
                .unwrap()
                .starts_with("desk is promoted; without limits its level is autonomous\n")
        );
        gate.agent()
            .post("/shop/pay", &json!({ "order": "2" }))
            .await
            .passed();
        gate.restart();
        let status = gate.operator().status("desk").await;
        assert_eq!(
            (
                &status["level"]["earned"],
                &status["steps"][0]["step"],
                &status["steps"][0]["state"]
            ),
            (&json!("autonomous"), &json!("up"), &json!("taken"))
        );
        gate.agent()
            .post("/shop/pay", &json!({ "order": "3" }))
            .await
            .passed();
    });
}

#[test]
fn a_held_call_names_the_steps_whose_evidence_it_is() {
    test(async {
        let (_upstream, gate) = world().await;
        gate.agent()
            .post("/shop/pay", &json!({ "order": "1", "amount": 600.0 }))
            .await
            .refused(403, "held");
        gate.agent()
            .post("/shop/pay", &json!({ "order": "2", "amount": 601.0 }))
            .await
            .refused(403, "held");
        gate.agent()
            .post("/shop/pay", &json!({ "order": "3" }))
            .await
            .refused(403, "held");
        let audit = gate
            .operator()
            .get("/v1/audit?limit=1000")
            .await
            .passed()
            .json();
        let held = audit["entries"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["kind"] == "held");
        let steps: Vec<_> = held.map(|entry| entry["event"]["steps"].clone()).collect();
        assert_eq!(
            steps,
            [json!(["small-pays"]), json!(null), json!(null)],
            "{audit}"
        );
    });
}
