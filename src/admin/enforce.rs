//! What switching from shadow to enforce would do, for a workflow or for single tools and rules.
//! The switch itself is made in the policy, so nothing here makes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::error::AdminError;
use super::read::PathSegment;
use super::runs::each_run;
use super::state::AdminState;
use super::workflows::one;
use crate::api::enforce::{EnforcePreview, EnforcePreviewRule};
use crate::api::{Moment, Problem, Slug};
use crate::gate::name::{ToolName, WorkflowName};
use crate::gate::policy::Mode;
use crate::gate::policy::finding::RuleName;
use crate::gate::policy::shadow::in_shadow;
use crate::gate::run::Executed;
use crate::gate::time::{Time, days};
use crate::gate::verdict::Verdict;
use crate::journal::read::{Records, RunFilter};
use crate::journal::record::CallRecord;

/// How many days of runs are read.
const DAYS: u64 = 7;
/// The most runs that are read, the newest first.
pub(super) const MAX_PREVIEW_RUNS: usize = 50_000;

/// What switching from shadow to enforce would do, judged by the calls of the last seven days: of
/// the workflow, or of those of its tools and rules that are in shadow.
#[utoipa::path(
    get,
    path = "/v1/workflows/{workflow}/enforce",
    params(("workflow" = String, Path)),
    responses((status = 200, body = EnforcePreview), (status = "default", body = Problem))
)]
pub(super) async fn preview(
    State(state): State<Arc<AdminState>>,
    PathSegment(workflow): PathSegment,
) -> Result<Json<EnforcePreview>, AdminError> {
    let name = WorkflowName::from(workflow);
    let status = one(&state, &name)?;
    let now = state.ledger().now();
    let table = state.ledger().table();
    let Some(policy) = table.entries.get(&name).map(|handle| &handle.policy) else {
        return Err(AdminError::new(
            Slug::Conflict,
            format!("no policy of `{name}` is in force"),
        ));
    };
    let shadow = in_shadow(policy, &table.policies, now);
    let (whole, until) = match (policy.mode, shadow.iter().map(|rule| rule.until).min()) {
        (Mode::Shadow { until }, _) if now < until => (true, until),
        (Mode::Shadow { .. } | Mode::Enforce, Some(first)) => (false, first),
        (Mode::Shadow { .. } | Mode::Enforce, None) => {
            return Err(AdminError::new(
                Slug::Conflict,
                format!("`{name}` is not in shadow: its verdicts are enforced already"),
            ));
        }
    };
    drop(table);
    let counted = if whole {
        None
    } else {
        Some(
            shadow
                .iter()
                .map(|rule| (rule.tool.clone(), rule.rule.map(RuleName::as_str)))
                .collect(),
        )
    };
    let (counts, since) = count_calls(&state, &name, counted, now).await?;
    let days = (now.since(since).as_secs().div_ceil(86_400)).max(1);
    let of = |verdict: Verdict| {
        counts
            .rules
            .iter()
            .filter(|((_, _, known), _)| *known == verdict)
            .map(|(_, calls)| calls)
            .sum::<u64>()
    };
    let (holds, denials) = (of(Verdict::Hold), of(Verdict::Deny));
    let mut rules: Vec<_> = counts
        .rules
        .iter()
        .map(|((tool, rule, verdict), calls)| preview_rule(tool, rule, *verdict, *calls))
        .collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.calls));
    Ok(Json(EnforcePreview {
        workflow: name.to_string(),
        whole,
        shadow: shadow.into_iter().map(Into::into).collect(),
        until: Moment(until),
        since: Moment(since),
        days,
        runs: counts.runs,
        calls: counts.calls,
        holds,
        denials,
        holds_a_day: holds.div_ceil(days),
        denials_a_day: denials.div_ceil(days),
        rules,
        posture: status.posture,
        level: status.level.effective,
        binds: status.level.binds,
    }))
}

/// Tools and rules that are in shadow: a tool without a rule is in shadow as a whole.
type ShadowedRules = BTreeSet<(ToolName, Option<&'static str>)>;

#[derive(Default)]
struct PreviewCounts {
    /// What is counted; everything where the workflow is in shadow.
    counted: Option<ShadowedRules>,
    runs: u64,
    calls: u64,
    /// Calls that passed because verdicts have no effect in shadow, by tool, rule and verdict.
    /// There are no more tools than a policy and its paths have.
    rules: BTreeMap<(ToolName, Arc<str>, Verdict), u64>,
}

impl PreviewCounts {
    fn add(&mut self, call: &CallRecord) {
        if call.executed == Executed::No {
            return;
        }
        self.calls += 1;
        let is_counted = |counted: &ShadowedRules| {
            counted.iter().any(|(tool, rule)| {
                *tool == call.tool && rule.is_none_or(|rule| call.rule.as_deref() == Some(rule))
            })
        };
        if call.verdict != Verdict::Allow && self.counted.as_ref().is_none_or(is_counted) {
            let rule = call.rule.clone().unwrap_or_else(|| "?".into());
            *self
                .rules
                .entry((call.tool.clone(), rule, call.verdict))
                .or_default() += 1;
        }
    }
}

/// The calls that passed, and since when: seven days back, or as far back as the newest
/// [`MAX_PREVIEW_RUNS`] runs reach.
async fn count_calls(
    state: &Arc<AdminState>,
    workflow: &WorkflowName,
    counted: Option<ShadowedRules>,
    now: Time,
) -> Result<(PreviewCounts, Time), AdminError> {
    let filter = RunFilter {
        workflow: Some(workflow.clone()),
        since: Some(now.minus(days(DAYS))),
        ..RunFilter::default()
    };
    let count = move |records: &dyn Records| {
        let (mut counts, mut since) = (
            PreviewCounts {
                counted,
                ..PreviewCounts::default()
            },
            now,
        );
        each_run(records, filter, MAX_PREVIEW_RUNS, |view| {
            counts.runs += 1;
            since = since.min(view.run.booked_at);
            for call in &view.run.calls {
                counts.add(call);
            }
        })?;
        Ok((counts, since))
    };
    state.look_up(count).await
}

fn preview_rule(tool: &ToolName, rule: &str, verdict: Verdict, calls: u64) -> EnforcePreviewRule {
    EnforcePreviewRule {
        tool: tool.to_string(),
        rule: rule.to_owned(),
        verdict: verdict.as_str().to_owned(),
        calls,
    }
}
