//! What is allowed passes untouched, both ways, and what an upstream does to an answer is told as
//! it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{
    Agent, Answer, Reply, ScriptedUpstream, TestGate, agent, eventually, pattern, policies, test,
};

async fn shop() -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(""))
        .start();
    (upstream, gate)
}

/// Every byte there is.
fn every_byte() -> Vec<u8> {
    (0..=255_u8).rev().chain(0..=255).collect()
}

#[rstest]
#[case::http1(false)]
#[case::http2(true)]
fn a_call_and_its_answer_pass_byte_for_byte(#[case] two: bool) {
    test(async {
        let (upstream, gate) = shop().await;
        let agent = if two {
            gate.agent().http2()
        } else {
            gate.agent()
        };
        upstream.next(Reply::new(
            201,
            &[
                ("Content-Type", "application/x-own"),
                ("Set-Cookie", "a=1"),
                ("Set-Cookie", "b=2"),
                ("X-Odd", "  caf\u{e9}, \"x\""),
            ],
            every_byte(),
        ));
        let request = agent
            .request("PUT", "/shop/put/a%20b?x=1&x=2&y=%41")
            .header("content-type", "application/octet-stream")
            .header("x-own", "one");
        let request = request
            .header("x-own", "two")
            .header("authorization", "Bearer of-the-upstream")
            .body(agent::full(every_byte()))
            .unwrap();
        let answer = agent.send(request).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..]),
            (201, &every_byte()[..])
        );
        assert_eq!(answer.header("content-type"), Some("application/x-own"));
        assert_eq!(
            answer
                .headers
                .get_all("set-cookie")
                .iter()
                .collect::<Vec<_>>(),
            ["a=1", "b=2"]
        );
        assert_eq!(
            answer.headers["x-odd"].as_bytes(),
            "caf\u{e9}, \"x\"".as_bytes()
        );
        let received = upstream.only();
        assert_eq!(received.line, "PUT /put/a%20b?x=1&x=2&y=%41 HTTP/1.1");
        assert_eq!(
            (&received.body, received.all("x-own")),
            (&every_byte(), vec!["one", "two"])
        );
        assert_eq!(
            received.header("authorization"),
            Some("Bearer of-the-upstream")
        );
    });
}

#[rstest]
#[case::http1(false)]
#[case::http2(true)]
fn a_chunked_body_passes_both_ways_and_trailers_come_back(#[case] two: bool) {
    test(async {
        let (upstream, gate) = shop().await;
        upstream.next(Reply::chunked(
            &[("trailer", "x-sum")],
            &[b"first ", b"second"],
            &[("x-sum", "12")],
        ));
        let agent = if two {
            gate.agent().http2()
        } else {
            gate.agent()
        };
        let (send, body) = agent::pieces();
        let request = agent
            .request("PUT", "/shop/put/1")
            .header("te", "trailers")
            .body(body)
            .unwrap();
        let write = async move {
            for piece in ["alpha ", "beta ", "gamma"] {
                send.send(Frame::data(Bytes::from(piece))).await.unwrap();
            }
        };
        let (answer, ()) = tokio::join!(agent.send(request), write);
        assert_eq!(&answer.passed().body[..], b"first second");
        assert_eq!(answer.trailers.unwrap()["x-sum"], "12");
        let received = upstream.only();
        assert_eq!(
            (&received.body[..], received.trailers.as_str()),
            (&b"alpha beta gamma"[..], "")
        );
        assert_eq!(received.header("te"), None);
    });
}

#[test]
fn answers_without_a_body_keep_their_heads() {
    test(async {
        let (upstream, gate) = shop().await;
        upstream.always(|received| match received.method.as_str() {
            "HEAD" => {
                Reply::bytes(*b"HTTP/1.1 200 OK\r\ncontent-length: 12345\r\netag: \"e\"\r\n\r\n")
            }
            _ => Reply::bytes(*b"HTTP/1.1 204 No Content\r\netag: \"e\"\r\n\r\n"),
        });
        gate.write_policy(
            "shop.yaml",
            policies::shop(&upstream.url()).replace("GET /look/{id}", "HEAD /look/{id}"),
        );
        let mut line = gate.agent().line().await;
        let gone = line.call("PUT", "/shop/put/1", None).await;
        assert_eq!(
            (
                gone.status.as_u16(),
                gone.header("content-length"),
                gone.header("etag"),
                gone.body.len()
            ),
            (204, None, Some("\"e\""), 0)
        );
        let head = eventually("the reload", || async {
            let head = gate.agent().call("HEAD", "/shop/look/1", None).await;
            head.status.is_success().then_some(head)
        });
        let head = head.await;
        assert_eq!(
            (
                head.header("content-length"),
                head.header("etag"),
                head.body.len()
            ),
            (Some("12345"), Some("\"e\""), 0)
        );
    });
}

