//! Whole connections over loopback: both protocols, TLS on both sides, refusals at their place, and
//! the way down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use rstest::rstest;
use rustls::pki_types::CertificateDer;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify as Signal;

use super::*;
use crate::gate::policy::Upstream;
use crate::gate::policy::pattern::Matched;
use crate::proxy::accept::{Listen, Make, RunningWorkers, bind};
use crate::proxy::address_map::AddressMap;
use crate::proxy::drain::Drain;
use crate::proxy::message::OutgoingTarget;
use crate::proxy::observe::{AnswerEnding, Copied};
use crate::proxy::outbound::{BodyFailure, OutBody};
use crate::proxy::pool::{PoolOptions, UpstreamPool};
use crate::proxy::traces::Traces;
use crate::proxy::upstream::{Patience, SendError};
use crate::proxy::{request_headers, tls};
use crate::wire::target;

const PATIENCE: Patience = Patience {
    answer: Duration::from_secs(10),
    silence: Duration::from_secs(10),
};
const BOUND: u64 = 1024 * 1024;

/// What the test and the service tell each other.
#[derive(Default)]
struct Signals {
    begun: Signal,
    release: Signal,
    ended: Signal,
    left: Signal,
    complete: AtomicUsize,
}

struct EndSignal(Arc<Signals>);

/// Tells that a call was dropped.
struct Left<'a>(&'a Signals);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.0.left.notify_one();
    }
}

impl OnEnd for EndSignal {
    fn on_end(self, ending: AnswerEnding, _: Option<Copied>) {
        if ending == AnswerEnding::Complete {
            self.0.complete.fetch_add(1, Ordering::SeqCst);
        }
        self.0.ended.notify_one();
    }
}

/// Answers by path; what it does not know goes to the upstream.
struct Scripted {
    signals: Arc<Signals>,
    pool: UpstreamPool,
    upstream: Option<Upstream>,
    traces: Traces,
}

impl Serve for Scripted {
    type EndToken = EndSignal;

    async fn serve(
        self: Rc<Self>,
        connection: Rc<ClientConnection>,
        request: Request<Incoming>,
    ) -> Response<ReplyBody<EndSignal>> {
        if let Err(malformed) = connection.next_head() {
            return say(malformed.status(), &malformed.to_string());
        }
        match request.uri().path() {
            "/who" => {
                let chain = connection.certificates.as_ref().map_or(0, Vec::len);
                say(
                    200,
                    &format!(
                        "{:?} {} {chain}",
                        request.version(),
                        connection.scheme.as_str()
                    ),
                )
            }
            "/echo" => match request.into_body().collect().await {
                Ok(body) => Response::new(ReplyBody::Full(body.to_bytes())),
                Err(_) => say(
                    400,
                    &connection
                        .broken()
                        .map_or("gone".to_owned(), |malformed| malformed.to_string()),
                ),
            },
            "/hold" => {
                self.signals.begun.notify_one();
                let _left = Left(&self.signals);
                self.signals.release.notified().await;
                say(200, "held")
            }
            "/panic" => panic!("a bug"),
            _ => self.forward(&connection, request).await,
        }
    }
}

impl Scripted {
    async fn forward(
        &self,
        connection: &ClientConnection,
        request: Request<Incoming>,
    ) -> Response<ReplyBody<EndSignal>> {
        let Some(upstream) = &self.upstream else {
            return say(404, "nowhere");
        };
        let addresses = AddressMap::new(upstream, "/").unwrap();
        let (mut head, body) = request.into_parts();
        let target = target::read(head.uri.path(), head.uri.query()).unwrap();
        let target = OutgoingTarget::new("", &target, &Matched::new()).unwrap();
        let uri = target.whole().clone().into();
        let (headers, _) =
            request_headers::split(&mut head, connection, &addresses, true, &self.traces);
        head.headers = headers;
        head.uri = uri;
        let lease = match self.pool.ready(upstream, PATIENCE.answer).await {
            Ok(lease) => lease,
            Err(error) => return say(502, &error.to_string()),
        };
        let body = OutBody::stream(body, connection.wire(), BOUND, PATIENCE.silence);
        match lease.send(Request::from_parts(head, body), PATIENCE).await {
            Ok(reply) => Response::from_parts(
                reply.parts,
                ReplyBody::observed(reply.body, EndSignal(Arc::clone(&self.signals)), None),
            ),
            Err(SendError::Body(failure)) => {
                self.signals.ended.notify_one();
                match failure {
                    BodyFailure::TooLarge => say(413, "too large"),
                    BodyFailure::Malformed(malformed) => say(400, &malformed.to_string()),
                    BodyFailure::ClientGone | BodyFailure::TooSlow => say(408, "gone"),
                }
            }
            Err(error) => say(502, &error.to_string()),
        }
    }
}

