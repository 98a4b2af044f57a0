//! The fold: the same events give the same state and the same consequences, however they are
//! replayed (G12).

use std::collections::BTreeMap;
use std::time::Duration;

use burngate::gate::approval::{BoundTo, Decision, DecisionKind, Request};
use burngate::gate::digest::Digest;
use burngate::gate::event::{Entry, Event};
use burngate::gate::name::{ApprovalId, CallId, WorkflowName};
use burngate::gate::outcome::FailureMode;
use burngate::gate::risk::{Risk, Tier};
use burngate::gate::run::Mark;
use burngate::gate::state::State;
use burngate::gate::terms::Terms;
use burngate::gate::time::days;

use crate::world::{
    DAY, HOUR, MINUTE, Rng, START, accepted, booked, clamp, everywhere, recovered, released,
    reported, retracted, revision, tallied, terms, time, worlds,
};

const NAMES: [&str; 3] = ["refunds", "triage", "mail"];

fn held(rng: &mut Rng, approval: ApprovalId, at: i64) -> Event {
    let request = Request {
        approval,
        run: "run".into(),
        call: CallId::from_bits(1),
        agent: "clerk".into(),
        tool: "pay/refund".into(),
        risk: Risk::High,
        target: "POST /".into(),
        args: None,
        body: None,
        bound: BoundTo::default(),
        subject: None,
        digest: Digest::new([1; 32]),
        rule: "level".into(),
        location: None,
        reason: "held".into(),
        needed: 1,
        expires_at: time(at + rng.within(-1_000, 2 * HOUR)),
        escalate: None,
        grant: Duration::from_secs(rng.below(900)),
        steps: Vec::new(),
    };
    Event::Held(Box::new(request))
}

/// One of `runs`, each with when it was booked and as what, comes to stand otherwise.
fn revised(rng: &mut Rng, runs: &mut [(u64, i64, Mark)]) -> Event {
    let index = rng.below(runs.len() as u64) as usize;
    let (run, booked_at, was) = &mut runs[index];
    let now = rng.pick(&[Mark::Acceptable, Mark::Unacceptable, Mark::Excluded]);
    let revision = revision(*run, *booked_at, false, *was, now);
    *was = now;
    match now {
        Mark::Unacceptable => reported(revision, &FailureMode::Timeout),
        Mark::Excluded => Event::Excluded {
            revision,
            reason: "an incident".into(),
            reference: None,
            by: "ada".into(),
        },
        _ => retracted(revision, FailureMode::WrongAction),
    }
}

fn journal(rng: &mut Rng) -> (Vec<Entry>, i64) {
    let tiers = [Tier::Low, Tier::Medium, Tier::High];
    let some = |rng: &mut Rng| Terms {
        objective: burngate::gate::budget::Objective {
            window: days(rng.pick(&[3, 30])),
            ..terms(Tier::Low, 950_000).objective
        },
        ..terms(rng.pick(&tiers), rng.pick(&[950_000, 995_000]))
    };
    let mut at = START;
    let mut entries = vec![everywhere(
        at,
        accepted([("refunds", some(rng)), ("triage", some(rng))]),
    )];
    let mut runs = Vec::new();
    for id in 0..rng.below(120) {
        at += rng.pick(&[0, 1, 50, 1_000, 1_000, 1_000]) * rng.within(0, 20 * MINUTE) / 300
            + if rng.one_in(20) {
                rng.within(0, 9 * DAY)
            } else {
                0
            };
        let name = rng.pick(&NAMES);
        let level = rng.pick(&[
            "halted",
            "read_only",
            "supervised",
            "standard",
            "autonomous",
            "unheard_of",
        ]);
        let until = rng.one_in(2).then(|| at + rng.within(1, 3 * DAY));
        let approval = ApprovalId::from_bits(u128::from(rng.below(8)));
        let event = match rng.below(16) {
            0 => Event::Clamped(clamp(level, at, until)),
            1 => released(),
            2 => Event::Waived {
                until: time(at + rng.within(0, 30 * HOUR)),
                by: "ada".into(),
                reason: "a launch".into(),
            },
            3 => recovered(days(rng.pick(&[1, 2, 7])), rng.one_in(2).then_some(level)),
            4 => Event::Promoted {
                to: level.into(),
                by: None,
                reason: "earned".into(),
            },
            5 => held(rng, approval, at),
            6 => Event::Decided {
                approval,
                decision: Decision {
                    reviewer: "bob".into(),
                    role: None,
                    decision: DecisionKind::Approve,
                    reason: None,
                    at: time(at),
                    edit: None,
                    void: false,
                },
            },
            7 | 8 => tallied(at, rng.below(20), 0, rng.below(3)),
            9 if !runs.is_empty() => revised(rng, &mut runs),
            _ => {
                runs.push((id, at, Mark::Unacceptable));
                booked(
                    id,
                    false,
                    if rng.one_in(6) {
                        FailureMode::MissedEscalation
                    } else {
                        FailureMode::WrongAction
                    },
                )
            }
        };
        let workflow = (!rng.one_in(6)).then(|| name.into());
        entries.push(Entry {
            at: time(at),
            workflow,
            event,
        });
        if rng.one_in(15) {
            let reloaded = [(rng.pick(&NAMES), some(rng)), ("refunds", some(rng))];
            entries.push(everywhere(at, accepted(reloaded)));
        }
    }
    (entries, at + rng.within(0, 60 * DAY))
}

