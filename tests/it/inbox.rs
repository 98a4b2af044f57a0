//! Held calls when there are many: how many may wait, in which order people see them, and deciding
//! on several at once.

use serde_json::{Value, json};

use crate::harness::{Agent, Shop, eventually, policies, test, text};

const HOLDS: &str = "levels: [{ level: standard, medium: hold }]\n";

fn order(order: &str) -> Value {
    json!({ "order": order })
}

#[test]
fn no_more_calls_wait_than_an_inbox_holds() {
    test(async {
        let config = policies::people(&[("one", &["desk"]), ("two", &["desk"])], &[]);
        let Shop {
            gate,
            operator,
            upstream,
            agent: _agent,
        } = Shop::configured(
            "hold: { inbox: { run: 2, agent: 3, workflow: 4 } }",
            &config,
        )
        .await;
        let (one, two) = (
            gate.agent().token("one-token"),
            gate.agent().token("two-token"),
        );
        let ask = |agent: &Agent, run: &str, of: &str| {
            let (agent, of) = (agent.clone().run(run), order(of));
            async move { agent.post("/shop/pay", &of).await }
        };
        let first = ask(&one, "r", "1").await.refused(403, "held");
        ask(&one, "r", "2").await.refused(403, "held");
        let full = ask(&one, "r", "3").await;
        let problem = full.refused(429, "inbox-full");
        assert!(
            text(&problem, "detail").starts_with("NOT EXECUTED")
                && text(&problem, "detail").contains("2 calls of this run"),
            "{problem}"
        );
        assert!(full.header("retry-after").is_some());
        // The same call waits with the one before, and takes no room.
        ask(&one, "r", "1").await.refused(403, "held");
        ask(&one, "s", "3").await.refused(403, "held");
        assert!(
            text(
                &ask(&one, "s", "4").await.refused(429, "inbox-full"),
                "detail"
            )
            .contains("this agent")
        );
        ask(&two, "r", "4").await.refused(403, "held");
        assert!(
            text(
                &ask(&two, "r", "5").await.refused(429, "inbox-full"),
                "detail"
            )
            .contains("this workflow")
        );
        operator
            .deny(text(&first, "approval"), "not_now", "room")
            .await
            .passed();
        ask(&two, "r", "5").await.refused(403, "held");
        assert_eq!(
            operator.status("desk").await["budget"]["unacceptable"],
            0,
            "waiting costs nothing"
        );
        let refused = || async {
            let entries = operator.get("/v1/audit?kind=refused").await.passed().json();
            let calls: Vec<_> = entries["entries"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|entry| entry["event"]["calls"].as_array().unwrap().clone())
                .collect();
            (calls.len() == 3
                && calls
                    .iter()
                    .all(|call| call["rule"] == "inbox-full" && call["status"] == 429))
            .then_some(())
        };
        eventually("the three calls that no inbox took, on record", refused).await;
        upstream.untouched();
    });
}

#[test]
fn a_call_that_the_process_has_no_room_to_hold_is_on_record_as_refused_and_says_why() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = Shop::configured("", "bounds: { holds: 1 }\n").await;
        agent
            .post("/shop/pay", &order("1"))
            .await
            .refused(403, "held");
        let refused = agent.clone().run("r").post("/shop/pay", &order("2")).await;
        let problem = refused.refused(503, "unavailable");
        assert_eq!(
            (
                text(&problem, "cause"),
                &problem["executed"],
                refused.header("burngate-verdict")
            ),
            ("holds", &json!(false), Some("deny")),
            "{problem}"
        );
        assert!(
            text(&problem, "detail").starts_with("NOT EXECUTED")
                && refused.header("retry-after").is_some(),
            "{problem}"
        );
        let recorded = || async {
            let entries = operator.get("/v1/audit?kind=refused").await.passed().json();
            let call = entries["entries"][0]["event"]["calls"][0].clone();
            (call["call"] == refused.call()).then_some(call)
        };
        let call = eventually("the call, on record as refused", recorded).await;
        assert_eq!(
            (&call["rule"], &call["status"], &call["executed"]),
            (&json!("holds"), &json!(503), &json!("no"))
        );
        agent
            .clone()
            .run("r")
            .post(
                "/.burngate/runs/r/finish",
                &json!({ "status": "completed" }),
            )
            .await
            .passed();
        operator.booked("r").await;
        let run = operator.get("/v1/runs/r").await.passed().json();
        assert_eq!(
            (&run["calls"][0]["verdict"], &run["calls"][0]["rule"]),
            (&json!("deny"), &json!("holds"))
        );
        upstream.untouched();
    });
}

