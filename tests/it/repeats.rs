//! The same call again and again: what an agent that is stuck in a loop is told.

use serde_json::json;

use crate::harness::{ScriptedUpstream, TestGate, policies, test};

#[test]
fn an_agent_that_is_stuck_in_a_loop_is_told_so_and_its_run_is_booked() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let desk =
            policies::desk("run: { loop: 3 }\nobjective: { unacceptable: [duplicate_work] }\n");
        let gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", desk)
            .start();
        let agent = gate.agent().run("ticket-1");
        let first = agent
            .post("/shop/note", &json!({ "order": "A-1", "n": 1.0 }))
            .await
            .passed()
            .call()
            .to_owned();
        agent
            .post("/shop/note", &json!({ "n": 1, "order": "A-1" }))
            .await
            .passed();
        let answer = agent
            .post("/shop/note", &json!({ "order": "A-1", "n": 1 }))
            .await;
        let problem = answer.refused(409, "loop");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("NOT EXECUTED") && detail.contains(&first),
            "{detail}"
        );
        assert_eq!(
            (&problem["executed"], answer.header("burngate-verdict")),
            (&json!(false), Some("deny"))
        );
        assert!(
            problem["rule"].as_str().unwrap().starts_with("loop ("),
            "{problem}"
        );
        assert_eq!(upstream.count(), 2);
        agent
            .post("/shop/note", &json!({ "order": "A-2", "n": 1 }))
            .await
            .passed();
        let status = gate
            .operator()
            .stands("desk", "one failure", |status| {
                status["budget"]["unacceptable"] == 1
            })
            .await;
        assert_eq!(status["failure_modes"], json!({ "duplicate_work": 1 }));
    });
}
