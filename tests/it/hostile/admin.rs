//! 2g: approvals, the admin API and budgets, as an agent or a foreign page would misuse them.

use serde_json::{Value, json};

use super::{DESK, World, get, shop, talk};
use crate::harness::{Person, ScriptedUpstream, TestGate, policies, test};

fn order(order: &str) -> Value {
    json!({ "order": order, "amount": 12.5 })
}

async fn people() -> World {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy("shop.yaml", shop(&upstream.url()))
        .policy("desk.yaml", format!("{DESK}mode: enforce\n"))
        .policy(
            "other.yaml",
            "workflow: other\nrisk: medium\ntools: [shop/pay]\n",
        )
        .config(format!(
            "{}  - {{ name: dana, role: reviewer, token_sha256: {} }}\n",
            policies::people(
                &[
                    ("alice", &["desk"]),
                    ("bob", &["desk", "other"]),
                    ("dana", &["desk"])
                ],
                &[("rob", "reviewer"), ("vera", "viewer")]
            ),
            crate::harness::sha256("dana-as-a-person")
        ))
        .start();
    World { upstream, gate }
}

/// A held call of `agent`, and the id of its approval.
async fn hold(world: &World, agent: &str) -> String {
    let answer = world
        .gate
        .agent()
        .token(&format!("{agent}-token"))
        .workflow("desk")
        .post("/shop/pay/7", &order("A-1"))
        .await;
    answer.refused(403, "held")["approval"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a93_an_agent_reaches_no_endpoint_of_the_operators() {
    test(async {
        let world = World::start().await;
        for path in [
            "/v1/clamp",
            "/v1/approvals",
            "/v1/workflows/desk",
            "/metrics",
            "/healthz",
            "/.burngate/../v1/clamp",
            "/.burngate/v1/clamp",
            "/shop/../v1/clamp",
        ] {
            let said = talk(
                world.gate.listen(),
                &get(path, "Host: gate\r\nConnection: close\r\n"),
            )
            .await;
            assert!(
                matches!(said.statuses()[..], [403 | 404]),
                "{path}: {}",
                said.text
            );
        }
        let admin = world.gate.admin();
        for host in [admin.to_string(), format!("localhost:{}", admin.port())] {
            let said = talk(
                world.gate.listen(),
                &get(
                    &format!("http://{host}/v1/approvals"),
                    &format!("Host: {host}\r\nConnection: close\r\n"),
                ),
            )
            .await;
            assert!(
                matches!(said.statuses()[..], [403 | 404]),
                "{host}: {}",
                said.text
            );
        }
        world.upstream.untouched();
    });
}

#[test]
fn a94_who_asks_does_not_decide() {
    test(async {
        let world = people().await;
        let id = hold(&world, "dana").await;
        let path = format!("/v1/approvals/{id}/approve");
        for (token, status) in [
            ("alice-token", 401),
            ("dana-token", 401),
            ("dana-as-a-person", 403),
            ("vera-token", 403),
            ("", 401),
            ("rob-toke", 401),
        ] {
            let answer = world.gate.reviewer(token).post(&path, &json!({})).await;
            assert_eq!(
                answer.status.as_u16(),
                status,
                "{token}: {}",
                String::from_utf8_lossy(&answer.body)
            );
        }
        assert_eq!(
            Person::stranger(world.gate.admin())
                .post(&path, &json!({}))
                .await
                .status
                .as_u16(),
            401
        );
        assert_eq!(
            world
                .operator()
                .get(&format!("/v1/approvals/{id}"))
                .await
                .json()["state"],
            "pending"
        );
        world.gate.reviewer("rob-token").approve(&id).await.passed();
    });
}

#[test]
fn a95_an_approval_ends_once() {
    test(async {
        let world = people().await;
        let (rob, operator) = (world.gate.reviewer("rob-token"), world.operator());
        let id = hold(&world, "alice").await;
        rob.deny(&id, "not_now", "no").await.passed();
        for answer in [
            rob.approve(&id).await,
            operator.approve(&id).await,
            rob.deny(&id, "wrong", "no").await,
        ] {
            assert_eq!(
                answer.status.as_u16(),
                409,
                "{}",
                String::from_utf8_lossy(&answer.body)
            );
        }
        let id = hold(&world, "alice").await;
        rob.approve(&id).await.passed();
        assert_eq!(
            rob.approve(&id).await.status.as_u16(),
            409,
            "approved twice"
        );
        world
            .gate
            .agent()
            .token("alice-token")
            .post("/shop/pay/7", &order("A-1"))
            .await
            .passed();
        assert_eq!(
            operator
                .deny(&id, "wrong", "too late")
                .await
                .status
                .as_u16(),
            409,
            "denied when it was used"
        );
        // Several at once: one of them wins.
        let id = hold(&world, "alice").await;
        let (a, b, c) = tokio::join!(
            rob.approve(&id),
            operator.deny(&id, "wrong", "no"),
            operator.approve(&id)
        );
        let mut statuses = [a.status.as_u16(), b.status.as_u16(), c.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409, 409]);
    });
}

#[test]
fn a97_a98_an_approval_is_for_exactly_this_call_of_exactly_this_agent() {
    test(async {
        let world = people().await;
        let id = hold(&world, "alice").await;
        world.gate.reviewer("rob-token").approve(&id).await.passed();
        let alice = || {
            world
                .gate
                .agent()
                .token("alice-token")
                .with("burngate-approval", &id)
        };
        let ten = json!({ "order": "A-1", "amount": 12.500_001 });
        for answer in [
            alice().post("/shop/pay/7", &ten).await,
            alice()
                .post("/shop/pay/7", &json!({ "order": "A-1", "amount": "12.5" }))
                .await,
            alice()
                .post(
                    "/shop/pay/7",
                    &json!({ "order": "A-1", "amount": 12.5, "x": null }),
                )
                .await,
            alice().post("/shop/pay/8", &order("A-1")).await,
            alice().post("/shop/pay/7?x=1", &order("A-1")).await,
            alice().post("/shop/pay/7?", &order("A-1")).await,
            world
                .gate
                .agent()
                .token("bob-token")
                .workflow("desk")
                .with("burngate-approval", &id)
                .post("/shop/pay/7", &order("A-1"))
                .await,
            world
                .gate
                .agent()
                .token("bob-token")
                .workflow("other")
                .with("burngate-approval", &id)
                .post("/shop/pay/7", &order("A-1"))
                .await,
        ] {
            assert_ne!(answer.refused(403, "held")["approval"], id.as_str());
        }
        world.upstream.untouched();
        // A75: another spelling of the same call is the same call, and its own bytes go out.
        let spelled = "{ \"amount\" : 1.25e1,\n \"order\":\"\\u0041-1\" }";
        let said = talk(
            world.gate.listen(),
            &super::post(
                "/shop/./pay/%37",
                "Connection: close\r\nBurngate-Authorization: Bearer alice-token\r\n",
                spelled,
            ),
        )
        .await;
        assert_eq!(said.statuses(), [200], "{}", said.text);
        assert_eq!(
            String::from_utf8_lossy(&world.upstream.only().body),
            spelled
        );
    });
}

#[test]
fn a99_what_was_approved_is_judged_again_when_it_is_used() {
    test(async {
        let World { upstream, gate } = people().await;
        let world = World { upstream, gate };
        let alice = || world.gate.agent().token("alice-token");
        let id = hold(&world, "alice").await;
        world.gate.reviewer("rob-token").approve(&id).await.passed();
        world.operator().clamp("desk", "read_only").await.passed();
        alice()
            .post("/shop/pay/7", &order("A-1"))
            .await
            .refused(403, "level");
        world.operator().release("desk").await.passed();
        let tighter = shop(&world.upstream.url()).replace(
            "subject: args.order }",
            "subject: args.order, deny_when: args.amount > 1.0 }",
        );
        world.gate.reload("shop.yaml", tighter).await;
        alice()
            .post("/shop/pay/7", &order("A-1"))
            .await
            .refused(403, "denied");
        world.upstream.untouched();
    });
}

#[test]
fn a100_an_approval_is_for_the_upstream_and_the_tool_that_were_there() {
    test(async {
        let world = people().await;
        let id = hold(&world, "alice").await;
        world.gate.reviewer("rob-token").approve(&id).await.passed();
        let elsewhere = ScriptedUpstream::start().await;
        world.gate.reload("shop.yaml", shop(&elsewhere.url())).await;
        world
            .gate
            .agent()
            .token("alice-token")
            .post("/shop/pay/7", &order("A-1"))
            .await
            .refused(403, "held");
        elsewhere.untouched();
        world.upstream.untouched();
    });
}

#[test]
fn a101_an_approval_is_not_found_by_guessing() {
    test(async {
        let world = people().await;
        let id = hold(&world, "alice").await;
        assert!(id.len() >= 26, "128 bits: {id}");
        let (alice, bob) = (
            world.gate.agent().token("alice-token"),
            world.gate.agent().token("bob-token").workflow("desk"),
        );
        alice
            .get(&format!("/.burngate/approvals/{id}"))
            .await
            .passed();
        bob.get(&format!("/.burngate/approvals/{id}"))
            .await
            .refused(404, "not-found");
        let other = hold(&world, "bob").await;
        assert_ne!(id[..id.len() - 4], other[..other.len() - 4]);
        for path in [
            format!("/v1/approvals/{id}/approve"),
            format!("/v1/approvals/{id}/deny"),
        ] {
            assert_eq!(world.operator().get(&path).await.status.as_u16(), 405);
        }
        let answer = world.operator().get(&format!("/v1/approvals/{id}")).await;
        assert_eq!(
            (
                answer.header("referrer-policy"),
                answer.header("cache-control")
            ),
            (Some("no-referrer"), Some("no-store"))
        );
        assert!(
            answer
                .header("content-security-policy")
                .unwrap()
                .contains("frame-ancestors 'none'")
        );
    });
}

#[test]
fn a102_a_foreign_page_changes_nothing() {
    test(async {
        let world = people().await;
        let id = hold(&world, "alice").await;
        let path = format!("/v1/approvals/{id}/approve");
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let answer = world
                .operator()
                .with(name, value)
                .post(&path, &json!({}))
                .await;
            assert_eq!(answer.status.as_u16(), 403, "{name}: {value}");
        }
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ] {
            let answer = world.operator().post_as(&path, content_type, "{}").await;
            assert_eq!(
                answer.status.as_u16(),
                415,
                "{content_type}: {}",
                String::from_utf8_lossy(&answer.body)
            );
        }
        let said = talk(
            world.gate.admin(),
            b"GET /healthz HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert_eq!(said.statuses(), [403], "a92: {}", said.text);
        assert_eq!(
            world
                .operator()
                .get(&format!("/v1/approvals/{id}"))
                .await
                .json()["state"],
            "pending"
        );
    });
}

