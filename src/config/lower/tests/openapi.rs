//! Tools from an API's own OpenAPI document.

use super::*;

const SHOP: &str = "openapi: 3.0.3
info: { title: Shop, version: '1' }
servers: [{ url: https://shop.example/v1 }]
paths:
  /orders/{id}:
    get:
      operationId: get_order
      parameters:
        - { name: id, in: path, required: true, schema: { type: string, pattern: '^A-[0-9]+$' } }
        - { name: lines, in: query, schema: { type: integer, maximum: 50 } }
  /refunds:
    post:
      operationId: refund
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: '#/components/schemas/Refund' } } }
  /other: { put: { requestBody: { content: { application/json: { schema: { $ref: other.yaml } } } } } }
components:
  schemas:
    Refund:
      type: object
      required: [id, order, amount]
      properties: { id: { type: string, readOnly: true }, order: { type: string }, amount: { type: number, maximum: 5000 } }
      additionalProperties: false
";

const API: &str = "api: shop
upstream: http://127.0.0.1:3000/v1
openapi: shop.openapi.yaml
tools:
  - { tool: get_order, risk: read }
  - { tool: pay_back, match: POST /refunds, risk: high, hold_when: args.amount > 500.0 }
";

fn load_shop(document: &str, api: &str) -> Result<Loaded, Diagnostics> {
    let workflow =
        "workflow: w\nrisk: medium\nvalidation: strict\ntools: [shop/get_order, shop/pay_back]\n";
    let files = [
        SourceFile::new("policies/shop.yaml", api),
        SourceFile::new("policies/w.yaml", workflow),
        SourceFile::new("policies/shop.openapi.yaml", document),
    ];
    load(&files, &Process::default(), NOW)
}

fn problems(document: &str, api: &str) -> String {
    match load_shop(document, api) {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(found) => {
            let lines: Vec<_> = found
                .iter()
                .map(|found| format!("{found} [{}]", found.hint.as_deref().unwrap_or_default()))
                .collect();
            lines.join("\n")
        }
    }
}

#[test]
fn a_document_fills_in_what_tools_leave_out() {
    let loaded = load_shop(SHOP, API).unwrap_or_else(|found| panic!("{}", found.render(false)));
    assert!(
        loaded.warnings.is_empty(),
        "{}",
        loaded.warnings.render(false)
    );
    let api = &loaded.policies.apis["shop"];
    let tool = |name: &str| {
        api.tools
            .iter()
            .find(|tool| tool.name.as_str() == name)
            .unwrap()
    };
    assert_eq!(tool("shop/get_order").pattern.source(), "GET /orders/{id}");
    let named: Vec<_> = tool("shop/get_order")
        .parameters
        .iter()
        .map(crate::gate::policy::Parameter::described)
        .collect();
    assert_eq!(named, ["path.id", "query.lines"]);
    assert_eq!(
        tool("shop/pay_back").arguments.as_ref().unwrap().source()["required"],
        serde_json::json!(["order", "amount"])
    );
    assert_eq!(
        loaded.remarks,
        [
            "1 operation of policies/shop.openapi.yaml is not listed as tools of `shop`, so calls of it are unlisted; to allow it, list it with a `risk`"
        ]
    );
}

#[test]
fn a_changed_document_is_another_version_and_another_definition() {
    let of = |document: &str, api: &str| {
        let loaded = load_shop(document, api).unwrap();
        let refund = loaded.policies.apis["shop"]
            .tools
            .iter()
            .find(|tool| tool.name.as_str() == "shop/pay_back")
            .unwrap()
            .definition;
        (loaded.policies.version, refund)
    };
    let before = of(SHOP, API);
    let stricter = of(&SHOP.replace("5000", "400"), &API.replace("500.0", "50.0"));
    assert_ne!(before.0, stricter.0);
    assert_ne!(before.1, stricter.1);
    let parameter = of(&SHOP.replace("maximum: 50 ", "maximum: 51 "), API);
    assert_ne!(before.0, parameter.0);
    assert_eq!(
        of(&SHOP.replace("title: Shop", "title: Store"), API),
        before,
        "a title changes nothing"
    );
}

