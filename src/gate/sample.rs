//! Samples of the calls behind a workflow's failures: the shape of their arguments, without the
//! values.
//!
//! Taken from at risk on and forgotten when the workflow is healthy again; a few for each failure
//! mode, the first ones. Redaction keeps the shape: which members there are, how long a text is,
//! how many digits a number has. A member's name is kept where it is a word that a schema would
//! have; one that may be data, such as an e-mail address, is counted instead.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::json::Json;
use super::name::{CallId, RunId, ToolName};
use super::outcome::FailureMode;
use super::time::Time;

/// The most samples that are kept of one failure mode.
pub const MAX_OF_MODE: usize = 3;
/// The most samples that are kept of a workflow.
pub const MAX_SAMPLES: usize = 20;
/// The longest sample, in bytes; what does not fit is left out, and the sample says so.
pub const MAX_BYTES: usize = 2_048;
/// The deepest level of nesting that is shown.
const MAX_SAMPLE_DEPTH: usize = 6;
/// The most items that are shown of one array.
const MAX_ITEMS: usize = 3;
/// The longest name of a member.
const MAX_NAME: usize = 40;
/// What is left once the room is used up: closing brackets of every depth, and a word for each.
const RESERVE: usize = 256;

/// One call behind a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallSample {
    /// When it was taken.
    pub at: Time,
    /// The run of the call.
    pub run: RunId,
    /// The call.
    pub call: CallId,
    /// Its tool.
    pub tool: ToolName,
    /// What went wrong.
    pub modes: Vec<FailureMode>,
    /// Its arguments, redacted, as JSON.
    pub arguments: Box<str>,
}

/// The samples of a workflow, oldest first: part of the fold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Samples(VecDeque<CallSample>);

impl Samples {
    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every one, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &CallSample> {
        self.0.iter()
    }

    /// Is there room for another call that failed in these ways?
    #[must_use]
    pub fn wants(&self, modes: &[FailureMode]) -> bool {
        let of_mode = |mode: &FailureMode| {
            self.0
                .iter()
                .filter(|sample| sample.modes.contains(mode))
                .count()
        };
        self.0.len() < MAX_SAMPLES && modes.iter().any(|mode| of_mode(mode) < MAX_OF_MODE)
    }

    /// Keeps the sample of an event that has one, where there is room.
    pub fn apply(&mut self, at: Time, event: &Event) {
        if let Event::Sampled {
            run,
            call,
            tool,
            modes,
            arguments,
        } = event
            && self.wants(modes)
        {
            let arguments = (**arguments).into();
            self.0.push_back(CallSample {
                at,
                run: run.run.clone(),
                call: *call,
                tool: tool.clone(),
                modes: modes.clone(),
                arguments,
            });
        }
    }

