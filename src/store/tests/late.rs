//! Late news about runs, and runs whose names come again.

use super::*;

fn by_run(run: &str) -> RunTarget {
    RunTarget::Run {
        run: run.into(),
        workflow: None,
        agent: None,
    }
}

fn by_subject(subject: &str) -> RunTarget {
    RunTarget::Subject {
        subject: subject.into(),
        tool: None,
        workflow: None,
    }
}

fn report(reference: Option<&str>) -> Change {
    Change::Report(charge(FailureMode::WrongAction, reference))
}

#[test]
fn a_run_is_found_by_its_id_by_its_call_and_by_what_it_touched() {
    let world = World::new();
    world
        .journal
        .record(run(None, vec![call(1, "api/get", Risk::Read, Some("A-1"))]));
    world.journal.record(run(
        Some("r"),
        vec![
            call(2, "api/get", Risk::Read, None),
            call(3, "api/refund", Risk::High, Some("A-1")),
        ],
    ));
    world
        .journal
        .record(run(None, vec![call(4, "api/get", Risk::Read, Some("A-1"))]));
    let r = |target| {
        world
            .revise(
                target,
                Change::Exclude {
                    reason: "test".into(),
                    reference: None,
                    by: "dana".into(),
                },
            )
            .unwrap()
            .run
    };
    assert_eq!(
        r(by_run(&call_id(1).to_string())).as_str(),
        call_id(1).to_string()
    );
    assert_eq!(r(RunTarget::Call(call_id(3))).as_str(), "r");
    // Not the newest that touched it, but the newest through its riskiest tool.
    assert_eq!(r(by_subject("A-1")).as_str(), "r");
    let newest = RunTarget::Subject {
        subject: "A-1".into(),
        tool: Some("api/get".into()),
        workflow: Some("w".into()),
    };
    assert_eq!(r(newest).as_str(), call_id(4).to_string());
    for unknown in [by_run("q"), by_subject("A-2"), RunTarget::Call(call_id(9))] {
        assert_eq!(
            world.revise(unknown, report(None)),
            Err(ReviseError::Unknown)
        );
    }
    world.drain();
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

fn open(risk: Risk) -> Candidate {
    Candidate {
        workflow: "w".into(),
        agent: "bot".into(),
        run: "open".into(),
        tool: Some((risk, "api/open".into())),
        at: at(50),
    }
}

#[test]
fn a_report_by_object_leaves_runs_alone_that_did_no_more_harm_than_an_open_one() {
    let world = World::new();
    world.journal.record(run(
        Some("looked"),
        vec![call(1, "api/get", Risk::Read, Some("A-1"))],
    ));
    world.journal.record(run(
        Some("changed"),
        vec![call(2, "api/put", Risk::Medium, Some("A-1"))],
    ));
    let above = |above, reference| {
        let revise = Revise {
            target: by_subject("A-1"),
            at: at(60_000),
            change: report(reference),
            open: vec![open(above)],
        };
        world
            .journal
            .revise(revise)
            .wait()
            .unwrap()
            .map(|revised| revised.run)
    };
    assert_eq!(above(Risk::Medium, None), Err(ReviseError::Unknown));
    assert_eq!(above(Risk::High, None), Err(ReviseError::Unknown));
    assert_eq!(above(Risk::Low, Some("T-1")), Ok("changed".into()));
    // A delivery that is repeated is about the run it was about before.
    assert_eq!(above(Risk::High, Some("T-1")), Ok("changed".into()));
    world.drain();
}

#[test]
fn nobody_is_charged_where_runs_of_several_workflows_may_be_meant() {
    let world = World::new();
    let other = |run: RunRecord| RunRecord {
        workflow: "v".into(),
        agent: "clerk".into(),
        ..run
    };
    world.journal.record(run(
        Some("old"),
        vec![call(1, "api/refund", Risk::High, Some("A-1"))],
    ));
    world.journal.record(other(run(
        Some("theirs"),
        vec![call(2, "api/refund", Risk::High, Some("A-1"))],
    )));
    world.journal.record(run(
        Some("new"),
        vec![call(3, "api/refund", Risk::High, Some("A-1"))],
    ));
    world.journal.record(other(run(
        Some("looked"),
        vec![
            call(4, "api/get", Risk::Read, Some("A-1")),
            call(5, "api/put", Risk::Low, Some("A-2")),
        ],
    )));
    let several = |target, open: Vec<Candidate>| {
        let answer = world
            .journal
            .revise(Revise {
                target,
                at: at(60_000),
                change: report(None),
                open,
            })
            .wait()
            .unwrap();
        let Err(ReviseError::Several(runs)) = answer else {
            panic!("{answer:?}")
        };
        runs.iter()
            .map(|run| {
                format!(
                    "{} {} {} {}",
                    run.workflow,
                    run.agent,
                    run.run,
                    run.tool.as_ref().unwrap().1
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        several(by_subject("A-1"), Vec::new()),
        ["v clerk theirs api/refund", "w bot new api/refund"]
    );
    // An open run stands for its workflow where it did as much harm.
    assert_eq!(
        several(by_subject("A-1"), vec![open(Risk::High)]),
        ["v clerk theirs api/refund", "w bot open api/open"]
    );
    let narrowed = |tool: &str, workflow: Option<&str>| RunTarget::Subject {
        subject: "A-1".into(),
        tool: Some(tool.into()),
        workflow: workflow.map(Into::into),
    };
    assert_eq!(several(narrowed("api/refund", None), Vec::new()).len(), 2);
    let alone = |target| world.revise(target, report(None)).unwrap().run.to_string();
    assert_eq!(alone(narrowed("api/get", None)), "looked");
    assert_eq!(alone(narrowed("api/refund", Some("v"))), "theirs");
    assert_eq!(alone(narrowed("api/refund", Some("w"))), "new");
    // Through a tool that does less harm it was touched by one workflow alone: that one is meant.
    assert_eq!(alone(by_subject("A-2")), "looked");
    assert_eq!(
        world.revise(narrowed("api/refund", Some("u")), report(None)),
        Err(ReviseError::Unknown)
    );
    // Nothing that was never forwarded touched anything.
    world.journal.record(run(
        Some("denied"),
        vec![CallRecord {
            executed: Executed::No,
            ..call(6, "api/refund", Risk::High, Some("A-3"))
        }],
    ));
    assert_eq!(
        world.revise(by_subject("A-3"), report(None)),
        Err(ReviseError::Unknown)
    );
    world.drain();
}

fn key(run: &str) -> RunKey {
    RunKey {
        workflow: "w".into(),
        agent: "bot".into(),
        run: run.into(),
    }
}

#[test]
fn a_batch_is_done_as_one_and_taken_back_as_one() {
    let world = World::new();
    let all = |of, change| {
        world
            .journal
            .revise_all(Batch {
                of,
                at: at(60_000),
                change,
            })
            .wait()
            .unwrap()
    };
    let names: Vec<String> = (0..50).map(|n| format!("r{n}")).collect();
    for (n, name) in (0..).zip(&names) {
        world
            .journal
            .record(run(Some(name), vec![call(n, "api/put", Risk::Low, None)]));
    }
    world.settle();
    let keys = world
        .records
        .keys(&RunFilter {
            tool: Some("api/put".into()),
            ..RunFilter::default()
        })
        .unwrap();
    assert_eq!(keys.len(), 50);
    let reported = all(BatchOf::Runs(keys.clone()), report(Some("INC-4"))).unwrap();
    assert_eq!(
        (reported.changed.get("w"), reported.repeated),
        (Some(&50), 0)
    );
    assert_eq!(
        all(BatchOf::Runs(keys.clone()), report(Some("INC-4")))
            .unwrap()
            .repeated,
        50
    );
    // One of them was reported by somebody else as well, and stays what it is.
    world.revise(by_run("r7"), report(Some("T-1"))).unwrap();
    let back = Change::Retract {
        mode: None,
        reference: Some("INC-4".into()),
        by: "dana".into(),
    };
    assert_eq!(
        all(BatchOf::Reference("INC-4".into()), back.clone())
            .unwrap()
            .changed
            .get("w"),
        Some(&50)
    );
    assert_eq!(
        all(BatchOf::Reference("INC-4".into()), back).unwrap(),
        RevisedAll::default()
    );
    let unacceptable = || {
        world.runs(RunFilter {
            outcome: Some(Outcome::Unacceptable),
            ..RunFilter::default()
        })
    };
    assert_eq!(
        unacceptable()
            .iter()
            .map(|run| run.run.as_ref().unwrap().as_str())
            .collect::<Vec<_>>(),
        ["r7"]
    );
    // A repetition of the batch after that changes nothing.
    assert_eq!(
        all(BatchOf::Runs(keys), report(Some("INC-4")))
            .unwrap()
            .changed
            .len(),
        0
    );
    // One run of it goes on: nothing is excluded.
    world.append(Some("w"), booked("open"));
    let out = Change::Exclude {
        reason: "an incident".into(),
        reference: Some("INC-5".into()),
        by: "dana".into(),
    };
    let refused = all(BatchOf::Runs(vec![key("r1"), key("open")]), out.clone());
    assert_eq!(refused, Err(ReviseError::Open("open".into(), "w".into())));
    assert!(
        world
            .runs(RunFilter {
                outcome: Some(Outcome::Excluded),
                ..RunFilter::default()
            })
            .is_empty()
    );
    assert_eq!(
        all(
            BatchOf::Runs(vec![key("r1"), key("r7"), key("nobody")]),
            out
        )
        .unwrap()
        .changed
        .get("w"),
        Some(&2)
    );
    assert_eq!(
        all(
            BatchOf::Reference("INC-5".into()),
            Change::Reinstate { by: "dana".into() }
        )
        .unwrap()
        .changed
        .get("w"),
        Some(&2)
    );
    assert_eq!(
        unacceptable()
            .iter()
            .filter(|run| run.run == Some("r7".into()))
            .count(),
        1
    );
    world.drain();
}

#[test]
fn a_name_that_comes_again_is_another_run() {
    let world = World::new();
    for n in 0..3 {
        world
            .journal
            .record(run(Some("r"), vec![call(n, "api/get", Risk::Low, None)]));
    }
    world
        .journal
        .record(run(Some("r#2"), vec![call(3, "api/get", Risk::Low, None)]));
    world.append(Some("w"), booked("r"));
    world.journal.record(RunRecord {
        mark: Mark::Unacceptable,
        booked_at: at(0),
        ..run(Some("r"), vec![call(5, "api/get", Risk::Low, None)])
    });
    world.journal.record(RunRecord {
        agent: "other".into(),
        ..run(Some("r"), vec![call(6, "api/get", Risk::Low, None)])
    });
    world.settle();
    let names: BTreeSet<String> = world
        .runs(RunFilter {
            run: Some("r".into()),
            ..RunFilter::default()
        })
        .into_iter()
        .filter_map(|run| (run.agent.as_str() == "bot").then(|| run.run.unwrap().to_string()))
        .collect();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        ["r", "r#2", "r#3", "r#4", "r#5"]
    );
    assert!(
        matches!(world.revise(by_run("r"), report(None)), Err(ReviseError::Several(runs)) if runs.len() == 2)
    );
    world.drain();
}

#[test]
fn filters_narrow_and_the_newest_comes_first() {
    let world = World::new();
    world
        .journal
        .record(run(None, vec![call(1, "api/get", Risk::Read, Some("A-1"))]));
    world.journal.record(run(
        Some("r"),
        vec![
            call(2, "api/get", Risk::Low, None),
            call(3, "api/put", Risk::Low, Some("A-2")),
        ],
    ));
    world.journal.record(run(
        None,
        vec![CallRecord {
            executed: Executed::Unknown,
            rule: Some("p.yaml:3".into()),
            ..call(4, "api/get", Risk::Low, None)
        }],
    ));
    world.settle();
    let found = |filter: RunFilter| {
        world
            .runs(filter)
            .iter()
            .map(|run| run.calls[0].call.bits() & 0xff)
            .collect::<Vec<_>>()
    };
    let any = RunFilter::default;
    assert_eq!(found(any()), [4, 2, 1]);
    assert_eq!(
        found(RunFilter {
            workflow: Some("w".into()),
            since: Some(at(2)),
            until: Some(at(4)),
            ..any()
        }),
        [2]
    );
    assert_eq!(
        found(RunFilter {
            workflow: Some("v".into()),
            ..any()
        }),
        []
    );
    assert_eq!(
        found(RunFilter {
            tool: Some("api/put".into()),
            ..any()
        }),
        [2]
    );
    assert_eq!(
        found(RunFilter {
            subject: Some("A-1".into()),
            ..any()
        }),
        [1]
    );
    assert_eq!(
        found(RunFilter {
            subject: Some("A-2".into()),
            ..any()
        }),
        [2]
    );
    assert_eq!(
        found(RunFilter {
            ambiguous: true,
            ..any()
        }),
        [4]
    );
    assert_eq!(
        found(RunFilter {
            call: Some(call_id(3)),
            ..any()
        }),
        [2]
    );
    assert_eq!(
        found(RunFilter {
            outcome: Some(Outcome::Unacceptable),
            ..any()
        }),
        []
    );
    assert_eq!(
        world
            .records
            .runs(&RunFilter { limit: 1, ..any() })
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        world.runs(any())[0].calls[0].rule.as_deref(),
        Some("p.yaml:3")
    );
    assert!(
        world.runs(any())[1].calls[1]
            .subject
            .as_ref()
            .unwrap()
            .as_str()
            .starts_with("sha256:")
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
    let seen = |n, mode| Charge {
        source: Source::Wire,
        by: None,
        call: Some(call_id(n)),
        ..charge(mode, None)
    };
    for n in [1, 2] {
        let name = format!("r{n}");
        let charges = vec![
            seen(n, FailureMode::Timeout),
            seen(n + 10, FailureMode::WrongAction),
        ];
        world.append(
            Some("w"),
            Event::Booked {
                run: run_ref(&name),
                high: true,
                charges: charges[..1].to_vec(),
                seen: RunFlags::NONE,
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
        let seen = if n == 4 {
            due.with(RunFlag::EscalationCaught)
        } else {
            RunFlags::NONE
        };
        world.journal.record(RunRecord {
            seen,
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
