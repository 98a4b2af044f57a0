//! The audit, through the real binary: what is on record, exports that go on where they ended, and
//! changes to a ledger that a verification names.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::harness::{Reply, ScriptedUpstream, TestGate, eventually, policies, test};

const PEOPLE: [(&str, &str); 2] = [("dana", "reviewer"), ("vera", "viewer")];

async fn world() -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let shop = policies::shop(&upstream.url())
        + "  - { tool: drop, match: POST /drop, risk: medium, forbidden: true }\n";
    let gate = TestGate::builder()
        .config(policies::people(&[], &PEOPLE))
        .policy("shop.yaml", shop)
        .policy(
            "desk.yaml",
            policies::desk("").replace("tools: [", "tools: [shop/drop, "),
        )
        .start();
    (upstream, gate)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A little of everything, and how many entries that made.
async fn a_day(gate: &TestGate, upstream: &ScriptedUpstream) {
    let agent = gate.agent().run("ticket-1");
    agent
        .post("/shop/change", &json!({ "order": "A-1" }))
        .await
        .passed();
    agent
        .post("/shop/drop", &json!({ "order": "A-1" }))
        .await
        .refused(403, "denied");
    agent
        .post("/shop/pay", &json!({ "order": "A-1" }))
        .await
        .refused(403, "held");
    let id = gate.operator().pending().await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    gate.reviewer("dana-token").approve(&id).await.passed();
    gate.agent().post("/elsewhere", &json!({})).await;
    gate.reviewer("vera-token")
        .post(
            &format!("/v1/approvals/{id}/deny"),
            &json!({ "reason": "r" }),
        )
        .await
        .refused(403, "forbidden");
    gate.reviewer("nobody")
        .get("/v1/workflows")
        .await
        .refused(401, "unauthorized");
    upstream.next(Reply::json(500, &json!({})));
    agent.post("/shop/change", &json!({ "order": "A-2" })).await;
    gate.operator().clamp("desk", "read_only").await.passed();
    gate.operator().release("desk").await.passed();
}

async fn entries(gate: &TestGate, query: &str) -> Vec<Value> {
    gate.operator()
        .get(&format!("/v1/audit?limit=1000{query}"))
        .await
        .passed()
        .json()["entries"]
        .as_array()
        .unwrap()
        .clone()
}

/// The rows of a ledger that does not run, changed by hand.
fn tamper(ledger: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(ledger).unwrap();
    connection.execute_batch(sql).unwrap();
}