    /// The workflow is healthy again.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

/// `arguments` as JSON that has their shape and none of their values, no longer than [`MAX_BYTES`].
#[must_use]
pub fn redacted(arguments: &Json<'_>) -> String {
    let mut text = String::new();
    write(arguments, 0, &mut text);
    text
}

fn write(value: &Json<'_>, depth: usize, text: &mut String) {
    // Writing to a string cannot fail.
    let _ = match value {
        Json::Null => write!(text, "null"),
        Json::Bool(value) => write!(text, "{value}"),
        Json::Number(number) => write!(text, "\"{}\"", digits(number)),
        Json::String(string) => write!(text, "\"text of {}\"", string.chars().count()),
        Json::Array(items) if depth >= MAX_SAMPLE_DEPTH => {
            write!(text, "\"list of {}\"", items.len())
        }
        Json::Object(members) if depth >= MAX_SAMPLE_DEPTH => {
            write!(text, "\"object of {}\"", members.len())
        }
        Json::Array(items) => return list(items, depth, text),
        Json::Object(members) => return object(members, depth, text),
    };
}

fn list(items: &[Json<'_>], depth: usize, text: &mut String) {
    text.push('[');
    let mut shown = 0;
    for item in items.iter().take(MAX_ITEMS) {
        if is_full(text) {
            break;
        }
        separate(text);
        write(item, depth + 1, text);
        shown += 1;
    }
    if shown < items.len() {
        separate(text);
        let _ = write!(text, "\"{} more\"", items.len() - shown);
    }
    text.push(']');
}

fn object(members: &[(std::borrow::Cow<'_, str>, Json<'_>)], depth: usize, text: &mut String) {
    text.push('{');
    let mut shown = 0;
    for (name, value) in members.iter().filter(|(name, _)| is_a_word(name)) {
        if is_full(text) {
            break;
        }
        separate(text);
        let _ = write!(text, "\"{name}\":");
        write(value, depth + 1, text);
        shown += 1;
    }
    if shown < members.len() {
        separate(text);
        let _ = write!(text, "\"…\":\"{} more\"", members.len() - shown);
    }
    text.push('}');
}

fn separate(text: &mut String) {
    if !text.ends_with(['[', '{']) {
        text.push(',');
    }
}

fn is_full(text: &str) -> bool {
    text.len() + MAX_NAME + RESERVE > MAX_BYTES
}

/// Would a schema have this name? Then it says nothing of anybody. Needs no escapes.
fn is_a_word(name: &str) -> bool {
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    name.len() <= MAX_NAME
        && digits <= 2
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(is_plain)
}

/// How large a number is, without which it is.
fn digits(number: &str) -> String {
    let (sign, number) = number
        .strip_prefix('-')
        .map_or(("", number), |number| ("-", number));
    let whole = number.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &number[whole..];
    let kind = if rest.contains(['e', 'E']) {
        "number with an exponent".to_owned()
    } else {
        let decimals = rest.len().saturating_sub(1);
        let decimals = if decimals > 0 {
            format!(".{decimals}")
        } else {
            String::new()
        };
        format!("number of {whole}{decimals} digits")
    };
    sign.to_owned() + &kind
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::gate::run::RunRef;

    fn object_of(members: Vec<(String, Json<'static>)>) -> Json<'static> {
        Json::Object(
            members
                .into_iter()
                .map(|(name, value)| (Cow::Owned(name), value))
                .collect(),
        )
    }

    #[test]
    fn a_sample_has_the_shape_of_the_arguments_and_nothing_else_of_them() {
        let secret = || Json::String("dana@example.org".into());
        let nested = object_of(vec![
            ("iban".into(), secret()),
            ("DE89370400440532013000".into(), secret()),
            ("a b".into(), secret()),
        ]);
        let items = Json::Array((0..5).map(|_| secret()).collect());
        let args = object_of(vec![
            ("order".into(), secret()),
            ("amount".into(), Json::Number("-4711.50")),
            ("factor".into(), Json::Number("17e3")),
            ("express".into(), Json::Bool(true)),
            ("note".into(), Json::Null),
            ("to".into(), nested),
            ("lines".into(), items),
        ]);
        insta::assert_snapshot!(redacted(&args), @r#"{"order":"text of 16","amount":"-number of 4.2 digits","factor":"number with an exponent","express":true,"note":null,"to":{"iban":"text of 16","…":"2 more"},"lines":["text of 16","text of 16","text of 16","2 more"]}"#);
    }

    #[test]
    fn a_sample_goes_as_deep_as_the_bound() {
        let nested = |depth: usize| {
            let nested = (0..depth).fold(Json::Null, |inner, _| Json::Array(vec![inner]));
            redacted(&nested)
        };
        let (open, close) = ("[".repeat(MAX_SAMPLE_DEPTH), "]".repeat(MAX_SAMPLE_DEPTH));
        assert_eq!(nested(MAX_SAMPLE_DEPTH), format!("{open}null{close}"));
        assert_eq!(
            nested(MAX_SAMPLE_DEPTH + 1),
            format!("{open}\"list of 1\"{close}")
        );
    }

    #[test]
    fn so_many_items_of_a_list_are_shown_and_the_rest_is_counted() {
        let list = |items: usize| redacted(&Json::Array(vec![Json::Null; items]));
        assert_eq!(list(MAX_ITEMS), "[null,null,null]");
        assert_eq!(list(MAX_ITEMS + 1), r#"[null,null,null,"1 more"]"#);
    }

    #[test]
    fn a_sample_is_json_within_its_bound_whatever_the_arguments_are() {
        let mut deep = Json::String("x".into());
        for _ in 0..40 {
            let mut members = vec![("first".to_owned(), Json::Array(vec![deep]))];
            members
                .extend((10..40).map(|n| (format!("{}{n}", "m".repeat(MAX_NAME - 2)), Json::Null)));
            deep = object_of(members);
        }
        let wide = object_of(
            (0..4_000)
                .map(|n| {
                    (
                        "m".repeat(n % MAX_NAME + 1),
                        Json::Array(vec![Json::Null; 50]),
                    )
                })
                .collect(),
        );
        for args in [
            deep,
            wide,
            Json::Array(vec![Json::Number("1"); 100_000]),
            Json::String("y".repeat(100_000).into()),
        ] {
            let text = redacted(&args);
            assert!(text.len() <= MAX_BYTES, "{}", text.len());
            assert!(
                serde_json::from_str::<serde_json::Value>(&text).is_ok(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_few_of_each_mode_are_kept_and_no_more_than_there_is_room_for() {
        let mut samples = Samples::default();
        let new_sample = |n: u128, mode: &str| Event::Sampled {
            run: RunRef {
                agent: "a".into(),
                run: "r".into(),
            },
            call: CallId::from_bits(n),
            tool: "api/tool".into(),
            modes: vec![mode.into()],
            arguments: "{}".into(),
        };
        for n in 0..10 {
            samples.apply(Time::from_millis(0), &new_sample(n, "timeout"));
        }
        assert_eq!(
            samples.iter().map(|sample| sample.call).collect::<Vec<_>>(),
            (0..MAX_OF_MODE as u128)
                .map(CallId::from_bits)
                .collect::<Vec<_>>(),
            "the first of them"
        );
        for n in 10..100 {
            samples.apply(Time::from_millis(0), &new_sample(n, &format!("mode_{n}")));
        }
        assert_eq!(samples.iter().count(), MAX_SAMPLES);
        samples.forget();
        assert!(samples.is_empty());
    }
}