const LARGE: u64 = 200 << 20;
/// Far below [`LARGE`], and far above what a gate needs.
const FLAT: u64 = 96 << 20;

#[test]
fn a_large_download_streams_through_and_is_never_held() {
    test(async {
        let (upstream, gate) = shop().await;
        let (send, reply) = Reply::pieces();
        upstream.next(reply);
        let write = async move {
            send.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n").into())
                .await
                .unwrap();
            let mut sent = 0;
            while sent < LARGE {
                let piece = pattern::piece(sent, LARGE - sent);
                sent += piece.len() as u64;
                send.send(piece).await.unwrap();
            }
        };
        let agent = gate.agent();
        let read = async {
            let mut body = agent
                .open(
                    agent
                        .request("GET", "/shop/look/1")
                        .body(agent::empty())
                        .unwrap(),
                )
                .await
                .into_body();
            let mut seen = 0;
            while let Some(frame) = body.frame().await {
                let piece = frame.unwrap().into_data().unwrap();
                assert!(pattern::is(seen, &piece), "another byte after {seen}");
                seen += piece.len() as u64;
            }
            seen
        };
        let ((), seen) = tokio::join!(write, read);
        assert_eq!(seen, LARGE);
        assert!(gate.peak_memory() < FLAT, "{}", gate.peak_memory());
    });
}

#[test]
fn a_large_upload_streams_through_and_is_never_held() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let shop = policies::shop(&upstream.url())
            .replace("idempotent: true", "idempotent: true, size: 200MiB");
        let gate = TestGate::builder()
            .policy("shop.yaml", shop)
            .policy("desk.yaml", policies::desk(""))
            .start();
        let agent = gate.agent();
        let (send, body) = agent::pieces();
        let write = async {
            let mut sent = 0;
            while sent < LARGE {
                let piece = pattern::piece(sent, LARGE - sent);
                sent += piece.len() as u64;
                send.send(Frame::data(piece)).await.unwrap();
                if sent > 1 << 20 && sent < (1 << 20) + 70_000 {
                    // The upstream sees what was sent while the rest is not there yet.
                    upstream.has(1 << 20).await;
                }
            }
            drop(send);
        };
        let request = agent
            .request("PUT", "/shop/put/1")
            .header("content-length", LARGE)
            .body(body)
            .unwrap();
        let (answer, ()) = tokio::join!(agent.send(request), write);
        answer.passed();
        let received = upstream.only();
        assert_eq!(
            (
                received.length,
                received.patterned,
                received.header("content-length")
            ),
            (LARGE, true, Some("209715200"))
        );
        assert!(gate.peak_memory() < FLAT, "{}", gate.peak_memory());
    });
}

#[test]
fn an_event_is_seen_before_the_stream_ends() {
    test(async {
        let (upstream, gate) = shop().await;
        let (send, reply) = Reply::pieces();
        upstream.next(reply);
        let agent = gate.agent();
        send.send(Bytes::from("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")).await.unwrap();
        let answer = agent
            .open(
                agent
                    .request("GET", "/shop/look/1")
                    .body(agent::empty())
                    .unwrap(),
            )
            .await;
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut body = answer.into_body();
        for event in ["data: 1\n\n", "data: 2\n\n"] {
            send.send(format!("{:x}\r\n{event}\r\n", event.len()).into())
                .await
                .unwrap();
            assert_eq!(
                body.frame().await.unwrap().unwrap().into_data().unwrap(),
                event
            );
        }
        send.send(Bytes::from("0\r\n\r\n")).await.unwrap();
        assert!(body.frame().await.is_none());
    });
}

