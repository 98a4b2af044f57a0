//! 2c: targets and hosts that two readers take for different places.

use super::{World, get, talk};
use crate::harness::test;

#[test]
fn a39_to_a47_a_path_has_one_spelling_which_is_judged_and_forwarded() {
    test(async {
        let world = World::start().await;
        for (asked, forwarded) in [
            ("/shop//look/1", "/look/1"),
            ("//shop/look/1", "/look/1"),
            ("/shop/./look/1", "/look/1"),
            ("/shop/look/./1", "/look/1"),
            ("/shop/x/../look/1", "/look/1"),
            ("/other/../shop/look/1", "/look/1"),
            ("/shop/x/%2e%2E/look/1", "/look/1"),
            ("/shop/x/.%2e/look/1", "/look/1"),
            ("/shop/%6cook/1", "/look/1"),
            ("/shop/look/%7e1", "/look/~1"),
            ("/shop/look/a%20b", "/look/a%20b"),
            ("/shop/look/%c3%a9", "/look/%C3%A9"),
            ("/shop/look/1.", "/look/1."),
            ("/shop/look/1?", "/look/1?"),
            ("/shop/look/1?a=%2f..%2f;b", "/look/1?a=%2f..%2f;b"),
        ] {
            world
                .forwards(
                    asked,
                    &get(asked, "Host: gate\r\nConnection: close\r\n"),
                    &format!("GET {forwarded} HTTP/1.1"),
                    "",
                )
                .await;
        }
    });
}

#[test]
fn a39_to_a47_a_path_that_readers_read_differently_is_refused() {
    test(async {
        let world = World::start().await;
        let mut cases: Vec<(&str, Vec<u8>, &[u16])> = Vec::new();
        for target in [
            "/..",
            "/shop/../..",
            "/shop/look/../../..",
            "/shop/look/..;/admin",
            "/%2e%2e/x",
            "/shop/look/%2e%2e/%2e%2e/%2e%2e",
            "/shop/look/%252e%252e",
            "/shop/look/%25%32%65",
            "/shop/look/a%2fb",
            "/shop/look/a%2Fb",
            "/shop/look/a%5cb",
            "/shop/look/a\\b",
            "/shop/look/1;v=1",
            "/shop;v=1/look/1",
            "/shop/look/1%3bv=1",
            "/shop/look/%00",
            "/shop/look/%0d%0a",
            "/shop/look/%7f",
            "/shop/look/%c0%ae",
            "/shop/look/%ff",
            "/shop/look/%zz",
            "/shop/look/%",
            "/shop/look/%2",
            "/shop/look/1#x",
            "#x",
            "/shop/look/1;",
            "shop/look/1",
            "?x",
            "http:/shop",
            "ftp://gate/shop/look/1",
            "*",
            "/shop/look/1?a=%1b",
            "/shop/look/1?a=%zz",
            "/shop/look/1?a#b",
        ] {
            cases.push((target, get(target, "Host: gate\r\n"), &[400]));
        }
        for raw in [
            &b"/shop/look/\x01"[..],
            b"/shop/look/\x7f",
            b"/shop/look/\xc3\xa9",
            b"/shop/look/\0",
            b"/shop/look/1 2",
            b"/shop/look/\t1",
        ] {
            cases.push((
                "a44 a45 raw",
                [b"GET ", raw, b" HTTP/1.1\r\nHost: gate\r\n\r\n"].concat(),
                &[400],
            ));
        }
        let long = format!("/shop/look/{}", "x".repeat(9000));
        cases.push(("too long", get(&long, "Host: gate\r\n"), &[400, 414]));
        world.refuses(&cases).await;
    });
}

#[test]
fn a46_a47_a_path_that_is_not_the_tools_is_another_path() {
    test(async {
        let world = World::start().await;
        let mut cases: Vec<(&str, Vec<u8>, &[u16])> = Vec::new();
        for target in [
            "/shop/Look/1",
            "/SHOP/look/1",
            "/shop/look%ef%bc%8f1",
            "/shop/%ef%bd%8cook/1",
            "/shop/look",
            "/shop/look/",
            "/shop/look/1/",
            "/shop/look/1/2",
            "/shopping/look/1",
            "/shop",
            "/",
        ] {
            cases.push((
                target,
                get(target, "Host: gate\r\nConnection: close\r\n"),
                &[403],
            ));
        }
        world.refuses(&cases).await;
    });
}

