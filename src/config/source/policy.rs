//! The three kinds of policy document, as they are written. Every field may be absent here; what
//! must be there, and what a missing one means, is `config::lower`.

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, de};

use super::decode::{Field, TextOr};
use crate::config::quantity::{Date, Growth, Interval, Percentage, Rate, Size};
use crate::gate::level::{Changes, Validation};
use crate::gate::policy::schema::parameter::{Form, Within};
use crate::gate::policy::{Protocol, Recovery};
use crate::gate::risk::{Risk, Tier};
use crate::gate::verdict::Verdict;

/// A list whose items are read one by one, so that a bad one does not hide the others.
pub type List<T> = Field<Vec<Field<T>>>;

/// A tool API and its tools.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ApiDocument {
    /// The tool API's name.
    #[schemars(required)]
    pub api: Field<String>,
    /// What it speaks: `http` or `mcp`.
    pub protocol: Field<Protocol>,
    /// Where it really is: an http or https URL.
    #[schemars(required)]
    pub upstream: Field<String>,
    /// The path prefix on the gate, stripped before forwarding; `/` for a single API. `/NAME` when
    /// neither this nor `hosts` is written.
    pub route: Field<String>,
    /// The host names it answers to instead of a prefix; the path stays untouched.
    pub hosts: List<String>,
    /// An `OpenAPI` file that fills in tools and schemas.
    pub openapi: Field<String>,
    /// How long a call may take until its answer begins.
    pub timeout: Field<Interval>,
    /// Its tools.
    pub tools: List<ToolEntry>,
}

/// One tool of a tool API.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ToolEntry {
    /// The tool's name.
    #[schemars(required)]
    pub tool: Field<String>,
    /// Which requests are calls of it: `METHOD /path/{capture}`, or the name of an MCP tool.
    pub r#match: Field<String>,
    /// How much harm it can do: read, low, medium or high.
    #[schemars(required)]
    pub risk: Field<Risk>,
    /// An expression for the business object that a call touches.
    pub subject: Field<String>,
    /// JSON Schema for its arguments, inline or the name of a file.
    pub arguments: Field<serde_json::Value>,
    /// Its path and query parameters, those that are to be judged.
    pub parameters: List<ParameterEntry>,
    /// Denies the call: an expression, or `{ if: EXPRESSION, mode: shadow, until: DATE }`.
    pub deny_when: Field<TextOr<RuleEntry>>,
    /// Holds the call for a person: an expression, or
    /// `{ if: EXPRESSION, mode: shadow, until: DATE }`.
    pub hold_when: Field<TextOr<RuleEntry>>,
    /// Holds the call unless the run escalated before: an expression, or
    /// `{ if: EXPRESSION, mode: shadow, until: DATE }`.
    pub escalate_when: Field<TextOr<RuleEntry>>,
    /// When a call counts as done before.
    pub duplicate: Field<Duplicate>,
    /// Which tool's work this one undoes.
    pub reverses: Field<Reverses>,
    /// Bounds on sums and counts.
    pub limits: List<Limit>,
    /// Judged on the answer: the call failed.
    pub failure_when: Field<String>,
    /// Sending it twice is the same as sending it once. Read tools are.
    pub idempotent: Field<bool>,
    /// The largest request body.
    pub body: Field<Size>,
    /// How long a call may take until its answer begins.
    pub timeout: Field<Interval>,
    /// The URL of another upstream that answers the same paths, asked where the API's own fails.
    /// For read tools.
    pub fallback: Field<String>,
    /// A ceiling that no level widens: `hold` or `deny`.
    pub always: Field<Verdict>,
    /// Calling it is a policy violation.
    pub forbidden: Field<bool>,
    /// Calling it is an escalation to a person.
    pub escalation: Field<bool>,
    /// At most so many calls of it per time, of everybody who calls it together.
    pub volume: Field<Rate>,
    /// At most so many calls of it at once, of everybody who calls it together.
    pub concurrency: Field<u32>,
    /// Whether its rules act: `enforce` or `shadow`.
    pub mode: Field<ModeWord>,
    /// When shadow ends.
    pub until: Field<Date>,
}

/// A rule that has a mode of its own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct RuleEntry {
    /// The expression.
    #[schemars(required)]
    pub r#if: Field<String>,
    /// Whether the rule acts: `enforce` or `shadow`.
    pub mode: Field<ModeWord>,
    /// When shadow ends.
    pub until: Field<Date>,
}

/// A path or query parameter.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ParameterEntry {
    /// Its name; in the path, that of a capture.
    #[schemars(required)]
    pub name: Field<String>,
    /// Where it is: `path` or `query`.
    #[schemars(required)]
    pub r#in: Field<Within>,
    /// Whether a call must give it.
    pub required: Field<bool>,
    /// How it spells a list, where it is one.
    pub list: Field<Form>,
    /// JSON Schema for its value, inline or the name of a file.
    pub schema: Field<serde_json::Value>,
}