#[test]
fn hosts_and_routes_lead_to_their_apis_and_paths_below_a_host_stay() {
    test(async {
        let (by_host, by_route, base) = (
            ScriptedUpstream::start().await,
            ScriptedUpstream::start().await,
            ScriptedUpstream::start().await,
        );
        let gate = TestGate::builder()
            .policy("a.yaml", format!("api: a\nupstream: {}\nhosts: [tools.internal]\ntools: [{{ tool: t, match: 'GET /x/y', risk: read }}]\n", by_host.url()))
            .policy("b.yaml", format!("api: b\nupstream: {}\nroute: /x\ntools: [{{ tool: t, match: GET /y, risk: read }}]\n", by_route.url()))
            .policy("c.yaml", format!("api: c\nupstream: {}/v2\nroute: /deep\ntools: [{{ tool: t, match: GET /y, risk: read }}]\n", base.url()))
            .policy("w.yaml", "workflow: w\nrisk: low\ntools: [a/t, b/t, c/t]\n")
            .start();
        let get = |host: &str, path: &str| {
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").into_bytes()
        };
        for (host, path) in [
            ("tools.internal", "/x/y"),
            ("TOOLS.internal:80", "/x/y"),
            ("other", "/x/y"),
            ("other", "/deep/y"),
        ] {
            let answer = gate.agent().raw(&get(host, path)).await;
            assert!(
                answer.starts_with(b"HTTP/1.1 200 "),
                "{host} {path}: {}",
                String::from_utf8_lossy(&answer)
            );
        }
        assert_eq!(
            by_host
                .received()
                .iter()
                .map(|one| one.target.as_str())
                .collect::<Vec<_>>(),
            ["/x/y", "/x/y"]
        );
        assert_eq!(
            (by_route.only().target.as_str(), base.only().target.as_str()),
            ("/y", "/v2/y")
        );
        assert_eq!(
            by_route.only().header("host"),
            Some(by_route.address().to_string().as_str())
        );
        let nowhere = gate.agent().get("/elsewhere").await;
        nowhere.refused(403, "unlisted");
    });
}

#[test]
fn a_host_that_no_api_has_is_misdirected_where_all_apis_go_by_host() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let gate = TestGate::builder()
            .policy("a.yaml", format!("api: a\nupstream: {}\nhosts: [tools.internal]\ntools: [{{ tool: t, match: GET /x, risk: read }}]\n", upstream.url()))
            .policy("w.yaml", "workflow: w\nrisk: low\ntools: [a/t]\n")
            .start();
        gate.agent().get("/x").await.refused(421, "malformed");
        upstream.untouched();
    });
}

#[test]
fn a_location_that_names_the_upstream_comes_back_on_the_gate() {
    test(async {
        let (upstream, gate) = shop().await;
        let there = upstream.url();
        let here = format!("http://{}", gate.listen());
        let cases = [
            (
                format!("{there}/orders/1?a=b"),
                format!("{here}/shop/orders/1?a=b"),
            ),
            ("/orders/1".to_owned(), "/shop/orders/1".to_owned()),
            (
                "https://elsewhere.example/x".to_owned(),
                "https://elsewhere.example/x".to_owned(),
            ),
        ];
        for (location, expected) in cases {
            upstream.next(Reply::new(303, &[("Location", &location)], ""));
            let answer = gate.agent().get("/shop/look/1").await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("location")),
                (303, Some(expected.as_str()))
            );
        }
    });
}

