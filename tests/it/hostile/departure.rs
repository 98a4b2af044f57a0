//! A91 and A108: a client that leaves takes its call along. Nothing is executed for it, and what
//! was sent already is settled once.

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{ORDINARY, World, get, post};
use crate::harness::{Reply, agent, eventually, test};

/// Sends a call that is held open, and returns when its approval is there.
async fn held(world: &World, behind: &[u8]) -> (TcpStream, String) {
    let mut stream = world.gate.agent().stream().await;
    stream
        .write_all(
            &[
                post(
                    "/shop/pay/7",
                    "Prefer: wait=60\r\nBurngate-Run: r\r\n",
                    ORDINARY,
                ),
                behind.to_vec(),
            ]
            .concat(),
        )
        .await
        .unwrap();
    let pending = world.operator().pending().await;
    (stream, pending["id"].as_str().unwrap().to_owned())
}

/// The run has no call in flight any more: the gate has noticed. Its only call is in the run index
/// once the run is finished.
async fn let_go(world: &World) {
    let agent = world.gate.agent();
    agent
        .post(
            "/.burngate/runs/r/finish",
            &json!({ "status": "completed" }),
        )
        .await
        .passed();
    let ended = || async {
        let runs = world.operator().get("/v1/runs?workflow=desk").await.json();
        runs["runs"]
            .as_array()
            .unwrap()
            .iter()
            .find(|run| run["run"] == "r")
            .cloned()
    };
    let run = eventually("the run that ended", ended).await;
    assert_eq!(
        (&run["counted"], &run["modes"]),
        (&json!(false), &json!([])),
        "{run}"
    );
}

#[test]
fn a91_a_call_whose_client_left_while_it_was_held_is_not_executed_when_it_is_approved() {
    test(async {
        let pipelined = get("/shop/look/1", "Host: gate\r\n");
        for behind in [&b""[..], &pipelined, b"GET /sh", b"\r\n"] {
            let world = World::start().await;
            let (stream, id) = held(&world, behind).await;
            drop(stream);
            let_go(&world).await;
            world.operator().approve(&id).await.passed();
            let approval = world
                .operator()
                .get(&format!("/v1/approvals/{id}"))
                .await
                .json();
            assert_eq!(approval["state"], "approved", "{approval}");
            world.upstream.untouched();
            // The grant is there for a repeat.
            world
                .gate
                .agent()
                .run("r2")
                .post("/shop/pay/7", &serde_json::from_str(ORDINARY).unwrap())
                .await
                .passed();
            assert_eq!(world.upstream.count(), 1);
        }
    });
}

#[test]
fn a91_closing_only_the_sending_side_is_leaving_too() {
    test(async {
        let world = World::start().await;
        let (mut stream, id) = held(&world, b"").await;
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer)
            .await
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), "");
        world.operator().approve(&id).await.passed();
        world.upstream.untouched();
    });
}

#[test]
fn a91_a_stream_of_http2_that_is_reset_while_it_is_held_is_not_executed() {
    test(async {
        let world = World::start().await;
        let agent = world
            .gate
            .agent()
            .http2()
            .run("r")
            .with("prefer", "wait=60");
        let mut line = agent.line().await;
        let request = agent
            .request("POST", "/shop/pay/7")
            .header("content-type", "application/json")
            .body(agent::full(ORDINARY))
            .unwrap();
        let id = {
            let mut open = Box::pin(line.open(request));
            let pending = tokio::select! {
                _ = &mut open => panic!("it is held"),
                pending = async { world.operator().pending().await } => pending,
            };
            // Dropped here: the stream is reset, and the connection stays.
            pending["id"].as_str().unwrap().to_owned()
        };
        world
            .gate
            .agent()
            .http2()
            .get("/shop/look/1")
            .await
            .passed();
        let_go(&world).await;
        let before = world.upstream.count();
        world.operator().approve(&id).await.passed();
        line.call("GET", "/shop/look/1", None).await.passed();
        assert_eq!(
            world.upstream.count(),
            before + 1,
            "{:?}",
            world.upstream.received()
        );
        assert!(!String::from_utf8_lossy(&world.upstream.wire()).contains("/pay"));
    });
}

#[test]
fn a91_a_client_that_stays_is_answered() {
    test(async {
        let world = World::start().await;
        let (mut stream, id) = held(
            &world,
            &get("/shop/look/1", "Host: gate\r\nConnection: close\r\n"),
        )
        .await;
        world.operator().approve(&id).await.passed();
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer)
            .await
            .unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
        assert_eq!(
            world
                .upstream
                .received()
                .iter()
                .map(|one| one.target.as_str())
                .collect::<Vec<_>>(),
            ["/pay/7", "/look/1"]
        );
    });
}

#[test]
fn a108_a_client_that_leaves_while_its_call_is_in_flight_makes_it_ambiguous_exactly_once() {
    test(async {
        let world = World::start().await;
        let (let_it, reply) = Reply::json(200, &json!({ "ok": true })).held();
        world.upstream.next(reply);
        let mut stream = world.gate.agent().stream().await;
        stream
            .write_all(&post("/shop/refunds", "", ORDINARY))
            .await
            .unwrap();
        world.upstream.has(200).await;
        eventually("the call at the upstream", || async {
            world.gate.agent().get("/.burngate/budget").await.passed();
            world
                .upstream
                .wire()
                .ends_with(ORDINARY.as_bytes())
                .then_some(())
        })
        .await;
        drop(stream);
        let run = world.operator().only_run("desk").await;
        assert_eq!(
            (&run["modes"], &run["outcome"], &run["counted"]),
            (&json!(["timeout"]), &json!("unacceptable"), &json!(true)),
            "{run}"
        );
        drop(let_it);
        world
            .operator()
            .stands("desk", "one run", |state| {
                state["budget"]["runs"] == 1 && state["budget"]["unacceptable"] == 1
            })
            .await;
        assert_eq!(world.upstream.connections(), 1, "and it was not sent again");
    });
}
