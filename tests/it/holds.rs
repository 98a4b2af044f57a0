//! Held calls: what the agent is told, what a decision does, and that a grant passes exactly one
//! call, exactly once.

use serde_json::{Value, json};

use crate::harness::{
    Agent, Operator, Reply, ScriptedUpstream, TestGate, agent, eventually, policies, test,
};

struct World {
    upstream: ScriptedUpstream,
    gate: TestGate,
    agent: Agent,
    operator: Operator,
}

async fn world(desk: &str) -> World {
    with_people(desk, "").await
}

async fn with_people(desk: &str, config: &str) -> World {
    let upstream = ScriptedUpstream::start().await;
    let builder = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(desk));
    let gate = builder.config(config).start();
    World {
        agent: gate.agent(),
        operator: gate.operator(),
        upstream,
        gate,
    }
}

fn order(order: &str) -> Value {
    json!({ "order": order, "amount": 12.50 })
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key} in {value}"))
}

#[test]
fn an_agent_is_told_all_about_its_held_call() {
    test(async {
        let World {
            upstream,
            agent,
            operator,
            gate: _gate,
        } = world("").await;
        let answer = agent.run("ticket-1").post("/shop/pay", &order("A-1")).await;
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
        let World {
            agent,
            upstream,
            gate: _gate,
            operator: _operator,
        } = world("hold: { wait: 30s }").await;
        let answer = agent
            .with("prefer", "respond-async")
            .post("/shop/pay", &order("A-1"))
            .await;
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
        let World {
            agent,
            upstream: _upstream,
            gate: _gate,
            operator: _operator,
        } = world("").await;
        let began = std::time::Instant::now();
        let answer = agent
            .with("prefer", "wait=1")
            .post("/shop/pay", &order("A-1"))
            .await;
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
        let World {
            agent,
            operator,
            upstream: _upstream,
            gate: _gate,
        } = world("").await;
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
        let World {
            agent,
            operator,
            upstream: _upstream,
            gate: _gate,
        } = world("levels: [{ level: standard, medium: hold }]").await;
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
fn an_approved_call_passes_exactly_once_and_only_that_call() {
    test(async {
        let World {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = world("").await;
        let id = text(
            &agent
                .post("/shop/pay", &order("A-1"))
                .await
                .refused(403, "held"),
            "approval",
        )
        .to_owned();
        let approved = operator.approve(&id).await.passed().json();
        assert_eq!(
            (
                text(&approved, "state"),
                &approved["decisions"][0]["reviewer"]
            ),
            ("approved", &json!("operator"))
        );
        agent
            .post("/shop/pay", &order("A-2"))
            .await
            .refused(403, "held");
        upstream.untouched();
        let passed = agent.post("/shop/pay", &order("A-1")).await;
        assert_eq!(passed.passed().header("burngate-verdict"), Some("allow"));
        assert_eq!(upstream.only().json(), order("A-1"));
        assert_eq!(
            text(
                &operator.get(&format!("/v1/approvals/{id}")).await.json(),
                "state"
            ),
            "used"
        );
        let again = agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        assert_ne!(text(&again, "approval"), id);
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn of_many_repeats_at_once_one_passes() {
    test(async {
        let World {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = world("").await;
        let id = text(
            &agent
                .post("/shop/pay", &order("A-1"))
                .await
                .refused(403, "held"),
            "approval",
        )
        .to_owned();
        operator.approve(&id).await.passed();
        let mut repeats = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let agent = agent.clone();
            repeats.spawn(async move {
                agent
                    .post("/shop/pay", &order("A-1"))
                    .await
                    .status
                    .is_success()
            });
        }
        let passed = repeats
            .join_all()
            .await
            .into_iter()
            .filter(|passed| *passed)
            .count();
        assert_eq!((passed, upstream.count()), (1, 1));
    });
}

#[test]
fn of_many_decisions_at_once_one_stands() {
    test(async {
        let World {
            agent,
            operator,
            upstream: _upstream,
            gate: _gate,
        } = with_people(
            "",
            &policies::people(&[], &[("dana", "reviewer"), ("eli", "reviewer")]),
        )
        .await;
        let id = text(
            &agent
                .post("/shop/pay", &order("A-1"))
                .await
                .refused(403, "held"),
            "approval",
        )
        .to_owned();
        let mut decisions = tokio::task::JoinSet::new();
        for index in 0..12 {
            let (operator, id) = (operator.clone(), id.clone());
            decisions.spawn(
                async move {
                    if index % 2 == 0 {
                        operator.approve(&id).await
                    } else {
                        operator.deny(&id, "not_now", "no").await
                    }
                }
                .await_status(),
            );
        }
        let statuses = decisions.join_all().await;
        assert_eq!(
            statuses.iter().filter(|status| **status == 200).count(),
            1,
            "{statuses:?}"
        );
        assert!(
            statuses.iter().all(|status| [200, 409].contains(status)),
            "{statuses:?}"
        );
    });
}

trait Status: Future<Output = crate::harness::Answer> + Sized + Send {
    fn await_status(self) -> impl Future<Output = u16> + Send {
        async { self.await.status.as_u16() }
    }
}

impl<F: Future<Output = crate::harness::Answer> + Send> Status for F {}

#[test]
fn a_denial_as_wrong_stands_for_that_call_whoever_asks_again() {
    test(async {
        let World {
            agent,
            operator,
            upstream,
            mut gate,
        } = world("").await;
        let id = text(
            &agent
                .clone()
                .run("one")
                .post("/shop/pay", &order("A-1"))
                .await
                .refused(403, "held"),
            "approval",
        )
        .to_owned();
        operator
            .deny(&id, "wrong", "that order does not exist")
            .await
            .passed();
        for run in ["one", "two"] {
            let problem = agent
                .clone()
                .run(run)
                .post("/shop/pay", &order("A-1"))
                .await
                .refused(403, "denied");
            assert_eq!(problem["executed"], false);
        }
        gate.restart();
        gate.agent()
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "denied");
        gate.agent()
            .post("/shop/pay", &order("A-2"))
            .await
            .refused(403, "held");
        upstream.untouched();
    });
}

#[test]
fn a_denial_for_now_lets_the_agent_ask_again() {
    test(async {
        let World {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = world("").await;
        let id = text(
            &agent
                .post("/shop/pay", &order("A-1"))
                .await
                .refused(403, "held"),
            "approval",
        )
        .to_owned();
        assert_eq!(
            text(
                &operator
                    .deny(&id, "not_now", "after lunch")
                    .await
                    .passed()
                    .json(),
                "state"
            ),
            "denied"
        );
        let again = agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        assert_ne!(text(&again, "approval"), id);
        operator.approve(&id).await.refused(409, "conflict");
        upstream.untouched();
    });
}

#[test]
fn an_approval_that_nobody_decides_expires_and_cannot_be_approved_any_more() {
    test(async {
        let World {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = world("hold: { expires: 1s }").await;
        let waiting = agent.clone().with("prefer", "wait=30");
        let problem = waiting
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "denied");
        assert!(text(&problem, "detail").contains("in time"), "{problem}");
        let expired = operator.approvals("expired").await;
        assert_eq!(expired.len(), 1);
        operator
            .approve(text(&expired[0], "id"))
            .await
            .refused(409, "conflict");
        upstream.untouched();
    });
}

#[test]
fn a_grant_that_is_not_used_in_time_is_worth_nothing() {
    test(async {
        let World {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = world("hold: { grant: 1s }").await;
        let id = text(
            &agent
                .post("/shop/pay", &order("A-1"))
                .await
                .refused(403, "held"),
            "approval",
        )
        .to_owned();
        operator.approve(&id).await.passed();
        eventually("an expired grant", || async {
            let state = operator.get(&format!("/v1/approvals/{id}")).await.json();
            (state["state"] == "expired").then_some(())
        })
        .await;
        agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        upstream.untouched();
    });
}

#[test]
fn a_call_that_waits_open_goes_through_when_it_is_approved() {
    test(async {
        let World {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = world("hold: { wait: 30s }").await;
        let decide = async {
            let id = text(&operator.pending().await, "id").to_owned();
            operator.approve(&id).await.passed();
        };
        let body = order("A-1");
        let (answer, ()) = tokio::join!(agent.post("/shop/pay", &body), decide);
        assert_eq!(answer.passed().header("burngate-verdict"), Some("allow"));
        assert_eq!(upstream.only().json(), order("A-1"));
    });
}

#[test]
fn a_call_that_waits_open_is_told_of_its_denial() {
    test(async {
        let World {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = world("hold: { wait: 30s }").await;
        let decide = async {
            let id = text(&operator.pending().await, "id").to_owned();
            operator
                .deny(&id, "wrong", "that is not the customer")
                .await
                .passed();
        };
        let body = order("A-1");
        let (answer, ()) = tokio::join!(agent.post("/shop/pay", &body), decide);
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
        let World {
            gate,
            agent,
            operator,
            upstream,
        } = world("hold: { wait: 60s }").await;
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
        agent.post("/shop/pay", &order("A-1")).await.passed();
    });
}

#[test]
fn two_approvals_are_two_people() {
    test(async {
        let config = policies::people(&[], &[("dana", "reviewer"), ("eli", "reviewer")]);
        let World {
            gate,
            agent,
            upstream,
            operator: _operator,
        } = with_people("hold: { approvals: 2 }", &config).await;
        let (dana, eli) = (gate.reviewer("dana-token"), gate.reviewer("eli-token"));
        let problem = agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        let id = text(&problem, "approval");
        assert_eq!(
            text(&dana.approve(id).await.passed().json(), "state"),
            "pending"
        );
        dana.approve(id).await.refused(409, "conflict");
        let again = agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        assert_eq!(text(&again, "approval"), id);
        let approved = eli.approve(id).await.passed().json();
        assert_eq!(
            (
                text(&approved, "state"),
                approved["decisions"].as_array().unwrap().len()
            ),
            ("approved", 2)
        );
        agent.post("/shop/pay", &order("A-1")).await.passed();
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn whoever_is_removed_meanwhile_has_approved_nothing() {
    test(async {
        let people = |names: &[(&str, &str)]| policies::people(&[], names);
        let config = people(&[
            ("dana", "reviewer"),
            ("eli", "reviewer"),
            ("noor", "reviewer"),
        ]);
        let World {
            mut gate,
            agent,
            upstream,
            operator: _operator,
        } = with_people("hold: { approvals: 2 }", &config).await;
        let first = agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        let second = agent
            .post("/shop/pay", &order("A-2"))
            .await
            .refused(403, "held");
        let (one, both) = (text(&first, "approval"), text(&second, "approval"));
        gate.reviewer("dana-token").approve(one).await.passed();
        gate.reviewer("dana-token").approve(both).await.passed();
        assert_eq!(
            text(
                &gate
                    .reviewer("eli-token")
                    .approve(both)
                    .await
                    .passed()
                    .json(),
                "state"
            ),
            "approved"
        );
        // One is gone, and one may only look from here on.
        gate.restart_with(&people(&[("eli", "viewer"), ("noor", "reviewer")]));
        gate.reviewer("dana-token")
            .approve(one)
            .await
            .refused(401, "unauthorized");
        gate.reviewer("eli-token")
            .approve(one)
            .await
            .refused(403, "forbidden");
        let seen = gate
            .operator()
            .get(&format!("/v1/approvals/{both}"))
            .await
            .json();
        assert_eq!(
            (
                text(&seen, "state"),
                &seen["decisions"][0]["void"],
                &seen["decisions"][1]["void"]
            ),
            ("pending", &json!(true), &json!(true))
        );
        gate.agent()
            .post("/shop/pay", &order("A-2"))
            .await
            .refused(403, "held");
        assert_eq!(
            text(
                &gate
                    .reviewer("noor-token")
                    .approve(one)
                    .await
                    .passed()
                    .json(),
                "state"
            ),
            "pending"
        );
        assert_eq!(
            text(&gate.operator().approve(one).await.passed().json(), "state"),
            "approved"
        );
        upstream.untouched();
        gate.agent().post("/shop/pay", &order("A-1")).await.passed();
        // Who comes back does not bring an approval back.
        gate.restart_with(&config);
        gate.agent()
            .post("/shop/pay", &order("A-2"))
            .await
            .refused(403, "held");
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn one_person_with_two_tokens_is_one_person() {
    test(async {
        let token = |token: &str| crate::harness::sha256(token);
        let config = format!(
            "reviewers:\n  - {{ name: dana, role: reviewer, tokens_sha256: [{}, {}] }}\n  - {{ name: eli, role: reviewer, token_sha256: {} }}\n",
            token("danas-laptop"),
            token("danas-phone"),
            token("eli-token")
        );
        let World {
            gate,
            agent,
            upstream,
            operator: _operator,
        } = with_people("hold: { approvals: 2 }", &config).await;
        let problem = agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        let id = text(&problem, "approval");
        assert_eq!(
            text(
                &gate
                    .reviewer("danas-laptop")
                    .approve(id)
                    .await
                    .passed()
                    .json(),
                "state"
            ),
            "pending"
        );
        gate.reviewer("danas-phone")
            .approve(id)
            .await
            .refused(409, "conflict");
        agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        gate.reviewer("eli-token").approve(id).await.passed();
        agent.post("/shop/pay", &order("A-1")).await.passed();
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn who_asks_cannot_approve() {
    test(async {
        let config = policies::people(&[("dana", &["desk"])], &[("eli", "reviewer")]).replace(
            "reviewers:\n",
            &format!(
                "reviewers:\n  - {{ name: dana, role: operator, token_sha256: {} }}\n",
                crate::harness::sha256("danas-other-token")
            ),
        );
        let World {
            gate,
            agent,
            upstream,
            operator: _operator,
        } = with_people("", &config).await;
        let agent = agent.token("dana-token");
        let problem = agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        let id = text(&problem, "approval");
        gate.reviewer("danas-other-token")
            .approve(id)
            .await
            .refused(403, "forbidden");
        gate.reviewer("dana-token")
            .approve(id)
            .await
            .refused(401, "unauthorized");
        agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        upstream.untouched();
        gate.reviewer("eli-token").approve(id).await.passed();
        agent.post("/shop/pay", &order("A-1")).await.passed();
    });
}

#[test]
fn an_agent_sees_its_own_approvals_and_no_others_and_uses_no_others() {
    test(async {
        let config = policies::people(&[("one", &["desk"]), ("two", &["desk"])], &[]);
        let World {
            gate,
            operator,
            upstream,
            agent: _agent,
        } = with_people("", &config).await;
        let (one, two) = (
            gate.agent().token("one-token"),
            gate.agent().token("two-token"),
        );
        let problem = one
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        let path = text(&problem, "status_url");
        assert_eq!(
            text(&one.get(path).await.passed().json(), "state"),
            "pending"
        );
        two.get(path).await.refused(404, "not-found");
        operator.approve(text(&problem, "approval")).await.passed();
        let other = two
            .with("burngate-approval", text(&problem, "approval"))
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        assert_ne!(
            (text(&other, "approval"), text(&other, "digest")),
            (text(&problem, "approval"), text(&problem, "digest"))
        );
        upstream.untouched();
        one.post("/shop/pay", &order("A-1")).await.passed();
    });
}

#[test]
fn an_agent_that_polls_learns_of_the_decision_when_it_is_made() {
    test(async {
        let World {
            agent,
            operator,
            upstream: _upstream,
            gate: _gate,
        } = world("").await;
        let problem = agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
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
fn a_clamp_after_the_approval_refuses_the_call() {
    test(async {
        let World {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = world("").await;
        let id = text(
            &agent
                .post("/shop/pay", &order("A-1"))
                .await
                .refused(403, "held"),
            "approval",
        )
        .to_owned();
        operator.approve(&id).await.passed();
        assert_eq!(
            operator.clamp("desk", "read_only").await.passed().json()["unused_grants"],
            1
        );
        agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "level");
        upstream.untouched();
        operator.release("desk").await.passed();
        agent.post("/shop/pay", &order("A-1")).await.passed();
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn an_approved_call_is_judged_by_the_policies_of_its_use() {
    test(async {
        let World {
            gate,
            agent,
            operator,
            upstream,
        } = world("").await;
        let id = text(
            &agent
                .post("/shop/pay", &order("A-1"))
                .await
                .refused(403, "held"),
            "approval",
        )
        .to_owned();
        operator.approve(&id).await.passed();
        gate.reload(
            "desk.yaml",
            policies::desk(
                "levels: [{ level: standard, high: deny }, { level: supervised, high: deny }]",
            ),
        )
        .await;
        agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "level");
        gate.reload("desk.yaml", policies::desk("").replace(", shop/pay", ""))
            .await;
        agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "unlisted");
        upstream.untouched();
    });
}

#[test]
fn an_approval_for_one_upstream_is_none_for_another() {
    test(async {
        let World {
            gate,
            agent,
            operator,
            upstream,
        } = world("").await;
        let first = agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        operator.approve(text(&first, "approval")).await.passed();
        let other = ScriptedUpstream::start().await;
        gate.reload("shop.yaml", policies::shop(&other.url())).await;
        let second = agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        assert_ne!(text(&second, "digest"), text(&first, "digest"));
        upstream.untouched();
        other.untouched();
    });
}

#[test]
fn an_approval_for_one_definition_of_a_tool_is_none_for_another() {
    test(async {
        let World {
            gate,
            agent,
            operator,
            upstream,
        } = world("").await;
        let first = agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        operator.approve(text(&first, "approval")).await.passed();
        let changed = policies::shop(&upstream.url()).replace(
            "tool: pay, match: POST /pay,",
            "tool: pay, match: POST /pay, arguments: { type: object },",
        );
        gate.reload("shop.yaml", changed).await;
        let second = agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        assert_ne!(text(&second, "digest"), text(&first, "digest"));
        upstream.untouched();
    });
}

#[test]
fn a_call_whose_answer_was_lost_has_used_its_grant() {
    test(async {
        let World {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = world("").await;
        let id = text(
            &agent
                .post("/shop/pay", &order("A-1"))
                .await
                .refused(403, "held"),
            "approval",
        )
        .to_owned();
        operator.approve(&id).await.passed();
        upstream.next(Reply::reset());
        agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(502, "ambiguous");
        agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn as_many_calls_are_held_as_the_configuration_says() {
    test(async {
        let World {
            agent,
            operator,
            upstream: _upstream,
            gate: _gate,
        } = with_people("", "bounds: { holds: 3 }\n").await;
        for index in 0..3 {
            agent
                .post("/shop/pay", &order(&index.to_string()))
                .await
                .refused(403, "held");
        }
        let problem = agent
            .post("/shop/pay", &order("one more"))
            .await
            .refused(503, "unavailable");
        assert_eq!(
            (text(&problem, "cause"), &problem["executed"]),
            ("holds", &json!(false))
        );
        assert_eq!(operator.approvals("pending").await.len(), 3);
        agent
            .post("/shop/pay", &order("0"))
            .await
            .refused(403, "held");
        operator
            .deny(
                text(&operator.approvals("pending").await[0], "id"),
                "not_now",
                "room",
            )
            .await
            .passed();
        eventually("room", || async {
            (agent.post("/shop/pay", &order("later")).await.status == 403).then_some(())
        })
        .await;
    });
}