#[test]
fn people_see_what_can_do_most_harm_first_and_of_that_what_expires_first() {
    test(async {
        let Shop {
            agent,
            operator,
            gate: _gate,
            upstream: _upstream,
        } = Shop::configured(HOLDS, "").await;
        for (path, of) in [
            ("/shop/change", "1"),
            ("/shop/pay", "2"),
            ("/shop/change", "3"),
            ("/shop/pay", "4"),
        ] {
            agent.post(path, &order(of)).await.refused(403, "held");
        }
        let pending = operator.approvals("pending").await;
        let seen: Vec<_> = pending
            .iter()
            .map(|approval| (text(approval, "risk"), text(approval, "subject")))
            .collect();
        assert_eq!(
            seen,
            [
                ("high", "2"),
                ("high", "4"),
                ("medium", "1"),
                ("medium", "3")
            ]
        );
    });
}

#[test]
fn several_calls_are_decided_at_once_each_by_its_digest_and_none_of_risk_high() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate: _gate,
        } = Shop::configured(HOLDS, "").await;
        let mut looked = Vec::new();
        for of in ["1", "2", "3"] {
            let problem = agent
                .post("/shop/change", &order(of))
                .await
                .refused(403, "held");
            looked.push(json!({ "id": problem["approval"], "digest": problem["digest"] }));
        }
        let high = agent
            .post("/shop/pay", &order("9"))
            .await
            .refused(403, "held");
        let decide = |approvals: Value| {
            let (operator, body) = (
                operator.clone(),
                json!({ "decision": "approve", "approvals": approvals }),
            );
            async move { operator.post("/v1/approvals/decide", &body).await }
        };
        let with_high = json!([looked[0], { "id": high["approval"], "digest": high["digest"] }]);
        assert!(
            text(&decide(with_high).await.refused(422, "invalid"), "detail").contains("risk high")
        );
        decide(json!([])).await.refused(422, "invalid");
        decide(json!([looked[0], looked[0]]))
            .await
            .refused(422, "invalid");
        decide(json!([{ "id": looked[0]["id"] }]))
            .await
            .refused(422, "invalid");
        assert_eq!(
            operator.approvals("pending").await.len(),
            4,
            "all of it or nothing was named wrong"
        );
        let wrong = json!({ "id": looked[2]["id"], "digest": looked[0]["digest"] });
        let decided = decide(json!([looked[0], looked[1], wrong]))
            .await
            .passed()
            .json();
        assert_eq!(
            (
                &decided["decided"][0]["state"],
                &decided["decided"][1]["state"]
            ),
            (&json!("approved"), &json!("approved"))
        );
        assert!(decided["decided"][2]["refused"].is_string(), "{decided}");
        for (of, passes) in [("1", true), ("2", true), ("3", false)] {
            assert_eq!(
                agent
                    .post("/shop/change", &order(of))
                    .await
                    .status
                    .is_success(),
                passes,
                "{of}"
            );
        }
        assert_eq!(upstream.count(), 2);
    });
}

