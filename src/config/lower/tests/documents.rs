//! Files and documents: what is none, how it may be written, and what the version follows.

use super::*;

#[test]
fn files_without_a_policy_document_are_reported() {
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
