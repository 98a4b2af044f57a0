//! What other policies would have done: over a history, and over a gate's own journal.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use crate::harness::{Reply, ScriptedUpstream, TestGate, policies, test};

const SHOP: &str = "api: shop
upstream: http://127.0.0.1:1
route: /shop
tools:
  - { tool: look, match: 'GET /look/{id}', risk: read }
  - { tool: pay, match: POST /pay, risk: medium, subject: args.order, deny_when: args.amount > 1000.0, hold_when: args.amount > 500.0 }
";

fn desk(target: &str, expected: u64) -> String {
    format!(
        "workflow: desk\nrisk: medium\nobjective: {{ target: {target}, expected_runs: {expected} }}\ntools: [shop/look, shop/pay]\n"
    )
}

fn prepared(target: &str, expected: u64) -> TestGate {
    TestGate::builder()
        .policy("shop.yaml", SHOP)
        .policy("desk.yaml", desk(target, expected))
        .prepare()
}

/// So many runs, ten minutes apart from 2026-01-01 on; `amount` and `failed` by number.
fn history(
    runs: u32,
    amount: impl Fn(u32) -> Option<u32>,
    failed: impl Fn(u32) -> bool,
) -> Vec<String> {
    let begin: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let line = |n: u32| {
        let at = begin + jiff::SignedDuration::from_mins(i64::from(n) * 10);
        let call = amount(n).map_or_else(
            || json!({ "tool": "shop/pay" }),
            |amount| json!({ "tool": "shop/pay", "args": { "order": "A", "amount": amount } }),
        );
        let (outcome, modes) = if failed(n) {
            ("unacceptable", json!(["wrong_action"]))
        } else {
            ("acceptable", json!([]))
        };
        format!(
            "{}\n",
            json!({ "at": at.to_string(), "workflow": "desk", "run": format!("r{n}"), "outcome": outcome, "modes": modes, "calls": [call] })
        )
    };
    (0..runs).map(line).collect()
}

