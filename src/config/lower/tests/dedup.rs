//! Rules about what was done: duplicates, reversals and limits.

use super::*;

/// `PAYMENTS` with these keys on its refund, and a charge that can be undone.
fn with_refund(keys: &str) -> String {
    let charge = "  - { tool: charge, match: POST /charges, risk: high, subject: args.order }\n  - { tool: ping, match: GET /ping, risk: read }\n";
    format!("{PAYMENTS}{keys}\n{charge}")
}

const ALL: &str = "
workflow: triage
risk: medium
tools: [payments/get_order, payments/refund, payments/charge, payments/ping]
";

#[test]
fn rules_about_what_was_done_mean_what_they_say() {
    use crate::gate::policy::dedup::{Per, Twice};
    let keys = "    duplicate: { key: [args.order, args.amount], within: 24h }
    reverses: { tool: charge, within: 7d }
    limits: [ { sum: args.amount, per: subject, within: 24h, hold_above: 1000, deny_above: 5000.5 }, { count: true, per: agent, within: 1h, deny_above: 10 } ]";
    let loaded = loaded(&[&with_refund(keys), ALL]);
    let tool = |name: &str| {
        loaded.policies.apis["payments"]
            .tools
            .iter()
            .find(|tool| tool.name.as_str() == name)
            .unwrap()
    };
    let rules = tool("payments/refund").dedup.as_ref().unwrap();
    let duplicate = rules.duplicate.as_ref().unwrap();
    assert_eq!(
        (
            duplicate.key.len(),
            duplicate.within,
            duplicate.verdict,
            duplicate.location.line
        ),
        (2, days(1), Twice::Deny, 19)
    );
    let limits: Vec<_> = rules
        .limits
        .iter()
        .map(|limit| (limit.counted(), limit.per, limit.location.line))
        .collect();
    assert_eq!(
        limits,
        [("args.amount", Per::Subject, 21), ("calls", Per::Agent, 21)]
    );
    assert_eq!(
        rules.limits[0]
            .deny_above
            .map(|bound| bound.to_string())
            .as_deref(),
        Some("5000.5")
    );
    // The other tool is told.
    assert_eq!(
        rules
            .reverses
            .as_ref()
            .map(|reverses| reverses.tool.as_str()),
        Some("payments/charge")
    );
    assert_eq!(
        tool("payments/charge")
            .dedup
            .as_ref()
            .unwrap()
            .reversed_within,
        Some(days(7))
    );
    assert!(tool("payments/ping").dedup.is_none());
    assert!(tool("payments/refund").reads_body());
    assert_eq!(loaded.warnings.render(false), "");
}

#[test]
fn what_is_wrong_with_rules_about_what_was_done_is_told_where_it_is() {
    for (keys, expected) in [
        (
            "    duplicate: { key: [], within: 24h }",
            "`key`: expected 1 to 16 expressions, found 0",
        ),
        ("    duplicate: { within: 24h }", "`duplicate` lacks `key`"),
        (
            "    duplicate: { key: [args.order] }",
            "`duplicate` lacks `within`",
        ),
        (
            "    duplicate: { key: [args.oder], within: 24h }",
            "`key` reads the argument `oder`, which the tool's schema does not allow",
        ),
        (
            "    duplicate: { key: [args.order], within: 500ms }",
            "`within`: expected a duration from 1s to 30d, found `500ms`",
        ),
        (
            "    duplicate: { key: [args.order], within: 31d }",
            "`within`: expected a duration from 1s to 30d, found `31d`",
        ),
        (
            "    reverses: { tool: charges, within: 7d }",
            "`reverses`: there is no tool `payments/charges`",
        ),
        (
            "    reverses: { tool: ping, within: 7d }",
            "`reverses`: `payments/ping` has no `subject`",
        ),
        (
            "    reverses: { tool: refund, within: 7d }",
            "`payments/refund` cannot undo itself",
        ),
        (
            "    limits: [ { sum: args.amount, per: subject, within: 24h } ]",
            "a limit needs `hold_above` or `deny_above`",
        ),
        (
            "    limits: [ { per: subject, within: 24h, deny_above: 5 } ]",
            "a limit needs one of `sum` and `count`",
        ),
        (
            "    limits: [ { sum: args.amount, count: true, per: agent, within: 24h, deny_above: 5 } ]",
            "a limit needs one of `sum` and `count`",
        ),
        (
            "    limits: [ { count: false, per: agent, within: 24h, deny_above: 5 } ]",
            "`count: false` has no effect",
        ),
        (
            "    limits: [ { count: true, within: 24h, deny_above: 5 } ]",
            "a limit lacks `per`",
        ),
        (
            "    limits: [ { count: true, per: agent, within: 24h, hold_above: 5, deny_above: 5 } ]",
            "`hold_above`: 5 is not below `deny_above`, which is 5",
        ),
        (
            "    limits: [ { count: true, per: agent, within: 24h, deny_above: -1 } ]",
            "`deny_above`: expected a number from 0 to 10^18",
        ),
        (
            "    limits: [ { count: true, per: agent, within: 24h, deny_above: 1e19 } ]",
            "`deny_above`: expected a number from 0 to 10^18",
        ),
    ] {
        let text = rendered(&[&with_refund(keys), ALL]);
        assert!(
            text.contains(expected) && text.contains("0.yaml:19:"),
            "{keys}\n{text}"
        );
    }
    let no_subject = with_refund("    limits: [ { count: true, per: subject, within: 1h, deny_above: 5 } ]\n    reverses: { tool: charge, within: 1h }")
        .replacen("    subject: args.order\n", "", 1);
    let text = rendered(&[&no_subject, ALL]);
    assert!(
        text.contains("a limit `per: subject` needs the tool's `subject`")
            && text.contains("`reverses` needs the `subject`"),
        "{text}"
    );
}

#[test]
fn a_key_and_a_tool_s_limits_are_full_at_their_bounds() {
    use crate::gate::policy::dedup::{MAX_LIMITS, MAX_PARTS};
    let key = |count| {
        let parts = list(count, |_| "args.order".to_owned());
        with_refund(&format!("    duplicate: {{ key: [{parts}], within: 24h }}"))
    };
    assert!(!refuses(&[&key(MAX_PARTS), ALL], "`key`: expected"));
    assert!(refuses(&[&key(MAX_PARTS + 1), ALL], "`key`: expected"));
    let limits = |count| {
        let limits = list(count, |n| {
            format!(
                "{{ count: true, per: agent, within: {}h, deny_above: 5 }}",
                n + 1
            )
        });
        with_refund(&format!("    limits: [ {limits} ]"))
    };
    let message = "`limits`: a tool has at most";
    assert!(!refuses(&[&limits(MAX_LIMITS), ALL], message));
    assert!(refuses(&[&limits(MAX_LIMITS + 1), ALL], message));
}
