//! What a run costs, when, and what the budget does about it on the very next call.

use serde_json::{Value, json};

use crate::harness::{Agent, Operator, Reply, ScriptedUpstream, TestGate, policies, test};

struct World {
    upstream: ScriptedUpstream,
    gate: TestGate,
    agent: Agent,
    operator: Operator,
}

/// 90% of 40 runs: four may fail.
const FOUR: &str = "objective: { target: 90%, expected_runs: 40, unacceptable: [wrong_action, wrong_arguments, policy_violation, timeout, tool_error] }\n";

async fn world(tools: &str, desk: &str) -> World {
    let upstream = ScriptedUpstream::start().await;
    let shop = policies::shop(&upstream.url()) + tools;
    let listed: Vec<&str> = tools
        .lines()
        .filter_map(|line| line.split_once("tool: ")?.1.split(',').next())
        .collect();
    let reach = listed
        .iter()
        .fold(String::new(), |reach, tool| reach + "shop/" + tool + ", ");
    let desk =
        policies::desk(&format!("{FOUR}{desk}")).replace("tools: [", &format!("tools: [{reach}"));
    let gate = TestGate::builder()
        .policy("shop.yaml", shop)
        .policy("desk.yaml", desk)
        .start();
    World {
        agent: gate.agent(),
        operator: gate.operator(),
        upstream,
        gate,
    }
}

impl World {
    /// Calls in a run of its own that turns out well.
    async fn succeeds(&self, order: &str) -> String {
        self.agent
            .post("/shop/change", &json!({ "order": order }))
            .await
            .passed()
            .call()
            .to_owned()
    }

    /// Calls in a run of its own whose answer is lost.
    async fn fails(&self) -> crate::harness::Answer {
        self.upstream.next(Reply::reset());
        let answer = self
            .agent
            .post("/shop/change", &json!({ "order": "lost" }))
            .await;
        answer.refused(502, "ambiguous");
        answer
    }

    async fn status(&self) -> Value {
        self.operator.status("desk").await
    }

    /// N and B, once N is as large.
    async fn counts(&self, runs: u64, unacceptable: u64) -> Value {
        let status = self
            .operator
            .stands("desk", &format!("{runs} runs"), |status| {
                status["budget"]["runs"] == runs
            })
            .await;
        assert_eq!(status["budget"]["unacceptable"], unacceptable, "{status}");
        status
    }
}

fn posture(status: &Value) -> &str {
    status["posture"].as_str().unwrap()
}

#[test]
fn failures_take_a_workflow_to_at_risk_and_to_burned_and_the_next_call_is_capped() {
    test(async {
        let world = world("", "").await;
        for order in 0..30 {
            world.succeeds(&order.to_string()).await;
        }
        world.counts(30, 0).await;
        for expected in ["healthy", "healthy", "at_risk"] {
            world.fails().await;
            assert_eq!(posture(&world.status().await), expected);
        }
        world.succeeds("still").await;
        let last = world.fails().await;
        // What the failing call was told is the state before it; what comes next is held to the
        // cap.
        assert_eq!(
            last.header("burngate-budget"),
            Some("posture=at_risk; level=standard; remaining=0.25")
        );
        let next = world
            .agent
            .post("/shop/change", &json!({ "order": "next" }))
            .await;
        let problem = next.refused(403, "held");
        assert_eq!(
            next.header("burngate-budget"),
            Some("posture=burned; level=supervised; remaining=0")
        );
        assert_eq!(problem["level"], "supervised");
        world.agent.get("/shop/look/1").await.passed();
        world
            .agent
            .post("/shop/note", &json!({ "order": "1" }))
            .await
            .passed();
        let status = world.status().await;
        assert_eq!(
            (
                posture(&status),
                &status["level"]["effective"],
                &status["level"]["cap"]
            ),
            ("burned", &json!("supervised"), &json!("supervised"))
        );
        assert_eq!(
            (&status["level"]["binds"], &status["changes"]),
            (&json!("cap"), &json!("frozen"))
        );
        assert_eq!(status["burns"].as_array().unwrap().len(), 1, "{status}");
    });
}

