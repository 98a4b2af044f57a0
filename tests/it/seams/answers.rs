//! What is booked, taken back and answered: an upstream's answer as the agent gets it, and the
//! bounds of both.

use serde_json::json;

use crate::harness::{ScriptedUpstream, TestGate, policies, test};

#[test]
fn s45_a_reporter_takes_back_only_reports_of_their_own() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let gate = TestGate::builder()
            .config(policies::people(
                &[],
                &[
                    ("rob", "reporter"),
                    ("eli", "reporter"),
                    ("dana", "reviewer"),
                ],
            ))
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk(""))
            .start();
        for run in ["r-1", "r-2"] {
            let agent = gate.agent().run(run);
            let order = json!({ "order": run });
            agent.post("/shop/change", &order).await.passed();
            let finish = format!("/.burngate/runs/{run}/finish");
            let completed = json!({ "status": "completed" });
            agent.post(&finish, &completed).await.passed();
            gate.operator().booked(run).await;
        }
        let report = json!({ "run": "r-1", "mode": "wrong_action", "ref": "T-1" });
        gate.operator().post("/v1/reports", &report).await.passed();
        let (rob, eli, dana) = (
            gate.reviewer("rob-token"),
            gate.reviewer("eli-token"),
            gate.reviewer("dana-token"),
        );
        // By run, by its reference, by the business object, and by a filter.
        for back in [
            json!({ "run": "r-1", "mode": "wrong_action", "retract": true }),
            json!({ "ref": "T-1", "retract": true }),
            json!({ "subject": "r-1", "ref": "T-1", "retract": true }),
            json!({ "filter": { "workflow": "desk" }, "mode": "wrong_action", "retract": true, "confirm": true }),
        ] {
            rob.post("/v1/reports", &back)
                .await
                .refused(403, "forbidden");
        }
        let path = "/v1/runs/r-1/report";
        let back = json!({ "mode": "wrong_action", "retract": true });
        rob.post(path, &back).await.refused(403, "forbidden");
        let unacceptable = gate.operator().status("desk").await["budget"]["unacceptable"].clone();
        assert_eq!(unacceptable, json!(1));

        // The newest of the mode is somebody else's: each takes back only theirs.
        let second = json!({ "mode": "wrong_action", "ref": "T-2" });
        let third = json!({ "mode": "wrong_action", "ref": "T-3" });
        rob.post("/v1/runs/r-2/report", &second).await.passed();
        eli.post("/v1/runs/r-2/report", &third).await.passed();
        let of_another = json!({ "ref": "T-3", "retract": true });
        rob.post("/v1/reports", &of_another)
            .await
            .refused(403, "forbidden");
        let path = "/v1/runs/r-2/report";
        rob.post(path, &back).await.passed();
        rob.post(path, &back).await.refused(403, "forbidden");
        eli.post("/v1/reports", &of_another).await.passed();

        // A reviewer takes back anybody's.
        dana.post("/v1/reports", &json!({ "ref": "T-1", "retract": true }))
            .await
            .passed();
        let unacceptable = gate.operator().status("desk").await["budget"]["unacceptable"].clone();
        assert_eq!(unacceptable, json!(0));
    });
}
