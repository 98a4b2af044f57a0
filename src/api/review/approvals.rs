//! How people decided on held calls: how many, how fast, how often without edits, and how many of
//! the approved calls turned out bad; for a workflow, and for each rule that held its calls. A rule
//! whose calls are always approved unchanged holds too much; the calls of a rule whose approved
//! calls turn out bad are not reviewed well enough.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::{Decimal, Moment};
use crate::gate::approval::{Decision, DecisionKind, Request};
use crate::gate::event::table::EventKind;
use crate::gate::event::{Admission, Effect, Entry, Event};
use crate::gate::name::{ApprovalId, PersonName};
use crate::gate::run::{Mark, RunRef};
use crate::gate::time::Time;

/// A reviewer with so many decisions and a median below [`HASTY_MS`] is pointed out: nobody reads
/// that fast.
pub const MANY: usize = 20;
/// Five seconds.
pub const HASTY_MS: u64 = 5_000;
/// The most held calls and runs that one review follows.
pub const MOST_FOLLOWED: usize = 100_000;
/// The most rules that are listed, those with the most held calls. Editing a policy moves its
/// rules, and a rule at another line counts as another rule.
pub const MOST_RULES: usize = 100;
/// What is asked of the journal for this alone, besides the calls that people let go: what
/// [`Desk::hold`] and [`Desk::read`] look at.
pub const KINDS: [EventKind; 9] = [
    EventKind::Booked,
    EventKind::Reported,
    EventKind::Retracted,
    EventKind::Reconciled,
    EventKind::Excluded,
    EventKind::Reinstated,
    EventKind::Held,
    EventKind::Decided,
    EventKind::Followed,
];

/// Held calls and decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalsSummary {
    /// All of them together.
    #[serde(flatten)]
    pub figures: DecisionFigures,
    /// By the rule that held them, most held calls first.
    #[serde(default)]
    pub rules: Vec<RuleSummary>,
    /// Who decided, those with the most decisions first.
    pub reviewers: Vec<ReviewerSummary>,
}

/// What the decisions on some held calls come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionFigures {
    /// Calls that were held.
    pub held: u64,
    /// Decisions of people.
    pub decisions: u64,
    /// Calls that as many people approved as it takes.
    pub approved: u64,
    /// Calls that somebody denied as wrong.
    pub denied_wrong: u64,
    /// Calls that somebody denied for now.
    pub denied_not_now: u64,
    /// Approvals that expired, undecided or unused.
    pub expired: u64,
    /// Calls that expired and that nobody who could decide ever saw: the gate's failure.
    #[serde(default)]
    pub unseen: u64,
    /// Calls that were put to other people, because nobody had decided for a while.
    #[serde(default)]
    pub escalated: u64,
    /// From the hold to the decision, in the middle, in seconds.
    pub median_seconds: Option<Decimal>,
    /// From the hold to the decision, for nine of ten, in seconds.
    #[serde(default)]
    pub p90_seconds: Option<Decimal>,
    /// Calls that were approved with other arguments than the agent asked for.
    pub edited: u64,
    /// Calls that were approved just as the agent asked, as a share of the approved.
    pub without_edits: Option<Decimal>,
    /// Calls that were approved without edits and sent, and whose run stands as unacceptable. An
    /// edit is a correction by itself, and says so of the run.
    pub turned_bad: u64,
    /// As a share of those approved without edits.
    pub turned_bad_share: Option<Decimal>,
    /// Calls that a timed grant let through: nobody decided on them one by one, and none of the
    /// numbers above includes them.
    #[serde(default)]
    pub unasked: u64,
    /// Of those, calls whose run stands as unacceptable.
    #[serde(default)]
    pub unasked_turned_bad: u64,
}

/// One rule, by name and source location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleSummary {
    /// The rule.
    pub rule: String,
    /// Where it is written, as `file:line`.
    #[serde(rename = "place")]
    pub location: Option<String>,
    /// What the decisions on its calls come to.
    #[serde(flatten)]
    pub figures: DecisionFigures,
}

/// The same over a span of time, for one workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpanApprovals {
    /// The workflow.
    pub workflow: String,
    /// From when.
    pub since: Moment,
    /// Until when.
    pub until: Moment,
    /// What is missing from it.
    #[serde(default)]
    pub missing: Vec<String>,
    /// The figures.
    #[serde(flatten)]
    pub approvals: ApprovalsSummary,
}