#[test]
fn a103_what_an_agent_wrote_moves_no_terminal() {
    test(async {
        let world = World::start().await;
        let body = r#"{"order":"\u001b[2J\u001b]0;owned\u0007<script>\u202e","amount":1,"\u001b[31mkey":"\u009b1m"}"#;
        let said = talk(
            world.gate.listen(),
            &super::post(
                "/shop/pay/7",
                "Connection: close\r\nBurngate-Run: <script>\r\n",
                body,
            ),
        )
        .await;
        assert_eq!(said.statuses(), [403], "{}", said.text);
        let pending = world.operator().pending().await;
        let id = pending["id"].as_str().unwrap();
        for arguments in [&["approvals", "list"][..], &["approvals", "show", id]] {
            let output = world.gate.cli(arguments);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                output.status.success(),
                "{text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
            let moves =
                |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!text.contains(moves), "{text:?}");
        }
        assert!(!world.gate.log().contains('\u{1b}'));
    });
}

#[test]
fn a107_of_many_repeats_of_one_approved_call_one_passes() {
    test(async {
        let world = people().await;
        let id = hold(&world, "alice").await;
        world.gate.reviewer("rob-token").approve(&id).await.passed();
        let mut calls = tokio::task::JoinSet::new();
        for at in 0..300 {
            let agent = world.gate.agent().token("alice-token");
            let agent = if at % 2 == 0 { agent } else { agent.http2() };
            calls.spawn(async move {
                agent
                    .post("/shop/pay/7", &order("A-1"))
                    .await
                    .status
                    .as_u16()
            });
        }
        let statuses = calls.join_all().await;
        assert_eq!(
            statuses.iter().filter(|status| **status == 200).count(),
            1,
            "{statuses:?}"
        );
        assert_eq!(world.upstream.count(), 1);
    });
}

