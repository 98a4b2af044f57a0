//! Who gets in, and with what (G11).

use axum::body::Body;
use axum::http::{Method, Request, header};
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::world::{TRIAGE, World, bearer, held};
use crate::admin::serve::MAX_CONNECTIONS;
use crate::admin::{openapi, serve};

/// Every endpoint with the least role it needs.
const ENDPOINTS: &[(&str, &str, &str)] = &[
    ("GET", "/v1/workflows", "vera"),
    ("GET", "/v1/workflows/support-triage", "vera"),
    ("GET", "/v1/approvals", "vera"),
    ("GET", "/v1/grants", "vera"),
    (
        "GET",
        "/v1/approvals/apr_00000000000000000000000000000001",
        "vera",
    ),
    ("GET", "/v1/runs", "vera"),
    ("GET", "/v1/runs/r", "vera"),
    ("GET", "/v1/audit", "vera"),
    ("GET", "/v1/unlisted", "vera"),
    ("GET", "/v1/checks", "vera"),
    ("GET", "/v1/incidents", "vera"),
    ("GET", "/metrics", "vera"),
    ("GET", "/openapi.json", "vera"),
    ("POST", "/v1/reports", "rob"),
    ("POST", "/v1/runs/r/report", "rob"),
    ("POST", "/v1/checks/r/accept", "rob"),
    ("POST", "/v1/checks/r/report", "rob"),
    (
        "POST",
        "/v1/approvals/apr_00000000000000000000000000000001/approve",
        "dana",
    ),
    (
        "POST",
        "/v1/approvals/apr_00000000000000000000000000000001/deny",
        "dana",
    ),
    ("GET", "/v1/workflows/support-triage/numbers", "vera"),
    ("GET", "/v1/workflows/support-triage/approvals", "vera"),
    ("GET", "/v1/workflows/support-triage/enforce", "vera"),
    ("POST", "/v1/approvals/decide", "dana"),
    (
        "POST",
        "/v1/approvals/apr_00000000000000000000000000000001/withdraw",
        "dana",
    ),
    ("POST", "/v1/workflows/support-triage/grants", "operator"),
    (
        "POST",
        "/v1/grants/grt_00000000000000000000000000000001/revoke",
        "operator",
    ),
    ("POST", "/v1/workflows/support-triage/clamp", "operator"),
    ("POST", "/v1/workflows/support-triage/release", "operator"),
    ("POST", "/v1/workflows/support-triage/recover", "operator"),
    ("POST", "/v1/workflows/support-triage/promote", "operator"),
    ("GET", "/v1/review", "viewer"),
    ("POST", "/v1/review", "operator"),
    ("POST", "/v1/clamp", "operator"),
    ("POST", "/v1/release", "operator"),
    ("POST", "/v1/runs/r/exclude", "operator"),
    ("POST", "/v1/exclusions", "operator"),
    ("POST", "/v1/import", "operator"),
    ("POST", "/v1/signals/nothing", "rob"),
    ("POST", "/v1/workflows/support-triage/changes", "operator"),
    ("POST", "/v1/workflows/support-triage/waive", "operator"),
    (
        "POST",
        "/v1/incidents/inc_00000000000000000000000000000001/exclude",
        "operator",
    ),
];

fn ask(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
}

