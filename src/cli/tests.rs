//! The command line itself: every command is well formed and says what it does.

use clap::CommandFactory as _;

use super::client::scripted::Scripted;
use super::*;

const PROBLEM: &str = "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n{\"type\":\"urn:burngate:problem:not-found\",\"title\":\"t\",\"status\":404,\"detail\":\"no workflow is called `x`\"}";

/// What a command asked of a gate that answers so: the request lines with their bodies.
fn asked(command: &[&str], gate: Scripted) -> (Result<Exit, Failure>, String) {
    let data = gate.data.path().to_str().unwrap().to_owned();
    let flags = ["--admin", &gate.admin, "--data", &data];
    let cli = Cli::try_parse_from(["burngate"].iter().chain(command).chain(&flags)).unwrap();
    let ended = cli.command.run();
    let asked = gate.asked().into_iter().map(|request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        format!(
            "{} {body}",
            head.lines().next().unwrap().trim_end_matches(" HTTP/1.1")
        )
        .trim_end()
        .to_owned()
            + "\n"
    });
    let asked = asked.collect();
    (ended, asked)
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

/// `command` and everything below it, each with the names that lead to it.
fn commands(command: &clap::Command, path: &[&str]) -> Vec<(String, clap::Command)> {
    let mut found = vec![(path.join(" "), command.clone())];
    for sub in command.get_subcommands() {
        found.extend(commands(sub, &[path, &[sub.get_name()]].concat()));
    }
    found
}

/// The lines under `Examples:` in a command's help: comments, and commands as one types them.
fn examples(command: &clap::Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    let (_, block) = help.split_once("Examples:\n").unwrap_or_default();
    let block = block.split("\n\n").next().unwrap_or_default();
    let lines = block.replace("\\\n", "");
    lines.lines().map(|line| line.trim().to_owned()).collect()
}