/// When a call counts as done before.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Duplicate {
    /// Expressions that together identify the work.
    pub key: List<String>,
    /// For how long.
    pub within: Field<Interval>,
    /// What becomes of the second call: `deny`, or `count` (it goes, and is booked as duplicate
    /// work).
    pub verdict: Field<Twice>,
    /// Whether the rule acts: `enforce` or `shadow`.
    pub mode: Field<ModeWord>,
    /// When shadow ends.
    pub until: Field<Date>,
}

/// What becomes of a call whose work was done before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Twice {
    /// It is refused.
    Deny,
    /// It goes, and is booked as duplicate work.
    Count,
}

/// Which tool's work a tool undoes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Reverses {
    /// The other tool.
    pub tool: Field<String>,
    /// For how long after it.
    pub within: Field<Interval>,
}

/// A bound on a sum or a count.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Limit {
    /// An expression whose values are summed.
    pub sum: Field<String>,
    /// Calls are counted.
    pub count: Field<bool>,
    /// What it is bounded for.
    pub per: Field<Per>,
    /// Within which time.
    pub within: Field<Interval>,
    /// Above this, calls are held.
    pub hold_above: Field<serde_json::Number>,
    /// Above this, calls are denied.
    pub deny_above: Field<serde_json::Number>,
    /// Whether the limit acts: `enforce` or `shadow`.
    pub mode: Field<ModeWord>,
    /// When shadow ends.
    pub until: Field<Date>,
}

/// What a limit is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Each business object.
    Subject,
    /// Each agent.
    Agent,
    /// The workflow.
    Workflow,
}

/// Do verdicts act?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeWord {
    /// They do.
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
    pub workflow: Field<String>,
    /// The name it had before.
    pub was: Field<String>,
    /// Its risk tier: low, medium or high. It chooses every default.
    #[schemars(required)]
    pub risk: Field<Tier>,
    /// Why a low-tier workflow reaches a high-risk tool.
    pub accept_risk: Field<String>,
    /// What failure means, and how much of it is acceptable.
    pub objective: Field<ObjectiveEntry>,
    /// The tools it reaches, each `api/tool`.
    #[schemars(required)]
    pub tools: List<String>,
    /// What a call of any other tool gets: `hold` or `deny`.
    pub unlisted: Field<Verdict>,
    /// How its runs begin and end.
    pub run: Field<RunEntry>,
    /// The level it begins at.
    pub starts: Field<String>,
    /// The highest level that each posture leaves.
    pub caps: Field<CapsEntry>,
    /// Changes to the built-in levels, and levels of its own.
    pub levels: List<LevelEntry>,
    /// What it can earn.
    pub earn: List<EarnEntry>,
    /// When burns lose a level.
    pub lose: Field<LoseEntry>,
    /// How it leaves a burn without a probation.
    pub recovery: Field<Recovery>,
    /// How its held calls wait.
    pub hold: Field<HoldEntry>,
    /// How many finished runs people check.
    pub check: Field<CheckEntry>,
    /// How long a report may take until a call counts as unreported.
    pub settle: Field<Interval>,
    /// The share of calls of a skipped step that is held all the same.
    pub spot_check: Field<Percentage>,
    /// How hard arguments are checked where the level does not say.
    pub validation: Field<Validation>,
    /// Are places for risky runs limited to what the budget has left?
    pub exposure: Field<Switch>,
    /// How often the gate may send an idempotent call again.
    pub retries: Field<u32>,
    /// What the agent is told of its budget.
    pub disclose: Field<Disclose>,
    /// What is kept of a call besides its facts.
    pub record: Field<Record>,
    /// Whether its rules act: `enforce` or `shadow`.
    pub mode: Field<ModeWord>,
    /// When shadow ends.
    pub until: Field<Date>,
}

/// A signal: a webhook of another system, and what it says of a run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct SignalDocument {
    /// The signal's name: it is sent to `POST /v1/signals/NAME` of the admin API.
    #[schemars(required)]
    pub signal: Field<String>,
    /// The workflow whose runs it is about; any where it is absent.
    pub workflow: Field<String>,
    /// An expression over `body` and `header`: which deliveries are news.
    pub when: Field<String>,
    /// An expression for the business object that the run touched.
    pub subject: Field<String>,
    /// The tool through which the run touched the subject, as `api/tool`: the riskiest where it is
    /// absent.
    pub tool: Field<String>,
    /// An expression for the run's id, instead of `subject`.
    pub run: Field<String>,
    /// What went wrong with the run.
    pub mode: Field<String>,
    /// The run was right: it counts as checked.
    pub right: Field<bool>,
    /// An expression for a note.
    pub note: Field<String>,
    /// An expression that makes two deliveries the same; `webhook-id` where it is absent.
    pub r#ref: Field<String>,
    /// The file with the secrets of its senders (Standard Webhooks), a line each, beside this one.
    pub secret_file: Field<String>,
    /// The environment variable with the secrets.
    pub secret_env: Field<String>,
}

/// An objective.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ObjectiveEntry {
    /// The share of runs that must be acceptable.
    pub target: Field<Percentage>,
    /// The rolling window, in whole days.
    pub window: Field<Interval>,
    /// How many runs are expected in a window.
    pub expected_runs: Field<u64>,
    /// The modes that make a run unacceptable.
    pub unacceptable: List<String>,
    /// The modes that burn the budget at once.
    pub critical: List<String>,
}