#[test]
fn a_recovery_opens_a_probation_that_one_failure_ends() {
    test(async {
        let world = world("", "").await;
        for order in 0..30 {
            world.succeeds(&order.to_string()).await;
        }
        world.counts(30, 0).await;
        for _ in 0..4 {
            world.fails().await;
        }
        assert_eq!(posture(&world.status().await), "burned");
        world
            .operator
            .post("/v1/workflows/desk/recover", &json!({ "cause": "" }))
            .await
            .refused(422, "invalid");
        world
            .operator
            .post(
                "/v1/workflows/desk/recover",
                &json!({ "cause": "the upstream was down", "fix": "OPS-1" }),
            )
            .await
            .passed();
        let status = world.status().await;
        assert_eq!(
            (&status["level"]["effective"], &status["changes"]),
            (&json!("standard"), &json!("open")),
            "{status}"
        );
        assert!(status["level"]["probation"].is_object(), "{status}");
        assert_eq!(status["burns"][0]["cause"], "the upstream was down");
        world.succeeds("on probation").await;
        world.fails().await;
        let status = world.status().await;
        assert_eq!(
            (posture(&status), &status["level"]["effective"]),
            ("burned", &json!("supervised")),
            "{status}"
        );
        world
            .agent
            .post("/shop/change", &json!({ "order": "next" }))
            .await
            .refused(403, "held");
    });
}

#[test]
fn strong_evidence_breaches_at_once_and_closes() {
    test(async {
        let world = world("", "").await;
        for _ in 0..3 {
            world.fails().await;
        }
        let status = world.status().await;
        assert_eq!(
            (posture(&status), &status["level"]["effective"]),
            ("breached", &json!("read_only")),
            "{status}"
        );
        world.agent.get("/shop/look/1").await.passed();
        let problem = world
            .agent
            .post("/shop/note", &json!({ "order": "1" }))
            .await
            .refused(403, "level");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("the budget is breached"),
            "{problem}"
        );
    });
}

#[test]
fn a_report_moves_b_for_the_run_that_it_names_once() {
    test(async {
        let world = world("", "").await;
        let mut calls = Vec::new();
        for order in 0..30 {
            calls.push(world.succeeds(&format!("A-{order}")).await);
        }
        world.counts(30, 0).await;
        let run = world.operator.run_of(&calls[0]).await;
        let name = run["run"].as_str().unwrap();
        let by_run = world
            .operator
            .report("run", name, "wrong_action", "T-1")
            .await
            .passed()
            .json();
        assert_eq!(
            (&by_run["was"], &by_run["now"], &by_run["booked_at"]),
            (
                &json!("acceptable"),
                &json!("unacceptable"),
                &run["booked_at"]
            ),
            "{by_run}"
        );
        assert_eq!(
            world
                .operator
                .report("run", name, "wrong_action", "T-1")
                .await
                .passed()
                .json()["repeated"],
            true
        );
        assert_eq!(
            world.counts(30, 1).await["failure_modes"],
            json!({ "wrong_action": 1 })
        );
        world
            .operator
            .report("call", &calls[1], "wrong_action", "T-2")
            .await
            .passed();
        world
            .operator
            .report("call", &calls[1], "timeout", "T-3")
            .await
            .passed();
        assert_eq!(
            world.counts(30, 2).await["failure_modes"],
            json!({ "wrong_action": 2, "timeout": 1 })
        );
        let by_subject = world
            .operator
            .report("subject", "A-7", "wrong_action", "T-4")
            .await
            .passed()
            .json();
        assert_eq!(
            by_subject["run"],
            world.operator.run_of(&calls[7]).await["run"]
        );
        let status = world.counts(30, 3).await;
        assert_eq!(posture(&status), "at_risk");
        assert_eq!(status["metrics"]["success_rate"], 0.9);
        let retract =
            json!({ "subject": "A-7", "mode": "wrong_action", "ref": "T-4", "retract": true });
        world.operator.post("/v1/reports", &retract).await.passed();
        world.counts(30, 2).await;
        let exclude = json!({ "reason": "our own test order" });
        world
            .operator
            .post(&format!("/v1/runs/{name}/exclude"), &exclude)
            .await
            .passed();
        world.counts(29, 1).await;
        world
            .operator
            .report("subject", "nobody", "wrong_action", "T-9")
            .await
            .refused(404, "not-found");
        world
            .operator
            .report("run", name, "no_such_mode", "T-9")
            .await
            .refused(422, "invalid");
    });
}

