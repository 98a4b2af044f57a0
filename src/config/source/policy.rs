//! The three kinds of policy document, as they are written. Every field may be absent here; what
//! must be there, and what a missing one means, is `config::lower`.

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, de};

use super::setting::{Setting, TextOr};
use crate::config::quantity::{Date, Growth, Interval, Percentage, Rate, Size};
use crate::gate::budget::posture::Recovery;
use crate::gate::level::{Changes, Validation};
use crate::gate::policy::schema::parameter::{Form, Within};
use crate::gate::policy::{BodyKind, Protocol};
use crate::gate::risk::{Risk, Tier};
use crate::gate::verdict::Verdict;

/// A list whose items are read one by one, so that a bad one does not hide the others.
pub type ListSetting<T> = Setting<Vec<Setting<T>>>;

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

/// Whether verdicts are enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeWord {
    /// They are.
    Enforce,
    /// They are computed and recorded, and the call passes.
    Shadow,
}

/// A workflow.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct WorkflowDocument {
    /// The workflow's name.
    #[schemars(required)]
    pub workflow: Setting<String>,
    /// The name it had before.
    pub was: Setting<String>,
    /// Its risk tier: low, medium or high. It chooses every default.
    #[schemars(required)]
    pub risk: Setting<Tier>,
    /// Why a low-tier workflow reaches a high-risk tool.
    pub accept_risk: Setting<String>,
    /// What failure means, and how much of it is acceptable.
    pub objective: Setting<ObjectiveEntry>,
    /// The tools it reaches, each `api/tool`.
    #[schemars(required)]
    pub tools: ListSetting<String>,
    /// What a call of any other tool gets: `hold` or `deny`.
    pub unlisted: Setting<Verdict>,
    /// How its runs begin and end.
    pub run: Setting<RunEntry>,
    /// The level it begins at.
    pub starts: Setting<String>,
    /// The highest level that each posture leaves.
    pub caps: Setting<CapsEntry>,
    /// Changes to the built-in levels, and levels of its own.
    pub levels: ListSetting<LevelEntry>,
    /// What it can earn.
    pub earn: ListSetting<EarnEntry>,
    /// When burns lose a level.
    pub lose: Setting<LoseEntry>,
    /// How it leaves a burn without a probation.
    pub recovery: Setting<Recovery>,
    /// How its held calls wait.
    pub hold: Setting<HoldEntry>,
    /// How many finished runs people check.
    pub check: Setting<CheckEntry>,
    /// How long a report may take until a call counts as unreported.
    pub settle: Setting<Interval>,
    /// The share of calls of a skipped step that is held all the same.
    pub spot_check: Setting<Percentage>,
    /// How hard arguments are checked where the level does not say.
    pub validation: Setting<Validation>,
    /// Whether no more risky runs may be open at once than the budget can still absorb: `on` or
    /// `off`.
    pub exposure: Setting<Switch>,
    /// How often the gate may send an idempotent call again.
    pub retries: Setting<u32>,
    /// How much of its budget the agent sees: `budget` or `level`.
    pub disclose: Setting<Disclose>,
    /// What is recorded of a call: `facts`, or its `arguments` as well.
    pub record: Setting<Record>,
    /// Whether its rules act: `enforce` or `shadow`.
    pub mode: Setting<ModeWord>,
    /// When shadow ends.
    pub until: Setting<Date>,
}

/// A signal: a webhook of another system, and what it says of a run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct SignalDocument {
    /// The signal's name: it is sent to `POST /v1/signals/NAME` of the admin API.
    #[schemars(required)]
    pub signal: Setting<String>,
    /// The workflow whose runs it is about; any where it is absent.
    pub workflow: Setting<String>,
    /// An expression over `body` and `header`: only deliveries for which it is true count.
    pub when: Setting<String>,
    /// An expression for the business object that the run touched.
    pub subject: Setting<String>,
    /// The tool through which the run touched the subject, as `api/tool`: the riskiest where it is
    /// absent.
    pub tool: Setting<String>,
    /// An expression for the run's id, instead of `subject`.
    pub run: Setting<String>,
    /// What went wrong with the run.
    pub mode: Setting<String>,
    /// The run was right: it counts as checked.
    pub right: Setting<bool>,
    /// An expression for a note.
    pub note: Setting<String>,
    /// An expression that makes two deliveries the same; `webhook-id` where it is absent.
    pub r#ref: Setting<String>,
    /// The file with the secrets of its senders (Standard Webhooks), a line each, beside this one.
    pub secret_file: Setting<String>,
    /// The environment variable with the secrets.
    pub secret_env: Setting<String>,
}

/// An objective.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ObjectiveEntry {
    /// The share of runs that must be acceptable.
    pub target: Setting<Percentage>,
    /// The rolling window, in whole days.
    pub window: Setting<Interval>,
    /// How many runs are expected in a window.
    pub expected_runs: Setting<u64>,
    /// The modes that make a run unacceptable.
    pub unacceptable: ListSetting<String>,
    /// The modes that burn the budget at once.
    pub critical: ListSetting<String>,
}

/// How runs begin and end.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct RunEntry {
    /// An expression for the run's id where no header names it.
    pub key: Setting<String>,
    /// A run ends when nothing happened for this long.
    pub lease: Setting<Interval>,
    /// No run is longer.
    pub max: Setting<Interval>,
    /// No run has more calls.
    pub calls: Setting<u32>,
    /// From which time on the same call is refused in one run: with 10, the tenth is. Reads may
    /// come twenty times as often within a minute.
    pub r#loop: Setting<u32>,
    /// Whether a run that is never finished counts as a timeout: `required` or `optional`.
    pub finish: Setting<FinishWord>,
}

