//! Guesses for a person to correct: how much harm an operation can do, what it touches, and what to
//! call it.
//!
//! A guess is written into a draft policy with its reason beside it, and a person reads the draft
//! before it is used. Unclear words give the higher risk, because a tool that is held too often is
//! noticed on its first day.

use serde_json::Value;

use crate::gate::risk::Risk;

/// A guess at a risk, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    /// The risk.
    pub risk: Risk,
    /// Why, in a few words.
    pub why: String,
}

/// The longest name of a tool.
const LONGEST_NAME: usize = 64;

const MONEY: [&str; 21] = [
    "billing",
    "charge",
    "charges",
    "checkout",
    "credit",
    "credits",
    "debit",
    "invoice",
    "invoices",
    "pay",
    "payment",
    "payments",
    "payout",
    "payouts",
    "purchase",
    "refund",
    "refunds",
    "subscription",
    "transfer",
    "transfers",
    "withdrawal",
];

const PEOPLE: [&str; 14] = [
    "broadcast",
    "email",
    "emails",
    "invitation",
    "invite",
    "invites",
    "mail",
    "notification",
    "notifications",
    "notify",
    "publish",
    "send",
    "sms",
    "message",
];

const POWER: [&str; 21] = [
    "access",
    "acl",
    "admin",
    "admins",
    "apikey",
    "collaborators",
    "credentials",
    "grant",
    "grants",
    "key",
    "keys",
    "member",
    "members",
    "password",
    "permission",
    "permissions",
    "role",
    "roles",
    "secret",
    "secrets",
    "token",
];

const FINAL: [&str; 12] = [
    "delete",
    "deploy",
    "deployment",
    "deployments",
    "destroy",
    "erase",
    "merge",
    "purge",
    "remove",
    "shutdown",
    "terminate",
    "wipe",
];

const LOOKS: [&str; 11] = [
    "calculate",
    "count",
    "estimate",
    "find",
    "list",
    "lookup",
    "preview",
    "query",
    "search",
    "validate",
    "verify",
];

/// How much harm a call by `method` can do, judged by the words around it.
#[must_use]
pub fn risk<'t>(method: &str, words: impl IntoIterator<Item = &'t str>) -> Guess {
    let guess = |risk, why: String| Guess { risk, why };
    if matches!(method, "GET" | "HEAD" | "OPTIONS") {
        return guess(Risk::Read, format!("{method} looks and changes nothing"));
    }
    if method == "DELETE" {
        return guess(Risk::High, "DELETE cannot easily be undone".to_owned());
    }
    let words: Vec<String> = words.into_iter().flat_map(split).collect();
    let among = |list: &[&str]| words.iter().find(|word| list.contains(&word.as_str()));
    let kinds: [(&[&str], &str); 4] = [
        (&MONEY, "moves money"),
        (&PEOPLE, "reaches people"),
        (&POWER, "changes who may do what"),
        (&FINAL, "cannot easily be undone"),
    ];
    if let Some((word, does)) = kinds
        .iter()
        .find_map(|(list, does)| among(list).map(|word| (word, does)))
    {
        return guess(Risk::High, format!("\"{word}\" {does}, it seems"));
    }
    if let Some(word) = among(&LOOKS) {
        return guess(
            Risk::Low,
            format!("\"{word}\" may only look: then write read"),
        );
    }
    let does = if method == "POST" {
        "POST makes something new"
    } else {
        "changes what is there"
    };
    guess(
        Risk::Medium,
        format!("{does}; low, if that is easily put right"),
    )
}

