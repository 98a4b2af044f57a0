//! From shadow to enforce: what the flip would do is known before it, and what was booked stays
//! booked.

use burngate::config::quantity::Date;
use burngate::gate::time::{Time, days};
use serde_json::{Value, json};

use crate::harness::{ScriptedUpstream, TestGate, eventually, policies, test};

#[test]
fn what_the_flip_would_do_is_known_before_it_and_booked_runs_stay_booked() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let shop = policies::shop(&upstream.url()).replace(
            "risk: low, subject: args.order",
            "risk: low, subject: args.order, deny_when: args.order == 'X'",
        );
        let until = Time::from_millis(jiff::Timestamp::now().as_millisecond()).plus(days(30));
        let desk = policies::desk(&format!("mode: shadow\nuntil: {}\n", Date(until)));
        let gate = TestGate::builder()
            .policy("shop.yaml", shop)
            .policy("desk.yaml", desk)
            .start();
        let (agent, operator) = (gate.agent(), gate.operator());
        for (path, order) in [
            ("/shop/note", "1"),
            ("/shop/note", "X"),
            ("/shop/pay", "2"),
            ("/shop/pay", "3"),
            ("/shop/change", "4"),
        ] {
            agent.post(path, &json!({ "order": order })).await.passed();
        }
        let all = async || {
            Some(
                operator
                    .get("/v1/workflows/desk/enforce")
                    .await
                    .passed()
                    .json(),
            )
            .filter(|flip| flip["runs"] == 5)
        };
        let flip = eventually("five runs", all).await;
        assert_eq!(
            (
                &flip["calls"],
                &flip["holds"],
                &flip["denials"],
                &flip["days"]
            ),
            (&json!(5), &json!(2), &json!(1), &json!(1)),
            "{flip}"
        );
        let rules = json!([
            { "tool": "shop/pay", "rule": "level", "verdict": "hold", "calls": 2 },
            { "tool": "shop/note", "rule": "deny_when", "verdict": "deny", "calls": 1 },
        ]);
        assert_eq!(
            (&flip["rules"], &flip["level"]),
            (&rules, &json!("standard"))
        );
        let page = gate.cli(&["enforce", "desk", "--dry-run"]);
        let page = String::from_utf8(page.stdout).unwrap();
        assert!(
            page.contains("2 would have been held and 1 denied")
                && page.contains("booked runs stay booked"),
            "{page}"
        );
        assert_eq!(
            gate.cli(&["enforce", "desk"]).status.code(),
            Some(2),
            "the flip itself is made in the policy"
        );

        let stands = |status: Value| {
            (
                status["budget"]["runs"].clone(),
                status["budget"]["unacceptable"].clone(),
                status["posture"].clone(),
            )
        };
        let before = stands(operator.status("desk").await);
        assert_eq!(before.0, 5);
        gate.reload("desk.yaml", policies::desk("")).await;
        assert_eq!(stands(operator.status("desk").await), before);
        assert_eq!(
            (&before.2, operator.status("desk").await["mode"].clone()),
            (&flip["posture"], json!("enforce"))
        );
        agent
            .post("/shop/pay", &json!({ "order": "5" }))
            .await
            .refused(403, "held");
        let problem = operator
            .get("/v1/workflows/desk/enforce")
            .await
            .refused(409, "conflict");
        assert_eq!(
            problem["detail"],
            "`desk` is not in shadow: its verdicts are enforced already"
        );
        operator
            .get("/v1/workflows/nobody/enforce")
            .await
            .refused(404, "not-found");
    });
}
