//! What unlisted calls look like, kept for `burngate learn`: shapes and never values.
//!
//! Of a call stay its method, its path with the segments that look like ids left out, the names of
//! its query parameters, and the types and member names of its JSON. Arguments carry secrets and
//! customers, so no value is kept, not even one that repeats; a member name that looks like an id
//! is none.
//!
//! Everything is bounded (G7). A call whose shape finds no room is counted, so that nobody takes
//! the list for complete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gate::json::Json;
use crate::gate::name::{ApiName, ToolName, WorkflowName};
use crate::gate::time::{Time, days};

/// The name under which calls of no known tool are counted and recorded.
pub const UNLISTED: &str = "?";

/// The most kinds of calls that are kept.
pub const MAX_CALLS: usize = 500;

/// The largest body whose shape is looked at, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// How deep a shape goes.
const MAX_DEPTH: usize = 6;

/// The most members of one object that are kept.
const MAX_MEMBERS: usize = 40;

/// The most members and lists of one body, all levels together.
const MAX_NODES: usize = 400;

/// The most query parameters of one kind of call.
const MAX_QUERY: usize = 30;

/// The longest name of a member, a parameter or a segment.
const MAX_NAME: usize = 64;

/// A kind that was not seen for so long makes room for another one.
const FORGOTTEN: Duration = days(7);

/// The most segments of a path.
const MAX_SEGMENTS: usize = 24;

/// The unlisted calls that were seen.
#[derive(Debug, Default)]
pub struct Unlisted {
    samples: Mutex<UnlistedSamples>,
}

/// What was seen, as it is kept over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlistedSamples {
    /// The kinds of calls.
    pub calls: Vec<UnlistedKind>,
    /// How many calls were of a kind for which there was no room.
    pub overflow: u64,
    /// Something is not on disk yet.
    #[serde(skip)]
    changed: bool,
}

/// Unlisted calls that look alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlistedKind {
    /// Who called.
    pub workflow: WorkflowName,
    /// The tool API.
    pub api: ApiName,
    /// The tool, where the API has one that the workflow does not reach.
    pub tool: Option<ToolName>,
    /// The method.
    pub method: String,
    /// The path, segments that look like ids left out: `/orders/{order}`.
    pub path: String,
    /// How many calls.
    pub count: u64,
    /// When the first was seen.
    pub first: Time,
    /// When the last was seen.
    pub last: Time,
    /// The query parameters: how often each was given.
    pub query: BTreeMap<String, u64>,
    /// What their JSON bodies had in common; absent where none had one that was looked at.
    pub body: Option<JsonShape>,
}

/// What the values at one position had in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonShape {
    /// How many there were.
    pub count: u64,
    /// Their types, as JSON Schema names them.
    pub types: BTreeSet<String>,
    /// The members of objects.
    pub members: BTreeMap<String, JsonShape>,
    /// The elements of lists.
    pub elements: Option<Box<JsonShape>>,
    /// There were members or levels that are left out.
    pub more: bool,
}

/// An unlisted call.
#[derive(Debug, Clone, Copy)]
pub struct UnlistedRequest<'a> {
    /// Who called.
    pub workflow: &'a WorkflowName,
    /// The tool API.
    pub api: &'a ApiName,
    /// The tool, where the API has one.
    pub tool: Option<&'a ToolName>,
    /// Method and target.
    pub target: &'a str,
    /// The JSON body, where it was read.
    pub args: Option<&'a Json<'a>>,
}

impl Unlisted {
    /// Records what a call looks like.
    pub fn record(&self, request: &UnlistedRequest<'_>, now: Time) {
        let (method, target) = request
            .target
            .split_once(' ')
            .unwrap_or(("", request.target));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = templated(path);
        let mut samples = self.lock();
        samples.changed = true;
        let is_it = |kind: &UnlistedKind| {
            kind.path == path
                && kind.method == method
                && kind.workflow == *request.workflow
                && kind.api == *request.api
        };
        let found = samples.calls.iter().position(is_it);
        let index = match found {
            Some(index) => index,
            None if samples.calls.len() >= MAX_CALLS && !samples.make_room(now) => {
                samples.overflow = samples.overflow.saturating_add(1);
                return;
            }
            None => {
                samples.calls.push(UnlistedKind {
                    workflow: request.workflow.clone(),
                    api: request.api.clone(),
                    tool: request.tool.cloned(),
                    method: method.chars().take(MAX_NAME).collect(),
                    path,
                    count: 0,
                    first: now,
                    last: now,
                    query: BTreeMap::new(),
                    body: None,
                });
                samples.calls.len() - 1
            }
        };
        let kind = &mut samples.calls[index];
        kind.count = kind.count.saturating_add(1);
        kind.last = kind.last.max(now);
        for name in query
            .split('&')
            .filter_map(|pair| pair.split('=').next())
            .filter(|name| is_name(name))
        {
            if kind.query.len() < MAX_QUERY || kind.query.contains_key(name) {
                *kind.query.entry(name.to_owned()).or_default() += 1;
            }
        }
        if let Some(args) = request.args {
            let shape = kind.body.get_or_insert_default();
            let mut room = MAX_NODES.saturating_sub(shape.nodes());
            shape.take(args, MAX_DEPTH, &mut room);
        }
    }

