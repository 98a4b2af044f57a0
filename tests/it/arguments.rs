//! Arguments: an API's own document says what calls look like, and calls that no tool describes can
//! be learned from.

use serde_json::json;

use crate::harness::{Reply, ScriptedUpstream, TestGate, policies, test};

const DOCUMENT: &str = "openapi: 3.0.3
info: { title: Shop, version: '1' }
paths:
  /orders/{id}:
    get:
      operationId: get_order
      parameters:
        - { name: id, in: path, required: true, schema: { type: string, pattern: '^A-[0-9]+$' } }
        - { name: lines, in: query, schema: { type: integer, maximum: 50 } }
        - { name: tag, in: query, schema: { type: array, maxItems: 2, items: { type: string } } }
  /refunds:
    post:
      operationId: refund
      requestBody: { required: true, content: { application/json: { schema: { $ref: '#/components/schemas/Refund' } } } }
components:
  schemas:
    Refund:
      type: object
      required: [id, order, amount]
      properties: { id: { type: string, readOnly: true }, order: { type: string }, amount: { type: number, maximum: 5000 }, note: { type: string, nullable: true } }
      additionalProperties: false
";

fn api(upstream: &str) -> String {
    format!(
        "api: shop\nupstream: {upstream}\nopenapi: shop.openapi.yaml\ntools:\n  - {{ tool: get_order, risk: read }}\n  - {{ tool: refund, risk: low, subject: args.order }}\n"
    )
}

const DESK: &str = "workflow: desk\nrisk: medium\ntools: [shop/get_order, shop/refund]\n";

async fn shop() -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy("shop.yaml", api(&upstream.url()))
        .policy("shop.openapi.yaml", DOCUMENT)
        .policy("desk.yaml", DESK)
        .start();
    (upstream, gate)
}

#[test]
fn a_document_judges_bodies_and_parameters() {
    test(async {
        let (upstream, gate) = shop().await;
        let agent = gate.agent();
        agent
            .post(
                "/shop/refunds",
                &json!({ "order": "A-1", "amount": 4999.5, "note": null }),
            )
            .await
            .passed();
        agent
            .get("/shop/orders/A-1?lines=50&tag=a&tag=b&other=x")
            .await
            .passed();
        let told = agent
            .post("/shop/refunds", &json!({ "order": "A-1", "amuont": 7000 }))
            .await
            .refused(422, "wrong-arguments");
        assert_eq!(
            told["errors"],
            json!([
                { "pointer": "/amount", "detail": "is required" },
                { "pointer": "", "detail": "`amuont` is not an argument of this tool (did you mean `amount`?); allowed are amount, id, note, order" },
            ])
        );
        let told = agent
            .get("/shop/orders/B-1?lines=many&tag=a&tag=b&tag=c")
            .await
            .refused(422, "wrong-arguments");
        assert_eq!(
            told["errors"],
            json!([
                { "pointer": "path.id", "detail": "must match the pattern ^A-[0-9]+$" },
                { "pointer": "query.lines", "detail": "must be an integer, but is a string" },
                { "pointer": "query.tag", "detail": "must have at most 2 elements" },
            ])
        );
        agent
            .get("/shop/orders/A-1?lines=1&lines=2")
            .await
            .refused(400, "malformed");
        assert_eq!(upstream.count(), 2);
    });
}

#[test]
fn a_changed_document_is_in_force_and_a_broken_one_is_not() {
    test(async {
        let (_upstream, gate) = shop().await;
        let refund = json!({ "order": "A-1", "amount": 400 });
        gate.agent().post("/shop/refunds", &refund).await.passed();
        gate.reload("shop.openapi.yaml", DOCUMENT.replace("5000", "300"))
            .await;
        let told = gate
            .agent()
            .post("/shop/refunds", &refund)
            .await
            .refused(422, "wrong-arguments");
        assert_eq!(
            told["errors"][0],
            json!({ "pointer": "/amount", "detail": "must be at most 300" })
        );
        gate.write_policy(
            "shop.openapi.yaml",
            DOCUMENT.replace(
                "'#/components/schemas/Refund'",
                "https://evil.example/refund.json",
            ),
        );
        gate.sighup();
        gate.until("a failed reload", || {
            gate.log().contains("policies were not reloaded")
        })
        .await;
        assert!(
            gate.log().contains("which is in another server"),
            "{}",
            gate.log()
        );
        gate.agent()
            .post("/shop/refunds", &refund)
            .await
            .refused(422, "wrong-arguments");
    });
}