/// The words of a text: `createRefund_v2` has `create`, `refund` and `v2`.
fn split(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for letter in text.chars().take(500) {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && after_lower) {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        after_lower = letter.is_lowercase() || letter.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What a tool is called: the operation's own name where a tool may have it, else its method and
/// path in words.
#[must_use]
pub fn name(id: Option<&str>, method: &str, path: &str, taken: &dyn Fn(&str) -> bool) -> String {
    let plain = |text: &str| {
        let spelled: String = text
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let parts: Vec<&str> = spelled.split('_').filter(|part| !part.is_empty()).collect();
        let joined = parts.join("_");
        joined
            .trim_start_matches(['-', '.'])
            .chars()
            .take(LONGEST_NAME)
            .collect::<String>()
    };
    let from_path = || plain(&format!("{}_{path}", method.to_ascii_lowercase()));
    let first = id
        .map(plain)
        .filter(|name| !name.is_empty())
        .unwrap_or_else(from_path);
    let mut name = first.clone();
    let mut count = 1;
    while taken(&name) {
        count += 1;
        let ending = format!("_{count}");
        name = first
            .chars()
            .take(LONGEST_NAME - ending.len())
            .chain(ending.chars())
            .collect();
    }
    name
}

/// An expression for the business object that a call touches: the last thing that its path names,
/// else a member of its body that names one.
#[must_use]
pub fn subject<'c>(
    captures: impl Iterator<Item = &'c str>,
    body: Option<&Value>,
) -> Option<String> {
    if let Some(capture) = captures.last() {
        return Some(format!("path.{capture}"));
    }
    let required = body?
        .get("required")?
        .as_array()?
        .iter()
        .filter_map(Value::as_str);
    let names_one = |name: &&str| {
        let lower = name.to_ascii_lowercase();
        let is_word = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let kind = body
            .and_then(|body| body.pointer(&format!("/properties/{name}/type")))
            .and_then(Value::as_str);
        let ends = lower == "id"
            || lower.ends_with("_id")
            || name.ends_with("Id")
            || [
                "order", "customer", "account", "invoice", "user", "email", "to",
            ]
            .contains(&&*lower);
        is_word && ends && matches!(kind, Some("string" | "integer"))
    };
    required
        .into_iter()
        .find(names_one)
        .map(|name| format!("args.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_risk_is_guessed_by_method_and_words() {
        let table = [
            ("GET", "/refunds", Risk::Read),
            ("HEAD", "/x", Risk::Read),
            ("POST", "createRefund", Risk::High),
            ("POST", "/emails/send", Risk::High),
            ("PUT", "/users/{id}/roles", Risk::High),
            ("DELETE", "/notes/{id}", Risk::High),
            ("POST", "/orders/search", Risk::Low),
            ("POST", "/notes", Risk::Medium),
            ("PATCH", "/notes/{id}", Risk::Medium),
            // Words, not letters: `keyboard` is no key, and `display` pays nothing.
            ("POST", "/keyboards/display", Risk::Medium),
        ];
        for (method, words, risk) in table {
            let guess = super::risk(method, [words]);
            assert_eq!(guess.risk, risk, "{method} {words}: {}", guess.why);
        }
        assert_eq!(
            super::risk("POST", ["/refunds"]).why,
            "\"refunds\" moves money, it seems"
        );
    }

    #[test]
    fn a_name_can_always_be_a_tools_name() {
        let free = |_: &str| false;
        assert_eq!(
            name(Some("pets/list-all"), "GET", "/pets", &free),
            "pets_list-all"
        );
        assert_eq!(
            name(None, "GET", "/pets/{petId}.json", &free),
            "get_pets_petId_.json"
        );
        assert_eq!(name(Some("..."), "GET", "/", &free), "get");
        assert_eq!(
            name(Some("a"), "GET", "/", &|name| name == "a" || name == "a_2"),
            "a_3"
        );
        let long = name(Some(&"x".repeat(200)), "GET", "/", &|name| {
            name.len() == 64 && !name.ends_with("_2")
        });
        assert_eq!((long.len(), long.ends_with("_2")), (64, true));
    }

    #[test]
    fn a_subject_is_what_the_path_names_last() {
        let body = serde_json::json!({ "required": ["amount", "order_id"], "properties": { "amount": { "type": "number" }, "order_id": { "type": "string" } } });
        assert_eq!(
            subject(["customer", "order"].into_iter(), Some(&body)).as_deref(),
            Some("path.order")
        );
        assert_eq!(
            subject([].into_iter(), Some(&body)).as_deref(),
            Some("args.order_id")
        );
        assert_eq!(
            subject(
                [].into_iter(),
                Some(&serde_json::json!({ "required": ["a-id"] }))
            ),
            None
        );
        assert_eq!(subject([].into_iter(), None), None);
    }
}
