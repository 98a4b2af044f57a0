//! A burned workflow changes nothing until somebody says why it burned, or says that it must.

use serde_json::{Value, json};

use crate::harness::{Agent, Operator, ScriptedUpstream, TestGate, policies, test};

async fn burned(risk: &str) -> (ScriptedUpstream, TestGate, Agent, Operator) {
    let upstream = ScriptedUpstream::start().await;
    let desk = policies::desk("").replace("risk: medium", &format!("risk: {risk}"))
        + "objective: { critical: [wrong_action] }\naccept_risk: a test says so\n";
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", desk)
        .start();
    let (agent, operator) = (gate.agent(), gate.operator());
    let call = agent
        .post("/shop/note", &json!({ "order": "1" }))
        .await
        .passed()
        .call()
        .to_owned();
    operator.burn(&call).await;
    (upstream, gate, agent, operator)
}

/// Waits until the policy that was held back is in force: it lets an order be changed.
async fn thaws(operator: &Operator, agent: &Agent) {
    operator
        .stands("desk", "thawed", |status| {
            status["policy_held_back"].is_null()
        })
        .await;
    agent
        .post("/shop/change", &json!({ "order": "1" }))
        .await
        .passed();
}

fn prompt(reference: &str) -> Value {
    json!({ "kind": "prompt", "ref": reference })
}

#[test]
fn a_change_is_recorded_and_a_freeze_refuses_it_until_a_cause_is_on_record() {
    test(async {
        let (_upstream, mut gate, _agent, operator) = burned("medium").await;
        let problem = operator
            .post("/v1/workflows/desk/changes", &prompt("a1"))
            .await
            .refused(409, "conflict");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("frozen") && detail.contains("`burngate recover desk --cause TEXT`"),
            "{detail}"
        );
        let asked = |arguments: &[&str]| {
            let output = gate
                .command()
                .args(["change", "desk", "--kind", "prompt"])
                .args(arguments)
                .output()
                .unwrap();
            (
                output.status.code(),
                String::from_utf8(output.stdout).unwrap(),
                String::from_utf8(output.stderr).unwrap(),
            )
        };
        let (code, out, err) = asked(&["--ref", "a1"]);
        assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
        assert!(
            err.contains("frozen") && err.contains("burngate recover desk"),
            "{err}"
        );
        let (code, out, _) = asked(&[
            "--ref",
            "a2",
            "--emergency",
            "--reason",
            "the old one leaks",
        ]);
        assert_eq!(
            (code, out.as_str()),
            (
                Some(0),
                "prompt a2 of desk may ship, in spite of the freeze; that is on record\n"
            )
        );
        operator
            .post(
                "/v1/workflows/desk/recover",
                &json!({ "cause": "prompt 14 dropped the currency" }),
            )
            .await
            .passed();
        let (code, out, _) = asked(&["--ref", "a3"]);
        assert_eq!(
            (code, out.as_str()),
            (Some(0), "prompt a3 of desk may ship; that is on record\n")
        );
        gate.restart();
        let status = gate.operator().status("desk").await;
        let shipped: Vec<_> = status["changes_shipped"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| (&change["kind"], &change["ref"], &change["emergency"]))
            .collect();
        assert_eq!(
            shipped,
            [
                (&json!("prompt"), &json!("a2"), &json!("the old one leaks")),
                (&json!("prompt"), &json!("a3"), &Value::Null)
            ]
        );
    });
}

#[test]
fn a_clamp_freezes_changes_where_its_level_does() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk(""))
            .start();
        let operator = gate.operator();
        operator
            .post("/v1/workflows/desk/changes", &prompt("a1"))
            .await
            .passed();
        operator.clamp("desk", "read_only").await.passed();
        let problem = operator
            .post("/v1/workflows/desk/changes", &prompt("a2"))
            .await
            .refused(409, "conflict");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("an operator clamped it"),
            "{problem}"
        );
        operator.release("desk").await.passed();
        operator
            .post("/v1/workflows/desk/changes", &prompt("a2"))
            .await
            .passed();
    });
}

