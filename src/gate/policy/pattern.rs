//! Which requests are calls of a tool: a method and a path template, or an MCP tool's name.
//!
//! A template is matched against decoded path segments, byte for byte, so that `/orders/a%2Fb`
//! cannot be read as two segments here and as one upstream. What a request's one canonical spelling
//! is, `wire` decides; nothing here decodes. A template has no empty segment: `GET /orders/` is not
//! a spelling of `GET /orders`, and a request for it is unlisted.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use serde::{Serialize, Serializer};
use smallvec::SmallVec;

/// The most segments that a template has.
pub const MAX_SEGMENTS: usize = 32;

/// A tool's `match:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    source: Box<str>,
    shape: PatternShape,
}

/// What a template's `{name}` segments matched.
pub type Captures<'p, 'a> = SmallVec<[(&'p str, Cow<'a, str>); 2]>;

/// Which segments a template's `{name}`s matched, in the order of [`Pattern::capture_names`].
pub type Matched = SmallVec<[Range<usize>; 2]>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum PatternShape {
    Http(Method, Vec<Segment>),
    Mcp,
}

/// In the order of specificity: HEAD before GET, because a GET template also matches a HEAD
/// request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Method {
    Head,
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Capture(Box<str>),
    /// Only ever the last one: one segment or more.
    Rest(Box<str>),
}

impl Pattern {
    /// Reads `METHOD /path/{capture}` or `METHOD /path/{rest...}`.
    ///
    /// # Errors
    /// A lower-case fragment that says what is wrong.
    pub fn http(source: &str) -> Result<Self, String> {
        let (method, path) = source.split_once(' ').ok_or_else(|| EXPECTED.to_owned())?;
        let shape = PatternShape::Http(Method::read(method)?, read_path(path)?);
        Ok(Pattern {
            source: source.into(),
            shape,
        })
    }

    /// The MCP tool that the server calls `name`.
    #[must_use]
    pub fn mcp(name: &str) -> Self {
        Pattern {
            source: name.into(),
            shape: PatternShape::Mcp,
        }
    }

    /// The name of the MCP tool; `None` for a template.
    #[must_use]
    pub fn tool_name(&self) -> Option<&str> {
        matches!(self.shape, PatternShape::Mcp).then_some(&self.source)
    }

    /// What the path captured, where `method` and the decoded `segments` match.
    #[must_use]
    pub fn captures<'p, 'a>(
        &'p self,
        method: &str,
        segments: &[Cow<'a, str>],
    ) -> Option<Captures<'p, 'a>> {
        let matched = self.matched(method, segments)?;
        let texts = matched.into_iter().map(|which| join(&segments[which]));
        Some(self.capture_names().zip(texts).collect())
    }

    /// Which segments the path captured, where `method` and the decoded `segments` match. A HEAD
    /// request matches where the GET request would (RFC 9110, 9.3.2).
    #[must_use]
    pub fn matched(&self, method: &str, segments: &[Cow<'_, str>]) -> Option<Matched> {
        let PatternShape::Http(expected, template) = &self.shape else {
            return None;
        };
        let mut matched = Matched::new();
        if !expected.takes(method) {
            return None;
        }
        for (at, segment) in template.iter().enumerate() {
            let found = segments.get(at).filter(|found| !found.is_empty())?;
            match segment {
                Segment::Literal(literal) if **literal == **found => {}
                Segment::Literal(_) => return None,
                Segment::Capture(_) => matched.push(at..at + 1),
                Segment::Rest(_) => {
                    let rest = &segments[at..];
                    matched.push(at..segments.len());
                    return rest
                        .iter()
                        .all(|segment| !segment.is_empty())
                        .then_some(matched);
                }
            }
        }
        (segments.len() == template.len()).then_some(matched)
    }

    /// The names that the template captures, in their order.
    pub fn capture_names(&self) -> impl Iterator<Item = &str> {
        self.template().iter().filter_map(Segment::name)
    }

    /// More specific patterns order first: a literal segment before a capture before a rest, from
    /// the left, then the longer one. Total: where two patterns tell the same requests apart, the
    /// spelling decides, so that files in any order give one policy.
    #[must_use]
    pub fn specificity(&self, other: &Self) -> Ordering {
        const END: u8 = u8::MAX;
        let ranks = |pattern: &'_ Self| {
            pattern
                .template()
                .iter()
                .map(Segment::rank)
                .chain([END])
                .collect::<SmallVec<[u8; 8]>>()
        };
        ranks(self)
            .cmp(&ranks(other))
            .then_with(|| self.method().cmp(&other.method()))
            .then_with(|| self.source.cmp(&other.source))
    }

    /// Does this pattern match every request that `other` matches?
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (&self.shape, &other.shape) {
            (PatternShape::Http(ours, wide), PatternShape::Http(theirs, narrow)) => {
                (ours == theirs || (*ours == Method::Get && *theirs == Method::Head))
                    && path_covers(wide, narrow)
            }
            (PatternShape::Mcp, PatternShape::Mcp) => self.source == other.source,
            (PatternShape::Http(..), PatternShape::Mcp)
            | (PatternShape::Mcp, PatternShape::Http(..)) => false,
        }
    }

