//! A reload is all or nothing: what is broken changes nothing and is said; what is right is in
//! force; what was booked stays booked.

use rstest::rstest;
use serde_json::json;

use crate::harness::{Person, Reply, ScriptedUpstream, TestGate, policies, test};

async fn shop() -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(""))
        .start();
    (upstream, gate)
}

async fn ready(gate: &TestGate) -> (u16, serde_json::Value) {
    let answer = Person::stranger(gate.admin()).get("/readyz").await;
    (answer.status.as_u16(), answer.json())
}

#[rstest]
#[case::syntax(b"workflow: desk\nrisk: [".to_vec(), "desk.yaml:")]
#[case::unknown_key(policies::desk("wether: fine\n").into_bytes(), "desk.yaml:4:1")]
#[case::unknown_tool(policies::desk("").replace("shop/look", "shop/lok").into_bytes(), "desk.yaml:3:9")]
#[case::not_text(b"workflow: \xff\xfe\n".to_vec(), "desk.yaml")]
#[case::empty(Vec::new(), "desk.yaml")]
fn what_is_broken_leaves_what_is_in_force_and_is_said(
    #[case] broken: Vec<u8>,
    #[case] location: &str,
) {
    test(async {
        let (_upstream, gate) = shop().await;
        assert_eq!(
            ready(&gate).await,
            (
                200,
                json!({ "ready": true, "checks": { "policies": "ok", "store": "ok", "draining": "ok", "approvals": "ok" } })
            )
        );
        gate.write_policy("desk.yaml", &broken);
        gate.sighup();
        gate.until("a failed reload", || {
            gate.log().contains("policies were not reloaded")
        })
        .await;
        assert!(gate.log().contains(location), "{}", gate.log());
        assert_eq!(
            ready(&gate).await,
            (
                200,
                json!({ "ready": true, "checks": { "policies": "the last reload failed", "store": "ok", "draining": "ok", "approvals": "ok" } })
            )
        );
        gate.agent()
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .passed();
        gate.reload(
            "desk.yaml",
            policies::desk("levels: [{ level: standard, medium: hold }]"),
        )
        .await;
        assert_eq!(ready(&gate).await.1["checks"]["policies"], "ok");
        gate.agent()
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .refused(403, "held");
    });
}

#[test]
fn one_broken_file_keeps_every_other_file_out() {
    test(async {
        let (_upstream, gate) = shop().await;
        gate.write_policy(
            "desk.yaml",
            policies::desk("levels: [{ level: standard, medium: hold }]"),
        );
        gate.write_policy("other.yaml", "workflow: other\n");
        gate.sighup();
        gate.until("a failed reload", || {
            gate.log().contains("policies were not reloaded")
        })
        .await;
        gate.agent()
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .passed();
    });
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    test(async {
        let (_upstream, gate) = shop().await;
        let before = gate
            .log()
            .matches("calls are judged by these policies")
            .count();
        gate.write_policy(
            "desk.yaml",
            policies::desk("levels: [{ level: standard, medium: hold }]"),
        );
        gate.until("the reload", || {
            gate.log()
                .matches("calls are judged by these policies")
                .count()
                > before
        })
        .await;
        gate.agent()
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .refused(403, "held");
    });
}

#[test]
fn a_workflow_that_is_dropped_and_comes_back_keeps_its_history() {
    test(async {
        let (upstream, gate) = shop().await;
        upstream.next(Reply::reset());
        gate.agent()
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .refused(502, "ambiguous");
        let operator = gate.operator();
        assert_eq!(operator.status("desk").await["budget"]["unacceptable"], 1);
        let other = policies::desk("").replace("workflow: desk", "workflow: other");
        gate.reload("desk.yaml", &other).await;
        gate.agent()
            .workflow("desk")
            .get("/shop/look/1")
            .await
            .refused(403, "forbidden");
        gate.agent().get("/shop/look/1").await.passed();
        assert_eq!(operator.status("other").await["budget"]["unacceptable"], 0);
        // Lower targets and shorter windows refill nothing either.
        let softer = "objective: { target: 90%, window: 7d, expected_runs: 5000 }\n";
        gate.reload("desk.yaml", policies::desk(softer)).await;
        let status = operator.status("desk").await;
        assert_eq!(
            (
                &status["budget"]["unacceptable"],
                &status["budget"]["allowed"]
            ),
            (&json!(1), &json!(500))
        );
    });
}

#[test]
fn calls_in_flight_are_not_disturbed_by_a_reload() {
    test(async {
        let (upstream, gate) = shop().await;
        let (release, reply) = Reply::json(200, &json!({ "slow": true })).held();
        upstream.next(reply);
        let body = json!({ "order": "1" });
        let agent = gate.agent();
        let reload = async {
            upstream.arrives(1).await;
            gate.reload(
                "desk.yaml",
                policies::desk("levels: [{ level: standard, medium: hold }]"),
            )
            .await;
            drop(release);
        };
        let (answer, ()) = tokio::join!(agent.post("/shop/change", &body), reload);
        assert_eq!(answer.passed().json(), json!({ "slow": true }));
    });
}

