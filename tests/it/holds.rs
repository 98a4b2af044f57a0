//! Held calls: what the agent is told, which calls are one and the same, and what becomes of a call
//! that waits open.

use serde_json::json;

use crate::harness::{Shop, agent, eventually, order, test, text};

#[test]
fn an_agent_is_told_all_about_its_held_call() {
    test(async {
        let Shop {
            upstream,
            agent,
            operator,
            gate: _gate,
        } = Shop::start("").await;
        let answer = agent.run("ticket-1").pay("A-1").await;
        let problem = answer.refused(403, "held");
        let id = text(&problem, "approval");
        assert!(
            text(&problem, "detail").starts_with("NOT EXECUTED"),
            "{problem}"
        );
        assert_eq!(problem["executed"], false);
        assert_eq!(
            (
                text(&problem, "workflow"),
                text(&problem, "run"),
                text(&problem, "tool")
            ),
            ("desk", "ticket-1", "shop/pay")
        );
        assert_eq!(
            (text(&problem, "level"), &problem["budget"]["posture"]),
            ("standard", &json!("healthy"))
        );
        assert_eq!(text(&problem, "call"), answer.call());
        assert_eq!(
            text(&problem, "status_url"),
            format!("/.burngate/approvals/{id}")
        );
        assert_eq!(
            answer.header("location"),
            Some(text(&problem, "status_url"))
        );
        assert!(answer.header("retry-after").unwrap().parse::<u64>().is_ok());
        assert_eq!(
            (
                answer.header("burngate-verdict"),
                answer.header("preference-applied")
            ),
            (Some("hold"), None)
        );
        assert!(text(&problem, "rule").starts_with("level"), "{problem}");
        let pending = operator.pending().await;
        assert_eq!(
            (
                text(&pending, "id"),
                text(&pending, "digest"),
                text(&pending, "expires_at")
            ),
            (id, text(&problem, "digest"), text(&problem, "expires_at"))
        );
        assert_eq!(
            (text(&pending, "risk"), &pending["args"], &pending["needed"]),
            ("high", &order("A-1"), &json!(1))
        );
        assert_eq!(
            (
                text(&pending, "call"),
                text(&pending, "run"),
                text(&pending, "agent")
            ),
            (answer.call(), "ticket-1", "local")
        );
        upstream.untouched();
    });
}

#[test]
fn an_agent_that_prefers_not_to_wait_is_told_that_its_call_is_accepted() {
    test(async {
        let Shop {
            agent,
            upstream,
            gate: _gate,
            operator: _operator,
        } = Shop::start("hold: { wait: 30s }").await;
        let answer = agent.with("prefer", "respond-async").pay("A-1").await;
        let problem = answer.refused(202, "held");
        assert_eq!(answer.header("preference-applied"), Some("respond-async"));
        assert_eq!(
            answer.header("location"),
            Some(text(&problem, "status_url"))
        );
        upstream.untouched();
    });
}

#[test]
fn an_agent_that_prefers_to_wait_waits_as_long_and_no_longer() {
    test(async {
        let Shop {
            agent,
            upstream: _upstream,
            gate: _gate,
            operator: _operator,
        } = Shop::start("").await;
        let began = std::time::Instant::now();
        let answer = agent.with("prefer", "wait=1").pay("A-1").await;
        answer.refused(403, "held");
        assert_eq!(answer.header("preference-applied"), Some("wait=1"));
        assert!(
            (1.0..10.0).contains(&began.elapsed().as_secs_f64()),
            "{:?}",
            began.elapsed()
        );
    });
}

#[test]
fn the_same_call_in_another_spelling_waits_for_the_same_approval() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream: _upstream,
            gate: _gate,
        } = Shop::start("").await;
        let spellings = [
            r#"{"order":"A-1","amount":12.5}"#,
            "{ \"amount\" : 12.5 ,\n \"order\" : \"A-1\" }",
            r#"{"\u006frder":"A-1","amount":12.50}"#,
            r#"{"amount":1.25e1,"order":"A\u002d1"}"#,
        ];
        let mut seen = std::collections::BTreeSet::new();
        for (index, body) in spellings.into_iter().enumerate() {
            let agent = agent.clone().run(&format!("r-{index}"));
            let request = agent
                .request("POST", "/shop/pay")
                .header("content-type", "application/json")
                .body(agent::full(body))
                .unwrap();
            let problem = agent.send(request).await.refused(403, "held");
            seen.insert((
                text(&problem, "approval").to_owned(),
                text(&problem, "digest").to_owned(),
            ));
        }
        assert_eq!(
            (seen.len(), operator.approvals("pending").await.len()),
            (1, 1)
        );
    });
}

