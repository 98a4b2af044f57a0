//! Signals of other systems: signed, understood by the policy, and booked once.

use std::path::Path;
use std::process::{Command, Output};

use http::Request;
use serde_json::{Value, json};

use crate::harness::{Agent, Answer, ScriptedUpstream, TestGate, agent, test};
use crate::real;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/crm-signal");

/// A gate with the shipped example, and the tool API behind it.
async fn example() -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let read = |name: &str| std::fs::read_to_string(Path::new(EXAMPLE).join(name)).unwrap();
    let mut gate = TestGate::builder()
        .policy(
            "refunds.yaml",
            read("refunds.yaml").replace("http://127.0.0.1:3000", &upstream.url()),
        )
        .policy("refund-reversed.yaml", read("refund-reversed.yaml"))
        .policy("refund-reversed.secret", format!("{SECRET}\n"))
        .prepare();
    gate.start();
    (upstream, gate)
}

/// The shipped script, told what it is told.
fn send(gate: &TestGate, order: &str, reversal: &str) -> Output {
    let admin = format!("http://{}", gate.admin());
    Command::new("python3")
        .arg(Path::new(EXAMPLE).join("send.py"))
        .args([
            &admin,
            gate.policy("refund-reversed.secret").to_str().unwrap(),
            order,
            reversal,
            "refunded twice",
        ])
        .output()
        .unwrap()
}

fn said(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A delivery that somebody else's library signed.
pub(crate) fn signed(
    secret: &str,
    id: &str,
    seconds_ago: i64,
    body: &str,
) -> Vec<(String, String)> {
    let script = "import sys, datetime\nfrom standardwebhooks import Webhook\nsecret, id, ago, body = sys.argv[1:]\n\
                  at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=int(ago))\n\
                  print(int(at.timestamp()))\nprint(Webhook(secret).sign(id, at, body))";
    let python = real::tools().join("python/bin/python");
    let output = Command::new(python)
        .args(["-c", script, secret, id, &seconds_ago.to_string(), body])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let (at, signature) = text.trim().split_once('\n').unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        pair("webhook-id", id),
        pair("webhook-timestamp", at),
        pair("webhook-signature", signature),
    ]
}

/// A delivery, as the other system sends it.
pub(crate) async fn deliver(
    gate: &TestGate,
    signal: &str,
    headers: &[(String, String)],
    body: &str,
) -> Answer {
    let mut request: http::request::Builder = Agent::new(gate.admin())
        .request("POST", &format!("/v1/signals/{signal}"))
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request: Request<_> = request.body(agent::full(body.to_owned())).unwrap();
    Agent::new(gate.admin()).send(request).await
}

fn reversed(order: &str, reversal: &str) -> String {
    json!({ "event": "refund.reversed", "order": order, "reversal": reversal, "reason": "r", "by": { "kind": "person", "name": "dana" } }).to_string()
}

#[test]
fn the_shipped_example_is_a_major_correction_of_the_run_that_refunded_the_order() {
    test(async {
        let (_upstream, mut gate) = example().await;
        let refund = async |order: &str| {
            gate.agent()
                .post(
                    "/payments/refunds",
                    &json!({ "order": order, "amount": 20 }),
                )
                .await
                .passed()
                .call()
                .to_owned()
        };
        let call = refund("A-1001").await;
        refund("A-1002").await;
        gate.agent().get("/payments/orders/A-1001").await.passed();
        let run = gate.operator().run_of(&call).await;
        let booked = said(&send(&gate, "A-1001", "REV-17"));
        assert_eq!(
            (
                &booked["matched"],
                &booked["result"]["run"],
                &booked["result"]["now"]
            ),
            (&json!(true), &run["run"], &json!("unacceptable")),
            "{booked}"
        );
        let again = said(&send(&gate, "A-1001", "REV-17"));
        assert_eq!(
            (&again["result"]["run"], &again["result"]["repeated"]),
            (&run["run"], &json!(true)),
            "{again}"
        );
        let status = gate.operator().status("refunds").await;
        assert_eq!(
            (&status["budget"]["runs"], &status["budget"]["unacceptable"]),
            (&json!(2), &json!(1)),
            "{status}"
        );
        let detail = gate
            .operator()
            .get(&format!("/v1/runs/{}", run["run"].as_str().unwrap()))
            .await
            .passed()
            .json();
        let report = &detail["reports"][0];
        assert_eq!(
            (&report["source"], &report["by"], &report["ref"]),
            (
                &json!("system"),
                &json!("refund-reversed"),
                &json!("REV-17")
            ),
            "{detail}"
        );
        assert_eq!(report["note"], "reversed by dana: refunded twice");
        // What no run touched is no failure of anybody's, and no reason to send it again.
        let unknown = said(&send(&gate, "A-1001 ", "REV-18"));
        assert_eq!(
            unknown["why"],
            "no run of workflow `refunds` touched `A-1001 ` (with a trailing space) through `payments/refund`",
            "{unknown}"
        );
        // After a crash the same delivery is still the same.
        gate.restart();
        assert_eq!(
            said(&send(&gate, "A-1001", "REV-17"))["result"]["repeated"],
            true
        );
        let metrics = gate.operator().get("/metrics").await;
        assert!(
            String::from_utf8_lossy(&metrics.body).contains(
                r#"burngate_signals_total{signal="refund-reversed",outcome="repeated"} 1"#
            )
        );
    });
}

