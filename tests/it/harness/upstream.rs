//! A tool API that records every byte that it gets and answers as it is told. Written by hand,
//! without an HTTP library: what a library would put right is what is tested.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::{SOON, eventually, pattern};

/// So much of what comes is kept; the rest is counted and digested.
const KEPT: usize = 4 << 20;

/// A tool API.
pub struct ScriptedUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    script: Mutex<Script>,
    received: Mutex<Vec<Received>>,
    wire: Mutex<Vec<u8>>,
    bytes: watch::Sender<u64>,
    connections: watch::Sender<usize>,
    stop: Notify,
}

#[derive(Default)]
struct Script {
    next: VecDeque<Reply>,
    always: Option<Box<dyn Fn(&Received) -> Reply + Send>>,
}

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// The request line.
    pub line: String,
    /// The method.
    pub method: String,
    /// The target, as it was spelled.
    pub target: String,
    /// The header fields, in order, names as they were spelled.
    pub headers: Vec<(String, String)>,
    /// The body, its framing taken off; the beginning of a large one.
    pub body: Vec<u8>,
    /// How long the body was.
    pub length: u64,
    /// The whole body was the beginning of the [`pattern`].
    pub patterned: bool,
    /// What came after a chunked body.
    pub trailers: String,
    /// The whole body came.
    pub whole: bool,
}

/// What to answer: bytes, and what becomes of the connection behind them.
#[derive(Debug)]
pub struct Reply {
    wait: Option<oneshot::Receiver<()>>,
    pieces: Pieces,
    then: Then,
    early: bool,
}

#[derive(Debug)]
enum Pieces {
    All(Vec<u8>),
    Channel(mpsc::Receiver<Bytes>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Keep,
    Close,
    Reset,
    Hang,
}

impl Reply {
    /// These bytes, whatever they mean; the connection stays open.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Reply {
            wait: None,
            pieces: Pieces::All(bytes.into()),
            then: Then::Keep,
            early: false,
        }
    }

    /// A status, header lines and a body of known length.
    pub fn new(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut bytes = format!("HTTP/1.1 {status} Said\r\n").into_bytes();
        for (name, value) in headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
        bytes.extend(body);
        Reply::bytes(bytes)
    }

    /// A JSON document.
    pub fn json(status: u16, json: &Value) -> Self {
        Reply::new(
            status,
            &[("content-type", "application/json")],
            json.to_string(),
        )
    }

    /// A chunked body, a chunk for each of `chunks`, and trailer lines.
    pub fn chunked(headers: &[(&str, &str)], chunks: &[&[u8]], trailers: &[(&str, &str)]) -> Self {
        let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n".to_vec();
        let lines = |lines: &[(&str, &str)]| {
            lines
                .iter()
                .map(|(name, value)| format!("{name}: {value}\r\n"))
                .collect::<String>()
        };
        bytes.extend(lines(headers).bytes());
        bytes.extend(b"\r\n");
        for chunk in chunks {
            bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
            bytes.extend(*chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n");
        bytes.extend(lines(trailers).bytes());
        bytes.extend(b"\r\n");
        Reply::bytes(bytes)
    }

    /// Bytes as a test sends them; the connection closes when it lets go of the sender.
    pub fn pieces() -> (mpsc::Sender<Bytes>, Self) {
        let (send, pieces) = mpsc::channel(64);
        (
            send,
            Reply {
                wait: None,
                pieces: Pieces::Channel(pieces),
                then: Then::Close,
                early: false,
            },
        )
    }

    /// No byte, and a connection that stays open.
    pub fn hang() -> Self {
        Reply::bytes([]).then(Then::Hang)
    }

    /// No byte, and a connection that is reset.
    pub fn reset() -> Self {
        Reply::bytes([]).then(Then::Reset)
    }

    /// No byte, and a connection that is closed in order.
    pub fn close() -> Self {
        Reply::bytes([]).then(Then::Close)
    }

    /// Something that is no HTTP.
    pub fn garbage() -> Self {
        Reply::bytes(*b"\x00\x01\x02 this is no HTTP\r\n\r\n").then(Then::Close)
    }

    /// Then closes.
    pub fn closing(self) -> Self {
        self.then(Then::Close)
    }

    /// Then resets.
    pub fn resetting(self) -> Self {
        self.then(Then::Reset)
    }

    /// Then says nothing, and keeps the connection open.
    pub fn hanging(self) -> Self {
        self.then(Then::Hang)
    }

    /// Answers when the head is there, without waiting for the body.
    pub fn early(mut self) -> Self {
        self.early = true;
        self
    }

    /// Answers when it is let: send, or drop, to let it.
    pub fn held(mut self) -> (oneshot::Sender<()>, Self) {
        let (release, wait) = oneshot::channel();
        self.wait = Some(wait);
        (release, self)
    }

    fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }
}