#[test]
fn a48_a49_a_host_is_one_name_and_the_same_as_the_targets() {
    test(async {
        let world = World::start().await;
        let mut cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
            (
                "a48 other",
                get("http://other/shop/look/1", "Host: gate\r\n"),
                &[400],
            ),
            (
                "a48 user",
                get("http://gate@other/shop/look/1", "Host: other\r\n"),
                &[400],
            ),
            ("a49 missing", get("/shop/look/1", ""), &[400]),
            (
                "a49 twice",
                get("/shop/look/1", "Host: gate\r\nHost: gate\r\n"),
                &[400],
            ),
            ("a52 get", get("*", "Host: gate\r\n"), &[400]),
        ];
        for host in [
            "", "a,b", "user@h", "h/p", "h:99999", "[::1", "h:80:80", "h h", "h?x", "h#x", "..",
            "h\t", "%67ate",
        ] {
            if host != "h\t" {
                cases.push((
                    "a49",
                    get("/shop/look/1", &format!("Host: {host}\r\n")),
                    &[400],
                ));
            }
        }
        world.refuses(&cases).await;
        world
            .forwards(
                "a48 same",
                &get(
                    "http://gate/shop/look/1",
                    "Host: gate\r\nConnection: close\r\n",
                ),
                "GET /look/1 HTTP/1.1",
                "",
            )
            .await;
        let before = world.upstream.count();
        let said = talk(
            world.gate.listen(),
            b"OPTIONS * HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert_eq!(
            (said.statuses(), world.upstream.count()),
            (vec![204], before),
            "a52: {}",
            said.text
        );
    });
}

#[test]
fn a50_names_that_would_change_the_request_behind_the_gate_are_refused() {
    test(async {
        let world = World::start().await;
        let header = |line: &str| get("/shop/look/1", &format!("Host: gate\r\n{line}\r\n"));
        world
            .refuses(&[
                ("url", header("X-Original-URL: /admin"), &[400]),
                ("rewrite", header("X-Rewrite-URL: /admin"), &[400]),
                ("override", header("X-HTTP-Method-Override: DELETE"), &[400]),
                ("method", header("X-HTTP-Method: DELETE"), &[400]),
                ("short", header("X-Method-Override: DELETE"), &[400]),
                (
                    "query",
                    get("/shop/look/1?_method=DELETE", "Host: gate\r\n"),
                    &[400],
                ),
            ])
            .await;
    });
}

#[test]
fn a51_a_query_key_that_a_rule_reads_is_given_once() {
    test(async {
        let world = World::start().await;
        let mut cases: Vec<(&str, Vec<u8>, &[u16])> = Vec::new();
        for query in [
            "id=1&id=evil",
            "id=1&id=1",
            "id=1;id=evil",
            "id[]=evil",
            "id=1&id[0]=evil",
            "ID=evil",
            "id=1&Id=evil",
            "id=1&%69d=evil",
            "id=1&+id=evil",
            "id=%ff",
        ] {
            cases.push((
                query,
                get(
                    &format!("/shop/find?{query}"),
                    "Host: gate\r\nConnection: close\r\n",
                ),
                &[400],
            ));
        }
        world.refuses(&cases).await;
        let before = world.upstream.count();
        for query in ["id=evil", "%69d=ev%69l", "x=1&id=e%76il"] {
            let said = talk(
                world.gate.listen(),
                &get(
                    &format!("/shop/find?{query}"),
                    "Host: gate\r\nConnection: close\r\n",
                ),
            )
            .await;
            assert_eq!(
                (said.statuses(), world.upstream.count()),
                (vec![403], before),
                "{query}: {}",
                said.text
            );
        }
        world
            .forwards(
                "a51",
                &get(
                    "/shop/find?id=a+b%20c&x=1&x=2",
                    "Host: gate\r\nConnection: close\r\n",
                ),
                "GET /find?id=a+b%20c&x=1&x=2 HTTP/1.1",
                "",
            )
            .await;
    });
}
