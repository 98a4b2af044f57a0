//! Documents that two readers could take differently, one by one; and no bytes make the reader
//! panic.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn kind(text: impl AsRef<[u8]>) -> Option<JsonErrorKind> {
    parse(text.as_ref()).err().map(|error| error.kind)
}

#[test]
fn a_document_is_read_as_written_and_borrowed() {
    let json = parse(br#" {"a" : [1.50, -0, true, false, null, "x"], "\u00e9\ud83d\ude00" : "\"\\\/\b\f\n\r\t" } "#).unwrap();
    let Json::Array(elements) = json.get("a").unwrap() else {
        panic!("an array")
    };
    assert_eq!(elements[..2], [Json::Number("1.50"), Json::Number("-0")]);
    assert!(matches!(elements[5], Json::String(Cow::Borrowed("x"))));
    assert_eq!(
        json.get("é😀").and_then(Json::as_str),
        Some("\"\\/\u{8}\u{c}\n\r\t")
    );
}

#[rstest]
#[case(r#"{"amount":1,"amount":9999}"#)]
#[case(r#"{"a":[{"b":{"amount":1,"c":0,"amount":1}}]}"#)]
#[case(r#"{"":1,"":2}"#)]
fn a62_duplicate_members_are_refused(#[case] text: &str) {
    assert_eq!(kind(text), Some(JsonErrorKind::Duplicate));
}

#[test]
fn a62_duplicates_are_found_on_both_sides_of_the_linear_bound() {
    for count in [
        LINEAR_MEMBERS - 1,
        LINEAR_MEMBERS,
        LINEAR_MEMBERS + 1,
        5_000,
    ] {
        let members: Vec<String> = (0..count).map(|at| format!("\"k{at}\":{at}")).collect();
        assert_eq!(kind(format!("{{{}}}", members.join(","))), None, "{count}");
        for twin in [0, count - 1] {
            assert_eq!(
                kind(format!("{{{},\"k{twin}\":0}}", members.join(","))),
                Some(JsonErrorKind::Duplicate),
                "{count}"
            );
        }
    }
}

#[test]
fn a63_escaped_duplicates_are_refused() {
    assert_eq!(
        kind(r#"{"amount":1,"\u0061mount":9}"#),
        Some(JsonErrorKind::Duplicate)
    );
    assert_eq!(
        kind(r#"{"\ud83d\ude00":1,"😀":9}"#),
        Some(JsonErrorKind::Duplicate)
    );
}

#[test]
fn a64_members_that_differ_by_case_are_twins() {
    for twins in [
        r#"{"name":1,"Name":2}"#,
        r#"{"x":0,"K":1,"\u212a":2}"#,
        r#"{"ids":1,"id\u017f":2}"#,
    ] {
        assert!(has_case_twins(&parse(twins.as_bytes()).unwrap()), "{twins}");
    }
    for fine in [
        r#"{"name":{"a":1,"A":2},"names":1}"#,
        "{}",
        r#"["a","A"]"#,
        "1",
    ] {
        assert!(!has_case_twins(&parse(fine.as_bytes()).unwrap()), "{fine}");
    }
}

#[rstest]
#[case("01")]
#[case("-")]
#[case("-01")]
#[case("1.")]
#[case("1.e5")]
#[case("1e")]
#[case("1e+")]
#[case("[-a]")]
fn a65_numbers_keep_the_grammar(#[case] text: &str) {
    assert_eq!(kind(text), Some(JsonErrorKind::Number));
}

#[test]
fn a65_numbers_keep_their_text_up_to_the_exponent_bound() {
    for text in [
        "1e400",
        "-0",
        "1.0",
        "1E2",
        "9007199254740993",
        "1234567890123456789012345678901234567890",
        "1e-999999999",
        "1e+0000000000001",
    ] {
        assert_eq!(parse(text.as_bytes()), Ok(Json::Number(text)));
    }
    let exponent = |digits: usize| format!("1e-000{}", "9".repeat(digits));
    assert_eq!(kind(exponent(MAX_EXPONENT_DIGITS)), None);
    assert_eq!(
        kind(exponent(MAX_EXPONENT_DIGITS + 1)),
        Some(JsonErrorKind::NumberRange)
    );
}

#[rstest]
#[case("NaN")]
#[case("Infinity")]
#[case("-Infinity")]
#[case("+1")]
#[case(".5")]
#[case("0x10")]
#[case("1_000")]
#[case("[1,]")]
#[case(r#"{"a":1,}"#)]
#[case("{'a':1}")]
#[case("{a:1}")]
#[case("/**/1")]
#[case("1//x")]
#[case("{}{}")]
#[case("1 1")]
#[case("tru")]
#[case("nulll")]
#[case("True")]
#[case("[1 2]")]
#[case(r#"{"a" 1}"#)]
#[case(r#"{"a":}"#)]
#[case("\u{a0}1")]
#[case("\u{0}")]
#[case("]")]
fn a66_what_only_some_readers_take_is_refused(#[case] text: &str) {
    assert!(parse(text.as_bytes()).is_err());
}

#[rstest]
#[case("[", "]")]
#[case("{\"a\":", "}")]
fn a67_depth_is_bounded(#[case] open: &str, #[case] close: &str) {
    let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    assert_eq!(kind(nested(MAX_DEPTH)), None);
    assert_eq!(kind(nested(MAX_DEPTH + 1)), Some(JsonErrorKind::TooDeep));
    assert_eq!(kind(open.repeat(100_000)), Some(JsonErrorKind::TooDeep));
}

#[rstest]
#[case(b"\"\xff\"", JsonErrorKind::Utf8)]
#[case(b"\"\xc0\xae\"", JsonErrorKind::Utf8)]
#[case(b"\"\xed\xa0\x80\"", JsonErrorKind::Utf8)]
#[case(b"\xef\xbb\xbf{}", JsonErrorKind::ByteOrderMark)]
#[case(b"\xff\xfe1\0", JsonErrorKind::Utf8)]
#[case(b"\"\\ud800\"", JsonErrorKind::Surrogate)]
#[case(b"\"\\udc00\"", JsonErrorKind::Surrogate)]
#[case(b"\"\\ud800\\ud800\"", JsonErrorKind::Surrogate)]
#[case(b"\"\\ud800x\"", JsonErrorKind::Surrogate)]
#[case(b"\"\\u12\"", JsonErrorKind::Escape)]
#[case(b"\"\\u+123\"", JsonErrorKind::Escape)]
#[case(b"\"\\x41\"", JsonErrorKind::Escape)]
#[case(b"\"a\nb\"", JsonErrorKind::Control)]
#[case(b"\"a\0b\"", JsonErrorKind::Control)]
#[case(b"\"a", JsonErrorKind::End)]
#[case(b"\"a\\", JsonErrorKind::End)]
#[case(b"", JsonErrorKind::End)]
#[case(b"  ", JsonErrorKind::End)]
#[case(b"{", JsonErrorKind::End)]
#[case(b"[1", JsonErrorKind::End)]
fn a68_text_that_is_no_text_is_refused(#[case] bytes: &[u8], #[case] expected: JsonErrorKind) {
    assert_eq!(kind(bytes), Some(expected));
}

#[test]
fn an_error_says_what_and_where() {
    assert_eq!(Malformed::from(parse(b"").unwrap_err()), Malformed::Json);
    assert_eq!(
        parse(b"{\"a\":01}").unwrap_err().to_string(),
        "an invalid number at byte 5"
    );
    // A control character is looked for from behind the text before it.
    for plain in ["", "a", "abcdefgh"] {
        let text = format!("\"{plain}\u{1}{plain}\"");
        let error = parse(text.as_bytes()).unwrap_err();
        assert_eq!(
            (error.offset, error.kind),
            (1 + plain.len(), JsonErrorKind::Control)
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn what_is_read_here_serde_json_reads_too(text in "[\\[\\]{}:,\"\\\\u0-9a-f.eE+ -]{0,40}") {
        if parse(text.as_bytes()).is_ok_and(|json| to_value(&json).is_some()) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}
