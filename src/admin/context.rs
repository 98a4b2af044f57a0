//! What surrounds a held call, in one answer: for the command line, a chat bot, a dashboard. Where
//! the records cannot be read, what is in memory is shown all the same, and the answer names what
//! is missing: a person has to decide anyway.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::error::AdminError;
use super::runs::{call, modes};
use super::state::AdminState;
use super::{feedback, workflows};
use crate::api::Moment;
use crate::api::context::{
    ApprovalContext, HeldCallRun, MOST_ALIKE, MOST_CALLS, MemberChange, RelatedRun, SimilarCall,
    SimilarCallDecision, changes,
};
use crate::api::decision::DecisionView;
use crate::api::review::RuleSummary;
use crate::gate::approval::{Approval, Request};
use crate::gate::event::{Entry, Event};
use crate::gate::name::{ApprovalId, RunId, WorkflowName};
use crate::gate::run::{Executed, RunRef};
use crate::gate::time::{Time, days};
use crate::journal::read::{Records, RunFilter, RunView};
use crate::journal::record::RunKey;
use crate::journal::unavailable::Unavailable;
use crate::ledger::people::open_runs::{OpenRunView, OpenTouchingRun};

/// The most journal entries that are searched for similar held calls: some hundred decisions.
const MAX_DECIDED_ENTRIES: usize = 1_000;
/// How far back decisions on calls of the same rule are counted.
const LOOKS_BACK: Duration = days(30);
/// The most continuations of a run that are read.
const MAX_RUN_PARTS: usize = 10;

/// Everything around `approval` of the workflow `name`.
pub(super) async fn of(
    state: &AdminState,
    name: &WorkflowName,
    approval: &Approval,
) -> Result<ApprovalContext, AdminError> {
    let request = approval.request.clone();
    let key = RunKey {
        workflow: name.clone(),
        agent: request.agent.clone(),
        run: request.run.clone(),
    };
    let open =
        state
            .ledger()
            .open_run(name, &request.agent, &request.run, request.call, MOST_CALLS);
    let touching = request.subject.as_ref().map_or_else(Vec::new, |subject| {
        state.ledger().touching(subject, &key, MOST_ALIKE)
    });
    let now = state.ledger().now();
    let read = state
        .look_up(move |records| read_records(records, &key, &request, now))
        .await;
    let (found, missing) = match read {
        Ok(found) => (found, Vec::new()),
        Err(error) => (
            ContextRecords::default(),
            vec![format!(
                "calls of earlier runs, and earlier decisions: {}",
                error.detail()
            )],
        ),
    };
    Ok(ApprovalContext {
        changes: edited_members(approval),
        workflow: workflows::one(state, name)?,
        run: call_run(open, &found.parts, &approval.request),
        lately: related_runs(touching, &found.touched),
        alike: found.alike,
        rule: found.rule,
        missing,
    })
}

/// What the records say.
#[derive(Default)]
struct ContextRecords {
    /// The run, as far as it is booked.
    parts: Vec<RunView>,
    touched: Vec<RunView>,
    alike: Vec<SimilarCall>,
    rule: Option<RuleSummary>,
}

fn read_records(
    records: &dyn Records,
    key: &RunKey,
    request: &Request,
    now: Time,
) -> Result<ContextRecords, Unavailable> {
    let workflow = Some(key.workflow.clone());
    let mut parts = records.runs(&RunFilter {
        workflow,
        run: Some(key.run.clone()),
        limit: MAX_RUN_PARTS,
        ..RunFilter::default()
    })?;
    parts.retain(|view| view.run.agent == key.agent);
    let mut touched = Vec::new();
    if let Some(subject) = &request.subject {
        touched = records.runs(&RunFilter {
            subject: Some(subject.clone()),
            limit: MOST_ALIKE + MAX_RUN_PARTS,
            ..RunFilter::default()
        })?;
        let is_own = |view: &RunView| parts.iter().any(|part| part.position == view.position);
        touched.retain(|view| !is_own(view));
    }
    let alike = similar_calls(records, &key.workflow, request)?;
    let location = request.location.as_ref().map(ToString::to_string);
    let rules = feedback::read_decisions(records, &key.workflow, now.minus(LOOKS_BACK), now)?
        .approvals
        .rules;
    let rule = rules
        .into_iter()
        .find(|rule| *rule.rule == *request.rule && rule.location == location);
    // The held call itself says nothing about how the rule does.
    let rule = rule.filter(|rule| {
        rule.figures.held > 1 || rule.figures.decisions > 0 || rule.figures.unasked > 0
    });
    Ok(ContextRecords {
        parts,
        touched,
        alike,
        rule,
    })
}

