//! One data directory is one gate's: a second is told whose it is, and readers may look on
//! meanwhile.

use serde_json::json;

use crate::harness::{ScriptedUpstream, TestGate, policies, test};

#[test]
fn a_second_gate_on_the_same_data_ends_and_says_who_is_there() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let builder = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk(""));
        let mut gate = builder.start();
        let held = gate
            .agent()
            .post("/shop/pay", &json!({ "order": "A-1" }))
            .await
            .refused(403, "held");
        let before = gate
            .operator()
            .get("/v1/audit?limit=1000")
            .await
            .passed()
            .json();
        for more in [&[][..], &["--existing"], &["--accept-loss"]] {
            let second = gate
                .command()
                .args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
                .args(more)
                .output()
                .unwrap();
            let told = String::from_utf8(second.stderr).unwrap();
            assert_eq!(
                (second.status.code(), second.stdout.len()),
                (Some(1), 0),
                "{told}"
            );
            for words in [
                "burngate-data",
                &format!("(process {})", gate.pid()),
                "nothing was changed",
                "hint: stop that one",
            ] {
                assert!(told.contains(words), "no {words:?} in {told}");
            }
        }
        // The first goes on, with what it had.
        let after = gate
            .operator()
            .get("/v1/audit?limit=1000")
            .await
            .passed()
            .json();
        assert_eq!(
            (&before["ledger"], &before["entries"][0]),
            (&after["ledger"], &after["entries"][0])
        );
        gate.agent()
            .post("/shop/change", &json!({ "order": "A-1" }))
            .await
            .passed();
        // Whoever only reads may do so beside it.
        for reads in [
            &["audit", "verify"][..],
            &["audit", "export", "--out", "audit.jsonl"],
            &["simulate", "--policies", "policies", "--history", "journal"],
        ] {
            let read = gate.cli(reads);
            assert!(
                read.status.success(),
                "{reads:?}: {}",
                String::from_utf8_lossy(&read.stderr)
            );
        }
        // A lock dies with its process, however that ends.
        gate.kill_nine();
        let verified = gate.cli(&["audit", "verify", "--against", "audit.jsonl"]);
        assert!(
            verified.status.success(),
            "{}",
            String::from_utf8_lossy(&verified.stderr)
        );
        gate.start();
        gate.operator()
            .approve(held["approval"].as_str().unwrap())
            .await
            .passed();
        gate.agent()
            .post("/shop/pay", &json!({ "order": "A-1" }))
            .await
            .passed();
    });
}