/// What `list --digests` prints is what `deny` takes.
#[test]
fn several_calls_are_denied_at_once_by_the_digests_that_the_command_line_lists() {
    test(async {
        let Shop {
            agent,
            operator,
            upstream,
            gate,
        } = Shop::configured(HOLDS, "").await;
        let listed = || {
            let listed = gate.cli(&["approvals", "list", "--digests"]).stdout;
            let lines = String::from_utf8(listed).unwrap();
            let medium = lines.lines().filter(|line| line.contains(" medium "));
            medium
                .map(|line| line.split(' ').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        for (count, of) in [(1, "3"), (2, "4")] {
            let answer = agent.post("/shop/change", &order(of)).await;
            answer.refused(403, "held");
            assert_eq!(listed().len(), count);
        }
        agent.pay("9").await.refused(403, "held");
        let both = listed();
        let output = gate.cli(&[
            "approvals",
            "deny",
            "--not-now",
            "--reason",
            "later",
            &both[0],
            &both[1],
        ]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(operator.approvals("pending").await.len(), 1);
        upstream.untouched();
    });
}

#[test]
fn what_was_taken_back_cannot_be_approved_and_passes_nothing() {
    test(async {
        let config = policies::people(&[("one", &["desk"]), ("two", &["desk"])], &[]);
        let Shop {
            gate,
            operator,
            upstream,
            agent: _agent,
        } = Shop::configured("", &config).await;
        let (one, two) = (
            gate.agent().token("one-token"),
            gate.agent().token("two-token"),
        );
        let problem = one
            .post("/shop/pay", &order("1"))
            .await
            .refused(403, "held");
        let path = text(&problem, "status_url");
        two.call("DELETE", path, None)
            .await
            .refused(404, "not-found");
        assert_eq!(
            text(
                &one.call("DELETE", path, None).await.passed().json(),
                "state"
            ),
            "withdrawn"
        );
        one.call("DELETE", path, None)
            .await
            .refused(409, "conflict");
        operator
            .approve(text(&problem, "approval"))
            .await
            .refused(409, "conflict");
        // An unused grant, by a person.
        let second = one
            .post("/shop/pay", &order("1"))
            .await
            .refused(403, "held");
        let id = text(&second, "approval");
        operator.approve(id).await.passed();
        let withdraw = format!("/v1/approvals/{id}/withdraw");
        operator
            .post(&withdraw, &json!({ "reason": "on second thought" }))
            .await
            .passed();
        operator
            .post(&withdraw, &json!({ "reason": "again" }))
            .await
            .refused(409, "conflict");
        one.post("/shop/pay", &order("1"))
            .await
            .refused(403, "held");
        upstream.untouched();
    });
}

#[test]
fn once_put_to_a_role_one_of_those_who_approve_has_to_hold_it() {
    test(async {
        let config = policies::people(&[], &[("dana", "reviewer")]);
        let Shop {
            agent,
            operator,
            gate,
            upstream,
        } = Shop::configured("hold: { escalate_to: operator, after: 1s }", &config).await;
        let dana = gate.reviewer("dana-token");
        let ask = async |of: &str| {
            text(
                &agent
                    .post("/shop/pay", &order(of))
                    .await
                    .refused(403, "held"),
                "approval",
            )
            .to_owned()
        };
        let (first, second) = (ask("1").await, ask("2").await);
        let escalated = eventually("both are put to operators", || async {
            let all = dana
                .get("/v1/approvals?state=pending&escalated=true")
                .await
                .passed()
                .json();
            Some(all["approvals"].as_array().unwrap().clone()).filter(|all| all.len() == 2)
        });
        assert!(
            escalated
                .await
                .iter()
                .all(|approval| approval["escalated_to"] == "operator"
                    && approval["waits_for"] == "operator")
        );
        // Who let it lie may deny it still.
        assert_eq!(
            dana.deny(&second, "not_now", "later").await.passed().json()["state"],
            "denied"
        );
        let approved = dana.approve(&first).await.passed().json();
        assert_eq!(
            (
                &approved["state"],
                &approved["waits_for"],
                &approved["decisions"][0]["role"]
            ),
            (&json!("pending"), &json!("operator"), &json!("reviewer"))
        );
        assert_eq!(ask("1").await, first, "and the call waits still");
        upstream.untouched();
        let page = |arguments: &[&str]| String::from_utf8(gate.cli(arguments).stdout).unwrap();
        assert!(page(&["approvals", "list", "--escalated"]).contains("put to operator"));
        assert!(
            page(&["approvals", "show", &first])
                .contains("1 of 1 approvals (one of them by role operator: it was put to them)")
        );
        // A new one comes behind those that were put to others.
        let third = ask("3").await;
        let order_of: Vec<_> = operator
            .approvals("pending")
            .await
            .iter()
            .map(|approval| text(approval, "id").to_owned())
            .collect();
        assert_eq!(order_of[0], first);
        assert!(order_of.contains(&third));
        assert_eq!(
            operator.approve(&first).await.passed().json()["state"],
            "approved"
        );
        agent.post("/shop/pay", &order("1")).await.passed();
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn a_held_call_that_nobody_saw_is_said_loudly() {
    test(async {
        let Shop {
            agent,
            operator,
            gate,
            upstream,
        } = Shop::configured(
            "hold: { expires: 2s, escalate_to: operator, after: 1s }",
            "",
        )
        .await;
        agent
            .post("/shop/pay", &order("1"))
            .await
            .refused(403, "held");
        // Nobody looks, and the workflow goes on.
        eventually("the error", || async {
            agent.post("/shop/change", &order("9")).await.passed();
            gate.log()
                .contains("nobody who could decide ever saw it")
                .then_some(())
        })
        .await;
        assert!(
            gate.log().contains("nobody had decided") && gate.log().contains("expires soon"),
            "{}",
            gate.log()
        );
        let health = crate::harness::Person::stranger(gate.admin())
            .get("/readyz")
            .await
            .passed()
            .json();
        assert!(
            health["checks"]["approvals"]
                .as_str()
                .unwrap()
                .contains("nobody saw"),
            "{health}"
        );
        let review = operator
            .get("/v1/workflows/desk/approvals")
            .await
            .passed()
            .json();
        assert_eq!(
            (&review["held"], &review["unseen"], &review["escalated"]),
            (&json!(1), &json!(1), &json!(1)),
            "{review}"
        );
        let metrics =
            String::from_utf8(operator.get("/metrics").await.passed().body.to_vec()).unwrap();
        assert!(
            metrics.contains("burngate_approvals_unseen_total{workflow=\"desk\"} 1\n"),
            "{metrics}"
        );
        let page = String::from_utf8(gate.cli(&["review"]).stdout).unwrap();
        assert!(page.contains("the gate failed its people"), "{page}");
        let entries = operator
            .get("/v1/audit?kind=followed")
            .await
            .passed()
            .json()
            .to_string();
        assert!(
            entries.contains("approval_unseen") && entries.contains("approval_escalated"),
            "{entries}"
        );
        let expired = operator.approvals("expired").await;
        assert_eq!(
            (expired[0]["escalated_to"].as_str(), &expired[0]["seen_by"]),
            (Some("operator"), &Value::Null)
        );
        assert_eq!(
            operator.status("desk").await["budget"]["unacceptable"],
            0,
            "slowness costs nothing"
        );
        assert!(
            upstream
                .received()
                .iter()
                .all(|received| received.target == "/change"),
            "{:?}",
            upstream.received()
        );
    });
}

#[test]
fn a_held_call_that_a_reviewer_listed_was_seen() {
    test(async {
        let Shop {
            agent,
            operator,
            gate: _gate,
            upstream,
        } = Shop::start("").await;
        agent.pay("2").await.refused(403, "held");
        operator.pending().await;
        let seen = async || {
            let all = operator.get("/v1/approvals").await.passed().json();
            let mut approvals = all["approvals"].as_array().unwrap().iter();
            approvals
                .any(|approval| approval["seen_by"] == "operator")
                .then_some(())
        };
        eventually("who saw it", seen).await;
        upstream.untouched();
    });
}
