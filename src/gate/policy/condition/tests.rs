//! Conditions: what compiles, what holds, what fails (G3), and that nothing an agent sends can make
//! it take long or panic (G7).

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::gate::budget::objective::Remaining;
use crate::gate::policy::facts::{Ambiguous, Lookup, ResponseFacts, RunFacts};

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
    Condition::compile(source, Scope::Request).unwrap_or_else(|bad| panic!("{source}: {bad:?}"))
}

fn bad(source: &str) -> BadCondition {
    Condition::compile(source, Scope::Request).expect_err(source)
}

fn holds(source: &str, args: &str) -> Result<bool, Undecided> {
    with(Some(args), false, |facts| compile(source).holds(facts))
}

const ARGS: &str = r#"{"amount": 600, "half": 0.5, "order": "A-1001", "email": "Dana@Corp.example", "none": null, "yes": true, "big": 9007199254740993,
    "tags": ["vip", "eu"], "ids": [1, 2.0, 3e0], "items": [{"price": 10, "n": 2}, {"price": 600, "n": 1}], "deep": {"a": {"b": 1}}, "currency": "EUR", "huge": 1e400}"#;

#[test]
fn what_holds() {
    let table = [
        ("args.amount > 500.0", true),
        ("args.amount > 500", true),
        ("500 < args.amount", true),
        ("args.amount == 600 && args.amount != 601", true),
        ("args.amount >= 600 && args.amount <= 600.0", true),
        ("!(args.amount > 500)", false),
        ("args.amount * 2 > 1199", true),
        ("args.amount / 7 > 85.7 && args.amount % 100 == 0", true),
        ("args.amount - 1 == 599 && -args.amount < 0", true),
        ("args.order == 'A-1001'", true),
        ("args.order < 'B'", true),
        ("args.order + '/' + tool == 'A-1001/payments/refund'", true),
        (
            "args.order.startsWith('A-') && args.order.endsWith('01') && args.order.contains('10')",
            true,
        ),
        ("args.email.lowerAscii().endsWith('@corp.example')", true),
        ("args.order.matches('^A-[0-9]{4}$')", true),
        ("matches(args.order, '^B')", false),
        (
            "size(args.order) == 6 && args.tags.size() == 2 && size(args.deep) == 1",
            true,
        ),
        ("'vip' in args.tags && !('us' in args.tags)", true),
        ("2 in args.ids && 3.0 in args.ids && !(4 in args.ids)", true),
        ("args.currency in ['EUR', 'USD']", true),
        ("'amount' in args && !('nope' in args)", true),
        ("has(args.amount) && !has(args.nope)", true),
        ("has(args.none) && args.none == null", true),
        ("args['amount'] > 500", true),
        ("args.deep.a.b == 1 && args['deep']['a'].b == 1", true),
        ("args.deep == args.deep && args.deep != args.items", true),
        ("args.tags == ['vip', 'eu']", true),
        ("args.ids == [1, 2, 3]", true),
        ("args.items[1].price == 600 && args.items[1.0].n == 1", true),
        ("args.items.exists(i, i.price > 500)", true),
        ("args.items.all(i, i.price > 500)", false),
        ("args.items.exists_one(i, i.price > 500)", true),
        ("size(args.items.filter(i, i.price > 500)) == 1", true),
        ("args.items.map(i, i.price * i.n) == [20, 600]", true),
        ("args.items.map(i, i.n > 1, i.price) == [10]", true),
        ("args.items.all(i, args.tags.exists(t, t == 'vip'))", true),
        ("args.deep.all(key, key == 'a')", true),
        ("args.amount > 500 ? args.yes : false", true),
        (
            "args.amount > {'USD': 700, 'EUR': 500}[args.currency]",
            true,
        ),
        ("args.currency in {'EUR': 1}", true),
        ("args.yes", true),
        ("args.order == 5", false),
        (
            "path.order == 'A-1001' && path['order'] == 'A-1001' && has(path.order) && !has(path.item)",
            true,
        ),
        ("query.force == 'yes' && 'force' in query", true),
        (
            "header['x-ticket'] == 'T-7' && header['x-owned'] == 'made' && !('x-none' in header)",
            true,
        ),
        (
            "tool == 'payments/refund' && agent == 'bot' && workflow == 'support'",
            true,
        ),
        ("run.id == 'r-1' && run.calls >= 3 && !run.escalated", true),
        (
            "level == 'standard' && posture == 'healthy' && budget.remaining > 0.25",
            true,
        ),
        (
            "int(args.half) == 0 && double('2.5') == 2.5 && string(args.amount) == '600' && int('7') == 7",
            true,
        ),
        // An error on one side is made up for by the other, as CEL says.
        ("args.nope > 5 || args.amount > 500", true),
        ("args.nope > 5 && args.amount > 700", false),
        ("args.items.exists(i, i.nope > 5 || i.price > 500)", true),
    ];
    for (source, expected) in table {
        assert_eq!(holds(source, ARGS), Ok(expected), "{source}");
    }
}

