//! Properties of any source and any arguments.

use proptest::prelude::*;
use serde_json::json;

use super::super::*;
use super::{compile, with};

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        ".{0,8}".prop_map(|s| json!(s))
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|list| json!(list)),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn any_expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "args(\\.[a-d]){0,2}",
        Just("1".to_owned()),
        Just("-2.5".to_owned()),
        Just("'a'".to_owned()),
        Just("null".to_owned()),
        Just("[1, 'a']".to_owned()),
        Just("{'a': 1}".to_owned()),
        Just("header['x-ticket']".to_owned()),
        Just("run.calls".to_owned()),
    ];
    leaf.prop_recursive(4, 20, 2, |inner| {
        let operator = prop::sample::select(vec![
            "&&", "||", "==", "!=", "<", ">=", "+", "-", "*", "/", "%", "in",
        ]);
        let function = prop::sample::select(vec!["size", "int", "double", "string", "!", "-"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a} {o} {b})")),
            (function, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (
                inner.clone(),
                prop::sample::select(vec!["all", "exists", "map", "filter"]),
                inner
            )
                .prop_map(|(a, m, b)| format!("{a}.{m}(x, {b} == x)")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_compiled_or_refused(source in "[ -~]{0,80}") {
        let compiled = Condition::compile(&source, ConditionScope::Request);
        prop_assert!(compiled.map_or_else(|bad| bad.offset <= source.len() && source.is_char_boundary(bad.offset), |_| true));
    }

    #[test]
    fn any_unicode_is_compiled_or_refused(source in ".{0,40}") {
        let compiled = Condition::compile(&source, ConditionScope::Request);
        prop_assert!(compiled.map_or_else(|bad| bad.offset <= source.len() && source.is_char_boundary(bad.offset), |_| true));
    }

    #[test]
    fn any_arguments_are_judged_or_not_but_never_panic(source in any_expression(), args in any_json()) {
        if let Ok(condition) = Condition::compile(&source, ConditionScope::Request) {
            let text = args.to_string();
            with(Some(&text), false, |facts| { let _ = (condition.holds(facts), condition.text(facts)); });
            let _ = condition.never_holds_given(&json!({"type": "object", "properties": {"a": args}}));
        }
    }

    #[test]
    fn the_spelling_of_a_number_changes_nothing(number in -2_000_i64..2_000, limit in -2_000_i64..2_000) {
        let condition = compile(&format!("args.a > {limit} || args.a == {limit}.0 || args.a in [{limit}]"));
        for spelled in [format!("{number}"), format!("{number}.0"), format!("{number}e0"), format!("{}E-1", number * 10)] {
            let held = with(Some(&format!(r#"{{"a": {spelled}}}"#)), false, |facts| condition.holds(facts));
            prop_assert_eq!(held, Ok(number >= limit));
        }
    }

    #[test]
    fn what_is_called_dead_never_holds(low in -5_i64..5, high in -5_i64..5, limit in -6_i64..6, value in -6_i64..6, how in prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]), negated: bool) {
        let test = format!("args.a {how} {limit}");
        let condition = compile(&if negated { format!("!({test})") } else { test });
        let schema = json!({"properties": {"a": {"minimum": low, "exclusiveMaximum": high}}});
        if value >= low && value < high && condition.never_holds_given(&schema).is_some() {
            let held = with(Some(&format!(r#"{{"a": {value}}}"#)), false, |facts| condition.holds(facts));
            prop_assert_eq!(held, Ok(false));
        }
    }
}
