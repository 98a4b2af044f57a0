//! The transport alone: every request goes to one upstream, undecided. What the gate costs before
//! it decides anything.
//!
//! `passthrough --listen 127.0.0.1:8103 --upstream 127.0.0.1:8000 [--workers 1]`

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use burngate::gate::policy::Upstream;
use burngate::gate::policy::pattern::Matched;
use burngate::proxy;
use burngate::proxy::accept::{Listen, Make, bind};
use burngate::proxy::address_map::{AddressMap, RequestedOrigin};
use burngate::proxy::connection::ClientConnection;
use burngate::proxy::drain::Drain;
use burngate::proxy::message::OutgoingTarget;
use burngate::proxy::observe::{AnswerEnding, Copied, OnEnd, ReplyBody};
use burngate::proxy::outbound::OutBody;
use burngate::proxy::pool::{PoolOptions, UpstreamPool};
use burngate::proxy::traces::Traces;
use burngate::proxy::upstream::{Patience, SendError};
use burngate::proxy::worker::{AcceptOptions, Serve};
use burngate::proxy::{answer_headers, request_headers};
use burngate::wire::target;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PATIENCE: Patience = Patience {
    answer: Duration::from_secs(10),
    silence: Duration::from_secs(10),
};
const BODY: u64 = 1024 * 1024;

struct Passthrough {
    pool: UpstreamPool,
    upstream: Upstream,
    addresses: AddressMap,
    traces: Traces,
}

struct Ended;

impl OnEnd for Ended {
    fn on_end(self, _: AnswerEnding, _: Option<Copied>) {}
}

impl Serve for Passthrough {
    type EndToken = Ended;

    async fn serve(
        self: Rc<Self>,
        connection: Rc<ClientConnection>,
        request: Request<Incoming>,
    ) -> Response<ReplyBody<Ended>> {
        if let Err(malformed) = connection.next_head() {
            return refusal(
                StatusCode::from_u16(malformed.status()).unwrap_or(StatusCode::BAD_REQUEST),
            );
        }
        let (mut head, body) = request.into_parts();
        let target = target::read(head.uri.path(), head.uri.query()).ok();
        let Some(target) = target
            .and_then(|target| OutgoingTarget::new(&self.upstream.base, &target, &Matched::new()))
        else {
            return refusal(StatusCode::BAD_REQUEST);
        };
        let (headers, gate) =
            request_headers::split(&mut head, &connection, &self.addresses, true, &self.traces);
        let body = OutBody::stream(body, connection.wire(), BODY, PATIENCE.silence);
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = target.whole().clone().into();
        *request.headers_mut() = headers;
        loop {
            let Ok(lease) = self.pool.ready(&self.upstream, PATIENCE.answer).await else {
                return refusal(StatusCode::BAD_GATEWAY);
            };
            return match lease.send(request, PATIENCE).await {
                Ok(mut reply) => {
                    let gate = RequestedOrigin {
                        scheme: connection.scheme,
                        host: gate.host.as_ref(),
                    };
                    answer_headers::to_agent(&mut reply.parts.headers, gate, &self.addresses);
                    Response::from_parts(reply.parts, ReplyBody::observed(reply.body, Ended, None))
                }
                Err(SendError::Unsent(unsent)) => {
                    request = *unsent;
                    continue;
                }
                Err(SendError::Timeout) => refusal(StatusCode::GATEWAY_TIMEOUT),
                Err(SendError::Body(_)) => refusal(StatusCode::BAD_REQUEST),
                Err(
                    SendError::Reset { .. } | SendError::TooLarge { .. } | SendError::Malformed,
                ) => refusal(StatusCode::BAD_GATEWAY),
            };
        }
    }

    fn tend(&self) {
        self.pool.tend();
    }
}

fn refusal(status: StatusCode) -> Response<ReplyBody<Ended>> {
    let mut response = Response::new(ReplyBody::Full(Bytes::from_static(b"refused\n")));
    *response.status_mut() = status;
    response
}

fn main() -> anyhow::Result<()> {
    let listen: Listen = flag("--listen", "127.0.0.1:8103").parse()?;
    let (host, port) = split(&flag("--upstream", "127.0.0.1:8000"))?;
    let upstream = Upstream {
        tls: false,
        host: Arc::from(host),
        port,
        base: Arc::from(""),
    };
    let options = PoolOptions::new(proxy::tls::client(None)?);
    let make: Make<Passthrough> = Arc::new(move |local| {
        let addresses =
            AddressMap::new(&upstream, "/").unwrap_or_else(|| unreachable!("the host was parsed"));
        let seed = u64::try_from(local.worker.0).unwrap_or(0);
        Rc::new(Passthrough {
            pool: UpstreamPool::new(options.clone()),
            upstream: upstream.clone(),
            addresses,
            traces: Traces::new(seed),
        })
    });
    let drain = Drain::default();
    let running = bind(&[listen], flag("--workers", "1").parse()?)?.run(
        &make,
        &AcceptOptions::default(),
        &drain.watch(),
    )?;
    running
        .join()
        .map_err(|_| anyhow::anyhow!("a worker panicked"))
}

fn split(authority: &str) -> anyhow::Result<(String, u16)> {
    let (host, port) = authority
        .rsplit_once(':')
        .ok_or_else(|| anyhow::anyhow!("expected HOST:PORT"))?;
    Ok((host.to_owned(), port.parse()?))
}

fn flag(name: &str, default: &str) -> String {
    std::env::args()
        .skip_while(|argument| argument != name)
        .nth(1)
        .unwrap_or_else(|| default.to_owned())
}
