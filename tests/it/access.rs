//! People, agents and certificates change while the gate runs: who is taken off the list may
//! nothing more, who is new may at once, and a broken file changes nothing.

use std::path::Path;
use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::{
    Answer, Person, ScriptedUpstream, TestGate, eventually, policies, sha256, test,
};

type Agents = [(&'static str, &'static [&'static str])];

async fn gate(agents: &Agents, people: &[(&str, &str)]) -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let hold = if people.is_empty() {
        ""
    } else {
        "hold: { approvals: 2 }\n"
    };
    let builder = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(hold));
    (
        upstream,
        builder.config(policies::people(agents, people)).start(),
    )
}

/// As editors do, into the place of the old one. Nobody is told.
fn write(gate: &TestGate, config: &str) {
    let beside = gate.home().join("burngate.yaml.new");
    std::fs::write(&beside, config).unwrap();
    std::fs::rename(beside, gate.home().join("burngate.yaml")).unwrap();
}

async fn answers(person: &Person, status: u16) {
    eventually("another answer", || async {
        (person.get("/v1/workflows").await.status == status).then_some(())
    })
    .await;
}

async fn audit(gate: &TestGate, kind: &str) -> Vec<Value> {
    gate.operator()
        .get(&format!("/v1/audit?limit=1000&kind={kind}"))
        .await
        .passed()
        .json()["entries"]
        .as_array()
        .unwrap()
        .clone()
}

fn order(name: &str) -> Value {
    json!({ "order": name })
}

#[test]
fn a_changed_file_takes_a_reviewer_off_the_list_and_puts_another_on_it() {
    test(async {
        let (upstream, gate) = gate(&[], &[("dana", "reviewer"), ("eli", "reviewer")]).await;
        let id = gate
            .agent()
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held")["approval"]
            .as_str()
            .unwrap()
            .to_owned();
        let (dana, eli, noor) = (
            gate.reviewer("dana-token"),
            gate.reviewer("eli-token"),
            gate.reviewer("noor-token"),
        );
        dana.approve(&id).await.passed();
        assert_eq!(eli.approve(&id).await.passed().json()["state"], "approved");
        noor.approve(&id).await.refused(401, "unauthorized");
        write(
            &gate,
            &policies::people(&[], &[("eli", "viewer"), ("noor", "reviewer")]),
        );
        answers(&noor, 200).await;
        // Nobody was let in before those that left were out.
        dana.get("/v1/workflows").await.refused(401, "unauthorized");
        eli.approve(&id).await.refused(403, "forbidden");
        let waits = gate
            .operator()
            .get(&format!("/v1/approvals/{id}"))
            .await
            .passed()
            .json();
        assert_eq!(
            (
                &waits["state"],
                &waits["decisions"][0]["void"],
                &waits["decisions"][1]["void"]
            ),
            (&json!("pending"), &json!(true), &json!(true))
        );
        gate.agent()
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held");
        upstream.untouched();
        noor.approve(&id).await.passed();
        gate.operator().approve(&id).await.passed();
        gate.agent().post("/shop/pay", &order("A-1")).await.passed();
        let changed = audit(&gate, "access_changed").await;
        assert_eq!(changed.len(), 1, "{changed:?}");
        assert_eq!(
            changed[0]["event"]["people"],
            json!({ "added": ["noor"], "removed": ["dana"], "altered": ["eli"] })
        );
        let named = audit(&gate, "approvers_named").await.pop().unwrap();
        assert_eq!(named["event"]["people"], json!(["noor", "operator"]));
        assert!(
            named["seq"].as_u64() < changed[0]["seq"].as_u64(),
            "they lose it before anybody is let in"
        );
        let all = gate
            .operator()
            .get("/v1/audit?limit=1000")
            .await
            .passed()
            .json()
            .to_string();
        for name in ["dana", "eli", "noor"] {
            let token = format!("{name}-token");
            assert!(
                !all.contains(&token) && !all.contains(&sha256(&token)),
                "tokens are nobody's business"
            );
        }
    });
}

#[test]
fn an_agents_token_that_is_removed_opens_nothing_also_on_a_connection_that_is_kept() {
    test(async {
        let both: &Agents = &[("bot", &["desk"]), ("old", &["desk"])];
        let (upstream, gate) = gate(both, &[]).await;
        let mut line = gate.agent().token("old-token").line().await;
        line.call("GET", "/shop/look/1", None).await.passed();
        let mut other = gate.agent().token("bot-token").http2().line().await;
        other.call("GET", "/shop/look/1", None).await.passed();
        write(
            &gate,
            &policies::people(&[("bot", &["gone"]), ("new", &["desk"])], &[]),
        );
        gate.sighup();
        let new = gate.agent().token("new-token");
        eventually("the new agent", || async {
            (new.get("/shop/look/1").await.status == 200).then_some(())
        })
        .await;
        line.call("GET", "/shop/look/1", None)
            .await
            .refused(401, "unidentified");
        other
            .call("GET", "/shop/look/1", None)
            .await
            .refused(403, "forbidden");
        let before = upstream.count();
        gate.agent()
            .get("/shop/look/1")
            .await
            .refused(401, "unidentified");
        assert_eq!(upstream.count(), before);
        let changed = audit(&gate, "access_changed").await;
        assert_eq!(
            changed[0]["event"]["agents"],
            json!({ "added": ["new"], "removed": ["old"], "altered": ["bot"] })
        );
    });
}

/// Two people approve a call of the agent with `old-token`, after `changes` were made while it is
/// held. It is not sent.
async fn approved_after(
    gate: &TestGate,
    upstream: &ScriptedUpstream,
    changes: impl Future<Output = ()>,
) {
    let waits = gate.agent().token("old-token").with("prefer", "wait=30");
    let body = order("A-1");
    let held = async {
        let id = gate.operator().pending().await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        changes.await;
        gate.reviewer("dana-token").approve(&id).await.passed();
        gate.operator().approve(&id).await.passed();
    };
    let (answer, ()) = tokio::join!(waits.post("/shop/pay", &body), held);
    assert_eq!(answer.refused(401, "unidentified")["executed"], false);
    let received = upstream.received();
    assert!(received.iter().all(|request| request.method != "POST"));
}

#[test]
fn a_held_call_whose_agent_is_gone_when_it_is_approved_is_not_sent() {
    test(async {
        let (upstream, gate) = gate(&[("old", &["desk"])], &[("dana", "reviewer")]).await;
        let changes = async {
            write(
                &gate,
                &policies::people(&[("new", &["desk"])], &[("dana", "reviewer")]),
            );
            gate.sighup();
            let new = gate.agent().token("new-token");
            eventually("the new agent", || async {
                (new.get("/shop/look/1").await.status == 200).then_some(())
            })
            .await;
        };
        approved_after(&gate, &upstream, changes).await;
    });
}

#[test]
fn a_held_call_whose_token_became_another_agents_is_not_sent() {
    test(async {
        let (upstream, gate) = gate(&[("old", &["desk"])], &[("dana", "reviewer")]).await;
        let changes = async {
            // The same token, of an agent with another name.
            let renamed = policies::people(&[("old", &["desk"])], &[("dana", "reviewer")])
                .replace("agent: old", "agent: other");
            write(&gate, &renamed);
            gate.sighup();
            let agent = gate.agent().token("old-token");
            eventually("the token is the other agent's", || async {
                // In between the token is nobody's.
                let answer = agent.get("/shop/look/1").await;
                if answer.status != 200 {
                    return None;
                }
                let run = gate.operator().run_of(answer.call()).await;
                (run["agent"] == "other").then_some(())
            })
            .await;
        };
        approved_after(&gate, &upstream, changes).await;
    });
}

#[rstest]
#[case::syntax("reviewers: [", "burngate.yaml:1")]
#[case::unknown_key("reviewer: []\n", "burngate.yaml:1:1")]
#[case::empty("", "is empty")]
#[case::token(
    "reviewers:\n  - { name: dana, role: reviewer, token_sha256: dana-token }\n",
    "burngate.yaml:2:"
)]
#[case::any_local_caller("reviewers: []\n", "`agents` was removed")]
fn a_broken_file_changes_nothing_and_is_said(#[case] broken: &str, #[case] told: &str) {
    test(async {
        let agents: &Agents = &[("bot", &["desk"])];
        let (_upstream, gate) = gate(agents, &[("dana", "reviewer")]).await;
        write(&gate, broken);
        gate.sighup();
        gate.until("a failed reload", || {
            gate.log().contains("people and agents were not reloaded")
        })
        .await;
        assert!(gate.log().contains(told), "{}", gate.log());
        gate.reviewer("dana-token")
            .get("/v1/workflows")
            .await
            .passed();
        gate.agent()
            .token("bot-token")
            .get("/shop/look/1")
            .await
            .passed();
        gate.agent()
            .get("/shop/look/1")
            .await
            .refused(401, "unidentified");
        let stranger = Person::stranger(gate.admin());
        assert_eq!(
            stranger.get("/readyz").await.json()["checks"]["policies"],
            "the last reload failed"
        );
        eventually("the refused reload", || async {
            audit(&gate, "policy_refused").await.pop()
        })
        .await;
        assert!(audit(&gate, "access_changed").await.is_empty());
        write(&gate, &policies::people(agents, &[]));
        answers(&gate.reviewer("dana-token"), 401).await;
    });
}

