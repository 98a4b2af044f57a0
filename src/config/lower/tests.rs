//! What policies are understood as, and what is said of broken ones.

use std::fmt::Write as _;

use super::*;
use crate::gate::policy::{Mode, Mount};
use crate::gate::risk::{Risk, Tier};
use crate::gate::time::days;
use crate::gate::verdict::Verdict;

const NOW: Time = Time::from_millis(1_795_000_000_000);

const PAYMENTS: &str = "
api: payments
upstream: http://127.0.0.1:3000
route: /payments
tools:
  - tool: get_order
    match: GET /orders/{order}
    risk: read
  - tool: refund
    match: POST /refunds
    risk: high
    subject: args.order
    arguments:
      type: object
      required: [order, amount]
      properties: { order: { type: string }, amount: { type: number, minimum: 0 } }
      additionalProperties: false
    hold_when: args.amount > 500.0
";

const TRIAGE: &str = "
workflow: triage
risk: medium
tools: [payments/get_order, payments/refund]
";

mod bounds;
mod configuration;
mod dedup;
mod defaults;
mod documents;
mod openapi;
mod shipped;
mod tools;
mod workflows;

fn files(texts: &[&str]) -> Vec<SourceFile> {
    texts
        .iter()
        .enumerate()
        .map(|(n, text)| SourceFile::new(format!("{n}.yaml"), *text))
        .collect()
}

fn loaded(texts: &[&str]) -> Loaded {
    load(&files(texts), &Process::default(), NOW)
        .unwrap_or_else(|found| panic!("{}", found.render(false)))
}

/// What is found in `texts`, errors or not, as it is shown.
fn rendered(texts: &[&str]) -> String {
    found(texts).render(false)
}

fn found(texts: &[&str]) -> Diagnostics {
    match load(&files(texts), &Process::default(), NOW) {
        Ok(loaded) => loaded.warnings,
        Err(found) => found,
    }
}

/// What is found, a line each, with its hint.
fn lines(texts: &[&str]) -> String {
    let mut lines = String::new();
    for found in &found(texts) {
        let _ = writeln!(
            lines,
            "{found} [{}]",
            found.hint.as_deref().unwrap_or_default()
        );
    }
    lines
}

/// The findings about a tool with these additional keys.
fn tool(keys: &str) -> String {
    let keys = keys.replace('\n', "\n    ");
    let api = format!(
        "api: a\nupstream: http://x\ntools:\n  - tool: t\n    match: POST /t/{{id}}\n    risk: low\n    {keys}\n"
    );
    lines(&[&api, "workflow: w\nrisk: low\ntools: [a/t]\n"])
}

/// The findings about a workflow with these additional keys.
fn workflow(keys: &str) -> String {
    lines(&[PAYMENTS, &format!("{TRIAGE}{keys}\n")])
}

fn list(count: usize, item: fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(", ")
}

/// Is there an error with `message`?
fn refuses(texts: &[&str], message: &str) -> bool {
    found(texts)
        .iter()
        .any(|found| found.severity == Severity::Error && found.message.contains(message))
}

#[test]
fn the_contract_s_own_policies_load() {
    let loaded = loaded(&[PAYMENTS, TRIAGE]);
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let api = &loaded.policies.apis["payments"];
    assert_eq!(api.mount, Mount::Route("/payments".into()));
    assert_eq!(api.location.to_string(), "0.yaml:2");
    let refund = api
        .tools
        .iter()
        .find(|tool| tool.name.as_str() == "payments/refund")
        .unwrap();
    assert_eq!((refund.risk, refund.idempotent), (Risk::High, false));
    assert_eq!(
        refund.hold_when.as_ref().unwrap().location.to_string(),
        "0.yaml:18"
    );
    let triage = &loaded.policies.workflows["triage"];
    assert_eq!(
        (triage.terms.tier, triage.unlisted, triage.retries),
        (Tier::Medium, Verdict::Deny, 1)
    );
    assert_eq!(
        (
            triage.terms.objective.target_ppm,
            triage.terms.objective.expected_runs
        ),
        (970_000, 100)
    );
    assert!(!triage.terms.objective.expected_written && !triage.terms.reads_only);
    assert_eq!(triage.terms.objective.evidence.promote[0], 99);
}