#[test]
fn what_the_policy_says_itself_counts_instead() {
    let api = API.replace(
        "risk: high,",
        "risk: high, arguments: { type: object }, parameters: [ { name: dry, in: query, required: true, schema: { type: boolean } } ],",
    );
    let loaded = load_shop(SHOP, &api).unwrap_or_else(|found| panic!("{}", found.render(false)));
    let tool = loaded.policies.apis["shop"]
        .tools
        .iter()
        .find(|tool| tool.name.as_str() == "shop/pay_back")
        .unwrap();
    assert_eq!(
        tool.arguments.as_ref().unwrap().source(),
        &serde_json::json!({ "type": "object" })
    );
    assert_eq!(tool.parameters[0].described(), "query.dry");
}

#[test]
fn a_document_is_checked_against_conditions_like_any_schema() {
    let found = problems(
        SHOP,
        &API.replace("args.amount > 500.0", "args.amuont > 500.0"),
    );
    assert!(found.contains("`hold_when` reads the argument `amuont`, which the tool's schema does not allow [did you mean `amount`?]"), "{found}");
    let found = problems(
        SHOP,
        &API.replace("args.amount > 500.0", "args.amount > 9000.0"),
    );
    assert!(found.contains("`hold_when` can never match"), "{found}");
}

#[test]
fn what_is_wrong_is_told_where_it_is_written() {
    let yaml = "policies/shop.yaml";
    let schema = "policies/shop.openapi.yaml:16:";
    for (document, api, says) in [
        (
            SHOP.replace("'#/components/schemas/Refund'", "'https://evil.example/r.json'"),
            API.to_owned(),
            format!(
                "{schema}56: `/paths/~1refunds/post/requestBody/content/application~1json/schema/$ref`: `$ref` names `https://evil.example/r.json`, which is in another server [nothing is fetched"
            ),
        ),
        (
            SHOP.replace("type: number,", "type: nubmer,"),
            API.to_owned(),
            "`/components/schemas/Refund/properties/amount/type`: `/properties/amount/type` of the schema is wrong".to_owned(),
        ),
        ("openapi: [\n".to_owned(), API.to_owned(), "policies/shop.openapi.yaml:1:10: this cannot be read as YAML".to_owned()),
        (
            SHOP.to_owned(),
            API.replace("POST /refunds", "POST /refund"),
            "`policies/shop.openapi.yaml` has no operation `POST /refund`, so nothing is filled in from it".to_owned(),
        ),
        (
            SHOP.to_owned(),
            API.replace("tool: get_order", "tool: get_ordre"),
            "lacks `match`, and `policies/shop.openapi.yaml` has no operation of that name [did you mean `get_order`?]".to_owned(),
        ),
        (
            SHOP.to_owned(),
            API.replace("shop.openapi.yaml", "https://shop.example/openapi.json"),
            format!("{yaml}:3:10: `openapi`: expected the name of a file, found the address"),
        ),
        (
            SHOP.to_owned(),
            API.replace("shop.openapi.yaml", "../shop.yaml"),
            format!("{yaml}:3:10: `openapi`: there is no file `policies/../shop.yaml` [its name must end with `.openapi.yaml`"),
        ),
        (SHOP.to_owned(), API.replace("risk: high,", "risk: high, parameters: [ { name: x, in: path } ],"), "the tool's `match` captures no `x`".to_owned()),
        (
            SHOP.to_owned(),
            API.replace("risk: high,", "risk: high, parameters: [ { name: x, in: quer } ],"),
            "expected one of `path`, `query`, found `quer` [did you mean `query`?]".to_owned(),
        ),
    ] {
        let found = problems(&document, &api);
        assert!(found.contains(&says), "{says}\n{found}");
    }
    let misplaced = [SourceFile::new("shop.yaml", SHOP)];
    let found = load(&misplaced, &Process::default(), NOW)
        .unwrap_err()
        .to_string();
    assert!(
        found.contains("shop.yaml:1:10: this is an OpenAPI document, not a policy"),
        "{found}"
    );
}