#[test]
fn what_only_a_start_reads_is_named_and_what_else_is_broken_keeps_nobody() {
    test(async {
        let (_upstream, gate) = gate(&[], &[("dana", "reviewer"), ("eli", "reviewer")]).await;
        // With two of three people gone the policies ask for more than there are; that keeps none
        // of them.
        let config = "workers: 1\nlisten: 127.0.0.1:1\n";
        write(&gate, config);
        gate.sighup();
        for name in ["dana", "eli"] {
            answers(&gate.reviewer(&format!("{name}-token")), 401).await;
        }
        gate.until("the other complaints", || {
            gate.log().contains("policies were not reloaded")
        })
        .await;
        for key in ["listen", "workers"] {
            assert!(
                gate.log().contains(&format!("key=\"{key}\"")),
                "{}",
                gate.log()
            );
        }
        assert!(
            !gate.log().contains("key=\"admin\"") && !gate.log().contains("key=\"bounds\""),
            "{}",
            gate.log()
        );
    });
}

/// A key and a certificate of its own, in files beside the gate's configuration.
fn certify(at: &Path) -> rustls::pki_types::CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(at.join("gate.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(at.join("gate.pem"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

/// Whose certificate the gate shows to whoever trusts `trusted`; `None` where that is another's.
async fn shown(
    gate: &TestGate,
    trusted: &rustls::pki_types::CertificateDer<'static>,
) -> Option<()> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let stream = TcpStream::connect(gate.listen()).await.unwrap();
    connector
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .ok()
        .map(drop)
}

#[test]
fn a_renewed_certificate_is_shown_from_the_next_connection_on_and_a_broken_one_is_not() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let mut gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk(""))
            .config("tls: { cert: gate.pem, key: gate.key }\n")
            .prepare();
        let first = certify(gate.home());
        gate.start();
        shown(&gate, &first).await.expect("the first certificate");
        let second = certify(gate.home());
        eventually("the second certificate", || shown(&gate, &second)).await;
        assert!(shown(&gate, &first).await.is_none());
        std::fs::write(gate.home().join("gate.pem"), "no certificate\n").unwrap();
        gate.until("the complaint", || {
            gate.log().contains("certificates were not reloaded")
        })
        .await;
        shown(&gate, &second).await.expect("what was in force");
        assert!(
            audit(&gate, "access_changed")
                .await
                .iter()
                .any(|entry| entry["event"]["certificates"] == true)
        );
    });
}

#[test]
fn a_frozen_workflow_is_given_to_no_further_agent_until_the_freeze_lifts() {
    test(async {
        let (_upstream, gate) = gate(&[("bot", &["desk"])], &[]).await;
        gate.operator().clamp("desk", "read_only").await.passed();
        write(
            &gate,
            &policies::people(&[("bot", &["desk"]), ("new", &["desk"])], &[]),
        );
        gate.sighup();
        let new = gate.agent().token("new-token");
        let look = || async { Some(new.get("/shop/look/1").await) };
        let status = |wanted: u16| move |answer: Answer| (answer.status == wanted).then_some(());
        // It is known, and has no workflow yet.
        eventually("who is new", || async {
            look().await.and_then(status(403))
        })
        .await;
        // What it waits for is written once it waits.
        let held_back = eventually("an entry about it", || async {
            audit(&gate, "policy_held_back").await.first().cloned()
        })
        .await;
        assert_eq!(held_back["event"]["what"], "agent `new`");
        gate.agent()
            .token("bot-token")
            .get("/shop/look/1")
            .await
            .passed();
        gate.operator().release("desk").await.passed();
        eventually("the workflow", || async {
            look().await.and_then(status(200))
        })
        .await;
    });
}
