//! What policies mean where they leave something out, and slips that would do nothing.

use super::*;
use crate::gate::json::Json;
use crate::gate::policy::Tool;
use crate::gate::policy::schema::parameter::Form;

/// The tool with these additional keys.
fn lowered(keys: &str) -> Arc<Tool> {
    let keys = keys.replace('\n', "\n    ");
    let api = format!(
        "api: a\nupstream: http://x\ntools:\n  - tool: t\n    match: POST /t/{{id}}\n    risk: low\n    {keys}\n"
    );
    let loaded = loaded(&[&api, "workflow: w\nrisk: low\ntools: [a/t]\n"]);
    Arc::clone(&loaded.policies.apis["a"].tools[0])
}

fn query(schema: &str) -> String {
    format!("parameters: [{{ name: limit, in: query, schema: {schema} }}]")
}

#[test]
fn s64_a_parameter_s_schema_states_its_type() {
    insta::assert_snapshot!(tool(&query("{ maximum: 100 }")), @"0.yaml:7:52: `schema`: the type of parameter `limit` is not stated, and `5` is text as well as a number [for example `schema: { type: integer, maximum: 100 }`]");
    insta::assert_snapshot!(tool(&query("{ type: array, items: { maximum: 100 } }")), @"0.yaml:7:52: `schema`: the type of elements of parameter `limit` is not stated, and `5` is text as well as a number [for example `schema: { type: integer, maximum: 100 }`]");
    for untyped in [
        "{}",
        "{ pattern: '^A' }",
        "{ allOf: [{ minimum: 1 }] }",
        "{ anyOf: [{ type: integer }, { maximum: 1 }] }",
        "{ $ref: '#/$defs/n', $defs: { n: { maximum: 1 } } }",
    ] {
        assert!(tool(&query(untyped)).contains("is not stated"), "{untyped}");
    }
    for typed in [
        "{ type: integer, maximum: 100 }",
        "{ type: [integer, boolean] }",
        "{ enum: [a, b] }",
        "{ const: 5 }",
        "{ allOf: [{ minimum: 1 }, { type: integer }] }",
        "{ oneOf: [{ type: integer }, { enum: [all] }] }",
        "{ $ref: '#/$defs/n', $defs: { n: { type: integer } } }",
        "{ type: array }",
    ] {
        assert_eq!(tool(&query(typed)), "", "{typed}");
    }
}

