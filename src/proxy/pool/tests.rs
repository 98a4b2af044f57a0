//! One exchange on one connection, over streams in memory: what is known when it fails, and which
//! connections are used again.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::Body;
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use super::*;
use crate::proxy::observe::{AnswerEnding, Copied, OnEnd, ReplyBody};
use crate::proxy::outbound::OutBody;
use crate::proxy::tls;
use crate::proxy::upstream::{BrokenAnswer, Patience, SendError, UpstreamReply};

const PATIENCE: Patience = Patience {
    answer: Duration::from_secs(10),
    silence: Duration::from_secs(5),
};
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn upstream() -> Upstream {
    Upstream {
        tls: false,
        host: Arc::from("tools.test"),
        port: 80,
        base: Arc::from(""),
    }
}

fn pool() -> UpstreamPool {
    UpstreamPool::new(PoolOptions {
        waiting: 2,
        ..PoolOptions::new(tls::client(None).unwrap())
    })
}

/// The upstream's end of the next connection that the pool makes.
fn next(pool: &UpstreamPool) -> DuplexStream {
    let (near, far) = tokio::io::duplex(64 * 1024);
    pool.memory.borrow_mut().push_back(near);
    far
}

fn request(method: Method, body: OutBody) -> Request<OutBody> {
    Request::builder()
        .method(method)
        .uri("/a")
        .header("host", "tools.test")
        .body(body)
        .unwrap()
}

fn post() -> Request<OutBody> {
    request(Method::POST, OutBody::Full(Bytes::from_static(b"hello")))
}

/// Reads one request of `post`.
async fn take(far: &mut DuplexStream) -> String {
    let mut text = String::new();
    while !text.ends_with("hello") {
        text.push(char::from(far.read_u8().await.unwrap()));
    }
    text
}

async fn send(pool: &UpstreamPool, request: Request<OutBody>) -> Result<UpstreamReply, SendError> {
    pool.ready(&upstream(), PATIENCE.answer)
        .await
        .unwrap()
        .send(request, PATIENCE)
        .await
}

/// Sends `post` on a new connection that answers it with `answer` and then, if `closes`, with its
/// end.
async fn exchange(
    pool: &UpstreamPool,
    answer: &str,
    closes: bool,
) -> (Result<UpstreamReply, SendError>, DuplexStream) {
    let mut far = next(pool);
    let answered = async {
        take(&mut far).await;
        far.write_all(answer.as_bytes()).await.unwrap();
        if closes {
            far.shutdown().await.unwrap();
        }
    };
    let (reply, ()) = tokio::join!(send(pool, post()), answered);
    (reply, far)
}

#[tokio::test]
async fn a_connection_is_used_again_the_last_one_first() {
    let pool = pool();
    let (mut first, mut second) = (next(&pool), next(&pool));
    let (one, two) = (
        pool.ready(&upstream(), PATIENCE.answer).await.unwrap(),
        pool.ready(&upstream(), PATIENCE.answer).await.unwrap(),
    );
    for (lease, far) in [(one, &mut first), (two, &mut second)] {
        let answered = async {
            take(far).await;
            far.write_all(OK.as_bytes()).await.unwrap();
        };
        let (reply, ()) = tokio::join!(lease.send(post(), PATIENCE), answered);
        assert_eq!(
            reply.unwrap().body.collect().await.unwrap().to_bytes(),
            "ok"
        );
    }
    assert_eq!(pool.waiting(&upstream()), 2);
    // The one used last is taken, and an unused lease goes back to the top.
    drop(pool.ready(&upstream(), PATIENCE.answer).await.unwrap());
    let answered = async {
        take(&mut second).await;
        second.write_all(OK.as_bytes()).await.unwrap();
    };
    let (reply, ()) = tokio::join!(send(&pool, post()), answered);
    drop(reply.unwrap().body.collect().await.unwrap());
    assert_eq!(pool.waiting(&upstream()), 2);
}

