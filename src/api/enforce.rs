//! What of a workflow is in shadow, and what would happen if that were enforced.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Moment;
use crate::gate::policy::shadow::ShadowRule;

/// A tool or a rule in shadow: its verdicts are recorded, and calls pass it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowView {
    /// The tool.
    pub tool: String,
    /// The rule; `null` where every rule of the tool is in shadow.
    pub rule: Option<String>,
    /// From then on it is enforced.
    pub until: Moment,
    /// Where it is written.
    #[serde(rename = "place")]
    pub location: String,
}

impl From<ShadowRule> for ShadowView {
    fn from(rule: ShadowRule) -> Self {
        let ShadowRule {
            tool,
            rule,
            until,
            location,
        } = rule;
        ShadowView {
            tool: tool.to_string(),
            rule: rule.map(|rule| rule.to_string()),
            until: Moment(until),
            location: location.to_string(),
        }
    }
}

/// What switching from shadow to enforce would do, judged by the calls of the last days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnforcePreview {
    /// The workflow.
    pub workflow: String,
    /// The whole workflow is in shadow. Where it is not, only what the tools and rules in `shadow`
    /// said is counted.
    pub whole: bool,
    /// The tools and rules that are in shadow by themselves.
    #[serde(default)]
    pub shadow: Vec<ShadowView>,
    /// When shadow mode ends by itself: from then on verdicts are enforced. If only tools and rules
    /// are in shadow, the first such moment among them.
    pub until: Moment,
    /// The runs that were looked at were booked at or after.
    pub since: Moment,
    /// Days since then, rounded up.
    pub days: u64,
    /// Booked runs that were looked at.
    pub runs: u64,
    /// Their calls that went upstream.
    pub calls: u64,
    /// Those among them that would have been held.
    pub holds: u64,
    /// Those that would have been denied.
    pub denials: u64,
    /// Holds on a day, rounded up: what reviewers have to expect.
    pub holds_a_day: u64,
    /// Denials on a day, rounded up.
    pub denials_a_day: u64,
    /// Which rules would have held or denied calls of which tools, the most frequent first.
    pub rules: Vec<EnforcePreviewRule>,
    /// The posture at the switch: booked runs stay booked.
    pub posture: String,
    /// The level at the switch.
    pub level: String,
    /// What binds that level.
    pub binds: String,
}

/// A rule that would hold or deny calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnforcePreviewRule {
    /// The tool.
    pub tool: String,
    /// The rule.
    pub rule: String,
    /// hold or deny.
    pub verdict: String,
    /// At how many calls.
    pub calls: u64,
}
