//! A held call's arguments as a reviewer reads them: every member, numbers as they were written,
//! nothing shortened and nothing unseen.
//!
//! The result is JSON again, so that it can be copied. Numbers are not read into anything: what was
//! approved is their exact decimal value.

use std::fmt::Write as _;

use super::escape::{escape, is_unseen, push_json_escape};
use crate::gate::json::Json;
use crate::wire::json;

/// The JSON document `text`, indented by `indent` blanks. What is no strict JSON is shown as text,
/// so that nothing is ever hidden.
#[must_use]
pub(in crate::cli) fn arguments(text: &str, indent: usize) -> String {
    let mut shown = String::new();
    match json::parse(text.as_bytes()) {
        Ok(value) => push(&mut shown, &value, indent),
        Err(_) => shown = escape(text),
    }
    shown
}

fn push(into: &mut String, value: &Json<'_>, indent: usize) {
    let inner = indent + 2;
    match value {
        Json::Null => into.push_str("null"),
        Json::Bool(flag) => into.push_str(if *flag { "true" } else { "false" }),
        Json::Number(number) => into.push_str(number),
        Json::String(text) => push_string(into, text),
        Json::Array(items) if items.is_empty() => into.push_str("[]"),
        Json::Array(items) => {
            into.push('[');
            for (index, item) in items.iter().enumerate() {
                push_line(into, index, inner);
                push(into, item, inner);
            }
            push_end(into, ']', indent);
        }
        Json::Object(members) if members.is_empty() => into.push_str("{}"),
        Json::Object(members) => {
            into.push('{');
            for (index, (name, item)) in members.iter().enumerate() {
                push_line(into, index, inner);
                push_string(into, name);
                into.push_str(": ");
                push(into, item, inner);
            }
            push_end(into, '}', indent);
        }
    }
}

fn push_line(into: &mut String, index: usize, indent: usize) {
    let comma = if index > 0 { "," } else { "" };
    let _ = write!(into, "{comma}\n{:indent$}", "");
}

fn push_end(into: &mut String, end: char, indent: usize) {
    let _ = write!(into, "\n{:indent$}{end}", "");
}

fn push_string(into: &mut String, text: &str) {
    into.push('"');
    for c in text.chars() {
        match c {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            c if is_unseen(c) => push_json_escape(into, c),
            c => into.push(c),
        }
    }
    into.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_shown_in_full_and_to_the_last_digit() {
        let text = r#"{"amount":4999.000000000000000000001,"items":[{"id":"A\u200b-1"},[],{}],"note":"\u202egnp\u001b[2J \"x\"\n","to":null,"ok":true}"#;
        insta::assert_snapshot!(arguments(text, 2), @r#"
        {
            "amount": 4999.000000000000000000001,
            "items": [
              {
                "id": "A\u200b-1"
              },
              [],
              {}
            ],
            "note": "\u202egnp\u001b[2J \"x\"\n",
            "to": null,
            "ok": true
          }
        "#);
    }

    #[test]
    fn what_is_no_json_is_shown_all_the_same() {
        assert_eq!(
            arguments("{\"a\":1,\"a\":2}\x1b", 0),
            "{\"a\":1,\"a\":2}\\u{1b}"
        );
    }
}