#[test]
fn what_belongs_to_one_hop_or_to_the_gate_never_crosses_it() {
    test(async {
        let (upstream, gate) = shop().await;
        let reply = [
            ("Burngate-Verdict", "deny"),
            ("Burngate-Call", "forged"),
            ("Burngate-Other", "forged"),
            ("Connection", "x-hop"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Authenticate", "Basic"),
            ("X-Stays", "1"),
        ];
        upstream.next(Reply::new(200, &reply, ""));
        let agent = gate
            .agent()
            .run("r-1")
            .workflow("desk")
            .with("burngate-anything", "x")
            .with("connection", "keep-alive")
            .with("keep-alive", "timeout=5");
        let agent = agent
            .with("proxy-authorization", "Basic x")
            .with("x-forwarded-for", "6.6.6.6")
            .with("forwarded", "for=6.6.6.6")
            .with("x-real-ip", "6.6.6.6");
        let agent = agent.with("x-forwarded-host", "evil").with("x-stays", "1");
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let answer = agent.with("traceparent", trace).get("/shop/look/1").await;
        answer.passed();
        for gone in [
            "burngate-other",
            "x-hop",
            "keep-alive",
            "proxy-authenticate",
        ] {
            assert_eq!(answer.header(gone), None, "{gone}");
        }
        assert_eq!(
            answer
                .headers
                .get_all("burngate-verdict")
                .iter()
                .collect::<Vec<_>>(),
            ["allow"]
        );
        assert_ne!(answer.call(), "forged");
        assert_eq!(
            answer.header("burngate-budget"),
            Some("posture=healthy; level=standard; remaining=1")
        );
        assert_eq!(answer.header("x-stays"), Some("1"));
        let received = upstream.only();
        assert!(
            !received
                .headers
                .iter()
                .any(|(name, _)| name.to_lowercase().starts_with("burngate")),
            "{received:?}"
        );
        for gone in [
            "keep-alive",
            "proxy-authorization",
            "forwarded",
            "x-real-ip",
        ] {
            assert_eq!(received.header(gone), None, "{gone}");
        }
        assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(
            received.header("x-forwarded-host"),
            Some(gate.listen().to_string().as_str())
        );
        assert_eq!(received.header("x-forwarded-proto"), Some("http"));
        assert_eq!(
            (received.header("traceparent"), received.header("x-stays")),
            (Some(trace), Some("1"))
        );
    });
}

#[test]
fn a_call_without_a_trace_gets_one() {
    test(async {
        let (upstream, gate) = shop().await;
        gate.agent().get("/shop/look/1").await.passed();
        let received = upstream.only();
        let parts: Vec<&str> = received.header("traceparent").unwrap().split('-').collect();
        assert_eq!(
            parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
            [2, 32, 16, 2]
        );
    });
}

/// What an upstream can do instead of answering, and what it must come to.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Refused,
    Reset,
    Closed,
    Hangs,
    Garbage,
    TwoLengths,
}

#[rstest]
#[case(Fault::Refused, 502, "upstream-unreachable", json!(false), "tool_error")]
#[case(Fault::Reset, 502, "ambiguous", json!("unknown"), "timeout")]
#[case(Fault::Closed, 502, "ambiguous", json!("unknown"), "timeout")]
#[case(Fault::Hangs, 504, "upstream-timeout", json!("unknown"), "timeout")]
#[case(Fault::Garbage, 502, "upstream-malformed", json!("unknown"), "timeout")]
#[case(Fault::TwoLengths, 502, "upstream-malformed", json!("unknown"), "timeout")]
fn an_upstream_that_fails_is_told_as_what_it_is_and_booked_once(
    #[case] fault: Fault,
    #[case] status: u16,
    #[case] slug: &str,
    #[case] executed: serde_json::Value,
    #[case] mode: &str,
) {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let url = if let Fault::Refused = fault {
            "http://127.0.0.1:1".to_owned()
        } else {
            upstream.url()
        };
        let gate = TestGate::builder()
            .policy(
                "shop.yaml",
                policies::shop(&url).replace("timeout: 3s", "timeout: 1s"),
            )
            .policy("desk.yaml", policies::desk(""))
            .start();
        upstream.next(match fault {
            Fault::Refused | Fault::Reset => Reply::reset(),
            Fault::Closed => Reply::close(),
            Fault::Hangs => Reply::hang(),
            Fault::Garbage => Reply::garbage(),
            Fault::TwoLengths => Reply::bytes(
                *b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
            ),
        });
        let answer = gate
            .agent()
            .post("/shop/change", &json!({ "order": "A-1" }))
            .await;
        let problem = answer.refused(status, slug);
        assert_eq!(problem["executed"], executed);
        assert_eq!(
            problem["detail"]
                .as_str()
                .unwrap()
                .starts_with("NOT EXECUTED"),
            executed == json!(false),
            "{problem}"
        );
        assert_eq!(
            (problem["tool"].as_str(), problem["workflow"].as_str()),
            (Some("shop/change"), Some("desk"))
        );
        let run = gate.operator().run_of(answer.call()).await;
        assert_eq!(run["modes"], json!([mode]), "{run}");
        // What never left the gate counts for nothing; what may have been done counts against the
        // budget.
        assert_eq!(
            (&run["counted"], run["outcome"] == "unacceptable"),
            (&json!(mode == "timeout"), mode == "timeout"),
            "{run}"
        );
        assert!(
            upstream.count() < 2,
            "sent again: {:?}",
            upstream.received()
        );
    });
}

