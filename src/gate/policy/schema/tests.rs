//! Schemas: what they accept, what they tell an agent, and that no schema and no arguments make
//! them take long.

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn schema(source: Value) -> Schema {
    Schema::compile(source).unwrap()
}

fn refund() -> Schema {
    schema(json!({
        "type": "object", "required": ["order", "amount"], "additionalProperties": false,
        "properties": { "order": { "type": "string", "pattern": "^A-[0-9]+$", "maxLength": 8 }, "amount": { "type": "number", "minimum": 0, "maximum": 1000 } }
    }))
}

fn text(value: &str) -> Json<'_> {
    Json::String(value.into())
}

fn args<'a>(members: &[(&'a str, Json<'a>)]) -> Json<'a> {
    Json::Object(
        members
            .iter()
            .map(|(name, value)| (Cow::Borrowed(*name), value.clone()))
            .collect(),
    )
}

fn violations_of(schema: &Schema, args: &Json<'_>) -> Vec<(String, String)> {
    schema
        .violations(Some(args))
        .into_iter()
        .map(|violation| (violation.pointer, violation.detail))
        .collect()
}

#[test]
fn arguments_that_satisfy_it_have_no_violations() {
    for amount in [
        "500",
        "500.0",
        "5e2",
        "0",
        "-0",
        "1000",
        "0.30000000000000004",
    ] {
        assert_eq!(
            refund().violations(Some(&args(&[
                ("order", text("A-1")),
                ("amount", Json::Number(amount))
            ]))),
            [],
            "{amount}"
        );
    }
}

#[test]
fn a_violation_says_what_to_do() {
    let good = || ("amount", Json::Number("5"));
    let table = [
        (
            args(&[("order", text("A-1")), ("amount", text("5"))]),
            "/amount",
            "must be a number, but is a string",
        ),
        (args(&[good()]), "/order", "is required"),
        (
            args(&[("order", text("A-1")), ("amount", Json::Number("-1"))]),
            "/amount",
            "must be at least 0",
        ),
        (
            args(&[("order", text("A-1")), ("amount", Json::Number("1000.01"))]),
            "/amount",
            "must be at most 1000",
        ),
        (
            args(&[("order", text("secret")), good()]),
            "/order",
            "must match the pattern ^A-[0-9]+$",
        ),
        (
            args(&[("order", text("A-12345678")), good()]),
            "/order",
            "must have at most 8 characters",
        ),
        (
            args(&[("order", text("A-1")), good(), ("note", text("x"))]),
            "",
            "`note` is not an argument of this tool; allowed are amount, order",
        ),
        (
            args(&[
                ("order", text("A-1")),
                good(),
                ("a", Json::Null),
                ("b", Json::Null),
            ]),
            "",
            "`a`, `b` are not arguments of this tool; allowed are amount, order",
        ),
        (Json::Array(vec![]), "", "must be an object, but is a list"),
        (
            args(&[("order", text("A-1")), ("amount", Json::Number("1e400"))]),
            "/amount",
            "has more digits, or a larger exponent, than can be judged exactly",
        ),
    ];
    for (args, pointer, detail) in table {
        assert_eq!(
            violations_of(&refund(), &args),
            [(pointer.to_owned(), detail.to_owned())],
            "{args:?}"
        );
    }
    assert_eq!(
        refund().violations(None),
        [Violation {
            pointer: String::new(),
            detail: "a JSON object is required".to_owned()
        }]
    );
    assert_eq!(schema(json!({})).violations(None), []);
}

#[test]
fn every_keyword_has_a_sentence_without_the_value() {
    let canary = "cafe-4711";
    let table = [
        (
            json!({"enum": ["EUR", "USD"]}),
            "must be one of \"EUR\", \"USD\"",
        ),
        (json!({"const": 1}), "must be 1"),
        (
            json!({"minLength": 100}),
            "must have at least 100 characters",
        ),
        (
            json!({"type": ["integer", "null"]}),
            "must be null or an integer, but is a string",
        ),
        (
            json!({"anyOf": [{"type": "number"}, {"type": "null"}]}),
            "must be a number, but is a string",
        ),
        (
            json!({"anyOf": [{"type": "number"}, {"type": "boolean"}]}),
            "must be one of the forms that the schema lists, and is none of them",
        ),
        (
            json!({"oneOf": [{"type": "number"}]}),
            "must be one of the forms that the schema lists, and is none of them",
        ),
        (
            json!({"oneOf": [{"type": "string"}, true]}),
            "must be exactly one of the forms that the schema lists, and is more than one",
        ),
        (json!({"not": {"type": "string"}}), "is not allowed here"),
        (json!(false), "is not allowed here"),
    ];
    for (source, detail) in table {
        let found = violations_of(&schema(source), &text(canary));
        assert_eq!(found, [(String::new(), detail.to_owned())]);
    }
    let list = Json::Array(vec![text(canary), text(canary)]);
    for source in [
        json!({"uniqueItems": true}),
        json!({"maxItems": 1}),
        json!({"minItems": 3}),
        json!({"contains": {"type": "null"}}),
        json!({"items": {"format": "x", "type": "null"}}),
    ] {
        let found = violations_of(&schema(source.clone()), &list);
        assert!(
            !found.is_empty() && found.iter().all(|(_, detail)| !detail.contains(canary)),
            "{source}: {found:?}"
        );
    }
    let object = args(&[("k", text(canary))]);
    for source in [
        json!({"propertyNames": {"maxLength": 0}}),
        json!({"minProperties": 2}),
        json!({"unevaluatedProperties": false}),
        json!({"dependentRequired": {"k": ["l"]}}),
    ] {
        let found = violations_of(&schema(source.clone()), &object);
        assert!(
            !found.is_empty() && found.iter().all(|(_, detail)| !detail.contains(canary)),
            "{source}: {found:?}"
        );
    }
}

