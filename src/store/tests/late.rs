//! Late news about runs, and runs whose names come again.

use super::*;

pub(super) fn by_run(run: &str) -> RunTarget {
    RunTarget::Run {
        run: run.into(),
        workflow: None,
        agent: None,
    }
}

pub(super) fn by_subject(subject: &str) -> RunTarget {
    RunTarget::Subject {
        subject: subject.into(),
        tool: None,
        workflow: None,
    }
}

pub(super) fn report(reference: Option<&str>) -> Change {
    Change::Report(charge(FailureMode::WrongAction, reference))
}

#[test]
fn one_report_is_one_report_however_often_it_comes() {
    let world = World::new();
    world.journal.record(run(
        None,
        vec![call(1, "api/refund", Risk::High, Some("A-1"))],
    ));
    let first = world
        .revise(by_subject("A-1"), report(Some("T-1")))
        .unwrap();
    assert_eq!(
        (first.was, first.now, first.repeated),
        (Mark::Acceptable, Mark::Unacceptable, false)
    );
    // Another run touches the same object before the delivery is repeated.
    world.journal.record(run(
        None,
        vec![call(2, "api/refund", Risk::High, Some("A-1"))],
    ));
    let second = world
        .revise(by_subject("A-1"), report(Some("T-1")))
        .unwrap();
    assert!(second.repeated && second.run == first.run);
    let back = Change::Retract {
        mode: Some(FailureMode::WrongAction),
        reference: Some("T-1".into()),
        by: "dana".into(),
        own_only: false,
    };
    let back_again = world.revise(by_subject("A-1"), back.clone()).unwrap();
    assert_eq!(
        (back_again.run, back_again.now),
        (first.run.clone(), Mark::Acceptable)
    );
    assert!(
        world
            .revise(by_subject("A-1"), report(Some("T-1")))
            .unwrap()
            .repeated
    );
    assert!(matches!(
        world.revise(by_run(first.run.as_str()), back),
        Err(ReviseError::Nothing(_))
    ));
    let other = world
        .revise(by_subject("A-1"), report(Some("T-2")))
        .unwrap();
    assert_ne!(other.run, first.run);
    world.drain();
}

#[test]
fn a_run_goes_out_of_the_budget_and_comes_back_as_what_it_was() {
    let world = World::new();
    world.journal.record(solo(1));
    world.journal.record(RunRecord {
        mark: Mark::Idle,
        ..run(None, vec![call(2, "api/get", Risk::Read, None)])
    });
    let id = call_id(1).to_string();
    let out = Change::Exclude {
        reason: "an incident".into(),
        reference: None,
        by: "dana".into(),
    };
    world.revise(by_run(&id), report(None)).unwrap();
    let excluded = world.revise(by_run(&id), out.clone()).unwrap();
    assert_eq!(
        (excluded.was, excluded.now),
        (Mark::Unacceptable, Mark::Excluded)
    );
    assert!(world.revise(by_run(&id), out).unwrap().repeated);
    assert_eq!(
        world.views(RunFilter {
            outcome: Some(Outcome::Excluded),
            ..RunFilter::default()
        })[0]
            .excluded,
        Some(("an incident".into(), "dana".into()))
    );
    assert_eq!(
        world
            .revise(by_run(&id), Change::Reinstate { by: "dana".into() })
            .unwrap()
            .now,
        Mark::Unacceptable
    );
    assert!(matches!(
        world.revise(by_run(&id), Change::Reinstate { by: "dana".into() }),
        Err(ReviseError::Nothing(_))
    ));
    // A mode that costs nothing is recorded and moves nothing; an idle run whose report is taken
    // back is idle again.
    let idle = call_id(2).to_string();
    assert_eq!(
        world
            .revise(
                by_run(&idle),
                Change::Report(charge(FailureMode::ToolError, None))
            )
            .unwrap()
            .now,
        Mark::Idle
    );
    assert_eq!(
        world.revise(by_run(&idle), report(None)).unwrap().now,
        Mark::Unacceptable
    );
    let back = Change::Retract {
        mode: Some(FailureMode::WrongAction),
        reference: None,
        by: "dana".into(),
        own_only: false,
    };
    assert_eq!(world.revise(by_run(&idle), back).unwrap().now, Mark::Idle);
    let view = &world.views(RunFilter {
        mode: Some(FailureMode::ToolError),
        ..RunFilter::default()
    })[0];
    assert_eq!((view.run.charges.len(), view.retracted.len()), (1, 1));
    world.drain();
}

