//! What a policy means: tool APIs with their tools, workflows with their terms, and the rules
//! between them.
//!
//! These are the lowered values. What was written, and every complaint about it, is `config`.
//! Conditions and schemas arrive compiled; evaluating them is the one place where the gate uses an
//! engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::Objective;
use super::check::Check;
use super::digest::Digest;
use super::earn::Earn;
use super::level::{Ladder, Validation, Volume};
use super::name::{ApiName, LevelName, SignalName, ToolName, WorkflowName};
use super::outcome::FailureMode;
use super::risk::{Risk, Tier};
use super::time;
use super::time::Time;
use super::verdict::Verdict;

pub mod condition;
pub mod deed;
pub mod facts;
pub mod judge;
pub mod pattern;
pub mod schema;
pub mod shadow;
pub mod signal;
pub mod skip;
pub mod wider;

pub use condition::Condition;
pub use deed::DeedRules;
pub use pattern::Pattern;
pub use schema::{Parameter, Schema};
pub use signal::Signal;
pub use skip::Skip;

/// Where a rule was written. Every verdict names one (G8).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The policy file, as the operator named it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Every policy in force, under one version.
#[derive(Debug)]
pub struct PolicySet {
    /// The digest of all lowered policies: the same policies have the same version.
    pub version: Digest,
    /// The tool APIs, by name.
    pub apis: BTreeMap<ApiName, Arc<Api>>,
    /// The workflows, by name.
    pub workflows: BTreeMap<WorkflowName, Arc<Workflow>>,
    /// The signals, by name.
    pub signals: BTreeMap<SignalName, Arc<Signal>>,
}

/// The protocol a tool API speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Plain HTTP with JSON bodies.
    Http,
    /// The Model Context Protocol.
    Mcp,
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
    /// Its tools, most specific pattern first, so that the first that matches is the one.
    pub tools: Vec<Arc<Tool>>,
    /// How long an unlisted call may take.
    #[serde(with = "time::millis")]
    pub timeout: Duration,
    /// Where it was written.
    pub place: Place,
}

/// Is a verdict acted on, or only recorded?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Verdicts act.
    Enforce,
    /// Verdicts are computed, recorded and counted until then, and the call passes.
    Shadow {
        /// When watching ends.
        until: Time,
    },
}

impl Mode {
    /// Is what says so only watched at `now`? Shadow ends by itself, without a reload.
    #[must_use]
    pub fn is_shadow(self, now: Time) -> bool {
        matches!(self, Mode::Shadow { until } if now < until)
    }

    const fn enforces(&self) -> bool {
        matches!(self, Mode::Enforce)
    }
}

/// A condition of the policy and where it was written.
#[derive(Debug, Serialize)]
pub struct Rule {
    /// When it applies.
    pub condition: Condition,
    /// Whether it acts by itself, whatever the mode of its tool and workflow.
    #[serde(skip_serializing_if = "Mode::enforces")]
    pub mode: Mode,
    /// Where it was written.
    pub place: Place,
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
    pub deeds: Option<Box<DeedRules>>,
    /// A ceiling that no level widens: `hold` or `deny`.
    pub always: Option<Verdict>,
    /// Calling it is a policy violation, every time.
    pub forbidden: bool,
    /// Calling it is an escalation to a person.
    pub escalation: bool,
    /// Sending it twice is the same as sending it once.
    pub idempotent: bool,
    /// The largest request body, in bytes; `None` for the process's bound.
    pub body: Option<usize>,
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
    pub place: Place,
}

impl Tool {
    /// Does judging a call of it need the body, or may the body stream past?
    #[must_use]
    pub fn reads_body(&self) -> bool {
        let conditions = [&self.deny_when, &self.hold_when, &self.escalate_when];
        self.arguments.is_some()
            || self.deeds.as_ref().is_some_and(|rules| rules.reads_args())
            || self.subject.as_ref().is_some_and(Condition::reads_args)
            || conditions
                .into_iter()
                .flatten()
                .any(|rule| rule.condition.reads_args())
    }
}

/// A workflow: who may do what, within which budget.
#[derive(Debug, Serialize)]
pub struct Workflow {
    /// Its name.
    pub name: WorkflowName,
    /// What its budget and levels are judged under.
    pub terms: Arc<Terms>,
    /// The tools it reaches.
    pub tools: BTreeSet<ToolName>,
    /// What an unlisted call gets: `hold` (as risk high) or `deny`.
    pub unlisted: Verdict,
    /// How its runs begin and end.
    pub run: RunRules,
    /// How its held calls wait.
    pub hold: HoldRules,
    /// Reviews that it may earn to skip.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<Skip>,
    /// How hard arguments are checked where the level does not say.
    pub validation: Validation,
    /// Whether places for risky runs are limited to what the budget has left.
    pub exposure: bool,
    /// How often a gate may send an idempotent call again.
    pub retries: u32,
    /// Whether the arguments of its calls are kept in the run index, so that a simulation can judge
    /// them again.
    pub record_arguments: bool,
    /// Whether the agent is told what remains of the budget.
    pub disclose_remaining: bool,
    /// Whether its rules act.
    pub mode: Mode,
    /// Where it was written.
    pub place: Place,
}

