//! The command line itself: every command is well formed and says what it does.

use clap::CommandFactory as _;

use super::{client::scripted::Scripted, *};

const PROBLEM: &str = "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n{\"type\":\"urn:burngate:problem:not-found\",\"title\":\"t\",\"status\":404,\"detail\":\"no workflow is called `x`\"}";

/// What a command asked of a gate that answers so: the request lines with their bodies.
fn asked(command: &[&str], gate: Scripted) -> (Result<Exit, Failure>, String) {
    let data = gate.data.path().to_str().unwrap().to_owned();
    let flags = ["--admin", &gate.admin, "--data", &data];
    let cli = Cli::try_parse_from(["burngate"].iter().chain(command).chain(&flags)).unwrap();
    let ended = cli.command.run();
    let asked = gate.asked().into_iter().map(|request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        format!("{} {body}", head.lines().next().unwrap().trim_end_matches(" HTTP/1.1")).trim_end().to_owned() + "\n"
    });
    let asked = asked.collect();
    (ended, asked)
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_says_what_it_does() {
    for command in Cli::command().get_subcommands() {
        assert!(command.get_about().is_some(), "{}", command.get_name());
    }
}

#[test]
fn a_command_asks_the_gate_what_the_contract_says() {
    let commands: [&[&str]; 15] = [
        &["status", "--json"],
        &["status", "support triage", "--json"],
        &["runs", "-w", "w", "--since", "1d", "--tool", "a/b", "--outcome", "unacceptable", "--mode", "timeout", "--ambiguous", "--json"],
        &["report", "--run", "r#2", "--mode", "wrong_action", "--note", "n", "--ref", "T-1", "--json"],
        &["report", "--subject", "A-1", "--tool", "a/b", "--mode", "wrong_action", "--retract", "--json"],
        &["exclude", "--run", "r#2", "--reason", "load test", "--json"],
        &["approvals", "list", "--json"],
        &["approvals", "list", "--state", "all", "-w", "w", "--json"],
        &["approvals", "show", "apr_1", "--json"],
        &["approvals", "approve", "apr_1", "--json"],
        &["approvals", "deny", "apr_1", "--wrong", "--reason", "no", "--json"],
        &["clamp", "w", "--to", "halted", "--reason", "r", "--for", "90m", "--json"],
        &["clamp", "--all", "--to", "halted", "--reason", "r", "--json"],
        &["release", "--all", "--reason", "r", "--json"],
        &["recover", "w", "--cause", "c", "--to", "standard", "--json"],
    ];
    let mut all = String::new();
    for command in commands {
        let (ended, asked) = asked(command, Scripted::json(&["{}"]));
        assert_eq!(ended.unwrap(), Exit::Did, "{command:?}");
        all += &asked;
    }
    insta::assert_snapshot!(all, @r#"
    GET /v1/workflows
    GET /v1/workflows/support%20triage
    GET /v1/runs?workflow=w&since=1d&tool=a%2Fb&outcome=unacceptable&ambiguous=true&mode=timeout&limit=100
    POST /v1/reports {"run":"r#2","mode":"wrong_action","note":"n","ref":"T-1"}
    POST /v1/reports {"subject":"A-1","tool":"a/b","mode":"wrong_action","retract":true}
    POST /v1/runs/r%232/exclude {"reason":"load test"}
    GET /v1/approvals?state=pending
    GET /v1/approvals?workflow=w
    GET /v1/approvals/apr_1
    POST /v1/approvals/apr_1/approve {}
    POST /v1/approvals/apr_1/deny {"reason":"no","verdict":"wrong"}
    POST /v1/workflows/w/clamp {"to":"halted","reason":"r","for":"1h30m"}
    POST /v1/clamp {"to":"halted","reason":"r"}
    POST /v1/release {"reason":"r"}
    POST /v1/workflows/w/recover {"cause":"c","to":"standard","for":"7d"}
    "#);
}

#[test]
fn many_runs_are_changed_only_when_somebody_said_yes() {
    let runs = concat!(
        r#"{"runs":[{"run":"r","workflow":"w","agent":"a","started":"2026-11-23T17:00:00Z","ended":"2026-11-23T17:00:00Z","booked_at":"2026-11-23T17:00:00Z","#,
        r#""outcome":"acceptable","counted":true,"high":false,"modes":[],"calls":1,"ambiguous":false,"subjects":[]}]}"#
    );
    let exclude = ["exclude", "-w", "w", "--since", "1h", "--reason", "outage", "--json"];
    let (ended, unasked) = asked(&exclude, Scripted::json(&[runs]));
    assert_eq!(ended.unwrap_err().message, "1 run matches; nothing was changed");
    assert_eq!(unasked, "GET /v1/runs?workflow=w&since=1h&limit=1000\n");
    let (ended, both) = asked(&[&exclude[..], &["--yes"]].concat(), Scripted::json(&[runs, "{}"]));
    assert_eq!(ended.unwrap(), Exit::Did);
    assert!(both.ends_with("POST /v1/runs/r/exclude {\"workflow\":\"w\",\"agent\":\"a\",\"reason\":\"outage\"}\n"), "{both}");
    let (ended, _) = asked(&["report", "--mode", "timeout"], Scripted::json(&[]));
    assert_eq!(ended.unwrap_err().exit, Exit::Usage);
}

#[test]
fn who_names_what_the_gate_does_not_have_is_told_what_it_has() {
    for command in [&["status", "x"][..], &["release", "x", "--reason", "r"], &["approvals", "show", "x"]] {
        let failure = asked(command, Scripted::raw(&[PROBLEM])).0.unwrap_err();
        assert_eq!((failure.message.as_str(), failure.exit), ("no workflow is called `x`", Exit::Failed));
        assert!(failure.hint.unwrap().contains("list"), "{command:?}");
    }
}

#[test]
fn a_command_line_that_says_two_things_at_once_is_a_usage_error() {
    let wrong: [&[&str]; 8] = [
        &[],
        &["learn"],
        &["clamp", "w", "--all", "--to", "halted", "--reason", "r"],
        &["clamp", "--to", "halted", "--reason", "r"],
        &["approvals", "deny", "a", "--wrong", "--not-now"],
        &["report", "--run", "r", "--call", "c", "--mode", "m"],
        &["runs", "--csv", "--json"],
        &["release", "w"],
    ];
    for flags in wrong {
        let page = Cli::try_parse_from(["burngate"].iter().chain(flags)).unwrap_err();
        assert!(page.use_stderr() && page.exit_code() == 2, "{flags:?}");
    }
}
