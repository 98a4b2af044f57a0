//! How people's decisions turned out: shown against the workflow, the rule that held the calls, and
//! in the metrics.

use serde_json::{Value, json};

use crate::harness::{Operator, ScriptedUpstream, TestGate, eventually, policies, test};

fn order(order: &str) -> Value {
    json!({ "order": order, "amount": 12.50 })
}

/// What is counted of decisions, by workflow or by rule.
fn figures(of: &Value) -> [u64; 8] {
    let number = |name: &str| {
        of[name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name} in {of}"))
    };
    [
        "held",
        "decisions",
        "approved",
        "edited",
        "turned_bad",
        "denied_not_now",
        "unasked",
        "unasked_turned_bad",
    ]
    .map(number)
}

/// Calls that are held by the level and by a rule: decided, sent, and reported on.
async fn decide_and_report(gate: &TestGate) {
    let operator = gate.operator();
    let held = async |path: &str, of: &str| {
        let problem = gate
            .agent()
            .run(of)
            .post(path, &order(of))
            .await
            .refused(403, "held");
        problem["approval"].as_str().unwrap().to_owned()
    };
    let send = async |path: &str, of: &str| {
        gate.agent()
            .run(of)
            .post(path, &order(of))
            .await
            .passed()
            .call()
            .to_owned()
    };
    // By the level: one that is right, one that turns out bad, one with other arguments, one
    // denied.
    for of in ["right", "bad", "edited"] {
        let id = held("/shop/pay", of).await;
        let edit = if of == "edited" {
            json!({ "edit": { "order": of, "amount": 1 } })
        } else {
            json!({})
        };
        operator
            .post(&format!("/v1/approvals/{id}/approve"), &edit)
            .await
            .passed();
        send("/shop/pay", of).await;
    }
    operator
        .deny(&held("/shop/pay", "no").await, "not_now", "later")
        .await
        .passed();
    // By `hold_when`: one that waits, and two that go under a grant for a while, of which one
    // turns out bad.
    held("/shop/change", "waits").await;
    operator
        .post(
            "/v1/workflows/desk/grants",
            &json!({ "tool": "shop/change", "for": "10m", "max": 2, "reason": "month's end" }),
        )
        .await
        .passed();
    send("/shop/change", "unasked").await;
    send("/shop/change", "unasked-bad").await;
    for of in ["bad", "unasked-bad"] {
        operator
            .report("run", of, "wrong_action", of)
            .await
            .passed();
    }
}

/// The command line says what the API says.
fn pages_say_the_same(gate: &TestGate) {
    let page = |arguments: &[&str]| String::from_utf8(gate.cli(arguments).stdout).unwrap();
    let status = page(&["status", "desk"]);
    assert!(
        status.contains(
            "In the last week 5 calls were held for a person. Half of 4 decisions took at most "
        ),
        "{status}"
    );
    assert!(
        status.contains("2 calls went through under a timed grant, and 1 of them turned out bad."),
        "{status}"
    );
    for format in ["markdown", "html"] {
        let review = page(&["review", "--format", format])
            .replace("\\_", "_")
            .replace("<code>", "")
            .replace("</code>", "");
        assert!(
            review.contains("hold_when")
                && review.contains(".yaml:")
                && review.contains("2 calls went under a timed grant"),
            "{format}: {review}"
        );
    }
}

async fn metrics_count_them(operator: &Operator) {
    let counted = || async {
        let metrics = operator.get("/metrics").await.passed().body.clone();
        let text = String::from_utf8_lossy(&metrics).into_owned();
        text.contains("burngate_approvals_unasked_total{workflow=\"desk\"} 2\n")
            .then_some(text)
    };
    let metrics = eventually("the calls that went unasked, in the metrics", counted).await;
    for (decision, count) in [("approve", 2), ("approve_edited", 1), ("deny_not_now", 1)] {
        let line = format!(
            "burngate_approval_decisions_total{{workflow=\"desk\",rule=\"level\",decision=\"{decision}\"}} {count}\n"
        );
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert!(
        metrics.contains("burngate_approval_decision_seconds_count 4\n"),
        "{metrics}"
    );
}

#[test]
fn decisions_are_counted_with_how_they_turned_out_by_workflow_and_by_rule() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let shop = policies::shop(&upstream.url()).replace(
            "match: POST /change, risk: medium,",
            "match: POST /change, risk: medium, hold_when: 'args.amount > 5.0',",
        );
        let gate = TestGate::builder()
            .policy("shop.yaml", shop)
            .policy("desk.yaml", policies::desk(""))
            .start();
        let operator = gate.operator();
        decide_and_report(&gate).await;
        let told = operator
            .get("/v1/workflows/desk/approvals?since=1d")
            .await
            .passed()
            .json();
        assert_eq!(figures(&told), [5, 4, 3, 1, 1, 1, 2, 1]);
        assert_eq!(
            (&told["without_edits"], &told["turned_bad_share"]),
            (&json!(0.6666), &json!(0.5))
        );
        assert!(
            told["median_seconds"].as_f64() <= told["p90_seconds"].as_f64()
                && told["p90_seconds"].is_number(),
            "{told}"
        );
        let rules = told["rules"].as_array().unwrap();
        assert_eq!(
            rules
                .iter()
                .map(|rule| rule["rule"].as_str().unwrap())
                .collect::<Vec<_>>(),
            ["level", "hold_when"]
        );
        assert_eq!(figures(&rules[0]), [4, 4, 3, 1, 1, 1, 0, 0]);
        assert_eq!(figures(&rules[1]), [1, 0, 0, 0, 0, 0, 2, 1]);
        assert!(
            rules[1]["place"].as_str().unwrap().contains("shop.yaml:"),
            "{told}"
        );
        // The review says the same, and so does the command line.
        let review = operator
            .get("/v1/review?since=1d&workflow=desk")
            .await
            .passed()
            .json();
        assert_eq!(
            figures(&review["workflows"][0]["approvals"]),
            figures(&told)
        );
        pages_say_the_same(&gate);
        // A report that is taken back is held against nobody.
        operator
            .post(
                "/v1/reports",
                &json!({ "run": "bad", "mode": "wrong_action", "ref": "bad", "retract": true }),
            )
            .await
            .passed();
        let told = operator
            .get("/v1/workflows/desk/approvals")
            .await
            .passed()
            .json();
        assert_eq!(figures(&told), [5, 4, 3, 1, 0, 1, 2, 1]);
        operator
            .get("/v1/workflows/nobody/approvals")
            .await
            .refused(404, "not-found");

        metrics_count_them(&operator).await;
    });
}