fn simulate(gate: &TestGate, history: &str, more: &[&str]) -> Value {
    let mut arguments = vec![
        "simulate",
        "--policies",
        "policies",
        "--history",
        history,
        "--json",
    ];
    arguments.extend(more);
    let output = gate.cli(&arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn calls_that_would_be_denied_prevent_their_runs_and_held_ones_are_listed() {
    let gate = prepared("97%", 1_000);
    let amount = |n: u32| match n % 10 {
        0 => Some(2_000),
        1 => Some(700),
        2 => None,
        _ => Some(100),
    };
    let lines = history(1_000, amount, |n| n % 100 == 0 || n % 100 == 1);
    fs::write(gate.home().join("h.jsonl"), lines.concat()).unwrap();
    let told = simulate(&gate, "h.jsonl", &[]);
    let desk = &told["workflows"]["desk"];
    assert_eq!(
        (
            &desk["prevented"]["runs"],
            &desk["prevented"]["unacceptable"]
        ),
        (&json!(100), &json!(10)),
        "{desk}"
    );
    assert_eq!(
        (
            &desk["held"]["runs"],
            &desk["held"]["unacceptable"],
            &desk["held"]["named"][0]
        ),
        (&json!(100), &json!(10), &json!("r1"))
    );
    assert_eq!(
        (&desk["runs"], &desk["unacceptable"]),
        (&json!(900), &json!(10))
    );
    assert_eq!(
        desk["calls"],
        json!({ "allowed": 800, "held": 100, "denied": 100, "unknown": 100 })
    );
    assert_eq!(
        (&desk["posture"], &desk["burns"]),
        (&json!("healthy"), &json!(0))
    );
    // The order of the lines does not matter; a run that comes twice is one.
    let turned: String = lines
        .iter()
        .rev()
        .chain(&lines[..3])
        .map(String::as_str)
        .collect();
    fs::write(gate.home().join("turned.jsonl"), turned).unwrap();
    let again = simulate(&gate, "turned.jsonl", &[]);
    assert_eq!(again["workflows"], told["workflows"]);
    assert_eq!(
        (
            &again["findings"][0]["kind"],
            &again["findings"][0]["count"]
        ),
        (&json!("duplicate"), &json!(3))
    );
}

#[test]
fn failures_burn_a_person_recovers_and_other_targets_tell_another_story() {
    // Sixty days, with one bad day in the middle.
    let lines = history(8_640, |_| Some(1), |n| n / 144 == 30 && n % 2 == 0).concat();
    let strict = prepared("97%", 1_000);
    fs::write(strict.home().join("h.jsonl"), &lines).unwrap();
    let told = simulate(&strict, "h.jsonl", &[]);
    let desk = &told["workflows"]["desk"];
    let what: Vec<_> = desk["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            (
                change["effect"].as_str().unwrap(),
                change["to"].as_str().unwrap_or("-"),
            )
        })
        .collect();
    assert_eq!(desk["burns"], 1, "{what:?}");
    assert!(
        what.contains(&("posture_changed", "burned"))
            && what.contains(&("level_changed", "supervised"))
            && what.contains(&("probation_ended", "-")),
        "{what:?}"
    );
    // Held while it was burned, not denied: the runs are booked as they were.
    assert_eq!(
        (&desk["prevented"]["runs"], &desk["unacceptable"]),
        (&json!(0), &json!(72))
    );
    assert!(desk["calls"]["held"].as_u64().unwrap() > 100, "{desk}");
    assert_eq!(desk["posture"], "healthy");
    let never = simulate(&strict, "h.jsonl", &["--recovers-after", "never"]);
    assert_eq!(never["workflows"]["desk"]["posture"], "burned");
    let lax = prepared("80%", 5_000);
    fs::write(lax.home().join("h.jsonl"), &lines).unwrap();
    assert_eq!(
        simulate(&lax, "h.jsonl", &[])["workflows"]["desk"]["burns"],
        0
    );
    // As a table, and as a page of its own.
    let table = strict.cli(&["simulate", "--history", "h.jsonl"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.contains("posture changed: at_risk to burned")
            && table.contains("assumed: a person finds the cause"),
        "{table}"
    );
    let output = strict.cli(&[
        "simulate",
        "--history",
        "h.jsonl",
        "--format",
        "html",
        "--out",
        "year.html",
    ]);
    assert!(output.status.success());
    let html = fs::read_to_string(strict.home().join("year.html")).unwrap();
    assert!(
        html.starts_with("<!doctype html>")
            && html.contains("<svg")
            && html.contains("class=\"burned\"")
            && !html.contains("http://")
            && !html.contains("src=")
    );
}

#[test]
fn what_a_good_quarter_earns_is_told_and_what_would_wait_for_an_operator() {
    let earn = "levels: [ { level: standard, volume: 600/min } ]
earn:
  - { step: wider, after: 30d, volume: x2, how: automatic }
  - { step: up, after: 60d, to: autonomous }
";
    let gate = TestGate::builder()
        .policy("shop.yaml", SHOP)
        .policy(
            "desk.yaml",
            desk("97%", 1_000).replace("risk: medium", "risk: high") + earn,
        )
        .prepare();
    // Eighty days; the tier is high, and somebody is taken to review each week.
    fs::write(
        gate.home().join("h.jsonl"),
        history(11_520, |_| Some(1), |_| false).concat(),
    )
    .unwrap();
    let told = simulate(&gate, "h.jsonl", &[]);
    let desk = &told["workflows"]["desk"];
    assert_eq!(
        [&desk["promotions"], &desk["proposed"], &desk["demotions"]],
        [1, 1, 0],
        "{desk:#}"
    );
    let table = String::from_utf8(gate.cli(&["simulate", "--history", "h.jsonl"]).stdout).unwrap();
    assert!(
        table.contains("PROMOTED")
            && table.contains("step earned: wider")
            && table.contains("step proposed: up"),
        "{table}"
    );
}

#[test]
fn a_history_that_contradicts_itself_is_told_by_line_and_one_of_its_stories_counts() {
    let gate = prepared("97%", 1_000);
    let line = |at: &str, run: &str, outcome: &str, more: Value| {
        let mut line = json!({ "at": at, "workflow": "desk", "run": run, "outcome": outcome, "calls": [{ "tool": "shop/pay" }] });
        line.as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap_or_default());
        format!("{line}\n")
    };
    let lines = [
        line("2026-01-03T00:00:00Z", "twice", "acceptable", json!({})),
        // Earlier, although it comes later: by time this is what was said first.
        line(
            "2026-01-02T00:00:00Z",
            "twice",
            "unacceptable",
            json!({ "modes": ["wrong_action"] }),
        ),
        line("2026-01-02T00:00:00Z", "same", "acceptable", json!({})),
        line("2026-01-02T00:00:00Z", "same", "acceptable", json!({})),
        line(
            "2026-01-04T00:00:00Z",
            "good",
            "acceptable",
            json!({ "modes": ["timeout"] }),
        ),
        line(
            "2026-01-04T00:00:00Z",
            "bad",
            "unacceptable",
            json!({ "modes": ["tool_error"] }),
        ),
        line(
            "2026-01-04T00:00:00Z",
            "out",
            "excluded",
            json!({ "modes": ["timeout"] }),
        ),
        line(
            "9999-01-01T00:00:00Z",
            "tomorrow",
            "unacceptable",
            json!({}),
        ),
        // The agent is part of a run's name.
        line(
            "2026-01-05T00:00:00Z",
            "twice",
            "acceptable",
            json!({ "agent": "another" }),
        ),
    ];
    fs::write(gate.home().join("h.jsonl"), lines.concat()).unwrap();
    let told = simulate(&gate, "h.jsonl", &[]);
    let mut found = String::new();
    for finding in told["findings"].as_array().unwrap() {
        for line in finding["lines"].as_array().unwrap() {
            writeln!(
                found,
                "{} {} {}",
                finding["kind"].as_str().unwrap(),
                line["line"],
                line["what"].as_str().unwrap()
            )
            .unwrap();
        }
    }
    insta::assert_snapshot!(found, @r"
    future 8 9999-01-01T00:00:00Z
    duplicate 1 run `twice` of `desk`, acceptable here and unacceptable on line 2, which counts
    duplicate 4 run `same` of `desk`, as on line 3
    contradiction 5 the outcome is acceptable, but a mode counts as unacceptable: booked as unacceptable
    contradiction 6 the outcome is unacceptable, but the objective counts none of the modes: booked as acceptable
    ");
    let desk = &told["workflows"]["desk"];
    // `twice`, `same`, `good`, `bad` and the other agent's `twice`; `out` is out.
    assert_eq!(
        [&desk["runs"], &desk["unacceptable"], &desk["excluded"]],
        [5, 2, 1],
        "{desk}"
    );
    assert_eq!(told["to"], "2026-01-05T00:00:00Z");
}

#[test]
fn what_cannot_be_simulated_says_why() {
    let gate = prepared("97%", 1_000);
    fs::write(gate.home().join("bad.jsonl"), "{}\nnothing\n{\"at\":\"2026-01-01T00:00:00Z\",\"workflow\":\"x\",\"run\":\"r\",\"outcome\":\"acceptable\"}\n")
        .unwrap();
    let told = simulate(&gate, "bad.jsonl", &[]);
    let found: String =
        told["findings"]
            .as_array()
            .unwrap()
            .iter()
            .fold(String::new(), |mut text, finding| {
                let _ = writeln!(
                    text,
                    "{} {}",
                    finding["kind"].as_str().unwrap(),
                    finding["lines"][0]["line"]
                );
                text
            });
    assert_eq!(found, "broken 1\nunknown_workflow 3\n");
    for (arguments, what) in [
        (&["--history", "none.jsonl"][..], "no such file"),
        (&["--history", "policies"], "it is a directory"),
        (&["--history", "journal", "--data", "nowhere"], "ledger"),
        (
            &["--history", "bad.jsonl", "--recovers-after", "soon"],
            "--recovers-after",
        ),
        (
            &["--history", "bad.jsonl", "--policies", "nowhere"],
            "cannot be used",
        ),
    ] {
        let output = gate.cli(&[&["simulate"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(what),
            "{arguments:?}: {said}"
        );
    }
}

/// 90% of 40 runs: four may fail.
const FOUR: &str = "objective: { target: 90%, expected_runs: 40, unacceptable: [wrong_action, policy_violation, timeout, tool_error] }\n";

/// Calls of every kind: allowed, held and approved, denied, clamped away, and failed until the
/// budget is burned.
async fn until_it_burns(upstream: &ScriptedUpstream, gate: &TestGate) {
    let (agent, operator) = (gate.agent(), gate.operator());
    for n in 0..6 {
        agent
            .post("/shop/change", &json!({ "order": format!("A-{n}") }))
            .await
            .passed();
    }
    operator
        .stands("desk", "6 runs", |status| status["budget"]["runs"] == 6)
        .await;
    // A person approves a call; another is clamped away; reports come and go.
    let held = agent
        .post("/shop/pay", &json!({ "order": "A-9" }))
        .await
        .refused(403, "held");
    operator
        .approve(held["approval"].as_str().unwrap())
        .await
        .passed();
    agent
        .post("/shop/pay", &json!({ "order": "A-9" }))
        .await
        .passed();
    // Conditions are judged again by the arguments on record.
    agent
        .post("/shop/charge", &json!({ "amount": 100 }))
        .await
        .passed();
    let held = agent
        .post("/shop/charge", &json!({ "amount": 700 }))
        .await
        .refused(403, "held");
    operator
        .approve(held["approval"].as_str().unwrap())
        .await
        .passed();
    agent
        .post("/shop/charge", &json!({ "amount": 700 }))
        .await
        .passed();
    agent
        .post("/shop/charge", &json!({ "amount": 2_000 }))
        .await
        .refused(403, "denied");
    operator.clamp("desk", "read_only").await.passed();
    agent
        .post("/shop/change", &json!({ "order": "A-1" }))
        .await
        .refused(403, "level");
    operator
        .post("/v1/workflows/desk/release", &json!({ "reason": "over" }))
        .await
        .passed();
    for n in 0..3 {
        upstream.next(Reply::reset());
        agent
            .post("/shop/change", &json!({ "order": format!("lost-{n}") }))
            .await
            .refused(502, "ambiguous");
    }
    operator
        .stands("desk", "burned", |status| status["posture"] == "burned")
        .await;
    agent
        .post("/shop/change", &json!({ "order": "A-2" }))
        .await
        .refused(403, "held");
}

/// A recovery, and a report that comes and goes.
async fn after_it_burned(gate: &TestGate) {
    let (agent, operator) = (gate.agent(), gate.operator());
    operator
        .post(
            "/v1/workflows/desk/recover",
            &json!({ "cause": "a flaky network" }),
        )
        .await
        .passed();
    agent
        .post("/shop/change", &json!({ "order": "A-3" }))
        .await
        .passed();
    operator
        .stands("desk", "the run after the restart", |status| {
            status["budget"]["runs"].as_u64() > Some(11)
        })
        .await;
    operator
        .post(
            "/v1/reports",
            &json!({ "subject": "A-3", "mode": "wrong_action" }),
        )
        .await
        .passed();
    operator
        .post(
            "/v1/reports",
            &json!({ "subject": "A-3", "mode": "wrong_action", "retract": true }),
        )
        .await
        .passed();
}

#[test]
fn g12_the_same_policies_over_a_gates_journal_give_the_same_consequences_event_for_event() {
    test(async {
        let upstream = ScriptedUpstream::start().await;
        let charge = |hold: u32, deny: u32| {
            let tool = format!(
                "tool: charge, match: POST /charge, risk: medium, deny_when: args.amount > {deny}.0, hold_when: args.amount > {hold}.0"
            );
            format!("{}  - {{ {tool} }}\n", policies::shop(&upstream.url()))
        };
        let policy = policies::desk(&format!("{FOUR}record: arguments\n"))
            .replace("tools: [", "tools: [shop/charge, ");
        let mut gate = TestGate::builder()
            .policy("shop.yaml", charge(500, 1_000))
            .policy("desk.yaml", policy.as_str())
            .start();
        until_it_burns(&upstream, &gate).await;
        gate.restart();
        after_it_burned(&gate).await;
        let told = simulate(&gate, "journal", &["--data", "burngate-data"]);
        let desk = &told["workflows"]["desk"];
        let difference = &desk["difference"];
        assert_eq!(
            (&difference["only_real"], &difference["only_simulated"]),
            (&json!([]), &json!([])),
            "{told:#}"
        );
        assert!(difference["same"].as_u64().unwrap() >= 6, "{difference}");
        assert_eq!(
            [&difference["newly_held"], &difference["newly_denied"]],
            [0, 0],
            "{difference}"
        );
        let live = gate.operator().status("desk").await;
        assert_eq!(
            (&desk["posture"], &desk["level"]),
            (&live["posture"], &live["level"]["effective"])
        );
        assert_eq!(desk["calls"]["unknown"], 0, "{desk}");
        // A stricter condition would have held one of the charges and denied another.
        gate.write_policy("shop.yaml", charge(50, 600));
        let told = simulate(&gate, "journal", &[]);
        let difference = &told["workflows"]["desk"]["difference"];
        assert_eq!(
            [&difference["newly_held"], &difference["newly_denied"]],
            [1, 1],
            "{told:#}"
        );
        // Without the tool in reach the calls would not have gone.
        gate.write_policy("desk.yaml", policy.replace("shop/change, ", ""));
        let told = simulate(&gate, "journal", &[]);
        let desk = &told["workflows"]["desk"];
        assert!(
            desk["prevented"]["runs"].as_u64().unwrap() >= 10 && desk["burns"] == 0,
            "{told:#}"
        );
    });
}
