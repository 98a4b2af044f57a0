//! Caps and exposure on the wire: which refusal, which headers, and what an operator sees.

use serde_json::json;

use crate::harness::{Reply, ScriptedUpstream, TestGate, policies, test};

#[test]
fn a_volume_is_refused_with_when_to_come_again_and_costs_nothing() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let shop = policies::shop(&upstream.url())
            .replace("risk: low, subject", "risk: low, volume: 1/d, subject");
        let desk = policies::desk("levels: [{ level: standard, volume: 2/h }]");
        let gate = TestGate::builder()
            .policy("shop.yaml", shop)
            .policy("desk.yaml", desk)
            .start();
        let agent = gate.agent();
        // Held and malformed calls use nothing up.
        agent
            .post("/shop/pay", &json!({ "order": "A-1" }))
            .await
            .refused(403, "held");
        agent
            .post("/shop/note", &json!({ "order": "A-1" }))
            .await
            .passed();
        let answer = agent.post("/shop/note", &json!({ "order": "A-1" })).await;
        let problem = answer.refused(429, "volume");
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some("\"volume\";q=1;w=86400")
        );
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=86_400).contains(&wait), "{wait}");
        assert_eq!(
            answer.header("ratelimit"),
            Some(&*format!("\"volume\";r=0;t={wait}"))
        );
        assert!(
            problem["rule"].as_str().unwrap().contains("shop.yaml:"),
            "{problem}"
        );
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("`shop/note` lets 1 call a day go"),
            "{problem}"
        );
        // What the tool's cap refused uses nothing of the level's.
        agent.get("/shop/look/1").await.passed();
        let answer = agent.get("/shop/look/1").await;
        let problem = answer.refused(429, "volume");
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some("\"volume\";q=2;w=3600")
        );
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("Level `standard` lets 2 calls an hour go"),
            "{problem}"
        );
        assert_eq!(upstream.count(), 2);
        let status = gate.operator().status("desk").await;
        assert_eq!(
            (
                &status["budget"]["unacceptable"],
                &status["traffic"]["volume"]
            ),
            (&json!(0), &json!("2/hour"))
        );
        assert_eq!(
            status["traffic"]["this_hour"], 2,
            "what a cap refused was not let go: {status}"
        );
    });
}

#[test]
fn calls_at_once_are_bounded_and_a_call_that_ended_makes_room() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let desk = policies::desk("levels: [{ level: standard, concurrency: 1 }]");
        let gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", desk)
            .start();
        let (go, reply) = Reply::json(200, &json!({})).held();
        upstream.next(reply);
        let first = {
            let agent = gate.agent();
            tokio::spawn(async move { agent.get("/shop/look/1").await })
        };
        crate::harness::eventually("the first call is under way", || async {
            (upstream.count() == 1).then_some(())
        })
        .await;
        let answer = gate.agent().get("/shop/look/2").await;
        answer.refused(429, "volume");
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some("\"concurrency\";q=1;qu=\"concurrent-requests\"")
        );
        assert_eq!(answer.header("retry-after"), Some("1"));
        go.send(()).unwrap();
        first.await.unwrap().passed();
        gate.agent().get("/shop/look/3").await.passed();
    });
}

#[test]
fn risky_runs_side_by_side_are_as_many_as_may_fail() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let desk = policies::desk("exposure: on\nobjective: { target: 98%, expected_runs: 100 }");
        let gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", desk)
            .start();
        let change = async |run: &str| {
            gate.agent()
                .run(run)
                .post("/shop/change", &json!({ "order": run }))
                .await
        };
        change("r-1").await.passed();
        change("r-2").await.passed();
        change("r-1").await.passed();
        let problem = change("r-3").await.refused(403, "exposure");
        assert!(
            problem["rule"]
                .as_str()
                .unwrap()
                .starts_with("exposure (desk.yaml:")
                || problem["rule"].as_str().unwrap().contains("desk.yaml"),
            "{problem}"
        );
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .starts_with("NOT EXECUTED. 2 risky runs are under way"),
            "{problem}"
        );
        let exposure = gate.operator().status("desk").await["traffic"]["exposure"].clone();
        assert_eq!(
            exposure,
            json!({ "places": 2, "used": 2, "high_places": 3, "high_used": 0 })
        );
        gate.agent().run("r-3").get("/shop/look/1").await.passed();
        // Whatever a person approved goes.
        let pay = async || {
            gate.agent()
                .run("r-3")
                .post("/shop/pay", &json!({ "order": "A-1" }))
                .await
        };
        let id = pay().await.refused(403, "held")["approval"]
            .as_str()
            .unwrap()
            .to_owned();
        gate.operator().approve(&id).await.passed();
        pay().await.passed();
        gate.agent()
            .run("r-1")
            .post(
                "/.burngate/runs/r-1/finish",
                &json!({ "status": "completed" }),
            )
            .await
            .passed();
        change("r-3").await.passed();
        let status = gate.cli(&["status", "desk"]);
        let said = String::from_utf8_lossy(&status.stdout).into_owned();
        assert!(
            said.contains(
                "to the failures that remain: 2 of 2 places taken; 0 of 3 places by runs with a high-risk call"
            ),
            "{said}"
        );
    });
}
