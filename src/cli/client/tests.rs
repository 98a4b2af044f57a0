//! The client against a server that says what it is told to: tokens, bodies, problems, and gates
//! that are not there.

use std::net::TcpListener;

use super::scripted::Scripted;
use super::*;
use crate::cli::failure::Exit;

#[test]
fn a_question_carries_the_token_and_its_answer_comes_back_as_it_is() {
    let gate = Scripted::raw(&["HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"a\": 1.5000}"]);
    let answer = gate.client().get("/v1/workflows?x=1").unwrap();
    assert_eq!(answer.json(), "{\"a\": 1.5000}");
    let asked = &gate.asked()[0];
    assert!(
        asked.starts_with("GET /v1/workflows?x=1 HTTP/1.1\r\nhost: 127.0.0.1:"),
        "{asked}"
    );
    assert!(
        asked.contains("\r\nauthorization: Bearer secret\r\n"),
        "{asked}"
    );
}

#[test]
fn what_is_sent_is_json() {
    let gate = Scripted::json(&["{}"]);
    gate.client()
        .post("/v1/clamp", &serde_json::json!({ "to": "halted" }))
        .unwrap();
    let asked = &gate.asked()[0];
    assert!(
        asked.contains("content-type: application/json\r\n")
            && asked.ends_with("\r\n\r\n{\"to\":\"halted\"}"),
        "{asked}"
    );
}

#[test]
fn a_problem_is_read_aloud() {
    let gate = Scripted::raw(&[concat!(
        "HTTP/1.1 409 Conflict\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\r\n",
        r#"{"type":"urn:burngate:problem:conflict","title":"The state does not permit it","status":409,"detail":"`triage` is not clamped"}"#
    )]);
    let failure = gate
        .client()
        .post("/v1/workflows/triage/release", &serde_json::json!({}))
        .unwrap_err();
    assert_eq!(
        (failure.message.as_str(), failure.exit),
        ("`triage` is not clamped", Exit::Failed)
    );
}

#[test]
fn a_gate_that_is_not_there_is_said_to_be_not_there() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let connection = ConnectionArgs {
        admin: address.to_string(),
        data: "no-such-directory".into(),
    };
    let client = connection.client().unwrap();
    let failure = client.get("/v1/workflows").unwrap_err();
    assert_eq!(
        failure.message,
        format!("cannot reach the gate at http://{address}: connection refused")
    );
    assert!(failure.hint.unwrap().starts_with("is `burngate run` up?"));
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    for broken in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{",
        "220 mail ready\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n\u{0}",
    ] {
        let read = Scripted::raw(&[broken])
            .client()
            .get("/")
            .and_then(|answer| answer.read::<serde_json::Value>());
        assert_eq!(read.unwrap_err().exit, Exit::Failed, "{broken:?}");
    }
}

#[test]
fn addresses_are_read_with_and_without_a_scheme() {
    let read = |text: &str| {
        GateAddress::read(text)
            .map(|address| address.to_string())
            .map_err(|failure| failure.message)
    };
    assert_eq!(
        read("http://127.0.0.1:9901"),
        Ok("http://127.0.0.1:9901".to_owned())
    );
    assert_eq!(
        read("localhost:9901/"),
        Ok("http://localhost:9901".to_owned())
    );
    assert_eq!(
        read("http://gate.internal/burngate/"),
        Ok("http://gate.internal:80/burngate".to_owned())
    );
    assert_eq!(
        read("http://[::1]:9901"),
        Ok("http://[::1]:9901".to_owned())
    );
    for bad in [
        "",
        "http://",
        "ftp://x",
        "http://user:pw@x",
        "http://x y",
        "http://x/?a",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    assert_eq!(
        read("https://gate"),
        Err("`https://gate`: the admin port speaks plain HTTP".to_owned())
    );
}

#[test]
fn a_name_cannot_leave_its_place_in_a_path() {
    assert_eq!(
        path(&["v1", "runs", "a/../b?c#2", "zoë"]),
        "/v1/runs/a%2F..%2Fb%3Fc%232/zo%C3%AB"
    );
    assert_eq!(
        query(&[("tool", "a/b".to_owned()), ("since", "1d".to_owned())]),
        "?tool=a%2Fb&since=1d"
    );
    assert_eq!(query(&[]), "");
}

#[test]
fn the_token_is_said_or_in_a_file_or_the_one_that_the_gate_made() {
    let dir = tempfile::tempdir().unwrap();
    let connection = ConnectionArgs {
        admin: DEFAULT_ADMIN.to_owned(),
        data: dir.path().to_owned(),
    };
    let failure = token(None, None, &connection).unwrap_err();
    assert!(
        failure
            .message
            .ends_with("operator.token: no such file or directory"),
        "{failure}"
    );
    assert!(failure.hint.unwrap().contains("--data"));
    fs::write(dir.path().join("operator.token"), "made\n").unwrap();
    fs::write(dir.path().join("other"), " named \n").unwrap();
    fs::write(dir.path().join("empty"), "\n").unwrap();
    assert_eq!(token(None, None, &connection).unwrap(), "made");
    assert_eq!(
        token(None, Some(dir.path().join("other")), &connection).unwrap(),
        "named"
    );
    assert_eq!(
        token(
            Some("said".to_owned()),
            Some(dir.path().join("other")),
            &connection
        )
        .unwrap(),
        "said"
    );
    assert!(token(None, Some(dir.path().join("empty")), &connection).is_err());
}

#[test]
fn a_token_is_read_up_to_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let connection = ConnectionArgs {
        admin: DEFAULT_ADMIN.to_owned(),
        data: dir.path().to_owned(),
    };
    let read = |length: usize| {
        fs::write(dir.path().join("operator.token"), "t".repeat(length)).unwrap();
        token(None, None, &connection).map(|token| token.len())
    };
    assert_eq!(read(MAX_TOKEN).unwrap(), MAX_TOKEN);
    let refused = read(MAX_TOKEN + 1).unwrap_err();
    assert!(refused.message.ends_with("more than a token"), "{refused}");
}

#[test]
fn g7_an_answer_is_read_up_to_its_bound() {
    let answer = |length: usize| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        let gate = Scripted::raw(&[&(head + &"x".repeat(length))]);
        gate.client()
            .get("/v1/runs")
            .map(|answer| answer.json().len())
    };
    assert_eq!(answer(MAX_ANSWER).unwrap(), MAX_ANSWER);
    assert!(answer(MAX_ANSWER + 1).is_err());
}
