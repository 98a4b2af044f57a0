//! An API document and its tools, as they are written. Every field may be absent here; what must
//! be there, and what a missing one means, is `config::lower`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::mode::ModeWord;
use super::setting::{ListSetting, Setting, TextOr};
use crate::config::quantity::{Date, Interval, Rate, Size};
use crate::gate::policy::schema::parameter::{Form, Within};
use crate::gate::policy::{BodyKind, Protocol};
use crate::gate::risk::Risk;
use crate::gate::verdict::Verdict;

/// A tool API and its tools.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ApiDocument {
    /// The tool API's name.
    #[schemars(required)]
    pub api: Setting<String>,
    /// What it speaks: `http` or `mcp`.
    pub protocol: Setting<Protocol>,
    /// Where it really is: an http or https URL.
    #[schemars(required)]
    pub upstream: Setting<String>,
    /// The path prefix on the gate, stripped before forwarding; `/` for a single API. `/NAME` when
    /// neither this nor `hosts` is written.
    pub route: Setting<String>,
    /// The host names it answers to instead of a prefix; the path stays untouched.
    pub hosts: ListSetting<String>,
    /// Headers, and the query key `_method`, that ask for another request than the one judged and
    /// are refused else: those that pass.
    pub overrides: ListSetting<String>,
    /// Whether header names may have underscores: `refuse` or `pass`.
    pub underscores: Setting<Underscores>,
    /// Which headers are credentials for it.
    pub credentials: Setting<CredentialsEntry>,
    /// An `OpenAPI` file that fills in tools and schemas.
    pub openapi: Setting<String>,
    /// How long a call may take until its answer begins.
    pub timeout: Setting<Interval>,
    /// Its tools.
    pub tools: ListSetting<ToolEntry>,
}

/// Which headers are credentials for a tool API.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct CredentialsEntry {
    /// The headers, besides `authorization` and `cookie`.
    pub headers: ListSetting<String>,
}

/// What becomes of a request with an underscore in a header's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Underscores {
    /// It is refused: CGI and its heirs take `_` and `-` for one.
    Refuse,
    /// It passes.
    Pass,
}

/// One tool of a tool API.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ToolEntry {
    /// The tool's name.
    #[schemars(required)]
    pub tool: Setting<String>,
    /// Which requests are calls of it: `METHOD /path/{capture}`, or the name of an MCP tool.
    pub r#match: Setting<String>,
    /// How much harm it can do: read, low, medium or high.
    #[schemars(required)]
    pub risk: Setting<Risk>,
    /// An expression for the business object that a call touches.
    pub subject: Setting<String>,
    /// JSON Schema for its arguments, inline or the name of a file.
    pub arguments: Setting<serde_json::Value>,
    /// Its path and query parameters, those that are to be judged.
    pub parameters: ListSetting<ParameterEntry>,
    /// Denies the call: an expression, or `{ if: EXPRESSION, mode: shadow, until: DATE }`.
    pub deny_when: Setting<TextOr<RuleEntry>>,
    /// Holds the call for a person: an expression, or
    /// `{ if: EXPRESSION, mode: shadow, until: DATE }`.
    pub hold_when: Setting<TextOr<RuleEntry>>,
    /// Holds the call unless the run escalated before: an expression, or
    /// `{ if: EXPRESSION, mode: shadow, until: DATE }`.
    pub escalate_when: Setting<TextOr<RuleEntry>>,
    /// When a call counts as done before.
    pub duplicate: Setting<DuplicateEntry>,
    /// Which tool's work this one undoes.
    pub reverses: Setting<ReversesEntry>,
    /// Bounds on sums and counts.
    pub limits: ListSetting<LimitEntry>,
    /// Judged on the answer: the call failed.
    pub failure_when: Setting<String>,
    /// Sending it twice is the same as sending it once. Read tools are.
    pub idempotent: Setting<bool>,
    /// The largest request body.
    pub size: Setting<Size>,
    /// How the request body is read and shown to reviewers: `json`, `form`, `text`, `bytes` or
    /// `multipart`. A body of another kind is refused where somebody would have to see it.
    pub body: Setting<BodyKind>,
    /// Headers that an approval is bound to, besides those that a rule reads.
    pub binds: ListSetting<String>,
    /// How long a call may take until its answer begins.
    pub timeout: Setting<Interval>,
    /// The URL of another upstream that answers the same paths, asked where the API's own fails.
    /// For read tools.
    pub fallback: Setting<String>,
    /// A ceiling that no level widens: `hold` or `deny`.
    pub always: Setting<Verdict>,
    /// Calling it is a policy violation.
    pub forbidden: Setting<bool>,
    /// Calling it is an escalation to a person.
    pub escalation: Setting<bool>,
    /// At most so many calls of it per time, of everybody who calls it together.
    pub volume: Setting<Rate>,
    /// At most so many calls of it at once, of everybody who calls it together.
    pub concurrency: Setting<u32>,
    /// Whether its rules act: `enforce` or `shadow`.
    pub mode: Setting<ModeWord>,
    /// When shadow ends.
    pub until: Setting<Date>,
}

/// A rule that has a mode of its own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct RuleEntry {
    /// The expression.
    #[schemars(required)]
    pub r#if: Setting<String>,
    /// Whether the rule acts: `enforce` or `shadow`.
    pub mode: Setting<ModeWord>,
    /// When shadow ends.
    pub until: Setting<Date>,
}

/// A path or query parameter.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ParameterEntry {
    /// Its name; in the path, that of a capture.
    #[schemars(required)]
    pub name: Setting<String>,
    /// Where it is: `path` or `query`.
    #[schemars(required)]
    pub r#in: Setting<Within>,
    /// Whether a call must give it.
    pub required: Setting<bool>,
    /// How it spells a list, where it is one.
    pub list: Setting<Form>,
    /// JSON Schema for its value, inline or the name of a file.
    pub schema: Setting<serde_json::Value>,
}

/// When a call counts as done before.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct DuplicateEntry {
    /// Expressions that together identify the work.
    pub key: ListSetting<String>,
    /// For how long.
    pub within: Setting<Interval>,
    /// What becomes of the second call: `deny`, or `count` (it goes, and is booked as duplicate
    /// work).
    pub verdict: Setting<DuplicateWord>,
    /// Whether the rule acts: `enforce` or `shadow`.
    pub mode: Setting<ModeWord>,
    /// When shadow ends.
    pub until: Setting<Date>,
}

/// What becomes of a call whose work was done before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateWord {
    /// It is refused.
    Deny,
    /// It goes, and is booked as duplicate work.
    Count,
}

/// Which tool's work a tool undoes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ReversesEntry {
    /// The other tool.
    pub tool: Setting<String>,
    /// For how long after it.
    pub within: Setting<Interval>,
}

/// A bound on a sum or a count.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct LimitEntry {
    /// An expression whose values are summed.
    pub sum: Setting<String>,
    /// Calls are counted.
    pub count: Setting<bool>,
    /// What it is bounded for.
    pub per: Setting<PerWord>,
    /// Within which time.
    pub within: Setting<Interval>,
    /// Above this, calls are held.
    pub hold_above: Setting<serde_json::Number>,
    /// Above this, calls are denied.
    pub deny_above: Setting<serde_json::Number>,
    /// Whether the limit acts: `enforce` or `shadow`.
    pub mode: Setting<ModeWord>,
    /// When shadow ends.
    pub until: Setting<Date>,
}

/// What a limit is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PerWord {
    /// Each business object.
    Subject,
    /// Each agent.
    Agent,
    /// The workflow.
    Workflow,
}
