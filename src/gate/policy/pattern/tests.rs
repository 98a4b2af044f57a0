//! Patterns: what they read, what they match, and the order they are tried in.

use proptest::prelude::*;

use super::*;

fn pattern(source: &str) -> Pattern {
    Pattern::http(source).unwrap()
}

fn segments(path: &str) -> Vec<Cow<'_, str>> {
    path.split('/')
        .skip(1)
        .filter(|_| path != "/")
        .map(Cow::Borrowed)
        .collect()
}

fn captures(source: &str, method: &str, path: &str) -> Option<Vec<(String, String)>> {
    let pattern = pattern(source);
    let captures = pattern.captures(method, &segments(path))?;
    Some(
        captures
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into_owned()))
            .collect(),
    )
}

#[test]
fn a_pattern_matches_method_and_segments() {
    type Expected = Option<&'static [(&'static str, &'static str)]>;
    let table: [(&str, &str, &str, Expected); 17] = [
        ("GET /", "GET", "/", Some(&[])),
        ("GET /", "GET", "/a", None),
        ("GET /orders", "GET", "/orders", Some(&[])),
        ("GET /orders", "HEAD", "/orders", Some(&[])),
        ("HEAD /orders", "GET", "/orders", None),
        ("GET /orders", "get", "/orders", None),
        ("GET /orders", "POST", "/orders", None),
        ("GET /orders", "GET", "/Orders", None),
        ("GET /orders", "GET", "/orders/", None),
        (
            "GET /orders/{order}",
            "GET",
            "/orders/A-1",
            Some(&[("order", "A-1")]),
        ),
        ("GET /orders/{order}", "GET", "/orders/", None),
        ("GET /orders/{order}", "GET", "/orders/A-1/items", None),
        (
            "GET /orders/{order}/items/{item}",
            "GET",
            "/orders/1/items/2",
            Some(&[("order", "1"), ("item", "2")]),
        ),
        (
            "GET /files/{name...}",
            "GET",
            "/files/a/b/c",
            Some(&[("name", "a/b/c")]),
        ),
        (
            "GET /files/{name...}",
            "GET",
            "/files/a",
            Some(&[("name", "a")]),
        ),
        ("GET /files/{name...}", "GET", "/files", None),
        ("GET /files/{name...}", "GET", "/files/a//c", None),
    ];
    for (source, method, path, expected) in table {
        let expected = expected.map(|pairs| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<Vec<_>>()
        });
        assert_eq!(
            captures(source, method, path),
            expected,
            "{source} on {method} {path}"
        );
    }
}

#[test]
fn an_error_says_what_is_wrong() {
    let table = [
        ("", "expected a method and a path"),
        ("/orders", "expected a method and a path"),
        ("GET", "expected a method and a path"),
        ("GET orders", "a path starts with `/`"),
        ("get /orders", "in upper case: `GET`"),
        ("FETCH /orders", "`FETCH` is not a method"),
        ("* /orders", "`*` is not a method"),
        ("GET /orders?id=1", "no query"),
        ("GET /orders#top", "no query"),
        ("GET /a//b", "a segment is empty"),
        ("GET /a/", "a segment is empty"),
        ("GET /a/../b", "`..` never reaches"),
        ("GET /a%2Fb", "after percent-decoding"),
        ("GET  /a", "a path starts with `/`"),
        ("GET /a b", "' ' cannot be part"),
        ("GET /{a}/{a}", "two segments are called `a`"),
        ("GET /{a...}/b", "must be the last segment"),
        ("GET /{}", "named with letters"),
        ("GET /{a-b}", "named with letters"),
        ("GET /v{a}", "a whole segment"),
    ];
    for (source, expected) in table {
        let error = Pattern::http(source).unwrap_err();
        assert!(error.contains(expected), "{source}: {error}");
    }
}

#[test]
fn a_template_is_full_at_its_maximum() {
    assert!(Pattern::http(&format!("GET {}", "/a".repeat(MAX_SEGMENTS))).is_ok());
    assert!(Pattern::http(&format!("GET {}", "/a".repeat(MAX_SEGMENTS + 1))).is_err());
}

