//! Conditions that a schema keeps from ever holding.

use serde_json::json;

use super::compile;

fn schema() -> serde_json::Value {
    json!({
        "type": "object", "required": ["order", "amount"], "additionalProperties": false,
        "properties": {
            "order": { "type": "string" }, "amount": { "type": "number", "minimum": 0, "maximum": 1000 }, "below": { "type": "number", "exclusiveMaximum": 10 },
            "currency": { "enum": ["EUR", "USD"] }, "kind": { "const": "refund" }, "force": { "type": "boolean" }, "never": { "const": false },
            "nested": { "type": "object", "properties": { "n": { "type": "integer", "minimum": 5 } }, "additionalProperties": false },
            "ref": { "$ref": "#/$defs/x", "maximum": 1 }, "maybe": { "type": ["string", "null"] }
        }
    })
}

#[test]
fn a_rule_that_the_schema_makes_dead_is_found() {
    let table = [
        (
            "args.amount > 5000.0",
            "args.amount is at most 1000 by the schema, so `args.amount > 5000.0` can never match",
        ),
        (
            "args.amount > 1000",
            "args.amount is at most 1000 by the schema, so `args.amount > 1000` can never match",
        ),
        (
            "5000 < args.amount",
            "args.amount is at most 1000 by the schema, so `5000 < args.amount` can never match",
        ),
        (
            "!(args.amount <= 5000)",
            "args.amount is at most 1000 by the schema, so `!(args.amount <= 5000)` can never match",
        ),
        (
            "args.amount < 0",
            "args.amount is at least 0 by the schema, so `args.amount < 0` can never match",
        ),
        (
            "args.amount == -5",
            "args.amount is at least 0 by the schema",
        ),
        ("args.below >= 10", "args.below is below 10 by the schema"),
        (
            "args.amount > 900 && args.order == 'x' && args.amount >= 1001",
            "args.amount is at most 1000",
        ),
        ("args.amount > '5'", "args.amount is number by the schema"),
        ("args.order > 5", "args.order is string by the schema"),
        (
            "args.currency == 'GBP'",
            "args.currency is one of \"EUR\", \"USD\" by the schema, so `args.currency == \"GBP\"` can never match",
        ),
        ("args.currency in ['GBP', 'CHF']", "args.currency is one of"),
        (
            "args.kind != 'refund'",
            "args.kind is always that by the schema",
        ),
        ("args.never", "args.never is one of false by the schema"),
        ("args.order", "args.order is string by the schema"),
        (
            "args.total > 5",
            "the schema allows no args.total, so `args.total > 5` can never match",
        ),
        ("has(args.total)", "the schema allows no args.total"),
        (
            "!has(args.amount)",
            "the schema requires args.amount, so `!(has(args.amount))` can never match",
        ),
        (
            "args.nested.n < 5",
            "args.nested.n is at least 5 by the schema",
        ),
        ("args.nested.m == 1", "the schema allows no args.nested.m"),
        (
            "args.amount > 2000 || args.order == 5",
            "args.amount is at most 1000",
        ),
        (
            "args.force && args.amount > 2000",
            "args.amount is at most 1000",
        ),
        (
            "args.maybe == 5",
            "args.maybe is string or null by the schema",
        ),
    ];
    for (source, expected) in table {
        let found = compile(source).never_holds_given(&schema());
        assert!(
            found
                .as_ref()
                .is_some_and(|found| found.starts_with(expected)),
            "{source}: {found:?}"
        );
    }
}

#[test]
fn a_rule_that_can_hold_is_left_alone() {
    for alive in [
        "args.amount > 500",
        "args.amount >= 1000",
        "args.amount == 0",
        "args.below > 9.999",
        "args.currency == 'EUR'",
        "args.currency != 'EUR'",
        "args.currency in ['GBP', 'USD']",
        "args.kind == 'refund'",
        "args.force",
        "!args.force",
        "!args.never",
        "!has(args.force)",
        "args.ref > 5",
        "args.maybe == null",
        "args.amount > 2000 || args.order == 'x'",
        "args.amount * 2 > 5000",
        "args.amount != 5000",
        "args.amount > 500 && args.amount < 600",
        "args.nested.n == 5",
    ] {
        assert_eq!(compile(alive).never_holds_given(&schema()), None, "{alive}");
    }
}