fn say(status: u16, text: &str) -> Response<ReplyBody<EndSignal>> {
    Response::builder()
        .status(status)
        .body(ReplyBody::Full(Bytes::copy_from_slice(text.as_bytes())))
        .unwrap()
}

struct Gate {
    address: SocketAddr,
    drain: Drain,
    running: RunningWorkers,
    signals: Arc<Signals>,
}

impl Gate {
    fn start(
        options: &AcceptOptions,
        upstream: Option<Upstream>,
        trust: Option<&std::path::Path>,
    ) -> Self {
        let bound = bind(&["127.0.0.1:0".parse().unwrap()], 1).unwrap();
        let Listen::Tcp(address) = bound.addresses()[0] else {
            panic!("asked for tcp")
        };
        let signals = Arc::<Signals>::default();
        let (shared, trust) = (Arc::clone(&signals), tls::client(trust).unwrap());
        let make: Make<Scripted> = Arc::new(move |_| {
            let pool = UpstreamPool::new(PoolOptions::new(trust.clone()));
            Rc::new(Scripted {
                signals: Arc::clone(&shared),
                pool,
                upstream: upstream.clone(),
                traces: Traces::new(1),
            })
        });
        let drain = Drain::default();
        let running = bound.run(&make, options, &drain.watch()).unwrap();
        Self {
            address,
            drain,
            running,
            signals,
        }
    }

    fn plain() -> Self {
        Self::start(&AcceptOptions::default(), None, None)
    }