#[test]
fn ten_thousand_idle_runs_dilute_nothing() {
    test(async {
        let world = world("", "").await;
        for order in 0..30 {
            world.succeeds(&order.to_string()).await;
        }
        for _ in 0..4 {
            world.fails().await;
        }
        let before = world.counts(34, 4).await;
        assert_eq!(posture(&before), "burned");
        let mut lines = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let agent = world.agent.clone();
            lines.spawn(async move {
                let mut line = agent.line().await;
                for _ in 0..1_250 {
                    line.call("GET", "/shop/look/1", None).await.passed();
                }
            });
        }
        lines.join_all().await;
        let after = world
            .operator
            .stands("desk", "10,000 idle runs", |status| {
                status["budget"]["idle_runs"] == 10_000
            })
            .await;
        for same in ["runs", "unacceptable", "allowed", "remaining", "high"] {
            assert_eq!(after["budget"][same], before["budget"][same], "{same}");
        }
        assert_eq!(
            (posture(&after), &after["level"], &after["metrics"]),
            (posture(&before), &before["level"], &before["metrics"])
        );
    });
}

const STRICT: &str = "  - { tool: book, match: POST /book, risk: low, arguments: { type: object, required: [n], properties: { n: { type: integer } } }, deny_when: args.n > 100 }\n";

#[test]
fn the_third_mistake_of_a_run_counts_once() {
    test(async {
        let world = world(STRICT, "").await;
        let agent = world.agent.clone().run("clumsy");
        agent.post("/shop/book", &json!({ "n": 1 })).await.passed();
        for mistake in 1..=5 {
            let problem = agent
                .post("/shop/book", &json!({ "n": "one" }))
                .await
                .refused(422, "wrong-arguments");
            assert_eq!(problem["errors"][0]["pointer"], "/n", "{problem}");
            let unacceptable = world.status().await["budget"]["unacceptable"].clone();
            assert_eq!(unacceptable, u64::from(mistake >= 3), "after {mistake}");
        }
        let other = world.agent.clone().run("careful");
        for _ in 0..2 {
            other
                .post("/shop/book", &json!({}))
                .await
                .refused(422, "wrong-arguments");
        }
        other.post("/shop/book", &json!({ "n": 2 })).await.passed();
        for run in ["clumsy", "careful"] {
            world
                .agent
                .post(
                    &format!("/.burngate/runs/{run}/finish"),
                    &json!({ "status": "completed" }),
                )
                .await
                .passed();
        }
        world.counts(2, 1).await;
        assert_eq!(world.upstream.count(), 2);
    });
}

#[test]
fn what_a_rule_forbids_counts_every_time() {
    test(async {
        let world = world(STRICT, "").await;
        for count in 1..=2 {
            let answer = world.agent.post("/shop/book", &json!({ "n": 101 })).await;
            let problem = answer.refused(403, "denied");
            assert!(
                problem["rule"]
                    .as_str()
                    .unwrap()
                    .starts_with("deny_when (policies/shop.yaml:"),
                "{problem}"
            );
            let status = world.status().await;
            assert_eq!(
                (&status["budget"]["unacceptable"], &status["failure_modes"]),
                (&json!(count), &json!({ "policy_violation": count }))
            );
        }
        world.upstream.untouched();
    });
}

