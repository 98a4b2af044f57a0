//! The weekly review and an incident's timeline, through the real binary.

use serde_json::json;

use crate::harness::{ScriptedUpstream, TestGate, policies, test};

async fn world() -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(""))
        .start();
    (upstream, gate)
}

fn printed(gate: &TestGate, args: &[&str]) -> String {
    let out = gate.cli(args);
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_week_is_told_with_what_people_did_and_who_decided() {
    test(async {
        let (_upstream, mut gate) = world().await;
        gate.agent()
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .passed();
        gate.agent()
            .post("/shop/pay", &json!({ "order": "2" }))
            .await
            .refused(403, "held");
        let id = gate.operator().pending().await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        gate.operator().approve(&id).await.passed();
        let paid = gate
            .agent()
            .post("/shop/pay", &json!({ "order": "2" }))
            .await;
        gate.operator().run_of(paid.passed().call()).await;
        gate.operator()
            .report("subject", "2", "wrong_action", "T-1")
            .await
            .passed();
        gate.operator().clamp("desk", "supervised").await.passed();
        gate.operator()
            .post(
                "/v1/workflows/desk/changes",
                &json!({ "kind": "prompt", "ref": "PR-7" }),
            )
            .await
            .passed();
        // Everything is in the journal, and is told the same by another process.
        gate.restart();

        let review = gate.operator().get("/v1/review").await.passed().json();
        let desk = &review["workflows"][0];
        assert_eq!(desk["status"]["workflow"], "desk");
        assert_eq!(
            (
                &desk["approvals"]["held"],
                &desk["approvals"]["approved"],
                &desk["approvals"]["turned_bad"]
            ),
            (&json!(1), &json!(1), &json!(1))
        );
        assert_eq!(
            (
                &desk["numbers"]["runs"],
                &desk["numbers"]["unacceptable"],
                &desk["before"]["runs"]
            ),
            (&json!(2), &json!(1), &json!(0))
        );
        let said = |lines: &serde_json::Value| {
            lines
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line["what"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert!(
            said(&desk["levels"])
                .iter()
                .any(|what| what.starts_with("clamped to supervised")),
            "{desk}"
        );
        assert_eq!(said(&desk["changes"]), ["shipped prompt PR-7"]);

        let page = printed(&gate, &["review"]);
        for told in [
            "# Review, ",
            "## Workflows",
            "## desk (risk medium)",
            "1 call was held; 1 decision",
            "1 turned out bad",
            "shipped prompt PR-7",
            "## The gate",
        ] {
            assert!(page.contains(told), "{told}:\n{page}");
        }
        let html = printed(&gate, &["review", "--format", "html"]);
        assert!(
            html.starts_with("<!doctype html>") && html.contains("<h2>desk (risk medium)</h2>"),
            "{html}"
        );
        let value: serde_json::Value =
            serde_json::from_str(&printed(&gate, &["review", "--json"])).unwrap();
        assert_eq!(value["workflows"][0]["changes"], desk["changes"]);
    });
}

#[test]
fn an_incident_is_told_in_order_with_what_executed_and_who_did_what() {
    test(async {
        let (_upstream, gate) = world().await;
        gate.agent()
            .post("/shop/change", &json!({ "order": "A-1001" }))
            .await
            .passed();
        let run = gate.operator().only_run("desk").await["run"]
            .as_str()
            .unwrap()
            .to_owned();
        gate.operator()
            .post(
                &format!("/v1/runs/{run}/report"),
                &json!({ "mode": "wrong_action", "note": "the wrong customer" }),
            )
            .await
            .passed();
        gate.operator().clamp("desk", "halted").await.passed();
        let page = printed(&gate, &["review", "-w", "desk", "--since", "3h"]);
        let places: Vec<_> = [
            "shop/change on A-1001 (medium, run ",
            "reported wrong_action",
            "clamped to halted",
        ]
        .iter()
        .map(|told| page.find(told))
        .collect();
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{page}"
        );
        assert!(
            page.contains("): executed") && page.contains("the wrong customer"),
            "{page}"
        );
        gate.operator()
            .get("/v1/review?timeline=true")
            .await
            .refused(422, "invalid");
        gate.operator()
            .get("/v1/review?workflow=nobody")
            .await
            .refused(404, "not-found");
        gate.operator()
            .get("/v1/review?since=100d")
            .await
            .refused(422, "invalid");
    });
}

#[test]
fn a_review_that_was_done_is_on_record() {
    test(async {
        let (_upstream, mut gate) = world().await;
        assert_eq!(
            gate.operator().get("/v1/review").await.passed().json()["workflows"][0]["last_review"],
            json!(null)
        );
        let done = printed(&gate, &["review", "--done", "--note", "all well"]);
        assert_eq!(done, "reviewed by operator: desk\n");
        gate.restart();
        let review = gate.operator().get("/v1/review").await.passed().json();
        let last = &review["workflows"][0]["last_review"];
        assert_eq!(
            (&last["by"], &last["what"]),
            (&json!("operator"), &json!("reviewed it: all well"))
        );
        gate.operator()
            .post("/v1/review", &json!({ "workflow": "nobody" }))
            .await
            .refused(404, "not-found");
    });
}
