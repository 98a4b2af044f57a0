//! What a policy means where it leaves something out.

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
