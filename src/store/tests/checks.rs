//! Finished runs that are drawn for people, and what becomes of them.

use super::*;
use crate::gate::check::{Check, MOST_WAITING};
use crate::journal::read::Checks;

/// A world whose workflow asks for checks.
fn world(sample_ppm: u32, min: u32) -> World {
    let world = World::new();
    let terms = Terms {
        check: Some(Check { sample_ppm, min }),
        ..terms()
    };
    let terms = BTreeMap::from([("w".into(), Arc::new(terms))]);
    world.append(
        None,
        Event::PolicyAccepted {
            version: Digest::new([1; 32]),
            terms,
            policies: "{}".into(),
        },
    );
    world
}

fn checks(world: &World) -> Checks {
    world.settle();
    world.records.checks(None, at(-1), 1_000).unwrap()
}

fn waiting(world: &World) -> Vec<String> {
    checks(world)
        .waiting
        .iter()
        .map(|check| check.view.run.run.as_ref().unwrap().to_string())
        .collect()
}

fn named(name: &str, n: u64, risk: Risk) -> RunRecord {
    run(Some(name), vec![call(n, "api/refund", risk, Some("A-1"))])
}

fn by_name(name: &str) -> RunTarget {
    RunTarget::Run {
        run: name.into(),
        workflow: None,
        agent: None,
    }
}

fn accept(by: &str) -> Change {
    Change::Accept { by: by.into() }
}

fn checked(world: &World) -> usize {
    world
        .entries()
        .iter()
        .filter(|entry| matches!(entry.event, Event::Checked { .. }))
        .count()
}

#[test]
fn only_counted_runs_are_drawn_and_the_riskiest_come_first() {
    let world = world(1_000_000, 0);
    world.journal.record(named("low", 1, Risk::Low));
    world.journal.record(RunRecord {
        mark: Mark::Idle,
        ..named("idle", 2, Risk::Read)
    });
    world.append(Some("w"), booked("wrong"));
    world.journal.record(RunRecord {
        mark: Mark::Unacceptable,
        ..named("wrong", 3, Risk::High)
    });
    world.journal.record(named("high", 4, Risk::High));
    assert_eq!(waiting(&world), ["high", "low"]);
    let found = checks(&world);
    assert_eq!(
        (found.waiting[0].risk, found.waiting[0].view.run.calls.len()),
        (Risk::High, 1)
    );
    assert_eq!(found.drawn[0].1.waiting, 2);
    world.drain();
}

#[test]
fn a_run_that_two_people_judge_is_judged_once() {
    let world = world(1_000_000, 0);
    for (n, name) in [(1, "right"), (2, "wrong"), (3, "out"), (4, "moves")] {
        world.journal.record(named(name, n, Risk::Low));
    }
    assert!(
        !world
            .revise(by_name("right"), accept("dana"))
            .unwrap()
            .repeated
    );
    assert!(
        world
            .revise(by_name("right"), accept("eve"))
            .unwrap()
            .repeated
    );
    assert_eq!(checked(&world), 1);
    // Reported, it is not right any more; nor is one that was taken out.
    world
        .revise(
            by_name("wrong"),
            Change::Report(charge(FailureMode::WrongAction, None)),
        )
        .unwrap();
    world
        .revise(
            by_name("out"),
            Change::Exclude {
                reason: "a drill".into(),
                reference: None,
                by: "dana".into(),
            },
        )
        .unwrap();
    for judged in ["wrong", "out"] {
        assert!(
            matches!(
                world.revise(by_name(judged), accept("eve")),
                Err(ReviseError::Nothing(_))
            ),
            "{judged}"
        );
    }
    // Accepted, and found wrong later: that is what it stands as.
    world.revise(by_name("moves"), accept("dana")).unwrap();
    assert_eq!(
        world
            .revise(
                by_name("moves"),
                Change::Report(charge(FailureMode::WrongAction, None))
            )
            .unwrap()
            .now,
        Mark::Unacceptable
    );
    let found = checks(&world);
    let drawn = found.drawn[0].1;
    assert_eq!(
        (
            found.waiting.len(),
            drawn.accepted,
            drawn.reported,
            drawn.excluded
        ),
        (0, 2, 1, 1)
    );
    world.drain();
}

#[test]
fn what_was_not_drawn_cannot_be_accepted() {
    let world = world(0, 0);
    world.journal.record(named("r", 1, Risk::High));
    assert!(waiting(&world).is_empty());
    assert_eq!(
        world.revise(by_name("r"), accept("dana")),
        Err(ReviseError::Nothing("the run was not drawn for a check"))
    );
    assert_eq!(
        world.revise(by_name("q"), accept("dana")),
        Err(ReviseError::Unknown)
    );
    world.drain();
}

#[test]
fn g7_a_full_queue_loses_the_least_risky_and_of_those_the_oldest_and_counts_it() {
    let world = world(1_000_000, 0);
    let most = MOST_WAITING as u64;
    for n in 0..most {
        world.journal.record(named(
            &format!("r{n}"),
            n,
            if n == 0 { Risk::Medium } else { Risk::Low },
        ));
    }
    assert_eq!(checks(&world).drawn[0].1.unchecked, 0);
    world.journal.record(named("one more", most, Risk::High));
    let found = checks(&world);
    let drawn = found.drawn[0].1;
    assert_eq!((drawn.waiting, drawn.unchecked), (most, 1));
    assert_eq!(
        world.revise(by_name("r1"), accept("dana")),
        Err(ReviseError::Nothing(
            "the run has left the full queue unchecked"
        ))
    );
    assert!(
        !world
            .revise(by_name("r0"), accept("dana"))
            .unwrap()
            .repeated
    );
    world.drain();
}

#[test]
fn g9_the_queue_and_the_pace_of_the_week_survive_a_crash() {
    let first = world(0, 3);
    // At T0 the week has just begun, as far as the policy expects runs: the first ones are drawn
    // until there are enough.
    for n in 0..200 {
        first.journal.record(named(&format!("r{n}"), n, Risk::Low));
    }
    let before = waiting(&first);
    assert!(before.len() >= 3, "{before:?}");
    let again = World::at(copy(first.dir.path()));
    assert_eq!(waiting(&again), before);
    for n in 200..220 {
        again.journal.record(named(&format!("r{n}"), n, Risk::Low));
    }
    assert_eq!(waiting(&again), before, "the week has its minimum");
    first.drain();
    again.drain();
}

#[test]
fn about_the_share_that_is_asked_for_is_drawn_and_other_ledgers_draw_others() {
    let [one, other] = [(); 2].map(|()| {
        let world = world(50_000, 0);
        for n in 0..4_000 {
            world.journal.record(named(&format!("r{n}"), n, Risk::Low));
        }
        let found = waiting(&world);
        world.drain();
        found
    });
    // 200 are expected; ten standard deviations are 138.
    assert!((62..=338).contains(&one.len()), "{}", one.len());
    assert_ne!(one, other, "each has its own secret (G11)");
}
