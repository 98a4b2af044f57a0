//! Which run a late report means.

use super::late::{by_run, by_subject, report};
use super::*;

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