/// Files with mistakes of every kind.
const MISTAKES: [&str; 3] = [
    "
api: payments
upstream: ftp://files
timout: 10s
tools:
  - tool: refund
    match: POST refunds
    risk: hihg
  - tool: refund
    match: POST /refunds
    risk: high
  - tool: void
    match: POST /voids
    risk: high
    timeout: 15 minutes
    hold_when: args.amount >
",
    "a: [1, 2\nb: 3\n",
    "
workflow: triage
risk: medium
objective: { target: 100%, window: 31h }
tools: [payments/refnd, payments/void]
caps: { burned: supervized }
",
];

#[test]
fn everything_wrong_in_every_file_is_said_at_once_and_in_order() {
    insta::assert_snapshot!(rendered(&MISTAKES), @r#"
    error: `upstream`: expected an http or https URL, found `ftp://files`
     --> 0.yaml:3:11
      |
    3 | upstream: ftp://files
      |           ^^^^^^^^^^^
      |
      = hint: for example http://127.0.0.1:3000

    error: unknown key `timout`
     --> 0.yaml:4:1
      |
    4 | timout: 10s
      | ^^^^^^ not a key of this mapping
      |
      = hint: did you mean `timeout`?

    error: `match`: a path starts with `/`; expected a method and a path, such as `GET /orders/{order}`
     --> 0.yaml:7:12
      |
    7 |     match: POST refunds
      |            ^^^^^^^^^^^^

    error: `risk`: expected one of `read`, `low`, `medium`, `high`, found `hihg`
     --> 0.yaml:8:11
      |
    8 |     risk: hihg
      |           ^^^^
      |
      = hint: did you mean `high`?

    error: tool `payments/refund` is written twice
     --> 0.yaml:9:11
      |
    9 |   - tool: refund
      |           ^^^^^^ the first is on line 6

    error: `timeout`: expected a duration such as 15m, found `15 minutes`
      --> 0.yaml:15:14
       |
    15 |     timeout: 15 minutes
       |              ^^^^^^^^^^

    error: `hold_when`: the expression ends too early
      --> 0.yaml:16:29
       |
    16 |     hold_when: args.amount >
       |                             ^

    error: this cannot be read as YAML: illegal placement of ':' indicator
     --> 1.yaml:2:2
      |
    2 | b: 3
      |  ^ here

    error: `target`: expected a percentage from 50% to 99.999%, found `100%`
     --> 2.yaml:4:22
      |
    4 | objective: { target: 100%, window: 31h }
      |                      ^^^^ out of bounds
      |
      = hint: 100% leaves no budget: the first failure would stop the workflow for good

    error: `window`: expected whole days from 1d to 90d, found `31h`
     --> 2.yaml:4:36
      |
    4 | objective: { target: 100%, window: 31h }
      |                                    ^^^ out of bounds

    error: unknown tool `payments/refnd`
     --> 2.yaml:5:9
      |
    5 | tools: [payments/refnd, payments/void]
      |         ^^^^^^^^^^^^^^
      |
      = hint: did you mean `payments/refund`?

    error: `burned`: unknown level `supervized`
     --> 2.yaml:6:17
      |
    6 | caps: { burned: supervized }
      |                 ^^^^^^^^^^
      |
      = hint: did you mean `supervised`?
    "#);
}

#[test]
fn what_only_all_documents_together_can_say() {
    insta::assert_snapshot!(lines(&[
        PAYMENTS,
        TRIAGE,
        "api: billing\nupstream: http://x\nroute: /payments/billing\ntools: [ { tool: t, match: GET /t, risk: read } ]\n",
        "api: payments\nupstream: http://x\n---\nworkflow: triage\nrisk: low\ntools: []\n",
    ]), @r#"
    2.yaml:3:8: api `billing` and api `payments` both take requests to `/payments/billing` [`payments` is written at 0.yaml:2; give each its own `route`, neither below the other]
    2.yaml:4:18: no workflow reaches tool `billing/t` [list `billing/t` under the `tools` of a workflow, or drop it: until then its calls are unlisted]
    3.yaml:1:6: api `payments` is written twice [the first is at 0.yaml:2]
    3.yaml:4:11: workflow `triage` is written twice [the first is at 1.yaml:2]
    "#);
}
