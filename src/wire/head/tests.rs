//! Heads by the list of hostile inputs, and the same verdict however the bytes are cut.

use proptest::prelude::*;
use rstest::rstest;

use super::super::fields::MAX_METHOD;
use super::super::target::MAX_TARGET;
use super::*;
use crate::wire::framing::MAX_HEADERS;

const LIMITS: HeadLimits = HeadLimits {
    bytes: 1024,
    headers: 10,
};

/// What a connection's bytes led to, in offsets from its beginning.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    passed: Vec<u8>,
    refused: Option<(Malformed, bool)>,
    heads: Vec<HeadFacts>,
    end: Option<Malformed>,
}

/// Feeds pieces as an adapter would: holding back, handing on, stopping at a refusal.
fn feed<'a>(mut guard: Guard, pieces: impl IntoIterator<Item = &'a [u8]>) -> Verdict {
    let mut verdict = Verdict::default();
    let mut held = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        let fine = match guard.scan(&held) {
            Scan::Pass => held.len(),
            Scan::Hold { from } => from,
            Scan::Refuse {
                at,
                reason,
                in_body,
            } => {
                verdict.refused = Some((reason, in_body));
                at
            }
        };
        verdict.passed.extend(held.drain(..fine));
        verdict
            .heads
            .extend(std::iter::from_fn(|| guard.next_head()));
        if verdict.refused.is_some() {
            assert!(
                matches!(guard.scan(b"GET"), Scan::Refuse { at: 0, .. }),
                "a refusal is final"
            );
            break;
        }
    }
    verdict.end = guard.end().err();
    verdict
}

fn request(bytes: &[u8]) -> Verdict {
    let at_once = feed(Guard::request(LIMITS), [bytes]);
    assert_eq!(
        at_once,
        feed(Guard::request(LIMITS), bytes.chunks(1)),
        "byte by byte"
    );
    at_once
}

fn refusal(bytes: impl AsRef<[u8]>) -> Malformed {
    let verdict = request(bytes.as_ref());
    let (reason, in_body) = verdict
        .refused
        .unwrap_or_else(|| panic!("passed: {}", String::from_utf8_lossy(bytes.as_ref())));
    assert!(!in_body && verdict.passed.is_empty() && verdict.heads.is_empty());
    reason
}

fn with(headers: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: h\r\n{headers}\r\n\r\n")
}

#[test]
fn an_ordinary_request_passes_whole_and_is_reported() {
    let head = with(
        "Content-Type: application/json\r\nContent-Length:\t5 \r\nConnection: keep-alive\r\nExpect: 100-Continue\r\nX-Empty:\r\nX-Name: caf\u{e9}",
    );
    let verdict = request(format!("{head}hello").as_bytes());
    assert_eq!(verdict.passed.len(), head.len() + 5);
    assert_eq!(verdict.refused, None);
    assert_eq!(
        verdict.heads,
        [HeadFacts {
            bytes: head.len(),
            headers: 7,
            body: Framing::Length(5),
            expects_continue: true,
            upgrade: false
        }]
    );
    assert_eq!(verdict.end, None);
}

