//! Approving with other arguments, and denying as wrong: what is forwarded, what it costs, and what
//! it stands for.

use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Agent, Answer, Person, Shop, policies, test, text};

/// A shop whose `pay` takes an order and an amount, and never more than 100.
fn shop(upstream: &str) -> String {
    let schema = "arguments: { type: object, required: [order, amount], properties: { order: { type: string }, amount: { type: number } }, additionalProperties: false }, deny_when: 'args.amount > 100.0',";
    policies::shop(upstream).replace(
        "tool: pay, match: POST /pay,",
        &format!("tool: pay, match: POST /pay, {schema}"),
    )
}

async fn world(desk: &str, config: &str) -> Shop {
    Shop::of(shop, desk, config).await
}

fn order(order: &str, amount: f64) -> Value {
    json!({ "order": order, "amount": amount })
}

async fn held(agent: &Agent, asked: &Value) -> Value {
    agent.post("/shop/pay", asked).await.refused(403, "held")
}

async fn approve(person: &Person, id: &str, with: &Value) -> Answer {
    person
        .post(&format!("/v1/approvals/{id}/approve"), with)
        .await
}

#[test]
fn what_a_reviewer_wrote_is_what_is_forwarded() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate,
        } = world("", "").await;
        let problem = held(&agent, &order("A-1", 90.5)).await;
        let id = text(&problem, "approval");
        let approved = approve(
            &operator,
            id,
            &json!({ "edit": order("A-1", 9.5), "reason": "only the postage" }),
        )
        .await
        .passed()
        .json();
        assert_eq!(
            (
                text(&approved, "state"),
                &approved["args"],
                &approved["edit"]["args"]
            ),
            ("approved", &order("A-1", 90.5), &order("A-1", 9.5))
        );
        assert_ne!(approved["digest"], approved["edit"]["digest"]);
        let told = agent
            .get(text(&problem, "status_url"))
            .await
            .passed()
            .json();
        assert_eq!(told["edit"], approved["edit"]);
        upstream.untouched();

        let asked = agent
            .clone()
            .with("content-digest", "sha-256=:AAAA:")
            .post("/shop/pay", &order("A-1", 90.5))
            .await;
        assert_eq!(
            asked.passed().header("burngate-edited"),
            approved["edit"]["digest"].as_str()
        );
        let sent = upstream.only();
        assert_eq!(
            (sent.json(), sent.header("content-digest")),
            (order("A-1", 9.5), None)
        );
        let used = operator.get(&format!("/v1/approvals/{id}")).await.json();
        assert_eq!(text(&used, "state"), "used");
        let journal = operator
            .get("/v1/audit?limit=100")
            .await
            .passed()
            .json()
            .to_string();
        assert!(
            journal.contains(&format!(
                r#""sent":"{}""#,
                text(&approved["edit"], "digest")
            )),
            "{journal}"
        );
        // Once: the next one waits again, as it was asked.
        assert_eq!(
            held(&agent, &order("A-1", 90.5)).await["digest"],
            problem["digest"]
        );
        assert_eq!(upstream.count(), 1);
        // It was a correction of the run that asked.
        let run = operator.run_of(text(&problem, "call")).await;
        assert_eq!(
            (text(&run, "outcome"), &run["modes"]),
            ("unacceptable", &json!(["major_correction"])),
            "{run}"
        );
        drop(gate);
    });
}

#[rstest]
#[case::breaks_the_schema(json!({ "order": "A-1", "amount": "9.5" }), "/edit/amount")]
#[case::lacks_a_member(json!({ "amount": 9.5 }), "/edit")]
#[case::brings_a_member(json!({ "order": "A-1", "amount": 9.5, "tool": "shop/put" }), "/edit")]
#[case::breaks_a_rule(order("A-1", 100.5), "/edit")]
#[case::changes_nothing(order("A-1", 90.5), "/edit")]
#[case::is_nothing(json!(null), "/edit")]
fn an_edit_is_judged_as_the_call_would_be(#[case] edit: Value, #[case] pointer: &str) {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = world("", "").await;
        let problem = held(&agent, &order("A-1", 90.5)).await;
        let id = text(&problem, "approval");
        let refused = approve(&operator, id, &json!({ "edit": edit }))
            .await
            .refused(422, "invalid");
        let pointers: Vec<_> = refused["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["pointer"].as_str().unwrap())
            .collect();
        assert!(pointers.contains(&pointer), "{refused}");
        // Nothing was decided, and nothing was charged.
        assert_eq!(
            text(
                &operator.get(&format!("/v1/approvals/{id}")).await.json(),
                "state"
            ),
            "pending"
        );
        assert_eq!(operator.status("desk").await["budget"]["unacceptable"], 0);
        held(&agent, &order("A-1", 90.5)).await;
        upstream.untouched();
    });
}

#[test]
fn an_edit_of_another_tool_or_path_is_no_edit() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = world("", "").await;
        let problem = held(&agent, &order("A-1", 90.5)).await;
        for key in ["tool", "target", "method", "path"] {
            let with = json!({ "edit": order("A-1", 9.25), key: "shop/put" });
            approve(&operator, text(&problem, "approval"), &with)
                .await
                .refused(422, "invalid");
        }
        upstream.untouched();
    });
}