    /// Is there a request that both patterns match?
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (&self.shape, &other.shape) {
            (PatternShape::Http(ours, left), PatternShape::Http(theirs, right)) => {
                let reads = |method: &Method| matches!(method, Method::Get | Method::Head);
                (ours == theirs || (reads(ours) && reads(theirs))) && paths_overlap(left, right)
            }
            (PatternShape::Mcp, PatternShape::Mcp) => self.source == other.source,
            (PatternShape::Http(..), PatternShape::Mcp)
            | (PatternShape::Mcp, PatternShape::Http(..)) => false,
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    fn template(&self) -> &[Segment] {
        match &self.shape {
            PatternShape::Http(_, template) => template,
            PatternShape::Mcp => &[],
        }
    }

    fn method(&self) -> Option<Method> {
        match self.shape {
            PatternShape::Http(method, _) => Some(method),
            PatternShape::Mcp => None,
        }
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

const EXPECTED: &str = "expected a method and a path, such as `GET /orders/{order}`";

impl Method {
    const ALL: [(&'static str, Method); 7] = [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("PATCH", Method::Patch),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
    ];

    fn read(text: &str) -> Result<Self, String> {
        if let Some((_, method)) = Self::ALL.into_iter().find(|(name, _)| *name == text) {
            return Ok(method);
        }
        match Self::ALL
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
        {
            Some((name, _)) => Err(format!(
                "a method is written in upper case: `{name}`, not `{text}`"
            )),
            None if text.is_empty() || text.starts_with('/') => Err(EXPECTED.to_owned()),
            None => Err(format!(
                "`{text}` is not a method; expected one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
            )),
        }
    }

    /// Methods are case-sensitive (RFC 9110, 9.1): `get` is another method.
    fn takes(self, method: &str) -> bool {
        let found = Self::ALL
            .into_iter()
            .find(|(name, _)| *name == method)
            .map(|(_, method)| method);
        found == Some(self) || (self == Method::Get && found == Some(Method::Head))
    }
}

impl Segment {
    fn name(&self) -> Option<&str> {
        match self {
            Segment::Literal(_) => None,
            Segment::Capture(name) | Segment::Rest(name) => Some(name),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Segment::Literal(_) => 0,
            Segment::Capture(_) => 1,
            Segment::Rest(_) => 2,
        }
    }
}

fn read_path(path: &str) -> Result<Vec<Segment>, String> {
    let below_root = path
        .strip_prefix('/')
        .ok_or_else(|| format!("a path starts with `/`; {EXPECTED}"))?;
    if path.contains(['?', '#']) {
        return Err("a pattern has no query or fragment: judge `query` in a condition".to_owned());
    }
    if let Some(odd) = path
        .chars()
        .find(|c| c.is_whitespace() || c.is_control() || matches!(c, '%' | '\\'))
    {
        return Err(format!(
            "{odd:?} cannot be part of a pattern: segments are matched after percent-decoding"
        ));
    }
    if below_root.is_empty() {
        return Ok(Vec::new());
    }
    let written: Vec<&str> = below_root.split('/').collect();
    if written.len() > MAX_SEGMENTS {
        return Err(format!("more than {MAX_SEGMENTS} segments"));
    }
    let last = written.len() - 1;
    let mut segments: Vec<Segment> = Vec::with_capacity(written.len());
    for (at, text) in written.into_iter().enumerate() {
        let segment = read_segment(text)?;
        if matches!(segment, Segment::Rest(_)) && at != last {
            return Err(format!(
                "`{text}` takes the rest of the path, so it must be the last segment"
            ));
        }
        if let Some(name) = segment.name()
            && segments.iter().any(|earlier| earlier.name() == Some(name))
        {
            return Err(format!("two segments are called `{name}`"));
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn read_segment(text: &str) -> Result<Segment, String> {
    match text {
        "" => return Err("a segment is empty".to_owned()),
        "." | ".." => {
            return Err(format!(
                "`{text}` never reaches a tool: paths are resolved before they are matched"
            ));
        }
        _ => {}
    }
    let Some(inside) = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
    else {
        if text.contains(['{', '}']) {
            return Err(format!(
                "`{text}`: a capture takes a whole segment, such as `{{order}}`"
            ));
        }
        return Ok(Segment::Literal(text.into()));
    };
    let (name, rest) = inside
        .strip_suffix("...")
        .map_or((inside, false), |name| (name, true));
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(format!(
            "`{text}`: a capture is named with letters, digits and `_`, so that a condition can say `path.{{name}}`"
        ));
    }
    Ok(if rest {
        Segment::Rest(name.into())
    } else {
        Segment::Capture(name.into())
    })
}

/// One segment or more, as one text.
fn join<'a>(segments: &[Cow<'a, str>]) -> Cow<'a, str> {
    match segments {
        [one] => one.clone(),
        many => Cow::Owned(many.join("/")),
    }
}

fn path_covers(wide: &[Segment], narrow: &[Segment]) -> bool {
    match (wide, narrow) {
        ([], []) | ([Segment::Rest(_), ..], [_, ..]) => true,
        ([Segment::Literal(ours), wide @ ..], [Segment::Literal(theirs), narrow @ ..]) => {
            ours == theirs && path_covers(wide, narrow)
        }
        (
            [Segment::Capture(_), wide @ ..],
            [Segment::Literal(_) | Segment::Capture(_), narrow @ ..],
        ) => path_covers(wide, narrow),
        _ => false,
    }
}

fn paths_overlap(left: &[Segment], right: &[Segment]) -> bool {
    match (left, right) {
        ([], []) | ([Segment::Rest(_), ..], [_, ..]) | ([_, ..], [Segment::Rest(_), ..]) => true,
        ([], [_, ..]) | ([_, ..], []) => false,
        ([Segment::Literal(ours), ..], [Segment::Literal(theirs), ..]) if ours != theirs => false,
        ([_, left @ ..], [_, right @ ..]) => paths_overlap(left, right),
    }
}

#[cfg(test)]
mod tests;