/// The run so far: what was booked of it, and what is open.
fn call_run(open: Option<OpenRunView>, parts: &[RunView], request: &Request) -> HeldCallRun {
    let booked = parts
        .iter()
        .rev()
        .flat_map(|view| &view.run.calls)
        .filter(|call| call.call != request.call);
    let mut calls: Vec<_> = booked
        .chain(open.iter().flat_map(|open| &open.calls))
        .collect();
    calls.sort_by_key(|call| call.at);
    let left_out = calls.len().saturating_sub(MOST_CALLS);
    let newest = parts.first();
    let mut wrong: BTreeSet<String> = parts.iter().flat_map(|view| modes(&view.run)).collect();
    wrong.extend(
        open.iter()
            .flat_map(|open| &open.modes)
            .map(ToString::to_string),
    );
    let began = parts
        .iter()
        .map(|view| view.run.started)
        .chain(open.as_ref().map(|open| open.started))
        .min();
    HeldCallRun {
        state: match (&open, newest) {
            (Some(_), _) => "open",
            (None, Some(view)) => view.run.mark.outcome().as_str(),
            (None, None) => "unknown",
        }
        .to_owned(),
        started: began.map(Moment),
        calls: calls
            .iter()
            .skip(left_out)
            .map(|one| call(one, &[]))
            .collect(),
        left_out: (left_out + open.as_ref().map_or(0, |open| open.left_out)) as u64,
        in_flight: open.as_ref().map_or(0, |open| open.in_flight as u64),
        modes: wrong.into_iter().collect(),
        escalated: open.is_some_and(|open| open.escalated),
    }
}

fn related_runs(open: Vec<OpenTouchingRun>, booked: &[RunView]) -> Vec<RelatedRun> {
    let texts = |tools: BTreeSet<String>| tools.into_iter().collect();
    let open = open.into_iter().map(|open| RelatedRun {
        workflow: open.workflow.to_string(),
        agent: open.agent.to_string(),
        run: open.run.to_string(),
        at: Moment(open.at),
        outcome: "open".to_owned(),
        tools: open.tools.iter().map(ToString::to_string).collect(),
        modes: open.modes.iter().map(ToString::to_string).collect(),
    });
    let booked = booked.iter().map(|view| RelatedRun {
        workflow: view.run.workflow.to_string(),
        agent: view.run.agent.to_string(),
        run: view.run.id().to_string(),
        at: Moment(view.run.booked_at),
        outcome: view.run.mark.outcome().as_str().to_owned(),
        tools: texts(
            view.run
                .calls
                .iter()
                .filter(|call| call.executed != Executed::No)
                .map(|call| call.tool.to_string())
                .collect(),
        ),
        modes: modes(&view.run),
    });
    let mut all: Vec<_> = open.chain(booked).collect();
    all.sort_by_key(|touch| Reverse(touch.at.0));
    all.truncate(MOST_ALIKE);
    all
}

fn edited_members(approval: &Approval) -> Vec<MemberChange> {
    approval.edit().map_or_else(Vec::new, |edit| {
        changes(
            approval.request.args.as_deref().unwrap_or("null"),
            &edit.args,
        )
    })
}

/// Calls of the same tool that people decided on.
fn similar_calls(
    records: &dyn Records,
    workflow: &WorkflowName,
    asked: &Request,
) -> Result<Vec<SimilarCall>, Unavailable> {
    let (mut decisions, mut used) = (
        BTreeMap::<ApprovalId, Vec<SimilarCallDecision>>::new(),
        BTreeMap::<ApprovalId, RunRef>::new(),
    );
    let mut held = Vec::new();
    // Newest first: what became of a held call comes before it.
    for Entry { at, event, .. } in records.decided(workflow, MAX_DECIDED_ENTRIES)? {
        match event {
            Event::Decided { approval, decision } => decisions
                .entry(approval)
                .or_default()
                .insert(0, SimilarCallDecision::of(&DecisionView::of(&decision))),
            Event::Admitted(admission) => drop(
                admission
                    .approval
                    .map(|approval| used.insert(approval, admission.run)),
            ),
            Event::Held(request)
                if request.tool == asked.tool
                    && request.approval != asked.approval
                    && decisions.contains_key(&request.approval) =>
            {
                held.push((at, request));
            }
            _ => {}
        }
    }
    let is_same = |request: &Request| asked.subject.is_some() && request.subject == asked.subject;
    held.sort_by_key(|(at, request)| (!is_same(request), Reverse(*at)));
    held.truncate(MOST_ALIKE);
    held.into_iter()
        .map(|(at, request)| {
            let run = used
                .get(&request.approval)
                .map(|run| booked_run(records, workflow, run))
                .transpose()?
                .flatten();
            Ok(SimilarCall {
                id: request.approval.to_string(),
                created_at: Moment(at),
                same_subject: is_same(&request),
                subject: request.subject.as_ref().map(ToString::to_string),
                rule: request.rule.to_string(),
                decisions: decisions.remove(&request.approval).unwrap_or_default(),
                sent: used.contains_key(&request.approval),
                outcome: run
                    .as_ref()
                    .map(|view| view.run.mark.outcome().as_str().to_owned()),
                modes: run.as_ref().map_or_else(Vec::new, |view| modes(&view.run)),
            })
        })
        .collect()
}

