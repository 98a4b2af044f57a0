//! Every command against a gate: what it prints on which stream, and what it ends with.

use std::process::Output;

use regex::Regex;
use serde_json::json;

use crate::harness::{Reply, ScriptedUpstream, TestGate, policies, test};

/// What two runs of a test print differently.
const VOLATILE: [(&str, &str); 13] = [
    (r"\x1b\[[0-9;]*m", ""),
    (r"call_[0-9a-f]{32}", "call_ID"),
    (r"apr_[0-9a-f]{32}", "apr_ID"),
    (r"bgop_[0-9a-f]+", "bgop_TOKEN"),
    (r"\b[0-9a-f]{64}\b", "DIGEST"),
    (r"sha256:[0-9a-f]+", "sha256:SUBJECT"),
    (r"policy version [0-9a-f]{12}", "policy version VERSION"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\b(\d+(h|m|s|min) ?)+ ago|just now", "AGO"),
    (r"\(in [^)]*\)|\bin (\d+(d|h|m|s|min) ?)+", "IN"),
    // Columns are as wide as what stands in them.
    (r"([^ |])  +", "$1  "),
    (r" +\n", "\n"),
];

fn told(arguments: &[&str], output: &Output) -> String {
    let mut page = format!("$ burngate {}\n", arguments.join(" "));
    for (name, bytes) in [("out", &output.stdout), ("err", &output.stderr)] {
        for line in String::from_utf8(bytes.clone()).unwrap().lines() {
            page = page + name + "| " + line + "\n";
        }
    }
    page = format!("{page}exit {}\n\n", output.status.code().unwrap());
    VOLATILE.iter().fold(page, |page, (volatile, word)| {
        Regex::new(volatile)
            .unwrap()
            .replace_all(&page, *word)
            .into_owned()
    })
}

/// The transcript of commands, one after the other.
fn transcript(gate: &TestGate, commands: &[&[&str]]) -> String {
    commands
        .iter()
        .map(|arguments| told(arguments, &gate.cli(arguments)))
        .collect()
}

async fn used() -> (ScriptedUpstream, TestGate, String) {
    let upstream = ScriptedUpstream::start().await;
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop(&upstream.url()))
        .policy("desk.yaml", policies::desk(""))
        .start();
    let agent = gate.agent();
    agent
        .clone()
        .run("ticket-1")
        .post("/shop/change", &json!({ "order": "A-1" }))
        .await
        .passed();
    agent
        .post(
            "/.burngate/runs/ticket-1/finish",
            &json!({ "status": "completed" }),
        )
        .await
        .passed();
    upstream.next(Reply::reset());
    agent
        .clone()
        .run("ticket-2")
        .post("/shop/change", &json!({ "order": "A-2" }))
        .await
        .refused(502, "ambiguous");
    agent
        .post(
            "/.burngate/runs/ticket-2/finish",
            &json!({ "status": "completed" }),
        )
        .await
        .passed();
    let held = agent
        .run("ticket-3")
        .post(
            "/shop/pay",
            &json!({ "order": "A-3", "note": "\u{202e}\u{1b}[31m" }),
        )
        .await
        .refused(403, "held");
    gate.operator()
        .stands("desk", "both runs", |status| status["budget"]["runs"] == 2)
        .await;
    let id = held["approval"].as_str().unwrap().to_owned();
    (upstream, gate, id)
}

#[test]
fn commands_that_read_show_what_the_gate_says() {
    test(async {
        let (_upstream, gate, id) = used().await;
        insta::assert_snapshot!(transcript(
            &gate,
            &[
                &["status"],
                &["status", "desk"],
                &["status", "nobody"],
                &["runs"],
                &["runs", "-w", "desk", "--outcome", "unacceptable"],
                &["runs", "--csv"],
                &["approvals", "list"],
                &["approvals", "show", &id],
                &["approvals", "show", "apr_none"],
            ]
        ));
        for arguments in [
            &["status", "--json"][..],
            &["status", "desk", "--json"],
            &["runs", "--json"],
            &["approvals", "list", "--json"],
        ] {
            let output = gate.cli(arguments);
            assert!(output.status.success() && output.stderr.is_empty());
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
        }
    });
}

