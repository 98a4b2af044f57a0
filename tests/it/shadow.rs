//! One rule in shadow, through the real binary: what it says is seen by people and not by the
//! agent, until its time is up.

use std::sync::LazyLock;

use burngate::config::quantity::Date;
use burngate::gate::time::{Time, days};
use serde_json::{Value, json};

use crate::harness::agent::full;
use crate::harness::{Agent, Operator, ScriptedUpstream, TestGate, eventually, policies, test};

/// The same day all through a test: shadow that ends later is wider.
fn in_a_month() -> Date {
    static DAY: LazyLock<Time> =
        LazyLock::new(|| Time::from_millis(jiff::Timestamp::now().as_millisecond()).plus(days(30)));
    Date(*DAY)
}

/// `note` with two rules of which `deny` is in shadow, or acts where there is no mode; and `spend` with
/// a limit in shadow.
fn shop(upstream: &str, mode: &str) -> String {
    let deny = if mode.is_empty() {
        "args.amount > 100.0".to_owned()
    } else {
        format!("{{ if: args.amount > 100.0, {mode} }}")
    };
    let note = format!(
        "risk: low, subject: args.order, deny_when: {deny}, hold_when: args.amount > 1000.0 }}"
    );
    let limit = format!(
        "limits: [ {{ sum: args.amount, per: subject, within: 24h, deny_above: 50, mode: shadow, until: '{}' }} ]",
        in_a_month()
    );
    let spend = format!(
        "  - {{ tool: spend, match: POST /spend, risk: low, subject: args.order, {limit} }}\n"
    );
    policies::shop(upstream).replace("risk: low, subject: args.order }", &note) + &spend
}

fn desk() -> String {
    policies::desk("objective: { critical: [wrong_action] }\nrecord: arguments\n")
        .replace("tools: [", "tools: [shop/spend, ")
}

async fn world() -> (ScriptedUpstream, TestGate, Agent, Operator) {
    let upstream = ScriptedUpstream::start().await;
    let shop = shop(
        &upstream.url(),
        &format!("mode: shadow, until: '{}'", in_a_month()),
    );
    let gate = TestGate::builder()
        .policy("shop.yaml", shop)
        .policy("desk.yaml", desk())
        .start();
    let (agent, operator) = (gate.agent(), gate.operator());
    (upstream, gate, agent, operator)
}

fn amount(amount: f64) -> Value {
    json!({ "order": "A-1", "amount": amount })
}

