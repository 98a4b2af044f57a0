//! The documents keep their word: every command that one shows is run, in order and against a real
//! gate, and every key, flag and endpoint is written about.
//!
//! A document's `console` blocks show commands behind `$ ` and what they print; its `sh` blocks are
//! scripts. The README is a session from the first policy to the clamp; the help topics go on from
//! where the agent of that session has finished its run. In what is printed, `…` stands for
//! anything inside a line, and alone on a line for any lines; blanks between words do not count,
//! and the ids that this run made stand for those that the document shows.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use regex::Regex;
use rstest::rstest;

use crate::harness::gate::BINARY;
use crate::harness::{TestGate, eventually, test};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The last command of the README that happened before a help topic begins.
const TOPICS_BEGIN_AFTER: &str = "/finish";
/// How the README starts the API that the newcomer's agent calls, up to the port.
const SAMPLE_API: &str = "python3 examples/sample_api.py";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// What a document shows: commands and scripts, in order.
#[derive(Debug)]
enum Shown {
    Command {
        line: String,
        printed: Vec<String>,
        code: i32,
    },
    Script(String),
}

/// The blocks of a document that can be run.
fn shown(text: &str) -> Vec<Shown> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else {
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match info.split_whitespace().next() {
            Some("console") => {
                let code = info
                    .split_once("exit=")
                    .map_or(0, |(_, code)| code.parse().unwrap());
                commands(&block, code, &mut found);
            }
            Some("sh") => found.push(Shown::Script(block.join("\n"))),
            _ => {}
        }
    }
    found
}

fn commands(block: &[&str], expected: i32, found: &mut Vec<Shown>) {
    let mut goes_on = false;
    for text in block {
        if let Some(command) = text.strip_prefix("$ ") {
            found.push(Shown::Command {
                line: command.to_owned(),
                printed: Vec::new(),
                code: expected,
            });
            goes_on = command.ends_with('\\');
            continue;
        }
        let Some(Shown::Command { line, printed, .. }) = found.last_mut() else {
            panic!("a console block begins with a command: {text}");
        };
        if goes_on {
            line.push('\n');
            line.push_str(text);
            goes_on = text.ends_with('\\');
        } else {
            printed.push((*text).to_owned());
        }
    }
}

/// A newcomer's machine: a directory, the API of the README, and in time a gate.
struct Newcomer {
    gate: TestGate,
    api: Option<Child>,
    port: u16,
    runs: bool,
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        if let Some(api) = &mut self.api {
            let _ = api.kill();
            let _ = api.wait();
        }
    }
}

