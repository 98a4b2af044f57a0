//! Conditions: what compiles, what holds, what fails (G3), and that nothing an agent sends can make
//! it take long or panic (G7).

use std::borrow::Cow;

use super::*;
use crate::gate::budget::objective::Remaining;
use crate::gate::policy::facts::{Ambiguous, Lookup, ResponseFacts, RunFacts};

mod any;
mod bounds;
mod compile;
mod dead;
mod judge;

/// A header sent twice is ambiguous.
struct Headers;

impl Lookup for Headers {
    fn find(&self, name: &str) -> Result<Option<Cow<'_, str>>, Ambiguous> {
        match name {
            "x-ticket" => Ok(Some("T-7".into())),
            "x-owned" => Ok(Some(Cow::Owned("made".to_owned()))),
            "x-empty" => Ok(Some("".into())),
            "x-twice" => Err(Ambiguous),
            _ => Ok(None),
        }
    }
}

fn json_of(value: &serde_json::value::RawValue) -> Json<'_> {
    let text = value.get();
    match text.as_bytes()[0] {
        b'{' => {
            let members: Vec<(String, &serde_json::value::RawValue)> = Members::read(text);
            Json::Object(
                members
                    .into_iter()
                    .map(|(name, value)| (Cow::Owned(name), json_of(value)))
                    .collect(),
            )
        }
        b'[' => Json::Array(
            serde_json::from_str::<Vec<&serde_json::value::RawValue>>(text)
                .unwrap()
                .into_iter()
                .map(json_of)
                .collect(),
        ),
        b'"' => Json::String(serde_json::from_str::<String>(text).unwrap().into()),
        b't' | b'f' => Json::Bool(text == "true"),
        b'n' => Json::Null,
        _ => Json::Number(text),
    }
}

/// Members in their order.
struct Members;

impl Members {
    fn read(text: &str) -> Vec<(String, &serde_json::value::RawValue)> {
        let map: std::collections::BTreeMap<String, &serde_json::value::RawValue> =
            serde_json::from_str(text).unwrap();
        map.into_iter().collect()
    }
}

/// Calls `judge` with the facts of a call whose arguments are `args`.
fn with<T>(args: Option<&str>, response: bool, judge: impl FnOnce(&Facts<'_>) -> T) -> T {
    let raw: Option<&serde_json::value::RawValue> =
        args.map(|text| serde_json::from_str(text).unwrap());
    let args = raw.map(json_of);
    let body = Json::Object(vec![
        ("code".into(), Json::Number("7")),
        ("big".into(), Json::Number("9007199254740993")),
    ]);
    let path: &[(&str, Cow<'_, str>)] = &[("order", "A-1001".into())];
    let query: &[(&str, Cow<'_, str>)] = &[("force", "yes".into())];
    let burn = BurnRates::default();
    judge(&Facts {
        args: args.as_ref(),
        path: &path as &dyn Lookup,
        query: &query as &dyn Lookup,
        header: &Headers,
        tool: "payments/refund",
        agent: "bot",
        workflow: "support",
        run: RunFacts {
            id: "r-1",
            calls: 3,
            escalated: false,
        },
        level: "standard",
        posture: "healthy",
        remaining: Remaining::FULL,
        burn: &burn,
        response: response.then_some(ResponseFacts {
            status: 422,
            body: Some(&body),
        }),
    })
}

impl Lookup for &[(&str, Cow<'_, str>)] {
    fn find(&self, name: &str) -> Result<Option<Cow<'_, str>>, Ambiguous> {
        Ok(self
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| Cow::Borrowed(&**value)))
    }
}

fn compile(source: &str) -> Condition {
    Condition::compile(source, ConditionScope::Request)
        .unwrap_or_else(|bad| panic!("{source}: {bad:?}"))
}

fn bad(source: &str) -> BadCondition {
    Condition::compile(source, ConditionScope::Request).expect_err(source)
}

fn holds(source: &str, args: &str) -> Result<bool, Undecided> {
    with(Some(args), false, |facts| compile(source).holds(facts))
}

const ARGS: &str = r#"{"amount": 600, "half": 0.5, "order": "A-1001", "email": "Dana@Corp.example", "none": null, "yes": true, "big": 9007199254740993,
    "tags": ["vip", "eu"], "ids": [1, 2.0, 3e0], "items": [{"price": 10, "n": 2}, {"price": 600, "n": 1}], "deep": {"a": {"b": 1}}, "currency": "EUR", "huge": 1e400}"#;