#[test]
fn a_run_booked_while_it_went_on_is_completed_and_not_counted_again() {
    let world = World::new();
    world.append(Some("w"), booked("r"));
    assert_eq!(
        world.revise(by_run("r"), report(Some("T-1"))).unwrap().was,
        Mark::Unacceptable
    );
    let charges = vec![
        charge(FailureMode::WrongAction, None),
        charge(FailureMode::Timeout, None),
    ];
    world.journal.record(RunRecord {
        mark: Mark::Unacceptable,
        booked_at: at(0),
        charges: charges.clone(),
        ..run(
            Some("r"),
            vec![
                call(1, "api/get", Risk::Read, None),
                call(2, "api/refund", Risk::High, None),
            ],
        )
    });
    world.append(Some("w"), booked(&call_id(7).to_string()));
    world.journal.record(RunRecord {
        mark: Mark::Unacceptable,
        booked_at: at(0),
        charges: charges[..1].to_vec(),
        ..solo(7)
    });
    world.settle();
    let runs = world.runs(RunFilter::default());
    assert_eq!(runs.len(), 2);
    let r = &world.runs(RunFilter {
        run: Some("r".into()),
        ..RunFilter::default()
    })[0];
    assert_eq!((r.calls.len(), r.charges.len(), r.ended), (2, 3, at(2)));
    assert_eq!(
        world.runs(RunFilter {
            call: Some(call_id(7)),
            ..RunFilter::default()
        })[0]
            .run,
        None
    );
    assert_eq!(counted(&world.entries()), 0);
    world.drain();
}

#[test]
fn a_report_on_the_heels_of_its_run_finds_it_whatever_the_writer_is_doing() {
    const RUNS: u64 = 300;
    let world = World::new();
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let world = &world;
            scope.spawn(move || {
                for n in (0..RUNS).filter(|n| n % 3 == worker) {
                    let (name, order) = (format!("r{n}"), format!("A-{n}"));
                    world.journal.record(run(
                        Some(&name),
                        vec![call(n, "api/refund", Risk::High, Some(&order))],
                    ));
                    let target = [
                        by_run(&name),
                        RunTarget::Call(call_id(n)),
                        by_subject(&order),
                    ][usize::try_from(n / 3 % 3).unwrap()]
                    .clone();
                    let revised = world.revise(target, report(None)).unwrap();
                    assert_eq!(
                        (revised.run.as_str(), revised.now),
                        (name.as_str(), Mark::Unacceptable)
                    );
                }
            });
        }
    });
    assert_eq!(
        world
            .runs(RunFilter {
                outcome: Some(Outcome::Unacceptable),
                ..RunFilter::default()
            })
            .len() as u64,
        RUNS
    );
    world.drain();
}

#[test]
fn a_call_whose_answer_was_lost_is_settled_by_whoever_looked() {
    let world = World::new();
    let lost = |n, subject: &str| CallRecord {
        executed: Executed::Unknown,
        ..call(n, "api/refund", Risk::High, Some(subject))
    };
    let wire_charge = |n, mode| Charge {
        source: Source::Wire,
        by: None,
        call: Some(call_id(n)),
        ..charge(mode, None)
    };
    for n in [1, 2] {
        let name = format!("r{n}");
        let charges = vec![
            wire_charge(n, FailureMode::Timeout),
            wire_charge(n + 10, FailureMode::WrongAction),
        ];
        world.append(
            Some("w"),
            Event::Booked {
                run: run_ref(&name),
                high: true,
                charges: charges[..1].to_vec(),
                observed: RunFlags::NONE,
            },
        );
        let order = format!("A-{n}");
        let calls = vec![lost(n, &order), call(n + 10, "api/get", Risk::Low, None)];
        let charges = if n == 1 {
            charges[..1].to_vec()
        } else {
            charges
        };
        world.journal.record(RunRecord {
            mark: Mark::Unacceptable,
            booked_at: at(0),
            charges,
            ..run(Some(&name), calls)
        });
    }
    let settle = |n, executed, harmless| {
        let change = Change::Reconcile {
            call: call_id(n),
            executed,
            harmless,
            note: None,
            by: "dana".into(),
        };
        world.revise(RunTarget::Call(call_id(n)), change)
    };
    let first = settle(1, false, true).unwrap();
    assert_eq!(
        (first.was, first.now),
        (Mark::Unacceptable, Mark::Acceptable)
    );
    assert!(settle(1, false, true).unwrap().repeated);
    assert!(matches!(
        settle(1, true, false),
        Err(ReviseError::Nothing(_))
    ));
    assert!(matches!(
        settle(11, false, true),
        Err(ReviseError::Nothing(_))
    ));
    // What was not executed touched nothing; what was, did, and whatever else went wrong with the
    // run stands.
    assert_eq!(
        world.revise(by_subject("A-1"), report(None)),
        Err(ReviseError::Unknown)
    );
    let second = settle(2, true, true).unwrap();
    assert_eq!(
        (second.was, second.now),
        (Mark::Unacceptable, Mark::Unacceptable)
    );
    assert_eq!(
        world
            .revise(by_subject("A-2"), report(None))
            .unwrap()
            .run
            .as_str(),
        "r2"
    );
    assert!(
        world
            .runs(RunFilter {
                ambiguous: true,
                ..RunFilter::default()
            })
            .is_empty()
    );
    let entries = world.entries();
    let reconciled = entries.iter().filter(|entry| matches!(&entry.event, Event::Reconciled { retracted, .. } if *retracted == [FailureMode::Timeout]));
    assert_eq!(reconciled.count(), 2);
    world.drain();
}