#[test]
fn the_more_specific_pattern_orders_first() {
    let ordered = [
        "GET /orders/latest/{part}",
        "GET /orders/latest",
        "GET /orders/{order}/items",
        "GET /orders/{order}",
        "GET /orders/{rest...}",
        "GET /orders",
        "GET /{collection}",
        "GET /{rest...}",
        "GET /",
    ];
    for pair in ordered.windows(2) {
        assert_eq!(
            pattern(pair[0]).specificity(&pattern(pair[1])),
            Ordering::Less,
            "{pair:?}"
        );
    }
    assert_eq!(
        pattern("HEAD /a").specificity(&pattern("GET /a")),
        Ordering::Less
    );
}

#[test]
fn an_mcp_tool_is_matched_by_its_name_and_by_no_request() {
    let tool = Pattern::mcp("issue_refund");
    assert_eq!(tool.tool_name(), Some("issue_refund"));
    assert_eq!(tool.captures("GET", &[]), None);
    assert!(
        tool.covers(&tool.clone())
            && !tool.covers(&Pattern::mcp("Issue_refund"))
            && !pattern("GET /{a...}").overlaps(&tool)
    );
    assert_eq!(pattern("GET /").tool_name(), None);
}

fn any_pattern() -> impl Strategy<Value = Pattern> {
    let segment = prop_oneof![Just("a"), Just("b"), Just("{}")];
    (
        prop_oneof![Just("GET"), Just("HEAD"), Just("POST")],
        prop::collection::vec(segment, 0..4),
        any::<bool>(),
    )
        .prop_map(|(method, segments, rest)| {
            let named = |(at, text): (usize, &str)| {
                if text == "{}" {
                    format!("/{{c{at}}}")
                } else {
                    format!("/{text}")
                }
            };
            let path: String = segments
                .into_iter()
                .enumerate()
                .map(named)
                .chain(rest.then(|| "/{rest...}".to_owned()))
                .collect();
            pattern(&format!(
                "{method} {}",
                if path.is_empty() { "/" } else { &path }
            ))
        })
}

fn any_request() -> impl Strategy<Value = (&'static str, Vec<Cow<'static, str>>)> {
    let segment = prop_oneof![Just("a"), Just("b"), Just("c"), Just("")].prop_map(Cow::Borrowed);
    (
        prop_oneof![Just("GET"), Just("HEAD"), Just("POST"), Just("PUT")],
        prop::collection::vec(segment, 0..6),
    )
}

proptest! {
    #[test]
    fn what_a_covered_pattern_matches_its_cover_matches(wide in any_pattern(), narrow in any_pattern(), requests in prop::collection::vec(any_request(), 50)) {
        for (method, segments) in &requests {
            let (in_wide, in_narrow) = (wide.captures(method, segments).is_some(), narrow.captures(method, segments).is_some());
            prop_assert!(!(in_narrow && !in_wide && wide.covers(&narrow)), "{method} {segments:?}");
            prop_assert!(!(in_narrow && in_wide) || wide.overlaps(&narrow), "{method} {segments:?}");
        }
        prop_assert!(!wide.covers(&narrow) || wide.overlaps(&narrow));
        prop_assert_eq!(wide.overlaps(&narrow), narrow.overlaps(&wide));
        prop_assert!(!wide.covers(&narrow) || narrow.covers(&wide) || narrow.specificity(&wide) == Ordering::Less, "a cover must not hide what it covers");
    }

    #[test]
    fn the_order_is_total(a in any_pattern(), b in any_pattern(), c in any_pattern()) {
        prop_assert_eq!(a.specificity(&b), b.specificity(&a).reverse());
        prop_assert_eq!(a.specificity(&b) == Ordering::Equal, a == b);
        prop_assert!(!(a.specificity(&b).is_lt() && b.specificity(&c).is_lt()) || a.specificity(&c).is_lt());
    }

    #[test]
    fn any_text_is_read_or_refused(source in ".{0,60}") {
        let _ = Pattern::http(&source);
    }
}
