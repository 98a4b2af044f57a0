//! 2a: framing and smuggling over HTTP/1.

use super::{ORDINARY, World, framed, get, post, talk};
use crate::harness::{Reply, test};

const BAD: &[u16] = &[400];

fn case<'a>(name: &'a str, headers: &str, body: &str) -> (&'a str, Vec<u8>, &'static [u16]) {
    (name, framed(headers, body), BAD)
}

#[test]
fn a1_to_a10_lengths_and_transfer_codings_that_readers_read_differently_are_refused() {
    test(async {
        let world = World::start().await;
        let chunks = format!("{:x}\r\n{ORDINARY}\r\n0\r\n\r\n", ORDINARY.len());
        let length = format!("Content-Length: {}\r\n", ORDINARY.len());
        let mut cases = vec![
            case(
                "a1",
                &format!("{length}Transfer-Encoding: chunked\r\n"),
                &chunks,
            ),
            case(
                "a2",
                &format!("Transfer-Encoding: chunked\r\n{length}"),
                &chunks,
            ),
            case(
                "a3 twice",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                &chunks,
            ),
            case(
                "a3 list",
                "Transfer-Encoding: chunked, chunked\r\n",
                &chunks,
            ),
            case("a4 before", "Transfer-Encoding: ,chunked\r\n", &chunks),
            case("a4 behind", "Transfer-Encoding: chunked,\r\n", &chunks),
            case("a6 blank", "Transfer-Encoding : chunked\r\n", &chunks),
            case("a6 vt", "Transfer-Encoding:\x0bchunked\r\n", &chunks),
            case("a6 folded", "Transfer-Encoding:\r\n chunked\r\n", &chunks),
            case(
                "a6 folded before",
                "X: y\r\n Transfer-Encoding: chunked\r\n",
                &chunks,
            ),
            case("a8 equal", &format!("{length}{length}"), ORDINARY),
            case(
                "a8 different",
                &format!("{length}Content-Length: 5\r\n"),
                ORDINARY,
            ),
        ];
        cases.extend(
            [
                "xchunked",
                "identity",
                "gzip, chunked",
                "chunked, gzip",
                "\"chunked\"",
                "chunked;q=1",
                "",
            ]
            .iter()
            .map(|coding| {
                let (_, bytes, _) = case("", &format!("Transfer-Encoding: {coding}\r\n"), &chunks);
                ("a5", bytes, &[400, 501][..])
            }),
        );
        let old = String::from_utf8(framed("Transfer-Encoding: chunked\r\n", &chunks))
            .unwrap()
            .replace("HTTP/1.1", "HTTP/1.0");
        cases.push(("a7", old.into_bytes(), BAD));
        for length in [
            "5, 5",
            "5,10",
            "",
            "+5",
            "-1",
            "0x10",
            "1_0",
            "5 5",
            "18446744073709551616",
            "99999999999999999999",
            "007",
            "00",
            "5;",
        ] {
            cases.push((
                "a8 a9 a10",
                framed(&format!("Content-Length: {length}\r\n"), ORDINARY),
                &[400, 413],
            ));
        }
        world.refuses(&cases).await;
    });
}

#[test]
fn a11_to_a15_lines_and_names_that_readers_cut_differently_are_refused() {
    test(async {
        let world = World::start().await;
        let mut cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
            (
                "a11 request line",
                b"GET /shop/look/1 HTTP/1.1\nHost: gate\r\n\r\n".to_vec(),
                BAD,
            ),
            (
                "a11 header",
                b"GET /shop/look/1 HTTP/1.1\r\nHost: gate\nX: y\r\n\r\n".to_vec(),
                BAD,
            ),
            (
                "a11 blank line",
                b"GET /shop/look/1 HTTP/1.1\r\nHost: gate\r\n\n".to_vec(),
                BAD,
            ),
            (
                "a12 line",
                b"GET /shop/look/1\r HTTP/1.1\r\nHost: gate\r\n\r\n".to_vec(),
                BAD,
            ),
        ];
        let lines: [(&str, &[u8]); 14] = [
            ("a12 value", b"X: a\rb"),
            ("a12 hidden line", b"X: a\rTransfer-Encoding: chunked"),
            ("a13", b"X: a\r\n b"),
            ("a13 tab", b"X: a\r\n\tb"),
            ("a14 blank before colon", b"X : a"),
            ("a14 no colon", b"Xa"),
            ("a14 empty name", b": a"),
            ("a14 blank in name", b"X Y: a"),
            ("a14 nul in name", b"X\0: a"),
            ("a14 8-bit name", b"X\xe9: a"),
            ("a14 bracket", b"X(: a"),
            ("a15 nul", b"X: a\0b"),
            ("a15 control", b"X: a\x01b"),
            ("a15 delete", b"X: a\x7fb"),
        ];
        for (name, line) in lines {
            let bytes = [
                b"GET /shop/look/1 HTTP/1.1\r\nHost: gate\r\n",
                line,
                b"\r\n\r\n",
            ]
            .concat();
            cases.push((name, bytes, BAD));
        }
        world.refuses(&cases).await;
    });
}

