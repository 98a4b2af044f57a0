//! Pages as they are read: every rule in its order and with its place (G8), the level that was
//! assumed, and what is wrong with what was asked.

use clap::Parser as _;

use super::*;
use crate::cli::render::plain;
use crate::cli::{Cli, Command};
use crate::config::{Process, SourceFile, load};

const API: &str = "
api: payments
upstream: http://127.0.0.1:3000
route: /payments
tools:
  - tool: get_order
    match: GET /orders/{order}
    risk: read
    deny_when: path.order == 'A-0' || has(query.raw)
  - tool: refund
    match: POST /refunds
    risk: high
    arguments:
      type: object
      required: [order, amount]
      properties: { order: { type: string }, amount: { type: number, minimum: 0 } }
      additionalProperties: false
    deny_when: args.amount > 5000.0
    hold_when: args.amount > 500.0
  - tool: void
    match: POST /voids
    risk: high
  - tool: note
    match: POST /notes
    risk: low
    deny_when: { if: args.n > 10.0, mode: shadow, until: 2026-12-01 }
    hold_when: args.n > 5.0
    limits: [ { sum: args.n, per: agent, within: 1h, deny_above: 8, mode: shadow, until: 2026-12-01 } ]
";

const WORKFLOW: &str = "
workflow: triage
risk: low
tools: [payments/get_order, payments/refund, payments/note]
---
workflow: voids
risk: low
accept_risk: a test
tools: [payments/void]
mode: shadow
until: 2026-12-01
";

fn explain(flags: &[&str]) -> Result<ExplainAnswer, Failure> {
    let files = [
        SourceFile::new("payments.yaml", API),
        SourceFile::new(
            "triage.yaml",
            WORKFLOW.replace(
                "tools: [payments/get",
                "accept_risk: a test\ntools: [payments/get",
            ),
        ),
    ];
    let now = "2026-11-23T18:00:00Z"
        .parse::<crate::api::Moment>()
        .unwrap()
        .0;
    let loaded = load(&files, &Process::default(), now)
        .unwrap_or_else(|found| panic!("{}", found.render(false)));
    let cli = Cli::try_parse_from(["burngate", "explain"].iter().chain(flags)).unwrap();
    let Command::Explain(explain) = cli.command else {
        panic!("{flags:?}")
    };
    explain.explain(&loaded.policies, now)
}

fn page(flags: &[&str]) -> String {
    plain(&page::page(&explain(flags).unwrap()))
}

fn refused(flags: &[&str]) -> String {
    let failure = explain(flags).unwrap_err();
    format!(
        "{failure} [{}]",
        failure.hint.as_deref().unwrap_or_default()
    )
}