impl Received {
    /// A header's value; `None` where there is none. Panics where there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        assert!(values.len() < 2, "several {name}: {values:?}");
        values.pop()
    }

    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl ScriptedUpstream {
    /// Listens, and answers 200 and `{"ok":true}` until it is told otherwise.
    pub async fn start() -> Self {
        Self::bind(None).await
    }

    /// As [`ScriptedUpstream::start`], behind TLS.
    pub async fn start_tls(config: rustls::ServerConfig) -> Self {
        Self::bind(Some(tokio_rustls::TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn bind(tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            received: Mutex::default(),
            wire: Mutex::default(),
            bytes: watch::channel(0).0,
            connections: watch::channel(0).0,
            stop: Notify::new(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared), tls));
        ScriptedUpstream {
            address,
            shared,
            task,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers this to the next request that nothing was scripted for.
    pub fn next(&self, reply: Reply) -> &Self {
        self.shared.script.lock().unwrap().next.push_back(reply);
        self
    }

    /// Answers what `answer` says to whatever is not scripted.
    pub fn always(&self, answer: impl Fn(&Received) -> Reply + Send + 'static) -> &Self {
        self.shared.script.lock().unwrap().always = Some(Box::new(answer));
        self
    }

    /// The requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many requests there were.
    pub fn count(&self) -> usize {
        self.shared.received.lock().unwrap().len()
    }

    /// The only request so far.
    pub fn only(&self) -> Received {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "{received:?}");
        received.pop().unwrap()
    }

    /// The last request.
    pub fn last(&self) -> Received {
        self.received().pop().expect("a request")
    }

    /// The only request, once it is there.
    pub async fn arrives(&self, count: usize) -> Received {
        eventually(&format!("request {count}"), || async {
            self.received().into_iter().nth(count - 1)
        })
        .await
    }

    /// Every byte that came, of all connections, in the order of its coming.
    pub fn wire(&self) -> Vec<u8> {
        self.shared.wire.lock().unwrap().clone()
    }

    /// How many bytes came, of all connections.
    pub fn bytes(&self) -> u64 {
        *self.shared.bytes.borrow()
    }

    /// Waits until at least so many bytes came.
    pub async fn has(&self, bytes: u64) {
        let mut watch = self.shared.bytes.subscribe();
        tokio::time::timeout(SOON, watch.wait_for(|seen| *seen >= bytes))
            .await
            .expect("bytes that come")
            .unwrap();
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        *self.shared.connections.borrow()
    }

    /// Asserts that not one byte came.
    #[track_caller]
    pub fn untouched(&self) {
        assert_eq!(String::from_utf8_lossy(&self.wire()), "");
    }
}

impl Drop for ScriptedUpstream {
    fn drop(&mut self) {
        self.shared.stop.notify_waiters();
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    tls: Option<tokio_rustls::TlsAcceptor>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        shared.connections.send_modify(|count| *count += 1);
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        tokio::spawn(async move {
            let stop = Arc::clone(&shared);
            tokio::select! {
                () = async {
                    match tls {
                        None => converse(stream, &shared).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, &shared).await;
                            }
                        }
                    }
                } => {}
                () = stop.stop.notified() => {}
            }
        });
    }
}

/// A stream that may be reset.
trait Stream: AsyncRead + AsyncWrite + Unpin {
    fn reset(self);
}

impl Stream for TcpStream {
    fn reset(self) {
        socket2::SockRef::from(&self)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
    }
}

impl Stream for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(self) {
        self.into_inner().0.reset();
    }
}

struct Reader<'a, S> {
    stream: S,
    buffer: Vec<u8>,
    shared: &'a Shared,
}