#[rstest]
#[case::a1(
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    Malformed::LengthAndTransferEncoding
)]
#[case::a2(
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    Malformed::LengthAndTransferEncoding
)]
#[case::a3(
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    Malformed::TransferEncoding
)]
#[case::a3_list("Transfer-Encoding: chunked, chunked", Malformed::TransferEncoding)]
#[case::a4_before("Transfer-Encoding: ,chunked", Malformed::TransferEncoding)]
#[case::a4_after("Transfer-Encoding: chunked,", Malformed::TransferEncoding)]
#[case::a5_x("Transfer-Encoding: xchunked", Malformed::TransferEncoding)]
#[case::a5_identity("Transfer-Encoding: identity", Malformed::TransferEncoding)]
#[case::a5_gzip("Transfer-Encoding: gzip, chunked", Malformed::TransferEncoding)]
#[case::a5_gzip_last("Transfer-Encoding: chunked, gzip", Malformed::TransferEncoding)]
#[case::a5_empty("Transfer-Encoding:", Malformed::TransferEncoding)]
#[case::a6_space("Transfer-Encoding : chunked", Malformed::FieldName)]
#[case::a6_vertical_tab("Transfer-Encoding:\x0bchunked", Malformed::FieldValue)]
#[case::a6_fold("Transfer-Encoding: chunked\r\n chunked", Malformed::FoldedLine)]
#[case::a8("Content-Length: 5\r\ncontent-length: 5", Malformed::LengthTwice)]
#[case::a8_other("Content-Length: 5\r\nContent-Length: 6", Malformed::LengthTwice)]
#[case::a8_list("Content-Length: 5, 5", Malformed::Length)]
#[case::a9_empty("Content-Length:", Malformed::Length)]
#[case::a9_sign("Content-Length: +5", Malformed::Length)]
#[case::a9_two_to_64("Content-Length: 18446744073709551616", Malformed::Length)]
#[case::a10("Content-Length: 007", Malformed::Length)]
#[case::a11_header("X: 1\nY: 2", Malformed::BareLineFeed)]
#[case::a12("X: a\rb", Malformed::BareCarriageReturn)]
#[case::a12_end("X: a\r", Malformed::BareCarriageReturn)]
#[case::a13("X: 1\r\n\tY: 2", Malformed::FoldedLine)]
#[case::a14_no_colon("X", Malformed::FieldName)]
#[case::a14_empty(": x", Malformed::FieldName)]
#[case::a14_space("X Y: x", Malformed::FieldName)]
#[case::a14_nul("X\0: x", Malformed::FieldName)]
#[case::a14_eight_bit("X\u{e9}: x", Malformed::FieldName)]
#[case::a14_parenthesis("X(: x", Malformed::FieldName)]
#[case::a15_nul("X: a\0b", Malformed::FieldValue)]
#[case::a15_ctl("X: a\x08b", Malformed::FieldValue)]
#[case::a15_del("X: \x7f", Malformed::FieldValue)]
#[case::a24("Expect: 200-ok", Malformed::Expectation)]
#[case::a24_twice("Expect: 100-continue\r\nExpect: 100-continue", Malformed::FieldTwice)]
#[case::a49_twice("Host: h", Malformed::HostTwice)]
#[case::a54(
    "Connection: close, Burngate-Workflow",
    Malformed::ConnectionNamesProtected
)]
#[case::s1(
    "X-Dry-Run: true\r\nConnection: X-Dry-Run",
    Malformed::ConnectionNamesField
)]
#[case::s1_before(
    "Connection: close, x-tenant\r\nX-Tenant: a",
    Malformed::ConnectionNamesField
)]
#[case::s1_second(
    "Connection: close\r\nConnection: accept\r\nAccept: a",
    Malformed::ConnectionNamesField
)]
#[case::a54_length("Connection: Content-Length", Malformed::ConnectionNamesProtected)]
#[case::a55_underscore("burngate_workflow: x", Malformed::FieldUnderscore)]
#[case::a55_length("Content_Length: 5", Malformed::FieldUnderscore)]
#[case::a55_twice(
    "Burngate-Workflow: a\r\nX: 1\r\nBURNGATE-WORKFLOW: a",
    Malformed::FieldTwice
)]
#[case::a56_content_type("Content-Type: a/b\r\nContent-Type: a/b", Malformed::FieldTwice)]
#[case::a56_content_encoding("Content-Encoding: a\r\nContent-Encoding: a", Malformed::FieldTwice)]
#[case::a56_authorization("Authorization: a\r\nauthorization: b", Malformed::FieldTwice)]
#[case::a56_session("Mcp-Session-Id: a\r\nmcp-session-id: b", Malformed::FieldTwice)]
#[case::a56_method("Mcp-Method: a\r\nMCP-METHOD: b", Malformed::FieldTwice)]
#[case::a56_key("Idempotency-Key: a\r\nIdempotency-Key: b", Malformed::FieldTwice)]
fn a1_to_a15_and_a54_to_a56_headers_are_beyond_doubt(
    #[case] headers: &str,
    #[case] reason: Malformed,
) {
    assert_eq!(refusal(with(headers)), reason);
}