#[tokio::test]
async fn a_wrong_token_is_401_a_wrong_role_403_and_the_least_role_gets_in() {
    let world = World::new(&[held(1, 1)], Vec::new());
    for (method, path, least) in ENDPOINTS {
        for credential in [
            None,
            Some("Bearer "),
            Some("Bearer wrong"),
            Some("Basic dG9rZW4="),
            Some("token-of-operator"),
        ] {
            let mut request = ask(method, path);
            if let Some(credential) = credential {
                request = request.header(header::AUTHORIZATION, credential);
            }
            let answer = world.send(request.body(Body::from("{")).unwrap()).await;
            assert_eq!(
                answer.is(401)["type"],
                "urn:burngate:problem:unauthorized",
                "{path} {credential:?}"
            );
            assert_eq!(
                answer.headers["www-authenticate"],
                "Bearer realm=\"burngate\""
            );
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
        let order = ["vera", "rob", "dana", "operator"];
        for who in order {
            let answer = world
                .send(
                    ask(method, path)
                        .header(header::AUTHORIZATION, bearer(who))
                        .body(Body::from("{"))
                        .unwrap(),
                )
                .await;
            let rank = |name: &str| order.iter().position(|known| *known == name);
            if rank(who) < rank(least) {
                assert_eq!(
                    answer.is(403)["type"],
                    "urn:burngate:problem:forbidden",
                    "{path} {who}"
                );
            } else {
                assert!(
                    !matches!(answer.status.as_u16(), 401 | 403),
                    "{path} {who}: {}",
                    answer.text
                );
            }
        }
    }
}

#[tokio::test]
async fn a_request_with_two_tokens_is_refused() {
    let world = World::new(&[], Vec::new());
    let request = ask("GET", "/v1/workflows")
        .header(header::AUTHORIZATION, bearer("operator"))
        .header(header::AUTHORIZATION, bearer("vera"));
    world
        .send(request.body(Body::empty()).unwrap())
        .await
        .is(401);
}

#[tokio::test]
async fn health_needs_no_token_and_nothing_is_at_other_paths() {
    let world = World::new(&[], Vec::new());
    let get = |path: &str| world.send(Request::get(path).body(Body::empty()).unwrap());
    assert_eq!(get("/healthz").await.is(200)["status"], "ok");
    assert_eq!(
        get("/readyz").await.text,
        r#"{"ready":true,"checks":{"policies":"ok","store":"nearly_full"}}"#
    );
    assert_eq!(
        get("/v1/nothing").await.is(404)["type"],
        "urn:burngate:problem:not-found"
    );
    let answer = world.post("operator", "/v1/workflows", "{}").await;
    assert_eq!(answer.is(405)["status"], 405);
    assert_eq!(answer.headers["allow"], "GET,HEAD");
}

#[rstest]
#[case::rebound("host", "evil.example:9901", 403)]
#[case::rebound_to_a_lookalike("host", "localhost.evil.example", 403)]
#[case::private("host", "10.0.0.1:9901", 403)]
#[case::by_name("host", "localhost:9901", 200)]
#[case::by_address("host", "[::1]:9901", 200)]
#[case::foreign_origin("origin", "https://evil.example", 403)]
#[case::other_port("origin", "http://127.0.0.1:3000", 403)]
#[case::opaque_origin("origin", "null", 403)]
#[case::own_origin("origin", "http://127.0.0.1:9901", 200)]
#[case::cross_site("sec-fetch-site", "cross-site", 403)]
#[case::same_site("sec-fetch-site", "same-site", 403)]
#[case::typed_address("sec-fetch-site", "none", 200)]
#[tokio::test]
async fn what_another_site_sent_is_refused_token_or_not(
    #[case] name: &str,
    #[case] value: &str,
    #[case] status: u16,
) {
    let world = World::new(&[], Vec::new());
    let request = ask("GET", "/v1/workflows")
        .header(header::AUTHORIZATION, bearer("operator"))
        .header(name, value);
    let answer = world.send(request.body(Body::empty()).unwrap()).await;
    answer.is(status);
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    assert_eq!(
        answer.headers["content-security-policy"],
        "default-src 'none'; frame-ancestors 'none'"
    );
}

#[rstest]
#[case::form("application/x-www-form-urlencoded", "to=halted", 415)]
#[case::text("text/plain", r#"{"to":"halted","reason":"r"}"#, 415)]
#[case::other_charset("application/json; charset=utf-16", "{}", 415)]
#[case::not_json("application/json", "to=halted", 400)]
#[case::two_values("application/json", r#"{"to":"halted","reason":"r"} {}"#, 400)]
#[case::json(
    "Application/JSON; charset=UTF-8",
    r#"{"to":"halted","reason":"r"}"#,
    200
)]
#[tokio::test]
async fn only_json_changes_anything(#[case] kind: &str, #[case] body: &str, #[case] status: u16) {
    let world = World::new(&[], Vec::new());
    let request = Request::post("/v1/clamp")
        .header(header::AUTHORIZATION, bearer("operator"))
        .header(header::CONTENT_TYPE, kind);
    world
        .send(request.body(Body::from(body.to_owned())).unwrap())
        .await
        .is(status);
    let effective = &world
        .get("vera", "/v1/workflows/support-triage")
        .await
        .json()["level"]["effective"];
    assert_eq!(effective, if status == 200 { "halted" } else { "standard" });
}

