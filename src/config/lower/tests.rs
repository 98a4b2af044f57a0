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

mod configuration;
mod dedup;
mod openapi;
mod shipped;

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

#[test]
fn the_contract_s_own_policies_load() {
    let loaded = loaded(&[PAYMENTS, TRIAGE]);
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let api = &loaded.policies.apis["payments"];
    assert_eq!(api.mount, Mount::Route("/payments".into()));
    assert_eq!(api.place.to_string(), "0.yaml:2");
    let refund = api
        .tools
        .iter()
        .find(|tool| tool.name.as_str() == "payments/refund")
        .unwrap();
    assert_eq!((refund.risk, refund.idempotent), (Risk::High, false));
    assert_eq!(
        refund.hold_when.as_ref().unwrap().place.to_string(),
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
fn a_tool_s_mistakes() {
    insta::assert_snapshot!(tool("always: allow"), @"0.yaml:7:13: `always: allow` has no effect: `always` can only make a verdict stricter [write `hold` or `deny`; to allow more, change the tool's `risk` or a level]");
    insta::assert_snapshot!(tool("timeout: 2h"), @"0.yaml:7:14: `timeout`: expected a duration from 1ms to 1h, found `2h` []");
    insta::assert_snapshot!(tool("body: 2GiB"), @"0.yaml:7:11: `body`: expected a size from 1B to 1GiB, found `2GiB` []");
    insta::assert_snapshot!(tool("mode: shadow"), @"0.yaml:7:11: `mode: shadow` lacks `until` [write the day on which shadow mode ends, such as `until: 2026-12-18`]");
    insta::assert_snapshot!(tool("mode: shadow\nuntil: 2027-12-01"), @"0.yaml:8:12: `until`: shadow mode lasts at most 60d from now, found `2027-12-01` [the latest day is 2027-01-17]");
    insta::assert_snapshot!(tool("until: 2026-12-01"), @"0.yaml:7:12: `until` without `mode: shadow` [only shadow mode ends by itself; drop `until`, or write `mode: shadow`]");
    insta::assert_snapshot!(tool("forbidden: true\nhold_when: args.a == 1"), @"0.yaml:8:16: `hold_when` has no effect: tool `a/t` is forbidden [drop one of the two]");
    insta::assert_snapshot!(tool("arguments: missing.json"), @"0.yaml:7:16: `arguments`: there is no file `missing.json` [files are looked up next to the policy file]");
}

#[test]
fn a_rule_s_own_mode() {
    let until = "mode: shadow, until: 2026-12-01";
    assert_eq!(
        tool(&format!("deny_when: {{ if: args.a == 1, {until} }}")),
        ""
    );
    assert_eq!(
        tool("hold_when: { if: args.a == 1 }\nescalate_when: { if: args.a == 2, mode: enforce }"),
        ""
    );
    for (written, said) in [
        (
            "deny_when: { if: args.a == 1, mode: shadow }",
            &["0.yaml:7:41: `mode: shadow` lacks `until` [write the day on which shadow mode ends"]
                [..],
        ),
        (
            "deny_when: { if: args.a == 1, mode: shadow, until: 2027-12-01 }",
            &["7:56: `until`: shadow mode lasts at most 60d from now, found `2027-12-01`"],
        ),
        (
            "deny_when: { if: args.a == 1, until: 2026-12-01 }",
            &["7:42: `until` without `mode: shadow`"],
        ),
        (
            "deny_when: { if: args.a == 1, mode: shadow, until: 2026-01-01 }",
            &["7:56: shadow mode ended on 2026-01-01: verdicts are enforced"],
        ),
        (
            "deny_when: { when: args.a == 1, mode: shadow, until: 2026-12-01 }",
            &[
                "7:18: unknown key `when` in `deny_when` [known keys: if, mode, until]",
                "7:16: `deny_when` lacks `if`",
            ],
        ),
        (
            "deny_when: [args.a == 1]",
            &["7:16: `deny_when`: expected text, or a mapping, found a list"],
        ),
        (
            "hold_when: { if: args.a >, mode: shadow, until: 2026-12-01 }",
            &["7:30: `hold_when`: "],
        ),
        // What is judged on the answer is no verdict on the call.
        (
            "failure_when: { if: response.status == 422, mode: shadow, until: 2026-12-01 }",
            &["7:19: `failure_when`: expected text, found a mapping"],
        ),
        (
            "limits: [ { count: true, per: agent, within: 1h, deny_above: 5, until: 2026-12-01 } ]",
            &["`until` without `mode: shadow`"],
        ),
        (
            "duplicate: { key: [args.a], within: 1h, verdict: count, mode: shadow, until: 2026-12-01 }",
            &[
                "`mode: shadow` has no effect beside `verdict: count`: a duplicate that is only counted is never refused [drop `verdict: count` to record what would be refused",
            ],
        ),
    ] {
        let found = tool(written);
        assert_eq!(found.lines().count(), said.len(), "{written}\n{found}");
        for said in said {
            assert!(found.contains(said), "{written}\n{found}");
        }
    }
}

#[test]
fn conditions_read_only_what_calls_have_and_can_hold() {
    let schema = "arguments: { type: object, properties: { amount: { type: number, maximum: 100 } }, additionalProperties: false }\n";
    insta::assert_snapshot!(tool("deny_when: amount > 5"), @"0.yaml:7:16: `deny_when`: unknown variable `amount` [variables are args, path, query, header, tool, agent, workflow, run, level, posture, budget, burn]");
    insta::assert_snapshot!(tool(&format!("{schema}deny_when: args.amuont > 5")), @"0.yaml:8:21: `deny_when` reads the argument `amuont`, which the tool's schema does not allow [did you mean `amount`?]");
    insta::assert_snapshot!(tool(&format!("{schema}deny_when: args.amount > 500.0")), @"0.yaml:8:16: `deny_when` can never match: args.amount is at most 100 by the schema, so `args.amount > 500.0` can never match [calls whose arguments do not satisfy the schema are refused before any rule is asked]");
    insta::assert_snapshot!(tool("deny_when: path.order == 'x'"), @"0.yaml:7:21: `deny_when` reads `path.order`, which `POST /t/{id}` does not capture [it captures `id`]");
    insta::assert_snapshot!(tool("hold_when: 1 < 2"), @"0.yaml:7:16: `hold_when`: the condition always matches [say so with `always: hold` or `forbidden: true`]");
    insta::assert_snapshot!(tool("hold_when: response.status == 500"), @"0.yaml:7:16: `hold_when`: `response` is not known before the call [read it in `failure_when`]");
}

#[test]
fn a_tool_that_another_one_always_matches_first_is_never_called() {
    let api = "
api: a
upstream: http://x
tools:
  - { tool: one, match: 'POST /things/{id}', risk: low }
  - { tool: two, match: 'POST /things/{thing}', risk: high }
  - { tool: three, match: POST /things/special, risk: low }
";
    insta::assert_snapshot!(lines(&[api, "workflow: w\nrisk: medium\ntools: [a/one, a/two, a/three]\n"]), @"0.yaml:6:25: tool `a/two` can never be called: tool `a/one` matches every request that it does [`POST /things/{id}` is written on line 5; change one pattern or drop one tool]");
}

#[test]
fn a_workflow_s_mistakes() {
    insta::assert_snapshot!(workflow("retries: 6"), @"1.yaml:5:10: `retries`: expected a number from 0 to 5, found `6` []");
    insta::assert_snapshot!(workflow("unlisted: allow"), @"1.yaml:5:11: `unlisted: allow` would let every unknown call pass [write `hold` or `deny`; to find out what an agent calls, use `mode: shadow`]");
    insta::assert_snapshot!(workflow("objective: { target: 100%, window: 36h, expected_runs: 0 }"), @r#"
    1.yaml:5:22: `target`: expected a percentage from 50% to 99.999%, found `100%` [100% leaves no budget: the first failure would stop the workflow for good]
    1.yaml:5:36: `window`: expected whole days from 1d to 90d, found `36h` []
    1.yaml:5:56: `expected_runs`: expected a number from 1 to 1000000000, found `0` []
    "#);
    insta::assert_snapshot!(workflow("objective: { unacceptable: [timeout], critical: [wrong_action] }"), @r#"
    1.yaml:5:28: `unacceptable` lists 1 mode; 3 to 5 is usual [the modes that are not listed are recorded and shown all the same]
    1.yaml:5:49: critical mode `wrong_action` is not among the unacceptable ones [add `wrong_action` to `unacceptable`, or drop it from `critical`]
    "#);
    insta::assert_snapshot!(workflow("objective: { unacceptable: [timeuot, wrong_action, late_refund] }"), @"1.yaml:5:29: `timeuot` is not a built-in failure mode, and is taken as one of this policy's own [did you mean `timeout`?]");
    insta::assert_snapshot!(workflow("objective: { target: 99%, expected_runs: 150 }"), @"1.yaml:5:42: two unacceptable runs would burn the budget of `triage`: 99% of 150 expected runs [with low traffic, choose a target of 98% or `expected_runs: 300`, so that at least three are allowed]");
    insta::assert_snapshot!(workflow("hold: { approvals: { high: 2 } }"), @"1.yaml:5:20: a call of a high-risk tool of `triage` needs 2 approvals, and only 1 person can approve [add `reviewers` to burngate.yaml (the operator token counts as one person), or write `hold: { approvals: 1 }`]");
    insta::assert_snapshot!(workflow("hold: { approvals: 0 }"), @"1.yaml:5:20: `approvals`: expected a number of people from 1 to 10 [to let calls pass without a person, change the level or the rule that holds them]");
    insta::assert_snapshot!(workflow("hold: { wait: 10m, expires: 5m }"), @"1.yaml:5:15: `wait` is longer than `expires` [a call cannot wait for an approval that has expired]");
    insta::assert_snapshot!(workflow("starts: standrad"), @"1.yaml:5:9: `starts`: unknown level `standrad` [did you mean `standard`?]");
    insta::assert_snapshot!(workflow("caps: { at_risk: read_only, burned: supervised }"), @"1.yaml:5:7: `caps`: a workflow that is burned may do more (supervised) than one that is at_risk (read_only) [a worse posture should not leave a higher level]");
    // `get_order` has no schema either, but a read may go without.
    insta::assert_snapshot!(workflow("validation: strict"), @"");
    let undescribed = PAYMENTS.replace("risk: read", "risk: low");
    insta::assert_snapshot!(lines(&[&undescribed, &format!("{TRIAGE}validation: strict\n")]), @r#"1.yaml:5:13: every call of payments/get_order is held: validation of `triage` is strict, and there is no schema [write `arguments` for the tool (`arguments: { type: "null" }` where it takes no body), or `validation: schemas` for the workflow]"#);
    insta::assert_snapshot!(workflow("run: { key: runn.id }"), @"1.yaml:5:13: `key`: unknown variable `runn` [did you mean `run`? variables are args, path, query, header, tool, agent, workflow, run, level, posture, budget, burn]");
}

#[test]
fn a_step_gives_one_thing_and_says_what_it_takes() {
    let step = |step: &str| workflow(&format!("check: {{ sample: 5% }}\nearn: [ {{ {step} }} ]"));
    assert_eq!(step("step: up, after: 30d, to: autonomous"), "");
    assert_eq!(
        step(
            "step: small, after: 60d, skip: { tool: payments/refund, rule: hold_when, where: args.amount <= 600.0 }, how: propose"
        ),
        ""
    );
    for (written, told) in [
        (
            "step: volume, after: 30d, volume: x2, how: automatic",
            "no level caps volume, so there is nothing to raise",
        ),
        (
            "step: up, after: 36h, to: autonomous",
            "`after`: expected whole days, found `36h`",
        ),
        (
            "step: up, after: 30d",
            "step `up` must have exactly one of `volume`, `to` and `skip`",
        ),
        (
            "step: up, after: 30d, to: autonomous, volume: x2",
            "step `up` must have exactly one of `volume`, `to` and `skip`",
        ),
        (
            "step: regain, after: 30d, to: autonomous",
            "a step cannot be called `regain`: the name is reserved for regaining a lost level",
        ),
        (
            "step: down, after: 30d, to: read_only",
            "so it has `read_only` already",
        ),
        (
            "step: s, after: 30d, skip: { tool: payments/refnd, rule: hold_when }",
            "`payments/refnd` is not among the tools of this workflow",
        ),
        (
            "step: s, after: 30d, skip: { tool: payments/refund, rule: always }",
            "the review of rule `always` cannot be skipped",
        ),
    ] {
        let found = step(written);
        assert!(found.contains(told), "{written}: {found}");
    }
    let unchecked =
        workflow("earn: [ { step: s, after: 30d, skip: { tool: payments/refund, rule: level } } ]");
    assert!(
        unchecked.contains(
            "step `s` counts only checked runs, and no run of this workflow is ever drawn for a check"
        ),
        "{unchecked}"
    );
    let unseen = workflow("spot_check: 0%");
    assert!(
        unseen.contains("`spot_check`: expected a share from 0.1% to 100%, found `0%`"),
        "{unseen}"
    );
}

#[test]
fn a_share_of_runs_or_a_number_a_week_is_put_to_people() {
    assert_eq!(workflow("check: { sample: 5%, min: 20/week }"), "");
    assert!(workflow("check: { sample: 0% }").contains("`check` draws no run"));
    assert!(
        workflow("check: { min: 2000/day }")
            .contains("`min`: expected at most 10000 runs a week, found 14000")
    );
}

#[test]
fn a_ladder_only_widens_upwards() {
    insta::assert_snapshot!(workflow("levels: [ { level: read_only, low: allow, medium: allow } ]"), @"1.yaml:5:20: level `read_only` allows what `supervised` above it does not: `medium` tools get allow instead of hold [tighten `read_only`, or widen `supervised`]");
    insta::assert_snapshot!(workflow("levels: [ { level: standard, volume: 10/min }, { level: supervised, volume: 20/min } ]"), @"1.yaml:5:57: level `supervised` allows what `standard` above it does not: a higher volume [tighten `supervised`, or widen `standard`]");
    insta::assert_snapshot!(workflow("levels: [ { level: careful, low: hold } ]"), @"1.yaml:5:20: unknown level `careful` [a new level says which one it stands right above, such as `above: supervised`]");
    insta::assert_snapshot!(workflow("levels: [ { level: careful, above: supervizd } ]"), @"1.yaml:5:36: `above`: unknown level `supervizd` [did you mean `supervised`?]");
    insta::assert_snapshot!(workflow("levels: [ { level: standard, above: supervised } ]"), @"1.yaml:5:37: built-in level `standard` cannot be moved [drop `above`, or choose a name of your own]");
    insta::assert_snapshot!(workflow("levels: [ { level: careful, above: supervised, tools: [payments/get_ordr] } ]"), @"1.yaml:5:56: unknown tool `payments/get_ordr` [did you mean `payments/get_order`?]");
}

#[test]
fn a_cap_on_one_level_bounds_those_below_it() {
    let loaded = loaded(&[
        PAYMENTS,
        &format!(
            "{TRIAGE}levels:\n  - {{ level: careful, above: supervised, high: hold, tools: [payments/get_order] }}\n  - {{ level: standard, volume: 600/min }}\n"
        ),
    ]);
    let ladder = &loaded.policies.workflows["triage"].terms.ladder;
    let rung = |name| ladder.rung(ladder.find(name).unwrap());
    assert_eq!(rung("careful").verdicts, rung("supervised").verdicts);
    assert_eq!(rung("halted").tools, rung("careful").tools);
    assert!(rung("standard").tools.is_none());
    assert_eq!(rung("read_only").volume, rung("standard").volume);
    assert!(rung("autonomous").volume.is_none());
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

#[test]
fn a_low_tier_workflow_reaches_a_high_tool_only_with_a_reason() {
    let low = "workflow: w\nrisk: low\ntools: [payments/get_order, payments/refund]\n";
    insta::assert_snapshot!(lines(&[PAYMENTS, low]), @r#"1.yaml:3:29: a low-tier workflow reaches `payments/refund`, which is high-risk [raise the workflow's `risk`, or write `accept_risk: "reason"`]"#);
    assert_eq!(
        lines(&[
            PAYMENTS,
            &format!("{low}accept_risk: drilled twice a year\n")
        ]),
        ""
    );
}

#[test]
fn documents_that_are_none() {
    insta::assert_snapshot!(lines(&[]), @"there is no workflow in any policy file [`burngate init` writes a first one]");
    insta::assert_snapshot!(lines(&[PAYMENTS, "# later\n"]), @r#"
    0.yaml:6:11: no workflow reaches tool `payments/get_order` [list `payments/get_order` under the `tools` of a workflow, or drop it: until then its calls are unlisted]
    0.yaml:9:11: no workflow reaches tool `payments/refund` [list `payments/refund` under the `tools` of a workflow, or drop it: until then its calls are unlisted]
    1.yaml:1:1: this file holds no document [a policy document begins with `api:`, `workflow:` or `signal:`]
    there is no workflow in any policy file [`burngate init` writes a first one]
    "#);
    insta::assert_snapshot!(lines(&["worflow: w\n"]), @"0.yaml:1:1: unknown key `worflow` [did you mean `workflow`?]");
    insta::assert_snapshot!(lines(&["- 1\n"]), @"0.yaml:1:1: a policy document begins with `api:`, `workflow:` or `signal:` []");
    insta::assert_snapshot!(lines(&["api: a\nworkflow: b\n"]), @"0.yaml:1:1: this document has both `api:` and `workflow:`, and may have only one of them [put `---` on a line between the two]");
}

#[test]
fn a_file_that_cannot_be_read_does_not_make_its_tools_unknown() {
    insta::assert_snapshot!(
        lines(&["api: a\nupstream: http://x\ntools:\n  - { tool: one, match: POST /things/{id}, risk: low }\n", "workflow: w\nrisk: low\ntools: [a/one]\n"]),
        @r#"0.yaml:4:38: this cannot be read as YAML: while parsing a flow mapping, did not find expected ',' or '}' [inside `{ … }`, quote a path with captures: `match: "GET /orders/{order}"`]"#
    );
}

#[test]
fn schemas_in_files_of_their_own_are_found_beside_the_policy() {
    let mut all = files(&[
        "api: a\nupstream: http://x\ntools: [ { tool: t, match: POST /t, risk: low, arguments: t.json } ]\n",
        "workflow: w\nrisk: low\ntools: [a/t]\n",
    ]);
    all.push(SourceFile::new("t.json", r#"{ "type": "object" }"#));
    let loaded = load(&all, &Process::default(), NOW).unwrap();
    assert_eq!(
        loaded.policies.apis["a"].tools[0]
            .arguments
            .as_ref()
            .unwrap()
            .source(),
        &serde_json::json!({ "type": "object" })
    );
}

#[test]
fn the_version_follows_the_meaning_and_not_the_spelling() {
    let version = |texts: &[&str]| loaded(texts).policies.version;
    let original = version(&[PAYMENTS, TRIAGE]);
    let moved = format!(
        "# a comment\n{}",
        TRIAGE.replace(
            "tools: [payments/get_order, payments/refund]",
            "tools:\n  - payments/refund\n  - payments/get_order\n"
        )
    );
    assert_eq!(version(&[&format!("{moved}---{PAYMENTS}")]), original);
    assert_eq!(
        version(&[PAYMENTS, &format!("{TRIAGE}retries: 1\n")]),
        original,
        "a default that is written means the same"
    );
    assert_ne!(
        version(&[PAYMENTS, &format!("{TRIAGE}retries: 2\n")]),
        original
    );
    assert_ne!(
        version(&[&PAYMENTS.replace("500.0", "501.0"), TRIAGE]),
        original
    );
    let definition = |texts: &[&str]| {
        loaded(texts).policies.apis["payments"]
            .tools
            .iter()
            .map(|tool| tool.definition)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        definition(&[&PAYMENTS.replace("500.0", "501.0"), TRIAGE]),
        definition(&[PAYMENTS, TRIAGE])
    );
    assert_ne!(
        definition(&[&PAYMENTS.replace("minimum: 0", "minimum: 1"), TRIAGE]),
        definition(&[PAYMENTS, TRIAGE])
    );
}

#[test]
fn a_history_goes_to_one_name_and_to_another_than_it_has() {
    let workflow = |name: &str, was: &str| {
        let was = if was.is_empty() {
            String::new()
        } else {
            format!("was: {was}\n")
        };
        format!(
            "workflow: {name}\n{was}risk: medium\ntools: [payments/refund, payments/get_order]\n"
        )
    };
    let said = |texts: &[(&str, &str)]| {
        let texts: Vec<String> = texts
            .iter()
            .map(|(name, was)| workflow(name, was))
            .collect();
        let texts: Vec<&str> = [PAYMENTS]
            .into_iter()
            .chain(texts.iter().map(String::as_str))
            .collect();
        lines(&texts)
    };
    // Also a chain of them, and one that was left behind after the rename.
    assert_eq!(said(&[("b", "a"), ("c", "b"), ("d", "x")]), "");
    insta::assert_snapshot!(said(&[("a", "a")]), @"1.yaml:2:6: `was`: `a` is already the name of this workflow [write the name that it had before, or drop `was`]");
    insta::assert_snapshot!(said(&[("b", "a"), ("c", "a")]), @"2.yaml:2:6: `was: a` is written in `b` as well, and a history goes to one workflow [drop one of the two: a workflow that is new begins with a history of its own]");
    insta::assert_snapshot!(said(&[("a", "b"), ("b", "a")]), @"
    1.yaml:2:6: `was`: `a` and `b` take each other's history, in a circle [rename one of them to a name that is new, reload, and rename it again]
    2.yaml:2:6: `was`: `b` and `a` take each other's history, in a circle [rename one of them to a name that is new, reload, and rename it again]
    ");
    insta::assert_snapshot!(said(&[("a", ""), ("b", "a")]), @"2.yaml:2:6: `was: a` has no effect: workflow `a` is still there, and keeps its history [drop workflow `a`, or drop `was`]");
}

#[test]
fn shadow_lasts_at_most_sixty_days_from_now() {
    let until = |day: &str| loaded_mode(&format!("{TRIAGE}mode: shadow\nuntil: {day}\n"));
    let (last, one_past) = (
        NOW.plus(mode::MAX_SHADOW).as_millis(),
        NOW.plus(mode::MAX_SHADOW).as_millis() + 1,
    );
    let written = |millis| crate::config::quantity::Date(Time::from_millis(millis)).to_string();
    assert_eq!(
        until(&written(last)),
        Some(Mode::Shadow {
            until: Time::from_millis(last)
        })
    );
    assert_eq!(until(&written(one_past)), None);
}

fn loaded_mode(workflow: &str) -> Option<Mode> {
    load(&files(&[PAYMENTS, workflow]), &Process::default(), NOW)
        .ok()
        .map(|loaded| loaded.policies.workflows["triage"].mode)
}

#[test]
fn an_mcp_tool_is_matched_by_its_name() {
    let loaded = loaded(&[
        "api: m\nprotocol: mcp\nupstream: http://x/mcp\ntools: [ { tool: search, risk: read }, { tool: send, match: mail/send, risk: medium } ]\n",
        "workflow: w\nrisk: medium\ntools: [m/search, m/send]\n",
    ]);
    let names: Vec<_> = loaded.policies.apis["m"]
        .tools
        .iter()
        .map(|tool| tool.pattern.tool_name().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["mail/send", "search"]);
    assert_eq!(loaded.policies.workflows["w"].hold.wait_mcp.as_secs(), 4);
}

#[test]
fn line_endings_and_a_byte_order_mark_change_no_place() {
    let crlf = PAYMENTS
        .replace("risk: high", "risk: hihg")
        .replace('\n', "\r\n");
    assert!(
        lines(&[&crlf, TRIAGE]).contains("0.yaml:11:11: `risk`"),
        "{}",
        lines(&[&crlf, TRIAGE])
    );
    let marked = format!("\u{feff}{}", "workflow: w\nrisk: lo\ntools: []\n");
    assert!(
        lines(&[&marked]).contains("0.yaml:2:7: `risk`"),
        "{}",
        lines(&[&marked])
    );
}

#[test]
fn odd_documents_are_told_what_was_expected() {
    insta::assert_snapshot!(workflow("objective:\nlose: 3\nhold: { approvals: two }\nlevels: { level: standard }"), @r#"
    1.yaml:5:10: `objective`: expected a mapping, found nothing []
    1.yaml:6:7: `lose`: expected a mapping, found `3` []
    1.yaml:7:20: `approvals`: expected a number of people, or `{ high: 2, other: 1 }`, found string "two" []
    1.yaml:8:9: `levels`: expected a list, found a mapping []
    "#);
    insta::assert_snapshot!(workflow("was: [a]\nhold: { approvals: { low: 1 } }"), @r#"
    1.yaml:5:6: `was`: expected text, found a list []
    1.yaml:6:20: `approvals`: unknown field `low`, expected `high` or `other` []
    "#);
    insta::assert_snapshot!(workflow("objective: !secret { target: 97% }"), @"1.yaml:5:20: this cannot be read as YAML: unsupported tag `!secret` []");
    insta::assert_snapshot!(tool("arguments: 3"), @"0.yaml:7:16: `arguments`: expected a JSON Schema or the name of a file [for example `arguments: { type: object }`]");
    insta::assert_snapshot!(tool("arguments: { type: strnig }"), @r#"0.yaml:7:16: `arguments`: `/type` of the schema is wrong: "strnig" is not valid under any of the schemas listed in the 'anyOf' keyword [arguments are a JSON Schema; nothing is fetched, so every `$ref` must point inside the schema]"#);
    insta::assert_snapshot!(tool("hold_when: |\n  args.a > 1 &&\n  args.b >"), @"0.yaml:8:7: `hold_when`: the expression ends too early []");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    #[test]
    fn no_slip_in_a_policy_makes_loading_panic(which in 0_usize..3, at in 0.0_f64..1.0, cut in 0_usize..12, put in "[-a-z0-9 :{}\\[\\]\"'&*|>#\n\t%.é]{0,6}") {
        let (_, workflow, api) = shipped::SHIPPED[which];
        for (changed, other) in [(workflow, api), (api, workflow)] {
            let boundary = |offset: usize| (0..=offset.min(changed.len())).rev().find(|&offset| changed.is_char_boundary(offset)).unwrap_or(0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place somewhere in the text")]
            let start = boundary((changed.len() as f64 * at) as usize);
            let end = boundary(start + cut).max(start);
            let slipped = format!("{}{put}{}", &changed[..start], &changed[end..]);
            let all = [&*slipped, other];
            let found = found(&all);
            let _ = (found.render(false), found.render(true));
            for diagnostic in &found {
                if let Some(file) = files(&all).iter().find(|file| file.name == diagnostic.file) {
                    proptest::prop_assert!(file.text.get(diagnostic.span.clone()).is_some(), "{diagnostic:?}");
                }
            }
        }
    }
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
fn every_maximum_holds_at_its_bound_and_not_one_past_it() {
    let api = |count| {
        format!(
            "api: a\nupstream: http://x\ntools: [{}]\n",
            list(count, |n| format!(
                "{{ tool: t{n}, match: GET /t{n}, risk: read }}"
            ))
        )
    };
    let reach = |count| {
        format!(
            "workflow: w\nrisk: low\ntools: [{}]\n",
            list(count, |n| format!("a/t{n}"))
        )
    };
    assert!(!refuses(
        &[&api(api::MAX_TOOLS), &reach(api::MAX_TOOLS)],
        "more than"
    ));
    assert!(refuses(
        &[&api(api::MAX_TOOLS + 1), &reach(1)],
        "more than 1000 tools"
    ));
    let second = api(1).replace("api: a", "api: b");
    let too_far = reach(workflow::MAX_REACH).replace("a/t0,", "a/t0, b/t0,");
    assert!(refuses(
        &[&api(api::MAX_TOOLS), &second, &too_far],
        "reaches more than 1000 tools"
    ));

    let modes = |count| {
        format!(
            "{TRIAGE}objective: {{ unacceptable: [{}] }}\n",
            list(count, |n| format!("own_mode_number_{n}"))
        )
    };
    assert!(!refuses(
        &[PAYMENTS, &modes(objective::MAX_MODES)],
        "lists at most"
    ));
    assert!(refuses(
        &[PAYMENTS, &modes(objective::MAX_MODES + 1)],
        "lists at most"
    ));

    let named = |length: usize| format!("{TRIAGE}was: {}\n", "w".repeat(length));
    assert!(!refuses(
        &[PAYMENTS, &named(written::MAX_NAME)],
        "cannot be called"
    ));
    assert!(refuses(
        &[PAYMENTS, &named(written::MAX_NAME + 1)],
        "cannot be called"
    ));

    let steps = |count| {
        let steps = list(count, |n| {
            format!("{{ step: s{n}, after: 30d, volume: x2, how: propose }}")
        });
        workflow(&format!("earn: [{steps}]"))
    };
    let too_many = "`earn`: expected at most";
    assert!(!steps(earn::MAX_STEPS).contains(too_many));
    assert!(steps(earn::MAX_STEPS + 1).contains(too_many));

    let parameters = |count| {
        let parameters = list(count, |n| {
            format!("{{ name: p{n}, in: query, schema: {{ type: string }} }}")
        });
        tool(&format!("parameters: [{parameters}]"))
    };
    assert_eq!(parameters(described::MAX_PARAMETERS), "");
    assert!(parameters(described::MAX_PARAMETERS + 1).contains("describes at most"));

    let levels = |count| {
        format!(
            "{TRIAGE}levels: [{}]\n",
            list(count, |n| format!("{{ level: l{n}, above: supervised }}"))
        )
    };
    let most = crate::gate::level::Ladder::MAX - 5;
    assert!(!refuses(
        &[PAYMENTS, &levels(most)],
        "a workflow has at most"
    ));
    assert!(refuses(
        &[PAYMENTS, &levels(most + 1)],
        "a workflow has at most"
    ));
}

#[test]
fn as_many_documents_are_read_as_the_bound_and_one_more_is_an_error() {
    // A file holds a thousand at most.
    let errors = |count: usize| {
        let numbers: Vec<_> = (0..count).collect();
        let text = |numbers: &[usize]| {
            let one = |text: String, n: &usize| text + &format!("---\napi: a{n}\n");
            numbers.iter().fold(String::new(), one)
        };
        let texts: Vec<_> = numbers.chunks(1_000).map(text).collect();
        let files = files(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let mut notes: Vec<_> = files.iter().map(Notes::on).collect();
        let (documents, _) = read(&files, &mut notes);
        assert_eq!(documents.len(), count);
        notes.into_iter().flat_map(Notes::into_found).count()
    };
    assert_eq!(errors(MAX_DOCUMENTS), 0);
    assert_eq!(errors(MAX_DOCUMENTS + 1), 1);
}

#[test]
fn every_bound_of_a_value_holds_at_its_end_and_not_past_it() {
    let listen = |count| {
        configuration::process_of(&format!(
            "listen: [{}]\n",
            list(count, |n| format!("127.0.0.1:{}", 9000 + n))
        ))
    };
    assert!(listen(listen::MAX_LISTEN).is_ok());
    assert!(listen(listen::MAX_LISTEN + 1).is_err());

    assert!(tool(&format!("timeout: {}h", 1)).is_empty());
    assert!(tool(&format!("body: {}B", api::MAX_BODY)).is_empty());
    assert!(!tool(&format!("body: {}B", api::MAX_BODY + 1)).is_empty());

    let grows =
        |times| format!("earn: [ {{ step: more, after: 30d, volume: x{times}, how: propose }} ]");
    let too_much = "expected a factor of at most";
    assert!(!workflow(&grows(earn::MAX_TIMES)).contains(too_much));
    assert!(workflow(&grows(earn::MAX_TIMES + 1)).contains(too_much));

    let checks = |weekly| format!("check: {{ min: {weekly}/week }}");
    assert_eq!(workflow(&checks(workflow::MOST_CHECKS)), "");
    assert!(workflow(&checks(workflow::MOST_CHECKS + 1)).contains("runs a week"));
    assert!(
        workflow("objective: { target: 99.999%, window: 90d, expected_runs: 1000000000 }")
            .is_empty()
    );
    assert!(workflow("objective: { target: 50%, window: 1d }").is_empty());
    assert!(refuses(
        &[
            PAYMENTS,
            &format!("{TRIAGE}objective: {{ target: 99.9991% }}")
        ],
        "`target`"
    ));
    assert!(refuses(
        &[PAYMENTS, &format!("{TRIAGE}objective: {{ window: 91d }}")],
        "`window`"
    ));
}

#[test]
fn a_fallback_is_an_upstream_for_reads() {
    let api = |tool: &str| {
        format!("api: a\nupstream: http://x\ntools:\n  - {{ tool: t, match: GET /t, {tool} }}\n")
    };
    let complaints = |tool: &str| lines(&[&api(tool), "workflow: w\nrisk: low\ntools: [a/t]\n"]);
    insta::assert_snapshot!(complaints("risk: read, fallback: 'https://copy.example/v1'"), @"");
    insta::assert_snapshot!(complaints("risk: low, fallback: 'https://copy.example'"), @"0.yaml:4:52: `fallback` is for read tools, and tool `a/t` has risk low [a call that changes something must not be done at a second place; drop `fallback`, or write `risk: read`]");
    insta::assert_snapshot!(complaints("risk: read, fallback: 'copy.example'"), @"0.yaml:4:53: `fallback`: expected an http or https URL, found `copy.example` [for example http://127.0.0.1:3000]");
    insta::assert_snapshot!(complaints("risk: read, fallback: 'http://x'"), @"0.yaml:4:53: `fallback` of tool `a/t` is the api's own upstream [name another one, or drop it]");
}