/// The four numbers' flags of the workflow, as the fold has them after a restart.
fn flags(dir: &TempDir) -> BTreeMap<&'static str, u64> {
    let state = super::open(dir.path()).unwrap().state;
    let workflow = state.workflow(&"w".into()).unwrap();
    let counts = workflow
        .account()
        .full_tally(time::days(30), at(60_000))
        .flags;
    RunFlag::ALL
        .into_iter()
        .map(|flag| (flag.as_str(), counts.get(flag)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

#[test]
fn g12_what_the_four_numbers_count_moves_with_late_news_and_survives_a_restart() {
    let world = World::new();
    let due = RunFlags::NONE.with(RunFlag::EscalationDue);
    for n in 1..=4 {
        let observed = if n == 4 {
            due.with(RunFlag::EscalationCaught)
        } else {
            RunFlags::NONE
        };
        world.journal.record(RunRecord {
            observed,
            ..run(
                Some(&format!("r{n}")),
                vec![call(n, "api/refund", Risk::High, None)],
            )
        });
    }
    let say = |world: &World, run: &str, mode| {
        world
            .revise(by_run(run), Change::Report(charge(mode, None)))
            .unwrap()
    };
    say(&world, "r1", FailureMode::MajorCorrection);
    say(&world, "r2", FailureMode::DuplicateWork);
    // Said twice it is one run; and a run that was not drawn can be judged right.
    say(&world, "r2", FailureMode::DuplicateWork);
    let right = Change::Check {
        right: true,
        by: "crm".into(),
    };
    assert!(!world.revise(by_run("r3"), right.clone()).unwrap().repeated);
    assert!(world.revise(by_run("r3"), right).unwrap().repeated);
    let dir = world.drain();
    let all = [
        ("checked", 3),
        ("confirmed", 1),
        ("corrected", 1),
        ("escalation_caught", 1),
        ("escalation_due", 1),
        ("escalation_missed", 1),
        ("rework", 1),
    ];
    assert_eq!(flags(&dir), all.into());
    // Taken out, taken back, and found wrong after all.
    let world = World::at(dir);
    world
        .revise(
            by_run("r1"),
            Change::Exclude {
                reason: "a drill".into(),
                reference: None,
                by: "dana".into(),
            },
        )
        .unwrap();
    let back = Change::Retract {
        mode: Some(FailureMode::DuplicateWork),
        reference: None,
        by: "dana".into(),
        own_only: false,
    };
    world.revise(by_run("r2"), back.clone()).unwrap();
    world.revise(by_run("r2"), back).unwrap();
    say(&world, "r3", FailureMode::WrongAction);
    let dir = world.drain();
    assert_eq!(
        flags(&dir),
        [
            ("checked", 1),
            ("escalation_caught", 1),
            ("escalation_due", 1),
            ("escalation_missed", 1)
        ]
        .into()
    );
    let world = World::at(dir);
    world
        .revise(by_run("r1"), Change::Reinstate { by: "dana".into() })
        .unwrap();
    let dir = world.drain();
    assert_eq!(flags(&dir)["corrected"], 1);
}