#[tokio::test]
async fn a_body_is_taken_up_to_its_bound_and_not_one_byte_further() {
    let world = World::new(&[], Vec::new());
    let padded = |size: usize| {
        let body = r#"{"to":"halted","reason":"r"}"#;
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    world
        .post(
            "operator",
            "/v1/clamp",
            &padded(super::super::read::MAX_BODY),
        )
        .await
        .is(200);
    world
        .post(
            "operator",
            "/v1/clamp",
            &padded(super::super::read::MAX_BODY + 1),
        )
        .await
        .is(413);
}

#[tokio::test]
async fn the_document_names_every_endpoint_and_nothing_else_with_a_token_in_it() {
    let document: serde_json::Value = serde_json::from_str(&openapi()).unwrap();
    let world = World::new(&[], Vec::new());
    let served = world.get("vera", "/openapi.json").await.is(200);
    assert_eq!(served, document);
    let paths: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "/v1/approvals",
        "/v1/approvals/decide",
        "/v1/approvals/{id}",
        "/v1/approvals/{id}/approve",
        "/v1/approvals/{id}/deny",
        "/v1/approvals/{id}/withdraw",
        "/v1/audit",
        "/v1/checks",
        "/v1/checks/{run}/accept",
        "/v1/checks/{run}/report",
        "/v1/clamp",
        "/v1/exclusions",
        "/v1/grants",
        "/v1/grants/{id}/revoke",
        "/v1/import",
        "/v1/incidents",
        "/v1/incidents/{incident}/exclude",
        "/v1/release",
        "/v1/reports",
        "/v1/review",
        "/v1/runs",
        "/v1/runs/{run}",
        "/v1/runs/{run}/exclude",
        "/v1/runs/{run}/report",
        "/v1/signals/{name}",
        "/v1/unlisted",
        "/v1/workflows",
        "/v1/workflows/{workflow}",
        "/v1/workflows/{workflow}/approvals",
        "/v1/workflows/{workflow}/changes",
        "/v1/workflows/{workflow}/clamp",
        "/v1/workflows/{workflow}/enforce",
        "/v1/workflows/{workflow}/grants",
        "/v1/workflows/{workflow}/numbers",
        "/v1/workflows/{workflow}/promote",
        "/v1/workflows/{workflow}/recover",
        "/v1/workflows/{workflow}/release",
        "/v1/workflows/{workflow}/waive",
    ];
    assert_eq!(paths, expected);
    // Metrics and the document itself are behind a door too, and not in the document.
    let operations: usize = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|item| item.as_object().unwrap().len())
        .sum();
    assert_eq!(
        operations + 2,
        ENDPOINTS.len(),
        "an endpoint is missing in the table of endpoints"
    );
}

#[tokio::test]
async fn a_listener_answers_and_lets_go_when_it_is_told_to_stop() {
    let world = World::new(&[], Vec::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(serve(listener, world.router.clone(), async move {
        stopped.await.unwrap();
    }));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET /v1/workflows/{TRIAGE} HTTP/1.1\r\nhost: {address}\r\nauthorization: {}\r\n\r\n",
        bearer("vera")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    stop.send(()).unwrap();
    served.await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn g7_as_many_connections_are_served_as_the_bound_and_one_more_waits_for_its_turn() {
    const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    async fn ask(stream: &mut tokio::net::TcpStream) {
        stream.write_all(ASK).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answering = axum::Router::new().route("/healthz", axum::routing::get(async || "ok\n"));
    let served = tokio::spawn(serve(listener, answering, std::future::pending()));
    let mut open = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        ask(&mut stream).await;
        open.push(stream);
    }
    let mut one_more = tokio::net::TcpStream::connect(address).await.unwrap();
    one_more.write_all(ASK).await.unwrap();
    ask(&mut open[0]).await;
    let early = one_more.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    drop(open.pop());
    let mut answer = [0; 15];
    one_more.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    served.abort();
}

/// A body that arrives when its sender is off the list.
struct Late(Option<(std::sync::Arc<crate::admin::auth::Auth>, &'static str)>);

impl hyper::body::Body for Late {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.take().map(|(auth, text)| {
            auth.narrow(&[]);
            Ok(hyper::body::Frame::data(bytes::Bytes::from_static(
                text.as_bytes(),
            )))
        }))
    }
}

#[rstest]
#[case::approve(
    "dana",
    "/v1/approvals/apr_00000000000000000000000000000001/approve",
    "application/json",
    "{}"
)]
#[case::report(
    "rob",
    "/v1/reports",
    "application/json",
    r#"{"run":"r","mode":"timeout"}"#
)]
#[case::signal(
    "rob",
    "/v1/signals/corrected",
    "application/json",
    r#"{"kind":"correction","order":"A-1"}"#
)]
#[tokio::test]
async fn whoever_leaves_while_their_request_arrives_does_nothing(
    #[case] who: &str,
    #[case] path: &str,
    #[case] kind: &str,
    #[case] body: &'static str,
) {
    let world = World::new(&[held(1, 1)], Vec::new());
    let late = Body::new(Late(Some((std::sync::Arc::clone(&world.auth), body))));
    let before = world.journal.state();
    let request = Request::post(path)
        .header(header::AUTHORIZATION, bearer(who))
        .header(header::CONTENT_TYPE, kind);
    assert_eq!(world.send(request.body(late).unwrap()).await.status, 401);
    // The operator's token is no line in a file, and stays.
    assert_eq!(world.get("operator", "/v1/workflows").await.status, 200);
    let workflow = |state: &crate::gate::state::State| state.workflow(&TRIAGE.into()).cloned();
    assert_eq!(workflow(&world.journal.state()), workflow(&before));
}