#[rstest]
#[case::half(Reply::bytes(*b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").closing(), "timeout")]
#[case::silent(Reply::bytes(*b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").hanging(), "timeout")]
#[case::reset(Reply::bytes(*b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").resetting(), "timeout")]
#[case::bad_chunk(Reply::bytes(*b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalfX\r\n"), "timeout")]
fn an_answer_that_breaks_off_is_never_completed_and_counts(
    #[case] reply: Reply,
    #[case] mode: &str,
) {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let gate = TestGate::builder()
            .policy(
                "shop.yaml",
                policies::shop(&upstream.url()).replace("timeout: 3s", "timeout: 1s"),
            )
            .policy("desk.yaml", policies::desk(""))
            .start();
        upstream.next(reply);
        let agent = gate.agent();
        let request = agent
            .request("POST", "/shop/change")
            .header("content-type", "application/json")
            .body(agent::full("{\"order\":\"A-1\"}"))
            .unwrap();
        // Where it broke off at once, not even the head may have come.
        if let Ok(answer) = agent.line().await.open(request).await {
            assert!(Answer::try_read(answer).await.is_err());
        }
        let run = gate.operator().only_run("desk").await;
        assert_eq!(
            (&run["modes"], &run["outcome"]),
            (&json!([mode]), &json!("unacceptable")),
            "{run}"
        );
    });
}

#[test]
fn a_server_error_passes_untouched_and_is_a_tool_error() {
    test(async {
        let (upstream, gate) = shop().await;
        upstream.next(Reply::new(
            503,
            &[("content-type", "text/plain"), ("retry-after", "7")],
            "sorry",
        ));
        let answer = gate
            .agent()
            .post("/shop/change", &json!({ "order": "A-1" }))
            .await;
        assert_eq!(
            (
                answer.status.as_u16(),
                &answer.body[..],
                answer.header("retry-after")
            ),
            (503, &b"sorry"[..], Some("7"))
        );
        let run = gate.operator().run_of(answer.call()).await;
        assert_eq!(
            (&run["modes"], &run["outcome"]),
            (&json!(["tool_error"]), &json!("acceptable")),
            "{run}"
        );
    });
}

#[test]
fn each_call_of_a_connection_is_a_call_of_its_own_and_upstream_connections_are_used_again() {
    test(async {
        let (upstream, gate) = shop().await;
        let mut line = gate.agent().line().await;
        let mut calls = std::collections::BTreeSet::new();
        for id in 0..5 {
            calls.insert(
                line.call("GET", &format!("/shop/look/{id}"), None)
                    .await
                    .passed()
                    .call()
                    .to_owned(),
            );
        }
        assert_eq!(
            (calls.len(), upstream.count(), upstream.connections()),
            (5, 5, 1)
        );
    });
}

#[test]
fn a_pooled_connection_that_died_is_not_the_agents_trouble() {
    test(async {
        let (upstream, gate) = shop().await;
        let agent: Agent = gate.agent();
        upstream.next(Reply::json(200, &json!(1)).closing());
        agent.get("/shop/look/1").await.passed();
        for id in 2..5 {
            agent
                .post("/shop/change", &json!({ "order": id.to_string() }))
                .await
                .passed();
        }
        assert_eq!(upstream.count(), 4);
    });
}