/// What belongs to one hop may be named, present or not, and so may what is not there.
#[rstest]
#[case("Connection: keep-alive\r\nKeep-Alive: timeout=5")]
#[case("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk")]
#[case("Connection: TE, close\r\nTE: trailers")]
#[case("Connection: x-absent\r\nX-Absent-Too: 1")]
fn a54_what_a_hop_may_remove_passes(#[case] headers: &str) {
    assert_eq!(request(with(headers).as_bytes()).refused, None);
}

#[rstest]
#[case::a7(
    "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    Malformed::TransferEncodingBeforeHttp11
)]
#[case::a11_request_line("GET / HTTP/1.1\nHost: h\r\n\r\n", Malformed::BareLineFeed)]
#[case::a11_blank_line("GET / HTTP/1.1\r\nHost: h\r\n\n", Malformed::BareLineFeed)]
#[case::a12_request_line("GET /\r HTTP/1.1\r\nHost: h\r\n\r\n", Malformed::TargetControl)]
#[case::a13_first("GET / HTTP/1.1\r\n Host: h\r\n\r\n", Malformed::FoldedLine)]
#[case::a28_preface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Malformed::RequestLine)]
#[case::s12_quote("GET /?a=\" HTTP/1.1\r\nHost: h\r\n\r\n", Malformed::Target)]
#[case::s12_angles("GET /?a=<b> HTTP/1.1\r\nHost: h\r\n\r\n", Malformed::Target)]
#[case::a28_tls("\x16\x03\x01\x02\x00", Malformed::RequestLine)]
#[case::a28_ssh("SSH-2.0-OpenSSH_9.2\r\n", Malformed::RequestLine)]
#[case::a28_empty_line("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", Malformed::RequestLine)]
#[case::a29_0_9("GET /\r\n", Malformed::RequestLine)]
#[case::a29_1_2("GET / HTTP/1.2\r\nHost: h\r\n\r\n", Malformed::Version)]
#[case::a29_9_9("GET / HTTP/9.9\r\nHost: h\r\n\r\n", Malformed::Version)]
#[case::a29_lower("GET / http/1.1\r\nHost: h\r\n\r\n", Malformed::RequestLine)]
#[case::a29_trailing("GET / HTTP/1.1 \r\nHost: h\r\n\r\n", Malformed::RequestLine)]
#[case::a30_lower("get / HTTP/1.1\r\n", Malformed::MethodUnknown)]
#[case::a30_mixed("GeT / HTTP/1.1\r\n", Malformed::MethodUnknown)]
#[case::a30_token("G=\":< / HTTP/1.1\r\n", Malformed::RequestLine)]
#[case::a30_connect("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", Malformed::MethodForbidden)]
#[case::a30_trace("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", Malformed::MethodForbidden)]
#[case::a44("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", Malformed::TargetControl)]
#[case::a45("GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n", Malformed::Target)]
#[case::a47("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", Malformed::TargetFragment)]
#[case::a48(
    "GET http://other/x HTTP/1.1\r\nHost: h\r\n\r\n",
    Malformed::HostMismatch
)]
#[case::a48_user("GET http://u@h/x HTTP/1.1\r\nHost: h\r\n\r\n", Malformed::HostSyntax)]
#[case::a48_scheme("GET ftp://h/x HTTP/1.1\r\nHost: h\r\n\r\n", Malformed::Target)]
#[case::a48_authority("GET h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", Malformed::Target)]
#[case::a49_missing("GET / HTTP/1.1\r\n\r\n", Malformed::HostMissing)]
#[case::a49_old("GET / HTTP/1.0\r\n\r\n", Malformed::HostMissing)]
#[case::a49_empty("GET / HTTP/1.1\r\nHost: \r\n\r\n", Malformed::HostSyntax)]
#[case::a49_list("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", Malformed::HostSyntax)]
#[case::a49_user("GET / HTTP/1.1\r\nHost: user@h\r\n\r\n", Malformed::HostSyntax)]
#[case::a52("GET * HTTP/1.1\r\nHost: h\r\n\r\n", Malformed::Target)]
fn a7_to_a52_first_lines_and_hosts_are_beyond_doubt(
    #[case] bytes: &str,
    #[case] reason: Malformed,
) {
    assert_eq!(refusal(bytes), reason);
}