/// The part of a workflow's policy that the fold judges its budget and levels under. Part of the
/// journal: a state can be recomputed without the policy files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Its risk tier.
    pub tier: Tier,
    /// The name it had before, where it was renamed.
    pub was: Option<WorkflowName>,
    /// Its objective.
    pub objective: Objective,
    /// Its levels.
    pub ladder: Ladder,
    /// The level it begins at.
    pub starts: LevelName,
    /// How its posture caps its level.
    pub caps: Caps,
    /// How it leaves a burn.
    pub recovery: Recovery,
    /// When burns lose a level.
    pub lose: Lose,
    /// Every tool it reaches is `read`: then a run counts with any forwarded call.
    pub reads_only: bool,
    /// How long a decided grant can be used.
    #[serde(with = "time::millis")]
    pub grant: Duration,
    /// How many finished runs people check; `None` where they are asked for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// What it can earn.
    #[serde(default, skip_serializing_if = "Earn::is_empty")]
    pub earn: Earn,
    /// The tools above `read` that it reaches: a new workflow that reaches one of another's begins
    /// no higher than that one stands.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reach: BTreeSet<ToolName>,
}

/// The highest level that each posture leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    /// In posture `at_risk`.
    pub at_risk: LevelName,
    /// In posture `burned`.
    pub burned: LevelName,
    /// In posture `breached`.
    pub breached: LevelName,
}

/// How a workflow leaves `burned` without a probation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// Once the budget has recovered, by itself.
    Automatic,
    /// Only after a person put a cause on record.
    Cause,
}

/// How many burns within which time lose how many levels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lose {
    /// How many burns.
    pub burns: u32,
    /// Within which time.
    #[serde(with = "time::millis")]
    pub within: Duration,
    /// How many levels are lost.
    pub drop: u32,
}

/// How a workflow's runs begin and end.
#[derive(Debug, Serialize)]
pub struct RunRules {
    /// Where a run's id comes from when no header names it.
    pub key: Option<Condition>,
    /// A run ends when nothing happened for this long.
    #[serde(with = "time::millis")]
    pub lease: Duration,
    /// No run is longer; later calls open a continuation.
    #[serde(with = "time::millis")]
    pub max: Duration,
    /// No run has more calls; later ones open a continuation.
    pub calls: u32,
    /// The same call is refused when it comes for the so-manieth time in one run.
    pub repeats: u32,
    /// A run that ends by its lease, without `finish`, is a timeout.
    pub finish_required: bool,
}

/// How a workflow's held calls wait.
#[derive(Debug, Serialize)]
pub struct HoldRules {
    /// How long a held call waits open when the agent does not say.
    #[serde(with = "time::millis")]
    pub wait: Duration,
    /// The same for calls of MCP tools, whose clients rarely repeat a refused call.
    #[serde(with = "time::millis")]
    pub wait_mcp: Duration,
    /// When a pending approval expires.
    #[serde(with = "time::millis")]
    pub expires: Duration,
    /// How long a grant can be used.
    #[serde(with = "time::millis")]
    pub grant: Duration,
    /// How many people must approve a high-risk call.
    pub approvals_high: u32,
    /// How many people must approve any other call.
    pub approvals: u32,
    /// How many held calls may wait at once.
    pub inbox: Inbox,
    /// Which role a held call is put to where nobody decided for so long.
    pub escalate: Option<EscalateRule>,
}

/// Which role a held call is put to, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EscalateRule {
    /// The role.
    pub to: Arc<str>,
    /// After how long.
    #[serde(with = "time::millis")]
    pub after: Duration,
}

/// How many held calls may wait at once. People read only so many, and an agent that asks for more
/// is not asking them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Inbox {
    /// Of one run.
    pub run: u32,
    /// Of one agent.
    pub agent: u32,
    /// Of the workflow.
    pub workflow: u32,
}

impl Default for Inbox {
    fn default() -> Self {
        Inbox {
            run: 20,
            agent: 100,
            workflow: 500,
        }
    }
}

/// The default modes that count as unacceptable, by tier.
#[must_use]
pub fn default_unacceptable(tier: Tier) -> BTreeSet<FailureMode> {
    use FailureMode::{
        BrokenHandoff, DuplicateWork, MajorCorrection, MissedEscalation, PolicyViolation, Timeout,
        WrongAction, WrongArguments,
    };
    let mut modes = BTreeSet::from([WrongAction, PolicyViolation, Timeout]);
    if tier >= Tier::Medium {
        modes.extend([MissedEscalation, DuplicateWork, MajorCorrection]);
    }
    if tier >= Tier::High {
        modes.extend([WrongArguments, BrokenHandoff]);
    }
    modes
}