#[test]
fn what_was_approved_passes_nothing_after_a_demotion_and_is_not_used_up_by_that() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk(""))
            .start();
        let (agent, operator) = (gate.agent(), gate.operator());
        let held = async |of: &str| {
            agent
                .post("/shop/pay", &order(of))
                .await
                .refused(403, "held")["approval"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let (before, after) = (held("before").await, held("after").await);
        operator.approve(&before).await.passed();
        for n in 0..3 {
            let call = agent
                .post("/shop/note", &order("A-9"))
                .await
                .passed()
                .call()
                .to_owned();
            operator.run_of(&call).await;
            operator
                .report("call", &call, "wrong_action", &format!("r-{n}"))
                .await
                .passed();
        }
        operator
            .stands("desk", "breached", |state| {
                state["posture"] == "breached" && state["level"]["effective"] == "read_only"
            })
            .await;
        // Approving is a person's to do, and passes nothing that the level does not.
        operator.approve(&after).await.passed();
        for of in ["before", "after"] {
            let problem = agent
                .post("/shop/pay", &order(of))
                .await
                .refused(403, "level");
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.starts_with("NOT EXECUTED")
                    && detail.contains("read_only")
                    && detail.contains("breached"),
                "{detail}"
            );
        }
        assert_eq!(
            upstream
                .received()
                .iter()
                .filter(|call| call.target == "/pay")
                .count(),
            0
        );
        operator
            .post(
                "/v1/workflows/desk/recover",
                &json!({ "cause": "a bad prompt" }),
            )
            .await
            .passed();
        agent.post("/shop/pay", &order("before")).await.passed();
        agent
            .post("/shop/pay", &order("before"))
            .await
            .refused(403, "held");
        assert_eq!(
            upstream
                .received()
                .iter()
                .filter(|call| call.target == "/pay")
                .count(),
            1
        );
    });
}

