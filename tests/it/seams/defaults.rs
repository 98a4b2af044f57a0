//! What a policy means where it leaves something out.

use serde_json::json;

use crate::harness::{ScriptedUpstream, TestGate, test};

/// A gate whose api `pay` has the tool `list` (a read) and the tool `pay`, with these keys.
async fn world(list: &str, pay: &str) -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let url = upstream.url();
    let gate = TestGate::builder()
        .policy(
            "pay.yaml",
            format!("api: pay\nupstream: {url}\ntools:\n  - {{ tool: list, match: GET /list, risk: read, {list} }}\n  - {{ tool: pay, match: POST /pay, risk: low, {pay} }}\n"),
        )
        .policy(
            "desk.yaml",
            "workflow: desk\nrisk: low\ntools: [pay/list, pay/pay]\n",
        )
        .start();
    (upstream, gate)
}

#[test]
fn s63_arguments_without_a_type_are_an_object() {
    test(async {
        let pay = "arguments: { properties: { a: { type: string } } }";
        let (upstream, gate) = world("volume: 600/min", pay).await;
        let agent = gate.agent();
        for body in [Some(json!([1, 2])), Some(json!(null)), None] {
            agent
                .call("POST", "/pay/pay", body.as_ref())
                .await
                .refused(422, "wrong-arguments");
        }
        assert_eq!(upstream.bytes(), 0);
        agent.post("/pay/pay", &json!({ "a": "x" })).await.passed();
    });
}

#[test]
fn s67_a_list_parameter_takes_one_value_and_more() {
    test(async {
        let list = "parameters: [{ name: tag, in: query, schema: { type: array, maxItems: 2 } }]";
        let (_upstream, gate) = world(list, "subject: args.a").await;
        let agent = gate.agent();
        for target in ["/pay/list?tag=a", "/pay/list?tag=a&tag=b", "/pay/list"] {
            agent.get(target).await.passed();
        }
        agent
            .get("/pay/list?tag=a&tag=b&tag=c")
            .await
            .refused(422, "wrong-arguments");
    });
}

#[test]
fn s62_a_gate_for_other_machines_starts_only_with_agents() {
    test(async {
        let (_upstream, gate) = world("volume: 600/min", "subject: args.a").await;
        let config = gate.home().join("open.yaml");
        std::fs::write(&config, "listen: 0.0.0.0:0\n").unwrap();
        let config = config.to_str().unwrap();
        for arguments in [
            &["run", "--listen", "0.0.0.0:0"][..],
            &["run", "--config", config],
            &["check", "--config", config],
        ] {
            let output = gate.cli(arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{arguments:?}");
            assert!(said.contains("without `agents`"), "{arguments:?}: {said}");
            assert!(said.contains("hint: "), "{arguments:?}: {said}");
        }
    });
}