impl<S: Stream> Reader<'_, S> {
    async fn more(&mut self) -> Option<()> {
        let mut piece = vec![0; 64 * 1024];
        let count = self
            .stream
            .read(&mut piece)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        self.buffer.extend(&piece[..count]);
        let mut wire = self.shared.wire.lock().unwrap();
        let room = KEPT.saturating_sub(wire.len()).min(count);
        wire.extend(&piece[..room]);
        drop(wire);
        self.shared
            .bytes
            .send_modify(|bytes| *bytes += count as u64);
        Some(())
    }

    /// Everything up to and with `end`.
    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, end) {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, mut count: u64, body: &mut BodyOf) -> Option<()> {
        while count > 0 {
            if self.buffer.is_empty() {
                self.more().await?;
            }
            let take = usize::try_from(count)
                .unwrap_or(usize::MAX)
                .min(self.buffer.len());
            body.take(&self.buffer[..take]);
            self.buffer.drain(..take);
            count -= take as u64;
        }
        Some(())
    }

    async fn body(&mut self, received: &Received, body: &mut BodyOf) -> Option<String> {
        if let Some(length) = received.header("content-length") {
            self.exactly(length.parse().unwrap(), body).await?;
        } else if received.header("transfer-encoding").is_some() {
            loop {
                let line = self.until(b"\r\n").await?;
                let size = String::from_utf8(line).unwrap();
                let size = u64::from_str_radix(size.trim(), 16).unwrap();
                if size == 0 {
                    let mut trailers = String::new();
                    loop {
                        let line = self.until(b"\r\n").await?;
                        if line == b"\r\n" {
                            return Some(trailers);
                        }
                        trailers.push_str(std::str::from_utf8(&line).unwrap());
                    }
                }
                self.exactly(size, body).await?;
                self.until(b"\r\n").await?;
            }
        }
        Some(String::new())
    }
}

#[derive(Default)]
struct BodyOf {
    kept: Vec<u8>,
    length: u64,
    other: bool,
}

impl BodyOf {
    fn take(&mut self, bytes: &[u8]) {
        self.kept
            .extend(&bytes[..KEPT.saturating_sub(self.kept.len()).min(bytes.len())]);
        self.other |= !pattern::is(self.length, bytes);
        self.length += bytes.len() as u64;
    }
}

async fn converse<S: Stream>(stream: S, shared: &Shared) {
    let mut reader = Reader {
        stream,
        buffer: Vec::new(),
        shared,
    };
    while let Some(head) = reader.until(b"\r\n\r\n").await {
        let mut received = read_head(&head);
        let mut reply = shared.script.lock().unwrap().next.pop_front();
        let early = reply.as_ref().is_some_and(|reply| reply.early);
        let mut body = BodyOf::default();
        if !early {
            let trailers = reader.body(&received, &mut body).await;
            received.whole = trailers.is_some();
            received.trailers = trailers.unwrap_or_default();
            received.length = body.length;
            received.body = body.kept;
            received.patterned = !body.other;
        }
        let whole = received.whole || early;
        let reply = reply
            .take()
            .unwrap_or_else(|| match &shared.script.lock().unwrap().always {
                Some(always) => always(&received),
                None => Reply::json(200, &serde_json::json!({ "ok": true })),
            });
        shared.received.lock().unwrap().push(received);
        if !whole {
            return;
        }
        let Some(back) = answer(reader, reply).await else {
            return;
        };
        reader = back;
    }
}

async fn answer<S: Stream>(mut reader: Reader<'_, S>, reply: Reply) -> Option<Reader<'_, S>> {
    let Reply {
        wait, pieces, then, ..
    } = reply;
    if let Some(wait) = wait {
        let _ = wait.await;
    }
    match pieces {
        Pieces::All(bytes) => reader.stream.write_all(&bytes).await.ok()?,
        Pieces::Channel(mut pieces) => {
            while let Some(piece) = pieces.recv().await {
                reader.stream.write_all(&piece).await.ok()?;
                reader.stream.flush().await.ok()?;
            }
        }
    }
    reader.stream.flush().await.ok()?;
    match then {
        Then::Keep => Some(reader),
        Then::Close => {
            let _ = reader.stream.shutdown().await;
            None
        }
        Then::Reset => {
            reader.stream.reset();
            None
        }
        Then::Hang => {
            while reader.more().await.is_some() {}
            None
        }
    }
}

fn read_head(head: &[u8]) -> Received {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let mut words = line.split(' ');
    let (method, target) = (
        words.next().unwrap().to_owned(),
        words.next().unwrap_or_default().to_owned(),
    );
    let fields = lines.filter(|line| !line.is_empty()).map(|line| {
        line.split_once(':')
            .map_or((line, ""), |(name, value)| (name, value.trim()))
    });
    let headers = fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Received {
        line,
        method,
        target,
        headers,
        ..Received::default()
    }
}
