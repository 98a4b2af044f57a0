//! What a tool API fails is sent again where that does no harm, within bounds, and never behind a
//! clamp's back.

use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Answer, Reply, ScriptedUpstream, Shop, TestGate, eventually, policies, test};

fn order() -> Value {
    json!({ "order": "1" })
}

fn attempts(answer: &Answer) -> Option<&str> {
    answer.header("burngate-attempts")
}

fn unavailable() -> Reply {
    Reply::json(503, &json!({ "sorry": true }))
}

#[rstest]
#[case::bad_gateway(Reply::json(502, &json!({})))]
#[case::unavailable(unavailable())]
#[case::in_a_moment(Reply::new(503, &[("retry-after", "0")], ""))]
#[case::gateway_timeout(Reply::json(504, &json!({})))]
#[case::reset(Reply::reset())]
#[case::closed(Reply::close())]
fn a_read_that_failed_in_passing_is_sent_again_and_its_last_answer_counts(#[case] failure: Reply) {
    test(async {
        let Shop {
            upstream,
            gate: _gate,
            agent,
            operator,
        } = Shop::start("").await;
        upstream.next(failure);
        let answer = agent.get("/shop/look/1?x=1").await;
        assert_eq!(
            (answer.passed().json(), attempts(&answer)),
            (json!({ "ok": true }), Some("2"))
        );
        let received = upstream.received();
        assert_eq!(
            received
                .iter()
                .map(|request| &*request.line)
                .collect::<Vec<_>>(),
            ["GET /look/1?x=1 HTTP/1.1"; 2]
        );
        let run = operator.run_of(answer.call()).await;
        assert_eq!(
            (&run["outcome"], &run["modes"]),
            (&json!("acceptable"), &json!([])),
            "{run}"
        );
    });
}

#[test]
fn a_read_is_sent_no_more_often_than_its_workflow_says() {
    test(async {
        let Shop {
            upstream,
            gate: _gate,
            agent,
            operator,
        } = Shop::start("").await;
        upstream.always(|_| unavailable());
        let answer = agent.get("/shop/look/1").await;
        assert_eq!(
            (answer.status.as_u16(), answer.json(), attempts(&answer)),
            (503, json!({ "sorry": true }), Some("2"))
        );
        assert_eq!(upstream.count(), 2);
        let run = operator.run_of(answer.call()).await;
        assert_eq!(run["modes"], json!(["tool_error"]), "{run}");
    });
}

#[test]
fn an_idempotent_call_is_sent_again_with_the_same_body() {
    test(async {
        let Shop {
            upstream,
            gate: _gate,
            agent,
            operator: _operator,
        } = Shop::start("").await;
        upstream.next(Reply::reset());
        let answer = agent.call("PUT", "/shop/put/1", Some(&order())).await;
        assert_eq!(attempts(answer.passed()), Some("2"));
        let bodies: Vec<_> = upstream
            .received()
            .iter()
            .map(|request| request.json())
            .collect();
        assert_eq!(bodies, [order(), order()]);
    });
}

#[rstest]
#[case::answered(unavailable(), 503, "tool_error")]
#[case::reset(Reply::reset(), 502, "timeout")]
#[case::garbage(Reply::garbage(), 502, "timeout")]
fn a_call_that_is_not_idempotent_is_never_sent_again(
    #[case] failure: Reply,
    #[case] status: u16,
    #[case] mode: &str,
) {
    test(async {
        let Shop {
            upstream,
            gate: _gate,
            agent,
            operator,
        } = Shop::start("").await;
        upstream.next(failure);
        let answer = agent.post("/shop/change", &order()).await;
        assert_eq!(
            (answer.status.as_u16(), attempts(&answer), upstream.count()),
            (status, None, 1)
        );
        let run = operator.run_of(answer.call()).await;
        assert_eq!(run["modes"], json!([mode]), "{run}");
        // A failure is booked before its run ends, and which calls lost their answer is known at
        // its end.
        let lost = usize::from(status == 502);
        let listed = async || {
            Some(
                operator
                    .get("/v1/runs?ambiguous=true")
                    .await
                    .passed()
                    .json()["runs"]
                    .as_array()?
                    .len(),
            )
            .filter(|count| *count == lost)
        };
        eventually("the runs with a lost answer", listed).await;
    });
}

#[test]
fn a_call_does_not_wait_longer_for_another_attempt_than_it_may_take() {
    test(async {
        let Shop {
            upstream,
            gate: _gate,
            agent,
            operator: _operator,
        } = Shop::start("").await;
        // The tool may take three seconds.
        for later in ["3", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            upstream.next(Reply::new(503, &[("retry-after", later)], "busy"));
            let answer = agent.get("/shop/look/1").await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body[..], attempts(&answer)),
                (503, &b"busy"[..], None)
            );
            assert_eq!(answer.header("retry-after"), Some(later));
        }
        assert_eq!(upstream.count(), 2);
    });
}

