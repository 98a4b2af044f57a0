//! The clamp always wins: on the next call after its answer, over grants, over calls that were
//! admitted before it, and after a crash.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::harness::{Agent, Operator, Reply, ScriptedUpstream, TestGate, policies, test};

struct World {
    upstream: ScriptedUpstream,
    gate: TestGate,
    agent: Agent,
    operator: Operator,
}

async fn world() -> World {
    let upstream = ScriptedUpstream::start().await;
    let other = "workflow: other\nrisk: low\ntools: [shop/look, shop/note]\n";
    let builder = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(""));
    let gate = builder.policy("other.yaml", other).start();
    World {
        agent: gate.agent().workflow("desk"),
        operator: gate.operator(),
        upstream,
        gate,
    }
}

fn order() -> Value {
    json!({ "order": "1" })
}

#[test]
fn a_clamp_is_in_force_for_the_next_call_after_its_answer() {
    test(async {
        let World {
            upstream,
            gate,
            agent,
            operator,
        } = world().await;
        for round in 0..10 {
            agent.post("/shop/change", &order()).await.passed();
            operator.clamp("desk", "read_only").await.passed();
            agent
                .post("/shop/change", &order())
                .await
                .refused(403, "level");
            agent.get("/shop/look/1").await.passed();
            gate.agent()
                .workflow("other")
                .post("/shop/note", &order())
                .await
                .passed();
            operator.release("desk").await.passed();
            assert_eq!(upstream.count(), 3 * (round + 1));
        }
        operator.release("desk").await.refused(409, "conflict");
    });
}

