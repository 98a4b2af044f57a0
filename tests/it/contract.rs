//! What others script against, as golden lists: a change here is a change of the contract.

use std::collections::BTreeSet;

use burngate::api::problem::Slug;
use serde_json::{Value, json};

use crate::harness::{Reply, ScriptedUpstream, TestGate, eventually, policies, test};

#[test]
fn problems_keep_their_slugs_and_statuses() {
    let slugs: Vec<String> = Slug::ALL
        .iter()
        .map(|slug| format!("{} {}", slug.as_str(), slug.status()))
        .collect();
    insta::assert_snapshot!(slugs.join("\n"), @r"
    held 403
    denied 403
    level 403
    unlisted 403
    quarantined 403
    wrong-arguments 422
    duplicate 409
    loop 409
    idempotency-mismatch 422
    volume 429
    limit 429
    inbox-full 429
    exposure 403
    unidentified 401
    forbidden 403
    malformed 400
    unsupported 415
    too-large 413
    unavailable 503
    upstream-unreachable 502
    upstream-malformed 502
    upstream-timeout 504
    ambiguous 502
    internal 500
    unauthorized 401
    not-found 404
    conflict 409
    invalid 422
    ");
}

async fn used() -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(""))
        .start();
    let agent = gate.agent();
    agent.get("/shop/look/1").await.passed();
    agent
        .post("/shop/change", &json!({ "order": "1" }))
        .await
        .passed();
    agent
        .post("/shop/pay", &json!({ "order": "1" }))
        .await
        .refused(403, "held");
    upstream.next(Reply::reset());
    agent
        .post("/shop/change", &json!({ "order": "2" }))
        .await
        .refused(502, "ambiguous");
    gate.operator()
        .stands("desk", "all runs", |status| {
            status["budget"]["runs"] == 2 && status["budget"]["idle_runs"] == 2
        })
        .await;
    (upstream, gate)
}

#[test]
fn metrics_keep_their_names_and_labels() {
    test(async {
        let (_upstream, gate) = used().await;
        // Counted when it is on disk, which is a moment after it acts.
        let operator = gate.operator();
        let text = eventually("all runs and failures", || async {
            let text =
                String::from_utf8(operator.get("/metrics").await.passed().body.to_vec()).unwrap();
            assert!(
                !text.contains("burngate_upstream_seconds_count 0\n"),
                "an answered call is timed: {text}"
            );
            let counted = [
                "burngate_failures_total{",
                "outcome=\"acceptable\"} 1",
                "outcome=\"unacceptable\"} 1",
            ];
            counted
                .iter()
                .all(|sample| text.contains(sample))
                .then_some(text)
        })
        .await;
        let label = regex::Regex::new("=\"[^\"]*\"").unwrap();
        let names: BTreeSet<String> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                label
                    .replace_all(line.rsplit_once(' ').unwrap().0, "")
                    .into_owned()
            })
            .collect();
        insta::assert_snapshot!(names.into_iter().collect::<Vec<_>>().join("\n"));
        for sample in [
            "burngate_runs_total{workflow=\"desk\",outcome=\"acceptable\"} 1",
            "burngate_runs_total{workflow=\"desk\",outcome=\"unacceptable\"} 1",
            "burngate_failures_total{workflow=\"desk\",mode=\"timeout\"} 1",
            "burngate_calls_total{workflow=\"desk\",tool=\"shop/change\",verdict=\"allow\"} 2",
            "burngate_calls_total{workflow=\"desk\",tool=\"shop/pay\",verdict=\"hold\"} 1",
            "burngate_approvals_pending{workflow=\"desk\"} 1",
            "burngate_level{workflow=\"desk\",level=\"standard\"} 1",
        ] {
            assert!(
                text.lines().any(|line| line.starts_with(sample)),
                "no {sample} in\n{text}"
            );
        }
        assert!(!text.contains("call_") && !text.contains("apr_"));
    });
}

/// The names and types of all members.
fn shape(value: &Value, at: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| shape(value, &format!("{at}.{name}"), into)),
        Value::Array(items) => match items.first() {
            Some(item) => shape(item, &format!("{at}[]"), into),
            None => into.push(format!("{at}: []")),
        },
        Value::Null => into.push(format!("{at}: null")),
        Value::Bool(_) => into.push(format!("{at}: bool")),
        Value::Number(_) => into.push(format!("{at}: number")),
        Value::String(_) => into.push(format!("{at}: text")),
    }
}

fn shape_of(value: &Value) -> String {
    let mut lines = Vec::new();
    shape(value, "", &mut lines);
    lines.join("\n")
}

#[test]
fn a_workflow_keeps_its_shape() {
    test(async {
        let (_upstream, gate) = used().await;
        gate.operator().clamp("desk", "supervised").await.passed();
        insta::assert_snapshot!(shape_of(&gate.operator().status("desk").await));
    });
}

#[test]
fn approvals_and_problems_keep_their_shape() {
    test(async {
        let (_upstream, gate) = used().await;
        let approval = gate.operator().pending().await;
        gate.operator()
            .deny(approval["id"].as_str().unwrap(), "not_now", "later")
            .await
            .passed();
        let held = gate
            .agent()
            .post("/shop/pay", &json!({ "order": "1" }))
            .await;
        let denied = gate
            .operator()
            .get(&format!(
                "/v1/approvals/{}",
                approval["id"].as_str().unwrap()
            ))
            .await
            .json();
        let own = gate
            .agent()
            .get(held.header("location").unwrap())
            .await
            .json();
        let pages = [("approval", denied), ("held", held.json()), ("own", own)];
        insta::assert_snapshot!(
            pages
                .map(|(name, page)| format!("# {name}\n{}", shape_of(&page)))
                .join("\n\n")
        );
    });
}