    /// What was seen so far.
    #[must_use]
    pub fn samples(&self) -> UnlistedSamples {
        self.lock().clone()
    }

    /// What was seen, where anything changed since it was last taken or restored.
    #[must_use]
    pub fn take_changed(&self) -> Option<UnlistedSamples> {
        let mut samples = self.lock();
        std::mem::take(&mut samples.changed).then(|| samples.clone())
    }

    /// Goes on from what an earlier process kept, within the bounds of this one.
    pub fn restore(&self, mut kept: UnlistedSamples) {
        kept.calls.truncate(MAX_CALLS);
        kept.changed = false;
        *self.lock() = kept;
    }

    fn lock(&self) -> MutexGuard<'_, UnlistedSamples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnlistedSamples {
    /// Forgets the kind that was not seen for longest, where that is long enough: it is listed by
    /// now, or nobody calls it any more.
    fn make_room(&mut self, now: Time) -> bool {
        let oldest = self
            .calls
            .iter()
            .enumerate()
            .min_by_key(|(_, kind)| kind.last);
        let Some(index) = oldest
            .filter(|(_, kind)| kind.last.plus(FORGOTTEN) <= now)
            .map(|(index, _)| index)
        else {
            return false;
        };
        self.calls.swap_remove(index);
        true
    }
}