#[test]
fn a16_to_a19_a_chunk_that_readers_end_differently_is_refused() {
    test(async {
        let world = World::start().await;
        let chunked = "Transfer-Encoding: chunked\r\n";
        let mut cases = Vec::new();
        for size in [
            "0x5",
            "+5",
            "-5",
            " 5",
            "5 ",
            "5_0",
            "ffffffffffffffff0",
            "",
            "g",
            "5\t",
        ] {
            cases.push(case(
                "a16",
                chunked,
                &format!("{size}\r\n{{\"a\":\r\n0\r\n\r\n"),
            ));
        }
        let long = format!("5;{}\r\n{{\"a\":\r\n0\r\n\r\n", "x".repeat(64 * 1024));
        for extension in [
            "5;\r\n12345\r\n0\r\n\r\n",
            "5;=x\r\n12345\r\n0\r\n\r\n",
            "5;a\nb\r\n12345\r\n0\r\n\r\n",
            "5;a\rb\r\n12345\r\n0\r\n\r\n",
            "5;a=\"\n\"\r\n12345\r\n0\r\n\r\n",
            &long,
        ] {
            cases.push(case("a17", chunked, extension));
        }
        for body in [
            "5\r\n123456\r\n0\r\n\r\n",
            "5\r\n1234\r\n0\r\n\r\n",
            "5\r\n123450\r\n\r\n",
            "5\n12345\n0\n\n",
            "5\r\n12345\n0\r\n\r\n",
            "5\r\n12345\r\n\r\n0\r\n\r\n",
        ] {
            cases.push(case("a18", chunked, body));
        }
        for trailer in [
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            "Host: evil",
            "Authorization: x",
            "Burngate-Workflow: other",
            "Burngate_Run: x",
            "X Y: z",
            " x",
        ] {
            cases.push(case(
                "a19",
                chunked,
                &format!(
                    "{:x}\r\n{ORDINARY}\r\n0\r\n{trailer}\r\n\r\n",
                    ORDINARY.len()
                ),
            ));
        }
        world.refuses(&cases).await;
    });
}

#[test]
fn a18_a_body_that_streams_past_is_broken_off_and_never_ended() {
    test(async {
        let world = World::start().await;
        let bytes = b"POST /shop/stream HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nX\r\n\r\n0\r\n\r\n";
        let said = talk(world.gate.listen(), bytes).await;
        assert_eq!(
            (said.statuses(), said.closed),
            (vec![400], true),
            "{}",
            said.text
        );
        assert!(
            !world.upstream.received().iter().any(|one| one.whole),
            "{:?}",
            world.upstream.received()
        );
        assert!(!String::from_utf8_lossy(&world.upstream.wire()).contains("0\r\n\r\n"));
    });
}

#[test]
fn a17_a19_a20_what_is_beyond_doubt_is_forwarded_in_one_form() {
    test(async {
        let world = World::start().await;
        let chunks = format!(
            "{:x};a=b;c=\"d e\"\r\n{ORDINARY}\r\n0\r\nX-Sum: 1\r\n\r\n",
            ORDINARY.len()
        );
        let bytes = framed(
            "Connection: close\r\nTransfer-Encoding: chunked\r\n",
            &chunks,
        );
        world
            .forwards("a17 a19", &bytes, "POST /refunds HTTP/1.1", ORDINARY)
            .await;
        assert!(!String::from_utf8_lossy(&world.upstream.wire()).contains("X-Sum"));
        for (method, path) in [("GET", "/shop/look/1"), ("DELETE", "/shop/orders/7")] {
            let bytes = format!(
                "{method} {path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
            );
            world
                .forwards(
                    "a20",
                    bytes.as_bytes(),
                    &format!("{method} {} HTTP/1.1", &path[5..]),
                    "hello",
                )
                .await;
            assert_eq!(world.upstream.last().header("content-length"), Some("5"));
        }
        // A rule that reads the body reads that of a GET too.
        let asked = |q: &str| {
            format!(
                "GET /shop/search HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{{\"q\":\"{q}\"}}",
                q.len() + 8
            )
        };
        world
            .forwards(
                "a20",
                asked("good").as_bytes(),
                "GET /search HTTP/1.1",
                "{\"q\":\"good\"}",
            )
            .await;
        let count = world.upstream.count();
        let said = talk(world.gate.listen(), asked("evil").as_bytes()).await;
        assert_eq!(
            (said.statuses(), world.upstream.count()),
            (vec![403], count),
            "{}",
            said.text
        );
    });
}

