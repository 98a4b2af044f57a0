//! Hostile input, byte for byte over real sockets. Each case is named by its number in the list of
//! hostile inputs.
//!
//! The oracle is an upstream that records every byte: whatever is refused, nothing of it arrives,
//! the connection closes where the rest of it cannot be trusted, and nothing is booked. Each table
//! is followed by an ordinary call, so that a refusal is never bought with the gate's health.

mod admin;
mod arguments;
mod departure;
mod faults;
mod framing;
mod http2;
mod identity;
mod mutation;
mod target;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Operator, ScriptedUpstream, TestGate};

/// The body of an ordinary call.
pub const ORDINARY: &str = r#"{"order":"A-1","amount":12.50}"#;

/// How long to wait for an answer, or for a close that is due.
const PATIENCE: Duration = Duration::from_secs(8);

/// A gate before an upstream that records.
pub struct World {
    pub upstream: ScriptedUpstream,
    pub gate: TestGate,
}

/// The tool API of these tests. `refund` is judged by its body, `find` by its query, `stream` by
/// neither.
pub fn shop(upstream: &str) -> String {
    format!(
        r#"api: shop
upstream: {upstream}
route: /shop
timeout: 5s
tools:
  - {{ tool: look, match: 'GET /look/{{id}}', risk: read }}
  - {{ tool: find, match: GET /find, risk: read, deny_when: query.id == "evil" }}
  - {{ tool: search, match: GET /search, risk: read, deny_when: has(args.q) && args.q == "evil" }}
  - {{ tool: remove, match: 'DELETE /orders/{{id}}', risk: low }}
  - {{ tool: stream, match: POST /stream, risk: low }}
  - {{ tool: refund, match: POST /refunds, risk: medium, idempotent: false, deny_when: args.amount > 5000.0 }}
  - {{ tool: pay, match: 'POST /pay/{{account}}', risk: high, subject: args.order }}
"#
    )
}

/// The workflow of these tests.
pub const DESK: &str = "workflow: desk\nrisk: medium\ntools: [shop/look, shop/find, shop/search, shop/remove, shop/stream, shop/refund, shop/pay]\nobjective: { target: 50%, expected_runs: 100000 }\nhold: { wait: 0s, expires: 1h, grant: 10m }\n";

impl World {
    pub async fn start() -> Self {
        Self::with("").await
    }

    pub async fn with(config: &str) -> Self {
        let upstream = ScriptedUpstream::start().await;
        let gate = TestGate::builder()
            .policy("shop.yaml", shop(&upstream.url()))
            .policy("desk.yaml", DESK)
            .config(config)
            .start();
        World { upstream, gate }
    }

    pub fn operator(&self) -> Operator {
        self.gate.operator()
    }

    /// Sends each of `cases`, and asserts that none is more than refused: with one of these
    /// statuses, and closed where that is asked.
    pub async fn refuses(&self, cases: &[(&str, Vec<u8>, &[u16])]) {
        let mut wrong = Vec::new();
        for (name, bytes, statuses) in cases {
            let said = talk(self.gate.listen(), bytes).await;
            let answers = said.statuses();
            let is_refused = answers
                .first()
                .is_some_and(|status| statuses.contains(status))
                && answers.len() == 1;
            let must_close = !matches!(statuses, [401 | 403 | 415, ..]);
            if !is_refused || (must_close && !said.closed) {
                wrong.push(format!(
                    "{name}: {answers:?} for {statuses:?}, closed: {}",
                    said.closed
                ));
            }
            if is_refused && !said.text.contains("urn:burngate:problem:") {
                wrong.push(format!("{name}: no problem: {}", said.text));
            }
            if self.upstream.bytes() > 0 {
                wrong.push(format!(
                    "{name}: the upstream got {}",
                    String::from_utf8_lossy(&self.upstream.wire())
                ));
                break;
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        self.costs_nothing().await;
    }

    /// What was refused as malformed booked nothing, and the gate is well.
    pub async fn costs_nothing(&self) {
        let status = self.operator().status("desk").await;
        assert_eq!(
            (
                status["budget"]["runs"].as_u64(),
                status["budget"]["unacceptable"].as_u64()
            ),
            (Some(0), Some(0)),
            "{status}"
        );
        let before = self.upstream.count();
        let said = talk(
            self.gate.listen(),
            &post("/shop/refunds", "Connection: close\r\n", ORDINARY),
        )
        .await;
        assert_eq!(said.statuses(), [200], "{}", said.text);
        assert_eq!(self.upstream.count(), before + 1);
    }

    /// Sends `bytes`, which are answered 200, and asserts what the upstream got of them.
    pub async fn forwards(&self, name: &str, bytes: &[u8], line: &str, body: &str) {
        let said = talk(self.gate.listen(), bytes).await;
        assert_eq!(said.statuses().last(), Some(&200), "{name}: {}", said.text);
        let received = self.upstream.last();
        assert_eq!(
            (
                received.line.as_str(),
                String::from_utf8_lossy(&received.body).as_ref()
            ),
            (line, body),
            "{name}"
        );
        assert_eq!(received.trailers, "", "{name}");
    }
}

/// All that came back.
pub struct Said {
    pub text: String,
    /// The gate closed its side.
    pub closed: bool,
}

impl Said {
    pub fn statuses(&self) -> Vec<u16> {
        self.text
            .split("HTTP/1.1 ")
            .skip(1)
            .filter_map(|answer| answer.get(..3)?.parse().ok())
            .collect()
    }
}

/// Sends `bytes` at once and reads until the gate closes or has nothing more to say. The sending
/// side stays open.
pub async fn talk(gate: SocketAddr, bytes: &[u8]) -> Said {
    let mut stream = TcpStream::connect(gate).await.unwrap();
    let (mut read, mut write) = stream.split();
    let sending = async {
        // A gate that has refused already need not take the rest.
        let _ = write.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let reading = async {
        let mut piece = [0; 4096];
        loop {
            match tokio::time::timeout(PATIENCE, read.read(&mut piece)).await {
                Err(_) => return false,
                Ok(Ok(0) | Err(_)) => return true,
                Ok(Ok(count)) => answer.extend_from_slice(&piece[..count]),
            }
        }
    };
    let closed = tokio::select! {
        () = sending => unreachable!("it never ends"),
        closed = reading => closed,
    };
    Said {
        text: answer.into_iter().map(char::from).collect(),
        closed,
    }
}

/// A POST of JSON with these further header lines.
pub fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

/// A POST of JSON whose framing is left to these header lines.
pub fn framed(headers: &str, body: &str) -> Vec<u8> {
    format!("POST /shop/refunds HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\n{headers}\r\n{body}").into_bytes()
}

/// A GET with these header lines, Host among them.
pub fn get(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\n{headers}\r\n").into_bytes()
}
