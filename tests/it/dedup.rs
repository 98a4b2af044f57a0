//! What was done before, through the real binary: duplicates, idempotency keys, undone work and
//! limits, also after a kill, an upstream that is gone, and an approval.

use serde_json::{Value, json};

use crate::harness::{Agent, Operator, Reply, ScriptedUpstream, TestGate, policies, test};

const TOOLS: &str = "  - { tool: refund, match: POST /refund, risk: medium, subject: args.order, duplicate: { key: [args.order, args.amount], within: 24h } }
  - { tool: big, match: POST /big, risk: high, subject: args.order, duplicate: { key: [args.order], within: 24h } }
  - { tool: twice, match: POST /twice, risk: low, subject: args.order, duplicate: { key: [args.order], within: 24h, verdict: count } }
  - { tool: undo, match: POST /undo, risk: low, subject: args.order, reverses: { tool: refund, within: 7d } }
  - { tool: spend, match: POST /spend, risk: low, subject: args.order, limits: [ { sum: args.amount, per: subject, within: 24h, hold_above: 1000, deny_above: 5000 } ] }
";

async fn world() -> (ScriptedUpstream, TestGate, Agent, Operator) {
    let upstream = ScriptedUpstream::start().await;
    let reached = "tools: [shop/refund, shop/big, shop/twice, shop/undo, shop/spend, ";
    let desk = policies::desk("").replace("tools: [", reached);
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()) + TOOLS)
        .policy(
            "other.yaml",
            desk.replace("workflow: desk", "workflow: other"),
        )
        .policy("desk.yaml", desk)
        .start();
    let (agent, operator) = (gate.agent().workflow("desk"), gate.operator());
    (upstream, gate, agent, operator)
}

fn body(order: &str, amount: f64) -> Value {
    json!({ "order": order, "amount": amount })
}

#[test]
fn the_same_work_from_two_workflows_is_done_once_also_after_a_kill() {
    test(async {
        let (upstream, mut gate, agent, _) = world().await;
        let first = agent
            .clone()
            .run("r-1")
            .post("/shop/refund", &body("A-1", 499.0))
            .await
            .passed()
            .call()
            .to_owned();
        let told = gate
            .agent()
            .workflow("other")
            .post("/shop/refund", &body("A-1", 499.0))
            .await
            .refused(409, "duplicate");
        assert_eq!(
            (
                &told["earlier"]["call"],
                &told["earlier"]["run"],
                &told["earlier"]["state"]
            ),
            (&json!(first), &json!("r-1"), &json!("done"))
        );
        assert!(
            told["detail"].as_str().unwrap().starts_with(
                "NOT EXECUTED. The same `args.order`, `args.amount` within 24h was done"
            ),
            "{told}"
        );
        assert!(
            told["rule"].as_str().unwrap().starts_with("duplicate (")
                && told["rule"].as_str().unwrap().contains("shop.yaml:"),
            "{told}"
        );
        gate.restart();
        let agent = gate.agent().workflow("desk");
        agent
            .post("/shop/refund", &body("A-1", 499.0))
            .await
            .refused(409, "duplicate");
        agent
            .post("/shop/refund", &body("A-1 ", 499.0))
            .await
            .passed();
        agent
            .post("/shop/refund", &body("A-1", 498.0))
            .await
            .passed();
        // No order is no key: a person looks at it.
        agent
            .post("/shop/refund", &json!({ "amount": 1 }))
            .await
            .refused(403, "held");
        assert_eq!(upstream.count(), 3);
    });
}