/// A server for `localhost` that only whoever has the certificate trusts.
fn tls() -> (rustls::ServerConfig, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let config = config
        .with_single_cert(
            vec![made.cert.der().clone()],
            made.signing_key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    (config, made.cert.pem())
}

#[test]
fn an_upstream_whose_certificate_nobody_vouches_for_gets_nothing() {
    test(async {
        let upstream = ScriptedUpstream::start_tls(tls().0).await;
        let gate = TestGate::builder()
            .policy(
                "shop.yaml",
                policies::shop(&format!("https://localhost:{}", upstream.address().port())),
            )
            .policy("desk.yaml", policies::desk(""))
            .start();
        let problem = gate
            .agent()
            .get("/shop/look/1")
            .await
            .refused(502, "upstream-unreachable");
        assert_eq!(problem["executed"], false);
        assert_eq!(upstream.count(), 0);
    });
}

#[test]
fn an_upstream_that_this_machine_trusts_is_reached_over_tls() {
    test(async {
        let (config, pem) = tls();
        let upstream = ScriptedUpstream::start_tls(config).await;
        let trusted = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(trusted.path(), pem).unwrap();
        let gate = TestGate::builder()
            .policy(
                "shop.yaml",
                policies::shop(&format!("https://localhost:{}", upstream.address().port())),
            )
            .policy("desk.yaml", policies::desk(""))
            .variable("SSL_CERT_FILE", trusted.path().to_str().unwrap())
            .start();
        gate.agent().get("/shop/look/1").await.passed();
        assert_eq!(
            upstream.only().header("host"),
            Some(format!("localhost:{}", upstream.address().port()).as_str())
        );
    });
}

/// Completes the TLS handshake of one connection and says goodbye in the same flight, so that the
/// connection is over before anything can be sent on it.
async fn shake_hands_and_close(mut stream: TcpStream, config: Arc<rustls::ServerConfig>) {
    let mut tls = rustls::ServerConnection::new(config).unwrap();
    let mut said_goodbye = false;
    loop {
        let mut out = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut out).unwrap();
        }
        if stream.write_all(&out).await.is_err() {
            return;
        }
        let mut some = vec![0; 16 * 1024];
        let Ok(count @ 1..) = stream.read(&mut some).await else {
            return;
        };
        tls.read_tls(&mut &some[..count]).unwrap();
        if tls.process_new_packets().is_err() {
            return;
        }
        if !std::mem::replace(&mut said_goodbye, true) {
            tls.send_close_notify();
        }
    }
}

#[test]
fn a_call_whose_connections_close_before_it_is_sent_was_not_executed() {
    /// `MAX_ROUNDS` of `proxy/exchange.rs`.
    const MAX_ROUNDS: usize = 8;
    test(async {
        let (config, pem) = tls();
        let (config, listener) = (
            Arc::new(config),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(shake_hands_and_close(stream, Arc::clone(&config)));
            }
        });
        let trusted = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(trusted.path(), pem).unwrap();
        let gate = TestGate::builder()
            .policy(
                "shop.yaml",
                policies::shop(&format!("https://localhost:{port}")),
            )
            .policy("desk.yaml", policies::desk(""))
            .variable("SSL_CERT_FILE", trusted.path().to_str().unwrap())
            .start();
        let answer = gate
            .agent()
            .post("/shop/change", &json!({ "order": "1" }))
            .await;
        let problem = answer.refused(502, "upstream-unreachable");
        assert_eq!(problem["executed"], false, "{problem}");
        assert_eq!(connections.load(Ordering::SeqCst), MAX_ROUNDS);
        let run = gate.operator().run_of(answer.call()).await;
        assert_eq!(
            (&run["counted"], &run["ambiguous"]),
            (&json!(false), &json!(false)),
            "{run}"
        );
    });
}

#[test]
fn options_of_the_gate_itself_reach_no_upstream() {
    test(async {
        let (upstream, gate) = shop().await;
        let answer = gate
            .agent()
            .raw(b"OPTIONS * HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n")
            .await;
        assert!(
            answer.starts_with(b"HTTP/1.1 204 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        upstream.untouched();
    });
}

#[test]
fn a_refusal_before_the_body_came_keeps_the_connection_or_says_that_it_does_not() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    test(async {
        let (upstream, gate) = shop().await;
        let head = "POST /shop/nowhere HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";
        let next = "GET /shop/look/1 HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n";
        upstream.next(Reply::new(200, &[], b"seen"));
        for (body, statuses) in [("{}", vec!["403", "200"]), ("", vec!["403"])] {
            let mut socket = tokio::net::TcpStream::connect(gate.listen()).await.unwrap();
            socket.write_all(head.as_bytes()).await.unwrap();
            if !body.is_empty() {
                socket.write_all(body.as_bytes()).await.unwrap();
                socket.write_all(next.as_bytes()).await.unwrap();
            }
            let mut said = String::new();
            socket.read_to_string(&mut said).await.unwrap();
            let found: Vec<_> = said
                .split("HTTP/1.1 ")
                .skip(1)
                .map(|answer| &answer[..3])
                .collect();
            assert_eq!(found, statuses, "{said}");
            assert!(
                said.to_lowercase().contains("connection: close"),
                "the last answer says that it is the last: {said}"
            );
        }
    });
}
