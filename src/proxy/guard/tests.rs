//! The adapter: what hyper gets to read, for every way the bytes may come in pieces, and what the
//! service learns.

use std::time::Duration;

use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use super::*;
use crate::wire::framing::HeadLimits;

const GOOD: &str = "POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc";
const CHUNKED: &str =
    "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
const BAD: &str = "POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";

fn client(early: &[u8]) -> (Guarded<DuplexStream>, DuplexStream, Rc<WireState>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let wire = WireState::client(HeadLimits::default());
    (
        Guarded::client(
            near,
            Rc::clone(&wire),
            early.to_vec(),
            ClientPatience::default(),
        ),
        far,
        wire,
    )
}

/// What hyper would read of `sent`, coming in pieces of `piece` bytes.
async fn read(sent: &str, piece: usize) -> (io::Result<String>, Rc<WireState>) {
    let (mut guarded, mut far, wire) = client(b"");
    let mut text = Vec::new();
    let mut failed = None;
    for piece in sent.as_bytes().chunks(piece) {
        far.write_all(piece).await.unwrap();
        // All that can be read without more coming.
        let mut chunk = [0; 512];
        while let Some(read) = futures_now(guarded.read(&mut chunk)).await {
            match read {
                Ok(0) => break,
                Ok(count) => text.extend_from_slice(&chunk[..count]),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
    }
    drop(far);
    if failed.is_none() {
        failed = guarded.read_to_end(&mut text).await.err();
    }
    (
        failed.map_or_else(|| Ok(String::from_utf8(text).unwrap()), Err),
        wire,
    )
}

/// The outcome of `future` if it has one now.
async fn futures_now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[rstest]
#[tokio::test]
async fn what_is_beyond_doubt_passes_byte_for_byte(#[values(1, 2, 7, 64, 4096)] piece: usize) {
    let sent = format!("{GOOD}{CHUNKED}{GOOD}");
    let (read, wire) = read(&sent, piece).await;
    assert_eq!(read.unwrap(), sent);
    for _ in 0..3 {
        assert_eq!(wire.next_head(), Ok(()));
    }
    assert!(wire.next_head().is_err(), "there is no fourth");
}

#[rstest]
#[tokio::test]
async fn a1_a21_a_bad_head_becomes_a_request_of_our_own_behind_the_good_ones(
    #[values(1, 3, 50, 4096)] piece: usize,
) {
    let (read, wire) = read(&format!("{GOOD}{BAD}{GOOD}"), piece).await;
    assert_eq!(
        read.unwrap(),
        format!("{GOOD}{}", str::from_utf8(REFUSED).unwrap())
    );
    assert_eq!(wire.next_head(), Ok(()));
    assert_eq!(wire.next_head(), Err(Malformed::LengthAndTransferEncoding));
    assert_eq!(wire.broken(), None);
}

#[rstest]
#[tokio::test]
async fn a18_a_bad_chunk_breaks_the_message_that_was_begun(#[values(1, 3, 4096)] piece: usize) {
    let sent = CHUNKED.replace("abc\r\n0", "abcd\r\n0");
    let (read, wire) = read(&sent, piece).await;
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(wire.next_head(), Ok(()));
    assert_eq!(wire.broken(), Some(Malformed::ChunkEnd));
}

#[tokio::test]
async fn bytes_that_were_read_before_are_judged_too() {
    let (mut guarded, mut far, wire) = client(&GOOD.as_bytes()[..20]);
    far.write_all(&GOOD.as_bytes()[20..]).await.unwrap();
    drop(far);
    let mut text = String::new();
    guarded.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, GOOD);
    let (mut guarded, _far, wire_of_bad) = client(BAD.as_bytes());
    text.clear();
    guarded.read_to_string(&mut text).await.unwrap();
    assert_eq!(text.as_bytes(), REFUSED);
    assert!(wire.next_head().is_ok() && wire_of_bad.next_head().is_err());
}

#[tokio::test]
async fn a_head_over_its_bound_is_refused_while_it_comes() {
    let (mut guarded, mut far, wire) = client(b"");
    let head = format!(
        "GET /a HTTP/1.1\r\nhost: h\r\nx: {}",
        "y".repeat(HeadLimits::default().bytes)
    );
    far.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    guarded.read_to_string(&mut text).await.unwrap();
    assert_eq!(text.as_bytes(), REFUSED);
    assert_eq!(wire.next_head(), Err(Malformed::HeadTooLarge));
    assert!(
        guarded.kept.capacity() <= 2 * (HeadLimits::default().bytes + MAX_READ_BEHIND),
        "{}",
        guarded.kept.capacity()
    );
}

#[tokio::test]
async fn half_a_head_and_then_nothing_is_nothing() {
    let (read, wire) = read("GET /a HTTP/1.1\r\nho", 4096).await;
    assert_eq!(read.unwrap(), "");
    assert!(wire.next_head().is_err());
}

#[tokio::test(start_paused = true)]
async fn f30_a_head_that_dribbles_in_has_one_deadline() {
    let (mut guarded, mut far, wire) = client(b"");
    let dribble = async {
        for byte in b"GET /a HTTP/1.1\r\nhost: h\r\n".iter().cycle() {
            tokio::time::sleep(Duration::from_millis(700)).await;
            if far.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    };
    let start = Instant::now();
    let mut text = String::new();
    tokio::select! {
        () = dribble => unreachable!("it never ends"),
        read = guarded.read_to_string(&mut text) => drop(read.unwrap()),
    }
    assert_eq!(text.as_bytes(), REFUSED);
    assert_eq!(wire.next_head(), Err(Malformed::TooSlow));
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn f30_an_idle_connection_ends_and_a_served_one_is_not_idle() {
    let (mut guarded, mut far, _wire) = client(b"");
    far.write_all(GOOD.as_bytes()).await.unwrap();
    let mut request = vec![0; GOOD.len()];
    guarded.read_exact(&mut request).await.unwrap();
    // The call takes longer than a connection may be idle; nobody reads meanwhile.
    tokio::time::advance(Duration::from_mins(5)).await;
    let start = Instant::now();
    assert_eq!(guarded.read(&mut request).await.unwrap(), 0);
    assert_eq!(start.elapsed(), ClientPatience::default().idle);
}

#[tokio::test(start_paused = true)]
async fn f30_a_client_that_does_not_take_its_answer_is_dropped() {
    let (near, _far) = tokio::io::duplex(16);
    let mut guarded = Guarded::client(
        near,
        WireState::client(HeadLimits::default()),
        Vec::new(),
        ClientPatience::default(),
    );
    let start = Instant::now();
    assert_eq!(
        guarded.write_all(&[0; 64]).await.unwrap_err().kind(),
        io::ErrorKind::TimedOut
    );
    assert_eq!(start.elapsed(), ClientPatience::default().write);
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_is_listened_to_for_a_moment() {
    let (mut guarded, mut far, _wire) = client(BAD.as_bytes());
    let mut text = String::new();
    guarded.read_to_string(&mut text).await.unwrap();
    far.write_all(&[0; 1000]).await.unwrap();
    let start = Instant::now();
    guarded.shutdown().await.unwrap();
    assert_eq!((start.elapsed(), guarded.lingered), (LINGER, 1000));
}

#[tokio::test(start_paused = true)]
async fn g7_of_a_refused_client_no_more_is_thrown_away_than_the_bound() {
    let lingered = async |bytes: usize| {
        let (mut guarded, mut far, _wire) = client(BAD.as_bytes());
        let mut text = String::new();
        guarded.read_to_string(&mut text).await.unwrap();
        let start = Instant::now();
        let rest = vec![0; bytes];
        let (shut, sent) = tokio::join!(guarded.shutdown(), far.write_all(&rest));
        shut.and(sent).unwrap();
        (guarded.lingered, start.elapsed())
    };
    let most = MAX_LINGER_BYTES;
    assert_eq!(lingered(most - 1).await, (most - 1, LINGER));
    assert_eq!(lingered(most).await, (most, Duration::ZERO));
    assert_eq!(lingered(most + 1).await, (most, Duration::ZERO));
}

#[tokio::test]
async fn a_small_write_is_put_together_and_a_larger_one_is_not() {
    let flat = async |bytes: usize| {
        let (mut guarded, _far, _wire) = client(b"");
        let (head, body) = (vec![b'h'; 100], vec![b'b'; bytes - 100]);
        let pieces = [io::IoSlice::new(&head), io::IoSlice::new(&body)];
        let written = guarded.write_vectored(&pieces).await.unwrap();
        assert_eq!(written, bytes);
        guarded.flat.len()
    };
    assert_eq!(flat(MAX_FLAT_WRITE).await, MAX_FLAT_WRITE);
    assert_eq!(flat(MAX_FLAT_WRITE + 1).await, 0);
}

#[tokio::test]
async fn so_much_is_read_at_once_behind_bytes_that_are_kept() {
    let begun = b"GET /a HTTP/1.1\r\nx: ";
    let (mut guarded, mut far, _wire) = client(begun);
    far.write_all(&vec![b'x'; MAX_READ_BEHIND + 1])
        .await
        .unwrap();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(guarded.poll_behind(&mut cx).is_ready());
    assert_eq!(guarded.kept.len(), begun.len() + MAX_READ_BEHIND);
    assert!(guarded.poll_behind(&mut cx).is_ready());
    assert_eq!(guarded.kept.len(), begun.len() + MAX_READ_BEHIND + 1);
}

#[tokio::test]
async fn a91_with_too_much_pipelined_nobody_knows_whether_the_client_is_there() {
    let (mut guarded, mut far, wire) = client(b"");
    far.write_all(GOOD.as_bytes()).await.unwrap();
    let mut request = vec![0; GOOD.len()];
    guarded.read_exact(&mut request).await.unwrap();
    guarded.listening = false;
    let behind = format!("POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: {MAX_AHEAD}\r\n\r\n");
    far.write_all(behind.as_bytes()).await.unwrap();
    far.write_all(&vec![b'x'; MAX_AHEAD - behind.len() - 1])
        .await
        .unwrap();
    let gone = |guarded: &mut Guarded<_>| {
        guarded
            .poll_gone(&mut Context::from_waker(std::task::Waker::noop()))
            .is_ready()
    };
    assert!(!gone(&mut guarded) && !wire.is_blind());
    far.write_all(b"x").await.unwrap();
    assert!(!gone(&mut guarded) && wire.is_blind());
    drop(far);
    assert!(!gone(&mut guarded), "it is not read any more");
    let mut text = Vec::new();
    // What was kept is still read in order.
    guarded.read_to_end(&mut text).await.unwrap();
    assert_eq!(text.len(), MAX_AHEAD);
}

#[rstest]
#[case("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab")]
#[case("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")]
#[case("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n")]
#[case("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n")]
#[case("SSH-2.0-OpenSSH\r\n")]
#[tokio::test]
async fn a26_a_bad_answer_is_an_error(#[case] answer: &str) {
    let (near, mut far) = tokio::io::duplex(4096);
    let wire = WireState::upstream(HeadLimits::default());
    let mut guarded = Guarded::upstream(near, Rc::clone(&wire));
    wire.expect_response(false);
    far.write_all(answer.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    assert_eq!(
        guarded.read_to_end(&mut text).await.unwrap_err().kind(),
        io::ErrorKind::InvalidData
    );
    assert!(wire.broken().is_some());
}
