//! The message that leaves: what a call asks for, in the one form that is judged, shown, digested
//! and sent.
//!
//! Made once, when the request is read. Rules, the schema of the arguments, the run's key, the
//! approval's digest, the reviewer's view, the idempotency key and the bytes that go upstream all
//! read this value and nothing else of the request, so that nothing can be judged that is not also
//! what is sent. Only a reviewer's edit changes it, and then it is judged again.
//!
//! Which headers are in it is decided in `request_headers`.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use smallvec::SmallVec;

use super::body::RequestBody;
use crate::gate::policy::Tool;
use crate::gate::policy::facts::{Ambiguous, Lookup};
use crate::gate::policy::pattern::Matched;
use crate::wire::target;
use crate::wire::target::CanonicalTarget;

/// A request as it leaves for its tool API.
pub struct OutgoingMessage {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: OutgoingTarget,
    /// Every header. Only `Host` changes where a fallback gets the message.
    pub headers: HeaderMap,
    /// The body.
    pub body: RequestBody,
}

/// Path and query in their one spelling, and where the parts of them lie that rules read.
#[derive(Debug, Clone)]
pub struct OutgoingTarget {
    /// As it goes on the wire: the upstream's base, the path below it, and `?query`.
    whole: PathAndQuery,
    /// How long the base is. What is judged and shown begins behind it.
    base: usize,
    /// What the tool's pattern captured, in the order of its names.
    captures: SmallVec<[Range<usize>; 2]>,
}

impl OutgoingTarget {
    /// `target` on an upstream whose paths begin with `base`, with what the tool's pattern matched
    /// of it. `None` if an upstream could not be asked for it.
    #[must_use]
    pub fn new(base: &str, target: &CanonicalTarget<'_>, matched: &Matched) -> Option<Self> {
        let below = |which: &Range<usize>| {
            let span = target.span(which.clone());
            base.len() + span.start..base.len() + span.end
        };
        Some(OutgoingTarget {
            whole: join(base, target.path(), target.query())?,
            base: base.len(),
            captures: matched.iter().map(below).collect(),
        })
    }

    /// Path and query below the base, as they are judged, shown and digested.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.whole.as_str()[self.base..]
    }

    /// The path below the base.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.whole.path()[self.base..]
    }

    /// The query; `Some("")` for a lone `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.whole.query()
    }

    /// As it goes to its own upstream.
    #[must_use]
    pub const fn whole(&self) -> &PathAndQuery {
        &self.whole
    }

    /// As it goes to an upstream with another base.
    #[must_use]
    pub fn below(&self, base: &str) -> Option<PathAndQuery> {
        join(base, self.path(), self.query())
    }
}

fn join(base: &str, path: &str, query: Option<&str>) -> Option<PathAndQuery> {
    let text = match query {
        Some(query) => [base, path, "?", query].concat(),
        None => [base, path].concat(),
    };
    PathAndQuery::from_maybe_shared(Bytes::from(text)).ok()
}

/// What the tool's pattern captured of a message, as conditions read it: decoded.
#[derive(Clone, Copy)]
pub struct PathParts<'m> {
    /// The target.
    pub target: &'m OutgoingTarget,
    /// The tool whose pattern matched it; without one nothing was captured.
    pub tool: Option<&'m Tool>,
}

impl Lookup for PathParts<'_> {
    fn find(&self, name: &str) -> Result<Option<Cow<'_, str>>, Ambiguous> {
        let names = self
            .tool
            .into_iter()
            .flat_map(|tool| tool.pattern.capture_names());
        let found = names
            .zip(&self.target.captures)
            .find(|(known, _)| *known == name);
        Ok(found.map(|(_, span)| target::decoded(&self.target.whole.as_str()[span.clone()])))
    }
}

/// The headers of a message as conditions read them. One that is given twice, or is not text, is
/// ambiguous: a condition that reads it is an error, and the call is refused.
#[derive(Clone, Copy)]
pub struct HeaderParts<'m>(pub &'m HeaderMap);

impl Lookup for HeaderParts<'_> {
    fn find(&self, name: &str) -> Result<Option<Cow<'_, str>>, Ambiguous> {
        let mut values = self.0.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value
                .to_str()
                .map(|text| Some(Cow::Borrowed(text)))
                .map_err(|_| Ambiguous),
            (Some(_), Some(_)) => Err(Ambiguous),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::policy::pattern::Pattern;

    fn made(base: &str, path: &str, query: Option<&str>, matched: &Matched) -> OutgoingTarget {
        let target = target::read(path, query).unwrap();
        OutgoingTarget::new(base, &target, matched).unwrap()
    }

    #[test]
    fn what_is_judged_is_what_is_sent_without_the_base() {
        for (base, path, query, judged, sent) in [
            ("", "/a/./b", Some("x=1"), "/a/b?x=1", "/a/b?x=1"),
            ("/v2", "/a%41", None, "/aA", "/v2/aA"),
            ("/v2", "/", Some(""), "/?", "/v2/?"),
        ] {
            let target = made(base, path, query, &Matched::new());
            assert_eq!((target.as_str(), target.whole().as_str()), (judged, sent));
            assert_eq!(target.query(), query);
            assert_eq!(
                target.below("/other").unwrap().as_str(),
                ["/other", judged].concat()
            );
        }
    }

    #[test]
    fn captures_lie_where_the_pattern_found_them() {
        let pattern = Pattern::http("GET /orders/{order}/files/{path...}").unwrap();
        for (path, order, rest) in [
            ("/orders/7/files/a/b", "7", "a/b"),
            (
                "/orders/caf%C3%A9/files/%C3%A9/%20",
                "caf%C3%A9",
                "%C3%A9/%20",
            ),
        ] {
            let read = target::read(path, Some("q")).unwrap();
            let segments: Vec<_> = read.segments().collect();
            let matched = pattern.matched("GET", &segments).unwrap();
            let target = made("/base", path, Some("q"), &matched);
            let found = target
                .captures
                .iter()
                .map(|span| &target.whole.as_str()[span.clone()]);
            assert_eq!(found.collect::<Vec<_>>(), [order, rest]);
        }
    }
}