#[test]
fn every_rule_is_shown_in_its_order_with_its_place() {
    insta::assert_snapshot!(page(&["--workflow", "triage", "--tool", "payments/refund", "--args", r#"{"order":"A-1","amount":900}"#]), @r"
    payments/refund by triage: assuming level autonomous (where the workflow starts; --at LEVEL assumes another), a healthy budget and nothing spent

    RULE         VERDICT   PLACE              DETAIL
    unlisted     allow     triage.yaml:2      `payments/refund` is among the tools of workflow `triage`
    arguments    allow     payments.yaml:10   the arguments fit the schema
    deny_when    allow     payments.yaml:18   `args.amount > 5000.0` does not hold
    level        allow     -                  level `autonomous` says allow for risk high
    validation   allow     payments.yaml:10   validation asks for nothing more
    hold_when    hold      payments.yaml:19   `args.amount > 500.0` holds

    verdict: hold, by hold_when
    note: volume, concurrency, exposure, earlier calls and decisions are known only to a running gate
    ");
}

#[test]
fn the_level_that_is_assumed_is_said() {
    insta::assert_snapshot!(page(&["--workflow", "triage", "--tool", "refund", "--args", r#"{"order":"A-1","amount":9}"#, "--at", "read_only"]), @r"
    payments/refund by triage: assuming level read_only (as asked), a healthy budget and nothing spent

    RULE         VERDICT   PLACE              DETAIL
    unlisted     allow     triage.yaml:2      `payments/refund` is among the tools of workflow `triage`
    arguments    allow     payments.yaml:10   the arguments fit the schema
    deny_when    allow     payments.yaml:18   `args.amount > 5000.0` does not hold
    level        deny      -                  level `read_only` says deny for risk high
    validation   allow     payments.yaml:10   validation asks for nothing more
    hold_when    allow     payments.yaml:19   `args.amount > 500.0` does not hold

    verdict: deny, by level
    note: volume, concurrency, exposure, earlier calls and decisions are known only to a running gate
    ");
}

#[test]
fn a_call_that_passes_is_allowed_by_every_rule() {
    let answer = explain(&[
        "--workflow",
        "triage",
        "--tool",
        "refund",
        "--args",
        r#"{"order":"A-1","amount":9}"#,
    ])
    .unwrap();
    assert_eq!((answer.verdict, answer.rule), (Verdict::Allow, None));
    assert!(
        answer
            .rules
            .iter()
            .all(|line| line.verdict == Verdict::Allow)
    );
}

#[test]
fn every_violation_of_a_schema_is_shown() {
    insta::assert_snapshot!(page(&["--workflow", "triage", "--tool", "refund", "--args", r#"{"order":1,"amount":-9}"#]), @r"
    payments/refund by triage: assuming level autonomous (where the workflow starts; --at LEVEL assumes another), a healthy budget and nothing spent

    RULE         VERDICT   PLACE              DETAIL
    unlisted     allow     triage.yaml:2      `payments/refund` is among the tools of workflow `triage`
    arguments    deny      payments.yaml:10   the arguments do not fit `payments/refund`: `/amount` must be at least 0
                                              `/order` must be a string, but is a number
    deny_when    allow     payments.yaml:18   `args.amount > 5000.0` does not hold
    level        allow     -                  level `autonomous` says allow for risk high
    validation   allow     payments.yaml:10   validation asks for nothing more
    hold_when    allow     payments.yaml:19   `args.amount > 500.0` does not hold

    verdict: deny, by arguments
    note: volume, concurrency, exposure, earlier calls and decisions are known only to a running gate
    ");
}

#[test]
fn a_request_gives_the_rules_their_path_and_query() {
    let verdict = |request: &str| {
        explain(&[
            "--workflow",
            "triage",
            "--tool",
            "get_order",
            "--request",
            request,
        ])
        .map(|answer| answer.verdict)
        .map_err(|failure| failure.exit)
    };
    assert_eq!(verdict("GET /orders/A-1"), Ok(Verdict::Allow));
    assert_eq!(verdict("GET /payments/orders/A-0"), Ok(Verdict::Deny));
    assert_eq!(verdict("GET /orders/A-1?raw=1"), Ok(Verdict::Deny));
    assert_eq!(verdict("GET /orders/A-1?raw=1&raw=2"), Ok(Verdict::Deny));
    for bad in [
        "POST /orders/A-1",
        "GET",
        "GET /orders/%2e%2f",
        "GET /other",
    ] {
        assert_eq!(verdict(bad), Err(Exit::Usage), "{bad}");
    }
}

#[test]
fn a_tool_that_nobody_listed_is_judged_as_the_tier_says() {
    insta::assert_snapshot!(page(&["--workflow", "triage", "--tool", "payments/refnd"]), @r"
    payments/refnd by triage: assuming level autonomous (where the workflow starts; --at LEVEL assumes another), a healthy budget and nothing spent

    RULE       VERDICT   PLACE           DETAIL
    unlisted   hold      triage.yaml:2   no tool of workflow `triage` matches this request
    level      allow     -               level `autonomous` says allow for risk high

    verdict: hold, by unlisted
    note: no policy describes a tool `payments/refnd`: this is judged as an unlisted call; did you mean `payments/refund`?
    note: volume, concurrency, exposure, earlier calls and decisions are known only to a running gate
    ");
    let answer = explain(&["--workflow", "triage", "--tool", "payments/void"]).unwrap();
    assert_eq!(
        (answer.verdict, answer.rule),
        (Verdict::Hold, Some("unlisted"))
    );
}

#[test]
fn a_verdict_in_shadow_is_marked_so() {
    let page = page(&[
        "--workflow",
        "voids",
        "--tool",
        "void",
        "--at",
        "supervised",
    ]);
    assert!(
        page.contains("verdict: hold, by level; in shadow it is recorded, and the call passes\n"),
        "{page}"
    );
}

#[test]
fn a_rule_in_shadow_is_shown_with_its_place_and_decides_nothing() {
    insta::assert_snapshot!(page(&["--workflow", "triage", "--tool", "note", "--args", r#"{"n":11}"#]), @r"
    payments/note by triage: assuming level autonomous (where the workflow starts; --at LEVEL assumes another), a healthy budget and nothing spent

    RULE         VERDICT         PLACE              DETAIL
    unlisted     allow           triage.yaml:2      `payments/note` is among the tools of workflow `triage`
    limits       deny (shadow)   payments.yaml:28   the sum of `args.n` per agent within 1h, denied above 8: this call adds 11
    deny_when    deny (shadow)   payments.yaml:26   `args.n > 10.0` holds
    level        allow           -                  level `autonomous` says allow for risk low
    validation   allow           payments.yaml:23   validation asks for nothing more
    hold_when    hold            payments.yaml:27   `args.n > 5.0` holds

    verdict: hold, by hold_when
    in shadow: limits (payments.yaml:28) says deny; that is recorded without effect
    in shadow: deny_when (payments.yaml:26) says deny; that is recorded without effect
    note: volume, concurrency, exposure, earlier calls and decisions are known only to a running gate
    ");
    let answer = explain(&[
        "--workflow",
        "triage",
        "--tool",
        "note",
        "--args",
        r#"{"n":3}"#,
    ])
    .unwrap();
    assert_eq!(
        (answer.verdict, answer.rule, answer.mode),
        (Verdict::Allow, None, "enforce")
    );
    let json = serde_json::to_value(&answer).unwrap();
    let shadow: Vec<_> = json["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["shadow"] == true)
        .map(|line| line["rule"].as_str().unwrap())
        .collect();
    assert_eq!(shadow, ["limits", "deny_when"]);
}

#[test]
fn a_number_that_two_readers_could_read_differently_is_malformed() {
    let answer = explain(&[
        "--workflow",
        "triage",
        "--tool",
        "refund",
        "--args",
        r#"{"order":"A-1","amount":900.00000000000000001}"#,
    ])
    .unwrap();
    assert_eq!(answer.verdict, Verdict::Deny);
}

#[test]
fn names_that_nobody_has_are_told_with_those_that_are_meant() {
    insta::assert_snapshot!([
        refused(&["--workflow", "triag", "--tool", "refund"]),
        refused(&["--workflow", "triage", "--tool", "refund", "--at", "reed_only"]),
        refused(&["--workflow", "triage", "--tool", "refund", "--at", "x"]),
        refused(&["--workflow", "triage", "--tool", "refund", "--args", "{'a':1}"]),
        refused(&["--workflow", "triage", "--tool", "refund", "--header", "x"]),
        refused(&["--workflow", "triage", "--tool", "get_order", "--request", "GET /refunds"]),
    ].join("\n"), @r"
    no workflow is called `triag` [did you mean `triage`?]
    no level is called `reed_only` [did you mean `read_only`?]
    no level is called `x` [the levels of `triage` are halted, read_only, supervised, standard, autonomous]
    --args is not JSON as a gate takes it: an unexpected character at byte 1 []
    `x` is not a header [such as --header 'x-ticket: 77']
    `GET /refunds` is not a call of `payments/get_order` [that tool's calls match `GET /orders/{order}`]
    ");
}