/// The words of the first command of a shell's line, without what it does with the output.
fn typed(line: &str) -> Vec<String> {
    let word = regex::Regex::new(r#"'[^']*'|"[^"]*"|[^\s'"]+"#).unwrap();
    word.find_iter(line)
        .map(|word| word.as_str())
        .take_while(|word| !["&&", ">", "|"].contains(word))
        .map(|word| word.trim_matches(['\'', '"']).to_owned())
        .collect()
}

#[test]
fn every_command_says_what_it_does_and_shows_one_to_three_examples() {
    for (path, command) in commands(&Cli::command(), &[]) {
        assert!(command.get_about().is_some(), "{path}");
        let lines = examples(&command);
        let shown = lines.iter().filter(|line| line.starts_with("burngate "));
        let most = if path.is_empty() { 6 } else { 3 };
        let count = shown.count();
        assert!((1..=most).contains(&count), "{path}: {count} examples");
        assert!(lines[0].starts_with("# "), "{path}: {}", lines[0]);
        for line in lines {
            let is_known = line.starts_with("# ") || line.starts_with("burngate ");
            assert!(is_known, "{path}: {line}");
        }
    }
}

#[test]
fn every_example_is_a_line_of_its_command_that_fits_a_narrow_terminal() {
    for (path, command) in commands(&Cli::command(), &[]) {
        for line in examples(&command) {
            if line.starts_with("# ") {
                continue;
            }
            let parsed = Cli::command().try_get_matches_from(typed(&line));
            let mut parsed = &parsed.unwrap_or_else(|error| panic!("{line}\n{error}"));
            let mut reached = Vec::new();
            while let Some((name, below)) = parsed.subcommand() {
                reached.push(name);
                parsed = below;
            }
            assert!(reached.join(" ").starts_with(&path), "{line} is not {path}");
        }
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        for line in help.lines().filter(|line| line.starts_with("  ")) {
            assert!(line.chars().count() <= 80, "{path}: {line}");
        }
    }
}

#[test]
fn a_command_asks_the_gate_what_the_contract_says() {
    let commands: [&[&str]; 16] = [
        &["status", "--json"],
        &["status", "support triage", "--json"],
        &["status", "w", "--since", "7d", "--until", "1d", "--json"],
        &[
            "runs",
            "-w",
            "w",
            "--since",
            "1d",
            "--tool",
            "a/b",
            "--outcome",
            "unacceptable",
            "--mode",
            "timeout",
            "--ambiguous",
            "--json",
        ],
        &[
            "report",
            "--run",
            "r#2",
            "--mode",
            "wrong_action",
            "--note",
            "n",
            "--ref",
            "T-1",
            "--json",
        ],
        &[
            "report",
            "--subject",
            "A-1",
            "--tool",
            "a/b",
            "--mode",
            "wrong_action",
            "--retract",
            "--json",
        ],
        &["exclude", "--run", "r#2", "--reason", "load test", "--json"],
        &["approvals", "list", "--json"],
        &["approvals", "list", "--state", "all", "-w", "w", "--json"],
        &["approvals", "show", "apr_1", "--json"],
        &["approvals", "approve", "apr_1", "--json"],
        &[
            "approvals",
            "deny",
            "apr_1",
            "--wrong",
            "--reason",
            "no",
            "--json",
        ],
        &[
            "clamp", "w", "--to", "halted", "--reason", "r", "--for", "90m", "--json",
        ],
        &[
            "clamp", "--all", "--to", "halted", "--reason", "r", "--json",
        ],
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
    GET /v1/workflows/w/numbers?since=7d&until=1d
    GET /v1/runs?workflow=w&since=1d&tool=a%2Fb&outcome=unacceptable&ambiguous=true&mode=timeout&limit=100
    POST /v1/reports {"run":"r#2","mode":"wrong_action","note":"n","ref":"T-1"}
    POST /v1/reports {"subject":"A-1","tool":"a/b","mode":"wrong_action","retract":true}
    POST /v1/runs/r%232/exclude {"reason":"load test"}
    GET /v1/approvals?state=pending
    GET /v1/approvals?workflow=w
    GET /v1/approvals/apr_1?context=true
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
    let counted =
        r#"{"batch":null,"applied":false,"matched":2,"workflows":{"w":1,"v":1},"repeated":0}"#;
    let exclude = [
        "exclude", "-w", "w", "--since", "1h", "--mode", "timeout", "--reason", "outage", "--json",
    ];
    let (ended, unasked) = asked(&exclude, Scripted::json(&[counted]));
    assert_eq!(
        ended.unwrap_err().message,
        "2 runs match (v 1, w 1); nothing was changed"
    );
    assert_eq!(
        unasked,
        "POST /v1/exclusions {\"filter\":{\"workflow\":\"w\",\"since\":\"1h\",\"mode\":\"timeout\"},\"reason\":\"outage\",\"dry_run\":true}\n"
    );
    let done = r#"{"batch":"INC-4","applied":true,"matched":2,"workflows":{"w":2},"repeated":0}"#;
    let (ended, confirmed) = asked(
        &[&exclude[..], &["--ref", "INC-4", "--yes"]].concat(),
        Scripted::json(&[done]),
    );
    assert_eq!(ended.unwrap(), Exit::Did);
    assert!(
        confirmed.ends_with("\"ref\":\"INC-4\",\"confirm\":true}\n"),
        "{confirmed}"
    );
    let (ended, report) = asked(
        &[
            "report",
            "--mode",
            "timeout",
            "--subject",
            "A-1",
            "--since",
            "1h",
            "--yes",
        ],
        Scripted::json(&[done]),
    );
    assert_eq!(ended.unwrap(), Exit::Did);
    assert_eq!(
        report,
        "POST /v1/reports {\"filter\":{\"since\":\"1h\",\"subject\":\"A-1\"},\"mode\":\"timeout\",\"confirm\":true}\n"
    );
    for back in [
        &["report", "--retract", "--batch", "INC-4"][..],
        &["report", "--retract", "--ref", "INC-4"],
    ] {
        let (ended, asked) = asked(back, Scripted::json(&[done]));
        assert_eq!(ended.unwrap(), Exit::Did);
        assert_eq!(
            asked,
            "POST /v1/reports {\"ref\":\"INC-4\",\"retract\":true}\n"
        );
    }
    let (_, back) = asked(
        &["exclude", "--retract", "--batch", "INC-4", "--reason", "r"],
        Scripted::json(&[done]),
    );
    assert_eq!(
        back,
        "POST /v1/exclusions {\"reason\":\"r\",\"ref\":\"INC-4\",\"retract\":true}\n"
    );
    let (ended, _) = asked(&["report", "--mode", "timeout"], Scripted::json(&[]));
    assert_eq!(ended.unwrap_err().exit, Exit::Usage);
}

#[test]
fn who_names_what_the_gate_does_not_have_is_told_what_it_has() {
    for command in [
        &["status", "x"][..],
        &["release", "x", "--reason", "r"],
        &["approvals", "show", "x"],
    ] {
        let failure = asked(command, Scripted::raw(&[PROBLEM])).0.unwrap_err();
        assert_eq!(
            (failure.message.as_str(), failure.exit),
            ("no workflow is called `x`", Exit::Failed)
        );
        assert!(failure.hint.unwrap().contains("list"), "{command:?}");
    }
}

#[test]
fn a_command_line_that_says_two_things_at_once_is_a_usage_error() {
    let wrong: [&[&str]; 8] = [
        &[],
        &["learnt"],
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