#[test]
fn an_edit_voids_what_was_approved_before_it() {
    test(async {
        let config = policies::people(
            &[],
            &[
                ("dana", "reviewer"),
                ("eli", "reviewer"),
                ("noor", "reviewer"),
            ],
        );
        let Shop {
            agent,
            operator,
            upstream,
            gate,
        } = world("hold: { approvals: 2 }", &config).await;
        let (dana, eli) = (gate.reviewer("dana-token"), gate.reviewer("eli-token"));
        let problem = held(&agent, &order("A-1", 90.5)).await;
        let id = text(&problem, "approval");
        dana.approve(id).await.passed();
        let edited = approve(&eli, id, &json!({ "edit": order("A-1", 9.25) }))
            .await
            .passed()
            .json();
        assert_eq!(
            (text(&edited, "state"), &edited["decisions"][0]["void"]),
            ("pending", &json!(true))
        );
        let digest = text(&edited["edit"], "digest");
        // Whoever still looks at the call as it was asked approves nothing.
        dana.approve(id).await.refused(409, "conflict");
        approve(
            &gate.reviewer("noor-token"),
            id,
            &json!({ "digest": problem["digest"] }),
        )
        .await
        .refused(409, "conflict");
        approve(&dana, id, &json!({ "digest": "no digest" }))
            .await
            .refused(422, "invalid");
        held(&agent, &order("A-1", 90.5)).await;
        let approved = approve(&dana, id, &json!({ "digest": digest }))
            .await
            .passed()
            .json();
        assert_eq!(text(&approved, "state"), "approved");
        upstream.untouched();
        // The edited call itself was never asked for.
        let other = held(&agent, &order("A-1", 9.25)).await;
        assert_eq!(
            (text(&other, "digest"), text(&other, "approval") == id),
            (digest, false)
        );
        agent.post("/shop/pay", &order("A-1", 90.5)).await.passed();
        assert_eq!(upstream.only().json(), order("A-1", 9.25));
        assert_eq!(
            operator.status("desk").await["failure_modes"]["major_correction"],
            1
        );
    });
}

#[test]
fn of_many_repeats_of_an_edited_call_one_is_sent() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = world("", "").await;
        let problem = held(&agent, &order("A-1", 90.5)).await;
        approve(
            &operator,
            text(&problem, "approval"),
            &json!({ "edit": order("A-1", 9.25) }),
        )
        .await
        .passed();
        let mut repeats = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let agent = agent.clone();
            repeats.spawn(async move {
                agent
                    .post("/shop/pay", &order("A-1", 90.5))
                    .await
                    .status
                    .as_u16()
            });
        }
        let statuses = repeats.join_all().await;
        assert_eq!(
            statuses.iter().filter(|status| **status == 200).count(),
            1,
            "{statuses:?}"
        );
        assert!(
            statuses.iter().all(|status| [200, 403].contains(status)),
            "{statuses:?}"
        );
        assert_eq!(upstream.only().json(), order("A-1", 9.25));
    });
}

#[test]
fn an_edited_call_is_judged_again_when_it_is_sent() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate,
        } = world("", "").await;
        let problem = held(&agent, &order("A-1", 90.5)).await;
        approve(
            &operator,
            text(&problem, "approval"),
            &json!({ "edit": order("A-1", 9.25) }),
        )
        .await
        .passed();
        operator.clamp("desk", "read_only").await.passed();
        agent
            .post("/shop/pay", &order("A-1", 90.5))
            .await
            .refused(403, "level");
        operator.release("desk").await.passed();
        let tighter = shop(&upstream.url()).replace("args.amount > 100.0", "args.amount < 50.0");
        gate.reload("shop.yaml", tighter).await;
        agent
            .post("/shop/pay", &order("A-1", 90.5))
            .await
            .refused(403, "denied");
        upstream.untouched();
    });
}

#[test]
fn a_call_whose_tool_changed_can_neither_be_approved_nor_edited() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate,
        } = world("", "").await;
        let problem = held(&agent, &order("A-1", 90.5)).await;
        let id = text(&problem, "approval");
        gate.reload(
            "shop.yaml",
            shop(&upstream.url())
                .replace("additionalProperties: false", "additionalProperties: true"),
        )
        .await;
        operator.approve(id).await.refused(409, "conflict");
        approve(&operator, id, &json!({ "edit": order("A-1", 9.25) }))
            .await
            .refused(409, "conflict");
        operator.deny(id, "not_now", "it changed").await.passed();
        upstream.untouched();
    });
}

#[test]
fn denying_as_wrong_costs_and_not_now_does_not() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = world("", "").await;
        let first = held(&agent, &order("A-1", 90.5)).await;
        operator
            .deny(text(&first, "approval"), "not_now", "after lunch")
            .await
            .passed();
        assert_eq!(operator.status("desk").await["budget"]["unacceptable"], 0);
        let again = held(&agent, &order("A-1", 90.5)).await;
        operator
            .deny(text(&again, "approval"), "wrong", "never delivered")
            .await
            .passed();
        let status = operator.status("desk").await;
        assert_eq!(
            (&status["budget"]["unacceptable"], &status["failure_modes"]),
            (&json!(1), &json!({ "major_correction": 1 }))
        );
        upstream.untouched();
    });
}

#[test]
fn after_two_denials_as_wrong_nobody_is_asked_about_the_same_thing() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            mut gate,
        } = world("", "").await;
        for amount in [10.0, 11.0] {
            let problem = held(&agent, &order("A-1", amount)).await;
            operator
                .deny(
                    text(&problem, "approval"),
                    "wrong",
                    "that order was never paid",
                )
                .await
                .passed();
        }
        gate.restart();
        let agent = gate.agent();
        let problem = agent
            .post("/shop/pay", &order("A-1", 12.0))
            .await
            .refused(403, "denied");
        assert!(
            text(&problem, "detail").contains("nobody is asked"),
            "{problem}"
        );
        assert!(gate.operator().approvals("pending").await.is_empty());
        held(&agent, &order("A-2", 12.0)).await;
        upstream.untouched();
    });
}