#[test]
fn of_several_forms_the_one_that_is_meant_is_explained() {
    let form = json!({ "type": "object", "required": ["order"], "additionalProperties": false, "properties": { "order": { "type": "string" }, "amount": {} } });
    let slip = args(&[("order", text("A-1")), ("amuont", Json::Null)]);
    let violation = (String::new(), "`amuont` is not an argument of this tool (did you mean `amount`?); allowed are amount, order".to_owned());
    let nothing_or = json!({ "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/form" }], "$defs": { "form": form } });
    for source in [
        form.clone(),
        json!({ "oneOf": [{ "type": "string" }, form] }),
        nothing_or,
    ] {
        let found = violations_of(&schema(source.clone()), &slip);
        assert_eq!(found.len(), 1, "{source}");
        assert!(
            found[0]
                .1
                .starts_with("`amuont` is not an argument of this tool"),
            "{source}: {found:?}"
        );
    }
    assert_eq!(violations_of(&schema(form.clone()), &slip), [violation]);
    assert_eq!(
        violations_of(
            &schema(json!({ "anyOf": [{ "type": "null" }, form] })),
            &args(&[])
        ),
        [("/order".to_owned(), "is required".to_owned())]
    );
}

#[test]
fn no_more_violations_are_reported_than_the_maximum() {
    let strings = schema(json!({"items": {"type": "string"}}));
    let list = |count: usize| Json::Array(vec![Json::Null; count]);
    assert_eq!(
        strings.violations(Some(&list(MAX_VIOLATIONS))).len(),
        MAX_VIOLATIONS
    );
    assert_eq!(
        strings.violations(Some(&list(MAX_VIOLATIONS + 1))).len(),
        MAX_VIOLATIONS
    );
}

#[test]
fn a_schema_that_cannot_be_used_is_refused() {
    let doubling: Map<String, Value> = (0..20)
        .map(|n| (format!("d{n}"), json!({"allOf": [{"$ref": format!("#/$defs/d{}", n + 1)}, {"$ref": format!("#/$defs/d{}", n + 1)}]})))
        .chain([("d20".to_owned(), json!({}))])
        .collect();
    let table = [
        (
            json!({"$ref": "https://example.com/x.json"}),
            "nothing is fetched",
        ),
        (
            json!({"properties": {"a": {"$ref": "other.json#/x"}}}),
            "nothing is fetched",
        ),
        (json!({"$ref": "file:///etc/passwd"}), "nothing is fetched"),
        (
            json!({"$ref": "#/$defs/none"}),
            "which this schema does not have",
        ),
        (json!({"$dynamicRef": "#x"}), "write a `$ref`"),
        (
            json!({"properties": {"a": {"$id": "https://example.com/a"}}}),
            "an `$id` below the root",
        ),
        (
            json!({"$schema": "https://example.com/mine"}),
            "is not known here",
        ),
        (json!({"type": "strin"}), "`/type` of the schema"),
        (
            json!({"required": "a"}),
            "`/required` of the schema must be a list, but is a string",
        ),
        (
            json!({"properties": {"a": {"minimum": "0"}}}),
            "`/properties/a/minimum` of the schema must be a number, but is a string",
        ),
        (json!({"pattern": "(?=a)b"}), "linear time"),
        (json!({"pattern": "("}), ""),
        (json!({"pattern": "(a{1000}){1000}"}), ""),
        (json!(5), ""),
        (json!({"$ref": "#"}), "leads back to itself"),
        (
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}),
            "leads back to itself",
        ),
        (
            json!({"$defs": doubling, "$ref": "#/$defs/d0"}),
            "inside one another",
        ),
    ];
    for (source, expected) in table {
        let error = Schema::compile(source.clone()).unwrap_err();
        assert!(
            error.contains(expected) && error.len() < 400,
            "{source}: {error}"
        );
    }
}

