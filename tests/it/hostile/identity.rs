//! 2d: who asks.

use super::{DESK, ORDINARY, World, get, post, shop, talk};
use crate::harness::{ScriptedUpstream, TestGate, policies, test};

const BAD: &[u16] = &[400];

async fn two_agents() -> World {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy("shop.yaml", shop(&upstream.url()))
        .policy("desk.yaml", DESK)
        .policy(
            "other.yaml",
            "workflow: other\nrisk: low\ntools: [shop/look]\n",
        )
        .config(policies::people(
            &[
                ("alice", &["desk"]),
                ("bob", &["other"]),
                ("both", &["desk", "other"]),
            ],
            &[],
        ))
        .start();
    World { upstream, gate }
}

#[test]
fn a53_a60_only_a_whole_credential_identifies_and_a_header_only_chooses() {
    test(async {
        let World { upstream, gate } = two_agents().await;
        let ask = |headers: &str, target: &str| {
            get(
                target,
                &format!("Host: gate\r\nConnection: close\r\n{headers}"),
            )
        };
        for (name, headers, status, slug) in [
            (
                "a53 another's workflow",
                "Burngate-Authorization: Bearer alice-token\r\nBurngate-Workflow: other\r\n",
                403,
                "forbidden",
            ),
            (
                "a53 an unknown one",
                "Burngate-Authorization: Bearer alice-token\r\nBurngate-Workflow: none\r\n",
                403,
                "forbidden",
            ),
            (
                "a53 case",
                "Burngate-Authorization: Bearer alice-token\r\nBurngate-Workflow: Desk\r\n",
                403,
                "forbidden",
            ),
            (
                "a53 only a claim",
                "Burngate-Workflow: desk\r\n",
                401,
                "unidentified",
            ),
            ("a60 none", "", 401, "unidentified"),
            (
                "a60 prefix",
                "Burngate-Authorization: Bearer alice-toke\r\n",
                401,
                "unidentified",
            ),
            (
                "a60 longer",
                "Burngate-Authorization: Bearer alice-token1\r\n",
                401,
                "unidentified",
            ),
            (
                "a60 case",
                "Burngate-Authorization: Bearer Alice-Token\r\n",
                401,
                "unidentified",
            ),
            (
                "a60 scheme",
                "Burngate-Authorization: Basic alice-token\r\n",
                401,
                "unidentified",
            ),
            (
                "a60 the other header",
                "Authorization: Bearer alice-token\r\n",
                401,
                "unidentified",
            ),
            (
                "a60 digest",
                &format!(
                    "Burngate-Authorization: Bearer {}\r\n",
                    crate::harness::sha256("alice-token")
                ),
                401,
                "unidentified",
            ),
        ] {
            let said = talk(gate.listen(), &ask(headers, "/shop/look/1")).await;
            assert_eq!(said.statuses(), [status], "{name}: {}", said.text);
            assert!(
                said.text.contains(&format!("problem:{slug}\"")),
                "{name}: {}",
                said.text
            );
            assert!(!said.text.contains("alice"), "{name}: {}", said.text);
        }
        for query in [
            "?token=alice-token",
            "?access_token=alice-token",
            "?burngate-authorization=Bearer%20alice-token",
        ] {
            let said = talk(gate.listen(), &ask("", &format!("/shop/look/1{query}"))).await;
            assert_eq!(said.statuses(), [401], "a60 {query}: {}", said.text);
        }
        upstream.untouched();
        assert!(!gate.log().contains("alice-token"), "{}", gate.log());
    });
}

#[test]
fn a60_a_credential_for_the_gate_stays_with_it() {
    test(async {
        let World { upstream, gate } = two_agents().await;
        let said = talk(
            gate.listen(),
            &get(
                "/shop/look/1",
                "Host: gate\r\nConnection: close\r\nBurngate-Authorization: Bearer both-token\r\n\
                 Burngate-Workflow: desk\r\nAuthorization: Bearer upstream\r\n",
            ),
        )
        .await;
        assert_eq!(said.statuses(), [200], "{}", said.text);
        let received = upstream.only();
        assert_eq!(received.header("authorization"), Some("Bearer upstream"));
        assert!(
            !String::from_utf8_lossy(&upstream.wire())
                .to_lowercase()
                .contains("burngate-"),
            "{received:?}"
        );
        assert!(!gate.log().contains("both-token"), "{}", gate.log());
    });
}

#[test]
fn a54_to_a56_names_that_decide_are_given_once_plainly_and_not_taken_away() {
    test(async {
        let world = World::start().await;
        let mut cases: Vec<(&str, Vec<u8>, &[u16])> = Vec::new();
        for name in [
            "Burngate-Workflow",
            "Authorization",
            "Host",
            "Content-Length",
            "burngate-run",
            "Content-Type",
            "X-Forwarded-For",
            "content_length",
        ] {
            cases.push((
                "a54",
                post(
                    "/shop/refunds",
                    &format!("Connection: close, {name}\r\n"),
                    ORDINARY,
                ),
                BAD,
            ));
        }
        cases.push((
            "a54 no token",
            post("/shop/refunds", "Connection: a b\r\n", ORDINARY),
            BAD,
        ));
        for line in [
            "burngate_workflow: desk",
            "X_Burngate_Workflow: desk",
            "Burngate-Workflow : desk",
            "Content_Length: 5",
            "Transfer_Encoding: chunked",
            "Idempotency_Key: x",
            "Burngate-Workflow: desk\r\nBURNGATE-WORKFLOW: other",
            "Burngate-Run: a\r\nburngate-run: b",
        ] {
            cases.push((
                "a55",
                post("/shop/refunds", &format!("{line}\r\n"), ORDINARY),
                BAD,
            ));
        }
        for name in [
            "Content-Type",
            "Content-Encoding",
            "Authorization",
            "Mcp-Session-Id",
            "Mcp-Method",
            "Idempotency-Key",
            "Burngate-Authorization",
            "Burngate-Approval",
        ] {
            let value = if name == "Content-Type" {
                "application/json"
            } else {
                "x"
            };
            let twice = if name == "Content-Type" {
                format!("{name}: {value}\r\n")
            } else {
                format!("{name}: {value}\r\n{}: y\r\n", name.to_uppercase())
            };
            cases.push((name, post("/shop/refunds", &twice, ORDINARY), BAD));
        }
        world.refuses(&cases).await;
        // A list is no workflow's name.
        let said = talk(
            world.gate.listen(),
            &get(
                "/shop/look/1",
                "Host: gate\r\nConnection: close\r\nBurngate-Workflow: desk, desk\r\n",
            ),
        )
        .await;
        assert_eq!(said.statuses(), [403], "{}", said.text);
    });
}

#[test]
fn a57_where_a_request_came_from_is_the_gates_to_say() {
    test(async {
        let world = World::start().await;
        let forged = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\nForwarded: for=6.6.6.6\r\nVia: 1.0 evil\r\nX-Real-IP: 6.6.6.6\r\n";
        world
            .forwards(
                "a57",
                &get(
                    "/shop/look/1",
                    &format!("Host: gate\r\nConnection: close\r\n{forged}"),
                ),
                "GET /look/1 HTTP/1.1",
                "",
            )
            .await;
        let received = world.upstream.last();
        assert!(
            !received
                .headers
                .iter()
                .any(|(_, value)| value.contains("6.6.6.6") || value.contains("evil")),
            "{received:?}"
        );
        assert_eq!(
            (
                received.header("x-forwarded-for"),
                received.header("x-forwarded-proto"),
                received.header("via")
            ),
            (Some("127.0.0.1"), Some("http"), Some("1.1 burngate"))
        );
    });
}