#[rstest]
#[case("GET / HTTP/1.0\r\nHost: h\r\n\r\n")]
#[case("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")]
#[case("GET http://H:80/x?y HTTP/1.1\r\nHost: h:80\r\n\r\n")]
#[case("GET HTTPS://h HTTP/1.1\r\nX: 1\r\nHost:\t h \t\r\n\r\n")]
#[case(
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\tChunked\r\n\r\n5;a\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
)]
#[case(
    "DELETE / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nX_Ticket: 1\r\nCookie: a\r\nCookie: b\r\n\r\n{}"
)]
fn what_is_unusual_but_clear_passes(#[case] bytes: &str) {
    let verdict = request(bytes.as_bytes());
    assert_eq!(
        (
            verdict.passed.len(),
            verdict.refused,
            verdict.end,
            verdict.heads.len()
        ),
        (bytes.len(), None, None, 1)
    );
}

#[test]
fn a16_to_a19_a_bad_chunk_stops_the_body_where_it_begins() {
    let head = with("Transfer-Encoding: chunked");
    for (bad, reason) in [
        ("0x5\r\n", Malformed::ChunkSize),
        ("5;\r\n", Malformed::ChunkExtension),
        ("0\r\nHost: x\r\n", Malformed::TrailerForbidden),
        ("1\r\nxy\r\n", Malformed::ChunkEnd),
    ] {
        let verdict = request(format!("{head}3\r\nabc\r\n{bad}").as_bytes());
        assert_eq!(verdict.refused, Some((reason, true)), "{bad:?}");
        assert!(
            verdict
                .passed
                .starts_with(format!("{head}3\r\nabc\r\n").as_bytes())
        );
        assert!(!verdict.passed.ends_with(b"0\r\n\r\n"));
    }
}

#[test]
fn a21_each_pipelined_request_is_judged_on_its_own() {
    let first = format!("{}hello", with("Content-Length: 5"));
    let second = format!("{}0\r\n\r\n", with("Transfer-Encoding: chunked"));
    let third = with("Content-Length: 1\r\nTransfer-Encoding: chunked");
    let verdict = request(format!("{first}{second}{third}").as_bytes());
    assert_eq!(verdict.passed, format!("{first}{second}").as_bytes());
    assert_eq!(
        verdict.refused,
        Some((Malformed::LengthAndTransferEncoding, false))
    );
    assert_eq!(
        verdict
            .heads
            .iter()
            .map(|head| head.body)
            .collect::<Vec<_>>(),
        [Framing::Length(5), Framing::Chunked]
    );
}

#[test]
fn a21_heads_read_ahead_are_bounded() {
    let one = with("X: 1");
    let mut guard = Guard::request(LIMITS);
    assert_eq!(
        guard.scan(one.repeat(MAX_WAITING_HEADS).as_bytes()),
        Scan::Pass
    );
    assert_eq!(
        guard.scan(one.as_bytes()),
        Scan::Refuse {
            at: 0,
            reason: Malformed::Pipelined,
            in_body: false
        }
    );
}

#[test]
fn a_head_waits_until_it_is_asked_for() {
    let mut guard = Guard::request(LIMITS);
    assert!(!guard.has_waiting());
    assert_eq!(guard.scan(with("X: 1").as_bytes()), Scan::Pass);
    assert!(guard.has_waiting());
    assert!(guard.next_head().is_some());
    assert!(!guard.has_waiting() && guard.next_head().is_none());
}

#[test]
fn a22_an_early_end_is_seen() {
    assert_eq!(request(b"").end, None);
    assert_eq!(request(b"GET / HT").end, Some(Malformed::HeadIncomplete));
    assert_eq!(
        request(format!("{}hell", with("Content-Length: 5")).as_bytes()).end,
        Some(Malformed::BodyIncomplete)
    );
    assert_eq!(
        request(format!("{}0\r\n", with("Transfer-Encoding: chunked")).as_bytes()).end,
        Some(Malformed::BodyIncomplete)
    );
}