#[test]
fn what_was_refused_who_signed_in_and_what_people_did_is_on_record() {
    test(async {
        let (upstream, gate) = world().await;
        a_day(&gate, &upstream).await;
        let refused = eventually("the refused call", || async {
            entries(&gate, "&kind=refused").await.pop()
        })
        .await;
        let call = &refused["event"]["calls"][0];
        assert_eq!(
            (
                &call["tool"],
                &call["run"]["run"],
                &call["executed"],
                &call["status"]
            ),
            (
                &json!("shop/drop"),
                &json!("ticket-1"),
                &json!("no"),
                &json!(403)
            ),
            "{refused}"
        );
        let people: Vec<_> = entries(&gate, "&kind=signed_in")
            .await
            .iter()
            .map(|entry| entry["event"]["by"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(
            people.iter().filter(|name| *name == "dana").count(),
            1,
            "once a day: {people:?}"
        );
        assert!(
            people.contains(&"operator".to_owned()) && people.contains(&"vera".to_owned()),
            "{people:?}"
        );
        let turned_away = eventually("what was turned away", || async {
            let counts: Vec<_> = entries(&gate, "&kind=turned_away")
                .await
                .into_iter()
                .map(|entry| entry["event"]["counts"].clone())
                .collect();
            (!counts.is_empty()).then_some(counts)
        })
        .await;
        let slugs: Vec<_> = turned_away
            .iter()
            .flat_map(|counts| counts.as_object().unwrap().keys().cloned())
            .collect();
        assert!(slugs.iter().any(|slug| ["unknown-route", "forbidden", "unauthorized"].contains(&slug.as_str())), "{slugs:?}");
        let kinds: Vec<_> = entries(&gate, "&workflow=desk")
            .await
            .iter()
            .map(|entry| entry["kind"].as_str().unwrap().to_owned())
            .collect();
        for kind in ["held", "decided", "clamped", "released"] {
            assert_eq!(
                kinds.iter().filter(|known| *known == kind).count(),
                1,
                "{kind}: {kinds:?}"
            );
        }
    });
}

#[test]
fn an_export_goes_on_where_it_ended_and_is_sound_by_itself() {
    test(async {
        let (upstream, mut gate) = world().await;
        a_day(&gate, &upstream).await;
        let export = gate.home().join("audit.jsonl");
        let first = gate.cli(&["audit", "export", "--out", "audit.jsonl"]);
        assert!(
            first.status.success() && said(&first).contains("audit verify --head"),
            "{}",
            said(&first)
        );
        let before = fs::read(&export).unwrap();
        gate.restart();
        // A line that was torn off is written again, and nothing that stands is written anew.
        let torn = before.len() - 10;
        fs::write(&export, &before[..torn]).unwrap();
        let second = gate.cli(&["audit", "export", "--out", "audit.jsonl"]);
        assert!(second.status.success(), "{}", said(&second));
        let after = fs::read(&export).unwrap();
        assert!(
            after.len() > before.len() && after.starts_with(&before),
            "the second goes on behind the first"
        );
        for arguments in [
            vec!["audit", "verify", "audit.jsonl"],
            vec!["audit", "verify"],
            vec!["audit", "verify", "--against", "audit.jsonl"],
        ] {
            let sound = gate.cli(&arguments);
            assert!(
                sound.status.success() && said(&sound).contains("is sound"),
                "{arguments:?}: {}",
                said(&sound)
            );
        }
        let part = gate.cli(&["audit", "export", "--after", "3"]);
        let lines: Vec<Value> = String::from_utf8(part.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            (&lines[0]["after"], &lines[1]["seq"], lines[1].get("what")),
            (&json!(3), &json!(4), None)
        );
        // One changed byte in it is named by its line.
        let text = String::from_utf8(after)
            .unwrap()
            .replacen("\"clamped\"", "\"clamPed\"", 2);
        fs::write(&export, text).unwrap();
        let broken = gate.cli(&["audit", "verify", "audit.jsonl"]);
        assert!(
            broken.status.code() == Some(1) && said(&broken).contains("is not sound: line "),
            "{}",
            said(&broken)
        );
        let refused = gate.cli(&["audit", "export", "--out", "audit.jsonl"]);
        assert!(
            refused.status.code() == Some(1) && said(&refused).contains("nothing was added"),
            "{}",
            said(&refused)
        );
    });
}

#[test]
fn a112_a_ledger_that_was_tampered_with_is_named_by_its_first_bad_entry() {
    test(async {
        let (upstream, mut gate) = world().await;
        a_day(&gate, &upstream).await;
        gate.cli(&["audit", "export", "--out", "audit.jsonl"]);
        let last: Value = serde_json::from_str(
            fs::read_to_string(gate.home().join("audit.jsonl"))
                .unwrap()
                .lines()
                .last()
                .unwrap(),
        )
        .unwrap();
        let last = last["seq"].as_u64().unwrap();
        gate.sigterm();
        gate.ended().await;
        let sound = fs::read(gate.data().join("ledger.db")).unwrap();
        for (what, sql, told) in [
            ("edit", "UPDATE journal SET body = replace(body, 'dana', 'dina'), at = at + 1 WHERE seq = 5".to_owned(), "journal row 5 is altered"),
            ("delete", "DELETE FROM journal WHERE seq = 5".to_owned(), "journal row 5 is missing"),
            ("insert", "UPDATE journal SET seq = -seq WHERE seq > 5; UPDATE journal SET seq = 1 - seq WHERE seq < 0; INSERT INTO journal SELECT 6, at, workflow, kind, body, hash FROM journal WHERE seq = 5".to_owned(), "journal row 6 is altered"),
            ("reorder", "UPDATE journal SET seq = -1 WHERE seq = 5; UPDATE journal SET seq = 5 WHERE seq = 6; UPDATE journal SET seq = 6 WHERE seq = -1".to_owned(), "journal row 5 is altered"),
            ("truncate", format!("DELETE FROM journal WHERE seq >= {last}"), "are missing"),
        ] {
            fs::write(gate.data().join("ledger.db"), &sound).unwrap();
            tamper(&gate.data().join("ledger.db"), &sql);
            // The gate's own note beside the ledger can be cut off with it.
            let _ = fs::remove_file(gate.data().join("head"));
            let found = gate.cli(&["audit", "verify", "--against", "audit.jsonl"]);
            assert_eq!(found.status.code(), Some(1), "{what}: {}", said(&found));
            assert!(said(&found).contains(told), "{what}: {}", said(&found));
        }
        // Another ledger in its place, and a directory without one.
        let (_other, other) = world().await;
        let foreign = gate
            .command()
            .args(["audit", "verify", "--against", "audit.jsonl", "--data"])
            .arg(other.data())
            .output()
            .unwrap();
        assert!(
            foreign.status.code() == Some(1) && said(&foreign).contains("that of ledger"),
            "{}",
            said(&foreign)
        );
        let absent = gate.cli(&["audit", "verify", "--data", "nothing"]);
        assert!(
            absent.status.code() == Some(1) && said(&absent).contains("hint: --data"),
            "{}",
            said(&absent)
        );
    });
}