type Followed = BTreeMap<WorkflowName, Vec<Entry>>;

fn note(followed: &mut Followed, entries: Vec<Entry>) {
    for entry in entries {
        followed
            .entry(entry.workflow.clone().unwrap())
            .or_default()
            .push(entry);
    }
}

fn replay(
    entries: &[Entry],
    end: i64,
    mut between: impl FnMut(&mut State, &mut Followed, i64, i64),
) -> (State, Followed) {
    let (mut state, mut followed) = (State::default(), Followed::new());
    for (index, entry) in entries.iter().enumerate() {
        note(&mut followed, state.apply(entry));
        let next = entries
            .get(index + 1)
            .map_or(end, |next| next.at.as_millis());
        between(&mut state, &mut followed, entry.at.as_millis(), next);
    }
    note(&mut followed, state.advance(time(end)));
    (state, followed)
}

#[test]
fn however_a_journal_is_replayed_it_says_the_same() {
    worlds("fold::however", 250, |rng| {
        let (entries, end) = journal(rng);
        let (plain, expected) = replay(&entries, end, |_, _, _, _| {});
        let (snapshots, followed) = replay(&entries, end, |state, _, _, _| {
            if rng.one_in(4) {
                let text = serde_json::to_string(state).unwrap();
                let read: State = serde_json::from_str(&text).unwrap();
                assert_eq!(read, *state, "a snapshot is the state");
                *state = read;
            }
        });
        assert_eq!(snapshots, plain);
        assert_eq!(followed, expected);
        let (stepped, followed) = replay(&entries, end, |state, followed, at, next| {
            let mut times: Vec<_> = (0..rng.below(5)).map(|_| rng.within(at, next)).collect();
            times.sort_unstable();
            for at in times {
                note(followed, state.advance(time(at)));
            }
        });
        assert_eq!(
            followed, expected,
            "time that is looked at more often says nothing else"
        );
        assert_eq!(stepped, plain);
    });
}

#[test]
fn a_gap_of_years_takes_a_bounded_number_of_steps() {
    let mut state = crate::world::state(terms(Tier::Medium, 970_000));
    for minute in 0..3 * 24 * 60 {
        let at = START + minute * MINUTE;
        let event = if minute % 50 == 0 {
            booked(minute as u64, false, FailureMode::Timeout)
        } else {
            tallied(at, 1, 0, 0)
        };
        if minute % 10 == 0 {
            state.apply(&crate::world::entry(at, event));
        }
    }
    let account = crate::world::of(&state).account();
    let objective = terms(Tier::Medium, 970_000).objective;
    let (mut at, mut steps) = (START + 3 * DAY, 0);
    while let Some(next) = account.next_change(&objective, time(at)) {
        at = next.as_millis();
        steps += 1;
    }
    assert!(steps <= 7 * 432 + 72 + 2, "{steps}");
    state.advance(time(START + 10 * 365 * DAY));
    assert_eq!(crate::world::of(&state).status().all.unacceptable, 0);
}
