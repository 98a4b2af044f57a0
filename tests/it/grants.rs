//! Time-boxed grants: so many held calls of one tool go without asking, and nothing else does.

use serde_json::{Value, json};

use crate::harness::{Answer, Operator, Shop, policies, test};

const HOLDS: &str = "levels: [{ level: standard, medium: hold }]\n";

fn order(order: usize) -> Value {
    json!({ "order": order.to_string() })
}

async fn give(operator: &Operator, tool: &str, lasts: &str, max: u32) -> Answer {
    operator
        .post(
            "/v1/workflows/desk/grants",
            &json!({ "tool": tool, "for": lasts, "max": max, "reason": "a campaign" }),
        )
        .await
}

#[test]
fn so_many_calls_go_without_asking_and_are_counted() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            mut gate,
        } = Shop::configured(HOLDS, "").await;
        let given = give(&operator, "shop/change", "30m", 3)
            .await
            .passed()
            .json();
        assert_eq!(
            (&given["used"], &given["max"], &given["open"], &given["by"]),
            (&json!(0), &json!(3), &json!(true), &json!("operator"))
        );
        agent.post("/shop/change", &order(1)).await.passed();
        agent
            .post("/shop/pay", &order(1))
            .await
            .refused(403, "held");
        agent
            .call("PUT", "/shop/put/1", Some(&order(1)))
            .await
            .refused(403, "held");
        gate.restart();
        let (agent, operator) = (gate.agent(), gate.operator());
        for of in [2, 3] {
            agent.post("/shop/change", &order(of)).await.passed();
        }
        agent
            .post("/shop/change", &order(4))
            .await
            .refused(403, "held");
        let grants = operator
            .get("/v1/grants?workflow=desk")
            .await
            .passed()
            .json();
        assert_eq!(
            (&grants["grants"][0]["used"], &grants["grants"][0]["open"]),
            (&json!(3), &json!(false))
        );
        assert_eq!(upstream.count(), 3);
        let journal = operator
            .get("/v1/audit?limit=1000")
            .await
            .passed()
            .json()
            .to_string();
        assert_eq!(
            journal
                .matches(&format!(r#""under":"{}""#, given["id"].as_str().unwrap()))
                .count(),
            3,
            "{journal}"
        );
    });
}

#[test]
fn of_many_at_once_no_more_go_than_were_granted() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = Shop::configured(HOLDS, "").await;
        give(&operator, "shop/change", "30m", 5).await.passed();
        let mut calls = tokio::task::JoinSet::new();
        for of in 0..24 {
            let agent = agent.clone();
            calls
                .spawn(async move { agent.post("/shop/change", &order(of)).await.status.as_u16() });
        }
        let statuses = calls.join_all().await;
        assert_eq!(
            (
                statuses.iter().filter(|status| **status == 200).count(),
                upstream.count()
            ),
            (5, 5),
            "{statuses:?}"
        );
        assert!(
            statuses.iter().all(|status| [200, 403].contains(status)),
            "{statuses:?}"
        );
    });
}

#[test]
fn no_grant_lifts_a_ceiling_or_stands_for_several_people() {
    test(async {
        let config = policies::people(&[], &[("dana", "reviewer"), ("noor", "operator")]);
        let Shop {
            agent,
            operator,
            upstream,
            gate,
        } = Shop::configured(
            &format!("{HOLDS}hold: {{ approvals: {{ high: 2, other: 1 }} }}\n"),
            &config,
        )
        .await;
        for (tool, lasts, max) in [
            ("shop/pay", "30m", 3),
            ("shop/none", "30m", 3),
            ("shop/change", "25h", 3),
            ("shop/change", "30m", 0),
            ("shop/change", "30m", 1001),
        ] {
            give(&operator, tool, lasts, max)
                .await
                .refused(422, "invalid");
        }
        give(&gate.reviewer("dana-token"), "shop/change", "30m", 3)
            .await
            .refused(403, "forbidden");
        give(&gate.reviewer("noor-token"), "shop/change", "30m", 3)
            .await
            .passed();
        // A ceiling that comes later stands over it.
        let ceiling = policies::shop(&upstream.url())
            .replace("match: POST /change,", "match: POST /change, always: hold,");
        gate.reload("shop.yaml", ceiling).await;
        agent
            .post("/shop/change", &order(1))
            .await
            .refused(403, "held");
        give(&operator, "shop/change", "30m", 3)
            .await
            .refused(422, "invalid");
        upstream.untouched();
    });
}

#[test]
fn a_clamp_a_person_and_whoever_is_removed_end_it() {
    test(async {
        let config = policies::people(&[], &[("noor", "operator")]);
        let Shop {
            agent,
            operator,
            upstream,
            mut gate,
        } = Shop::configured("", &config).await;
        let first = give(&gate.reviewer("noor-token"), "shop/pay", "30m", 9)
            .await
            .passed()
            .json();
        operator.clamp("desk", "supervised").await.passed();
        agent
            .post("/shop/pay", &order(1))
            .await
            .refused(403, "held");
        operator.release("desk").await.passed();
        agent.post("/shop/pay", &order(2)).await.passed();
        let revoke = format!("/v1/grants/{}/revoke", first["id"].as_str().unwrap());
        operator
            .post(&revoke, &json!({ "reason": "enough" }))
            .await
            .passed();
        operator
            .post(&revoke, &json!({ "reason": "again" }))
            .await
            .refused(409, "conflict");
        agent
            .post("/shop/pay", &order(3))
            .await
            .refused(403, "held");
        give(&gate.reviewer("noor-token"), "shop/pay", "30m", 9)
            .await
            .passed();
        gate.restart_with("");
        gate.agent()
            .post("/shop/pay", &order(4))
            .await
            .refused(403, "held");
        assert_eq!(upstream.count(), 1);
        let output = gate.cli(&[
            "approvals",
            "grant",
            "desk",
            "--tool",
            "shop/pay",
            "--for",
            "30m",
            "--max",
            "1",
            "--reason",
            "a drill",
        ]);
        assert!(output.status.success(), "{output:?}");
        let listed = String::from_utf8(gate.cli(&["approvals", "grants"]).stdout).unwrap();
        assert!(listed.contains("0 of 1"), "{listed}");
    });
}