impl Newcomer {
    fn new() -> Self {
        let gate = TestGate::builder().prepare();
        std::fs::remove_dir(gate.home().join("policies")).unwrap();
        // Free now, and taken by the API a moment later.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        Newcomer {
            gate,
            api: None,
            port,
            runs: false,
        }
    }

    async fn follow(&mut self, steps: &[Shown]) {
        for step in steps {
            match step {
                Shown::Script(script) => drop(self.bash(script, 0)),
                Shown::Command { line, .. } if line.starts_with(SAMPLE_API) => self.serve().await,
                // The binary is built, and the newcomer is in a directory of their own.
                Shown::Command { line, .. }
                    if ["cargo ", "export ", "mkdir ", "cd "]
                        .iter()
                        .any(|start| line.starts_with(start)) => {}
                Shown::Command { line, printed, .. } if line == "burngate run" => {
                    self.gate.start();
                    self.runs = true;
                    assert_eq!(printed.len(), 2, "the two addresses");
                }
                // A run that ended is in the ledger's tables a moment later.
                Shown::Command {
                    line,
                    printed,
                    code,
                } if line.starts_with("sqlite3") => {
                    eventually(line, || async {
                        is_as_shown(printed, &self.bash(line, *code)).then_some(())
                    })
                    .await;
                }
                Shown::Command {
                    line,
                    printed,
                    code,
                } => {
                    let got = self.bash(line, *code);
                    assert!(
                        is_as_shown(printed, &got),
                        "$ {line}\nshown:\n{}\n\nprinted:\n{got}",
                        printed.join("\n")
                    );
                }
            }
        }
    }

    /// The sample API of the README, on a free port.
    async fn serve(&mut self) {
        let program = Path::new(ROOT).join(SAMPLE_API.trim_start_matches("python3 "));
        let child = Command::new("python3")
            .arg(program)
            .arg(self.port.to_string())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.api = Some(child);
        let address = ("127.0.0.1", self.port);
        eventually("the sample API", || async {
            tokio::net::TcpStream::connect(address).await.ok()
        })
        .await;
    }

    /// Runs `script` as the newcomer would, and gives what it printed.
    fn bash(&self, script: &str, code: i32) -> String {
        let (got, printed) = self.try_bash(script);
        assert_eq!(got, code, "{script}\n{printed}");
        printed
    }

    /// Runs `script`, and gives its exit code and what it printed.
    fn try_bash(&self, script: &str) -> (i32, String) {
        let script = self.here(script);
        let bin = Path::new(BINARY).parent().unwrap().to_str().unwrap();
        let mut command = Command::new("bash");
        command
            .args(["-c", &script])
            .current_dir(self.gate.home())
            .env_clear()
            .env("HOME", self.gate.home())
            .env("PATH", format!("{bin}:/usr/local/bin:/usr/bin:/bin"))
            .env("GIT_COMMIT", "1f0c2a7")
            .stdin(Stdio::null());
        if self.runs {
            command.env("BURNGATE_ADMIN", format!("http://{}", self.gate.admin()));
        }
        let output = command.output().unwrap();
        let (out, err) = (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        (output.status.code().unwrap(), out + &err)
    }

    /// Runs an example from a command's help: on a call that waits where it decides on one, and in
    /// a directory of its own where it writes a first policy.
    fn try_example(&self, line: &str) -> (i32, String) {
        if approval().is_match(line) {
            self.bash(HOLD, 0);
        }
        if line.starts_with("burngate init") {
            let apart = "cd $(mktemp -d -p .) && cp ../2026.jsonl ../shop.openapi.yaml .";
            return self.try_bash(&format!("{apart} && {line}"));
        }
        self.try_bash(line)
    }

    /// The addresses and ids of this machine instead of those that the document shows.
    fn here(&self, script: &str) -> String {
        let mut script = script.replace("127.0.0.1:3000", &format!("127.0.0.1:{}", self.port));
        if self.runs {
            script = script.replace("127.0.0.1:8080", &self.gate.listen().to_string());
            if let Some(found) = approval().find(&script) {
                let id = self.pending();
                script = script.replace(&found.as_str().to_owned(), &id);
            }
            if let Some(found) = grant().find(&script) {
                let output = self.gate.cli(&["approvals", "grants"]);
                let given = String::from_utf8(output.stdout).unwrap();
                let id = grant().find(&given).expect("a grant").as_str();
                script = script.replace(&found.as_str().to_owned(), id);
            }
        }
        script
    }

    /// The call that waits, or else the one that was decided last.
    fn pending(&self) -> String {
        ["pending", "all"]
            .iter()
            .find_map(|state| {
                let output = self.gate.cli(&["approvals", "list", "--state", state]);
                let text = String::from_utf8(output.stdout).unwrap();
                approval().find(&text).map(|id| id.as_str().to_owned())
            })
            .expect("a call is held")
    }
}

fn approval() -> Regex {
    Regex::new("apr_[0-9a-f]{32}").unwrap()
}

fn grant() -> Regex {
    Regex::new("grt_[0-9a-f]{32}").unwrap()
}

/// Is what was printed what the document shows?
fn is_as_shown(shown: &[String], got: &str) -> bool {
    if shown.is_empty() {
        return true;
    }
    let mut pattern = String::from("(?s)^");
    for line in shown {
        if line.trim() == "…" {
            pattern.push_str("(?:[^\n]*\n)*");
        } else {
            let line = normal(line);
            let parts: Vec<String> = line.split('…').map(regex::escape).collect();
            writeln!(pattern, "{}", parts.join("[^\n]*")).unwrap();
        }
    }
    pattern.push('$');
    let got: String = got.lines().map(|line| normal(line) + "\n").collect();
    Regex::new(&pattern).unwrap().is_match(&got)
}

/// A line with one blank between words, and every approval the same.
fn normal(line: &str) -> String {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    approval().replace_all(&line, "apr_ID").into_owned()
}

/// The README up to where help topics begin.
fn session() -> Vec<Shown> {
    let mut steps = shown(&read("README.md"));
    let end = steps.iter().position(
        |step| matches!(step, Shown::Command { line, .. } if line.contains(TOPICS_BEGIN_AFTER)),
    );
    steps.truncate(end.expect("the README finishes a run") + 1);
    steps
}

#[test]
fn the_readme_can_be_followed_line_by_line() {
    test(async {
        let steps = shown(&read("README.md"));
        assert!(steps.len() > 12, "{steps:?}");
        Newcomer::new().follow(&steps).await;
    });
}