#[test]
fn a_change_needs_a_kind_a_reference_and_an_emergency_a_reason() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk(""))
            .start();
        let operator = gate.operator();
        for (path, body, status, slug) in [
            (
                "/v1/workflows/desk/changes",
                json!({ "kind": "mood", "ref": "a" }),
                422,
                "invalid",
            ),
            (
                "/v1/workflows/desk/changes",
                json!({ "kind": "prompt", "ref": "" }),
                422,
                "invalid",
            ),
            (
                "/v1/workflows/desk/changes",
                json!({ "kind": "prompt", "ref": "a", "emergency": true }),
                422,
                "invalid",
            ),
            (
                "/v1/workflows/desk/changes",
                json!({ "kind": "prompt", "ref": "a", "reason": "r" }),
                422,
                "invalid",
            ),
            (
                "/v1/workflows/nobody/changes",
                prompt("a"),
                404,
                "not-found",
            ),
            (
                "/v1/workflows/desk/waive",
                json!({ "for": "1h", "reason": "r" }),
                409,
                "conflict",
            ),
            (
                "/v1/workflows/desk/waive",
                json!({ "for": "25h", "reason": "r" }),
                422,
                "invalid",
            ),
            (
                "/v1/workflows/desk/waive",
                json!({ "for": "1h", "reason": " " }),
                422,
                "invalid",
            ),
        ] {
            operator.post(path, &body).await.refused(status, slug);
        }
    });
}

#[test]
fn a_waiver_suspends_the_cap_twice_in_a_month_and_two_failures_end_it() {
    test(async {
        let (_upstream, gate, agent, operator) = burned("low").await;
        // So many that went well that three failures are no breach.
        for _ in 0..25 {
            agent
                .post("/shop/note", &json!({ "order": "0" }))
                .await
                .passed();
        }
        let waive = json!({ "for": "1h", "reason": "the outage is over" });
        assert_eq!(
            operator.status("desk").await["level"]["effective"],
            "supervised"
        );
        let output = gate
            .command()
            .args([
                "waive",
                "desk",
                "--for",
                "1h",
                "--reason",
                "the outage is over",
            ])
            .output()
            .unwrap();
        assert!(
            output.status.success()
                && String::from_utf8_lossy(&output.stdout).contains("is waived"),
            "{output:?}"
        );
        let status = operator.status("desk").await;
        assert_eq!(
            (
                &status["level"]["effective"],
                &status["level"]["binds"],
                &status["changes"]
            ),
            (&json!("autonomous"), &json!("waiver"), &json!("frozen"))
        );
        for order in ["2", "3"] {
            let call = agent
                .post("/shop/note", &json!({ "order": order }))
                .await
                .passed()
                .call()
                .to_owned();
            operator.run_of(&call).await;
            operator
                .post(
                    "/v1/reports",
                    &json!({ "call": call, "mode": "wrong_action" }),
                )
                .await
                .passed();
        }
        operator
            .stands("desk", "capped again", |status| {
                status["level"]["waiver"].is_null()
            })
            .await;
        operator
            .post("/v1/workflows/desk/waive", &waive)
            .await
            .passed();
        let problem = operator
            .post("/v1/workflows/desk/waive", &waive)
            .await
            .refused(409, "conflict");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("2 waivers in 30 days"),
            "{problem}"
        );
    });
}

async fn held_back(operator: &Operator) -> Value {
    operator
        .stands("desk", "a policy that is held back", |status| {
            status["policy_held_back"].is_string()
        })
        .await["policy_held_back"]
        .clone()
}

/// Writes a policy file and asks for a reload, which may bring nothing into force.
fn rewrite(gate: &TestGate, name: &str, text: &str) {
    gate.write_policy(name, text);
    gate.sighup();
}