#[test]
fn a25_bytes_behind_an_upgrade_are_read_as_http() {
    let head = with("Connection: upgrade\r\nUpgrade: websocket");
    let verdict = request(format!("{head}\x01\x02").as_bytes());
    assert!(verdict.heads[0].upgrade);
    assert_eq!(
        (verdict.passed.len(), verdict.refused),
        (head.len(), Some((Malformed::RequestLine, false)))
    );
}

#[test]
fn a30_a_method_is_bounded() {
    assert_eq!(request("A".repeat(MAX_METHOD).as_bytes()).refused, None);
    assert_eq!(
        refusal("A".repeat(MAX_METHOD + 1)),
        Malformed::MethodUnknown
    );
}

#[test]
fn a_head_is_bounded() {
    let head = |bytes: usize| with(&format!("X: {}", "x".repeat(bytes - with("X: ").len())));
    assert_eq!(request(head(LIMITS.bytes).as_bytes()).refused, None);
    assert_eq!(refusal(head(LIMITS.bytes + 1)), Malformed::HeadTooLarge);
    assert_eq!(refusal(head(LIMITS.bytes * 3)), Malformed::HeadTooLarge);
    // One that has not ended yet may be as long, and no longer.
    let more = head(LIMITS.bytes + 1);
    let mut guard = Guard::request(LIMITS);
    assert_eq!(
        guard.scan(&more.as_bytes()[..LIMITS.bytes]),
        Scan::Hold { from: 0 }
    );
    assert!(matches!(
        guard.scan(more.as_bytes()),
        Scan::Refuse {
            reason: Malformed::HeadTooLarge,
            ..
        }
    ));
    let fields = |count: usize| with(&vec!["X: 1"; count - 1].join("\r\n"));
    assert_eq!(request(fields(LIMITS.headers).as_bytes()).refused, None);
    assert_eq!(
        refusal(fields(LIMITS.headers + 1)),
        Malformed::TooManyFields
    );
    let default =
        |count: usize| Guard::request(HeadLimits::default()).scan(fields(count).as_bytes());
    assert_eq!(default(MAX_HEADERS), Scan::Pass);
    assert!(matches!(default(MAX_HEADERS + 1), Scan::Refuse { .. }));
    let mut guard = Guard::request(HeadLimits::default());
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: h\r\n\r\n",
        "a".repeat(MAX_TARGET)
    );
    assert_eq!(
        guard.scan(long.as_bytes()),
        Scan::Refuse {
            at: 0,
            reason: Malformed::TargetTooLong,
            in_body: false
        }
    );
}

fn response(to_head: bool, bytes: &[u8]) -> Verdict {
    let guard = || {
        let mut guard = Guard::response(LIMITS);
        guard.expect_response(to_head);
        guard
    };
    let at_once = feed(guard(), [bytes]);
    assert_eq!(at_once, feed(guard(), bytes.chunks(1)), "byte by byte");
    at_once
}

#[rstest]
#[case("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", None)]
#[case(
    "HTTP/1.1 200\r\nServer: x\r\nContent-Type: a\r\nContent-Type: b\r\n\r\nuntil the end",
    None
)]
#[case("HTTP/1.0 500 \r\n\r\nuntil the end", None)]
#[case(
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    None
)]
#[case("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", None)]
#[case(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    None
)]
#[case(
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    Some(Malformed::LengthAndTransferEncoding)
)]
#[case(
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
    Some(Malformed::LengthTwice)
)]
#[case(
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    Some(Malformed::TransferEncodingBeforeHttp11)
)]
#[case(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    Some(Malformed::TransferEncoding)
)]
#[case(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n",
    Some(Malformed::ChunkSize)
)]
#[case(
    "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}",
    Some(Malformed::BodyNotAllowed)
)]
#[case("HTTP/1.1 204 No Content\r\n\r\n{}", Some(Malformed::Unsolicited))]
#[case("HTTP/1.1 304 Not Modified\r\n\r\nx", Some(Malformed::Unsolicited))]
#[case(
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    Some(Malformed::Unsolicited)
)]
#[case(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    Some(Malformed::SwitchingProtocols)
)]
#[case(
    "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n",
    Some(Malformed::BodyNotAllowed)
)]
#[case("HTTP/2.0 200 OK\r\n\r\n", Some(Malformed::StatusLine))]
#[case("HTTP/1.1 20 OK\r\n\r\n", Some(Malformed::StatusLine))]
#[case("HTTP/1.1 2000 OK\r\n\r\n", Some(Malformed::StatusLine))]
#[case("HTTP/1.1 099 OK\r\n\r\n", Some(Malformed::StatusLine))]
#[case("HTTP/1.1 200 OK\0\r\n\r\n", Some(Malformed::FieldValue))]
#[case("HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n", Some(Malformed::BareLineFeed))]
#[case("SSH-2.0", Some(Malformed::StatusLine))]
fn a26_an_upstream_frames_beyond_doubt_too(#[case] bytes: &str, #[case] reason: Option<Malformed>) {
    assert_eq!(
        response(false, bytes.as_bytes())
            .refused
            .map(|(reason, _)| reason),
        reason
    );
}