#[test]
fn what_cannot_be_judged_says_why() {
    let failed = |text: &str| Undecided::Failed(text.to_owned());
    let table = [
        ("args.nope > 5", failed("`args` has no member `nope`")),
        (
            "args.deep.x.y == 1",
            failed("`args.deep` has no member `x`"),
        ),
        (
            "args.order > 5",
            failed("`args.order` is a string and `5` is a number, which do not compare"),
        ),
        (
            "args.amount",
            failed("`args.amount` is a number, not true or false"),
        ),
        (
            "args.order.foo == 1",
            failed("a string has no member `foo`"),
        ),
        (
            "args.items[2].price == 1",
            failed("`args.items` has nothing at `2`"),
        ),
        (
            "args.items[0.5].price == 1",
            failed("`args.items` has nothing at `0.5`"),
        ),
        (
            "args.amount.exists(x, x == 1)",
            failed("`args.amount` is a number, not a list"),
        ),
        (
            "args.amount.startsWith('6')",
            failed("`args.amount` is a number, not a string"),
        ),
        (
            "args.half / 0.0 > 1",
            failed("`args.half / 0.0` divides by zero or is out of range"),
        ),
        (
            "args.half % 0 == 1",
            failed("`args.half % 0` divides by zero or is out of range"),
        ),
        (
            "run.calls / 0 == 1",
            failed("`run.calls / 0` divides by zero or is out of range"),
        ),
        (
            "run.calls * 9223372036854775807 > 1",
            failed("`run.calls * 9223372036854775807` divides by zero or is out of range"),
        ),
        (
            "args.order + 1 == 'x'",
            failed("`args.order + 1` takes a string and a number, which is not defined"),
        ),
        (
            "args.amount in args.order",
            failed("`in` takes a list or an object, and `args.order` is a string"),
        ),
        (
            "int(args.order) == 1",
            failed("`args.order` is a text of 6 bytes that is not an integer"),
        ),
        (
            "double('nan') + args.half > 1",
            failed("`\"nan\"` is a text of 3 bytes that is not a number"),
        ),
        (
            "burn['1h'] > 1.0",
            failed("no burn-rate pair over 1h is in force for this objective"),
        ),
        (
            "header['x-none'] == ''",
            failed("the request has no header `x-none`"),
        ),
        (
            "args.nope > 5 || args.amount > 700",
            failed("`args` has no member `nope`"),
        ),
        ("args.big > 5", Undecided::Inexact("/big".to_owned())),
        ("args.huge > 5", Undecided::Inexact("/huge".to_owned())),
        (
            "args.huge > 5 || true == args.yes",
            Undecided::Inexact("/huge".to_owned()),
        ),
        (
            "args.yes || args.huge > 5",
            Undecided::Failed(String::new()),
        ),
        (
            "header['x-twice'] == 'a'",
            Undecided::Ambiguous("header `x-twice`".to_owned()),
        ),
        (
            "header['x-twice'] == 'a' || args.yes",
            Undecided::Ambiguous("header `x-twice`".to_owned()),
        ),
        (
            "has(header.x) || 'x-twice' in header",
            Undecided::Ambiguous("header `x-twice`".to_owned()),
        ),
    ];
    for (source, expected) in table {
        let found = holds(source, ARGS);
        if expected == failed("") {
            assert_eq!(found, Ok(true), "{source}: what is not read is not judged");
        } else {
            assert_eq!(found, Err(expected), "{source}");
        }
    }
    assert_eq!(
        holds(
            "args.items.exists(i, i.a.b == 1)",
            r#"{"items": [{"a": {"b": 2}}, {"a": {"b": 0.1234567890123456}}]}"#
        ),
        Err(Undecided::Inexact("/items/1/a/b".to_owned()))
    );
    assert_eq!(
        holds("args['a/b~'] > 1", r#"{"a/b~": 12345678901234567890}"#),
        Err(Undecided::Inexact("/a~1b~0".to_owned()))
    );
}

#[test]
fn a_call_without_a_body_has_no_arguments() {
    let judge = |source: &str| with(None, false, |facts| compile(source).holds(facts));
    assert_eq!(judge("has(args.amount) && args.amount > 5"), Ok(false));
    assert_eq!(judge("args == null"), Ok(true));
    assert!(judge("args.amount > 5").is_err());
}

#[test]
fn the_answer_is_read_only_after_the_call() {
    let refused = bad("response.status == 422");
    assert_eq!(
        (refused.message.as_str(), refused.offset),
        ("`response` is not known before the call", 0)
    );
    let judge = |source: &str, after: bool| {
        with(None, after, |facts| {
            Condition::compile(source, Scope::Response)
                .unwrap()
                .holds(facts)
        })
    };
    assert_eq!(
        judge("response.status == 422 && response.body.code == 7", true),
        Ok(true)
    );
    assert!(judge("response.status == 422", false).is_err());
    assert_eq!(
        judge("response.body.big > 1", true),
        Err(Undecided::Inexact("response.body/big".to_owned()))
    );
}

#[test]
fn a_text_is_the_same_for_every_spelling() {
    let text =
        |source: &str, args: &str| with(Some(args), false, |facts| compile(source).text(facts));
    for spelled in ["1001", "1001.0", "1.001e3"] {
        assert_eq!(
            text("args.order", &format!(r#"{{"order": {spelled}}}"#)),
            Ok(Some("1001".to_owned()))
        );
    }
    assert_eq!(
        text("args.order", r#"{"order": 12345678901234567890}"#),
        Ok(Some("12345678901234567890".to_owned()))
    );
    assert_eq!(
        text("args.order", r#"{"order": "A-1"}"#),
        Ok(Some("A-1".to_owned()))
    );
    for none in [r#"{"order": null}"#, r#"{"order": ""}"#, "{}", "null"] {
        assert_eq!(text("args.order", none), Ok(None), "{none}");
    }
    assert_eq!(text("header['x-ticket']", "{}"), Ok(Some("T-7".to_owned())));
    assert_eq!(text("header['x-none']", "{}"), Ok(None));
    assert_eq!(
        text("header['x-twice']", "{}"),
        Err(Undecided::Ambiguous("header `x-twice`".to_owned()))
    );
    assert_eq!(
        text("'order-' + string(args.order)", r#"{"order": 5.0}"#),
        Ok(Some("order-5".to_owned()))
    );
    for failed in [r#"{"order": []}"#, r#"{"order": true}"#, "[]"] {
        assert!(
            matches!(text("args.order", failed), Err(Undecided::Failed(_))),
            "{failed}"
        );
    }
}

#[test]
fn what_is_wrong_is_said_when_it_is_compiled() {
    let table = [
        ("args.amount >", "the expression ends too early", None, 13),
        ("args.amount = 5", "", Some("compare with `==`"), 12),
        ("args.é > 5 &&& x", "", None, 0),
        ("args.amount > 5 and args.x", "", Some("write `&&`"), 16),
        (
            "arg.amount > 5",
            "unknown variable `arg`",
            Some(
                "did you mean `args`? variables are args, path, query, header, tool, agent, workflow, run, level, posture, budget, burn",
            ),
            0,
        ),
        (
            "args.ok || amount > 5",
            "unknown variable `amount`",
            Some(
                "variables are args, path, query, header, tool, agent, workflow, run, level, posture, budget, burn",
            ),
            11,
        ),
        ("'é' == args.x || foo", "unknown variable `foo`", None, 18),
        (
            "args.x.sizes() > 5",
            "unknown function `sizes`",
            Some("did you mean `size`?"),
            0,
        ),
        (
            "now() > 5",
            "unknown function `now`",
            Some("functions are size"),
            0,
        ),
        (
            "args.x.contains() == true",
            "`contains` is not called like this",
            Some("write `x.contains(y)`"),
            0,
        ),
        (
            "run.call > 5",
            "`run` has no member `call`",
            Some("write `run.id` or `run.calls` or `run.escalated`"),
            0,
        ),
        ("run > 5", "`run` is read by name", None, 0),
        ("header == 5", "`header` is read by name", None, 0),
        (
            "header.exists(h, h == 'x')",
            "`header` is read by name",
            None,
            0,
        ),
        (
            "budget.left > 0.5",
            "`budget` has no member `left`",
            Some("write `budget.remaining`"),
            0,
        ),
        (
            "burn['7d'] > 1.0",
            "no burn rate is kept over `7d`",
            Some("`burn[\"1h\"]`"),
            0,
        ),
        (
            "burn[args.x] > 1.0",
            "`burn` is read by a name that is written out",
            None,
            0,
        ),
        (
            "tool.name == 'x'",
            "`tool` has no member `name`",
            Some("`tool` is a string"),
            0,
        ),
        (
            "header['X-Ticket'] == 'x'",
            "header names are in lower case here",
            Some("write `header[\"x-ticket\"]`"),
            0,
        ),
        (
            "'X-Ticket' in header",
            "header names are in lower case here",
            None,
            0,
        ),
        ("has(run.id)", "`run.id` is always there", None, 0),
        (
            "args.x == 5u",
            "unsigned numbers are not part of the policy language",
            Some("write `5`"),
            10,
        ),
        (
            "args.x == b'a'",
            "bytes are not part of the policy language",
            None,
            10,
        ),
        ("args.x.matches('(')", "not a regular expression", None, 15),
        (
            "args.x.matches('(?=a)b')",
            "not a regular expression",
            Some("look-around"),
            15,
        ),
        (
            "args.x.matches(args.y)",
            "a pattern is written out, not computed",
            None,
            15,
        ),
        (
            "args.x.matches('(a{1000}){1000}')",
            "not a regular expression",
            None,
            15,
        ),
        (
            "args.a.exists(args, args > 1)",
            "`args` is a variable already",
            None,
            0,
        ),
        (
            "args.a.all(x, args.b.all(y, args.c.all(z, x > z)))",
            "comprehensions nest deeper than 2",
            None,
            0,
        ),
        ("true", "the condition always matches", None, 0),
        ("1 > 2", "the condition can never match", None, 0),
        (
            "args.x > 5 || 1 < 2",
            "the condition always matches",
            None,
            0,
        ),
        (
            "args.x > 5 && false",
            "the condition can never match",
            None,
            0,
        ),
        (
            "!(args.x > 5 || true)",
            "the condition can never match",
            None,
            0,
        ),
        (
            "1 / 0 > 2",
            "the condition can never be evaluated: `1 / 0` divides by zero",
            None,
            0,
        ),
        (
            "args.x > 5 && args.x < 3",
            "no value of args.x is left, so `args.x > 5 && args.x < 3` can never match",
            None,
            0,
        ),
        (
            "args.x == 5 && args.x > 5.0",
            "no value of args.x is left",
            None,
            0,
        ),
        ("", "expected an expression", None, 0),
        ("'é' == )", "unexpected `)`", None, 8),
    ];
    for (source, message, hint, offset) in table {
        let found = bad(source);
        assert!(
            found.message.starts_with(message) && !found.message.is_empty(),
            "{source}: {found:?}"
        );
        assert!(
            hint.is_none_or(|hint| found
                .hint
                .as_ref()
                .is_some_and(|found| found.contains(hint))),
            "{source}: {found:?}"
        );
        assert!(offset == 0 || found.offset == offset, "{source}: {found:?}");
    }
    let (source, expected) = ("args.ok &&\n  foo > 5", (2, 3));
    assert_eq!(bad(source).line_and_column(source), expected);
    assert_eq!(
        with(None, false, |facts| compile("'fixed'").text(facts)),
        Ok(Some("fixed".to_owned()))
    );
}

#[test]
fn an_expression_is_full_at_its_maximum() {
    let of_length = |length: usize| format!("args.x == '{}'", "a".repeat(length - 12));
    assert!(Condition::compile(&of_length(MAX_SOURCE), Scope::Request).is_ok());
    assert!(
        bad(&of_length(MAX_SOURCE + 1))
            .message
            .contains("at most 4096 bytes")
    );
    let sum = |terms: usize| format!("args.x{} > 1", " + 1".repeat(terms));
    assert!(Condition::compile(&sum(MAX_DEPTH - 2), Scope::Request).is_ok());
    assert!(bad(&sum(MAX_DEPTH - 1)).message.contains("nests deeper"));
    assert!(
        Condition::compile(
            &format!("args.x > 1{}", " || args.y > 2".repeat(250)),
            Scope::Request
        )
        .is_ok()
    );
}

#[test]
fn comprehensions_nest_as_deep_as_the_bound_and_no_deeper() {
    let nested = |depth: usize| {
        (0..depth).fold("args.x > 1".to_owned(), |inner, n| {
            format!("args.list.all(x{n}, {inner})")
        })
    };
    compile(&nested(MAX_NESTED));
    let refused = bad(&nested(MAX_NESTED + 1)).message;
    assert_eq!(
        refused,
        format!("comprehensions nest deeper than {MAX_NESTED}")
    );
}

#[test]
fn a_regular_expression_compiles_to_no_more_memory_than_the_bound() {
    let fits = |count: usize| {
        let mut builder = regex::RegexBuilder::new(&format!("a{{{count}}}"));
        builder.size_limit(lower::MAX_REGEX).build().is_ok()
    };
    let largest = (1..100_000)
        .collect::<Vec<_>>()
        .partition_point(|count| fits(*count));
    let matches = |count: usize| format!("args.x.matches('a{{{count}}}')");
    compile(&matches(largest));
    let refused = bad(&matches(largest + 1)).message;
    assert!(refused.starts_with("not a regular expression"), "{refused}");
}

#[test]
fn a_comprehension_looks_at_no_more_than_its_maximum() {
    let list = |count: usize| format!(r#"{{"list": [{}]}}"#, vec!["1"; count].join(","));
    assert_eq!(
        holds("args.list.all(x, x == 1)", &list(MAX_ELEMENTS)),
        Ok(true)
    );
    assert_eq!(
        holds("args.list.all(x, x == 1)", &list(MAX_ELEMENTS + 1)),
        Err(Undecided::Failed(
            "`args.list` has 1001 elements, and a condition may look at 1000".to_owned()
        ))
    );
    let squared = holds(
        "args.list.all(x, args.list.all(y, x == y))",
        &list(MAX_ELEMENTS),
    );
    assert_eq!(
        squared,
        Err(Undecided::Failed(
            "judging this call takes more than 100000 steps".to_owned()
        ))
    );
    // The bound is not an error that another side makes up for.
    assert!(
        holds(
            "args.list.all(x, args.list.all(y, x == y)) || args.list[0] == 1",
            &list(MAX_ELEMENTS)
        )
        .is_err()
    );
}

#[test]
fn texts_that_multiply_are_cut_short() {
    let args = format!(
        r#"{{"t": "{}", "list": [{}]}}"#,
        "a".repeat(1 << 20),
        vec!["1"; 1_000].join(",")
    );
    let started = std::time::Instant::now();
    assert!(holds("args.list.map(x, args.t + args.t) == []", &args).is_err());
    assert!(holds("args.list.all(x, args.t.matches('(a+)+b') == false)", &args).is_err());
    assert!(holds("args.list.all(x, !args.t.contains('b'))", &args).is_err());
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn sources_that_nest_or_repeat_are_read_or_refused_in_time() {
    let started = std::time::Instant::now();
    for piece in [
        "(", "[", "{", "!", "-", "a.", "a?", "a?b:", "[[", "f(", "{1:", "has(", "x.map(y,", "&&",
        "'", "\"\"\"", "\\", "1+", "!(", "a[", "é", ".",
    ] {
        let source: String = piece
            .chars()
            .cycle()
            .take(MAX_SOURCE / piece.len() * piece.chars().count())
            .collect();
        assert!(
            Condition::compile(&source, Scope::Request).is_err(),
            "{piece}"
        );
    }
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("!(", ")"),
        ("-(", ")"),
        ("args.x[", "]"),
        ("size(", ")"),
    ] {
        for depth in [10, 100, 500] {
            let _ = Condition::compile(
                &format!("{}args.x{} == 1", open.repeat(depth), close.repeat(depth)),
                Scope::Request,
            );
        }
    }
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

#[test]
fn what_a_condition_reads() {
    let reads = compile("args.a.b > 1 && has(args.c) && args['d'].exists(x, x.e == args.f) && path.p == header['h'] && 'q' in query && burn['1h'] > 1.0")
        .reads()
        .clone();
    let args: Vec<String> = reads.args.iter().map(|path| path.join(".")).collect();
    assert_eq!(args, ["a.b", "c", "d", "f"]);
    assert_eq!(reads.arguments().collect::<Vec<_>>(), ["a", "c", "d", "f"]);
    assert!(!reads.all_args && reads.any_args() && !reads.computed && !reads.status && !reads.body);
    assert_eq!(
        (
            reads.path.first().unwrap().as_str(),
            reads.header.first().unwrap().as_str(),
            reads.query.first().unwrap().as_str()
        ),
        ("p", "h", "q")
    );
    assert_eq!(reads.burn.first(), Some(&"1h"));
    assert!(compile("args[path.p] == 1").reads().all_args);
    assert!(compile("size(args) == 1").reads_args());
    assert!(compile("header[path.p] == 'x'").reads().computed);
    assert!(!compile("header['h'] == 'x'").reads_args());
}

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
        let compiled = Condition::compile(&source, Scope::Request);
        prop_assert!(compiled.map_or_else(|bad| bad.offset <= source.len() && source.is_char_boundary(bad.offset), |_| true));
    }

    #[test]
    fn any_unicode_is_compiled_or_refused(source in ".{0,40}") {
        let compiled = Condition::compile(&source, Scope::Request);
        prop_assert!(compiled.map_or_else(|bad| bad.offset <= source.len() && source.is_char_boundary(bad.offset), |_| true));
    }

    #[test]
    fn any_arguments_are_judged_or_not_but_never_panic(source in any_expression(), args in any_json()) {
        if let Ok(condition) = Condition::compile(&source, Scope::Request) {
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
