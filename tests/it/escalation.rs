//! Escalation on the wire: what waits for a person first, what that costs where it does not, and
//! what an escalated run may still do.

use serde_json::{Value, json};

use crate::harness::{Agent, Operator, Reply, ScriptedUpstream, TestGate, policies, test};

const TOOLS: &str = "  - { tool: escalate, match: POST /escalate, risk: low, escalation: true }
  - { tool: move, match: POST /move, risk: medium, subject: args.order, escalate_when: args.amount > 100.0 }
";

async fn world(desk: &str) -> (ScriptedUpstream, TestGate, Agent, Operator) {
    let upstream = ScriptedUpstream::start().await;
    let desk = policies::desk(desk).replace("tools: [", "tools: [shop/escalate, shop/move, ");
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()) + TOOLS)
        .policy("desk.yaml", desk)
        .start();
    let (agent, operator) = (gate.agent(), gate.operator());
    (upstream, gate, agent, operator)
}

fn amount(amount: u32) -> Value {
    json!({ "order": "A-1", "amount": amount })
}

fn rule(problem: &Value) -> &str {
    problem["rule"].as_str().unwrap().split(' ').next().unwrap()
}

#[test]
fn a_call_that_a_person_should_see_first_waits_and_costs_nothing() {
    test(async {
        let (upstream, _gate, agent, operator) = world("").await;
        let agent = agent.run("ticket-1");
        agent.post("/shop/move", &amount(100)).await.passed();
        assert_eq!(
            rule(
                &agent
                    .post("/shop/move", &amount(101))
                    .await
                    .refused(403, "held")
            ),
            "escalate_when"
        );
        let id = operator.pending().await["id"].as_str().unwrap().to_owned();
        operator.approve(&id).await.passed();
        agent.post("/shop/move", &amount(101)).await.passed();
        agent
            .post(
                "/.burngate/runs/ticket-1/finish",
                &json!({ "status": "completed" }),
            )
            .await
            .passed();
        let run = operator.only_run("desk").await;
        assert_eq!(
            (&run["outcome"], run["modes"].as_array().map(Vec::len)),
            (&json!("acceptable"), Some(0)),
            "{run}"
        );
        drop(upstream);
    });
}

#[test]
fn one_that_goes_through_in_shadow_is_a_missed_escalation() {
    test(async {
        let until =
            burngate::gate::time::Time::from_millis(jiff::Timestamp::now().as_millisecond())
                .plus(burngate::gate::time::days(30));
        let until = format!(
            "mode: shadow\nuntil: {}",
            burngate::config::quantity::Date(until)
        );
        let (_upstream, _gate, agent, operator) = world(&until).await;
        let agent = agent.run("ticket-1");
        let call = agent
            .post("/shop/move", &amount(101))
            .await
            .passed()
            .call()
            .to_owned();
        let status = operator
            .stands("desk", "one failure", |status| {
                status["budget"]["unacceptable"] == 1
            })
            .await;
        assert_eq!(status["failure_modes"], json!({ "missed_escalation": 1 }));
        agent
            .post(
                "/.burngate/runs/ticket-1/finish",
                &json!({ "status": "completed" }),
            )
            .await
            .passed();
        assert_eq!(operator.run_of(&call).await["outcome"], "unacceptable");
    });
}

#[test]
fn after_it_escalated_a_run_reads_and_everything_else_waits() {
    test(async {
        let (upstream, _gate, agent, _operator) = world("").await;
        let stranger = agent.clone();
        let agent = agent.run("ticket-1");
        upstream.next(Reply::json(500, &json!({})));
        agent.post("/shop/escalate", &json!({})).await;
        agent.post("/shop/note", &amount(1)).await.passed();
        agent.post("/shop/escalate", &json!({})).await.passed();
        for (path, amount) in [("/shop/note", 1), ("/shop/move", 101), ("/shop/move", 1)] {
            let problem = agent
                .post(path, &self::amount(amount))
                .await
                .refused(403, "held");
            assert_eq!(rule(&problem), "escalated", "{problem}");
        }
        agent.get("/shop/look/1").await.passed();
        agent.post("/shop/escalate", &json!({})).await.passed();
        stranger
            .run("ticket-2")
            .post("/shop/note", &amount(1))
            .await
            .passed();
        agent
            .post(
                "/.burngate/runs/ticket-1/finish",
                &json!({ "status": "completed" }),
            )
            .await
            .passed();
        let problem = agent
            .post("/shop/note", &amount(2))
            .await
            .refused(403, "held");
        assert_eq!(
            (rule(&problem), &problem["run"]),
            ("escalated", &json!("ticket-1#2"))
        );
    });
}

#[test]
fn a_restart_does_not_take_the_case_back() {
    test(async {
        let (_upstream, mut gate, agent, operator) = world("").await;
        agent
            .clone()
            .run("ticket-1")
            .post("/shop/escalate", &json!({}))
            .await
            .passed();
        agent
            .clone()
            .run("ticket-2")
            .post("/shop/note", &amount(1))
            .await
            .passed();
        agent
            .clone()
            .run("ticket-2")
            .post(
                "/.burngate/runs/ticket-2/finish",
                &json!({ "status": "escalated" }),
            )
            .await
            .passed();
        let noted = || async {
            (operator
                .get("/v1/audit")
                .await
                .passed()
                .json()
                .to_string()
                .matches("\"escalated\"")
                .count()
                >= 2)
                .then_some(())
        };
        crate::harness::eventually("both escalations in the journal", noted).await;
        gate.restart();
        for run in ["ticket-1", "ticket-2"] {
            let problem = gate
                .agent()
                .run(run)
                .post("/shop/note", &amount(1))
                .await
                .refused(403, "held");
            assert_eq!(rule(&problem), "escalated", "{problem}");
        }
        gate.agent()
            .run("ticket-3")
            .post("/shop/note", &amount(1))
            .await
            .passed();
    });
}

#[test]
fn finishing_as_escalated_is_escalating() {
    test(async {
        let (_upstream, _gate, agent, _operator) = world("").await;
        let agent = agent.run("ticket-1");
        agent.post("/shop/note", &amount(1)).await.passed();
        let finished = agent
            .post(
                "/.burngate/runs/ticket-1/finish",
                &json!({ "status": "escalated" }),
            )
            .await;
        assert_eq!(finished.passed().json()["status"], "escalated");
        assert_eq!(
            rule(
                &agent
                    .post("/shop/note", &amount(2))
                    .await
                    .refused(403, "held")
            ),
            "escalated"
        );
        agent.get("/shop/look/1").await.passed();
    });
}