#[rstest]
#[case::concepts("src/cli/help/concepts.md")]
#[case::runs("src/cli/help/runs.md")]
#[case::holds("src/cli/help/holds.md")]
#[case::levels("src/cli/help/levels.md")]
#[case::audit("src/cli/help/audit.md")]
#[case::sql("src/cli/help/sql.md")]
fn every_command_of_a_topic_does_what_the_topic_shows(#[case] path: &str) {
    test(async {
        let mut newcomer = Newcomer::new();
        newcomer.follow(&session()).await;
        newcomer.follow(&shown(&read(path))).await;
    });
}

#[test]
fn no_document_with_commands_is_left_out() {
    let source = read("tests/it/documents.rs");
    for path in documents() {
        let runs = shown(&read(&path));
        assert!(
            runs.is_empty() || source.contains(&format!("\"{path}\"")),
            "{path} shows {} commands, and no test runs them",
            runs.len()
        );
    }
}

/// Every document of the reference.
fn documents() -> Vec<String> {
    let mut paths: Vec<String> = [
        "README.md",
        "policies/README.md",
        "examples/README.md",
        "tests/README.md",
    ]
    .map(str::to_owned)
    .into();
    for entry in std::fs::read_dir(Path::new(ROOT).join("src/cli/help")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        paths.push(format!("src/cli/help/{name}"));
    }
    paths.sort();
    paths
}

