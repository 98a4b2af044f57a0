//! What holds, what does not, and what cannot be judged (G3).

use super::super::*;
use super::{ARGS, bad, compile, holds, with};

#[test]
fn conditions_that_hold_and_that_do_not() {
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
    let table = [
        ("args.nope > 5", "`args` has no member `nope`"),
        ("args.deep.x.y == 1", "`args.deep` has no member `x`"),
        (
            "args.order > 5",
            "`args.order` is a string and `5` is a number, which do not compare",
        ),
        (
            "args.amount",
            "`args.amount` is a number, not true or false",
        ),
        ("args.order.foo == 1", "a string has no member `foo`"),
        (
            "args.items[2].price == 1",
            "`args.items` has nothing at `2`",
        ),
        (
            "args.items[0.5].price == 1",
            "`args.items` has nothing at `0.5`",
        ),
        (
            "args.amount.exists(x, x == 1)",
            "`args.amount` is a number, not a list",
        ),
        (
            "args.amount.startsWith('6')",
            "`args.amount` is a number, not a string",
        ),
        (
            "args.half / 0.0 > 1",
            "`args.half / 0.0` divides by zero or is out of range",
        ),
        (
            "args.half % 0 == 1",
            "`args.half % 0` divides by zero or is out of range",
        ),
        (
            "run.calls / 0 == 1",
            "`run.calls / 0` divides by zero or is out of range",
        ),
        (
            "run.calls * 9223372036854775807 > 1",
            "`run.calls * 9223372036854775807` divides by zero or is out of range",
        ),
        (
            "args.order + 1 == 'x'",
            "`args.order + 1` takes a string and a number, which is not defined",
        ),
        (
            "args.amount in args.order",
            "`in` takes a list or an object, and `args.order` is a string",
        ),
        (
            "int(args.order) == 1",
            "`args.order` is a text of 6 bytes that is not an integer",
        ),
        (
            "double('nan') + args.half > 1",
            "`\"nan\"` is a text of 3 bytes that is not a number",
        ),
        (
            "burn['1h'] > 1.0",
            "no burn-rate pair over 1h is in force for this objective",
        ),
        (
            "header['x-none'] == ''",
            "the request has no header `x-none`",
        ),
        (
            "args.nope > 5 || args.amount > 700",
            "`args` has no member `nope`",
        ),
    ];
    for (source, why) in table {
        let failed = Undecided::Failed(why.to_owned());
        assert_eq!(holds(source, ARGS), Err(failed), "{source}");
    }
}

#[test]
fn what_two_readers_may_read_differently_is_refused_whatever_else_holds() {
    let table = [
        ("args.big > 5", Undecided::Inexact("/big".to_owned())),
        ("args.huge > 5", Undecided::Inexact("/huge".to_owned())),
        (
            "args.huge > 5 || true == args.yes",
            Undecided::Inexact("/huge".to_owned()),
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
        assert_eq!(holds(source, ARGS), Err(expected), "{source}");
    }
    assert_eq!(
        holds("args.yes || args.huge > 5", ARGS),
        Ok(true),
        "what is not read is not judged"
    );
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
            Condition::compile(source, ConditionScope::Response)
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
