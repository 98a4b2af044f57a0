//! Nothing that is written or sent makes a condition take long (G7).

use super::super::*;
use super::{bad, compile, holds};

#[test]
fn an_expression_is_full_at_its_maximum() {
    let of_length = |length: usize| format!("args.x == '{}'", "a".repeat(length - 12));
    assert!(Condition::compile(&of_length(MAX_SOURCE), ConditionScope::Request).is_ok());
    assert!(
        bad(&of_length(MAX_SOURCE + 1))
            .message
            .contains("at most 4096 bytes")
    );
    let sum = |terms: usize| format!("args.x{} > 1", " + 1".repeat(terms));
    assert!(Condition::compile(&sum(MAX_EXPRESSION_DEPTH - 2), ConditionScope::Request).is_ok());
    assert!(
        bad(&sum(MAX_EXPRESSION_DEPTH - 1))
            .message
            .contains("nests deeper")
    );
    assert!(
        Condition::compile(
            &format!("args.x > 1{}", " || args.y > 2".repeat(250)),
            ConditionScope::Request
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
            Condition::compile(&source, ConditionScope::Request).is_err(),
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
                ConditionScope::Request,
            );
        }
    }
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}