/// The words of the reference, keys and flags whole.
fn written() -> BTreeSet<String> {
    let word = Regex::new(r"[A-Za-z0-9_/{}.-]+").unwrap();
    documents()
        .iter()
        .filter(|path| *path != "README.md")
        .flat_map(|path| {
            let text = read(path);
            word.find_iter(&text)
                .map(|found| found.as_str().trim_matches('.').to_owned())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn burngate(arguments: &[&str]) -> String {
    let output = Command::new(BINARY).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_key_of_policies_and_configuration_is_written_about() {
    let written = written();
    let mut missing = BTreeSet::new();
    for which in ["policy", "config"] {
        let schema = serde_json::from_str(&burngate(&["schema", which])).unwrap();
        let mut keys = BTreeSet::new();
        properties(&schema, &mut keys);
        assert!(keys.len() > 15, "{which}: {keys:?}");
        missing.extend(keys.into_iter().filter(|key| !written.contains(key)));
    }
    assert!(missing.is_empty(), "in no document: {missing:?}");
}

fn properties(schema: &serde_json::Value, keys: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(members) => {
            if let Some(serde_json::Value::Object(properties)) = members.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            members.values().for_each(|member| properties(member, keys));
        }
        serde_json::Value::Array(elements) => {
            elements
                .iter()
                .for_each(|element| properties(element, keys));
        }
        _ => {}
    }
}

/// Every command, as the words that reach it, with its help.
fn pages() -> Vec<(Vec<String>, String)> {
    let command = Regex::new(r"(?m)^  ([a-z]+)  ").unwrap();
    let (mut found, mut paths) = (Vec::new(), vec![Vec::new()]);
    while let Some(path) = paths.pop() {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let page = burngate(&arguments);
        let listed = page.split_once("Commands:\n").map_or("", |(_, rest)| {
            rest.split_once("\n\n").map_or(rest, |(list, _)| list)
        });
        for name in command.captures_iter(listed) {
            let mut longer = path.clone();
            longer.push(name[1].to_owned());
            paths.push(longer);
        }
        found.push((path, page));
    }
    found
}

#[test]
fn every_command_and_flag_is_written_about() {
    let written = written();
    let mut missing = BTreeSet::new();
    let flag = Regex::new(r"(?m)^ +(?:-\w, )?(--[a-z-]+)").unwrap();
    let mut seen = 0;
    for (path, page) in pages() {
        for found in flag.captures_iter(&page) {
            seen += 1;
            let name = &found[1];
            if !["--help", "--version"].contains(&name) && !written.contains(name) {
                missing.insert(format!("{} {name}", path.join(" ")));
            }
        }
        missing.extend(path.into_iter().filter(|name| !written.contains(name)));
    }
    assert!(seen > 100, "{seen} flags");
    assert!(missing.is_empty(), "in no document: {missing:?}");
}

/// The examples in the help of the command at `path`, each as a line of a shell.
fn examples(path: &str, page: &str) -> Vec<String> {
    let (_, block) = page.split_once("Examples:\n").expect(path);
    let block = block.split("\n\n").next().unwrap();
    let lines = block.replace("\\\n", "");
    lines
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.starts_with('#'))
        .collect()
}

/// Commands that a test of their own runs, because they do not end by themselves.
const RUN_ELSEWHERE: [&str; 2] = ["run", "demo"];

/// A call that is held, of an order that no other example touches.
const HOLD: &str = "curl -s http://127.0.0.1:8080/tools/refunds -H 'Content-Type: application/json' -d '{\"order\":\"A-'$RANDOM'\",\"amount\":90}'";

/// The files that examples name.
const FILES: &str = r#"cp -r policies next
mkdir -p .local/share/bash-completion/completions
printf '#!/bin/sh\n' > deploy-prompt
chmod +x deploy-prompt
echo '{"at":"2026-11-02T09:30:00Z","workflow":"support-triage","run":"T-1","outcome":"acceptable"}' > 2026.jsonl
cat > shop.openapi.yaml <<'END'
openapi: 3.0.3
info: { title: Shop, version: "1" }
servers: [{ url: "http://127.0.0.1:3000" }]
paths:
  /orders:
    get: { operationId: list_orders, responses: {} }
END"#;

/// What an example says besides success where it follows the README: nothing burned, nothing was
/// earned, and no run was drawn for a check. How the line starts, the exit code, and what it prints.
const ANSWERS: [(&str, i32, &str); 7] = [
    ("burngate checks accept", 1, "was not drawn for a check"),
    ("burngate enforce", 1, "is not in shadow"),
    (
        "burngate explain --workflow support-triage --tool tools/refund",
        3,
        "verdict: hold",
    ),
    (
        "burngate promote support-triage --reason",
        1,
        "nothing is proposed",
    ),
    ("burngate promote support-triage --step", 1, "has no step"),
    ("burngate recover", 1, "no burn to recover from"),
    ("burngate waive", 1, "nothing waives that"),
];

#[test]
fn every_example_of_a_command_does_what_it_says() {
    test(async {
        let mut newcomer = Newcomer::new();
        newcomer.follow(&session()).await;
        newcomer.bash(FILES, 0);
        let mut wrong = Vec::new();
        let mut all = pages();
        all.sort_by_key(|(path, _)| path.clone());
        for (path, page) in all {
            let path = path.join(" ");
            if path.is_empty() || RUN_ELSEWHERE.contains(&path.as_str()) {
                continue;
            }
            for line in examples(&path, &page) {
                let answer = ANSWERS.iter().find(|(start, ..)| line.starts_with(start));
                let (_, code, text) = answer.copied().unwrap_or(("", 0, ""));
                let (got, printed) = newcomer.try_example(&line);
                if got != code || !printed.contains(text) {
                    wrong.push(format!("$ {line}\n{printed}exit code {got}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    });
}

#[test]
fn every_endpoint_is_written_about() {
    let api = read("src/cli/help/api.md");
    let description: serde_json::Value =
        serde_json::from_str(&burngate(&["schema", "openapi"])).unwrap();
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() > 30);
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys() {
            let whole = format!("`{} {path}`", method.to_uppercase());
            let last = path.rsplit_once('/').unwrap().1;
            let short = format!("`…/{last}`");
            assert!(
                api.contains(&whole) || api.contains(&short),
                "{whole} is not in api.md"
            );
        }
    }
}

#[test]
fn the_guarantees_have_one_wording() {
    let item = Regex::new(r"^- \*\*(G\d+)\*\* (.*)$").unwrap();
    let guarantees = |text: &str, lead: &str| -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut is_inside = false;
        for line in text.lines() {
            let Some(line) = line.strip_prefix(lead) else {
                continue;
            };
            let line = line
                .strip_prefix(' ')
                .filter(|_| !lead.is_empty())
                .unwrap_or(line);
            if let Some(parts) = item.captures(line) {
                found.push((parts[1].to_owned(), parts[2].to_owned()));
                is_inside = true;
            } else if let (true, Some(rest)) = (is_inside, line.strip_prefix("  ")) {
                let (_, text) = found.last_mut().unwrap();
                text.push(' ');
                text.push_str(rest.trim());
            } else {
                is_inside = false;
            }
        }
        found
    };
    let readme = guarantees(&read("README.md"), "");
    let essay = guarantees(&read("src/lib.rs"), "//!");
    assert_eq!(readme.len(), 12, "{readme:?}");
    assert_eq!(readme, essay);
}
