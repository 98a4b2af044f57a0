//! What people decided on held calls, and how many of those calls nobody saw: counted since the
//! process started, for alarms. `burngate review` has the numbers of any week.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::exposition::{OTHER, counters, sorted};
use super::histogram::Histogram;
use crate::gate::approval::{Decision, DecisionKind};
use crate::gate::event::{Effect, Entry, Event};
use crate::gate::name::WorkflowName;
use crate::gate::workflow::WorkflowState;

/// Bounds of the time to a decision, in microseconds: from a glance to a week, the longest that a
/// call is held.
const DECIDED: [u64; 10] = [
    5_000_000,
    15_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
    14_400_000_000,
    43_200_000_000,
    86_400_000_000,
    604_800_000_000,
];

/// Decisions and neglect. There are as many series as workflows and rules: both are in the
/// policies.
#[derive(Debug)]
pub(super) struct People {
    decisions: DashMap<(WorkflowName, Arc<str>, &'static str), AtomicU64>,
    took: Histogram<10>,
    /// Expired, expired unseen, put to others, and sent under a timed grant.
    counts: DashMap<WorkflowName, [AtomicU64; 4]>,
}

impl Default for People {
    fn default() -> Self {
        People {
            decisions: DashMap::new(),
            took: Histogram::new(&DECIDED),
            counts: DashMap::new(),
        }
    }
}

impl People {
    /// Counts what a durable entry says; `state` is the workflow's behind it.
    pub(super) fn observe(&self, workflow: &WorkflowName, entry: &Entry, state: &WorkflowState) {
        match &entry.event {
            Event::Decided { approval, decision } => {
                let known = state.approvals().get(*approval);
                let rule = known.map_or_else(
                    || OTHER.into(),
                    |approval| Arc::clone(&approval.request.rule),
                );
                self.decisions
                    .entry((workflow.clone(), rule, word(decision)))
                    .or_default()
                    .fetch_add(1, Ordering::Relaxed);
                if let Some(approval) = known {
                    self.took.observe(entry.at.since(approval.created_at));
                }
            }
            Event::Admitted(admission) if admission.under.is_some() => self.count(workflow, 3),
            Event::Followed(Effect::ApprovalExpired { .. }) => self.count(workflow, 0),
            Event::Followed(Effect::ApprovalUnseen { .. }) => self.count(workflow, 1),
            Event::Followed(Effect::ApprovalEscalated { .. }) => self.count(workflow, 2),
            _ => {}
        }
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let decisions = self.decisions.iter().map(|entry| {
            let ((workflow, rule, decision), count) = entry.pair();
            (
                vec![
                    ("workflow", workflow.to_string()),
                    ("rule", rule.to_string()),
                    ("decision", (*decision).to_owned()),
                ],
                count.load(Ordering::Relaxed),
            )
        });
        counters(
            encoder,
            "burngate_approval_decisions",
            "Decisions of people on held calls, by the rule that held them.",
            sorted(decisions),
        )?;
        let took = "Time from the hold of a call to a person's decision.";
        self.took.encode(encoder.encode_descriptor(
            "burngate_approval_decision_seconds",
            took,
            None,
            MetricType::Histogram,
        )?)?;
        let names = [
            (
                "burngate_approvals_expired",
                "Approvals that expired, undecided or unused.",
            ),
            (
                "burngate_approvals_unseen",
                "Held calls that expired and that nobody who could decide ever saw.",
            ),
            (
                "burngate_approvals_escalated",
                "Held calls that were put to other people, because nobody had decided for a while.",
            ),
            (
                "burngate_approvals_unasked",
                "Calls that went under a grant that was given for a while.",
            ),
        ];
        for (index, (name, help)) in names.into_iter().enumerate() {
            let counts = self.counts.iter().map(|entry| {
                (
                    vec![("workflow", entry.key().to_string())],
                    entry.value()[index].load(Ordering::Relaxed),
                )
            });
            counters(encoder, name, help, sorted(counts))?;
        }
        Ok(())
    }

    fn count(&self, workflow: &WorkflowName, index: usize) {
        self.counts.entry(workflow.clone()).or_default()[index].fetch_add(1, Ordering::Relaxed);
    }
}

fn word(decision: &Decision) -> &'static str {
    match decision.decision {
        DecisionKind::Approve if decision.edit.is_some() => "approve_edited",
        DecisionKind::Approve => "approve",
        DecisionKind::DenyWrong => "deny_wrong",
        DecisionKind::DenyNotNow => "deny_not_now",
    }
}
