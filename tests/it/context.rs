//! What surrounds a held call, in one answer: its run so far, what else touched its object, how
//! calls like it were decided and turned out.

use serde_json::{Value, json};

use crate::harness::{Operator, ScriptedUpstream, TestGate, eventually, policies, test};

fn order(order: &str) -> Value {
    json!({ "order": order, "amount": 12.50 })
}

async fn shown(operator: &Operator, id: &str) -> Value {
    operator
        .get(&format!("/v1/approvals/{id}?context=true"))
        .await
        .passed()
        .json()
}

/// Tool, verdict and whether it was executed, of each call of the run so far.
fn open_run(shown: &Value) -> Vec<(String, String, Value)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    shown["context"]["run"]["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (text(&c["tool"]), text(&c["verdict"]), c["executed"].clone()))
        .collect()
}

#[test]
fn the_run_so_far_is_told_while_it_is_open_and_when_it_has_ended() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk("run: { calls: 200 }"))
            .start();
        let (agent, operator) = (gate.agent().run("ticket-1"), gate.operator());
        agent.get("/shop/look/7").await.passed();
        agent.post("/shop/note", &order("A-1")).await.passed();
        agent.get("/shop/nothing").await.refused(403, "unlisted");
        let id = agent
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held")["approval"]
            .as_str()
            .unwrap()
            .to_owned();
        let without = operator
            .get(&format!("/v1/approvals/{id}"))
            .await
            .passed()
            .json();
        assert!(
            without.get("context").is_none(),
            "only where it is asked for"
        );
        let told = shown(&operator, &id).await;
        assert_eq!(
            (
                &told["id"],
                &told["context"]["run"]["state"],
                &told["context"]["run"]["left_out"]
            ),
            (&json!(id), &json!("open"), &json!(0))
        );
        let call = |tool: &str, verdict: &str, executed: bool| {
            (tool.to_owned(), verdict.to_owned(), json!(executed))
        };
        assert_eq!(
            open_run(&told),
            [
                call("shop/look", "allow", true),
                call("shop/note", "allow", true),
                call("shop/?", "deny", false)
            ]
        );
        assert_eq!(told["context"]["run"]["calls"][1]["subject"], "A-1");
        // What comes later is told as well, the newest fifty of it, and the number of the others.
        for n in 0..60 {
            agent.get(&format!("/shop/look/{n}")).await.passed();
        }
        let told = shown(&operator, &id).await;
        assert_eq!(
            (open_run(&told).len(), &told["context"]["run"]["left_out"]),
            (50, &json!(13))
        );
        let page = gate.cli(&["approvals", "show", &id]);
        let page = String::from_utf8(page.stdout).unwrap();
        assert!(
            page.contains("; 13 calls before these\n")
                && page.contains(": shop/look (risk read): executed (200)\n"),
            "{page}"
        );
        agent
            .post(
                "/.burngate/runs/ticket-1/finish",
                &json!({ "status": "completed" }),
            )
            .await
            .passed();
        operator.booked("ticket-1").await;
        let told = shown(&operator, &id).await;
        assert_eq!(
            (
                &told["context"]["run"]["state"],
                open_run(&told).len(),
                &told["context"]["run"]["left_out"]
            ),
            (&json!("acceptable"), 50, &json!(13))
        );
        // A call without a run is a run of its own, and nothing came before it.
        let alone = gate
            .agent()
            .post("/shop/pay", &order("A-2"))
            .await
            .refused(403, "held");
        let told = shown(&operator, alone["approval"].as_str().unwrap()).await;
        assert_eq!(open_run(&told), []);
    });
}

async fn held(gate: &TestGate, run: &str, of: &str) -> String {
    let problem = gate
        .agent()
        .run(run)
        .post("/shop/pay", &order(of))
        .await
        .refused(403, "held");
    problem["approval"].as_str().unwrap().to_owned()
}

/// Three like calls: one that went and turned out bad, one that was denied, and one that went and
/// is open still. The approvals of the first and the last.
async fn like_calls(gate: &TestGate) -> (String, String) {
    let operator = gate.operator();
    let bad = held(gate, "bad", "A-1").await;
    operator.approve(&bad).await.passed();
    gate.agent()
        .run("bad")
        .post("/shop/pay", &order("A-1"))
        .await
        .passed();
    operator
        .report("run", "bad", "wrong_action", "r-1")
        .await
        .passed();
    gate.agent()
        .post(
            "/.burngate/runs/bad/finish",
            &json!({ "status": "completed" }),
        )
        .await
        .passed();
    operator.booked("bad").await;
    operator
        .deny(&held(gate, "denied", "A-2").await, "not_now", "later")
        .await
        .passed();
    let open = held(gate, "open", "A-3").await;
    operator.approve(&open).await.passed();
    gate.agent()
        .run("open")
        .post("/shop/pay", &order("A-3"))
        .await
        .passed();
    (bad, open)
}