#[test]
fn a21_each_of_two_pipelined_requests_is_judged_on_its_own() {
    test(async {
        let world = World::start().await;
        let mut bytes = post("/shop/refunds", "Burngate-Run: one\r\n", ORDINARY);
        bytes.extend(post(
            "/shop/refunds",
            "Burngate-Run: two\r\nConnection: close\r\n",
            r#"{"order":"A-2","amount":6000}"#,
        ));
        let said = talk(world.gate.listen(), &bytes).await;
        assert_eq!(said.statuses(), [200, 403], "{}", said.text);
        assert_eq!(
            String::from_utf8_lossy(&world.upstream.only().body),
            ORDINARY
        );
        assert!(said.text.contains("\"run\":\"two\""), "{}", said.text);
    });
}

#[test]
fn a22_a_body_that_ends_early_executes_nothing() {
    test(async {
        let world = World::start().await;
        for bytes in [
            framed("Content-Length: 100\r\n", ORDINARY),
            framed("Transfer-Encoding: chunked\r\n", "1f\r\n{\"order\":\"A-1\""),
        ] {
            let mut stream = world.gate.agent().stream().await;
            tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes)
                .await
                .unwrap();
            drop(stream);
        }
        world.costs_nothing().await;
        assert_eq!(
            world.upstream.count(),
            1,
            "only the ordinary call behind them"
        );
    });
}

#[test]
fn a23_an_early_answer_is_relayed_and_neither_connection_is_used_again() {
    test(async {
        let world = World::start().await;
        world.upstream.next(Reply::new(413, &[], "no").early());
        let bytes =
            b"POST /shop/stream HTTP/1.1\r\nHost: gate\r\nContent-Length: 100000\r\n\r\nsome";
        let said = talk(world.gate.listen(), bytes).await;
        assert_eq!(
            (said.statuses(), said.closed),
            (vec![413], true),
            "{}",
            said.text
        );
        let said = talk(
            world.gate.listen(),
            &get("/shop/look/1", "Host: gate\r\nConnection: close\r\n"),
        )
        .await;
        assert_eq!(
            (said.statuses(), world.upstream.connections()),
            (vec![200], 2)
        );
    });
}

#[test]
fn a24_a25_expectations_and_upgrades() {
    test(async {
        let world = World::start().await;
        world
            .refuses(&[
                (
                    "a24 unknown",
                    post("/shop/refunds", "Expect: 200-ok\r\n", ORDINARY),
                    &[417],
                ),
                (
                    "a24 twice",
                    post(
                        "/shop/refunds",
                        "Expect: 100-continue\r\nExpect: 100-continue\r\n",
                        ORDINARY,
                    ),
                    BAD,
                ),
                (
                    "a24 with a bad head",
                    framed("Expect: 100-continue\r\nContent-Length: +5\r\n", ""),
                    BAD,
                ),
            ])
            .await;
        let said = talk(
            world.gate.listen(),
            &post(
                "/shop/refunds",
                "Connection: close\r\nExpect: 100-continue\r\n",
                ORDINARY,
            ),
        )
        .await;
        assert!(
            said.statuses().ends_with(&[200]) && said.statuses().len() < 3,
            "{}",
            said.text
        );
        assert_eq!(world.upstream.last().header("expect"), None);
        for upgrade in ["h2c", "websocket", "foo"] {
            let before = world.upstream.count();
            let headers = format!(
                "Host: gate\r\nConnection: upgrade\r\nUpgrade: {upgrade}\r\nSec-WebSocket-Key: x\r\n"
            );
            let mut bytes = get("/shop/look/1", &headers);
            bytes.extend_from_slice(b"\x81\x05smuggled");
            let said = talk(world.gate.listen(), &bytes).await;
            assert_eq!(
                (said.statuses(), said.closed),
                (vec![200, 400], true),
                "a25 {upgrade}: {}",
                said.text
            );
            assert_eq!(
                (
                    world.upstream.count(),
                    world.upstream.last().header("upgrade")
                ),
                (before + 1, None),
                "a25 {upgrade}"
            );
            assert!(
                !String::from_utf8_lossy(&world.upstream.wire()).contains("smuggled"),
                "a25 {upgrade}"
            );
        }
        // An upstream that switches all the same has not answered.
        world.upstream.next(Reply::bytes(
            *b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\nfree",
        ));
        let said = talk(
            world.gate.listen(),
            &get("/shop/look/1", "Host: gate\r\nConnection: close\r\n"),
        )
        .await;
        assert_eq!(said.statuses(), [502], "{}", said.text);
        assert!(!said.text.contains("free"));
    });
}