#[test]
fn another_call_waits_for_an_approval_of_its_own() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream: _upstream,
            gate: _gate,
        } = Shop::start("levels: [{ level: standard, medium: hold }]").await;
        let agent = agent.run("r");
        let mut digests = std::collections::BTreeSet::new();
        for body in [
            json!({ "order": "A-1" }),
            json!({ "order": "A-2" }),
            json!({ "order": "A-1", "x": null }),
            json!({ "order": 1 }),
            json!(["A-1"]),
        ] {
            digests.insert(
                text(
                    &agent.post("/shop/pay", &body).await.refused(403, "held"),
                    "digest",
                )
                .to_owned(),
            );
        }
        for path in [
            "/shop/put/1",
            "/shop/put/2",
            "/shop/put/1?x=1",
            "/shop/change",
        ] {
            let method = if path == "/shop/change" {
                "POST"
            } else {
                "PUT"
            };
            digests.insert(
                text(
                    &agent
                        .call(method, path, Some(&json!({ "order": "A-1" })))
                        .await
                        .refused(403, "held"),
                    "digest",
                )
                .to_owned(),
            );
        }
        assert_eq!(
            (digests.len(), operator.approvals("pending").await.len()),
            (9, 9)
        );
    });
}

#[test]
fn a_call_that_waits_open_goes_through_when_it_is_approved() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = Shop::start("hold: { wait: 30s }").await;
        let decide = async {
            let id = text(&operator.pending().await, "id").to_owned();
            operator.approve(&id).await.passed();
        };
        let (answer, ()) = tokio::join!(agent.pay("A-1"), decide);
        assert_eq!(answer.passed().header("burngate-verdict"), Some("allow"));
        assert_eq!(upstream.only().json(), order("A-1"));
    });
}

#[test]
fn a_call_that_waits_open_is_told_of_its_denial() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = Shop::start("hold: { wait: 30s }").await;
        let decide = async {
            let id = text(&operator.pending().await, "id").to_owned();
            operator
                .deny(&id, "wrong", "that is not the customer")
                .await
                .passed();
        };
        let (answer, ()) = tokio::join!(agent.pay("A-1"), decide);
        let problem = answer.refused(403, "denied");
        assert!(
            text(&problem, "detail").contains("that is not the customer"),
            "{problem}"
        );
        upstream.untouched();
    });
}

#[test]
fn a_client_that_went_away_while_it_waited_executes_nothing() {
    test(async {
        let Shop {
            gate,
            agent,
            operator,
            upstream,
        } = Shop::start("hold: { wait: 60s }").await;
        use tokio::io::AsyncWriteExt as _;
        let mut stream = agent.stream().await;
        let body = order("A-1").to_string();
        let head = format!(
            "POST /shop/pay HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            gate.listen(),
            body.len()
        );
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .await
            .unwrap();
        let id = text(&operator.pending().await, "id").to_owned();
        drop(stream);
        // Two exchanges on the same worker's port later, the gate has had its chance to notice.
        agent.get("/shop/look/1").await.passed();
        operator.approve(&id).await.passed();
        agent.get("/shop/look/2").await.passed();
        assert_eq!(
            text(
                &operator.get(&format!("/v1/approvals/{id}")).await.json(),
                "state"
            ),
            "approved"
        );
        assert!(
            upstream
                .received()
                .iter()
                .all(|received| received.method == "GET"),
            "{:?}",
            upstream.received()
        );
        // The grant is still there for a repeat.
        agent.pay("A-1").await.passed();
    });
}

#[test]
fn an_agent_that_polls_learns_of_the_decision_when_it_is_made() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream: _upstream,
            gate: _gate,
        } = Shop::start("").await;
        let problem = agent.pay("A-1").await.refused(403, "held");
        let path = format!("{}?wait=50", text(&problem, "status_url"));
        let poll = agent.get(&path);
        let (told, decided) = tokio::join!(poll, operator.approve(text(&problem, "approval")));
        decided.passed();
        let told = told.passed().json();
        assert_eq!(
            (text(&told, "state"), text(&told, "approval")),
            ("approved", text(&problem, "approval"))
        );
        assert!(text(&told, "next").contains("repeat"), "{told}");
    });
}

#[test]
fn as_many_calls_are_held_as_the_configuration_says() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream: _upstream,
            gate: _gate,
        } = Shop::configured("", "bounds: { holds: 3 }\n").await;
        for index in 0..3 {
            agent.pay(&index.to_string()).await.refused(403, "held");
        }
        let problem = agent.pay("one more").await.refused(503, "unavailable");
        assert_eq!(
            (text(&problem, "cause"), &problem["executed"]),
            ("holds", &json!(false))
        );
        assert_eq!(operator.approvals("pending").await.len(), 3);
        agent.pay("0").await.refused(403, "held");
        operator
            .deny(
                text(&operator.approvals("pending").await[0], "id"),
                "not_now",
                "room",
            )
            .await
            .passed();
        eventually("room", || async {
            (agent.pay("later").await.status == 403).then_some(())
        })
        .await;
    });
}
