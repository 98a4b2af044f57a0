//! Documents: what they say of calls, what is said of broken ones, and that none of them makes the
//! reader panic.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::pointer_index::PointerIndex;
use super::schema::Dialect;
use super::*;
use crate::config::diagnostics::SourceFile;
use crate::gate::json::Json;

const HEAD: &str = "openapi: 3.0.3\ninfo: { title: Shop, version: '1' }\n";

fn file(text: &str) -> SourceFile {
    SourceFile::new("shop.openapi.yaml", text)
}

/// The schema of the only operation's body.
fn body(version: &str, schema: &Value, components: &Value) -> Value {
    described(version, schema, components)
        .unwrap()
        .arguments
        .map_or(Value::Null, |schema| schema.source().clone())
}

fn described(version: &str, schema: &Value, components: &Value) -> Result<Described, String> {
    let document = json!({
        "openapi": version,
        "paths": { "/orders": { "post": { "requestBody": { "required": true, "content": { "application/json": { "schema": schema } } } } } },
        "components": { "schemas": components },
    });
    let file = SourceFile::new("shop.json", document.to_string());
    let document = OpenApiDocument::read(&file).map_err(|fault| fault.message)?;
    let operation = document.operations()[0].clone();
    document
        .described(&operation, &[])
        .map_err(|fault| format!("{}: {} [{}]", fault.pointer, fault.message, fault.hint))
}

#[test]
fn operations_are_found_by_name_and_by_template() {
    let text = format!(
        "{HEAD}servers: [{{ url: 'https://api.example/v1/' }}]
paths:
  /orders/{{order-id}}:
    get: {{ operationId: getOrder }}
  /orders/{{order-id}}/lines/{{line}}.json:
    delete: {{ summary: Remove }}
  /shared: {{ $ref: '#/components/pathItems/shared~1one' }}
components:
  pathItems:
    shared/one: {{ post: {{ operationId: share }} }}
"
    );
    let file = file(&text);
    let document = OpenApiDocument::read(&file).unwrap();
    assert_eq!(document.operations().len(), 3);
    assert_eq!(document.by_id("share").unwrap().path, "/shared");
    let (operation, names) = document.by_template("GET /orders/{order}").unwrap();
    assert_eq!(
        (operation.id.as_deref(), names),
        (
            Some("getOrder"),
            vec![("order-id".to_owned(), "order".to_owned())]
        )
    );
    assert!(
        document.by_template("GET /v1/orders/{order}").is_some(),
        "below the server's path"
    );
    for other in [
        "POST /orders/{order}",
        "GET /orders/A-1",
        "GET /orders/{rest...}",
        "GET /orders",
        "GET /v2/orders/{order}",
        "nonsense",
    ] {
        assert!(document.by_template(other).is_none(), "{other}");
    }
    let templates: Vec<_> = document
        .operations()
        .iter()
        .map(|operation| template(operation, "/v1"))
        .collect();
    assert!(
        templates.contains(&"GET /v1/orders/{order_id}".to_owned())
            && templates.contains(&"DELETE /v1/orders/{order_id}/lines/{line}".to_owned())
    );
}

#[test]
fn what_3_0_writes_otherwise_means_the_same_in_json_schema() {
    let converted = |schema: Value| body("3.0.3", &schema, &json!({ "Pet": { "type": "object" } }));
    let table = [
        (
            json!({ "type": "string", "nullable": true }),
            json!({ "type": ["string", "null"] }),
        ),
        (
            json!({ "type": "string", "nullable": true, "enum": ["a"] }),
            json!({ "type": ["string", "null"], "enum": ["a", null] }),
        ),
        (
            json!({ "type": "number", "minimum": 0, "exclusiveMinimum": true }),
            json!({ "type": "number", "exclusiveMinimum": 0 }),
        ),
        (
            json!({ "type": "number", "maximum": 5, "exclusiveMaximum": false }),
            json!({ "type": "number", "maximum": 5 }),
        ),
        (
            json!({ "nullable": true, "allOf": [{ "$ref": "#/components/schemas/Pet" }] }),
            json!({ "anyOf": [{ "type": "null" }, { "allOf": [{ "$ref": "#/$defs/Pet" }] }], "$defs": { "Pet": { "type": "object" } } }),
        ),
        // Words for people, and what only answers have.
        (
            json!({ "type": "object", "description": "x", "example": { "a": 1 }, "discriminator": { "propertyName": "kind" }, "x-internal": true,
                "required": ["id", "name"], "properties": { "id": { "type": "integer", "readOnly": true }, "name": { "type": "string", "title": "Name" } } }),
            json!({ "type": "object", "required": ["name"], "properties": { "id": { "type": "integer" }, "name": { "type": "string" } } }),
        ),
        // A property may be called like a keyword.
        (
            json!({ "type": "object", "properties": { "example": { "type": "string" }, "$ref": { "type": "string" } } }),
            json!({ "type": "object", "properties": { "example": { "type": "string" }, "$ref": { "type": "string" } } }),
        ),
        // Beside a reference, 3.0 reads nothing.
        (
            json!({ "$ref": "#/components/schemas/Pet", "required": ["x"] }),
            json!({ "type": "object" }),
        ),
    ];
    for (written, expected) in table {
        assert_eq!(converted(written.clone()), expected, "{written}");
    }
}

