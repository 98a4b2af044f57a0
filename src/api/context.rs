//! What surrounds a held call: everything that a reviewer looks at before deciding, in one answer.
//!
//! It is put together when it is asked for, and bounded: long lists show their newest entries, and
//! how many are left out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::Moment;
use super::decision::DecisionView;
use super::review::RuleSummary;
use super::run::CallView;
use super::workflow::WorkflowView;

/// The most calls of the run that are shown, the newest.
pub const MOST_CALLS: usize = 50;
/// The most runs that touched the same object, and the most earlier decisions, that are shown.
pub const MOST_ALIKE: usize = 5;

/// What to show of one held call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ContextQuery {
    /// `true`: with what a reviewer looks at before deciding, as `context`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<bool>,
}

/// What surrounds a held call.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApprovalContext {
    /// What the latest edit changes, member by member; empty where nobody edited it.
    pub changes: Vec<MemberChange>,
    /// How the workflow stands: budget, posture, level.
    pub workflow: WorkflowView,
    /// What the run did besides.
    pub run: HeldCallRun,
    /// Other runs that touched the same business object, the latest first.
    pub lately: Vec<RelatedRun>,
    /// The newest decisions on calls of the same tool, those about the same object first, and how
    /// they turned out.
    pub alike: Vec<SimilarCall>,
    /// How decisions on calls that the same rule held came out in the last thirty days; `null`
    /// where it held none besides.
    #[serde(default)]
    pub rule: Option<RuleSummary>,
    /// What of this could not be read.
    pub missing: Vec<String>,
}

/// One member of the arguments that an edit changes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MemberChange {
    /// Its name.
    pub member: String,
    /// What the agent asked for; absent where the edit adds the member.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<serde_json::Value>)]
    pub asked: Option<Box<RawValue>>,
    /// What the reviewer put there; absent where the edit drops the member.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<serde_json::Value>)]
    pub edited: Option<Box<RawValue>>,
}

/// The run of a held call, without that call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldCallRun {
    /// `open`; once it has ended what it came to, which is acceptable, unacceptable or excluded; or
    /// `unknown`, such as after a crash.
    pub state: String,
    /// When it began.
    pub started: Option<Moment>,
    /// Its newest calls that are over, oldest first.
    pub calls: Vec<CallView>,
    /// How many older calls are left out.
    pub left_out: u64,
    /// Its calls that are under way.
    pub in_flight: u64,
    /// What went wrong with it so far, counted or not.
    pub modes: Vec<String>,
    /// Whether it handed its case to a person.
    pub escalated: bool,
}

/// A run that touched the same business object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RelatedRun {
    /// Its workflow.
    pub workflow: String,
    /// Its agent.
    pub agent: String,
    /// Its id.
    pub run: String,
    /// When it was booked; of an open run, when it last touched the object.
    pub at: Moment,
    /// `open`, acceptable, unacceptable or excluded.
    pub outcome: String,
    /// The tools of which it executed calls; of an open run, those through which it touched the
    /// object.
    pub tools: Vec<String>,
    /// What went wrong with it, counted or not.
    pub modes: Vec<String>,
}

/// A call of the same tool that people decided on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SimilarCall {
    /// The approval's id.
    pub id: String,
    /// When the call was held.
    pub created_at: Moment,
    /// The business object that it touched.
    pub subject: Option<String>,
    /// Whether that is the same one.
    pub same_subject: bool,
    /// The rule that held it.
    pub rule: String,
    /// What was decided, in order. The arguments of edits are left out.
    pub decisions: Vec<SimilarCallDecision>,
    /// Whether the call went.
    pub sent: bool,
    /// What the run came to that sent it: acceptable, unacceptable or excluded; `null` where it did
    /// not go, or its run is not booked yet.
    pub outcome: Option<String>,
    /// What went wrong with that run, counted or not.
    pub modes: Vec<String>,
}

/// A decision on such a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SimilarCallDecision {
    /// Who.
    pub reviewer: String,
    /// `approve`, `deny_wrong` or `deny_not_now`.
    pub decision: String,
    /// Whether with other arguments than were asked for.
    pub edited: bool,
    /// Why, where they said.
    pub reason: Option<String>,
    /// When.
    pub at: Moment,
}

impl SimilarCallDecision {
    /// `decision` without what it would send.
    #[must_use]
    pub fn of(decision: &DecisionView) -> Self {
        SimilarCallDecision {
            reviewer: decision.reviewer.clone(),
            decision: decision.decision.clone(),
            edited: decision.edit.is_some(),
            reason: decision.reason.clone(),
            at: decision.at,
        }
    }
}

/// A member that is there, `null` or not: a change to `null` drops nothing.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

/// What an edit changes, member by member; nothing where one of the two is no object.
#[must_use]
pub fn changes(asked: &str, edited: &str) -> Vec<MemberChange> {
    type JsonMembers = BTreeMap<String, Box<RawValue>>;
    let (Ok(asked), Ok(edited)) = (
        serde_json::from_str::<JsonMembers>(asked),
        serde_json::from_str::<JsonMembers>(edited),
    ) else {
        return Vec::new();
    };
    let names: BTreeSet<_> = asked.keys().chain(edited.keys()).collect();
    let changed = names.into_iter().filter(|name| {
        asked.get(*name).map(|value| value.get()) != edited.get(*name).map(|value| value.get())
    });
    changed
        .map(|name| MemberChange {
            member: name.clone(),
            asked: asked.get(name).cloned(),
            edited: edited.get(name).cloned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_edit_changes_is_told_member_by_member() {
        let rendered = |asked, edited| serde_json::to_string(&changes(asked, edited)).unwrap();
        assert_eq!(
            rendered(
                r#"{"order":"A-1","amount":900,"note":"x"}"#,
                r#"{"order":"A-1","amount":60.00,"by":"\u202e"}"#
            ),
            r#"[{"member":"amount","asked":900,"edited":60.00},{"member":"by","edited":"\u202e"},{"member":"note","asked":"x"}]"#
        );
        let to_null: MemberChange =
            serde_json::from_str(r#"{"member":"a","edited":null}"#).unwrap();
        assert_eq!(
            (
                to_null.asked.is_none(),
                to_null
                    .edited
                    .map(|value| value.get().to_owned())
                    .as_deref()
            ),
            (true, Some("null"))
        );
        assert_eq!(
            (rendered("[1]", "[2]"), rendered(r#"{"a":1}"#, r#"{"a":1}"#)),
            ("[]".to_owned(), "[]".to_owned())
        );
    }
}
