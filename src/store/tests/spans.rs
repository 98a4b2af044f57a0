//! The journal between two moments, and what shadow let through.

use super::*;
use crate::gate::event::table::EventKind;
use crate::journal::read::{Happened, Shadowed};

const KINDS: [EventKind; 2] = [EventKind::Clamped, EventKind::Changed];

fn all(world: &World, happened: &Happened, page: usize) -> Vec<(u64, Entry)> {
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let next = world.records.happened(happened, after, page).unwrap();
        let Some((last, _)) = next.last() else {
            return found;
        };
        after = *last;
        found.extend(next);
    }
}

#[test]
fn a_span_of_the_journal_is_what_a_look_at_all_of_it_finds() {
    let world = World::new();
    let mut last = None;
    for n in 0..400_i64 {
        let used = |n: u64| Admission {
            approval: n
                .is_multiple_of(4)
                .then(|| crate::gate::name::ApprovalId::from_bits(n.into())),
            ..admission(n, "r", true)
        };
        let event = match n % 4 {
            3 => Event::Admitted(used(n.unsigned_abs() / 4)),
            0 => Event::Clamped(Clamp {
                to: "halted".into(),
                by: "ada".into(),
                reason: "a drill".into(),
                at: at(n * 1_000),
                until: None,
            }),
            1 => Event::Changed {
                kind: "prompt".into(),
                reference: n.to_string().into(),
                by: "ada".into(),
                emergency: None,
            },
            _ => Event::Released {
                by: "ada".into(),
                reason: "over".into(),
            },
        };
        let workflow = if n % 5 == 0 && n % 4 != 3 {
            None
        } else {
            Some("w".into())
        };
        last = Some(
            world
                .journal
                .append(Entry {
                    at: at(n * 1_000),
                    workflow,
                    event,
                })
                .durable,
        );
    }
    assert_eq!(last.unwrap().wait(), Ok(Ok(())));
    let every = world
        .records
        .entries(&EntryFilter {
            limit: 1_000,
            ..EntryFilter::default()
        })
        .unwrap()
        .views;
    for (since, until, workflow) in [
        (0, 1_000_000, None),
        (7_500, 90_000, Some("w")),
        (399_000, 399_001, None),
        (200_000, 200_000, None),
        (500_000, 600_000, None),
    ] {
        let happened = Happened {
            workflow: workflow.map(Into::into),
            since: at(since),
            until: at(until),
            kinds: KINDS.to_vec(),
            granted: true,
        };
        let expected: Vec<_> = every
            .iter()
            .filter(|view| happened.has(&view.entry))
            .map(|view| (view.seq, view.entry.clone()))
            .collect();
        for page in [1_000, 7] {
            assert_eq!(
                all(&world, &happened, page),
                expected,
                "{since} to {until}, {page} a page"
            );
        }
    }
    world.drain();
}

#[test]
fn calls_that_went_in_spite_of_a_rule_are_counted_by_tool_and_rule() {
    let world = World::new();
    let in_shadow = |n: u64, verdict, executed| CallRecord {
        verdict,
        executed,
        rule: Some("hold_when".into()),
        ..call(n, "api/refund", Risk::High, None)
    };
    world.journal.record(run(
        Some("first"),
        vec![
            in_shadow(1, Verdict::Hold, Executed::Yes),
            in_shadow(2, Verdict::Hold, Executed::Unknown),
        ],
    ));
    world.journal.record(run(
        Some("second"),
        vec![
            in_shadow(3, Verdict::Deny, Executed::Yes),
            call(4, "api/refund", Risk::High, None),
        ],
    ));
    // What was held or denied, and did not go, was no shadow.
    world.journal.record(run(
        Some("third"),
        vec![in_shadow(5, Verdict::Hold, Executed::No)],
    ));
    world.settle();
    let found = world.records.shadowed(at(-1_000), at(1_000)).unwrap();
    let expected = |verdict, calls| Shadowed {
        workflow: "w".into(),
        tool: "api/refund".into(),
        verdict,
        rule: "hold_when".into(),
        calls,
    };
    assert_eq!(
        found,
        [expected(Verdict::Hold, 2), expected(Verdict::Deny, 1)]
    );
    assert_eq!(world.records.shadowed(at(1_000), at(2_000)).unwrap(), []);
    world.drain();
}

#[test]
fn what_people_decided_lately_comes_newest_first_and_without_the_arguments() {
    let world = World::new();
    let approval = crate::gate::name::ApprovalId::from_bits(7);
    let held = serde_json::from_value(serde_json::json!({
        "approval": approval, "run": "r", "call": call_id(1), "agent": "a", "tool": "api/refund", "risk": "high", "target": "POST /refunds", "args": "\"long\"",
        "subject": null, "digest": Digest::new([1; 32]), "rule": "level", "place": null, "reason": "", "needed": 1, "expires_at": 9_000, "grant": 1_000,
    }));
    let edit = crate::gate::approval::Edit {
        args: "\"longer\"".into(),
        digest: Digest::new([2; 32]),
    };
    let decision = crate::gate::approval::Decision {
        reviewer: "dana".into(),
        role: None,
        decision: crate::gate::approval::DecisionKind::Approve,
        reason: None,
        at: at(2),
        edit: Some(edit),
        void: false,
    };
    let used = Admission {
        approval: Some(approval),
        ..admission(3, "r", true)
    };
    let events = [
        Event::Held(held.unwrap()),
        clamp(),
        Event::Admitted(admission(2, "r", true)),
        Event::Decided { approval, decision },
        Event::Admitted(used.clone()),
        booked("r"),
    ];
    for event in events {
        world.append(Some("w"), event);
    }
    world.append(Some("other"), Event::Admitted(used.clone()));
    world.settle();
    let found = world.records.decided(&"w".into(), 10).unwrap();
    let [
        Event::Admitted(admission),
        Event::Decided { decision, .. },
        Event::Held(request),
    ] = found.iter().map(|entry| &entry.event).collect::<Vec<_>>()[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!(
        (admission, &request.approval, &request.args),
        (&used, &approval, &None)
    );
    assert_eq!(decision.edit.as_ref().map(|edit| &*edit.args), Some(""));
    assert_eq!(world.records.decided(&"w".into(), 1).unwrap(), found[..1]);
    world.drain();
}
