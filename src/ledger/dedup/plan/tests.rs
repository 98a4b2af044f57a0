//! Keys as agents write them.

use super::*;

#[test]
fn an_idempotency_key_is_a_quoted_string_or_bare_text() {
    for (written, read) in [
        (
            "8e03978e-40d5-43dd-bc93-6894a57f9324",
            "8e03978e-40d5-43dd-bc93-6894a57f9324",
        ),
        ("\"8e03978e\"", "8e03978e"),
        (r#""a\"b\\c""#, r#"a"b\c"#),
        ("  spaced  ", "spaced"),
    ] {
        assert_eq!(key(written).as_deref(), Ok(read), "{written}");
    }
    for bad in ["", "\"", "\"\"", "\"a", "\"a\"b\"", r#""\x""#, r#""a\"#] {
        assert!(key(bad).is_err(), "{bad}");
    }
    assert!(key(&"k".repeat(MAX_KEY)).is_ok());
    assert!(key(&"k".repeat(MAX_KEY + 1)).is_err());
}

#[test]
fn no_two_lists_of_texts_share_a_digest() {
    let digests = [
        digest(&["work", "a", "bc"]),
        digest(&["work", "ab", "c"]),
        digest(&["work", "a", "b", "c"]),
        digest(&["work", "a\",\"b", "c"]),
    ];
    let distinct: std::collections::BTreeSet<_> = digests.iter().collect();
    assert_eq!(distinct.len(), digests.len());
}
