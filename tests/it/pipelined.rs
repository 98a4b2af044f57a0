//! Requests that a client sends behind a call whose answer it still waits for.
//!
//! The gate reads ahead so that it notices a client that leaves, and keeps what it has read. What
//! it keeps is bounded; beyond that it cannot tell any longer whether the client is there.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{ScriptedUpstream, TestGate, eventually, policies, test};

/// What the gate keeps of requests that are sent ahead: `MAX_AHEAD` of `proxy/guard.rs`.
const MAX_AHEAD: usize = 64 * 1024;
/// Each request that is sent ahead. A divisor of `MAX_AHEAD`.
const AHEAD: usize = 1024;

/// Requests of no tool, `bytes` long together.
fn ahead(bytes: usize) -> Vec<u8> {
    let start = "GET /nowhere HTTP/1.1\r\nhost: gate\r\nx: ";
    let request = format!("{start}{}\r\n\r\n", "x".repeat(AHEAD - start.len() - 4));
    assert_eq!(request.len(), AHEAD);
    request.repeat(bytes / AHEAD).into_bytes()
}

/// How many bytes the gate has received from `client` and not read yet, as Linux counts them.
fn unread(gate: SocketAddr, client: SocketAddr) -> Option<usize> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |address: &str| u16::from_str_radix(address.split_once(':')?.1, 16).ok();
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_it = port(fields[1]) == Some(gate.port()) && port(fields[2]) == Some(client.port());
        is_it.then(|| usize::from_str_radix(fields[4].split_once(':')?.1, 16).ok())?
    })
}

/// A held call with `bytes` of requests sent behind it, all of which the gate has read but for
/// `left`: is it sent once it is approved? The status it is answered with.
async fn approved_with_requests_behind(bytes: usize, left: usize) -> (u16, usize) {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(""))
        .start();
    let body = json!({ "order": "A-1" }).to_string();
    let mut client = gate.agent().stream().await;
    let call = format!(
        "POST /shop/pay HTTP/1.1\r\nhost: gate\r\nprefer: wait=60\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.write_all(call.as_bytes()).await.unwrap();
    let id = gate.operator().pending().await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    client.write_all(&ahead(bytes)).await.unwrap();
    let address = client.local_addr().unwrap();
    let mut before = None;
    eventually("the requests are read", || {
        let now = unread(gate.listen(), address);
        let is_still = now == Some(left) && before == now;
        before = now;
        async move { is_still.then_some(()) }
    })
    .await;
    gate.operator().approve(&id).await.passed();
    let mut status = [0; 12];
    client.read_exact(&mut status).await.unwrap();
    let status = std::str::from_utf8(&status[9..]).unwrap().parse().unwrap();
    (status, upstream.count())
}

#[test]
fn a_held_call_is_sent_while_its_client_can_be_watched() {
    test(async {
        let (status, sent) = approved_with_requests_behind(MAX_AHEAD - AHEAD, 0).await;
        assert_eq!((status, sent), (200, 1));
    });
}

#[test]
fn a_held_call_is_not_sent_when_its_client_may_be_gone() {
    test(async {
        let (status, sent) = approved_with_requests_behind(MAX_AHEAD + AHEAD, AHEAD).await;
        assert_eq!((status, sent), (403, 0));
    });
}
