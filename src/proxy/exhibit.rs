//! A call as reviewers are shown it, and its parts as conditions read them. Borrowed from the one
//! reading that is judged and forwarded.

use std::borrow::Cow;
use std::hash::Hasher;
use std::sync::Arc;

use http::HeaderMap;

use super::body::Content;
use crate::gate::digest::Digest;
use crate::gate::json::Json;
use crate::gate::policy::Tool;
use crate::gate::policy::facts::{Ambiguous, Lookup};
use crate::ledger::admit::Exhibit;
use crate::wire::canonical;
use crate::wire::canonical::{Approved, Body};
use crate::wire::target::Target;

/// A call as a reviewer is shown it, and as an approval is bound to it.
pub struct Shown<'a> {
    /// The tool API.
    pub api: &'a str,
    /// Where it really is.
    pub upstream: &'a str,
    /// The tool, where one matches.
    pub tool: Option<&'a Arc<Tool>>,
    /// The method.
    pub method: &'a str,
    /// Path and query, as they are forwarded.
    pub target: &'a Target<'a>,
    /// The body that was read.
    pub content: &'a Content,
    /// The arguments in it.
    pub args: Option<&'a Json<'a>>,
}

impl Exhibit for Shown<'_> {
    fn digest(&self, workflow: &str, agent: &str) -> Option<Digest> {
        let body = match (self.content, self.args) {
            (Content::Unread(_), _) => return None,
            (Content::None, _) => Body::None,
            (Content::Read(..), Some(args)) => Body::Json(args),
            (Content::Read(bytes, _), None) => Body::Bytes(bytes),
        };
        let undefined = Digest::new([0; 32]);
        Some(canonical::approval_digest(&Approved {
            workflow,
            agent,
            api: self.api,
            upstream: self.upstream,
            tool: self.tool.map_or("?", |tool| tool.name.as_str()),
            definition: self.tool.map_or(&undefined, |tool| &tool.definition),
            method: self.method,
            target: &self.target.to_string(),
            body,
        }))
    }

    fn alike(&self, into: &mut dyn Hasher) -> bool {
        into.write(self.method.as_bytes());
        into.write_u8(0xff);
        into.write(self.target.path().as_bytes());
        into.write_u8(if self.target.query().is_some() {
            0xfe
        } else {
            0xff
        });
        into.write(self.target.query().unwrap_or_default().as_bytes());
        // No text has this byte: what ends here does not go on in what follows.
        into.write_u8(0xff);
        match (self.content, self.args) {
            (Content::Unread(_), _) => return false,
            (Content::None, _) => into.write_u8(0),
            (Content::Read(bytes, _), Some(args)) => {
                let mut text = Vec::with_capacity(bytes.len());
                canonical::write(args, &mut text);
                into.write_u8(1);
                into.write(&text);
            }
            (Content::Read(bytes, _), None) => {
                into.write_u8(2);
                into.write(bytes);
            }
        }
        true
    }

    fn target(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    fn args(&self) -> Option<String> {
        let args = self.args?;
        let mut text = Vec::new();
        canonical::write(args, &mut text);
        String::from_utf8(text).ok()
    }
}

/// Request headers as conditions read them: one that is given twice says nothing.
pub struct Headers<'a>(pub &'a HeaderMap);

impl Lookup for Headers<'_> {
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