/// One reviewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewerSummary {
    /// Who.
    pub reviewer: String,
    /// Their decisions.
    pub decisions: u64,
    /// From the hold to their decision, in the middle, in seconds.
    pub median_seconds: Option<Decimal>,
    /// Twenty decisions or more at a median under five seconds.
    pub hasty: bool,
}

/// A rule and its source location.
type RuleSource = (String, Option<String>);

/// Held calls and their decisions, while the journal is read.
#[derive(Debug, Default)]
pub struct ApprovalFollower {
    held: BTreeMap<ApprovalId, (Time, Request)>,
    marks: BTreeMap<RunRef, Mark>,
    /// How many people approved each.
    approved: BTreeMap<ApprovalId, u32>,
    edited: BTreeSet<ApprovalId>,
    /// The runs in which grants were used: an agent that names no run asks in one and sends in
    /// another.
    used: BTreeMap<ApprovalId, RunRef>,
    /// The runs of calls that went under a grant for a while, by the rule that would have held
    /// them.
    unasked: Vec<(Option<RuleSource>, RunRef)>,
    waits: BTreeMap<PersonName, Vec<u64>>,
    counts: DecisionFigures,
    rules: BTreeMap<RuleSource, RuleCount>,
}

/// What is counted of one rule.
#[derive(Debug, Default)]
struct RuleCount {
    figures: DecisionFigures,
    waits: Vec<u64>,
}

impl ApprovalFollower {
    /// A call was held; it counts where that was in the span.
    pub fn hold(&mut self, at: Time, request: &Request, counts: bool) {
        if counts {
            self.count(Some(rule_of(request)), |figures| figures.held += 1);
        }
        if self.held.len() < MOST_FOLLOWED {
            // The arguments are not needed, and may be long.
            self.held.insert(
                request.approval,
                (
                    at,
                    Request {
                        args: None,
                        ..request.clone()
                    },
                ),
            );
        }
    }

    pub(super) fn request(&self, approval: ApprovalId) -> Option<&Request> {
        self.held.get(&approval).map(|(_, request)| request)
    }

