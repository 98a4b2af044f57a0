//! The admin API as scripts meet it: who may what, and what a bad request is told.

use serde_json::{Value, json};

use crate::harness::{Person, ScriptedUpstream, TestGate, policies, test};

async fn gate() -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let people = policies::people(
        &[],
        &[
            ("vera", "viewer"),
            ("rob", "reporter"),
            ("dana", "reviewer"),
            ("olga", "operator"),
        ],
    );
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(""))
        .config(people)
        .start();
    (upstream, gate)
}

/// A request, and the least role that it needs: 0 viewer, 1 reporter, 2 reviewer, 3 operator.
fn table() -> Vec<(&'static str, String, Value, usize)> {
    let id = "apr_00000000000000000000000000000000";
    vec![
        ("GET", "/v1/workflows".to_owned(), Value::Null, 0),
        ("GET", "/v1/workflows/desk".to_owned(), Value::Null, 0),
        ("GET", "/v1/approvals".to_owned(), Value::Null, 0),
        ("GET", format!("/v1/approvals/{id}"), Value::Null, 0),
        ("GET", "/v1/runs".to_owned(), Value::Null, 0),
        ("GET", "/v1/runs/none".to_owned(), Value::Null, 0),
        ("GET", "/v1/audit".to_owned(), Value::Null, 0),
        ("GET", "/metrics".to_owned(), Value::Null, 0),
        ("GET", "/openapi.json".to_owned(), Value::Null, 0),
        (
            "POST",
            "/v1/reports".to_owned(),
            json!({ "run": "none", "mode": "timeout" }),
            1,
        ),
        (
            "POST",
            "/v1/runs/none/report".to_owned(),
            json!({ "mode": "timeout" }),
            1,
        ),
        ("POST", format!("/v1/approvals/{id}/approve"), json!({}), 2),
        (
            "POST",
            format!("/v1/approvals/{id}/deny"),
            json!({ "reason": "no" }),
            2,
        ),
        (
            "POST",
            "/v1/workflows/desk/clamp".to_owned(),
            json!({ "to": "standard", "reason": "r" }),
            3,
        ),
        (
            "POST",
            "/v1/workflows/desk/release".to_owned(),
            json!({ "reason": "r" }),
            3,
        ),
        (
            "POST",
            "/v1/workflows/desk/recover".to_owned(),
            json!({ "cause": "c" }),
            3,
        ),
        (
            "POST",
            "/v1/clamp".to_owned(),
            json!({ "to": "standard", "reason": "r" }),
            3,
        ),
        (
            "POST",
            "/v1/release".to_owned(),
            json!({ "reason": "r" }),
            3,
        ),
        (
            "POST",
            "/v1/runs/none/exclude".to_owned(),
            json!({ "reason": "r" }),
            3,
        ),
    ]
}

async fn ask(person: &Person, method: &str, path: &str, body: &Value) -> crate::harness::Answer {
    if method == "GET" {
        person.get(path).await
    } else {
        person.post(path, body).await
    }
}

#[test]
fn each_role_may_what_the_one_before_it_may_and_nothing_more() {
    test(async {
        let (_upstream, gate) = gate().await;
        for (method, path, body, least) in table() {
            ask(&Person::stranger(gate.admin()), method, &path, &body)
                .await
                .refused(401, "unauthorized");
            ask(&gate.reviewer("made-up"), method, &path, &body)
                .await
                .refused(401, "unauthorized");
            for (role, name) in ["vera", "rob", "dana", "olga"].into_iter().enumerate() {
                let answer = ask(
                    &gate.reviewer(&format!("{name}-token")),
                    method,
                    &path,
                    &body,
                )
                .await;
                if role < least {
                    answer.refused(403, "forbidden");
                } else {
                    assert!(
                        ![401, 403].contains(&answer.status.as_u16()),
                        "{name} {method} {path}: {}",
                        answer.status
                    );
                }
            }
        }
    });
}

#[test]
fn health_needs_no_token_and_says_nothing() {
    test(async {
        let (_upstream, gate) = gate().await;
        let stranger = Person::stranger(gate.admin());
        assert_eq!(
            stranger.get("/healthz").await.passed().json(),
            json!({ "status": "ok" })
        );
        stranger.get("/readyz").await.passed();
    });
}