#[test]
fn a_flood_of_calls_that_are_nearly_the_same_fills_one_inbox_and_wears_nobody_out() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk(""))
            .start();
        let (agent, operator) = (gate.agent().run("r"), gate.operator());
        let nearly = |n: usize| json!({ "order": "A-1", "amount": 10_000 + n });
        let mut held = Vec::new();
        for n in 0..60 {
            let answer = agent.post("/shop/pay", &nearly(n)).await;
            if n < 20 {
                held.push(
                    answer.refused(403, "held")["approval"]
                        .as_str()
                        .unwrap()
                        .to_owned(),
                );
            } else {
                let problem = answer.refused(429, "inbox-full");
                assert!(
                    problem["detail"]
                        .as_str()
                        .unwrap()
                        .contains("20 calls of this run wait for a person"),
                    "{problem}"
                );
            }
        }
        // The same in another spelling is the same, and takes no room.
        let spelled = super::post(
            "/shop/pay",
            "Connection: close\r\nBurngate-Run: r\r\n",
            "{ \"amount\" : 10000.0, \"order\":\"\\u0041-1\" }",
        );
        let said = talk(gate.listen(), &spelled).await;
        assert!(said.text.contains(&held[0]), "{}", said.text);
        assert_eq!(operator.approvals("pending").await.len(), 20);
        // A person says twice that such a call is wrong, and is not asked about another.
        for id in &held[..2] {
            operator
                .deny(id, "wrong", "nobody asked for a refund")
                .await
                .passed();
        }
        for n in 20..40 {
            let problem = agent
                .post("/shop/pay", &nearly(n))
                .await
                .refused(403, "denied");
            assert!(
                problem["detail"]
                    .as_str()
                    .unwrap()
                    .contains("denied as wrong more than once within 24 hours"),
                "{problem}"
            );
        }
        assert_eq!(operator.approvals("pending").await.len(), 18);
        assert_eq!(
            operator.status("desk").await["budget"]["unacceptable"],
            1,
            "one run went wrong, however often it asked"
        );
        upstream.untouched();
    });
}

#[test]
fn whoever_loses_a_decision_is_told_what_stands() {
    test(async {
        let world = people().await;
        let (rob, operator) = (world.gate.reviewer("rob-token"), world.operator());
        let why = |answer: &crate::harness::Answer, status: u16| {
            assert_eq!(
                answer.status.as_u16(),
                status,
                "{}",
                String::from_utf8_lossy(&answer.body)
            );
            answer.json()["detail"].as_str().unwrap().to_owned()
        };
        let id = hold(&world, "dana").await;
        assert_eq!(
            why(
                &world.gate.reviewer("dana-as-a-person").approve(&id).await,
                403
            ),
            "who asks cannot decide: another person must"
        );
        let id = hold(&world, "alice").await;
        rob.deny(&id, "not_now", "later").await.passed();
        assert_eq!(
            why(&rob.approve(&id).await, 409),
            "the approval is denied already: the agent can ask again"
        );
        let id = hold(&world, "alice").await;
        rob.approve(&id).await.passed();
        assert_eq!(
            why(&operator.approve(&id).await, 409),
            "the approval is approved already: to take that back before the call is sent, withdraw it"
        );
        world
            .gate
            .agent()
            .token("alice-token")
            .post("/shop/pay/7", &order("A-1"))
            .await
            .passed();
        assert_eq!(
            why(&operator.deny(&id, "wrong", "too late").await, 409),
            "the approval is used already: the call was sent; report its run if it was wrong"
        );
    });
}