#[test]
fn a26_an_answer_to_head_has_no_body() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(response(true, head.as_bytes()).refused, None);
    assert_eq!(
        response(true, format!("{head}hello").as_bytes()).refused,
        Some((Malformed::Unsolicited, false))
    );
}

#[test]
fn a26_interim_responses_and_heads_are_bounded() {
    let flood = |count: usize| {
        format!(
            "{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n".repeat(count)
        )
    };
    assert_eq!(
        response(false, flood(MAX_INFORMATIONAL).as_bytes()).refused,
        None
    );
    assert_eq!(
        response(false, flood(MAX_INFORMATIONAL + 1).as_bytes()).refused,
        Some((Malformed::Informational, false))
    );
    let bomb = format!(
        "HTTP/1.1 200 OK\r\n{}\r\n",
        "X: 1\r\n".repeat(LIMITS.headers + 1)
    );
    assert_eq!(
        response(false, bomb.as_bytes()).refused,
        Some((Malformed::TooManyFields, false))
    );
}

#[test]
fn a26_a_connection_is_used_again_for_the_next_answer() {
    let mut guard = Guard::response(LIMITS);
    for _ in 0..3 {
        guard.expect_response(false);
        assert_eq!(
            guard.scan(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
            Scan::Pass
        );
        assert_eq!(guard.end(), Ok(()));
    }
}

/// Bytes that are nearly requests: pieces of good and bad ones, in any order.
fn connection() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"POST /a HTTP/1.1\r\nHost: h\r\n",
        b"GET http://h/ HTTP/1.1\r\n",
        b"Host: h\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Burngate-Run: r\r\n",
        b"X: 1\r\n",
        b"\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello",
        b"0;a=b\r\n\r\n",
        b"X-Sum: 1\r\n",
        b"\n",
        b"\r",
        b" ",
        b"GET",
    ];
    let pieces = pieces
        .iter()
        .map(|piece| piece.to_vec())
        .collect::<Vec<_>>();
    let piece = prop_oneof![8 => proptest::sample::select(pieces), 1 => proptest::collection::vec(any::<u8>(), 0..4), 1 => (1_usize..1200).prop_map(|n| vec![b'a'; n])];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_verdict_does_not_depend_on_how_bytes_are_cut(bytes in connection(), cuts in proptest::collection::vec(1_usize..40, 1..20)) {
        let at_once = feed(Guard::request(LIMITS), [bytes.as_slice()]);
        let mut rest = bytes.as_slice();
        let pieces: Vec<&[u8]> = cuts.iter().cycle().map_while(|&cut| {
            let (piece, after) = rest.split_at_checked(cut).unwrap_or((rest, &[]));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        }).collect();
        prop_assert_eq!(&at_once, &feed(Guard::request(LIMITS), pieces));
        prop_assert_eq!(&at_once, &feed(Guard::request(LIMITS), bytes.chunks(1)));
        prop_assert!(bytes.starts_with(&at_once.passed));
    }

    #[test]
    fn the_verdict_on_a_response_does_not_depend_on_how_bytes_are_cut(bytes in connection(), to_head in any::<bool>()) {
        response(to_head, &[b"HTTP/1.1 200 OK\r\n".as_slice(), &bytes].concat());
    }
}