#[test]
fn s65_a_keyword_that_does_nothing_is_an_error() {
    let object = |keys: &str| tool(&format!("arguments: {{ type: object, {keys} }}"));
    insta::assert_snapshot!(object("requierd: [a]"), @"0.yaml:7:16: `arguments`: `requierd` is no keyword of JSON Schema, so it does nothing [did you mean `required`?]");
    insta::assert_snapshot!(object("properties: { a: { type: number, maximun: 5 } }"), @"0.yaml:7:16: `arguments`: `maximun` at `/properties/a` is no keyword of JSON Schema, so it does nothing [did you mean `maximum`?]");
    insta::assert_snapshot!(object("additionalproperties: false"), @"0.yaml:7:16: `arguments`: `additionalproperties` is no keyword of JSON Schema, so it does nothing [did you mean `additionalProperties`?]");
    insta::assert_snapshot!(object("properties: { a/b: { type: string, nullable: true } }"), @r#"0.yaml:7:16: `arguments`: `nullable` at `/properties/a~1b` is no keyword of JSON Schema, so it does nothing [write `type: [string, "null"]` for text that may be null]"#);
    insta::assert_snapshot!(object("required: [ordr], properties: { order: { type: string } }, additionalProperties: false"), @"0.yaml:7:16: `arguments`: `required` names `ordr`, which `additionalProperties: false` forbids, so nothing fits [did you mean `order`?]");
    insta::assert_snapshot!(object("allOf: [{ colour: red }]"), @"0.yaml:7:16: `arguments`: `colour` at `/allOf/0` is no keyword of JSON Schema, so it does nothing [drop it; notes of your own begin with `x-`]");
    insta::assert_snapshot!(tool(&query("{ type: integer, maximun: 5 }")), @"0.yaml:7:52: `schema`: `maximun` is no keyword of JSON Schema, so it does nothing [did you mean `maximum`?]");
    // Names of members and values are no keywords.
    for fine in [
        "properties: { nullable: { type: string } }, required: [nullable]",
        "x-owner: billing, $comment: a note",
        "enum: [{ requierd: 1 }], default: { maximun: 1 }",
        "required: [a1], patternProperties: { '^a': { type: string } }, additionalProperties: false",
    ] {
        assert_eq!(object(fine), "", "{fine}");
    }
}

#[test]
fn s67_a_list_parameter_is_repeated_unless_it_says_otherwise() {
    let form = |keys: &str| lowered(keys).parameters[0].form;
    assert_eq!(form(&query("{ type: array }")), Form::Repeated);
    let referred = "{ $ref: '#/$defs/l', $defs: { l: { type: array } } }";
    assert_eq!(form(&query(referred)), Form::Repeated);
    assert_eq!(form(&query("{ type: string }")), Form::One);
    assert_eq!(
        form("parameters: [{ name: id, in: path, schema: { type: array } }]"),
        Form::Commas
    );
    assert_eq!(
        form("parameters: [{ name: tag, in: query, list: pipes, schema: { type: array } }]"),
        Form::Pipes
    );
}

#[test]
fn s69_an_upstream_or_fallback_that_is_the_gate_is_an_error() {
    let api = "api: a\nupstream: http://localhost:9901/v1\ntools:\n  - { tool: t, match: GET /t, risk: read, fallback: 'http://127.0.0.1:8080' }\n";
    insta::assert_snapshot!(lines(&[api, "workflow: w\nrisk: low\ntools: [a/t]\n"]), @"
    0.yaml:2:11: `upstream`: `http://localhost:9901/v1` is the gate's own address: `admin` is 127.0.0.1:9901 [write where the tool API listens, or let the gate listen elsewhere: `admin` in burngate.yaml]
    0.yaml:4:53: `fallback`: `http://127.0.0.1:8080` is the gate's own address: `listen` is 127.0.0.1:8080 [write where the tool API listens, or let the gate listen elsewhere: `listen` in burngate.yaml]
    ");
}

#[test]
fn s63_arguments_are_an_object_unless_the_schema_says_otherwise() {
    let object = || Json::Object(vec![("a".into(), Json::String("x".into()))]);
    let list = || Json::Array(vec![Json::Number("1"), Json::Number("2")]);
    let takes = |keys: &str, args: &Json<'_>| {
        let tool = lowered(keys);
        let schema = tool.arguments.as_ref().unwrap();
        schema.violations(Some(args)).is_empty()
    };
    for schema in [
        "{}",
        "{ properties: { a: { type: string } } }",
        "{ anyOf: [{ required: [a] }, { required: [b] }, { type: object }] }",
        "{ $ref: '#/$defs/o', $defs: { o: { required: [a] } } }",
    ] {
        let keys = format!("arguments: {schema}");
        assert!(takes(&keys, &object()), "{schema}");
        for other in [list(), Json::Null, Json::Number("5")] {
            assert!(!takes(&keys, &other), "{schema} {other:?}");
        }
        let tool = lowered(&keys);
        let none = tool.arguments.as_ref().unwrap().violations(None);
        assert_eq!(none[0].detail, "a JSON object is required", "{schema}");
    }
    for (schema, other) in [
        ("{ type: array }", list()),
        ("{ type: [object, 'null'] }", Json::Null),
        ("{ oneOf: [{ type: array }, { type: object }] }", list()),
        ("{ enum: [5] }", Json::Number("5")),
    ] {
        assert!(takes(&format!("arguments: {schema}"), &other), "{schema}");
    }
    let text = Json::String("x".into());
    assert!(takes("body: text\narguments: { maxLength: 9 }", &text));
}