#[test]
fn a_page_of_another_site_reaches_nothing() {
    test(async {
        let (_upstream, gate) = gate().await;
        let clamp = json!({ "to": "halted", "reason": "r" });
        for (name, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            gate.operator()
                .with(name, value)
                .post("/v1/clamp", &clamp)
                .await
                .refused(403, "forbidden");
        }
        let rebound = format!(
            "GET /v1/workflows HTTP/1.1\r\nhost: evil.example\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
            gate.operator_token()
        );
        let answer = crate::harness::Agent::new(gate.admin())
            .raw(rebound.as_bytes())
            .await;
        assert!(
            answer.starts_with(b"HTTP/1.1 403 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        gate.operator()
            .post_as("/v1/clamp", "text/plain", &clamp.to_string())
            .await
            .refused(415, "unsupported");
        let own = gate
            .operator()
            .with("origin", &format!("http://{}", gate.admin()));
        let answer = own.post("/v1/clamp", &clamp).await;
        answer.passed();
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name), Some(value));
        }
    });
}

/// Requests that cannot be answered, about the held call `id`: what is unknown, what comes too late,
/// and what is wrong.
fn unanswerable(id: &str) -> Vec<(&'static str, String, Value, u16, &'static str)> {
    let get = |path: &str, status, slug| ("GET", path.to_owned(), Value::Null, status, slug);
    let post = |path: &str, body, status, slug| ("POST", path.to_owned(), body, status, slug);
    let (approve, deny) = (
        format!("/v1/approvals/{id}/approve"),
        format!("/v1/approvals/{id}/deny"),
    );
    vec![
        get("/v1/workflows/none", 404, "not-found"),
        get("/v1/approvals/none", 404, "not-found"),
        get("/v1/runs/none", 404, "not-found"),
        get("/v2/anything", 404, "not-found"),
        get("/v1/approvals?state=lost", 422, "invalid"),
        get("/v1/runs?since=yesterdayish", 422, "invalid"),
        get("/v1/runs?wrkflow=desk", 422, "invalid"),
        get("/v1/audit?after=x", 422, "invalid"),
        get("/v1/clamp", 405, "malformed"),
        post(&deny, json!({}), 422, "invalid"),
        post(
            &deny,
            json!({ "reason": "x", "verdict": "maybe" }),
            422,
            "invalid",
        ),
        post(&approve, json!({ "reasn": "x" }), 422, "invalid"),
        post(
            "/v1/reports",
            json!({ "run": "a", "call": "b", "mode": "timeout" }),
            422,
            "invalid",
        ),
        post("/v1/reports", json!({ "run": "a" }), 422, "invalid"),
        post(
            "/v1/workflows/desk/recover",
            json!({ "cause": "c" }),
            409,
            "conflict",
        ),
        post(
            "/v1/workflows/desk/release",
            json!({ "reason": "r" }),
            409,
            "conflict",
        ),
    ]
}

#[test]
fn what_is_unknown_is_404_what_came_too_late_409_and_what_is_wrong_422() {
    test(async {
        let (_upstream, gate) = gate().await;
        let operator = gate.operator();
        let held = gate
            .agent()
            .post("/shop/pay", &json!({ "order": "1" }))
            .await
            .refused(403, "held");
        let id = held["approval"].as_str().unwrap();
        for (method, path, body, status, slug) in unanswerable(id) {
            let answer = ask(&operator, method, &path, &body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.slug().as_str()),
                (status, slug),
                "{method} {path}: {}",
                String::from_utf8_lossy(&answer.body)
            );
        }
        operator.approve(id).await.passed();
        operator.approve(id).await.refused(409, "conflict");
        operator
            .deny(id, "wrong", "too late")
            .await
            .refused(409, "conflict");
        operator
            .post_as("/v1/clamp", "application/json", "{\"to\":")
            .await
            .refused(400, "malformed");
        operator
            .post_as(
                "/v1/clamp",
                "application/json",
                &format!("\"{}\"", "x".repeat(2 << 20)),
            )
            .await
            .refused(413, "too-large");
    });
}

#[test]
fn what_happened_is_in_the_audit_in_order_and_page_by_page() {
    test(async {
        let (_upstream, gate) = gate().await;
        let operator = gate.operator();
        operator.clamp("desk", "read_only").await.passed();
        operator.release("desk").await.passed();
        let mut after = 0;
        let mut kinds = Vec::new();
        loop {
            let page = operator
                .get(&format!("/v1/audit?after={after}&limit=2"))
                .await
                .passed()
                .json();
            for entry in page["entries"].as_array().unwrap() {
                let seq = entry["seq"].as_u64().unwrap();
                assert!(seq > after, "{entry}");
                after = seq;
                kinds.push(entry.to_string());
            }
            if page["next"].is_null() {
                break;
            }
        }
        let place = |what: &str| {
            kinds
                .iter()
                .position(|entry| entry.contains(what))
                .unwrap_or_else(|| panic!("no {what} in {kinds:?}"))
        };
        assert!(place("clamped") < place("released"));
        assert!(!kinds.concat().contains(&gate.operator_token()));
    });
}