#[test]
fn what_3_1_writes_is_json_schema() {
    let pet = || json!({ "Pet": { "type": "object" } });
    let schema = json!({ "type": ["string", "null"], "exclusiveMinimum": 3, "const": "a", "examples": ["b"] });
    assert_eq!(
        body("3.1.0", &schema, &pet()),
        json!({ "type": ["string", "null"], "exclusiveMinimum": 3, "const": "a" })
    );
    let beside = json!({ "$ref": "#/components/schemas/Pet", "required": ["x"] });
    assert_eq!(
        body("3.1.0", &beside, &pet()),
        json!({ "$ref": "#/$defs/Pet", "required": ["x"], "$defs": { "Pet": { "type": "object" } } })
    );
    // A number there, as 3.0 has it: the engine says so.
    let found = described("3.1.0", &json!({ "type": "object", "properties": { "n": { "minimum": 1, "exclusiveMinimum": true } } }), &pet()).unwrap_err();
    assert!(found.starts_with("/paths/~1orders/post/requestBody/content/application~1json/schema/properties/n/exclusiveMinimum: "), "{found}");
}

#[test]
fn cycles_judge_as_deep_as_the_arguments_go() {
    let node = json!({ "YamlNode": { "type": "object", "required": ["name"], "properties": {
        "name": { "type": "string" }, "children": { "type": "array", "items": { "$ref": "#/components/schemas/YamlNode" } } } } });
    for version in ["3.0.0", "3.1.0"] {
        let schema = described(
            version,
            &json!({ "$ref": "#/components/schemas/YamlNode" }),
            &node,
        )
        .unwrap()
        .arguments
        .unwrap();
        let text = |name: &'static str| Json::String(name.into());
        let leaf = Json::Object(vec![("name".into(), Json::Number("5"))]);
        let inner = Json::Object(vec![
            ("name".into(), text("b")),
            ("children".into(), Json::Array(vec![leaf])),
        ]);
        let outer = Json::Object(vec![
            ("name".into(), text("a")),
            ("children".into(), Json::Array(vec![inner])),
        ]);
        let violations = schema.violations(Some(&outer));
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].pointer, "/children/0/children/0/name");
    }
    // One that never reaches a part of the arguments is none.
    let endless = json!({ "A": { "allOf": [{ "$ref": "#/components/schemas/B" }] }, "B": { "allOf": [{ "$ref": "#/components/schemas/A" }] } });
    assert!(
        described(
            "3.1.0",
            &json!({ "$ref": "#/components/schemas/A" }),
            &endless
        )
        .unwrap_err()
        .contains("leads back to itself")
    );
    let loops = json!({ "A": { "$ref": "#/components/schemas/B" }, "B": { "$ref": "#/components/schemas/A" } });
    assert!(
        described(
            "3.0.0",
            &json!({ "$ref": "#/components/schemas/A" }),
            &loops
        )
        .unwrap_err()
        .contains("back to itself")
    );
}

