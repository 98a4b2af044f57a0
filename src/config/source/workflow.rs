//! A workflow document, as it is written. Every field may be absent here; what must be there, and
//! what a missing one means, is `config::lower`.

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, de};

use super::mode::ModeWord;
use super::setting::{ListSetting, Setting};
use crate::config::quantity::{Date, Growth, Interval, Percentage, Rate};
use crate::gate::budget::posture::Recovery;
use crate::gate::level::{Changes, Validation};
use crate::gate::risk::Tier;
use crate::gate::verdict::Verdict;

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
