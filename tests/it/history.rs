//! Histories: past runs on the books, through the command that people use.

use std::fmt::Write as _;
use std::fs;

use hyper::body::Frame;
use serde_json::{Value, json};

use crate::harness::{ScriptedUpstream, TestGate, agent, policies, test};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// RFC 3339 for so many milliseconds ago.
fn ago(millis: i64) -> String {
    let now = jiff::Timestamp::now().as_millisecond();
    jiff::Timestamp::from_millisecond(now - millis)
        .unwrap()
        .to_string()
}

fn line(at: String, run: &str, outcome: &str, more: Value) -> String {
    let mut line = json!({ "at": at, "workflow": "desk", "run": run, "outcome": outcome });
    line.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap_or_default());
    format!("{line}\n")
}

async fn gate(desk: &str) -> (ScriptedUpstream, TestGate) {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(desk))
        .start();
    (upstream, gate)
}

/// What the command answers, as JSON; it must have done what it was asked.
fn import(gate: &TestGate, history: &str) -> Value {
    fs::write(gate.home().join("history.jsonl"), history).unwrap();
    let output = gate.cli(&["import", "--history", "history.jsonl", "--json"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Sixty days of 20 runs a day, one in 50 of which failed.
fn sixty_days() -> String {
    let run = |n: i64| {
        let failed = n % 50 == 0;
        let modes = if failed {
            json!(["wrong_action"])
        } else {
            json!([])
        };
        let calls = json!([{ "tool": "shop/look" }, { "tool": "shop/pay", "args": { "order": format!("A-{n}") } }]);
        let outcome = if failed { "unacceptable" } else { "acceptable" };
        line(
            ago(60 * DAY - n * DAY / 20),
            &format!("T-{n}"),
            outcome,
            json!({ "modes": modes, "calls": calls, "agent": "old-bot" }),
        )
    };
    // Not in the order of time.
    (0..1_200).map(|n| run(n * 7 % 1_200)).collect()
}

#[test]
fn a_history_fills_the_budget_to_its_own_times_and_burns_nothing_on_the_way() {
    test(async {
        let (_upstream, mut gate) = gate("objective: { target: 97%, expected_runs: 600 }\n").await;
        let told = import(&gate, &sixty_days());
        assert_eq!(
            (&told["booked"], &told["unacceptable"], &told["skipped"]),
            (&json!(1_200), &json!(24), &json!(0)),
            "{told}"
        );
        assert_eq!(told["workflows"][0]["posture"], "healthy");
        let status = gate.operator().status("desk").await;
        // Half of the sixty days is in the window.
        let (runs, unacceptable) = (
            status["budget"]["runs"].as_u64().unwrap(),
            status["budget"]["unacceptable"].as_u64().unwrap(),
        );
        assert!(
            (595..=605).contains(&runs) && (11..=13).contains(&unacceptable),
            "{status}"
        );
        assert_eq!(
            (
                status["burns"].as_array().unwrap().len(),
                &status["budget"]["high"]["runs"]
            ),
            (0, &json!(runs))
        );
        // Again: nothing is booked twice.
        let again = import(&gate, &sixty_days());
        assert_eq!(
            (
                &again["booked"],
                &again["findings"][0]["kind"],
                &again["findings"][0]["count"]
            ),
            (&json!(0), &json!("duplicate"), &json!(1_200))
        );
        // A late report finds a run by what it touched, and is booked where the run was.
        let report = gate.cli(&[
            "report",
            "--subject",
            "A-1199",
            "--mode",
            "wrong_action",
            "--json",
        ]);
        let report: Value = serde_json::from_slice(&report.stdout).unwrap();
        assert_eq!(
            (
                &report["run"],
                &report["agent"],
                &report["was"],
                &report["now"]
            ),
            (
                &json!("T-1199"),
                &json!("old-bot"),
                &json!("acceptable"),
                &json!("unacceptable")
            )
        );
        let before = gate.operator().status("desk").await;
        assert_eq!(before["budget"]["unacceptable"], unacceptable + 1);
        gate.restart();
        let after = gate.operator().status("desk").await;
        assert_eq!(
            (&before["budget"], &before["failure_modes"]),
            (&after["budget"], &after["failure_modes"])
        );
    });
}

#[test]
fn a_history_that_says_the_budget_is_gone_burns_once_at_its_end() {
    test(async {
        let (_upstream, gate) = gate("objective: { target: 97%, expected_runs: 100 }\n").await;
        let history: String = (0..60)
            .map(|n| {
                line(
                    ago(DAY * 20 - n * HOUR),
                    &format!("T-{n}"),
                    "unacceptable",
                    json!({ "modes": ["wrong_action"] }),
                )
            })
            .collect();
        let told = import(&gate, &history);
        assert_eq!(
            (
                &told["workflows"][0]["posture"],
                &told["workflows"][0]["level"]
            ),
            (&json!("breached"), &json!("read_only")),
            "{told}"
        );
        let status = gate.operator().status("desk").await;
        assert_eq!(status["burns"].as_array().unwrap().len(), 1, "{status}");
        gate.agent()
            .post("/shop/change", &json!({ "order": "A-1" }))
            .await
            .refused(403, "level");
    });
}

#[test]
fn what_is_wrong_with_a_line_is_said_with_its_number() {
    test(async {
        let (_upstream, gate) = gate("objective: { target: 97%, expected_runs: 100, unacceptable: [wrong_action, timeout, odd_tone] }\n").await;
        let good = |run: &str, outcome: &str, more: Value| line(ago(HOUR), run, outcome, more);
        let long = "x".repeat(2 << 20);
        let lines = [
            good("ok", "acceptable", json!({})),
            "{\"at\": \"2026-01-01T00:00:00Z\"\n".to_owned(),
            "\n".to_owned(),
            good("ok", "acceptable", json!({})),
            line(ago(-DAY), "tomorrow", "acceptable", json!({})),
            good("w", "acceptable", json!({ "workflow": "desks" })),
            good("m", "unacceptable", json!({ "modes": ["wrong_acton"] })),
            good("own", "unacceptable", json!({ "modes": ["odd_tone"] })),
            good("c1", "acceptable", json!({ "modes": ["timeout"] })),
            good("c2", "unacceptable", json!({ "modes": ["tool_error"] })),
            good(
                "t",
                "acceptable",
                json!({ "calls": [{ "tool": "shop/unheard" }] }),
            ),
            good("s", "acceptable", json!({ "mods": [] })),
            format!("{{\"note\": \"{long}\"}}\n"),
            line(ago(200 * DAY), "old", "acceptable", json!({})),
            good("u", "unacceptable", json!({})),
            good("x", "excluded", json!({})),
            good(
                "idle",
                "acceptable",
                json!({ "calls": [{ "tool": "shop/look" }] }),
            ),
            "[]".to_owned(),
        ];
        let told = import(&gate, &lines.concat());
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
        let found = regex::Regex::new(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
            .unwrap()
            .replace_all(&found, "TIME")
            .into_owned();
        insta::assert_snapshot!(found, @r"
        broken 2 not JSON: EOF while parsing an object at column 29
        broken 12 unknown field `mods`, expected one of `at`, `workflow`, `run`, `agent`, `outcome`, `modes`, `calls`
        broken 13 longer than 1048576 bytes
        broken 18 not a JSON object
        unknown_workflow 6 `desks`
        unknown_mode 7 `wrong_acton`
        future 5 TIME
        duplicate 4 run `ok` of `desk`
        contradiction 9 the outcome is acceptable, but a mode counts as unacceptable: booked as unacceptable
        contradiction 10 the outcome is unacceptable, but the objective counts none of the modes: booked as acceptable
        unknown_tool 11 `shop/unheard`
        old 14 TIME
        ");
        let counts = [
            "lines",
            "booked",
            "acceptable",
            "unacceptable",
            "excluded",
            "idle",
            "skipped",
        ]
        .map(|key| told[key].as_u64().unwrap());
        assert_eq!(counts, [17, 9, 4, 3, 1, 1, 8], "{told}");
        let status = gate.operator().status("desk").await;
        assert_eq!(
            (
                &status["budget"]["runs"],
                &status["budget"]["unacceptable"],
                &status["budget"]["idle_runs"]
            ),
            (&json!(6), &json!(3), &json!(1))
        );
    });
}

#[test]
fn a_history_of_broken_lines_alone_or_that_is_not_there_is_a_failure() {
    test(async {
        let (_upstream, gate) = gate("").await;
        fs::write(gate.home().join("bad.jsonl"), "{}\n").unwrap();
        for file in ["bad.jsonl", "none.jsonl"] {
            let output = gate.cli(&["import", "--history", file]);
            assert_eq!(output.status.code(), Some(1), "{file}");
        }
    });
}

#[test]
fn an_upload_that_breaks_off_books_nothing_and_two_at_once_are_one_too_many() {
    test(async {
        let (_upstream, gate) = gate("objective: { target: 97%, expected_runs: 600 }\n").await;
        let operator = agent::Agent::new(gate.admin()).with(
            "authorization",
            &format!("Bearer {}", gate.operator_token().trim()),
        );
        let (send, body) = agent::pieces();
        let request = operator
            .request("POST", "/v1/import")
            .header("content-type", "application/x-ndjson")
            .body(body)
            .unwrap();
        let open = operator.clone();
        let upload = tokio::spawn(async move { open.send(request).await });
        let history = sixty_days();
        send.send(Frame::data(history.clone().into()))
            .await
            .unwrap();
        let person = gate.operator();
        // Its first batches are on disk: nothing of them shows, and a second import is refused.
        let on_disk = || {
            let ledger = rusqlite::Connection::open_with_flags(
                gate.data().join("ledger.db"),
                rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
            )
            .unwrap();
            ledger
                .query_row("SELECT count(*) FROM importing", [], |row| {
                    row.get::<_, i64>(0)
                })
                .unwrap()
                > 0
        };
        gate.until("the first import to be on", on_disk).await;
        person
            .post_as("/v1/import", "application/x-ndjson", "")
            .await
            .refused(409, "conflict");
        assert_eq!(person.get("/v1/runs").await.json()["runs"], json!([]));
        upload.abort();
        drop(send);
        let told = crate::harness::eventually("the first import to be over", || async {
            let answer = person
                .post_as("/v1/import", "application/x-ndjson", &history)
                .await;
            (answer.status == 200).then(|| answer.json())
        })
        .await;
        assert_eq!(
            (&told["booked"], &told["skipped"]),
            (&json!(1_200), &json!(0)),
            "{told}"
        );
        person
            .post_as("/v1/import", "application/json", "{}")
            .await
            .refused(415, "unsupported");
        let reviewer = gate.reviewer("nobody");
        reviewer
            .post_as("/v1/import", "application/x-ndjson", "")
            .await
            .refused(401, "unauthorized");
    });
}

#[test]
fn a_first_policy_takes_its_target_and_its_size_from_a_history() {
    let gate = TestGate::builder().prepare();
    fs::write(gate.home().join("history.jsonl"), sixty_days()).unwrap();
    let flags = [
        "init",
        "--from",
        "history.jsonl",
        "--risk",
        "medium",
        "--upstream",
        "http://127.0.0.1:3000",
        "--policies",
        "first",
    ];
    assert!(gate.cli(&flags).status.success());
    let policy = fs::read_to_string(gate.home().join("first/desk.yaml")).unwrap();
    // 24 of 1,200 failed: twice that may.
    assert!(
        policy.contains("target: 96%\n")
            && policy.contains("expected_runs: 600\n")
            && policy.contains("1,176 of 1,200 runs"),
        "{policy}"
    );
    assert!(gate.cli(&["check", "first"]).status.success());
    fs::write(
        gate.home().join("two.jsonl"),
        line(ago(HOUR), "r", "acceptable", json!({ "workflow": "other" })) + &sixty_days(),
    )
    .unwrap();
    for (history, what) in [
        ("two.jsonl", "several workflows"),
        ("none.jsonl", "no such file"),
        ("first/desk.yaml", "no run of any workflow"),
    ] {
        let output = gate.cli(&[
            "init",
            "--from",
            history,
            "--risk",
            "low",
            "--upstream",
            "http://x",
            "--policies",
            "second",
        ]);
        assert!(
            !output.status.success() && String::from_utf8_lossy(&output.stderr).contains(what),
            "{history}: {output:?}"
        );
    }
}
