//! What must hold of any journal, read from its events alone, and of the living state beside it.

use std::collections::{BTreeMap, BTreeSet};

use burngate::gate::approval::{DecisionKind, Request};
use burngate::gate::event::{Admission, Effect, Entry, Event};
use burngate::gate::name::{ApprovalId, CallId, PersonName};
use burngate::gate::run::Mark;
use burngate::gate::time::{Time, days};

use super::desk::Desk;

#[derive(Default)]
struct Told {
    request: Option<Request>,
    people: BTreeSet<PersonName>,
    until: Option<Time>,
    ended: bool,
}

/// An approval is used once, for its call and in time.
fn uses(
    approvals: &mut BTreeMap<ApprovalId, Told>,
    id: ApprovalId,
    admission: &Admission,
    at: Time,
) {
    let told = approvals
        .get_mut(&id)
        .expect("a grant of an approval that nobody asked for");
    let request = told.request.as_ref().unwrap();
    assert!(!told.ended, "{id} was used after its end");
    assert_eq!(
        Some(request.digest),
        admission.digest,
        "{id} was used for another call"
    );
    assert!(
        told.until.is_some_and(|until| at < until),
        "{id} was used without a grant, or after it expired"
    );
    told.ended = true;
}

/// G1, G4, G5, G8, G9, G10, G11 of a journal. `settled` where nothing is under way any more.
pub(crate) fn journal(entries: &[Entry], settled: bool) {
    let (mut last, mut version) = (Time::default(), false);
    let mut open: BTreeSet<CallId> = BTreeSet::new();
    let mut closed: BTreeSet<CallId> = BTreeSet::new();
    let mut approvals: BTreeMap<ApprovalId, Told> = BTreeMap::new();
    for entry in entries {
        // What followed from time alone is written behind the entry that brought it out, at the
        // moment it happened.
        if !matches!(entry.event, Event::Followed(_)) {
            assert!(entry.at >= last, "the journal's time goes back");
        }
        last = last.max(entry.at);
        match &entry.event {
            Event::PolicyAccepted { .. } => version = true,
            Event::Admitted(admission) => {
                assert!(
                    version,
                    "no policy's version is known by which this was judged"
                );
                assert!(
                    !closed.contains(&admission.call),
                    "admitted after it was settled"
                );
                open.insert(admission.call);
                if let Some(id) = admission.approval {
                    uses(&mut approvals, id, admission, entry.at);
                }
            }
            Event::Settled { call, .. } => {
                assert!(closed.insert(*call), "settled twice");
                open.remove(call);
            }
            Event::Held(request) => {
                assert!(
                    !request.rule.is_empty() && !request.reason.is_empty(),
                    "held by no rule"
                );
                approvals.entry(request.approval).or_default().request = Some((**request).clone());
            }
            Event::Decided { approval, decision } => {
                let Some(told) = approvals.get_mut(approval) else {
                    continue;
                };
                let request = told.request.as_ref().unwrap();
                if told.ended || told.until.is_some() || entry.at >= request.expires_at {
                    continue;
                }
                assert_ne!(
                    decision.reviewer.as_str(),
                    request.agent.as_str(),
                    "who asks decided"
                );
                match decision.decision {
                    DecisionKind::Approve => {
                        told.people.insert(decision.reviewer.clone());
                        told.until = (told.people.len() as u32 >= request.needed)
                            .then(|| entry.at.plus(request.grant));
                    }
                    DecisionKind::DenyWrong | DecisionKind::DenyNotNow => told.ended = true,
                }
            }
            Event::ApproversNamed { people } => {
                for told in approvals.values_mut().filter(|told| !told.ended) {
                    told.people.retain(|person| people.contains(person));
                    let needed = told.request.as_ref().map_or(0, |request| request.needed);
                    told.until = told.until.filter(|_| told.people.len() as u32 >= needed);
                }
            }
            Event::Withdrawn { approval, .. }
            | Event::Followed(Effect::ApprovalExpired { approval }) => {
                if let Some(told) = approvals.get_mut(approval) {
                    told.ended = true;
                }
            }
            _ => {}
        }
    }
    if settled {
        assert_eq!(open, BTreeSet::new(), "admitted and never settled");
    }
    for (id, told) in &approvals {
        let ends = told
            .until
            .or_else(|| told.request.as_ref().map(|request| request.expires_at));
        assert!(
            told.ended || ends.is_none_or(|ends| ends > last.minus(days(1))),
            "{id} never ended"
        );
    }
}

/// After quiescence the living state is the fold (G12).
pub(crate) fn projection(desk: &Desk) {
    let now = desk.now();
    let fold = desk.journal.state();
    let mut pending = 0;
    for (name, state) in fold.workflows() {
        let mut state = state.clone();
        state.advance(now);
        let live = desk.ledger.view(name).unwrap();
        assert_eq!(
            live.state.status().level(),
            state.status().level(),
            "{name}: level"
        );
        assert_eq!(live.state.account(), state.account(), "{name}: account");
        assert_eq!(
            live.state.approvals(),
            state.approvals(),
            "{name}: approvals"
        );
        assert_eq!(live.state, state, "{name}");
        desk.handle(name.as_str()).shard.advance(now);
        let status = desk.handle(name.as_str()).shard.status_full();
        assert_eq!(
            (status.level(), status.posture, status.remaining),
            (
                state.status().level(),
                state.status().posture,
                state.status().remaining
            )
        );
        pending += state.approvals().pending();
    }
    assert_eq!(desk.ledger.pending(), pending, "pending approvals");
}

/// N and B, counted from the runs one by one, are the fold's.
pub(crate) fn recount(desk: &Desk) {
    let fold = desk.journal.state();
    let now = desk.now().max(fold.now());
    for (name, state) in fold.workflows() {
        let views = desk.records();
        let of = |mark: Mark| {
            views
                .iter()
                .filter(|view| view.run.workflow == *name && view.run.mark == mark)
                .count() as u64
        };
        let tally = state.account().full_tally(days(90), now);
        assert_eq!(
            (tally.all.runs, tally.all.unacceptable),
            (
                of(Mark::Acceptable) + of(Mark::Unacceptable),
                of(Mark::Unacceptable)
            ),
            "{name}: N and B"
        );
        let high = views
            .iter()
            .filter(|view| view.run.workflow == *name && view.run.high);
        let (counted, bad) = high.fold((0, 0), |(n, b), view| match view.run.mark {
            Mark::Acceptable => (n + 1, b),
            Mark::Unacceptable => (n + 1, b + 1),
            Mark::Idle | Mark::Excluded => (n, b),
        });
        assert_eq!(
            (tally.high.runs, tally.high.unacceptable),
            (counted, bad),
            "{name}: N and B of high runs"
        );
    }
}
