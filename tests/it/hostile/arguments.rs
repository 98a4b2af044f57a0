//! 2e: bodies and JSON.

use super::{ORDINARY, World, framed, post, talk};
use crate::harness::test;

const BAD: &[u16] = &[400];

fn typed(content_type: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let content_type = if content_type.is_empty() {
        String::new()
    } else {
        format!("Content-Type: {content_type}\r\n")
    };
    let head = format!(
        "POST /shop/refunds HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n{content_type}Content-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[test]
fn a62_to_a68_json_that_readers_read_differently_is_refused() {
    test(async {
        let world = World::start().await;
        let deep = "[".repeat(100_000);
        let objects = "{\"a\":".repeat(100_000);
        let closed = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let mut cases: Vec<(&str, Vec<u8>, &[u16])> = Vec::new();
        for (name, json) in [
            ("a62", r#"{"amount":1,"amount":9999}"#),
            ("a62 deep", r#"{"amount":1,"x":[{"y":{"z":1,"z":2}}]}"#),
            ("a63", r#"{"amount":1,"\u0061mount":9999}"#),
            ("a65 infinite", r#"{"amount":1e400}"#),
            ("a65 2^53+1", r#"{"amount":9007199254740993}"#),
            (
                "a65 digits",
                r#"{"amount":1.2345678901234567890123456789012345678901}"#,
            ),
            ("a65 leading zero", r#"{"amount":01}"#),
            ("a65 plus", r#"{"amount":+1}"#),
            ("a65 point", r#"{"amount":.5}"#),
            ("a66 nan", r#"{"amount":NaN}"#),
            ("a66 infinity", r#"{"amount":Infinity}"#),
            ("a66 comment", "{\"amount\":1/**/}"),
            ("a66 comma", r#"{"amount":1,}"#),
            ("a66 single quotes", "{'amount':1}"),
            ("a66 no quotes", "{amount:1}"),
            ("a66 behind", r#"{"amount":1}{}"#),
            ("a66 text behind", r#"{"amount":1} x"#),
            ("a66 nul behind", "{\"amount\":1}\0"),
            ("a67 arrays", &deep),
            ("a67 objects", &objects),
            ("a67 closed", &closed),
            ("a68 lone surrogate", r#"{"amount":1,"x":"\ud800"}"#),
            ("a68 wrong order", r#"{"amount":1,"x":"\udc00\ud800"}"#),
            ("a68 bom", "\u{feff}{\"amount\":1}"),
            ("a68 control", "{\"amount\":1,\"x\":\"\n\"}"),
            ("half", r#"{"amount":1"#),
            ("nothing but blanks", "  "),
        ] {
            cases.push((name, post("/shop/refunds", "", json), BAD));
        }
        for (name, bytes) in [
            ("a68 8-bit", &b"{\"amount\":1,\"x\":\"\xff\"}"[..]),
            ("a68 overlong", b"{\"amount\":1,\"x\":\"\xc0\xae\"}"),
            (
                "a68 surrogate bytes",
                b"{\"amount\":1,\"x\":\"\xed\xa0\x80\"}",
            ),
            ("a68 utf-16", b"\xff\xfe{\0}\0"),
            ("a68 utf-32", b"{\0\0\0}\0\0\0"),
        ] {
            cases.push((name, typed("application/json", "", bytes), BAD));
        }
        world.refuses(&cases).await;
    });
}

#[test]
fn a64_a65_a69_what_has_one_meaning_is_forwarded_byte_for_byte() {
    test(async {
        let world = World::start().await;
        for json in [
            r#"{"amount":-0}"#,
            r#"{"amount":1.0}"#,
            r#"{"amount":1E2}"#,
            r#"{ "order" : "\u0041\/" , "amount" : 1e0 }"#,
            r#"{"amount":1,"name":"ok","Name":"twin"}"#,
            r#"{"amount":1,"unread":9007199254740993.0000000000000000001}"#,
            "{\"amount\":1,\"x\":\"\u{202e}\u{200b}\u{ff41}e\u{301}\"}",
            r#"{"amount":1,"\u0000":1}"#,
        ] {
            world
                .forwards(
                    json,
                    &post("/shop/refunds", "Connection: close\r\n", json),
                    "POST /refunds HTTP/1.1",
                    json,
                )
                .await;
        }
        // The same amount, however it is written, is over the limit.
        let before = world.upstream.count();
        for amount in ["5001", "5001.0", "5.001e3", "5001e0", "50010E-1"] {
            let said = talk(
                world.gate.listen(),
                &post(
                    "/shop/refunds",
                    "Connection: close\r\n",
                    &format!("{{\"amount\":{amount}}}"),
                ),
            )
            .await;
            assert_eq!(said.statuses(), [403], "{amount}: {}", said.text);
        }
        assert_eq!(world.upstream.count(), before);
    });
}

#[test]
fn a70_to_a72_a_body_says_what_it_is_and_is_what_it_says() {
    test(async {
        let world = World::start().await;
        let mut cases: Vec<(&str, Vec<u8>, &[u16])> = Vec::new();
        for content_type in [
            "",
            "text/plain",
            "text/json",
            "application/json-seq",
            "application/json;charset=utf-7",
            "application/json; charset=utf-16",
            "application/json, text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/octet-stream",
            "application/ json",
            "json",
        ] {
            cases.push((
                content_type,
                typed(content_type, "", ORDINARY.as_bytes()),
                &[415],
            ));
        }
        for coding in [
            "gzip",
            "br",
            "deflate",
            "zstd",
            "identity, gzip",
            "gzip, gzip",
            "x",
        ] {
            cases.push((
                coding,
                typed(
                    "application/json",
                    &format!("Content-Encoding: {coding}\r\n"),
                    ORDINARY.as_bytes(),
                ),
                &[415],
            ));
        }
        let parts = "--x\r\nContent-Disposition: form-data; name=\"amount\"\r\n\r\n1\r\n--x\r\nContent-Disposition: form-data; name=\"amount\"\r\n\r\n9999\r\n--x--\r\n";
        cases.push((
            "a72 parts",
            typed("multipart/form-data; boundary=x", "", parts.as_bytes()),
            &[415],
        ));
        cases.push((
            "a72 form",
            typed(
                "application/x-www-form-urlencoded",
                "",
                b"amount=1&amount=9999",
            ),
            &[415],
        ));
        world.refuses(&cases).await;
        for content_type in [
            "Application/JSON",
            "application/json;charset=\"UTF-8\"",
            "application/vnd.x+json",
        ] {
            world
                .forwards(
                    content_type,
                    &typed(content_type, "", ORDINARY.as_bytes()),
                    "POST /refunds HTTP/1.1",
                    ORDINARY,
                )
                .await;
        }
    });
}

#[test]
fn a73_a_body_over_its_bound_is_refused_before_it_is_held() {
    test(async {
        let world = World::start().await;
        let large = format!("{{\"amount\":1,\"x\":\"{}\"}}", "y".repeat(2 * 1024 * 1024));
        let chunks: String = large
            .as_bytes()
            .chunks(60_000)
            .map(|chunk| {
                format!(
                    "{:x}\r\n{}\r\n",
                    chunk.len(),
                    String::from_utf8_lossy(chunk)
                )
            })
            .collect();
        world
            .refuses(&[
                ("a73 length", post("/shop/refunds", "", &large), &[413]),
                (
                    "a73 chunked",
                    framed(
                        "Transfer-Encoding: chunked\r\n",
                        &format!("{chunks}0\r\n\r\n"),
                    ),
                    &[413],
                ),
                (
                    "a73 announced",
                    framed("Content-Length: 10737418240\r\n", ""),
                    &[413],
                ),
                (
                    "a71 bomb",
                    typed(
                        "application/json",
                        "Content-Encoding: gzip\r\n",
                        &[0x1f; 4096],
                    ),
                    &[415],
                ),
            ])
            .await;
        assert!(
            world.gate.peak_memory() < 256 * 1024 * 1024,
            "{}",
            world.gate.peak_memory()
        );
    });
}

#[test]
fn a74_arguments_that_are_not_there_never_satisfy_a_rule() {
    test(async {
        let world = World::start().await;
        let mut bodies: Vec<Vec<u8>> = [
            "null",
            "[]",
            "\"x\"",
            "7",
            "{}",
            r#"{"amount":null}"#,
            r#"{"amount":"1"}"#,
            r#"{"amount":[1]}"#,
        ]
        .iter()
        .map(|json| post("/shop/refunds", "Connection: close\r\n", json))
        .collect();
        bodies.push(framed("Connection: close\r\nContent-Length: 0\r\n", ""));
        bodies.push(framed("Connection: close\r\n", ""));
        for bytes in bodies {
            let said = talk(world.gate.listen(), &bytes).await;
            let [status] = said.statuses()[..] else {
                panic!("{}", said.text)
            };
            assert!(
                (400..500).contains(&status),
                "{}: {}",
                String::from_utf8_lossy(&bytes),
                said.text
            );
        }
        world.upstream.untouched();
    });
}
