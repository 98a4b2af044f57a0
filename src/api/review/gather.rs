//! Reads the journal of a span once, and sorts what it says by workflow.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::approvals::ApprovalFollower;
use super::{
    BurnReview, ExclusionReason, ExclusionSummary, FailureModeCount, IncidentReview, ReviewLine,
    ReviewResponse, ShadowFinding, Timeline, WorkflowReview, suggest,
};
use crate::api::incident::IncidentView;
use crate::api::numbers::SpanNumbers;
use crate::api::workflow::WorkflowView;
use crate::api::{Decimal, Moment};
use crate::gate::budget::burn_record::BurnRecord;
use crate::gate::event::table::{EventKind, Section};
use crate::gate::event::{Entry, Event};
use crate::gate::incident;
use crate::gate::name::{CallId, ToolName, WorkflowName};
use crate::gate::policy::Mode;
use crate::gate::run::RunRef;
use crate::gate::run_flags::NO_TOOL;
use crate::gate::time::{Hour, Time, days};
use crate::gate::workflow::WorkflowState;

/// The most lines of one kind, and of a timeline. The oldest are dropped.
pub const MOST_LINES: usize = 2_000;
/// Calls that were held so long before the span are followed: no hold lasts longer.
pub const HOLDS: std::time::Duration = days(7);

/// What is asked of the journal for a review: nothing that happens once a call or once a run. For a
/// timeline also every risky call, and every refused one.
#[must_use]
pub fn kinds(timeline: bool) -> Vec<EventKind> {
    let is_read = |kind: &EventKind| match kind.row().notice.section {
        Section::Nowhere => false,
        Section::CallTimeline => timeline,
        Section::Timeline | Section::Done | Section::Levels | Section::Changes => true,
    };
    EventKind::ALL.iter().copied().filter(is_read).collect()
}

/// A workflow as it is now, for a review of it.
pub struct ReviewSubject {
    /// Its name.
    pub name: WorkflowName,
    /// Its policy's mode, where it has one in force.
    pub mode: Option<Mode>,
    /// What the journal adds up to.
    pub state: WorkflowState,
    /// Tools above `read` that it reaches and that have no schema.
    pub without_schema: Vec<ToolName>,
}

/// A review while the journal is read.
pub struct ReviewGathering {
    since: Time,
    until: Time,
    gate: RecentLines,
    incidents: Vec<incident::Incident>,
    excluded_for: BTreeMap<String, u64>,
    workflows: BTreeMap<WorkflowName, WorkflowGathering>,
    timeline: Option<TimelineGathering>,
}

/// What was gathered of one workflow.
struct WorkflowGathering {
    subject: ReviewSubject,
    approvals: ApprovalFollower,
    done: RecentLines,
    levels: RecentLines,
    changes: RecentLines,
    reasons: BTreeMap<(String, String), i64>,
    excluded: HashMap<RunRef, (String, String)>,
}

#[derive(Default)]
struct RecentLines {
    lines: VecDeque<ReviewLine>,
    left_out: u64,
}

#[derive(Default)]
struct TimelineGathering {
    lines: RecentLines,
    /// Where the line of an admitted call is, counted from the first line ever.
    calls: HashMap<CallId, u64>,
}

impl RecentLines {
    fn push(&mut self, line: ReviewLine) {
        if self.lines.len() >= MOST_LINES {
            self.lines.pop_front();
            self.left_out += 1;
        }
        self.lines.push_back(line);
    }

    fn all(self) -> Vec<ReviewLine> {
        self.lines.into()
    }
}

impl ReviewGathering {
    /// A review from `since` to `until` of these workflows; with a timeline, where there is one of
    /// them and it is asked for.
    #[must_use]
    pub fn new(
        since: Time,
        until: Time,
        subjects: Vec<ReviewSubject>,
        incidents: Vec<incident::Incident>,
        timeline: bool,
    ) -> Self {
        let gathering = |subject: ReviewSubject| {
            let gathering = WorkflowGathering {
                subject,
                approvals: ApprovalFollower::default(),
                done: RecentLines::default(),
                levels: RecentLines::default(),
                changes: RecentLines::default(),
                reasons: BTreeMap::new(),
                excluded: HashMap::new(),
            };
            (gathering.subject.name.clone(), gathering)
        };
        let overlaps = |incident: &incident::Incident| {
            incident.since < until && incident.closed.is_none_or(|closed| closed >= since)
        };
        ReviewGathering {
            since,
            until,
            gate: RecentLines::default(),
            incidents: incidents.into_iter().filter(overlaps).collect(),
            excluded_for: BTreeMap::new(),
            workflows: subjects.into_iter().map(gathering).collect(),
            timeline: timeline.then(TimelineGathering::default),
        }
    }

