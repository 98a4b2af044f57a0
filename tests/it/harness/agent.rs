//! An agent: HTTP/1.1 or HTTP/2 through hyper, or bytes as they are.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::SOON;

/// A request's body.
pub type Body = BoxBody<Bytes, std::io::Error>;

/// Somebody who calls tools.
#[derive(Debug, Clone)]
pub struct Agent {
    gate: SocketAddr,
    headers: Vec<(String, String)>,
    two: bool,
}

/// One connection, kept.
pub enum Line {
    /// HTTP/1.1.
    One(hyper::client::conn::http1::SendRequest<Body>, Agent),
    /// HTTP/2.
    Two(hyper::client::conn::http2::SendRequest<Body>, Agent),
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// What came after the body.
    pub trailers: Option<HeaderMap>,
}

impl Agent {
    /// Calls the gate at `gate`.
    pub fn new(gate: SocketAddr) -> Self {
        Agent {
            gate,
            headers: Vec::new(),
            two: false,
        }
    }

    /// Sends this header with every call.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Identifies itself.
    pub fn token(self, token: &str) -> Self {
        self.with("burngate-authorization", &format!("Bearer {token}"))
    }

    /// Calls for a workflow.
    pub fn workflow(self, workflow: &str) -> Self {
        self.with("burngate-workflow", workflow)
    }

    /// Calls in a run.
    pub fn run(self, run: &str) -> Self {
        self.with("burngate-run", run)
    }

    /// Speaks HTTP/2.
    pub fn http2(mut self) -> Self {
        self.two = true;
        self
    }

    /// Opens a connection.
    pub async fn line(&self) -> Line {
        let stream = TcpStream::connect(self.gate).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        if self.two {
            let (send, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                    .await
                    .unwrap();
            tokio::spawn(connection);
            Line::Two(send, self.clone())
        } else {
            let (send, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Line::One(send, self.clone())
        }
    }

    /// A request with what this agent always sends.
    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let host = self.gate;
        let builder = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap());
        let builder = if self.two {
            builder.uri(format!("http://{host}{path}"))
        } else {
            builder.uri(path).header("host", host.to_string())
        };
        self.headers.iter().fold(builder, |builder, (name, value)| {
            builder.header(name, value)
        })
    }

    /// Calls, over a connection of its own, and reads the answer to its end.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        Answer::read(self.open(request).await).await
    }

    /// Calls, over a connection of its own, and leaves the answer's body unread.
    pub async fn open(&self, request: Request<Body>) -> Response<Incoming> {
        self.line().await.open(request).await.expect("an answer")
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    /// POST of a JSON document.
    pub async fn post(&self, path: &str, json: &Value) -> Answer {
        self.call("POST", path, Some(json)).await
    }

    /// Any method, with a JSON document or nothing.
    pub async fn call(&self, method: &str, path: &str, json: Option<&Value>) -> Answer {
        self.send(self.compose(method, path, json)).await
    }

    /// As [`Agent::call`]; `None` where the gate went away.
    pub async fn try_call(&self, method: &str, path: &str, json: Option<&Value>) -> Option<Answer> {
        let stream = TcpStream::connect(self.gate).await.ok()?;
        let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .ok()?;
        let connection = tokio::spawn(connection);
        let answer = send.send_request(self.compose(method, path, json)).await;
        let answer = match answer {
            Ok(answer) => Answer::try_read(answer).await.ok(),
            Err(_) => None,
        };
        connection.abort();
        answer
    }

    fn compose(&self, method: &str, path: &str, json: Option<&Value>) -> Request<Body> {
        match json {
            None => self.request(method, path).body(empty()).unwrap(),
            Some(json) => self
                .request(method, path)
                .header("content-type", "application/json")
                .body(full(json.to_string()))
                .unwrap(),
        }
    }

    /// Sends bytes, and reads whatever comes back until the gate closes, or has nothing more to say
    /// for now.
    pub async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.gate).await.unwrap();
        // A gate that has answered already may not take the rest.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await;
        answer
    }

    /// A connection for bytes.
    pub async fn stream(&self) -> TcpStream {
        TcpStream::connect(self.gate).await.unwrap()
    }
}

impl Line {
    /// Calls, and leaves the answer's body unread.
    pub async fn open(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match self {
            Line::One(send, _) => {
                send.ready().await?;
                send.send_request(request).await
            }
            Line::Two(send, _) => {
                send.ready().await?;
                send.send_request(request).await
            }
        }
    }

    /// Calls, and reads the answer to its end.
    pub async fn send(&mut self, request: Request<Body>) -> Answer {
        Answer::read(self.open(request).await.expect("an answer")).await
    }

    /// Any method, with a JSON document or nothing.
    pub async fn call(&mut self, method: &str, path: &str, json: Option<&Value>) -> Answer {
        let (Line::One(_, agent) | Line::Two(_, agent)) = self;
        let request = agent.compose(method, path, json);
        self.send(request).await
    }
}

impl Answer {
    /// Reads an answer to its end.
    pub async fn read(response: Response<Incoming>) -> Answer {
        Answer::try_read(response).await.expect("a whole answer")
    }

    /// Reads an answer to its end, which may be broken.
    pub async fn try_read(response: Response<Incoming>) -> hyper::Result<Answer> {
        let (parts, body) = response.into_parts();
        let collected = tokio::time::timeout(Duration::from_secs(50), body.collect())
            .await
            .expect("an answer that ends")?;
        let trailers = collected.trailers().cloned();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: collected.to_bytes(),
            trailers,
        })
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// The problem's slug. Panics where the answer is no problem.
    pub fn slug(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        let slug = problem["type"]
            .as_str()
            .unwrap()
            .strip_prefix("urn:burngate:problem:")
            .unwrap();
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        slug.to_owned()
    }

    /// The call's id.
    #[track_caller]
    pub fn call(&self) -> &str {
        self.header("burngate-call").expect("a call")
    }

    /// Asserts that the gate refused with this slug and status.
    #[track_caller]
    pub fn refused(&self, status: u16, slug: &str) -> Value {
        assert_eq!(
            (self.status.as_u16(), self.slug().as_str()),
            (status, slug),
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        self.json()
    }

    /// Asserts that the call went through.
    #[track_caller]
    pub fn passed(&self) -> &Self {
        assert!(
            self.status.is_success(),
            "{} {}",
            self.status,
            String::from_utf8_lossy(&self.body)
        );
        self
    }
}

/// A body that comes through a channel, chunked where HTTP/1 needs that.
pub fn pieces() -> (tokio::sync::mpsc::Sender<hyper::body::Frame<Bytes>>, Body) {
    let (send, receive) = tokio::sync::mpsc::channel(4);
    (send, BoxBody::new(Pieces(std::sync::Mutex::new(receive))))
}

struct Pieces(std::sync::Mutex<tokio::sync::mpsc::Receiver<hyper::body::Frame<Bytes>>>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        self.0
            .lock()
            .unwrap()
            .poll_recv(cx)
            .map(|frame| frame.map(Ok))
    }
}

/// No body.
pub fn empty() -> Body {
    full(Bytes::new())
}

/// A body of known length.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}