/// The booked run.
fn booked_run(
    records: &dyn Records,
    workflow: &WorkflowName,
    run: &RunRef,
) -> Result<Option<RunView>, Unavailable> {
    let filter = RunFilter {
        workflow: Some(workflow.clone()),
        run: Some(RunId::clone(&run.run)),
        limit: MAX_RUN_PARTS,
        ..RunFilter::default()
    };
    Ok(records
        .runs(&filter)?
        .into_iter()
        .find(|view| view.run.agent == run.agent && view.run.id() == run.run))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::many_records::ManyRecords;
    use crate::admin::tests::world::{NOW, REFUND, TRIAGE, held, run};
    use crate::gate::approval::{Decision, DecisionKind};
    use crate::gate::name::CallId;
    use crate::gate::run::Mark;
    use crate::gate::time::minutes;

    fn records(runs: usize) -> ManyRecords {
        ManyRecords {
            runs: runs as u64,
            run: run("case-1", "triage-bot", Mark::Acceptable, minutes(5), &[]),
            entries: 0,
            decided: Vec::new(),
        }
    }

    fn entry(event: Event) -> Entry {
        Entry {
            at: NOW,
            workflow: Some(TRIAGE.into()),
            event,
        }
    }

    /// The two entries of a call that was held and approved, newest first.
    fn decided(number: u8) -> [Entry; 2] {
        let request = held(number.into(), 1);
        let decision = Decision {
            reviewer: "dana".into(),
            decision: DecisionKind::Approve,
            reason: None,
            at: NOW,
            edit: None,
            role: None,
            void: false,
        };
        let approval = request.approval;
        [
            entry(Event::Decided { approval, decision }),
            entry(Event::Held(Box::new(request))),
        ]
    }

    #[test]
    fn as_many_continuations_of_the_run_are_read_as_the_bound() {
        let request = held(1, 1);
        let key = RunKey {
            workflow: TRIAGE.into(),
            agent: request.agent.clone(),
            run: request.run.clone(),
        };
        let parts = |runs: usize| {
            let found = read_records(&records(runs), &key, &request, NOW);
            found.unwrap_or_default().parts.len()
        };
        assert_eq!(parts(MAX_RUN_PARTS), MAX_RUN_PARTS);
        assert_eq!(parts(MAX_RUN_PARTS + 1), MAX_RUN_PARTS);
    }

    #[test]
    fn similar_calls_are_looked_for_in_as_many_entries_as_the_bound() {
        let found = |entries_before: usize| {
            let before = std::iter::repeat_n(entry(Event::Stopped), entries_before);
            let records = ManyRecords {
                decided: before.chain(decided(2)).collect(),
                ..records(0)
            };
            similar_calls(&records, &TRIAGE.into(), &held(1, 1)).map(|alike| alike.len())
        };
        assert_eq!(found(MAX_DECIDED_ENTRIES - 2), Ok(1));
        assert_eq!(found(MAX_DECIDED_ENTRIES - 1), Ok(0));
    }

    #[test]
    fn so_many_similar_calls_and_related_runs_are_shown() {
        let shown = |count: usize| {
            let numbers = 0..u8::try_from(count).unwrap();
            let similar = ManyRecords {
                decided: numbers.flat_map(|n| decided(n + 2)).collect(),
                ..records(0)
            };
            let similar = similar_calls(&similar, &TRIAGE.into(), &held(1, 1)).unwrap();
            let booked = records(count).runs(&RunFilter {
                limit: count,
                ..RunFilter::default()
            });
            let related = related_runs(Vec::new(), &booked.unwrap());
            (similar.len(), related.len())
        };
        assert_eq!(shown(MOST_ALIKE), (MOST_ALIKE, MOST_ALIKE));
        assert_eq!(shown(MOST_ALIKE + 1), (MOST_ALIKE, MOST_ALIKE));
    }

    #[test]
    fn the_newest_calls_of_a_run_are_shown_and_the_others_counted() {
        let shown = |count: usize| {
            let mut parts = records(1).runs(&RunFilter {
                limit: 1,
                ..RunFilter::default()
            });
            let part = &mut parts.as_mut().unwrap()[0].run;
            let call = part.calls[0].clone();
            part.calls = (0..count)
                .map(|n| crate::journal::record::CallRecord {
                    call: CallId::from_bits(n as u128 + 100),
                    tool: REFUND.into(),
                    ..call.clone()
                })
                .collect();
            let run = call_run(None, &parts.unwrap(), &held(1, 1));
            (run.calls.len(), run.left_out)
        };
        assert_eq!(shown(MOST_CALLS), (MOST_CALLS, 0));
        assert_eq!(shown(MOST_CALLS + 1), (MOST_CALLS, 1));
    }
}