    /// Reads the next entry of the journal, which may lie up to [`HOLDS`] before the span.
    pub fn read(&mut self, entry: &Entry) {
        let in_span = self.since <= entry.at && entry.at < self.until;
        let Some(name) = &entry.workflow else {
            if in_span {
                self.read_for_all(entry);
            }
            return;
        };
        let Some(gathering) = self.workflows.get_mut(name) else {
            return;
        };
        if let Event::Held(request) = &entry.event {
            gathering.approvals.hold(entry.at, request, in_span);
        }
        if !in_span {
            return;
        }
        if let Event::Excluded {
            reference: Some(reference),
            ..
        } = &entry.event
        {
            *self.excluded_for.entry(reference.to_string()).or_default() += 1;
        }
        gathering.read(entry);
        if let Some(timeline) = &mut self.timeline {
            timeline.read(entry, gathering);
        }
    }

    fn read_for_all(&mut self, entry: &Entry) {
        let section = entry.event.notice().section;
        if section == Section::Nowhere {
            return;
        }
        let line = ReviewLine::of(entry, None);
        if let Some(timeline) = &mut self.timeline {
            timeline.lines.push(line.clone());
        }
        match section {
            // It holds for every workflow.
            Section::Levels => {
                let line = ReviewLine {
                    what: format!("{} (every workflow)", line.what),
                    ..line
                };
                for gathering in self.workflows.values_mut() {
                    gathering.done.push(line.clone());
                    gathering.levels.push(line.clone());
                }
            }
            _ => self.gate.push(line),
        }
    }

    /// The review, with what shadow let through and what was executed.
    #[must_use]
    pub fn close(
        self,
        mut missing: Vec<String>,
        mut shadow: BTreeMap<WorkflowName, Vec<ShadowFinding>>,
    ) -> ReviewResponse {
        let ReviewGathering {
            since,
            until,
            gate,
            incidents,
            mut excluded_for,
            workflows,
            timeline,
        } = self;
        let incident = |incident: &incident::Incident| {
            let shown = IncidentView::of(incident);
            IncidentReview {
                excluded: excluded_for.remove(&shown.incident).unwrap_or(0),
                incident: shown,
            }
        };
        let incidents = incidents.iter().map(incident).collect();
        let left_out: u64 = gate.left_out
            + workflows
                .values()
                .map(|gathering| gathering.levels.left_out + gathering.changes.left_out)
                .sum::<u64>();
        if left_out > 0 {
            missing.push(format!("{left_out} older lines: choose a shorter span"));
        }
        let workflows = workflows
            .into_values()
            .map(|gathering| gathering.close(since, until, &mut shadow))
            .collect();
        let timeline = timeline.map(|timeline| Timeline {
            left_out: timeline.lines.left_out,
            lines: timeline.lines.all(),
            executed: Vec::new(),
        });
        ReviewResponse {
            since: Moment(since),
            until: Moment(until),
            missing,
            gate: gate.all(),
            incidents,
            workflows,
            timeline,
        }
    }
}

impl TimelineGathering {
    fn read(&mut self, entry: &Entry, gathering: &WorkflowGathering) {
        if let Event::Settled { call, executed, .. } = &entry.event {
            let index = self
                .calls
                .remove(call)
                .and_then(|number| number.checked_sub(self.lines.left_out));
            let line =
                index.and_then(|index| self.lines.lines.get_mut(usize::try_from(index).ok()?));
            if let Some(line) = line {
                line.what = format!("{}: {}", line.what, executed.in_words());
            }
            return;
        }
        let held = match &entry.event {
            Event::Decided { approval, .. } | Event::Withdrawn { approval, .. } => {
                gathering.approvals.request(*approval)
            }
            _ => None,
        };
        if entry.event.notice().section == Section::Nowhere {
            return;
        }
        self.lines.push(ReviewLine::of(entry, held));
        if let Event::Admitted(admission) = &entry.event {
            self.calls.insert(
                admission.call,
                self.lines.left_out + self.lines.lines.len() as u64 - 1,
            );
        }
    }
}

impl WorkflowGathering {
    fn read(&mut self, entry: &Entry) {
        self.approvals.read(entry);
        match &entry.event {
            Event::Excluded {
                revision,
                reason,
                by,
                ..
            } => self.exclude(&revision.run, (reason.to_string(), by.to_string())),
            Event::Reinstated { revision, .. } => self.reinstate(&revision.run),
            _ => {}
        }
        // What follows from the rules was done by nobody.
        let is_done = !matches!(entry.event, Event::Followed(_));
        match entry.event.notice().section {
            // Counts in the timeline alone, or counted.
            Section::Nowhere | Section::CallTimeline | Section::Timeline => return,
            Section::Done => {}
            Section::Levels => self.levels.push(ReviewLine::of(entry, None)),
            Section::Changes => self.changes.push(ReviewLine::of(entry, None)),
        }
        if is_done {
            self.done.push(ReviewLine::of(entry, None));
        }
    }

    /// Counts an excluded run by why and by whom; the first exclusion of a run is the one that
    /// counts.
    fn exclude(&mut self, run: &RunRef, why: (String, String)) {
        if self.excluded.insert(run.clone(), why.clone()).is_none() {
            *self.reasons.entry(why).or_default() += 1;
        }
    }

    fn reinstate(&mut self, run: &RunRef) {
        let why = self.excluded.remove(run);
        if let Some(count) = why.and_then(|why| self.reasons.get_mut(&why)) {
            *count -= 1;
        }
    }

