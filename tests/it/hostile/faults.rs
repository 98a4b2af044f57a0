//! Faults that need no machine of their own: broken policies, upstreams that hang or lie, clients
//! that dawdle.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{DESK, ORDINARY, World, get, post, shop, talk};
use crate::harness::{Reply, TestGate, test};

#[test]
fn f11_a_broken_policy_file_leaves_what_is_in_force_in_force() {
    test(async {
        let world = World::start().await;
        let good = shop(&world.upstream.url());
        let huge = format!("# {}\n{good}\nunknown: 1\n", "x".repeat(4 * 1024 * 1024));
        let broken: [&[u8]; 8] = [
            b"api: [",
            b"workflow: desk\nunknown_key: 1\n",
            b"api: shop\n",
            b"\xff\xfe\0",
            b"api: shop\nupstream: http://127.0.0.1:1\nroute: /shop\ntools: [{ tool: look, match: 'GET /look', risk: none }]\n",
            &good.as_bytes()[..good.len() / 2],
            b"- 1\n- 2\n",
            huge.as_bytes(),
        ];
        let refusals = |world: &World| {
            world
                .gate
                .log()
                .matches("policies were not reloaded")
                .count()
        };
        for text in broken {
            let before = refusals(&world);
            world.gate.write_policy("shop.yaml", text);
            world.gate.sighup();
            world
                .gate
                .until("the refusal", || refusals(&world) > before)
                .await;
            world.gate.agent().get("/shop/look/1").await.passed();
            let ready = crate::harness::Person::stranger(world.gate.admin())
                .get("/readyz")
                .await;
            assert_eq!(
                ready.status.as_u16(),
                200,
                "{}",
                String::from_utf8_lossy(&ready.body)
            );
        }
        let before = refusals(&world);
        std::fs::remove_file(world.gate.policy("shop.yaml")).unwrap();
        world.gate.sighup();
        world
            .gate
            .until("the refusal", || refusals(&world) > before)
            .await;
        world.gate.agent().get("/shop/look/1").await.passed();
    });
}

#[test]
fn f12_a_policy_that_is_broken_at_the_start_starts_nothing() {
    for (text, place) in [
        ("api: [", "shop.yaml:1"),
        (
            "api: shop\nupstream: http://127.0.0.1:1\nroute: /shop\nunknown: 1\n",
            "shop.yaml:4:1",
        ),
        (
            "api: shop\nupstream: ftp://x\nroute: /shop\n",
            "shop.yaml:2:11",
        ),
    ] {
        let mut gate = TestGate::builder()
            .policy("shop.yaml", text)
            .policy("desk.yaml", DESK)
            .prepare();
        let exit = gate.try_start().unwrap_err();
        assert!(
            !exit.status.success() && exit.stderr.contains(place),
            "{place}: {}",
            exit.stderr
        );
    }
}

#[test]
fn f18_f19_an_upstream_that_hangs_or_lies_is_told_as_what_it_is_and_never_asked_twice() {
    test(async {
        let world = World::with("").await;
        let slow = shop(&world.upstream.url()).replace("timeout: 5s", "timeout: 1s");
        world.gate.reload("shop.yaml", slow).await;
        for (name, reply, status, slug) in [
            ("f18 hang", Reply::hang(), 504, "upstream-timeout"),
            (
                "f18 half a head",
                Reply::bytes(*b"HTTP/1.1 200 OK\r\ncontent-le").hanging(),
                504,
                "upstream-timeout",
            ),
            ("f19 reset", Reply::reset(), 502, "ambiguous"),
            ("f19 close", Reply::close(), 502, "ambiguous"),
            (
                "f19 half a head",
                Reply::bytes(*b"HTTP/1.1 200 OK\r\ncontent-le").closing(),
                502,
                "ambiguous",
            ),
            ("f19 garbage", Reply::garbage(), 502, "upstream-malformed"),
        ] {
            let before = world.upstream.count();
            world.upstream.next(reply);
            let said = talk(
                world.gate.listen(),
                &post("/shop/refunds", "Connection: close\r\n", ORDINARY),
            )
            .await;
            assert_eq!(said.statuses(), [status], "{name}: {}", said.text);
            assert!(
                said.text.contains(&format!("problem:{slug}\""))
                    && said.text.contains("\"executed\":\"unknown\""),
                "{name}: {}",
                said.text
            );
            assert_eq!(world.upstream.count(), before + 1, "{name}");
        }
        world
            .operator()
            .stands("desk", "six failures", |state| {
                state["budget"]["unacceptable"] == 6 && state["budget"]["runs"] == 6
            })
            .await;
    });
}

#[test]
fn f19_an_answer_longer_than_it_said_is_cut_where_it_said_and_poisons_nobody() {
    test(async {
        let world = World::start().await;
        world.upstream.next(Reply::bytes(*b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"));
        let said = talk(
            world.gate.listen(),
            &get("/shop/look/1", "Host: gate\r\nConnection: close\r\n"),
        )
        .await;
        assert!(!said.text.contains("poison"), "{}", said.text);
        for _ in 0..3 {
            let said = talk(
                world.gate.listen(),
                &get("/shop/look/2", "Host: gate\r\nConnection: close\r\n"),
            )
            .await;
            assert!(said.text.ends_with("{\"ok\":true}"), "{}", said.text);
        }
    });
}

#[test]
fn f30_a_head_that_dribbles_and_a_body_that_stops_have_their_time_and_others_do_not_wait() {
    test(async {
        let world = World::start().await;
        let began = Instant::now();
        let dribble = async {
            let (mut read, mut write) = world.gate.agent().stream().await.into_split();
            let writing = async {
                loop {
                    for byte in b"GET /shop/look/1 HTTP/1.1\r\nHost: gate\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy" {
                        let _ = write.write_all(&[*byte]).await;
                        tokio::time::sleep(Duration::from_millis(250)).await;
                    }
                }
            };
            let mut text = String::new();
            tokio::select! {
                () = writing => unreachable!("it never ends"),
                read = read.read_to_string(&mut text) => drop(read),
            }
            (text, began.elapsed())
        };
        let stopped = async {
            let mut stream = world.gate.agent().stream().await;
            stream
                .write_all(&super::framed("Content-Length: 100\r\n", "{"))
                .await
                .unwrap();
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text).await;
            text
        };
        let others = async {
            let mut line = world.gate.agent().line().await;
            let mut slowest = Duration::ZERO;
            for _ in 0..200 {
                let began = Instant::now();
                line.call("GET", "/shop/look/1", None).await.passed();
                slowest = slowest.max(began.elapsed());
            }
            slowest
        };
        let mut idle = Vec::new();
        for _ in 0..500 {
            let mut stream = world.gate.agent().stream().await;
            stream.write_all(b"GET /sh").await.unwrap();
            idle.push(stream);
        }
        let ((dribbled, after), body, slowest) = tokio::join!(dribble, stopped, others);
        assert!(
            dribbled.starts_with("HTTP/1.1 408 ") && after < Duration::from_secs(20),
            "{after:?}: {dribbled}"
        );
        assert!(body.starts_with("HTTP/1.1 408 "), "{body}");
        assert!(slowest < Duration::from_secs(2), "{slowest:?}");
        assert!(!String::from_utf8_lossy(&world.upstream.wire()).contains("POST"));
    });
}
