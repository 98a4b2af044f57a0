//! What does not compile, and what is said about it.

use super::{bad, compile, with};

/// A source, how the message about it begins, what the hint contains, and where it points; 0 for
/// anywhere.
type Case<'c> = (&'c str, &'c str, Option<&'c str>, usize);

fn refused(cases: &[Case<'_>]) {
    for (source, message, hint, offset) in cases {
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
        assert!(
            *offset == 0 || found.offset == *offset,
            "{source}: {found:?}"
        );
    }
}

#[test]
fn what_does_not_parse_is_refused_where_it_ends() {
    refused(&[
        ("args.amount >", "the expression ends too early", None, 13),
        ("args.amount = 5", "", Some("compare with `==`"), 12),
        ("args.é > 5 &&& x", "", None, 0),
        ("args.amount > 5 and args.x", "", Some("write `&&`"), 16),
        (
            "args.x == 5 && args.x > 5.0",
            "no value of args.x is left",
            None,
            0,
        ),
        ("", "expected an expression", None, 0),
        ("'é' == )", "unexpected `)`", None, 8),
    ]);
}

#[test]
fn an_unknown_name_is_refused_with_the_known_ones() {
    refused(&[
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
    ]);
}

#[test]
fn what_the_language_leaves_out_is_refused() {
    refused(&[
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
    ]);
}

#[test]
fn a_condition_that_reads_nothing_is_refused() {
    refused(&[
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
    ]);
}

#[test]
fn an_error_has_a_line_and_a_column() {
    let (source, expected) = ("args.ok &&\n  foo > 5", (2, 3));
    assert_eq!(bad(source).line_and_column(source), expected);
    assert_eq!(
        with(None, false, |facts| compile("'fixed'").text(facts)),
        Ok(Some("fixed".to_owned()))
    );
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
