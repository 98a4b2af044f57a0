//! 2b: HTTP/2, frame by frame, with header blocks that no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ORDINARY, World};
use crate::harness::test;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// HPACK literals without indexing and without Huffman coding: whatever bytes one likes.
fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_bytes(), value] {
            if text.len() < 127 {
                block.push(u8::try_from(text.len()).unwrap());
            } else {
                block.push(127);
                let mut rest = text.len() - 127;
                while rest >= 128 {
                    block.push(u8::try_from(rest % 128 + 128).unwrap());
                    rest /= 128;
                }
                block.push(u8::try_from(rest).unwrap());
            }
            block.extend_from_slice(text);
        }
    }
    block
}

fn hello() -> Vec<u8> {
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, &[]),
    ]
    .concat()
}

const PLACE: [(&str, &[u8]); 4] = [
    (":method", b"POST"),
    (":scheme", b"http"),
    (":authority", b"gate"),
    (":path", b"/shop/refunds"),
];

/// An ordinary call with these fields behind it.
fn call(more: &[(&str, &[u8])], body: &[u8]) -> Vec<u8> {
    let fields = [&PLACE[..], &[("content-type", b"application/json")], more].concat();
    raw(&fields, body)
}

fn raw(fields: &[(&str, &[u8])], body: &[u8]) -> Vec<u8> {
    [
        frame(HEADERS, END_HEADERS, 1, &block(fields)),
        frame(DATA, END_STREAM, 1, body),
    ]
    .concat()
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Reset(u32),
    Away(u32),
    Answer(Vec<u8>),
    Closed,
    Silent,
}

/// Sends `frames`, and reads until stream 1 has ended in some way.
async fn end_of(world: &World, frames: &[u8]) -> End {
    let mut stream = world.gate.agent().stream().await;
    let _ = stream.write_all(&[hello(), frames.to_vec()].concat()).await;
    tokio::time::timeout(Duration::from_secs(8), read_end(&mut stream))
        .await
        .unwrap_or(End::Silent)
}

async fn read_end(stream: &mut TcpStream) -> End {
    let mut body = Vec::new();
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return End::Closed;
        }
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            return End::Closed;
        }
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match head[3] {
            RESET => return End::Reset(number(0)),
            AWAY => return End::Away(number(4)),
            DATA | HEADERS => {
                if head[3] == DATA {
                    body.extend_from_slice(&payload);
                }
                if head[4] & END_STREAM != 0 {
                    return End::Answer(body);
                }
            }
            _ => {}
        }
    }
}