#[tokio::test]
async fn waiting_connections_are_bounded() {
    let pool = pool();
    let mut leases = Vec::new();
    let mut fars = Vec::new();
    for _ in 0..3 {
        fars.push(next(&pool));
        leases.push(pool.ready(&upstream(), PATIENCE.answer).await.unwrap());
    }
    drop(leases);
    assert_eq!(pool.waiting(&upstream()), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_waited_too_long_is_closed() {
    let pool = pool();
    let (mut old, _new) = (next(&pool), next(&pool));
    drop(pool.ready(&upstream(), PATIENCE.answer).await.unwrap());
    tokio::time::advance(pool.options.keep).await;
    let _lease = pool.ready(&upstream(), PATIENCE.answer).await.unwrap();
    assert_eq!(old.read(&mut [0]).await.unwrap(), 0);
    assert!(pool.memory.borrow().is_empty(), "a new one was made");
}

#[tokio::test(start_paused = true)]
async fn tending_closes_what_is_old_or_dead_and_forgets_the_upstream() {
    let pool = pool();
    let (mut old, dead) = (next(&pool), next(&pool));
    let leases = (
        pool.ready(&upstream(), PATIENCE.answer).await.unwrap(),
        pool.ready(&upstream(), PATIENCE.answer).await.unwrap(),
    );
    drop(leases);
    drop(dead);
    pool.tend();
    assert_eq!(pool.waiting(&upstream()), 1);
    tokio::time::advance(pool.options.keep).await;
    pool.tend();
    assert_eq!(old.read(&mut [0]).await.unwrap(), 0);
    assert!(pool.idle.borrow().is_empty());
}

#[tokio::test]
async fn a_connection_that_died_waiting_is_not_leased() {
    let pool = pool();
    let (dead, mut live) = (next(&pool), next(&pool));
    drop(pool.ready(&upstream(), PATIENCE.answer).await.unwrap());
    drop(dead);
    let answered = async {
        take(&mut live).await;
        live.write_all(OK.as_bytes()).await.unwrap();
    };
    let (reply, ()) = tokio::join!(send(&pool, post()), answered);
    assert_eq!(reply.unwrap().parts.status, 200);
}

#[tokio::test]
async fn f19_a_request_that_was_not_sent_comes_back_and_takes_another_connection() {
    let pool = pool();
    let (dies, mut live) = (next(&pool), next(&pool));
    let lease = pool.ready(&upstream(), PATIENCE.answer).await.unwrap();
    drop(dies);
    let Err(SendError::Unsent(request)) = lease.send(post(), PATIENCE).await else {
        panic!("it was sent")
    };
    let answered = async {
        let text = take(&mut live).await;
        live.write_all(OK.as_bytes()).await.unwrap();
        text
    };
    let (reply, text) = tokio::join!(send(&pool, *request), answered);
    assert_eq!(reply.unwrap().parts.status, 200);
    assert_eq!(
        text,
        "POST /a HTTP/1.1\r\nhost: tools.test\r\ncontent-length: 5\r\n\r\nhello"
    );
}

#[rstest]
#[case("")]
#[case("HTTP/1.1 200 OK\r\ncontent-le")]
#[tokio::test]
async fn f19_an_upstream_that_closes_after_the_request_may_have_executed_it(#[case] answer: &str) {
    let (reply, _far) = exchange(&pool(), answer, true).await;
    assert!(
        matches!(
            reply,
            Err(SendError::Reset { written: true } | SendError::Malformed)
        ),
        "{reply:?}"
    );
}

#[rstest]
#[case("garbage\r\n\r\n")]
#[case("HTTP/1.1 200 OK\ncontent-length: 2\n\nok")]
#[case("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok")]
#[case("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok")]
#[case("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")]
#[tokio::test]
async fn a25_a26_an_answer_that_is_none_is_malformed_and_its_connection_closed(
    #[case] answer: &str,
) {
    let pool = pool();
    let (reply, mut far) = exchange(&pool, answer, false).await;
    assert!(matches!(reply, Err(SendError::Malformed)), "{reply:?}");
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(pool.waiting(&upstream()), 0);
}

#[tokio::test]
async fn a26_interim_answers_are_passed_over_and_bounded() {
    let pool = pool();
    let interim = |count: usize| {
        format!(
            "{}{OK}",
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(count)
        )
    };
    let (reply, _far) =
        exchange(&pool, &interim(crate::wire::head::MAX_INFORMATIONAL), false).await;
    assert_eq!(reply.unwrap().parts.status, 200);
    let (reply, _far) = exchange(
        &pool,
        &interim(crate::wire::head::MAX_INFORMATIONAL + 1),
        false,
    )
    .await;
    assert!(matches!(reply, Err(SendError::Malformed)));
}

#[tokio::test(start_paused = true)]
async fn f18_an_upstream_that_hangs_runs_out_of_time_and_loses_its_connection() {
    let pool = pool();
    let mut far = next(&pool);
    let start = Instant::now();
    assert!(matches!(send(&pool, post()).await, Err(SendError::Timeout)));
    assert_eq!(start.elapsed(), PATIENCE.answer);
    take(&mut far).await;
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
}

#[rstest]
#[case("content-length: 5\r\n\r\nhel", true, BrokenAnswer::Reset)]
#[case(
    "transfer-encoding: chunked\r\n\r\n5\r\nhel",
    true,
    BrokenAnswer::Reset
)]
#[case(
    "transfer-encoding: chunked\r\n\r\n3\r\nhelX\r\n",
    false,
    BrokenAnswer::Malformed
)]
#[case("content-length: 5\r\n\r\nhel", false, BrokenAnswer::Timeout)]
#[tokio::test(start_paused = true)]
async fn f18_f19_a_body_that_breaks_off_says_how(
    #[case] rest: &str,
    #[case] closes: bool,
    #[case] broken: BrokenAnswer,
) {
    let pool = pool();
    let (reply, _far) = exchange(&pool, &format!("HTTP/1.1 200 OK\r\n{rest}"), closes).await;
    let start = Instant::now();
    assert_eq!(reply.unwrap().body.collect().await.unwrap_err(), broken);
    assert_eq!(
        start.elapsed(),
        if broken == BrokenAnswer::Timeout {
            PATIENCE.silence
        } else {
            Duration::ZERO
        }
    );
    assert_eq!(pool.waiting(&upstream()), 0);
}

