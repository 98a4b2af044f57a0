//! The process's own configuration: its defaults, and what is said of mistakes in it.

use super::*;

pub(super) fn process_of(text: &str) -> Result<Process, String> {
    process::lower(Some(&SourceFile::new("/etc/burngate/burngate.yaml", text)))
        .map_err(|found| found.to_string())
}

#[test]
fn the_process_has_the_contract_s_defaults() {
    assert_eq!(
        process_of("").unwrap(),
        Process {
            warnings: process_of("").unwrap().warnings,
            ..Process::default()
        }
    );
    let digest = "ab".repeat(32);
    let process = process_of(&format!(
        "listen: [127.0.0.1:0, 'unix:/run/burngate.sock', ':8080']\npolicies: policies/\nreviewers: [ {{ name: dana, role: reviewer, token_sha256: \"{digest}\" }}, {{ name: kim, role: viewer, token_sha256: {} }} ]\nbounds: {{ body: 2MiB }}\nagents: [ {{ agent: a, workflows: [w], token_sha256: {} }} ]\n",
        "12".repeat(32),
        "34".repeat(32)
    ))
    .unwrap();
    assert_eq!(
        process
            .listen
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["127.0.0.1:0", "unix:/run/burngate.sock", "0.0.0.0:8080"]
    );
    assert_eq!(
        process.policies,
        std::path::Path::new("/etc/burngate/policies/")
    );
    assert_eq!(
        (
            process.bounds.body,
            process.bounds.holds,
            process.approvers()
        ),
        (2 << 20, 1000, 2)
    );
}

#[test]
fn the_process_s_mistakes() {
    let digest = "ab".repeat(32);
    insta::assert_snapshot!(process_of(&format!("listen: example.com:80\nadmin: 1\nemergency: stop\nworkers: 0\nbounds: {{ head: 1B, body: 1GiB }}\nagents: [ {{ agent: a, workflows: [w], token_sha256: {digest} }}, {{ agent: b }} ]\nreviewers: [ {{ name: dana, role: reviewr, token_sha256: {digest} }}, {{ name: kim, role: reviewer, token_sha256: secret }} ]\n")).unwrap_err(), @r#"
    /etc/burngate/burngate.yaml:1:9: `listen`: expected an address such as 127.0.0.1:8080, found `example.com:80`
    /etc/burngate/burngate.yaml:2:8: `admin`: expected an address such as 127.0.0.1:8080, found `1`
    /etc/burngate/burngate.yaml:3:12: `emergency`: unknown built-in level `stop`
    /etc/burngate/burngate.yaml:4:10: `workers`: expected a number from 1 to 1024, found `0`
    /etc/burngate/burngate.yaml:5:9: `bounds`: `body` (1GiB) is larger than `memory` (512MiB), the limit of all bodies together
    /etc/burngate/burngate.yaml:5:17: `head`: expected a size from 1KiB to 64GiB, found `1B`
    /etc/burngate/burngate.yaml:6:130: agent `b` has no credential
    /etc/burngate/burngate.yaml:6:130: agent `b` lacks `workflows`
    /etc/burngate/burngate.yaml:7:34: `role`: expected one of `viewer`, `reporter`, `reviewer`, `operator`, found `reviewr`
    /etc/burngate/burngate.yaml:7:57: reviewer `dana` has the same token as agent `a`
    /etc/burngate/burngate.yaml:7:168: `token_sha256` of reviewer `kim`: expected 64 lower-case hexadecimal digits
    "#);
    let warned = process_of("telemetry: { otlp: http://127.0.0.1:4318 }\n")
        .unwrap()
        .warnings;
    insta::assert_snapshot!(warned.to_string(), @"/etc/burngate/burngate.yaml:1:12: `telemetry` is accepted but not enforced by this version");
}

#[test]
fn s62_only_listed_agents_may_call_from_other_machines() {
    for address in [
        "0.0.0.0:80",
        "':80'",
        "'[::]:80'",
        "[127.0.0.1:80, '10.0.0.7:80']",
    ] {
        let refused = process_of(&format!("listen: {address}\n")).unwrap_err();
        assert!(refused.contains("without `agents` any caller"), "{refused}");
        let agents = format!(
            "agents: [ {{ agent: a, workflows: [w], token_sha256: \"{}\" }} ]\n",
            "ab".repeat(32)
        );
        process_of(&format!("listen: {address}\n{agents}")).unwrap();
    }
    for address in [
        "127.0.0.2:80",
        "localhost:80",
        "'[::1]:80'",
        "unix:/run/gate",
    ] {
        process_of(&format!("listen: {address}\n")).unwrap();
    }
    let warned = |admin: &str| {
        let process = process_of(&format!("admin: {admin}\n")).unwrap();
        process.warnings.to_string()
    };
    insta::assert_snapshot!(warned("0.0.0.0:9901"), @"/etc/burngate/burngate.yaml:1:8: `admin`: other machines reach 0.0.0.0:9901, and tokens cross the network in clear text");
    assert_eq!(warned("127.0.0.1:9901"), "");
}

#[test]
fn g7_a_person_has_as_many_tokens_as_the_bound_and_no_more() {
    let with = |tokens: usize| {
        let tokens = list(tokens, |n| format!("'{n:064x}'"));
        process_of(&format!(
            "reviewers: [ {{ name: dana, role: reviewer, tokens_sha256: [{tokens}] }} ]\n"
        ))
    };
    assert!(with(identities::MAX_TOKENS).is_ok());
    let refused = with(identities::MAX_TOKENS + 1).unwrap_err();
    assert!(refused.contains("17 tokens; expected 1 to 16"), "{refused}");
}

/// Reading so many takes minutes without optimisation, so the check is tried alone.
#[test]
fn g7_there_are_as_many_agents_and_reviewers_as_the_bound_and_no_more() {
    let file = SourceFile::new("burngate.yaml", "");
    let errors = |count: usize| {
        let mut notes = Notes::on(&file);
        identities::bounded("agents", count, 0..0, &mut notes);
        notes.into_found().len()
    };
    assert_eq!(errors(identities::MAX_PEOPLE), 0);
    assert_eq!(errors(identities::MAX_PEOPLE + 1), 1);
}