#[test]
fn an_api_that_fails_everything_is_not_called_twice_as_often() {
    test(async {
        let Shop {
            upstream,
            gate: _gate,
            agent,
            operator: _operator,
        } = Shop::start("").await;
        upstream.always(|_| unavailable());
        let calls = (0..200).map(|n| {
            let agent = agent.clone();
            tokio::spawn(async move { agent.get(&format!("/shop/look/{n}")).await })
        });
        let calls: Vec<_> = calls.collect();
        let mut retried = 0;
        for call in calls {
            let answer = call.await.unwrap();
            assert_eq!(answer.status, 503);
            retried += usize::from(attempts(&answer).is_some());
        }
        assert_eq!(upstream.count(), 200 + retried);
        assert!((1..150).contains(&retried), "{retried}");
    });
}

#[test]
fn a_clamp_between_two_attempts_is_the_end_of_the_call() {
    test(async {
        let Shop {
            upstream,
            gate: _gate,
            agent,
            operator,
        } = Shop::start("").await;
        let (release, reply) = unavailable().held();
        upstream.next(reply);
        let clamp = async {
            upstream.arrives(1).await;
            operator.clamp("desk", "halted").await.passed();
            drop(release);
        };
        let (answer, ()) = tokio::join!(agent.get("/shop/look/1"), clamp);
        // It was sent, so that is what it is told.
        assert_eq!(
            (answer.status.as_u16(), answer.json(), attempts(&answer)),
            (503, json!({ "sorry": true }), None)
        );
        assert_eq!(upstream.count(), 1);
    });
}

async fn with_fallback(primary: &str) -> (Shop, ScriptedUpstream) {
    let (upstream, fallback) = (
        ScriptedUpstream::start().await,
        ScriptedUpstream::start().await,
    );
    let shop = policies::shop(
        if primary.is_empty() {
            upstream.url()
        } else {
            primary.to_owned()
        }
        .as_str(),
    );
    let read = format!("risk: read, fallback: '{}/copy' }}", fallback.url());
    let gate = TestGate::builder()
        .policy("shop.yaml", shop.replace("risk: read }", &read))
        .policy("desk.yaml", policies::desk(""))
        .start();
    (
        Shop {
            agent: gate.agent(),
            operator: gate.operator(),
            upstream,
            gate,
        },
        fallback,
    )
}

#[test]
fn a_read_of_an_api_out_of_reach_goes_to_the_fallback() {
    test(async {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let gone = format!("http://{}", nobody.local_addr().unwrap());
        drop(nobody);
        let (
            Shop {
                upstream: _upstream,
                gate: _gate,
                agent,
                operator,
            },
            fallback,
        ) = with_fallback(&gone).await;
        let answer = agent.get("/shop/look/1?x=1").await;
        assert_eq!(
            (answer.passed().json(), answer.header("burngate-fallback")),
            (json!({ "ok": true }), Some("unreachable"))
        );
        let received = fallback.only();
        assert_eq!(
            (&*received.line, received.header("host")),
            (
                "GET /copy/look/1?x=1 HTTP/1.1",
                Some(&*fallback.address().to_string())
            )
        );
        let run = operator.run_of(answer.call()).await;
        assert_eq!(run["modes"], json!([]), "{run}");
        // What changes something never goes there.
        agent
            .post("/shop/note", &order())
            .await
            .refused(502, "upstream-unreachable");
        assert_eq!(fallback.count(), 1);
    });
}

#[rstest]
#[case::silent(Reply::hang(), "timeout")]
#[case::garbage(Reply::garbage(), "malformed")]
#[case::failing(unavailable(), "503")]
fn a_read_that_its_api_fails_goes_to_the_fallback(#[case] failure: Reply, #[case] why: &str) {
    test(async {
        let (
            Shop {
                upstream,
                gate: _gate,
                agent,
                operator: _operator,
            },
            _fallback,
        ) = with_fallback("").await;
        upstream.next(failure).always(|_| unavailable());
        let answer = agent.get("/shop/look/1").await;
        assert_eq!(answer.passed().header("burngate-fallback"), Some(why));
    });
}

#[rstest]
#[case::failing(Reply::json(500, &json!({})))]
#[case::empty(Reply::json(404, &json!({})))]
#[case::reset(Reply::reset())]
fn a_fallback_that_does_not_help_leaves_the_failure_as_it_was(#[case] answer: Reply) {
    test(async {
        let (
            Shop {
                upstream,
                gate: _gate,
                agent,
                operator,
            },
            fallback,
        ) = with_fallback("").await;
        upstream.always(|_| unavailable());
        fallback.next(answer);
        let answer = agent.get("/shop/look/1").await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (503, json!({ "sorry": true }))
        );
        assert_eq!(
            (answer.header("burngate-fallback"), fallback.count()),
            (None, 1)
        );
        let run = operator.run_of(answer.call()).await;
        assert_eq!(run["modes"], json!(["tool_error"]), "{run}");
    });
}
