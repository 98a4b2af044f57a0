//! Every policy that is shipped loads, and says what its comments promise.

use std::fs;
use std::path::Path;

use rstest::rstest;

use crate::harness::TestGate;

fn shipped() -> TestGate {
    let gate = TestGate::builder().prepare();
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for entry in fs::read_dir(policies).unwrap() {
        let entry = entry.unwrap();
        fs::copy(
            entry.path(),
            gate.home().join("policies").join(entry.file_name()),
        )
        .unwrap();
    }
    gate
}

#[test]
fn every_shipped_policy_loads_without_an_error_and_serves() {
    let mut gate = shipped();
    let checked = gate.cli(&["check", "--json"]);
    let page: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(
        (checked.status.code(), &page["errors"]),
        (Some(0), &0.into()),
        "{page}"
    );
    gate.start();
}

#[rstest]
#[case(
    "internal-summaries",
    "wiki/search",
    "GET /search?q=x",
    "",
    "",
    0,
    "allow"
)]
#[case(
    "internal-summaries",
    "wiki/save_summary",
    "",
    r#"{"title":"t","text":"x","sources":["a"]}"#,
    "",
    0,
    "allow"
)]
#[case(
    "internal-summaries",
    "wiki/save_summary",
    "",
    r#"{"title":"t","text":"x"}"#,
    "",
    3,
    "hold"
)]
#[case(
    "internal-summaries",
    "wiki/save_summary",
    "",
    r#"{"title":"t"}"#,
    "",
    3,
    "deny"
)]
#[case(
    "internal-summaries",
    "wiki/post_to_channel",
    "POST /channels/team/posts",
    r#"{"text":"x"}"#,
    "",
    0,
    "allow"
)]
#[case(
    "internal-summaries",
    "wiki/post_to_channel",
    "POST /channels/all-hands/posts",
    r#"{"text":"x"}"#,
    "",
    3,
    "deny"
)]
#[case(
    "internal-summaries",
    "wiki/post_to_channel",
    "POST /channels/team/posts",
    r#"{"text":"x"}"#,
    "supervised",
    3,
    "hold"
)]
#[case(
    "support-triage",
    "crm/get_ticket",
    "GET /tickets/1",
    "",
    "",
    0,
    "allow"
)]
#[case(
    "support-triage",
    "crm/reply",
    "",
    r#"{"text":"hello"}"#,
    "",
    0,
    "allow"
)]
#[case(
    "support-triage",
    "crm/reply",
    "",
    r#"{"text":"hello","promises_refund":true}"#,
    "",
    3,
    "hold"
)]
#[case(
    "support-triage",
    "crm/reply",
    "",
    r#"{"text":"hello"}"#,
    "supervised",
    3,
    "hold"
)]
#[case(
    "support-triage",
    "crm/update_customer",
    "",
    r#"{"plan":"team"}"#,
    "",
    3,
    "hold"
)]
#[case(
    "support-triage",
    "crm/update_customer",
    "",
    r#"{"status":"closed"}"#,
    "",
    3,
    "deny"
)]
#[case(
    "support-triage",
    "crm/sort_ticket",
    "",
    r#"{"category":"billing"}"#,
    "supervised",
    0,
    "allow"
)]
#[case(
    "support-triage",
    "crm/sort_ticket",
    "",
    r#"{"category":"billing"}"#,
    "read_only",
    3,
    "deny"
)]
#[case("payouts", "bank/get_account", "GET /accounts/1", "", "", 0, "allow")]
#[case(
    "payouts",
    "bank/create_payout",
    "",
    r#"{"invoice":"i","account":"a","amount":10,"currency":"EUR"}"#,
    "",
    3,
    "hold"
)]
#[case(
    "payouts",
    "bank/create_payout",
    "",
    r#"{"invoice":"i","account":"a","amount":10,"currency":"EUR"}"#,
    "autonomous",
    3,
    "hold"
)]
#[case(
    "payouts",
    "bank/create_payout",
    "",
    r#"{"invoice":"i","account":"a","amount":10001,"currency":"EUR"}"#,
    "",
    3,
    "deny"
)]
#[case(
    "payouts",
    "bank/create_payout",
    "",
    r#"{"invoice":"i","account":"a","amount":10,"currency":"CHF"}"#,
    "",
    3,
    "deny"
)]
#[case(
    "payouts",
    "bank/cancel_payout",
    "",
    r#"{"reason":"twice"}"#,
    "read_only",
    3,
    "deny"
)]
#[case(
    "payouts",
    "bank/open_case",
    "",
    r#"{"invoice":"i","reason":"odd"}"#,
    "",
    0,
    "allow"
)]
fn a_shipped_policy_says_what_it_promises(
    #[case] workflow: &str,
    #[case] tool: &str,
    #[case] request: &str,
    #[case] args: &str,
    #[case] at: &str,
    #[case] exit: i32,
    #[case] verdict: &str,
) {
    let gate = shipped();
    let mut arguments = vec!["explain", "--json", "--workflow", workflow, "--tool", tool];
    for (flag, value) in [("--request", request), ("--args", args), ("--at", at)] {
        if !value.is_empty() {
            arguments.extend([flag, value]);
        }
    }
    let said = gate.cli(&arguments);
    let page: serde_json::Value = serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)));
    assert_eq!(
        (said.status.code(), page["verdict"].as_str()),
        (Some(exit), Some(verdict)),
        "{page:#}"
    );
}