#[test]
fn a26_an_answer_that_readers_read_differently_is_not_passed_on() {
    test(async {
        let world = World::start().await;
        let flood = format!(
            "{}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 103 Early\r\n\r\n".repeat(100)
        );
        let bomb = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1024 * 1024));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(10_000));
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nno!",
            "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nno",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nno",
            "HTTP/1.1 200 OK\nx: y\n\nno",
            "HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx y: z\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "220 mail\r\n",
            &flood,
            &bomb,
            &many,
        ] {
            world.upstream.next(Reply::bytes(answer.as_bytes()));
            let said = talk(
                world.gate.listen(),
                &get("/shop/look/1", "Host: gate\r\nConnection: close\r\n"),
            )
            .await;
            let start = &answer[..answer.len().min(60)];
            assert_eq!(said.statuses(), [502], "{start:?}: {}", said.text);
            assert!(
                said.text.contains("problem:upstream-malformed"),
                "{start:?}: {}",
                said.text
            );
        }
        let connections = world.upstream.connections();
        world.upstream.next(Reply::bytes(
            *b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x2\r\nno\r\n0\r\n\r\n",
        ));
        let said = talk(
            world.gate.listen(),
            &get("/shop/look/1", "Host: gate\r\nConnection: close\r\n"),
        )
        .await;
        assert!(!said.text.contains("no\r\n0\r\n"), "{}", said.text);
        assert_eq!(
            world.upstream.connections(),
            connections + 1,
            "no connection that broke is used again"
        );
    });
}

#[test]
fn a27_nothing_reflected_splits_an_answer() {
    test(async {
        let world = World::start().await;
        for bytes in [
            get(
                "/shop/look/1",
                "Host: gate\r\nConnection: close\r\nBurngate-Workflow: a\tb\r\n",
            ),
            get(
                "/shop/look/1",
                "Host: gate\r\nConnection: close\r\nBurngate-Workflow: <b>\u{e9}\r\n",
            ),
            get("/nowhere/%20%3Cb%3E", "Host: gate\r\nConnection: close\r\n"),
        ] {
            let said = talk(world.gate.listen(), &bytes).await;
            let (head, body) = said.text.split_once("\r\n\r\n").unwrap();
            assert_eq!(said.statuses(), [403], "{}", said.text);
            assert!(
                head.lines().all(|line| !line.contains("<b>")) && !body.contains('\r'),
                "{}",
                said.text
            );
            serde_json::from_str::<serde_json::Value>(body).unwrap();
        }
        world.upstream.untouched();
    });
}

#[test]
fn a28_to_a30_what_is_no_request_of_this_gate_is_refused() {
    test(async {
        let world = World::start().await;
        let long = "G".repeat(10_000);
        let mut cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
            (
                "a28 http/2 on http/1",
                b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec(),
                BAD,
            ),
            (
                "a28 tls",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
                BAD,
            ),
            ("a28 ssh", b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), &[400, 501]),
            ("a29 0.9", b"GET /shop/look/1\r\n".to_vec(), BAD),
            (
                "a29 lower case",
                b"GET /shop/look/1 http/1.1\r\nHost: gate\r\n\r\n".to_vec(),
                BAD,
            ),
        ];
        for version in ["HTTP/1.2", "HTTP/9.9", "HTTP/2.0", "HTTP/0.9"] {
            cases.push((
                "a29 version",
                format!("GET /shop/look/1 {version}\r\nHost: gate\r\n\r\n").into_bytes(),
                &[400, 505],
            ));
        }
        for method in ["get", "GeT", "G=\":<", "FOO", "CONNECT", "TRACE", &long] {
            cases.push((
                "a30",
                format!("{method} /shop/look/1 HTTP/1.1\r\nHost: gate\r\n\r\n").into_bytes(),
                &[400, 405, 501],
            ));
        }
        world.refuses(&cases).await;
        // Nothing at all is no request, and no answer.
        let mut stream = world.gate.agent().stream().await;
        tokio::io::AsyncWriteExt::shutdown(&mut stream)
            .await
            .unwrap();
        let mut text = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut text)
            .await
            .unwrap();
        assert!(text.is_empty());
    });
}