#[test]
fn commands_that_act_change_the_gate() {
    test(async {
        let (_upstream, gate, id) = used().await;
        insta::assert_snapshot!(transcript(
            &gate,
            &[
                &["approvals", "approve", &id, "--reason", "a known customer"],
                &["approvals", "deny", &id, "--wrong", "--reason", "too late"],
                &[
                    "clamp",
                    "desk",
                    "--to",
                    "read_only",
                    "--reason",
                    "odd refunds",
                    "--for",
                    "1h"
                ],
                &["clamp", "desk", "--to", "low", "--reason", "odd refunds"],
                &[
                    "clamp",
                    "--all",
                    "--to",
                    "halted",
                    "--reason",
                    "odd refunds"
                ],
                &["release", "--all", "--reason", "looked at it"],
                &["release", "desk", "--reason", "looked at it"],
                &["release", "desk", "--reason", "looked at it"],
                &[
                    "report",
                    "--run",
                    "ticket-1",
                    "--mode",
                    "wrong_action",
                    "--ref",
                    "T-1"
                ],
                &[
                    "report",
                    "--run",
                    "ticket-1",
                    "--mode",
                    "wrong_action",
                    "--ref",
                    "T-1"
                ],
                &[
                    "report",
                    "--subject",
                    "A-1",
                    "--mode",
                    "wrong_action",
                    "--ref",
                    "T-1",
                    "--retract"
                ],
                &["report", "--run", "ticket-1", "--mode", "no_such_mode"],
                &["exclude", "--run", "ticket-2", "--reason", "our own test"],
                &["recover", "desk", "--cause", "nothing burned"],
            ]
        ));
    });
}

#[test]
fn commands_say_that_there_is_no_gate_or_no_token() {
    test(async {
        let (_upstream, mut gate, _) = used().await;
        let wrong = gate
            .command()
            .args(["status"])
            .env("BURNGATE_TOKEN", "made-up")
            .output()
            .unwrap();
        let agents_port = gate
            .command()
            .args(["status", "--admin", &format!("http://{}", gate.listen())])
            .output()
            .unwrap();
        let mut page =
            told(&["status"], &wrong) + &told(&["status", "--admin", "AGENTS"], &agents_port);
        // While it is up: a command looks for a token once there is somebody to show it to.
        page += &transcript(&gate, &[&["status", "--data", "elsewhere"]]);
        gate.kill_nine();
        page += &told(
            &["status"],
            &gate
                .command()
                .args(["status", "--admin", "http://127.0.0.1:1"])
                .output()
                .unwrap(),
        );
        page += &transcript(
            &gate,
            &[
                &["status", "--admin", "nowhere at all"],
                &["stauts"],
                &["clamp", "desk"],
                &["clamp", "--to", "halted", "--reason", "r"],
            ],
        );
        insta::assert_snapshot!(page);
    });
}

#[test]
fn checking_and_explaining_need_no_gate() {
    let gate = TestGate::builder()
        .policy("shop.yaml", policies::shop("http://127.0.0.1:3000"))
        .policy("desk.yaml", policies::desk(""))
        .prepare();
    let mut page = transcript(
        &gate,
        &[
            &["check"],
            &[
                "explain",
                "--workflow",
                "desk",
                "--tool",
                "shop/change",
                "--args",
                "{\"order\":\"1\"}",
            ],
            &[
                "explain",
                "--workflow",
                "desk",
                "--tool",
                "shop/pay",
                "--args",
                "{\"order\":\"1\"}",
            ],
            &[
                "explain",
                "--workflow",
                "desk",
                "--tool",
                "shop/change",
                "--args",
                "{\"order\":\"1\"}",
                "--at",
                "read_only",
            ],
            &["explain", "--workflow", "desk", "--tool", "shop/refund"],
            &["explain", "--workflow", "dask", "--tool", "shop/pay"],
            &[
                "init",
                "--workflow",
                "payouts",
                "--risk",
                "high",
                "--upstream",
                "http://127.0.0.1:3001",
            ],
            &[
                "init",
                "--workflow",
                "payouts",
                "--risk",
                "high",
                "--upstream",
                "http://127.0.0.1:3001",
            ],
        ],
    );
    gate.write_policy(
        "broken.yaml",
        "workflow: broken\nrisk: lo\ntools: [shop/lok]\nobjectiv: {}\n",
    );
    gate.write_policy("torn.yaml", "api: [");
    page += &transcript(
        &gate,
        &[
            &["check"],
            &["explain", "--workflow", "desk", "--tool", "shop/pay"],
        ],
    );
    insta::assert_snapshot!(page);
    assert_eq!(gate.cli(&["check", "--json"]).status.code(), Some(1));
}

#[test]
fn schemas_are_json_and_completions_are_there() {
    let gate = TestGate::builder().prepare();
    for what in ["policy", "config", "openapi"] {
        let output = gate.cli(&["schema", what]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    }
    for arguments in [
        &["completion", "bash"][..],
        &["--help"],
        &["--version"],
        &["run", "--help"],
    ] {
        let output = gate.cli(arguments);
        assert!(
            output.status.success() && !output.stdout.is_empty() && output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
    assert_eq!(gate.cli(&[]).status.code(), Some(2));
}