#[rstest]
#[case(
    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
    "ok",
    0
)]
#[case("HTTP/1.1 200 OK\r\n\r\nok", "ok", 0)]
#[case("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", "ok", 0)]
#[case(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "ok",
    1
)]
#[case("HTTP/1.1 204 No Content\r\n\r\n", "", 1)]
#[case("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", 1)]
#[tokio::test]
async fn a_connection_waits_again_only_where_the_answer_left_it_whole(
    #[case] answer: &str,
    #[case] body: &str,
    #[case] waiting: usize,
) {
    let pool = pool();
    let (reply, _far) = exchange(&pool, answer, waiting == 0).await;
    assert_eq!(
        reply.unwrap().body.collect().await.unwrap().to_bytes(),
        body
    );
    assert_eq!(pool.waiting(&upstream()), waiting);
}

#[tokio::test]
async fn an_answer_to_head_keeps_its_length_and_has_no_body() {
    let pool = pool();
    let mut far = next(&pool);
    let answered = async {
        let mut head = [0; 16];
        far.read_exact(&mut head).await.unwrap();
        far.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")
            .await
            .unwrap();
    };
    let (reply, ()) = tokio::join!(send(&pool, request(Method::HEAD, OutBody::Empty)), answered);
    let reply = reply.unwrap();
    assert_eq!(reply.parts.headers[CONTENT_LENGTH], "500");
    assert!(reply.body.is_end_stream());
    assert_eq!(pool.waiting(&upstream()), 1);
}