    /// Reads what an entry of the span says of decisions, of calls that were sent, and of runs.
    pub fn read(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Booked { run, .. } => self.set_mark(run, Mark::Unacceptable),
            Event::Reported { revision, .. }
            | Event::Retracted { revision, .. }
            | Event::Reconciled { revision, .. }
            | Event::Excluded { revision, .. }
            | Event::Reinstated { revision, .. } => self.set_mark(&revision.run, revision.now),
            Event::Decided { approval, decision } => self.decide(entry.at, *approval, decision),
            Event::Admitted(admission) => self.sent(admission),
            Event::Followed(Effect::ApprovalExpired { approval }) => {
                self.count(self.rule(*approval), |figures| figures.expired += 1);
            }
            Event::Followed(Effect::ApprovalUnseen { approval }) => {
                self.count(self.rule(*approval), |figures| figures.unseen += 1);
            }
            Event::Followed(Effect::ApprovalEscalated { approval, .. }) => {
                self.count(self.rule(*approval), |figures| figures.escalated += 1);
            }
            _ => {}
        }
    }

    fn decide(&mut self, at: Time, approval: ApprovalId, decision: &Decision) {
        // Of one that was held before the journal was read the wait is not known, and a long one.
        let waited = self.held.get(&approval).map_or(u64::MAX, |(held_at, _)| {
            u64::try_from(at.since(*held_at).as_millis()).unwrap_or(u64::MAX)
        });
        self.waits
            .entry(decision.reviewer.clone())
            .or_default()
            .push(waited);
        let rule = self.rule(approval);
        if let Some(counted) = rule.clone().and_then(|rule| self.counted(rule)) {
            counted.waits.push(waited);
        }
        self.count(rule, |figures| {
            figures.decisions += 1;
            match decision.decision {
                DecisionKind::Approve => {}
                DecisionKind::DenyWrong => figures.denied_wrong += 1,
                DecisionKind::DenyNotNow => figures.denied_not_now += 1,
            }
        });
        if decision.decision == DecisionKind::Approve && self.approved.len() < MOST_FOLLOWED {
            if decision.edit.is_some() {
                // What was approved before it was another call.
                self.edited.insert(approval);
                self.approved.remove(&approval);
            }
            *self.approved.entry(approval).or_default() += 1;
        }
    }

    fn sent(&mut self, admission: &Admission) {
        if let Some(approval) = admission.approval
            && self.used.len() < MOST_FOLLOWED
        {
            self.used.insert(approval, admission.run.clone());
        }
        if admission.under.is_some() {
            let rule = admission.held_by.as_ref().map(|by| {
                (
                    by.rule.to_string(),
                    by.location.as_ref().map(ToString::to_string),
                )
            });
            self.count(rule.clone(), |figures| figures.unasked += 1);
            if self.unasked.len() < MOST_FOLLOWED {
                self.unasked.push((rule, admission.run.clone()));
            }
        }
    }

    /// Notes how a run counts now.
    fn set_mark(&mut self, run: &RunRef, mark: Mark) {
        if self.marks.len() < MOST_FOLLOWED || self.marks.contains_key(run) {
            self.marks.insert(run.clone(), mark);
        }
    }

    fn rule(&self, approval: ApprovalId) -> Option<RuleSource> {
        self.request(approval).map(rule_of)
    }

    /// Counts it in all, and of its rule.
    fn count(&mut self, rule: Option<RuleSource>, count: impl Fn(&mut DecisionFigures)) {
        count(&mut self.counts);
        if let Some(counted) = rule.and_then(|rule| self.counted(rule)) {
            count(&mut counted.figures);
        }
    }

    fn counted(&mut self, rule: RuleSource) -> Option<&mut RuleCount> {
        // Ten times as many as are listed: which have the most calls is known at the end.
        if self.rules.len() >= 10 * MOST_RULES && !self.rules.contains_key(&rule) {
            return None;
        }
        Some(self.rules.entry(rule).or_default())
    }

    /// The summary.
    #[must_use]
    pub fn close(mut self) -> ApprovalsSummary {
        let is_bad = |run: &RunRef| self.marks.get(run) == Some(&Mark::Unacceptable);
        let mut released = Vec::new();
        for (approval, people) in &self.approved {
            let request = self.held.get(approval).map(|(_, request)| request);
            if *people >= request.map_or(1, |request| request.needed) {
                let edited = self.edited.contains(approval);
                let bad = !edited && self.used.get(approval).is_some_and(is_bad);
                released.push((request.map(rule_of), edited, bad));
            }
        }
        let unasked: Vec<_> = self
            .unasked
            .iter()
            .filter(|(_, run)| is_bad(run))
            .map(|(rule, _)| rule.clone())
            .collect();
        for (rule, edited, bad) in released {
            self.count(rule, |figures| {
                figures.approved += 1;
                figures.edited += u64::from(edited);
                figures.turned_bad += u64::from(bad);
            });
        }
        for rule in unasked {
            self.count(rule, |figures| figures.unasked_turned_bad += 1);
        }
        let all = self.waits.values().flatten().copied().collect();
        let mut reviewers: Vec<_> = self
            .waits
            .into_iter()
            .map(|(reviewer, waits)| {
                let (decisions, median) = (waits.len(), share(waits, 1, 2));
                let hasty = decisions >= MANY && median.is_some_and(|ms| ms < HASTY_MS);
                ReviewerSummary {
                    reviewer: reviewer.to_string(),
                    decisions: decisions as u64,
                    median_seconds: median.map(seconds),
                    hasty,
                }
            })
            .collect();
        reviewers.sort_by(|one, other| {
            other
                .decisions
                .cmp(&one.decisions)
                .then_with(|| one.reviewer.cmp(&other.reviewer))
        });
        let mut rules: Vec<_> = self
            .rules
            .into_iter()
            .map(|((rule, location), counted)| RuleSummary {
                rule,
                location,
                figures: closed(counted.figures, counted.waits),
            })
            .collect();
        rules.sort_by(|one, other| {
            (other.figures.held, other.figures.unasked)
                .cmp(&(one.figures.held, one.figures.unasked))
                .then_with(|| one.rule.cmp(&other.rule))
        });
        rules.truncate(MOST_RULES);
        ApprovalsSummary {
            figures: closed(self.counts, all),
            rules,
            reviewers,
        }
    }
}

fn rule_of(request: &Request) -> RuleSource {
    (
        request.rule.to_string(),
        request.location.as_ref().map(ToString::to_string),
    )
}

/// `figures` with what follows from them and from how long people took.
fn closed(mut figures: DecisionFigures, waits: Vec<u64>) -> DecisionFigures {
    let unedited = figures.approved - figures.edited;
    figures.median_seconds = share(waits.clone(), 1, 2).map(seconds);
    figures.p90_seconds = share(waits, 9, 10).map(seconds);
    figures.without_edits = Decimal::ratio(unedited, figures.approved);
    figures.turned_bad_share = Decimal::ratio(figures.turned_bad, unedited);
    figures
}

