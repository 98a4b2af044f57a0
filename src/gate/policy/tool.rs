//! Tool APIs and their tools.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::dedup::DedupRules;
use super::members::NamedMembers;
use super::overrides::Overrides;
use super::pattern::Pattern;
use super::rule::{Mode, Rule};
use super::schema::Schema;
use super::schema::parameter::Parameter;
use crate::gate::digest::Digest;
use crate::gate::level::Volume;
use crate::gate::location::SourceLocation;
use crate::gate::name::{ApiName, ToolName};
use crate::gate::risk::Risk;
use crate::gate::time;
use crate::gate::verdict::Verdict;

/// The protocol a tool API speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Plain HTTP with JSON bodies.
    Http,
    /// The Model Context Protocol.
    Mcp,
}

/// How a tool's request body is read, judged and shown to reviewers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// JSON: the arguments are its value.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`: the arguments are its fields.
    Form,
    /// Text in UTF-8: it is the argument.
    Text,
    /// Anything: shown by type, size, digest and beginning.
    Bytes,
    /// `multipart/form-data`: each part shown so.
    Multipart,
}

impl BodyKind {
    /// The policy's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            BodyKind::Json => "json",
            BodyKind::Form => "form",
            BodyKind::Text => "text",
            BodyKind::Bytes => "bytes",
            BodyKind::Multipart => "multipart",
        }
    }
}

/// Where on the gate a tool API is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mount {
    /// Below a path prefix, which is stripped before forwarding. `/` for a single API.
    Route(Arc<str>),
    /// Under these host names, path untouched.
    Hosts(Vec<Arc<str>>),
}

/// Where a tool API really is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Upstream {
    /// Whether to speak TLS.
    pub tls: bool,
    /// Host name or address, without port.
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
    /// A path that every forwarded path is put below; empty, or starting and not ending with a
    /// slash.
    pub base: Arc<str>,
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}:{}{}",
            if self.tls { "https" } else { "http" },
            self.host,
            self.port,
            self.base
        )
    }
}

/// A tool API.
#[derive(Debug, Serialize)]
pub struct Api {
    /// Its name.
    pub name: ApiName,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it really is.
    pub upstream: Upstream,
    /// Where it is on the gate.
    pub mount: Mount,
    /// What passes of the names that ask for another request than the one that is judged.
    pub overrides: Overrides,
    /// Headers that hold credentials for it, besides Authorization and Cookie; in lower case.
    pub credentials: Vec<Box<str>>,
    /// Its tools, most specific pattern first, so that the first that matches is the one.
    pub tools: Vec<Arc<Tool>>,
    /// How long an unlisted call may take.
    #[serde(with = "time::millis")]
    pub timeout: Duration,
    /// Where it was written.
    #[serde(rename = "place")]
    pub location: SourceLocation,
}

/// A tool: what its calls look like, how much harm they can do, and what bounds them.
#[derive(Debug, Serialize)]
pub struct Tool {
    /// Its name, `api/tool`.
    pub name: ToolName,
    /// Which requests are calls of it.
    pub pattern: Pattern,
    /// How much harm it can do.
    pub risk: Risk,
    /// The business object a call touches: an expression that gives a string or a number.
    pub subject: Option<Condition>,
    /// What its arguments must look like.
    pub arguments: Option<Schema>,
    /// What its path and query parameters must look like, those that are described.
    pub parameters: Vec<Parameter>,
    /// Denies the call; books a policy violation.
    pub deny_when: Option<Rule>,
    /// Holds the call.
    pub hold_when: Option<Rule>,
    /// Holds the call unless the run escalated before.
    pub escalate_when: Option<Rule>,
    /// Judged on the answer: the call failed.
    pub failure_when: Option<Rule>,
    /// What is remembered of its calls: duplicates, undone work, limits.
    #[serde(rename = "deeds")]
    pub dedup: Option<Box<DedupRules>>,
    /// A ceiling that no level widens: `hold` or `deny`.
    pub always: Option<Verdict>,
    /// Calling it is a policy violation, every time.
    pub forbidden: bool,
    /// Calling it is an escalation to a person.
    pub escalation: bool,
    /// Sending it twice is the same as sending it once.
    pub idempotent: bool,
    /// The members of its arguments that rules and the schema name.
    #[serde(skip)]
    pub members: NamedMembers,
    /// The headers that an approval is bound to: those that a rule reads, and those that the policy
    /// names. In lower case and in order.
    pub binds: Vec<Box<str>>,
    /// The largest request body, in bytes; `None` for the process's bound.
    pub size: Option<usize>,
    /// How the request body is read.
    pub body: BodyKind,
    /// How long a call may take until its answer begins, and between two pieces of the answer.
    #[serde(with = "time::millis")]
    pub timeout: Duration,
    /// Who answers a read that its API cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Upstream>,
    /// A cap on its calls per time, of everybody who calls it together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,
    /// A cap on its calls in flight, of everybody who calls it together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Whether its rules act.
    pub mode: Mode,
    /// SHA-256 of what it does and takes: pattern, risk and schema. An approval is bound to it.
    pub definition: Digest,
    /// Where it was written.
    #[serde(rename = "place")]
    pub location: SourceLocation,
}

impl Tool {
    /// Does judging a call of it need the body, or may the body stream past?
    #[must_use]
    pub fn reads_body(&self) -> bool {
        let conditions = [&self.deny_when, &self.hold_when, &self.escalate_when];
        self.arguments.is_some()
            || self.dedup.as_ref().is_some_and(|rules| rules.reads_args())
            || self.subject.as_ref().is_some_and(Condition::reads_args)
            || conditions
                .into_iter()
                .flatten()
                .any(|rule| rule.condition.reads_args())
    }
}