#[test]
fn a_gate_never_starts_with_broken_policies() {
    let mut gate = TestGate::builder()
        .policy("desk.yaml", "workflow: desk\nrisk: medium\ntols: []\n")
        .prepare();
    let exit = gate.try_start().unwrap_err();
    assert_eq!(exit.status.code(), Some(1));
    assert!(
        exit.stderr.contains("policies/desk.yaml:3:1\n"),
        "{}",
        exit.stderr
    );
    assert!(
        exit.stderr
            .lines()
            .any(|line| line.starts_with("error: unknown key `tols`")),
        "{}",
        exit.stderr
    );
}

#[test]
fn a_level_that_disappears_takes_neither_a_workflow_nor_a_clamp_up() {
    test(async {
        let (_upstream, gate) = shop().await;
        let careful = "levels: [{ level: careful, above: supervised, low: allow, medium: allow, high: hold }]\nstarts: careful\n";
        let operator = gate.operator();
        let of = |name: &str| {
            policies::desk(careful).replace("workflow: desk", &format!("workflow: {name}"))
        };
        gate.reload("other.yaml", of("other")).await;
        operator
            .clamp("desk", "careful")
            .await
            .refused(422, "invalid");
        gate.reload(
            "desk.yaml",
            policies::desk(&careful.replace("starts: careful\n", "")),
        )
        .await;
        operator.clamp("desk", "careful").await.passed();
        operator.clamp("other", "careful").await.passed();
        gate.agent()
            .workflow("other")
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .passed();
        let stands = async |name: &str| {
            let level = operator.status(name).await["level"].clone();
            (
                level["earned"].clone(),
                level["clamp"]["to"].clone(),
                level["effective"].clone(),
            )
        };
        assert_eq!(
            stands("other").await,
            (json!("careful"), json!("careful"), json!("careful"))
        );
        // The level is gone: whoever stood on it, or was clamped to it, is on the next one below.
        gate.reload("other.yaml", of("other").replace(careful, ""))
            .await;
        assert_eq!(
            stands("other").await,
            (
                json!("supervised"),
                json!("supervised"),
                json!("supervised")
            )
        );
        gate.agent()
            .workflow("other")
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .refused(403, "held");
        gate.reload("desk.yaml", policies::desk("")).await;
        assert_eq!(
            stands("desk").await,
            (json!("standard"), json!("supervised"), json!("supervised"))
        );
        // It comes back, and gives back nothing.
        gate.reload("other.yaml", of("other")).await;
        assert_eq!(
            stands("other").await,
            (
                json!("supervised"),
                json!("supervised"),
                json!("supervised")
            )
        );
        operator.release("other").await.passed();
        assert_eq!(
            stands("other").await,
            (json!("supervised"), json!(null), json!("supervised"))
        );
    });
}

#[test]
fn a_history_follows_its_workflow_through_every_rename_and_cannot_be_had_twice() {
    test(async {
        let (upstream, gate) = shop().await;
        upstream.next(Reply::reset());
        gate.agent()
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .refused(502, "ambiguous");
        let operator = gate.operator();
        operator
            .stands("desk", "a failure", |status| {
                status["budget"]["unacceptable"] == 1
            })
            .await;
        operator.clamp("desk", "supervised").await.passed();
        let named = |name: &str, was: &str| {
            policies::desk(was).replace("workflow: desk", &format!("workflow: {name}"))
        };
        gate.reload("desk.yaml", named("front", "was: desk\n"))
            .await;
        gate.agent()
            .workflow("desk")
            .get("/shop/look/1")
            .await
            .refused(403, "forbidden");
        let failed =
            async |name: &str| operator.status(name).await["budget"]["unacceptable"].clone();
        assert_eq!(failed("front").await, 1);
        assert_eq!(
            operator.status("front").await["level"]["effective"],
            "supervised",
            "the clamp goes along"
        );
        gate.reload("desk.yaml", named("last", "was: front\n"))
            .await;
        // Its old name goes to somebody new, and a `was` that was left behind takes nothing from
        // them.
        gate.reload(
            "desk.yaml",
            named("last", "was: front\n") + "---\n" + &named("front", ""),
        )
        .await;
        assert_eq!(
            (failed("last").await, failed("front").await),
            (json!(1), json!(0))
        );
        gate.write_policy(
            "desk.yaml",
            named("last", "was: front\n") + "---\n" + &named("other", "was: front\n"),
        );
        gate.sighup();
        gate.until("a failed reload", || {
            gate.log().contains("policies were not reloaded")
        })
        .await;
        assert!(
            gate.log()
                .contains("`was: front` is written in `last` as well"),
            "{}",
            gate.log()
        );
        assert_eq!(
            (failed("last").await, failed("front").await),
            (json!(1), json!(0))
        );
        operator
            .get("/v1/workflows/other")
            .await
            .refused(404, "not-found");
    });
}
