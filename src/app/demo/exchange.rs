//! One request, one answer, one connection: how the scripted agent and the operator reach the
//! gate.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long anything here may take: all of it is on this machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MAX_ANSWER: usize = 1 << 20;

/// Sends JSON, or nothing, and reads the answer.
pub(super) async fn send(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&'static str, &str)],
    body: Option<&serde_json::Value>,
) -> anyhow::Result<Response<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(
        body.map(|body| Bytes::from(body.to_string()))
            .unwrap_or_default(),
    ))?;
    timeout(PATIENCE, exchange(address, request))
        .await
        .with_context(|| format!("no answer to {path} in time"))?
}

async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Response<Bytes>> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("cannot reach {address}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!("an answer broke off: {error}"))?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    tokio::pin!(exchange);
    // Driven in the same place: nothing is spawned, and nothing is left behind.
    tokio::select! {
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn g7_an_answer_is_read_up_to_its_bound() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = async |length: usize| {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            let whole = [head.into_bytes(), vec![b'x'; length]].concat();
            // The connection is closed while it still writes what exceeds the limit.
            let _ = stream.write_all(&whole).await;
        };
        let read = async |length: usize| {
            let ask = send(address, Method::GET, "/", &[], None);
            let (answer, ()) = tokio::join!(ask, answer(length));
            answer.map(|answer| answer.body().len())
        };
        assert_eq!(read(MAX_ANSWER).await.unwrap(), MAX_ANSWER);
        assert!(read(MAX_ANSWER + 1).await.is_err());
    }
}