    fn close(
        self,
        since: Time,
        until: Time,
        shadow: &mut BTreeMap<WorkflowName, Vec<ShadowFinding>>,
    ) -> WorkflowReview {
        let ReviewSubject {
            name,
            mode,
            state,
            without_schema,
        } = self.subject;
        let over = |from: Time, to: Time| {
            let totals = state.account().between(from, to);
            SpanNumbers::of(
                name.to_string(),
                Moment(from.hour().start()),
                Moment(to),
                &totals,
            )
        };
        let numbers = over(since, until);
        let kept = Hour(state.now().hour().0 - crate::gate::budget::window::KEPT_HOURS + 1).start();
        // The hours before the first one that is counted, as many of them.
        let end = since
            .hour()
            .start()
            .minus(std::time::Duration::from_millis(1));
        let begin = since.minus(until.since(since));
        let before = (begin >= kept).then(|| over(begin, end));
        let status = WorkflowView::of(&name, mode, &state, &state.status());
        let spent = spent(&numbers, &status.objective.unacceptable);
        let reasons: Vec<_> = self
            .reasons
            .into_iter()
            .filter_map(|((reason, by), runs)| {
                u64::try_from(runs)
                    .ok()
                    .filter(|runs| *runs > 0)
                    .map(|runs| ExclusionReason { reason, by, runs })
            })
            .collect();
        let runs = reasons.iter().map(|reason| reason.runs).sum::<u64>();
        let exclusions = ExclusionSummary {
            runs,
            share: Decimal::ratio(runs, numbers.runs),
            too_many: runs.saturating_mul(50) > numbers.runs,
            reasons,
        };
        let done = self.done.all();
        let was_on =
            |burn: &&BurnRecord| burn.at < until && burn.left.is_none_or(|left| left >= since);
        let burns = state
            .account()
            .burns()
            .iter()
            .filter(was_on)
            .map(|burn| burn_of(burn, &done))
            .collect();
        let approvals = self.approvals.close();
        let suggestions = suggest::of(&state, &numbers, &approvals, &exclusions, &without_schema);
        let reviews = state.reviews();
        WorkflowReview {
            last_review: reviews.last().map(|last| ReviewLine {
                at: Moment(last.at),
                by: Some(last.by.to_string()),
                what: last.note.as_ref().map_or_else(
                    || "reviewed it".to_owned(),
                    |note| format!("reviewed it: {note}"),
                ),
            }),
            overdue_since: reviews.overdue_since().map(Moment),
            status,
            numbers,
            before,
            spent,
            burns,
            approvals,
            shadow: shadow.remove(&name).unwrap_or_default(),
            exclusions,
            levels: self.levels.all(),
            changes: self.changes.all(),
            suggestions,
        }
    }
}

fn burn_of(burn: &BurnRecord, done: &[ReviewLine]) -> BurnReview {
    let during =
        |line: &&ReviewLine| line.at.0 >= burn.at && burn.left.is_none_or(|left| line.at.0 <= left);
    BurnReview {
        at: Moment(burn.at),
        left: burn.left.map(Moment),
        posture: burn.posture.to_string(),
        why: burn.why.to_string(),
        modes: burn
            .modes
            .iter()
            .map(|(mode, runs)| (mode.to_string(), *runs))
            .collect(),
        cause: burn.cause.as_ref().map(ToString::to_string),
        fix: burn.fix.as_ref().map(ToString::to_string),
        voided: burn.voided,
        done: done.iter().filter(during).cloned().collect(),
    }
}

fn spent(numbers: &SpanNumbers, unacceptable: &[String]) -> Vec<FailureModeCount> {
    let by_tool = &numbers.numbers.failure_modes_by_tool;
    let named = |tool: &str| tool != NO_TOOL;
    let tools = |mode: &String| {
        by_tool
            .iter()
            .filter(|(tool, _)| named(tool))
            .filter_map(|(tool, modes)| modes.get(mode).map(|runs| (tool.clone(), *runs)))
            .collect()
    };
    let spent = numbers
        .numbers
        .failure_modes
        .iter()
        .filter(|(_, runs)| **runs > 0);
    let mut spent: Vec<_> = spent
        .map(|(mode, runs)| FailureModeCount {
            mode: mode.clone(),
            runs: *runs,
            costs: unacceptable.contains(mode),
            tools: tools(mode),
        })
        .collect();
    spent.sort_by(|one, other| {
        (other.costs, other.runs)
            .cmp(&(one.costs, one.runs))
            .then_with(|| one.mode.cmp(&other.mode))
    });
    spent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_up_to_the_bound_and_the_others_counted() {
        let kept = |count: usize| {
            let mut lines = RecentLines::default();
            for n in 0..count {
                lines.push(ReviewLine {
                    at: Moment(Time::default()),
                    by: None,
                    what: n.to_string(),
                });
            }
            let (left_out, all) = (lines.left_out, lines.all());
            (all.len(), all[0].what.clone(), left_out)
        };
        assert_eq!(kept(MOST_LINES), (MOST_LINES, "0".to_owned(), 0));
        assert_eq!(kept(MOST_LINES + 1), (MOST_LINES, "1".to_owned(), 1));
    }
}
