//! Finished runs that people are asked to judge: drawn, listed, accepted, reported, and there again
//! after a crash.

use serde_json::{Value, json};

use crate::harness::{Operator, ScriptedUpstream, TestGate, eventually, policies, test};

const PEOPLE: [(&str, &str); 2] = [("rob", "reporter"), ("vera", "viewer")];

async fn world(desk: &str) -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .config(policies::people(&[], &PEOPLE))
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(desk))
        .start();
    (upstream, gate)
}

async fn works(gate: &TestGate, run: &str) {
    gate.agent()
        .run(run)
        .post("/shop/change", &json!({ "order": run }))
        .await
        .passed();
    gate.agent()
        .post(
            &format!("/.burngate/runs/{run}/finish"),
            &json!({ "status": "completed" }),
        )
        .await
        .passed();
}

async fn queue(operator: &Operator, waiting: usize) -> Value {
    eventually(&format!("{waiting} runs that wait"), || async {
        let queue = operator.get("/v1/checks").await.passed().json();
        (queue["checks"].as_array().unwrap().len() == waiting).then_some(queue)
    })
    .await
}

#[test]
fn drawn_runs_wait_for_people_and_are_judged_once_also_after_a_crash() {
    test(async {
        let (_upstream, mut gate) = world("check: { sample: 100% }\n").await;
        for run in ["ticket-1", "ticket-2", "ticket-3"] {
            works(&gate, run).await;
        }
        // Reads make a run idle, and idle runs are not put to anybody.
        gate.agent().get("/shop/look/1").await.passed();
        let before = queue(&gate.operator(), 3).await;
        let first = &before["checks"][0];
        assert_eq!(
            (&first["run"], &first["risk"], &first["calls"][0]["tool"]),
            (&json!("ticket-1"), &json!("medium"), &json!("shop/change")),
            "{first}"
        );
        assert!(
            first["calls"][0]["subject"]
                .as_str()
                .unwrap()
                .starts_with("sha256:"),
            "{first}"
        );

        gate.restart();
        assert_eq!(queue(&gate.operator(), 3).await["checks"], before["checks"]);
        let rob = gate.reviewer("rob-token");
        let accepted = rob
            .post("/v1/checks/ticket-1/accept", &json!({}))
            .await
            .passed()
            .json();
        assert_eq!(
            (&accepted["now"], &accepted["repeated"]),
            (&json!("acceptable"), &json!(false))
        );
        assert_eq!(
            gate.operator()
                .post("/v1/checks/ticket-1/accept", &json!({}))
                .await
                .passed()
                .json()["repeated"],
            true
        );
        let reported = rob
            .post(
                "/v1/checks/ticket-2/report",
                &json!({ "mode": "wrong_action", "ref": "T-2" }),
            )
            .await
            .passed()
            .json();
        assert_eq!(reported["now"], "unacceptable");
        rob.post("/v1/checks/ticket-2/accept", &json!({}))
            .await
            .refused(409, "conflict");
        gate.operator()
            .post("/v1/runs/ticket-3/exclude", &json!({ "reason": "a drill" }))
            .await
            .passed();

        gate.restart();
        let after = queue(&gate.operator(), 0).await;
        let drawn = &after["drawn"][0];
        assert_eq!(
            (&drawn["accepted"], &drawn["reported"], &drawn["excluded"]),
            (&json!(1), &json!(1), &json!(1)),
            "{after}"
        );
    });
}

#[test]
fn whoever_only_looks_judges_nothing_and_what_was_not_drawn_is_not_accepted() {
    test(async {
        let (_upstream, gate) = world("").await;
        works(&gate, "ticket-1").await;
        gate.operator().only_run("desk").await;
        let vera = gate.reviewer("vera-token");
        assert_eq!(
            vera.get("/v1/checks").await.passed().json(),
            json!({ "checks": [], "drawn": [] })
        );
        vera.post("/v1/checks/ticket-1/accept", &json!({}))
            .await
            .refused(403, "forbidden");
        let rob = gate.reviewer("rob-token");
        rob.post("/v1/checks/ticket-1/accept", &json!({}))
            .await
            .refused(409, "conflict");
        rob.post("/v1/checks/ticket-9/accept", &json!({}))
            .await
            .refused(404, "not-found");
        // The agent's port knows nothing of it (G11).
        assert_ne!(gate.agent().get("/v1/checks").await.status, 200);
    });
}

#[test]
fn checks_are_listed_and_judged_on_the_command_line() {
    test(async {
        let (_upstream, gate) = world("check: { sample: 100%, min: 20/week }\n").await;
        for run in ["ticket-1", "ticket-2"] {
            works(&gate, run).await;
        }
        queue(&gate.operator(), 2).await;
        let says = |arguments: &[&str]| {
            let output = gate.cli(arguments);
            assert!(output.status.success(), "{arguments:?}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let list = says(&["checks", "list"]);
        for told in [
            "ticket-1 of desk (local)",
            "allow shop/change on sha256:",
            "desk: 2 runs picked in 30d: 2 waiting",
        ] {
            assert!(list.contains(told), "{told}:\n{list}");
        }
        assert!(
            says(&["checks", "accept", "ticket-1"])
                .starts_with("accepted: run ticket-1 of desk (local)")
        );
        assert!(
            says(&["checks", "report", "ticket-2", "--mode", "wrong_action"])
                .contains("unacceptable, was acceptable")
        );
        assert!(says(&["checks", "list", "-w", "desk"]).contains(
            "no run waits for a check\ndesk: 2 runs picked in 30d: 1 accepted, 1 reported"
        ));
        let unknown = gate.cli(&["checks", "accept", "nothing"]);
        assert_eq!(unknown.status.code(), Some(1));
        assert!(
            String::from_utf8_lossy(&unknown.stderr)
                .contains("hint: `burngate checks list` lists the runs that wait")
        );
    });
}
