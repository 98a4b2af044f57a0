//! YAML as a tree in which every node knows where it was written.
//!
//! A derived `Deserialize` stops at its first error. So a file is read twice: here, where only
//! broken YAML stops it, and then by [`super::decode`], which reads typed documents from the tree
//! and reports everything that does not fit. Alias bombs and deep nesting are refused by the
//! parser's budgets.

use std::fmt;
use std::ops::Range;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy, Spanned};

/// The most nodes that a file may hold, aliases followed.
pub const MAX_NODES: usize = 100_000;

/// How deep a file may nest. JSON Schemas nest deepest, and not this deep; the parser recurses, so
/// twice as much would not fit a thread's stack.
pub const MAX_DEPTH: usize = 32;

/// The most nodes of an `OpenAPI` document; published ones have hundreds of thousands.
pub const MAX_LARGE_NODES: usize = 2_000_000;

/// How deep an `OpenAPI` document may nest: schemas inside of schemas begin eight levels below its
/// root.
pub const MAX_LARGE_DEPTH: usize = 128;

/// The bytes of a file that something was written in.
pub type SourceSpan = Range<usize>;

/// A value and where it was written. Two nodes are equal when their values are.
#[derive(Debug, Clone)]
pub struct YamlNode {
    /// Where.
    pub span: SourceSpan,
    /// What.
    pub kind: YamlKind,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum YamlKind {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, and its text as it was written: where text is expected, `007` is a name and not
    /// seven.
    Number(serde_json::Number, String),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<YamlNode>),
    /// A mapping, in its order. Keys may repeat: reading it reports that.
    Map(Vec<(YamlKey, YamlNode)>),
}

/// A mapping's key.
#[derive(Debug, Clone)]
pub struct YamlKey {
    /// Where.
    pub span: SourceSpan,
    /// Its text.
    pub text: String,
}

/// Text that is not YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlError {
    /// Where.
    pub span: SourceSpan,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
}

/// The documents of `text`; empty ones are left out.
pub fn read(text: &str) -> Result<Vec<YamlNode>, YamlError> {
    read_within(text, MAX_NODES, MAX_DEPTH)
}

/// The documents of `text`, which may be as large as an `OpenAPI` document. Needs a large stack.
pub fn read_large(text: &str) -> Result<Vec<YamlNode>, YamlError> {
    read_within(text, MAX_LARGE_NODES, MAX_LARGE_DEPTH)
}

fn read_within(text: &str, max_nodes: usize, max_depth: usize) -> Result<Vec<YamlNode>, YamlError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: max_nodes, max_depth: max_depth, max_aliases: 1_000, max_anchors: 1_000 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: max_nodes },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Merge,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false
    };
    match serde_saphyr::from_multiple_with_options::<YamlNode>(text, options) {
        Ok(mut documents) => {
            for document in &mut documents {
                document.take_number_texts(text);
            }
            Ok(documents)
        }
        Err(error) => Err(broken(text, error.without_snippet())),
    }
}

fn broken(text: &str, error: &serde_saphyr::Error) -> YamlError {
    let start = error.location().map_or(0, |location| {
        offset_of(text, location.line(), location.column())
    });
    let end = text[start..]
        .chars()
        .next()
        .map_or(start, |c| start + c.len_utf8());
    let formatted = error.render_with_formatter(&serde_saphyr::DefaultMessageFormatter);
    let first_line = formatted.lines().next().unwrap_or_default();
    // The diagnostic shows the position already.
    let mut message = first_line
        .split(" at line ")
        .next()
        .unwrap_or(first_line)
        .to_owned();
    if let Some(initial) = message.get_mut(..1) {
        initial.make_ascii_lowercase();
    }
    YamlError {
        span: start..end,
        message,
    }
}

