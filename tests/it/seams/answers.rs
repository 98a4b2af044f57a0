//! What is booked, taken back and answered: an upstream's answer as the agent gets it, and the
//! bounds of both.

use serde_json::json;

use crate::harness::{Reply, ScriptedUpstream, TestGate, agent, policies, test};
use crate::hostile::{World, get, shop, talk};

/// `bounds.body` where the configuration does not set it.
const MAX_BODY: usize = 1 << 20;

/// A GET whose connection may be kept, or not.
fn look(more: &str) -> Vec<u8> {
    get("/shop/look/1", &format!("Host: gate\r\n{more}"))
}

#[test]
fn s33_an_upstream_of_http_1_0_does_not_downgrade_the_agents_connection() {
    test(async {
        let world = World::start().await;
        for answer in [
            "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
            "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nok",
        ] {
            for _ in 0..2 {
                world.upstream.next(Reply::bytes(answer).closing());
            }
            let both = [look(""), look("Connection: close\r\n")].concat();
            let said = talk(world.gate.listen(), &both).await;
            assert_eq!(said.statuses(), [200, 200], "{answer}: {}", said.text);
            assert!(!said.text.contains("HTTP/1.0"), "{}", said.text);
        }
        // A client of HTTP/1.0 is still answered as one.
        world
            .upstream
            .next(Reply::bytes("HTTP/1.0 200 OK\r\n\r\nok").closing());
        let old = "GET /shop/look/1 HTTP/1.0\r\nHost: gate\r\n\r\n";
        let said = talk(world.gate.listen(), old.as_bytes()).await;
        assert!(said.text.starts_with("HTTP/1.0 200 "), "{}", said.text);
        assert!(said.closed && said.text.ends_with("\r\n\r\nok"));
    });
}

#[test]
fn s38_an_answer_whose_head_is_over_a_bound_is_a_502_that_names_it() {
    test(async {
        let world = World::start().await;
        for (fields, value, named) in [
            (110, "y".to_owned(), "100 header fields"),
            (40, "y".repeat(1024), "32768 bytes"),
        ] {
            let lines = format!("x: {value}\r\n").repeat(fields);
            let answer = format!("HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n");
            world.upstream.next(Reply::bytes(answer));
            let said = talk(world.gate.listen(), &look("Connection: close\r\n")).await;
            assert_eq!(said.statuses(), [502], "{named}: {}", said.text);
            for part in ["upstream-malformed", named, "\"executed\":\"unknown\""] {
                assert!(said.text.contains(part), "{part}: {}", said.text);
            }
        }
    });
}

#[test]
fn s42_a_body_that_streams_has_the_same_bound_and_is_refused_by_its_announced_length() {
    test(async {
        let world = World::start().await;
        let announced = |length: usize, more: &str| {
            format!(
                "POST /shop/stream HTTP/1.1\r\nHost: gate\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{more}\r\n"
            )
        };
        let large = "x".repeat(5_000_000);
        for sent in [
            announced(large.len(), "") + &large,
            announced(10_000_000_000, "Expect: 100-continue\r\n"),
            announced(MAX_BODY + 1, "Expect: 100-continue\r\n"),
        ] {
            let said = talk(world.gate.listen(), sent.as_bytes()).await;
            assert_eq!(said.statuses(), [413], "{}", said.text);
            assert!(said.closed && said.text.contains("problem:too-large"));
            world.upstream.untouched();
        }
        let two = world.gate.agent().http2();
        let upload = |bytes: usize| {
            let request = two.request("POST", "/shop/stream");
            request.body(agent::full("x".repeat(bytes))).unwrap()
        };
        two.send(upload(MAX_BODY + 1))
            .await
            .refused(413, "too-large");
        world.upstream.untouched();
        world.costs_nothing().await;

        // Nobody announced this one: it is broken off where it passes the bound.
        let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
        let head = "POST /shop/stream HTTP/1.1\r\nHost: gate\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
        let said = talk(world.gate.listen(), (head.to_owned() + &chunk).as_bytes()).await;
        assert_eq!(said.statuses(), [413], "{}", said.text);
        assert!(
            world
                .upstream
                .received()
                .iter()
                .all(|one| one.target != "/stream" || !one.whole)
        );

        two.send(upload(MAX_BODY)).await.passed();
        let larger = shop(&world.upstream.url()).replace(
            "match: POST /stream, risk: low",
            "match: POST /stream, risk: low, size: 2MiB",
        );
        world.gate.reload("shop.yaml", larger).await;
        two.send(upload(2 * MAX_BODY)).await.passed();
        two.send(upload(2 * MAX_BODY + 1))
            .await
            .refused(413, "too-large");
    });
}

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