#[test]
fn what_was_in_flight_at_a_kill_is_not_done_again() {
    test(async {
        let (upstream, mut gate, agent, _) = world().await;
        upstream.next(Reply::hang());
        let call = tokio::spawn(async move {
            agent
                .try_call("POST", "/shop/refund", Some(&body("A-1", 5.0)))
                .await
                .is_none()
        });
        upstream.arrives(1).await;
        gate.agent()
            .workflow("desk")
            .post("/shop/refund", &body("A-1", 5.0))
            .await
            .refused(409, "duplicate");
        gate.restart();
        assert!(call.await.unwrap());
        let told = gate
            .agent()
            .workflow("desk")
            .post("/shop/refund", &body("A-1", 5.0))
            .await
            .refused(409, "duplicate");
        assert_eq!(told["earlier"]["state"], "unknown");
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn an_approved_call_is_not_its_own_duplicate() {
    test(async {
        let (upstream, _gate, agent, operator) = world().await;
        for _ in 0..2 {
            agent
                .post("/shop/big", &body("A-1", 1.0))
                .await
                .refused(403, "held");
        }
        let id = operator.pending().await["id"].as_str().unwrap().to_owned();
        operator.approve(&id).await.passed();
        agent.post("/shop/big", &body("A-1", 1.0)).await.passed();
        // Nobody is asked about what was done already.
        agent
            .post("/shop/big", &body("A-1", 2.0))
            .await
            .refused(409, "duplicate");
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn a_limit_holds_above_one_bound_and_denies_above_the_other() {
    test(async {
        let (upstream, gate, agent, operator) = world().await;
        for _ in 0..2 {
            agent
                .post("/shop/spend", &body("A-1", 500.0))
                .await
                .passed();
        }
        let held = agent
            .post("/shop/spend", &body("A-1", 0.01))
            .await
            .refused(403, "held");
        assert!(
            held["detail"]
                .as_str()
                .unwrap()
                .contains("`args.amount` per subject within 24h is 1000 so far"),
            "{held}"
        );
        operator
            .approve(held["approval"].as_str().unwrap())
            .await
            .passed();
        agent.post("/shop/spend", &body("A-1", 0.01)).await.passed();
        // Another object, and the same object from another workflow.
        agent
            .post("/shop/spend", &body("A-2", 1000.0))
            .await
            .passed();
        let answer = gate
            .agent()
            .workflow("other")
            .post("/shop/spend", &body("A-1", 4000.0))
            .await;
        let told = answer.refused(429, "limit");
        assert_eq!(
            (&told["limit"]["bound"], &told["limit"]["used"]),
            (&json!("5000"), &json!("1000.01")),
            "{told}"
        );
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((86_000..=86_500).contains(&wait), "{wait}");
        // More than the bound by itself: no waiting helps.
        assert_eq!(
            agent
                .post("/shop/spend", &body("A-3", 5000.5))
                .await
                .header("retry-after"),
            None
        );
        assert_eq!(upstream.count(), 4);
    });
}

#[test]
fn what_provably_did_not_go_is_given_back_and_what_may_have_gone_is_not() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let api = |name: &str, url: &str| {
            (policies::shop(url) + TOOLS)
                .replace("api: shop", &format!("api: {name}"))
                .replace("/shop", &format!("/{name}"))
        };
        let desk = "workflow: desk\nrisk: low\naccept_risk: a test\ntools: [gone/refund, gone/spend, here/refund, here/spend]\n";
        let builder = TestGate::builder()
            .policy("gone.yaml", api("gone", "http://127.0.0.1:1"))
            .policy("here.yaml", api("here", &upstream.url()));
        let gate = builder.policy("desk.yaml", desk).start();
        let agent = gate.agent();
        // A thousand each time, of which the second would be held if the first had stayed.
        for _ in 0..3 {
            agent
                .post("/gone/spend", &body("A-1", 1000.0))
                .await
                .refused(502, "upstream-unreachable");
            agent
                .post("/gone/refund", &body("A-1", 1.0))
                .await
                .refused(502, "upstream-unreachable");
        }
        upstream.next(Reply::reset()).next(Reply::reset());
        agent
            .post("/here/refund", &body("A-1", 2.0))
            .await
            .refused(502, "ambiguous");
        let told = agent
            .post("/here/refund", &body("A-1", 2.0))
            .await
            .refused(409, "duplicate");
        assert_eq!(told["earlier"]["state"], "unknown");
        agent
            .post("/here/spend", &body("A-1", 1000.0))
            .await
            .refused(502, "ambiguous");
        agent
            .post("/here/spend", &body("A-1", 1.0))
            .await
            .refused(403, "held");
        assert_eq!(upstream.count(), 2);
    });
}

#[test]
fn duplicates_and_undone_work_are_booked() {
    test(async {
        let (_upstream, mut gate, agent, operator) = world().await;
        let first = agent
            .post("/shop/refund", &body("A-1", 1.0))
            .await
            .passed()
            .call()
            .to_owned();
        // Its run is in the index: one that a kill swallows is in neither N nor B.
        assert_eq!(operator.run_of(&first).await["modes"], json!([]));
        gate.restart();
        gate.agent()
            .workflow("other")
            .post("/shop/undo", &body("A-1", 1.0))
            .await
            .passed();
        gate.operator()
            .stands("desk", "the undone run", |status| {
                status["failure_modes"]["duplicate_work"] == 1
            })
            .await;
        assert_eq!(
            gate.operator().run_of(&first).await["modes"],
            json!(["duplicate_work"])
        );
        let agent = gate.agent().workflow("desk");
        agent.post("/shop/twice", &body("A-1", 1.0)).await.passed();
        for count in [2, 3] {
            agent.post("/shop/twice", &body("A-1", 1.0)).await.passed();
            gate.operator()
                .stands("desk", "what was counted", |status| {
                    status["failure_modes"]["duplicate_work"] == count
                })
                .await;
        }
    });
}

#[test]
fn an_idempotency_key_gets_the_answer_that_it_got() {
    test(async {
        let (upstream, mut gate, agent, _) = world().await;
        upstream.next(Reply::new(
            201,
            &[
                ("content-type", "application/json"),
                ("location", "/change/9"),
            ],
            r#"{"id":9}"#,
        ));
        let keyed = |agent: &Agent| agent.clone().with("idempotency-key", "\"k-1\"");
        let first = keyed(&agent).post("/shop/change", &body("A-1", 1.0)).await;
        let again = keyed(&agent)
            .post("/shop/change", &json!({ "amount": 1, "order": "A-1" }))
            .await;
        assert_eq!(
            (again.status, &again.body, again.header("content-type")),
            (first.status, &first.body, Some("application/json"))
        );
        assert_eq!(
            (
                again.header("idempotency-replayed"),
                first.header("idempotency-replayed")
            ),
            (Some("true"), None)
        );
        assert_ne!(again.call(), first.call());
        keyed(&agent)
            .post("/shop/change", &body("A-1", 2.0))
            .await
            .refused(422, "idempotency-mismatch");
        // Another workflow's key is another key, and reads have none.
        keyed(&gate.agent().workflow("other"))
            .post("/shop/change", &body("A-1", 2.0))
            .await
            .passed();
        for _ in 0..2 {
            assert_eq!(
                keyed(&agent)
                    .get("/shop/look/1")
                    .await
                    .passed()
                    .header("idempotency-replayed"),
                None
            );
        }
        agent
            .clone()
            .with("idempotency-key", "")
            .post("/shop/change", &body("A-1", 1.0))
            .await
            .refused(400, "malformed");
        agent
            .clone()
            .with("idempotency-key", "a")
            .with("idempotency-key", "b")
            .post("/shop/change", &body("A-1", 1.0))
            .await
            .refused(400, "malformed");
        assert_eq!(upstream.count(), 4);
        gate.restart();
        let told = keyed(&gate.agent().workflow("desk"))
            .post("/shop/change", &body("A-1", 1.0))
            .await
            .refused(409, "duplicate");
        assert_eq!(told["earlier"]["call"], json!(first.call()));
        assert_eq!(upstream.count(), 4);
    });
}
