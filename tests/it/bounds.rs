//! What clients may ask for at most: each bound is reached, and one past it is refused.

use burngate::proxy::body::MAX_DISCARDED_BODY;
use burngate::proxy::read::MAX_REPLAYED_BODY;
use serde_json::{Value, json};

use crate::harness::{Answer, Reply, ScriptedUpstream, TestGate, agent, policies, test};

/// Of `admin/approvals.rs`: the most calls that are decided together.
const MAX_BATCH: usize = 100;
/// Of `admin/audit.rs`: the most journal entries of one page.
const MAX_PAGE: usize = 1_000;
/// Of `admin/runs.rs`: the most runs of one page.
const MAX_LISTED: usize = 1_000;
/// Of `admin/workflows.rs`, in days.
const MAX_CLAMP: usize = 366;
/// Of `admin/workflows.rs`, in days.
const MAX_PROBATION: usize = 90;
/// Of `gate/workflow.rs`, in hours.
const MAX_WAIVER: usize = 24;
/// Of `ledger/edit.rs`: the longest arguments that a reviewer writes, in bytes.
const MAX_EDIT: usize = 64 * 1024;
/// Of `proxy/agent.rs`: the largest body of a request to the gate itself, in bytes.
const MAX_BODY: usize = 16 * 1024;
/// Of `proxy/agent.rs`: the longest note of a report, in bytes.
const MAX_NOTE: usize = 4 * 1024;

async fn shop() -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(""))
        .start();
    (upstream, gate)
}

/// Is the answer a refusal of the member at `pointer`?
fn refuses(answer: &Answer, pointer: &str) -> bool {
    answer.status == 422 && String::from_utf8_lossy(&answer.body).contains(pointer)
}

#[test]
fn an_agents_report_has_a_longest_note_and_a_largest_body() {
    test(async {
        let (_upstream, gate) = shop().await;
        let agent = gate.agent();
        let order = json!({ "order": "1" });
        agent
            .clone()
            .run("r")
            .post("/shop/change", &order)
            .await
            .passed();
        let report = |note: usize| json!({ "mode": "wrong_action", "note": "n".repeat(note) });
        let path = "/.burngate/runs/r/report";
        agent.post(path, &report(MAX_NOTE)).await.passed();
        agent
            .post(path, &report(MAX_NOTE + 1))
            .await
            .refused(422, "invalid");
        // A body of that length that is refused for what it says, and one that is not read.
        let body = |bytes: usize| report(bytes - report(0).to_string().len());
        agent
            .post(path, &body(MAX_BODY))
            .await
            .refused(422, "invalid");
        agent
            .post(path, &body(MAX_BODY + 1))
            .await
            .refused(413, "too-large");
    });
}

#[test]
fn a_body_is_kept_for_another_attempt_up_to_a_length() {
    test(async {
        let (upstream, gate) = shop().await;
        let agent = gate.agent();
        for (bytes, attempts) in [
            (MAX_REPLAYED_BODY, Some("2")),
            (MAX_REPLAYED_BODY + 1, None),
        ] {
            upstream.next(Reply::json(503, &json!({})));
            let request = agent.request("PUT", "/shop/put/1");
            let body = agent::full("x".repeat(bytes));
            let answer = agent.send(request.body(body).unwrap()).await;
            assert_eq!(answer.header("burngate-attempts"), attempts, "{bytes}");
        }
    });
}

#[test]
fn an_unwanted_body_is_read_up_to_a_length_and_a_longer_one_closes_the_connection() {
    test(async {
        let (_upstream, gate) = shop().await;
        let agent = gate.agent();
        for (bytes, connection) in [
            (MAX_DISCARDED_BODY, None),
            (MAX_DISCARDED_BODY + 1, Some("close")),
        ] {
            let request = agent.request("POST", "/shop/nothing");
            let body = agent::full("x".repeat(bytes));
            let answer = agent.send(request.body(body).unwrap()).await;
            answer.refused(403, "unlisted");
            assert_eq!(answer.header("connection"), connection, "{bytes}");
        }
    });
}

#[test]
fn a_page_has_a_longest_length() {
    test(async {
        let (_upstream, gate) = shop().await;
        let operator = gate.operator();
        for (path, most) in [("/v1/audit", MAX_PAGE), ("/v1/runs", MAX_LISTED)] {
            let ask = |limit: usize| operator.get(format!("{path}?limit={limit}").leak());
            ask(most).await.passed();
            assert!(refuses(&ask(most + 1).await, "/limit"), "{path}");
            assert!(refuses(&ask(0).await, "/limit"), "{path}");
        }
    });
}

#[test]
fn what_a_person_sets_ends_in_a_bounded_time() {
    test(async {
        let (_upstream, gate) = shop().await;
        let operator = gate.operator();
        for (path, most, unit, rest) in [
            (
                "/v1/workflows/desk/clamp",
                MAX_CLAMP,
                "d",
                json!({ "to": "halted", "reason": "r" }),
            ),
            (
                "/v1/workflows/desk/recover",
                MAX_PROBATION,
                "d",
                json!({ "cause": "c", "fix": "f" }),
            ),
            (
                "/v1/workflows/desk/waive",
                MAX_WAIVER,
                "h",
                json!({ "reason": "r" }),
            ),
        ] {
            let ask = |length: usize| {
                let mut body: Value = rest.clone();
                body["for"] = json!(format!("{length}{unit}"));
                let operator = operator.clone();
                async move { operator.post(path, &body).await }
            };
            // Nothing burned, so that there may be nothing to recover or to waive.
            assert!(!refuses(&ask(most).await, "/for"), "{path}");
            assert!(refuses(&ask(most + 1).await, "/for"), "{path}");
        }
    });
}

#[test]
fn as_many_calls_are_decided_together_as_the_bound_and_not_one_more() {
    test(async {
        let (_upstream, gate) = shop().await;
        let operator = gate.operator();
        let decide = |count: usize| {
            let approvals: Vec<_> = (0..count)
                .map(|n| json!({ "id": format!("apr_{n:032x}"), "digest": "0".repeat(64) }))
                .collect();
            let operator = operator.clone();
            async move {
                operator
                    .post(
                        "/v1/approvals/decide",
                        &json!({ "decision": "approve", "reason": "r", "approvals": approvals }),
                    )
                    .await
            }
        };
        let too_many = "must name 1 to 100 calls";
        for (count, is_refused) in [(0, true), (MAX_BATCH, false), (MAX_BATCH + 1, true)] {
            let answer = decide(count).await;
            assert_eq!(refuses(&answer, too_many), is_refused, "{count}");
        }
    });
}

#[test]
fn a_reviewers_edit_has_a_longest_length() {
    test(async {
        let (_upstream, gate) = shop().await;
        gate.agent()
            .post("/shop/pay", &json!({ "order": "A-1", "amount": 1 }))
            .await
            .refused(403, "held");
        let id = gate.operator().pending().await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let edit = |bytes: usize| {
            let edit = |note: usize| json!({ "order": "A-1", "note": "n".repeat(note) });
            let edit = edit(bytes - edit(0).to_string().len());
            let (operator, path) = (gate.operator(), format!("/v1/approvals/{id}/approve"));
            async move {
                operator
                    .post(&path, &json!({ "edit": edit, "reason": "r" }))
                    .await
            }
        };
        let too_long = "longer than 65536 bytes";
        let past = edit(MAX_EDIT + 1).await;
        assert!(refuses(&past, too_long), "{:?}", past.body);
        edit(MAX_EDIT).await.passed();
    });
}