/// The byte at a line and column, both from 1. The scanner's errors come without bytes.
fn offset_of(text: &str, line: u64, column: u64) -> usize {
    let as_index = |value: u64| usize::try_from(value.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(line) = text.split_inclusive('\n').nth(as_index(line)) else {
        return text.trim_end().len();
    };
    let line_start = line.as_ptr().addr() - text.as_ptr().addr();
    line_start
        + line
            .char_indices()
            .nth(as_index(column))
            .map_or(line.trim_end().len(), |(offset, _)| offset)
}

fn bytes(location: &serde_saphyr::Location) -> SourceSpan {
    let as_index = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let span = location.span();
    match (span.byte_offset(), span.byte_len()) {
        (Some(start), Some(length)) => {
            as_index(start)..as_index(start).saturating_add(as_index(length))
        }
        _ => 0..0,
    }
}

impl YamlNode {
    /// A node that was written nowhere, for printing.
    #[must_use]
    pub const fn unwritten(kind: YamlKind) -> Self {
        YamlNode { span: 0..0, kind }
    }

    /// Unwritten text.
    #[must_use]
    pub fn text(text: impl fmt::Display) -> Self {
        YamlNode::unwritten(YamlKind::Text(text.to_string()))
    }

    /// An unwritten whole number.
    #[must_use]
    pub fn whole(number: u64) -> Self {
        YamlNode::unwritten(YamlKind::Number(number.into(), number.to_string()))
    }

    /// The entry called `name` of a mapping.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&YamlNode> {
        match &self.kind {
            YamlKind::Map(entries) => entries
                .iter()
                .find(|(key, _)| key.text == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// What the node is, for messages.
    #[must_use]
    pub fn described(&self) -> String {
        match &self.kind {
            YamlKind::Null => "nothing".to_owned(),
            YamlKind::Bool(value) => format!("`{value}`"),
            YamlKind::Number(_, text) | YamlKind::Text(text) => format!("`{}`", shortened(text)),
            YamlKind::List(_) => "a list".to_owned(),
            YamlKind::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The value as JSON. Of a repeated key the first counts; reading a schema reports the others.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.kind {
            YamlKind::Null => serde_json::Value::Null,
            YamlKind::Bool(value) => (*value).into(),
            YamlKind::Number(number, _) => serde_json::Value::Number(number.clone()),
            YamlKind::Text(text) => text.as_str().into(),
            YamlKind::List(items) => items.iter().map(YamlNode::to_json).collect(),
            YamlKind::Map(entries) => entries
                .iter()
                .rev()
                .map(|(key, value)| (key.text.clone(), value.to_json()))
                .collect(),
        }
    }

    /// JSON as an unwritten node.
    #[must_use]
    pub fn from_json(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        let unwritten_key = |text: &String| YamlKey {
            span: 0..0,
            text: text.clone(),
        };
        YamlNode::unwritten(match value {
            Value::Null => YamlKind::Null,
            Value::Bool(value) => YamlKind::Bool(*value),
            Value::Number(number) => YamlKind::Number(number.clone(), number.to_string()),
            Value::String(text) => YamlKind::Text(text.clone()),
            Value::Array(items) => YamlKind::List(items.iter().map(YamlNode::from_json).collect()),
            Value::Object(entries) => YamlKind::Map(
                entries
                    .iter()
                    .map(|(key, value)| (unwritten_key(key), YamlNode::from_json(value)))
                    .collect(),
            ),
        })
    }

    fn take_number_texts(&mut self, source: &str) {
        match &mut self.kind {
            YamlKind::Number(_, text) => source
                .get(self.span.clone())
                .unwrap_or_default()
                .trim()
                .clone_into(text),
            YamlKind::List(items) => items
                .iter_mut()
                .for_each(|item| item.take_number_texts(source)),
            YamlKind::Map(entries) => entries
                .iter_mut()
                .for_each(|(_, value)| value.take_number_texts(source)),
            YamlKind::Null | YamlKind::Bool(_) | YamlKind::Text(_) => {}
        }
    }
}

impl PartialEq for YamlNode {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl PartialEq for YamlKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        text.to_owned()
    } else {
        text.chars().take(LONGEST).chain("…".chars()).collect()
    }
}

impl<'de> Deserialize<'de> for YamlNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<YamlKind>::deserialize(deserializer)?;
        Ok(YamlNode {
            span: bytes(&spanned.defined),
            kind: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for YamlKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(YamlKey {
            span: bytes(&spanned.defined),
            text: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for YamlKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlKindVisitor)
    }
}

struct YamlKindVisitor;

impl<'de> Visitor<'de> for YamlKindVisitor {
    type Value = YamlKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<YamlKind, E> {
        Ok(YamlKind::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<YamlKind, E> {
        Ok(YamlKind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<YamlKind, E> {
        Ok(YamlKind::Number(value.into(), String::new()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<YamlKind, E> {
        Ok(YamlKind::Number(value.into(), String::new()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<YamlKind, E> {
        Ok(YamlKind::Text(value.to_string()))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<YamlKind, E> {
        Ok(YamlKind::Text(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<YamlKind, E> {
        serde_json::Number::from_f64(value)
            .map(|number| YamlKind::Number(number, String::new()))
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<YamlKind, E> {
        Ok(YamlKind::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<YamlKind, E> {
        Ok(YamlKind::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<YamlKind, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(YamlKind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<YamlKind, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(YamlKind::Map(map))
    }
}

impl Serialize for YamlNode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.kind {
            YamlKind::Null => serializer.serialize_unit(),
            YamlKind::Bool(value) => serializer.serialize_bool(*value),
            YamlKind::Number(number, _) => number.serialize(serializer),
            YamlKind::Text(text) => serializer.serialize_str(text),
            YamlKind::List(items) => serializer.collect_seq(items),
            YamlKind::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries
                    .iter()
                    .try_for_each(|(key, value)| map.serialize_entry(&key.text, value))?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'t>(text: &'t str, node: &YamlNode) -> &'t str {
        &text[node.span.clone()]
    }

    #[test]
    fn every_node_knows_its_bytes() {
        let text = "api: päyments\ntools:\n  - tool: refund\n    match: \"POST /refunds\"\n    n: 2.50\n---\nb: [1, 2.50]\n";
        let documents = read(text).unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(at(text, documents[0].get("api").unwrap()), "päyments");
        let YamlKind::List(tools) = &documents[0].get("tools").unwrap().kind else {
            panic!()
        };
        assert_eq!(at(text, tools[0].get("tool").unwrap()), "refund");
        assert_eq!(
            at(text, tools[0].get("match").unwrap()),
            "\"POST /refunds\""
        );
        assert_eq!(
            tools[0].get("n").unwrap().kind,
            YamlKind::Number(
                serde_json::Number::from_f64(2.5).unwrap(),
                "2.50".to_owned()
            )
        );
        assert_eq!(at(text, documents[1].get("b").unwrap()), "[");
    }

    #[test]
    fn aliases_and_merges_are_followed() {
        let text = "base: &b { x: 1 }\nuse: *b\nmerged: { <<: *b, y: 2 }\n";
        let document = &read(text).unwrap()[0];
        assert_eq!(document.get("use"), document.get("base"));
        assert!(document.get("merged").unwrap().get("x").is_some());
    }

    #[test]
    fn broken_yaml_says_where() {
        let broken = read("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(broken.span.start >= "a: 1\nb".len(), "{broken:?}");
        assert!(read("a: \"x").is_err());
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..10 {
            let refs = vec![format!("*a{}", n - 1); 10].join(", ");
            text.push_str(
                &[
                    "a",
                    &n.to_string(),
                    ": &a",
                    &n.to_string(),
                    " [",
                    &refs,
                    "]\n",
                ]
                .concat(),
            );
        }
        assert!(read(&text).is_err());
    }

    #[test]
    fn nesting_is_bounded_at_its_maximum() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert!(read(&nested(MAX_DEPTH + 1)).is_err());
    }

    #[test]
    fn only_the_booleans_of_yaml_1_2_are_booleans() {
        let document = &read("a: on\nb: yes\nc: true\n").unwrap()[0];
        assert_eq!(
            document.get("a").unwrap().kind,
            YamlKind::Text("on".to_owned())
        );
        assert_eq!(
            document.get("b").unwrap().kind,
            YamlKind::Text("yes".to_owned())
        );
        assert_eq!(document.get("c").unwrap().kind, YamlKind::Bool(true));
    }

    /// The documents' nodes: every value, and the keys of mappings.
    #[test]
    fn g7_files_are_as_large_and_as_deep_as_their_bounds_and_no_more() {
        let list = |nodes: usize| format!("[{}]", vec!["1"; nodes - 1].join(","));
        assert!(read(&list(MAX_NODES)).is_ok());
        assert!(read(&list(MAX_NODES + 1)).is_err());
        assert!(read_large(&list(MAX_NODES + 1)).is_ok());
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        // Deep files are read on a stack that is made for them.
        let reads = |text: String| {
            let reading = move || read_large(&text).is_ok();
            let stack = std::thread::Builder::new().stack_size(64 << 20);
            stack.spawn(reading).unwrap().join().unwrap()
        };
        assert!(reads(deep(MAX_LARGE_DEPTH)));
        assert!(!reads(deep(MAX_LARGE_DEPTH + 1)));
    }

    /// The same check as of smaller files; as many nodes as this would take seconds.
    #[test]
    fn g7_a_large_file_is_refused_past_the_nodes_that_it_may_have() {
        let nodes = 1_000;
        let list = |nodes: usize| format!("[{}]", vec!["1"; nodes - 1].join(","));
        assert!(read_within(&list(nodes), nodes, MAX_DEPTH).is_ok());
        assert!(read_within(&list(nodes + 1), nodes, MAX_DEPTH).is_err());
        const { assert!(MAX_LARGE_NODES == 20 * MAX_NODES) };
    }
}