#[test]
fn a_schema_is_full_at_its_maxima() {
    let nested = |depth: usize| (0..depth).fold(json!({}), |inner, _| json!({"not": inner}));
    assert!(Schema::compile(nested(bounds::MAX_IN_PLACE)).is_ok());
    assert!(
        Schema::compile(nested(bounds::MAX_IN_PLACE + 1))
            .unwrap_err()
            .contains("inside one another")
    );
    let wide = |count: usize| json!({"properties": (0..count).map(|n| (n.to_string(), json!({"type": "null"}))).collect::<Map<_, _>>()});
    assert!(bounds::check(&wide(bounds::MAX_EXPANDED - 1)).is_ok());
    assert!(
        bounds::check(&wide(bounds::MAX_EXPANDED))
            .unwrap_err()
            .contains("expands to more than")
    );
    let deep = |depth: usize| {
        let nested = (2..depth).fold(json!([]), |inner, _| json!([inner]));
        json!({ "default": nested })
    };
    assert!(bounds::check(&deep(bounds::MAX_SCHEMA_DEPTH)).is_ok());
    assert!(
        bounds::check(&deep(bounds::MAX_SCHEMA_DEPTH + 1))
            .unwrap_err()
            .contains("nests deeper")
    );
}

#[test]
fn a_pattern_compiles_to_no_more_memory_than_the_bound() {
    let of = |count: usize| format!("a{{{count}}}");
    let fits = |count: usize| {
        let mut builder = regex::RegexBuilder::new(&of(count));
        builder.size_limit(MAX_PATTERN).build().is_ok()
    };
    let largest = (1..100_000)
        .collect::<Vec<_>>()
        .partition_point(|count| fits(*count));
    assert!(Schema::compile(json!({ "pattern": of(largest) })).is_ok());
    assert!(Schema::compile(json!({ "pattern": of(largest + 1) })).is_err());
}