const JUDGED: &str =
    "  - { tool: book, match: POST /book, risk: low, failure_when: response.status == 422 }
  - { tool: send, match: POST /send, risk: low, failure_when: response.body.state == \"rejected\" }
";

#[test]
fn an_answer_that_the_policy_calls_a_failure_is_one() {
    test(async {
        let world = world(JUDGED, "").await;
        for (path, reply, unacceptable) in [
            ("/shop/book", Reply::json(201, &json!({})), 0),
            ("/shop/book", Reply::json(422, &json!({})), 1),
            (
                "/shop/send",
                Reply::json(200, &json!({ "state": "queued" })),
                1,
            ),
            (
                "/shop/send",
                Reply::json(200, &json!({ "state": "rejected" })),
                2,
            ),
        ] {
            world.upstream.next(reply);
            world.agent.post(path, &json!({})).await;
            world
                .operator
                .stands("desk", path, |status| {
                    status["budget"]["unacceptable"] == unacceptable
                })
                .await;
        }
        assert_eq!(
            world.counts(4, 2).await["failure_modes"],
            json!({ "tool_error": 2 })
        );
    });
}

#[test]
fn refusals_by_level_clamp_and_hold_cost_nothing() {
    test(async {
        let world = world("", "").await;
        world
            .agent
            .post("/shop/pay", &json!({ "order": "1" }))
            .await
            .refused(403, "held");
        world.operator.clamp("desk", "read_only").await.passed();
        for _ in 0..5 {
            world
                .agent
                .post("/shop/change", &json!({ "order": "1" }))
                .await
                .refused(403, "level");
        }
        world
            .agent
            .post("/shop/unknown", &json!({}))
            .await
            .refused(403, "unlisted");
        world
            .operator
            .stands("desk", "idle runs", |status| {
                status["budget"]["idle_runs"] == 7
            })
            .await;
        let status = world.counts(0, 0).await;
        assert_eq!(
            (posture(&status), &status["budget"]["remaining"]),
            ("healthy", &json!(1))
        );
    });
}

#[test]
fn calls_under_one_id_are_one_run_and_a_long_one_is_continued() {
    test(async {
        let world = world("", "run: { calls: 2 }\n").await;
        let agent = world.agent.clone().run("ticket-1");
        let mut calls = Vec::new();
        for _ in 0..3 {
            calls.push(
                agent
                    .post("/shop/change", &json!({ "order": "1" }))
                    .await
                    .passed()
                    .call()
                    .to_owned(),
            );
        }
        let first = world.operator.run_of(&calls[0]).await;
        assert_eq!(
            (&first["run"], &first["calls"], &first["outcome"]),
            (&json!("ticket-1"), &json!(2), &json!("acceptable"))
        );
        let finished = world
            .agent
            .post(
                "/.burngate/runs/ticket-1/finish",
                &json!({ "status": "completed" }),
            )
            .await
            .passed()
            .json();
        assert_eq!(finished["run"], "ticket-1#2");
        assert_eq!(world.operator.run_of(&calls[2]).await["run"], "ticket-1#2");
        world.counts(2, 0).await;
    });
}

#[test]
fn a_run_that_nobody_opened_cannot_be_finished() {
    test(async {
        let world = world("", "").await;
        world
            .agent
            .post(
                "/.burngate/runs/never/finish",
                &json!({ "status": "completed" }),
            )
            .await
            .refused(404, "not-found");
        world
            .agent
            .clone()
            .run("r")
            .get("/shop/look/1")
            .await
            .passed();
        world
            .agent
            .post("/.burngate/runs/r/finish", &json!({ "status": "splendid" }))
            .await
            .refused(422, "invalid");
        world
            .agent
            .post(
                "/.burngate/runs/r/finish",
                &json!({ "status": "completed" }),
            )
            .await
            .passed();
        world
            .agent
            .post(
                "/.burngate/runs/r/finish",
                &json!({ "status": "completed" }),
            )
            .await
            .refused(404, "not-found");
    });
}

#[test]
fn an_agent_reports_about_its_own_runs_and_only_for_the_worse() {
    test(async {
        let world = world("", "").await;
        world
            .agent
            .clone()
            .run("r")
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .passed();
        world
            .agent
            .post("/.burngate/runs/r/report", &json!({ "mode": "acceptable" }))
            .await
            .refused(422, "invalid");
        world
            .agent
            .post(
                "/.burngate/runs/r/report",
                &json!({ "mode": "wrong_action", "retract": true }),
            )
            .await
            .refused(422, "invalid");
        world
            .agent
            .post(
                "/.burngate/runs/other/report",
                &json!({ "mode": "wrong_action" }),
            )
            .await
            .refused(404, "not-found");
        world.counts(0, 0).await;
        for _ in 0..2 {
            world
                .agent
                .post(
                    "/.burngate/runs/r/report",
                    &json!({ "mode": "wrong_action", "note": "the wrong customer" }),
                )
                .await
                .passed();
        }
        world.counts(1, 1).await;
        world
            .agent
            .post(
                "/.burngate/runs/r/finish",
                &json!({ "status": "completed" }),
            )
            .await
            .passed();
        let run = world.operator.only_run("desk").await;
        assert_eq!(
            (&run["outcome"], &run["modes"]),
            (&json!("unacceptable"), &json!(["wrong_action"]))
        );
        // After its end, too.
        world
            .agent
            .post("/.burngate/runs/r/report", &json!({ "mode": "timeout" }))
            .await
            .passed();
        let told = world.agent.get("/.burngate/budget").await.passed().json();
        assert_eq!(
            (&told["workflow"], &told["remaining"]),
            (&json!("desk"), &json!(0.75)),
            "{told}"
        );
        world.counts(1, 1).await;
    });
}

#[test]
fn a_lease_that_runs_out_ends_a_run_quietly_unless_it_must_be_finished() {
    test(async {
        let quiet = world("", "run: { lease: 1s }\n").await;
        let strict = world("", "run: { lease: 1s, finish: required }\n").await;
        for world in [&quiet, &strict] {
            world
                .agent
                .clone()
                .run("r")
                .post("/shop/change", &json!({ "order": "1" }))
                .await
                .passed();
        }
        quiet.counts(1, 0).await;
        let status = strict.counts(1, 1).await;
        assert_eq!(status["failure_modes"], json!({ "timeout": 1 }));
        assert!(quiet.gate.log().contains("came into force"));
    });
}

#[test]
fn a_stranger_under_the_same_id_is_another_run() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let config = policies::people(&[("one", &["desk"]), ("two", &["desk"])], &[]);
        let gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk(""))
            .config(config)
            .start();
        let (one, two) = (
            gate.agent().token("one-token"),
            gate.agent().token("two-token"),
        );
        let call = one
            .clone()
            .run("r")
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .passed()
            .call()
            .to_owned();
        two.clone()
            .post(
                "/.burngate/runs/r/finish",
                &json!({ "status": "completed" }),
            )
            .await
            .refused(404, "not-found");
        two.post(
            "/.burngate/runs/r/report",
            &json!({ "mode": "wrong_action" }),
        )
        .await
        .refused(404, "not-found");
        one.post(
            "/.burngate/runs/r/finish",
            &json!({ "status": "completed" }),
        )
        .await
        .passed();
        let run = gate.operator().run_of(&call).await;
        assert_eq!(
            (&run["agent"], &run["outcome"]),
            (&json!("one"), &json!("acceptable"))
        );
    });
}

#[test]
fn a_run_takes_its_id_from_the_header_the_key_or_the_trace() {
    test(async {
        let world = world("", "run: { key: \"header['x-ticket']\" }\n").await;
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let traced = world.agent.clone().with("traceparent", trace);
        let keyed = traced.clone().with("x-ticket", "T-1");
        let named = keyed.clone().run("mine");
        for (agent, run) in [
            (named, "mine"),
            (keyed, "T-1"),
            (traced, "0af7651916cd43dd8448eb211c80319c"),
        ] {
            let answer = agent.post("/shop/pay", &json!({ "order": run })).await;
            assert_eq!(answer.refused(403, "held")["run"], run);
        }
    });
}