#[test]
fn what_the_official_library_signs_is_believed_and_nothing_else_is() {
    test(async {
        let (_upstream, gate) = example().await;
        gate.agent()
            .post("/payments/refunds", &json!({ "order": "A-1", "amount": 1 }))
            .await
            .passed();
        let body = reversed("A-1", "REV-1");
        let fresh = signed(SECRET, "msg_1", 0, &body);
        assert_eq!(
            deliver(&gate, "refund-reversed", &fresh, &body)
                .await
                .passed()
                .json()["matched"],
            true
        );
        assert_eq!(
            deliver(&gate, "refund-reversed", &fresh, &body)
                .await
                .passed()
                .json()["result"]["repeated"],
            true
        );
        // Both secrets are taken while they are being changed.
        assert_eq!(
            deliver(
                &gate,
                "refund-reversed",
                &signed(NEXT, "msg_2", 0, &body),
                &body
            )
            .await
            .refused(401, "unauthorized")["status"],
            401
        );
        std::fs::write(
            gate.policy("refund-reversed.secret"),
            format!("{SECRET}\n{NEXT}\n"),
        )
        .unwrap();
        deliver(
            &gate,
            "refund-reversed",
            &signed(NEXT, "msg_2", 0, &body),
            &body,
        )
        .await
        .passed();
        deliver(
            &gate,
            "refund-reversed",
            &signed(SECRET, "msg_3", 0, &body),
            &body,
        )
        .await
        .passed();
        for (why, headers, body) in [
            ("another body", fresh.clone(), reversed("A-1", "REV-2")),
            ("stale", signed(SECRET, "msg_4", 301, &body), body.clone()),
            (
                "from the future",
                signed(SECRET, "msg_5", -330, &body),
                body.clone(),
            ),
            ("no signature", fresh[..2].to_vec(), body.clone()),
            ("none of the headers", Vec::new(), body.clone()),
        ] {
            let answer = deliver(&gate, "refund-reversed", &headers, &body).await;
            assert_eq!(
                answer.status,
                401,
                "{why}: {}",
                String::from_utf8_lossy(&answer.body)
            );
        }
        assert_eq!(
            gate.operator().status("refunds").await["budget"]["unacceptable"],
            1
        );
    });
}

#[test]
fn a_signed_delivery_that_does_not_fit_its_rules_changes_nothing() {
    test(async {
        let (_upstream, gate) = example().await;
        let body = reversed("A-1", "REV-1");
        // The operator's token is no signature.
        let bearer = vec![(
            "authorization".to_owned(),
            format!("Bearer {}", gate.operator_token()),
        )];
        deliver(&gate, "refund-reversed", &bearer, &body)
            .await
            .refused(401, "unauthorized");
        let other = json!({ "event": "ticket.closed", "by": { "kind": "person" } }).to_string();
        let ignored = deliver(
            &gate,
            "refund-reversed",
            &signed(SECRET, "msg_6", 0, &other),
            &other,
        )
        .await
        .passed()
        .json();
        assert!(
            ignored["matched"] == false && ignored["why"].as_str().unwrap().contains("`when`"),
            "{ignored}"
        );
        let broken = json!({ "event": "refund.reversed", "order": "A-1" }).to_string();
        let fault = deliver(
            &gate,
            "refund-reversed",
            &signed(SECRET, "msg_7", 0, &broken),
            &broken,
        )
        .await
        .refused(422, "invalid");
        assert!(
            fault["detail"]
                .as_str()
                .unwrap()
                .contains("refund-reversed.yaml:8: `when` cannot be evaluated"),
            "{fault}"
        );
        let object = json!({ "event": "refund.reversed", "order": { "id": 1 }, "by": { "kind": "person", "name": "d" } }).to_string();
        deliver(
            &gate,
            "refund-reversed",
            &signed(SECRET, "msg_8", 0, &object),
            &object,
        )
        .await
        .refused(422, "invalid");
        deliver(
            &gate,
            "refund-reversed",
            &signed(SECRET, "msg_9", 0, "{"),
            "{",
        )
        .await
        .refused(400, "malformed");
        assert_eq!(
            gate.operator().status("refunds").await["budget"]["unacceptable"],
            0
        );
    });
}