impl JsonShape {
    fn take(&mut self, value: &Json<'_>, depth: usize, room: &mut usize) {
        self.count = self.count.saturating_add(1);
        self.types.insert(type_of(value).to_owned());
        match value {
            Json::Object(_) | Json::Array(_) if depth == 0 => self.more = true,
            Json::Object(members) => {
                for (name, value) in members {
                    let is_known = self.members.contains_key(&**name);
                    if !is_known
                        && (!is_name(name) || self.members.len() >= MAX_MEMBERS || *room == 0)
                    {
                        self.more = true;
                        continue;
                    }
                    *room = room.saturating_sub(usize::from(!is_known));
                    self.members
                        .entry(name.clone().into_owned())
                        .or_default()
                        .take(value, depth - 1, room);
                }
            }
            Json::Array(elements) => {
                for element in elements {
                    if self.elements.is_none() && *room == 0 {
                        self.more = true;
                        break;
                    }
                    *room = room.saturating_sub(usize::from(self.elements.is_none()));
                    self.elements
                        .get_or_insert_default()
                        .take(element, depth - 1, room);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }

    /// A JSON Schema that everything seen satisfies: members that every value had are required, and
    /// members that none had are allowed.
    #[must_use]
    pub fn schema(&self) -> serde_json::Value {
        let mut schema = serde_json::Map::new();
        let is_number = self.types.contains("number");
        let types: Vec<&str> = self
            .types
            .iter()
            .map(String::as_str)
            .filter(|name| !(is_number && *name == "integer"))
            .collect();
        match &*types {
            [] => {}
            [one] => drop(schema.insert("type".to_owned(), (*one).into())),
            several => drop(schema.insert("type".to_owned(), several.to_vec().into())),
        }
        if self.types.contains("object") {
            let objects = self.types.len() == 1;
            let required: Vec<&str> = self
                .members
                .iter()
                .filter(|(_, shape)| objects && shape.count >= self.count)
                .map(|(name, _)| name.as_str())
                .collect();
            if !required.is_empty() {
                schema.insert("required".to_owned(), required.into());
            }
            let properties: serde_json::Map<_, _> = self
                .members
                .iter()
                .map(|(name, shape)| (name.clone(), shape.schema()))
                .collect();
            if !properties.is_empty() {
                schema.insert("properties".to_owned(), properties.into());
            }
        }
        if let Some(elements) = &self.elements {
            schema.insert("items".to_owned(), elements.schema());
        }
        schema.into()
    }

    fn nodes(&self) -> usize {
        let members: usize = self.members.values().map(JsonShape::nodes).sum();
        1 + members
            + self
                .elements
                .as_ref()
                .map_or(0, |elements| elements.nodes())
    }
}

fn type_of(value: &Json<'_>) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(text)
            if text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-') =>
        {
            "integer"
        }
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// A path without its ids, each named after what stands before it.
fn templated(path: &str) -> String {
    let segments: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let (mut written, mut names, mut before) = (String::new(), Vec::<String>::new(), "");
    for segment in segments.iter().take(MAX_SEGMENTS) {
        written.push('/');
        if is_name(segment) {
            written.push_str(segment);
            before = segment;
            continue;
        }
        let singular = before
            .strip_suffix("ies")
            .map(|stem| format!("{stem}y"))
            .or_else(|| before.strip_suffix('s').map(str::to_owned));
        let plain: String = singular
            .unwrap_or_else(|| before.to_owned())
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let stem = if plain.starts_with(|c: char| c.is_ascii_alphabetic()) {
            plain
        } else {
            "id".to_owned()
        };
        let mut name = stem.clone();
        let mut count = 1;
        while names.contains(&name) {
            count += 1;
            name = format!("{stem}_{count}");
        }
        written.extend(["{", &name, "}"]);
        names.push(name);
    }
    if segments.len() > MAX_SEGMENTS {
        written.push_str("/{rest...}");
    }
    if written.is_empty() {
        "/".to_owned()
    } else {
        written
    }
}

/// Is this a word that a programmer chose, and not one that names a customer, a key or an order?
/// Words have no digits but at their end, and not many of those.
fn is_name(text: &str) -> bool {
    let letters = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = text.len() - letters.len();
    let is_plain = letters
        .bytes()
        .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']'));
    let begins = letters.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    // `v2` and `address1` are words; `A-1001`, `x9f3e` and forty letters in a row are not.
    is_plain
        && begins
        && digits <= 2
        && text.len() <= MAX_NAME
        && !letters.ends_with('-')
        && letters.split(['_', '-', '.']).all(|word| word.len() <= 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(unlisted: &Unlisted, target: &str, args: Option<&Json<'_>>) {
        let (workflow, api) = (WorkflowName::from("w"), ApiName::from("a"));
        unlisted.record(
            &UnlistedRequest {
                workflow: &workflow,
                api: &api,
                tool: None,
                target,
                args,
            },
            Time::from_millis(5),
        );
    }

    #[test]
    fn what_looks_like_an_id_is_left_out() {
        for (path, template) in [
            ("/orders/A-1001", "/orders/{order}"),
            (
                "/v2/companies/77/users/6f1c2a90-0b2f-4c7a-9a55-2d1f6f0f9e11",
                "/v2/companies/{company}/users/{user}",
            ),
            ("/users/ann@example.com/notes", "/users/{user}/notes"),
            ("/1/2", "/{id}/{id_2}"),
            (
                "/reset/abcdefghijklmnopqrstuvwxyzabcdefgh",
                "/reset/{reset}",
            ),
            ("/refunds", "/refunds"),
            ("/", "/"),
        ] {
            assert_eq!(templated(path), template, "{path}");
        }
    }

    #[test]
    fn no_value_is_kept() {
        let unlisted = Unlisted::default();
        let secret = || Json::String("s3cret-value".into());
        let by_customer = Json::Object(vec![("ann@example.com".into(), secret())]);
        let args = Json::Object(vec![
            ("token".into(), secret()),
            ("amount".into(), Json::Number("471100")),
            ("by_customer".into(), by_customer),
        ]);
        see(
            &unlisted,
            "POST /orders/A-4711/refunds?key=s3cret-value&471100=x",
            Some(&args),
        );
        let kept = serde_json::to_string(&unlisted.samples()).unwrap();
        for value in ["s3cret", "4711", "ann@", "A-4711"] {
            assert!(!kept.contains(value), "{value}: {kept}");
        }
        assert!(
            kept.contains("token") && kept.contains("/orders/{order}/refunds"),
            "{kept}"
        );
    }

    #[test]
    fn g7_calls_that_find_no_room_are_counted() {
        let unlisted = Unlisted::default();
        let letter = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap());
        for n in 0..MAX_CALLS + 3 {
            see(
                &unlisted,
                &format!("GET /{}{}{}", letter(n), letter(n / 26), letter(n / 676)),
                None,
            );
        }
        see(&unlisted, "GET /aaa", None);
        let samples = unlisted.samples();
        assert_eq!(
            (
                samples.calls.len(),
                samples.overflow,
                samples.calls[0].count
            ),
            (MAX_CALLS, 3, 2)
        );
        assert!(unlisted.take_changed().is_some() && unlisted.take_changed().is_none());
        let (workflow, api) = (WorkflowName::from("w"), ApiName::from("a"));
        let later = Time::from_millis(5).plus(FORGOTTEN);
        unlisted.record(
            &UnlistedRequest {
                workflow: &workflow,
                api: &api,
                tool: None,
                target: "GET /later",
                args: None,
            },
            later,
        );
        let samples = unlisted.samples();
        assert_eq!((samples.calls.len(), samples.overflow), (MAX_CALLS, 3));
        assert!(samples.calls.iter().any(|kind| kind.path == "/later"));
    }

    #[test]
    fn g7_a_shape_is_bounded_in_breadth_and_depth() {
        let unlisted = Unlisted::default();
        let wide = Json::Object(
            (0..100_u8)
                .map(|n| {
                    (
                        format!("{}{}", char::from(b'a' + n % 26), char::from(b'a' + n / 26))
                            .into(),
                        Json::Null,
                    )
                })
                .collect(),
        );
        let mut deep = Json::Null;
        for _ in 0..50 {
            deep = Json::Array(vec![deep, wide.clone()]);
        }
        for _ in 0..3 {
            see(&unlisted, "POST /x", Some(&deep));
            see(&unlisted, "POST /x", Some(&wide));
        }
        let samples = unlisted.samples();
        let shape = samples.calls[0].body.as_ref().unwrap();
        assert!(
            shape.more && shape.nodes() <= MAX_NODES + 1,
            "{}",
            shape.nodes()
        );
        assert_eq!(shape.members.len(), MAX_MEMBERS);
        assert_eq!(
            shape.types,
            BTreeSet::from(["array".to_owned(), "object".to_owned()])
        );
    }

    #[test]
    fn g7_a_shape_goes_as_deep_as_the_bound() {
        let more_at = |depth: usize| {
            let nested = (0..depth).fold(Json::Null, |inner, _| {
                Json::Object(vec![("a".into(), inner)])
            });
            let mut shape = JsonShape::default();
            shape.take(&nested, MAX_DEPTH, &mut { MAX_NODES });
            let (mut levels, mut deepest) = (0, &shape);
            while let Some(inner) = deepest.members.get("a") {
                (levels, deepest) = (levels + 1, inner);
            }
            (levels, deepest.more)
        };
        assert_eq!(more_at(MAX_DEPTH), (MAX_DEPTH, false));
        assert_eq!(more_at(MAX_DEPTH + 1), (MAX_DEPTH, true));
    }

    #[test]
    fn g7_as_many_query_parameters_are_told_apart_as_the_bound() {
        let query = |count: u8| {
            let letter = |n: u8| char::from(b'a' + n);
            let name = |n: u8| format!("{}{}=1", letter(n / 26), letter(n % 26));
            let names: Vec<_> = (0..count).map(name).collect();
            let unlisted = Unlisted::default();
            see(&unlisted, &format!("GET /x?{}", names.join("&")), None);
            unlisted.samples().calls[0].query.len()
        };
        let most = u8::try_from(MAX_QUERY).unwrap();
        assert_eq!(query(most), MAX_QUERY);
        assert_eq!(query(most + 1), MAX_QUERY);
    }

    #[test]
    fn g7_a_template_has_as_many_segments_as_the_bound() {
        let whole = "/a".repeat(MAX_SEGMENTS);
        assert_eq!(templated(&whole), whole);
        assert_eq!(
            templated(&"/a".repeat(MAX_SEGMENTS + 1)),
            format!("{whole}/{{rest...}}")
        );
    }

    #[test]
    fn g7_a_name_is_told_up_to_its_longest() {
        let words = "a_long_name_".repeat(6);
        assert!(is_name(&words[..MAX_NAME]));
        assert!(!is_name(&words[..=MAX_NAME]));
    }
}