fn desk(more: &str) -> String {
    policies::desk("") + "objective: { critical: [wrong_action] }\n" + more
}

#[test]
fn a_reload_that_widens_a_frozen_workflow_waits_for_the_thaw_and_the_rest_takes_effect() {
    test(async {
        let (_upstream, gate, agent, operator) = burned("medium").await;
        agent
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .refused(403, "held");
        let wider = desk("levels: [{ level: supervised, medium: allow }]\n");
        gate.write_policy(
            "other.yaml",
            "workflow: other\nrisk: low\ntools: [shop/look]\n",
        );
        rewrite(&gate, "desk.yaml", &wider);
        assert!(
            held_back(&operator)
                .await
                .as_str()
                .unwrap()
                .contains("terms")
        );
        gate.agent()
            .workflow("other")
            .get("/shop/look/1")
            .await
            .passed();
        let agent = gate.agent().workflow("desk");
        agent
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .refused(403, "held");
        assert!(gate.log().contains("held back"), "{}", gate.log());
        // The files did not change: what is held back comes into force by itself.
        operator
            .post(
                "/v1/workflows/desk/recover",
                &json!({ "cause": "prompt 14", "to": "supervised" }),
            )
            .await
            .passed();
        thaws(&operator, &agent).await;
    });
}

#[test]
fn a_wider_tool_is_held_back_and_a_tighter_policy_is_not() {
    test(async {
        let (upstream, gate, agent, operator) = burned("medium").await;
        let shop = policies::shop(&upstream.url());
        rewrite(
            &gate,
            "shop.yaml",
            &shop.replace(
                "match: POST /change, risk: medium",
                "match: POST /change, risk: low",
            ),
        );
        assert_eq!(
            held_back(&operator).await,
            json!("`risk` of tool `shop/change`")
        );
        agent
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .refused(403, "held");
        gate.reload(
            "shop.yaml",
            shop.replace(
                "match: POST /note, risk: low",
                "match: POST /note, risk: low, forbidden: true",
            ),
        )
        .await;
        agent
            .post("/shop/note", &json!({ "order": "1" }))
            .await
            .refused(403, "denied");
        assert!(operator.status("desk").await["policy_held_back"].is_null());
        // Dropping a frozen workflow, to bring it back as it should not be, is held back as well.
        gate.write_policy(
            "other.yaml",
            "workflow: other\nrisk: low\ntools: [shop/look]\n",
        );
        rewrite(&gate, "desk.yaml", "---\n");
        assert_eq!(held_back(&operator).await, json!("its removal"));
    });
}

#[test]
fn an_emergency_lets_a_wider_policy_through() {
    test(async {
        let (_upstream, gate, agent, operator) = burned("medium").await;
        rewrite(
            &gate,
            "desk.yaml",
            &desk("levels: [{ level: supervised, medium: allow }]\n"),
        );
        held_back(&operator).await;
        let emergency = json!({ "kind": "policy", "ref": "PR-7", "emergency": true, "reason": "the reviewers are asleep" });
        operator
            .post("/v1/workflows/desk/changes", &emergency)
            .await
            .passed();
        thaws(&operator, &agent).await;
    });
}

#[test]
fn a_restart_is_no_way_around_a_freeze() {
    test(async {
        let (_upstream, mut gate, _agent, operator) = burned("medium").await;
        rewrite(
            &gate,
            "desk.yaml",
            &desk("levels: [{ level: supervised, medium: allow }]\n"),
        );
        held_back(&operator).await;
        gate.restart();
        let clamp = gate.operator().status("desk").await["level"]["clamp"].clone();
        assert_eq!(
            (&clamp["by"], &clamp["to"]),
            (&json!("freeze"), &json!("read_only")),
            "{clamp}"
        );
        gate.agent()
            .post("/shop/change", &json!({ "order": "1" }))
            .await
            .refused(403, "level");
    });
}
