//! A gate that is told to stop finishes what it began, answers who waits, books what is open, and
//! ends with 0.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::{
    Agent, Answer, Person, Reply, ScriptedUpstream, TestGate, eventually, policies, test,
};

async fn shop(desk: &str) -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy(
            "shop.yaml",
            policies::shop(&upstream.url()).replace("timeout: 3s", "timeout: 50s"),
        )
        .policy("desk.yaml", policies::desk(desk))
        .start();
    (upstream, gate)
}

fn order() -> Value {
    json!({ "order": "1" })
}

fn spawn(agent: &Agent, path: &'static str) -> tokio::task::JoinHandle<Answer> {
    let agent = agent.clone();
    tokio::spawn(async move { agent.post(path, &order()).await })
}

#[test]
fn what_is_in_flight_is_finished_and_who_waits_for_a_person_is_told() {
    test(async {
        let (upstream, mut gate) = shop("hold: { wait: 50s }").await;
        let mut releases = Vec::new();
        for _ in 0..8 {
            let (release, reply) = Reply::json(200, &json!({ "done": true })).held();
            upstream.next(reply);
            releases.push(release);
        }
        let agent = gate.agent();
        let calls: Vec<_> = (0..8).map(|_| spawn(&agent, "/shop/change")).collect();
        upstream.arrives(8).await;
        let held = spawn(&agent, "/shop/pay");
        let id = gate.operator().pending().await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        gate.sigterm();
        // Told before the calls in flight are done: the approval outlives the gate.
        held.await.unwrap().refused(403, "held");
        drop(releases);
        for call in calls {
            assert_eq!(call.await.unwrap().passed().json(), json!({ "done": true }));
        }
        assert_eq!(gate.ended().await.code(), Some(0));
        gate.start();
        let status = gate.operator().status("desk").await;
        assert_eq!(
            (&status["budget"]["runs"], &status["budget"]["unacceptable"]),
            (&json!(8), &json!(0)),
            "{status}"
        );
        gate.operator().approve(&id).await.passed();
        gate.agent().post("/shop/pay", &order()).await.passed();
    });
}

#[test]
fn no_call_fails_that_the_gate_took_when_it_is_stopped_under_load() {
    test(async {
        let (upstream, mut gate) = shop("").await;
        let mut agents = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let agent = gate.agent();
            agents.spawn(async move {
                let mut line = agent.line().await;
                let mut answered = 0_u64;
                loop {
                    let request = agent
                        .request("POST", "/shop/note")
                        .header("content-type", "application/json");
                    let request = request
                        .body(crate::harness::agent::full(order().to_string()))
                        .unwrap();
                    // A connection that is closed between two calls fails no call.
                    let Ok(answer) = line.open(request).await else {
                        return answered;
                    };
                    let answer = Answer::try_read(answer)
                        .await
                        .expect("an answer that began");
                    if answer.status != 503 {
                        answer.passed();
                        answered += 1;
                    }
                }
            });
        }
        upstream.has(20_000).await;
        gate.sigterm();
        let answered: u64 = agents.join_all().await.into_iter().sum();
        assert_eq!(gate.ended().await.code(), Some(0));
        assert_eq!(answered, upstream.count() as u64);
        gate.start();
        assert_eq!(
            gate.operator().status("desk").await["budget"]["runs"],
            answered
        );
    });
}

#[test]
fn a_second_signal_ends_it_fast() {
    test(async {
        let (upstream, mut gate) = shop("").await;
        upstream.next(Reply::hang());
        let agent = gate.agent();
        let call =
            tokio::spawn(
                async move { agent.try_call("POST", "/shop/change", Some(&order())).await },
            );
        upstream.arrives(1).await;
        gate.sigterm();
        gate.until("draining", || true).await;
        let began = Instant::now();
        gate.sigterm();
        assert_eq!(gate.ended().await.code(), Some(0));
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}",
            began.elapsed()
        );
        drop(call.await.unwrap());
        gate.start();
        let status = gate.operator().status("desk").await;
        assert_eq!(
            (&status["budget"]["runs"], &status["failure_modes"]),
            (&json!(1), &json!({ "timeout": 1 })),
            "{status}"
        );
    });
}

#[test]
fn a_gate_that_drains_is_not_ready_and_takes_nothing_new() {
    test(async {
        let (upstream, mut gate) = shop("").await;
        let (release, reply) = Reply::json(200, &json!({})).held();
        upstream.next(reply);
        let agent = gate.agent();
        let call = spawn(&agent, "/shop/change");
        upstream.arrives(1).await;
        gate.sigterm();
        let stranger = Person::stranger(gate.admin());
        let not_ready = eventually("not ready", || async {
            let answer = stranger.get("/readyz").await;
            (answer.status == 503).then(|| answer.json())
        });
        assert_eq!(
            not_ready.await["checks"]["draining"],
            "the gate is stopping"
        );
        // The gate says that it is not ready first and closes its listeners after, so that a load
        // balancer can look elsewhere in between.
        eventually("a closed listener", || async {
            TcpStream::connect(gate.listen()).await.err()
        })
        .await;
        drop(release);
        call.await.unwrap().passed();
        assert_eq!(gate.ended().await.code(), Some(0));
        assert_eq!(upstream.count(), 1);
    });
}

#[test]
fn a_gate_that_drains_sends_nothing_a_second_time() {
    test(async {
        let (upstream, mut gate) = shop("").await;
        let (release, reply) = Reply::json(503, &json!({ "sorry": true })).held();
        upstream.next(reply);
        let agent = gate.agent();
        let call = tokio::spawn(async move { agent.get("/shop/look/1").await });
        upstream.arrives(1).await;
        gate.sigterm();
        let stranger = Person::stranger(gate.admin());
        eventually("not ready", || async {
            (stranger.get("/readyz").await.status == 503).then_some(())
        })
        .await;
        drop(release);
        let answer = call.await.unwrap();
        assert_eq!(
            (
                answer.status.as_u16(),
                answer.json(),
                answer.header("burngate-attempts")
            ),
            (503, json!({ "sorry": true }), None)
        );
        assert_eq!(gate.ended().await.code(), Some(0));
        assert_eq!(upstream.count(), 1);
    });
}