    fn before(upstream: SocketAddr) -> Self {
        Self::start(
            &AcceptOptions::default(),
            Some(at("127.0.0.1", upstream.port(), false)),
            None,
        )
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ended(self) {
        tokio::task::spawn_blocking(|| self.running.join())
            .await
            .unwrap()
            .unwrap();
    }

    async fn stop(self) {
        self.drain.stop();
        self.ended().await;
    }
}

fn at(host: &str, port: u16, tls: bool) -> Upstream {
    Upstream {
        tls,
        host: host.into(),
        port,
        base: "".into(),
    }
}

/// All that comes after `sent`, until the other side closes.
async fn talk(gate: &Gate, sent: &str) -> String {
    let mut stream = gate.connect().await;
    stream.write_all(sent.as_bytes()).await.unwrap();
    if sent.is_empty() {
        stream.shutdown().await.unwrap();
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// Reads up to and including `end`.
async fn until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        text.push(char::from(stream.read_u8().await.unwrap()));
    }
    text
}

fn statuses(text: &str) -> Vec<&str> {
    text.split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .filter(|status| status.bytes().all(|byte| byte.is_ascii_digit()))
        .collect()
}

#[tokio::test]
async fn a21_each_pipelined_request_is_answered_at_its_place_and_nothing_behind_a_refusal() {
    let gate = Gate::plain();
    let good = "POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\n";
    let text = talk(
        &gate,
        &format!("{good}one.{good}two.GET /who HTTP/1.1\r\nhost: h\r\nhost: h\r\n\r\n{good}oops"),
    )
    .await;
    assert_eq!(statuses(&text), ["200", "200", "400"], "{text}");
    assert!(
        text.contains("one.") && text.contains("two.") && text.ends_with("host more than once"),
        "{text}"
    );
    assert!(!text.contains("oops"));
    gate.stop().await;
}

#[rstest]
#[case("SSH-2.0-OpenSSH_9.9\r\n", "400")]
#[case("GET / HTTP/1.1\nhost: h\n\n", "400")]
#[case("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}", "")]
#[case("", "")]
#[case("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "400")]
#[tokio::test]
async fn a28_what_is_no_request_is_refused_or_ignored(#[case] sent: &str, #[case] status: &str) {
    let gate = Gate::plain();
    let text = talk(&gate, sent).await;
    assert!(
        statuses(&text).first().copied().unwrap_or_default() == status
            || statuses(&text) == ["400"],
        "{text}"
    );
    gate.stop().await;
}

#[tokio::test]
async fn a18_a_bad_chunk_fails_the_body_and_closes() {
    let gate = Gate::plain();
    let text = talk(&gate, "POST /echo HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n").await;
    assert_eq!(statuses(&text), ["400"], "{text}");
    assert!(
        text.ends_with("chunk data does not end where its size says"),
        "{text}"
    );
    gate.stop().await;
}

#[tokio::test]
async fn f32_a_panic_costs_its_call_and_nothing_else() {
    let gate = Gate::plain();
    let text = talk(&gate, "GET /panic HTTP/1.1\r\nhost: h\r\n\r\nGET /who HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert_eq!(statuses(&text), ["500", "200"], "{text}");
    gate.stop().await;
}

#[tokio::test]
async fn f10_draining_finishes_what_is_in_flight_and_takes_nothing_new() {
    let gate = Gate::plain();
    let (mut busy, mut idle, mut silent) = (
        gate.connect().await,
        gate.connect().await,
        gate.connect().await,
    );
    idle.write_all(b"GET /who HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    until(&mut idle, "http 0").await;
    busy.write_all(b"GET /hold HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    gate.signals.begun.notified().await;
    gate.drain.begin(Duration::from_mins(1));
    let mut text = String::new();
    assert_eq!(
        idle.read_to_string(&mut text).await.unwrap(),
        0,
        "an idle connection is closed"
    );
    assert_eq!(
        silent.read_to_string(&mut text).await.unwrap(),
        0,
        "so is one that never spoke"
    );
    gate.signals.release.notify_one();
    busy.read_to_string(&mut text).await.unwrap();
    assert!(
        text.ends_with("held") && text.contains("connection: close"),
        "{text}"
    );
    let address = gate.address;
    gate.ended().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn f10_a_deadline_ends_the_wait() {
    let gate = Gate::plain();
    let mut busy = gate.connect().await;
    busy.write_all(b"GET /hold HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    gate.signals.begun.notified().await;
    gate.drain.begin(Duration::ZERO);
    let mut text = String::new();
    assert!(matches!(
        busy.read_to_string(&mut text).await,
        Ok(0) | Err(_)
    ));
    gate.ended().await;
}

#[rstest]
#[case::nothing("", false)]
#[case::a_request("GET /who HTTP/1.1\r\nhost: h\r\n\r\n", false)]
#[case::half_a_head("GET /wh", false)]
#[case::a_bad_head("\r\n\r\nGET", false)]
#[case::half_a_body(
    "POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nabc",
    false
)]
#[case::a_bad_chunk(
    "POST /echo HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nx",
    false
)]
#[case::only_its_sending_side("", true)]
#[tokio::test]
async fn a91_a_client_that_leaves_takes_its_call_along_whatever_it_pipelined(
    #[case] behind: &str,
    #[case] half: bool,
    #[values(false, true)] at_once: bool,
) {
    let gate = Gate::plain();
    let mut client = gate.connect().await;
    let hold = "GET /hold HTTP/1.1\r\nhost: h\r\n\r\n";
    if at_once {
        client
            .write_all(format!("{hold}{behind}").as_bytes())
            .await
            .unwrap();
        gate.signals.begun.notified().await;
    } else {
        client.write_all(hold.as_bytes()).await.unwrap();
        gate.signals.begun.notified().await;
        client.write_all(behind.as_bytes()).await.unwrap();
    }
    if half {
        client.shutdown().await.unwrap();
        gate.signals.left.notified().await;
        assert_eq!(
            client.read(&mut [0]).await.unwrap(),
            0,
            "there is no answer"
        );
    } else {
        drop(client);
        gate.signals.left.notified().await;
    }
    gate.stop().await;
}

#[tokio::test]
async fn a21_what_is_pipelined_while_a_call_is_in_flight_is_answered_behind_it() {
    let gate = Gate::plain();
    let mut client = gate.connect().await;
    client
        .write_all(b"GET /hold HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    gate.signals.begun.notified().await;
    for piece in [
        "POST /echo HTTP/1.1\r\nhost: h\r\ncontent-le",
        "ngth: 4\r\n\r\non",
        "e.GET /who HTTP/1.1\r\nhost: h\r\n\r\nBAD\r\n",
    ] {
        client.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    gate.signals.release.notify_one();
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    assert_eq!(statuses(&text), ["200", "200", "200", "400"], "{text}");
    assert!(
        text.contains("held") && text.contains("one.") && text.contains("http 0"),
        "{text}"
    );
    gate.stop().await;
}

#[tokio::test]
async fn a91_a_stream_of_http2_that_is_reset_takes_its_call_along() {
    let gate = Gate::plain();
    let mut sender = http2(gate.connect().await).await;
    let request = Request::get(format!("http://{}/hold", gate.address))
        .body(Full::default())
        .unwrap();
    let held = tokio::spawn(sender.send_request(request));
    gate.signals.begun.notified().await;
    held.abort();
    gate.signals.left.notified().await;
    gate.stop().await;
}

#[tokio::test]
async fn over_the_bound_on_connections_the_next_one_waits() {
    let gate = Gate::start(
        &AcceptOptions {
            connections: 1,
            ..AcceptOptions::default()
        },
        None,
        None,
    );
    let mut first = gate.connect().await;
    first
        .write_all(b"GET /who HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    until(&mut first, "http 0").await;
    let mut second = gate.connect().await;
    second
        .write_all(b"GET /who HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    // The first is still served, one request after the other, while the second waits.
    for _ in 0..3 {
        first
            .write_all(b"GET /who HTTP/1.1\r\nhost: h\r\n\r\n")
            .await
            .unwrap();
        until(&mut first, "http 0").await;
    }
    assert_eq!(
        second.try_read(&mut [0]).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    drop(first);
    let mut text = String::new();
    second.read_to_string(&mut text).await.unwrap();
    assert_eq!(statuses(&text), ["200"]);
    gate.stop().await;
}

async fn http2(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> SendRequest<Full<Bytes>> {
    let (sender, driver) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        TokioIo::new(io),
    )
    .await
    .unwrap();
    tokio::spawn(driver);
    sender
}

#[tokio::test]
async fn http2_is_spoken_with_prior_knowledge_and_reaches_the_upstream_as_http1() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gate = Gate::before(listener.local_addr().unwrap());
    let mut sender = http2(gate.connect().await).await;
    let request = Request::post(format!("http://{}/a?b=1", gate.address))
        .body(Full::new(Bytes::from_static(b"hello")))
        .unwrap();
    let answered = async {
        let (mut upstream, _) = listener.accept().await.unwrap();
        let text = until(&mut upstream, "hello").await;
        upstream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n").await.unwrap();
        text
    };
    let (response, text) = tokio::join!(sender.send_request(request), answered);
    let body = response.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-sum"], "1");
    assert_eq!(body.to_bytes(), "ok");
    assert!(
        text.starts_with("POST /a?b=1 HTTP/1.1\r\n")
            && text.contains(&format!("x-forwarded-host: {}\r\n", gate.address)),
        "{text}"
    );
    gate.signals.ended.notified().await;
    gate.stop().await;
}

#[tokio::test]
async fn f10_draining_finishes_the_streams_of_http2() {
    let gate = Gate::plain();
    let mut sender = http2(gate.connect().await).await;
    let request = Request::get(format!("http://{}/hold", gate.address))
        .body(Full::default())
        .unwrap();
    let held = tokio::spawn(sender.send_request(request));
    gate.signals.begun.notified().await;
    gate.drain.begin(Duration::from_mins(1));
    gate.signals.release.notify_one();
    assert_eq!(
        held.await
            .unwrap()
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes(),
        "held"
    );
    gate.ended().await;
}

/// A CA, and a certificate of it for `localhost` with its key, as files.
struct Certified {
    folder: tempfile::TempDir,
}

impl Certified {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        std::fs::write(folder.path().join("ca"), ca_certificate.pem()).unwrap();
        std::fs::write(folder.path().join("certificate"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("key"), key.serialize_pem()).unwrap();
        Self { folder }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn server(&self, asks: bool) -> Arc<ServerConfig> {
        let ca = self.file("ca");
        tls::server(
            &self.file("certificate"),
            &self.file("key"),
            asks.then_some(ca.as_path()),
        )
        .unwrap()
    }

    /// A client that trusts the CA, and shows a certificate if `shows`.
    fn client(&self, shows: bool, protocol: &str) -> tokio_rustls::TlsConnector {
        use rustls::pki_types::pem::PemObject;
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.file("ca")).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = if shows {
            let chain = vec![CertificateDer::from_pem_file(self.file("certificate")).unwrap()];
            builder
                .with_client_auth_cert(
                    chain,
                    rustls::pki_types::PrivateKeyDer::from_pem_file(self.file("key")).unwrap(),
                )
                .unwrap()
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        tokio_rustls::TlsConnector::from(Arc::new(config))
    }
}

#[tokio::test]
async fn a59_tls_speaks_what_was_agreed_and_knows_the_clients_certificate() {
    let certified = Certified::new();
    let tls = Some(Arc::new(ArcSwap::new(certified.server(true))));
    let gate = Gate::start(
        &AcceptOptions {
            tls,
            ..AcceptOptions::default()
        },
        None,
        None,
    );
    let name = || rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let stream = certified
        .client(true, "h2")
        .connect(name(), gate.connect().await)
        .await
        .unwrap();
    let request = Request::get("https://localhost/who")
        .body(Full::default())
        .unwrap();
    let response = http2(stream).await.send_request(request).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "HTTP/2.0 https 1"
    );
    let mut stream = certified
        .client(true, "http/1.1")
        .connect(name(), gate.connect().await)
        .await
        .unwrap();
    stream
        .write_all(b"GET /who HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    until(&mut stream, "HTTP/1.1 https 1").await;
    // Without a certificate nothing is served: in TLS 1.3 the client learns it with its first read.
    let mut nobody = certified
        .client(false, "http/1.1")
        .connect(name(), gate.connect().await)
        .await
        .unwrap();
    let _ = nobody
        .write_all(b"GET /who HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    assert!(nobody.read_u8().await.is_err());
    gate.stop().await;
}

#[rstest]
#[case("localhost", true, "200")]
#[case("localhost", false, "502")]
#[case("127.0.0.1", true, "502")]
#[tokio::test]
async fn an_upstream_over_tls_is_always_verified(
    #[case] host: &str,
    #[case] trusted: bool,
    #[case] status: &str,
) {
    let certified = Certified::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let ca = certified.file("ca");
    let gate = Gate::start(
        &AcceptOptions::default(),
        Some(at(host, port, true)),
        trusted.then_some(ca.as_path()),
    );
    let answered = async {
        let accepted = TlsAcceptor::from(certified.server(false))
            .accept(listener.accept().await.unwrap().0)
            .await;
        if let Ok(mut upstream) = accepted {
            until(&mut upstream, "\r\n\r\n").await;
            upstream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await
                .unwrap();
        }
    };
    let (text, ()) = tokio::join!(
        talk(
            &gate,
            "GET /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
        ),
        answered
    );
    assert_eq!(statuses(&text), [status], "{text}");
    gate.stop().await;
}

#[tokio::test]
async fn a22_a_body_that_breaks_off_never_becomes_a_whole_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gate = Gate::before(listener.local_addr().unwrap());
    for (sent, end, leaves) in [
        (
            "POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhello",
            "hello",
            true,
        ),
        (
            "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "hello\r\n",
            true,
        ),
        (
            "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nX\r\n\r\n0\r\n\r\n",
            "hello\r\n",
            false,
        ),
    ] {
        let served = async {
            let (mut upstream, _) = listener.accept().await.unwrap();
            let begun = until(&mut upstream, end).await;
            let mut rest = String::new();
            let _ = upstream.read_to_string(&mut rest).await;
            (begun, rest)
        };
        let client = async {
            let mut stream = gate.connect().await;
            stream.write_all(sent.as_bytes()).await.unwrap();
            if leaves {
                stream.shutdown().await.unwrap();
            }
            gate.signals.ended.notified().await;
        };
        let ((begun, rest), ()) = tokio::join!(served, client);
        assert!(begun.contains("POST /a"), "{begun}");
        assert_eq!(rest, "", "nothing that could end the message");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a23_an_early_answer_is_relayed_and_neither_connection_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gate = Gate::before(listener.local_addr().unwrap());
    let answered = async {
        let (mut upstream, _) = listener.accept().await.unwrap();
        until(&mut upstream, "\r\n\r\n").await;
        upstream
            .write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
            .await
            .unwrap();
        let mut rest = Vec::new();
        let _ = upstream.read_to_end(&mut rest).await;
    };
    let client = async {
        let mut stream = gate.connect().await;
        stream
            .write_all(b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\nsome")
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    let ((), text) = tokio::join!(answered, client);
    assert_eq!(statuses(&text), ["413"]);
    gate.stop().await;
}

#[tokio::test]
async fn a_body_over_its_bound_is_not_passed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gate = Gate::before(listener.local_addr().unwrap());
    let served = async {
        let (mut upstream, _) = listener.accept().await.unwrap();
        let mut taken = Vec::new();
        let _ = upstream.read_to_end(&mut taken).await;
        taken.len()
    };
    let client = async {
        let mut stream = gate.connect().await;
        stream
            .write_all(b"POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        let piece = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
        while stream.write_all(piece.as_bytes()).await.is_ok() {}
    };
    let (taken, ()) = tokio::join!(served, client);
    assert!(u64::try_from(taken).unwrap() < BOUND + 4096, "{taken}");
    gate.stop().await;
}