#[test]
fn a_reference_that_leaves_the_document_is_an_error_with_its_place() {
    let refers = |reference: &str| {
        described(
            "3.0.3",
            &json!({ "type": "object", "properties": { "a": { "$ref": reference } } }),
            &json!({ "Order": {} }),
        )
        .unwrap_err()
    };
    let at =
        "/paths/~1orders/post/requestBody/content/application~1json/schema/properties/a/$ref: ";
    for (reference, says) in [
        (
            "https://evil.example/a.json#/A",
            "which is in another server",
        ),
        ("//evil.example/a.json", "which is in another server"),
        ("common.yaml#/Order", "which is in another file"),
        ("../../../etc/passwd", "which is in another file"),
        ("#Order", "expected `#/` and a JSON pointer"),
        (
            "#/components/schemas/Ordr",
            "which this document does not have [did you mean `Order`?]",
        ),
        (
            "#/components/schemas/%zz",
            "which this document does not have",
        ),
    ] {
        let found = refers(reference);
        assert!(
            found.starts_with(at) && found.contains(says),
            "{reference}: {found}"
        );
    }
    // Escapes are those of JSON pointers, and of URLs around them.
    let odd = json!({ "a/b~c d": { "type": "integer" } });
    for reference in [
        "#/components/schemas/a~1b~0c d",
        "#/components/schemas/a~1b~0c%20d",
    ] {
        assert_eq!(
            body("3.0.3", &json!({ "$ref": reference }), &odd),
            json!({ "type": "integer" })
        );
    }
}

#[test]
fn a_body_is_what_its_json_is() {
    let of = |operation: &str| {
        let text = format!("{HEAD}paths:\n  /a:\n    post: {operation}\n");
        let file = file(&text);
        let document = OpenApiDocument::read(&file).unwrap();
        let described = document.described(&document.operations()[0], &[]).unwrap();
        (
            described.arguments.map(|schema| schema.source().clone()),
            described.other_body,
        )
    };
    assert_eq!(
        of("{ operationId: a }"),
        (Some(json!({ "type": "null" })), None),
        "takes no body"
    );
    let schema = "schema: { type: object }";
    assert_eq!(
        of(&format!("{{ requestBody: {{ required: true, content: {{ application/json; charset=utf-8: {{ {schema} }} }} }} }}")).0,
        Some(json!({ "type": "object" }))
    );
    let optional = json!({ "anyOf": [{ "type": "null" }, { "type": "object" }] });
    assert_eq!(of(&format!("{{ requestBody: {{ content: {{ text/csv: {{}}, application/merge-patch+json: {{ {schema} }} }} }} }}")).0, Some(optional));
    assert_eq!(
        of("{ requestBody: { content: { text/csv: {}, multipart/form-data: {} } } }"),
        (None, Some("multipart/form-data, text/csv".to_owned()))
    );
    assert_eq!(
        of("{ requestBody: { content: { application/json: {} } } }"),
        (None, None)
    );
}

#[test]
fn parameters_come_from_the_operation_and_its_path() {
    let text = format!(
        "{HEAD}paths:
  /orders/{{id}}:
    parameters:
      - {{ name: id, in: path, required: true, schema: {{ type: integer }} }}
      - {{ name: limit, in: query, schema: {{ type: integer, maximum: 10 }} }}
      - {{ name: X-Trace, in: header, required: true, schema: {{ type: string }} }}
    get:
      parameters:
        - $ref: '#/components/parameters/Limit'
        - {{ name: tag, in: query, schema: {{ type: array, items: {{ type: string }} }} }}
        - {{ name: ids, in: query, explode: false, schema: {{ type: array, items: {{ type: integer }} }} }}
        - {{ name: filter, in: query, style: deepObject, schema: {{ type: object }} }}
components:
  parameters:
    Limit: {{ name: limit, in: query, required: true, schema: {{ type: integer, maximum: 100 }} }}
"
    );
    let file = file(&text);
    let document = OpenApiDocument::read(&file).unwrap();
    let (operation, captures) = document.by_template("GET /orders/{order}").unwrap();
    let described = document.described(operation, &captures).unwrap();
    assert_eq!(
        serde_json::to_value(&described.parameters).unwrap(),
        json!([
            { "name": "limit", "in": "query", "required": true, "form": "one", "schema": { "type": "integer", "maximum": 100 } },
            { "name": "tag", "in": "query", "required": false, "form": "repeated", "schema": { "type": "array", "items": { "type": "string" } } },
            { "name": "ids", "in": "query", "required": false, "form": "commas", "schema": { "type": "array", "items": { "type": "integer" } } },
            { "name": "order", "in": "path", "required": false, "form": "one", "schema": { "type": "integer" } },
        ])
    );
}