/// How runs begin and end.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct RunEntry {
    /// An expression for the run's id where no header names it.
    pub key: Field<String>,
    /// A run ends when nothing happened for this long.
    pub lease: Field<Interval>,
    /// No run is longer.
    pub max: Field<Interval>,
    /// No run has more calls.
    pub calls: Field<u32>,
    /// The same call is refused when it comes for the so-manieth time in one run. Of reads, twenty
    /// times as many pass within a minute.
    pub r#loop: Field<u32>,
    /// Is a run that was never finished a timeout?
    pub finish: Field<Finish>,
}

/// Must a run be finished?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
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
    pub at_risk: Field<String>,
    /// In posture `burned`.
    pub burned: Field<String>,
    /// In posture `breached`.
    pub breached: Field<String>,
}

/// A level that is changed or added.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct LevelEntry {
    /// Its name.
    #[schemars(required)]
    pub level: Field<String>,
    /// The level it stands right above, for one that is new. What it leaves out is as there.
    pub above: Field<String>,
    /// The verdict on calls of read tools.
    pub read: Field<Verdict>,
    /// The verdict on calls of low-risk tools.
    pub low: Field<Verdict>,
    /// The verdict on calls of medium-risk tools.
    pub medium: Field<Verdict>,
    /// The verdict on calls of high-risk tools.
    pub high: Field<Verdict>,
    /// Only these tools.
    pub tools: List<String>,
    /// At most so many calls per time.
    pub volume: Field<Rate>,
    /// At most so many calls at once.
    pub concurrency: Field<u32>,
    /// How hard arguments are checked.
    pub validation: Field<Validation>,
    /// Whether changes may ship.
    pub changes: Field<Changes>,
}

/// Something that can be earned.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct EarnEntry {
    /// Its name.
    pub step: Field<String>,
    /// After how long within budget.
    pub after: Field<Interval>,
    /// A higher volume cap.
    pub volume: Field<Growth>,
    /// A level.
    pub to: Field<String>,
    /// A review step that is skipped.
    pub skip: Field<SkipEntry>,
    /// By itself, or as a proposal.
    pub how: Field<How>,
}

/// A review step that is skipped.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct SkipEntry {
    /// Of which tool.
    pub tool: Field<String>,
    /// Which rule.
    pub rule: Field<String>,
    /// For which cases.
    pub r#where: Field<String>,
}

/// How a promotion comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
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
    pub burns: Field<u32>,
    /// Within which time.
    pub within: Field<Interval>,
    /// How many levels are lost.
    pub drop: Field<u32>,
}

/// How held calls wait.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct HoldEntry {
    /// How long a held call waits open when the agent does not say.
    pub wait: Field<Interval>,
    /// When a pending approval expires.
    pub expires: Field<Interval>,
    /// How long a grant can be used.
    pub grant: Field<Interval>,
    /// How many people must approve: a number for every call, or `{ high: 2, other: 1 }`.
    pub approvals: Field<Approvals>,
    /// How many held calls may wait at once.
    pub inbox: Field<InboxEntry>,
    /// The role that a held call is put to where nobody decided: `reviewer` or `operator`.
    pub escalate_to: Field<String>,
    /// After how long: 20m where `escalate_to` is written alone.
    pub after: Field<Interval>,
}

/// How many held calls may wait at once.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct InboxEntry {
    /// Of one run.
    pub run: Field<u32>,
    /// Of one agent.
    pub agent: Field<u32>,
    /// Of the workflow.
    pub workflow: Field<u32>,
}

/// How many people must approve a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum Approvals {
    /// Any call.
    Every(u32),
    /// A high-risk call, and any other.
    Each {
        /// A call of a high-risk tool.
        high: Option<u32>,
        /// Any other call.
        other: Option<u32>,
    },
}

impl<'de> Deserialize<'de> for Approvals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Each {
            high: Option<u32>,
            other: Option<u32>,
        }

        impl<'de> Visitor<'de> for Words {
            type Value = Approvals;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of people, or `{ high: 2, other: 1 }`")
            }

            fn visit_u64<E: de::Error>(self, people: u64) -> Result<Approvals, E> {
                Ok(Approvals::Every(u32::try_from(people).unwrap_or(u32::MAX)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Approvals, A::Error> {
                Each::deserialize(MapAccessDeserializer::new(map)).map(|each| Approvals::Each {
                    high: each.high,
                    other: each.other,
                })
            }
        }

        deserializer.deserialize_any(Words)
    }
}

/// How many finished runs people check.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct CheckEntry {
    /// The share that is drawn.
    pub sample: Field<Percentage>,
    /// The fewest that are drawn.
    pub min: Field<Rate>,
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

/// What the agent is told of its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disclose {
    /// Posture, level and what remains.
    Budget,
    /// Posture and level.
    Level,
}

/// What is kept of a call besides its facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Nothing.
    Facts,
    /// Its arguments.
    Arguments,
}