/// The quantile of `waits` at `part` of `whole`, such as the median (of two, the lower); `None` if
/// there are none or it is not known.
fn share(mut waits: Vec<u64>, part: usize, whole: usize) -> Option<u64> {
    waits.sort_unstable();
    let rank = (waits.len() * part).div_ceil(whole);
    waits
        .get(rank.checked_sub(1)?)
        .copied()
        .filter(|wait| *wait < u64::MAX)
}

fn seconds(ms: u64) -> Decimal {
    Decimal::of(i64::try_from(ms.saturating_mul(10)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_nine_of_ten_of_what_is_known() {
        assert_eq!(share(vec![], 1, 2), None);
        assert_eq!(share(vec![9, 1, 5], 1, 2), Some(5));
        assert_eq!(share(vec![9, 1], 1, 2), Some(1));
        assert_eq!(
            share(vec![u64::MAX, 1, u64::MAX], 1, 2),
            None,
            "mostly held before anybody looked"
        );
        assert_eq!(share((1..=10).collect(), 9, 10), Some(9));
        assert_eq!(share((1..=11).collect(), 9, 10), Some(10));
        assert_eq!(share(vec![7], 9, 10), Some(7));
    }

    fn run(n: usize) -> RunRef {
        RunRef {
            agent: "bot".into(),
            run: n.to_string().as_str().into(),
        }
    }

    fn request(n: usize) -> Request {
        serde_json::from_value(serde_json::json!({
            "approval": ApprovalId::from_bits(n as u128), "run": "r", "call": format!("call_{n:032x}"),
            "agent": "bot", "tool": "a/t", "risk": "high", "target": "POST /t", "args": null,
            "subject": null, "digest": "00".repeat(32), "rule": format!("rule-{n}"), "place": null,
            "reason": "", "needed": 1, "expires_at": 0, "escalate": null, "grant": 0, "steps": [],
        }))
        .unwrap()
    }

    #[test]
    fn g7_as_many_held_calls_and_runs_are_followed_as_the_bound() {
        let mut follower = ApprovalFollower::default();
        let at = Time::default();
        let held = request(0);
        for n in 1..MOST_FOLLOWED {
            let id = ApprovalId::from_bits(n as u128);
            follower.held.insert(id, (at, held.clone()));
            follower.approved.insert(id, 1);
            follower.used.insert(id, run(0));
            follower.unasked.push((None, run(0)));
            follower.marks.insert(run(n), Mark::Acceptable);
        }
        let decision: Decision = serde_json::from_value(serde_json::json!({
            "reviewer": "dana", "decision": "approve", "reason": null, "at": 0,
        }))
        .unwrap();
        let sent = |id: usize| -> Admission {
            serde_json::from_value(serde_json::json!({
                "call": format!("call_{id:032x}"), "run": run(0), "tool": "a/t", "risk": "high",
                "idempotent": false, "subject": null, "digest": null,
                "approval": ApprovalId::from_bits(id as u128),
                "under": format!("grt_{id:032x}"),
            }))
            .unwrap()
        };
        let mut follow = |n: usize| {
            follower.hold(at, &request(n), true);
            follower.decide(at, ApprovalId::from_bits(n as u128), &decision);
            follower.sent(&sent(n));
            follower.set_mark(&run(n), Mark::Unacceptable);
            [
                follower.held.len(),
                follower.approved.len(),
                follower.used.len(),
                follower.unasked.len(),
                follower.marks.len(),
            ]
        };
        assert_eq!(follow(MOST_FOLLOWED), [MOST_FOLLOWED; 5]);
        assert_eq!(follow(MOST_FOLLOWED + 1), [MOST_FOLLOWED; 5]);
        assert_eq!(
            follower.marks.get(&run(MOST_FOLLOWED)),
            Some(&Mark::Unacceptable)
        );
    }

    #[test]
    fn rules_are_listed_up_to_the_bound() {
        let listed = |count: usize| {
            let mut follower = ApprovalFollower::default();
            (0..count).for_each(|n| follower.hold(Time::default(), &request(n), true));
            (follower.rules.len(), follower.close().rules.len())
        };
        assert_eq!(listed(MOST_RULES), (MOST_RULES, MOST_RULES));
        assert_eq!(listed(MOST_RULES + 1), (MOST_RULES + 1, MOST_RULES));
        assert_eq!(listed(10 * MOST_RULES + 1), (10 * MOST_RULES, MOST_RULES));
    }
}
