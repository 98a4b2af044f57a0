//! What is allowed passes untouched.

use serde_json::json;

use crate::harness::{ScriptedUpstream, TestGate, policies, test};

#[test]
fn a_read_passes() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let gate = TestGate::builder().policy("shop.yaml", policies::shop(&upstream.url())).policy("desk.yaml", policies::desk("")).start();
        let answer = gate.agent().get("/shop/look/7").await;
        assert_eq!(answer.passed().json(), json!({ "ok": true }));
        assert_eq!(upstream.only().target, "/look/7");
        assert_eq!(gate.operator().standing("desk").await["posture"], "healthy");
    });
}
