//! Spellings of one path, and targets that are refused because a second reader could take them for
//! another.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn path(raw: &str) -> Result<String, Malformed> {
    read(raw, None).map(|target| target.path().to_string())
}

#[rstest]
#[case("/", "/")]
#[case("/orders/A-1001", "/orders/A-1001")]
#[case("/a//b", "/a/b")]
#[case("///admin", "/admin")]
#[case("//", "/")]
#[case("/a/./b", "/a/b")]
#[case("/a/../admin", "/admin")]
#[case("/a/b/..", "/a/")]
#[case("/a/.", "/a/")]
#[case("/a//../b", "/b")]
#[case("/a/%2e%2e/b", "/b")]
#[case("/a/%2E./b", "/b")]
#[case("/a/.%2e/b", "/b")]
#[case("/%61dmin", "/admin")]
#[case("/a%7eb", "/a~b")]
#[case("/caf%c3%a9", "/caf%C3%A9")]
#[case("/a%20b%3f", "/a%20b%3F")]
#[case("/.well-known/x", "/.well-known/x")]
#[case("/...", "/...")]
#[case("/a%25", "/a%25")]
#[case("/100%25!", "/100%25!")]
fn a39_a40_a41_a_path_has_one_spelling(#[case] raw: &str, #[case] canonical: &str) {
    assert_eq!(path(raw).as_deref(), Ok(canonical));
    assert_eq!(path(canonical).as_deref(), Ok(canonical));
}

#[rstest]
#[case("/..", Malformed::TargetEscapesRoot)]
#[case("/a/../../b", Malformed::TargetEscapesRoot)]
#[case("/%2e%2e/b", Malformed::TargetEscapesRoot)]
#[case("/a/..;/admin", Malformed::TargetParameters)]
#[case("/a/%252e%252e/b", Malformed::TargetEncodedTwice)]
#[case("/a/%25%32%65/b", Malformed::TargetEncodedTwice)]
#[case("/a%252fb", Malformed::TargetEncodedTwice)]
#[case("/a%2fb", Malformed::TargetSlash)]
#[case("/a%2Fb", Malformed::TargetSlash)]
#[case("/a%5cb", Malformed::TargetSlash)]
#[case("/a\\b", Malformed::TargetSlash)]
#[case("/a;v=1/b", Malformed::TargetParameters)]
#[case("/admin;", Malformed::TargetParameters)]
#[case("/admin%3b", Malformed::TargetParameters)]
#[case("/a%00", Malformed::TargetControl)]
#[case("/a\0", Malformed::TargetControl)]
#[case("/a%0d%0ab", Malformed::TargetControl)]
#[case("/a b", Malformed::TargetControl)]
#[case("/a\u{7f}", Malformed::TargetControl)]
#[case("/a%7f", Malformed::TargetControl)]
#[case("/a%c2%85", Malformed::TargetControl)]
#[case("/é", Malformed::Target)]
#[case("/%c0%ae", Malformed::TargetUtf8)]
#[case("/%ff", Malformed::TargetUtf8)]
#[case("/%ed%a0%80", Malformed::TargetUtf8)]
#[case("/%zz", Malformed::TargetEncoding)]
#[case("/%", Malformed::TargetEncoding)]
#[case("/%4", Malformed::TargetEncoding)]
#[case("/%+1", Malformed::TargetEncoding)]
#[case("/admin#x", Malformed::TargetFragment)]
#[case("/a?b", Malformed::Target)]
#[case("/a\"b", Malformed::Target)]
#[case("/a`b", Malformed::Target)]
#[case("*", Malformed::Target)]
#[case("", Malformed::Target)]
#[case("a/b", Malformed::Target)]
#[case("http://h/a", Malformed::Target)]
fn a40_to_a48_what_two_readers_could_read_differently_is_refused(
    #[case] raw: &str,
    #[case] reason: Malformed,
) {
    assert_eq!(path(raw), Err(reason));
}

#[test]
fn a46_a47_case_and_trailing_marks_make_another_path() {
    let paths = ["/admin", "/Admin", "/admin/", "/admin.", "/%EF%BC%8Fadmin"];
    let distinct: std::collections::HashSet<_> =
        paths.iter().map(|raw| path(raw).unwrap()).collect();
    assert_eq!(distinct.len(), paths.len());
    assert_eq!(read("/admin", Some("")).unwrap().to_string(), "/admin?");
}