#[test]
fn a_schema_that_comes_back_to_itself_is_bounded_only_where_it_doubles() {
    let tree = json!({"$defs": {"f": {"properties": {"and": {"items": {"$ref": "#/$defs/f"}}, "or": {"items": {"$ref": "#/$defs/f"}}, "not": {"$ref": "#/$defs/f"}}}}, "$ref": "#/$defs/f"});
    assert_eq!(bounds::check(&tree), Ok(None));
    let twice = json!({"allOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]});
    assert_eq!(bounds::check(&twice), Ok(Some(13)));
    let nested =
        |depth: usize| (1..depth).fold(Json::Array(vec![]), |inner, _| Json::Array(vec![inner]));
    let (tree, twice) = (schema(tree), schema(twice));
    assert_eq!(tree.violations(Some(&nested(120))), []);
    assert_eq!(twice.violations(Some(&nested(13))), []);
    assert_eq!(
        violations_of(&twice, &nested(14)),
        [(
            String::new(),
            "must not nest deeper than 13 levels".to_owned()
        )]
    );
}

#[test]
fn a_pattern_matches_in_linear_time() {
    let evil = schema(json!({"pattern": "^(a+)+$"}));
    let long = format!("{}b", "a".repeat(100_000));
    let started = std::time::Instant::now();
    assert_eq!(evil.violations(Some(&text(&long))).len(), 1);
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn a_number_is_converted_exactly_or_not_at_all() {
    let table = [
        (
            "18446744073709551615",
            Some(json!(18_446_744_073_709_551_615_u64)),
        ),
        ("-9223372036854775808", Some(json!(i64::MIN))),
        ("9007199254740993", Some(json!(9_007_199_254_740_993_i64))),
        ("5e2", Some(json!(500))),
        ("500.0", Some(json!(500))),
        ("-0", Some(json!(0))),
        ("-0.0", Some(json!(0))),
        ("0.1", Some(json!(0.1))),
        ("1e300", Some(json!(1e300))),
        ("12345678901234567890123", None),
        ("9007199254740993.0", None),
        ("1e400", None),
        ("-1e-400", None),
    ];
    for (written, expected) in table {
        assert_eq!(value_of(&Json::Number(written)).ok(), expected, "{written}");
    }
    let inner = args(&[("a/b", Json::Array(vec![Json::Null, Json::Number("1e999")]))]);
    assert_eq!(value_of(&inner), Err("/a~1b/1".to_owned()));
}

proptest! {
    #[test]
    fn the_spelling_of_a_number_changes_nothing(number in -2_000_i64..2_000) {
        let spelled = [format!("{number}"), format!("{number}.0"), format!("{number}e0"), format!("{number}0E-1")];
        for source in [json!({"type": "integer", "minimum": -100}), json!({"enum": [number]}), json!({"const": number + 1}), json!({"multipleOf": 7}), json!({"maximum": 500.5})] {
            let schema = schema(source);
            let verdicts = spelled.each_ref().map(|spelled| schema.violations(Some(&Json::Number(spelled))));
            prop_assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }

    #[test]
    fn any_schema_is_compiled_or_refused(keyword in prop::sample::select(vec!["type", "$ref", "items", "properties", "allOf", "pattern", "enum", "required", "minimum", "$defs", "$schema", "format", "not"]), value in any_value()) {
        if let Ok(schema) = Schema::compile(json!({keyword: value})) {
            let _ = schema.violations(Some(&args(&[("a", Json::Number("1")), ("b", Json::Array(vec![text("x")]))])));
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        (-3_i64..3).prop_map(|n| json!(n)),
        "[#/a-c$(){}*+]{0,6}".prop_map(|s| json!(s))
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let names = prop::sample::select(vec![
            "type",
            "$ref",
            "items",
            "properties",
            "anyOf",
            "pattern",
            "a",
            "b",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| json!(list)),
            prop::collection::vec((names, inner), 0..3).prop_map(|members| Value::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            )),
        ]
    })
}

/// What a schema says of arguments in place and of a copy of them.
fn both(schema: &Schema, args: &Json<'_>) -> (bool, bool) {
    (
        schema.in_place.is_valid(args),
        schema.validator.is_valid(&value_of(args).unwrap()),
    )
}

fn any_json() -> impl Strategy<Value = Json<'static>> {
    let numbers = [
        "0",
        "-0",
        "1",
        "1.0",
        "1e2",
        "100",
        "-7",
        "0.5",
        "1.50",
        "18446744073709551615",
        "9007199254740993",
        "1e300",
    ];
    let names = || {
        proptest::sample::select(vec![
            "a",
            "b",
            "order",
            "amount",
            "",
            "A-1",
            "\u{e9}\u{1f600}",
            "x/y~z",
        ])
    };
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        proptest::sample::select(numbers.to_vec()).prop_map(Json::Number),
        names().prop_map(|name| Json::String(name.into())),
        names().prop_map(|name| Json::String(name.to_owned().into())),
    ];
    leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            proptest::collection::btree_map(names(), inner, 0..5).prop_map(|members| Json::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (Cow::Borrowed(name), value))
                    .collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn arguments_in_place_are_judged_as_their_copy_is(args in any_json()) {
        let schemas = [
            json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "integer" } }, "additionalProperties": { "type": ["string", "null"] } }),
            json!({ "properties": { "a": { "$ref": "#" }, "order": { "minLength": 1, "maxLength": 2, "pattern": "^A|." } }, "minProperties": 1, "maxProperties": 3 }),
            json!({ "patternProperties": { "^.$": { "type": ["number", "array"] } }, "propertyNames": { "maxLength": 3 } }),
            json!({ "enum": [null, 1, 100, "a", "A-1", [], [1], { "a": 1 }, { "a": [true] }] }),
            json!({ "const": { "a": 1.0, "b": [0.5] } }),
            json!({ "type": "array", "uniqueItems": true, "items": { "type": ["integer", "string"] }, "contains": { "const": 1 }, "minItems": 1, "maxItems": 3 }),
            json!({ "minimum": 0, "exclusiveMaximum": 100, "multipleOf": 0.5 }),
            json!({ "oneOf": [{ "type": "integer" }, { "type": "number", "minimum": 1 }, { "type": "object", "unevaluatedProperties": false }] }),
            json!({ "if": { "type": "object" }, "then": { "dependentRequired": { "a": ["b"] } }, "else": { "not": { "type": "string" } } }),
            json!({ "type": "array", "prefixItems": [{ "type": "string" }], "items": false }),
        ];
        for source in schemas {
            let (in_place, copy) = both(&schema(source.clone()), &args);
            prop_assert_eq!(in_place, copy, "{} of {:?}", source, args);
        }
    }
}

#[test]
fn an_object_of_very_many_members_is_judged_all_the_same() {
    let names: Vec<String> = (0..=MAX_IN_PLACE_MEMBERS)
        .map(|number| format!("m{number}"))
        .collect();
    let object = |count: usize| {
        Json::Object(
            names
                .iter()
                .take(count)
                .map(|name| (Cow::Borrowed(name.as_str()), Json::Number("1")))
                .collect(),
        )
    };
    let schema = schema(
        json!({ "type": "object", "additionalProperties": { "type": "integer" }, "maxProperties": MAX_IN_PLACE_MEMBERS + 1 }),
    );
    for count in [MAX_IN_PLACE_MEMBERS, MAX_IN_PLACE_MEMBERS + 1] {
        assert_eq!(
            is_plain(&object(count), usize::MAX),
            count <= MAX_IN_PLACE_MEMBERS
        );
        assert_eq!(schema.violations(Some(&object(count))), []);
    }
}