#[test]
fn people_see_what_it_says_and_the_agent_does_not() {
    test(async {
        let (upstream, gate, agent, operator) = world().await;
        let answer = agent.post("/shop/note", &amount(500.0)).await;
        assert_eq!(
            answer.passed().header("burngate-verdict"),
            Some("allow"),
            "what the agent would see without the rule"
        );
        // What acts decides: the other rule asks a person, and nothing is said of the one that
        // would have denied it.
        let problem = agent
            .post("/shop/note", &amount(5000.0))
            .await
            .refused(403, "held");
        assert!(
            problem["rule"].as_str().unwrap().starts_with("hold_when"),
            "{problem}"
        );
        agent.post("/shop/spend", &amount(60.0)).await.passed();
        // What two readers could read differently is refused, whoever reads it.
        let two_numbers = full(r#"{"order":"A-1","amount":1.00000000000000000001}"#);
        let request = agent
            .request("POST", "/shop/note")
            .header("content-type", "application/json")
            .body(two_numbers)
            .unwrap();
        agent.send(request).await.refused(400, "malformed");
        operator.clamp("desk", "read_only").await.passed();
        agent
            .post("/shop/note", &amount(500.0))
            .await
            .refused(403, "level");
        operator.release("desk").await.passed();
        assert_eq!(upstream.count(), 2);

        let all = async || {
            Some(
                operator
                    .get("/v1/workflows/desk/enforce")
                    .await
                    .passed()
                    .json(),
            )
            .filter(|flip| flip["denials"] == 2)
        };
        let flip = eventually("two findings", all).await;
        let rules = json!([
            { "tool": "shop/note", "rule": "deny_when", "verdict": "deny", "calls": 1 },
            { "tool": "shop/spend", "rule": "limits", "verdict": "deny", "calls": 1 },
        ]);
        let mut found = flip["rules"].clone();
        found
            .as_array_mut()
            .unwrap()
            .sort_by_key(|rule| rule["tool"].to_string());
        assert_eq!(
            (&found, &flip["whole"], &flip["holds"]),
            (&rules, &json!(false), &json!(0)),
            "{flip}"
        );
        let page = String::from_utf8(gate.cli(&["enforce", "desk", "--dry-run"]).stdout).unwrap();
        assert!(
            page.contains("2 denied if what is in shadow of desk were enforced")
                && page.contains("In shadow: deny_when of shop/note (policies/shop.yaml:"),
            "{page}"
        );
        let page = String::from_utf8(gate.cli(&["status", "desk"]).stdout).unwrap();
        assert!(page.contains("In shadow, recorded and without effect: deny_when of shop/note (policies/shop.yaml:"), "{page}");
        let page = String::from_utf8(gate.cli(&["review", "-w", "desk"]).stdout).unwrap();
        assert!(
            page.contains("Let through in shadow") && page.contains("deny_when"),
            "{page}"
        );
        let metrics = operator.get("/metrics").await.passed().clone();
        let metrics = String::from_utf8_lossy(&metrics.body);
        // What it said counts like the two refusals: the malformed call, and the one that the clamp
        // stopped.
        assert!(
            metrics.contains(
                r#"burngate_calls_total{workflow="desk",tool="shop/note",verdict="deny"} 3"#
            ),
            "{metrics}"
        );
        // A rule that is tried out costs nothing, and the budget is what it was.
        let status = operator.status("desk").await;
        assert_eq!(
            (&status["budget"]["unacceptable"], &status["failure_modes"]),
            (&json!(0), &json!({})),
            "{status}"
        );
    });
}

#[test]
fn its_time_runs_out_while_the_gate_runs() {
    test(async {
        let (upstream, gate, agent, operator) = world().await;
        agent.post("/shop/note", &amount(500.0)).await.passed();
        let soon = Date(Time::from_millis(
            jiff::Timestamp::now().as_millisecond() + 2_000,
        ));
        gate.reload(
            "shop.yaml",
            shop(&upstream.url(), &format!("mode: shadow, until: '{soon}'")),
        )
        .await;
        let acts = async || {
            Some(agent.post("/shop/note", &amount(500.0)).await)
                .filter(|answer| answer.status == 403)
        };
        let problem = eventually("the rule to act", acts)
            .await
            .refused(403, "denied");
        assert!(
            problem["rule"].as_str().unwrap().starts_with("deny_when"),
            "{problem}"
        );
        operator
            .stands("desk", "a violation", |status| {
                status["failure_modes"]["policy_violation"] == 1
            })
            .await;
    });
}

#[test]
fn a_frozen_workflow_is_not_widened_by_putting_a_rule_into_shadow() {
    test(async {
        let (upstream, gate, agent, operator) = world().await;
        let call = agent
            .post("/shop/note", &amount(1.0))
            .await
            .passed()
            .call()
            .to_owned();
        operator.burn(&call).await;
        // Out of shadow is tighter.
        gate.reload("shop.yaml", shop(&upstream.url(), "")).await;
        agent
            .post("/shop/note", &amount(500.0))
            .await
            .refused(403, "denied");
        gate.write_policy(
            "shop.yaml",
            shop(
                &upstream.url(),
                &format!("mode: shadow, until: '{}'", in_a_month()),
            ),
        );
        gate.sighup();
        let held_back = operator
            .stands("desk", "held back", |status| {
                status["policy_held_back"].is_string()
            })
            .await;
        assert_eq!(
            held_back["policy_held_back"],
            "`deny_when` of tool `shop/note`"
        );
        agent
            .post("/shop/note", &amount(500.0))
            .await
            .refused(403, "denied");
    });
}
