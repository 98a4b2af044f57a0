//! What is said of the tools of an API.

use super::*;

#[test]
fn a_tool_s_mistakes() {
    insta::assert_snapshot!(tool("always: allow"), @"0.yaml:7:13: `always: allow` has no effect: `always` can only make a verdict stricter [write `hold` or `deny`; to allow more, change the tool's `risk` or a level]");
    insta::assert_snapshot!(tool("timeout: 2h"), @"0.yaml:7:14: `timeout`: expected a duration from 1ms to 1h, found `2h` []");
    insta::assert_snapshot!(tool("size: 2GiB"), @"0.yaml:7:11: `size`: expected a size from 1B to 1GiB, found `2GiB` []");
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