fn lists_what_touched_it_lately(told: &Value) {
    let lately: Vec<_> = told["lately"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["run"], &one["outcome"]))
        .collect();
    assert_eq!(
        lately,
        [
            (&json!("beside"), &json!("open")),
            (&json!("bad"), &json!("unacceptable"))
        ]
    );
    assert_eq!(
        (&told["workflow"]["workflow"], &told["workflow"]["posture"]),
        (&json!("desk"), &json!("healthy"))
    );
}

#[test]
fn what_else_touched_the_object_and_how_like_calls_turned_out_are_told() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let mut gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk(""))
            .start();
        let operator = gate.operator();
        let (bad, open) = like_calls(&gate).await;
        // Another run touches the object, and is open.
        gate.agent()
            .run("beside")
            .post("/shop/note", &order("A-1"))
            .await
            .passed();
        let id = held(&gate, "asking", "A-1").await;
        let told = eventually("the run of the first is in the records", || async {
            Some(shown(&operator, &id).await["context"].clone())
                .filter(|context| context["alike"][0]["outcome"] == "unacceptable")
        })
        .await;
        assert_eq!(told["missing"], json!([]));
        let alike: Vec<_> = told["alike"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                (
                    &one["id"],
                    &one["sent"],
                    &one["outcome"],
                    &one["decisions"][0]["decision"],
                )
            })
            .collect();
        // The same object first, then the newest.
        assert_eq!(
            alike[0],
            (
                &json!(bad),
                &json!(true),
                &json!("unacceptable"),
                &json!("approve")
            )
        );
        assert_eq!(
            alike[1],
            (&json!(open), &json!(true), &json!(null), &json!("approve"))
        );
        assert_eq!(
            (alike[2].1, alike[2].2, alike[2].3),
            (&json!(false), &json!(null), &json!("deny_not_now"))
        );
        assert_eq!(
            (
                alike.len(),
                &told["alike"][0]["modes"],
                &told["alike"][0]["same_subject"]
            ),
            (3, &json!(["wrong_action"]), &json!(true))
        );
        lists_what_touched_it_lately(&told);
        let rule = &told["rule"];
        assert_eq!(
            (
                &rule["rule"],
                &rule["held"],
                &rule["approved"],
                &rule["turned_bad"]
            ),
            (&json!("level"), &json!(4), &json!(2), &json!(1))
        );
        // A crash takes the runs that were open, and nothing that people decided.
        gate.kill_nine();
        gate.start();
        let again = shown(&gate.operator(), &id).await["context"].clone();
        assert_eq!(
            again["alike"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| &one["id"])
                .collect::<Vec<_>>(),
            alike.iter().map(|one| one.0).collect::<Vec<_>>()
        );
        assert_eq!(
            (&again["alike"][0]["outcome"], &again["rule"]["turned_bad"]),
            (&json!("unacceptable"), &json!(1))
        );
    });
}

#[test]
fn what_an_edit_changes_is_told_to_the_next_reviewer() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let config = policies::people(&[], &[("dana", "reviewer"), ("omar", "reviewer")]);
        let gate = TestGate::builder()
            .policy("shop.yaml", policies::shop(&upstream.url()))
            .policy("desk.yaml", policies::desk("hold: { approvals: 2 }"))
            .config(&config)
            .start();
        let id = gate
            .agent()
            .post("/shop/pay", &order("A-1"))
            .await
            .refused(403, "held")["approval"]
            .as_str()
            .unwrap()
            .to_owned();
        let edit = json!({ "edit": { "order": "A-1", "amount": 9, "note": "half of it" } });
        gate.reviewer("dana-token")
            .post(&format!("/v1/approvals/{id}/approve"), &edit)
            .await
            .passed();
        let told = shown(&gate.operator(), &id).await;
        assert_eq!(
            told["context"]["changes"],
            json!([{ "member": "amount", "asked": 12.5, "edited": 9 }, { "member": "note", "edited": "half of it" }])
        );
    });
}