#[test]
fn a_call_that_was_admitted_before_the_clamp_and_not_sent_is_judged_again() {
    test(async {
        // An upstream that is connected to, and does not shake hands until it is let: the call has
        // its permit, and not a byte of it has gone.
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let trusted = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(trusted.path(), made.cert.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth();
        let config = config
            .with_single_cert(
                vec![made.cert.der().clone()],
                made.signing_key.serialize_der().try_into().unwrap(),
            )
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gate = TestGate::builder()
            .policy(
                "shop.yaml",
                policies::shop(&format!(
                    "https://localhost:{}",
                    listener.local_addr().unwrap().port()
                )),
            )
            .policy("desk.yaml", policies::desk(""))
            .variable("SSL_CERT_FILE", trusted.path().to_str().unwrap())
            .start();
        let (agent, operator) = (gate.agent(), gate.operator());
        let upstream = async {
            let (stream, _) = listener.accept().await.unwrap();
            assert_eq!(
                operator.clamp("desk", "read_only").await.passed().json()["in_flight"],
                1
            );
            let mut stream = tokio_rustls::TlsAcceptor::from(Arc::new(config))
                .accept(stream)
                .await
                .unwrap();
            let mut byte = [0];
            tokio::select! {
                read = stream.read(&mut byte) => assert_eq!(read.unwrap_or(0), 0, "a byte came"),
                answer = std::future::pending::<()>() => answer,
            }
        };
        let body = order();
        let call = async {
            agent
                .post("/shop/change", &body)
                .await
                .refused(403, "level");
        };
        tokio::select! {
            () = call => {}
            () = upstream => panic!("the gate closed the connection before it answered"),
        }
        drop(gate);
    });
}

#[test]
fn a_clamp_on_all_and_a_clamp_on_one_are_lifted_each_by_itself() {
    test(async {
        let World {
            upstream: _upstream,
            gate,
            agent,
            operator,
        } = world().await;
        let other = gate.agent().workflow("other");
        let all = |to: &str| json!({ "to": to, "reason": "odd refunds" });
        operator.post("/v1/clamp", &all("read_only")).await.passed();
        agent
            .post("/shop/note", &order())
            .await
            .refused(403, "level");
        other
            .post("/shop/note", &order())
            .await
            .refused(403, "level");
        operator.clamp("desk", "halted").await.passed();
        agent.get("/shop/look/1").await.refused(403, "level");
        other.get("/shop/look/1").await.passed();
        operator
            .post("/v1/release", &json!({ "reason": "looked at it" }))
            .await
            .passed();
        other.post("/shop/note", &order()).await.passed();
        let problem = agent.get("/shop/look/1").await.refused(403, "level");
        assert!(
            problem["detail"].as_str().unwrap().contains("clamp"),
            "{problem}"
        );
        operator.release("desk").await.passed();
        agent.post("/shop/change", &order()).await.passed();
    });
}

#[test]
fn a_halted_workflow_forwards_nothing_at_all() {
    test(async {
        let World {
            upstream,
            gate: _gate,
            agent,
            operator,
        } = world().await;
        operator.clamp("desk", "halted").await.passed();
        agent.get("/shop/look/1").await.refused(403, "level");
        for path in ["/shop/note", "/shop/change", "/shop/pay"] {
            agent.post(path, &order()).await.refused(403, "level");
        }
        agent
            .call("PUT", "/shop/put/1", Some(&order()))
            .await
            .refused(403, "level");
        upstream.untouched();
        agent.get("/.burngate/budget").await.passed();
    });
}

#[test]
fn a_clamp_with_an_end_ends_by_itself() {
    test(async {
        let World {
            upstream: _upstream,
            gate: _gate,
            agent,
            operator,
        } = world().await;
        let clamped = operator
            .post(
                "/v1/workflows/desk/clamp",
                &json!({ "to": "read_only", "reason": "a minute", "for": "1s" }),
            )
            .await;
        assert!(clamped.passed().json()["until"].is_string());
        agent
            .post("/shop/note", &order())
            .await
            .refused(403, "level");
        operator
            .stands("desk", "no clamp", |status| {
                status["level"]["clamp"].is_null()
            })
            .await;
        agent.post("/shop/note", &order()).await.passed();
    });
}

#[test]
fn a_clamp_that_was_answered_survives_a_crash_right_after() {
    test(async {
        let World {
            upstream,
            mut gate,
            agent: _agent,
            operator,
        } = world().await;
        operator.clamp("desk", "halted").await.passed();
        gate.kill_nine();
        gate.start();
        let (agent, operator) = (gate.agent().workflow("desk"), gate.operator());
        agent.get("/shop/look/1").await.refused(403, "level");
        upstream.untouched();
        let clamp = operator.status("desk").await["level"]["clamp"].clone();
        assert_eq!(
            (
                &clamp["to"],
                &clamp["by"],
                &clamp["scope"],
                &clamp["reason"]
            ),
            (
                &json!("halted"),
                &json!("operator"),
                &json!("workflow"),
                &json!("a test says so")
            )
        );
        operator.release("desk").await.passed();
        gate.restart();
        gate.agent()
            .workflow("desk")
            .get("/shop/look/1")
            .await
            .passed();
    });
}

#[test]
fn a_clamp_says_what_it_found_and_leaves_what_is_on_its_way() {
    test(async {
        let World {
            upstream,
            gate: _gate,
            agent,
            operator,
        } = world().await;
        let (release, reply) = Reply::json(200, &json!({ "done": true })).held();
        upstream.next(reply);
        let body = order();
        let clamp = async {
            upstream.arrives(1).await;
            let held = agent.post("/shop/pay", &body).await.refused(403, "held");
            let clamped = operator.clamp("desk", "halted").await.passed().json();
            assert_eq!(
                (
                    &clamped["in_flight"],
                    &clamped["pending_approvals"],
                    &clamped["unused_grants"]
                ),
                (&json!(1), &json!(1), &json!(0)),
                "{held}"
            );
            drop(release);
        };
        let (answer, ()) = tokio::join!(agent.post("/shop/change", &body), clamp);
        assert_eq!(answer.passed().json(), json!({ "done": true }));
    });
}

#[test]
fn a_clamp_needs_a_level_a_reason_and_a_workflow_that_exist() {
    test(async {
        let World {
            upstream: _upstream,
            gate: _gate,
            agent: _agent,
            operator,
        } = world().await;
        for (path, body, status, slug) in [
            (
                "/v1/workflows/desk/clamp",
                json!({ "to": "low", "reason": "r" }),
                422,
                "invalid",
            ),
            (
                "/v1/workflows/desk/clamp",
                json!({ "to": "halted", "reason": "  " }),
                422,
                "invalid",
            ),
            (
                "/v1/workflows/desk/clamp",
                json!({ "to": "halted" }),
                422,
                "invalid",
            ),
            (
                "/v1/workflows/desk/clamp",
                json!({ "to": "halted", "reason": "r", "for": "soon" }),
                422,
                "invalid",
            ),
            (
                "/v1/workflows/nobody/clamp",
                json!({ "to": "halted", "reason": "r" }),
                404,
                "not-found",
            ),
            ("/v1/release", json!({ "reason": "r" }), 409, "conflict"),
        ] {
            operator.post(path, &body).await.refused(status, slug);
        }
    });
}