#[test]
fn a_first_policy_is_drafted_from_a_document_that_is_served() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        upstream.next(Reply::new(
            200,
            &[("content-type", "application/yaml")],
            DOCUMENT,
        ));
        upstream.next(Reply::new(
            302,
            &[("location", "https://elsewhere.example/")],
            "",
        ));
        let gate = TestGate::builder().prepare();
        let from = format!("{}/openapi.yaml", upstream.url());
        let init = async |directory: &str| {
            let mut command = gate.command();
            command.args([
                "init",
                "--workflow",
                "triage",
                "--risk",
                "medium",
                "--openapi",
                &from,
                "--upstream",
                &upstream.url(),
                "--policies",
                directory,
            ]);
            // The document is served from this thread.
            let output = tokio::task::spawn_blocking(move || command.output().unwrap())
                .await
                .unwrap();
            (
                output.status.code(),
                String::from_utf8(output.stderr).unwrap(),
            )
        };
        let (code, told) = init("drafted").await;
        assert_eq!(code, Some(0), "{told}");
        let checked = String::from_utf8(gate.cli(&["check", "drafted"]).stdout).unwrap();
        assert!(
            checked.starts_with("ok: 1 workflow, 1 tool API, 2 tools; no findings"),
            "{checked}"
        );
        let (code, told) = init("elsewhere").await;
        assert_eq!(code, Some(1));
        assert!(
            told.contains(
                "it answers 302 Found and points to https://elsewhere.example/: give that address"
            ),
            "{told}"
        );
    });
}

#[test]
fn unlisted_calls_are_learned_without_their_values_and_over_a_restart() {
    test(async {
        let (upstream, mut gate) = shop().await;
        let until = burngate::config::quantity::Date(
            burngate::gate::time::Time::from_millis(jiff::Timestamp::now().as_millisecond())
                .plus(burngate::gate::time::days(30)),
        );
        gate.reload("desk.yaml", format!("{DESK}mode: shadow\nuntil: {until}\n"))
            .await;
        let agent = gate.agent();
        for order in ["A-1001", "A-1002"] {
            agent
                .post(
                    &format!("/shop/orders/{order}/cancel?notify=yes"),
                    &json!({ "reason": "s3cret", "items": [{ "sku": order }] }),
                )
                .await
                .passed();
        }
        agent
            .post(
                "/shop/orders/A-7/cancel",
                &json!({ "reason": null, "items": [] }),
            )
            .await
            .passed();
        gate.reload("desk.yaml", DESK).await;
        agent
            .post(
                "/shop/orders/A-8/cancel",
                &json!({ "refused": "before its body is read" }),
            )
            .await
            .refused(403, "unlisted");
        assert_eq!(upstream.count(), 3);
        let learned = gate.operator().get("/v1/unlisted?since=1h").await.json();
        let call = &learned["calls"][0];
        assert_eq!(
            (
                &call["method"],
                &call["path"],
                &call["count"],
                &call["query"]
            ),
            (
                &json!("POST"),
                &json!("/orders/{order}/cancel"),
                &json!(4),
                &json!({ "notify": 2 })
            )
        );
        assert_eq!(
            call["arguments"],
            json!({ "type": "object", "required": ["items", "reason"], "properties": {
                "items": { "type": "array", "items": { "type": "object", "required": ["sku"], "properties": { "sku": { "type": "string" } } } },
                "reason": { "type": ["null", "string"] } } })
        );
        assert!(
            !learned.to_string().contains("s3cret") && !learned.to_string().contains("A-100"),
            "{learned}"
        );
        gate.sigterm();
        assert!(gate.ended().await.success());
        gate.start();
        assert_eq!(
            gate.operator().get("/v1/unlisted").await.json()["calls"][0]["count"],
            4
        );
        let told = String::from_utf8(gate.cli(&["learn", "--since", "1h"]).stdout).unwrap();
        assert!(
            told.contains("    match: POST /orders/{order}/cancel\n    risk: medium"),
            "{told}"
        );
        assert!(told.contains("    subject: path.order"), "{told}");
    });
}

#[test]
fn an_unlisted_call_that_is_judged_again_after_a_hold_is_counted_once() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk("unlisted: hold"))
            .start();
        let waits = gate.agent().with("prefer", "wait=30");
        let body = json!({ "order": "A-1" });
        let approved = async {
            let id = gate.operator().pending().await["id"]
                .as_str()
                .unwrap()
                .to_owned();
            gate.operator().approve(&id).await.passed();
        };
        let (answer, ()) = tokio::join!(waits.post("/shop/other", &body), approved);
        answer.passed();
        assert_eq!(upstream.count(), 1);
        let learned = gate.operator().get("/v1/unlisted").await.json();
        assert_eq!(learned["calls"][0]["path"], "/other", "{learned}");
        assert_eq!(learned["calls"][0]["count"], 1, "{learned}");
    });
}