#[test]
fn a_fault_has_a_place_in_json_and_yaml() {
    let yaml = format!("{HEAD}paths:\n  /a:\n    post: 3\n");
    let json = "{\n  \"openapi\": \"3.1.0\",\n  \"paths\": {\n    \"/a\": {\"post\": 3}}\n}\n";
    for (name, text, line) in [("a.openapi.yaml", yaml.as_str(), 5), ("a.json", json, 4)] {
        let file = SourceFile::new(name, text);
        let (_, index) = PointerIndex::read(&file).unwrap();
        let fault = OpenApiDocument::read(&file).unwrap_err();
        assert_eq!(
            (fault.pointer.as_str(), fault.message.as_str()),
            ("/paths/~1a/post", "operation `POST /a` must be a mapping")
        );
        let span = index.find(&file.text, &fault.pointer);
        assert_eq!(
            (&text[span.clone()], file.position(span.start).0),
            ("3", line),
            "{name}"
        );
    }
    for (text, says) in [
        (
            "swagger: '2.0'\n",
            "this is Swagger 2.0, which is not supported",
        ),
        ("openapi: 4.0.0\n", "OpenAPI 4.0.0 is not supported"),
        (
            "api: x\n",
            "this is not an OpenAPI document: it has no `openapi`",
        ),
        ("", "this file is empty"),
        (
            "openapi: 3.1.0\n---\nopenapi: 3.1.0\n",
            "this file holds more than one document",
        ),
        ("openapi: [", "this cannot be read as YAML"),
    ] {
        let found = OpenApiDocument::read(&file(text)).unwrap_err();
        assert!(found.message.starts_with(says), "{text:?}: {found:?}");
    }
    let broken = OpenApiDocument::read(&SourceFile::new("a.json", "{\n \"a\": }"))
        .map(|_| ())
        .unwrap_err();
    assert_eq!(
        (broken.span, broken.message.as_str()),
        (Some(8..8), "this cannot be read as JSON: expected value")
    );
}

#[test]
fn g7_a_document_is_full_at_its_bounds() {
    let of = |paths: &Value| {
        let document = json!({ "openapi": "3.1.0", "paths": paths });
        let file = SourceFile::new("shop.json", document.to_string());
        OpenApiDocument::read(&file).map(|document| document.operations().len())
    };
    let paths = |count: usize| -> Value {
        let path = |n: usize| (format!("/p{n}"), json!({ "get": {} }));
        Value::Object((0..count).map(path).collect())
    };
    assert_eq!(of(&paths(MAX_OPERATIONS)).unwrap(), MAX_OPERATIONS);
    let too_many = of(&paths(MAX_OPERATIONS + 1)).unwrap_err().message;
    assert!(too_many.contains("operations"), "{too_many}");
}

#[test]
fn as_many_tools_are_drafted_as_an_api_has_and_the_others_are_left_out() {
    let drafted = |count: usize| {
        let path = |n: usize| (format!("/p{n}"), json!({ "get": {} }));
        let paths: Map<String, Value> = (0..count).map(path).collect();
        let document = json!({ "openapi": "3.1.0", "paths": paths });
        let file = SourceFile::new("shop.json", document.to_string());
        let draft = draft::draft(&OpenApiDocument::read(&file).unwrap(), "");
        (draft.tools.len(), draft.left_out)
    };
    let most = draft::MAX_DRAFTED_TOOLS;
    assert_eq!(drafted(most), (most, 0));
    assert_eq!(drafted(most + 1), (most, 1));
}

#[test]
fn g7_an_operation_has_as_many_parameters_as_the_bound_and_no_more() {
    let parameters = |count: usize| {
        let of = |n: usize| json!({ "name": format!("p{n}"), "in": "query", "schema": { "type": "string" } });
        let document = json!({
            "openapi": "3.1.0",
            "paths": { "/orders": { "get": { "parameters": (0..count).map(of).collect::<Vec<_>>() } } },
        });
        let file = SourceFile::new("shop.json", document.to_string());
        let document = OpenApiDocument::read(&file).unwrap();
        let operation = document.operations()[0].clone();
        parameters::of(&document, &operation, &[]).map(|found| found.len())
    };
    let most = parameters::MAX_OPERATION_PARAMETERS;
    assert_eq!(parameters(most).unwrap(), most);
    assert!(parameters(most + 1).is_err());
}

#[test]
fn g7_references_lead_to_one_another_as_often_as_the_bound_and_no_more() {
    // A part counts as reached only once it is seen that it leads no further.
    let root = |parts: usize| {
        let last = parts - 1;
        let hop = |n: usize| (format!("s{n}"), json!({ "$ref": format!("#/s{}", n + 1) }));
        let end = (format!("s{last}"), json!({ "type": "string" }));
        Value::Object((0..last).map(hop).chain([end]).collect())
    };
    let reached = |root: &Value| {
        reference::follow(root, &root["s0"], "/s0".to_owned()).map(|found| found.pointer)
    };
    let most = reference::MAX_HOPS;
    assert_eq!(reached(&root(most)).unwrap(), format!("/s{}", most - 1));
    assert!(reached(&root(most + 1)).is_err());
}