async fn refuses(world: &World, cases: &[(&str, Vec<u8>)]) {
    let mut wrong = Vec::new();
    for (name, frames) in cases {
        let end = end_of(world, frames).await;
        let refused = match &end {
            End::Reset(_) | End::Away(_) | End::Closed => true,
            End::Answer(body) => {
                let text = String::from_utf8_lossy(body);
                // h2 answers an invalid target and an oversized head itself, without a body.
                text.is_empty() || text.contains("problem:malformed")
            }
            End::Silent => false,
        };
        if !refused || world.upstream.bytes() > 0 {
            wrong.push(format!(
                "{name}: {end:?}, upstream {:?}",
                String::from_utf8_lossy(&world.upstream.wire())
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.upstream.untouched();
    let End::Answer(body) = end_of(
        world,
        &call(
            &[("content-length", ORDINARY.len().to_string().as_bytes())],
            ORDINARY.as_bytes(),
        ),
    )
    .await
    else {
        panic!("an ordinary call is answered")
    };
    assert_eq!(
        (
            String::from_utf8_lossy(&body).as_ref(),
            world.upstream.only().line.as_str()
        ),
        ("{\"ok\":true}", "POST /refunds HTTP/1.1")
    );
}

/// Lengths that are none, and fields of one HTTP/1 hop.
fn lengths_and_hops(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut cases = vec![
        ("a31 shorter", call(&[("content-length", b"99")], body)),
        ("a31 longer", call(&[("content-length", b"3")], body)),
        ("a31 sign", call(&[("content-length", b"+31")], body)),
        (
            "a31 twice",
            call(&[("content-length", b"31"), ("content-length", b"3")], body),
        ),
    ];
    for (name, value) in [
        ("transfer-encoding", &b"chunked"[..]),
        ("connection", b"close"),
        ("upgrade", b"h2c"),
        ("te", b"gzip"),
        ("keep-alive", b"1"),
        ("proxy-connection", b"close"),
    ] {
        cases.push((name, call(&[(name, value)], body)));
    }
    cases
}

/// Fields and pseudo-fields that would be others, or more, as lines.
fn fields_that_split(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut cases = Vec::new();
    for (name, value) in [
        ("X-Upper", &b"a"[..]),
        ("x:y", b"a"),
        ("", b"a"),
        ("x y", b"a"),
        ("x\ny", b"a"),
        ("x", b"a\r\nb: c"),
        ("x", b"a\nb"),
        ("x", b"a\0b"),
        ("burngate_workflow", b"desk"),
    ] {
        cases.push(("a33", call(&[(name, value)], body)));
    }
    for (at, value) in [
        (0, &b"GET / HTTP/1.1\r\nx: "[..]),
        (0, b"PO ST"),
        (2, b"gate\r\nx: y"),
        (2, b"user@gate"),
        (2, b"a,b"),
        (3, b"/shop/refunds HTTP/1.1\r\nx: y"),
        (3, b"/shop/re funds"),
        (3, b""),
        (3, b"shop"),
        (3, b"http://x/shop/refunds"),
        (3, b"*"),
        (3, b"/shop/%2e%2e/%2e%2e"),
        (3, b"/shop/a%2fb"),
    ] {
        let mut fields = PLACE.to_vec();
        fields[at].1 = value;
        fields.push(("content-type", b"application/json"));
        cases.push(("a33 a35", raw(&fields, body)));
    }
    cases
}

/// Places that are given twice, in the wrong order or not at all, and CONNECT.
fn places_in_doubt(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a34 other host", call(&[("host", b"other")], body)),
        (
            "a34 two hosts",
            call(&[("host", b"gate"), ("host", b"gate")], body),
        ),
        (
            "a34 neither",
            raw(
                &[
                    PLACE[0],
                    PLACE[1],
                    PLACE[3],
                    ("content-type", b"application/json"),
                ],
                body,
            ),
        ),
        (
            "a35 twice",
            raw(&[&PLACE[..], &[(":path", b"/shop/look/1")]].concat(), body),
        ),
        (
            "a35 behind",
            raw(&[PLACE[0], PLACE[1], PLACE[2], ("x", b"y"), PLACE[3]], body),
        ),
        (
            "a35 unknown",
            raw(&[&PLACE[..], &[(":other", b"x")]].concat(), body),
        ),
        (
            "a35 a response's",
            raw(&[&PLACE[..], &[(":status", b"200")]].concat(), body),
        ),
        (
            "a38 connect",
            raw(&[(":method", b"CONNECT"), (":authority", b"gate")], b""),
        ),
        (
            "a38 extended",
            raw(
                &[
                    &[(":method", &b"CONNECT"[..]), (":protocol", b"websocket")],
                    &PLACE[1..],
                ]
                .concat(),
                b"",
            ),
        ),
    ]
}

#[test]
fn a31_to_a35_heads_that_a_downgrade_would_turn_into_others_are_refused() {
    test(async {
        let world = World::start().await;
        let body = ORDINARY.as_bytes();
        let mut cases = lengths_and_hops(body);
        cases.extend(fields_that_split(body));
        cases.extend(places_in_doubt(body));
        let trailers = |flags, fields: &[(&str, &[u8])]| {
            let head = [&PLACE[..], &[("content-type", b"application/json")]].concat();
            [
                frame(HEADERS, END_HEADERS, 1, &block(&head)),
                frame(DATA, 0, 1, body),
                frame(HEADERS, flags, 1, &block(fields)),
            ]
            .concat()
        };
        cases.push(("a37 no end", trailers(END_HEADERS, &[("x", b"y")])));
        refuses(&world, &cases).await;
        // The library drops both of these before anybody sees them: what was judged is what is
        // forwarded, and nothing else is.
        let mut fields = PLACE.to_vec();
        fields[3].1 = b"/shop/refunds#/../look/1";
        fields.push(("content-type", b"application/json"));
        for (name, frames) in [
            ("a35 fragment", raw(&fields, body)),
            (
                "a37 pseudo",
                trailers(
                    END_HEADERS | END_STREAM,
                    &[(":path", b"/x"), ("x-sum", b"1")],
                ),
            ),
        ] {
            let before = world.upstream.count();
            let end = end_of(&world, &frames).await;
            for one in &world.upstream.received()[before..] {
                assert_eq!(
                    (one.line.as_str(), &one.body[..], one.trailers.as_str()),
                    ("POST /refunds HTTP/1.1", body, ""),
                    "{name}: {end:?}"
                );
            }
        }
    });
}

#[test]
fn a36_floods_end_their_connection_and_take_no_memory() {
    test(async {
        let world = World::start().await;
        let before = world.gate.peak_memory();
        let head = block(&PLACE);
        let rapid: Vec<u8> = (0..20_000_u32)
            .flat_map(|at| {
                [
                    frame(HEADERS, END_HEADERS, 2 * at + 1, &head),
                    frame(RESET, 0, 2 * at + 1, &8_u32.to_be_bytes()),
                ]
                .concat()
            })
            .collect();
        let continued: Vec<u8> = std::iter::once(frame(HEADERS, 0, 1, &head))
            .chain((0..5_000).map(|_| frame(CONTINUATION, 0, 1, &block(&[("x", &[b'y'; 1000])]))))
            .flatten()
            .collect();
        let empty: Vec<u8> = std::iter::once(frame(HEADERS, END_HEADERS, 1, &head))
            .chain((0..200_000).map(|_| frame(DATA, 0, 1, b"")))
            .flatten()
            .collect();
        let pings: Vec<u8> = (0..200_000)
            .flat_map(|_| frame(PING, 0, 0, &[0; 8]))
            .collect();
        let settings: Vec<u8> = (0..200_000)
            .flat_map(|_| frame(SETTINGS, 0, 0, &[]))
            .collect();
        let bomb = {
            // One large entry in the table, and then it again and again.
            let mut first = vec![0x40, 1, b'x', 127, 0xa1, 0x1e];
            first.extend_from_slice(&[b'y'; 4000]);
            [
                frame(HEADERS, 0, 1, &block(&PLACE)),
                frame(
                    CONTINUATION,
                    END_HEADERS | END_STREAM,
                    1,
                    &[first, vec![0xbe; 16_000]].concat(),
                ),
            ]
            .concat()
        };
        for (name, flood, must_end) in [
            ("rapid reset", rapid, true),
            ("continuation", continued, true),
            ("empty data", empty, false),
            ("ping", pings, false),
            ("settings", settings, false),
            ("hpack bomb", bomb, false),
        ] {
            let mut stream = world.gate.agent().stream().await;
            // The gate's answers are not read: it must not keep them all.
            let sent = tokio::time::timeout(
                Duration::from_secs(6),
                stream.write_all(&[hello(), flood].concat()),
            )
            .await;
            if must_end {
                let mut rest = Vec::new();
                let ended = matches!(sent, Ok(Err(_)))
                    || tokio::time::timeout(Duration::from_secs(6), stream.read_to_end(&mut rest))
                        .await
                        .is_ok();
                assert!(ended, "{name}");
            }
            world.gate.agent().get("/shop/look/1").await.passed();
            let grown = world.gate.peak_memory().saturating_sub(before);
            assert!(grown < 64 * 1024 * 1024, "{name}: {grown}");
        }
        assert!(
            !String::from_utf8_lossy(&world.upstream.wire()).contains("POST"),
            "nothing of a flood was executed"
        );
    });
}

#[test]
fn a36_an_answer_that_its_client_does_not_take_holds_little() {
    test(async {
        let world = World::start().await;
        let large = "x".repeat(8 * 1024 * 1024);
        world
            .upstream
            .next(crate::harness::Reply::new(200, &[], &large));
        let mut stream = world.gate.agent().stream().await;
        // A window of 0 for every stream.
        let stall = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        let fields = [
            (":method", &b"GET"[..]),
            PLACE[1],
            PLACE[2],
            (":path", b"/shop/look/1"),
        ];
        let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields));
        let before = world.gate.peak_memory();
        stream
            .write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), stall, request].concat())
            .await
            .unwrap();
        world.upstream.arrives(1).await;
        for _ in 0..20 {
            world.gate.agent().get("/shop/look/2").await.passed();
        }
        assert!(world.gate.peak_memory() - before < 4 * 1024 * 1024);
    });
}