#[tokio::test]
async fn an_answer_behind_the_answer_closes_the_connection() {
    let pool = pool();
    let (reply, _far) = exchange(&pool, &format!("{OK}{OK}"), false).await;
    // What was not asked for belongs to nobody: either the first answer stands alone or none does,
    // but the second is never the next caller's.
    if let Ok(reply) = reply {
        let _ = reply.body.collect().await;
    }
    pool.tend();
    assert_eq!(pool.waiting(&upstream()), 0);
}

#[tokio::test]
async fn trailers_and_pieces_pass_as_they_come() {
    let pool = pool();
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let (reply, mut far) = exchange(&pool, head, false).await;
    let mut body = reply.unwrap().body;
    for _ in 0..3 {
        far.write_all(b"9\r\ndata: 1\n\n\r\n").await.unwrap();
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "data: 1\n\n"
        );
    }
    far.write_all(b"0\r\nx-sum: 3\r\n\r\n").await.unwrap();
    assert_eq!(
        body.frame()
            .await
            .unwrap()
            .unwrap()
            .into_trailers()
            .unwrap()["x-sum"],
        "3"
    );
    assert!(body.frame().await.is_none());
    assert_eq!(pool.waiting(&upstream()), 1);
}

#[tokio::test]
async fn a_long_answer_is_not_gathered() {
    const PIECES: usize = 2_000;
    let pool = pool();
    let (reply, mut far) = exchange(
        &pool,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        false,
    )
    .await;
    let mut body = reply.unwrap().body;
    let piece = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let sent = Cell::new(0_usize);
    let feed = async {
        for _ in 0..PIECES {
            far.write_all(piece.as_bytes()).await.unwrap();
            sent.set(sent.get() + 0x8000);
        }
        far.write_all(b"0\r\n\r\n").await.unwrap();
    };
    let drink = async {
        let (mut taken, mut most) = (0, 0);
        while let Some(frame) = body.frame().await {
            taken += frame.unwrap().into_data().unwrap().len();
            most = most.max(sent.get().saturating_sub(taken));
        }
        (taken, most)
    };
    let ((), (taken, most)) = tokio::join!(feed, drink);
    assert_eq!(taken, PIECES * 0x8000);
    // The stream in memory and hyper's buffer, and nothing else.
    assert!(
        most <= 64 * 1024 + 2 * 128 * 1024,
        "{most} bytes were on their way"
    );
}