/// Whether a run must be finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishWord {
    /// It may.
    Optional,
    /// It must.
    Required,
}

/// The caps of the postures.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct CapsEntry {
    /// In posture `at_risk`.
    pub at_risk: Setting<String>,
    /// In posture `burned`.
    pub burned: Setting<String>,
    /// In posture `breached`.
    pub breached: Setting<String>,
}

/// A level that is changed or added.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct LevelEntry {
    /// Its name.
    #[schemars(required)]
    pub level: Setting<String>,
    /// The level it stands right above, for one that is new. What it leaves out is as there.
    pub above: Setting<String>,
    /// The verdict on calls of read tools.
    pub read: Setting<Verdict>,
    /// The verdict on calls of low-risk tools.
    pub low: Setting<Verdict>,
    /// The verdict on calls of medium-risk tools.
    pub medium: Setting<Verdict>,
    /// The verdict on calls of high-risk tools.
    pub high: Setting<Verdict>,
    /// Only these tools.
    pub tools: ListSetting<String>,
    /// At most so many calls per time.
    pub volume: Setting<Rate>,
    /// At most so many calls at once.
    pub concurrency: Setting<u32>,
    /// How hard arguments are checked.
    pub validation: Setting<Validation>,
    /// Whether changes may ship.
    pub changes: Setting<Changes>,
}

/// Something that can be earned.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct EarnEntry {
    /// Its name.
    pub step: Setting<String>,
    /// After how long within budget.
    pub after: Setting<Interval>,
    /// A higher volume cap.
    pub volume: Setting<Growth>,
    /// A level.
    pub to: Setting<String>,
    /// A review step that is skipped.
    pub skip: Setting<SkipEntry>,
    /// Whether the step is taken by itself (`automatic`) or proposed to the operator (`propose`).
    pub how: Setting<HowWord>,
}

/// A review step that is skipped.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct SkipEntry {
    /// Of which tool.
    pub tool: Setting<String>,
    /// Which rule.
    pub rule: Setting<String>,
    /// For which cases.
    pub r#where: Setting<String>,
}

/// How an earned step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HowWord {
    /// By itself.
    Automatic,
    /// As a proposal to the operator.
    Propose,
}

/// When burns lose levels.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct LoseEntry {
    /// How many burns.
    pub burns: Setting<u32>,
    /// Within which time.
    pub within: Setting<Interval>,
    /// How many levels are lost.
    pub drop: Setting<u32>,
}

/// How held calls wait.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct HoldEntry {
    /// How long the answer to a held call waits for a decision when the agent does not say.
    pub wait: Setting<Interval>,
    /// When a pending approval expires.
    pub expires: Setting<Interval>,
    /// How long a grant can be used.
    pub grant: Setting<Interval>,
    /// How many people must approve: a number for every call, or `{ high: 2, other: 1 }`.
    pub approvals: Setting<ApprovalsEntry>,
    /// How many held calls may wait at once.
    pub inbox: Setting<InboxEntry>,
    /// The role that is asked when nobody has decided for a while: `reviewer` or `operator`.
    pub escalate_to: Setting<String>,
    /// After how long that is; 20m where only `escalate_to` is written.
    pub after: Setting<Interval>,
}

/// How many held calls may wait at once.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct InboxEntry {
    /// Of one run.
    pub run: Setting<u32>,
    /// Of one agent.
    pub agent: Setting<u32>,
    /// Of the workflow.
    pub workflow: Setting<u32>,
}

/// How many people must approve a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum ApprovalsEntry {
    /// Any call.
    Every(u32),
    /// A high-risk call, and any other.
    ByRisk {
        /// A call of a high-risk tool.
        high: Option<u32>,
        /// Any other call.
        other: Option<u32>,
    },
}

impl<'de> Deserialize<'de> for ApprovalsEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ApprovalsVisitor;

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct ByRisk {
            high: Option<u32>,
            other: Option<u32>,
        }

        impl<'de> Visitor<'de> for ApprovalsVisitor {
            type Value = ApprovalsEntry;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of people, or `{ high: 2, other: 1 }`")
            }

            fn visit_u64<E: de::Error>(self, people: u64) -> Result<ApprovalsEntry, E> {
                Ok(ApprovalsEntry::Every(
                    u32::try_from(people).unwrap_or(u32::MAX),
                ))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ApprovalsEntry, A::Error> {
                ByRisk::deserialize(MapAccessDeserializer::new(map)).map(|each| {
                    ApprovalsEntry::ByRisk {
                        high: each.high,
                        other: each.other,
                    }
                })
            }
        }

        deserializer.deserialize_any(ApprovalsVisitor)
    }
}

/// How many finished runs people check.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct CheckEntry {
    /// The share that is drawn.
    pub sample: Setting<Percentage>,
    /// The fewest that are drawn.
    pub min: Setting<Rate>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// How much of its budget the agent sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disclose {
    /// Posture, level and what remains.
    Budget,
    /// Posture and level.
    Level,
}

/// What is recorded of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Its facts alone.
    Facts,
    /// Its facts and its arguments.
    Arguments,
}