/// The characters that browsers leave raw: one spelling, encoded, in path and query alike.
#[rstest]
#[case("/users/auth0|123", None, "/users/auth0%7C123")]
#[case("/x[0]", None, "/x%5B0%5D")]
#[case("/a^b", None, "/a%5Eb")]
#[case("/a", Some("filter[state]=a|b^c"), "/a?filter%5Bstate%5D=a%7Cb%5Ec")]
fn s14_what_browsers_leave_raw_is_encoded_once(
    #[case] raw: &str,
    #[case] query: Option<&str>,
    #[case] spelled: &str,
) {
    let target = read(raw, query).unwrap();
    assert_eq!(target.to_string(), spelled);
    let encoded = spelled
        .split_once('?')
        .map_or((spelled, None), |(path, query)| (path, Some(query)));
    assert_eq!(read(encoded.0, encoded.1).unwrap().to_string(), spelled);
}

#[rstest]
#[case("note=a%0Ab")]
#[case("note=a%0D%0Ab")]
#[case("note=a%09b")]
fn s13_line_breaks_and_tabs_are_text_in_a_query_and_nothing_in_a_path(#[case] query: &str) {
    assert_eq!(read("/", Some(query)).unwrap().query(), Some(query));
    let path = format!("/{}", query.split_once('=').unwrap().1);
    assert_eq!(read(&path, None), Err(Malformed::TargetControl));
}

#[test]
fn a39_merged_slashes_are_reported() {
    for (raw, merged) in [
        ("/a//b", true),
        ("/a/b", false),
        ("/a/./b", false),
        ("//", true),
    ] {
        assert_eq!(read(raw, None).unwrap().is_merged(), merged, "{raw}");
    }
}

#[test]
fn a_canonical_path_is_borrowed() {
    let target = read("/orders/A-1001", Some("a=1&b=%20")).unwrap();
    assert!(matches!(target.path, Cow::Borrowed(_)));
    assert_eq!(target.to_string(), "/orders/A-1001?a=1&b=%20");
}

#[rstest]
#[case("a=%00", Malformed::TargetControl)]
#[case("a=%1b", Malformed::TargetControl)]
#[case("a=<", Malformed::Target)]
#[case("a=>", Malformed::Target)]
#[case("a b", Malformed::TargetControl)]
#[case("a=é", Malformed::Target)]
#[case("a=%", Malformed::TargetEncoding)]
#[case("a=%g0", Malformed::TargetEncoding)]
#[case("a#b", Malformed::TargetFragment)]
#[case("a=\"", Malformed::Target)]
fn a44_a45_a_query_is_checked_but_kept(#[case] query: &str, #[case] reason: Malformed) {
    assert_eq!(read("/", Some(query)), Err(reason));
}

#[test]
fn a_target_is_bounded() {
    let longest = format!("/{}", "a".repeat(MAX_TARGET - 1));
    assert!(read(&longest, None).is_ok());
    assert_eq!(
        read(&format!("{longest}a"), None),
        Err(Malformed::TargetTooLong)
    );
    assert_eq!(read(&longest, Some("")), Err(Malformed::TargetTooLong));
}

#[test]
fn segments_are_decoded_and_keep_the_trailing_slash() {
    let segments = |raw| {
        read(raw, None)
            .unwrap()
            .segments()
            .map(Cow::into_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(segments("/orders/caf%c3%a9%20x"), ["orders", "café x"]);
    assert_eq!(segments("/orders/"), ["orders", ""]);
    assert_eq!(segments("/"), [""]);
}

#[rstest]
#[case("/payments", "/payments", Some("/"))]
#[case("/payments/", "/payments", Some("/"))]
#[case("/payments/x", "/payments", Some("/x"))]
#[case("/payments/x", "/payments/", Some("/x"))]
#[case("/payments/x", "/", Some("/payments/x"))]
#[case("/payments-old/x", "/payments", None)]
#[case("/Payments/x", "/payments", None)]
#[case("/pay", "/payments", None)]
#[case("/x/payments", "/payments", None)]
fn a_route_is_matched_in_whole_segments(
    #[case] raw: &str,
    #[case] route: &str,
    #[case] rest: Option<&str>,
) {
    let target = read(raw, Some("q")).unwrap();
    assert_eq!(
        target.strip_prefix(route).map(|target| target.to_string()),
        rest.map(|rest| format!("{rest}?q"))
    );
}

proptest! {
    #[test]
    fn a_target_read_twice_is_the_same(raw in "/([a-c./]|%2[eE]|%c3%a9|%[0-9a-fA-F]{2}|[ -~]){0,20}") {
        if let Ok(target) = read(&raw, None) {
            let once = target.path().to_string();
            let again = read(&once, None);
            prop_assert_eq!(again.as_ref().map(CanonicalTarget::path), Ok(once.as_str()));
            prop_assert!(!once.contains("//") && once.starts_with('/'));
            prop_assert!(target.segments().all(|segment| segment != "." && segment != ".." && !segment.contains(['/', '\\', ';'])));
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(raw in "\\PC{0,60}", query in "\\PC{0,60}") {
        let _ = read(&raw, Some(&query));
    }
}