#[tokio::test]
async fn a20_head_and_body_agree_on_the_length() {
    for (claimed, body, sent) in [
        (
            Some("7"),
            OutBody::Full(Bytes::from_static(b"hello")),
            Some("5"),
        ),
        (
            Some("5"),
            OutBody::Full(Bytes::from_static(b"hello")),
            Some("5"),
        ),
        (None, OutBody::Full(Bytes::from_static(b"hello")), Some("5")),
        (Some("7"), OutBody::Empty, Some("0")),
        (None, OutBody::Empty, None),
    ] {
        let pool = pool();
        let mut far = next(&pool);
        let mut request = request(Method::GET, body);
        request
            .headers_mut()
            .insert(TRANSFER_ENCODING, "chunked".parse().unwrap());
        if let Some(claimed) = claimed {
            request
                .headers_mut()
                .insert(CONTENT_LENGTH, claimed.parse().unwrap());
        }
        let answered = async {
            let mut text = Vec::new();
            while !text.ends_with(b"\r\n\r\n") {
                text.push(far.read_u8().await.unwrap());
            }
            far.write_all(OK.as_bytes()).await.unwrap();
            String::from_utf8(text).unwrap()
        };
        let (reply, head) = tokio::join!(send(&pool, request), answered);
        assert!(reply.is_ok());
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        assert_eq!(
            (length, head.contains("transfer-encoding")),
            (sent, false),
            "{head}"
        );
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let refused = pool()
        .ready(
            &Upstream {
                host: Arc::from("127.0.0.1"),
                port,
                ..upstream()
            },
            PATIENCE.answer,
        )
        .await;
    assert!(
        matches!(refused, Err(Unreachable::Connect(_))),
        "{refused:?}"
    );
}

/// Records every ending that is reported to it.
#[derive(Clone, Default)]
struct Endings(Rc<RefCell<Vec<End>>>);

type End = (AnswerEnding, Option<Copied>);

impl OnEnd for Endings {
    fn on_end(self, ending: AnswerEnding, copy: Option<Copied>) {
        self.0.borrow_mut().push((ending, copy));
    }
}

#[rstest]
#[case(OK, false, AnswerEnding::Complete)]
#[case(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    false,
    AnswerEnding::Complete
)]
#[case(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: 1\r\n\r\n",
    false,
    AnswerEnding::Complete
)]
#[case("HTTP/1.1 204 No Content\r\n\r\n", false, AnswerEnding::Complete)]
#[case("HTTP/1.1 200 OK\r\n\r\nok", true, AnswerEnding::Complete)]
#[case(
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok",
    true,
    AnswerEnding::UpstreamReset
)]
#[case(
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok",
    false,
    AnswerEnding::UpstreamTimeout
)]
#[case(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n+0\r\n\r\n",
    false,
    AnswerEnding::UpstreamMalformed
)]
#[tokio::test(start_paused = true)]
async fn g1_the_end_is_told_exactly_once(
    #[case] answer: &str,
    #[case] closes: bool,
    #[case] ending: AnswerEnding,
) {
    let (reply, _far) = exchange(&pool(), answer, closes).await;
    let endings = Endings::default();
    let mut body = ReplyBody::observed(reply.unwrap().body, endings.clone(), Some(2));
    let mut data = Vec::new();
    // As hyper does it: no further poll once the end is known.
    while !body.is_end_stream() {
        match body.frame().await {
            Some(Ok(frame)) => data.extend(frame.into_data().unwrap_or_default()),
            Some(Err(_)) | None => break,
        }
    }
    drop(body);
    let expected = Copied {
        bytes: Bytes::copy_from_slice(&data),
        whole: true,
    };
    assert_eq!(*endings.0.borrow(), [(ending, Some(expected))]);
}

#[tokio::test]
async fn g1_a_client_that_leaves_is_told_once_and_takes_the_connection_along() {
    let pool = pool();
    let (reply, mut far) = exchange(
        &pool,
        "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nok!",
        false,
    )
    .await;
    let endings = Endings::default();
    let mut body = ReplyBody::observed(reply.unwrap().body, endings.clone(), Some(2));
    assert!(body.frame().await.unwrap().is_ok());
    drop(body);
    assert_eq!(
        *endings.0.borrow(),
        [(
            AnswerEnding::ClientGone,
            Some(Copied {
                bytes: Bytes::from_static(b"ok"),
                whole: false
            })
        )]
    );
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(pool.waiting(&upstream()), 0);
}

#[tokio::test]
async fn a_known_length_stays_known() {
    let (reply, _far) = exchange(&pool(), OK, false).await;
    let body = ReplyBody::observed(reply.unwrap().body, Endings::default(), None);
    assert_eq!(body.size_hint().exact(), Some(2));
    assert_eq!(
        ReplyBody::<Endings>::Full(Bytes::from_static(b"abc"))
            .size_hint()
            .exact(),
        Some(3)
    );
    assert_eq!(ReplyBody::<Endings>::Empty.size_hint().exact(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_come_to_stand_takes_no_longer_than_its_call_may() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // It is connected to, by the kernel, and never shakes hands.
    let upstream = Upstream {
        tls: true,
        host: Arc::from("127.0.0.1"),
        port: listener.local_addr().unwrap().port(),
        base: Arc::from(""),
    };
    let start = Instant::now();
    let refused = pool().ready(&upstream, Duration::from_millis(300)).await;
    assert!(matches!(refused, Err(Unreachable::Timeout)));
    assert_eq!(start.elapsed(), Duration::from_millis(300));
}
