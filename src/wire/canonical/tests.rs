//! One meaning, one spelling, one digest: the example of RFC 8785, pairs that must agree, and pairs
//! that must not (G4).

use proptest::prelude::*;

use super::*;
use crate::wire::json::parse;

fn canonical(text: &str) -> String {
    let mut out = Vec::new();
    write(&parse(text.as_bytes()).unwrap(), &mut out);
    String::from_utf8(out).unwrap()
}

const CALL: Approved<'static> = Approved {
    workflow: "support-triage",
    agent: "triage-bot",
    api: "payments",
    upstream: "http://127.0.0.1:3000",
    tool: "refund",
    definition: &Digest::new([7; 32]),
    method: "POST",
    target: "/refunds",
    bound: &UNBOUND,
    body: Body::None,
};

const UNBOUND: BoundTo = BoundTo {
    media_type: None,
    coding: None,
    headers: Vec::new(),
    credentials: None,
};

fn digest_of(body: &str) -> Digest {
    approval_digest(&Approved {
        body: Body::Json(&parse(body.as_bytes()).unwrap()),
        ..CALL
    })
}

#[test]
fn the_example_of_rfc_8785_comes_out_as_printed_there() {
    let text = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
    // The first number keeps its last digit here; the RFC rounds it to binary64.
    let expected = r#"{"literals":[null,true,false],"numbers":[333333333.33333329,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#;
    assert_eq!(canonical(text), expected);
}

#[test]
fn control_characters_are_escaped_as_rfc_8785_lists_them() {
    let short = [
        (0x08, "b"),
        (0x09, "t"),
        (0x0a, "n"),
        (0x0c, "f"),
        (0x0d, "r"),
    ];
    for code in 0..0x20_u32 {
        let long = format!("u{code:04x}");
        let escape = short
            .iter()
            .find(|(known, _)| *known == code)
            .map_or(long.as_str(), |(_, letter)| letter);
        let text = format!("\"a\\u{code:04X}b\"");
        assert_eq!(canonical(&text), format!("\"a\\{escape}b\""));
    }
    assert_eq!(canonical("\"\\u0020\\u007f\""), "\" \u{7f}\"");
}

#[test]
fn members_are_ordered_by_utf16_code_units() {
    let text = "{\"\u{20ac}\":1,\"\\r\":2,\"\u{fb33}\":3,\"1\":4,\"\u{1f600}\":5,\"\u{80}\":6,\"\u{f6}\":7}";
    assert_eq!(
        canonical(text),
        "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
    );
}