#[test]
fn g7_a_schema_has_as_many_parts_and_nests_as_deep_as_the_bounds() {
    let object = json!({});
    let converts = |schema: &Value| schema::convert(&object, Dialect::V31, schema, String::new());
    let wide = |parts: usize| {
        let member = |n: usize| (n.to_string(), json!({}));
        json!({ "properties": (1..parts).map(member).collect::<Map<_, _>>() })
    };
    assert!(converts(&wide(schema::MAX_SCHEMAS)).is_ok());
    let refused = converts(&wide(schema::MAX_SCHEMAS + 1)).unwrap_err();
    assert!(refused.message.contains("parts"), "{}", refused.message);
    let deep = |nesting: usize| (0..nesting).fold(json!({}), |inner, _| json!({ "not": inner }));
    assert!(converts(&deep(schema::MAX_NESTING)).is_ok());
    let refused = converts(&deep(schema::MAX_NESTING + 1)).unwrap_err();
    assert!(
        refused.message.contains("nest deeper"),
        "{}",
        refused.message
    );
}

#[test]
fn what_would_take_too_long_is_refused() {
    let mut deep = json!({ "type": "string" });
    for _ in 0..80 {
        deep = json!({ "items": deep });
    }
    // Deeper than JSON is read at all, or than schemas are.
    assert!(described("3.1.0", &deep, &json!({})).is_err());
    let many: Map<String, Value> = (0..10_001)
        .map(|n| (format!("p{n}"), json!({ "type": "string" })))
        .collect();
    assert!(
        described("3.1.0", &json!({ "properties": many }), &json!({}))
            .unwrap_err()
            .contains("more than 10000 parts")
    );
    let chain: Map<String, Value> = (0..40)
        .map(|n| {
            (
                format!("S{n}"),
                json!({ "allOf": [{ "$ref": format!("#/components/schemas/S{}", n + 1) }, { "$ref": format!("#/components/schemas/S{}", n + 1) }] }),
            )
        })
        .chain([("S40".to_owned(), json!({}))])
        .collect();
    assert!(
        described(
            "3.1.0",
            &json!({ "$ref": "#/components/schemas/S0" }),
            &Value::Object(chain)
        )
        .is_err()
    );
}

/// Values in which the words of documents stand where they do not belong.
fn any_value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "$ref",
        "type",
        "properties",
        "items",
        "allOf",
        "anyOf",
        "required",
        "nullable",
        "enum",
        "schema",
        "content",
        "application/json",
        "requestBody",
        "parameters",
        "name",
        "in",
        "query",
        "path",
        "get",
        "post",
        "/a",
        "/a/{b}",
        "#/paths",
        "#/paths/~1a/post/requestBody",
        "#",
        "http://x",
        "object",
        "array",
        "string",
        "exclusiveMinimum",
        "minimum",
        "readOnly",
        "style",
        "explode",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from)
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|members| Value::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            )),
        ]
    })
}

fn read_all(file: &SourceFile) {
    match OpenApiDocument::read(file) {
        Ok(document) => {
            for operation in document.operations() {
                let (_, captures) = document
                    .by_template(&template(operation, ""))
                    .unwrap_or_else(|| (operation, Vec::new()));
                if let Err(fault) = document.described(operation, &captures) {
                    let span = document.span(&fault);
                    assert!(file.text.get(span).is_some(), "{fault:?}");
                }
            }
        }
        Err(fault) => assert!(!fault.message.is_empty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_the_reader_panic(text in "(openapi: 3\\.[01]\\.0\n)?\\PC{0,80}(\n\\PC{0,40}){0,4}") {
        read_all(&file(&text));
        read_all(&SourceFile::new("a.json", text));
    }

    #[test]
    fn no_document_makes_the_reader_panic(post in any_value(), item in any_value(), schemas in any_value(), new in any::<bool>()) {
        let version = if new { "3.1.0" } else { "3.0.0" };
        let document = json!({
            "openapi": version,
            "paths": { "/a/{b}": { "post": post, "parameters": item }, "/s": { "put": { "requestBody": { "content": { "application/json": { "schema": schemas } } } } } },
            "components": { "schemas": schemas },
        });
        read_all(&SourceFile::new("a.json", document.to_string()));
    }
}