#[test]
fn a75_one_meaning_has_one_digest() {
    let digest = digest_of(r#"{"order":"A-1001","amount":100,"note":"é/"}"#);
    for same in [
        r#"{"amount":100,"note":"é/","order":"A-1001"}"#,
        " {\n\"order\" : \"A-1001\" ,\t\"amount\":100,\"note\":\"é/\"}\r\n",
        r#"{"\u006frder":"A-1001","amount":100,"note":"\u00e9\/"}"#,
        r#"{"order":"A-1001","amount":1.00e2,"note":"é/"}"#,
        r#"{"order":"A-1001","amount":100.000,"note":"é/"}"#,
    ] {
        assert_eq!(digest_of(same), digest, "{same}");
    }
    for other in [
        r#"{"order":"A-1002","amount":100,"note":"é/"}"#,
        r#"{"order":"A-1001","amount":100.00000000000000000001,"note":"é/"}"#,
        r#"{"order":"A-1001","amount":"100","note":"é/"}"#,
        r#"{"order":"A-1001","amount":100,"note":"e\u0301/"}"#,
        r#"{"order":"A-1001","amount":100,"note":"é/","extra":null}"#,
        r#"{"order":"A-1001","amount":100}"#,
        r#"[{"order":"A-1001","amount":100,"note":"é/"}]"#,
    ] {
        assert_ne!(digest_of(other), digest, "{other}");
    }
}

/// An approval that is bound to a header with these values.
fn headers(values: &[&str]) -> BoundTo {
    BoundTo {
        headers: vec![BoundHeader {
            name: "x".into(),
            values: values.iter().map(|value| (*value).into()).collect(),
        }],
        ..UNBOUND
    }
}

#[test]
fn every_field_of_a_call_is_in_its_digest() {
    let json = parse(b"null").unwrap();
    let looks_like_bytes = format!("\"{}\"", digest(b"x"));
    let looks_like_bytes = parse(looks_like_bytes.as_bytes()).unwrap();
    let other = Digest::new([8; 32]);
    let bounds = [
        BoundTo {
            media_type: Some("x".into()),
            ..UNBOUND
        },
        BoundTo {
            coding: Some("x".into()),
            ..UNBOUND
        },
        BoundTo {
            credentials: Some(other),
            ..UNBOUND
        },
        headers(&[]),
        headers(&["a"]),
        headers(&["a", "b"]),
        headers(&["a\",\"b"]),
    ];
    let calls = [
        CALL,
        Approved {
            workflow: "x",
            ..CALL
        },
        Approved { agent: "x", ..CALL },
        Approved { api: "x", ..CALL },
        Approved {
            upstream: "x",
            ..CALL
        },
        Approved { tool: "x", ..CALL },
        Approved {
            definition: &other,
            ..CALL
        },
        Approved {
            method: "x",
            ..CALL
        },
        Approved {
            target: "x",
            ..CALL
        },
        Approved {
            target: "/refunds\",\"x",
            ..CALL
        },
        Approved {
            body: Body::Json(&json),
            ..CALL
        },
        Approved {
            body: Body::Json(&looks_like_bytes),
            ..CALL
        },
        Approved {
            body: Body::Bytes(b""),
            ..CALL
        },
        Approved {
            body: Body::Parts("x"),
            ..CALL
        },
        Approved {
            body: Body::Bytes(b"x"),
            ..CALL
        },
        Approved {
            body: Body::Bytes(b"null"),
            ..CALL
        },
    ];
    let bound = bounds.iter().map(|bound| Approved { bound, ..CALL });
    let calls: Vec<_> = calls.into_iter().chain(bound).collect();
    let digests: std::collections::HashSet<Digest> = calls.iter().map(approval_digest).collect();
    assert_eq!(digests.len(), calls.len());
}

/// The preimage is a promise: other tools recompute it.
#[test]
fn the_preimage_of_a_call_never_changes() {
    let json = parse(b"null").unwrap();
    let call = Approved {
        body: Body::Json(&json),
        ..CALL
    };
    let preimage = format!(
        r#"["support-triage","triage-bot","payments","http://127.0.0.1:3000","refund","{}","POST","/refunds",null,null,{{}},null,null]"#,
        "07".repeat(32)
    );
    assert_eq!(approval_digest(&call), digest(preimage.as_bytes()));
}

/// A JSON document in two spellings that mean the same.
fn twins() -> impl Strategy<Value = (String, String)> {
    let number = (-1_000_000_i64..1_000_000, 0_usize..4)
        .prop_map(|(n, zeros)| (n.to_string(), format!("{n}{}e-{zeros}", "0".repeat(zeros))));
    let string = "[ -~é€😀\n\"\\\\]{0,8}".prop_map(|text| {
        let escaped: Vec<String> = text
            .encode_utf16()
            .map(|unit| format!("\\u{unit:04X}"))
            .collect();
        (
            serde_json::to_string(&text).unwrap(),
            format!("\"{}\"", escaped.concat()),
        )
    });
    let leaf = prop_oneof![
        number,
        string,
        Just(("null".to_string(), " null ".to_string())),
        Just(("true".to_string(), "true\n".to_string()))
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(|elements| {
                let (one, other): (Vec<_>, Vec<_>) = elements.into_iter().unzip();
                (
                    format!("[{}]", one.join(",")),
                    format!("[ {} ]", other.join(" ,\t")),
                )
            }),
            proptest::collection::btree_map("[a-z]{1,3}", inner, 0..6).prop_map(|members| {
                let one: Vec<_> = members
                    .iter()
                    .map(|(name, (value, _))| format!("\"{name}\":{value}"))
                    .collect();
                let other: Vec<_> = members
                    .iter()
                    .rev()
                    .map(|(name, (_, value))| {
                        format!("\"\\u{:04x}{}\" : {value}", name.as_bytes()[0], &name[1..])
                    })
                    .collect();
                (
                    format!("{{{}}}", one.join(",")),
                    format!("{{ {} }}", other.join(" , ")),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn two_spellings_of_one_value_are_one((one, other) in twins()) {
        prop_assert_eq!(canonical(&one), canonical(&other));
        prop_assert_eq!(digest_of(&one), digest_of(&other));
    }

    #[test]
    fn the_canonical_spelling_is_its_own((one, _) in twins()) {
        let once = canonical(&one);
        prop_assert_eq!(canonical(&once), once);
    }

    #[test]
    fn different_values_have_different_digests((one, _) in twins(), (other, _) in twins()) {
        prop_assert_eq!(canonical(&one) == canonical(&other), digest_of(&one) == digest_of(&other));
        if let (Some(left), Some(right)) = (crate::wire::json::to_value(&parse(one.as_bytes()).unwrap()), crate::wire::json::to_value(&parse(other.as_bytes()).unwrap())) {
            prop_assert_eq!(left == right, canonical(&one) == canonical(&other));
        }
    }
}
